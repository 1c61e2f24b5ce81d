/* Attention: forward and backward against a plain double computation of the whole T x T scores, with grouped heads,
 * packed documents, gaps, cached decoding, odd sizes. */
#include "support/kernel_harness.h"
#include "support/reference_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct shape {
    int64_t batch, query_length, key_length, heads, kv_heads, head_size;
};

enum { GAP = 3 }; /* unused elements after each token of q, k, v and output */

struct problem {
    struct shape s;
    enum dtype type;
    double scale;
    struct tensor query, key, value, gradient;
    int32_t *starts, *key_lengths;
    int64_t width, kv_width; /* H * D, G * D */
};

static struct problem make_problem(struct rng *rng, struct shape s, enum dtype type, bool documents, double deviation)
{
    struct problem q = {.s = s, .type = type, .width = s.heads * s.head_size, .kv_width = s.kv_heads * s.head_size};
    q.scale = 1 / sqrt((double)s.head_size);
    q.query = tensor_normal(rng, type, s.batch * s.query_length * (q.width + GAP), deviation);
    q.gradient = tensor_normal(rng, type, s.batch * s.query_length * (q.width + GAP), 1);
    q.key = tensor_normal(rng, type, s.batch * s.key_length * (q.kv_width + GAP), deviation);
    q.value = tensor_normal(rng, type, s.batch * s.key_length * (q.kv_width + GAP), 1);
    tensor_fill_gaps(&q.query, q.width, q.width + GAP, NAN);
    tensor_fill_gaps(&q.gradient, q.width, q.width + GAP, NAN);
    tensor_fill_gaps(&q.key, q.kv_width, q.kv_width + GAP, NAN);
    tensor_fill_gaps(&q.value, q.kv_width, q.kv_width + GAP, NAN);
    if (documents) {
        q.starts = calloc((size_t)(s.batch * s.query_length), sizeof *q.starts);
        assert_non_null(q.starts);
        for (int64_t b = 0; b < s.batch; b++)
            for (int64_t i = 0, start = 0; i < s.query_length; i++) {
                int64_t key = i + s.key_length - s.query_length;
                if (rng_below(rng, 40) == 0)
                    start = key;
                q.starts[b * s.query_length + i] = (int32_t)start;
            }
    }
    return q;
}

static void free_problem(struct problem *q)
{
    tensor_free(&q->query);
    tensor_free(&q->key);
    tensor_free(&q->value);
    tensor_free(&q->gradient);
    free(q->starts);
    free(q->key_lengths);
}

/* Rows of `width` without the gaps. */
static double *dense(const struct tensor *tensor, int64_t width)
{
    int64_t rows = tensor->count / (width + GAP);
    double *result = doubles(rows * width);
    for (int64_t i = 0; i < rows; i++)
        memcpy(result + i * width, tensor->values + i * (width + GAP), (size_t)width * sizeof *result);
    return result;
}

static struct attention_forward describe(const struct problem *q, void *output, float *log_sum_exp)
{
    int64_t row = q->width + GAP, kv_row = q->kv_width + GAP;
    return (struct attention_forward){
        .batch = q->s.batch,
        .query_length = q->s.query_length,
        .key_length = q->s.key_length,
        .heads = q->s.heads,
        .kv_heads = q->s.kv_heads,
        .head_size = q->s.head_size,
        .query = q->query.data,
        .key = q->key.data,
        .value = q->value.data,
        .query_row_stride = row,
        .key_row_stride = kv_row,
        .value_row_stride = kv_row,
        .output_row_stride = row,
        .query_batch_stride = q->s.query_length * row,
        .key_batch_stride = q->s.key_length * kv_row,
        .value_batch_stride = q->s.key_length * kv_row,
        .output_batch_stride = q->s.query_length * row,
        .output = output,
        .log_sum_exp = log_sum_exp,
        .starts = q->starts,
        .key_lengths = q->key_lengths,
        .scale = (float)q->scale,
        .type = q->type,
    };
}

struct result {
    struct tensor output, log_sum_exp, grad_query, grad_key, grad_value;
};

