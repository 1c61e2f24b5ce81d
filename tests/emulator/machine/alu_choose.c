/* selp and slct: one of two values, by a predicate or by the sign of a third one. */
#include "emulator/machine/alu_internal.h"

/* The predicate may be negated where a kernel says so. */
#define DEFINE_SELECT(name, H)                                                                                         \
    ALU_LANE_FUNCTION H name##_of(H a, H b, uint32_t first)                                                            \
    {                                                                                                                  \
        return first != 0 ? a : b;                                                                                     \
    }                                                                                                                  \
    ALU_FUNCTION(name)                                                                                                 \
    {                                                                                                                  \
        const uint32_t chosen = *(const uint32_t *)sources[2] ^ (uint32_t)operation->detail[0];                        \
        const H *a = sources[0], *b = sources[1];                                                                      \
        H *destination = destinations[0];                                                                              \
        ALU_LANES(H, active, destination, name##_of(a[lane], b[lane], chosen &alu_lane_bits[lane]));                   \
    }
DEFINE_SELECT(select_32, uint32_t)
DEFINE_SELECT(select_64, uint64_t)
static bool prepare_select(const struct alu_form *form, struct alu_operation *operation)
{
    operation->detail[0] = form->sources[2]->negated ? -1 : 0;
    return true;
}

/* slct: a where c >= 0, else b; NaN chooses b. */
ALU_TERNARY_SAME(by_sign_32, uint32_t, (int32_t)c >= 0 ? a : b)
ALU_TERNARY(by_sign_64, uint64_t, uint64_t, uint64_t, uint32_t, (int32_t)c >= 0 ? a : b)
ALU_TERNARY_SAME(by_float_32, uint32_t, alu_float(c) >= 0.0f ? a : b)
ALU_TERNARY(by_float_64, uint64_t, uint64_t, uint64_t, uint32_t, alu_float(c) >= 0.0f ? a : b)
ALU_TERNARY_SAME(by_float_ftz_32, uint32_t, alu_float(alu_flush(c)) >= 0.0f ? a : b)
ALU_TERNARY(by_float_ftz_64, uint64_t, uint64_t, uint64_t, uint32_t, alu_float(alu_flush(c)) >= 0.0f ? a : b)

/* A register of 16 bits is held in 32. */
#define ROWS(type, n)                                                                                                  \
    {"selp", type, PTX_NO_TYPE, 0, 0, "t=ttp", select_##n, prepare_select},                                            \
        {"slct", type, PTX_S32, 0, 0, "t=tto", by_sign_##n, NULL},                                                     \
        {"slct", type, PTX_F32, 0, 0, "t=tto", by_float_##n, NULL},                                                    \
    {                                                                                                                  \
        "slct", type, PTX_F32, M(ftz), 0, "t=tto", by_float_ftz_##n, NULL                                              \
    }

const struct alu_row alu_choose_rows[] = {
    ROWS(PTX_B32, 32), ROWS(PTX_U32, 32), ROWS(PTX_S32, 32), ROWS(PTX_F32, 32), ROWS(PTX_B64, 64), ROWS(PTX_U64, 64),
    ROWS(PTX_S64, 64), ROWS(PTX_F64, 64), ROWS(PTX_B16, 32), ROWS(PTX_U16, 32), ROWS(PTX_S16, 32), ALU_END_OF_ROWS,
};
