/* Rows and matrices more than 2^31 elements apart get the bits that they get side by side, whatever the operation: attention,
 * convolutions by rows and by batches, generation, products, sampling. An offset in 32 bits has no other symptom than such a
 * distance. Only the emulator has memory whose gaps cost nothing; other tests compare what lies side by side with references,
 * and those of rope, features and distances have a test like these of their own. */
#include "support/kernel_harness.h"

#include <stdlib.h>

/* ---- rows side by side, and far apart ---- */

struct rows {
    struct tensor near;
    int64_t count, width;
    int64_t apart; /* elements from one to the next: the last one begins more than 2^31 after the first */
    char *far;     /* NULL: no such memory here */
};

static char *far_row(const struct rows *rows, int64_t row)
{
    return rows->far + row * rows->apart * (int64_t)dtype_size(rows->near.type);
}

static void copy_rows(struct rows *rows, struct tensor *near, bool out)
{
    const size_t bytes = (size_t)rows->width * dtype_size(near->type);
    const struct device_context *context = test_context(1, 0);
    char *side = tensor_device(near);
    for (int64_t row = 0; rows->far && row < rows->count; row++) {
        char *own = side + row * (int64_t)bytes;
        assert_ok(test_kernels()->copy(context, out ? far_row(rows, row) : own, out ? own : far_row(rows, row), bytes));
    }
    assert_ok(test_kernels()->synchronize(context));
}

static struct rows make_rows(struct rng *rng, enum dtype type, int64_t count, int64_t width)
{
    struct rows rows = {.near = tensor_normal(rng, type, count * width, 1), .count = count, .width = width};
    rows.apart = (INT64_C(1) << 31) / (count - 1) / 8 * 8 + 72;
    const int64_t elements = rows.apart * (count - 1) + width;
    rows.far = test_sparse_memory((size_t)elements * dtype_size(type));
    copy_rows(&rows, &rows.near, true);
    return rows;
}

static void free_rows(struct rows *rows)
{
    test_settle();
    if (rows->far)
        test_sparse_release(rows->far);
    tensor_free(&rows->near);
}

/* Where the operand is, in the round side by side or in the other. */
static void *place(struct rows *rows, bool far)
{
    return far ? rows->far : tensor_device(&rows->near);
}
static int64_t stride(const struct rows *rows, bool far)
{
    return far ? rows->apart : rows->width;
}

static void assert_same_rows(const char *what, struct rows *rows)
{
    struct tensor found = tensor_make(rows->near.type, rows->near.count);
    copy_rows(rows, &found, false);
    assert_same_bits(what, &rows->near, &found);
    tensor_free(&found);
}

static bool there(const struct rows *rows, int count)
{
    for (int i = 0; i < count; i++)
        if (!rows[i].far)
            return false;
    return true;
}

/* ---- products ---- */

/* Rows of every matrix far apart, or matrices of a batch: the latter also for what cuBLASLt multiplies. No stride of a product may
 * be above 2^31 - 1, so there are three. */
