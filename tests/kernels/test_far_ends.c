/* The last rows of dense arrays of more than 2^31 elements get the bits that they get alone. Operations without strides have no
 * other way to such places, and no emulator has the time to go there: of each launch only the blocks run that have to do with
 * those rows. What lies before them was never written, so whoever misses a place is told at once. */
#include "support/kernel_harness.h"

#include <stdlib.h>

static const int64_t far_away = INT64_C(1) << 31;

/* The end of an array, by itself and behind `start` elements that nobody touches. */
struct array {
    struct tensor near;
    int64_t start;
    char *memory; /* NULL: no such memory here */
};

static char *far_place(const struct array *array)
{
    return array->memory + array->start * (int64_t)dtype_size(array->near.type);
}

static struct array make_array(struct tensor near, int64_t start)
{
    struct array array = {near, start, NULL};
    const size_t size = dtype_size(near.type);
    array.memory = test_sparse_memory((size_t)(start + near.count) * size);
    if (array.memory)
        assert_ok(test_kernels()->copy(test_context(1, 0), far_place(&array), tensor_device(&array.near),
                                       (size_t)near.count * size));
    test_settle();
    return array;
}
static struct array make_normal(struct rng *rng, enum dtype type, int64_t count, int64_t start)
{
    return make_array(tensor_normal(rng, type, count, 1), start);
}

static void *place(struct array *array, bool far)
{
    return far ? array->memory : tensor_device(&array->near);
}

static bool there(const struct array *arrays, int count)
{
    for (int i = 0; i < count; i++)
        if (!arrays[i].memory)
            return false;
    return true;
}

static void assert_same_end(const char *what, struct array *array)
{
    struct tensor found = tensor_make(array->near.type, array->near.count);
    const size_t bytes = (size_t)found.count * dtype_size(found.type);
    test_settle();
    assert_ok(test_kernels()->copy(test_context(1, 0), tensor_device(&found), far_place(array), bytes));
    assert_same_bits(what, &array->near, &found);
    tensor_free(&found);
}

static void free_arrays(struct array *arrays, int count)
{
    test_settle();
    for (int i = 0; i < count; i++) {
        if (arrays[i].memory)
            test_sparse_release(arrays[i].memory);
        tensor_free(&arrays[i].near);
    }
}

/* Runs the operation; far away only the blocks from `first` on, of which there are `blocks`. Scratch begins as zeros, since
 * parts of it belong to blocks that do not run. */
#define RUN(operation, p, far, first, blocks)                                                                          \
    do {                                                                                                               \
        const size_t bytes_ = test_kernels()->operation##_scratch_size(&(p));                                          \
        const struct device_context *context_ = test_context(1, bytes_);                                               \
        if (bytes_)                                                                                                    \
            assert_ok(test_kernels()->fill_zero(context_, context_->scratch, bytes_));                                 \
        test_settle();                                                                                                 \
        test_blocks((first), (far) ? (blocks) : 0);                                                                    \
        assert_ok(test_kernels()->operation(context_, &(p)));                                                          \
        test_settle();                                                                                                 \
        test_blocks(0, 0);                                                                                             \
    } while (0)

/* ---- norms ---- */

/* A row to a warp, and a row to a block. */
static void layer_norm(struct rng *rng, enum dtype type, int64_t channels)
{
    enum { ROWS = 3, ARRAYS = 6 /* x, residual, sum, output, mean, rstd */ };
    const int64_t start = far_away / channels / 32 * 32 + 32;
    struct tensor weight = tensor_normal(rng, type, channels, 1), bias = tensor_normal(rng, type, channels, 1);
    struct array arrays[ARRAYS];
    for (int i = 0; i < 4; i++)
        arrays[i] = make_normal(rng, type, ROWS * channels, start * channels);
    for (int i = 4; i < ARRAYS; i++)
        arrays[i] = make_normal(rng, DTYPE_F32, ROWS, start);
    for (int far = 0; far < (there(arrays, ARRAYS) ? 2 : 0); far++) {
        const struct layer_norm_forward p = {.rows = far ? start + ROWS : ROWS,
                                             .channels = channels,
                                             .x = place(&arrays[0], far),
                                             .residual = place(&arrays[1], far),
                                             .weight = tensor_device(&weight),
                                             .bias = tensor_device(&bias),
                                             .sum = place(&arrays[2], far),
                                             .output = place(&arrays[3], far),
                                             .mean = place(&arrays[4], far),
                                             .rstd = place(&arrays[5], far),
                                             .epsilon = 0.1f,
                                             .type = type};
        RUN(layer_norm_forward, p, far, -1, 1);
    }
    static const char *const names[ARRAYS] = {"", "", "sum", "output", "mean", "rstd"};
    for (int i = 0; i < ARRAYS; i++)
        if (there(arrays, ARRAYS) && *names[i])
            assert_same_end(names[i], &arrays[i]);
    free_arrays(arrays, ARRAYS);
    tensor_free(&weight);
    tensor_free(&bias);
}

