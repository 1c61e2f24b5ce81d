/* Alignment by a CTC model whose right answers are known: tests/golden/ctc_model (tests/oracles/ctc_tones.py) hears tones, one for each
 * letter from 'a' to 'm' and one between words. Times are those of the tones, planted wrong transcripts are rejected, letters that the
 * model does not have are found where they sound, an hour fits into memory, and what cannot be aligned is refused. */
#include "support/test_support.h"

#include "core/path.h"
#include "core/rng.h"
#include "data/align/align.h"
#include "data/align/ctc_path.h"
#include "memory_meter.h"
#include "models/encoder/ctc_model.h"
#include "support/files.h"
#include "support/test_kernels.h"
#include "text/ctc_vocabulary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MODEL TEST_GOLDEN_DIRECTORY "/ctc_model"

enum { RATE = 16000, HOP = 320, TONE = 4 * HOP, PAUSE = 3 * HOP, WORDS_LIMIT = 20000 };

static const double threshold = -0.9; /* the default */

/* ---- tones ---- */

struct melody {
    float *samples;
    int64_t count, room;
    struct {
        int64_t start, end;
    } words[WORDS_LIMIT];
    int64_t word_count;
};

/* Plays what the model hears as `text`; a letter that it does not have is noise. */
static void play(const char *text, struct melody *melody)
{
    static const char names[] = " abcdefghijklm";
    struct rng rng = rng_make(test_seed(), RNG_TEST, 135, 0);
    bool inside = false;
    melody->room = (int64_t)strlen(text) * (TONE + PAUSE) + 2 * PAUSE;
    melody->samples = calloc((size_t)melody->room, sizeof *melody->samples);
    assert_non_null(melody->samples);
    melody->count = PAUSE;
    melody->word_count = 0;
    for (const char *c = text; *c; c++) {
        const char *name = strchr(names, *c);
        int64_t start = melody->count, end = start + TONE;
        for (int64_t i = start; i < end; i++)
            melody->samples[i] = name ? 0.2f * (float)sin(2 * 3.14159265358979 *
                                                          (500.0 + 450.0 * (double)(name - names)) * (double)i / RATE)
                                      : 0.2f * (float)rng_normal(&rng);
        if (*c != ' ') {
            melody->word_count += !inside;
            assert_true(melody->word_count <= WORDS_LIMIT);
            if (!inside)
                melody->words[melody->word_count - 1].start = start;
            melody->words[melody->word_count - 1].end = end;
        }
        inside = *c != ' ';
        melody->count = end + PAUSE;
    }
}

static struct aligner_model *model;
static struct aligner *aligner;

static int open_world(void **state)
{
    (void)state;
    const struct aligner_options options = {.kind = ALIGNER_CTC, .folder = MODEL, .kernels = test_kernels()};
    assert_ok(aligner_model_open(&options, &model));
    assert_ok(aligner_create(model, &aligner));
    assert_true(ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_CTC] == threshold);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    aligner_destroy(aligner);
    aligner_model_close(model);
    return 0;
}

static void align_melody(const struct melody *melody, const char *text, struct alignment *alignment)
{
    const char *reason;
    assert_ok(aligner_align(aligner, melody->samples, melody->count, text, alignment, &reason));
    if (reason)
        fail_msg("\"%.40s\": %s", text, reason);
}

/* Every word begins and ends where its tones do, to two frames; the texts' own bytes. */
static void check_times(const struct melody *melody, const char *text, const struct alignment *alignment)
{
    assert_int_equal(alignment->word_count, melody->word_count);
    for (int64_t i = 0, time = 0; i < alignment->word_count; i++) {
        const struct aligned_word *word = &alignment->words[i];
        int64_t start = melody->words[i].start, end = melody->words[i].end;
        if (!(llabs(word->start - start) <= 2 * HOP) || !(llabs(word->end - end) <= 2 * HOP))
            fail_msg("word %lld of \"%.40s\": %d to %d, played from %lld to %lld", (long long)i, text, (int)word->start,
                     (int)word->end, (long long)start, (long long)end);
        assert_true(word->start >= time && word->end > word->start && word->end <= melody->count);
        assert_true(alignment->word_scores[i] <= 0 && isfinite(alignment->word_scores[i]));
        time = word->end;
    }
}

static void words_are_where_they_sound(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "abba", "abc cab", "deaf bee fed a kid", "milk lamb jig hill"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct melody melody;
        struct alignment alignment;
        play(texts[i], &melody);
        align_melody(&melody, texts[i], &alignment);
        check_times(&melody, texts[i], &alignment);
        print_message("\"%s\": score %.3f\n", texts[i], alignment.score);
        assert_true(alignment.score >= threshold);
        assert_true(alignment.words[alignment.word_count - 1].text_end == (int32_t)strlen(texts[i]));
        alignment_free(&alignment);
        free(melody.samples);
    }
}