static void multiply(struct rng *rng, enum dtype type, bool b_transposed, bool batch)
{
    enum { ROWS = 3, DEPTH = 40, TALL = 17 };
    const int64_t count = ROWS, m = batch ? TALL : ROWS, n = batch ? 9 : ROWS, k = batch || b_transposed ? DEPTH : ROWS;
    struct rows rows[] = {make_rows(rng, type, count, batch ? m * k : k),
                          make_rows(rng, type, count,
                                    batch          ? n * k
                                    : b_transposed ? k
                                                   : n),
                          make_rows(rng, type, count, batch ? m * n : n),
                          make_rows(rng, type, count, batch ? m * n : n)};
    for (int far = 0; far < (there(rows, 4) ? 2 : 0); far++) {
        struct matmul p = {.m = m,
                           .n = n,
                           .k = k,
                           .batch = batch ? count : 1,
                           .a = place(&rows[0], far),
                           .b = place(&rows[1], far),
                           .c = place(&rows[2], far),
                           .addend = place(&rows[3], far),
                           .a_type = type,
                           .b_type = type,
                           .c_type = type,
                           .a_row_stride = batch ? k : stride(&rows[0], far),
                           .b_row_stride = batch ? (b_transposed ? k : n) : stride(&rows[1], far),
                           .c_row_stride = batch ? n : stride(&rows[2], far),
                           .a_batch_stride = stride(&rows[0], far),
                           .b_batch_stride = stride(&rows[1], far),
                           .c_batch_stride = stride(&rows[2], far),
                           .b_transposed = b_transposed,
                           .alpha = 1,
                           .beta = 1};
        assert_ok(test_kernels()->matmul(test_context(1, test_kernels()->matmul_scratch_size(&p)), &p));
    }
    if (there(rows, 4))
        assert_same_rows("C", &rows[2]);
    for (int i = 0; i < 4; i++)
        free_rows(&rows[i]);
}

static void matrices_may_lie_far_apart(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int i = 0; i < 8; i++)
        multiply(&rng, i & 1 ? DTYPE_BF16 : DTYPE_F32, i & 2, i & 4);
}

/* ---- attention ---- */

/* `count` tokens of a row far apart, or two rows of the batch. */
static void attend(struct rng *rng, enum dtype type, bool batch, int64_t size, int64_t tokens)
{
    enum { HEADS = 2, LENGTH = 9, ARRAYS = 8 /* q, k, v, output, its gradient, dq, dk, dv */ };
    const int64_t count = batch ? 2 : tokens, length = batch ? LENGTH : count;
    static const int64_t heads[ARRAYS] = {HEADS, 1, 1, HEADS, HEADS, HEADS, 1, 1};
    struct rows rows[ARRAYS];
    for (int i = 0; i < ARRAYS; i++)
        rows[i] = make_rows(rng, type, count, (batch ? length : 1) * heads[i] * size);
    struct tensor sums = tensor_make(DTYPE_F32, count * length * HEADS);
    for (int far = 0; far < (there(rows, ARRAYS) ? 2 : 0); far++) {
        const int64_t wide = batch ? HEADS * size : stride(&rows[0], far),
                      narrow = batch ? size : stride(&rows[1], far);
        struct attention_forward f = {.batch = batch ? count : 1,
                                      .query_length = length,
                                      .key_length = length,
                                      .heads = HEADS,
                                      .kv_heads = 1,
                                      .head_size = size,
                                      .query = place(&rows[0], far),
                                      .key = place(&rows[1], far),
                                      .value = place(&rows[2], far),
                                      .query_row_stride = wide,
                                      .key_row_stride = narrow,
                                      .value_row_stride = narrow,
                                      .output_row_stride = wide,
                                      .query_batch_stride = batch ? stride(&rows[0], far) : 0,
                                      .key_batch_stride = batch ? stride(&rows[1], far) : 0,
                                      .value_batch_stride = batch ? stride(&rows[2], far) : 0,
                                      .output_batch_stride = batch ? stride(&rows[3], far) : 0,
                                      .output = place(&rows[3], far),
                                      .log_sum_exp = tensor_device(&sums),
                                      .scale = 0.2f,
                                      .type = type};
        struct attention_backward p = {.forward = f,
                                       .grad_output = place(&rows[4], far),
                                       .grad_query = place(&rows[5], far),
                                       .grad_key = place(&rows[6], far),
                                       .grad_value = place(&rows[7], far)};
        const struct kernels *kernels = test_kernels();
        assert_ok(kernels->attention_forward(test_context(1, kernels->attention_forward_scratch_size(&f)), &f));
        assert_ok(kernels->attention_backward(test_context(1, kernels->attention_backward_scratch_size(&p)), &p));
    }
    static const char *const names[ARRAYS] = {"", "", "", "output", "", "grad_query", "grad_key", "grad_value"};
    for (int i = 0; i < ARRAYS; i++) {
        if (there(rows, ARRAYS) && *names[i])
            assert_same_rows(names[i], &rows[i]);
        free_rows(&rows[i]);
    }
    tensor_free(&sums);
}

