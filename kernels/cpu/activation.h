/* Activations on vectors (speech_operations.h): what stands behind the sums of convolutions and norms, and before them. */
#ifndef SPIRITLM_KERNELS_CPU_ACTIVATION_H
#define SPIRITLM_KERNELS_CPU_ACTIVATION_H

#include "kernels/cpu/gelu.h"
#include "kernels/operations.h"

/* where ? yes : no, by lanes; a lane of `where` is all ones or 0. */
INLINE vector vector_select(vector_int where, vector yes, vector no)
{
    return (vector)((where & (vector_int)yes) | (~where & (vector_int)no));
}

INLINE vector vector_sigmoid(vector x)
{
    return 1.0f / (1.0f + vector_exp(-x));
}

/* tanh |x| = 1 - 2 / (exp(2 |x|) + 1), which near 0 would subtract equal numbers: below 0.4 its Taylor series, whose first
 * term that is left out is 4e-9 of the result there. */
INLINE vector vector_tanh(vector x)
{
    vector a = (vector)((vector_bits)x & 0x7fffffffu), square = a * a;
    vector series = vector_fill(21844.0f / 6081075);
    series = multiply_add(series, square, vector_fill(-1382.0f / 155925));
    series = multiply_add(series, square, vector_fill(62.0f / 2835));
    series = multiply_add(series, square, vector_fill(-17.0f / 315));
    series = multiply_add(series, square, vector_fill(2.0f / 15));
    series = multiply_add(series, square, vector_fill(-1.0f / 3));
    series = multiply_add(series * square, a, a);
    vector large = 1.0f - 2.0f / (vector_exp(a + a) + 1.0f);
    vector result = vector_select(a < 0.4f, series, large);
    return (vector)((vector_bits)result | ((vector_bits)x & 0x80000000u));
}

INLINE vector vector_activate(vector x, enum activation activation, float slope)
{
    switch (activation) {
    case ACTIVATION_GELU:
        return vector_gelu(x);
    case ACTIVATION_RELU:
        return vector_max(vector_fill(0), x);
    case ACTIVATION_LEAKY_RELU:
        return vector_select(x > 0.0f, x, x * slope);
    case ACTIVATION_SILU:
        return x * vector_sigmoid(x);
    case ACTIVATION_TANH:
        return vector_tanh(x);
    case ACTIVATION_SIGMOID:
        return vector_sigmoid(x);
    case ACTIVATION_NONE:
        break;
    }
    return x;
}

#endif
