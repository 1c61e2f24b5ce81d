/* The transpose of a convolution: output frame u is written as u + padding = step * stride + phase. The frames of one phase see
 * the same taps, phase + j * stride, and tap j of step q reads frame q - j: a convolution of stride 1, whose rows overlap in x.
 * A block computes 128 steps of one phase for 64 or 128 outputs with the tiles of the convolution (conv1d_tile.cuh). */
#include "kernels/cuda/conv1d_finish.cuh"
#include "kernels/cuda/sizes/conv1d_pieces.h"

/* What conv1d_forward's struct, which describes the arrays and activations, does not say. */
struct phases {
    int64_t kernel, stride, padding;
    int64_t first, steps; /* the steps that have output frames */
};

/* A block's first step, its phase and its first column. Blocks of the same steps follow each other. */
struct phase_block {
    int64_t b, step, phase, column;
};

static __device__ inline struct phase_block block_of(const struct conv1d_forward &p, const struct phases &s,
                                                     int columns)
{
    const int64_t across = (p.output_channels + columns - 1) / columns, down = (s.steps + TILE_ROWS - 1) / TILE_ROWS;
    int64_t rest = blockIdx.x;
    struct phase_block block;
    block.column = rest % across * columns;
    rest /= across;
    block.phase = rest % s.stride;
    rest /= s.stride;
    block.step = s.first + rest % down * TILE_ROWS;
    block.b = rest / down;
    return block;
}

/* The depth begins with the earliest frame, whose tap is the phase's last. */
template <typename T>
static __device__ inline rows_operand<T> frames_operand(const struct conv1d_forward &p, const struct phases &s,
                                                        const struct phase_block &at, int64_t taps, int64_t length)
{
    rows_operand<T> o;
    o.frame = at.step - (taps - 1);
    o.first = static_cast<const T *>(p.x) + at.b * p.x_batch_stride + o.frame * p.x_row_stride;
    o.row_stride = o.tap_stride = p.x_row_stride;
    o.inner = p.channels;
    o.depth = taps * p.channels;
    o.rows = s.first + s.steps - at.step;
    o.row_step = o.tap_step = 1;
    o.frames = length;
    return o;
}
template <typename T>
static __device__ inline rows_operand<T> weights_operand(const struct conv1d_forward &p, const struct phases &s,
                                                         const struct phase_block &at, int64_t taps)
{
    rows_operand<T> o;
    const int64_t of_tap = p.output_channels * p.channels;
    o.first = static_cast<const T *>(p.weight) + (at.phase + (taps - 1) * s.stride) * of_tap + at.column * p.channels;
    o.row_stride = o.inner = p.channels;
    o.tap_stride = -s.stride * of_tap;
    o.depth = taps * p.channels;
    o.rows = p.output_channels - at.column;
    o.frame = o.row_step = o.tap_step = 0;
    o.frames = 1;
    return o;
}

template <typename T, int COLUMNS, enum tile_source SOURCE>
static __global__ void __launch_bounds__(tile_shape<T, COLUMNS>::THREADS)
    transposed_kernel(const struct conv1d_forward p, const struct phases s, struct cuda_fault *fault)
{
    extern __shared__ __align__(128) unsigned char memory[];
    const struct phase_block at = block_of(p, s, COLUMNS);
    const int64_t length = conv1d_row_frames(p, at.b, fault, CUDA_conv1d_transposed);
    const int64_t taps = at.phase < s.kernel ? (s.kernel - at.phase + s.stride - 1) / s.stride : 0;
    const int64_t valid = length > 0 ? (length - 1) * s.stride + s.kernel - 2 * s.padding : 0;
    const int64_t frame = at.step * s.stride + at.phase - s.padding, first = at.b * p.output_batch_stride + at.column;
    conv1d_product<T, COLUMNS, SOURCE>(p, frames_operand<T>(p, s, at, taps, length), weights_operand<T>(p, s, at, taps),
                                       memory);
    conv1d_finish<COLUMNS, tile_shape<T, COLUMNS>::THREADS>(
        memory, s.first + s.steps - at.step, p.output_channels - at.column, TILE_ROWS,
        [&](int row, int column, float(&values)[QUAD]) {
            const int64_t u = frame + row * s.stride;
            if (u < 0 || u >= p.output_frames)
                return;
            if (u >= valid)
#pragma unroll
                for (int i = 0; i < QUAD; i++)
                    values[i] = 0;
            finish_quad<T>(p, first + u * p.output_row_stride + column, at.column + column,
                           p.output_channels - at.column - column, u < valid, values);
        });
}

template <typename T, int COLUMNS, enum tile_source SOURCE>
static enum status run(const struct device_context *context, const struct conv1d_forward *p, const struct phases *s)
{
    const int64_t blocks =
        p->batch * divide_up(s->steps, TILE_ROWS) * s->stride * divide_up(p->output_channels, COLUMNS);
    return launch_tensor(context, "conv1d_transposed", transposed_kernel<T, COLUMNS, SOURCE>, blocks,
                         tile_shape<T, COLUMNS>::THREADS, tile_shape<T, COLUMNS>::SHARED, *p, *s,
                         cuda_fault_word(context));
}

template <typename T>
static enum status choose(const struct device_context *context, const struct conv1d_forward *p, const struct phases *s)
{
    if (!conv1d_whole_chunks(p->type, p->x, p->x_row_stride, p->x_batch_stride, p->channels) ||
        !conv1d_whole_chunks(p->type, p->weight, 0, 0, p->channels))
        return run<T, CONV1D_TILE, SOURCE_ELEMENTS>(context, p, s);
    return conv1d_columns(p->output_channels) == CONV1D_NARROW ? run<T, CONV1D_NARROW, SOURCE_CHUNKS>(context, p, s)
                                                               : run<T, CONV1D_TILE, SOURCE_CHUNKS>(context, p, s);
}

extern "C" enum status cuda_conv1d_transposed(const struct device_context *context, const struct conv1d_transposed *p)
{
    if (p->batch == 0 || p->output_frames == 0)
        return STATUS_OK;
    struct conv1d_forward arrays = {};
    arrays.batch = p->batch;
    arrays.frames = p->frames;
    arrays.channels = p->channels;
    arrays.output_frames = p->output_frames;
    arrays.output_channels = p->output_channels;
    arrays.x = p->x;
    arrays.weight = p->weight;
    arrays.bias = p->bias;
    arrays.output = p->output;
    arrays.x_row_stride = p->x_row_stride;
    arrays.x_batch_stride = p->x_batch_stride;
    arrays.output_row_stride = p->output_row_stride;
    arrays.output_batch_stride = p->output_batch_stride;
    arrays.lengths = p->lengths;
    arrays.activation = p->activation;
    arrays.slope = p->slope;
    arrays.input_activation = p->input_activation;
    arrays.input_slope = p->input_slope;
    arrays.type = p->type;
    const int64_t first = p->padding / p->stride, last = (p->output_frames - 1 + p->padding) / p->stride;
    const struct phases s = {p->kernel, p->stride, p->padding, first, last + 1 - first};
    return p->type == DTYPE_F32 ? choose<float>(context, &arrays, &s) : choose<cuda_bfloat16>(context, &arrays, &s);
}
