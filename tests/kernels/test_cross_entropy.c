/* Cross-entropy: losses and gradients against double, in f32, bf16, and f32 logits with a bf16 gradient; sums over groups. */
#include "support/kernel_harness.h"
#include "support/reference_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3, 2};

/* One call with what surrounds it. */
struct problem {
    int64_t rows, columns;
    enum dtype type;
    double scale;
    struct tensor logits, targets, groups;
    int64_t group_count;
};

static struct problem make_problem(struct rng *rng, int64_t rows, int64_t columns, enum dtype type, double deviation)
{
    struct problem q = {rows,
                        columns,
                        type,
                        0.125,
                        tensor_normal(rng, type, rows * columns, deviation),
                        tensor_zero(DTYPE_I32, rows),
                        tensor_zero(DTYPE_U8, rows),
                        5};
    for (int64_t r = 0; r < rows; r++) {
        tensor_set(&q.targets, r, rng_below(rng, 5) == 0 ? -1 : (double)rng_below(rng, (uint64_t)columns));
        tensor_set(&q.groups, r, (double)rng_below(rng, (uint64_t)q.group_count));
    }
    return q;
}

static void free_problem(struct problem *q)
{
    tensor_free(&q->logits);
    tensor_free(&q->targets);
    tensor_free(&q->groups);
}

static struct cross_entropy describe(struct problem *q, struct tensor *logits, struct tensor *losses,
                                     struct tensor *grad)
{
    return (struct cross_entropy){.rows = q->rows,
                                  .columns = q->columns,
                                  .logits = tensor_device(logits),
                                  .targets = tensor_device(&q->targets),
                                  .losses = losses ? tensor_device(losses) : NULL,
                                  .grad = grad ? tensor_device(grad) : NULL,
                                  .grad_scale = (float)q->scale,
                                  .type = q->type,
                                  .grad_type = grad ? grad->type : q->type};
}

static void run(struct cross_entropy *p, int threads)
{
    size_t scratch = test_kernels()->cross_entropy_scratch_size(p);
    assert_ok(test_kernels()->cross_entropy(test_context(threads, scratch), p));
}

/* `grad`: 0 none, 1 in the logits' place, 2 elsewhere. */
static void check(struct rng *rng, int64_t rows, int64_t columns, enum dtype type, int grad, double deviation)
{
    struct problem q = make_problem(rng, rows, columns, type, deviation);
    double *losses = doubles(rows), *gradient = doubles(rows * columns);
    for (int64_t r = 0; r < rows; r++) {
        if (q.targets.values[r] < 0)
            continue;
        losses[r] = reference_cross_entropy(columns, q.logits.values + r * columns, (int64_t)q.targets.values[r],
                                            gradient + r * columns);
        for (int64_t c = 0; c < columns; c++)
            gradient[r * columns + c] *= q.scale;
    }
    struct tensor kept[2] = {{0}};
    for (int i = 0; i < test_repeats(4); i++) {
        struct tensor x = tensor_copy(&q.logits), other = tensor_make(type, rows * columns);
        struct tensor loss = tensor_make(DTYPE_F32, rows), *result = grad == 2 ? &other : &x;
        struct cross_entropy p = describe(&q, &x, &loss, grad ? result : NULL);
        run(&p, thread_counts[i]);
        if (i == 0) {
            assert_tensor("losses", &loss, losses, 3e-6 * (1 + deviation), 0);
            assert_tensor("gradient", result, grad ? gradient : q.logits.values, grad ? 1e-7 : 0, 1.01);
            kept[0] = tensor_copy(result);
            kept[1] = tensor_copy(&loss);
        }
        assert_same_bits("gradient", &kept[0], result);
        assert_same_bits("losses", &kept[1], &loss);
        tensor_free(&x);
        tensor_free(&other);
        tensor_free(&loss);
    }
    tensor_free(&kept[0]);
    tensor_free(&kept[1]);
    free_problem(&q);
    free(losses);
    free(gradient);
}

