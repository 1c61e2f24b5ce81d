/* Convolution of each channel by itself (FCPE's kernel of 31): no product of matrices, a lane is a channel. A task owns a block
 * of frames and a strip of channels; its frames of x are copied once into a window, the strip's weights are turned so that
 * those of a tap lie side by side, and the sums of eight frames stay in registers over the taps. */
#include "kernels/cpu/conv1d.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/vector.h"

enum {
    STRIP = 32,              /* channels of a task at most */
    FRAMES = 8,              /* whose sums are in registers */
    WEIGHTS = 16384 * LANES, /* floats of the turned weights: of the longest kernel for one vector */
    WINDOW = WORKER_SCRATCH_FLOATS - WEIGHTS - LANES - STRIP,
};

struct work {
    const struct device_context *context;
    const struct conv1d_forward *p;
    int64_t strip, strips; /* channels of a task; tasks across the channels */
    int64_t rows, blocks;  /* output frames of a task; tasks along a row */
};

/* sums[f] = sum over the taps, in order of k and in chains of TILE_CHAIN, of `frames` frames for one vector of channels. */
INLINE void sum_frames(const struct work *work, const float *window, const float *weights, int frames, float *sums)
{
    const struct conv1d_forward *p = work->p;
    vector total[FRAMES];
    for (int f = 0; f < frames; f++)
        total[f] = vector_fill(0);
    for (int64_t first = 0; first < p->kernel; first += TILE_CHAIN) {
        int64_t end = minimum(p->kernel, first + TILE_CHAIN);
        vector chain[FRAMES];
        for (int f = 0; f < frames; f++)
            chain[f] = vector_fill(0);
        for (int64_t k = first; k < end; k++) {
            vector weight = vector_read(weights + k * work->strip);
            for (int f = 0; f < frames; f++)
                chain[f] = multiply_add(vector_read(window + (f * p->stride + k * p->dilation) * work->strip), weight,
                                        chain[f]);
        }
        for (int f = 0; f < frames; f++)
            total[f] += chain[f];
    }
    for (int f = 0; f < frames; f++)
        vector_write(sums + f * STRIP, total[f]);
}

static void depthwise_task(void *argument, int64_t task, int worker)
{
    const struct work *work = argument;
    const struct conv1d_forward *p = work->p;
    int64_t column = task % work->strips * work->strip, columns = minimum(work->strip, p->channels - column);
    int64_t b = task / work->strips / work->blocks, first = task / work->strips % work->blocks * work->rows;
    int64_t frames = conv1d_frames(p, conv1d_length(p, b)), rows = minimum(work->rows, p->output_frames - first);
    int64_t valid = maximum(0, minimum(rows, frames - first));
    int64_t index = b * p->output_batch_stride + first * p->output_row_stride + column;
    float *weights = cpu_worker_scratch(work->context, worker), *window = weights + WEIGHTS;
    if (valid > 0) {
        tile_load_transposed(weights, work->strip, columns, p->kernel, element(p->weight, column * p->kernel, p->type),
                             p->kernel, p->type);
        const struct conv1d_frames all = {b, first * p->stride - p->padding_left, 1,
                                          (valid - 1) * p->stride + (p->kernel - 1) * p->dilation + 1};
        conv1d_load_window(p, all, column, columns, window, work->strip);
    }
    for (int64_t t = 0, count; t < valid; t += count) {
        float sums[FRAMES * STRIP];
        count = valid - t >= FRAMES ? FRAMES : valid - t >= 4 ? 4 : 1;
        for (int64_t i = 0; i < columns; i += LANES) {
            const float *from = window + t * p->stride * work->strip + i;
            if (count == FRAMES)
                sum_frames(work, from, weights + i, FRAMES, sums + i);
            else if (count == 4)
                sum_frames(work, from, weights + i, 4, sums + i);
            else
                sum_frames(work, from, weights + i, 1, sums + i);
        }
        for (int64_t f = 0; f < count; f++)
            conv1d_finish_row(p, index + (t + f) * p->output_row_stride, column, sums + f * STRIP, columns);
    }
    for (int64_t t = valid; t < rows; t++)
        conv1d_zero_row(p, index + t * p->output_row_stride, columns);
}

enum status conv1d_depthwise(const struct device_context *context, const struct conv1d_forward *p)
{
    struct work work = {.context = context, .p = p};
    int64_t extent = (p->kernel - 1) * p->dilation + 1;
    work.strip = minimum(divide_up(p->channels, LANES) * LANES, STRIP);
    work.strip = minimum(work.strip, minimum(WEIGHTS / p->kernel, WINDOW / 2 / extent) / LANES * LANES);
    work.rows = maximum(1, minimum(8 * FRAMES, (WINDOW / work.strip - extent) / p->stride + 1));
    work.strips = divide_up(p->channels, work.strip);
    work.blocks = divide_up(p->output_frames, work.rows);
    thread_pool_run(context->pool, p->batch * work.blocks * work.strips, depthwise_task, &work);
    return STATUS_OK;
}
