/* The plan of `train --dry-run` for the published 7B recipe on 1, 8, 16 and 64 GPUs, without data, weights or a GPU: what it
 * adds up is what the recipe's sizes give by hand, and a device that is too small is refused with settings that fit, and
 * are the nearest that do. */
#include "support/process.h"
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char output[20000];

/* Exit code of a dry run of configs/expressive.yaml; what it prints is in `output`. */
static int dry_run(int gpus, const char *arguments)
{
    return run_command(output, sizeof output,
                       TEST_PROGRAM_DIRECTORY "/train --config " TEST_SOURCE_DIRECTORY
                                              "/configs/expressive.yaml --dry-run --device cuda --gpus %d %s 2>&1",
                       gpus, arguments);
}

/* MiB of a category. */
static double category(const char *name)
{
    char line[64];
    snprintf(line, sizeof line, "\n  %s ", name);
    const char *found = strstr(output, line);
    if (!found)
        fail_msg("no category \"%s\" in: %s", name, output);
    return strtod(found + strlen(line), NULL);
}

static void expect_mebibytes(const char *name, double expected)
{
    double found = category(name);
    if (!(fabs(found - expected) <= 0.1 + 1e-4 * expected))
        fail_msg("%s: %.1f MiB are planned, expected %.1f", name, found, expected);
}

/* LLaMA-2's 32 layers, and a vocabulary of 32,000 pieces, 501 + 64 + 100 codes and tags, in rows of 256. */
static void the_7b_plan_is_the_sum_by_hand(void **state)
{
    (void)state;
    static const int ranks[] = {1, 8, 16, 64};
    const double mebibyte = 1048576, hidden = 4096, table = 32768 * hidden, positions = 4096, head_size = 128;
    const double layer = 4 * hidden * hidden + 3 * hidden * 11008 + 2 * hidden;
    const double weights = 2 * table + 32 * layer + hidden, largest = layer;
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        double exchanges = ranks[i] > 1 ? 2 * largest * 4 : 0;
        assert_int_equal(dry_run(ranks[i], ""), 0);
        expect_mebibytes("parameters", (2 * weights + 2 * positions * head_size / 2 * 4) / mebibyte);
        expect_mebibytes("gradients", 4 * weights / mebibyte);
        /* Two moments and masters in f32, each rank its part; and the buffers in which buckets travel. */
        expect_mebibytes("optimizer", (12 * weights / ranks[i] + exchanges) / mebibyte);
        expect_mebibytes("CUDA context and libraries", 768 + 32);
        double sum = category("parameters") + category("gradients") + category("optimizer") + category("activations") +
                     category("scratch") + category("CUDA context and libraries");
        assert_true(fabs(category("total") - sum) < 0.5);
        /* Block keeps what enters each layer, 33 times; the rest is one layer's and the head's chunk. */
        double kept = 33 * positions * hidden * 2 / mebibyte;
        assert_true(category("activations") > kept && category("activations") < 2.5 * kept);
    }
}

/* The settings behind "with", up to "it fits", as arguments; the number of GPUs aside, which is returned. */
static int suggestion(char arguments[200], int gpus)
{
    const char *begin = strstr(output, "; with "), *end = strstr(output, " it fits");
    if (!begin || !end)
        fail_msg("no setting that fits in: %s", output);
    begin += strlen("; with ");
    snprintf(arguments, 200, "%.*s", (int)(end - begin), begin);
    char *number = strstr(arguments, " GPUs");
    if (!number)
        return gpus;
    *number = 0;
    char *on = strstr(arguments, " on ");
    int count = atoi(on ? on + 4 : arguments);
    *(on ? on : arguments) = 0;
    return count;
}

