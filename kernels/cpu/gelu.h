/* GELU and its derivative on vectors: x Phi(x), Phi(x) + x phi(x), with the normal distribution's Phi and its density phi.
 * For a = |x| the tail is Phi(-a) = exp(-a^2 / 2) R(a), where R(a) = erfcx(a / sqrt(2)) / 2 falls slowly from 1/2: as a
 * polynomial of t = 1 / (1 + 0.35 a) without a constant term, fitted for the least relative error (3.2e-8) over a <= 14.
 * So Phi keeps its relative precision far into the left tail, where (1 + erf) / 2 has none left. */
#ifndef SPIRITLM_KERNELS_CPU_GELU_H
#define SPIRITLM_KERNELS_CPU_GELU_H

#include "kernels/cpu/vector.h"

/* The coefficients of t, t^2, ... t^9. */
static const float GELU_TAIL[9] = {0.139621404f, 0.139861869f,  0.119832872f, 0.105507985f, -0.0231097893f,
                                   0.159174095f, -0.255714198f, 0.143971671f, -0.029145925f};

/* Phi(x), and exp(-x^2 / 2). */
INLINE vector vector_normal(vector x, vector *bell)
{
    vector a = vector_min(vector_fill(40.0f), (vector)((vector_bits)x & 0x7fffffffu)); /* both are 0 from there on */
    vector square = a * a, lost = multiply_add(a, a, -square), t = 1.0f / (1.0f + 0.35f * a);
    vector polynomial = vector_fill(GELU_TAIL[8]);
    for (int i = 7; i >= 0; i--)
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
    return multiply_add(x * bell, vector_fill(0.398942280f), cumulative); /* 1 / sqrt(2 pi) */
}

#endif
