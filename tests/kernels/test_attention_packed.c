/* Attention in bf16 over rows as the model lays them out, q|k|v of a token side by side and every head a whole number of 16
 * bytes: the shape that a GPU's tensor cores take (kernels/cuda/attention_tensor.h), while test_attention.c has gaps that
 * they refuse. Probabilities and the gradients of scores may there be rounded to bf16 before the second product, so the
 * bound is that of a plain computation with just those roundings: an error of at most twice its own. */
#include "support/kernel_harness.h"
#include "support/reference_kernels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct shape {
    int64_t batch, length, heads, kv_heads, head_size;
    bool bidirectional, documents, lengths; /* documents: packed; lengths: each row its own number of keys */
    int64_t gap;                            /* elements of NaN between the rows */
    bool growing;                           /* keys that grow along the row: maxima of scores do, too */
};

struct problem {
    struct shape s;
    int64_t width, kv_width, row; /* H * D, G * D, their sum with k and v */
    struct tensor rows, gradient; /* [B][T][q|k|v], [B][T][H D] */
    struct tensor starts, key_lengths;
    double scale;
};

static struct problem make_problem(struct rng *rng, struct shape s)
{
    struct problem q = {.s = s, .width = s.heads * s.head_size, .kv_width = s.kv_heads * s.head_size};
    const int64_t tokens = s.batch * s.length;
    q.row = q.width + 2 * q.kv_width + s.gap;
    q.scale = 1 / sqrt((double)s.head_size);
    q.rows = tensor_normal(rng, DTYPE_BF16, tokens * q.row, 1);
    q.gradient = tensor_normal(rng, DTYPE_BF16, tokens * q.width, 1);
    q.starts = tensor_zero(DTYPE_I32, tokens);
    q.key_lengths = tensor_zero(DTYPE_I32, s.batch);
    if (s.gap)
        tensor_fill_gaps(&q.rows, q.row - s.gap, q.row, NAN);
    for (int64_t i = 0; s.growing && i < tokens; i++)
        for (int64_t j = q.width; j < q.width + q.kv_width; j++)
            tensor_set(&q.rows, i * q.row + j, q.rows.values[i * q.row + j] * (1 + (double)(i % s.length) / 16));
    for (int64_t i = 0, start = 0; i < tokens; i++) {
        if (i % s.length == 0)
            start = 0;
        else if (rng_below(rng, 20) == 0)
            start = i % s.length;
        tensor_set(&q.starts, i, (double)start);
    }
    for (int64_t b = 0; b < s.batch; b++) {
        const int64_t length = b % 3 == 0 ? s.length : b % 3 == 1 ? s.length * 2 / 3 : 1;
        tensor_set(&q.key_lengths, b, (double)length);
        for (int64_t t = length; s.lengths && t < s.length; t++) /* what lies behind a row's keys is not read */
            for (int64_t j = q.width; j < q.width + 2 * q.kv_width; j++)
                tensor_set(&q.rows, (b * s.length + t) * q.row + j, NAN);
    }
    return q;
}

static void free_problem(struct problem *q)
{
    tensor_free(&q->rows);
    tensor_free(&q->gradient);
    tensor_free(&q->starts);
    tensor_free(&q->key_lengths);
}

/* Columns [first, first + width) of all rows, NaN as 0: the reference multiplies by probabilities of 0. */
static double *columns(const struct problem *q, int64_t first, int64_t width)
{
    const int64_t tokens = q->s.batch * q->s.length;
    double *result = doubles(tokens * width);
    for (int64_t i = 0; i < tokens; i++)
        for (int64_t j = 0; j < width; j++) {
            const double value = q->rows.values[i * q->row + first + j];
            result[i * width + j] = isnan(value) ? 0 : value;
        }
    return result;
}

/* ---- the plain computation with the roundings that are allowed ---- */

struct dense {
    double *query, *key, *value, *gradient;
    double *output, *log_sum_exp, *grad_query, *grad_key, *grad_value; /* exact */
    double *rounded[4];                                                /* output and the gradients, with roundings */
};

