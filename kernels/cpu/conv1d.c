/* Convolution over frames as an implicit matrix product. A task owns a tile of output frames and channels. The frames of
 * x that the tile looks at are copied once into a window (which converts bf16 and puts zeros where x has no frames); row t
 * of the product's left side begins `stride` frames after row t - 1, so the rows overlap in the window and nothing is
 * unfolded. Where the window holds all of a group's channels the taps of a frame follow each other too, and one product
 * runs over all of them (k = 10 of one channel would otherwise be ten products of depth 1). */
#include "kernels/cpu/conv1d.h"

#include "kernels/cpu/activation.h"
#include "kernels/cpu/tile.h"

enum { WINDOW_GAP = 8 }; /* times the widest kernel (check_speech.c) it fills half a window, and channels the other */

int64_t conv1d_part(int64_t channels, int64_t extent)
{
    return maximum(1, minimum(minimum(channels, CONV1D_DEPTH), CONV1D_WINDOW / 2 / extent));
}

/* Floats between frames of a window whose frames have `count`: not a power of two, which would share cache sets, unless a
 * frame's taps have to follow each other. */
static int64_t window_stride(const struct conv1d_cut *cut, int64_t count)
{
    return cut->merged ? count : count + WINDOW_GAP;
}

struct conv1d_cut conv1d_cut(const struct device_context *context, const struct conv1d_forward *p, bool folded)
{
    struct conv1d_cut cut = {.context = context,
                             .p = p,
                             .group_channels = p->channels / p->groups,
                             .group_outputs = p->output_channels / p->groups};
    cut.step =
        folded && p->stride == 1 && cut.group_channels < TILE_CHAIN ? p->dilation : 1; /* else chains are long anyway */
    cut.tap = p->dilation / cut.step;
    int64_t extent = (p->kernel - 1) * cut.tap + 1;
    cut.part = conv1d_part(cut.group_channels, extent);
    cut.merged = cut.part == cut.group_channels && cut.tap == 1;
    cut.across = conv1d_across(cut.group_outputs);
    cut.rows = maximum(
        1, minimum(conv1d_rows(cut.across), (CONV1D_WINDOW / window_stride(&cut, cut.part) - extent) / p->stride + 1));
    cut.blocks = divide_up(divide_up(p->output_frames, cut.step), cut.rows);
    cut.strips = divide_up(cut.group_outputs, CONV1D_COLUMNS);
    return cut;
}

int64_t conv1d_tasks(const struct conv1d_cut *cut)
{
    return cut->p->batch * cut->p->groups * cut->step * cut->blocks * cut->strips;
}

struct conv1d_tile conv1d_tile_of(const struct conv1d_cut *cut, int64_t task)
{
    const struct conv1d_forward *p = cut->p;
    int64_t rest = task / cut->strips, remainder = rest / cut->blocks % cut->step,
            above = rest / cut->blocks / cut->step;
    struct conv1d_tile tile = {.b = above / p->groups,
                               .group = above % p->groups,
                               .first = remainder + rest % cut->blocks * cut->rows * cut->step,
                               .column = task % cut->strips * CONV1D_COLUMNS};
    int64_t frames = conv1d_frames(p, conv1d_length(p, tile.b));
    tile.rows = maximum(0, minimum(cut->rows, divide_up(p->output_frames - tile.first, cut->step)));
    tile.valid = maximum(0, minimum(tile.rows, divide_up(frames - tile.first, cut->step)));
    tile.columns = minimum(CONV1D_COLUMNS, cut->group_outputs - tile.column);
    return tile;
}

bool conv1d_lengths_fit(const struct device_context *context, const struct conv1d_forward *p, const char *operation)
{
    return !p->lengths || cpu_indices_fit(context, operation, "length", p->lengths, p->batch, 0, p->frames + 1);
}

/* `rows` rows of `count` elements, to be `apart` floats apart. Rows are written from the first to the last, so that the
 * end of a vector may run into the next row; seven floats after the last are touched too. */
INLINE void copy_rows(const struct conv1d_forward *p, float *to, int64_t apart, const void *from, int64_t rows,
                      int64_t row_stride, int64_t count, enum activation activation, enum dtype type)
{
    for (int64_t j = 0; j < rows; j++) {
        const void *row = element(from, j * row_stride, type);
        float *place = to + j * apart;
        int64_t i = 0;
        for (; i + LANES <= count; i += LANES)
            vector_write(place + i, vector_activate(vector_load(row, i, LANES, type), activation, p->input_slope));
        if (i < count)
            vector_write(place + i, vector_activate(vector_load(row, i, count - i, type), activation, p->input_slope));
    }
}

