/* Integer arithmetic in one width: add, sub, div, rem, abs, neg, min, max, sad. One definition of the lane's value serves
 * the three widths; results below 32 bits are cut to 16, as registers are held.
 *
 * Division by zero is "unspecified" in PTX: here the quotient has all bits set and the remainder is the dividend, which is
 * what devices give, and the quotient of the most negative number by -1 wraps. */
#include "emulator/machine/alu_internal.h"

/* X(suffix, held, unsigned type, signed type) */
#define WIDTHS(X)                                                                                                      \
    X(16, uint32_t, uint16_t, int16_t) X(32, uint32_t, uint32_t, int32_t) X(64, uint64_t, uint64_t, int64_t)

#define DEFINE(n, H, U, S)                                                                                             \
    ALU_BINARY(add_##n, H, H, H, (U)(a + b))                                                                           \
    ALU_BINARY(sub_##n, H, H, H, (U)(a - b))                                                                           \
    ALU_BINARY(div_u##n, H, H, H, (U)b == 0 ? (U) ~(U)0 : (U)a / (U)b)                                                 \
    ALU_BINARY(rem_u##n, H, H, H, (U)b == 0 ? (U)a : (U)a % (U)b)                                                      \
    ALU_BINARY(div_s##n, H, H, H, (U)b == 0 ? (U) ~(U)0 : (S)b == -1 ? (U)(0 - a) : (U)((S)a / (S)b))                  \
    ALU_BINARY(rem_s##n, H, H, H, (U)b == 0 ? (U)a : (S)b == -1 ? (U)0 : (U)((S)a % (S)b))                             \
    ALU_UNARY(abs_s##n, H, H, (S)a < 0 ? (U)(0 - a) : (U)a)                                                            \
    ALU_UNARY(neg_s##n, H, H, (U)(0 - a))                                                                              \
    ALU_BINARY(min_u##n, H, H, H, (U)a < (U)b ? (U)a : (U)b)                                                           \
    ALU_BINARY(max_u##n, H, H, H, (U)a > (U)b ? (U)a : (U)b)                                                           \
    ALU_BINARY(min_s##n, H, H, H, (S)a < (S)b ? (U)a : (U)b)                                                           \
    ALU_BINARY(max_s##n, H, H, H, (S)a > (S)b ? (U)a : (U)b)                                                           \
    ALU_TERNARY(sad_u##n, H, H, H, H, (U)(c + ((U)a < (U)b ? b - a : a - b)))                                          \
    ALU_TERNARY(sad_s##n, H, H, H, H, (U)(c + ((S)a < (S)b ? b - a : a - b)))
WIDTHS(DEFINE)

ALU_LANE_FUNCTION uint32_t clamp_s32(int64_t value)
{
    return (uint32_t)(int32_t)(value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : value);
}
ALU_BINARY(add_saturated, uint32_t, uint32_t, uint32_t, clamp_s32((int64_t)(int32_t)a + (int32_t)b))
ALU_BINARY(sub_saturated, uint32_t, uint32_t, uint32_t, clamp_s32((int64_t)(int32_t)a - (int32_t)b))
ALU_BINARY(min_relu, uint32_t, uint32_t, uint32_t, (int32_t)min_s32_of(a, b) < 0 ? 0 : min_s32_of(a, b))
ALU_BINARY(max_relu, uint32_t, uint32_t, uint32_t, (int32_t)max_s32_of(a, b) < 0 ? 0 : max_s32_of(a, b))

/* ---- two halves in a register (.u16x2, .s16x2, which are no types of registers) ---- */

#define HALVES(name, of)                                                                                               \
    ALU_BINARY(name, uint32_t, uint32_t, uint32_t, of(a & 0xffff, b & 0xffff) | of(a >> 16, b >> 16) << 16)
ALU_LANE_FUNCTION uint32_t without_sign(uint32_t half)
{
    return (half & 0x8000) != 0 ? 0 : half;
}
#define MIN_RELU(a, b) without_sign(min_s16_of(a, b))
#define MAX_RELU(a, b) without_sign(max_s16_of(a, b))
HALVES(add_16x2, add_16_of)
HALVES(min_u16x2, min_u16_of)
HALVES(max_u16x2, max_u16_of)
HALVES(min_s16x2, min_s16_of)
HALVES(max_s16x2, max_s16_of)
HALVES(min_relu_s16x2, MIN_RELU)
HALVES(max_relu_s16x2, MAX_RELU)

/* vabsdiff4: |a - b| of four bytes, with .add their sum and c. Differences of signed bytes need 8 bits without sign. */
ALU_LANE_FUNCTION uint32_t difference_of_bytes(uint32_t a, uint32_t b, int i, bool is_signed)
{
    const int32_t x = is_signed ? (int8_t)(a >> (8 * i)) : (int32_t)(a >> (8 * i) & 0xff);
    const int32_t y = is_signed ? (int8_t)(b >> (8 * i)) : (int32_t)(b >> (8 * i) & 0xff);
    return (uint32_t)(x < y ? y - x : x - y);
}
ALU_LANE_FUNCTION uint32_t differences(uint32_t a, uint32_t b, bool is_signed)
{
    uint32_t result = 0;
    for (int i = 0; i < 4; ++i)
        result |= difference_of_bytes(a, b, i, is_signed) << (8 * i);
    return result;
}
ALU_LANE_FUNCTION uint32_t sum_of_differences(uint32_t a, uint32_t b, uint32_t c, bool is_signed)
{
    for (int i = 0; i < 4; ++i)
        c += difference_of_bytes(a, b, i, is_signed);
    return c;
}
ALU_TERNARY(vabsdiff4_u, uint32_t, uint32_t, uint32_t, uint32_t, differences(a, b, false) + 0 * c)
ALU_TERNARY(vabsdiff4_s, uint32_t, uint32_t, uint32_t, uint32_t, differences(a, b, true) + 0 * c)
ALU_TERNARY(vabsdiff4_add_u, uint32_t, uint32_t, uint32_t, uint32_t, sum_of_differences(a, b, c, false))
ALU_TERNARY(vabsdiff4_add_s, uint32_t, uint32_t, uint32_t, uint32_t, sum_of_differences(a, b, c, true))

#define UNSIGNED_ROWS(n, ...)                                                                                          \
    ALU_ROW("add", PTX_U##n, 0, "t=tt", add_##n), ALU_ROW("sub", PTX_U##n, 0, "t=tt", sub_##n),                        \
        ALU_ROW("div", PTX_U##n, 0, "t=tt", div_u##n), ALU_ROW("rem", PTX_U##n, 0, "t=tt", rem_u##n),                  \
        ALU_ROW("min", PTX_U##n, 0, "t=tt", min_u##n), ALU_ROW("max", PTX_U##n, 0, "t=tt", max_u##n),                  \
        ALU_ROW("sad", PTX_U##n, 0, "t=ttt", sad_u##n),
#define SIGNED_ROWS(n, ...)                                                                                            \
    ALU_ROW("add", PTX_S##n, 0, "t=tt", add_##n), ALU_ROW("sub", PTX_S##n, 0, "t=tt", sub_##n),                        \
        ALU_ROW("div", PTX_S##n, 0, "t=tt", div_s##n), ALU_ROW("rem", PTX_S##n, 0, "t=tt", rem_s##n),                  \
        ALU_ROW("abs", PTX_S##n, 0, "t=t", abs_s##n), ALU_ROW("neg", PTX_S##n, 0, "t=t", neg_s##n),                    \
        ALU_ROW("min", PTX_S##n, 0, "t=tt", min_s##n), ALU_ROW("max", PTX_S##n, 0, "t=tt", max_s##n),                  \
        ALU_ROW("sad", PTX_S##n, 0, "t=ttt", sad_s##n),

const struct alu_row alu_integer_rows[] = {
    WIDTHS(SIGNED_ROWS) WIDTHS(UNSIGNED_ROWS) ALU_ROW("add", PTX_S32, M(sat), "t=tt", add_saturated),
    ALU_ROW("sub", PTX_S32, M(sat), "t=tt", sub_saturated),
    ALU_ROW("min", PTX_S32, M(relu), "t=tt", min_relu),
    ALU_ROW("max", PTX_S32, M(relu), "t=tt", max_relu),
    ALU_ROW("add", PTX_NO_TYPE, M(u16x2), "u=uu", add_16x2),
    ALU_ROW("add", PTX_NO_TYPE, M(s16x2), "u=uu", add_16x2),
    ALU_ROW("min", PTX_NO_TYPE, M(u16x2), "u=uu", min_u16x2),
    ALU_ROW("max", PTX_NO_TYPE, M(u16x2), "u=uu", max_u16x2),
    ALU_ROW("min", PTX_NO_TYPE, M(s16x2), "u=uu", min_s16x2),
    ALU_ROW("max", PTX_NO_TYPE, M(s16x2), "u=uu", max_s16x2),
    ALU_ROW("min", PTX_NO_TYPE, M(s16x2) | M(relu), "u=uu", min_relu_s16x2),
    ALU_ROW("max", PTX_NO_TYPE, M(s16x2) | M(relu), "u=uu", max_relu_s16x2),
    {"vabsdiff4", PTX_U32, PTX_U32, 0, 0, "u=uuu", vabsdiff4_u, NULL},
    {"vabsdiff4", PTX_U32, PTX_S32, 0, 0, "u=ssu", vabsdiff4_s, NULL},
    {"vabsdiff4", PTX_U32, PTX_U32, M(add), 0, "u=uuu", vabsdiff4_add_u, NULL},
    {"vabsdiff4", PTX_U32, PTX_S32, M(add), 0, "u=ssu", vabsdiff4_add_s, NULL},
    ALU_END_OF_ROWS,
};
