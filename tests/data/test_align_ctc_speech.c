/* A CTC model that heard speech, on speech that it has not heard: tests/golden/ctc_speech, which tests/oracles/train_ctc_model.py
 * trained on flite's speech.
 *
 *     test_data_align_ctc_speech --render FOLDER COUNT     speech to train on: NNNN.wav, and in NNNN.txt a line for each word
 *                                                          with its start, end (both in samples) and letters
 *     test_data_align_ctc_speech --measure MODEL COUNT     both aligners on COUNT clips, and what each threshold would accept */
#include "support/test_support.h"

#include "core/path.h"
#include "data/align/align.h"
#include "data/demo/demo_sources.h"
#include "data/demo/synthesize.h"
#include "io/text_file.h"
#include "io/wav.h"
#include "support/files.h"
#include "support/test_kernels.h"
#include "support/usage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL TEST_GOLDEN_DIRECTORY "/ctc_speech"

/* ---- texts ---- */

/* Verses of the King James Bible: the model was trained on some of the Old Testament, and is measured on the New. */
enum testament { OLD_TESTAMENT, NEW_TESTAMENT };

struct verses {
    struct demo_book book;
    const char **texts;
    int64_t count;
};

/* A verse that flite and we divide into the same words: letters and plain punctuation, 6 to 30 words. */
static bool is_plain_verse(const char *text)
{
    int words = 1;
    for (const char *c = text; *c; c++) {
        if (!strchr(" ,.;:?!", *c) && !((*c | 32) >= 'a' && (*c | 32) <= 'z'))
            return false;
        words += *c == ' ';
    }
    return words >= 6 && words <= 30;
}

static enum status read_verses(enum testament testament, struct verses *verses)
{
    enum status result = STATUS_OK;
    *verses = (struct verses){0};
    TRY(demo_book_read(&verses->book));
    verses->texts = calloc((size_t)verses->book.count, sizeof *verses->texts);
    if (!verses->texts)
        FAIL(STATUS_INTERNAL, "out of memory for %lld verses", (long long)verses->book.count);
    enum testament now = OLD_TESTAMENT;
    for (int64_t i = 0; i < verses->book.count; i++) {
        const struct demo_verse *verse = verses->book.verses + i;
        if (strncmp(verse->reference, "Mat", 3) == 0)
            now = NEW_TESTAMENT;
        if (now == testament && is_plain_verse(verse->text))
            verses->texts[verses->count++] = verse->text;
    }
fail:
    return result;
}

static void free_verses(struct verses *verses)
{
    demo_book_free(&verses->book);
    free(verses->texts);
}

/* One of `count` verses that lie evenly over the testament, in the voice whose turn it is. */
static const char *verse_at(const struct verses *verses, int64_t number, int64_t count)
{
    return verses->texts[number * verses->count / count];
}

static enum status speak(const char *text, int64_t number, struct synthesis *synthesis)
{
    return synthesize(text, (enum synthetic_voice)(number % SYNTHETIC_VOICES), EMOTION_NEUTRAL, synthesis);
}

/* ---- speech to train on ---- */

static enum status write_words(const char *path, const char *text, const struct synthesis *synthesis)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return status_set(STATUS_IO, "%s: cannot be written", path);
    for (int64_t i = 0; i < synthesis->word_count; i++) {
        const struct aligned_word *word = synthesis->words + i;
        fprintf(file, "%d %d %.*s\n", (int)word->start, (int)word->end, (int)(word->text_end - word->text_begin),
                text + word->text_begin);
    }
    return fclose(file) == 0 ? STATUS_OK : status_set(STATUS_IO, "%s: cannot be written", path);
}

static enum status render(const char *folder, int64_t count)
{
    enum status result = STATUS_OK;
    struct verses verses;
    struct synthesis synthesis = {0};
    TRY(read_verses(OLD_TESTAMENT, &verses));
    for (int64_t i = 0; i < count; i++) {
        char path[PATH_BYTES];
        const char *text = verse_at(&verses, i, count);
        TRY(speak(text, i, &synthesis));
        TRY(path_format(path, "%s/%04d.wav", folder, (int)i));
        TRY(wav_write(path, synthesis.samples, synthesis.count));
        TRY(path_format(path, "%s/%04d.txt", folder, (int)i));
        TRY(write_words(path, text, &synthesis));
        synthesis_free(&synthesis);
    }
fail:
    synthesis_free(&synthesis);
    free_verses(&verses);
    return result;
}

