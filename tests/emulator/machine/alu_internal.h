/* What the files of the arithmetic share: the table rows by which an instruction finds its function, the modifiers that a
 * row may name, and the loops over lanes. Internal to machine/.
 *
 * Every file alu_*.c ends with a table of rows. A row fits an instruction when opcode, types and the number of operands are
 * equal, all of its required modifiers are there and no other one is but optional ones. The function of a row works on
 * held operands as alu.h describes them; it must not assume that the bits above a source's width are zero. */
#ifndef SPIRITLM_EMULATOR_ALU_INTERNAL_H
#define SPIRITLM_EMULATOR_ALU_INTERNAL_H

#include <string.h>

#include "emulator/machine/alu.h"
#include "emulator/machine/independent.h"

/* All modifiers that are no types, in PTX's own spelling. */
/* clang-format off */
#define ALU_MODIFIERS(X)                                                                                               \
    X(rn) X(rz) X(rm) X(rp) X(rna) X(rni) X(rzi) X(rmi) X(rpi)                                                         \
    X(ftz) X(sat) X(relu) X(NaN) X(xorsign) X(abs) X(approx) X(full) X(satfinite)                                      \
    X(lo) X(hi) X(wide) X(cc) X(clamp) X(wrap) X(l) X(r) X(shiftamt)                                                   \
    X(pack) X(tf32) X(u16x2) X(s16x2) X(add) X(and) X(or) X(xor)                                                       \
    X(eq) X(ne) X(lt) X(le) X(gt) X(ge) X(ls) X(hs) X(equ) X(neu) X(ltu) X(leu) X(gtu) X(geu) X(num) X(nan)            \
    X(f4e) X(b4e) X(rc8) X(ecl) X(ecr) X(rc16)                                                                         \
    X(finite) X(infinite) X(number) X(notanumber) X(normal) X(subnormal)
/* clang-format on */

#define ALU_MODIFIER_INDEX(name) ALU_INDEX_##name,
enum alu_modifier_index { ALU_MODIFIERS(ALU_MODIFIER_INDEX) ALU_MODIFIER_COUNT };
_Static_assert(ALU_MODIFIER_COUNT <= 64, "the modifiers of an instruction are one 64-bit set");

/* The set that holds one modifier: M(rn) | M(ftz). */
#define M(name) (UINT64_C(1) << ALU_INDEX_##name)
#define ALU_COMPARISONS                                                                                                \
    (M(eq) | M(ne) | M(lt) | M(le) | M(gt) | M(ge) | M(lo) | M(ls) | M(hi) | M(hs) | M(equ) | M(neu) | M(ltu) |        \
     M(leu) | M(gtu) | M(geu) | M(num) | M(nan))
#define ALU_BOOLEANS (M(and) | M(or) | M(xor))
#define ALU_ROUNDINGS (M(rn) | M(rz) | M(rm) | M(rp))
#define ALU_INTEGER_ROUNDINGS (M(rni) | M(rzi) | M(rmi) | M(rpi))

enum alu_rounding { ALU_NEAREST, ALU_ZERO, ALU_DOWN, ALU_UP, ALU_NEAREST_AWAY };

enum { ALU_FORM_TYPES = 4 };
/* An instruction taken apart. */
struct alu_form {
    const struct ptx_instruction *instruction;
    uint64_t modifiers;
    enum ptx_type types[ALU_FORM_TYPES];
    int32_t type_count;
    const struct ptx_operand *destinations[ALU_DESTINATIONS], *sources[ALU_SOURCES];
    int32_t destination_count, source_count;
    bool vectors; /* an operand is a {} vector */
};

typedef void (*alu_run)(const struct alu_operation *operation, void *const *destinations, const void *const *sources,
                        uint32_t active);

struct alu_row {
    const char *opcode;
    enum ptx_type type, other; /* the instruction's types in their order; NO_TYPE: there is none */
    uint64_t required, optional;
    /* Destinations and sources, "t=tu", a letter each: t the type, o the other type, w a type of twice its width, h and q
     * the bits of its half and quarter, u .u32, s .s32, p a predicate, c the condition code (which is no operand of the instruction). */
    const char *operands;
    alu_run run;
    /* What else is to be checked or put into detail[0..3]; NULL: nothing. False: the row does not fit after all. */
    bool (*prepare)(const struct alu_form *form, struct alu_operation *operation);
};

/* Of every table the last row's opcode is NULL. */
extern const struct alu_row alu_move_rows[], alu_integer_rows[], alu_multiply_rows[], alu_carry_rows[], alu_bits_rows[],
    alu_field_rows[], alu_float_rows[], alu_double_rows[], alu_half_rows[], alu_special_rows[], alu_compare_rows[],
    alu_choose_rows[], alu_convert_rows[];

