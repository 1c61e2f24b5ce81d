/* SwiGLU, conversions and sums element by element, and the embedding table. */
#include "support/kernel_harness.h"
#include "support/reference_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3, 2};

/* ---- SwiGLU ---- */

static const int64_t swiglu_shapes[][2] = {
    {1, 1},   {3, 7},    {31, 113}, {257, 64}, {5, 5000}, {1, 2},   {2, 8},   {3, 9},   {7, 16},  {1, 31},  {5, 32},
    {2, 33},  {9, 63},   {1, 64},   {4, 65},   {2, 127},  {3, 128}, {1, 129}, {2, 255}, {5, 256}, {3, 257}, {1, 511},
    {2, 512}, {1, 2047}, {3, 2048}, {2, 2049}, {33, 1},   {127, 3}, {129, 4}, {64, 24}, {1, 6000}};
enum { SWIGLU_SHAPES = sizeof swiglu_shapes / sizeof *swiglu_shapes };

static void swiglu_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < 2 * SWIGLU_SHAPES; s++) {
        int64_t rows = swiglu_shapes[s / 2][0], channels = swiglu_shapes[s / 2][1], count = rows * channels;
        enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        struct tensor x = tensor_normal(&rng, type, 2 * count, 3), gradient = tensor_normal(&rng, type, count, 1);
        double *output = doubles(count), *grad_x = doubles(2 * count);
        reference_swiglu(rows, channels, x.values, output);
        reference_swiglu_backward(rows, channels, x.values, gradient.values, grad_x);
        struct tensor kept[2] = {{0}};
        for (int i = 0; i < 4; i++) {
            if (s >= 10 && (i == 1 || i == 2))
                continue;
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
                assert_tensor("grad_gate_up", &dx, grad_x, 2e-5, 1.01);
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

/* Bytes of an array. */
static double bytes_of(const struct tensor *tensor)
{
    return (double)tensor->count * (double)dtype_size(tensor->type);
}

static void swiglu_moves_everything_once(void **state)
{
    (void)state;
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        const int64_t rows = 64, channels = 4096;
        struct tensor x = tensor_zero((enum dtype)type, 2 * rows * channels), y = tensor_zero(x.type, rows * channels);
        struct swiglu_forward forward = {rows, channels, tensor_device(&x), tensor_device(&y), x.type};
        struct swiglu_backward backward = {rows,  channels, tensor_device(&x), tensor_device(&y), tensor_device(&x),
                                           x.type};
        test_traffic_begin();
        assert_ok(test_kernels()->swiglu_forward(test_context(1, 0), &forward));
        assert_traffic("swiglu_forward", 3 * bytes_of(&y), 1.05);
        test_traffic_begin();
        assert_ok(test_kernels()->swiglu_backward(test_context(1, 0), &backward));
        assert_traffic("swiglu_backward", 5 * bytes_of(&y), 1.05);
        tensor_free(&x);
        tensor_free(&y);
    }
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

/* ---- conversions and sums ---- */

/* `shift` elements into the arrays, so that some begin on the boundary of a word and some do not. */
static void convert_and_compare(struct rng *rng, int64_t count, enum dtype from, enum dtype to, bool add, int64_t shift)
{
    struct tensor x = tensor_normal(rng, from, count + shift, 1), y = tensor_normal(rng, to, count + shift, 1);
    double *expected = doubles(y.count);
    for (int64_t i = 0; i < y.count; i++) {
        const double sum = (double)((float)x.values[i] + (float)y.values[i]);
        expected[i] = i < shift ? y.values[i] : add ? round_to(to, sum) : round_to(to, x.values[i]);
    }
    struct convert p = {count,
                        (char *)tensor_device(&x) + (size_t)shift * dtype_size(from),
                        (char *)tensor_device(&y) + (size_t)shift * dtype_size(to),
                        from,
                        to,
                        add};
    assert_ok(test_kernels()->convert(test_context(2, 0), &p));
    assert_tensor(add ? "sum" : "converted", &y, expected, 0, 0);
    tensor_free(&x);
    tensor_free(&y);
    free(expected);
}

static void numbers_are_converted_and_added(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    for (int64_t i = 0; i < 36; i++) {
        const int64_t count = i < 20 ? i : (const int64_t[]){31,  32,   33,   63,   64,   65,   127,  128,
                                                             129, 1000, 2047, 2048, 2049, 4095, 4096, 5000}[i - 20];
        for (int types = 0; types < 4; types++) {
            const enum dtype from = types & 1 ? DTYPE_BF16 : DTYPE_F32, to = types & 2 ? DTYPE_BF16 : DTYPE_F32;
            convert_and_compare(&rng, count, from, to, false, i % 2);
            if (from == to)
                convert_and_compare(&rng, count, from, to, true, i % 2);
        }
    }
}

static void conversions_move_everything_once(void **state)
{
    (void)state;
    for (int types = 0; types < 4; types++) {
        const enum dtype from = types & 1 ? DTYPE_BF16 : DTYPE_F32, to = types & 2 ? DTYPE_BF16 : DTYPE_F32;
        struct tensor x = tensor_zero(from, 1 << 18), y = tensor_zero(to, 1 << 18);
        struct convert p = {x.count, tensor_device(&x), tensor_device(&y), from, to, false};
        test_traffic_begin();
        assert_ok(test_kernels()->convert(test_context(1, 0), &p));
        assert_traffic("convert", bytes_of(&x) + bytes_of(&y), 1.05);
        if (from == to) {
            p.add = true;
            test_traffic_begin();
            assert_ok(test_kernels()->convert(test_context(1, 0), &p));
            assert_traffic("add", 3 * bytes_of(&x), 1.05);
        }
        tensor_free(&x);
        tensor_free(&y);
    }
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
    /* tokens, channels, rows: runs of one token and of hundreds, that begin and end inside a block's share and at its edge */
    const int64_t shapes[][3] = {
        {1, 1, 1},     {31, 7, 5},     {300, 113, 11}, {64, 256, 40}, {33, 2, 3},    {127, 4, 1},  {129, 8, 2},
        {32, 16, 32},  {64, 31, 2},    {128, 32, 1},   {256, 33, 1},  {257, 64, 1},  {400, 12, 2}, {5, 127, 90},
        {96, 128, 7},  {97, 129, 8},   {160, 24, 5},   {161, 511, 3}, {1, 512, 4},   {2, 513, 1},  {3, 1024, 3},
        {40, 1025, 6}, {288, 20, 1},   {289, 3, 300},  {65, 255, 65}, {17, 257, 17}, {511, 5, 4},  {512, 6, 9},
        {513, 8, 513}, {100, 40, 100}, {7, 2048, 2}};
    enum { SHAPES = sizeof shapes / sizeof *shapes };
    for (int s = 0; s < 2 * SHAPES; s++) {
        const int64_t *shape = shapes[s / 2], channels = shape[1];
        struct lookup q = make_lookup(&rng, shape[0], channels, shape[2], s % 2 ? DTYPE_BF16 : DTYPE_F32);
        double *expected = doubles(q.gradient.count), *grad_table = doubles(q.before.count);
        memcpy(grad_table, q.before.values, (size_t)q.before.count * sizeof(double));
        for (int64_t i = 0; i < q.gradient.count; i++) {
            int64_t place = (int64_t)q.ids.values[i / channels] * channels + i % channels;
            expected[i] = q.table.values[place];
            grad_table[place] = (double)((float)grad_table[place] + (float)q.gradient.values[i]);
        }
        for (int i = 0; i < (s < 8 ? 4 : 1); i++) {
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

static void embeddings_are_moved_once(void **state)
{
    (void)state;
    struct rng rng = test_rng(6);
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        const int64_t tokens = 1024, channels = 1024, rows = 400;
        struct lookup q = make_lookup(&rng, tokens, channels, rows, (enum dtype)type);
        struct tensor output = tensor_make(q.type, tokens * channels);
        double distinct = 0;
        for (int64_t i = 0; i < tokens; i++)
            distinct +=
                i == 0 || q.ids.values[(int64_t)q.order.values[i]] != q.ids.values[(int64_t)q.order.values[i - 1]];
        struct embedding_forward forward = describe_forward(&q, &output);
        struct embedding_backward backward = describe_backward(&q, &q.before);
        const struct device_context *context =
            test_context(1, test_kernels()->embedding_backward_scratch_size(&backward));
        test_traffic_begin();
        assert_ok(test_kernels()->embedding_forward(context, &forward));
        assert_traffic("embedding_forward", 2 * bytes_of(&output), 1.05);
        test_traffic_begin();
        assert_ok(test_kernels()->embedding_backward(context, &backward));
        assert_traffic("embedding_backward", bytes_of(&output) + 8 * (double)channels * distinct, 1.15);
        tensor_free(&output);
        free_lookup(&q);
    }
}

/* A table of more than 2^31 elements: places within it need 64 bits. */
static void tables_may_be_large(void **state)
{
    (void)state;
    struct rng rng = test_rng(7);
    const int64_t channels = 8, rows = (INT64_C(1) << 28) + 5;
    const size_t row = (size_t)channels * sizeof(float);
    char *table = test_sparse_memory((size_t)rows * row);
    if (!table)
        return; /* only where memory costs nothing before it is touched */
    struct tensor ids = tensor_zero(DTYPE_I32, 3), order = tensor_zero(DTYPE_I32, 3);
    struct tensor gradient = tensor_normal(&rng, DTYPE_F32, 3 * channels, 1),
                  output = tensor_make(DTYPE_F32, 3 * channels);
    struct tensor before = tensor_normal(&rng, DTYPE_F32, channels, 1);
    double expected[24];
    for (int64_t i = 0; i < 3; i++) {
        tensor_set(&ids, i, (double)(rows - 1));
        tensor_set(&order, i, (double)i);
    }
    const struct embedding_backward backward = {3,
                                                channels,
                                                rows,
                                                tensor_device(&ids),
                                                tensor_device(&order),
                                                tensor_device(&gradient),
                                                (float *)(void *)table,
                                                DTYPE_F32};
    const struct embedding_forward forward = {
        3, channels, rows, tensor_device(&ids), table, tensor_device(&output), DTYPE_F32};
    const struct device_context *context = test_context(1, test_kernels()->embedding_backward_scratch_size(&backward));
    assert_ok(test_kernels()->copy(context, table + (size_t)(rows - 1) * row, tensor_device(&before), row));
    assert_ok(test_kernels()->embedding_backward(context, &backward));
    assert_ok(test_kernels()->embedding_forward(context, &forward));
    for (int64_t i = 0; i < 3 * channels; i++) {
        float sum = (float)before.values[i % channels];
        for (int64_t n = 0; n < 3; n++)
            sum += (float)gradient.values[n * channels + i % channels];
        expected[i] = (double)sum;
    }
    assert_tensor("a row of a large table", &output, expected, 0, 0);
    test_sparse_release(table);
    struct tensor *all[] = {&ids, &order, &gradient, &output, &before};
    for (int i = 0; i < 5; i++)
        tensor_free(all[i]);
}

/* Places that are not in the order of a stable sort are a fault, and nothing is added: exchanged, of one id exchanged, twice there. */
static void unsorted_tokens_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(8);
    const double ids[] = {2, 0, 2, 1, 2, 0};
    static const struct {
        double order[6];
        const char *text;
    } cases[] = {
        {{1, 5, 0, 3, 2, 4}, "place 3 of 6 in the order has token 3 of id 1, the one before it token 0 of id 2"},
        {{1, 5, 3, 0, 4, 2}, "place 5 of 6 in the order has token 2 of id 2, the one before it token 4 of id 2"},
        {{1, 5, 3, 0, 2, 2}, "place 5 of 6 in the order has token 2 of id 2, the one before it token 2 of id 2"},
        {{5, 1, 3, 0, 2, 4}, "place 1 of 6 in the order has token 1 of id 0, the one before it token 5 of id 0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lookup q = make_lookup(&rng, 6, 9, 3, DTYPE_F32);
        struct tensor sum = tensor_copy(&q.before);
        for (int n = 0; n < 6; n++) {
            tensor_set(&q.ids, n, ids[n]);
            tensor_set(&q.order, n, cases[i].order[n]);
        }
        const struct embedding_backward backward = describe_backward(&q, &sum);
        assert_faults(embedding_backward, backward, (void)p, cases[i].text);
        assert_tensor("grad_table", &sum, q.before.values, 0, 0);
        tensor_free(&sum);
        free_lookup(&q);
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
        cmocka_unit_test(swiglu_moves_everything_once),
        cmocka_unit_test(numbers_are_converted_and_added),
        cmocka_unit_test(conversions_move_everything_once),
        cmocka_unit_test(embedding_copies_and_adds),
        cmocka_unit_test(embeddings_are_moved_once),
        cmocka_unit_test(tables_may_be_large),
        cmocka_unit_test(unsorted_tokens_are_faults),
        cmocka_unit_test(wrong_ids_are_faults),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