static void losses_equal_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    /* a row of 41,728 is as long in f32 as sm_80's shared memory, of which not all is left for it */
    const int64_t shapes[][2] = {{1, 1}, {3, 2}, {31, 113}, {20, 2301}, {1, 32001}, {2, 41728}, {257, 16}};
    for (int s = 0; s < 7; s++)
        for (int i = 0; i < 12; i++)
            check(&rng, shapes[s][0], shapes[s][1], i & 1 ? DTYPE_BF16 : DTYPE_F32, i / 4, i & 2 ? 20 : 2);
    const int64_t columns[] = {2, 4, 7, 8, 9, 31, 32, 33, 64, 65, 127, 128, 129, 511, 512, 513, 2047, 2048, 2049, 4097};
    for (int s = 0; s < 40; s++)
        check(&rng, 1 + s % 5, columns[s / 2], s % 2 ? DTYPE_BF16 : DTYPE_F32, 1 + s / 2 % 2, 3);
}

/* A bf16 gradient of f32 logits has the bits of the f32 gradient rounded afterwards. */
static void a_gradient_may_be_rounded(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    const int64_t shapes[][2] = {{1, 1}, {31, 113}, {20, 2301}};
    for (int s = 0; s < 3; s++) {
        struct problem q = make_problem(&rng, shapes[s][0], shapes[s][1], DTYPE_F32, 3);
        struct tensor x = tensor_copy(&q.logits), y = tensor_copy(&q.logits), loss = tensor_make(DTYPE_F32, q.rows);
        struct tensor rounded = tensor_make(DTYPE_BF16, x.count), expected = tensor_make(DTYPE_BF16, x.count);
        struct tensor other = tensor_make(DTYPE_F32, q.rows);
        struct cross_entropy p = describe(&q, &x, &loss, &x), narrow = describe(&q, &y, &other, &rounded);
        run(&p, 2);
        run(&narrow, 3);
        tensor_read(&x);
        for (int64_t i = 0; i < x.count; i++)
            tensor_set(&expected, i, x.values[i]);
        assert_same_bits("rounded gradient", &expected, &rounded);
        assert_same_bits("losses", &loss, &other);
        struct tensor *all[] = {&x, &y, &loss, &rounded, &expected, &other};
        for (int i = 0; i < 6; i++)
            tensor_free(all[i]);
        free_problem(&q);
    }
}

/* Losses of a group are added in double and in order of the rows, to what is there; with or without the losses. */
static void groups_are_summed_in_order(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    for (int s = 0; s < 12; s++) {
        int64_t rows = s < 4 ? 1 : 300;
        bool keep = s & 1, grad = s & 2;
        struct problem q = make_problem(&rng, rows, 37, s & 4 ? DTYPE_BF16 : DTYPE_F32, 2);
        struct tensor x = tensor_copy(&q.logits), loss = tensor_make(DTYPE_F32, rows);
        struct cross_entropy p = describe(&q, &x, &loss, NULL);
        run(&p, 1);
        tensor_read(&loss);
        double sums[5] = {1e-9, -3, 0, 1e6, 7};
        struct tensor start = tensor_from(DTYPE_F64, 5, sums);
        for (int64_t r = 0; r < rows; r++)
            sums[(int)q.groups.values[r]] += loss.values[r];
        for (int i = 0; i < test_repeats(4); i++) {
            struct tensor total = tensor_copy(&start), y = tensor_copy(&q.logits), again = tensor_make(DTYPE_F32, rows);
            p = describe(&q, &y, keep ? &again : NULL, grad ? &y : NULL);
            p.groups = tensor_device(&q.groups);
            p.group_sums = tensor_device(&total);
            p.group_count = q.group_count;
            run(&p, thread_counts[i]);
            assert_tensor("group_sums", &total, sums, 0, 0);
            if (keep)
                assert_same_bits("losses", &loss, &again);
            tensor_free(&total);
            tensor_free(&y);
            tensor_free(&again);
        }
        tensor_free(&start);
        tensor_free(&x);
        tensor_free(&loss);
        free_problem(&q);
    }
}

