/* The comparison with the bigram, worked out again document by document; the judgement at its thresholds; the
 * shuffle. */
#include "eval/score_oracle.h"
#include "support/tiny_world.h"

#include "eval/documents.h"
#include "eval/generation.h"
#include "eval/learning.h"
#include "eval/shuffle.h"

#include <string.h>

enum {
    HU = 288,
    PI = 308,
    ST = 316,
    END = 320,
    TEXT_TAG = 286,
    BOS = 1,
    EOS = 2,
    LONGEST = 400,
    TRAIN = 6,
    HELD_OUT = 5
};

static struct tiny_world world;
static struct dataset *train[2], *held_out[2]; /* text, speech */
static struct learning_data data;

static int open_world(void **state)
{
    (void)state;
    struct tiny_corpus other;
    char folder[600];
    snprintf(folder, sizeof folder, "%s/held_out", test_directory());
    tiny_world_open(TRAIN, LONGEST, &world);
    if (tiny_corpus_write(folder, HELD_OUT, 2, &other) != STATUS_OK ||
        dataset_open(world.corpus.text, &train[0]) != STATUS_OK ||
        dataset_open(world.corpus.speech, &train[1]) != STATUS_OK ||
        dataset_open(other.text, &held_out[0]) != STATUS_OK || dataset_open(other.speech, &held_out[1]) != STATUS_OK)
        return -1;
    data = (struct learning_data){.components = world.components,
                                  .interleaver = documents_interleaver(world.components),
                                  .train = train,
                                  .train_count = 2,
                                  .held_out = held_out,
                                  .held_out_count = 2,
                                  .seed = 9};
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        dataset_close(train[i]);
        dataset_close(held_out[i]);
    }
    tiny_world_close(&world);
    return 0;
}

/* ---- the comparison by hand ---- */

static bool counted(bool speech, int32_t id)
{
    return speech ? id >= HU && id < PI : id < TEXT_TAG && id != BOS && id != EOS;
}

static int64_t pick_counted(bool speech, const struct document *document, int32_t *symbols)
{
    int64_t count = 0;
    for (int64_t i = 0; i < document->count; i++)
        if (counted(speech, document->ids[i]))
            symbols[count++] = document->ids[i] - (speech ? HU : 0);
    return count;
}

/* Chooses the streams itself and does not rely on documents_interleaver. */
static struct document read_document(bool speech, struct dataset *dataset, int64_t row_number)
{
    struct interleaver interleaver = {.text = world.components->text,
                                      .vocabulary = &world.components->vocabulary,
                                      .rates = world.components->rates,
                                      .options = {.mode = INTERLEAVE_NONE, .streams_mask = 7}};
    struct document document;
    struct shard_row row;
    assert_ok(dataset_row(dataset, row_number, &row));
    assert_ok(speech ? document_from_speech(&interleaver, &row, &document)
                     : document_from_text(&interleaver, &row, &document));
    assert_in_range(document.count, 3, LONGEST);
    return document;
}

static struct kneser_ney *plain_bigram(bool speech)
{
    struct kneser_ney *bigram;
    int32_t symbols[LONGEST];
    assert_ok(kneser_ney_create(speech ? TINY_HUBERT : TINY_PIECES, &bigram));
    for (int64_t row = 0; row < TRAIN; row++) {
        struct document document = read_document(speech, train[speech], row);
        assert_ok(kneser_ney_add(bigram, symbols, pick_counted(speech, &document, symbols)));
        document_free(&document);
    }
    assert_ok(kneser_ney_finish(bigram));
    return bigram;
}

static void expect_comparison(bool speech, bool shuffled, const struct comparison *comparison)
{
    struct kneser_ney *bigram = plain_bigram(speech);
    double margins[HELD_OUT], tokens[HELD_OUT], model_sum = 0, bigram_sum = 0, token_sum = 0, squares = 0;
    for (int64_t row = 0; row < HELD_OUT; row++) {
        struct document document = read_document(speech, held_out[speech], row);
        double losses[LONGEST], model_nats = 0, bigram_nats = 0;
        int32_t symbols[LONGEST];
        if (shuffled) {
            struct scored_sequence sequence = {document.ids, document.count, NULL};
            assert_ok(shuffle_kind(&world.components->vocabulary, TOKEN_HUBERT, data.seed, row, &sequence));
        }
        oracle_losses(world.model, document.ids, document.count, losses);
        for (int64_t i = 0; i < document.count; i++)
            model_nats += counted(speech, document.ids[i]) ? losses[i] : 0;
        int64_t count = pick_counted(speech, &document, symbols);
        for (int64_t i = 0; i < count; i++)
            bigram_nats -= kneser_ney_log(bigram, i ? symbols[i - 1] : -1, symbols[i]);
        margins[row] = bigram_nats - model_nats;
        tokens[row] = (double)count;
        model_sum += model_nats;
        bigram_sum += bigram_nats;
        token_sum += (double)count;
        document_free(&document);
    }
    double margin = (bigram_sum - model_sum) / token_sum;
    for (int row = 0; row < HELD_OUT; row++)
        squares += pow(margins[row] - margin * tokens[row], 2);
    assert_true(comparison->tokens == token_sum && comparison->margin.n == HELD_OUT);
    assert_true(fabs(comparison->model - model_sum / token_sum) < 1e-5);
    assert_true(fabs(comparison->bigram - bigram_sum / token_sum) < 1e-12);
    assert_true(fabs(comparison->margin.value - margin) < 1e-5);
    double error = sqrt(HELD_OUT / (HELD_OUT - 1.0) * squares) / token_sum;
    assert_true(fabs(comparison->margin.standard_error - error) < 1e-5);
    kneser_ney_free(bigram);
}

