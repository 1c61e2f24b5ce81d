/* Conversions between element types. A float holds every value of bf16 and f16 exactly, so reading these loses nothing,
 * and only f64 is rounded. f16 is taken apart by arithmetic rather than by the processor's instruction: it occurs only
 * in weight files, which are read once. */
#include "core/dtype.h"

#include <assert.h>
#include <math.h>

const char *dtype_name(enum dtype type)
{
    static const char *const names[DTYPE_COUNT] = {"f32", "bf16", "f16", "f64", "i32", "i64",
                                                   "u8",  "u16",  "i16", "i8",  "bool"};
    return names[type];
}

float f16_to_float(uint16_t value)
{
    uint32_t exponent = (value >> 10) & 31u, mantissa = value & 1023u;
    float magnitude;
    if (exponent == 31)
        magnitude = mantissa ? NAN : INFINITY;
    else if (exponent == 0)
        magnitude = ldexpf((float)mantissa, -24);
    else
        magnitude = ldexpf((float)(mantissa | 1024u), (int)exponent - 25);
    return value & 0x8000u ? -magnitude : magnitude;
}

void dtype_to_float(float *destination, const void *source, enum dtype type, int64_t count)
{
    assert(type == DTYPE_F32 || type == DTYPE_BF16 || type == DTYPE_F16 || type == DTYPE_F64);
    if (type == DTYPE_F32)
        memcpy(destination, source, (size_t)count * sizeof(float));
    else if (type == DTYPE_BF16)
        for (int64_t i = 0; i < count; i++)
            destination[i] = bf16_to_float(((const bf16 *)source)[i]);
    else if (type == DTYPE_F16)
        for (int64_t i = 0; i < count; i++)
            destination[i] = f16_to_float(((const uint16_t *)source)[i]);
    else
        for (int64_t i = 0; i < count; i++)
            destination[i] = (float)((const double *)source)[i];
}

void dtype_from_float(void *destination, enum dtype type, const float *source, int64_t count)
{
    assert(type == DTYPE_F32 || type == DTYPE_BF16);
    if (type == DTYPE_F32)
        memcpy(destination, source, (size_t)count * sizeof(float));
    else
        for (int64_t i = 0; i < count; i++)
            ((bf16 *)destination)[i] = bf16_from_float(source[i]);
}
