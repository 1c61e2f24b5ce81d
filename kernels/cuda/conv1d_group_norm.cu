/* A convolution with a group norm behind it, whose result is computed twice: first for the statistics, a block's mean and squares
 * about it for each channel, which are joined in double in an order of their own; then for the output, which is written
 * once, normalised and activated. With few channels in and many out (wav2vec2's first layer: 10 products for a number)
 * that costs less than writing an array that is hundreds of times as large as x, reading it and writing it again. */
#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/conv1d.cuh"
#include "kernels/cuda/moments.cuh"
#include "kernels/cuda/sizes/conv1d_pieces.h"

/* Channels may be few and rows of any alignment, so elements are taken one by one. */
template <typename T> using shape = tile_shape<T, CONV1D_TILE>;
enum { THREADS = 256, HALVES = 2, JOINERS = 128 };

/* partial[channel][block] = mean and squares about it of a tile's sums, without bias, over its `frames` valid frames. `partial`
 * begins with the tile's first channel and block. */
static __device__ inline void find_statistics(const float *sums, int64_t frames, int64_t columns, int64_t blocks,
                                              float2 *partial)
{
    __shared__ float parts[HALVES][CONV1D_TILE];
    const int column = (int)threadIdx.x % CONV1D_TILE, half = (int)threadIdx.x / CONV1D_TILE;
    float sum = 0, squares = 0;
    for (int row = half; row < frames; row += HALVES)
        sum += sums[sum_index<false, CONV1D_TILE>(row, column)];
    parts[half][column] = sum;
    __syncthreads();
    const float mean = (parts[0][column] + parts[1][column]) / (float)frames;
    __syncthreads();
    for (int row = half; row < frames; row += HALVES) {
        const float difference = sums[sum_index<false, CONV1D_TILE>(row, column)] - mean;
        squares = fmaf(difference, difference, squares);
    }
    parts[half][column] = squares;
    __syncthreads();
    if (half == 0 && column < columns)
        partial[column * blocks] = make_float2(mean, parts[0][column] + parts[1][column]);
}

/* statistics[b][group] = mean and 1 / deviation: each thread joins every JOINERS-th part, then a tree joins the threads'. */
template <typename T>
static __global__ void __launch_bounds__(JOINERS)
    join_kernel(const struct conv1d_group_norm p, const float2 *partial, int64_t blocks, float2 *statistics,
                struct cuda_fault *fault)
{
    __shared__ struct moments parts[JOINERS];
    const struct conv1d_forward &conv = p.conv;
    const int64_t b = blockIdx.x / p.norm_groups, group = blockIdx.x % p.norm_groups;
    const int64_t width = conv.output_channels / p.norm_groups;
    const int64_t frames = conv1d_row_outputs(conv, conv1d_row_frames(conv, b, fault, CUDA_conv1d_group_norm));
    const int64_t own = (frames + TILE_ROWS - 1) / TILE_ROWS;
    const float2 *from = partial + (b * conv.output_channels + group * width) * blocks;
    struct moments total = {0, 0, 0};
    for (int64_t i = threadIdx.x; i < width * own; i += JOINERS) {
        const int64_t channel = group * width + i / own, block = i % own;
        const float2 part = from[i / own * blocks + block];
        const float bias = conv.bias ? load_element(static_cast<const T *>(conv.bias), channel) : 0;
        moments_join(&total, {(double)min(frames - block * TILE_ROWS, (int64_t)TILE_ROWS),
                              (double)part.x + (double)bias, (double)part.y});
    }
    parts[threadIdx.x] = total;
    for (int distance = JOINERS / 2; distance > 0; distance /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < distance)
            moments_join(&parts[threadIdx.x], parts[threadIdx.x + distance]);
    }
    if (threadIdx.x != 0)
        return;
    total = parts[0];
    const double variance = total.count > 0 ? total.squares / total.count : 0;
    const float rstd = total.count > 0 ? (float)(1 / sqrt(variance + (double)p.epsilon)) : 0;
    statistics[blockIdx.x] = make_float2((float)total.mean, rstd);
    if (p.mean) {
        p.mean[blockIdx.x] = (float)total.mean;
        p.rstd[blockIdx.x] = rstd;
    }
}