static void comparisons_equal_the_plain_computation(void **state)
{
    (void)state;
    struct learning_result result;
    assert_ok(learning_evaluate(world.model, &data, &result));
    expect_comparison(true, false, &result.speech);
    expect_comparison(true, false, &result.real_speech); /* no row is marked synthetic */
    expect_comparison(true, true, &result.shuffled);
    expect_comparison(false, false, &result.text);
    assert_int_equal(result.windowed, 0);
    /* The bigram has learned the corpus's order, which the shuffle destroys. */
    assert_true(result.shuffled.bigram > result.speech.bigram + 0.5);
}

/* With a context of 40 every utterance is cut into windows, and the result says so. */
static void documents_beyond_the_context_are_counted(void **state)
{
    (void)state;
    struct learning_result result;
    int64_t kept = world.model->config.maximum_positions, expected = 0;
    for (int speech = 0; speech < 2; speech++)
        for (int64_t row = 0; row < HELD_OUT; row++) {
            struct document document = read_document(speech, held_out[speech], row);
            expected += document.count > 40;
            document_free(&document);
        }
    assert_in_range(expected, 1, 2 * HELD_OUT);
    world.model->config.maximum_positions = 40;
    assert_ok(learning_evaluate(world.model, &data, &result));
    world.model->config.maximum_positions = kept;
    assert_int_equal(result.windowed, expected);
    assert_true(isfinite(result.speech.model) && result.speech.margin.n == HELD_OUT);
}

static void generated_units_are_judged_by_the_bigram(void **state)
{
    (void)state;
    enum { SAMPLES = 4, TOKENS = 30 };
    const struct generation_options options = {
        .output = OUTPUT_SPEECH, .sampling = {1, 0, 1}, .max_new_tokens = TOKENS, .samples = SAMPLES, .seed = 3};
    struct generation_result result;
    struct prompt prompt;
    struct generated *generated;
    struct kneser_ney *bigram = plain_bigram(true);
    int32_t symbols[LONGEST];
    double nats = 0, held_out_nats = 0, held_out_tokens = 0;
    int64_t units = 0;
    assert_ok(generation_evaluate(world.model, &data, &options, &result));
    assert_ok(prompt_create(world.components, NULL, 0, OUTPUT_SPEECH, &prompt));
    assert_ok(generate_tokens(world.model, world.components, &prompt, &options, &generated));
    for (int i = 0; i < SAMPLES; i++) {
        struct document document = {.ids = generated[i].ids, .count = generated[i].count};
        int64_t count = pick_counted(true, &document, symbols);
        nats += kneser_ney_nats(bigram, symbols, count);
        units += count;
    }
    for (int64_t row = 0; row < HELD_OUT; row++) {
        struct document document = read_document(true, held_out[1], row);
        int64_t count = pick_counted(true, &document, symbols);
        held_out_nats += kneser_ney_nats(bigram, symbols, count);
        held_out_tokens += (double)count;
        document_free(&document);
    }
    assert_int_equal(result.units, units);
    assert_int_equal(result.samples, SAMPLES);
    assert_true(fabs(result.generated - nats / (double)units) < 1e-12);
    assert_true(fabs(result.held_out - held_out_nats / held_out_tokens) < 1e-12);
    generated_free(generated, SAMPLES);
    prompt_free(&prompt);
    kneser_ney_free(bigram);
}

/* ---- the judgement ---- */

static bool holds(double value, double standard_error, double nats)
{
    struct comparison comparison = {.margin = {value, standard_error, 2}};
    return comparison_holds(&comparison, nats);
}

static void judgement_at_its_boundaries(void **state)
{
    (void)state;
    assert_true(holds(0.05, 0.025, 0.05)); /* exactly at both thresholds */
    assert_false(holds(nextafter(0.05, 0), 0.01, 0.05));
    assert_false(holds(0.05, nextafter(0.025, 1), 0.05));
    assert_true(holds(0, 0, 0));
    assert_false(holds(-1e-9, 0, 0));
    assert_false(holds(NAN, 0.01, 0.05));
    assert_false(holds(1, NAN, 0.05)); /* one document: no standard error, no claim */
    assert_false(holds(NAN, NAN, 0));
    assert_false(holds(INFINITY, NAN, 0));
}

/* ---- the shuffle ---- */