static bool sees(struct problem *q, int64_t b, int64_t i, int64_t j)
{
    const int64_t keys = q->s.lengths ? (int64_t)q->key_lengths.values[b] : q->s.length;
    const int64_t start = q->s.documents ? (int64_t)q->starts.values[b * q->s.length + i] : 0;
    return j >= start && j < keys && (q->s.bidirectional || j <= i + keys - q->s.length);
}

/* Adds what query i of head h gives, probabilities and gradients of scores rounded to bf16. */
static void add_query(struct problem *q, struct dense *d, int64_t b, int64_t h, int64_t i)
{
    const int64_t size = q->s.head_size, length = q->s.length, kv = h / (q->s.heads / q->s.kv_heads);
    const int64_t own = (b * length + i) * q->width + h * size;
    const double log_sum_exp = d->log_sum_exp[(b * q->s.heads + h) * length + i];
    double delta = 0;
    for (int64_t c = 0; c < size; c++)
        delta += round_to(DTYPE_BF16, d->output[own + c]) * d->gradient[own + c];
    for (int64_t j = 0; j < length; j++) {
        const int64_t other = (b * length + j) * q->kv_width + kv * size;
        if (!sees(q, b, i, j))
            continue;
        const double score = dot_product(d->query + own, d->key + other, size) * q->scale;
        const double probability = exp(score - log_sum_exp), p = round_to(DTYPE_BF16, probability);
        const double slope = dot_product(d->gradient + own, d->value + other, size);
        const double ds = round_to(DTYPE_BF16, probability * (slope - delta) * q->scale);
        for (int64_t c = 0; c < size; c++) {
            d->rounded[0][own + c] += p * d->value[other + c];
            d->rounded[1][own + c] += ds * d->key[other + c];
            d->rounded[2][other + c] += ds * d->query[own + c];
            d->rounded[3][other + c] += p * d->gradient[own + c];
        }
    }
}

static struct dense compute(struct problem *q)
{
    const int64_t tokens = q->s.batch * q->s.length, wide = tokens * q->width, narrow = tokens * q->kv_width;
    struct dense d = {.query = columns(q, 0, q->width),
                      .key = columns(q, q->width, q->kv_width),
                      .value = columns(q, q->width + q->kv_width, q->kv_width),
                      .gradient = q->gradient.values,
                      .output = doubles(wide),
                      .log_sum_exp = doubles(tokens * q->s.heads),
                      .grad_query = doubles(wide),
                      .grad_key = doubles(narrow),
                      .grad_value = doubles(narrow),
                      .rounded = {doubles(wide), doubles(wide), doubles(narrow), doubles(narrow)}};
    const struct reference_attention p = {.batch = q->s.batch,
                                          .query_length = q->s.length,
                                          .key_length = q->s.length,
                                          .heads = q->s.heads,
                                          .kv_heads = q->s.kv_heads,
                                          .head_size = q->s.head_size,
                                          .query = d.query,
                                          .key = d.key,
                                          .value = d.value,
                                          .starts = q->s.documents ? tensor_host(&q->starts) : NULL,
                                          .key_lengths = q->s.lengths ? tensor_host(&q->key_lengths) : NULL,
                                          .bidirectional = q->s.bidirectional,
                                          .scale = q->scale};
    reference_attention(&p, d.output, d.log_sum_exp);
    reference_attention_backward(&p, d.gradient, d.grad_query, d.grad_key, d.grad_value);
    for (int64_t b = 0; b < q->s.batch; b++)
        for (int64_t h = 0; h < q->s.heads; h++)
            for (int64_t i = 0; i < q->s.length; i++)
                add_query(q, &d, b, h, i);
    return d;
}

