/* The gradient of GELU by itself: one pass over memory, a pack per thread, which has read both operands before it writes in
 * the place of either. */
#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

template <typename T> __global__ void __launch_bounds__(THREADS) gelu_backward_kernel(struct gelu_backward p)
{
    constexpr int N = pack_size<T>::count;
    int64_t i = (int64_t(blockIdx.x) * THREADS + threadIdx.x) * N;
    if (i >= p.count)
        return;
    float value[N], gradient[N];
    load_pack(value, static_cast<const T *>(p.x) + i, p.count - i);
    load_pack(gradient, static_cast<const T *>(p.grad_output) + i, p.count - i);
#pragma unroll
    for (int j = 0; j < N; j++)
        gradient[j] *= gelu_slope(value[j]);
    store_pack(static_cast<T *>(p.grad_x) + i, gradient, p.count - i);
}

extern "C" enum status cuda_gelu_backward(const struct device_context *context, const struct gelu_backward *p)
{
    auto kernel = p->type == DTYPE_F32 ? gelu_backward_kernel<float> : gelu_backward_kernel<cuda_bfloat16>;
    return launch(context, "gelu_backward", kernel, divide_up(p->count, THREADS * 16 / int64_t(dtype_size(p->type))), 1,
                  THREADS, *p);
}
