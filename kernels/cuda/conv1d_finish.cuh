/* What a convolution does with its sums, whoever has computed them. */
#ifndef SPIRITLM_KERNELS_CUDA_CONV1D_FINISH_CUH
#define SPIRITLM_KERNELS_CUDA_CONV1D_FINISH_CUH

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/conv1d.cuh"

/* What comes after the sums for four columns of a frame. `index`: of the first one in the output. A frame that is not valid
 * lies behind its row's own: its values are 0 and stay so. */
template <typename T>
static __device__ inline void finish_quad(const struct conv1d_forward &p, int64_t index, int64_t channel, int64_t count,
                                          bool valid, float (&values)[QUAD])
{
    float other[QUAD];
    if (valid && p.bias) {
        load_quad(other, static_cast<const T *>(p.bias) + channel, count);
#pragma unroll
        for (int i = 0; i < QUAD; i++)
            values[i] += other[i];
    }
    if (p.pre_activation)
        store_quad(static_cast<T *>(p.pre_activation) + index, values, count);
    if (valid && p.activation != ACTIVATION_NONE)
#pragma unroll
        for (int i = 0; i < QUAD; i++)
            values[i] = activated(values[i], p.activation, p.slope);
    if (valid && p.residual) {
        load_quad(other, static_cast<const T *>(p.residual) + index, count);
#pragma unroll
        for (int i = 0; i < QUAD; i++)
            values[i] += other[i];
    }
    store_quad(static_cast<T *>(p.output) + index, values, count);
}

#endif
