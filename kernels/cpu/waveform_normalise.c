/* Each row's samples shifted and scaled to mean 0 and variance 1. Blocks of samples are measured by themselves, in double
 * and in two passes, and joined in order: minutes of audio are cut among the threads and no bit depends on how many there
 * are. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/moments.h"
#include "kernels/cpu/vector.h"

struct work {
    const struct waveform_normalise *p;
    int64_t blocks;           /* of a row */
    struct moments *partial;  /* [B][blocks] */
    struct moments *complete; /* [B] */
};

size_t cpu_waveform_normalise_scratch_size(const struct waveform_normalise *p)
{
    if (p->batch <= 0 || p->samples <= 0)
        return 0;
    return (size_t)(p->batch * (divide_up(p->samples, TASK_ELEMENTS) + 1)) * sizeof(struct moments);
}

/* The samples of block `block` that row b has. */
static int64_t block_samples(const struct waveform_normalise *p, int64_t b, int64_t block)
{
    int64_t length = p->lengths ? p->lengths[b] : p->samples;
    return minimum(TASK_ELEMENTS, maximum(0, length - block * TASK_ELEMENTS));
}

static void measure_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct work *work = argument;
    const struct waveform_normalise *p = work->p;
    int64_t b = task / work->blocks, block = task % work->blocks, count = block_samples(p, b, block);
    const float *x = p->x + b * p->x_stride + block * TASK_ELEMENTS;
    double sum[4] = {0}, squares[4] = {0}; /* chains that need not wait for each other */
    for (int64_t i = 0; i < count; i++)
        sum[i % 4] += (double)x[i];
    double mean = count > 0 ? ((sum[0] + sum[1]) + (sum[2] + sum[3])) / (double)count : 0;
    for (int64_t i = 0; i < count; i++)
        squares[i % 4] += ((double)x[i] - mean) * ((double)x[i] - mean);
    work->partial[task] = (struct moments){(double)count, mean, (squares[0] + squares[1]) + (squares[2] + squares[3])};
}

static void output_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct work *work = argument;
    const struct waveform_normalise *p = work->p;
    int64_t b = task / work->blocks, block = task % work->blocks, count = block_samples(p, b, block);
    int64_t all = minimum(TASK_ELEMENTS, p->samples - block * TASK_ELEMENTS);
    const struct moments *row = &work->complete[b];
    double scale = row->count > 0 ? 1 / sqrt(row->squares / row->count + p->epsilon) : 0;
    const float *x = p->x + b * p->x_stride + block * TASK_ELEMENTS;
    void *output = element_of(p->output, b * p->output_stride + block * TASK_ELEMENTS, p->type);
    for (int64_t i = 0; i < count; i++) {
        float v = (float)(((double)x[i] - row->mean) * scale);
        if (p->type == DTYPE_F32)
            ((float *)output)[i] = v;
        else
            ((bf16 *)output)[i] = bf16_from_float(v);
    }
    memset(element_of(output, count, p->type), 0, (size_t)(all - count) * dtype_size(p->type));
}

enum status cpu_waveform_normalise(const struct device_context *context, const struct waveform_normalise *p)
{
    if (p->batch == 0 || p->samples == 0 ||
        (p->lengths &&
         !cpu_indices_fit(context, "waveform_normalise", "length", p->lengths, p->batch, 0, p->samples + 1)))
        return STATUS_OK;
    struct work work = {p, divide_up(p->samples, TASK_ELEMENTS), context->scratch, NULL};
    work.complete = work.partial + p->batch * work.blocks;
    thread_pool_run(context->pool, p->batch * work.blocks, measure_task, &work);
    for (int64_t b = 0; b < p->batch; b++) {
        work.complete[b] = (struct moments){0};
        for (int64_t i = 0; i < work.blocks; i++)
            moments_join(&work.complete[b], work.partial[b * work.blocks + i]);
    }
    thread_pool_run(context->pool, p->batch * work.blocks, output_task, &work);
    return STATUS_OK;
}
