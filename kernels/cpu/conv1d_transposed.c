/* The transpose of a convolution. Output frame u is written as u + padding = step * stride + phase: the frames of one phase
 * see the same taps, phase + j * stride, and tap j of step q reads frame q - j. So each phase is a convolution of stride 1, and all
 * phases of a block of steps read the same frames, which a task copies once into a window. */
#include "kernels/cpu/conv1d.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/vector.h"

struct work {
    const struct device_context *context;
    const struct conv1d_transposed *p;
    struct conv1d_forward frames; /* how x is read and the sums are finished, which a convolution does likewise */
    int64_t taps;                 /* of a phase at most */
    int64_t part;                 /* channels at a time */
    bool merged;                  /* the taps of a step follow each other in the window: one product over all of them */
    int64_t across;               /* floats between rows of the sums */
    int64_t first;                /* the first step that has an output frame */
    int64_t rows, blocks, strips; /* steps of a task; tasks along a row and across the outputs */
};

struct block {
    int64_t b, step, rows, column, columns; /* steps [step, step + rows) */
    float *window, *weights, *sums;
    int64_t apart;
};

/* The weights of tap `tap` and channels [c, c + depth) for the block's outputs, a row for each channel. */
static void load_weights(const struct work *work, const struct block *block, int64_t tap, int64_t c, int64_t depth,
                         float *to)
{
    const struct conv1d_transposed *p = work->p;
    int64_t place = (tap * p->output_channels + block->column) * p->channels + c;
    tile_load_transposed(to, conv1d_weight_stride(work->across), block->columns, depth,
                         element(p->weight, place, p->type), p->channels, p->type);
}

static void multiply_tile(const struct work *work, const struct block *block, int64_t offset, int64_t depth,
                          bool accumulate)
{
    tile_multiply(block->rows, block->columns, depth, block->window + offset, block->apart, 1, block->weights,
                  conv1d_weight_stride(work->across), block->sums, work->across, accumulate);
}

/* The products of one phase over channels [c, c + count), which lie in the window: from the earliest frame on, whose tap is
 * the last. */
static void multiply(const struct work *work, const struct block *block, int64_t phase, int64_t c, int64_t count,
                     bool accumulate)
{
    const struct conv1d_transposed *p = work->p;
    int64_t taps = phase < p->kernel ? divide_up(p->kernel - phase, p->stride) : 0, skipped = work->taps - taps;
    int64_t together = work->merged ? maximum(1, CONV1D_DEPTH / count) : 1;
    for (int64_t i = 0, some; i < taps; i += some) {
        some = minimum(together, taps - i);
        for (int64_t d = 0; d < count; d += CONV1D_DEPTH) {
            int64_t depth = minimum(CONV1D_DEPTH, count - d);
            for (int64_t j = 0; j < some; j++)
                load_weights(work, block, phase + (taps - 1 - i - j) * p->stride, c + d, depth,
                             block->weights + j * depth * conv1d_weight_stride(work->across));
            multiply_tile(work, block, (skipped + i) * block->apart + d, some * depth, accumulate);
            accumulate = true;
        }
    }
}

/* Writes the phase's frames: those of the row, and zeros behind them. */
static void finish(const struct work *work, const struct block *block, int64_t phase)
{
    const struct conv1d_transposed *p = work->p;
    int64_t length = p->lengths ? p->lengths[block->b] : p->frames, valid = conv1d_transposed_frames(p, length);
    for (int64_t i = 0; i < block->rows; i++) {
        int64_t u = (block->step + i) * p->stride + phase - p->padding;
        int64_t index = block->b * p->output_batch_stride + u * p->output_row_stride + block->column;
        if (u < 0 || u >= p->output_frames)
            continue;
        if (u < valid)
            conv1d_finish_row(&work->frames, index, block->column, block->sums + i * work->across, block->columns);
        else
            conv1d_zero_row(&work->frames, index, block->columns);
    }
}

static void transposed_task(void *argument, int64_t task, int worker)
{
    const struct work *work = argument;
    const struct conv1d_transposed *p = work->p;
    struct block block = {.b = task / (work->blocks * work->strips),
                          .step = work->first + task / work->strips % work->blocks * work->rows,
                          .column = task % work->strips * CONV1D_COLUMNS,
                          .window = cpu_worker_scratch(work->context, worker)};
    int64_t last = (p->output_frames - 1 + p->padding) / p->stride;
    block.rows = minimum(work->rows, last + 1 - block.step);
    block.columns = minimum(CONV1D_COLUMNS, p->output_channels - block.column);
    block.weights = block.window + CONV1D_WINDOW + LANES;
    block.sums = block.weights + CONV1D_DEPTH * CONV1D_STRIDE;
    const struct conv1d_frames frames = {block.b, block.step - (work->taps - 1), 1, block.rows + work->taps - 1};
    for (int64_t phase = 0; phase < p->stride; phase++) {
        for (int64_t c = 0; c < p->channels; c += work->part) {
            int64_t count = minimum(work->part, p->channels - c);
            block.apart = work->merged ? count : count + LANES;
            if (phase == 0 || work->part < p->channels)
                conv1d_load_window(&work->frames, frames, c, count, block.window, block.apart);
            multiply(work, &block, phase, c, count, c > 0);
        }
        if (phase >= p->kernel) /* no tap */
            memset(block.sums, 0, CONV1D_SUMS * sizeof(float));
        finish(work, &block, phase);
    }
}

static struct conv1d_forward frames_of(const struct conv1d_transposed *p)
{
    return (struct conv1d_forward){.batch = p->batch,
                                   .frames = p->frames,
                                   .channels = p->channels,
                                   .output_channels = p->output_channels,
                                   .x = p->x,
                                   .bias = p->bias,
                                   .output = p->output,
                                   .x_row_stride = p->x_row_stride,
                                   .x_batch_stride = p->x_batch_stride,
                                   .output_row_stride = p->output_row_stride,
                                   .output_batch_stride = p->output_batch_stride,
                                   .lengths = p->lengths,
                                   .activation = p->activation,
                                   .slope = p->slope,
                                   .input_activation = p->input_activation,
                                   .input_slope = p->input_slope,
                                   .type = p->type};
}

enum status cpu_conv1d_transposed(const struct device_context *context, const struct conv1d_transposed *p)
{
    struct work work = {.context = context, .p = p, .frames = frames_of(p), .taps = divide_up(p->kernel, p->stride)};
    if (p->batch == 0 || p->output_frames == 0 || !conv1d_lengths_fit(context, &work.frames, "conv1d_transposed"))
        return STATUS_OK;
    work.part = maximum(1, minimum(p->channels, CONV1D_WINDOW / 2 / work.taps - LANES));
    work.merged = work.part == p->channels && 2 * work.part <= CONV1D_DEPTH;
    work.across = conv1d_across(p->output_channels);
    work.rows = maximum(1, minimum(conv1d_rows(work.across), CONV1D_WINDOW / (work.part + LANES) - (work.taps - 1)));
    work.first = p->padding / p->stride;
    work.blocks = divide_up((p->output_frames - 1 + p->padding) / p->stride + 1 - work.first, work.rows);
    work.strips = divide_up(p->output_channels, CONV1D_COLUMNS);
    thread_pool_run(context->pool, p->batch * work.blocks * work.strips, transposed_task, &work);
    return STATUS_OK;
}
