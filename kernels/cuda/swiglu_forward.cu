/* silu(gate) * up in one pass, a pack of channels per thread. */
#include "kernels/cuda/swiglu.cuh"

template <typename T, int N>
__global__ void __launch_bounds__(SWIGLU_THREADS) swiglu_forward_kernel(struct swiglu_forward p)
{
    int64_t n = blockIdx.x, c = swiglu_channel<N>(), count = p.channels - c;
    if (count <= 0)
        return;
    const T *gate_up = static_cast<const T *>(p.gate_up) + n * 2 * p.channels; /* [2][I] */
    float gate[N], up[N];
    load_pack(gate, gate_up + c, count);
    load_pack(up, gate_up + p.channels + c, count);
#pragma unroll
    for (int i = 0; i < N; i++)
        up[i] *= gate[i] * sigmoid(gate[i]);
    store_pack(static_cast<T *>(p.output) + n * p.channels + c, up, count); /* of [N][I] */
}

template <typename T> static enum status choose(const struct device_context *context, const struct swiglu_forward *p)
{
    constexpr int N = pack_size<T>::count;
    return launch_swiglu<N>(context, "swiglu_forward", swiglu_forward_kernel<T, N>, swiglu_forward_kernel<T, 1>,
                            lies_on(p->gate_up, 16) && lies_on(p->output, 16), *p);
}

extern "C" enum status cuda_swiglu_forward(const struct device_context *context, const struct swiglu_forward *p)
{
    return p->type == DTYPE_F32 ? choose<float>(context, p) : choose<cuda_bfloat16>(context, p);
}
