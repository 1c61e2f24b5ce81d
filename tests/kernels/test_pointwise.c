/* SwiGLU, embedding, cross-entropy. */
#include "support/kernel_harness.h"
#include "support/reference_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3, 2};

/* ---- SwiGLU ---- */

static const int64_t swiglu_shapes[][2] = {{1, 1}, {3, 7}, {31, 113}, {257, 64}, {5, 5000}};

static void swiglu_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < 10; s++) {
        int64_t rows = swiglu_shapes[s / 2][0], channels = swiglu_shapes[s / 2][1], count = rows * channels;
        enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        struct tensor x = tensor_normal(&rng, type, 2 * count, 3), gradient = tensor_normal(&rng, type, count, 1);
        double *output = doubles(count), *grad_x = doubles(2 * count);
        reference_swiglu(rows, channels, x.values, output);
        reference_swiglu_backward(rows, channels, x.values, gradient.values, grad_x);
        struct tensor kept[2] = {{0}};
        for (int i = 0; i < 4; i++) {
            struct tensor y = tensor_make(type, count);
            struct tensor dx = i == 3 ? tensor_copy(&x) : tensor_make(type, 2 * count); /* once in place */
            const struct device_context *context = test_context(thread_counts[i], 0);
            struct swiglu_forward forward = {rows, channels, x.data, y.data, type};
            struct swiglu_backward backward = {rows, channels, i == 3 ? dx.data : x.data, gradient.data, dx.data, type};
            assert_ok(kernels_cpu()->swiglu_forward(context, &forward));
            assert_ok(kernels_cpu()->swiglu_backward(context, &backward));
            if (i == 0) {
                assert_tensor("output", &y, output, 1e-5, 1.01);
                assert_tensor("grad_gate_up", &dx, grad_x, 1e-5, 1.01);
                kept[0] = y;
                kept[1] = dx;
                continue;
            }
            assert_same_bits("swiglu", &kept[0], &y);
            assert_same_bits("swiglu backward", &kept[1], &dx);
            tensor_free(&y);
            tensor_free(&dx);
        }
        tensor_free(&kept[0]);
        tensor_free(&kept[1]);
        tensor_free(&x);
        tensor_free(&gradient);
        free(output);
        free(grad_x);
    }
}