static void free_dense(struct dense *d)
{
    double *arrays[] = {d->query,    d->key,        d->value,      d->output,     d->log_sum_exp, d->grad_query,
                        d->grad_key, d->grad_value, d->rounded[0], d->rounded[1], d->rounded[2],  d->rounded[3]};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

/* ---- the comparison ---- */

/* `width` columns from `first` on of rows of `stride`, against what is exact; no error more than twice the plain one's. */
static void compare(const char *what, struct tensor *actual, int64_t first, int64_t stride, int64_t width,
                    const double *exact, const double *rounded)
{
    const int64_t rows = actual->count / stride;
    double error = 0, allowed = 0, size = 0, worst = 0;
    tensor_read(actual);
    for (int64_t i = 0; i < rows * width; i++) {
        const double found = actual->values[i / width * stride + first + i % width];
        if (!isfinite(found))
            fail_msg("%s[%lld] is %g", what, (long long)i, found);
        const double plain = round_to(DTYPE_BF16, rounded[i]) - exact[i];
        error += (found - exact[i]) * (found - exact[i]);
        allowed += plain * plain;
        size += exact[i] * exact[i];
        worst = fmax(worst, fabs(found - exact[i]));
    }
    const double count = (double)(rows * width), typical = sqrt(size / count) + 0.01;
    if (!(sqrt(error / count) <= 2 * sqrt(allowed / count) + 1e-6) || !(worst <= 60 * BF16_ROUNDING * typical))
        fail_msg("%s: error %.3g, a plain computation's %.3g; largest %.3g of values around %.3g", what,
                 sqrt(error / count), sqrt(allowed / count), worst, typical);
}

static struct attention_forward describe(struct problem *q, struct tensor *output, struct tensor *log_sum_exp)
{
    const char *rows = tensor_device(&q->rows);
    const int64_t bytes = (int64_t)dtype_size(DTYPE_BF16);
    if ((uintptr_t)rows % 16 || (uintptr_t)tensor_device(output) % 16)
        fail_msg("the harness no longer aligns its arrays: this test is about aligned ones");
    return (struct attention_forward){.batch = q->s.batch,
                                      .query_length = q->s.length,
                                      .key_length = q->s.length,
                                      .heads = q->s.heads,
                                      .kv_heads = q->s.kv_heads,
                                      .head_size = q->s.head_size,
                                      .query = rows,
                                      .key = rows + q->width * bytes,
                                      .value = rows + (q->width + q->kv_width) * bytes,
                                      .query_row_stride = q->row,
                                      .key_row_stride = q->row,
                                      .value_row_stride = q->row,
                                      .output_row_stride = q->width,
                                      .query_batch_stride = q->s.length * q->row,
                                      .key_batch_stride = q->s.length * q->row,
                                      .value_batch_stride = q->s.length * q->row,
                                      .output_batch_stride = q->s.length * q->width,
                                      .output = tensor_device(output),
                                      .log_sum_exp = tensor_device(log_sum_exp),
                                      .starts = q->s.documents ? tensor_device(&q->starts) : NULL,
                                      .key_lengths = q->s.lengths ? tensor_device(&q->key_lengths) : NULL,
                                      .bidirectional = q->s.bidirectional,
                                      .scale = (float)q->scale,
                                      .type = DTYPE_BF16};
}

/* On the emulator: that the work since test_traffic_begin was done on tensor cores and nowhere else is shown by there being
 * enough of it: `products` of all visible pairs, 2048 multiply-adds each. */
static void assert_tensor_cores(const struct shape *s, int products)
{
    struct test_traffic traffic;
    const int64_t pairs = s->documents || s->lengths ? 1 : s->length * (s->length + 1) / 2;
    const int64_t least = products * s->batch * s->heads * pairs * s->head_size / 2048;
    if (test_traffic_end(&traffic) && !(traffic.tensor_products > 0 && traffic.tensor_products >= least))
        fail_msg("%lld products of matrices on tensor cores, expected at least %lld",
                 (long long)traffic.tensor_products, (long long)least);
}

static void check(struct rng *rng, struct shape s)
{
    struct problem q = make_problem(rng, s);
    struct dense d = compute(&q);
    const struct kernels *kernels = test_kernels();
    const int64_t bytes = (int64_t)dtype_size(DTYPE_BF16), tokens = s.batch * s.length;
    struct tensor output = tensor_make(DTYPE_BF16, tokens * q.width), gradients = tensor_make(DTYPE_BF16, q.rows.count);
    struct tensor log_sum_exp = tensor_make(DTYPE_F32, tokens * s.heads);
    const struct attention_forward f = describe(&q, &output, &log_sum_exp);
    test_traffic_begin();
    assert_ok(kernels->attention_forward(test_context(2, kernels->attention_forward_scratch_size(&f)), &f));
    assert_tensor_cores(&s, 2);
    tensor_fill_gaps(&gradients, s.gap ? q.row - s.gap : q.row, q.row, -1);
    char *to = tensor_device(&gradients);
    test_traffic_begin();
    const struct attention_backward p = {f, tensor_device(&q.gradient), to, to + q.width * bytes,
                                         to + (q.width + q.kv_width) * bytes};
    assert_ok(kernels->attention_backward(test_context(2, kernels->attention_backward_scratch_size(&p)), &p));
    assert_tensor_cores(&s, 7);
    tensor_check_gaps("gradients", &gradients, s.gap ? q.row - s.gap : q.row, q.row, -1);
    compare("output", &output, 0, q.width, q.width, d.output, d.rounded[0]);
    assert_tensor("log_sum_exp", &log_sum_exp, d.log_sum_exp, 2e-5, 0);
    compare("grad_query", &gradients, 0, q.row, q.width, d.grad_query, d.rounded[1]);
    compare("grad_key", &gradients, q.width, q.row, q.kv_width, d.grad_key, d.rounded[2]);
    compare("grad_value", &gradients, q.width + q.kv_width, q.row, q.kv_width, d.grad_value, d.rounded[3]);
    tensor_free(&output);
    tensor_free(&gradients);
    tensor_free(&log_sum_exp);
    free_dense(&d);
    free_problem(&q);
}

/* ---- the tests ---- */

/* Lengths around those of tiles, with every number of heads per key/value head. */
static void whole_rows_and_documents(int64_t size)
{
    struct rng rng = test_rng((uint64_t)size);
    static const struct shape shapes[] = {
        {.batch = 1, .length = 1, .heads = 1, .kv_heads = 1},   {.batch = 1, .length = 31, .heads = 2, .kv_heads = 1},
        {.batch = 2, .length = 33, .heads = 1, .kv_heads = 1},  {.batch = 1, .length = 64, .heads = 1, .kv_heads = 1},
        {.batch = 1, .length = 65, .heads = 2, .kv_heads = 2},  {.batch = 3, .length = 70, .heads = 2, .kv_heads = 1},
        {.batch = 1, .length = 127, .heads = 4, .kv_heads = 2}, {.batch = 1, .length = 129, .heads = 8, .kv_heads = 1},
        {.batch = 1, .length = 193, .heads = 2, .kv_heads = 1}, {.batch = 1, .length = 261, .heads = 2, .kv_heads = 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct shape s = shapes[i];
        s.head_size = size;
        s.documents = i % 2 == (size_t)size / 32 % 2;
        s.gap = i % 3 == 0 ? 8 : 0;
        s.growing = i % 4 == 3;
        check(&rng, s);
    }
}

static void padded_and_bidirectional_rows(int64_t size)
{
    struct rng rng = test_rng((uint64_t)size + 1);
    for (int i = 0; i < 4; i++)
        check(&rng, (struct shape){.batch = 3,
                                   .growing = i == 3,
                                   .length = i < 2 ? 67 : 129,
                                   .heads = 2,
                                   .kv_heads = 1,
                                   .head_size = size,
                                   .bidirectional = i % 2 == 0,
                                   .documents = i == 2,
                                   .lengths = i != 2});
}

/* A test for each size, so that a run on another device may choose some of them by name. */
#define OF_SIZE(size)                                                                                                  \
    static void whole_rows_of_##size(void **state)                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        whole_rows_and_documents(size);                                                                                \
    }                                                                                                                  \
    static void padded_rows_of_##size(void **state)                                                                    \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        padded_and_bidirectional_rows(size);                                                                           \
    }
