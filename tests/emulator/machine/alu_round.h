/* Rounding by hand, for what the processor cannot round by itself: f16 and bf16, and directed roundings without touching
 * the processor's mode.
 *
 * An exact result is first computed in double "rounded to odd": cut off, with the last bit set when anything was lost. A
 * double has more than twice the bits of f32 plus two, so that rounding it once more gives what rounding the exact result
 * would (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008), in every mode. Internal to machine/. */
#ifndef SPIRITLM_EMULATOR_ALU_ROUND_H
#define SPIRITLM_EMULATOR_ALU_ROUND_H

#include <math.h>

#include "emulator/machine/alu_internal.h"

/* ---- rounding to odd ---- */

/* `rounded` is the nearest double of an exact value that differs from it by something of `error`'s sign (or by nothing). */
static inline double alu_make_odd(double rounded, double error)
{
    uint64_t bits = alu_double_bits(rounded);
    if (error == 0 || error != error || rounded == 0 || isinf(rounded) || (bits & 1) != 0)
        return rounded;
    bits = (error > 0) == (rounded > 0) ? bits + 1 : bits - 1;
    return alu_double(bits);
}
/* a + b (Knuth's two-sum gives the error). An exact zero of operands that differ is -0 when rounding down. */
static inline double alu_add_odd(double a, double b, enum alu_rounding rounding)
{
    const double sum = a + b, b_part = sum - a;
    if (sum == 0 && rounding == ALU_DOWN && (signbit(a) || signbit(b)))
        return -0.0;
    return alu_make_odd(sum, (a - (sum - b_part)) + (b - b_part));
}
/* a / b of numbers that were f32: the remainder is exact. */
static inline double alu_divide_odd(double a, double b)
{
    const double quotient = a / b, remainder = fma(-quotient, b, a);
    return alu_make_odd(quotient, b > 0 ? remainder : -remainder);
}
static inline double alu_sqrt_odd(double a)
{
    const double root = sqrt(a);
    return alu_make_odd(root, fma(-root, root, a));
}

/* ---- from double to fewer bits ---- */

struct alu_format {
    int precision;     /* bits of the significand, the hidden one among them */
    int smallest;      /* exponent of the smallest normal number */
    uint32_t infinity; /* its bits without the sign */
    uint32_t sign;     /* the sign bit */
    uint32_t not_a_number;
};
static const struct alu_format alu_format_f32 = {24, -126, UINT32_C(0x7f800000), UINT32_C(0x80000000), ALU_NAN_F32};
static const struct alu_format alu_format_f16 = {11, -14, 0x7c00, 0x8000, ALU_NAN_HALF};
static const struct alu_format alu_format_bf16 = {8, -126, 0x7f80, 0x8000, ALU_NAN_HALF};

/* Whether the magnitude `kept` (in units of the last place) goes up by one, when `lost` of 2^shift was cut off. */
static inline bool alu_goes_up(uint64_t kept, uint64_t lost, uint64_t half, bool negative, enum alu_rounding rounding)
{
    switch (rounding) {
    case ALU_NEAREST:
        return lost > half || (lost == half && (kept & 1) != 0);
    case ALU_NEAREST_AWAY:
        return lost >= half;
    case ALU_DOWN:
        return negative && lost != 0;
    case ALU_UP:
        return !negative && lost != 0;
    default:
        return false;
    }
}

static inline uint32_t alu_narrow(double value, const struct alu_format *format, enum alu_rounding rounding)
{
    const uint64_t bits = alu_double_bits(value);
    const bool negative = bits >> 63 != 0;
    const uint32_t sign = negative ? format->sign : 0;
    const int field = (int)(bits >> 52 & 0x7ff);
    if (value != value)
        return format->not_a_number;
    if (field == 0x7ff)
        return sign | format->infinity;
    const uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    const uint64_t significand = field == 0 ? fraction : fraction | UINT64_C(1) << 52;
    const int exponent = field == 0 ? -1022 : field - 1023;
    const int lowest = format->smallest - (format->precision - 1); /* exponent of the last place of subnormal numbers */
    const int wanted = exponent - (format->precision - 1);
    const int place = wanted > lowest ? wanted : lowest;
    const int distance = place - (exponent - 52), shift = distance > 63 ? 63 : distance;
    uint64_t kept = significand >> shift;
    const uint64_t lost = significand & ((UINT64_C(1) << shift) - 1);
    kept += alu_goes_up(kept, lost, UINT64_C(1) << (shift - 1), negative, rounding);
    const uint64_t encoded = ((uint64_t)(place - lowest) << (format->precision - 1)) + kept;
    if (encoded < format->infinity)
        return sign | (uint32_t)encoded;
    const bool to_infinity = rounding == ALU_NEAREST || rounding == ALU_NEAREST_AWAY ||
                             (rounding == ALU_UP && !negative) || (rounding == ALU_DOWN && negative);
    return sign | (to_infinity ? format->infinity : format->infinity - 1);
}

/* ---- from f16 and bf16 ---- */

static inline float alu_from_bf16(uint32_t bits)
{
    return alu_float(bits << 16);
}
/* The exponent is rebased by a product with a power of two, which makes subnormal numbers right too; infinities and NaN
 * get their exponent back. */
static inline float alu_from_f16(uint32_t bits)
{
    const uint32_t magnitude = (bits & 0x7fff) << 13;
    const float scaled = alu_float(magnitude) * alu_float(UINT32_C(0x77800000)); /* 2^112 */
    const uint32_t top = (bits & 0x7c00) == 0x7c00 ? UINT32_C(0x7f800000) : 0;
    return alu_float(alu_float_bits(scaled) | top | (bits & 0x8000) << 16);
}

#endif