static void layer_norms_reach_the_end(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    layer_norm(&rng, DTYPE_F32, 1024);
    layer_norm(&rng, DTYPE_BF16, 4096);
}

/* Rows come in pieces of some hundred here, and the last piece runs: rows of zeros, whose rstd is 0, but the last one. */
static void layer_norm_gradients_reach_the_end(void **state)
{
    (void)state;
    enum {
        PIECE = 1027,
        SHORT = PIECE - 510,
        CHANNELS = 4096,
        ARRAYS = 5 /* sum, grad_output, grad_sum, mean, rstd */
    };
    const int64_t start = INT64_C(511) * PIECE;
    struct rng rng = test_rng(2);
    struct array arrays[ARRAYS];
    struct tensor parameters[4]; /* weight, bias and their gradients */
    for (int i = 0; i < ARRAYS; i++) {
        const int64_t width = i < 3 ? CHANNELS : 1;
        struct tensor near = tensor_zero(i < 3 ? DTYPE_BF16 : DTYPE_F32, SHORT * width);
        for (int64_t n = (SHORT - 1) * width; n < SHORT * width; n++)
            tensor_set(&near, n, rng_normal(&rng));
        arrays[i] = make_array(near, start * width);
    }
    for (int i = 0; i < 4; i++)
        parameters[i] = tensor_normal(&rng, i < 2 ? DTYPE_BF16 : DTYPE_F32, CHANNELS, 1);
    for (int far = 0; far < (there(arrays, ARRAYS) ? 2 : 0); far++) {
        const int64_t near_row = far ? 0 : SHORT - 1; /* near by, the last row alone */
        const struct layer_norm_backward p = {.rows = far ? start + SHORT : 1,
                                              .channels = CHANNELS,
                                              .sum = (uint16_t *)place(&arrays[0], far) + near_row * CHANNELS,
                                              .weight = tensor_device(&parameters[0]),
                                              .bias = tensor_device(&parameters[1]),
                                              .grad_output = (uint16_t *)place(&arrays[1], far) + near_row * CHANNELS,
                                              .mean = (float *)place(&arrays[3], far) + near_row,
                                              .rstd = (float *)place(&arrays[4], far) + near_row,
                                              .grad_sum = (uint16_t *)place(&arrays[2], far) + near_row * CHANNELS,
                                              .grad_weight = tensor_device(&parameters[2]),
                                              .grad_bias = tensor_device(&parameters[3]),
                                              .overwrite = true,
                                              .type = DTYPE_BF16};
        RUN(layer_norm_backward, p, far, -1, 1);
    }
    if (there(arrays, ARRAYS))
        assert_same_end("grad_sum", &arrays[2]);
    free_arrays(arrays, ARRAYS);
    for (int i = 0; i < 4; i++)
        tensor_free(&parameters[i]);
}

