/* What prepare finds for a row depends on that row alone: rows of silence, noise and speech, with texts that fit and texts
 * that do not, in random orders and on different numbers of threads, get the same units, times, scores and rejections. Rows
 * without sound, and texts that cover a small part of it, are rejected for that. */
#include "support/files.h"
#include "support/test_support.h"

#include "data/align/align.h"
#include "data/datasets.h"
#include "data/demo/synthesize.h"
#include "data/prepare/prepare.h"
#include "io/audio/audio.h"
#include "io/json.h"
#include "io/text_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 40, LONGEST = 4 * AUDIO_RATE };

static const char *const sentences[] = {"the lazy dog sleeps",
                                        "four score and seven years ago",
                                        "hello there",
                                        "please enter your agent number",
                                        "in the beginning god created the heaven",
                                        "zorbulators never sleep",
                                        "one two three",
                                        "good morning"};
enum { SENTENCES = sizeof sentences / sizeof *sentences };

struct clip {
    char id[16], *text;
    float *samples;
    int64_t count;
    bool silent;
};

/* Nothing that is sound: zeros, constants, a slow drift, dither, a hiss of -80 dB. */
static void make_silence(struct clip *clip, int number, struct rng *rng)
{
    for (int64_t i = 0; i < clip->count; i++) {
        double noise = 2 * rng_uniform(rng) - 1;
        clip->samples[i] = (float)(number == 0   ? 0
                                   : number == 1 ? 0.5
                                   : number == 2 ? -1
                                   : number == 3 ? 1e-9 * (double)i
                                   : number == 4 ? noise / 32768
                                                 : noise * 1e-4);
    }
    clip->silent = true;
}

/* White noise, a hum, clicks in digital silence, a chord, a loud square wave, noise that comes and goes. */
static void make_noise(struct clip *clip, int number, struct rng *rng)
{
    for (int64_t i = 0; i < clip->count; i++) {
        double t = (double)i / AUDIO_RATE, noise = 2 * rng_uniform(rng) - 1;
        double value = number == 0   ? 0.3 * noise
                       : number == 1 ? 0.4 * sin(2 * M_PI * 50 * t)
                       : number == 2 ? (i % 8000 < 3 ? 0.9 : 0)
                       : number == 3
                           ? 0.2 * (sin(2 * M_PI * 262 * t) + sin(2 * M_PI * 330 * t) + sin(2 * M_PI * 392 * t))
                       : number == 4 ? (i % 160 < 80 ? 1 : -1)
                                     : 0.5 * noise * (i / 4000 % 2 ? 0 : 1);
        clip->samples[i] = (float)value;
    }
}

static void make_speech(struct clip *clip, int number)
{
    struct synthesis synthesis;
    assert_ok(synthesize(sentences[number % SENTENCES], (enum synthetic_voice)(number % SYNTHETIC_VOICES),
                         EMOTION_NEUTRAL, &synthesis));
    clip->count = synthesis.count < LONGEST ? synthesis.count : LONGEST;
    for (int64_t i = 0; i < clip->count; i++) /* some are soft */
        clip->samples[i] = synthesis.samples[i] * (number % 3 == 2 ? 0.02f : 1.0f);
    synthesis_free(&synthesis);
}

static void make_clips(struct clip clips[ROWS], uint64_t seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, 74, 0);
    for (int i = 0; i < ROWS; i++) {
        struct clip *clip = clips + i;
        *clip = (struct clip){.samples = calloc(LONGEST, sizeof *clip->samples), .count = 16000 + 977 * (i % 5)};
        snprintf(clip->id, sizeof clip->id, "r%02d", i);
        int kind = i % 3, number = i / 3;
        /* Speech with its own text, and now and then with another one. */
        clip->text = strdup(sentences[(kind == 2 && number % 4 == 3 ? number + 1 : number) % SENTENCES]);
        if (kind == 0)
            make_silence(clip, number % 6, &rng);
        else if (kind == 1)
            make_noise(clip, number % 6, &rng);
        else
            make_speech(clip, number);
        char name[16];
        snprintf(name, sizeof name, "r%02d.wav", i);
        assert_ok(wav_write(test_path("%s", name), clip->samples, clip->count));
    }
}

static void free_clips(struct clip clips[ROWS])
{
    for (int i = 0; i < ROWS; i++) {
        free(clips[i].samples);
        free(clips[i].text);
    }
}

/* What became of a row, as a text that can be compared. */
struct outcomes {
    char *rows[ROWS];
};

static void free_outcomes(struct outcomes *outcomes)
{
    for (int i = 0; i < ROWS; i++)
        free(outcomes->rows[i]);
}

