/* Fields of bits and bytes: bfe, bfi, bmsk, szext, prmt, fns. The definitions are those of PTX ISA, rewritten without its
 * loops over single bits. Positions and lengths of bfe and bfi are the low 8 bits of their operands. */
#include "emulator/machine/alu_internal.h"

/* The low `count` bits set; all of them from the width on. */
ALU_LANE_FUNCTION uint64_t low_bits(uint32_t count)
{
    return count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

/* Bits [position, position + length) of a number of `width` bits. What lies above the number is the sign of the field for
 * signed types: the bit at the field's end, or the number's top bit when the field reaches beyond it. */
ALU_LANE_FUNCTION uint64_t extract(uint64_t a, uint32_t b, uint32_t c, uint32_t width, bool is_signed)
{
    const uint32_t position = b & 0xff, length = c & 0xff;
    if (length == 0)
        return 0;
    const uint32_t end = position + length, top = end - 1 < width - 1 ? end - 1 : width - 1;
    const uint64_t fill = is_signed && (a >> top & 1) != 0 ? UINT64_MAX : 0;
    const uint32_t there = position >= width ? 0 : width - position < length ? width - position : length;
    const uint64_t field = position >= width ? 0 : a >> position & low_bits(there);
    return (field | (fill & ~low_bits(there))) & low_bits(width);
}
ALU_LANE_FUNCTION uint64_t insert(uint64_t a, uint64_t b, uint32_t c, uint32_t e, uint32_t width)
{
    const uint32_t position = c & 0xff, length = e & 0xff;
    if (position >= width)
        return b;
    const uint64_t mask = low_bits(length) << position & low_bits(width);
    return (b & ~mask) | (a << position & mask);
}
ALU_TERNARY(bfe_u32, uint32_t, uint32_t, uint32_t, uint32_t, extract(a, b, c, 32, false))
ALU_TERNARY(bfe_s32, uint32_t, uint32_t, uint32_t, uint32_t, extract(a, b, c, 32, true))
ALU_TERNARY(bfe_u64, uint64_t, uint64_t, uint32_t, uint32_t, extract(a, b, c, 64, false))
ALU_TERNARY(bfe_s64, uint64_t, uint64_t, uint32_t, uint32_t, extract(a, b, c, 64, true))
ALU_QUATERNARY(bfi_32, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, insert(a, b, c, e, 32))
ALU_QUATERNARY(bfi_64, uint64_t, uint64_t, uint64_t, uint32_t, uint32_t, insert(a, b, c, e, 64))

/* A mask of b bits from bit a on. .clamp: a and b above 31 mean beyond the word; .wrap: they are taken modulo 32. */
ALU_LANE_FUNCTION uint32_t mask_of(uint32_t a, uint32_t b, bool clamp)
{
    if (clamp && a >= 32)
        return 0;
    const uint32_t position = a & 31, length = clamp && b >= 32 ? 32 : b & 31;
    return (uint32_t)(low_bits(length) << position);
}
/* The low b bits of a, extended with their sign or with zeros to 32 bits. */
ALU_LANE_FUNCTION uint32_t extend(uint32_t a, uint32_t b, bool clamp, bool is_signed)
{
    if (clamp && b >= 32)
        return a;
    const uint32_t length = b & 31, mask = (uint32_t)low_bits(length);
    const bool sign = is_signed && length != 0 && (a >> (length - 1) & 1) != 0;
    return sign ? a | ~mask : a & mask;
}
ALU_BINARY_SAME(bmsk_clamp, uint32_t, mask_of(a, b, true))
ALU_BINARY_SAME(bmsk_wrap, uint32_t, mask_of(a, b, false))
ALU_BINARY_SAME(szext_clamp_u32, uint32_t, extend(a, b, true, false))
ALU_BINARY_SAME(szext_clamp_s32, uint32_t, extend(a, b, true, true))
ALU_BINARY_SAME(szext_wrap_u32, uint32_t, extend(a, b, false, false))
ALU_BINARY_SAME(szext_wrap_s32, uint32_t, extend(a, b, false, true))

/* ---- prmt: bytes of b:a, numbered 0 to 7 from a's lowest ---- */

/* A selector's fourth bit asks for the byte's sign in all eight bits. */
ALU_LANE_FUNCTION uint32_t permute(uint32_t a, uint32_t b, uint32_t c)
{
    const uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (int i = 0; i < 4; ++i) {
        const uint32_t selector = c >> (4 * i) & 15;
        const uint32_t byte = (uint32_t)(bytes >> (8 * (selector & 7)) & 0xff);
        result |= ((selector & 8) != 0 ? (byte >> 7) * 0xff : byte) << (8 * i);
    }
    return result;
}
/* The named modes are tables: which four bytes for each of the four values of c, as in PTX ISA. */
static const uint16_t permutations[6][4] = {
    {0x3210, 0x4321, 0x5432, 0x6543}, /* f4e: four bytes forward from c */
    {0x5670, 0x6701, 0x7012, 0x0123}, /* b4e: four bytes backward */
    {0x0000, 0x1111, 0x2222, 0x3333}, /* rc8: one byte four times */
    {0x3210, 0x3211, 0x3222, 0x3333}, /* ecl: edge clamp left */
    {0x0000, 0x1110, 0x2210, 0x3210}, /* ecr: edge clamp right */
    {0x1010, 0x3232, 0x1010, 0x3232}, /* rc16: one half twice */
};
ALU_TERNARY(prmt, uint32_t, uint32_t, uint32_t, uint32_t, permute(a, b, c))
ALU_FUNCTION(prmt_mode)
{
    const uint16_t *table = permutations[operation->detail[0]];
    const uint32_t *a = sources[0], *b = sources[1], *c = sources[2];
    uint32_t *destination = destinations[0];
    ALU_LANES(uint32_t, active, destination, permute(a[lane], b[lane], table[c[lane] & 3]));
}
static bool prepare_prmt(const struct alu_form *form, struct alu_operation *operation)
{
    static const uint64_t modes[6] = {M(f4e), M(b4e), M(rc8), M(ecl), M(ecr), M(rc16)};
    for (int i = 0; i < 6; ++i)
        if (form->modifiers == modes[i])
            operation->detail[0] = i;
    return alu_one_bit(form->modifiers);
}

/* ---- fns: the position of the n-th set bit of a mask, counted from a base, upward or downward ---- */

ALU_LANE_FUNCTION uint32_t nth_set(uint32_t mask, uint32_t base, int32_t n)
{
    int32_t position = (int32_t)base, found = 0;
    if (base > 31)
        return UINT32_MAX;
    if (n == 0)
        return (mask >> base & 1) != 0 ? base : UINT32_MAX;
    for (; position >= 0 && position<32; position += n> 0 ? 1 : -1)
        if ((mask >> position & 1) != 0 && ++found == (n > 0 ? n : -n))
            return (uint32_t)position;
    return UINT32_MAX;
}
ALU_TERNARY(fns, uint32_t, uint32_t, uint32_t, uint32_t, nth_set(a, b, (int32_t)c))

const struct alu_row alu_field_rows[] = {
    ALU_ROW("bfe", PTX_U32, 0, "t=tuu", bfe_u32),
    ALU_ROW("bfe", PTX_S32, 0, "t=tuu", bfe_s32),
    ALU_ROW("bfe", PTX_U64, 0, "t=tuu", bfe_u64),
    ALU_ROW("bfe", PTX_S64, 0, "t=tuu", bfe_s64),
    ALU_ROW("bfi", PTX_B32, 0, "t=ttuu", bfi_32),
    ALU_ROW("bfi", PTX_B64, 0, "t=ttuu", bfi_64),
    ALU_ROW("bmsk", PTX_B32, M(clamp), "t=uu", bmsk_clamp),
    ALU_ROW("bmsk", PTX_B32, M(wrap), "t=uu", bmsk_wrap),
    ALU_ROW("szext", PTX_U32, M(clamp), "t=tu", szext_clamp_u32),
    ALU_ROW("szext", PTX_S32, M(clamp), "t=tu", szext_clamp_s32),
    ALU_ROW("szext", PTX_U32, M(wrap), "t=tu", szext_wrap_u32),
    ALU_ROW("szext", PTX_S32, M(wrap), "t=tu", szext_wrap_s32),
    ALU_ROW("prmt", PTX_B32, 0, "t=ttu", prmt),
    {"prmt", PTX_B32, PTX_NO_TYPE, 0, M(f4e) | M(b4e) | M(rc8) | M(ecl) | M(ecr) | M(rc16), "t=ttu", prmt_mode,
     prepare_prmt},
    ALU_ROW("fns", PTX_B32, 0, "t=uus", fns),
    ALU_END_OF_ROWS,
};
