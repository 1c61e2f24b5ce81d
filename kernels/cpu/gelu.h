/* GELU and its derivative on vectors: x Phi(x), Phi(x) + x phi(x), with the normal distribution's Phi and its density phi;
 * gelu_tail.h says how Phi is computed. */
#ifndef SPIRITLM_KERNELS_CPU_GELU_H
#define SPIRITLM_KERNELS_CPU_GELU_H

#include "kernels/cpu/vector.h"
#include "kernels/gelu_tail.h"

static const float GELU_TAIL[GELU_TAIL_DEGREE] = GELU_TAIL_COEFFICIENTS;

/* Phi(x), and exp(-x^2 / 2). */
INLINE vector vector_normal(vector x, vector *bell)
{
    vector a = vector_min(vector_fill(GELU_TAIL_END), (vector)((vector_bits)x & 0x7fffffffu));
    vector square = a * a, lost = multiply_add(a, a, -square), t = 1.0f / (1.0f + GELU_TAIL_SLOPE * a);
    vector polynomial = vector_fill(GELU_TAIL[GELU_TAIL_DEGREE - 1]);
    for (int i = GELU_TAIL_DEGREE - 2; i >= 0; i--)
        polynomial = multiply_add(polynomial, t, vector_fill(GELU_TAIL[i]));
    vector e = vector_exp(square * -0.5f);
    e = multiply_add(e, lost * -0.5f, e);
    vector tail = e * (polynomial * t);
    vector_int negative = x < 0.0f;
    *bell = e;
    return (vector)((negative & (vector_int)tail) | (~negative & (vector_int)(1.0f - tail)));
}

INLINE vector vector_gelu(vector x)
{
    vector bell;
    return x * vector_normal(x, &bell);
}

INLINE vector vector_gelu_slope(vector x)
{
    vector bell, cumulative = vector_normal(x, &bell);
    return multiply_add(x * bell, vector_fill(GELU_BELL_SCALE), cumulative);
}

#endif