/* ---- texts that were not spoken ---- */

enum { RIGHT, OTHER_TEXT, HALF_MISSING, WORD_REPLACED, TEXTS };

static const char *const text_names[TEXTS] = {"the right text", "another verse", "half of the text",
                                              "one word replaced"};

enum { TEXT_BYTES = 1024 };

static int64_t count_words(const char *text)
{
    int64_t words = 1;
    for (const char *c = text; *c; c++)
        words += *c == ' ';
    return words;
}

/* Words are divided by single spaces. */
static const char *word_at(const char *text, int64_t number, int *length)
{
    for (; number > 0; number--)
        text = strchr(text, ' ') + 1;
    *length = (int)strcspn(text, " ,.;:?!");
    return text;
}

/* One word of at least three letters gives way to one of another verse, which begins with another letter. */
static void replace_word(const char *text, const char *other, struct rng *rng, char *out)
{
    int length = 0, own_length = 0;
    const char *own, *word;
    do {
        own = word_at(text, (int64_t)rng_below(rng, (uint64_t)count_words(text)), &own_length);
        word = word_at(other, (int64_t)rng_below(rng, (uint64_t)count_words(other)), &length);
    } while (length < 3 || own_length < 3 || (*own | 32) == (*word | 32));
    snprintf(out, TEXT_BYTES, "%.*s%.*s%s", (int)(own - text), text, length, word, own + own_length);
}

static void plant(int kind, const char *text, const char *other, int64_t number, char *out)
{
    struct rng rng = rng_make(1, RNG_TEST, 137, (uint64_t)number);
    int length;
    const char *middle = word_at(text, count_words(text) / 2, &length);
    if (kind == WORD_REPLACED)
        replace_word(text, other, &rng, out);
    else if (kind == HALF_MISSING) /* by turns the second and the first */
        snprintf(out, TEXT_BYTES, "%.*s", number % 2 ? TEXT_BYTES - 1 : (int)(middle - text),
                 number % 2 ? middle : text);
    else
        snprintf(out, TEXT_BYTES, "%s", kind == OTHER_TEXT ? other : text);
}

/* ---- measuring ---- */

enum { CLIPS_LIMIT = 1000, WORDS_LIMIT = 30 * CLIPS_LIMIT };

struct measured {
    double errors[WORDS_LIMIT];        /* of word starts, in milliseconds */
    double scores[TEXTS][CLIPS_LIMIT]; /* -INFINITY: not aligned */
    int64_t words, failures;
    double processor, audio; /* seconds, of the right texts */
};

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void check_words(const struct alignment *alignment, const char *text, int64_t samples)
{
    int32_t time = 0, byte = 0;
    for (int64_t i = 0; i < alignment->word_count; i++) {
        const struct aligned_word *word = alignment->words + i;
        assert_true(word->start >= time && word->end > word->start && word->end <= samples);
        assert_true(word->text_begin >= byte && word->text_end > word->text_begin);
        time = word->end;
        byte = word->text_end;
    }
    assert_true(byte <= (int32_t)strlen(text));
    assert_true(isfinite(alignment->score));
}

static void measure_text(struct aligner *aligner, const struct synthesis *synthesis, int kind, const char *text,
                         int64_t clip, struct measured *measured)
{
    struct alignment alignment;
    const char *reason;
    double begin = processor_seconds();
    assert_ok(aligner_align(aligner, synthesis->samples, synthesis->count, text, &alignment, &reason));
    if (kind == RIGHT) {
        measured->processor += processor_seconds() - begin;
        measured->audio += (double)synthesis->count / AUDIO_RATE;
    }
    measured->scores[kind][clip] = reason ? -INFINITY : alignment.score;
    if (!reason)
        check_words(&alignment, text, synthesis->count);
    if (kind == RIGHT && reason)
        measured->failures++;
    if (kind == RIGHT && !reason) {
        assert_int_equal(alignment.word_count, synthesis->word_count);
        for (int64_t i = 0; i < alignment.word_count; i++)
            measured->errors[measured->words++] =
                1000.0 * fabs((double)(alignment.words[i].start - synthesis->words[i].start)) / AUDIO_RATE;
    }
    alignment_free(&alignment);
}

/* Both aligners on the same clips with their own texts, and CTC with those that were not spoken too. (data.align_corpus has
 * pocketsphinx's rejections.) */
