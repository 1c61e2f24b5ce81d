/* Gradients of the convolution, each an implicit matrix product of its own.
 *   x       The input frames of one remainder modulo the stride see the same taps, and neighbours among them neighbouring
 *           output frames: per remainder it is a convolution of stride 1 of the output's gradient with the turned weight.
 *   weight  [O][K Cg] = the output's gradient, transposed, times what each output frame saw of x. The sum over frames and
 *           rows of the batch is long, so it is summed in blocks of frames, and blocks are added in order.
 *   bias    sums of columns, in the same blocks.
 * GELU's derivative is applied where the gradient is read: no array of it exists. */
#include "kernels/cpu/conv1d.h"
#include "kernels/cpu/gelu.h"
#include "kernels/cpu/tile.h"

enum { FRAMES = 128 }; /* of a block of the sums over frames */

struct work {
    const struct device_context *context;
    const struct conv1d_backward *p;
    int64_t group_channels, group_outputs;
    /* grad_x: outputs of a group at a time, input frames of a task, blocks of one remainder, strips of channels */
    int64_t part, rows, blocks, strips;
};

/* ---- the gradient of what the activation took ---- */

INLINE vector gradient_lanes(const struct conv1d_backward *p, int64_t index, int64_t count, enum dtype type)
{
    vector v = vector_load(p->grad_output, index, count, type);
    if (p->forward.activation == ACTIVATION_GELU)
        v *= vector_gelu_slope(vector_load(p->forward.pre_activation, index, count, type));
    return v;
}

INLINE void gradient_rows(const struct conv1d_backward *p, int64_t index, int64_t rows, int64_t count, int64_t stride,
                          float *to, enum dtype type)
{
    for (int64_t t = 0; t < rows; t++)
        for (int64_t i = 0; i < count; i += LANES) {
            int64_t at = index + t * p->forward.output_row_stride + i;
            if (count - i >= LANES)
                vector_write(to + t * stride + i, gradient_lanes(p, at, LANES, type));
            else
                vector_write(to + t * stride + i, gradient_lanes(p, at, count - i, type));
        }
}

/* to[j * stride + i] = the gradient of output frame `first` + j and channel `channel` + i, 0 where row b has no such
 * frame. Rows are written in order and may run into the next; seven floats after the last are touched too. */
static void load_gradient(const struct conv1d_backward *p, int64_t b, int64_t first, int64_t frames, int64_t channel,
                          int64_t count, int64_t stride, float *to)
{
    const struct conv1d_forward *f = &p->forward;
    int64_t valid = conv1d_frames(f, conv1d_length(f, b));
    int64_t before = minimum(frames, maximum(0, -first)), end = maximum(before, minimum(frames, valid - first));
    int64_t index = b * f->output_batch_stride + (first + before) * f->output_row_stride + channel;
    memset(to, 0, (size_t)(before * stride) * sizeof(float));
    if (f->type == DTYPE_F32)
        gradient_rows(p, index, end - before, count, stride, to + before * stride, DTYPE_F32);
    else
        gradient_rows(p, index, end - before, count, stride, to + before * stride, DTYPE_BF16);
    memset(to + end * stride, 0, (size_t)((frames - end) * stride) * sizeof(float));
}

/* ---- x ---- */

/* The output frame that tap k of input frame `remainder` meets, when there is one. */
static bool tap_frame(const struct conv1d_forward *f, int64_t remainder, int64_t k, int64_t *frame)
{
    int64_t place = remainder + f->padding_left - k * f->dilation;
    *frame = place / f->stride;
    return place % f->stride == 0;
}

/* Input frames remainder + stride * [first, first + rows) of row b, channels [column, column + columns) of a group. */
struct input_tile {
    int64_t b, group, remainder, first, rows, column, columns;
};

static void input_sums(const struct work *work, const struct input_tile *tile, float *window, float *weights,
                       float *sums)
{
    const struct conv1d_forward *f = &work->p->forward;
    int64_t low = INT64_MAX, high = INT64_MIN, frame, of_output = f->kernel * work->group_channels;
    memset(sums, 0, CONV1D_SUMS * sizeof(float));
    for (int64_t k = 0; k < f->kernel; k++)
        if (tap_frame(f, tile->remainder, k, &frame)) {
            low = minimum(low, frame);
            high = maximum(high, frame);
        }
    for (int64_t o = 0; low <= high && o < work->group_outputs; o += work->part) {
        int64_t count = minimum(work->part, work->group_outputs - o), output = tile->group * work->group_outputs + o;
        load_gradient(work->p, tile->b, tile->first + low, tile->rows + high - low, output, count, count, window);
        for (int64_t k = 0; k < f->kernel; k++) {
            if (!tap_frame(f, tile->remainder, k, &frame))
                continue;
            int64_t place = output * of_output + k * work->group_channels + tile->column;
            tile_load_panels(weights, 0, CONV1D_STRIDE, count, tile->columns, element(f->weight, place, f->type),
                             of_output, f->type);
            tile_multiply(tile->rows, tile->columns, count, window + (frame - low) * count, count, 1, weights,
                          CONV1D_STRIDE, sums, CONV1D_COLUMNS, true);
        }
    }
}

