/* cvt: between all types. What kernels do all the time has functions of its own (integers to integers, integers to float,
 * float to bf16 and f16 and back); everything else goes through one general path per lane:
 *
 *   integer to integer  the value in 128 bits, clamped with .sat
 *   float to integer    the value in double (exact), rounded to an integer, clamped; NaN as PTX ISA 9.0 says
 *   integer to float    the value in double rounded to odd, rounded once more by hand; to .f64 by the processor
 *   float to float      the value in double, rounded to an integer where that is asked, flushed, clamped, rounded by hand */
#include <fenv.h>
#include <math.h>

#include "emulator/machine/alu_internal.h"
#include "emulator/machine/alu_round.h"

/* ---- integers to integers, without .sat: cut off or extended ---- */

/* X(from, held, C type, ...) for the eight types of integers; `...` goes through. */
#define INTEGERS(X, ...)                                                                                               \
    X(__VA_ARGS__, u8, uint32_t, uint8_t)                                                                              \
    X(__VA_ARGS__, s8, uint32_t, int8_t)                                                                               \
    X(__VA_ARGS__, u16, uint32_t, uint16_t)                                                                            \
    X(__VA_ARGS__, s16, uint32_t, int16_t)                                                                             \
    X(__VA_ARGS__, u32, uint32_t, uint32_t)                                                                            \
    X(__VA_ARGS__, s32, uint32_t, int32_t)                                                                             \
    X(__VA_ARGS__, u64, uint64_t, uint64_t) X(__VA_ARGS__, s64, uint64_t, int64_t)
#define DEFINE_EXTEND(to, D, mask, from, H, T) ALU_UNARY(to##_from_##from, D, H, (D)(T)a &(D)mask)
INTEGERS(DEFINE_EXTEND, bits8, uint32_t, UINT8_MAX)
INTEGERS(DEFINE_EXTEND, bits16, uint32_t, UINT16_MAX)
INTEGERS(DEFINE_EXTEND, bits32, uint32_t, UINT32_MAX)
INTEGERS(DEFINE_EXTEND, bits64, uint64_t, UINT64_MAX)

/* ---- quick ways ---- */

ALU_UNARY_SAME(f32_from_s32, uint32_t, alu_float_bits((float)(int32_t)a))
ALU_UNARY_SAME(f32_from_u32, uint32_t, alu_float_bits((float)a))
ALU_UNARY(f64_from_s32, uint64_t, uint32_t, alu_double_bits((double)(int32_t)a))
ALU_UNARY(f64_from_u32, uint64_t, uint32_t, alu_double_bits((double)a))
ALU_UNARY(f64_from_f32, uint64_t, uint32_t, alu_result_f64((double)alu_float(a)))
ALU_UNARY(f32_from_f64, uint32_t, uint64_t, alu_result_f32((float)alu_double(a)))
ALU_UNARY_SAME(f32_from_bf16, uint32_t, alu_result_f32(alu_from_bf16(a & 0xffff)))
ALU_UNARY_SAME(f32_from_f16, uint32_t, alu_result_f32(alu_from_f16(a & 0xffff)))

/* Into range first, because C leaves open what a cast of anything else gives; NaN is 0. 2^31 and 2^32 less one place of
 * f32 are the largest numbers that a cast may see. */
ALU_LANE_FUNCTION uint32_t to_s32(float x)
{
    const float inside = x < 0x1.fffffep30f ? (x > -0x1p31f ? x : -0x1p31f) : 0x1.fffffep30f;
    const uint32_t cut = (uint32_t)(int32_t)(x == x ? inside : 0.0f);
    return x >= 0x1p31f ? (uint32_t)INT32_MAX : cut;
}
ALU_LANE_FUNCTION uint32_t to_u32(float x)
{
    const float inside = x < 0x1.fffffep31f ? (x > 0.0f ? x : 0.0f) : 0x1.fffffep31f;
    const uint32_t cut = (uint32_t)(int64_t)(x == x ? inside : 0.0f);
    return x >= 0x1p32f ? UINT32_MAX : cut;
}
ALU_UNARY_SAME(s32_from_f32, uint32_t, to_s32(alu_float(a)))
ALU_UNARY_SAME(u32_from_f32, uint32_t, to_u32(alu_float(a)))

