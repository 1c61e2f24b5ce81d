/* Multi-word integer arithmetic: add.cc, addc, sub.cc, subc, mad.cc and madc. The condition code CC.CF is one predicate,
 * which is the last source and the last destination; after a subtraction it holds the borrow. */
#include "emulator/machine/alu_internal.h"

/* The sum of three numbers of n bits, one of which is 0 or 1, and whether it went over. */
#define DEFINE_SUM(n, U)                                                                                               \
    ALU_LANE_FUNCTION U add_##n(U a, U b, bool carry, bool *out)                                                       \
    {                                                                                                                  \
        const U first = a + b, sum = first + carry;                                                                    \
        *out = first < a || sum < first;                                                                               \
        return sum;                                                                                                    \
    }                                                                                                                  \
    ALU_LANE_FUNCTION U sub_##n(U a, U b, bool borrow, bool *out)                                                      \
    {                                                                                                                  \
        const U first = a - b, difference = first - borrow;                                                            \
        *out = a < b || first < borrow;                                                                                \
        return difference;                                                                                             \
    }
DEFINE_SUM(32, uint32_t)
DEFINE_SUM(64, uint64_t)

ALU_LANE_FUNCTION uint32_t high_u32(uint32_t a, uint32_t b)
{
    return (uint32_t)((uint64_t)a * b >> 32);
}
ALU_LANE_FUNCTION uint32_t high_s32(uint32_t a, uint32_t b)
{
    return (uint32_t)((uint64_t)((int64_t)(int32_t)a * (int32_t)b) >> 32);
}
ALU_LANE_FUNCTION uint64_t high_u64(uint64_t a, uint64_t b)
{
    return (uint64_t)((unsigned __int128)a * b >> 64);
}
ALU_LANE_FUNCTION uint64_t high_s64(uint64_t a, uint64_t b)
{
    return (uint64_t)((unsigned __int128)((__int128)(int64_t)a * (int64_t)b) >> 64);
}

/* `sources`: how many there are besides CC.CF; `value` sets `out` and is the lane's result for x[0..2] and `carry`. */
#define DEFINE_CHAIN(name, U, source_operands, value)                                                                  \
    ALU_FUNCTION(name)                                                                                                 \
    {                                                                                                                  \
        const uint32_t carries = operation->reads_carry ? *(const uint32_t *)sources[source_operands] : 0;             \
        U *destination = destinations[0];                                                                              \
        uint32_t carries_out = 0;                                                                                      \
        for (int lane = 0; lane < 32; ++lane) {                                                                        \
            if (!alu_lane(active, lane))                                                                               \
                continue;                                                                                              \
            U x[source_operands];                                                                                      \
            for (int i = 0; i < source_operands; ++i)                                                                  \
                x[i] = ((const U *)sources[i])[lane];                                                                  \
            const bool carry = alu_lane(carries, lane);                                                                \
            bool out = false;                                                                                          \
            destination[lane] = value;                                                                                 \
            carries_out |= (uint32_t)out << lane;                                                                      \
        }                                                                                                              \
        if (operation->writes_carry) {                                                                                 \
            uint32_t *held = destinations[1];                                                                          \
            *held = alu_merge(*held, carries_out, active);                                                             \
        }                                                                                                              \
    }
#define DEFINE_CHAINS(n, U)                                                                                            \
    DEFINE_CHAIN(chain_add_##n, U, 2, add_##n(x[0], x[1], carry, &out))                                                \
    DEFINE_CHAIN(chain_sub_##n, U, 2, sub_##n(x[0], x[1], carry, &out))                                                \
    DEFINE_CHAIN(chain_mad_lo_##n, U, 3, add_##n((U)(x[0] * x[1]), x[2], carry, &out))                                 \
    DEFINE_CHAIN(chain_mad_hi_u##n, U, 3, add_##n(high_u##n(x[0], x[1]), x[2], carry, &out))                           \
    DEFINE_CHAIN(chain_mad_hi_s##n, U, 3, add_##n(high_s##n(x[0], x[1]), x[2], carry, &out))
DEFINE_CHAINS(32, uint32_t)
DEFINE_CHAINS(64, uint64_t)

/* begin: writes CC.CF; middle: reads and writes it; end: reads it. */
#define CHAIN_ROWS(begin, middle, T, required, operands, run)                                                          \
    ALU_ROW(begin, T, (required) | M(cc), "tc=" operands, run),                                                        \
        ALU_ROW(middle, T, (required) | M(cc), "tc=" operands "c", run),                                               \
        ALU_ROW(middle, T, required, "t=" operands "c", run)
#define TYPE_ROWS(T, n, sign)                                                                                          \
    CHAIN_ROWS("add", "addc", T, 0, "tt", chain_add_##n), CHAIN_ROWS("sub", "subc", T, 0, "tt", chain_sub_##n),        \
        CHAIN_ROWS("mad", "madc", T, M(lo), "ttt", chain_mad_lo_##n),                                                  \
        CHAIN_ROWS("mad", "madc", T, M(hi), "ttt", chain_mad_hi_##sign##n)

const struct alu_row alu_carry_rows[] = {
    TYPE_ROWS(PTX_U32, 32, u), TYPE_ROWS(PTX_S32, 32, s), TYPE_ROWS(PTX_U64, 64, u),
    TYPE_ROWS(PTX_S64, 64, s), ALU_END_OF_ROWS,
};
