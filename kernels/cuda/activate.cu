/* An activation by itself, where no other operation has it as an epilogue: one pass over memory, a pack per thread. */
#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

template <typename T> __global__ void __launch_bounds__(THREADS) activate_kernel(struct activate p)
{
    constexpr int N = pack_size<T>::count;
    int64_t i = (int64_t(blockIdx.x) * THREADS + threadIdx.x) * N;
    if (i >= p.count)
        return;
    float value[N];
    load_pack(value, static_cast<const T *>(p.x) + i, p.count - i);
#pragma unroll
    for (int j = 0; j < N; j++)
        value[j] = activated(value[j], p.activation, p.slope);
    store_pack(static_cast<T *>(p.output) + i, value, p.count - i);
}

extern "C" enum status cuda_activate(const struct device_context *context, const struct activate *p)
{
    auto kernel = p->type == DTYPE_F32 ? activate_kernel<float> : activate_kernel<cuda_bfloat16>;
    return launch(context, "activate", kernel, divide_up(p->count, THREADS * 16 / int64_t(dtype_size(p->type))), 1,
                  THREADS, *p);
}