OF_SIZE(32)
OF_SIZE(64)
OF_SIZE(96)
OF_SIZE(128)

/* Copies rows between arrays whose rows lie `stride` elements apart and tensors that have them side by side, those that are
 * not NULL. */
static void move_rows(uint16_t *const *far, struct tensor *const *near, const int64_t *widths, int64_t stride,
                      int64_t rows, bool there)
{
    const struct device_context *context = test_context(1, 0);
    for (int i = 0; i < 4; i++) {
        if (!near[i])
            continue;
        uint16_t *side = tensor_device(near[i]);
        for (int64_t row = 0; row < rows; row++) {
            uint16_t *a = far[i] + row * stride, *b = side + row * widths[i];
            assert_ok(test_kernels()->copy(context, there ? a : b, there ? b : a, (size_t)widths[i] * sizeof *a));
        }
    }
    assert_ok(test_kernels()->synchronize(context));
}

/* Tokens more than 2^31 elements apart get the bits that they get side by side: rows of q|k|v, of outputs, and of both
 * gradients. */
static void strides_are_64_bits_wide(void **state)
{
    (void)state;
    enum { TOKENS = 3, SIZE = 64, ARRAYS = 4 /* q|k|v, its gradient, output, its gradient */ };
    const int64_t wide = (INT64_C(1) << 31) + 64, widths[ARRAYS] = {3 * SIZE, 3 * SIZE, SIZE, SIZE};
    struct rng rng = test_rng(3);
    struct problem q =
        make_problem(&rng, (struct shape){.batch = 1, .length = TOKENS, .heads = 1, .kv_heads = 1, .head_size = SIZE});
    struct tensor gradients = tensor_zero(DTYPE_BF16, q.rows.count), output = tensor_zero(DTYPE_BF16, TOKENS * SIZE);
    struct tensor log_sum_exp = tensor_make(DTYPE_F32, TOKENS);
    struct tensor *inputs[ARRAYS] = {&q.rows, NULL, NULL, &q.gradient}, found[ARRAYS];
    uint16_t *far[ARRAYS];
    for (int i = 0; i < ARRAYS; i++) {
        far[i] = test_sparse_memory((size_t)(wide * (TOKENS - 1) + widths[i]) * sizeof *far[i]);
        found[i] = tensor_zero(DTYPE_BF16, TOKENS * widths[i]);
    }
    const bool there = far[0] && far[1] && far[2] && far[3];
    for (int way = 0; way < (there ? 2 : 0); way++) {
        struct attention_forward f = describe(&q, &output, &log_sum_exp);
        struct attention_backward p = {f, tensor_device(&q.gradient), NULL, NULL, NULL};
        uint16_t *to = tensor_device(&gradients);
        if (way == 1) {
            move_rows(far, inputs, widths, wide, TOKENS, true);
            to = far[1];
            p.grad_output = far[3];
            f.query = far[0];
            f.key = far[0] + SIZE;
            f.value = far[0] + 2 * SIZE;
            f.output = far[2];
            f.query_row_stride = f.key_row_stride = f.value_row_stride = f.output_row_stride = wide;
        }
        p.forward = f;
        p.grad_query = to;
        p.grad_key = to + SIZE;
        p.grad_value = to + 2 * SIZE;
        const struct kernels *kernels = test_kernels();
        assert_ok(kernels->attention_forward(test_context(1, kernels->attention_forward_scratch_size(&f)), &f));
        assert_ok(kernels->attention_backward(test_context(1, kernels->attention_backward_scratch_size(&p)), &p));
    }
    struct tensor *results[ARRAYS] = {NULL, &found[1], &found[2], NULL};
    if (there) {
        move_rows(far, results, widths, wide, TOKENS, false);
        assert_same_bits("gradients", &gradients, &found[1]);
        assert_same_bits("output", &output, &found[2]);
    }
    for (int i = 0; i < ARRAYS; i++) {
        if (far[i])
            test_sparse_release(far[i]);
        tensor_free(&found[i]);
    }
    tensor_free(&gradients);
    tensor_free(&output);
    tensor_free(&log_sum_exp);
    free_problem(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_rows_of_32),         cmocka_unit_test(whole_rows_of_64),
        cmocka_unit_test(whole_rows_of_96),         cmocka_unit_test(whole_rows_of_128),
        cmocka_unit_test(padded_rows_of_32),        cmocka_unit_test(padded_rows_of_64),
        cmocka_unit_test(padded_rows_of_96),        cmocka_unit_test(padded_rows_of_128),
        cmocka_unit_test(strides_are_64_bits_wide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
