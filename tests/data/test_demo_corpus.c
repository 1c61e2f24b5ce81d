/* A small version of the demo's corpus: every recording, one minute of synthesis. The two sides share no sentence, word
 * times lie inside their sounds, making it twice gives the same folder, and with the demo's spans most words are in
 * documents that change modality. */
#include "support/test_support.h"

#include "data/demo/demo_corpus.h"
#include "data/demo/demo_split.h"
#include "data/interleave.h"
#include "data/manifest.h"
#include "io/atomic_file.h"
#include "io/audio/audio.h"
#include "support/tiny_corpus.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPEECH_TRAIN, SPEECH_VALIDATION, TEXT_TRAIN, TEXT_VALIDATION, MANIFESTS };
static const char *const names[MANIFESTS] = {"speech_train", "speech_validation", "text_train", "text_validation"};
static struct manifest manifests[MANIFESTS];
static char folder[600];
static struct demo_corpus_totals totals;

static int open_world(void **state)
{
    (void)state;
    bool reused;
    struct demo_corpus_options options = {.synthetic_minutes = 1, .seed = 3, .workers = 2};
    snprintf(folder, sizeof folder, "%s/corpus", test_directory());
    assert_ok(demo_corpus_make(folder, &options, &reused, &totals));
    assert_false(reused);
    for (int m = 0; m < MANIFESTS; m++) {
        char path[800];
        snprintf(path, sizeof path, "%s/%s.jsonl", folder, names[m]);
        assert_ok(manifest_read(path, NULL, &manifests[m]));
    }
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    for (int m = 0; m < MANIFESTS; m++)
        manifest_free(&manifests[m]);
    return 0;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- sides ---- */

struct texts {
    char **list;
    int64_t count, room;
};

/* Lower-case letters and digits, anything else as one space: simpler than the form by which the corpus compares. */
static void add_sentence(struct texts *texts, const char *text, size_t length)
{
    char *form = malloc(length + 1);
    size_t size = 0;
    assert_non_null(form);
    for (size_t i = 0; i < length; i++)
        if (isalnum((unsigned char)text[i]))
            form[size++] = (char)tolower((unsigned char)text[i]);
        else if (size && form[size - 1] != ' ')
            form[size++] = ' ';
    while (size && form[size - 1] == ' ')
        size--;
    form[size] = '\0';
    if (texts->count == texts->room) {
        texts->room = 2 * texts->room + 1024;
        texts->list = realloc(texts->list, (size_t)texts->room * sizeof *texts->list);
        assert_non_null(texts->list);
    }
    if (size)
        texts->list[texts->count++] = form;
    else
        free(form);
}

/* All sentences of two manifests, sorted. */
static struct texts sentences_of(int first, int second)
{
    struct texts texts = {0};
    for (int m = 0; m < 2; m++) {
        const struct manifest *from = &manifests[m ? second : first];
        for (int64_t i = 0; i < from->count; i++)
            for (const char *at = from->rows[i].text; *at;) {
                size_t length = strcspn(at, ".?!");
                while (at[length] && at[length + 1] && at[length + 1] != ' ') /* "A.M." does not end a sentence */
                    length += 1 + strcspn(at + length + 1, ".?!");
                add_sentence(&texts, at, length);
                at += length + strspn(at + length, ".?! ");
            }
    }
    qsort(texts.list, (size_t)texts.count, sizeof *texts.list, compare_strings);
    return texts;
}

static void no_sentence_lies_on_both_sides(void **state)
{
    (void)state;
    struct texts train = sentences_of(SPEECH_TRAIN, TEXT_TRAIN),
                 held = sentences_of(SPEECH_VALIDATION, TEXT_VALIDATION);
    assert_true(held.count > 600 && train.count > 20000);
    print_message("%lld sentences held out, %lld for training\n", (long long)held.count, (long long)train.count);
    for (int64_t i = 0; i < held.count; i++)
        if (bsearch(&held.list[i], train.list, (size_t)train.count, sizeof *train.list, compare_strings))
            fail_msg("on both sides: %s", held.list[i]);
    for (int64_t i = 0; i < train.count; i++)
        free(train.list[i]);
    for (int64_t i = 0; i < held.count; i++)
        free(held.list[i]);
    free(train.list);
    free(held.list);
}

/* What the tokenizer is trained on is the training side's text, line by line. */
static void text_for_bpe_is_of_the_training_side(void **state)
{
    (void)state;
    char path[800], *text = NULL, *rest = NULL;
    int64_t size = 0, lines = 0;
    struct texts held = {0};
    for (int m = SPEECH_VALIDATION; m <= TEXT_VALIDATION; m += TEXT_VALIDATION - SPEECH_VALIDATION)
        for (int64_t i = 0; i < manifests[m].count; i++)
            add_sentence(&held, manifests[m].rows[i].text, strlen(manifests[m].rows[i].text));
    qsort(held.list, (size_t)held.count, sizeof *held.list, compare_strings);
    snprintf(path, sizeof path, "%s/text_for_bpe.txt", folder);
    assert_ok(file_read(path, 1 << 26, (void **)&text, &size));
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        struct texts one = {0};
        add_sentence(&one, line, strlen(line));
        lines++;
        assert_true(one.count == 1);
        assert_null(bsearch(&one.list[0], held.list, (size_t)held.count, sizeof *held.list, compare_strings));
        free(one.list[0]);
        free(one.list);
    }
    assert_true(lines > 14000);
    for (int64_t i = 0; i < held.count; i++)
        free(held.list[i]);
    free(held.list);
    free(text);
}