static struct result run_once(struct problem *q, int threads, bool backward)
{
    struct result r = {.output = tensor_make(q->type, q->query.count),
                       .log_sum_exp = tensor_make(DTYPE_F32, q->s.batch * q->s.heads * q->s.query_length)};
    tensor_fill_gaps(&r.output, q->width, q->width + GAP, 7);
    struct attention_forward f = describe(q, r.output.data, r.log_sum_exp.data);
    const struct kernels *kernels = kernels_cpu();
    assert_ok(kernels->attention_forward(test_context(threads, kernels->attention_forward_scratch_size(&f)), &f));
    tensor_check_gaps("output", &r.output, q->width, q->width + GAP, 7);
    if (!backward)
        return r;
    tensor_fill_gaps(&r.output, q->width, q->width + GAP, NAN);
    r.grad_query = tensor_make(q->type, q->query.count);
    r.grad_key = tensor_make(q->type, q->key.count);
    r.grad_value = tensor_make(q->type, q->value.count);
    tensor_fill_gaps(&r.grad_query, q->width, q->width + GAP, 7);
    tensor_fill_gaps(&r.grad_key, q->kv_width, q->kv_width + GAP, 7);
    tensor_fill_gaps(&r.grad_value, q->kv_width, q->kv_width + GAP, 7);
    struct attention_backward p = {f, q->gradient.data, r.grad_query.data, r.grad_key.data, r.grad_value.data};
    assert_ok(kernels->attention_backward(test_context(threads, kernels->attention_backward_scratch_size(&p)), &p));
    tensor_check_gaps("grad_query", &r.grad_query, q->width, q->width + GAP, 7);
    tensor_check_gaps("grad_key", &r.grad_key, q->kv_width, q->kv_width + GAP, 7);
    tensor_check_gaps("grad_value", &r.grad_value, q->kv_width, q->kv_width + GAP, 7);
    return r;
}

static void free_result(struct result *r)
{
    tensor_free(&r->output);
    tensor_free(&r->log_sum_exp);
    tensor_free(&r->grad_query);
    tensor_free(&r->grad_key);
    tensor_free(&r->grad_value);
}

static struct result run(struct problem *q, bool backward)
{
    struct result first = run_once(q, 1, backward);
    const int threads[] = {2, 3, 2};
    for (int i = 0; i < 3; i++) {
        struct result next = run_once(q, threads[i], backward);
        assert_same_bits("log_sum_exp", &first.log_sum_exp, &next.log_sum_exp);
        tensor_fill_gaps(&first.output, q->width, q->width + GAP, 7);
        tensor_fill_gaps(&next.output, q->width, q->width + GAP, 7);
        assert_same_bits("output", &first.output, &next.output);
        if (backward) {
            assert_same_bits("grad_query", &first.grad_query, &next.grad_query);
            assert_same_bits("grad_key", &first.grad_key, &next.grad_key);
            assert_same_bits("grad_value", &first.grad_value, &next.grad_value);
        }
        free_result(&next);
    }
    return first;
}

/* Relative norm of the difference over the dense values, and no single one far off. */
static void compare(const char *what, struct tensor *actual, int64_t width, const double *expected, double tolerance)
{
    tensor_read(actual);
    double *values = dense(actual, width);
    int64_t count = actual->count / (width + GAP) * width;
    double difference = 0, norm = 0, worst = 0;
    for (int64_t i = 0; i < count; i++) {
        double error = fabs(values[i] - expected[i]);
        if (!(error <= INFINITY))
            fail_msg("%s[%lld] is %g", what, (long long)i, values[i]);
        difference += error * error;
        norm += expected[i] * expected[i];
        worst = fmax(worst, error);
    }
    free(values);
    /* gradients of scores that have one key are zero: their rounding is measured against values of size 0.01 */
    double size = sqrt(norm / (double)count) + 0.01, relative = sqrt(difference / (double)count) / size;
    if (!(relative <= tolerance) || !(worst <= 60 * tolerance * size))
        fail_msg("%s: relative norm of the difference %.3g (allowed %.3g), largest %.3g of values around %.3g", what,
                 relative, tolerance, worst, size);
}

static void check(struct problem *q, bool backward, double tolerance)
{
    struct shape s = q->s;
    int64_t queries = s.batch * s.query_length * q->width, keys = s.batch * s.key_length * q->kv_width;
    double *query = dense(&q->query, q->width), *key = dense(&q->key, q->kv_width);
    double *value = dense(&q->value, q->kv_width), *gradient = dense(&q->gradient, q->width);
    double *expected = doubles(2 * queries + 2 * keys + s.batch * s.heads * s.query_length);
    double *grad_query = expected + queries, *grad_key = grad_query + queries, *grad_value = grad_key + keys;
    double *log_sum_exp = grad_value + keys;
    struct reference_attention p = {s.batch,    s.query_length, s.key_length,   s.heads,
                                    s.kv_heads, s.head_size,    query,          key,
                                    value,      q->starts,      q->key_lengths, q->scale};
    reference_attention(&p, expected, log_sum_exp);
    struct result r = run(q, backward);
    compare("output", &r.output, q->width, expected, tolerance);
    assert_tensor("log_sum_exp", &r.log_sum_exp, log_sum_exp, 2e-5, 0);
    if (backward) {
        reference_attention_backward(&p, gradient, grad_query, grad_key, grad_value);
        compare("grad_query", &r.grad_query, q->width, grad_query, 3 * tolerance);
        compare("grad_key", &r.grad_key, q->kv_width, grad_key, 3 * tolerance);
        compare("grad_value", &r.grad_value, q->kv_width, grad_value, 3 * tolerance);
    }
    free_result(&r);
    free(query);
    free(key);
    free(value);
    free(gradient);
    free(expected);
}