static void measure_clips(const char *folder, int64_t clips, struct measured measured[ALIGNER_KINDS])
{
    const struct aligner_options options = {.kind = ALIGNER_CTC, .folder = folder, .kernels = test_kernels()};
    struct aligner_model *model;
    struct aligner *aligners[ALIGNER_KINDS];
    struct verses verses;
    assert_ok(aligner_model_open(&options, &model));
    assert_ok(aligner_create(NULL, &aligners[ALIGNER_POCKETSPHINX]));
    assert_ok(aligner_create(model, &aligners[ALIGNER_CTC]));
    assert_ok(read_verses(NEW_TESTAMENT, &verses));
    for (int64_t clip = 0; clip < clips; clip++) {
        struct synthesis synthesis;
        const char *text = verse_at(&verses, clip, clips), *other = verse_at(&verses, (clip + 1) % clips, clips);
        assert_ok(speak(text, clip, &synthesis));
        measure_text(aligners[ALIGNER_POCKETSPHINX], &synthesis, RIGHT, text, clip, &measured[ALIGNER_POCKETSPHINX]);
        for (int kind = 0; kind < TEXTS; kind++) {
            char planted[TEXT_BYTES];
            plant(kind, text, other, clip, planted);
            measure_text(aligners[ALIGNER_CTC], &synthesis, kind, planted, clip, &measured[ALIGNER_CTC]);
        }
        synthesis_free(&synthesis);
    }
    free_verses(&verses);
    aligner_destroy(aligners[ALIGNER_POCKETSPHINX]);
    aligner_destroy(aligners[ALIGNER_CTC]);
    aligner_model_close(model);
}

static double percentile(const double *sorted, int64_t count, double percent)
{
    return sorted[(int64_t)((double)(count - 1) * percent / 100 + 0.5)];
}

/* Of a hundred clips with that text, those that score at least `threshold`. */
static double accepted(const struct measured *measured, int kind, int64_t clips, double threshold)
{
    int64_t count = 0;
    for (int64_t i = 0; i < clips; i++)
        count += measured->scores[kind][i] >= threshold;
    return 100.0 * (double)count / (double)clips;
}

/* Sorts errors. */
static void print_times(const char *name, struct measured *measured, int64_t clips)
{
    double sum = 0;
    qsort(measured->errors, (size_t)measured->words, sizeof *measured->errors, ascending);
    for (int64_t i = 0; i < measured->words; i++)
        sum += measured->errors[i];
    print_message("%s: %lld clips, %lld of them not aligned; start error on %lld words: mean %.1f ms, median %.1f ms, "
                  "90th percentile %.1f ms; %.1f s of processor time for %.1f s of audio\n",
                  name, (long long)clips, (long long)measured->failures, (long long)measured->words,
                  sum / (double)measured->words, percentile(measured->errors, measured->words, 50),
                  percentile(measured->errors, measured->words, 90), measured->processor, measured->audio);
}

/* Sorts scores. */
static void print_scores(struct measured *measured, int64_t clips)
{
    const double threshold = ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_CTC];
    for (int kind = 0; kind < TEXTS; kind++) {
        double *scores = measured->scores[kind];
        qsort(scores, (size_t)clips, sizeof *scores, ascending);
        print_message("CTC with %s: accepted at %.2f %.1f %%; scores: least %.3f, 2 %% %.3f, median %.3f, 98 %% %.3f, "
                      "most %.3f\n",
                      text_names[kind], threshold, accepted(measured, kind, clips, threshold), scores[0],
                      percentile(scores, clips, 2), percentile(scores, clips, 50), percentile(scores, clips, 98),
                      scores[clips - 1]);
    }
}

static void print_thresholds(const struct measured *measured, int64_t clips)
{
    print_message("accepted with CTC, in percent, with %s, %s, %s, %s:\n", text_names[0], text_names[1], text_names[2],
                  text_names[3]);
    for (double threshold = -0.1; threshold > -3; threshold *= 1.1) {
        print_message("  from %6.3f:", threshold);
        for (int kind = 0; kind < TEXTS; kind++)
            print_message(" %5.1f", accepted(measured, kind, clips, threshold));
        print_message("\n");
    }
}

static struct measured *measure(const char *folder, int64_t clips)
{
    struct measured *measured = calloc(ALIGNER_KINDS, sizeof *measured);
    assert_true(measured && clips > 0 && clips <= CLIPS_LIMIT);
    measure_clips(folder, clips, measured);
    print_times("pocketsphinx", &measured[ALIGNER_POCKETSPHINX], clips);
    print_times("CTC", &measured[ALIGNER_CTC], clips);
    print_scores(&measured[ALIGNER_CTC], clips);
    return measured;
}

