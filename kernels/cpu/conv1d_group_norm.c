/* A convolution with a group norm behind it. Its result is computed twice, tile by tile, first for the statistics and then
 * for the output: with few channels in and many out (wav2vec2's first layer: 10 products per number) that is cheaper than
 * writing, reading and writing again an array that is hundreds of times as large as the input, and the numbers that are
 * normalised are never rounded to bf16 in between. */
#include "kernels/cpu/activation.h"
#include "kernels/cpu/conv1d.h"
#include "kernels/cpu/group_norm.h"

struct work {
    const struct conv1d_group_norm *p;
    struct conv1d_cut cut;
    struct group_statistics statistics;
    int32_t *frames; /* [B] output frames of each row */
};

static struct group_statistics statistics_of(const struct conv1d_group_norm *p, const struct conv1d_cut *cut)
{
    return (struct group_statistics){.batch = p->conv.batch,
                                     .channels = p->conv.output_channels,
                                     .groups = p->norm_groups,
                                     .blocks = cut->blocks,
                                     .block_frames = cut->rows,
                                     .epsilon = p->epsilon};
}

size_t cpu_conv1d_group_norm_scratch_size(const struct conv1d_group_norm *p)
{
    const struct conv1d_forward *conv = &p->conv;
    if (conv->batch <= 0 || conv->output_frames <= 0 || conv->output_channels <= 0 || p->norm_groups <= 0 ||
        conv->groups <= 0 || conv->kernel <= 0 || conv->stride <= 0 || conv->dilation <= 0)
        return 0;
    struct conv1d_cut cut = conv1d_cut(NULL, conv, false);
    struct group_statistics s = statistics_of(p, &cut);
    return group_statistics_bytes(&s) + (size_t)conv->batch * sizeof(int32_t);
}

/* The sums of one row of a tile with the bias. */
INLINE vector biased(const struct conv1d_forward *conv, int64_t channel, const float *sum, int64_t count,
                     enum dtype type)
{
    vector v = vector_load(sum, 0, count, DTYPE_F32);
    return conv->bias ? v + vector_load(conv->bias, channel, count, type) : v;
}

INLINE void statistics_lanes(const struct work *work, float *partial, int64_t channel, const float *sums,
                             int64_t frames, int64_t count, enum dtype type)
{
    const struct conv1d_forward *conv = &work->p->conv;
    vector sum = vector_fill(0), squares = vector_fill(0);
    for (int64_t t = 0; t < frames; t++)
        sum += biased(conv, channel, sums + t * work->cut.across, count, type);
    vector mean = sum / (float)frames;
    for (int64_t t = 0; t < frames; t++) {
        vector v = biased(conv, channel, sums + t * work->cut.across, count, type) - mean;
        squares = multiply_add(v, v, squares);
    }
    vector_store(partial, channel, count, DTYPE_F32, mean);
    vector_store(partial + conv->output_channels, channel, count, DTYPE_F32, squares);
}

static void statistics_task(void *argument, int64_t task, int worker)
{
    const struct work *work = argument;
    const struct conv1d_forward *conv = &work->p->conv;
    struct conv1d_tile tile = conv1d_tile_of(&work->cut, task);
    int64_t channel = tile.group * work->cut.group_outputs + tile.column;
    if (tile.valid == 0)
        return;
    const float *sums = conv1d_sums(&work->cut, &tile, worker);
    float *partial = group_partial(&work->statistics, tile.b, tile.first / work->cut.rows);
    for (int64_t j = 0; j < tile.columns; j += LANES) {
        int64_t count = minimum(LANES, tile.columns - j);
        if (conv->type == DTYPE_F32)
            statistics_lanes(work, partial, channel + j, sums + j, tile.valid, count, DTYPE_F32);
        else
            statistics_lanes(work, partial, channel + j, sums + j, tile.valid, count, DTYPE_BF16);
    }
}

/* One lane is one channel. */
struct channel_lanes {
    vector mean, rstd, weight, bias;
};

