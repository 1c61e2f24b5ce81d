/* Gradients of group norm. Of a block of frames each channel's sums of g and of g times the normalised value are kept (g
 * the gradient of what weight and bias give): the parameters' gradients are their sums over blocks and rows, and a group's
 * two means come from the same numbers times the weights, so that the frames are read once for all of them. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gelu.h"

enum { FRAMES = 64, STRIP = 512 };

struct backward {
    const struct group_norm_backward *p;
    int64_t blocks;
    float *partial; /* [B][blocks][2][C]: sums of g * normal, of g */
    float *means;   /* [B][groups][2]: of g * weight, of g * weight * normal */
};

size_t cpu_group_norm_backward_scratch_size(const struct group_norm_backward *p)
{
    if (p->batch <= 0 || p->frames <= 0 || p->channels <= 0 || p->groups <= 0)
        return 0;
    return (size_t)(p->batch * (divide_up(p->frames, FRAMES) * 2 * p->channels + 2 * p->groups)) * sizeof(float);
}

static int64_t row_frames(const struct group_norm_backward *p, int64_t b)
{
    return p->lengths ? p->lengths[b] : p->frames;
}

/* One lane is one channel. */
struct channel_lanes {
    vector mean, rstd, weight, bias;
};

static struct channel_lanes channel_lanes(const struct group_norm_backward *p, int64_t b, int64_t c, int64_t count)
{
    struct channel_lanes lanes = {.weight = vector_fill(0)};
    lanes.mean = lanes.rstd = lanes.bias = lanes.weight;
    for (int64_t i = 0; i < count; i++) {
        int64_t group = b * p->groups + (c + i) / (p->channels / p->groups);
        lanes.mean[i] = p->mean[group];
        lanes.rstd[i] = p->rstd[group];
    }
    lanes.weight = p->type == DTYPE_F32 ? vector_load(p->weight, c, count, DTYPE_F32)
                                        : vector_load(p->weight, c, count, DTYPE_BF16);
    lanes.bias =
        p->type == DTYPE_F32 ? vector_load(p->bias, c, count, DTYPE_F32) : vector_load(p->bias, c, count, DTYPE_BF16);
    return lanes;
}

/* g, and the normalised value. */
INLINE vector gradient_lanes(const struct group_norm_backward *p, const struct channel_lanes *lanes, int64_t index,
                             int64_t count, enum dtype type, vector *normal)
{
    vector gradient = vector_load(p->grad_output, index, count, type);
    *normal = (vector_load(p->x, index, count, type) - lanes->mean) * lanes->rstd;
    if (p->activation == ACTIVATION_GELU)
        gradient *= vector_gelu_slope(multiply_add(*normal, lanes->weight, lanes->bias));
    return gradient;
}

INLINE void sum_lanes(const struct backward *work, int64_t b, int64_t first, int64_t frames, int64_t c, int64_t count,
                      enum dtype type)
{
    const struct group_norm_backward *p = work->p;
    struct channel_lanes lanes = channel_lanes(p, b, c, count);
    float *partial = work->partial + (b * work->blocks + first / FRAMES) * 2 * p->channels;
    vector dot = vector_fill(0), sum = vector_fill(0);
    for (int64_t t = first; t < first + frames; t++) {
        vector normal,
            gradient = gradient_lanes(p, &lanes, (b * p->frames + t) * p->channels + c, count, type, &normal);
        dot = multiply_add(gradient, normal, dot);
        sum += gradient;
    }
    vector_store(partial, c, count, DTYPE_F32, dot);
    vector_store(partial + p->channels, c, count, DTYPE_F32, sum);
}

static void sum_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct backward *work = argument;
    const struct group_norm_backward *p = work->p;
    int64_t b = task / work->blocks, first = task % work->blocks * FRAMES;
    int64_t frames = minimum(FRAMES, maximum(0, row_frames(p, b) - first));
    for (int64_t c = 0; c < p->channels; c += LANES) {
        int64_t count = minimum(LANES, p->channels - c);
        if (p->type == DTYPE_F32)
            sum_lanes(work, b, first, frames, c, count, DTYPE_F32);
        else
            sum_lanes(work, b, first, frames, c, count, DTYPE_BF16);
    }
}

static float weight_of(const struct group_norm_backward *p, int64_t c)
{
    return p->type == DTYPE_F32 ? ((const float *)p->weight)[c] : bf16_to_float(((const bf16 *)p->weight)[c]);
}

