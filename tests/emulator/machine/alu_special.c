/* The functions of a device's special function unit, .approx all of them: computed in double and rounded once, which lies
 * inside the errors that PTX ISA allows. Infinities, zeros and NaN come out as its tables say because the functions of C
 * treat them alike. */
#include <math.h>

#include "emulator/machine/alu_internal.h"
#include "emulator/machine/alu_round.h"

/* 2^x for an x that was f32: the whole part goes into the exponent, the rest, within half of 1, through the series of
 * e^(x ln 2), whose 13th term is below 2^-52. It is written out because a call per lane would cost more than ten times as
 * much, and because it gives the same bits wherever it is compiled. */
ALU_LANE_FUNCTION double two_to_the(double x)
{
    const double shift = 0x1.8p52; /* adding it rounds to an integer, which then is the low bits */
    const double low = x < -200.0 ? -200.0 : x, inside = low > 200.0 ? 200.0 : low;
    const double shifted = inside + shift, rest = inside - (shifted - shift);
    double power = 0x1.c3bd650fc2986p-36; /* (ln 2)^12 / 12!, and so on down to ln 2 */
    power = power * rest + 0x1.e8cac7351bb25p-32;
    power = power * rest + 0x1.e4cf5158b8ecap-28;
    power = power * rest + 0x1.b5253d395e7c4p-24;
    power = power * rest + 0x1.62c0223a5c824p-20;
    power = power * rest + 0x1.ffcbfc588b0c7p-17;
    power = power * rest + 0x1.430912f86c787p-13;
    power = power * rest + 0x1.5d87fe78a6731p-10;
    power = power * rest + 0x1.3b2ab6fba4e77p-7;
    power = power * rest + 0x1.c6b08d704a0cp-5;
    power = power * rest + 0x1.ebfbdff82c58fp-3;
    power = power * rest + 0x1.62e42fefa39efp-1;
    power = power * rest + 1.0;
    return alu_double(alu_double_bits(power) + (alu_double_bits(shifted) << 52));
}

#define DEFINE_PLAIN(name, expression)                                                                                 \
    ALU_LANE_FUNCTION double name##_value(double x)                                                                    \
    {                                                                                                                  \
        return expression;                                                                                             \
    }                                                                                                                  \
    ALU_UNARY_SAME(name, uint32_t, alu_result_f32((float)name##_value(alu_float(a))))
#define DEFINE(name, expression)                                                                                       \
    DEFINE_PLAIN(name, expression)                                                                                     \
    ALU_UNARY_SAME(name##_ftz, uint32_t, alu_flush(name##_of(alu_flush(a))))
DEFINE(reciprocal, 1.0 / x)
DEFINE(inverse_root, 1.0 / sqrt(x))
DEFINE(root, sqrt(x))
DEFINE(power_of_two, two_to_the(x))
DEFINE(logarithm, log2(x))
DEFINE(sine, sin(x))
DEFINE(cosine, cos(x))
DEFINE_PLAIN(hyperbolic_tangent, tanh(x))

/* f16 and bf16, one or two in a register. */
ALU_LANE_FUNCTION uint32_t flush_f16(uint32_t bits)
{
    return (bits & 0x7c00) == 0 ? bits & 0x8000 : bits;
}
ALU_LANE_FUNCTION uint32_t flush_bf16(uint32_t bits)
{
    return (bits & 0x7f80) == 0 ? bits & 0x8000 : bits;
}
#define DEFINE_POWER(format)                                                                                           \
    ALU_LANE_FUNCTION uint32_t power_one_##format(uint32_t bits)                                                       \
    {                                                                                                                  \
        return alu_narrow(power_of_two_value(alu_from_##format(bits & 0xffff)), &alu_format_##format, ALU_NEAREST);    \
    }                                                                                                                  \
    ALU_LANE_FUNCTION uint32_t power_flushed_##format(uint32_t bits)                                                   \
    {                                                                                                                  \
        return flush_##format(power_one_##format(flush_##format(bits & 0xffff)));                                      \
    }                                                                                                                  \
    ALU_UNARY_SAME(power_ftz_##format, uint32_t, power_flushed_##format(a))                                            \
    ALU_UNARY_SAME(power_ftz_##format##x2, uint32_t, power_flushed_##format(a) | power_flushed_##format(a >> 16) << 16)
DEFINE_POWER(f16)
DEFINE_POWER(bf16)
ALU_UNARY_SAME(power_f16, uint32_t, power_one_f16(a))
ALU_UNARY_SAME(power_f16x2, uint32_t, power_one_f16(a) | power_one_f16(a >> 16) << 16)

#define DEFINE_TANGENT(format)                                                                                         \
    ALU_LANE_FUNCTION uint32_t tangent_one_##format(uint32_t bits)                                                     \
    {                                                                                                                  \
        const double value = hyperbolic_tangent_value(alu_from_##format(bits & 0xffff));                               \
        return alu_narrow(value, &alu_format_##format, ALU_NEAREST);                                                   \
    }                                                                                                                  \
    ALU_UNARY_SAME(tangent_##format, uint32_t, tangent_one_##format(a))                                                \
    ALU_UNARY_SAME(tangent_##format##x2, uint32_t, tangent_one_##format(a) | tangent_one_##format(a >> 16) << 16)
DEFINE_TANGENT(f16)
DEFINE_TANGENT(bf16)

static bool prepare(const struct alu_form *form, struct alu_operation *operation)
{
    (void)form;
    operation->special_function = true;
    return true;
}
#define SPECIAL(opcode, type, required, run)                                                                           \
    {                                                                                                                  \
        opcode, type, PTX_NO_TYPE, M(approx) | (required), 0, "t=t", run, prepare                                      \
    }
#define F32_ROWS(opcode, run) SPECIAL(opcode, PTX_F32, 0, run), SPECIAL(opcode, PTX_F32, M(ftz), run##_ftz)

const struct alu_row alu_special_rows[] = {
    F32_ROWS("ex2", power_of_two),
    F32_ROWS("rcp", reciprocal),
    F32_ROWS("rsqrt", inverse_root),
    F32_ROWS("sqrt", root),
    F32_ROWS("lg2", logarithm),
    F32_ROWS("sin", sine),
    F32_ROWS("cos", cosine),
    SPECIAL("tanh", PTX_F32, 0, hyperbolic_tangent),
    SPECIAL("ex2", PTX_F16, 0, power_f16),
    SPECIAL("ex2", PTX_F16X2, 0, power_f16x2),
    SPECIAL("ex2", PTX_F16, M(ftz), power_ftz_f16),
    SPECIAL("ex2", PTX_F16X2, M(ftz), power_ftz_f16x2),
    SPECIAL("ex2", PTX_BF16, M(ftz), power_ftz_bf16),
    SPECIAL("ex2", PTX_BF16X2, M(ftz), power_ftz_bf16x2),
    SPECIAL("tanh", PTX_F16, 0, tangent_f16),
    SPECIAL("tanh", PTX_F16X2, 0, tangent_f16x2),
    SPECIAL("tanh", PTX_BF16, 0, tangent_bf16),
    SPECIAL("tanh", PTX_BF16X2, 0, tangent_bf16x2),
    ALU_END_OF_ROWS,
};