static void tokens_may_lie_far_apart(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    for (int batch = 0; batch < 2; batch++) {
        attend(&rng, DTYPE_F32, batch, 30, 2);
        attend(&rng, DTYPE_BF16, batch, 30, 2);
        attend(&rng, DTYPE_BF16, batch, 64, 140); /* on tensor cores: more than a block of queries, and of keys */
    }
}

/* ---- convolutions ---- */

struct convolution {
    struct rows rows[6]; /* x, output, what the activation took, the output's gradient, that of x, what a norm gives */
    struct tensor weight, norm, grad_weight[2], grad_bias[2];
};
enum { TAPS = 2, FAR_ROWS = 3, FRAMES = 4 /* of a row of a batch */, CONVOLVED = 6 };

static struct conv1d_forward describe_convolution(struct convolution *c, int64_t channels, bool batch, bool far)
{
    const enum dtype type = c->weight.type;
    const int64_t x = stride(&c->rows[0], far), y = stride(&c->rows[1], far), frames = batch ? FRAMES : FAR_ROWS;
    return (struct conv1d_forward){.batch = batch ? FAR_ROWS : 1,
                                   .frames = frames,
                                   .channels = channels,
                                   .output_frames = frames,
                                   .output_channels = channels,
                                   .kernel = TAPS,
                                   .stride = 1,
                                   .dilation = 1,
                                   .groups = 1,
                                   .padding_left = 1,
                                   .x = place(&c->rows[0], far),
                                   .weight = tensor_device(&c->weight),
                                   .output = place(&c->rows[1], far),
                                   .x_row_stride = batch ? channels : x,
                                   .x_batch_stride = batch ? x : FAR_ROWS * x,
                                   .output_row_stride = batch ? channels : y,
                                   .output_batch_stride = batch ? y : FAR_ROWS * y,
                                   .type = type};
}

/* The gradients without an activation and with one, whose slope is computed first. */
static void convolve_once(struct convolution *c, int64_t channels, bool batch, bool far)
{
    const struct kernels *kernels = test_kernels();
    struct conv1d_forward f = describe_convolution(c, channels, batch, far);
    struct conv1d_group_norm norm = {.conv = f,
                                     .norm_groups = 1,
                                     .norm_weight = tensor_device(&c->norm),
                                     .norm_bias = tensor_device(&c->norm),
                                     .epsilon = 0.1f};
    struct conv1d_backward p = {.grad_output = place(&c->rows[3], far),
                                .grad_x = place(&c->rows[4], far),
                                .grad_weight = tensor_device(&c->grad_weight[far]),
                                .grad_bias = tensor_device(&c->grad_bias[far]),
                                .overwrite = true};
    if (batch) {
        f.activation = ACTIVATION_GELU;
        f.pre_activation = place(&c->rows[2], far);
    }
    p.forward = f;
    norm.conv.output = place(&c->rows[5], far);
    assert_ok(kernels->conv1d_forward(test_context(1, kernels->conv1d_forward_scratch_size(&f)), &f));
    assert_ok(kernels->conv1d_group_norm(test_context(1, kernels->conv1d_group_norm_scratch_size(&norm)), &norm));
    assert_ok(kernels->conv1d_backward(test_context(1, kernels->conv1d_backward_scratch_size(&p)), &p));
}