/* Rows that are kept, 16 to a block, and longer ones, one to a block. */
static void rmsnorm(struct rng *rng, enum dtype type, int64_t channels)
{
    enum { ARRAYS = 5 /* x, residual, sum, output, rstd */ };
    const int64_t start = (far_away / channels / 16 + 1) * 16;
    struct tensor weight = tensor_normal(rng, type, channels, 1);
    struct array arrays[ARRAYS];
    for (int i = 0; i < ARRAYS; i++)
        arrays[i] = make_normal(rng, i < 4 ? type : DTYPE_F32, i < 4 ? channels : 1, i < 4 ? start * channels : start);
    for (int far = 0; far < (there(arrays, ARRAYS) ? 2 : 0); far++) {
        const struct rmsnorm_forward p = {.rows = far ? start + 1 : 1,
                                          .channels = channels,
                                          .x = place(&arrays[0], far),
                                          .residual = place(&arrays[1], far),
                                          .weight = tensor_device(&weight),
                                          .sum = place(&arrays[2], far),
                                          .output = place(&arrays[3], far),
                                          .rstd = place(&arrays[4], far),
                                          .epsilon = 0.1f,
                                          .type = type};
        RUN(rmsnorm_forward, p, far, -1, 1);
    }
    static const char *const names[ARRAYS] = {"", "", "sum", "output", "rstd"};
    for (int i = 2; i < ARRAYS; i++)
        if (there(arrays, ARRAYS))
            assert_same_end(names[i], &arrays[i]);
    free_arrays(arrays, ARRAYS);
    tensor_free(&weight);
}

static void rmsnorms_reach_the_end(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    rmsnorm(&rng, DTYPE_F32, 1024);
    rmsnorm(&rng, DTYPE_BF16, 4096);
    rmsnorm(&rng, DTYPE_BF16, 1025);
}

/* RMSNorm's gradients of the first row alone and of `rows`, whose last one lies far: sum, grad_output, grad_residual, grad_sum,
 * rstd. */
enum { RMSNORM_ARRAYS = 5 };
static void check_rmsnorm_gradients(struct rng *rng, struct array arrays[RMSNORM_ARRAYS], int64_t channels,
                                    int64_t rows)
{
    struct tensor weight = tensor_normal(rng, DTYPE_BF16, channels, 1), grad_weight = tensor_make(DTYPE_F32, channels);
    for (int far = 0; far < (there(arrays, RMSNORM_ARRAYS) ? 2 : 0); far++) {
        const struct rmsnorm_backward p = {.rows = far ? rows : 1,
                                           .channels = channels,
                                           .sum = place(&arrays[0], far),
                                           .weight = tensor_device(&weight),
                                           .grad_output = place(&arrays[1], far),
                                           .grad_residual = place(&arrays[2], far),
                                           .rstd = place(&arrays[4], far),
                                           .grad_sum = place(&arrays[3], far),
                                           .grad_weight = tensor_device(&grad_weight),
                                           .overwrite = true,
                                           .type = DTYPE_BF16};
        RUN(rmsnorm_backward, p, far, -1, 1);
    }
    if (there(arrays, RMSNORM_ARRAYS))
        assert_same_end("grad_sum", &arrays[3]);
    free_arrays(arrays, RMSNORM_ARRAYS);
    tensor_free(&weight);
    tensor_free(&grad_weight);
}

static struct array make_rmsnorm_array(struct rng *rng, int i, int64_t channels, int64_t rows)
{
    const int64_t width = i < 4 ? channels : 1;
    return make_normal(rng, i < 4 ? DTYPE_BF16 : DTYPE_F32, width, (rows - 1) * width);
}

/* Long rows, the last of which is a piece of its own: 255 pieces of 256 rows before it. */
static void long_rmsnorm_gradients_reach_the_end(void **state)
{
    (void)state;
    enum { CHANNELS = 32897, ROWS = 255 * 256 + 1 };
    struct rng rng = test_rng(4);
    struct array arrays[RMSNORM_ARRAYS];
    for (int i = 0; i < RMSNORM_ARRAYS; i++)
        arrays[i] = make_rmsnorm_array(&rng, i, CHANNELS, ROWS);
    check_rmsnorm_gradients(&rng, arrays, CHANNELS, ROWS);
}

/* Rows that are kept, in 256 pieces: of the last one all but the last row are zeros. */
static void kept_rmsnorm_gradients_reach_the_end(void **state)
{
    (void)state;
    enum { CHANNELS = 8192, PIECE = 1030, ROWS = 255 * PIECE + 775, OTHERS = 774 };
    struct rng rng = test_rng(10);
    struct array arrays[RMSNORM_ARRAYS];
    for (int i = 0; i < RMSNORM_ARRAYS; i++) {
        arrays[i] = make_rmsnorm_array(&rng, i, CHANNELS, ROWS);
        const size_t bytes = (size_t)(OTHERS * (i < 4 ? CHANNELS : 1)) * dtype_size(arrays[i].near.type);
        if (arrays[i].memory)
            assert_ok(test_kernels()->fill_zero(test_context(1, 0), far_place(&arrays[i]) - bytes, bytes));
    }
    check_rmsnorm_gradients(&rng, arrays, CHANNELS, ROWS);
}

