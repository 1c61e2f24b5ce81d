/* SwiGLU and the embedding table. */
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
            struct swiglu_forward forward = {rows, channels, tensor_device(&x), tensor_device(&y), type};
            struct swiglu_backward backward = {
                rows, channels, tensor_device(i == 3 ? &dx : &x), tensor_device(&gradient), tensor_device(&dx), type};
            assert_ok(test_kernels()->swiglu_forward(context, &forward));
            assert_ok(test_kernels()->swiglu_backward(context, &backward));
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
    const float inputs[16] = {-1000, -90, 1000, 88, NAN, 1, 0, -0.0f, 1, 1, 2, 1, 1, NAN, 1, 1};
    const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct tensor x = tensor_from(DTYPE_F32, 16, inputs), gradient = tensor_from(DTYPE_F32, 8, ones);
    struct tensor y = tensor_make(DTYPE_F32, 8), dx = tensor_make(DTYPE_F32, 16);
    struct swiglu_forward forward = {1, 8, tensor_device(&x), tensor_device(&y), DTYPE_F32};
    struct swiglu_backward backward = {1,        8, tensor_device(&x), tensor_device(&gradient), tensor_device(&dx),
                                       DTYPE_F32};
    assert_ok(test_kernels()->swiglu_forward(test_context(1, 0), &forward));
    assert_ok(test_kernels()->swiglu_backward(test_context(1, 0), &backward));
    const double *v = tensor_read(&y), *d = tensor_read(&dx);
    assert_true(v[0] == 0 && fabs(v[1]) < 1e-30 && v[2] == 2000 && v[3] == 88 && isnan(v[4]) && isnan(v[5]));
    assert_true(d[0] == 0 && d[2] == 2 && d[10] == 1000 && isnan(d[4]) && isnan(d[5]) && d[6] == 0.5);
    tensor_free(&x);
    tensor_free(&gradient);
    tensor_free(&y);
    tensor_free(&dx);
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

static void the_reference_has_the_right_gradient(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    struct tensor x = tensor_normal(&rng, DTYPE_F32, 60, 2), gradient = tensor_normal(&rng, DTYPE_F32, 30, 1);
    double output[30], grad_x[60];
    reference_swiglu_backward(5, 6, x.values, gradient.values, grad_x);
    struct swiglu_loss l = {5, 6, x.values, output, gradient.values};
    check_gradient("swiglu", swiglu_loss, &l, x.values, grad_x, 60, &rng);
    tensor_free(&x);
    tensor_free(&gradient);
}

/* ---- embedding ---- */

/* The tokens by id, those of one id in their own order. */
static struct tensor sorted_by_id(const struct tensor *ids, int64_t rows)
{
    struct tensor order = tensor_zero(DTYPE_I32, ids->count);
    int64_t count = 0;
    for (int64_t id = 0; id < rows; id++)
        for (int64_t n = 0; n < ids->count; n++)
            if (ids->values[n] == (double)id)
                tensor_set(&order, count++, (double)n);
    assert_int_equal(count, ids->count);
    return order;
}

struct lookup {
    int64_t tokens, channels, rows;
    enum dtype type;
    struct tensor ids, order, table, gradient, before;
};

static struct lookup make_lookup(struct rng *rng, int64_t tokens, int64_t channels, int64_t rows, enum dtype type)
{
    struct lookup q = {tokens, channels, rows, type, .ids = tensor_zero(DTYPE_I32, tokens)};
    for (int64_t n = 0; n < tokens; n++)
        tensor_set(&q.ids, n, (double)rng_below(rng, (uint64_t)rows));
    q.order = sorted_by_id(&q.ids, rows);
    q.table = tensor_normal(rng, type, rows * channels, 1);
    q.gradient = tensor_normal(rng, type, tokens * channels, 1);
    q.before = tensor_normal(rng, DTYPE_F32, rows * channels, 1);
    return q;
}

static struct embedding_forward describe_forward(struct lookup *q, struct tensor *output)
{
    return (struct embedding_forward){.tokens = q->tokens,
                                      .channels = q->channels,
                                      .rows = q->rows,
                                      .ids = tensor_device(&q->ids),
                                      .table = tensor_device(&q->table),
                                      .output = tensor_device(output),
                                      .type = q->type};
}

static struct embedding_backward describe_backward(struct lookup *q, struct tensor *grad_table)
{
    return (struct embedding_backward){.tokens = q->tokens,
                                       .channels = q->channels,
                                       .rows = q->rows,
                                       .ids = tensor_device(&q->ids),
                                       .order = tensor_device(&q->order),
                                       .grad_output = tensor_device(&q->gradient),
                                       .grad_table = tensor_device(grad_table),
                                       .type = q->type};
}

static void free_lookup(struct lookup *q)
{
    tensor_free(&q->ids);
    tensor_free(&q->order);
    tensor_free(&q->table);
    tensor_free(&q->gradient);
    tensor_free(&q->before);
}