/* Frames of x, of the output and of both gradients, or rows of the batch. */
static void convolve(struct rng *rng, enum dtype type, int64_t channels, bool batch)
{
    struct convolution c = {.weight = tensor_normal(rng, type, channels * TAPS * channels, 1),
                            .norm = tensor_normal(rng, type, channels, 1)};
    for (int i = 0; i < CONVOLVED; i++)
        c.rows[i] = make_rows(rng, type, FAR_ROWS, batch ? FRAMES * channels : channels);
    for (int far = 0; far < 2; far++) {
        c.grad_weight[far] = tensor_make(DTYPE_F32, c.weight.count);
        c.grad_bias[far] = tensor_make(DTYPE_F32, channels);
    }
    for (int far = 0; far < (there(c.rows, CONVOLVED) ? 2 : 0); far++)
        convolve_once(&c, channels, batch, far);
    static const char *const names[CONVOLVED] = {"", "output", "pre_activation", "", "grad_x", "normalised output"};
    for (int i = 0; i < CONVOLVED; i++)
        if (there(c.rows, CONVOLVED) && *names[i])
            assert_same_rows(names[i], &c.rows[i]);
    if (there(c.rows, CONVOLVED)) {
        assert_same_bits("grad_weight", &c.grad_weight[0], &c.grad_weight[1]);
        assert_same_bits("grad_bias", &c.grad_bias[0], &c.grad_bias[1]);
    }
    for (int i = 0; i < CONVOLVED; i++)
        free_rows(&c.rows[i]);
    struct tensor *others[] = {&c.weight,         &c.norm,         &c.grad_weight[0],
                               &c.grad_weight[1], &c.grad_bias[0], &c.grad_bias[1]};
    for (int i = 0; i < 6; i++)
        tensor_free(others[i]);
}

/* By elements, by chunks, and by windows of bf16. */
static void frames_may_lie_far_apart(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    for (int i = 0; i < 6; i++)
        for (int batch = 0; batch < 2; batch++)
            convolve(&rng, i & 1 ? DTYPE_BF16 : DTYPE_F32, i < 2 ? 5 : i < 4 ? 8 : 16, batch);
}

/* ---- convolutions of vocoders ---- */

/* One with a group for each channel, and a transposed one that makes two frames of one. */
static void make_frames(struct rng *rng, enum dtype type, int64_t channels, bool batch)
{
    enum { ARRAYS = 3 /* x, both outputs */, KERNEL = 4 };
    const int64_t frames = batch ? FRAMES : FAR_ROWS, made = batch ? FAR_ROWS : 2 * FAR_ROWS;
    struct convolution c = {.weight = tensor_normal(rng, type, KERNEL * channels * channels, 1)};
    for (int i = 0; i < ARRAYS; i++)
        c.rows[i] = make_rows(rng, type, i == 2 ? made : FAR_ROWS, (batch ? (i == 2 ? 2 : 1) * FRAMES : 1) * channels);
    for (int far = 0; far < (there(c.rows, ARRAYS) ? 2 : 0); far++) {
        const int64_t output = stride(&c.rows[2], far);
        struct conv1d_forward f = describe_convolution(&c, channels, batch, far);
        f.groups = channels;
        const struct conv1d_transposed p = {.batch = f.batch,
                                            .frames = frames,
                                            .channels = channels,
                                            .output_frames = 2 * frames,
                                            .output_channels = channels,
                                            .kernel = KERNEL,
                                            .stride = 2,
                                            .padding = 1,
                                            .x = f.x,
                                            .weight = f.weight,
                                            .output = place(&c.rows[2], far),
                                            .x_row_stride = f.x_row_stride,
                                            .x_batch_stride = f.x_batch_stride,
                                            .output_row_stride = batch ? channels : output,
                                            .output_batch_stride = batch ? output : made * output,
                                            .type = type};
        const struct kernels *kernels = test_kernels();
        assert_ok(kernels->conv1d_forward(test_context(1, kernels->conv1d_forward_scratch_size(&f)), &f));
        assert_ok(kernels->conv1d_transposed(test_context(1, kernels->conv1d_transposed_scratch_size(&p)), &p));
    }
    for (int i = 0; i < ARRAYS; i++) {
        if (i > 0 && there(&c.rows[i], 1))
            assert_same_rows(i == 1 ? "output of groups" : "transposed output", &c.rows[i]);
        free_rows(&c.rows[i]);
    }
    tensor_free(&c.weight);
}

