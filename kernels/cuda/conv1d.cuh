/* What the convolution's kernels know of its shape on the device, and how their blocks are launched. */
#ifndef SPIRITLM_KERNELS_CUDA_CONV1D_CUH
#define SPIRITLM_KERNELS_CUDA_CONV1D_CUH

#include "kernels/cuda/conv1d_tile.cuh"
#include "kernels/cuda/launch.cuh"

/* Frames of row b of x; none, and a fault, when its length is outside the array. */
__device__ inline int64_t conv1d_row_frames(const struct conv1d_forward &p, int64_t b, struct cuda_fault *fault,
                                            int operation)
{
    const int64_t length = p.lengths ? p.lengths[b] : p.frames;
    return index_fits(fault, operation, CUDA_FAULT_LENGTH, b, p.batch, length, 0, p.frames + 1) ? length : 0;
}

/* conv1d_frames of operations.h. */
__device__ inline int64_t conv1d_row_outputs(const struct conv1d_forward &p, int64_t length)
{
    const int64_t room = length + p.padding_left + p.padding_right - (p.kernel - 1) * p.dilation - 1;
    return length > 0 && room >= 0 ? room / p.stride + 1 : 0;
}

/* A block's tile of [frames][outputs] of one row of the batch and one group. Blocks of one tile of frames follow each other,
 * which read the same frames. */
struct conv1d_block {
    int64_t b, group, frame, column; /* frame: the first one; column: the first one, counted within the group */
};

__device__ inline struct conv1d_block conv1d_block_of(int64_t frames, int64_t columns, int64_t groups, int tile_columns)
{
    const int64_t across = (columns + tile_columns - 1) / tile_columns, down = (frames + TILE_ROWS - 1) / TILE_ROWS;
    int64_t rest = blockIdx.x;
    struct conv1d_block block;
    block.column = rest % across * tile_columns;
    rest /= across;
    block.frame = rest % down * TILE_ROWS;
    rest /= down;
    block.group = rest % groups;
    block.b = rest / groups;
    return block;
}

/* How many there are. */
static inline int64_t conv1d_blocks(int64_t batch, int64_t frames, int64_t columns, int64_t groups, int tile_columns)
{
    return batch * groups * divide_up(frames, TILE_ROWS) * divide_up(columns, tile_columns);
}

/* Whether arrays can be moved 16 bytes at a time: rows of a multiple of that many elements, aligned. */
static inline bool conv1d_whole_chunks(enum dtype type, const void *array, int64_t stride, int64_t other_stride,
                                       int64_t inner)
{
    const int64_t elements = CHUNK_BYTES / (int64_t)dtype_size(type);
    return (uintptr_t)array % CHUNK_BYTES == 0 && stride % elements == 0 && other_stride % elements == 0 &&
           inner % elements == 0;
}

/* The forward's operands: frames of x, and the weights of the group's outputs. */
template <typename T>
__device__ inline rows_operand<T> conv1d_frames_operand(const struct conv1d_forward &p, const struct conv1d_block &at,
                                                        int64_t length, int64_t outputs)
{
    rows_operand<T> o;
    const int64_t channels = p.channels / p.groups;
    o.frame = at.frame * p.stride - p.padding_left;
    o.first = static_cast<const T *>(p.x) + at.b * p.x_batch_stride + o.frame * p.x_row_stride + at.group * channels;
    o.row_stride = p.stride * p.x_row_stride;
    o.tap_stride = p.dilation * p.x_row_stride;
    o.inner = channels;
    o.depth = p.kernel * channels;
    o.rows = outputs - at.frame;
    o.row_step = p.stride;
    o.tap_step = p.dilation;
    o.frames = length;
    return o;
}
template <typename T>
__device__ inline rows_operand<T> conv1d_weights_operand(const struct conv1d_forward &p, const struct conv1d_block &at)
{
    rows_operand<T> o;
    const int64_t outputs = p.output_channels / p.groups;
    o.inner = o.depth = o.row_stride = p.kernel * (p.channels / p.groups);
    o.first = static_cast<const T *>(p.weight) + (at.group * outputs + at.column) * o.row_stride;
    o.tap_stride = 0;
    o.rows = outputs - at.column;
    o.frame = o.row_step = o.tap_step = 0;
    o.frames = 1;
    return o;
}

/* The sums of a block's tile, in `memory`: frames, to which the input activation is applied, times weights. */
template <typename T, int COLUMNS, enum tile_source SOURCE>
__device__ inline void conv1d_product(const struct conv1d_forward &p, const rows_operand<T> &frames,
                                      const rows_operand<T> &weights, unsigned char *memory)
{
    rows_copy<T, TILE_ROWS, tile_shape<T, COLUMNS>::THREADS> a(frames);
    rows_copy<T, COLUMNS, tile_shape<T, COLUMNS>::THREADS> b(weights);
    tile_product<T, COLUMNS, false, false>(
        memory, frames.depth, frames.rows, weights.rows,
        [&](unsigned char *left, unsigned char *right) {
            a.template copy<SOURCE>(frames, left);
            b.template copy<SOURCE>(weights, right);
        },
        [&](unsigned char *left) {
            if (p.input_activation != ACTIVATION_NONE)
                a.rectify(left, p.input_activation == ACTIVATION_RELU ? 0.0f : p.input_slope);
        });
}
template <typename T, int COLUMNS, enum tile_source SOURCE>
__device__ inline void conv1d_sums(const struct conv1d_forward &p, const struct conv1d_block &at, int64_t length,
                                   int64_t outputs, unsigned char *memory)
{
    conv1d_product<T, COLUMNS, SOURCE>(p, conv1d_frames_operand<T>(p, at, length, outputs),
                                       conv1d_weights_operand<T>(p, at), memory);
}

/* Calls end(row, column, values) for the four columns from `column` on of every row of the tile's `rows` rows and `columns`
 * columns. `values` are the sums, of rows below `summed`, and else 0. */
template <int COLUMNS, int THREADS, typename End>
__device__ inline void conv1d_finish(const unsigned char *memory, int64_t rows, int64_t columns, int64_t summed,
                                     End &&end)
{
    constexpr int ACROSS = COLUMNS / QUAD;
    const float *sums = reinterpret_cast<const float *>(memory);
    const int column = (int)threadIdx.x % ACROSS * QUAD;
    for (int row = (int)threadIdx.x / ACROSS; row < TILE_ROWS && row < rows && column < columns;
         row += THREADS / ACROSS) {
        float values[QUAD] = {0};
        if (row < summed)
            load_whole(values, sums + sum_index<false, COLUMNS>(row, column));
        end(row, column, values);
    }
}

#endif