INLINE void copy_activated(const struct conv1d_forward *p, float *to, int64_t apart, const void *from, int64_t rows,
                           int64_t row_stride, int64_t count, enum dtype type)
{
    if (p->input_activation == ACTIVATION_NONE)
        copy_rows(p, to, apart, from, rows, row_stride, count, ACTIVATION_NONE, type);
    else if (p->input_activation == ACTIVATION_LEAKY_RELU)
        copy_rows(p, to, apart, from, rows, row_stride, count, ACTIVATION_LEAKY_RELU, type);
    else
        copy_rows(p, to, apart, from, rows, row_stride, count, ACTIVATION_RELU, type);
}

void conv1d_load_window(const struct conv1d_forward *p, struct conv1d_frames frames, int64_t channel, int64_t count,
                        float *window, int64_t apart)
{
    int64_t first = frames.first, length = conv1d_length(p, frames.b);
    int64_t before = first < 0 ? minimum(frames.count, divide_up(-first, frames.step)) : 0;
    int64_t end = first < length ? minimum(frames.count, divide_up(length - first, frames.step)) : 0;
    end = maximum(before, end);
    int64_t index = frames.b * p->x_batch_stride + (first + before * frames.step) * p->x_row_stride + channel;
    int64_t rows = end - before, row_stride = frames.step * p->x_row_stride;
    memset(window, 0, (size_t)(before * apart) * sizeof(float));
    if (rows > 0) {
        bool dense = row_stride == count && apart == count; /* one long row */
        const void *from = element(p->x, index, p->type);
        float *to = window + before * apart;
        int64_t columns = dense ? rows * count : count;
        if (p->type == DTYPE_F32)
            copy_activated(p, to, apart, from, dense ? 1 : rows, row_stride, columns, DTYPE_F32);
        else
            copy_activated(p, to, apart, from, dense ? 1 : rows, row_stride, columns, DTYPE_BF16);
    }
    memset(window + end * apart, 0, (size_t)((frames.count - end) * apart) * sizeof(float));
}

/* The product where a group has one output (a vocoder's last layer): dot products with lanes along the depth, in the place of a
 * tile of which one column in eight is used. */
static void multiply_one(const struct conv1d_cut *cut, const struct conv1d_tile *tile, const float *left, int64_t apart,
                         int64_t depth, float *weights, float *sums, bool accumulate)
{
    for (int64_t t = 0; t < tile->valid; t++) {
        const float *row = left + t * cut->p->stride * apart;
        vector even = vector_fill(0), odd = vector_fill(0);
        int64_t i = 0;
        for (; i + 2 * LANES <= depth; i += 2 * LANES) {
            even = multiply_add(vector_read(row + i), vector_read(weights + i), even);
            odd = multiply_add(vector_read(row + i + LANES), vector_read(weights + i + LANES), odd);
        }
        for (; i < depth; i += LANES) {
            int64_t count = minimum(LANES, depth - i);
            even = multiply_add(vector_load(row, i, count, DTYPE_F32), vector_read(weights + i), even);
        }
        float sum = vector_sum(even + odd), *to = sums + t * cut->across;
        *to = accumulate ? *to + sum : sum;
    }
}

/* sums (+)= `depth` numbers of each row's frames, from `left` on, times the weights from `place` on. */
static void multiply(const struct conv1d_cut *cut, const struct conv1d_tile *tile, const float *left, int64_t apart,
                     int64_t place, int64_t depth, float *weights, float *sums, bool accumulate)
{
    const struct conv1d_forward *p = cut->p;
    int64_t of_output = p->kernel * cut->group_channels, output = tile->group * cut->group_outputs + tile->column;
    const void *from = element(p->weight, output * of_output + place, p->type);
    if (cut->group_outputs == 1) {
        tile_load(weights, 1, depth, from, depth, p->type, 1);
        multiply_one(cut, tile, left, apart, depth, weights, sums, accumulate);
        return;
    }
    int64_t stride = conv1d_weight_stride(cut->across);
    tile_load_transposed(weights, stride, tile->columns, depth, from, of_output, p->type);
    tile_multiply(tile->valid, tile->columns, depth, left, p->stride * apart, 1, weights, stride, sums, cut->across,
                  accumulate);
}