static void store_row(const struct conv1d_backward *p, int64_t index, const float *sums, int64_t columns)
{
    enum dtype type = p->forward.type;
    for (int64_t j = 0; j < columns; j += LANES) {
        int64_t count = minimum(LANES, columns - j);
        if (type == DTYPE_F32)
            vector_store(p->grad_x, index + j, count, DTYPE_F32, vector_read(sums + j));
        else
            vector_store(p->grad_x, index + j, count, DTYPE_BF16, vector_read(sums + j));
    }
}

static void input_task(void *argument, int64_t task, int worker)
{
    const struct work *work = argument;
    const struct conv1d_forward *f = &work->p->forward;
    float *window = cpu_worker_scratch(work->context, worker), *weights = window + CONV1D_WINDOW + LANES;
    float *sums = weights + CONV1D_DEPTH * CONV1D_STRIDE;
    int64_t blocks = work->blocks * f->stride, rest = task / work->strips;
    struct input_tile tile = {.b = rest / (f->groups * blocks),
                              .group = rest / blocks % f->groups,
                              .remainder = rest % f->stride,
                              .first = rest / f->stride % work->blocks * work->rows,
                              .column = task % work->strips * CONV1D_COLUMNS};
    tile.columns = minimum(CONV1D_COLUMNS, work->group_channels - tile.column);
    int64_t frames = maximum(0, divide_up(f->frames - tile.remainder, f->stride) - tile.first);
    int64_t valid = maximum(0, divide_up(conv1d_length(f, tile.b) - tile.remainder, f->stride) - tile.first);
    frames = minimum(frames, work->rows);
    tile.rows = minimum(valid, work->rows);
    if (tile.rows > 0)
        input_sums(work, &tile, window, weights, sums);
    for (int64_t j = 0; j < frames; j++) {
        int64_t index = tile.b * f->x_batch_stride + (tile.remainder + (tile.first + j) * f->stride) * f->x_row_stride +
                        tile.group * work->group_channels + tile.column;
        if (j < tile.rows)
            store_row(work->p, index, sums + j * CONV1D_COLUMNS, tile.columns);
        else
            memset(element_of(work->p->grad_x, index, f->type), 0, (size_t)tile.columns * dtype_size(f->type));
    }
}

static void run_input(struct work *work)
{
    const struct conv1d_forward *f = &work->p->forward;
    int64_t extent = (f->kernel - 1) * f->dilation / f->stride + 2;
    work->part = conv1d_part(work->group_outputs, extent);
    work->rows = minimum(CONV1D_ROWS, CONV1D_WINDOW / work->part - extent);
    work->blocks = divide_up(divide_up(f->frames, f->stride), work->rows);
    work->strips = divide_up(work->group_channels, CONV1D_COLUMNS);
    thread_pool_run(work->context->pool, f->batch * f->groups * work->blocks * f->stride * work->strips, input_task,
                    work);
}

/* ---- weight ---- */

INLINE void copy_lanes(float *to, const void *x, int64_t index, int64_t count, enum dtype type)
{
    for (int64_t i = 0; i < count; i += LANES)
        vector_write(to + i, vector_load(x, index + i, minimum(LANES, count - i), type));
}

/* to[j][q] = what output frame `first` + j of row b sees at place `place` + q of [K][Cg]. */
static void load_seen(const struct work *work, int64_t b, int64_t group, int64_t first, int64_t frames, int64_t place,
                      int64_t columns, float *to)
{
    const struct conv1d_forward *f = &work->p->forward;
    int64_t length = conv1d_length(f, b), channels = work->group_channels;
    for (int64_t j = 0; j < frames; j++)
        for (int64_t q = 0, count; q < columns; q += count) {
            int64_t k = (place + q) / channels, i = (place + q) % channels;
            int64_t s = (first + j) * f->stride + k * f->dilation - f->padding_left;
            int64_t index = b * f->x_batch_stride + s * f->x_row_stride + group * channels + i;
            float *at = to + j * CONV1D_STRIDE + q;
            count = minimum(channels - i, columns - q);
            if (s < 0 || s >= length)
                memset(at, 0, (size_t)count * sizeof(float));
            else if (f->type == DTYPE_F32)
                copy_lanes(at, f->x, index, count, DTYPE_F32);
            else
                copy_lanes(at, f->x, index, count, DTYPE_BF16);
        }
}

