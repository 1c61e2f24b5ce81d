/* Log-sum-exps of blocks of the vocabulary against double, in f32 and bf16: blocks of any size and place, empty ones too. */
#include "support/kernel_harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3, 2};

struct problem {
    int64_t rows, columns, block_count;
    int64_t boundaries[LOG_SUM_EXP_BLOCKS + 1];
    struct tensor logits, targets;
};

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Boundaries drawn without regard to alignment; equal ones make empty blocks. */
static struct problem make_problem(struct rng *rng, int64_t rows, int64_t columns, int64_t blocks, enum dtype type,
                                   double deviation)
{
    struct problem q = {.rows = rows,
                        .columns = columns,
                        .block_count = blocks,
                        .logits = tensor_normal(rng, type, rows * columns, deviation),
                        .targets = tensor_zero(DTYPE_I32, rows)};
    q.boundaries[blocks] = columns;
    for (int64_t b = 1; b < blocks; b++)
        q.boundaries[b] = (int64_t)rng_below(rng, (uint64_t)columns + 1);
    qsort(q.boundaries, (size_t)blocks, sizeof *q.boundaries, ascending);
    for (int64_t r = 0; r < rows; r++)
        tensor_set(&q.targets, r, rng_below(rng, 5) == 0 ? -1 : (double)rng_below(rng, (uint64_t)columns));
    return q;
}

static void free_problem(struct problem *q)
{
    tensor_free(&q->logits);
    tensor_free(&q->targets);
}

static struct log_sum_exp describe(struct problem *q, struct tensor *sums, struct tensor *target_logits)
{
    struct log_sum_exp p = {.rows = q->rows,
                            .columns = q->columns,
                            .block_count = q->block_count,
                            .logits = tensor_device(&q->logits),
                            .targets = tensor_device(&q->targets),
                            .sums = tensor_device(sums),
                            .target_logits = tensor_device(target_logits),
                            .type = q->logits.type};
    memcpy(p.boundaries, q->boundaries, sizeof p.boundaries);
    return p;
}

static void run(const struct log_sum_exp *p, int threads)
{
    assert_ok(test_kernels()->log_sum_exp(test_context(threads, test_kernels()->log_sum_exp_scratch_size(p)), p));
}

/* In double, the largest taken out. */
static double expected_sum(const double *x, int64_t first, int64_t end)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t c = first; c < end; c++)
        largest = fmax(largest, x[c]);
    for (int64_t c = first; c < end; c++)
        sum += exp(x[c] - largest);
    return first == end ? -INFINITY : log(sum) + largest;
}

/* Terms are f32 exponentials, within 2^-22 of their value: so is their sum, and its logarithm is off by as much. */
static void check_sums(const struct problem *q, struct tensor *sums, struct tensor *target_logits)
{
    const double *found = tensor_read(sums), *of_target = tensor_read(target_logits);
    for (int64_t r = 0; r < q->rows; r++) {
        int64_t target = (int64_t)q->targets.values[r];
        const double *x = q->logits.values + r * q->columns;
        if (!(of_target[r] == (target < 0 ? 0 : x[target])))
            fail_msg("target's logit of row %lld is %g", (long long)r, of_target[r]);
        for (int64_t b = 0; b < q->block_count; b++) {
            double sum = found[r * q->block_count + b], expected = 0;
            if (target >= 0)
                expected = expected_sum(x, q->boundaries[b], q->boundaries[b + 1]);
            if (!(sum == expected || fabs(sum - expected) <= 1e-6))
                fail_msg("row %lld, block %lld of columns [%lld, %lld): expected %.9g, found %.9g", (long long)r,
                         (long long)b, (long long)q->boundaries[b], (long long)q->boundaries[b + 1], expected, sum);
        }
    }
}