/* Nearest even: half of the last place that stays, less one when that place is even, carries. */
ALU_LANE_FUNCTION uint32_t to_bf16(uint32_t a)
{
    const uint32_t rounded = (a + UINT32_C(0x7fff) + (a >> 16 & 1)) >> 16;
    return (a & UINT32_C(0x7fffffff)) > UINT32_C(0x7f800000) ? ALU_NAN_HALF : rounded;
}
/* Of numbers that are normal in f16 the same; smaller ones are added to a number whose last place is f16's smallest, which
 * lets the processor round. */
ALU_LANE_FUNCTION uint32_t to_f16(uint32_t a)
{
    const uint32_t sign = a >> 16 & 0x8000, magnitude = a & UINT32_C(0x7fffffff);
    const uint32_t normal = (magnitude - UINT32_C(0x38000000) + 0xfff + (magnitude >> 13 & 1)) >> 13;
    const uint32_t small = alu_float_bits(alu_float(magnitude) + 0.5f) - UINT32_C(0x3f000000);
    const uint32_t number = magnitude < UINT32_C(0x38800000)   ? small
                            : magnitude < UINT32_C(0x47800000) ? normal
                                                               : 0x7c00;
    return magnitude > UINT32_C(0x7f800000) ? ALU_NAN_HALF : sign | number;
}
ALU_UNARY_SAME(bf16_from_f32, uint32_t, to_bf16(a))
ALU_UNARY_SAME(f16_from_f32, uint32_t, to_f16(a))
/* The first source goes into the high half. */
ALU_BINARY_SAME(bf16x2_from_f32, uint32_t, to_bf16(a) << 16 | to_bf16(b))
ALU_BINARY_SAME(f16x2_from_f32, uint32_t, to_f16(a) << 16 | to_f16(b))

/* ---- the general way ---- */

static bool is_float(enum ptx_type type)
{
    return type == PTX_F16 || type == PTX_BF16 || type == PTX_F32 || type == PTX_F64;
}
static bool is_signed(enum ptx_type type)
{
    return type == PTX_S8 || type == PTX_S16 || type == PTX_S32 || type == PTX_S64;
}
static bool is_held_wide(enum ptx_type type)
{
    return alu_held_bytes(type) == 256;
}

static __int128 load_integer(uint64_t bits, enum ptx_type type)
{
    const int unused = 64 - 8 * ptx_type_size(type);
    return is_signed(type) ? (__int128)((int64_t)(bits << unused) >> unused) : (__int128)(bits << unused >> unused);
}
static double load_float(uint64_t bits, enum ptx_type type)
{
    return type == PTX_F64    ? alu_double(bits)
           : type == PTX_F32  ? (double)alu_float((uint32_t)bits)
           : type == PTX_BF16 ? (double)alu_from_bf16((uint32_t)bits & 0xffff)
                              : (double)alu_from_f16((uint32_t)bits & 0xffff);
}

static uint64_t store_integer(__int128 value, enum ptx_type type)
{
    const int size = ptx_type_size(type);
    return (uint64_t)value & (size == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size)) - 1);
}
static __int128 clamp_integer(__int128 value, enum ptx_type type)
{
    const int bits = 8 * ptx_type_size(type);
    const __int128 one = 1, high = is_signed(type) ? (one << (bits - 1)) - 1 : (one << bits) - 1;
    const __int128 low = is_signed(type) ? -(one << (bits - 1)) : 0;
    return value > high ? high : value < low ? low : value;
}

static double round_to_integer(double value, enum alu_rounding rounding)
{
    switch (rounding) {
    case ALU_ZERO:
        return trunc(value);
    case ALU_DOWN:
        return floor(value);
    case ALU_UP:
        return ceil(value);
    default:
        return rint(value);
    }
}

/* Always clamps. NaN is 0, but of .f64 or to 64 bits it is the number with only the top bit set. */
static uint64_t float_to_integer(double value, enum ptx_type from, enum ptx_type to, enum alu_rounding rounding)
{
    if (value != value) {
        const bool top = from == PTX_F64 || to == PTX_S64 || to == PTX_U64;
        return top ? UINT64_C(1) << (8 * ptx_type_size(to) - 1) : 0;
    }
    const double whole = round_to_integer(value, rounding);
    const __int128 limited = whole >= 0x1p65    ? (__int128)1 << 65
                             : whole <= -0x1p65 ? -((__int128)1 << 65)
                                                : (__int128)whole;
    return store_integer(clamp_integer(limited, to), to);
}