/* The gradients of what the forward pass was told; of launches with more blocks than `first` that one alone runs. */
static void group_norm_gradients(const struct group_norm_forward *forward, void *grad_output, void *grad_x,
                                 int64_t first)
{
    struct tensor gradients[2];
    for (int i = 0; i < 2; i++)
        gradients[i] = tensor_make(DTYPE_F32, forward->channels);
    const struct group_norm_backward p = {.batch = forward->batch,
                                          .frames = forward->frames,
                                          .channels = forward->channels,
                                          .groups = forward->groups,
                                          .x = forward->x,
                                          .weight = forward->weight,
                                          .bias = forward->bias,
                                          .grad_output = grad_output,
                                          .lengths = forward->lengths,
                                          .mean = forward->mean,
                                          .rstd = forward->rstd,
                                          .grad_x = grad_x,
                                          .grad_weight = tensor_device(&gradients[0]),
                                          .grad_bias = tensor_device(&gradients[1]),
                                          .overwrite = true,
                                          .type = forward->type};
    struct device_context context = *test_context(1, 0);
    context.scratch_bytes = test_kernels()->group_norm_backward_scratch_size(&p);
    context.scratch = test_sparse_memory(context.scratch_bytes);
    assert_non_null(context.scratch);
    test_settle();
    test_blocks(first, first > 0);
    assert_ok(test_kernels()->group_norm_backward(&context, &p));
    test_settle();
    test_blocks(0, 0);
    test_sparse_release(context.scratch);
    for (int i = 0; i < 2; i++)
        tensor_free(&gradients[i]);
}

/* The second row of two begins more than 2^31 elements after the first, which has no frames of its own. */
static void group_norms_reach_the_end(void **state)
{
    (void)state;
    enum { CHANNELS = 32, GROUPS = 4, LENGTH = 100, BLOCK = 128, ARRAYS = 4 /* x, output, grad_output, grad_x */ };
    const int64_t frames = far_away / CHANNELS + BLOCK;
    struct rng rng = test_rng(5);
    struct array arrays[ARRAYS];
    struct tensor parameters[4], statistics[2], lengths = tensor_zero(DTYPE_I32, 2), length = tensor_zero(DTYPE_I32, 1);
    for (int i = 0; i < ARRAYS; i++)
        arrays[i] = make_normal(&rng, DTYPE_F32, BLOCK * CHANNELS, frames * CHANNELS);
    for (int i = 0; i < 4; i++)
        parameters[i] = tensor_normal(&rng, DTYPE_F32, CHANNELS, 1);
    for (int i = 0; i < 2; i++)
        statistics[i] = tensor_zero(DTYPE_F32, 2 * GROUPS);
    tensor_set(&lengths, 1, LENGTH);
    tensor_set(&length, 0, LENGTH);
    for (int far = 0; far < (there(arrays, ARRAYS) ? 2 : 0); far++) {
        const struct group_norm_forward p = {.batch = far ? 2 : 1,
                                             .frames = far ? frames : BLOCK,
                                             .channels = CHANNELS,
                                             .groups = GROUPS,
                                             .x = place(&arrays[0], far),
                                             .weight = tensor_device(&parameters[0]),
                                             .bias = tensor_device(&parameters[1]),
                                             .lengths = tensor_device(far ? &lengths : &length),
                                             .output = place(&arrays[1], far),
                                             .mean = tensor_device(&statistics[0]),
                                             .rstd = tensor_device(&statistics[1]),
                                             .epsilon = 0.1f,
                                             .type = DTYPE_F32};
        struct device_context context = *test_context(1, 0);
        context.scratch_bytes = test_kernels()->group_norm_forward_scratch_size(&p);
        context.scratch = test_sparse_memory(context.scratch_bytes);
        assert_non_null(context.scratch);
        test_settle();
        test_blocks((frames + BLOCK - 1) / BLOCK, far);
        assert_ok(test_kernels()->group_norm_forward(&context, &p));
        test_settle();
        test_blocks(0, 0);
        test_sparse_release(context.scratch);
        group_norm_gradients(&p, place(&arrays[2], far), place(&arrays[3], far), far ? frames / BLOCK : 0);
    }
    if (there(arrays, ARRAYS)) {
        assert_same_end("output", &arrays[1]);
        assert_same_end("grad_x", &arrays[3]);
    }
    free_arrays(arrays, ARRAYS);
    struct tensor *others[] = {&statistics[0], &statistics[1], &lengths, &length};
    for (int i = 0; i < 4; i++) {
        tensor_free(others[i]);
        tensor_free(&parameters[i]);
    }
}