static void check(struct problem *q)
{
    struct tensor kept[2] = {{0}};
    for (int i = 0; i < test_repeats(4); i++) {
        struct tensor sums = tensor_make(DTYPE_F64, q->rows * q->block_count);
        struct tensor target_logits = tensor_make(DTYPE_F32, q->rows);
        struct log_sum_exp p = describe(q, &sums, &target_logits);
        run(&p, thread_counts[i]);
        if (i == 0) {
            check_sums(q, &sums, &target_logits);
            kept[0] = tensor_copy(&sums);
            kept[1] = tensor_copy(&target_logits);
        }
        assert_same_bits("sums", &kept[0], &sums);
        assert_same_bits("target_logits", &kept[1], &target_logits);
        tensor_free(&sums);
        tensor_free(&target_logits);
    }
    tensor_free(&kept[0]);
    tensor_free(&kept[1]);
}

static void sums_equal_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    const int64_t shapes[][3] = {{1, 1, 1},     {3, 2, 2},    {31, 113, 16}, {20, 2301, 5},
                                 {1, 32768, 6}, {257, 16, 3}, {5, 1025, 1},  {2, 9000, 4}};
    for (int s = 0; s < 8; s++)
        for (int i = 0; i < 4; i++) {
            struct problem q = make_problem(&rng, shapes[s][0], shapes[s][1], shapes[s][2],
                                            i & 1 ? DTYPE_BF16 : DTYPE_F32, i & 2 ? 20 : 2);
            check(&q);
            free_problem(&q);
        }
    const int64_t columns[] = {2,   4,   7,   8,   9,   31,  32,  33,   47,   63,   64,   65,   100,  127,
                               128, 129, 255, 511, 512, 513, 640, 1023, 1024, 1026, 2047, 2048, 2049, 4097};
    for (int s = 0; s < 56; s++) {
        struct problem q = make_problem(&rng, 1 + s % 5, columns[s / 2], 1 + s % LOG_SUM_EXP_BLOCKS,
                                        s % 2 ? DTYPE_BF16 : DTYPE_F32, 3);
        check(&q);
        free_problem(&q);
    }
}

/* A block's sum does not depend on where the other blocks lie. */
static void blocks_stand_alone(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    struct problem q = make_problem(&rng, 3, 1000, 3, DTYPE_F32, 3);
    const int64_t boundaries[2][4] = {{0, 300, 700, 1000}, {0, 299, 300, 700}};
    struct tensor sums[2], target_logits = tensor_make(DTYPE_F32, 3);
    for (int r = 0; r < 3; r++)
        tensor_set(&q.targets, r, r);
    for (int i = 0; i < 2; i++) {
        memcpy(q.boundaries, boundaries[i], sizeof boundaries[i]);
        q.block_count = 3 + i;
        q.boundaries[q.block_count] = 1000;
        sums[i] = tensor_make(DTYPE_F64, 3 * q.block_count);
        struct log_sum_exp p = describe(&q, &sums[i], &target_logits);
        run(&p, 2);
        tensor_read(&sums[i]);
    }
    for (int r = 0; r < 3; r++) {
        assert_true(sums[0].values[3 * r + 1] == sums[1].values[4 * r + 2]);
        assert_true(sums[0].values[3 * r + 2] == sums[1].values[4 * r + 3]);
    }
    tensor_free(&sums[0]);
    tensor_free(&sums[1]);
    tensor_free(&target_logits);
    free_problem(&q);
}