static void made_frames_may_lie_far_apart(void **state)
{
    (void)state;
    struct rng rng = test_rng(6);
    for (int i = 0; i < 4; i++)
        for (int batch = 0; batch < 2; batch++)
            make_frames(&rng, i & 1 ? DTYPE_BF16 : DTYPE_F32, i < 2 ? 5 : 8, batch);
}

/* By elements and by packs. */
static void repeated_rows_may_lie_far_apart(void **state)
{
    (void)state;
    enum { TOKENS = 2, ROWS = 5 };
    struct rng rng = test_rng(7);
    for (int64_t channels = 5; channels <= 8; channels += 3) {
        struct rows output = make_rows(&rng, DTYPE_F32, FAR_ROWS, channels);
        struct tensor table = tensor_normal(&rng, DTYPE_F32, ROWS * channels, 1), ids = tensor_zero(DTYPE_I32, TOKENS);
        tensor_set(&ids, 0, 3);
        tensor_set(&ids, 1, 1);
        for (int far = 0; far < (output.far ? 2 : 0); far++) {
            const struct gather_repeat p = {.tokens = TOKENS,
                                            .channels = channels,
                                            .rows = ROWS,
                                            .frames = FAR_ROWS,
                                            .ids = tensor_device(&ids),
                                            .repeat = 2,
                                            .table = tensor_device(&table),
                                            .output = place(&output, far),
                                            .output_row_stride = stride(&output, far),
                                            .type = DTYPE_F32};
            assert_ok(test_kernels()->gather_repeat(test_context(1, 0), &p));
        }
        if (output.far)
            assert_same_rows("repeated rows", &output);
        free_rows(&output);
        tensor_free(&table);
        tensor_free(&ids);
    }
}

/* ---- generation ---- */

/* Rows of the cache, and tokens: a step appends to all rows and attends to them. */
static void generate(struct rng *rng, enum dtype type, int64_t size)
{
    enum { COUNT = 3, HEADS = 2, CAPACITY = 40, ARRAYS = 4 /* queries, k|v, cache, output */ };
    struct rows rows[ARRAYS] = {make_rows(rng, type, COUNT, HEADS * size), make_rows(rng, type, COUNT, 2 * size),
                                make_rows(rng, type, COUNT, CAPACITY * 2 * size),
                                make_rows(rng, type, COUNT, HEADS * size)};
    struct tensor numbers[3], cosine, sine; /* rows, positions, lengths */
    for (int i = 0; i < 3; i++) {
        numbers[i] = tensor_zero(DTYPE_I32, COUNT);
        for (int n = 0; n < COUNT; n++)
            tensor_set(&numbers[i], n, i == 0 ? COUNT - 1 - n : CAPACITY - 5 * n + i - 2);
    }
    rope_tables(CAPACITY, size, &cosine, &sine);
    for (int far = 0; far < (there(rows, ARRAYS) ? 2 : 0); far++) {
        const struct key_value_cache cache = {place(&rows[2], far), COUNT, CAPACITY, stride(&rows[2], far)};
        struct rope_append append = {.tokens = COUNT,
                                     .heads = HEADS,
                                     .kv_heads = 1,
                                     .head_size = size,
                                     .query = place(&rows[0], far),
                                     .key_value = place(&rows[1], far),
                                     .query_row_stride = stride(&rows[0], far),
                                     .key_value_row_stride = stride(&rows[1], far),
                                     .cache = cache,
                                     .rows = tensor_device(&numbers[0]),
                                     .positions = tensor_device(&numbers[1]),
                                     .cosine = tensor_device(&cosine),
                                     .sine = tensor_device(&sine),
                                     .table_positions = CAPACITY,
                                     .type = type};
        struct attention_decode p = {.tokens = COUNT,
                                     .heads = HEADS,
                                     .kv_heads = 1,
                                     .head_size = size,
                                     .query = place(&rows[0], far),
                                     .output = place(&rows[3], far),
                                     .query_row_stride = stride(&rows[0], far),
                                     .output_row_stride = stride(&rows[3], far),
                                     .cache = cache,
                                     .rows = tensor_device(&numbers[0]),
                                     .lengths = tensor_device(&numbers[2]),
                                     .scale = 0.2f,
                                     .type = type};
        assert_ok(test_kernels()->rope_append(test_context(1, 0), &append));
        size_t scratch = test_kernels()->attention_decode_scratch_size(&p);
        assert_ok(test_kernels()->attention_decode(test_context(1, scratch), &p));
    }
    static const char *const names[ARRAYS] = {"queries", "k|v", "cache", "output"};
    for (int i = 0; i < ARRAYS; i++) {
        if (there(rows, ARRAYS))
            assert_same_rows(names[i], &rows[i]);
        free_rows(&rows[i]);
    }
    struct tensor *others[] = {&numbers[0], &numbers[1], &numbers[2], &cosine, &sine};
    for (int i = 0; i < 5; i++)
        tensor_free(others[i]);
}

