/* GELU by itself, where no other operation has it as an epilogue: one pass over memory, a pack per thread. */
#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

template <typename T> __global__ void __launch_bounds__(THREADS) gelu_forward_kernel(struct gelu_forward p)
{
    constexpr int N = pack_size<T>::count;
    int64_t i = (int64_t(blockIdx.x) * THREADS + threadIdx.x) * N;
    if (i >= p.count)
        return;
    float value[N];
    load_pack(value, static_cast<const T *>(p.x) + i, p.count - i);
#pragma unroll
    for (int j = 0; j < N; j++)
        value[j] = gelu(value[j]);
    store_pack(static_cast<T *>(p.output) + i, value, p.count - i);
}

extern "C" enum status cuda_gelu_forward(const struct device_context *context, const struct gelu_forward *p)
{
    auto kernel = p->type == DTYPE_F32 ? gelu_forward_kernel<float> : gelu_forward_kernel<cuda_bfloat16>;
    return launch(context, "gelu_forward", kernel, divide_up(p->count, THREADS * 16 / int64_t(dtype_size(p->type))), 1,
                  THREADS, *p);
}