static int by_value(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void shuffle_keeps_the_multiset_and_all_other_places(void **state)
{
    (void)state;
    enum { COUNT = 150 };
    const struct vocabulary *vocabulary = &world.components->vocabulary;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 30, 0);
    int32_t original[COUNT], once[COUNT], again[COUNT], other[COUNT], units[2][COUNT];
    int64_t counts[2] = {0};
    for (int i = 0; i < COUNT; i++)
        original[i] = i % 3 ? HU + (int32_t)rng_below(&rng, TINY_HUBERT) : (int32_t)rng_below(&rng, END);
    int32_t *const copies[] = {once, again, other};
    static const uint64_t seeds[] = {4, 4, 5};
    for (int c = 0; c < 3; c++) {
        memcpy(copies[c], original, sizeof original);
        struct scored_sequence sequence = {copies[c], COUNT, NULL};
        assert_ok(shuffle_kind(vocabulary, TOKEN_HUBERT, seeds[c], 7, &sequence));
    }
    assert_memory_equal(once, again, sizeof once);
    assert_true(memcmp(once, other, sizeof once) != 0 && memcmp(once, original, sizeof once) != 0);
    memcpy(other, original, sizeof original);
    struct scored_sequence next = {other, COUNT, NULL};
    assert_ok(shuffle_kind(vocabulary, TOKEN_HUBERT, 4, 8, &next));
    assert_true(memcmp(once, other, sizeof once) != 0); /* each document has its own permutation */
    for (int i = 0; i < COUNT; i++)
        if (counted(true, original[i])) {
            assert_true(counted(true, once[i]));
            units[0][counts[0]++] = original[i];
            units[1][counts[1]++] = once[i];
        } else
            assert_int_equal(once[i], original[i]);
    qsort(units[0], (size_t)counts[0], sizeof **units, by_value);
    qsort(units[1], (size_t)counts[1], sizeof **units, by_value);
    assert_memory_equal(units[0], units[1], (size_t)counts[0] * sizeof **units);
}

/* All six orders of three units occur equally often, within chance. */
static void shuffle_is_uniform(void **state)
{
    (void)state;
    enum { DOCUMENTS = 6000 };
    int orders[27] = {0};
    for (int64_t d = 0; d < DOCUMENTS; d++) {
        int32_t ids[] = {BOS, HU, PI, HU + 1, HU + 2, EOS};
        struct scored_sequence sequence = {ids, 6, NULL};
        assert_ok(shuffle_kind(&world.components->vocabulary, TOKEN_HUBERT, test_seed(), d, &sequence));
        orders[(ids[1] - HU) * 9 + (ids[3] - HU) * 3 + (ids[4] - HU)]++;
    }
    static const int valid[] = {0 * 9 + 1 * 3 + 2, 0 * 9 + 2 * 3 + 1, 1 * 9 + 0 * 3 + 2,
                                1 * 9 + 2 * 3 + 0, 2 * 9 + 0 * 3 + 1, 2 * 9 + 1 * 3 + 0};
    double deviation = sqrt(DOCUMENTS / 6.0 * 5 / 6);
    for (int i = 0; i < 6; i++)
        if (!(fabs(orders[valid[i]] - DOCUMENTS / 6.0) <= 5 * deviation))
            fail_msg("order %d: %d of %d", i, orders[valid[i]], DOCUMENTS);
}

/* ---- the documents ---- */

/* The vocabulary, not a configuration, decides which streams a document has. */
static void documents_have_the_streams_of_the_vocabulary(void **state)
{
    (void)state;
    for (int expressive = 0; expressive < 2; expressive++) {
        struct components_options options = {.text_model = world.corpus.text_model,
                                             .expressive = expressive,
                                             .codes = {TINY_HUBERT, TINY_PITCH, TINY_STYLE},
                                             .rates = {{{25, 1}, {25, 2}, {1, 1}}}};
        struct components *components;
        struct document_list list;
        int64_t kinds[TOKEN_KINDS] = {0};
        assert_ok(components_load(&options, &components));
        struct interleaver interleaver = documents_interleaver(components);
        assert_ok(interleaver_check(&interleaver));
        assert_ok(documents_read(&interleaver, held_out, 2, DATASET_SPEECH, &list));
        assert_int_equal(list.count, HELD_OUT);
        for (int64_t d = 0; d < list.count; d++)
            for (int64_t i = 0; i < list.sequences[d].count; i++)
                kinds[vocabulary_kind(&components->vocabulary, list.sequences[d].ids[i])]++;
        assert_true(kinds[TOKEN_HUBERT] > 100 && kinds[TOKEN_PADDING] == 0);
        assert_true(expressive ? kinds[TOKEN_PITCH] > 0 && kinds[TOKEN_STYLE] > 0
                               : kinds[TOKEN_PITCH] == 0 && kinds[TOKEN_STYLE] == 0);
        documents_free(&list);
        components_free(components);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons_equal_the_plain_computation),
        cmocka_unit_test(documents_beyond_the_context_are_counted),
        cmocka_unit_test(generated_units_are_judged_by_the_bigram),
        cmocka_unit_test(judgement_at_its_boundaries),
        cmocka_unit_test(shuffle_keeps_the_multiset_and_all_other_places),
        cmocka_unit_test(shuffle_is_uniform),
        cmocka_unit_test(documents_have_the_streams_of_the_vocabulary),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