/* Sentences are compared as they are spoken; a text that shares one with another text is never held out, equal texts
 * are treated alike, and the seed decides. */
static void the_split(void **state)
{
    (void)state;
    static const char *const texts[] = {"Press 1.",
                                        "press one",
                                        "Thank you. Press one!",
                                        "Nobody else says this.",
                                        "Goodbye, world!",
                                        "goodbye world",
                                        "It was so. Selah.",
                                        "Another thing. And it was so. Amen",
                                        "so",
                                        "A \"quoted\" end.\"",
                                        "Quoted? A \"quoted\" end."};
    static const bool shares[] = {true, true, true, false, false, false, false, false, false, true, true};
    enum { COUNT = sizeof texts / sizeof texts[0] };
    struct demo_split *split;
    int64_t held_by_seed = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        assert_ok(demo_split_create(seed, &split));
        for (int i = 0; i < COUNT; i++)
            assert_ok(demo_split_add(split, texts[i]));
        demo_split_finish(split);
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(demo_split_held_out(split, i, 1.0), !shares[i]);
            assert_false(demo_split_held_out(split, i, 0.0));
        }
        assert_int_equal(demo_split_held_out(split, 4, 0.3), demo_split_held_out(split, 5, 0.3));
        held_by_seed += demo_split_held_out(split, 3, 0.3);
        demo_split_destroy(split);
    }
    assert_true(held_by_seed > 80 && held_by_seed < 160); /* 120 expected, deviation 9 */
}

/* ---- rows ---- */

static void rows_fit_their_sounds(void **state)
{
    (void)state;
    int64_t real = 0, synthetic = 0, held_real = 0;
    for (int m = SPEECH_TRAIN; m <= SPEECH_VALIDATION; m++)
        for (int64_t i = 0; i < manifests[m].count; i++) {
            const struct manifest_row *row = &manifests[m].rows[i];
            bool rendered = strstr(row->meta, "flite") != NULL;
            real += !rendered;
            synthetic += rendered;
            held_real += m == SPEECH_VALIDATION && !rendered;
            assert_true(rendered ==
                        (strstr(row->meta, "\"synthetic\":true") || strstr(row->meta, "\"synthetic\": true")));
            if (!rendered)
                continue;
            float *samples;
            int64_t count;
            assert_ok(audio_read(row->audio, -1, &samples, &count));
            free(samples);
            assert_true(row->word_count >= 40 && row->word_count <= 80);
            for (int64_t w = 0; w < row->word_count; w++) {
                assert_true(row->words[w].start < row->words[w].end);
                assert_true(w == 0 || row->words[w].start >= row->words[w - 1].end);
            }
            assert_true(row->words[row->word_count - 1].end <= count);
        }
    assert_true(real == 561 && held_real > 20 && synthetic >= 3);
    assert_true(totals.clips[0] + totals.clips[1] == real && totals.renders[0] + totals.renders[1] == synthetic);
    assert_true(totals.clips[1] == held_real && totals.renders[1] >= 1);
    double real_minutes = totals.real_minutes[0] + totals.real_minutes[1];
    double synthetic_minutes = totals.synthetic_minutes[0] + totals.synthetic_minutes[1];
    print_message("%.2f minutes of real speech, %.1f %% held out; %.2f of synthetic speech\n", real_minutes,
                  100 * totals.real_minutes[1] / real_minutes, synthetic_minutes);
    assert_true(real_minutes > 24 && real_minutes < 26);
    assert_true(synthetic_minutes > 0.8 && synthetic_minutes < 2.0); /* whole passages of 20 seconds, on two sides */
    assert_true(totals.real_minutes[1] > 0.05 * real_minutes && totals.real_minutes[1] < 0.13 * real_minutes);
}