static void weight_task(void *argument, int64_t task, int worker)
{
    const struct work *work = argument;
    const struct conv1d_forward *f = &work->p->forward;
    int64_t places = f->kernel * work->group_channels, across = divide_up(places, CONV1D_COLUMNS);
    int64_t down = divide_up(work->group_outputs, CONV1D_ROWS), group = task / (across * down);
    int64_t place = task % across * CONV1D_COLUMNS, output = task / across % down * CONV1D_ROWS;
    int64_t columns = minimum(CONV1D_COLUMNS, places - place);
    int64_t rows = minimum(CONV1D_ROWS, work->group_outputs - output), channel = group * work->group_outputs + output;
    float *gradient = cpu_worker_scratch(work->context, worker), *seen = gradient + FRAMES * CONV1D_STRIDE;
    float *block = seen + FRAMES * CONV1D_STRIDE, *sums = block + CONV1D_SUMS;
    memset(seen, 0, FRAMES * CONV1D_STRIDE * sizeof(float)); /* columns that fill eights up */
    memset(sums, 0, CONV1D_SUMS * sizeof(float));
    for (int64_t b = 0; b < f->batch; b++) {
        int64_t valid = conv1d_frames(f, conv1d_length(f, b));
        for (int64_t first = 0; first < valid; first += FRAMES) {
            int64_t frames = minimum(FRAMES, valid - first);
            load_gradient(work->p, b, first, frames, channel, rows, CONV1D_STRIDE, gradient);
            load_seen(work, b, group, first, frames, place, columns, seen);
            tile_multiply(rows, columns, frames, gradient, 1, CONV1D_STRIDE, seen, CONV1D_STRIDE, block, CONV1D_COLUMNS,
                          false);
            for (int64_t i = 0; i < rows * CONV1D_COLUMNS; i += LANES)
                vector_write(sums + i, vector_read(sums + i) + vector_read(block + i));
        }
    }
    for (int64_t i = 0; i < rows; i++) {
        float *to = work->p->grad_weight + (channel + i) * places + place;
        for (int64_t j = 0; j < columns; j++)
            to[j] = work->p->overwrite ? sums[i * CONV1D_COLUMNS + j] : to[j] + sums[i * CONV1D_COLUMNS + j];
    }
}

/* ---- bias ---- */

enum { BIAS_CHANNELS = 64 };

static void bias_task(void *argument, int64_t task, int worker)
{
    const struct work *work = argument;
    const struct conv1d_forward *f = &work->p->forward;
    int64_t channel = task * BIAS_CHANNELS, count = minimum(BIAS_CHANNELS, f->output_channels - channel);
    float *gradient = cpu_worker_scratch(work->context, worker), total[BIAS_CHANNELS] = {0};
    for (int64_t b = 0; b < f->batch; b++) {
        int64_t valid = conv1d_frames(f, conv1d_length(f, b));
        for (int64_t first = 0; first < valid; first += FRAMES) {
            int64_t frames = minimum(FRAMES, valid - first);
            float sum[BIAS_CHANNELS] = {0};
            load_gradient(work->p, b, first, frames, channel, count, BIAS_CHANNELS, gradient);
            for (int64_t t = 0; t < frames; t++)
                for (int64_t i = 0; i < count; i++)
                    sum[i] += gradient[t * BIAS_CHANNELS + i];
            for (int64_t i = 0; i < count; i++)
                total[i] += sum[i];
        }
    }
    float *to = work->p->grad_bias + channel;
    for (int64_t i = 0; i < count; i++)
        to[i] = work->p->overwrite ? total[i] : to[i] + total[i];
}

enum status cpu_conv1d_backward(const struct device_context *context, const struct conv1d_backward *p)
{
    const struct conv1d_forward *f = &p->forward;
    if (!conv1d_lengths_fit(context, f, "conv1d_backward"))
        return STATUS_OK;
    struct work work = {.context = context,
                        .p = p,
                        .group_channels = f->channels / f->groups,
                        .group_outputs = f->output_channels / f->groups};
    int64_t places = divide_up(f->kernel * work.group_channels, CONV1D_COLUMNS);
    if (p->grad_x && f->batch > 0 && f->frames > 0)
        run_input(&work);
    if (p->grad_weight)
        thread_pool_run(context->pool, f->groups * divide_up(work.group_outputs, CONV1D_ROWS) * places, weight_task,
                        &work);
    if (p->grad_bias)
        thread_pool_run(context->pool, divide_up(f->output_channels, BIAS_CHANNELS), bias_task, &work);
    return STATUS_OK;
}
