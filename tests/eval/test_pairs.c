/* Scores of pairs against sums and means worked out from llama_logits. */
#include "eval/score_oracle.h"
#include "support/tiny_world.h"

#include "eval/pairs.h"
#include "eval/scoring/results.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <string.h>

enum { CONTEXT = 64 };

/* As in test_generator.c. */
enum { SPACE = 259, A = 260, TEXT_TAG = 286, SPEECH_TAG = 287, HU = 288, PI = 308, ST = 316 };

static struct tiny_world world;
static char path[700];

static int open_world(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/some_pairs.jsonl", test_directory());
    tiny_world_open(1, CONTEXT, &world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tiny_world_close(&world);
    return 0;
}

static enum status evaluate(const char *lines, struct pairs_result *result, json_t *samples)
{
    assert_ok(atomic_write(path, lines, (int64_t)strlen(lines)));
    return pairs_evaluate(world.model, world.components, path, result, samples);
}

/* A side worked out by hand: all its ids, and the first of them that counts. */
struct side {
    int32_t ids[16];
    int64_t count, from;
};

static double log_likelihood(const struct side *side)
{
    double losses[16], sum = 0;
    oracle_losses(world.model, side->ids, side->count, losses);
    for (int64_t i = side->from; i < side->count; i++)
        sum -= losses[i];
    return sum;
}

#define UNITS "[St1][Pi2][Hu3][Hu4]"
static const char lines[] =
    /* No prompt: BOS and the side's tag are the question. */
    "{\"id\": \"text\", \"correct\": {\"text\": \"ab\"}, \"incorrect\": [{\"text\": \"abc\"}]}\n"
    /* A prompt of the other modality, and of the same. */
    "{\"id\": \"mixed\", \"prompt\": [{\"text\": \"c\"}], \"correct\": {\"units\": \"" UNITS
    "\"}, \"incorrect\": {\"text\": \"a\"}}\n"
    /* A prompt that ends in speech; a side of two modalities, the first piece blank. */
    "{\"id\": \"blank\", \"prompt\": {\"units\": \"" UNITS
    "\"}, \"correct\": [{\"text\": \" \"}, {\"units\": \"[Hu5]\"}, {\"text\": \"b\"}], "
    "\"incorrect\": {\"units\": \"[Hu6][Pi1]\"}}\n"
    /* Equal sides. */
    "{\"id\": \"tie\", \"correct\": {\"text\": \"abba\"}, \"incorrect\": {\"text\": \"abba\"}}\n";

static const struct {
    const char *id;
    struct side correct, incorrect;
} expected[] = {
    {"text", {{1, TEXT_TAG, SPACE, A, A + 1}, 5, 2}, {{1, TEXT_TAG, SPACE, A, A + 1, A + 2}, 6, 2}},
    {"mixed",
     {{1, TEXT_TAG, SPACE, A + 2, SPEECH_TAG, ST + 1, PI + 2, HU + 3, HU + 4}, 9, 5},
     {{1, TEXT_TAG, SPACE, A + 2, SPACE, A}, 6, 4}},
    {"blank",
     {{1, SPEECH_TAG, ST + 1, PI + 2, HU + 3, HU + 4, HU + 5, TEXT_TAG, SPACE, A + 1}, 10, 6},
     {{1, SPEECH_TAG, ST + 1, PI + 2, HU + 3, HU + 4, HU + 6, PI + 1}, 8, 6}},
    {"tie", {{1, TEXT_TAG, SPACE, A, A + 1, A + 1, A}, 7, 2}, {{1, TEXT_TAG, SPACE, A, A + 1, A + 1, A}, 7, 2}},
};
enum { PAIRS = sizeof expected / sizeof *expected };

static void expect_side(const json_t *sample, const char *key, const struct side *side)
{
    const json_t *found = json_object_get(sample, key);
    double sum = log_likelihood(side);
    int64_t tokens = side->count - side->from;
    assert_int_equal(json_integer_value(json_object_get(found, "tokens")), tokens);
    assert_true(fabs(json_real_value(json_object_get(found, "sum")) - sum) < 1e-4);
    assert_true(fabs(json_real_value(json_object_get(found, "mean")) - sum / (double)tokens) < 1e-4);
}

static double score(double correct, double incorrect)
{
    return correct > incorrect ? 1 : 0;
}

static void expect_estimate(const struct estimate *estimate, const double *wins)
{
    double mean = 0, squares = 0;
    for (int i = 0; i < PAIRS; i++)
        mean += wins[i] / PAIRS;
    for (int i = 0; i < PAIRS; i++)
        squares += (wins[i] - mean) * (wins[i] - mean);
    assert_int_equal(estimate->n, PAIRS);
    assert_true(fabs(estimate->value - mean) < 1e-12);
    assert_true(fabs(estimate->standard_error - sqrt(squares / (PAIRS - 1) / PAIRS)) < 1e-12);
}

static void sums_and_means_are_those_of_the_logits(void **state)
{
    (void)state;
    struct pairs_result result;
    double sums[PAIRS], means[PAIRS];
    json_t *samples = json_array();
    assert_ok(evaluate(lines, &result, samples));
    assert_int_equal(json_array_size(samples), PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        const json_t *sample = json_array_get(samples, (size_t)i);
        const struct side *correct = &expected[i].correct, *incorrect = &expected[i].incorrect;
        assert_string_equal(json_string_value(json_object_get(sample, "id")), expected[i].id);
        expect_side(sample, "correct", correct);
        expect_side(sample, "incorrect", incorrect);
        double a = log_likelihood(correct), b = log_likelihood(incorrect);
        double a_mean = a / (double)(correct->count - correct->from);
        double b_mean = b / (double)(incorrect->count - incorrect->from);
        bool tie = !strcmp(expected[i].id, "tie");
        assert_true(tie ||
                    (fabs(a - b) > 1e-3 && fabs(a_mean - b_mean) > 1e-3)); /* so the oracle's winner is certain */
        sums[i] = tie ? 0.5 : score(a, b);
        means[i] = tie ? 0.5 : score(a_mean, b_mean);
    }
    expect_estimate(&result.sum, sums);
    expect_estimate(&result.mean, means);
    assert_int_equal(result.ties_sum, 1);
    assert_int_equal(result.ties_mean, 1);
    struct sha256 hash = sha256_of(lines, strlen(lines));
    assert_memory_equal(&result.file_hash, &hash, sizeof hash);
    json_decref(samples);
}

/* Swapping the sides turns every win into a loss and leaves ties. */
static void swapped_sides_lose(void **state)
{
    (void)state;
    struct pairs_result result, swapped;
    static const char one[] = "{\"id\": \"1\", \"correct\": {\"text\": \"ab\"}, \"incorrect\": {\"text\": \"ba\"}}\n",
                      other[] = "{\"id\": \"1\", \"correct\": {\"text\": \"ba\"}, \"incorrect\": {\"text\": \"ab\"}}\n";
    assert_ok(evaluate(one, &result, NULL));
    assert_ok(evaluate(other, &swapped, NULL));
    assert_true(result.sum.value + swapped.sum.value == 1 && result.mean.value + swapped.mean.value == 1);
    assert_int_equal(result.ties_sum + swapped.ties_sum, 0);
    assert_true(isnan(result.sum.standard_error)); /* a single pair has none */
}

static void many_equal_sides_tie_wherever_they_lie(void **state)
{
    (void)state;
    static char text[20000];
    size_t used = 0;
    struct pairs_result result;
    for (int i = 0; i < 60; i++) {
        char side[64] = "";
        memset(side, 'a' + i % 7, (size_t)(1 + i % 40));
        used += (size_t)snprintf(
            text + used, sizeof text - used,
            "{\"id\": \"%d\", \"correct\": {\"text\": \"%s\"}, \"incorrect\": {\"text\": \"%s\"}}\n", i, side, side);
    }
    assert_ok(evaluate(text, &result, NULL));
    assert_int_equal(result.ties_sum, 60);
    assert_true(result.sum.value == 0.5 && result.mean.value == 0.5 && result.sum.standard_error == 0);
}

static void bad_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *text;
        enum status code;
    } cases[] = {
        {"", "no pairs", STATUS_CORRUPT},
        {"{\n", ":1", STATUS_CORRUPT},
        {"[]\n", ":1", STATUS_CORRUPT},
        {"{\"correct\": {\"text\": \"a\"}, \"incorrect\": {\"text\": \"b\"}}\n", "\"id\"", STATUS_CORRUPT},
        {"{\"id\": \"1\", \"correct\": {\"text\": \"a\"}}\n", "\"incorrect\" is missing", STATUS_CORRUPT},
        {"{\"id\": \"1\", \"correct\": [], \"incorrect\": {\"text\": \"b\"}}\n", "\"correct\" is empty",
         STATUS_CORRUPT},
        {"{\"id\": \"1\", \"correct\": {\"text\": \" \"}, \"incorrect\": {\"text\": \"b\"}}\n", "no token",
         STATUS_CORRUPT},
        {"{\"id\": \"1\", \"prompt\": {\"units\": \"[Hu1]\"}, \"correct\": {\"text\": \" \"}, \"incorrect\": "
         "{\"text\": "
         "\"b\"}}\n",
         "no token", STATUS_CORRUPT},
        {"{\"id\": \"1\", \"correct\": {\"txt\": \"a\"}, \"incorrect\": {\"text\": \"b\"}}\n", "a piece must be",
         STATUS_CORRUPT},
        {"{\"id\": \"1\", \"correct\": {\"text\": \"a\", \"units\": \"[Hu1]\"}, \"incorrect\": {\"text\": \"b\"}}\n",
         "a piece must be", STATUS_CORRUPT},
        {"{\"id\": \"1\", \"correct\": {\"units\": \"[Hu20]\"}, \"incorrect\": {\"text\": \"b\"}}\n", "[Hu20]",
         STATUS_CORRUPT},
        {"{\"id\": \"1\", \"correct\": {\"audio\": \"none.wav\"}, \"incorrect\": {\"text\": \"b\"}}\n", "none.wav",
         STATUS_CORRUPT},
    };
    struct pairs_result result;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(evaluate(cases[i].line, &result, NULL), cases[i].code, cases[i].text);
    static const char second[] =
        "{\"id\": \"1\", \"correct\": {\"text\": \"a\"}, \"incorrect\": {\"text\": \"b\"}}\nx\n";
    assert_fails(evaluate(second, &result, NULL), STATUS_CORRUPT, "some_pairs.jsonl:2");
}

