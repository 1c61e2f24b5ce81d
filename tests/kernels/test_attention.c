/* Attention: forward and backward against a plain double computation of the whole T x T scores, causal and bidirectional,
 * with grouped heads, packed documents, gaps, cached decoding, odd sizes. */
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
    bool bidirectional;
    struct tensor query, key, value, gradient;
    struct tensor starts, key_lengths; /* I32; empty: none */
    int64_t width, kv_width;           /* H * D, G * D */
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
        q.starts = tensor_zero(DTYPE_I32, s.batch * s.query_length);
        for (int64_t b = 0; b < s.batch; b++)
            for (int64_t i = 0, start = 0; i < s.query_length; i++) {
                int64_t key = i + s.key_length - s.query_length;
                if (rng_below(rng, 40) == 0)
                    start = key;
                tensor_set(&q.starts, b * s.query_length + i, (double)start);
            }
    }
    return q;
}

static void free_problem(struct problem *q)
{
    struct tensor *all[] = {&q->query, &q->key, &q->value, &q->gradient, &q->starts, &q->key_lengths};
    for (int i = 0; i < 6; i++)
        tensor_free(all[i]);
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

static const int32_t *indices(struct tensor *tensor)
{
    return tensor->memory ? tensor_device(tensor) : NULL;
}

static struct attention_forward describe(struct problem *q, struct tensor *output, struct tensor *log_sum_exp)
{
    int64_t row = q->width + GAP, kv_row = q->kv_width + GAP;
    return (struct attention_forward){
        .batch = q->s.batch,
        .query_length = q->s.query_length,
        .key_length = q->s.key_length,
        .heads = q->s.heads,
        .kv_heads = q->s.kv_heads,
        .head_size = q->s.head_size,
        .query = tensor_device(&q->query),
        .key = tensor_device(&q->key),
        .value = tensor_device(&q->value),
        .query_row_stride = row,
        .key_row_stride = kv_row,
        .value_row_stride = kv_row,
        .output_row_stride = row,
        .query_batch_stride = q->s.query_length * row,
        .key_batch_stride = q->s.key_length * kv_row,
        .value_batch_stride = q->s.key_length * kv_row,
        .output_batch_stride = q->s.query_length * row,
        .output = tensor_device(output),
        .log_sum_exp = log_sum_exp ? tensor_device(log_sum_exp) : NULL,
        .starts = indices(&q->starts),
        .key_lengths = indices(&q->key_lengths),
        .bidirectional = q->bidirectional,
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
    struct attention_forward f = describe(q, &r.output, &r.log_sum_exp);
    const struct kernels *kernels = test_kernels();
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
    f.output = tensor_device(&r.output);
    struct attention_backward p = {f, tensor_device(&q->gradient), tensor_device(&r.grad_query),
                                   tensor_device(&r.grad_key), tensor_device(&r.grad_value)};
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
    for (int i = 0; i < test_repeats(4) - 1; i++) {
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

/* The same problem for the double computation, on dense arrays. */
static struct reference_attention reference_of(struct problem *q, const double *query, const double *key,
                                               const double *value)
{
    return (struct reference_attention){.batch = q->s.batch,
                                        .query_length = q->s.query_length,
                                        .key_length = q->s.key_length,
                                        .heads = q->s.heads,
                                        .kv_heads = q->s.kv_heads,
                                        .head_size = q->s.head_size,
                                        .query = query,
                                        .key = key,
                                        .value = value,
                                        .starts = q->starts.memory ? tensor_host(&q->starts) : NULL,
                                        .key_lengths = q->key_lengths.memory ? tensor_host(&q->key_lengths) : NULL,
                                        .bidirectional = q->bidirectional,
                                        .scale = q->scale};
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
    struct reference_attention p = reference_of(q, query, key, value);
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
    {3, 5, 5, 2, 2, 3},     {1, 15, 15, 8, 1, 5},   {2, 17, 17, 2, 1, 12},
};
enum { TRAINING = sizeof training / sizeof *training };
/* where kernels are slow: around the ends of CUDA's tiles, 16 queries and 32 keys, and of its chunks of 64 elements */
static const struct shape short_training[TRAINING] = {
    {1, 1, 1, 1, 1, 2},   {2, 3, 3, 2, 1, 6},   {1, 31, 31, 4, 2, 32},  {2, 64, 64, 1, 1, 8},
    {2, 49, 49, 2, 2, 7}, {1, 97, 97, 3, 1, 9}, {1, 33, 33, 2, 1, 130}, {1, 65, 65, 3, 1, 64},
    {3, 5, 5, 2, 2, 3},   {1, 15, 15, 8, 1, 5}, {2, 17, 17, 2, 1, 12},
};

static void f32_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < TRAINING; s++)
        for (int documents = 0; documents < 2; documents++) {
            struct problem q =
                make_problem(&rng, (test_kernels_slow() ? short_training : training)[s], DTYPE_F32, documents, 1);
            check(&q, true, 1e-6);
            free_problem(&q);
        }
}

/* Queries that see keys behind them, as an encoder's do, over whole rows and over documents that only begin. */
static void bidirectional_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(9);
    for (int s = 0; s < 2 * TRAINING; s++)
        for (int documents = 0; documents < 2; documents++) {
            if (test_kernels_slow() && documents != (s / 2 + s) % 2)
                continue;
            enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
            struct problem q =
                make_problem(&rng, (test_kernels_slow() ? short_training : training)[s / 2], type, documents, 1);
            q.bidirectional = true;
            check(&q, true, type == DTYPE_F32 ? 1e-6 : BF16_ROUNDING);
            free_problem(&q);
        }
}

/* What lies behind a row's keys is not read. */
static void set_key_length(struct problem *q, int64_t b, int64_t length)
{
    const int64_t row = q->kv_width + GAP;
    tensor_set(&q->key_lengths, b, (double)length);
    for (int64_t i = (b * q->s.key_length + length) * row; i < (b + 1) * q->s.key_length * row; i++) {
        tensor_set(&q->key, i, NAN);
        tensor_set(&q->value, i, NAN);
    }
}

/* As many keys as each row says, also none, also fewer or more than queries. */
static void rows_have_their_own_keys(void **state)
{
    (void)state;
    struct rng rng = test_rng(10);
    const struct shape shapes[] = {{4, 9, 140, 4, 2, 16}, {4, 150, 33, 2, 1, 8}};
    for (int s = 0; s < 8; s++) {
        enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        struct problem q = make_problem(&rng, shapes[s / 4], type, false, 1);
        const int64_t lengths[4] = {q.s.key_length, 0, 1, q.s.key_length / 2};
        q.bidirectional = s & 2;
        q.key_lengths = tensor_zero(DTYPE_I32, 4);
        for (int64_t b = 0; b < 4; b++) {
            set_key_length(&q, b, lengths[b]);
        }
        check(&q, false, type == DTYPE_F32 ? 1e-6 : BF16_ROUNDING);
        free_problem(&q);
    }
}

/* An encoder's batch of padded rows: keys and values behind a row's length are NaN, the gradient of its padded queries is
 * 0. All gradients are those of the reference, those behind the length 0, and a row's bits are those of the row alone. */
static void padded_rows_of_an_encoder(void **state)
{
    (void)state;
    struct rng rng = test_rng(12);
    static const struct shape full[] = {{4, 31, 31, 4, 2, 16}, {4, 150, 150, 2, 2, 8}, {4, 129, 129, 3, 3, 64}};
    static const struct shape small[] = {{4, 31, 31, 4, 2, 16}, {4, 66, 66, 2, 2, 8}, {4, 49, 49, 3, 3, 64}};
    const struct shape *shapes = test_kernels_slow() ? small : full;
    for (int s = 0; s < 12; s++) {
        enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        if (test_kernels_slow() && (s + s / 2 + s / 4) % 2 == 1) /* of each shape both types and both directions */
            continue;
        struct problem q = make_problem(&rng, shapes[s / 4], type, false, 1);
        const int64_t length = q.s.key_length, lengths[4] = {length, 0, 1, (2 * length + 2) / 3};
        q.bidirectional = s & 2;
        q.key_lengths = tensor_zero(DTYPE_I32, 4);
        for (int64_t b = 0; b < 4; b++) {
            set_key_length(&q, b, lengths[b]);
            for (int64_t t = lengths[b]; t < length; t++)
                for (int64_t i = 0; i < q.width; i++)
                    tensor_set(&q.gradient, (b * length + t) * (q.width + GAP) + i, 0);
        }
        check(&q, true, type == DTYPE_F32 ? 1e-6 : BF16_ROUNDING);
        struct result all = run_once(&q, 2, true);
        struct problem one = make_problem(
            &rng, (struct shape){1, lengths[3], lengths[3], q.s.heads, q.s.kv_heads, q.s.head_size}, type, false, 1);
        struct tensor *from[] = {&q.query, &q.key, &q.value, &q.gradient};
        struct tensor *to[] = {&one.query, &one.key, &one.value, &one.gradient};
        for (int k = 0; k < 4; k++)
            for (int64_t i = 0; i < to[k]->count; i++)
                tensor_set(to[k], i, from[k]->values[3 * (from[k]->count / 4) + i]);
        one.bidirectional = q.bidirectional;
        struct result alone = run_once(&one, 1, true);
        struct tensor *whole[] = {&all.grad_query, &all.grad_key, &all.grad_value};
        struct tensor *part[] = {&alone.grad_query, &alone.grad_key, &alone.grad_value};
        for (int k = 0; q.bidirectional && k < 3; k++) {
            size_t skip = (size_t)(3 * (whole[k]->count / 4)) * dtype_size(type);
            assert_memory_equal((const char *)tensor_host(whole[k]) + skip, tensor_host(part[k]),
                                (size_t)part[k]->count * dtype_size(type));
        }
        free_result(&all);
        free_result(&alone);
        free_problem(&q);
        free_problem(&one);
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
            struct problem q =
                make_problem(&rng, (test_kernels_slow() ? short_training : training)[s], DTYPE_BF16, documents, 1);
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
                    q.key_lengths = tensor_zero(DTYPE_I32, shapes[s].batch);
                    for (int64_t b = 0; b < shapes[s].batch; b++) {
                        uint64_t room = (uint64_t)(shapes[s].key_length - shapes[s].query_length + 1);
                        int64_t length = shapes[s].query_length + (int64_t)rng_below(&rng, room);
                        set_key_length(&q, b, length);
                    }
                }
                check(&q, false, type == DTYPE_F32 ? 1e-6 : BF16_ROUNDING);
                free_problem(&q);
            }
}

