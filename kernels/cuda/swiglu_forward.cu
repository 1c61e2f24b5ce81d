/* silu(gate) * up in one pass, a pack of channels per thread. */
#include "kernels/cuda/swiglu.cuh"

template <typename T> __global__ void __launch_bounds__(SWIGLU_THREADS) swiglu_forward_kernel(struct swiglu_forward p)
{
    int64_t n = blockIdx.x, c = swiglu_channel(), count = p.channels - c;
    if (count <= 0)
        return;
    const T *gate_up = static_cast<const T *>(p.gate_up) + n * 2 * p.channels; /* [2][I] */
    float gate[PACK], up[PACK];
    load_pack(gate, gate_up + c, count);
    load_pack(up, gate_up + p.channels + c, count);
#pragma unroll
    for (int i = 0; i < PACK; i++)
        up[i] *= gate[i] * sigmoid(gate[i]);
    store_pack(static_cast<T *>(p.output) + n * p.channels + c, up, count); /* of [N][I] */
}

extern "C" enum status cuda_swiglu_forward(const struct device_context *context, const struct swiglu_forward *p)
{
    return launch_swiglu(context, "swiglu_forward",
                         p->type == DTYPE_F32 ? swiglu_forward_kernel<float> : swiglu_forward_kernel<__nv_bfloat16>,
                         *p);
}