static struct channel_lanes channel_lanes(const struct work *work, int64_t b, int64_t channel, int64_t count)
{
    const struct conv1d_group_norm *p = work->p;
    const struct group_statistics *s = &work->statistics;
    struct channel_lanes lanes = {.mean = vector_fill(0), .rstd = vector_fill(0)};
    for (int64_t i = 0; i < count; i++) {
        int64_t group = b * s->groups + (channel + i) / (s->channels / s->groups);
        lanes.mean[i] = s->mean[group];
        lanes.rstd[i] = s->rstd[group];
    }
    bool f32 = p->conv.type == DTYPE_F32;
    lanes.weight = f32 ? vector_load(p->norm_weight, channel, count, DTYPE_F32)
                       : vector_load(p->norm_weight, channel, count, DTYPE_BF16);
    lanes.bias = f32 ? vector_load(p->norm_bias, channel, count, DTYPE_F32)
                     : vector_load(p->norm_bias, channel, count, DTYPE_BF16);
    return lanes;
}

INLINE void output_lanes(const struct work *work, const struct conv1d_tile *tile, int64_t channel, const float *sums,
                         int64_t count, enum dtype type)
{
    const struct conv1d_forward *conv = &work->p->conv;
    struct channel_lanes lanes = channel_lanes(work, tile->b, channel, count);
    for (int64_t t = 0; t < tile->valid; t++) {
        int64_t index = tile->b * conv->output_batch_stride + (tile->first + t) * conv->output_row_stride + channel;
        vector normal = (biased(conv, channel, sums + t * work->cut.across, count, type) - lanes.mean) * lanes.rstd;
        vector v = multiply_add(normal, lanes.weight, lanes.bias);
        vector_store(conv->output, index, count, type, vector_activate(v, conv->activation, conv->slope));
    }
}

static void output_task(void *argument, int64_t task, int worker)
{
    const struct work *work = argument;
    const struct conv1d_forward *conv = &work->p->conv;
    struct conv1d_tile tile = conv1d_tile_of(&work->cut, task);
    int64_t channel = tile.group * work->cut.group_outputs + tile.column;
    const float *sums = tile.valid > 0 ? conv1d_sums(&work->cut, &tile, worker) : NULL;
    for (int64_t j = 0; tile.valid > 0 && j < tile.columns; j += LANES) {
        int64_t count = minimum(LANES, tile.columns - j);
        if (conv->type == DTYPE_F32 && count == LANES)
            output_lanes(work, &tile, channel + j, sums + j, LANES, DTYPE_F32);
        else if (conv->type == DTYPE_F32)
            output_lanes(work, &tile, channel + j, sums + j, count, DTYPE_F32);
        else
            output_lanes(work, &tile, channel + j, sums + j, count, DTYPE_BF16);
    }
    for (int64_t t = tile.first + tile.valid; t < tile.first + tile.rows; t++)
        memset(element_of(conv->output, tile.b * conv->output_batch_stride + t * conv->output_row_stride + channel,
                          conv->type),
               0, (size_t)tile.columns * dtype_size(conv->type));
}

enum status cpu_conv1d_group_norm(const struct device_context *context, const struct conv1d_group_norm *p)
{
    const struct conv1d_forward *conv = &p->conv;
    if (conv->batch == 0 || conv->output_frames == 0 || !conv1d_lengths_fit(context, conv, "conv1d_group_norm"))
        return STATUS_OK;
    struct work work = {.p = p, .cut = conv1d_cut(context, conv, false)};
    work.statistics = statistics_of(p, &work.cut);
    group_statistics_place(&work.statistics, context->scratch);
    work.frames = (int32_t *)(void *)(work.statistics.rstd + conv->batch * p->norm_groups);
    for (int64_t b = 0; b < conv->batch; b++)
        work.frames[b] = (int32_t)conv1d_frames(conv, conv1d_length(conv, b));
    thread_pool_run(context->pool, conv1d_tasks(&work.cut), statistics_task, &work);
    group_statistics_finish(context, &work.statistics, work.frames, conv->output_frames, p->mean, p->rstd);
    thread_pool_run(context->pool, conv1d_tasks(&work.cut), output_task, &work);
    return STATUS_OK;
}
