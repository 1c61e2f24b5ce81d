/* GELU and its derivative, x Phi(x) and Phi(x) + x phi(x), as every kernel that has one as an epilogue computes them;
 * gelu_tail.h says how Phi is computed. */
#ifndef SPIRITLM_KERNELS_CUDA_GELU_CUH
#define SPIRITLM_KERNELS_CUDA_GELU_CUH

#include "kernels/gelu_tail.h"

/* Phi(x), and exp(-x^2 / 2). */
__device__ inline float normal_cumulative(float x, float *bell)
{
    const float coefficients[GELU_TAIL_DEGREE] = GELU_TAIL_COEFFICIENTS;
    float a = fminf(fabsf(x), GELU_TAIL_END), square = a * a, lost = fmaf(a, a, -square);
    float t = __fdividef(1.0f, fmaf(GELU_TAIL_SLOPE, a, 1.0f)), polynomial = coefficients[GELU_TAIL_DEGREE - 1];
#pragma unroll
    for (int i = GELU_TAIL_DEGREE - 2; i >= 0; i--)
        polynomial = fmaf(polynomial, t, coefficients[i]);
    float e = expf(square * -0.5f);
    e = fmaf(e, lost * -0.5f, e); /* what rounding the square has taken from the exponent */
    float tail = e * (polynomial * t);
    *bell = e;
    return x < 0.0f ? tail : 1.0f - tail;
}

__device__ inline float gelu(float x)
{
    float bell;
    return x * normal_cumulative(x, &bell);
}

__device__ inline float gelu_slope(float x)
{
    float bell, cumulative = normal_cumulative(x, &bell);
    return fmaf(x * bell, GELU_BELL_SCALE, cumulative);
}

#endif
