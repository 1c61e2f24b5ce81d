/* GroupNorm over frames, with GELU after it. A block of frames is read twice, for the means of its channels and for the
 * squares about them, while it lies in the caches; the blocks of a group are joined in double in a fixed order, so that
 * minutes of audio lose nothing and a row's bits do not depend on the rows beside it or on what pads it. */
#include "kernels/cpu/group_norm.h"

#include "kernels/cpu/activation.h"
#include "kernels/cpu/moments.h"

enum {
    FRAMES = 64, /* of a block: two passes over 64 x 512 floats stay in a second-level cache */
    STRIP = 512, /* channels that are looked at together */
};

/* ---- statistics ---- */

size_t group_statistics_bytes(const struct group_statistics *s)
{
    return (size_t)(s->batch * (s->blocks * 2 * s->channels + 2 * s->groups)) * sizeof(float);
}

void group_statistics_place(struct group_statistics *s, float *scratch)
{
    s->partial = scratch;
    s->mean = scratch + s->batch * s->blocks * 2 * s->channels;
    s->rstd = s->mean + s->batch * s->groups;
}

struct finish {
    const struct group_statistics *statistics;
    const int32_t *frames;
    int64_t all;
    float *mean, *rstd;
};

static void finish_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct finish *work = argument;
    const struct group_statistics *s = work->statistics;
    int64_t b = task / s->groups, group = task % s->groups, width = s->channels / s->groups;
    int64_t frames = work->frames ? work->frames[b] : work->all;
    struct moments total = {0};
    for (int64_t first = 0; first < frames; first += s->block_frames) {
        const float *partial = group_partial(s, b, first / s->block_frames) + group * width;
        double count = (double)minimum(s->block_frames, frames - first);
        for (int64_t c = 0; c < width; c++)
            moments_join(&total, (struct moments){count, (double)partial[c], (double)partial[s->channels + c]});
    }
    double variance = total.count > 0 ? total.squares / total.count : 0;
    s->mean[task] = (float)total.mean;
    s->rstd[task] = total.count > 0 ? (float)(1 / sqrt(variance + (double)s->epsilon)) : 0;
    if (work->mean) {
        work->mean[task] = s->mean[task];
        work->rstd[task] = s->rstd[task];
    }
}

void group_statistics_finish(const struct device_context *context, const struct group_statistics *statistics,
                             const int32_t *frames, int64_t all, float *mean_output, float *rstd_output)
{
    struct finish work = {statistics, frames, all, mean_output, rstd_output};
    thread_pool_run(context->pool, statistics->batch * statistics->groups, finish_task, &work);
}

/* ---- forward ---- */

static struct group_statistics statistics_of(int64_t batch, int64_t frames, int64_t channels, int64_t groups)
{
    return (struct group_statistics){.batch = batch,
                                     .channels = channels,
                                     .groups = groups,
                                     .blocks = divide_up(frames, FRAMES),
                                     .block_frames = FRAMES};
}

size_t cpu_group_norm_forward_scratch_size(const struct group_norm_forward *p)
{
    if (p->batch <= 0 || p->frames <= 0 || p->channels <= 0 || p->groups <= 0)
        return 0;
    struct group_statistics s = statistics_of(p->batch, p->frames, p->channels, p->groups);
    return group_statistics_bytes(&s);
}

struct forward {
    const struct group_norm_forward *p;
    struct group_statistics statistics;
};

INLINE void statistics_lanes(const void *x, float *partial, int64_t channels, int64_t c, int64_t count, int64_t frames,
                             enum dtype type)
{
    vector sum = vector_fill(0), squares = vector_fill(0);
    for (int64_t t = 0; t < frames; t++)
        sum += vector_load(x, t * channels + c, count, type);
    vector mean = sum / (float)frames;
    for (int64_t t = 0; t < frames; t++) {
        vector v = vector_load(x, t * channels + c, count, type) - mean;
        squares = multiply_add(v, v, squares);
    }
    vector_store(partial, c, count, DTYPE_F32, mean);
    vector_store(partial + channels, c, count, DTYPE_F32, squares);
}

INLINE void statistics_block(const void *x, float *partial, int64_t channels, int64_t frames, enum dtype type)
{
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES)
        statistics_lanes(x, partial, channels, c, LANES, frames, type);
    if (c < channels)
        statistics_lanes(x, partial, channels, c, channels - c, frames, type);
}