static void letters_that_the_model_lacks_are_found(void **state)
{
    (void)state;
    static const char text[] = "dab 9 fiz cab";
    struct melody melody;
    struct alignment alignment;
    play(text, &melody);
    align_melody(&melody, text, &alignment);
    check_times(&melody, text, &alignment);
    alignment_free(&alignment);
    free(melody.samples);
}

static void planted_texts_score_below_the_threshold(void **state)
{
    (void)state;
    static const char text[] = "deaf bee fed a kid";
    static const char *const planted[] = {"milk lamb jig hill all", "fed a kid deaf bee", "deaf bee fed",
                                          "bee fed a kid", "deaf bee fed a lamb"};
    struct melody melody;
    play(text, &melody);
    for (size_t i = 0; i < sizeof planted / sizeof *planted; i++) {
        struct alignment alignment;
        align_melody(&melody, planted[i], &alignment);
        print_message("\"%s\": score %.3f\n", planted[i], alignment.score);
        assert_true(alignment.score < threshold);
        alignment_free(&alignment);
    }
    free(melody.samples);
}

/* For each frame, what the best path's label lies below the greatest emission. */
static int64_t path_below_greatest(const struct melody *melody, const char *text, double **below)
{
    struct device_context context;
    struct ctc_model *network;
    struct ctc_workspace *workspace;
    struct ctc_vocabulary *vocabulary;
    struct ctc_text read;
    int32_t ids[64];
    double sum;
    bool found;
    assert_ok(device_context_create(test_kernels(), NULL, 0, &context));
    assert_ok(ctc_model_open(MODEL, test_kernels(), &context, &network));
    assert_ok(ctc_workspace_create(network, &context, &workspace));
    assert_ok(ctc_vocabulary_open(MODEL, &vocabulary));
    assert_ok(ctc_vocabulary_read(vocabulary, text, &read));
    const struct encoder_clip clip = {.samples = melody->samples, .count = melody->count};
    int64_t size = ctc_model_size(network), frames = encoder_config_frames(ctc_model_config(network), melody->count);
    for (int32_t i = 0; i < size; i++)
        ids[i] = i;
    const struct ctc_columns columns = {.ids = ids, .count = size, .blank = ctc_vocabulary_blank(vocabulary)};
    float *emissions = malloc((size_t)(frames * size) * sizeof *emissions);
    int32_t *states = malloc((size_t)frames * sizeof *states);
    *below = calloc((size_t)frames, sizeof **below);
    assert_true(emissions && states && *below);
    assert_ok(ctc_model_run(workspace, &clip, &columns, emissions));
    const struct ctc_problem problem = {.emissions = emissions,
                                        .frames = frames,
                                        .columns = size,
                                        .blank = columns.blank,
                                        .labels = read.labels,
                                        .label_count = read.label_count};
    assert_ok(ctc_path_find(&problem, states, &sum, &found));
    assert_true(found);
    for (int64_t t = 0; t < frames; t++) {
        const float *frame = emissions + t * size;
        double greatest = -INFINITY;
        for (int64_t i = 0; i < size; i++)
            greatest = fmax(greatest, (double)frame[i]);
        (*below)[t] = (double)frame[states[t] % 2 ? read.labels[states[t] / 2] : columns.blank] - greatest;
    }
    free(emissions);
    free(states);
    ctc_text_free(&read);
    ctc_vocabulary_close(vocabulary);
    ctc_workspace_destroy(workspace);
    ctc_model_close(network);
    device_context_destroy(test_kernels(), &context);
    return frames;
}

/* Half the mean over all frames, half that over the worst second. The first clip is shorter than that. */
static void scores_are_as_defined(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"abc", "abd"}, {"deaf bee fed a kid", "deaf bee fed a lamb"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct melody melody;
        struct alignment alignment;
        double *below, whole = 0, worst = INFINITY;
        play(cases[i][0], &melody);
        align_melody(&melody, cases[i][1], &alignment);
        int64_t frames = path_below_greatest(&melody, cases[i][1], &below), second = frames < 50 ? frames : 50;
        for (int64_t first = 0; first + second <= frames; first++) {
            double sum = 0;
            for (int64_t t = first; t < first + second; t++)
                sum += below[t];
            worst = fmin(worst, sum / (double)second);
        }
        for (int64_t t = 0; t < frames; t++)
            whole += below[t] / (double)frames;
        assert_true(whole < -0.1 && worst <= whole + 1e-9);
        if (!(fabs(alignment.score - (whole + worst) / 2) <= 1e-5))
            fail_msg("\"%s\" scores %.6f, expected %.6f", cases[i][1], alignment.score, (whole + worst) / 2);
        free(below);
        alignment_free(&alignment);
        free(melody.samples);
    }
}