/* ---- element by element ---- */

static void pointwise_operations_reach_the_end(void **state)
{
    (void)state;
    enum { COUNT = 37, ARRAYS = 5 /* x, its GELU, gradient, gradient of x, x in f32 */ };
    struct rng rng = test_rng(6);
    struct array arrays[ARRAYS];
    for (int i = 0; i < ARRAYS; i++)
        arrays[i] = make_normal(&rng, i < 4 ? DTYPE_BF16 : DTYPE_F32, COUNT, far_away);
    for (int far = 0; far < (there(arrays, ARRAYS) ? 2 : 0); far++) {
        const int64_t count = (far ? far_away : 0) + COUNT;
        const struct activate forward = {count,     place(&arrays[0], far), place(&arrays[1], far), ACTIVATION_GELU, 0,
                                         DTYPE_BF16};
        const struct gelu_backward backward = {count, place(&arrays[0], far), place(&arrays[2], far),
                                               place(&arrays[3], far), DTYPE_BF16};
        const struct convert convert = {count, place(&arrays[0], far), place(&arrays[4], far), DTYPE_BF16, DTYPE_F32,
                                        false};
        RUN(activate, forward, far, -1, 1);
        RUN(gelu_backward, backward, far, -1, 1);
        RUN(convert, convert, far, -1, 1);
    }
    static const char *const names[ARRAYS] = {"", "gelu", "", "its gradient", "f32"};
    for (int i = 0; i < ARRAYS; i++)
        if (there(arrays, ARRAYS) && *names[i])
            assert_same_end(names[i], &arrays[i]);
    free_arrays(arrays, ARRAYS);
}

static void gated_units_reach_the_end(void **state)
{
    (void)state;
    enum {
        CHANNELS = 2048,
        ROWS = 2,
        ARRAYS = 5 /* gate and up, SwiGLU's output, its gradient, that of gate and up, the output of GLU */
    };
    const int64_t start = far_away / CHANNELS;
    struct rng rng = test_rng(7);
    struct array arrays[ARRAYS];
    for (int i = 0; i < ARRAYS; i++) {
        const int64_t width = i % 3 == 0 ? 2 * CHANNELS : CHANNELS;
        arrays[i] = make_normal(&rng, DTYPE_BF16, ROWS * width, start * width);
    }
    for (int far = 0; far < (there(arrays, ARRAYS) ? 2 : 0); far++) {
        const int64_t rows = (far ? start : 0) + ROWS;
        const struct swiglu_forward forward = {rows, CHANNELS, place(&arrays[0], far), place(&arrays[1], far),
                                               DTYPE_BF16};
        const struct swiglu_backward backward = {
            rows, CHANNELS, place(&arrays[0], far), place(&arrays[2], far), place(&arrays[3], far), DTYPE_BF16};
        const struct glu unit = {rows, CHANNELS, place(&arrays[0], far), place(&arrays[4], far), DTYPE_BF16};
        RUN(swiglu_forward, forward, far, -ROWS, ROWS);
        RUN(swiglu_backward, backward, far, -ROWS, ROWS);
        RUN(glu, unit, far, -ROWS, ROWS);
    }
    if (there(arrays, ARRAYS)) {
        assert_same_end("output", &arrays[1]);
        assert_same_end("grad_gate_up", &arrays[3]);
        assert_same_end("output of GLU", &arrays[4]);
    }
    free_arrays(arrays, ARRAYS);
}

/* ---- rows of tables ---- */