/* The output of a tile: normalised and activated, 0 behind a row's frames, of which `valid` are the tile's. */
template <typename T>
static __device__ inline void find_output(const struct conv1d_group_norm &p, const struct conv1d_block &at,
                                          int64_t valid, const float2 *statistics, const unsigned char *memory)
{
    const struct conv1d_forward &conv = p.conv;
    const int64_t outputs = conv.output_channels / conv.groups, width = conv.output_channels / p.norm_groups;
    const int64_t first = at.group * outputs + at.column;
    const int64_t start = at.b * conv.output_batch_stride + at.frame * conv.output_row_stride + first;
    /* a thread's columns are the same in all its rows */
    const int own = (int)threadIdx.x % (CONV1D_TILE / QUAD) * QUAD;
    float shift[QUAD] = {0}, scale[QUAD] = {0}, weight[QUAD], bias[QUAD] = {0};
    const int64_t count = outputs - at.column - own;
    if (count > 0) {
        load_quad(weight, static_cast<const T *>(p.norm_weight) + first + own, count);
        load_quad(bias, static_cast<const T *>(p.norm_bias) + first + own, count);
        if (conv.bias)
            load_quad(shift, static_cast<const T *>(conv.bias) + first + own, count);
        for (int i = 0; i < QUAD && i < count; i++) {
            const float2 of = statistics[at.b * p.norm_groups + (first + own + i) / width];
            shift[i] -= of.x;
            scale[i] = of.y;
        }
    }
    conv1d_finish<CONV1D_TILE, THREADS>(
        memory, conv.output_frames - at.frame, outputs - at.column, valid,
        [&](int row, int column, float(&values)[QUAD]) {
#pragma unroll
            for (int i = 0; i < QUAD; i++) {
                const float normal = fmaf((values[i] + shift[i]) * scale[i], weight[i], bias[i]);
                values[i] = row >= valid ? 0 : activated(normal, conv.activation, conv.slope);
            }
            store_quad(static_cast<T *>(conv.output) + start + row * conv.output_row_stride + column, values, count);
        });
}

/* Both passes are one kernel, whose tiles are compiled once: for the statistics, [batch][channels][blocks], while `partial` is
 * there, else for the output. */
template <typename T>
static __global__ void __launch_bounds__(THREADS)
    tile_kernel(const struct conv1d_group_norm p, float2 *partial, int64_t blocks, const float2 *statistics,
                struct cuda_fault *fault)
{
    extern __shared__ __align__(128) unsigned char memory[];
    const struct conv1d_forward &conv = p.conv;
    const int64_t outputs = conv.output_channels / conv.groups;
    const struct conv1d_block at = conv1d_block_of(conv.output_frames, outputs, conv.groups, CONV1D_TILE);
    const int64_t length = conv1d_row_frames(conv, at.b, fault, CUDA_conv1d_group_norm);
    const int64_t all = conv1d_row_outputs(conv, length), valid = all - at.frame;
    if (valid > 0)
        conv1d_sums<T, CONV1D_TILE, SOURCE_ELEMENTS>(conv, at, length, all, memory);
    if (!partial)
        find_output<T>(p, at, valid, statistics, memory);
    else if (valid > 0)
        find_statistics(
            reinterpret_cast<const float *>(memory), min(valid, (int64_t)TILE_ROWS), outputs - at.column, blocks,
            partial + (at.b * conv.output_channels + at.group * outputs + at.column) * blocks + at.frame / TILE_ROWS);
}

template <typename T> static enum status run(const struct device_context *context, const struct conv1d_group_norm *p)
{
    static const char *const name = "conv1d_group_norm";
    const struct conv1d_forward *conv = &p->conv;
    struct cuda_fault *fault = cuda_fault_word(context);
    const int64_t frame_blocks = conv1d_norm_blocks(conv);
    float2 *partial = static_cast<float2 *>(context->scratch);
    float2 *statistics = partial + conv->batch * conv->output_channels * frame_blocks;
    const int64_t blocks = conv1d_blocks(conv->batch, conv->output_frames, conv->output_channels / conv->groups,
                                         conv->groups, CONV1D_TILE);
    enum status result = launch_tensor(context, name, tile_kernel<T>, blocks, THREADS, shape<T>::SHARED, *p, partial,
                                       frame_blocks, (const float2 *)NULL, fault);
    if (result == STATUS_OK)
        result = launch(context, name, join_kernel<T>, conv->batch * p->norm_groups, 1, JOINERS, *p, partial,
                        frame_blocks, statistics, fault);
    if (result == STATUS_OK)
        result = launch_tensor(context, name, tile_kernel<T>, blocks, THREADS, shape<T>::SHARED, *p, (float2 *)NULL,
                               frame_blocks, statistics, fault);
    return result;
}

extern "C" enum status cuda_conv1d_group_norm(const struct device_context *context, const struct conv1d_group_norm *p)
{
    if (p->conv.batch == 0 || p->conv.output_frames == 0)
        return STATUS_OK;
    return p->conv.type == DTYPE_F32 ? run<float>(context, p) : run<cuda_bfloat16>(context, p);
}