/* detail[4] and [5] are the modifiers of the instruction. */
static inline uint64_t alu_modifiers(const struct alu_operation *operation)
{
    return (uint64_t)(uint32_t)operation->detail[4] | (uint64_t)(uint32_t)operation->detail[5] << 32;
}
static inline enum alu_rounding alu_rounding_of(uint64_t modifiers)
{
    return (modifiers & (M(rz) | M(rzi))) != 0   ? ALU_ZERO
           : (modifiers & (M(rm) | M(rmi))) != 0 ? ALU_DOWN
           : (modifiers & (M(rp) | M(rpi))) != 0 ? ALU_UP
           : (modifiers & M(rna)) != 0           ? ALU_NEAREST_AWAY
                                                 : ALU_NEAREST;
}
static inline bool alu_one_bit(uint64_t set)
{
    return set != 0 && (set & (set - 1)) == 0;
}

static inline bool alu_lane(uint32_t predicate, int lane)
{
    return (predicate >> lane & 1) != 0;
}
static inline uint32_t alu_merge(uint32_t held, uint32_t value, uint32_t active)
{
    return (held & ~active) | (value & active);
}

/* Bit l, as a table: a processor without shifts by vectors of amounts can still look at 4 lanes of a mask at once. */
static const uint32_t alu_lane_bits[32] = {
#define ALU_BIT(l) UINT32_C(1) << (l)
#define ALU_BITS(l) ALU_BIT(l), ALU_BIT((l) + 1), ALU_BIT((l) + 2), ALU_BIT((l) + 3)
    ALU_BITS(0), ALU_BITS(4), ALU_BITS(8), ALU_BITS(12), ALU_BITS(16), ALU_BITS(20), ALU_BITS(24), ALU_BITS(28)};

/* destination[lane] = value for the lanes of `active`, where `value` is an expression of `lane` that must be harmless for
 * every lane. Both loops are free of branches for simple values, so that they vectorise: the second computes all lanes
 * and keeps what the others held. A destination that is a source is read before it is written, lane by lane: nothing is
 * carried from one lane to the next. */