static void tables_reach_the_end(void **state)
{
    (void)state;
    enum { CHANNELS = 4096, ROWS = 2, FRAMES = 3 };
    const int64_t start = far_away / CHANNELS;
    struct rng rng = test_rng(12);
    struct array table = make_normal(&rng, DTYPE_F32, ROWS * CHANNELS, start * CHANNELS);
    struct tensor ids[2], output[2];
    for (int far = 0; far < 2; far++) {
        ids[far] = tensor_zero(DTYPE_I32, ROWS);
        output[far] = tensor_make(DTYPE_F32, FRAMES * CHANNELS);
        for (int n = 0; n < ROWS; n++)
            tensor_set(&ids[far], n, (double)(far * start + ROWS - 1 - n));
    }
    for (int far = 0; far < (table.memory ? 2 : 0); far++) {
        const struct gather_repeat p = {.tokens = ROWS,
                                        .channels = CHANNELS,
                                        .rows = (far ? start : 0) + ROWS,
                                        .frames = FRAMES,
                                        .ids = tensor_device(&ids[far]),
                                        .repeat = 2,
                                        .table = place(&table, far),
                                        .output = tensor_device(&output[far]),
                                        .output_row_stride = CHANNELS,
                                        .type = DTYPE_F32};
        RUN(gather_repeat, p, far, 0, 0);
    }
    if (table.memory)
        assert_same_bits("repeated rows", &output[0], &output[1]);
    free_arrays(&table, 1);
    for (int far = 0; far < 2; far++) {
        tensor_free(&ids[far]);
        tensor_free(&output[far]);
    }
}

/* ---- embedding: as many tokens ---- */

static void embeddings_reach_the_end(void **state)
{
    (void)state;
    enum { CHANNELS = 4096, TOKENS = 4, VOCABULARY = 3, ARRAYS = 4 /* output, gradient, ids, order */ };
    const int64_t start = far_away / CHANNELS + 128 - 1; /* the first of them belongs to the block before the last */
    struct rng rng = test_rng(8);
    struct tensor table = tensor_normal(&rng, DTYPE_F32, VOCABULARY * CHANNELS, 1), sums[2];
    struct tensor ids = tensor_zero(DTYPE_I32, TOKENS), order[2];
    struct array arrays[ARRAYS];
    for (int far = 0; far < 2; far++) {
        sums[far] = tensor_zero(DTYPE_F32, VOCABULARY * CHANNELS);
        order[far] = tensor_zero(DTYPE_I32, TOKENS);
        for (int64_t n = 0; n < TOKENS; n++)
            tensor_set(&order[far], n, (double)(n + far * start));
    }
    for (int64_t n = 0; n < TOKENS; n++)
        tensor_set(&ids, n, (double)((n + 1) / 2));
    arrays[0] = make_normal(&rng, DTYPE_F32, TOKENS * CHANNELS, start * CHANNELS);
    arrays[1] = make_normal(&rng, DTYPE_F32, TOKENS * CHANNELS, start * CHANNELS);
    arrays[2] = make_array(ids, start);
    arrays[3] = make_array(order[1], start);
    for (int far = 0; far < (there(arrays, ARRAYS) ? 2 : 0); far++) {
        const int64_t tokens = (far ? start : 0) + TOKENS;
        const struct embedding_forward forward = {
            tokens,   CHANNELS, VOCABULARY, place(&arrays[2], far), tensor_device(&table), place(&arrays[0], far),
            DTYPE_F32};
        const struct embedding_backward backward = {tokens,
                                                    CHANNELS,
                                                    VOCABULARY,
                                                    place(&arrays[2], far),
                                                    far ? place(&arrays[3], far) : tensor_device(&order[0]),
                                                    place(&arrays[1], far),
                                                    tensor_device(&sums[far]),
                                                    DTYPE_F32};
        RUN(embedding_forward, forward, far, -TOKENS, TOKENS);
        RUN(embedding_backward, backward, far, -1, 1);
    }
    if (there(arrays, ARRAYS)) {
        assert_same_end("output", &arrays[0]);
        for (int64_t i = CHANNELS; i < VOCABULARY * CHANNELS; i++) /* the last block of columns */
            if (i % CHANNELS >= CHANNELS - 256)
                assert_true(tensor_read(&sums[0])[i] == tensor_read(&sums[1])[i]);
    }
    free_arrays(arrays, ARRAYS);
    struct tensor *others[] = {&table, &sums[0], &sums[1], &order[0]};
    for (int i = 0; i < 4; i++)
        tensor_free(others[i]);
}