/* ---- tests ---- */

static void held_out_speech(void **state)
{
    (void)state;
    const int64_t clips = test_is_long() ? 300 : 24;
    const double threshold = ALIGNER_DEFAULT_THRESHOLDS[ALIGNER_CTC];
    struct measured *measured = measure(MODEL, clips), *ctc = &measured[ALIGNER_CTC];
    assert_int_equal(ctc->failures, 0);
    assert_true(percentile(ctc->errors, ctc->words, 50) <= 30);
    assert_true(percentile(ctc->errors, ctc->words, 90) <= 100);
    assert_true(accepted(ctc, RIGHT, clips, threshold) >= 90);
    assert_true(accepted(ctc, OTHER_TEXT, clips, threshold) <= 1);
    assert_true(accepted(ctc, HALF_MISSING, clips, threshold) <= 10);
    free(measured);
}

/* Rows of three kinds by turns. */
static void write_corpus(int64_t rows)
{
    struct verses verses;
    FILE *file = fopen(test_path("speech.jsonl"), "w");
    assert_non_null(file);
    assert_ok(read_verses(NEW_TESTAMENT, &verses));
    for (int64_t i = 0; i < rows; i++) {
        struct synthesis synthesis;
        char name[16], text[TEXT_BYTES];
        const char *spoken = verse_at(&verses, i, rows);
        snprintf(name, sizeof name, "s%d.wav", (int)i);
        assert_ok(speak(spoken, i / 3, &synthesis));
        assert_ok(wav_write(test_path("%s", name), synthesis.samples, synthesis.count));
        synthesis_free(&synthesis);
        plant((int)(i % 3), spoken, verse_at(&verses, (i + 1) % rows, rows), i, text);
        fprintf(file, "{\"id\": \"s%d\", \"audio\": \"%s\", \"text\": \"%s\"}\n", (int)i, name, text);
    }
    free_verses(&verses);
    assert_int_equal(fclose(file), 0);
}

static void prepare_rejects_what_was_not_spoken(void **state)
{
    (void)state;
    enum { ROWS = 12 };
    char output[20000], *rejects = NULL;
    int64_t size = 0;
    write_corpus(ROWS);
    write_text(test_path("c.yaml"),
               "tokenizer:\n  folder: tokenizer\n  units: 12\n  pitch_codes: 4\n  style_codes: 2\n  iterations: 3\n"
               "prepare:\n  threads: 2\n  manifests: [speech.jsonl]\n  output: out\n  aligner: ctc\n");
    if (run_command(output, sizeof output,
                    "cd '%s' && '%s/prepare' --config c.yaml --device cpu prepare.aligner_folder='%s'",
                    test_directory(), TEST_PROGRAM_DIRECTORY, MODEL) != 0)
        fail_msg("%s", output);
    assert_ok(text_file_read(test_path("out/speech/rejects.jsonl"), 1 << 20, &rejects, &size));
    for (int i = 0; i < ROWS; i++) {
        char id[16];
        snprintf(id, sizeof id, "\"s%d\"", i);
        const char *line = strstr(rejects, id);
        assert_int_equal(line != NULL, i % 3 != RIGHT);
        if (line) {
            const char *reason = strstr(line, "alignment score too low: ");
            assert_true(reason && reason < strchr(line, '\n'));
        }
    }
    free(rejects);
}

static const char *folder_to_measure;
static int64_t clips_to_measure;

static void given_model(void **state)
{
    (void)state;
    struct measured *measured = measure(folder_to_measure, clips_to_measure);
    print_thresholds(&measured[ALIGNER_CTC], clips_to_measure);
    free(measured);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_out_speech),
        cmocka_unit_test(prepare_rejects_what_was_not_spoken),
    };
    const struct CMUnitTest measuring[] = {cmocka_unit_test(given_model)};
    if (argc == 4 && strcmp(argv[1], "--render") == 0) {
        enum status result = render(argv[2], strtoll(argv[3], NULL, 10));
        if (result != STATUS_OK)
            fprintf(stderr, "%s\n", status_text());
        return result;
    }
    if (argc == 4 && strcmp(argv[1], "--measure") == 0) {
        folder_to_measure = argv[2];
        clips_to_measure = strtoll(argv[3], NULL, 10);
        return cmocka_run_group_tests(measuring, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
