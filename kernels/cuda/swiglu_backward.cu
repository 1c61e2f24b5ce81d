/* SwiGLU's gradients in one pass; the sigmoid is computed again rather than kept. With s = sigmoid(gate):
 * d/dgate = up s (1 + gate (1 - s)), d/dup = gate s. A thread reads its packs of gate and up before it writes there, so the
 * gradients may take their place. */
#include "kernels/cuda/swiglu.cuh"

template <typename T, int N>
__global__ void __launch_bounds__(SWIGLU_THREADS) swiglu_backward_kernel(struct swiglu_backward p)
{
    int64_t n = blockIdx.x, c = swiglu_channel<N>(), count = p.channels - c;
    if (count <= 0)
        return;
    const T *gate_up = static_cast<const T *>(p.gate_up) + n * 2 * p.channels; /* [2][I] */
    T *grad_gate_up = static_cast<T *>(p.grad_gate_up) + n * 2 * p.channels;   /* [2][I] */
    float gate[N], up[N], gradient[N];
    load_pack(gate, gate_up + c, count);
    load_pack(up, gate_up + p.channels + c, count);
    load_pack(gradient, static_cast<const T *>(p.grad_output) + n * p.channels + c, count); /* of [N][I] */
#pragma unroll
    for (int i = 0; i < N; i++) {
        float g = gate[i], s = sigmoid(g);
        gate[i] = gradient[i] * up[i] * s * (1.0f + g * (1.0f - s));
        up[i] = gradient[i] * g * s;
    }
    store_pack(grad_gate_up + c, gate, count);
    store_pack(grad_gate_up + p.channels + c, up, count);
}

template <typename T> static enum status choose(const struct device_context *context, const struct swiglu_backward *p)
{
    constexpr int N = pack_size<T>::count;
    return launch_swiglu<N>(context, "swiglu_backward", swiglu_backward_kernel<T, N>, swiglu_backward_kernel<T, 1>,
                            lies_on(p->gate_up, 16) && lies_on(p->grad_output, 16) && lies_on(p->grad_gate_up, 16), *p);
}

extern "C" enum status cuda_swiglu_backward(const struct device_context *context, const struct swiglu_backward *p)
{
    return p->type == DTYPE_F32 ? choose<float>(context, p) : choose<cuda_bfloat16>(context, p);
}