/* Frames that row b has in the block that begins at frame `first`. */
static int64_t block_frames(const int32_t *lengths, int64_t all, int64_t b, int64_t first)
{
    return minimum(FRAMES, maximum(0, (lengths ? lengths[b] : all) - first));
}

static void statistics_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct forward *work = argument;
    const struct group_norm_forward *p = work->p;
    int64_t b = task / work->statistics.blocks, block = task % work->statistics.blocks;
    int64_t frames = block_frames(p->lengths, p->frames, b, block * FRAMES);
    const void *x = element(p->x, (b * p->frames + block * FRAMES) * p->channels, p->type);
    float *partial = group_partial(&work->statistics, b, block);
    if (frames > 0 && p->type == DTYPE_F32)
        statistics_block(x, partial, p->channels, frames, DTYPE_F32);
    else if (frames > 0)
        statistics_block(x, partial, p->channels, frames, DTYPE_BF16);
}

/* mean and rstd of the groups of channels [first, first + count). */
static void spread(const float *mean, const float *rstd, int64_t width, int64_t first, int64_t count, float *means,
                   float *rstds)
{
    for (int64_t c = 0; c < count; c++) {
        means[c] = mean[(first + c) / width];
        rstds[c] = rstd[(first + c) / width];
    }
}

INLINE void normal_lanes(const struct group_norm_forward *p, int64_t index, int64_t c, int64_t count, vector mean,
                         vector rstd, enum dtype type)
{
    vector normal = (vector_load(p->x, index, count, type) - mean) * rstd;
    vector v = multiply_add(normal, vector_load(p->weight, c, count, type), vector_load(p->bias, c, count, type));
    vector_store(p->output, index, count, type, vector_activate(v, p->activation, p->slope));
}

INLINE void normal_strip(const struct group_norm_forward *p, int64_t index, int64_t first, int64_t columns,
                         int64_t frames, const float *mean, const float *rstd, enum dtype type)
{
    for (int64_t t = 0; t < frames; t++)
        for (int64_t i = 0; i < columns; i += LANES) {
            int64_t at = index + t * p->channels + i;
            if (columns - i >= LANES)
                normal_lanes(p, at, first + i, LANES, vector_read(mean + i), vector_read(rstd + i), type);
            else
                normal_lanes(p, at, first + i, columns - i, vector_read(mean + i), vector_read(rstd + i), type);
        }
}

static void normal_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct forward *work = argument;
    const struct group_norm_forward *p = work->p;
    const struct group_statistics *s = &work->statistics;
    int64_t b = task / s->blocks, first = task % s->blocks * FRAMES;
    int64_t frames = block_frames(p->lengths, p->frames, b, first), index = (b * p->frames + first) * p->channels;
    float mean[STRIP + LANES] = {0}, rstd[STRIP + LANES] = {0};
    for (int64_t c = 0; c < p->channels; c += STRIP) {
        int64_t columns = minimum(STRIP, p->channels - c);
        spread(s->mean + b * s->groups, s->rstd + b * s->groups, p->channels / p->groups, c, columns, mean, rstd);
        if (p->type == DTYPE_F32)
            normal_strip(p, index + c, c, columns, frames, mean, rstd, DTYPE_F32);
        else
            normal_strip(p, index + c, c, columns, frames, mean, rstd, DTYPE_BF16);
    }
    int64_t behind = minimum(FRAMES, p->frames - first) - frames;
    memset(element_of(p->output, index + frames * p->channels, p->type), 0,
           (size_t)(behind * p->channels) * dtype_size(p->type));
}

enum status cpu_group_norm_forward(const struct device_context *context, const struct group_norm_forward *p)
{
    struct forward work = {p, statistics_of(p->batch, p->frames, p->channels, p->groups)};
    if (p->batch == 0 || p->frames == 0 ||
        (p->lengths &&
         !cpu_indices_fit(context, "group_norm_forward", "length", p->lengths, p->batch, 0, p->frames + 1)))
        return STATUS_OK;
    work.statistics.epsilon = p->epsilon;
    group_statistics_place(&work.statistics, context->scratch);
    thread_pool_run(context->pool, p->batch * work.statistics.blocks, statistics_task, &work);
    group_statistics_finish(context, &work.statistics, p->lengths, p->frames, p->mean, p->rstd);
    thread_pool_run(context->pool, p->batch * work.statistics.blocks, normal_task, &work);
    return STATUS_OK;
}