/* The sums are those of f32 in the order of the tokens, to the bit. */
static void embedding_copies_and_adds(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    const int64_t shapes[][3] = {{1, 1, 1}, {31, 7, 5}, {300, 113, 11}, {64, 256, 40}}; /* tokens, channels, rows */
    for (int s = 0; s < 8; s++) {
        const int64_t *shape = shapes[s / 2], channels = shape[1];
        struct lookup q = make_lookup(&rng, shape[0], channels, shape[2], s % 2 ? DTYPE_BF16 : DTYPE_F32);
        double *expected = doubles(q.gradient.count), *grad_table = doubles(q.before.count);
        memcpy(grad_table, q.before.values, (size_t)q.before.count * sizeof(double));
        for (int64_t i = 0; i < q.gradient.count; i++) {
            int64_t place = (int64_t)q.ids.values[i / channels] * channels + i % channels;
            expected[i] = q.table.values[place];
            grad_table[place] = (double)((float)grad_table[place] + (float)q.gradient.values[i]);
        }
        for (int i = 0; i < 4; i++) {
            struct tensor output = tensor_make(q.type, q.gradient.count), sum = tensor_copy(&q.before);
            struct embedding_forward forward = describe_forward(&q, &output);
            struct embedding_backward backward = describe_backward(&q, &sum);
            size_t scratch = test_kernels()->embedding_backward_scratch_size(&backward);
            const struct device_context *context = test_context(thread_counts[i], scratch);
            assert_ok(test_kernels()->embedding_forward(context, &forward));
            assert_ok(test_kernels()->embedding_backward(context, &backward));
            assert_tensor("output", &output, expected, 0, 0);
            assert_tensor("grad_table", &sum, grad_table, 0, 0);
            tensor_free(&output);
            tensor_free(&sum);
        }
        free_lookup(&q);
        free(expected);
        free(grad_table);
    }
}

/* An id or a place outside is never followed. */
static void wrong_ids_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(4);
    const double ids[] = {-1, 11, 2147483647, -2147483648.0}, places[] = {-1, 40};
    const char *const texts[] = {"id 17 of 40 is -1, outside 0..10", "id 17 of 40 is 11, outside 0..10",
                                 "id 17 of 40 is 2147483647, outside 0..10",
                                 "id 17 of 40 is -2147483648, outside 0..10"};
    const char *const place_texts[] = {"place in the order 3 of 40 is -1, outside 0..39",
                                       "place in the order 3 of 40 is 40, outside 0..39"};
    for (int i = 0; i < 6; i++) {
        struct lookup q = make_lookup(&rng, 40, 9, 11, DTYPE_F32);
        struct tensor output = tensor_zero(DTYPE_F32, 40 * 9), sum = tensor_copy(&q.before);
        if (i < 4)
            tensor_set(&q.ids, 17, ids[i]);
        else
            tensor_set(&q.order, 3, places[i - 4]);
        const struct embedding_forward forward = describe_forward(&q, &output);
        const struct embedding_backward backward = describe_backward(&q, &sum);
        const char *text = i < 4 ? texts[i] : place_texts[i - 4];
        if (i < 4)
            assert_faults(embedding_forward, forward, (void)p, text);
        assert_faults(embedding_backward, backward, (void)p, text);
        tensor_free(&output); /* whose bands are looked at */
        tensor_free(&sum);
        free_lookup(&q);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    struct tensor x = tensor_zero(DTYPE_F32, 8), y = tensor_zero(DTYPE_F32, 8), ids = tensor_zero(DTYPE_I32, 2);
    const struct swiglu_forward forward = {2, 2, tensor_device(&x), tensor_device(&y), DTYPE_F32};
    assert_refused(swiglu_forward, forward, p.rows = -2, "-2 rows");
    assert_refused(swiglu_forward, forward, p.channels = 0, "rows of 0");
    assert_refused(swiglu_forward, forward, p.output = NULL, "null");
    assert_refused(swiglu_forward, forward, p.gate_up = NULL, "null");
    assert_refused(swiglu_forward, forward, p.type = DTYPE_U8, "type");
    const struct swiglu_backward backward = {2, 2, tensor_device(&x), tensor_device(&x), tensor_device(&y), DTYPE_F32};
    assert_refused(swiglu_backward, backward, p.grad_output = NULL, "null");
    assert_refused(swiglu_backward, backward, p.grad_gate_up = NULL, "null");
    assert_refused(swiglu_backward, backward, p.channels = -1, "rows of -1");
    assert_refused(swiglu_backward, backward, p.type = DTYPE_F16, "type");
    const struct embedding_forward embed = {2,        2, 2, tensor_device(&ids), tensor_device(&x), tensor_device(&y),
                                            DTYPE_F32};
    assert_refused(embedding_forward, embed, p.table = NULL, "null");
    assert_refused(embedding_forward, embed, p.ids = NULL, "null");
    assert_refused(embedding_forward, embed, p.rows = 0, "0 rows");
    assert_refused(embedding_forward, embed, p.type = DTYPE_I32, "type");
    const struct embedding_backward gather = {.tokens = 2,
                                              .channels = 2,
                                              .rows = 2,
                                              .ids = tensor_device(&ids),
                                              .order = tensor_device(&ids),
                                              .grad_output = tensor_device(&x),
                                              .grad_table = tensor_device(&y)};
    assert_refused(embedding_backward, gather, p.grad_table = NULL, "null");
    assert_refused(embedding_backward, gather, p.order = NULL, "null");
    assert_refused(embedding_backward, gather, p.tokens = -1, "-1 tokens");
    assert_refused(embedding_backward, gather, p.type = DTYPE_I64, "type");
    tensor_free(&x);
    tensor_free(&y);
    tensor_free(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_has_the_right_gradient),
        cmocka_unit_test(swiglu_equals_the_reference),
        cmocka_unit_test(swiglu_at_the_ends),
        cmocka_unit_test(embedding_copies_and_adds),
        cmocka_unit_test(wrong_ids_are_faults),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