/* Logits are read once and gradients written once: rows that fit into the shared memory of every device (48,000 bytes and 96,000),
 * and one that fits into none, which is read twice. */
static void rows_are_moved_once(void **state)
{
    (void)state;
    static const struct {
        int64_t columns;
        enum dtype type, grad_type;
        double reads;
    } cases[] = {{12000, DTYPE_F32, DTYPE_F32, 1},
                 {48000, DTYPE_BF16, DTYPE_BF16, 1},
                 {24000, DTYPE_F32, DTYPE_BF16, 1},
                 {60000, DTYPE_F32, DTYPE_F32, 2}};
    for (int i = 0; i < 4; i++) {
        const int64_t rows = 20, columns = cases[i].columns;
        struct tensor x = tensor_zero(cases[i].type, rows * columns),
                      grad = tensor_zero(cases[i].grad_type, rows * columns);
        struct tensor targets = tensor_zero(DTYPE_I32, rows), losses = tensor_zero(DTYPE_F32, rows);
        struct cross_entropy p = {.rows = rows,
                                  .columns = columns,
                                  .logits = tensor_device(&x),
                                  .targets = tensor_device(&targets),
                                  .losses = tensor_device(&losses),
                                  .grad = tensor_device(&grad),
                                  .grad_scale = 1,
                                  .type = x.type,
                                  .grad_type = grad.type};
        test_traffic_begin();
        run(&p, 1);
        assert_traffic("cross_entropy",
                       (double)(rows * columns) *
                           (cases[i].reads * (double)dtype_size(x.type) + (double)dtype_size(grad.type)),
                       1.05);
        tensor_free(&x);
        tensor_free(&grad);
        tensor_free(&targets);
        tensor_free(&losses);
    }
}

static void losses_at_the_ends(void **state)
{
    (void)state;
    /* a certain target, one of two infinities away, a NaN, a row not counted */
    const float inputs[12] = {80, -80, 0, -INFINITY, 5, 5, 1, NAN, 2, NAN, 1, 1};
    const int32_t targets[4] = {0, 1, 0, -1};
    struct problem q = {4,
                        3,
                        DTYPE_F32,
                        1,
                        tensor_from(DTYPE_F32, 12, inputs),
                        tensor_from(DTYPE_I32, 4, targets),
                        tensor_zero(DTYPE_U8, 4),
                        2};
    struct tensor losses = tensor_make(DTYPE_F32, 4), sums = tensor_zero(DTYPE_F64, 2);
    struct cross_entropy p = describe(&q, &q.logits, &losses, &q.logits);
    tensor_set(&q.groups, 3, 1);
    p.groups = tensor_device(&q.groups);
    p.group_sums = tensor_device(&sums);
    p.group_count = 2;
    run(&p, 1);
    const double *x = tensor_read(&q.logits), *loss = tensor_read(&losses), *sum = tensor_read(&sums);
    assert_true(loss[0] == 0 && fabs(x[0]) < 1e-30);
    assert_true(fabs(loss[1] - log(2)) < 1e-6 && x[3] == 0 && x[4] == -0.5 && x[5] == 0.5);
    assert_true(isnan(loss[2]) && isnan(x[6]) && isnan(x[8]));
    assert_true(loss[3] == 0 && x[9] == 0 && x[10] == 0);
    assert_true(isnan(sum[0]) && sum[1] == 0);
    tensor_free(&losses);
    tensor_free(&sums);
    free_problem(&q);
}

struct loss {
    int64_t columns, target;
    double *logits;
};

static double loss_of(void *argument)
{
    struct loss *l = argument;
    return reference_cross_entropy(l->columns, l->logits, l->target, NULL);
}