static char *describe_row(const struct shard_row *row)
{
    char *text = NULL;
    size_t size = 0;
    uint32_t score;
    FILE *stream = open_memstream(&text, &size);
    memcpy(&score, &row->score, sizeof score);
    fprintf(stream, "score %08x, %d samples, words", score, (int)row->duration);
    for (int64_t i = 0; i < row->word_count; i++)
        fprintf(stream, " %d-%d:%d-%d", (int)row->words[i].start, (int)row->words[i].end, (int)row->words[i].text_begin,
                (int)row->words[i].text_end);
    for (int s = 0; s < STREAM_COUNT; s++) {
        fprintf(stream, ", units");
        for (int64_t i = 0; i < row->units.count[s]; i++)
            fprintf(stream, " %d", (int)row->units.values[s][i]);
    }
    fclose(stream);
    return text;
}

static void read_outcomes(const char *folder, struct outcomes *outcomes)
{
    struct dataset *dataset = NULL;
    char path[1200], *rejects = NULL;
    int64_t size = 0;
    memset(outcomes, 0, sizeof *outcomes);
    assert_ok(dataset_open(folder, &dataset));
    for (int64_t i = 0; i < dataset_rows(dataset); i++) {
        struct shard_row row;
        assert_ok(dataset_row(dataset, i, &row));
        outcomes->rows[atoi(row.id + 1)] = describe_row(&row);
    }
    dataset_close(dataset);
    snprintf(path, sizeof path, "%s/rejects.jsonl", folder);
    assert_ok(text_file_read(path, 1 << 20, &rejects, &size));
    for (char *line = rejects; *line; line += strcspn(line, "\n") + 1) {
        json_t *object = NULL;
        const char *id, *reason;
        assert_ok(jdoc_parse(path, line, (int64_t)strcspn(line, "\n"), &object));
        assert_ok(jdoc_get_string(path, object, "id", &id));
        assert_ok(jdoc_get_string(path, object, "reason", &reason));
        outcomes->rows[atoi(id + 1)] = strdup(reason);
        json_decref(object);
    }
    free(rejects);
}

static void write_manifest(const struct clip *clips, const int *order, int count)
{
    FILE *file = fopen(test_path("rows.jsonl"), "w");
    assert_non_null(file);
    for (int i = 0; i < count; i++)
        fprintf(file, "{\"id\": \"%s\", \"audio\": \"%s.wav\", \"text\": \"%s\"}\n", clips[order[i]].id,
                clips[order[i]].id, clips[order[i]].text);
    fclose(file);
}

static struct prepare_settings settings_of(const char **manifest, const char *output, int threads)
{
    return (struct prepare_settings){.manifests = {manifest, 1},
                                     .output = output,
                                     .threads = threads,
                                     .shard_rows = 16,
                                     .align = true,
                                     .minimum_seconds = 0.1,
                                     .maximum_seconds = 3600};
}

static void prepare_order(const struct clip *clips, const int *order, int count, int threads, int run,
                          struct outcomes *outcomes)
{
    const char *manifest = strdup(test_path("rows.jsonl")), *tokenizer_folder = strdup(test_path("tokenizer"));
    char output[1024], folder[1100];
    snprintf(output, sizeof output, "%s", test_path("out-%d-%d", run, threads));
    struct tokenizer_settings tokenizer = {.folder = tokenizer_folder,
                                           .text_model = "",
                                           .units = 12,
                                           .pitch_codes = 4,
                                           .style_codes = 2,
                                           .iterations = 3,
                                           .sample_hours = 1,
                                           .seed = 1};
    struct prepare_settings settings = settings_of(&manifest, output, threads);
    struct prepare_options options = {
        .tokenizer = &tokenizer, .prepare = &settings, .stages = PREPARE_ALL, .part = 1, .parts = 1};
    write_manifest(clips, order, count);
    assert_ok(prepare_run(&options));
    snprintf(folder, sizeof folder, "%s/rows", output);
    read_outcomes(folder, outcomes);
    free((char *)manifest);
    free((char *)tokenizer_folder);
}