/* On the cpu the output of a token is the same to the bit whether its row is computed whole, token by token, or by chunks. */
static void chunks_have_the_bits_of_the_whole(void **state)
{
    (void)state;
    if (!test_kernels_cpu())
        skip();
    struct rng rng = test_rng(5);
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        struct problem q = make_problem(&rng, (struct shape){2, 150, 150, 4, 2, 24}, (enum dtype)type, false, 1);
        struct result whole = run_once(&q, 1, false);
        for (int64_t step = 1; step <= 150; step += 48)
            for (int64_t first = 0; first + step <= 150; first += step) {
                struct tensor output = tensor_copy(&whole.output);
                int64_t row = q.width + GAP;
                for (int64_t i = first * row; i < (first + step) * row - GAP; i++)
                    if (i % row < q.width)
                        tensor_set(&output, i, NAN);
                struct attention_forward f = describe(&q, &output, NULL);
                size_t offset = (size_t)(first * row) * dtype_size(q.type);
                f.query_length = step;
                f.key_length = first + step;
                f.query = (const char *)f.query + offset;
                f.output = (char *)f.output + offset;
                f.batch = 1;
                assert_ok(test_kernels()->attention_forward(test_context(2, 0), &f));
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

static void check_reference(bool bidirectional)
{
    struct rng rng = test_rng(6);
    struct problem q = make_problem(&rng, (struct shape){2, 13, 13, 4, 2, 6}, DTYPE_F32, true, 1);
    q.bidirectional = bidirectional;
    int64_t queries = q.s.batch * q.s.query_length * q.width, keys = q.s.batch * q.s.key_length * q.kv_width;
    double *query = dense(&q.query, q.width), *key = dense(&q.key, q.kv_width), *value = dense(&q.value, q.kv_width);
    double *gradient = dense(&q.gradient, q.width);
    double *memory = doubles(3 * queries + 2 * keys);
    double *grad_query = memory + 2 * queries, *grad_key = grad_query + queries, *grad_value = grad_key + keys;
    struct loss l = {reference_of(&q, query, key, value), gradient, memory, memory + queries, queries};
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

static void the_reference_has_the_right_gradient(void **state)
{
    (void)state;
    check_reference(false);
    check_reference(true);
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

/* Starts that step back or lie before the first key, lengths outside: forward and backward alike. */
static void wrong_indices_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(11);
    const struct {
        int64_t place;
        double value;
        const char *text;
    } wrong[] = {
        {5, -1, "query 5 of row 0 starts at key -1, the one before it at 0"},
        {9 + 3, 1, "query 3 of row 1 starts at key 1, the one before it at 2"},
        {9, -2147483648.0, "query 0 of row 1 starts at key -2147483648, the one before it at 0"},
    };
    for (int i = 0; i < 3; i++) {
        struct problem q = make_problem(&rng, (struct shape){2, 9, 9, 2, 1, 4}, DTYPE_F32, true, 1);
        struct result r = run_once(&q, 1, true);
        for (int64_t t = 0; t < 18; t++)
            tensor_set(&q.starts, t, t < 9 + 2 ? 0 : 2);
        tensor_set(&q.starts, wrong[i].place, wrong[i].value);
        const struct attention_forward forward = describe(&q, &r.output, &r.log_sum_exp);
        const struct attention_backward backward = {forward, tensor_device(&q.gradient), tensor_device(&r.grad_query),
                                                    tensor_device(&r.grad_key), tensor_device(&r.grad_value)};
        assert_faults(attention_forward, forward, (void)p, wrong[i].text);
        assert_faults(attention_backward, backward, (void)p, wrong[i].text);
        free_result(&r); /* whose bands are looked at */
        free_problem(&q);
    }
    for (int i = 0; i < 2; i++) {
        struct problem q = make_problem(&rng, (struct shape){2, 3, 9, 2, 1, 4}, DTYPE_F32, false, 1);
        struct tensor output = tensor_zero(DTYPE_F32, q.query.count);
        q.key_lengths = tensor_zero(DTYPE_I32, 2);
        tensor_set(&q.key_lengths, 1, i ? 10 : -1);
        const struct attention_forward forward = describe(&q, &output, NULL);
        assert_faults(attention_forward, forward, (void)p,
                      i ? "key length 1 of 2 is 10, outside 0..9" : "key length 1 of 2 is -1, outside 0..9");
        tensor_free(&output);
        free_problem(&q);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct rng rng = test_rng(8);
    struct problem q = make_problem(&rng, (struct shape){1, 2, 4, 2, 1, 4}, DTYPE_F32, false, 1);
    struct tensor output = tensor_make(DTYPE_F32, q.query.count);
    const struct attention_forward good = describe(&q, &output, NULL);
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
    struct attention_backward b = {good, tensor_device(&q.gradient), tensor_device(&output), tensor_device(&q.key),
                                   tensor_device(&q.value)};
    assert_refused(attention_backward, b, (void)p, "attention_backward: 2 queries but 4 keys");
    b.forward.key_length = 2;
    assert_refused(attention_backward, b, (void)p, "null");
    struct tensor log_sum_exp = tensor_make(DTYPE_F32, 4);
    b.forward.log_sum_exp = tensor_device(&log_sum_exp);
    assert_refused(attention_backward, b, p.grad_value = NULL, "null");
    assert_refused(attention_backward, b, p.grad_output = NULL, "null");
    assert_refused(attention_backward, b, p.forward.heads = 0, "attention_backward: 0 heads");
    struct device_context small = *context;
    small.scratch_bytes = 8;
    assert_fails(test_kernels()->attention_backward(&small, &b), STATUS_INTERNAL, "scratch");
    tensor_free(&log_sum_exp);
    tensor_free(&output);
    free_problem(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_has_the_right_gradient),
        cmocka_unit_test(f32_equals_the_reference),
        cmocka_unit_test(bidirectional_equals_the_reference),
        cmocka_unit_test(rows_have_their_own_keys),
        cmocka_unit_test(padded_rows_of_an_encoder),
        cmocka_unit_test(peaked_scores),
        cmocka_unit_test(bf16_rounds_once),
        cmocka_unit_test(cached_decoding),
        cmocka_unit_test(chunks_have_the_bits_of_the_whole),
        cmocka_unit_test(nan_is_not_hidden),
        cmocka_unit_test(wrong_indices_are_faults),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
