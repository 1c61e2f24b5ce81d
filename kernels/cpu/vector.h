/* Eight f32 lanes in the compilers' own vector types (gcc and clang), with reads and writes of f32 and bf16, and exp.
 * A loop over n elements runs full vectors and then one part of a vector; sums keep fixed lanes, so the order of
 * additions depends on n alone. Functions take `type` as a constant where they are used: the branches vanish. */
#ifndef SPIRITLM_KERNELS_CPU_VECTOR_H
#define SPIRITLM_KERNELS_CPU_VECTOR_H

#include "core/dtype.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>
#else
/* Without AVX the compiler cuts a vector in two and warns that its calling convention differs: nothing here is called,
 * all is inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 8 };

typedef float vector __attribute__((vector_size(32)));
typedef int32_t vector_int __attribute__((vector_size(32)));
typedef uint32_t vector_bits __attribute__((vector_size(32)));
typedef uint16_t vector_half __attribute__((vector_size(16)));

INLINE vector vector_fill(float x)
{
    return (vector){x, x, x, x, x, x, x, x};
}

INLINE vector vector_read(const float *source)
{
    vector v;
    memcpy(&v, source, sizeof v);
    return v;
}

INLINE void vector_write(float *destination, vector v)
{
    memcpy(destination, &v, sizeof v);
}

/* a * b + c, rounded once where the processor has the instruction. */
INLINE vector multiply_add(vector a, vector b, vector c)
{
#ifdef __FMA__
    return (vector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

/* The larger; b where either is NaN. */
INLINE vector vector_max(vector a, vector b)
{
#ifdef __AVX2__
    return (vector)_mm256_max_ps((__m256)a, (__m256)b);
#else
    vector_int greater = a > b;
    return (vector)((greater & (vector_int)a) | (~greater & (vector_int)b));
#endif
}

/* The smaller; b where either is NaN. */
INLINE vector vector_min(vector a, vector b)
{
#ifdef __AVX2__
    return (vector)_mm256_min_ps((__m256)a, (__m256)b);
#else
    vector_int less = a < b;
    return (vector)((less & (vector_int)a) | (~less & (vector_int)b));
#endif
}

INLINE vector vector_square_root(vector a)
{
#ifdef __AVX2__
    return (vector)_mm256_sqrt_ps((__m256)a);
#else
    for (int i = 0; i < LANES; i++)
        a[i] = sqrtf(a[i]);
    return a;
#endif
}

INLINE float vector_sum(vector v)
{
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

/* Rows become columns. */
INLINE void vector_transpose(vector v[8])
{
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vector_int){__VA_ARGS__})
#endif
    vector low[4], high[4], four[8];
    for (int i = 0; i < 4; i++) {
        low[i] = SHUFFLE(v[2 * i], v[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        high[i] = SHUFFLE(v[2 * i], v[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 2; i++) {
        four[4 * i] = SHUFFLE(low[2 * i], low[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13);
        four[4 * i + 1] = SHUFFLE(low[2 * i], low[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
        four[4 * i + 2] = SHUFFLE(high[2 * i], high[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13);
        four[4 * i + 3] = SHUFFLE(high[2 * i], high[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    for (int i = 0; i < 4; i++) {
        v[i] = SHUFFLE(four[i], four[4 + i], 0, 1, 2, 3, 8, 9, 10, 11);
        v[4 + i] = SHUFFLE(four[i], four[4 + i], 4, 5, 6, 7, 12, 13, 14, 15);
    }
#undef SHUFFLE
}

INLINE vector_half vector_to_bf16(vector v)
{
    vector_bits bits = (vector_bits)v;
    vector_bits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    vector_bits quiet = (bits >> 16) | 0x40u, nan = (vector_bits)(v != v);
    return __builtin_convertvector((nan & quiet) | (~nan & rounded), vector_half);
}

INLINE vector vector_from_bf16(vector_half half)
{
    return (vector)(__builtin_convertvector(half, vector_bits) << 16);
}

/* Rounds to `type` and back: what a later reader of the stored value sees. */
INLINE vector vector_round(vector v, enum dtype type)
{
    return type == DTYPE_BF16 ? vector_from_bf16(vector_to_bf16(v)) : v;
}

/* Elements [i, i + count) of an array of `type`; lanes past count are 0. */
INLINE vector vector_load(const void *source, int64_t i, int64_t count, enum dtype type)
{
    if (type == DTYPE_F32) {
        vector v = vector_fill(0);
        if (count == LANES)
            memcpy(&v, (const float *)source + i, sizeof v);
        else
            for (int64_t j = 0; j < count; j++)
                v[j] = ((const float *)source)[i + j];
        return v;
    }
    vector_half half = {0};
    if (count == LANES)
        memcpy(&half, (const bf16 *)source + i, sizeof half);
    else
        for (int64_t j = 0; j < count; j++)
            half[j] = ((const bf16 *)source)[i + j];
    return vector_from_bf16(half);
}

INLINE void vector_store(void *destination, int64_t i, int64_t count, enum dtype type, vector v)
{
    if (type == DTYPE_F32) {
        if (count == LANES)
            memcpy((float *)destination + i, &v, sizeof v);
        else
            for (int64_t j = 0; j < count; j++)
                ((float *)destination)[i + j] = v[j];
        return;
    }
    vector_half half = vector_to_bf16(v);
    if (count == LANES)
        memcpy((bf16 *)destination + i, &half, sizeof half);
    else
        for (int64_t j = 0; j < count; j++)
            ((bf16 *)destination)[i + j] = half[j];
}

/* e^r 2^n = exp(x): n of x comes in the low bits of *shifted. */
INLINE vector vector_exp_parts(vector x, vector *shifted)
{
    const vector shift = vector_fill(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    *shifted = multiply_add(x, vector_fill(1.44269504f), shift);
    vector n = *shifted - shift;
    vector r = multiply_add(n, vector_fill(-0.693145751953125f), x);
    r = multiply_add(n, vector_fill(-1.42860682030941723e-6f), r);
    vector q = multiply_add(vector_fill(0.00139262134661398f), r, vector_fill(0.00836320297157568f));
    q = multiply_add(q, r, vector_fill(0.0416665544376878f));
    q = multiply_add(q, r, vector_fill(0.16666576845994f));
    q = multiply_add(q, r, vector_fill(0.5f));
    return multiply_add(q, r * r, r) + 1.0f;
}

/* exp within 1.1 units in the last place: x = n ln 2 + r with |r| <= ln(2)/2, ln 2 in
 * two parts (Cody and Waite 1980), e^r = 1 + r + r^2 q(r) with q of degree 4 interpolated at Chebyshev's points
 * (relative error 1.0e-8), scaled by 2^n in two factors so that subnormal results come out right. exp(-inf) = 0,
 * exp(0) = 1, large x gives infinity, NaN stays NaN. */
INLINE vector vector_exp(vector x)
{
    vector shifted;
    x = vector_min(vector_fill(89.0f), vector_max(vector_fill(-105.0f), x));
    vector e = vector_exp_parts(x, &shifted);
    vector_int exponent = (vector_int)shifted - (vector_int)vector_fill(12582912.0f), half = exponent >> 1;
    vector first = (vector)((vector_bits)(half + 127) << 23),
           second = (vector)((vector_bits)(exponent - half + 127) << 23);
    return e * first * second;
}

/* The same for x <= 80, as probabilities need it, in fewer steps: results below the normal numbers are 0. */
INLINE vector vector_exp_probability(vector x)
{
    vector shifted, e = vector_exp_parts(x, &shifted);
    vector result = e * (vector)(((vector_bits)shifted << 23) + (127u << 23)); /* nonsense where small */
    vector_int small = x < -87.0f;
    return (vector)(~small & (vector_int)result);
}

#endif