/* By words, on tensor cores, and where neither fits. */
static void caches_may_be_large(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    generate(&rng, DTYPE_F32, 64);
    generate(&rng, DTYPE_BF16, 64);
    generate(&rng, DTYPE_F32, 30);
}

static void logits_may_lie_far_apart(void **state)
{
    (void)state;
    enum { COUNT = 3 };
    struct rng rng = test_rng(4);
    for (int64_t columns = 50; columns < 3000; columns *= 40) { /* sorted, then by digits */
        struct rows logits = make_rows(&rng, DTYPE_F32, COUNT, columns);
        struct tensor masks = tensor_zero(DTYPE_U8, columns), numbers = tensor_zero(DTYPE_I32, COUNT);
        struct tensor uniforms = tensor_zero(DTYPE_F64, COUNT), ids[2];
        for (int64_t i = 0; i < columns; i++)
            tensor_set(&masks, i, 1);
        for (int64_t r = 0; r < COUNT; r++)
            tensor_set(&uniforms, r, rng_uniform(&rng));
        for (int far = 0; far < 2; far++)
            ids[far] = tensor_make(DTYPE_I32, COUNT);
        for (int far = 0; far < (logits.far ? 2 : 0); far++) {
            struct sample p = {.rows = COUNT,
                               .columns = columns,
                               .logits = place(&logits, far),
                               .row_stride = stride(&logits, far),
                               .masks = tensor_device(&masks),
                               .mask_rows = tensor_device(&numbers),
                               .mask_count = 1,
                               .uniforms = tensor_device(&uniforms),
                               .temperature = 1,
                               .top_p = 0.9,
                               .ids = tensor_device(&ids[far])};
            assert_ok(test_kernels()->sample(test_context(1, test_kernels()->sample_scratch_size(&p)), &p));
        }
        if (logits.far)
            assert_same_bits("ids", &ids[0], &ids[1]);
        struct tensor *all[] = {&masks, &numbers, &uniforms, &ids[0], &ids[1]};
        for (int i = 0; i < 5; i++)
            tensor_free(all[i]);
        free_rows(&logits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices_may_lie_far_apart),      cmocka_unit_test(tokens_may_lie_far_apart),
        cmocka_unit_test(frames_may_lie_far_apart),        cmocka_unit_test(made_frames_may_lie_far_apart),
        cmocka_unit_test(repeated_rows_may_lie_far_apart), cmocka_unit_test(caches_may_be_large),
        cmocka_unit_test(logits_may_lie_far_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