static uint64_t store_float(double value, enum ptx_type type, enum alu_rounding rounding)
{
    return type == PTX_F64    ? alu_result_f64(value)
           : type == PTX_F32  ? alu_narrow(value, &alu_format_f32, rounding)
           : type == PTX_BF16 ? alu_narrow(value, &alu_format_bf16, rounding)
                              : alu_narrow(value, &alu_format_f16, rounding);
}

static double integer_to_double(__int128 value, enum alu_rounding rounding)
{
    static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    const int before = fegetround();
    volatile int64_t low = (int64_t)value;
    volatile uint64_t high = (uint64_t)value;
    fesetround(modes[rounding]);
    volatile double result = value > INT64_MAX ? (double)high : (double)low;
    fesetround(before);
    return result;
}

static uint64_t integer_to_float(__int128 value, enum ptx_type to, enum alu_rounding rounding)
{
    if (to == PTX_F64)
        return alu_double_bits(integer_to_double(value, rounding));
    const bool negative = value < 0;
    uint64_t magnitude = (uint64_t)(negative ? -value : value);
    double scale = 1;
    if (magnitude >> 53 != 0) {
        magnitude = magnitude >> 11 | ((magnitude & 0x7ff) != 0 ? 1 : 0);
        scale = 2048;
    }
    const double odd = (double)magnitude * scale;
    return store_float(negative ? -odd : odd, to, rounding);
}

/* .ftz is about .f32, on either side. */
static double flush_if_f32(double value, enum ptx_type type, uint64_t modifiers)
{
    return type == PTX_F32 && (modifiers & M(ftz)) != 0 && fabs(value) < 0x1p-126 ? copysign(0, value) : value;
}

static uint64_t float_to_float(double value, enum ptx_type to, enum alu_rounding rounding, uint64_t modifiers)
{
    if ((modifiers & ALU_INTEGER_ROUNDINGS) != 0)
        value = round_to_integer(value, rounding);
    if ((modifiers & M(relu)) != 0 && value <= 0)
        value = 0;
    if ((modifiers & M(sat)) != 0)
        value = value > 0 ? (value < 1 ? value : 1) : 0;
    uint64_t bits = store_float(value, to, rounding);
    if ((modifiers & M(ftz)) != 0 && to == PTX_F32)
        bits = alu_flush((uint32_t)bits);
    if ((modifiers & M(satfinite)) != 0 && isinf(load_float(bits, to)))
        --bits; /* the largest number of that sign */
    return bits;
}

static uint64_t convert(uint64_t bits, enum ptx_type from, enum ptx_type to, enum alu_rounding rounding,
                        uint64_t modifiers)
{
    if (is_float(from)) {
        const double value = flush_if_f32(load_float(bits, from), from, modifiers);
        return is_float(to) ? float_to_float(value, to, rounding, modifiers)
                            : float_to_integer(value, from, to, rounding);
    }
    const __int128 value = load_integer(bits, from);
    if (!is_float(to))
        return store_integer((modifiers & M(sat)) != 0 ? clamp_integer(value, to) : value, to);
    if ((modifiers & M(sat)) != 0)
        return integer_to_float(value > 0 ? 1 : 0, to, rounding);
    return integer_to_float(value, to, rounding);
}

static uint64_t held_bits(const void *held, enum ptx_type type, int lane)
{
    return is_held_wide(type) ? ((const uint64_t *)held)[lane] : ((const uint32_t *)held)[lane];
}

ALU_FUNCTION(convert_any)
{
    const enum ptx_type from = operation->sources[0], to = operation->destinations[0];
    const enum alu_rounding rounding = (enum alu_rounding)operation->detail[0];
    const uint64_t modifiers = alu_modifiers(operation);
    uint64_t results[32];
    for (int lane = 0; lane < 32; ++lane)
        results[lane] =
            alu_lane(active, lane) ? convert(held_bits(sources[0], from, lane), from, to, rounding, modifiers) : 0;
    uint32_t *narrow = destinations[0];
    uint64_t *wide = destinations[0];
    if (is_held_wide(to))
        ALU_LANES(uint64_t, active, wide, results[lane]);
    else
        ALU_LANES(uint32_t, active, narrow, results[lane]);
}

/* cvt.f16x2.f32 and cvt.bf16x2.f32 with whatever modifiers. */
ALU_FUNCTION(convert_pair)
{
    const enum ptx_type to = operation->destinations[0] == PTX_F16X2 ? PTX_F16 : PTX_BF16;
    const enum alu_rounding rounding = (enum alu_rounding)operation->detail[0];
    const uint64_t modifiers = alu_modifiers(operation);
    const uint32_t *high = sources[0], *low = sources[1];
    uint32_t *destination = destinations[0];
    ALU_LANES(uint32_t, active, destination,
              convert(high[lane], PTX_F32, to, rounding, modifiers) << 16 |
                  convert(low[lane], PTX_F32, to, rounding, modifiers));
}

