/* The demo's corpus in small: every recording, one minute of synthesis. Sides that share no sentence, word times inside
 * their sounds, the same folder twice, and spans under which most words change modality. */
#include "support/test_support.h"

#include "data/demo_corpus.h"
#include "data/demo_passages.h"
#include "data/interleave.h"
#include "data/manifest.h"
#include "io/atomic_file.h"
#include "io/audio.h"
#include "support/tiny_corpus.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPEECH_TRAIN, SPEECH_VALIDATION, TEXT_TRAIN, TEXT_VALIDATION, MANIFESTS };
static const char *const names[MANIFESTS] = {"speech_train", "speech_validation", "text_train", "text_validation"};
static struct manifest manifests[MANIFESTS];
static char folder[600];

static int open_world(void **state)
{
    (void)state;
    bool reused;
    struct demo_corpus_options options = {.synthetic_minutes = 1, .seed = 3, .workers = 2};
    snprintf(folder, sizeof folder, "%s/corpus", test_directory());
    assert_ok(demo_corpus_make(folder, &options, &reused));
    assert_false(reused);
    for (int m = 0; m < MANIFESTS; m++) {
        char path[800];
        snprintf(path, sizeof path, "%s/%s.jsonl", folder, names[m]);
        assert_ok(manifest_read(path, &manifests[m]));
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

/* The normalised texts of two manifests, sorted. */
static char **texts_of(int first, int second, int64_t *count)
{
    *count = manifests[first].count + manifests[second].count;
    char **texts = malloc((size_t)*count * sizeof *texts);
    for (int64_t i = 0; i < *count; i++) {
        const struct manifest *from = &manifests[i < manifests[first].count ? first : second];
        texts[i] = normalised_text(from->rows[i < manifests[first].count ? i : i - manifests[first].count].text);
    }
    qsort(texts, (size_t)*count, sizeof *texts, compare_strings);
    return texts;
}

static void no_text_lies_on_both_sides(void **state)
{
    (void)state;
    int64_t train_count, held_count;
    char **train = texts_of(SPEECH_TRAIN, TEXT_TRAIN, &train_count);
    char **held = texts_of(SPEECH_VALIDATION, TEXT_VALIDATION, &held_count);
    assert_true(held_count > 300 && train_count > 10000);
    for (int64_t i = 0; i < held_count; i++)
        if (bsearch(&held[i], train, (size_t)train_count, sizeof *train, compare_strings))
            fail_msg("on both sides: %s", held[i]);
    for (int64_t i = 0; i < train_count; i++)
        free(train[i]);
    for (int64_t i = 0; i < held_count; i++)
        free(held[i]);
    free(train);
    free(held);
}

/* "the Lord said." and "The LORD said" are one sentence. */
static void texts_are_compared_by_their_words(void **state)
{
    (void)state;
    char *text = normalised_text("  The LORD's 7 Sheep,\tsaid... ");
    assert_string_equal(text, "the lord s 7 sheep said");
    free(text);
    assert_true(text_share("The LORD said", 1) == text_share("the Lord said.", 1));
    assert_true(text_share("The LORD said", 1) != text_share("the Lord said.", 2));
}

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
    assert_true(real > 500 && held_real > 20 && synthetic >= 3);
}

static void a_second_time_the_folder_is_used_again(void **state)
{
    (void)state;
    bool reused = false;
    char path[800];
    struct demo_corpus_options options = {.synthetic_minutes = 1, .seed = 3, .workers = 1};
    assert_ok(demo_corpus_make(folder, &options, &reused));
    assert_true(reused);
    snprintf(path, sizeof path, "%s/text_for_bpe.txt", folder);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs("x", file);
    fclose(file);
    char before[65], after[65];
    struct sha256 hash = manifests[SPEECH_TRAIN].hash;
    sha256_hex(&hash, before);
    assert_ok(demo_corpus_make(folder, &options, &reused)); /* damaged: made anew, by one process now */
    assert_false(reused);
    struct manifest again;
    snprintf(path, sizeof path, "%s/speech_train.jsonl", folder);
    assert_ok(manifest_read(path, &again));
    sha256_hex(&again.hash, after);
    assert_string_equal(before, after); /* the number of processes changes nothing */
    manifest_free(&again);
}

/* The recorded clips are short. Whether a document switches depends on its number of words and the spans, so words of a
 * third of a second serve as well as true times: with the demo's spans of 3-8 and 2-6 words 60 % of the words of all
 * documents must switch. */
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
        cmocka_unit_test(texts_are_compared_by_their_words),
        cmocka_unit_test(no_text_lies_on_both_sides),
        cmocka_unit_test(rows_fit_their_sounds),
        cmocka_unit_test(most_words_change_modality),
        cmocka_unit_test(a_second_time_the_folder_is_used_again),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
