/* Arithmetic of .f64. Directed roundings set the processor's rounding mode around the loop and put it back. */
#include <fenv.h>
#include <math.h>

#include "emulator/machine/alu_internal.h"

#define SIGN (UINT64_C(1) << 63)

ALU_BINARY_SAME(add, uint64_t, alu_result_f64(alu_double(a) + alu_double(b)))
ALU_BINARY_SAME(sub, uint64_t, alu_result_f64(alu_double(a) - alu_double(b)))
ALU_BINARY_SAME(mul, uint64_t, alu_result_f64(alu_double(a) * alu_double(b)))
ALU_BINARY_SAME(divide, uint64_t, alu_result_f64(alu_double(a) / alu_double(b)))
ALU_TERNARY_SAME(fused, uint64_t, alu_result_f64(fma(alu_double(a), alu_double(b), alu_double(c))))
ALU_UNARY_SAME(reciprocal, uint64_t, alu_result_f64(1.0 / alu_double(a)))
ALU_UNARY_SAME(root, uint64_t, alu_result_f64(sqrt(alu_double(a))))
ALU_UNARY_SAME(absolute, uint64_t, a & ~SIGN)
ALU_UNARY_SAME(negate, uint64_t, a ^ SIGN)
ALU_BINARY_SAME(copy_sign, uint64_t, (a & SIGN) | (b & ~SIGN))

/* The functions above read their operands from memory and write their results to memory that fesetround might see, so
 * that no compiler moves the arithmetic across these calls. */
static void with_rounding(alu_run run, const struct alu_operation *operation, void *const *destinations,
                          const void *const *sources, uint32_t active)
{
    static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    const int before = fegetround();
    fesetround(modes[operation->detail[0]]);
    alu_run volatile opaque = run;
    opaque(operation, destinations, sources, active);
    fesetround(before);
}
#define DIRECTED(name)                                                                                                 \
    ALU_FUNCTION(name##_directed)                                                                                      \
    {                                                                                                                  \
        with_rounding(name, operation, destinations, sources, active);                                                 \
    }
DIRECTED(add)
DIRECTED(sub)
DIRECTED(mul)
DIRECTED(divide)
DIRECTED(fused)
DIRECTED(reciprocal)
DIRECTED(root)

static bool prepare_one_rounding(const struct alu_form *form, struct alu_operation *operation)
{
    (void)operation;
    return alu_one_bit(form->modifiers & ALU_ROUNDINGS);
}

/* Integers in the order of the numbers, -0 below +0. */
ALU_LANE_FUNCTION int64_t order(uint64_t bits)
{
    return (int64_t)(bits ^ (0 - (bits >> 63)) >> 1);
}
ALU_LANE_FUNCTION bool is_nan(uint64_t bits)
{
    return (bits & ~SIGN) > UINT64_C(0x7ff0000000000000);
}
ALU_LANE_FUNCTION uint64_t choose(uint64_t a, uint64_t b, bool first)
{
    const uint64_t chosen = is_nan(a) ? b : is_nan(b) ? a : first ? a : b;
    return is_nan(chosen) ? ALU_NAN_F64 : chosen;
}
ALU_BINARY_SAME(minimum, uint64_t, choose(a, b, order(a) < order(b)))
ALU_BINARY_SAME(maximum, uint64_t, choose(a, b, order(a) > order(b)))

/* rcp.approx.ftz and rsqrt.approx.ftz see the upper 32 bits of their operand and give the upper 32 bits of the result. */
#define UPPER UINT64_C(0xffffffff00000000)
ALU_LANE_FUNCTION uint64_t flush(uint64_t bits)
{
    return (bits & UINT64_C(0x7ff0000000000000)) == 0 ? bits & SIGN : bits;
}
ALU_LANE_FUNCTION uint64_t inverse_root(uint64_t bits)
{
    return alu_result_f64(1.0 / sqrt(alu_double(bits)));
}
ALU_UNARY_SAME(reciprocal_gross, uint64_t, flush(reciprocal_of(flush(a &UPPER)) & UPPER))
ALU_UNARY_SAME(inverse_root_gross, uint64_t, inverse_root(flush(a &UPPER)) & UPPER)
ALU_UNARY_SAME(inverse_root_approx, uint64_t, inverse_root(a))

#define F64(opcode, required, optional, operands, run)                                                                 \
    {                                                                                                                  \
        opcode, PTX_F64, PTX_NO_TYPE, required, optional, operands, run, NULL                                          \
    }
/* `required`: whether a rounding must be named. */
#define ROUNDED_ROWS(opcode, required, operands, run)                                                                  \
    F64(opcode, required, M(rn), operands, run),                                                                       \
    {                                                                                                                  \
        opcode, PTX_F64, PTX_NO_TYPE, 0, ALU_ROUNDINGS, operands, run##_directed, prepare_one_rounding                 \
    }

const struct alu_row alu_double_rows[] = {
    ROUNDED_ROWS("fma", M(rn), "t=ttt", fused),
    ROUNDED_ROWS("mad", M(rn), "t=ttt", fused),
    ROUNDED_ROWS("add", 0, "t=tt", add),
    ROUNDED_ROWS("sub", 0, "t=tt", sub),
    ROUNDED_ROWS("mul", 0, "t=tt", mul),
    ROUNDED_ROWS("div", M(rn), "t=tt", divide),
    ROUNDED_ROWS("rcp", M(rn), "t=t", reciprocal),
    ROUNDED_ROWS("sqrt", M(rn), "t=t", root),
    F64("rcp", M(approx) | M(ftz), 0, "t=t", reciprocal_gross),
    F64("rsqrt", M(approx) | M(ftz), 0, "t=t", inverse_root_gross),
    F64("rsqrt", M(approx), 0, "t=t", inverse_root_approx),
    F64("abs", 0, 0, "t=t", absolute),
    F64("neg", 0, 0, "t=t", negate),
    F64("copysign", 0, 0, "t=tt", copy_sign),
    F64("min", 0, 0, "t=tt", minimum),
    F64("max", 0, 0, "t=tt", maximum),
    ALU_END_OF_ROWS,
};
