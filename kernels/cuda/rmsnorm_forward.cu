/* RMSNorm with its residual. One block per row, which it passes over twice: to add and square, then to scale; the second
 * time the row is still in the cache, and each thread reads only what it wrote itself. The number of threads, and so the
 * order of a row's sum, depends on the channels alone. */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

/* The sum of the squares of this thread's elements of x + residual, which go to `sum` rounded to its type. */
template <typename T> __device__ static float add_and_square(const T *x, const T *residual, T *sum, int64_t channels)
{
    float squares = 0;
    for (int64_t c = int64_t(threadIdx.x) * PACK; c < channels; c += int64_t(blockDim.x) * PACK) {
        float value[PACK], other[PACK];
        load_pack(value, x + c, channels - c);
        if (residual) {
            load_pack(other, residual + c, channels - c);
#pragma unroll
            for (int i = 0; i < PACK; i++)
                value[i] = rounded<T>(value[i] + other[i]);
            store_pack(sum + c, value, channels - c);
        }
#pragma unroll
        for (int i = 0; i < PACK; i++)
            squares = fmaf(value[i], value[i], squares);
    }
    return squares;
}

template <typename T> __global__ void __launch_bounds__(THREADS) rmsnorm_forward_kernel(struct rmsnorm_forward p)
{
    int64_t n = blockIdx.x, row = n * p.channels;
    const T *x = static_cast<const T *>(p.x) + row, *weight = static_cast<const T *>(p.weight); /* [C] */
    const T *residual = p.residual ? static_cast<const T *>(p.residual) + row : nullptr;        /* [C] */
    T *sum = p.residual ? static_cast<T *>(p.sum) + row : nullptr;                              /* [C] */
    T *output = static_cast<T *>(p.output) + row;                                               /* [C] */
    float squares = block_sum(add_and_square(x, residual, sum, p.channels));
    float rstd = 1.0f / sqrtf(squares / float(p.channels) + p.epsilon);
    if (p.rstd && threadIdx.x == 0)
        p.rstd[n] = rstd;
    for (int64_t c = int64_t(threadIdx.x) * PACK; c < p.channels; c += int64_t(blockDim.x) * PACK) {
        float value[PACK], factor[PACK];
        load_pack(value, (residual ? sum : x) + c, p.channels - c);
        load_pack(factor, weight + c, p.channels - c);
#pragma unroll
        for (int i = 0; i < PACK; i++)
            value[i] = rounded<T>(value[i] * rstd) * factor[i];
        store_pack(output + c, value, p.channels - c);
    }
}

extern "C" enum status cuda_rmsnorm_forward(const struct device_context *context, const struct rmsnorm_forward *p)
{
    auto kernel = p->type == DTYPE_F32 ? rmsnorm_forward_kernel<float> : rmsnorm_forward_kernel<__nv_bfloat16>;
    int threads = block_threads(divide_up(p->channels, PACK), THREADS);
    return launch(context, "rmsnorm_forward", kernel, p->rows, 1, threads, *p);
}