static void a_second_time_the_folder_is_used_again(void **state)
{
    (void)state;
    bool reused = false;
    char path[800];
    struct demo_corpus_options options = {.synthetic_minutes = 1, .seed = 3, .workers = 1};
    assert_ok(demo_corpus_make(folder, &options, &reused, &totals));
    assert_true(reused);
    snprintf(path, sizeof path, "%s/text_for_bpe.txt", folder);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs("x", file);
    fclose(file);
    char before[65], after[65];
    struct sha256 hash = manifests[SPEECH_TRAIN].hash;
    sha256_hex(&hash, before);
    assert_ok(demo_corpus_make(folder, &options, &reused, &totals)); /* damaged: made again, now by one process */
    assert_false(reused);
    struct manifest again;
    snprintf(path, sizeof path, "%s/speech_train.jsonl", folder);
    assert_ok(manifest_read(path, NULL, &again));
    sha256_hex(&again.hash, after);
    assert_string_equal(before, after); /* the number of processes changes nothing */
    manifest_free(&again);
}

static void a_folder_of_something_else_is_left_alone(void **state)
{
    (void)state;
    char path[700], file[800];
    bool reused;
    struct demo_corpus_totals none;
    struct demo_corpus_options options = {.synthetic_minutes = 0, .seed = 3, .workers = 1};
    snprintf(path, sizeof path, "%s/thesis", test_directory());
    snprintf(file, sizeof file, "%s/chapter1.txt", path);
    assert_ok(make_directories(path));
    assert_ok(atomic_write(file, "dear", 4));
    assert_fails(demo_corpus_make(path, &options, &reused, &none), STATUS_USAGE,
                 "thesis: exists and is not a demo corpus");
    assert_fails(demo_corpus_make(file, &options, &reused, &none), STATUS_USAGE, "exists and is not a demo corpus");
    void *text;
    int64_t size;
    assert_ok(file_read(file, 100, &text, &size));
    assert_int_equal(size, 4);
    free(text);
}

/* The recorded clips are short. Whether a document switches depends on its number of words and the spans, so words of a
 * third of a second serve as well as true times: with the demo's spans of 3-8 and 2-6 words, 60 % of the words of all
 * documents must be in documents that switch. */
static void most_words_change_modality(void **state)
{
    (void)state;
    struct tiny_corpus tiny;
    struct components *components;
    char path[700];
    int64_t words = 0, switched = 0;
    snprintf(path, sizeof path, "%s/tiny", test_directory());
    assert_ok(tiny_corpus_write(path, 1, 1, &tiny));
    assert_ok(tiny_corpus_components(&tiny, &components));
    struct interleaver interleaver = {.text = components->text,
                                      .vocabulary = &components->vocabulary,
                                      .rates = components->rates,
                                      .options = {INTERLEAVE_SPANS, 3, 8, 2, 6, 7}};
    for (int64_t i = 0; i < manifests[SPEECH_TRAIN].count; i++) {
        const char *text = manifests[SPEECH_TRAIN].rows[i].text;
        struct aligned_word times[200];
        uint16_t units[200 * 10];
        int64_t count = 0;
        for (const char *c = text; *c && count < 200; count++) {
            c += strspn(c, " ");
            int32_t length = (int32_t)strcspn(c, " "), begin = (int32_t)(c - text), start = (int32_t)count * 5120;
            times[count] = (struct aligned_word){start, start + 5120, begin, begin + length};
            c += length;
        }
        int64_t hubert = count * 8;
        for (int64_t u = 0; u < hubert; u++)
            units[u] = (uint16_t)(u % TINY_HUBERT);
        struct shard_row row = {.text = text,
                                .text_length = (int64_t)strlen(text),
                                .words = times,
                                .word_count = count,
                                .duration = (int32_t)count * 5120,
                                .units = {{units, units, units}, {hubert, 0, 0}}};
        struct rng rng = rng_make(test_seed(), RNG_TEST, 50, (uint64_t)i);
        struct document document;
        assert_ok(document_interleaved(&interleaver, &row, &rng, &document));
        words += document.words;
        switched += document.switched_words;
        document_free(&document);
    }
    print_message("%lld of %lld words lie in documents that switch\n", (long long)switched, (long long)words);
    assert_true(words > 2000 && switched * 100 >= words * 60);
    components_free(components);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_split),
        cmocka_unit_test(no_sentence_lies_on_both_sides),
        cmocka_unit_test(text_for_bpe_is_of_the_training_side),
        cmocka_unit_test(rows_fit_their_sounds),
        cmocka_unit_test(most_words_change_modality),
        cmocka_unit_test(a_second_time_the_folder_is_used_again),
        cmocka_unit_test(a_folder_of_something_else_is_left_alone),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