static void swiglu_at_the_ends(void **state)
{
    (void)state;
    float x[16] = {-1000, -90, 1000, 88, NAN, 1, 0, -0.0f, 1, 1, 2, 1, 1, NAN, 1, 1}, y[8], dx[16];
    float gradient[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct swiglu_forward forward = {1, 8, x, y, DTYPE_F32};
    struct swiglu_backward backward = {1, 8, x, gradient, dx, DTYPE_F32};
    assert_ok(kernels_cpu()->swiglu_forward(test_context(1, 0), &forward));
    assert_ok(kernels_cpu()->swiglu_backward(test_context(1, 0), &backward));
    assert_true(y[0] == 0 && fabsf(y[1]) < 1e-30f && y[2] == 2000 && y[3] == 88 && isnan(y[4]) && isnan(y[5]));
    assert_true(dx[0] == 0 && dx[2] == 2 && dx[10] == 1000 && isnan(dx[4]) && isnan(dx[5]) && dx[6] == 0.5f);
}

struct swiglu_loss {
    int64_t rows, channels;
    double *x, *output;
    const double *gradient;
};

static double swiglu_loss(void *argument)
{
    struct swiglu_loss *l = argument;
    reference_swiglu(l->rows, l->channels, l->x, l->output);
    return dot_product(l->output, l->gradient, l->rows * l->channels);
}

struct entropy_loss {
    int64_t columns, target;
    double *logits;
};

static double entropy_loss(void *argument)
{
    struct entropy_loss *l = argument;
    return reference_cross_entropy(l->columns, l->logits, l->target, NULL);
}

static void the_references_have_the_right_gradients(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    struct tensor x = tensor_normal(&rng, DTYPE_F32, 60, 2), gradient = tensor_normal(&rng, DTYPE_F32, 30, 1);
    double output[30], grad_x[60];
    reference_swiglu_backward(5, 6, x.values, gradient.values, grad_x);
    struct swiglu_loss l = {5, 6, x.values, output, gradient.values};
    check_gradient("swiglu", swiglu_loss, &l, x.values, grad_x, 60, &rng);
    reference_cross_entropy(60, x.values, 17, grad_x);
    struct entropy_loss e = {60, 17, x.values};
    check_gradient("cross entropy", entropy_loss, &e, x.values, grad_x, 60, &rng);
    tensor_free(&x);
    tensor_free(&gradient);
}

/* ---- embedding ---- */

/* The tokens by id, those of one id in their own order; the caller frees. */
static int32_t *sorted_by_id(const int32_t *ids, int64_t tokens, int64_t rows)
{
    int32_t *order = calloc((size_t)tokens, sizeof *order);
    assert_non_null(order);
    int64_t count = 0;
    for (int64_t id = 0; id < rows; id++)
        for (int64_t n = 0; n < tokens; n++)
            if (ids[n] == id)
                order[count++] = (int32_t)n;
    assert_int_equal(count, tokens);
    return order;
}

static void embedding_copies_and_adds(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    const int64_t shapes[][3] = {{1, 1, 1}, {31, 7, 5}, {300, 113, 11}, {64, 256, 40}}; /* tokens, channels, rows */
    for (int s = 0; s < 8; s++) {
        int64_t tokens = shapes[s / 2][0], channels = shapes[s / 2][1], rows = shapes[s / 2][2];
        enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        int32_t *ids = calloc((size_t)tokens, sizeof *ids);
        assert_non_null(ids);
        for (int64_t n = 0; n < tokens; n++)
            ids[n] = (int32_t)rng_below(&rng, (uint64_t)rows);
        int32_t *order = sorted_by_id(ids, tokens, rows);
        struct tensor table = tensor_normal(&rng, type, rows * channels, 1);
        struct tensor gradient = tensor_integers(&rng, type, tokens * channels, 100);
        struct tensor before = tensor_integers(&rng, DTYPE_F32, rows * channels, 100);
        double *expected = doubles(tokens * channels), *grad_table = doubles(rows * channels);
        memcpy(grad_table, before.values, (size_t)before.count * sizeof(double));
        for (int64_t i = 0; i < tokens * channels; i++) {
            expected[i] = table.values[ids[i / channels] * channels + i % channels];
            grad_table[ids[i / channels] * channels + i % channels] += gradient.values[i];
        }
        for (int i = 0; i < 4; i++) {
            struct tensor output = tensor_make(type, tokens * channels), sum = tensor_copy(&before);
            const struct device_context *context = test_context(thread_counts[i], 0);
            struct embedding_forward forward = {tokens, channels, rows, ids, table.data, output.data, type};
            struct embedding_backward backward = {tokens, channels, rows, ids, order, gradient.data, sum.data, type};
            assert_ok(kernels_cpu()->embedding_forward(context, &forward));
            assert_ok(kernels_cpu()->embedding_backward(context, &backward));
            assert_tensor("output", &output, expected, 0, 0);
            assert_tensor("grad_table", &sum, grad_table, 0, 0); /* integers: exact */
            tensor_free(&output);
            tensor_free(&sum);
        }
        tensor_free(&table);
        tensor_free(&gradient);
        tensor_free(&before);
        free(expected);
        free(grad_table);
        free(ids);
        free(order);
    }
}

/* ---- cross-entropy ---- */

static void entropy_case(struct rng *rng, int64_t rows, int64_t columns, enum dtype type, bool grad, double deviation)
{
    const double scale = 0.125;
    struct tensor logits = tensor_normal(rng, type, rows * columns, deviation);
    int32_t *targets = calloc((size_t)rows, sizeof *targets);
    double *losses = doubles(rows), *gradient = doubles(rows * columns);
    assert_non_null(targets);
    for (int64_t r = 0; r < rows; r++) {
        targets[r] = rng_below(rng, 5) == 0 ? -1 : (int32_t)rng_below(rng, (uint64_t)columns);
        if (targets[r] < 0)
            continue;
        losses[r] = reference_cross_entropy(columns, logits.values + r * columns, targets[r], gradient + r * columns);
        for (int64_t c = 0; c < columns; c++)
            gradient[r * columns + c] *= scale;
    }
    struct tensor kept[2] = {{0}};
    for (int i = 0; i < 4; i++) {
        struct tensor x = tensor_copy(&logits), loss = tensor_make(DTYPE_F32, rows);
        struct cross_entropy p = {.rows = rows,
                                  .columns = columns,
                                  .logits = x.data,
                                  .targets = targets,
                                  .losses = loss.data,
                                  .grad = grad ? x.data : NULL,
                                  .grad_scale = (float)scale,
                                  .type = type,
                                  .grad_type = type};
        assert_ok(kernels_cpu()->cross_entropy(test_context(thread_counts[i], 0), &p));
        if (i == 0) {
            assert_tensor("losses", &loss, losses, 3e-6 * (1 + deviation), 0);
            assert_tensor("gradient", &x, grad ? gradient : logits.values, grad ? 1e-7 : 0, 1.01);
            kept[0] = x;
            kept[1] = loss;
            continue;
        }
        assert_same_bits("logits", &kept[0], &x);
        assert_same_bits("losses", &kept[1], &loss);
        tensor_free(&x);
        tensor_free(&loss);
    }
    tensor_free(&kept[0]);
    tensor_free(&kept[1]);
    tensor_free(&logits);
    free(targets);
    free(losses);
    free(gradient);
}

static void cross_entropy_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    const int64_t shapes[][2] = {{1, 1}, {3, 2}, {31, 113}, {20, 2301}, {3, 32001}, {257, 16}};
    for (int s = 0; s < 6; s++)
        for (int i = 0; i < 8; i++)
            entropy_case(&rng, shapes[s][0], shapes[s][1], i & 1 ? DTYPE_BF16 : DTYPE_F32, i & 2, i & 4 ? 20 : 2);
}