static void the_reference_has_the_right_gradient(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    struct tensor x = tensor_normal(&rng, DTYPE_F32, 60, 2);
    double gradient[60];
    reference_cross_entropy(60, x.values, 17, gradient);
    struct loss l = {60, 17, x.values};
    check_gradient("cross entropy", loss_of, &l, x.values, gradient, 60, &rng);
    tensor_free(&x);
}

static void wrong_indices_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    struct problem q = make_problem(&rng, 6, 9, DTYPE_F32, 1);
    struct tensor losses = tensor_zero(DTYPE_F32, 6), sums = tensor_zero(DTYPE_F64, 5);
    tensor_set(&q.targets, 4, 9);
    const struct cross_entropy plain = describe(&q, &q.logits, &losses, &q.logits);
    assert_faults(cross_entropy, plain, (void)p, "cross_entropy: target 4 of 6 is 9, outside ");
    tensor_set(&q.targets, 4, 8);
    tensor_set(&q.groups, 2, 5);
    struct cross_entropy grouped = describe(&q, &q.logits, &losses, NULL);
    grouped.groups = tensor_device(&q.groups);
    grouped.group_sums = tensor_device(&sums);
    grouped.group_count = 5;
    assert_faults(cross_entropy, grouped, (void)p, "cross_entropy: group of row 2 is 5, outside 0..4");
    tensor_read(&sums);
    for (int i = 0; i < 5; i++)
        assert_true(sums.values[i] == 0);
    tensor_free(&losses);
    tensor_free(&sums);
    free_problem(&q);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    struct rng rng = test_rng(6);
    struct problem q = make_problem(&rng, 2, 3, DTYPE_F32, 1);
    struct tensor losses = tensor_zero(DTYPE_F32, 2), sums = tensor_zero(DTYPE_F64, 5);
    double *device_sums = tensor_device(&sums);
    const uint8_t *groups = tensor_device(&q.groups);
    const struct cross_entropy good = describe(&q, &q.logits, &losses, &q.logits);
    assert_refused(cross_entropy, good, p.rows = -1, "-1 rows");
    assert_refused(cross_entropy, good, p.columns = 0, "rows of 0");
    assert_refused(cross_entropy, good, p.losses = NULL, "null");
    assert_refused(cross_entropy, good, p.targets = NULL, "null");
    assert_refused(cross_entropy, good, p.logits = NULL, "null");
    assert_refused(cross_entropy, good, p.type = DTYPE_F64, "type");
    assert_refused(cross_entropy, good, p.grad_type = DTYPE_BF16, "in the logits' place");
    assert_refused(cross_entropy, good, p.grad_type = DTYPE_F64, "a gradient of type");
    assert_refused(cross_entropy, good, p.type = DTYPE_BF16, "a gradient of type");
    assert_refused(cross_entropy, good, p.groups = groups, "go together");
    assert_refused(cross_entropy, good, p.group_sums = device_sums, "go together");
    assert_refused(cross_entropy, good, p.groups = groups; p.group_sums = device_sums, "0 groups");
    assert_refused(cross_entropy, good, p.groups = groups; p.group_sums = device_sums;
                   p.group_count = 257, "257 groups");
    struct cross_entropy alone = good;
    alone.losses = NULL;
    alone.groups = groups;
    alone.group_sums = device_sums;
    alone.group_count = 5;
    struct device_context small = *context;
    small.scratch_bytes = 0;
    assert_fails(test_kernels()->cross_entropy(&small, &alone), STATUS_INTERNAL, "needs 8 bytes of scratch");
    tensor_free(&losses);
    tensor_free(&sums);
    free_problem(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_has_the_right_gradient),
        cmocka_unit_test(losses_equal_the_reference),
        cmocka_unit_test(a_gradient_may_be_rounded),
        cmocka_unit_test(groups_are_summed_in_order),
        cmocka_unit_test(rows_are_moved_once),
        cmocka_unit_test(losses_at_the_ends),
        cmocka_unit_test(wrong_indices_are_faults),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
