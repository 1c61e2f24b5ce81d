/* The kernels around cuDNN's convolution: a dense copy of x with its padding before it, and bias, GELU and residual after it.
 * One thread for four channels. */
#include "kernels/cuda/conv1d_cudnn.h"
#include "kernels/cuda/conv1d_finish.cuh"

enum { THREADS = 256 };

template <typename T>
static __global__ void __launch_bounds__(THREADS)
    stage_kernel(const struct conv1d_forward p, T *to, struct cuda_fault *fault)
{
    const int64_t quads = (p.channels + QUAD - 1) / QUAD, frames = p.padding_left + p.frames + p.padding_right;
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, n = i / quads, column = i % quads * QUAD;
    const int64_t b = n / frames, t = n % frames - p.padding_left;
    if (b >= p.batch)
        return;
    float values[QUAD] = {0};
    if (t >= 0 && t < conv1d_row_frames(p, b, fault, CUDA_conv1d_forward))
        load_quad(values, static_cast<const T *>(p.x) + b * p.x_batch_stride + t * p.x_row_stride + column,
                  p.channels - column);
    store_quad(to + n * p.channels + column, values, p.channels - column);
}

template <typename T>
static __global__ void __launch_bounds__(THREADS)
    finish_kernel(const struct conv1d_forward p, const T *sums, struct cuda_fault *fault)
{
    const int64_t quads = (p.output_channels + QUAD - 1) / QUAD;
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, n = i / quads, column = i % quads * QUAD;
    const int64_t b = n / p.output_frames, t = n % p.output_frames;
    if (b >= p.batch)
        return;
    const bool valid = t < conv1d_row_outputs(p, conv1d_row_frames(p, b, fault, CUDA_conv1d_forward));
    float values[QUAD] = {0};
    if (valid)
        load_quad(values, sums + n * p.output_channels + column, p.output_channels - column);
    finish_quad<T>(p, b * p.output_batch_stride + t * p.output_row_stride + column, column, p.output_channels - column,
                   valid, values);
}

extern "C" enum status cuda_conv1d_stage(const struct device_context *context, const struct conv1d_forward *p, void *to)
{
    const int64_t frames = p->padding_left + p->frames + p->padding_right;
    const int64_t blocks = divide_up(p->batch * frames * divide_up(p->channels, QUAD), THREADS);
    if (p->type == DTYPE_F32)
        return launch(context, "conv1d_forward", stage_kernel<float>, blocks, 1, THREADS, *p, static_cast<float *>(to),
                      cuda_fault_word(context));
    return launch(context, "conv1d_forward", stage_kernel<cuda_bfloat16>, blocks, 1, THREADS, *p,
                  static_cast<cuda_bfloat16 *>(to), cuda_fault_word(context));
}

extern "C" enum status cuda_conv1d_finish(const struct device_context *context, const struct conv1d_forward *p,
                                          const void *sums)
{
    const int64_t blocks = divide_up(p->batch * p->output_frames * divide_up(p->output_channels, QUAD), THREADS);
    if (p->type == DTYPE_F32)
        return launch(context, "conv1d_forward", finish_kernel<float>, blocks, 1, THREADS, *p,
                      static_cast<const float *>(sums), cuda_fault_word(context));
    return launch(context, "conv1d_forward", finish_kernel<cuda_bfloat16>, blocks, 1, THREADS, *p,
                  static_cast<const cuda_bfloat16 *>(sums), cuda_fault_word(context));
}