/* ---- losses ---- */

static void losses(struct rng *rng, enum dtype type, enum dtype grad_type, int64_t columns, bool in_place)
{
    enum { ROWS = 2, ARRAYS = 4 /* logits, gradient, losses, targets */ };
    const int64_t start = far_away / columns + 1;
    struct tensor targets = tensor_zero(DTYPE_I32, ROWS);
    tensor_set(&targets, 0, (double)(columns - 1));
    tensor_set(&targets, 1, 5);
    struct array arrays[ARRAYS] = {make_normal(rng, type, ROWS * columns, start * columns),
                                   make_normal(rng, grad_type, ROWS * columns, start * columns),
                                   make_normal(rng, DTYPE_F32, ROWS, start), make_array(targets, start)};
    for (int far = 0; far < (there(arrays, ARRAYS) ? 2 : 0); far++) {
        const struct cross_entropy p = {.rows = (far ? start : 0) + ROWS,
                                        .columns = columns,
                                        .logits = place(&arrays[0], far),
                                        .targets = place(&arrays[3], far),
                                        .losses = place(&arrays[2], far),
                                        .grad = place(&arrays[in_place ? 0 : 1], far),
                                        .grad_scale = 0.5f,
                                        .type = type,
                                        .grad_type = grad_type};
        RUN(cross_entropy, p, far, -ROWS, ROWS);
    }
    if (there(arrays, ARRAYS)) {
        assert_same_end("losses", &arrays[2]);
        assert_same_end("gradient", &arrays[in_place ? 0 : 1]);
    }
    free_arrays(arrays, ARRAYS);
}

static void losses_reach_the_end(void **state)
{
    (void)state;
    struct rng rng = test_rng(9);
    losses(&rng, DTYPE_F32, DTYPE_BF16, 1024, false);
    losses(&rng, DTYPE_BF16, DTYPE_BF16, 1001, true);
}

/* ---- the optimizer ---- */

static void adamw(struct rng *rng, bool stochastic)
{
    enum { COUNT = 37, ARRAYS = 5 /* master, moments, gradient, weights */ };
    const struct adamw_segment segments[2] = {{0, COUNT, 0.1f}, {0, far_away + COUNT, 0.1f}};
    struct tensor one = tensor_zero(DTYPE_F32, 1), skip = tensor_zero(DTYPE_I32, 1);
    struct tensor table = tensor_zero(DTYPE_U8, sizeof segments);
    struct array arrays[ARRAYS];
    tensor_set(&one, 0, 1);
    for (size_t i = 0; i < sizeof segments; i++)
        tensor_set(&table, (int64_t)i, ((const unsigned char *)segments)[i]);
    for (int i = 0; i < ARRAYS; i++) {
        arrays[i] = make_normal(rng, i < 4 ? DTYPE_F32 : DTYPE_BF16, COUNT, far_away);
        for (int64_t n = 0; i == 2 && n < COUNT; n++)
            tensor_set(&arrays[i].near, n, 0.5);
        if (i == 2 && arrays[i].memory)
            assert_ok(test_kernels()->copy(test_context(1, 0), far_place(&arrays[i]), tensor_device(&arrays[i].near),
                                           COUNT * sizeof(float)));
    }
    for (int far = 0; far < (there(arrays, ARRAYS) ? 2 : 0); far++) {
        const struct adamw p = {
            .count = segments[far].count,
            .master = place(&arrays[0], far),
            .first_moment = place(&arrays[1], far),
            .second_moment = place(&arrays[2], far),
            .gradient = place(&arrays[3], far),
            .weights = place(&arrays[4], far),
            .weights_type = DTYPE_BF16,
            .segments = (const struct adamw_segment *)(const void *)tensor_device(&table) + far,
            .segment_count = 1,
            .learning_rate = 0.01f,
            .beta1 = 0.9f,
            .beta2 = 0.99f,
            .epsilon = 1e-6f,
            .step = 3,
            .scale = tensor_device(&one),
            .skip = tensor_device(&skip),
            .stochastic = stochastic,
            .seed = UINT64_C(0x123456789ABCDEF0),
            .first_index = far ? 0 : far_away,
        };
        RUN(adamw, p, far, -1, 1);
    }
    static const char *const names[ARRAYS] = {"master", "first moment", "second moment", "", "weights"};
    for (int i = 0; i < ARRAYS; i++)
        if (there(arrays, ARRAYS) && *names[i])
            assert_same_end(names[i], &arrays[i]);
    free_arrays(arrays, ARRAYS);
    tensor_free(&one);
    tensor_free(&skip);
    tensor_free(&table);
}

