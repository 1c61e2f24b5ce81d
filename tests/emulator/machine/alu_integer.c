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
    ALU_END_OF_ROWS,
};
