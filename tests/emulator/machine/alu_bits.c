/* Logic, shifts and counts of bits: and, or, xor, not, cnot, lop3, shl, shr, shf, popc, clz, brev, bfind. Shift amounts are
 * clamped at the width, never taken modulo it (shf says which). */
#include "emulator/machine/alu_internal.h"

#define WIDTHS(X)                                                                                                      \
    X(16, uint32_t, uint16_t, int16_t) X(32, uint32_t, uint32_t, int32_t) X(64, uint64_t, uint64_t, int64_t)

#define DEFINE(n, H, U, S)                                                                                             \
    ALU_BINARY(and_##n, H, H, H, (U)(a & b))                                                                           \
    ALU_BINARY(or_##n, H, H, H, (U)(a | b))                                                                            \
    ALU_BINARY(xor_##n, H, H, H, (U)(a ^ b))                                                                           \
    ALU_UNARY(not_##n, H, H, (U)~a)                                                                                    \
    ALU_UNARY(cnot_##n, H, H, (U)a == 0 ? 1 : 0)                                                                       \
    ALU_BINARY(shl_##n, H, H, uint32_t, b < n ? (U)(a << (b & (n - 1))) : 0)                                           \
    ALU_BINARY(shr_u##n, H, H, uint32_t, b < n ? (U)((U)a >> (b & (n - 1))) : 0)                                       \
    ALU_BINARY(shr_s##n, H, H, uint32_t, (U)((S)a >> (b < n ? b : n - 1)))
WIDTHS(DEFINE)

#define DEFINE_PREDICATE(name, value)                                                                                  \
    ALU_FUNCTION(name)                                                                                                 \
    {                                                                                                                  \
        const uint32_t a = *(const uint32_t *)sources[0];                                                              \
        const uint32_t b = operation->source_count > 1 ? *(const uint32_t *)sources[1] : 0;                            \
        uint32_t *held = destinations[0];                                                                              \
        *held = alu_merge(*held, value, active);                                                                       \
    }
DEFINE_PREDICATE(and_predicate, a &b)
DEFINE_PREDICATE(or_predicate, a | b)
DEFINE_PREDICATE(xor_predicate, a ^ b)
DEFINE_PREDICATE(not_predicate, (~a & UINT32_MAX) | b) /* has no b */

/* shf: the 64-bit number b:a is shifted. Its left shift by n keeps the high, its right shift the low word. */
#define PAIR ((uint64_t)b << 32 | a)
#define CLAMPED (c < 32 ? c : 32)
ALU_TERNARY_SAME(shf_left_clamp, uint32_t, PAIR << CLAMPED >> 32)
ALU_TERNARY_SAME(shf_left_wrap, uint32_t, PAIR << (c & 31) >> 32)
ALU_TERNARY_SAME(shf_right_clamp, uint32_t, PAIR >> CLAMPED)
ALU_TERNARY_SAME(shf_right_wrap, uint32_t, PAIR >> (c & 31))

/* ---- lop3 ---- */

/* Bit i of the table is the result where a, b and c have the bits 4, 2 and 1 of i. */
ALU_LANE_FUNCTION uint32_t look_up(uint32_t a, uint32_t b, uint32_t c, const uint32_t table[8])
{
    const uint32_t if_a = (b & ((c & table[7]) | (~c & table[6]))) | (~b & ((c & table[5]) | (~c & table[4])));
    const uint32_t if_not = (b & ((c & table[3]) | (~c & table[2]))) | (~b & ((c & table[1]) | (~c & table[0])));
    return (a & if_a) | (~a & if_not);
}

ALU_FUNCTION(lop3)
{
    const uint32_t *a = sources[0], *b = sources[1], *c = sources[2];
    uint32_t table[8], result[32];
    for (int i = 0; i < 8; ++i)
        table[i] = (operation->detail[0] >> i & 1) != 0 ? UINT32_MAX : 0;
    for (int lane = 0; lane < 32; ++lane)
        result[lane] = look_up(a[lane], b[lane], c[lane], table);
    if (operation->destination_count == 2) { /* lop3.or.b32 d|p, a, b, c, table, q */
        uint32_t any = 0;
        for (int lane = 0; lane < 32; ++lane)
            any |= (uint32_t)(result[lane] != 0) << lane;
        const uint32_t q = *(const uint32_t *)sources[4] ^ (uint32_t)operation->detail[1];
        uint32_t *held = destinations[1];
        if (held != NULL)
            *held = alu_merge(*held, (alu_modifiers(operation) & M(or)) != 0 ? any | q : any & q, active);
    }
    uint32_t *destination = destinations[0];
    if (destination != NULL)
        ALU_LANES(uint32_t, active, destination, result[lane]);
}

static bool prepare_lop3(const struct alu_form *form, struct alu_operation *operation)
{
    const struct ptx_operand *table = form->sources[3];
    operation->detail[0] = (int32_t)(table->bits & 0xff);
    operation->detail[1] = form->source_count == 5 && form->sources[4]->negated ? -1 : 0;
    return table->kind == PTX_OPERAND_IMMEDIATE && table->bits <= 0xff;
}

/* ---- counts ---- */

ALU_LANE_FUNCTION uint32_t leading_zeros_32(uint32_t a)
{
    return a == 0 ? 32 : (uint32_t)__builtin_clz(a);
}
ALU_LANE_FUNCTION uint32_t leading_zeros_64(uint64_t a)
{
    return a == 0 ? 64 : (uint32_t)__builtin_clzll(a);
}
ALU_LANE_FUNCTION uint32_t reverse(uint32_t a)
{
    a = (a >> 1 & UINT32_C(0x55555555)) | (a & UINT32_C(0x55555555)) << 1;
    a = (a >> 2 & UINT32_C(0x33333333)) | (a & UINT32_C(0x33333333)) << 2;
    a = (a >> 4 & UINT32_C(0x0f0f0f0f)) | (a & UINT32_C(0x0f0f0f0f)) << 4;
    return __builtin_bswap32(a);
}
ALU_UNARY(popc_32, uint32_t, uint32_t, __builtin_popcount(a))
ALU_UNARY(popc_64, uint32_t, uint64_t, __builtin_popcountll(a))
ALU_UNARY(clz_32, uint32_t, uint32_t, leading_zeros_32(a))
ALU_UNARY(clz_64, uint32_t, uint64_t, leading_zeros_64(a))
ALU_UNARY(brev_32, uint32_t, uint32_t, reverse(a))
ALU_UNARY(brev_64, uint64_t, uint64_t, (uint64_t)reverse((uint32_t)a) << 32 | reverse((uint32_t)(a >> 32)))

/* The highest bit that is set, of a negative number the highest that is not; all bits set where there is none. With
 * .shiftamt how far it is from the top. */
#define DEFINE_FIND(n, H, S)                                                                                           \
    ALU_UNARY(bfind_u##n, uint32_t, H, (n - 1) - leading_zeros_##n(a))                                                 \
    ALU_UNARY(bfind_s##n, uint32_t, H, (n - 1) - leading_zeros_##n((S)a < 0 ? ~a : a))                                 \
    ALU_UNARY(bfind_shift_u##n, uint32_t, H, a == 0 ? UINT32_MAX : leading_zeros_##n(a))                               \
    ALU_UNARY(bfind_shift_s##n, uint32_t, H,                                                                           \
              leading_zeros_##n((S)a < 0 ? ~a : a) == n ? UINT32_MAX : leading_zeros_##n((S)a < 0 ? ~a : a))
DEFINE_FIND(32, uint32_t, int32_t)
DEFINE_FIND(64, uint64_t, int64_t)

/* ---- rows ---- */

#define LOGIC_ROWS(n, ...)                                                                                             \
    ALU_ROW("and", PTX_B##n, 0, "t=tt", and_##n), ALU_ROW("or", PTX_B##n, 0, "t=tt", or_##n),                          \
        ALU_ROW("xor", PTX_B##n, 0, "t=tt", xor_##n), ALU_ROW("not", PTX_B##n, 0, "t=t", not_##n),                     \
        ALU_ROW("cnot", PTX_B##n, 0, "t=t", cnot_##n), ALU_ROW("shl", PTX_B##n, 0, "t=tu", shl_##n),                   \
        ALU_ROW("shr", PTX_B##n, 0, "t=tu", shr_u##n), ALU_ROW("shr", PTX_U##n, 0, "t=tu", shr_u##n),                  \
        ALU_ROW("shr", PTX_S##n, 0, "t=tu", shr_s##n),
#define COUNT_ROWS(n)                                                                                                  \
    ALU_ROW("popc", PTX_B##n, 0, "u=t", popc_##n), ALU_ROW("clz", PTX_B##n, 0, "u=t", clz_##n),                        \
        ALU_ROW("brev", PTX_B##n, 0, "t=t", brev_##n), ALU_ROW("bfind", PTX_U##n, 0, "u=t", bfind_u##n),               \
        ALU_ROW("bfind", PTX_S##n, 0, "u=t", bfind_s##n),                                                              \
        ALU_ROW("bfind", PTX_U##n, M(shiftamt), "u=t", bfind_shift_u##n),                                              \
        ALU_ROW("bfind", PTX_S##n, M(shiftamt), "u=t", bfind_shift_s##n)

/* and.pred's modifier ".pred" is a type; lop3.or.b32's ".or" is a modifier. */
const struct alu_row alu_bits_rows[] = {
    WIDTHS(LOGIC_ROWS) ALU_ROW("and", PTX_PRED, 0, "p=pp", and_predicate),
    ALU_ROW("or", PTX_PRED, 0, "p=pp", or_predicate),
    ALU_ROW("xor", PTX_PRED, 0, "p=pp", xor_predicate),
    ALU_ROW("not", PTX_PRED, 0, "p=p", not_predicate),
    ALU_ROW("shf", PTX_B32, M(l) | M(clamp), "t=ttu", shf_left_clamp),
    ALU_ROW("shf", PTX_B32, M(l) | M(wrap), "t=ttu", shf_left_wrap),
    ALU_ROW("shf", PTX_B32, M(r) | M(clamp), "t=ttu", shf_right_clamp),
    ALU_ROW("shf", PTX_B32, M(r) | M(wrap), "t=ttu", shf_right_wrap),
    COUNT_ROWS(32),
    COUNT_ROWS(64),
    {"lop3", PTX_B32, PTX_NO_TYPE, 0, 0, "t=tttu", lop3, prepare_lop3},
    {"lop3", PTX_B32, PTX_NO_TYPE, M(or), 0, "tp=tttup", lop3, prepare_lop3},
    {"lop3", PTX_B32, PTX_NO_TYPE, M(and), 0, "tp=tttup", lop3, prepare_lop3},
    ALU_END_OF_ROWS,
};