float *conv1d_sums(const struct conv1d_cut *cut, const struct conv1d_tile *tile, int worker)
{
    const struct conv1d_forward *p = cut->p;
    float *window = cpu_worker_scratch(cut->context, worker), *weights = window + CONV1D_WINDOW + LANES;
    float *sums = weights + CONV1D_DEPTH * CONV1D_STRIDE;
    const struct conv1d_frames frames = {tile->b, tile->first * p->stride - p->padding_left, cut->step,
                                         (tile->valid - 1) * p->stride + (p->kernel - 1) * cut->tap + 1};
    bool accumulate = false;
    for (int64_t c = 0; c < cut->group_channels; c += cut->part) {
        int64_t count = minimum(cut->part, cut->group_channels - c);
        int64_t apart = window_stride(cut, count);
        conv1d_load_window(p, frames, tile->group * cut->group_channels + c, count, window, apart);
        for (int64_t d = 0; cut->merged && d < p->kernel * count; d += CONV1D_DEPTH) {
            multiply(cut, tile, window + d, apart, d, minimum(CONV1D_DEPTH, p->kernel * count - d), weights, sums,
                     accumulate);
            accumulate = true;
        }
        for (int64_t k = 0; !cut->merged && k < p->kernel; k++) {
            multiply(cut, tile, window + k * cut->tap * apart, apart, k * cut->group_channels + c, count, weights, sums,
                     accumulate);
            accumulate = true;
        }
    }
    return sums;
}

INLINE void finish_lanes(const struct conv1d_forward *p, int64_t index, int64_t channel, const float *sum,
                         int64_t count, enum dtype type)
{
    vector v = vector_load(sum, 0, count, DTYPE_F32);
    if (p->bias)
        v += vector_load(p->bias, channel, count, type);
    if (p->pre_activation)
        vector_store(p->pre_activation, index, count, type, v);
    v = vector_activate(v, p->activation, p->slope);
    if (p->residual)
        v += vector_load(p->residual, index, count, type);
    vector_store(p->output, index, count, type, v);
}

INLINE void finish_row(const struct conv1d_forward *p, int64_t index, int64_t channel, const float *sum,
                       int64_t columns, enum dtype type)
{
    int64_t j = 0;
    for (; j + LANES <= columns; j += LANES)
        finish_lanes(p, index + j, channel + j, sum + j, LANES, type);
    if (j < columns)
        finish_lanes(p, index + j, channel + j, sum + j, columns - j, type);
}

void conv1d_finish_row(const struct conv1d_forward *p, int64_t index, int64_t channel, const float *sum,
                       int64_t columns)
{
    if (p->type == DTYPE_F32)
        finish_row(p, index, channel, sum, columns, DTYPE_F32);
    else
        finish_row(p, index, channel, sum, columns, DTYPE_BF16);
}

void conv1d_zero_row(const struct conv1d_forward *p, int64_t index, int64_t columns)
{
    size_t bytes = (size_t)columns * dtype_size(p->type);
    memset(element_of(p->output, index, p->type), 0, bytes);
    if (p->pre_activation)
        memset(element_of(p->pre_activation, index, p->type), 0, bytes);
}

static void forward_task(void *argument, int64_t task, int worker)
{
    const struct conv1d_cut *cut = argument;
    const struct conv1d_forward *p = cut->p;
    struct conv1d_tile tile = conv1d_tile_of(cut, task);
    int64_t channel = tile.group * cut->group_outputs + tile.column;
    const float *sums = tile.valid > 0 ? conv1d_sums(cut, &tile, worker) : NULL;
    for (int64_t t = 0; t < tile.rows; t++) {
        int64_t index = tile.b * p->output_batch_stride + (tile.first + t * cut->step) * p->output_row_stride + channel;
        if (t < tile.valid)
            conv1d_finish_row(p, index, channel, sums + t * cut->across, tile.columns);
        else
            conv1d_zero_row(p, index, tile.columns);
    }
}

void conv1d_general(const struct device_context *context, const struct conv1d_forward *p)
{
    struct conv1d_cut cut = conv1d_cut(context, p, true);
    thread_pool_run(context->pool, conv1d_tasks(&cut), forward_task, &cut);
}
