/* Convolution over frames as an implicit matrix product: a block computes 128 output frames of 64 or 128 outputs of one group
 * (conv1d_tile.cuh). Row t of the left side begins `stride` frames after row t - 1, so rows overlap in x and nothing is
 * unfolded; the weights are the right side as they lie. Bias, GELU and residual follow while the sums are in shared
 * memory, so that the output is written once. A context that was opened with cuDNN lets it compute what it takes. */
#include "kernels/cuda/conv1d_cudnn.h"
#include "kernels/cuda/conv1d_depthwise.cuh"
#include "kernels/cuda/conv1d_finish.cuh"
#include "kernels/cuda/conv1d_window.cuh"
#include "kernels/cuda/sizes/conv1d_pieces.h"

/* The sums of a block's tile. */
template <typename T, int COLUMNS, enum tile_source SOURCE>
static __device__ inline void find_sums(const struct conv1d_forward &p, const struct conv1d_block &at, int64_t length,
                                        int64_t outputs, unsigned char *memory)
{
    conv1d_sums<T, COLUMNS, SOURCE>(p, at, length, outputs, memory);
}
template <>
__device__ inline void
find_sums<cuda_bfloat16, WINDOW_COLUMNS, SOURCE_WINDOW>(const struct conv1d_forward &p, const struct conv1d_block &at,
                                                        int64_t length, int64_t outputs, unsigned char *memory)
{
    const rows_operand<cuda_bfloat16> frames = conv1d_frames_operand<cuda_bfloat16>(p, at, length, outputs);
    const rows_operand<cuda_bfloat16> weights = conv1d_weights_operand<cuda_bfloat16>(p, at);
    rows_copy<cuda_bfloat16, WINDOW_COLUMNS, window_shape::THREADS> b(weights);
    window_product<false>(memory, frames, p.kernel, weights.rows,
                          [&](unsigned char *tile) { b.copy<SOURCE_CHUNKS>(weights, tile); });
}

template <typename T, int COLUMNS, enum tile_source SOURCE>
static __global__ void __launch_bounds__(tile_shape<T, COLUMNS>::THREADS)
    forward_kernel(const struct conv1d_forward p, struct cuda_fault *fault)
{
    extern __shared__ __align__(128) unsigned char memory[];
    const int64_t outputs = p.output_channels / p.groups;
    const struct conv1d_block at = conv1d_block_of(p.output_frames, outputs, p.groups, COLUMNS);
    const int64_t length = conv1d_row_frames(p, at.b, fault, CUDA_conv1d_forward);
    const int64_t valid = conv1d_row_outputs(p, length) - at.frame;
    if (valid > 0)
        find_sums<T, COLUMNS, SOURCE>(p, at, length, valid + at.frame, memory);
    const int64_t first = at.group * outputs + at.column;
    const int64_t start = at.b * p.output_batch_stride + at.frame * p.output_row_stride + first;
    conv1d_finish<COLUMNS, tile_shape<T, COLUMNS>::THREADS>(
        memory, p.output_frames - at.frame, outputs - at.column, valid, [&](int row, int column, float(&values)[QUAD]) {
            finish_quad<T>(p, start + row * p.output_row_stride + column, first + column, outputs - at.column - column,
                           row < valid, values);
        });
}

template <typename T, int COLUMNS, enum tile_source SOURCE>
static enum status run(const struct device_context *context, const struct conv1d_forward *p,
                       int shared = tile_shape<T, COLUMNS>::SHARED)
{
    return launch_tensor(context, "conv1d_forward", forward_kernel<T, COLUMNS, SOURCE>,
                         conv1d_blocks(p->batch, p->output_frames, p->output_channels / p->groups, p->groups, COLUMNS),
                         tile_shape<T, COLUMNS>::THREADS, shared, *p, cuda_fault_word(context));
}

static bool whole_chunks(const struct conv1d_forward *p)
{
    const int64_t channels = p->channels / p->groups;
    return conv1d_whole_chunks(p->type, p->x, p->x_row_stride, p->x_batch_stride, channels) &&
           conv1d_whole_chunks(p->type, p->weight, 0, 0, channels);
}

/* Elements one by one go into wide tiles alone: there most of the time is theirs, and warps whose columns do not exist help to
 * bring them. */
template <typename T> static enum status choose(const struct device_context *context, const struct conv1d_forward *p)
{
    if (!whole_chunks(p))
        return run<T, CONV1D_TILE, SOURCE_ELEMENTS>(context, p);
    return conv1d_columns(p->output_channels / p->groups) == CONV1D_NARROW
               ? run<T, CONV1D_NARROW, SOURCE_CHUNKS>(context, p)
               : run<T, CONV1D_TILE, SOURCE_CHUNKS>(context, p);
}

static enum status run_own(const struct device_context *context, const struct conv1d_forward *p)
{
    const int64_t channels = p->channels / p->groups, depthwise = depthwise_frames(p);
    if (depthwise > 0)
        return p->type == DTYPE_F32 ? depthwise_run<float>(context, p, depthwise)
                                    : depthwise_run<cuda_bfloat16>(context, p, depthwise);
    if (whole_chunks(p) && window_fits(p, channels, p->output_channels / p->groups))
        return run<cuda_bfloat16, WINDOW_COLUMNS, SOURCE_WINDOW>(context, p,
                                                                 (int)window_shared(p->kernel, p->dilation, channels));
    return p->type == DTYPE_F32 ? choose<float>(context, p) : choose<cuda_bfloat16>(context, p);
}

extern "C" enum status cuda_conv1d_forward(const struct device_context *context, const struct conv1d_forward *p)
{
    bool done = false;
    enum status result = STATUS_OK;
    if (p->batch == 0 || p->output_frames == 0)
        return STATUS_OK;
    if (cuda_libraries_of(context)->cudnn && p->input_activation == ACTIVATION_NONE)
        result = cuda_cudnn_forward(context, p, &done);
    return result != STATUS_OK || done ? result : run_own(context, p);
}