static void means_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct backward *work = argument;
    const struct group_norm_backward *p = work->p;
    int64_t b = task / p->groups, width = p->channels / p->groups, group = task % p->groups;
    double sum = 0, dot = 0, count = (double)(row_frames(p, b) * width);
    for (int64_t c = group * width; c < (group + 1) * width; c++) {
        double channel_sum = 0, channel_dot = 0;
        for (int64_t block = 0; block < work->blocks; block++) {
            const float *partial = work->partial + (b * work->blocks + block) * 2 * p->channels;
            channel_dot += (double)partial[c];
            channel_sum += (double)partial[p->channels + c];
        }
        sum += channel_sum * (double)weight_of(p, c);
        dot += channel_dot * (double)weight_of(p, c);
    }
    work->means[2 * task] = count > 0 ? (float)(sum / count) : 0;
    work->means[2 * task + 1] = count > 0 ? (float)(dot / count) : 0;
}

static void parameters_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct backward *work = argument;
    const struct group_norm_backward *p = work->p;
    int64_t end = minimum(2 * p->channels, (task + 1) * STRIP);
    for (int64_t i = task * STRIP; i < end; i++) { /* weight, then bias */
        float *result = i < p->channels ? p->grad_weight + i : p->grad_bias + (i - p->channels);
        double total = 0;
        for (int64_t block = 0; block < p->batch * work->blocks; block++)
            total += (double)work->partial[block * 2 * p->channels + i];
        *result = p->overwrite ? (float)total : *result + (float)total;
    }
}

INLINE void result_lanes(const struct backward *work, int64_t b, int64_t first, int64_t frames, int64_t c,
                         int64_t count, enum dtype type)
{
    const struct group_norm_backward *p = work->p;
    struct channel_lanes lanes = channel_lanes(p, b, c, count);
    vector mean = vector_fill(0), slope = vector_fill(0);
    for (int64_t i = 0; i < count; i++) {
        const float *means = work->means + 2 * (b * p->groups + (c + i) / (p->channels / p->groups));
        mean[i] = means[0];
        slope[i] = means[1];
    }
    for (int64_t t = first; t < first + frames; t++) {
        int64_t index = (b * p->frames + t) * p->channels + c;
        vector normal, gradient = gradient_lanes(p, &lanes, index, count, type, &normal);
        vector_store(p->grad_x, index, count, type, (gradient * lanes.weight - mean - normal * slope) * lanes.rstd);
    }
}

static void result_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct backward *work = argument;
    const struct group_norm_backward *p = work->p;
    int64_t b = task / work->blocks, first = task % work->blocks * FRAMES;
    int64_t frames = minimum(FRAMES, maximum(0, row_frames(p, b) - first));
    for (int64_t c = 0; c < p->channels; c += LANES) {
        int64_t count = minimum(LANES, p->channels - c);
        if (p->type == DTYPE_F32)
            result_lanes(work, b, first, frames, c, count, DTYPE_F32);
        else
            result_lanes(work, b, first, frames, c, count, DTYPE_BF16);
    }
    int64_t behind = minimum(FRAMES, p->frames - first) - frames;
    memset(element_of(p->grad_x, (b * p->frames + first + frames) * p->channels, p->type), 0,
           (size_t)(behind * p->channels) * dtype_size(p->type));
}

enum status cpu_group_norm_backward(const struct device_context *context, const struct group_norm_backward *p)
{
    bool empty = p->batch == 0 || p->frames == 0;
    struct backward work = {p, empty ? 0 : divide_up(p->frames, FRAMES), context->scratch, NULL};
    if ((empty && !p->overwrite) ||
        (!empty && p->lengths &&
         !cpu_indices_fit(context, "group_norm_backward", "length", p->lengths, p->batch, 0, p->frames + 1)))
        return STATUS_OK;
    work.means = work.partial + p->batch * work.blocks * 2 * p->channels;
    if (!empty) {
        thread_pool_run(context->pool, p->batch * work.blocks, sum_task, &work);
        thread_pool_run(context->pool, p->batch * p->groups, means_task, &work);
        thread_pool_run(context->pool, p->batch * work.blocks, result_task, &work);
    }
    thread_pool_run(context->pool, divide_up(2 * p->channels, STRIP), parameters_task, &work);
    return STATUS_OK;
}