/* cvt.pack.sat: two .s32 clamped to 16 or 8 bits, the second one lowest; c, where there is one, is moved up behind them. */
ALU_FUNCTION(convert_pack)
{
    const enum ptx_type to = (enum ptx_type)operation->detail[1];
    const int bits = 8 * ptx_type_size(to);
    const uint32_t *a = sources[0], *b = sources[1], *c = operation->source_count > 2 ? sources[2] : NULL;
    uint32_t *destination = destinations[0];
    ALU_LANES(uint32_t, active, destination,
              store_integer(clamp_integer((int32_t)b[lane], to), to) |
                  store_integer(clamp_integer((int32_t)a[lane], to), to) << bits |
                  (c != NULL ? (uint64_t)c[lane] << (2 * bits) : 0));
}

/* cvt.rna.tf32.f32: 10 bits of fraction stay, the register is still one of 32 bits. */
ALU_UNARY_SAME(tf32_nearest_away, uint32_t,
               (a & UINT32_C(0x7fffffff)) > UINT32_C(0x7f800000)    ? ALU_NAN_F32
               : (a & UINT32_C(0x7fffffff)) == UINT32_C(0x7f800000) ? a
                                                                    : (a + UINT32_C(0x1000)) & ~UINT32_C(0x1fff))

/* ---- which modifiers go with which types ---- */

static int significant_bits(enum ptx_type type)
{
    return type == PTX_F64 ? 53 : type == PTX_F32 ? 24 : type == PTX_F16 ? 11 : 8;
}
/* A rounding is required where something can be lost, and must be of the right kind. */
static bool rounding_fits(const struct alu_form *form, enum ptx_type from, enum ptx_type to)
{
    const uint64_t of_floats = form->modifiers & (ALU_ROUNDINGS | M(rna)),
                   of_integers = form->modifiers & ALU_INTEGER_ROUNDINGS;
    if (is_float(from) && !is_float(to))
        return of_floats == 0 && alu_one_bit(of_integers);
    if (!is_float(from) && is_float(to))
        return of_integers == 0 && alu_one_bit(of_floats);
    if (!is_float(from))
        return of_integers == 0 && of_floats == 0;
    if (from == to)
        return of_floats == 0 && (of_integers == 0 || alu_one_bit(of_integers));
    const bool narrows = significant_bits(to) < significant_bits(from) || (from == PTX_BF16 && to == PTX_F16);
    return of_integers == 0 && (narrows ? alu_one_bit(of_floats) : of_floats == 0 || alu_one_bit(of_floats));
}
static bool prepare_convert(const struct alu_form *form, struct alu_operation *operation)
{
    const enum ptx_type from = operation->sources[0], to = operation->destinations[0];
    const bool half = to == PTX_F16 || to == PTX_BF16;
    return rounding_fits(form, from, to) &&
           ((form->modifiers & (M(relu) | M(satfinite))) == 0 || (half && from == PTX_F32)) &&
           ((form->modifiers & M(sat)) == 0 || to != PTX_BF16) &&
           ((form->modifiers & M(ftz)) == 0 || from == PTX_F32 || to == PTX_F32);
}
static bool prepare_pair(const struct alu_form *form, struct alu_operation *operation)
{
    (void)operation;
    return alu_one_bit(form->modifiers & ALU_ROUNDINGS) && (form->modifiers & (M(rm) | M(rp))) == 0;
}
static bool prepare_pack(const struct alu_form *form, struct alu_operation *operation)
{
    operation->detail[1] = (int32_t)form->types[0];
    operation->destinations[0] = PTX_B32;
    return true;
}

/* ---- rows ---- */

#define QUICK(to, from, required, operands, run)                                                                       \
    {                                                                                                                  \
        "cvt", to, from, required, 0, operands, run, NULL                                                              \
    }
#define EXTEND_ROW(to, bits, from, H, T) QUICK(to, FROM_##from, 0, "t=o", bits##_from_##from),
#define FROM_u8 PTX_U8
#define FROM_s8 PTX_S8
#define FROM_u16 PTX_U16
#define FROM_s16 PTX_S16
#define FROM_u32 PTX_U32
#define FROM_s32 PTX_S32
#define FROM_u64 PTX_U64
#define FROM_s64 PTX_S64