static void shuffle(int *order, int count, struct rng *rng)
{
    for (int i = count - 1; i > 0; i--) {
        int other = (int)rng_below(rng, (uint64_t)i + 1), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

static void compare(const struct outcomes *expected, const struct outcomes *found, int run, int threads)
{
    for (int i = 0; i < ROWS; i++)
        if ((!expected->rows[i]) != (!found->rows[i]) ||
            (found->rows[i] && strcmp(expected->rows[i], found->rows[i]) != 0))
            fail_msg("order %d, %d threads, row %d:\n%s\nbefore:\n%s", run, threads, i, found->rows[i],
                     expected->rows[i]);
}

static void a_row_depends_on_itself_alone(void **state)
{
    (void)state;
    static const int thread_counts[] = {1, 2, 3};
    struct clip clips[ROWS];
    struct outcomes expected, found;
    int order[ROWS], accepted = 0, orders = test_is_long() ? 20 : 1;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 75, 0);
    make_clips(clips, test_seed());
    for (int i = 0; i < ROWS; i++)
        order[i] = i;
    prepare_order(clips, order, ROWS, 1, 0, &expected);
    for (int i = 0; i < ROWS; i++) {
        assert_non_null(expected.rows[i]);
        accepted += strncmp(expected.rows[i], "score", 5) == 0;
        if (clips[i].silent != (strcmp(expected.rows[i], "no sound") == 0))
            fail_msg("row %d: %s", i, expected.rows[i]);
        if (i % 3 != 2 && strncmp(expected.rows[i], "score", 5) == 0)
            fail_msg("row %d is no speech, but was accepted: %s", i, expected.rows[i]);
    }
    assert_true(accepted >= 5);
    for (int run = 1; run <= orders; run++) {
        shuffle(order, ROWS, &rng);
        for (int t = 0; t < 3; t++) {
            if (!test_is_long() && t != 2) /* a commit looks at one number of threads */
                continue;
            prepare_order(clips, order, ROWS, thread_counts[t], run, &found);
            compare(&expected, &found, run, thread_counts[t]);
            free_outcomes(&found);
        }
    }
    free_outcomes(&expected);
    free_clips(clips);
}

/* ---- texts and sound ---- */

static const char *align_reason(struct aligner *aligner, const float *samples, int64_t count, const char *text,
                                double *score)
{
    struct alignment alignment;
    const char *reason;
    assert_ok(aligner_align(aligner, samples, count, text, &alignment, &reason));
    *score = alignment.score;
    alignment_free(&alignment);
    return reason;
}

/* Speech of which the text has a small part, in front, in the middle, at the end; the whole text is accepted. */
static void texts_of_a_part_are_refused(void **state)
{
    (void)state;
    static const char *const parts[] = {"in the beginning", "god created", "and the earth", "hello there", "void"};
    struct aligner *aligner;
    struct synthesis synthesis;
    double score;
    static const char text[] =
        "in the beginning god created the heaven and the earth and the earth was without form and "
        "void and darkness was upon the face of the deep and the spirit of god moved upon the face "
        "of the waters";
    assert_ok(aligner_create(NULL, &aligner));
    assert_ok(synthesize(text, VOICE_SLT, EMOTION_NEUTRAL, &synthesis));
    assert_null(align_reason(aligner, synthesis.samples, synthesis.count, text, &score));
    assert_true(score >= ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_POCKETSPHINX]);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *reason = align_reason(aligner, synthesis.samples, synthesis.count, parts[i], &score);
        print_message("\"%s\": %s %.2f\n", parts[i], reason ? reason : "score", score);
        assert_true(reason != NULL || score < ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_POCKETSPHINX]);
    }
    synthesis_free(&synthesis);
    aligner_destroy(aligner);
}

/* A few words, spoken, in a minute of nothing: accepted where they are, whatever surrounds them, even a click that is
 * louder; without the speech, refused. */
static void words_lie_where_the_sound_is(void **state)
{
    (void)state;
    enum { MINUTE = 60 * AUDIO_RATE, AT = 20 * AUDIO_RATE };
    struct aligner *aligner;
    struct synthesis synthesis;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 76, 0);
    float *samples = calloc(MINUTE, sizeof *samples);
    assert_ok(aligner_create(NULL, &aligner));
    assert_ok(synthesize("please enter your agent number", VOICE_SLT, EMOTION_NEUTRAL, &synthesis));
    for (int kind = 0; kind < 4; kind++) {
        bool spoken = kind < 2;
        for (int i = 0; i < MINUTE; i++)
            samples[i] = (float)((2 * rng_uniform(&rng) - 1) * (kind == 3 ? 0.02 : 0.0003));
        for (int64_t i = 0; spoken && i < synthesis.count; i++)
            samples[AT + i] += 0.5f * synthesis.samples[i];
        if (kind == 1 || kind == 2)
            samples[AT / 2] = 1;
        struct alignment alignment;
        const char *reason;
        assert_ok(aligner_align(aligner, samples, MINUTE, "Please enter your agent number.", &alignment, &reason));
        print_message("a minute, %d: %s %.2f\n", kind, reason ? reason : "score", alignment.score);
        if (spoken) {
            assert_null(reason);
            assert_int_equal(alignment.word_count, 5);
            assert_true(abs(alignment.words[0].start - AT - synthesis.words[0].start) < AUDIO_RATE / 10);
            assert_true(abs(alignment.words[4].end - AT - synthesis.words[4].end) < AUDIO_RATE / 4);
        } else {
            assert_true(reason != NULL || alignment.score < ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_POCKETSPHINX]);
        }
        alignment_free(&alignment);
    }
    free(samples);
    synthesis_free(&synthesis);
    aligner_destroy(aligner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_depends_on_itself_alone),
        cmocka_unit_test(texts_of_a_part_are_refused),
        cmocka_unit_test(words_lie_where_the_sound_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
