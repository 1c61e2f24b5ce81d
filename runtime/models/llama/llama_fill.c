/* Values of the host on their way into the model's arena. Each piece is made in f32 in pinned memory, rounded behind itself
 * by all threads, and copied while the next one is made in the other buffer. */
#include "models/llama/llama_fill.h"
#include "core/thread_pool.h"
#include "models/llama/llama_internal.h"

/* f32 values, and behind them, where the model is of another type, the same rounded. */
static size_t buffer_bytes(enum dtype dtype)
{
    return WEIGHT_PIECE * (sizeof(float) + (dtype == DTYPE_F32 ? 0 : dtype_size(dtype)));
}

int64_t llama_fill_bytes(enum dtype dtype)
{
    return STAGING_BUFFERS * (int64_t)buffer_bytes(dtype);
}

enum status llama_fill_open(struct llama *model, const struct weight_sink *sink, struct llama_fill *fill)
{
    *fill = (struct llama_fill){.model = model, .sink = sink, .destination = model->weights};
    return staging_open(model->kernels, model->context, buffer_bytes(model->dtype), &fill->staging);
}

enum status llama_fill_open_at(struct llama *model, void *destination, struct llama_fill *fill)
{
    *fill = (struct llama_fill){.model = model, .destination = destination};
    return staging_open(model->kernels, model->context, buffer_bytes(model->dtype), &fill->staging);
}

enum status llama_fill_next(struct llama_fill *fill)
{
    void *buffer;
    enum status result = staging_next(&fill->staging, &buffer);
    fill->values = buffer;
    return result;
}

struct rounding {
    const float *values;
    void *rounded;
    enum dtype dtype;
    int64_t count;
};

static void round_block(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct rounding *rounding = argument;
    int64_t begin = task * FILL_BLOCK, left = rounding->count - begin;
    dtype_from_float(element_at(rounding->rounded, rounding->dtype, begin), rounding->dtype, rounding->values + begin,
                     left < FILL_BLOCK ? left : FILL_BLOCK);
}

enum status llama_fill_send(struct llama_fill *fill, int64_t offset, int64_t count)
{
    enum status result = STATUS_OK;
    const struct llama *model = fill->model;
    const void *weights = fill->values;
    if (model->dtype != DTYPE_F32) {
        struct rounding rounding = {fill->values, fill->values + WEIGHT_PIECE, model->dtype, count};
        thread_pool_run(model->context->pool, (count + FILL_BLOCK - 1) / FILL_BLOCK, round_block, &rounding);
        weights = rounding.rounded;
    }
    TRY(model->kernels->copy_to_device(model->context, QUEUE_COMPUTE,
                                       element_at(fill->destination, model->dtype, offset), weights,
                                       (size_t)count * dtype_size(model->dtype)));
    if (fill->sink)
        TRY(fill->sink->take(fill->sink->argument, offset, fill->values, count));
    TRY(staging_sent(&fill->staging));
fail:
    return result;
}

enum status llama_fill_close(struct llama_fill *fill, enum status status)
{
    return staging_close(&fill->staging, status);
}
