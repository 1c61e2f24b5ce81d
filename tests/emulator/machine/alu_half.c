/* Arithmetic of .f16 and .bf16, one or two in a register: each number is a double, the exact result is rounded to odd and
 * then once to the format (alu_round.h). A lane's function is written for one number; the packed types apply it to the two
 * halves. */
#include "emulator/machine/alu_internal.h"
#include "emulator/machine/alu_round.h"

/* A format with the functions that read it. */
struct half_type {
    const struct alu_format *format;
    bool is_bf16;
};
static const struct half_type f16 = {&alu_format_f16, false}, bf16 = {&alu_format_bf16, true};

ALU_LANE_FUNCTION double value_of(const struct half_type *type, uint32_t bits)
{
    return type->is_bf16 ? (double)alu_from_bf16(bits) : (double)alu_from_f16(bits);
}
ALU_LANE_FUNCTION bool is_nan(const struct half_type *type, uint32_t bits)
{
    return (bits & 0x7fff) > type->format->infinity;
}
ALU_LANE_FUNCTION uint32_t flush(const struct half_type *type, uint32_t bits)
{
    return (bits & type->format->infinity) == 0 ? bits & 0x8000 : bits;
}

/* .ftz, .sat and .relu of a result. .relu keeps NaN, .sat makes it 0. */
static uint32_t finish(const struct half_type *type, double value, uint64_t modifiers)
{
    uint32_t bits = alu_narrow(value, type->format, ALU_NEAREST);
    const bool nan = is_nan(type, bits), negative = (bits & 0x8000) != 0;
    if ((modifiers & M(ftz)) != 0)
        bits = flush(type, bits);
    if ((modifiers & M(relu)) != 0 && !nan && negative)
        bits = 0;
    if ((modifiers & M(sat)) != 0) {
        const uint32_t one = type->is_bf16 ? 0x3f80 : 0x3c00;
        bits = nan || negative ? 0 : bits > one ? one : bits;
    }
    return bits;
}

enum work { ADD, SUBTRACT, MULTIPLY, FUSED, MINIMUM, MAXIMUM, NEGATE, ABSOLUTE };

/* Integers in the order of the numbers, -0 below +0. */
ALU_LANE_FUNCTION int32_t order(uint32_t bits)
{
    return (bits & 0x8000) != 0 ? -(int32_t)(bits & 0x7fff) - 1 : (int32_t)bits;
}
static uint32_t extreme(const struct half_type *type, enum work work, uint32_t a, uint32_t b, uint64_t modifiers)
{
    const uint32_t sign = (a ^ b) & 0x8000;
    const bool by_magnitude = (modifiers & M(xorsign)) != 0, any_nan = is_nan(type, a) || is_nan(type, b);
    if (by_magnitude) {
        a &= 0x7fff;
        b &= 0x7fff;
    }
    const bool first = work == MINIMUM ? order(a) < order(b) : order(a) > order(b);
    const uint32_t chosen = is_nan(type, a) ? b : is_nan(type, b) ? a : first ? a : b;
    if (is_nan(type, chosen) || (any_nan && (modifiers & M(NaN)) != 0))
        return ALU_NAN_HALF;
    return by_magnitude ? chosen | sign : chosen;
}

static uint32_t one(const struct half_type *type, enum work work, const uint32_t operands[3], uint64_t modifiers)
{
    uint32_t bits[3];
    double x[3];
    for (int i = 0; i < 3; ++i) {
        bits[i] = (modifiers & M(ftz)) != 0 ? flush(type, operands[i] & 0xffff) : operands[i] & 0xffff;
        x[i] = value_of(type, bits[i]);
    }
    switch (work) {
    case ADD:
        return finish(type, alu_add_odd(x[0], x[1], ALU_NEAREST), modifiers);
    case SUBTRACT:
        return finish(type, alu_add_odd(x[0], -x[1], ALU_NEAREST), modifiers);
    case MULTIPLY:
        return finish(type, x[0] * x[1], modifiers);
    case FUSED:
        return finish(type, alu_add_odd(x[0] * x[1], x[2], ALU_NEAREST), modifiers);
    case MINIMUM:
    case MAXIMUM:
        return extreme(type, work, bits[0], bits[1], modifiers);
    case NEGATE:
        return bits[0] ^ 0x8000;
    default:
        return bits[0] & 0x7fff;
    }
}