/* Windows and checkpoints: minutes, with --long an hour. */
static void long_audio_needs_little_memory(void **state)
{
    (void)state;
    static const char words[][6] = {"deaf ", "bee ", "fed ", "a ", "kid ", "milk ", "lamb "};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 136, 0);
    int64_t letters = (test_is_long() ? 3600 : 180) * RATE / (TONE + PAUSE);
    char *text = calloc((size_t)letters + 8, 1);
    struct melody *melody = malloc(sizeof *melody);
    struct alignment alignment;
    assert_true(text && melody);
    for (int64_t length = 0; length < letters; length = (int64_t)strlen(text + length) + length)
        strcpy(text + length, words[rng_below(&rng, 7)]);
    text[strlen(text) - 1] = '\0';
    play(text, melody);
    memory_meter_start();
    align_melody(melody, text, &alignment);
    int64_t peak = memory_meter_peak();
    print_message("%.1f minutes, %lld letters: %.1f MB besides samples and weights\n",
                  (double)melody->count / RATE / 60, (long long)strlen(text), (double)peak / 1e6);
    check_times(melody, text, &alignment);
    assert_true(alignment.score >= threshold);
    assert_true(peak < (test_is_long() ? 250 : 100) * INT64_C(1000000));
    alignment_free(&alignment);
    free(melody->samples);
    free(melody);
    free(text);
}

/* ---- refusals ---- */

static void audio_and_texts_that_cannot_be_aligned(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
        int64_t count;
        float level;
    } cases[] = {
        {"hello", "audio too short", 1599, 0.1f},
        {"hello", ALIGNER_NO_SOUND, RATE, 0},
        {"", "no words", RATE, 0.1f},
        {" ... - ", "no words", RATE, 0.1f},
        {"a sentence of many more letters than there are frames in it", "more letters than the audio has frames",
         RATE / 2, 0.1f},
    };
    float samples[RATE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct alignment alignment;
        const char *reason;
        for (int s = 0; s < RATE; s++)
            samples[s] = cases[i].level * (float)sin(0.05 * s);
        assert_ok(aligner_align(aligner, samples, cases[i].count, cases[i].text, &alignment, &reason));
        if (!reason || strcmp(reason, cases[i].reason) != 0)
            fail_msg("\"%s\": %s, expected %s", cases[i].text, reason ? reason : "aligned", cases[i].reason);
        assert_null(alignment.words);
    }
}

static void models_that_cannot_align(void **state)
{
    (void)state;
    struct aligner_model *opened;
    struct aligner_options options = {.kind = ALIGNER_CTC, .folder = "", .kernels = test_kernels()};
    assert_fails(aligner_model_open(&options, &opened), STATUS_USAGE, "prepare.aligner_folder");
    options.folder = TEST_GOLDEN_DIRECTORY "/speech_models/small/first/hf"; /* has no vocabulary */
    assert_fails(aligner_model_open(&options, &opened), STATUS_USAGE, "vocab.json: missing");
    const char *folder = test_path("vocabulary");
    char path[PATH_BYTES];
    assert_int_equal(mkdir(folder, 0777), 0);
    static const char *const files[] = {"config.json", "preprocessor_config.json", "model.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char golden[64];
        snprintf(golden, sizeof golden, "ctc_model/%s", files[i]);
        assert_ok(path_format(path, "%s/%s", folder, files[i]));
        copy_golden(golden, path);
    }
    write_text_in(folder, "vocab.json", "{\"<pad>\": 0, \"a\": 500}");
    options.folder = folder;
    assert_fails(aligner_model_open(&options, &opened), STATUS_CORRUPT, "vocab.json has the id 500");
    write_text_in(folder, "vocab.json", "{\"<pad>\": 0, \"a\": 1}");
    write_text_in(folder, "preprocessor_config.json", "{\"sampling_rate\": 8000}");
    assert_fails(aligner_model_open(&options, &opened), STATUS_CORRUPT, "8000 Hz, expected 16000");
    assert_null(opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_where_they_sound),
        cmocka_unit_test(letters_that_the_model_lacks_are_found),
        cmocka_unit_test(planted_texts_score_below_the_threshold),
        cmocka_unit_test(scores_are_as_defined),
        cmocka_unit_test(long_audio_needs_little_memory),
        cmocka_unit_test(audio_and_texts_that_cannot_be_aligned),
        cmocka_unit_test(models_that_cannot_align),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
