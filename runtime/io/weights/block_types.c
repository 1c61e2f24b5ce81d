/* ggml's blocks of quantised numbers (ggml-common.h gives their layout). A block begins with its scale d, for some types its
 * minimum m, both f16 in little-endian order; then come the numbers q of 4, 5 or 8 bits. A byte of 4-bit numbers holds element
 * i in its low half and element i + 16 (in Q4_K i + 32) in its high half; the fifth bits lie in a word of their own, element
 * i's at bit i. Products and sums are rounded one by one, as numpy does it, so that results equal PyPI's `gguf` to the
 * bit. */
#include "io/weights/block_types.h"

#include <string.h>

enum { HALF = 16, GROUPS = 8, GROUP = 32 };

int64_t block_elements(enum block_type block)
{
    return block == BLOCK_NONE ? 1 : block == BLOCK_Q4_K ? 256 : 32;
}

int64_t block_bytes(enum block_type block)
{
    static const int64_t bytes[BLOCK_TYPES] = {
        [BLOCK_Q4_0] = 2 + 16,     [BLOCK_Q4_1] = 4 + 16, [BLOCK_Q5_0] = 2 + 4 + 16,
        [BLOCK_Q5_1] = 4 + 4 + 16, [BLOCK_Q8_0] = 2 + 32, [BLOCK_Q4_K] = 4 + 12 + 128};
    return bytes[block];
}

static float half_at(const unsigned char *data)
{
    return f16_to_float((uint16_t)(data[0] | data[1] << 8));
}

static uint32_t word_at(const unsigned char *data)
{
    return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

/* Numbers of 4 bits, and of 5 where `high` has the fifth ones: d * (q - zero) + m. Adding the minimum 0 of a type without one
 * would turn -0 into +0, so it is left out there. */
static void unpack_32(const unsigned char *low, uint32_t high, int zero, float d, const float *m, float *values)
{
    for (int i = 0; i < HALF; i++) {
        int first = (low[i] & 15) | (int)(high >> i & 1) << 4;
        int second = low[i] >> 4 | (int)(high >> (i + HALF) & 1) << 4;
        values[i] = d * (float)(first - zero);
        values[i + HALF] = d * (float)(second - zero);
    }
    for (int i = 0; m && i < 2 * HALF; i++)
        values[i] += *m;
}

/* The 6 bits of scale and of minimum of group j, which lie in 12 bytes: the first four groups' in the low bits of bytes 0-3
 * and 4-7, the others' in bytes 8-11 with their upper two bits on top of the first four groups'. */
static void group_scales(const unsigned char *packed, int j, int *scale, int *minimum)
{
    if (j < 4) {
        *scale = packed[j] & 63;
        *minimum = packed[j + 4] & 63;
    } else {
        *scale = (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4;
        *minimum = packed[j + 4] >> 4 | packed[j] >> 6 << 4;
    }
}

static void unpack_q4_k(const unsigned char *data, float *values)
{
    float d = half_at(data), minimum = half_at(data + 2);
    const unsigned char *packed = data + 4, *numbers = data + 16;
    for (int j = 0; j < GROUPS; j++) {
        int scale, offset, shift = j % 2 * 4;
        group_scales(packed, j, &scale, &offset);
        float group_d = d * (float)scale, group_m = minimum * (float)offset;
        for (int i = 0; i < GROUP; i++)
            values[j * GROUP + i] = group_d * (float)(numbers[j / 2 * GROUP + i] >> shift & 15) - group_m;
    }
}

static void unpack_q8_0(const unsigned char *data, float *values)
{
    float d = half_at(data);
    for (int i = 0; i < GROUP; i++)
        values[i] = d * (float)(signed char)data[2 + i];
}

void block_unpack(enum block_type block, const unsigned char *data, float *values)
{
    float d = half_at(data), m = half_at(data + 2);
    switch (block) {
    case BLOCK_Q4_0:
        unpack_32(data + 2, 0, 8, d, NULL, values);
        break;
    case BLOCK_Q4_1:
        unpack_32(data + 4, 0, 0, d, &m, values);
        break;
    case BLOCK_Q5_0:
        unpack_32(data + 6, word_at(data + 2), 16, d, NULL, values);
        break;
    case BLOCK_Q5_1:
        unpack_32(data + 8, word_at(data + 4), 0, d, &m, values);
        break;
    case BLOCK_Q8_0:
        unpack_q8_0(data, values);
        break;
    case BLOCK_Q4_K:
        unpack_q4_k(data, values);
        break;
    case BLOCK_NONE:
    case BLOCK_TYPES:
        break;
    }
}