static const struct shape training[] = {
    {1, 1, 1, 1, 1, 2},     {2, 3, 3, 2, 1, 6},     {1, 31, 31, 4, 2, 32},    {2, 64, 64, 2, 2, 8},
    {2, 113, 113, 4, 4, 7}, {1, 257, 257, 6, 2, 9}, {1, 129, 129, 2, 1, 130}, {1, 203, 203, 3, 1, 64},
};
enum { TRAINING = sizeof training / sizeof *training };

static void f32_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < TRAINING; s++)
        for (int documents = 0; documents < 2; documents++) {
            struct problem q = make_problem(&rng, training[s], DTYPE_F32, documents, 1);
            check(&q, true, 1e-6);
            free_problem(&q);
        }
}

/* Scores of size 100: one key takes nearly everything. */
static void peaked_scores(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    struct problem q = make_problem(&rng, (struct shape){1, 150, 150, 2, 1, 16}, DTYPE_F32, true, 5);
    check(&q, true, 2e-5);
    free_problem(&q);
}

/* Inputs are exact in bf16 and products f32: what remains is the rounding of the stored output (and, in the
 * gradients, of the output that delta reads), an error of uniformly spread thirds of a rounding in the norm. */
static void bf16_rounds_once(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    for (int s = 0; s < TRAINING; s++)
        for (int documents = 0; documents < 2; documents++) {
            struct problem q = make_problem(&rng, training[s], DTYPE_BF16, documents, 1);
            check(&q, true, BF16_ROUNDING);
            free_problem(&q);
        }
}

static void cached_decoding(void **state)
{
    (void)state;
    const struct shape shapes[] = {{3, 1, 200, 4, 2, 16}, {2, 5, 133, 2, 1, 32}, {1, 70, 300, 2, 2, 8}};
    struct rng rng = test_rng(4);
    for (int s = 0; s < 3; s++)
        for (int type = DTYPE_F32; type <= DTYPE_BF16; type++)
            for (int lengths = 0; lengths < 2; lengths++) {
                struct problem q = make_problem(&rng, shapes[s], (enum dtype)type, false, 1);
                if (lengths) {
                    q.key_lengths = calloc((size_t)shapes[s].batch, sizeof *q.key_lengths);
                    assert_non_null(q.key_lengths);
                    for (int64_t b = 0; b < shapes[s].batch; b++) {
                        uint64_t room = (uint64_t)(shapes[s].key_length - shapes[s].query_length + 1);
                        q.key_lengths[b] = (int32_t)(shapes[s].query_length + (int64_t)rng_below(&rng, room));
                        /* what lies behind a row's keys is not read */
                        int64_t row = q.kv_width + GAP;
                        for (int64_t i = q.key_lengths[b] * row; i < shapes[s].key_length * row; i++) {
                            tensor_set(&q.key, b * shapes[s].key_length * row + i, NAN);
                            tensor_set(&q.value, b * shapes[s].key_length * row + i, NAN);
                        }
                    }
                }
                check(&q, false, type == DTYPE_F32 ? 1e-6 : BF16_ROUNDING);
                free_problem(&q);
            }
}

/* The output of a token is the same to the bit whether its row is computed whole, token by token, or by chunks. */
static void chunks_have_the_bits_of_the_whole(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        struct problem q = make_problem(&rng, (struct shape){2, 150, 150, 4, 2, 24}, (enum dtype)type, false, 1);
        struct result whole = run_once(&q, 1, false);
        for (int64_t step = 1; step <= 150; step += 48)
            for (int64_t first = 0; first + step <= 150; first += step) {
                struct tensor output = tensor_copy(&whole.output);
                struct attention_forward f = describe(&q, output.data, NULL);
                size_t size = dtype_size(q.type), offset = (size_t)(first * f.query_row_stride) * size;
                memset((char *)output.data + offset, 0xCD, (size_t)(step * f.output_row_stride - GAP) * size);
                f.query_length = step;
                f.key_length = first + step;
                f.query = (const char *)f.query + offset;
                f.output = (char *)f.output + offset;
                f.batch = 1;
                assert_ok(kernels_cpu()->attention_forward(test_context(2, 0), &f));
                tensor_fill_gaps(&output, q.width, q.width + GAP, 7);
                assert_same_bits("a chunk", &whole.output, &output);
                tensor_free(&output);
            }
        free_result(&whole);
        free_problem(&q);
    }
}