static void sums_at_the_ends(void **state)
{
    (void)state;
    /* masked logits beside plain ones, all masked, a NaN, a row that is not wanted */
    const float inputs[16] = {80, -80, -INFINITY, 7, -INFINITY, -INFINITY, 5, 5, 1, NAN, 2, 2, NAN, 1, 1, 1};
    const int32_t targets[4] = {0, 2, 3, -1};
    struct problem q = {.rows = 4,
                        .columns = 4,
                        .block_count = 3,
                        .boundaries = {0, 2, 2, 4},
                        .logits = tensor_from(DTYPE_F32, 16, inputs),
                        .targets = tensor_from(DTYPE_I32, 4, targets)};
    struct tensor sums = tensor_make(DTYPE_F64, 12), target_logits = tensor_make(DTYPE_F32, 4);
    struct log_sum_exp p = describe(&q, &sums, &target_logits);
    run(&p, 1);
    const double *x = tensor_read(&sums);
    assert_true(fabs(x[0] - 80) < 1e-6 && x[1] == -INFINITY && fabs(x[2] - 7) < 1e-6);
    assert_true(x[3] == -INFINITY && x[4] == -INFINITY && fabs(x[5] - (5 + log(2))) < 1e-6);
    assert_true(isnan(x[6]) && x[7] == -INFINITY && fabs(x[8] - (2 + log(2))) < 1e-6);
    assert_true(x[9] == 0 && x[10] == 0 && x[11] == 0);
    tensor_free(&sums);
    tensor_free(&target_logits);
    free_problem(&q);
}

static void logits_are_read_once(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    struct problem q = make_problem(&rng, 20, 32768, 6, DTYPE_F32, 1);
    struct tensor sums = tensor_make(DTYPE_F64, 20 * 6), target_logits = tensor_make(DTYPE_F32, 20);
    for (int r = 0; r < 20; r++)
        tensor_set(&q.targets, r, r);
    const struct log_sum_exp p = describe(&q, &sums, &target_logits);
    test_traffic_begin();
    run(&p, 1);
    assert_traffic("log_sum_exp", 20 * 32768 * 4.0, 1.05);
    tensor_free(&sums);
    tensor_free(&target_logits);
    free_problem(&q);
}

static void wrong_targets_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    struct problem q = make_problem(&rng, 6, 9, 2, DTYPE_F32, 1);
    struct tensor sums = tensor_zero(DTYPE_F64, 12), target_logits = tensor_zero(DTYPE_F32, 6);
    tensor_set(&q.targets, 4, 9);
    const struct log_sum_exp good = describe(&q, &sums, &target_logits);
    assert_faults(log_sum_exp, good, (void)p, "log_sum_exp: target 4 of 6 is 9, outside ");
    tensor_free(&sums);
    tensor_free(&target_logits);
    free_problem(&q);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    struct rng rng = test_rng(5);
    struct problem q = make_problem(&rng, 2, 7, 3, DTYPE_F32, 1);
    struct tensor sums = tensor_zero(DTYPE_F64, 6), target_logits = tensor_zero(DTYPE_F32, 2);
    q.boundaries[1] = 2;
    q.boundaries[2] = 5;
    const struct log_sum_exp good = describe(&q, &sums, &target_logits);
    assert_refused(log_sum_exp, good, p.rows = -1, "-1 rows");
    assert_refused(log_sum_exp, good, p.columns = 0, "rows of 0");
    assert_refused(log_sum_exp, good, p.type = DTYPE_F64, "type");
    assert_refused(log_sum_exp, good, p.block_count = 0, "0 blocks");
    assert_refused(log_sum_exp, good, p.block_count = LOG_SUM_EXP_BLOCKS + 1, "17 blocks");
    assert_refused(log_sum_exp, good, p.boundaries[0] = 1, "blocks from 1 to 7 of 7");
    assert_refused(log_sum_exp, good, p.boundaries[3] = 8, "blocks from 0 to 8 of 7");
    assert_refused(log_sum_exp, good, p.boundaries[1] = 6, "block 1 ends before it begins");
    assert_refused(log_sum_exp, good, p.logits = NULL, "null");
    assert_refused(log_sum_exp, good, p.targets = NULL, "null");
    assert_refused(log_sum_exp, good, p.sums = NULL, "null");
    assert_refused(log_sum_exp, good, p.target_logits = NULL, "null");
    tensor_free(&sums);
    tensor_free(&target_logits);
    free_problem(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_equal_the_reference), cmocka_unit_test(blocks_stand_alone),
        cmocka_unit_test(sums_at_the_ends),         cmocka_unit_test(logits_are_read_once),
        cmocka_unit_test(wrong_targets_are_faults), cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