#define ANY_MODIFIER (ALU_ROUNDINGS | ALU_INTEGER_ROUNDINGS | M(rna) | M(ftz) | M(sat) | M(relu) | M(satfinite))
#define ANY(to, from) {"cvt", to, from, 0, ANY_MODIFIER, "t=o", convert_any, prepare_convert},
#define ANY_FROM(to)                                                                                                   \
    ANY(to, PTX_U8)                                                                                                    \
    ANY(to, PTX_S8)                                                                                                    \
    ANY(to, PTX_U16)                                                                                                   \
    ANY(to, PTX_S16)                                                                                                   \
    ANY(to, PTX_U32)                                                                                                   \
    ANY(to, PTX_S32)                                                                                                   \
    ANY(to, PTX_U64) ANY(to, PTX_S64) ANY(to, PTX_F16) ANY(to, PTX_BF16) ANY(to, PTX_F32) ANY(to, PTX_F64)
#define PACK(to, operands)                                                                                             \
    {                                                                                                                  \
        "cvt", to, PTX_S32, M(pack) | M(sat), 0, operands, convert_pack, prepare_pack                                  \
    }
#define PAIR(to)                                                                                                       \
    {                                                                                                                  \
        "cvt", to, PTX_F32, 0, ALU_ROUNDINGS | M(relu) | M(satfinite), "t=oo", convert_pair, prepare_pair              \
    }

const struct alu_row alu_convert_rows[] = {
    INTEGERS(EXTEND_ROW, PTX_U64, bits64) INTEGERS(EXTEND_ROW, PTX_S64, bits64) INTEGERS(EXTEND_ROW, PTX_U32, bits32)
        INTEGERS(EXTEND_ROW, PTX_S32, bits32) INTEGERS(EXTEND_ROW, PTX_U16, bits16)
            INTEGERS(EXTEND_ROW, PTX_S16, bits16) INTEGERS(EXTEND_ROW, PTX_U8, bits8)
                INTEGERS(EXTEND_ROW, PTX_S8, bits8) QUICK(PTX_F32, PTX_S32, M(rn), "t=o", f32_from_s32),
    QUICK(PTX_F32, PTX_U32, M(rn), "t=o", f32_from_u32),
    QUICK(PTX_F64, PTX_S32, M(rn), "t=o", f64_from_s32),
    QUICK(PTX_F64, PTX_U32, M(rn), "t=o", f64_from_u32),
    QUICK(PTX_F64, PTX_F32, 0, "t=o", f64_from_f32),
    QUICK(PTX_F32, PTX_F64, M(rn), "t=o", f32_from_f64),
    QUICK(PTX_F32, PTX_BF16, 0, "t=o", f32_from_bf16),
    QUICK(PTX_F32, PTX_F16, 0, "t=o", f32_from_f16),
    QUICK(PTX_S32, PTX_F32, M(rzi), "t=o", s32_from_f32),
    QUICK(PTX_U32, PTX_F32, M(rzi), "t=o", u32_from_f32),
    QUICK(PTX_BF16, PTX_F32, M(rn), "t=o", bf16_from_f32),
    QUICK(PTX_F16, PTX_F32, M(rn), "t=o", f16_from_f32),
    QUICK(PTX_BF16X2, PTX_F32, M(rn), "t=oo", bf16x2_from_f32),
    QUICK(PTX_F16X2, PTX_F32, M(rn), "t=oo", f16x2_from_f32),
    PAIR(PTX_F16X2),
    PAIR(PTX_BF16X2),
    PACK(PTX_U16, "t=oo"),
    PACK(PTX_S16, "t=oo"),
    PACK(PTX_U8, "t=oou"),
    PACK(PTX_S8, "t=oou"),
    {"cvt", PTX_F32, PTX_NO_TYPE, M(rna) | M(tf32), 0, "t=t", tf32_nearest_away, NULL},
    ANY_FROM(PTX_U8) ANY_FROM(PTX_S8) ANY_FROM(PTX_U16) ANY_FROM(PTX_S16) ANY_FROM(PTX_U32) ANY_FROM(PTX_S32)
        ANY_FROM(PTX_U64) ANY_FROM(PTX_S64) ANY_FROM(PTX_F16) ANY_FROM(PTX_BF16) ANY_FROM(PTX_F32) ANY_FROM(PTX_F64)
            ALU_END_OF_ROWS,
};
