/* Element types of tensors and their conversions. */
#ifndef SPIRITLM_CORE_DTYPE_H
#define SPIRITLM_CORE_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum dtype {
    DTYPE_F32,
    DTYPE_BF16,
    DTYPE_F16,
    DTYPE_F64,
    DTYPE_I32,
    DTYPE_I64,
    DTYPE_U8,
    DTYPE_U16,
    DTYPE_I16,
    DTYPE_I8,
    DTYPE_BOOL, /* a byte, 0 or 1 */
    DTYPE_COUNT
};

/* Bytes per element. Inline: addresses are computed with it in the innermost loops. */
static inline size_t dtype_size(enum dtype type)
{
    switch (type) {
    case DTYPE_F64:
    case DTYPE_I64:
        return 8;
    case DTYPE_F32:
    case DTYPE_I32:
        return 4;
    case DTYPE_BF16:
    case DTYPE_F16:
    case DTYPE_U16:
    case DTYPE_I16:
        return 2;
    case DTYPE_U8:
    case DTYPE_I8:
    case DTYPE_BOOL:
    case DTYPE_COUNT:
        break;
    }
    return 1;
}

const char *dtype_name(enum dtype type); /* "f32", "bf16": as in the configuration */

typedef uint16_t bf16;

static inline float bf16_to_float(bf16 value)
{
    uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/* Round to nearest, ties to even; NaN stays NaN. */
static inline bf16 bf16_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (bf16)((bits >> 16) | 0x40u);
    return (bf16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float f16_to_float(uint16_t value); /* IEEE 754 binary16 */

/* Converts `count` elements; `type` is F32, BF16, F16 or F64. */
void dtype_to_float(float *destination, const void *source, enum dtype type, int64_t count);

/* Converts `count` floats to F32 or BF16. */
void dtype_from_float(void *destination, enum dtype type, const float *source, int64_t count);

#endif
