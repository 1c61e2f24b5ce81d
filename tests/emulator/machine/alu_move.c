/* mov: a register into another, and its vector forms, which pack 2 or 4 elements into one register or take one apart. The
 * first element is the least significant. An element _ of a register that is taken apart may have no destination. */
#include "emulator/machine/alu_internal.h"

ALU_UNARY(move_16, uint32_t, uint32_t, a & 0xffff)
ALU_UNARY(move_32, uint32_t, uint32_t, a)
ALU_UNARY(move_64, uint64_t, uint64_t, a)

ALU_FUNCTION(move_predicate)
{
    (void)operation;
    uint32_t *held = destinations[0];
    *held = alu_merge(*held, *(const uint32_t *)sources[0], active);
}

/* Bits of one element. */
static inline uint64_t element_mask(int bits)
{
    return (UINT64_C(1) << bits) - 1;
}

#define DEFINE_PACK(n, D)                                                                                              \
    ALU_FUNCTION(pack_##n)                                                                                             \
    {                                                                                                                  \
        const int32_t count = operation->source_count;                                                                 \
        const int bits = n / count;                                                                                    \
        D packed[32] = {0};                                                                                            \
        for (int32_t i = 0; i < count; ++i) {                                                                          \
            const uint32_t *element = sources[i];                                                                      \
            for (int lane = 0; lane < 32; ++lane)                                                                      \
                packed[lane] |= (D)((D)(element[lane] & element_mask(bits)) << (i * bits));                            \
        }                                                                                                              \
        D *destination = destinations[0];                                                                              \
        ALU_LANES(D, active, destination, packed[lane]);                                                               \
    }                                                                                                                  \
    ALU_FUNCTION(unpack_##n)                                                                                           \
    {                                                                                                                  \
        const int32_t count = operation->destination_count;                                                            \
        const int bits = n / count;                                                                                    \
        D packed[32];                                                                                                  \
        memcpy(packed, sources[0], sizeof packed);                                                                     \
        for (int32_t i = 0; i < count; ++i) {                                                                          \
            uint32_t *element = destinations[i];                                                                       \
            if (element != NULL)                                                                                       \
                ALU_LANES(uint32_t, active, element, packed[lane] >> (i * bits) & element_mask(bits));                 \
        }                                                                                                              \
    }
DEFINE_PACK(16, uint32_t)
DEFINE_PACK(32, uint32_t)
DEFINE_PACK(64, uint64_t)

/* The usual ones without a loop over elements. */
ALU_BINARY(pack_halves_32, uint32_t, uint32_t, uint32_t, (a & 0xffff) | b << 16)
ALU_BINARY(pack_halves_64, uint64_t, uint32_t, uint32_t, (uint64_t)a | (uint64_t)b << 32)

static bool prepare_vector(const struct alu_form *form, struct alu_operation *operation)
{
    (void)operation;
    return form->vectors;
}

#define PACK_ROWS(n, pack)                                                                                             \
    {"mov", PTX_B##n, PTX_NO_TYPE, 0, 0, "t=hh", pack, prepare_vector},                                                \
    {                                                                                                                  \
        "mov", PTX_B##n, PTX_NO_TYPE, 0, 0, "hh=t", unpack_##n, prepare_vector                                         \
    }
#define QUARTER_ROWS(n)                                                                                                \
    {"mov", PTX_B##n, PTX_NO_TYPE, 0, 0, "t=qqqq", pack_##n, prepare_vector},                                          \
    {                                                                                                                  \
        "mov", PTX_B##n, PTX_NO_TYPE, 0, 0, "qqqq=t", unpack_##n, prepare_vector                                       \
    }

const struct alu_row alu_move_rows[] = {
    ALU_ROW("mov", PTX_B32, 0, "t=t", move_32),
    ALU_ROW("mov", PTX_U32, 0, "t=t", move_32),
    ALU_ROW("mov", PTX_S32, 0, "t=t", move_32),
    ALU_ROW("mov", PTX_F32, 0, "t=t", move_32),
    ALU_ROW("mov", PTX_B64, 0, "t=t", move_64),
    ALU_ROW("mov", PTX_U64, 0, "t=t", move_64),
    ALU_ROW("mov", PTX_S64, 0, "t=t", move_64),
    ALU_ROW("mov", PTX_F64, 0, "t=t", move_64),
    ALU_ROW("mov", PTX_B16, 0, "t=t", move_16),
    ALU_ROW("mov", PTX_U16, 0, "t=t", move_16),
    ALU_ROW("mov", PTX_S16, 0, "t=t", move_16),
    ALU_ROW("mov", PTX_PRED, 0, "t=t", move_predicate),
    PACK_ROWS(32, pack_halves_32),
    PACK_ROWS(64, pack_halves_64),
    PACK_ROWS(16, pack_16),
    QUARTER_ROWS(64),
    QUARTER_ROWS(32),
    ALU_END_OF_ROWS,
};