#define ALU_LANES(D, active, destination, value)                                                                       \
    do {                                                                                                               \
        if ((active) == UINT32_MAX) {                                                                                  \
            INDEPENDENT_PASSES                                                                                         \
            for (int lane = 0; lane < 32; ++lane) {                                                                    \
                (destination)[lane] = (D)(value);                                                                      \
            }                                                                                                          \
        } else {                                                                                                       \
            INDEPENDENT_PASSES                                                                                         \
            for (int lane = 0; lane < 32; ++lane) {                                                                    \
                const D new_value = (D)(value), old_value = (destination)[lane];                                       \
                (destination)[lane] = ((active)&alu_lane_bits[lane]) != 0 ? new_value : old_value;                     \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

/* Source i as `const A *source_i`. Where destination and source are held in different widths and are the same memory, lanes
 * would overtake one another: such sources are copied first. */
#define ALU_SOURCE(D, A, i)                                                                                            \
    A copy_##i[32];                                                                                                    \
    const A *source_##i = sources[i];                                                                                  \
    if (sizeof(D) != sizeof(A))                                                                                        \
    source_##i = memcpy(copy_##i, source_##i, sizeof copy_##i)

#define ALU_FUNCTION(name)                                                                                             \
    static void name(const struct alu_operation *operation, void *const *destinations, const void *const *sources,     \
                     uint32_t active)
#define ALU_LANE_FUNCTION static inline __attribute__((always_inline))

/* Functions of one lane's values a, b, c, e, made into functions of 32 lanes. D, A, B, C, E: how they are held. */
#define ALU_UNARY(name, D, A, expression)                                                                              \
    ALU_LANE_FUNCTION D name##_of(A a)                                                                                 \
    {                                                                                                                  \
        return (D)(expression);                                                                                        \
    }                                                                                                                  \
    ALU_FUNCTION(name)                                                                                                 \
    {                                                                                                                  \
        (void)operation;                                                                                               \
        ALU_SOURCE(D, A, 0);                                                                                           \
        D *destination = destinations[0];                                                                              \
        ALU_LANES(D, active, destination, name##_of(source_0[lane]));                                                  \
    }
#define ALU_BINARY(name, D, A, B, expression)                                                                          \
    ALU_LANE_FUNCTION D name##_of(A a, B b)                                                                            \
    {                                                                                                                  \
        return (D)(expression);                                                                                        \
    }                                                                                                                  \
    ALU_FUNCTION(name)                                                                                                 \
    {                                                                                                                  \
        (void)operation;                                                                                               \
        ALU_SOURCE(D, A, 0);                                                                                           \
        ALU_SOURCE(D, B, 1);                                                                                           \
        D *destination = destinations[0];                                                                              \
        ALU_LANES(D, active, destination, name##_of(source_0[lane], source_1[lane]));                                  \
    }
#define ALU_TERNARY(name, D, A, B, C, expression)                                                                      \
    ALU_LANE_FUNCTION D name##_of(A a, B b, C c)                                                                       \
    {                                                                                                                  \
        return (D)(expression);                                                                                        \
    }                                                                                                                  \
    ALU_FUNCTION(name)                                                                                                 \
    {                                                                                                                  \
        (void)operation;                                                                                               \
        ALU_SOURCE(D, A, 0);                                                                                           \
        ALU_SOURCE(D, B, 1);                                                                                           \
        ALU_SOURCE(D, C, 2);                                                                                           \
        D *destination = destinations[0];                                                                              \
        ALU_LANES(D, active, destination, name##_of(source_0[lane], source_1[lane], source_2[lane]));                  \
    }
#define ALU_QUATERNARY(name, D, A, B, C, E, expression)                                                                \
    ALU_LANE_FUNCTION D name##_of(A a, B b, C c, E e)                                                                  \
    {                                                                                                                  \
        return (D)(expression);                                                                                        \
    }                                                                                                                  \
    ALU_FUNCTION(name)                                                                                                 \
    {                                                                                                                  \
        (void)operation;                                                                                               \
        ALU_SOURCE(D, A, 0);                                                                                           \
        ALU_SOURCE(D, B, 1);                                                                                           \
        ALU_SOURCE(D, C, 2);                                                                                           \
        ALU_SOURCE(D, E, 3);                                                                                           \
        D *destination = destinations[0];                                                                              \
        ALU_LANES(D, active, destination, name##_of(source_0[lane], source_1[lane], source_2[lane], source_3[lane]));  \
    }
/* Operands and result held alike. */
#define ALU_UNARY_SAME(name, H, expression) ALU_UNARY(name, H, H, expression)
#define ALU_BINARY_SAME(name, H, expression) ALU_BINARY(name, H, H, H, expression)
#define ALU_TERNARY_SAME(name, H, expression) ALU_TERNARY(name, H, H, H, H, expression)

/* Rows of one type. */
#define ALU_ROW(opcode, type, required, operands, run)                                                                 \
    {                                                                                                                  \
        opcode, type, PTX_NO_TYPE, required, 0, operands, run, NULL                                                    \
    }
#define ALU_END_OF_ROWS                                                                                                \
    {                                                                                                                  \
        NULL, PTX_NO_TYPE, PTX_NO_TYPE, 0, 0, NULL, NULL, NULL                                                         \
    }

/* ---- floats as bits ---- */

static inline float alu_float(uint32_t bits)
{
    union {
        uint32_t bits;
        float value;
    } both = {bits};
    return both.value;
}
static inline uint32_t alu_float_bits(float value)
{
    union {
        float value;
        uint32_t bits;
    } both = {value};
    return both.bits;
}
static inline double alu_double(uint64_t bits)
{
    union {
        uint64_t bits;
        double value;
    } both = {bits};
    return both.value;
}
static inline uint64_t alu_double_bits(double value)
{
    union {
        double value;
        uint64_t bits;
    } both = {value};
    return both.bits;
}

/* What arithmetic gives for "not a number", whatever NaN it began with. x86 would pass on a payload that depends on the
 * order in which a compiler names the operands. */
#define ALU_NAN_F32 UINT32_C(0x7fffffff)
#define ALU_NAN_F64 UINT64_C(0x7ff8000000000000)
#define ALU_NAN_HALF UINT32_C(0x7fff) /* .f16 and .bf16 */

static inline uint32_t alu_result_f32(float value)
{
    return value == value ? alu_float_bits(value) : ALU_NAN_F32;
}
static inline uint64_t alu_result_f64(double value)
{
    return value == value ? alu_double_bits(value) : ALU_NAN_F64;
}
/* .ftz: a subnormal number becomes a zero of its sign. */
static inline uint32_t alu_flush(uint32_t bits)
{
    return (bits & UINT32_C(0x7f800000)) == 0 ? bits & UINT32_C(0x80000000) : bits;
}
/* .sat: into [0, 1]; NaN becomes +0, and so does -0. */
static inline uint32_t alu_saturate(uint32_t bits)
{
    const float value = alu_float(bits);
    return value > 0.0f ? (value < 1.0f ? bits : UINT32_C(0x3f800000)) : 0;
}

#endif
