/* Integer products: mul and mad with .lo, .hi and .wide, the 24-bit forms, and the sums of byte products dp4a and dp2a.
 * The high half of a product comes from twice the width. */
#include "emulator/machine/alu_internal.h"

/* X(suffix, held, unsigned type, signed type, unsigned of twice the width, signed of twice the width) */
#define WIDTHS(X)                                                                                                      \
    X(16, uint32_t, uint16_t, int16_t, uint32_t, int32_t)                                                              \
    X(32, uint32_t, uint32_t, int32_t, uint64_t, int64_t)                                                              \
    X(64, uint64_t, uint64_t, int64_t, unsigned __int128, __int128)

#define DEFINE(n, H, U, S, UU, SS)                                                                                     \
    ALU_BINARY(mul_lo_##n, H, H, H, (U)(a * b))                                                                        \
    ALU_BINARY(mul_hi_u##n, H, H, H, (U)((UU)(U)a * (U)b >> n))                                                        \
    ALU_BINARY(mul_hi_s##n, H, H, H, (U)((UU)((SS)(S)a * (S)b) >> n))                                                  \
    ALU_TERNARY(mad_lo_##n, H, H, H, H, (U)(a * b + c))                                                                \
    ALU_TERNARY(mad_hi_u##n, H, H, H, H, (U)(mul_hi_u##n##_of(a, b) + c))                                              \
    ALU_TERNARY(mad_hi_s##n, H, H, H, H, (U)(mul_hi_s##n##_of(a, b) + c))
WIDTHS(DEFINE)

#define DEFINE_WIDE(n, H, U, S, UU, SS)                                                                                \
    ALU_BINARY(mul_wide_u##n, UU, H, H, (UU)(U)a *(U)b)                                                                \
    ALU_BINARY(mul_wide_s##n, UU, H, H, (SS)(S)a *(S)b)                                                                \
    ALU_TERNARY(mad_wide_u##n, UU, H, H, UU, (UU)(U)a *(U)b + c)                                                       \
    ALU_TERNARY(mad_wide_s##n, UU, H, H, UU, (UU)((SS)(S)a * (S)b) + c)
DEFINE_WIDE(16, uint32_t, uint16_t, int16_t, uint32_t, int32_t)
DEFINE_WIDE(32, uint32_t, uint32_t, int32_t, uint64_t, int64_t)

/* The low 24 bits of both factors, a product of 48 bits: .lo is its low, .hi its high 32 bits. */
ALU_LANE_FUNCTION int64_t signed_24(uint32_t a)
{
    return (int32_t)(a << 8) >> 8;
}
ALU_LANE_FUNCTION uint64_t unsigned_24(uint32_t a)
{
    return a & UINT32_C(0xffffff);
}
ALU_LANE_FUNCTION uint32_t add_clamped(uint32_t a, uint32_t b)
{
    const int64_t sum = (int64_t)(int32_t)a + (int32_t)b;
    return (uint32_t)(int32_t)(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
}
ALU_BINARY_SAME(mul24_lo_u, uint32_t, unsigned_24(a) * unsigned_24(b))
ALU_BINARY_SAME(mul24_lo_s, uint32_t, (uint64_t)(signed_24(a) * signed_24(b)))
ALU_BINARY_SAME(mul24_hi_u, uint32_t, unsigned_24(a) * unsigned_24(b) >> 16)
ALU_BINARY_SAME(mul24_hi_s, uint32_t, (uint64_t)(signed_24(a) * signed_24(b)) >> 16)
ALU_TERNARY_SAME(mad24_lo_u, uint32_t, mul24_lo_u_of(a, b) + c)
ALU_TERNARY_SAME(mad24_lo_s, uint32_t, mul24_lo_s_of(a, b) + c)
ALU_TERNARY_SAME(mad24_hi_u, uint32_t, mul24_hi_u_of(a, b) + c)
ALU_TERNARY_SAME(mad24_hi_s, uint32_t, mul24_hi_s_of(a, b) + c)
ALU_TERNARY_SAME(mad24_hi_saturated, uint32_t, add_clamped(mul24_hi_s_of(a, b), c))
ALU_TERNARY_SAME(mad_hi_saturated, uint32_t, add_clamped(mul_hi_s32_of(a, b), c))

/* ---- dot products of bytes ---- */

/* Byte i of a 32-bit word, or half i, as an integer of its signedness. */
ALU_LANE_FUNCTION uint32_t byte_of(uint32_t word, int i, bool is_signed)
{
    const uint32_t byte = word >> (8 * i) & 0xff;
    return is_signed ? (uint32_t)(int8_t)byte : byte;
}
ALU_LANE_FUNCTION uint32_t half_of(uint32_t word, int i, bool is_signed)
{
    const uint32_t half = word >> (16 * i) & 0xffff;
    return is_signed ? (uint32_t)(int16_t)half : half;
}
/* Sums wrap, so 32-bit arithmetic without signs gives what both signednesses want. */
ALU_LANE_FUNCTION uint32_t dot_4(uint32_t a, uint32_t b, uint32_t c, bool sa, bool sb)
{
    for (int i = 0; i < 4; ++i)
        c += byte_of(a, i, sa) * byte_of(b, i, sb);
    return c;
}
ALU_LANE_FUNCTION uint32_t dot_2(uint32_t a, uint32_t b, uint32_t c, bool sa, bool sb, int high)
{
    for (int i = 0; i < 2; ++i)
        c += half_of(a, i, sa) * byte_of(b, i + 2 * high, sb);
    return c;
}
#define DEFINE_DOT(name, sa, sb)                                                                                       \
    ALU_TERNARY_SAME(dp4a_##name, uint32_t, dot_4(a, b, c, sa, sb))                                                    \
    ALU_TERNARY_SAME(dp2a_lo_##name, uint32_t, dot_2(a, b, c, sa, sb, 0))                                              \
    ALU_TERNARY_SAME(dp2a_hi_##name, uint32_t, dot_2(a, b, c, sa, sb, 1))
DEFINE_DOT(uu, false, false)
DEFINE_DOT(us, false, true)
DEFINE_DOT(su, true, false)
DEFINE_DOT(ss, true, true)

/* ---- rows ---- */

#define LO_HI_ROWS(n, ...)                                                                                             \
    ALU_ROW("mul", PTX_U##n, M(lo), "t=tt", mul_lo_##n), ALU_ROW("mul", PTX_S##n, M(lo), "t=tt", mul_lo_##n),          \
        ALU_ROW("mul", PTX_U##n, M(hi), "t=tt", mul_hi_u##n), ALU_ROW("mul", PTX_S##n, M(hi), "t=tt", mul_hi_s##n),    \
        ALU_ROW("mad", PTX_U##n, M(lo), "t=ttt", mad_lo_##n), ALU_ROW("mad", PTX_S##n, M(lo), "t=ttt", mad_lo_##n),    \
        ALU_ROW("mad", PTX_U##n, M(hi), "t=ttt", mad_hi_u##n), ALU_ROW("mad", PTX_S##n, M(hi), "t=ttt", mad_hi_s##n),
#define WIDE_ROWS(n)                                                                                                   \
    ALU_ROW("mul", PTX_U##n, M(wide), "w=tt", mul_wide_u##n),                                                          \
        ALU_ROW("mul", PTX_S##n, M(wide), "w=tt", mul_wide_s##n),                                                      \
        ALU_ROW("mad", PTX_U##n, M(wide), "w=ttw", mad_wide_u##n),                                                     \
        ALU_ROW("mad", PTX_S##n, M(wide), "w=ttw", mad_wide_s##n)
#define ROWS_24(T, s)                                                                                                  \
    ALU_ROW("mul24", T, M(lo), "t=tt", mul24_lo_##s), ALU_ROW("mul24", T, M(hi), "t=tt", mul24_hi_##s),                \
        ALU_ROW("mad24", T, M(lo), "t=ttt", mad24_lo_##s), ALU_ROW("mad24", T, M(hi), "t=ttt", mad24_hi_##s)
#define DOT_ROWS(A, B, name, operands)                                                                                 \
    {"dp4a", A, B, 0, 0, operands, dp4a_##name, NULL}, {"dp2a", A, B, M(lo), 0, operands, dp2a_lo_##name, NULL},       \
    {                                                                                                                  \
        "dp2a", A, B, M(hi), 0, operands, dp2a_hi_##name, NULL                                                         \
    }

const struct alu_row alu_multiply_rows[] = {
    WIDTHS(LO_HI_ROWS) WIDE_ROWS(16),
    WIDE_ROWS(32),
    ROWS_24(PTX_U32, u),
    ROWS_24(PTX_S32, s),
    ALU_ROW("mad24", PTX_S32, M(hi) | M(sat), "t=ttt", mad24_hi_saturated),
    ALU_ROW("mad", PTX_S32, M(hi) | M(sat), "t=ttt", mad_hi_saturated),
    DOT_ROWS(PTX_U32, PTX_U32, uu, "u=uuu"),
    DOT_ROWS(PTX_U32, PTX_S32, us, "s=uss"),
    DOT_ROWS(PTX_S32, PTX_U32, su, "s=sus"),
    DOT_ROWS(PTX_S32, PTX_S32, ss, "s=sss"),
    ALU_END_OF_ROWS,
};