static void cross_entropy_at_the_ends(void **state)
{
    (void)state;
    /* a certain target, one of two infinities away, a NaN, a row not counted */
    float x[4][3] = {{80, -80, 0}, {-INFINITY, 5, 5}, {1, NAN, 2}, {NAN, 1, 1}}, losses[4];
    const int32_t targets[4] = {0, 1, 0, -1};
    struct cross_entropy p = {
        .rows = 4, .columns = 3, .logits = x, .targets = targets, .losses = losses, .grad = x, .grad_scale = 1};
    assert_ok(kernels_cpu()->cross_entropy(test_context(1, 0), &p));
    assert_true(losses[0] == 0 && fabsf(x[0][0]) < 1e-30f);
    assert_true(fabsf(losses[1] - logf(2)) < 1e-6f && x[1][0] == 0 && x[1][1] == -0.5f && x[1][2] == 0.5f);
    assert_true(isnan(losses[2]) && isnan(x[2][0]) && isnan(x[2][2]));
    assert_true(losses[3] == 0 && x[3][0] == 0 && x[3][1] == 0);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    float x[8] = {0}, y[8];
    const int32_t ids[2] = {1, 2};
    const struct swiglu_forward forward = {2, 2, x, y, DTYPE_F32};
    assert_refused(swiglu_forward, forward, p.rows = -2, "-2 rows");
    assert_refused(swiglu_forward, forward, p.channels = 0, "rows of 0");
    assert_refused(swiglu_forward, forward, p.output = NULL, "null");
    assert_refused(swiglu_forward, forward, p.type = DTYPE_U8, "type");
    const struct swiglu_backward backward = {2, 2, x, x, y, DTYPE_F32};
    assert_refused(swiglu_backward, backward, p.grad_output = NULL, "null");
    assert_refused(swiglu_backward, backward, p.channels = -1, "rows of -1");
    const struct embedding_forward embed = {2, 2, 2, ids, x, y, DTYPE_F32};
    assert_refused(embedding_forward, embed, p.table = NULL, "null");
    assert_refused(embedding_forward, embed, p.rows = 0, "0 rows");
    const struct embedding_backward gather = {2, 2, 2, ids, ids, x, y, DTYPE_F32};
    assert_refused(embedding_backward, gather, p.grad_table = NULL, "null");
    assert_refused(embedding_backward, gather, p.type = DTYPE_I64, "type");
    const struct cross_entropy entropy = {.rows = 2, .columns = 2, .logits = x, .targets = ids, .losses = y};
    assert_refused(cross_entropy, entropy, p.columns = 0, "rows of 0");
    assert_refused(cross_entropy, entropy, p.losses = NULL, "null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_references_have_the_right_gradients),
        cmocka_unit_test(swiglu_equals_the_reference),
        cmocka_unit_test(swiglu_at_the_ends),
        cmocka_unit_test(embedding_copies_and_adds),
        cmocka_unit_test(cross_entropy_equals_the_reference),
        cmocka_unit_test(cross_entropy_at_the_ends),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