static void what_does_not_fit_is_refused_with_what_does(void **state)
{
    (void)state;
    static const struct {
        int gpus;
        const char *settings, *memory;
        int expected_gpus;
        const char *expected; /* in the suggestion; NULL: any */
    } cases[] = {
        {1, "", "80 GB", 4, NULL}, /* 12 bytes of state for each weight alone are more */
        {1, "train.micro_batch=4", "141 GB", 1, NULL},
        {8, "train.micro_batch=0 train.recomputation=none", "80 GB", 8, "train.micro_batch="},
        {8, "train.micro_batch=8", "60 GB", 8, "train.micro_batch="},
        {16, "train.micro_batch=16 train.recomputation=light", "80GB", 16, "train.micro_batch="},
        {16, "train.micro_batch=2 train.recomputation=none", "50.0 GiB", 16, "train.recomputation="},
        {64, "train.micro_batch=4 train.recomputation=none", "74.5 GiB", 64, "train.micro_batch="},
        {64, "", "48000000000", 64, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char arguments[400], nearest[200], again[700];
        snprintf(arguments, sizeof arguments, "%s 'train.device_memory=%s'", cases[i].settings, cases[i].memory);
        int code = dry_run(cases[i].gpus, arguments);
        if (code == 0) { /* the total must then be below it: the parser's own arithmetic, by hand */
            double unit = strstr(cases[i].memory, "GiB") ? 1073741824.0 : strstr(cases[i].memory, "GB") ? 1e9 : 1;
            assert_true(category("total") * 1048576 <= strtod(cases[i].memory, NULL) * unit * (1 + 1e-5));
            assert_true(cases[i].expected == NULL && cases[i].expected_gpus == cases[i].gpus);
            continue;
        }
        assert_int_equal(code, 2);
        const char *error = strstr(output, "error: a rank needs ");
        assert_non_null(error);
        assert_ptr_equal(strchr(error, '\n'), output + strlen(output) - 1); /* one line, the last */
        assert_int_equal(suggestion(nearest, cases[i].gpus), cases[i].expected_gpus);
        if (cases[i].expected && !strstr(nearest, cases[i].expected))
            fail_msg("case %zu: \"%s\" is suggested, expected %s", i, nearest, cases[i].expected);
        snprintf(again, sizeof again, "%s %s", arguments, nearest);
        assert_int_equal(dry_run(cases[i].expected_gpus, again), 0);
        char *rows = strstr(again, "train.micro_batch=");
        for (char *next = rows; next && (next = strstr(next + 1, "train.micro_batch="));)
            rows = next;
        if (strstr(nearest, "train.micro_batch=")) { /* one row more does not fit */
            int count = atoi(rows + strlen("train.micro_batch="));
            snprintf(nearest, sizeof nearest, " train.micro_batch=%d", count + 1);
            strncat(again, nearest, sizeof again - strlen(again) - 1);
            assert_int_equal(dry_run(cases[i].expected_gpus, again), 2);
        }
    }
}

static void amounts_of_memory_are_read_or_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"80 gigabytes", "GB", "-3 GB", "1e30 GB", "80 GB of", "0"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char arguments[100];
        snprintf(arguments, sizeof arguments, "'train.device_memory=%s'", wrong[i]);
        assert_int_equal(dry_run(8, arguments), 2);
        assert_non_null(strstr(output, "train.device_memory is \""));
    }
    assert_int_equal(dry_run(1, "train.device_memory=1MB"), 2);
    assert_non_null(strstr(output, "no micro-batch, recomputation or number of GPUs"));
}

/* A short run with the default warm-up never reaches its learning rate: said before it is trained. */
static void a_warm_up_longer_than_the_run_warns(void **state)
{
    (void)state;
    static const char warning[] =
        "warning: train.warmup_steps (500) is more than train.steps (5): the learning rate only "
        "rises, and ends at 1 % of train.learning_rate";
    assert_int_equal(dry_run(8, "train.steps=5 train.warmup_steps=500"), 0);
    assert_non_null(strstr(output, warning));
    assert_int_equal(dry_run(8, "train.steps=500 train.warmup_steps=500"), 0);
    assert_null(strstr(output, "warning"));
    assert_int_equal(dry_run(8, "train.steps=1 train.warmup_steps=0"), 0);
    assert_null(strstr(output, "warning"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_7b_plan_is_the_sum_by_hand),
        cmocka_unit_test(what_does_not_fit_is_refused_with_what_does),
        cmocka_unit_test(amounts_of_memory_are_read_or_refused),
        cmocka_unit_test(a_warm_up_longer_than_the_run_warns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