static void byte_order_marks_are_skipped(void **state)
{
    (void)state;
    static const char plain[] = "{\"id\": \"1\", \"correct\": {\"text\": \"a\"}, \"incorrect\": {\"text\": \"b\"}}\n";
    struct pairs_result result, marked;
    char text[sizeof plain + 3] = "\xef\xbb\xbf";
    strcat(text, plain);
    assert_ok(evaluate(plain, &result, NULL));
    assert_ok(evaluate(text, &marked, NULL));
    assert_memory_equal(&result, &marked, sizeof result);
}

/* BOS, tag, space and 61 letters fill the context of 64; one more does not fit. */
static void sides_longer_than_the_context_are_refused(void **state)
{
    (void)state;
    char letters[80], text[300];
    struct pairs_result result;
    for (int count = 61; count <= 62; count++) {
        memset(letters, 'a', sizeof letters);
        letters[count] = 0;
        snprintf(text, sizeof text,
                 "{\"id\": \"short\", \"correct\": {\"text\": \"a\"}, \"incorrect\": {\"text\": \"b\"}}\n"
                 "{\"id\": \"long\", \"correct\": {\"text\": \"b\"}, \"incorrect\": {\"text\": \"%s\"}}\n",
                 letters);
        if (count == 61)
            assert_ok(evaluate(text, &result, NULL));
        else {
            assert_fails(evaluate(text, &result, NULL), STATUS_USAGE, "pair \"long\": \"incorrect\" has 65 tokens");
            assert_fails(evaluate(text, &result, NULL), STATUS_USAGE, "some_pairs.jsonl");
        }
    }
}

