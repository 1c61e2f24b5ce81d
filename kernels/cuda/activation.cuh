/* Activations (speech_operations.h) of one number, as every kernel that has one before or behind its sums computes them. All
 * lanes take one branch. */
#ifndef SPIRITLM_KERNELS_CUDA_ACTIVATION_CUH
#define SPIRITLM_KERNELS_CUDA_ACTIVATION_CUH

#include "kernels/cuda/gelu.cuh"
#include "kernels/operations.h"

__device__ inline float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

__device__ inline float activated(float x, enum activation activation, float slope)
{
    switch (activation) {
    case ACTIVATION_GELU:
        return gelu(x);
    case ACTIVATION_RELU:
        return x <= 0.0f ? 0.0f : x;
    case ACTIVATION_LEAKY_RELU:
        return x <= 0.0f ? x * slope : x;
    case ACTIVATION_SILU:
        return x * sigmoid(x);
    case ACTIVATION_TANH:
        return tanhf(x);
    case ACTIVATION_SIGMOID:
        return sigmoid(x);
    default:
        return x;
    }
}

#endif
