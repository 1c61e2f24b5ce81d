/* Arithmetic of .f32. What rounds to nearest runs on the processor's own float arithmetic, eight lanes at a time; directed
 * roundings go the slow way of alu_round.h. .ftz flushes operands and results, .sat clamps to [0, 1]. */
#include <math.h>

#include "emulator/machine/alu_internal.h"
#include "emulator/machine/alu_round.h"

ALU_BINARY_SAME(add, uint32_t, alu_result_f32(alu_float(a) + alu_float(b)))
ALU_BINARY_SAME(sub, uint32_t, alu_result_f32(alu_float(a) - alu_float(b)))
ALU_BINARY_SAME(mul, uint32_t, alu_result_f32(alu_float(a) * alu_float(b)))
ALU_TERNARY_SAME(fused, uint32_t, alu_result_f32(fmaf(alu_float(a), alu_float(b), alu_float(c))))
ALU_BINARY_SAME(divide, uint32_t, alu_result_f32(alu_float(a) / alu_float(b)))

/* The variants of an operation that is defined for lanes as name_of. */
#define VARIANTS_2(name)                                                                                               \
    ALU_BINARY_SAME(name##_ftz, uint32_t, alu_flush(name##_of(alu_flush(a), alu_flush(b))))                            \
    ALU_BINARY_SAME(name##_sat, uint32_t, alu_saturate(name##_of(a, b)))                                               \
    ALU_BINARY_SAME(name##_ftz_sat, uint32_t, alu_saturate(name##_ftz_of(a, b)))
#define VARIANTS_3(name)                                                                                               \
    ALU_TERNARY_SAME(name##_ftz, uint32_t, alu_flush(name##_of(alu_flush(a), alu_flush(b), alu_flush(c))))             \
    ALU_TERNARY_SAME(name##_sat, uint32_t, alu_saturate(name##_of(a, b, c)))                                           \
    ALU_TERNARY_SAME(name##_ftz_sat, uint32_t, alu_saturate(name##_ftz_of(a, b, c)))
VARIANTS_2(add)
VARIANTS_2(sub)
VARIANTS_2(mul)
VARIANTS_3(fused)
ALU_BINARY_SAME(divide_ftz, uint32_t, alu_flush(divide_of(alu_flush(a), alu_flush(b))))

/* div.approx multiplies by a reciprocal: where that is flushed, for |b| above 2^126, the quotient is 0, or NaN when a is
 * infinite. */
ALU_LANE_FUNCTION uint32_t divide_approximately(uint32_t a, uint32_t b)
{
    const uint32_t magnitude = b & UINT32_C(0x7fffffff);
    if (magnitude > UINT32_C(0x7e800000) && magnitude < UINT32_C(0x7f800000)) {
        if ((a & UINT32_C(0x7fffffff)) >= UINT32_C(0x7f800000))
            return ALU_NAN_F32;
        return (a ^ b) & UINT32_C(0x80000000);
    }
    return divide_of(a, b);
}
ALU_BINARY_SAME(divide_approx, uint32_t, divide_approximately(a, b))
ALU_BINARY_SAME(divide_approx_ftz, uint32_t, alu_flush(divide_approximately(alu_flush(a), alu_flush(b))))

/* ---- directed roundings ---- */

ALU_LANE_FUNCTION uint32_t finish_directed(double value, const struct alu_operation *operation)
{
    const uint64_t modifiers = alu_modifiers(operation);
    uint32_t bits = alu_narrow(value, &alu_format_f32, (enum alu_rounding)operation->detail[0]);
    if ((modifiers & M(ftz)) != 0)
        bits = alu_flush(bits);
    return (modifiers & M(sat)) != 0 ? alu_saturate(bits) : bits;
}
/* x, y, z: the sources as doubles. */
#define DIRECTED(name, value)                                                                                          \
    ALU_FUNCTION(name)                                                                                                 \
    {                                                                                                                  \
        const bool flush = (alu_modifiers(operation) & M(ftz)) != 0;                                                   \
        const enum alu_rounding rounding = (enum alu_rounding)operation->detail[0];                                    \
        (void)rounding;                                                                                                \
        uint32_t *destination = destinations[0];                                                                       \
        for (int lane = 0; lane < 32; ++lane) {                                                                        \
            if (!alu_lane(active, lane))                                                                               \
                continue;                                                                                              \
            double operands[3] = {0};                                                                                  \
            for (int32_t i = 0; i < operation->source_count; ++i) {                                                    \
                const uint32_t bits = ((const uint32_t *)sources[i])[lane];                                            \
                operands[i] = alu_float(flush ? alu_flush(bits) : bits);                                               \
            }                                                                                                          \
            const double x = operands[0], y = operands[1], z = operands[2];                                            \
            (void)y;                                                                                                   \
            (void)z;                                                                                                   \
            destination[lane] = finish_directed(value, operation);                                                     \
        }                                                                                                              \
    }
DIRECTED(add_directed, alu_add_odd(x, y, rounding))
DIRECTED(sub_directed, alu_add_odd(x, -y, rounding))
DIRECTED(mul_directed, x *y)
DIRECTED(fused_directed, alu_add_odd(x *y, z, rounding))
DIRECTED(divide_directed, alu_divide_odd(x, y))
DIRECTED(reciprocal_directed, alu_divide_odd(1.0, x))
DIRECTED(root_directed, alu_sqrt_odd(x))

static bool prepare_one_rounding(const struct alu_form *form, struct alu_operation *operation)
{
    (void)operation;
    return alu_one_bit(form->modifiers & ALU_ROUNDINGS);
}

/* ---- reciprocals and roots, rounded to nearest ---- */

ALU_UNARY_SAME(reciprocal, uint32_t, alu_result_f32(1.0f / alu_float(a)))
ALU_UNARY_SAME(reciprocal_ftz, uint32_t, alu_flush(reciprocal_of(alu_flush(a))))
ALU_UNARY_SAME(root, uint32_t, alu_result_f32(sqrtf(alu_float(a))))
ALU_UNARY_SAME(root_ftz, uint32_t, root_of(alu_flush(a)))

/* ---- signs, minimum and maximum ---- */

ALU_UNARY_SAME(absolute, uint32_t, a &UINT32_C(0x7fffffff))
ALU_UNARY_SAME(absolute_ftz, uint32_t, alu_flush(a) & UINT32_C(0x7fffffff))
ALU_UNARY_SAME(negate, uint32_t, a ^ UINT32_C(0x80000000))
ALU_UNARY_SAME(negate_ftz, uint32_t, alu_flush(a) ^ UINT32_C(0x80000000))
ALU_BINARY_SAME(copy_sign, uint32_t, (a & UINT32_C(0x80000000)) | (b & UINT32_C(0x7fffffff)))

/* Integers in the order of the numbers, -0 below +0. */
ALU_LANE_FUNCTION int32_t order(uint32_t bits)
{
    return (int32_t)(bits ^ (0 - (bits >> 31)) >> 1);
}
ALU_LANE_FUNCTION bool is_nan(uint32_t bits)
{
    return (bits & UINT32_C(0x7fffffff)) > UINT32_C(0x7f800000);
}
/* A NaN loses against a number; of two, and with `keep` of one, the result is NaN. */
ALU_LANE_FUNCTION uint32_t choose(uint32_t a, uint32_t b, bool first, bool keep)
{
    const uint32_t chosen = is_nan(a) ? b : is_nan(b) ? a : first ? a : b;
    return (keep && is_nan(a)) || (keep && is_nan(b)) || is_nan(chosen) ? ALU_NAN_F32 : chosen;
}
ALU_BINARY_SAME(minimum, uint32_t, choose(a, b, order(a) < order(b), false))
ALU_BINARY_SAME(maximum, uint32_t, choose(a, b, order(a) > order(b), false))
ALU_BINARY_SAME(minimum_ftz, uint32_t, minimum_of(alu_flush(a), alu_flush(b)))
ALU_BINARY_SAME(maximum_ftz, uint32_t, maximum_of(alu_flush(a), alu_flush(b)))

ALU_LANE_FUNCTION uint32_t extreme(uint32_t a, uint32_t b, bool greatest, uint64_t modifiers)
{
    const uint32_t sign = (a ^ b) & UINT32_C(0x80000000);
    if ((modifiers & M(ftz)) != 0) {
        a = alu_flush(a);
        b = alu_flush(b);
    }
    if ((modifiers & M(xorsign)) != 0) {
        a &= UINT32_C(0x7fffffff);
        b &= UINT32_C(0x7fffffff);
    }
    const bool first = greatest ? order(a) > order(b) : order(a) < order(b);
    const uint32_t chosen = choose(a, b, first, (modifiers & M(NaN)) != 0);
    return (modifiers & M(xorsign)) != 0 && !is_nan(chosen) ? chosen | sign : chosen;
}
#define DEFINE_EXTREME(name, greatest)                                                                                 \
    ALU_FUNCTION(name)                                                                                                 \
    {                                                                                                                  \
        const uint64_t modifiers = alu_modifiers(operation);                                                           \
        const uint32_t *a = sources[0], *b = sources[1];                                                               \
        uint32_t *destination = destinations[0];                                                                       \
        ALU_LANES(uint32_t, active, destination, extreme(a[lane], b[lane], greatest, modifiers));                      \
    }
DEFINE_EXTREME(minimum_modified, false)
DEFINE_EXTREME(maximum_modified, true)

/* .xorsign and .abs come together. */
static bool prepare_extreme(const struct alu_form *form, struct alu_operation *operation)
{
    (void)operation;
    return ((form->modifiers & M(xorsign)) != 0) == ((form->modifiers & M(abs)) != 0);
}

/* ---- rows ---- */

#define F32(opcode, required, optional, operands, run)                                                                 \
    {                                                                                                                  \
        opcode, PTX_F32, PTX_NO_TYPE, required, optional, operands, run, NULL                                          \
    }
#define DIRECTED_ROW(opcode, optional, operands, run)                                                                  \
    {                                                                                                                  \
        opcode, PTX_F32, PTX_NO_TYPE, 0, ALU_ROUNDINGS | (optional), operands, run, prepare_one_rounding               \
    }
#define VARIANT_ROWS(opcode, required, optional, operands, run)                                                        \
    F32(opcode, required, optional, operands, run), F32(opcode, required | M(ftz), optional, operands, run##_ftz),     \
        F32(opcode, required | M(sat), optional, operands, run##_sat),                                                 \
        F32(opcode, required | M(ftz) | M(sat), optional, operands, run##_ftz_sat),                                    \
        DIRECTED_ROW(opcode, M(ftz) | M(sat), operands, run##_directed)

const struct alu_row alu_float_rows[] = {
    VARIANT_ROWS("fma", M(rn), 0, "t=ttt", fused),
    VARIANT_ROWS("mul", 0, M(rn), "t=tt", mul),
    VARIANT_ROWS("add", 0, M(rn), "t=tt", add),
    VARIANT_ROWS("sub", 0, M(rn), "t=tt", sub),
    VARIANT_ROWS("mad", M(rn), 0, "t=ttt", fused),
    F32("div", M(rn), 0, "t=tt", divide),
    F32("div", M(rn) | M(ftz), 0, "t=tt", divide_ftz),
    F32("div", M(full), 0, "t=tt", divide),
    F32("div", M(full) | M(ftz), 0, "t=tt", divide_ftz),
    F32("div", M(approx), 0, "t=tt", divide_approx),
    F32("div", M(approx) | M(ftz), 0, "t=tt", divide_approx_ftz),
    DIRECTED_ROW("div", M(ftz), "t=tt", divide_directed),
    F32("rcp", M(rn), 0, "t=t", reciprocal),
    F32("rcp", M(rn) | M(ftz), 0, "t=t", reciprocal_ftz),
    DIRECTED_ROW("rcp", M(ftz), "t=t", reciprocal_directed),
    F32("sqrt", M(rn), 0, "t=t", root),
    F32("sqrt", M(rn) | M(ftz), 0, "t=t", root_ftz),
    DIRECTED_ROW("sqrt", M(ftz), "t=t", root_directed),
    F32("abs", 0, 0, "t=t", absolute),
    F32("abs", M(ftz), 0, "t=t", absolute_ftz),
    F32("neg", 0, 0, "t=t", negate),
    F32("neg", M(ftz), 0, "t=t", negate_ftz),
    F32("copysign", 0, 0, "t=tt", copy_sign),
    F32("min", 0, 0, "t=tt", minimum),
    F32("max", 0, 0, "t=tt", maximum),
    F32("min", M(ftz), 0, "t=tt", minimum_ftz),
    F32("max", M(ftz), 0, "t=tt", maximum_ftz),
    {"min", PTX_F32, PTX_NO_TYPE, 0, M(ftz) | M(NaN) | M(xorsign) | M(abs), "t=tt", minimum_modified, prepare_extreme},
    {"max", PTX_F32, PTX_NO_TYPE, 0, M(ftz) | M(NaN) | M(xorsign) | M(abs), "t=tt", maximum_modified, prepare_extreme},
    ALU_END_OF_ROWS,
};