struct loss {
    struct reference_attention p;
    const double *gradient;
    double *output, *log_sum_exp;
    int64_t count;
};

static double loss(void *argument)
{
    struct loss *l = argument;
    reference_attention(&l->p, l->output, l->log_sum_exp);
    return dot_product(l->output, l->gradient, l->count);
}

static void the_reference_has_the_right_gradient(void **state)
{
    (void)state;
    struct rng rng = test_rng(6);
    struct problem q = make_problem(&rng, (struct shape){2, 13, 13, 4, 2, 6}, DTYPE_F32, true, 1);
    int64_t queries = q.s.batch * q.s.query_length * q.width, keys = q.s.batch * q.s.key_length * q.kv_width;
    double *query = dense(&q.query, q.width), *key = dense(&q.key, q.kv_width), *value = dense(&q.value, q.kv_width);
    double *gradient = dense(&q.gradient, q.width);
    double *memory = doubles(3 * queries + 2 * keys);
    double *grad_query = memory + 2 * queries, *grad_key = grad_query + queries, *grad_value = grad_key + keys;
    struct loss l = {
        {2, 13, 13, 4, 2, 6, query, key, value, q.starts, NULL, q.scale}, gradient, memory, memory + queries, queries};
    reference_attention_backward(&l.p, gradient, grad_query, grad_key, grad_value);
    check_gradient("query", loss, &l, query, grad_query, queries, &rng);
    check_gradient("key", loss, &l, key, grad_key, keys, &rng);
    check_gradient("value", loss, &l, value, grad_value, keys, &rng);
    free(query);
    free(key);
    free(value);
    free(gradient);
    free(memory);
    free_problem(&q);
}

static void nan_is_not_hidden(void **state)
{
    (void)state;
    struct rng rng = test_rng(7);
    for (int which = 0; which < 3; which++)
        for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
            struct problem q = make_problem(&rng, (struct shape){1, 100, 100, 1, 1, 16}, (enum dtype)type, false, 1);
            int64_t token = 70;
            tensor_set(which == 0 ? &q.query : which == 1 ? &q.key : &q.value, token * (16 + GAP) + 3, NAN);
            struct result r = run(&q, true);
            tensor_read(&r.output);
            tensor_read(&r.grad_query);
            /* the queries that see it: the token's own, or all from it on */
            for (int64_t i = token; i < (which == 0 ? token + 1 : 100); i++) {
                assert_true(isnan(r.output.values[i * (16 + GAP) + 3]));
                assert_true(isnan(r.grad_query.values[i * (16 + GAP) + 3]));
            }
            assert_true(isfinite(r.output.values[10 * (16 + GAP)]));
            free_result(&r);
            free_problem(&q);
        }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct rng rng = test_rng(8);
    struct problem q = make_problem(&rng, (struct shape){1, 2, 4, 2, 1, 4}, DTYPE_F32, false, 1);
    struct tensor output = tensor_make(DTYPE_F32, q.query.count);
    const struct attention_forward good = describe(&q, output.data, NULL);
    const struct device_context *context = test_context(1, 0);
    assert_refused(attention_forward, good, p.batch = -1, "batch -1");
    assert_refused(attention_forward, good, p.kv_heads = 3, "2 heads over 3");
    assert_refused(attention_forward, good, p.kv_heads = 0, "heads");
    assert_refused(attention_forward, good, p.head_size = 0, "head size 0");
    assert_refused(attention_forward, good, p.head_size = 513, "head size 513");
    assert_refused(attention_forward, good, p.query = NULL, "null");
    assert_refused(attention_forward, good, p.value = NULL, "null");
    assert_refused(attention_forward, good, p.type = DTYPE_I32, "type");
    assert_refused(attention_forward, good, p.key_row_stride = 3, "stride");
    struct attention_backward b = {good, q.gradient.data, output.data, q.key.data, q.value.data};
    assert_fails(kernels_cpu()->attention_backward(context, &b), STATUS_INTERNAL, "2 queries but 4 keys");
    b.forward.key_length = 2;
    assert_fails(kernels_cpu()->attention_backward(context, &b), STATUS_INTERNAL, "null");
    float log_sum_exp[4];
    b.forward.log_sum_exp = log_sum_exp;
    struct device_context small = *context;
    small.scratch_bytes = 8;
    assert_fails(kernels_cpu()->attention_backward(&small, &b), STATUS_INTERNAL, "scratch");
    tensor_free(&output);
    free_problem(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_has_the_right_gradient),
        cmocka_unit_test(f32_equals_the_reference),
        cmocka_unit_test(peaked_scores),
        cmocka_unit_test(bf16_rounds_once),
        cmocka_unit_test(cached_decoding),
        cmocka_unit_test(chunks_have_the_bits_of_the_whole),
        cmocka_unit_test(nan_is_not_hidden),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