static void run_lanes(const struct alu_operation *operation, void *destination, const void *const *sources,
                      uint32_t active, const struct half_type *type, enum work work, bool packed)
{
    const uint64_t modifiers = alu_modifiers(operation);
    uint32_t *result = destination;
    for (int lane = 0; lane < 32; ++lane) {
        if (!alu_lane(active, lane))
            continue;
        uint32_t low[3] = {0}, high[3] = {0};
        for (int32_t i = 0; i < operation->source_count; ++i) {
            low[i] = ((const uint32_t *)sources[i])[lane];
            high[i] = low[i] >> 16;
        }
        result[lane] = one(type, work, low, modifiers) | (packed ? one(type, work, high, modifiers) << 16 : 0);
    }
}

#define DEFINE(name, work)                                                                                             \
    ALU_FUNCTION(name##_f16)                                                                                           \
    {                                                                                                                  \
        run_lanes(operation, destinations[0], sources, active, &f16, work, false);                                     \
    }                                                                                                                  \
    ALU_FUNCTION(name##_f16x2)                                                                                         \
    {                                                                                                                  \
        run_lanes(operation, destinations[0], sources, active, &f16, work, true);                                      \
    }                                                                                                                  \
    ALU_FUNCTION(name##_bf16)                                                                                          \
    {                                                                                                                  \
        run_lanes(operation, destinations[0], sources, active, &bf16, work, false);                                    \
    }                                                                                                                  \
    ALU_FUNCTION(name##_bf16x2)                                                                                        \
    {                                                                                                                  \
        run_lanes(operation, destinations[0], sources, active, &bf16, work, true);                                     \
    }
DEFINE(add, ADD)
DEFINE(sub, SUBTRACT)
DEFINE(mul, MULTIPLY)
DEFINE(fused, FUSED)
DEFINE(minimum, MINIMUM)
DEFINE(maximum, MAXIMUM)
DEFINE(negate, NEGATE)
DEFINE(absolute, ABSOLUTE)

/* .relu and .sat exclude one another; .xorsign and .abs come together. */
static bool prepare(const struct alu_form *form, struct alu_operation *operation)
{
    (void)operation;
    const uint64_t modifiers = form->modifiers;
    return (modifiers & (M(relu) | M(sat))) != (M(relu) | M(sat)) &&
           ((modifiers & M(xorsign)) != 0) == ((modifiers & M(abs)) != 0);
}

/* .ftz and .sat are f16's alone. */
#define HALF(opcode, type, required, optional, operands, run)                                                          \
    {                                                                                                                  \
        opcode, type, PTX_NO_TYPE, required, optional, operands, run, prepare                                          \
    }
#define HALF_ROWS(opcode, required, optional, of_f16, operands, run)                                                   \
    HALF(opcode, PTX_BF16, required, optional, operands, run##_bf16),                                                  \
        HALF(opcode, PTX_BF16X2, required, optional, operands, run##_bf16x2),                                          \
        HALF(opcode, PTX_F16, required, (optional) | (of_f16), operands, run##_f16),                                   \
        HALF(opcode, PTX_F16X2, required, (optional) | (of_f16), operands, run##_f16x2)

const struct alu_row alu_half_rows[] = {
    HALF_ROWS("fma", M(rn), M(relu), M(ftz) | M(sat), "t=ttt", fused),
    HALF_ROWS("add", 0, M(rn), M(ftz) | M(sat), "t=tt", add),
    HALF_ROWS("sub", 0, M(rn), M(ftz) | M(sat), "t=tt", sub),
    HALF_ROWS("mul", 0, M(rn), M(ftz) | M(sat), "t=tt", mul),
    HALF_ROWS("min", 0, M(NaN) | M(xorsign) | M(abs), M(ftz), "t=tt", minimum),
    HALF_ROWS("max", 0, M(NaN) | M(xorsign) | M(abs), M(ftz), "t=tt", maximum),
    HALF_ROWS("neg", 0, 0, M(ftz), "t=t", negate),
    HALF_ROWS("abs", 0, 0, M(ftz), "t=t", absolute),
    ALU_END_OF_ROWS,
};