static void updates_reach_the_end(void **state)
{
    (void)state;
    struct rng rng = test_rng(10);
    adamw(&rng, false);
    adamw(&rng, true);
}

static void norms_reach_the_end(void **state)
{
    (void)state;
    enum { COUNT = 37 };
    const int64_t start =
        far_away + INT64_C(257) * 65536; /* in its last tile, one that a thread comes to in an odd round */
    struct rng rng = test_rng(11);
    struct array x = make_normal(&rng, DTYPE_F32, COUNT, start);
    struct tensor results[2] = {tensor_zero(DTYPE_F64, 1), tensor_zero(DTYPE_F64, 1)}, flag = tensor_zero(DTYPE_I32, 1);
    for (int far = 0; far < (x.memory ? 2 : 0); far++) {
        const struct squared_norm p = {(far ? start : 0) + COUNT, place(&x, far), tensor_device(&results[far]),
                                       tensor_device(&flag), false};
        RUN(squared_norm, p, far, -1, 1);
    }
    assert_same_bits("the squared norm", &results[0], &results[1]);
    free_arrays(&x, 1);
    tensor_free(&results[0]);
    tensor_free(&results[1]);
    tensor_free(&flag);
}

/* ---- distances ---- */

/* Every distance: of the last block's, those of the last point. */
static void distances_reach_the_end(void **state)
{
    (void)state;
    enum { CHANNELS = 3, CLUSTERS = 4096, BLOCK = 64 };
    const int64_t rows = far_away / CLUSTERS + BLOCK;
    struct rng rng = test_rng(11);
    struct tensor points = tensor_integers(&rng, DTYPE_F32, BLOCK * CHANNELS, 9);
    struct tensor centroids = tensor_integers(&rng, DTYPE_F32, CLUSTERS * CHANNELS, 9);
    struct array x = make_array(points, (rows - BLOCK) * CHANNELS);
    struct array every = make_array(tensor_make(DTYPE_F32, BLOCK), rows * CLUSTERS - BLOCK);
    if (x.memory && every.memory) {
        const struct kmeans_assign p = {.rows = rows,
                                        .channels = CHANNELS,
                                        .clusters = CLUSTERS,
                                        .x = place(&x, true),
                                        .centroids = tensor_device(&centroids),
                                        .x_row_stride = CHANNELS,
                                        .every = place(&every, true)};
        RUN(kmeans_assign, p, true, -1, 1);
        for (int i = 0; i < BLOCK; i++) {
            double distance = 0;
            for (int c = 0; c < CHANNELS; c++) {
                const double difference =
                    points.values[(BLOCK - 1) * CHANNELS + c] - centroids.values[(CLUSTERS - BLOCK + i) * CHANNELS + c];
                distance += difference * difference;
            }
            tensor_set(&every.near, i, distance);
        }
        assert_same_end("every distance", &every);
    }
    free_arrays(&x, 1);
    free_arrays(&every, 1);
    tensor_free(&centroids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_norms_reach_the_end),
        cmocka_unit_test(layer_norm_gradients_reach_the_end),
        cmocka_unit_test(rmsnorms_reach_the_end),
        cmocka_unit_test(long_rmsnorm_gradients_reach_the_end),
        cmocka_unit_test(kept_rmsnorm_gradients_reach_the_end),
        cmocka_unit_test(group_norms_reach_the_end),
        cmocka_unit_test(pointwise_operations_reach_the_end),
        cmocka_unit_test(gated_units_reach_the_end),
        cmocka_unit_test(tables_reach_the_end),
        cmocka_unit_test(embeddings_reach_the_end),
        cmocka_unit_test(losses_reach_the_end),
        cmocka_unit_test(updates_reach_the_end),
        cmocka_unit_test(norms_reach_the_end),
        cmocka_unit_test(distances_reach_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