static void expect_name(const char *file, const char *expected_name)
{
    char name[64];
    assert_ok(results_file_name("pairs", file, ".jsonl", name, sizeof name));
    assert_string_equal(name, expected_name);
}

static void results_carry_the_files_name_and_all_values(void **state)
{
    (void)state;
    char name[16], folder[700], file[800];
    expect_name("a/b/words.jsonl", "pairs_words");
    expect_name("words", "pairs_words");
    expect_name("a.jsonl/words.txt", "pairs_words.txt");
    expect_name(".jsonl", "pairs_.jsonl");
    assert_fails(results_file_name("pairs", "a/", ".jsonl", name, sizeof name), STATUS_USAGE, "a/");
    assert_fails(results_file_name("pairs", "sixteen_is_too_much", ".jsonl", name, sizeof name), STATUS_USAGE,
                 "sixteen");
    json_t *metrics = json_object(), *inputs = json_pack("{s:i}", "seed", 3), *samples = json_pack("[i, i]", 1, 2),
           *root;
    assert_ok(results_add(metrics, "m", (struct estimate){0.25, NAN, 7}));
    snprintf(folder, sizeof folder, "%s/results", test_directory());
    const struct results_subject subject = {"pairs_x",   "pairs",          "as told", "run",
                                            "/run/step", world.components, inputs};
    assert_ok(results_write(folder, &subject, metrics, samples));
    snprintf(file, sizeof file, "%s/results_pairs_x.json", folder);
    assert_ok(jdoc_read(file, &root));
    static const char *const keys[] = {"task", "protocol", "model", "checkpoint"};
    static const char *const values[] = {"pairs", "as told", "run", "/run/step"};
    for (int i = 0; i < 4; i++)
        assert_string_equal(json_string_value(json_object_get(root, keys[i])), values[i]);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "inputs"), "seed")), 3);
    const json_t *metric = json_object_get(json_object_get(root, "metrics"), "m");
    assert_true(json_real_value(json_object_get(metric, "value")) == 0.25);
    assert_true(json_is_null(json_object_get(metric, "standard_error")));
    assert_int_equal(json_integer_value(json_object_get(metric, "n")), 7);
    const json_t *fingerprints = json_object_get(root, "fingerprints");
    struct sha256 hash;
    assert_int_equal(json_object_size(fingerprints), COMPONENT_COUNT);
    assert_ok(jdoc_get_hash("results", fingerprints, "text", &hash));
    assert_memory_equal(&hash, &world.components->fingerprints[COMPONENT_TEXT], sizeof hash);
    assert_true(json_is_null(json_object_get(fingerprints, "vocoder"))); /* there is none */
    char *written;
    int64_t size;
    snprintf(file, sizeof file, "%s/samples_pairs_x.jsonl", folder);
    assert_ok(file_read(file, 100, (void **)&written, &size));
    assert_string_equal(written, "1\n2\n");
    free(written);
    const struct results_subject bad = {"pairs_x", "pairs", "as told", "\xff", "/run", world.components, inputs};
    assert_fails(results_write(folder, &bad, metrics, NULL), STATUS_INTERNAL, "UTF-8");
    json_decref(root);
    json_decref(metrics);
    json_decref(inputs);
    json_decref(samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_means_are_those_of_the_logits),
        cmocka_unit_test(swapped_sides_lose),
        cmocka_unit_test(many_equal_sides_tie_wherever_they_lie),
        cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(byte_order_marks_are_skipped),
        cmocka_unit_test(sides_longer_than_the_context_are_refused),
        cmocka_unit_test(results_carry_the_files_name_and_all_values),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
