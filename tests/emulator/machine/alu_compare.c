/* setp, set and testp. Two numbers are less, equal, greater or unordered; a comparison is the set of those four for which
 * it holds, so that one loop per type serves all comparisons: .ne is less or greater, .neu also unordered. */
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "emulator/machine/alu_internal.h"
#include "emulator/machine/alu_round.h"

enum { LESS = 1, EQUAL = 2, GREATER = 4, UNORDERED = 8 };

/* Masks that the loops combine, all ones where the comparison holds for such a pair. */
struct relation {
    uint32_t less, equal, greater, unordered;
};
static inline struct relation relation_of(int32_t set)
{
    return (struct relation){.less = (set & LESS) != 0 ? UINT32_MAX : 0,
                             .equal = (set & EQUAL) != 0 ? UINT32_MAX : 0,
                             .greater = (set & GREATER) != 0 ? UINT32_MAX : 0,
                             .unordered = (set & UNORDERED) != 0 ? UINT32_MAX : 0};
}

/* Bit l from the top bit of hits[l]. */
static inline uint32_t gather(const uint32_t hits[32])
{
    uint32_t bits = 0;
#if defined(__SSE2__)
    for (int i = 0; i < 8; ++i) {
        const __m128i four = _mm_loadu_si128((const __m128i *)(const void *)(hits + 4 * i));
        bits |= (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(four)) << (4 * i);
    }
#else
    for (int lane = 0; lane < 32; ++lane)
        bits |= (hits[lane] >> 31) << lane;
#endif
    return bits;
}

/* hits[lane]: all ones where the relation holds. `load` turns held bits into a number of C. */
#define DEFINE_INTEGER(name, H, T)                                                                                     \
    static void name(const struct relation *relation, const void *left, const void *right, uint32_t hits[32])          \
    {                                                                                                                  \
        const H *a = left, *b = right;                                                                                 \
        const uint32_t less = relation->less, equal = relation->equal, greater = relation->greater;                    \
        for (int lane = 0; lane < 32; ++lane)                                                                          \
            hits[lane] = ((T)a[lane] < (T)b[lane] ? less : 0) | ((T)a[lane] == (T)b[lane] ? equal : 0) |               \
                         ((T)a[lane] > (T)b[lane] ? greater : 0);                                                      \
    }
DEFINE_INTEGER(compare_u16, uint32_t, uint16_t)
DEFINE_INTEGER(compare_s16, uint32_t, int16_t)
DEFINE_INTEGER(compare_u32, uint32_t, uint32_t)
DEFINE_INTEGER(compare_s32, uint32_t, int32_t)
DEFINE_INTEGER(compare_u64, uint64_t, uint64_t)
DEFINE_INTEGER(compare_s64, uint64_t, int64_t)

#define DEFINE_FLOAT(name, H, T, load)                                                                                 \
    static void name(const struct relation *relation, const void *left, const void *right, uint32_t hits[32])          \
    {                                                                                                                  \
        const H *a = left, *b = right;                                                                                 \
        const uint32_t less = relation->less, equal = relation->equal, greater = relation->greater,                    \
                       unordered = relation->unordered;                                                                \
        for (int lane = 0; lane < 32; ++lane) {                                                                        \
            const T x = load(a[lane]), y = load(b[lane]);                                                              \
            hits[lane] = (x < y ? less : 0) | (x == y ? equal : 0) | (x > y ? greater : 0) |                           \
                         (x != x || y != y ? unordered : 0);                                                           \
        }                                                                                                              \
    }
#define FLUSHED(bits) alu_float(alu_flush(bits))
#define HIGH_F16(bits) alu_from_f16((bits) >> 16)
#define HIGH_BF16(bits) alu_from_bf16((bits) >> 16)
/* .ftz of f16: subnormal numbers are below 2^-14. */
#define F16_FLUSHED(bits) alu_from_f16(((bits)&0x7c00) == 0 ? (bits)&0x8000 : (bits))
#define HIGH_F16_FLUSHED(bits) F16_FLUSHED((bits) >> 16)
DEFINE_FLOAT(compare_f32, uint32_t, float, alu_float)
DEFINE_FLOAT(compare_f32_ftz, uint32_t, float, FLUSHED)
DEFINE_FLOAT(compare_f64, uint64_t, double, alu_double)
DEFINE_FLOAT(compare_f16, uint32_t, float, alu_from_f16)
DEFINE_FLOAT(compare_f16_ftz, uint32_t, float, F16_FLUSHED)
DEFINE_FLOAT(compare_bf16, uint32_t, float, alu_from_bf16)
DEFINE_FLOAT(compare_high_f16, uint32_t, float, HIGH_F16)
DEFINE_FLOAT(compare_high_f16_ftz, uint32_t, float, HIGH_F16_FLUSHED)
DEFINE_FLOAT(compare_high_bf16, uint32_t, float, HIGH_BF16)

typedef void (*compare)(const struct relation *, const void *, const void *, uint32_t hits[32]);

/* Which comparisons a type has: integers in two signednesses, bits (only eq and ne), floats. */
enum family { UNSIGNED, SIGNED, BITS, FLOAT };
struct comparison {
    enum ptx_type type;
    enum family family;
    compare low, low_ftz, high, high_ftz; /* high: the second half of a packed register */
};
static const struct comparison comparisons[] = {
    {PTX_S32, SIGNED, compare_s32, NULL, NULL, NULL},
    {PTX_U32, UNSIGNED, compare_u32, NULL, NULL, NULL},
    {PTX_B32, BITS, compare_u32, NULL, NULL, NULL},
    {PTX_F32, FLOAT, compare_f32, compare_f32_ftz, NULL, NULL},
    {PTX_S64, SIGNED, compare_s64, NULL, NULL, NULL},
    {PTX_U64, UNSIGNED, compare_u64, NULL, NULL, NULL},
    {PTX_B64, BITS, compare_u64, NULL, NULL, NULL},
    {PTX_F64, FLOAT, compare_f64, NULL, NULL, NULL},
    {PTX_S16, SIGNED, compare_s16, NULL, NULL, NULL},
    {PTX_U16, UNSIGNED, compare_u16, NULL, NULL, NULL},
    {PTX_B16, BITS, compare_u16, NULL, NULL, NULL},
    {PTX_F16, FLOAT, compare_f16, compare_f16_ftz, NULL, NULL},
    {PTX_BF16, FLOAT, compare_bf16, NULL, NULL, NULL},
    {PTX_F16X2, FLOAT, compare_f16, compare_f16_ftz, compare_high_f16, compare_high_f16_ftz},
    {PTX_BF16X2, FLOAT, compare_bf16, NULL, compare_high_bf16, NULL},
};
enum { COMPARISONS = sizeof comparisons / sizeof comparisons[0] };

struct relation_name {
    uint64_t modifier;
    int32_t set;
    bool families[4]; /* unsigned, signed, bits, float */
};
static const struct relation_name relation_names[] = {
    {M(eq), EQUAL, {true, true, true, true}},
    {M(ne), LESS | GREATER, {true, true, true, true}},
    {M(lt), LESS, {true, true, false, true}},
    {M(le), LESS | EQUAL, {true, true, false, true}},
    {M(gt), GREATER, {true, true, false, true}},
    {M(ge), GREATER | EQUAL, {true, true, false, true}},
    {M(lo), LESS, {true, false, false, false}},
    {M(ls), LESS | EQUAL, {true, false, false, false}},
    {M(hi), GREATER, {true, false, false, false}},
    {M(hs), GREATER | EQUAL, {true, false, false, false}},
    {M(equ), EQUAL | UNORDERED, {false, false, false, true}},
    {M(neu), LESS | GREATER | UNORDERED, {false, false, false, true}},
    {M(ltu), LESS | UNORDERED, {false, false, false, true}},
    {M(leu), LESS | EQUAL | UNORDERED, {false, false, false, true}},
    {M(gtu), GREATER | UNORDERED, {false, false, false, true}},
    {M(geu), GREATER | EQUAL | UNORDERED, {false, false, false, true}},
    {M(num), LESS | EQUAL | GREATER, {false, false, false, true}},
    {M(nan), UNORDERED, {false, false, false, true}},
};
enum { RELATION_NAMES = sizeof relation_names / sizeof relation_names[0] };

/* What prepare_comparison leaves in detail: [0] the relation, [1] which comparison, [2] whether the third predicate is
 * negated (all ones). */
static bool prepare_comparison(const struct alu_form *form, struct alu_operation *operation)
{
    const uint64_t named = form->modifiers & ALU_COMPARISONS, boolean = form->modifiers & ALU_BOOLEANS;
    const enum ptx_type type = operation->sources[0];
    const bool combines = operation->source_count == 3;
    if (!alu_one_bit(named) || (combines ? !alu_one_bit(boolean) : boolean != 0))
        return false;
    operation->detail[2] = combines && form->sources[2]->negated ? -1 : 0;
    for (int i = 0; i < COMPARISONS; ++i) {
        const struct comparison *comparison = &comparisons[i];
        if (comparison->type != type || ((form->modifiers & M(ftz)) != 0 && comparison->low_ftz == NULL))
            continue;
        operation->detail[1] = i;
        for (int k = 0; k < RELATION_NAMES; ++k)
            if (relation_names[k].modifier == named) {
                operation->detail[0] = relation_names[k].set;
                return relation_names[k].families[comparison->family];
            }
    }
    return false;
}

/* .and, .or, .xor with the third source, if there is one. */
static uint32_t combine(const struct alu_operation *operation, const void *const *sources, uint32_t bits)
{
    if (operation->source_count < 3)
        return bits;
    const uint64_t modifiers = alu_modifiers(operation);
    const uint32_t other = *(const uint32_t *)sources[2] ^ (uint32_t)operation->detail[2];
    return (modifiers & M(and)) != 0 ? bits & other : (modifiers & M(or)) != 0 ? bits | other : bits ^ other;
}

static uint32_t run_comparison(const struct alu_operation *operation, const void *const *sources, bool high)
{
    const struct comparison *comparison = &comparisons[operation->detail[1]];
    const struct relation relation = relation_of(operation->detail[0]);
    const bool flush = (alu_modifiers(operation) & M(ftz)) != 0;
    uint32_t hits[32];
    (high    ? flush ? comparison->high_ftz : comparison->high
     : flush ? comparison->low_ftz
             : comparison->low)(&relation, sources[0], sources[1], hits);
    return gather(hits);
}

static void write_predicate(void *destination, uint32_t bits, uint32_t active)
{
    uint32_t *held = destination;
    if (held != NULL)
        *held = alu_merge(*held, bits, active);
}

ALU_FUNCTION(set_predicate)
{
    const uint32_t bits = run_comparison(operation, sources, false);
    const uint32_t p = combine(operation, sources, bits), q = combine(operation, sources, ~bits);
    write_predicate(destinations[0], p, active);
    if (operation->destination_count > 1)
        write_predicate(destinations[1], q, active);
}
/* Of packed halves the first destination is the low one's, the second the high one's. */
ALU_FUNCTION(set_predicates_packed)
{
    const uint32_t low = run_comparison(operation, sources, false), high = run_comparison(operation, sources, true);
    const uint32_t p = combine(operation, sources, low), q = combine(operation, sources, high);
    write_predicate(destinations[0], p, active);
    write_predicate(destinations[1], q, active);
}

/* ---- set: a value per lane ---- */

static uint32_t true_value(enum ptx_type type)
{
    switch (type) {
    case PTX_F32:
        return UINT32_C(0x3f800000);
    case PTX_F16:
        return 0x3c00;
    case PTX_BF16:
        return 0x3f80;
    case PTX_F16X2:
        return UINT32_C(0x3c003c00);
    case PTX_BF16X2:
        return UINT32_C(0x3f803f80);
    case PTX_U16:
    case PTX_S16:
        return 0xffff;
    default:
        return UINT32_MAX;
    }
}
ALU_FUNCTION(set_value)
{
    const uint32_t yes = true_value(operation->destinations[0]);
    const uint32_t bits = combine(operation, sources, run_comparison(operation, sources, false));
    uint32_t *destination = destinations[0];
    ALU_LANES(uint32_t, active, destination, alu_lane(bits, lane) ? yes : 0);
}
ALU_FUNCTION(set_values_packed)
{
    const uint32_t yes = true_value(operation->destinations[0]);
    const uint32_t low = combine(operation, sources, run_comparison(operation, sources, false));
    const uint32_t high = combine(operation, sources, run_comparison(operation, sources, true));
    uint32_t *destination = destinations[0];
    ALU_LANES(uint32_t, active, destination,
              (alu_lane(low, lane) ? yes & 0xffff : 0) | (alu_lane(high, lane) ? yes & UINT32_C(0xffff0000) : 0));
}

/* ---- testp ---- */

/* The class of a float of which `magnitude` is the bits without sign. */
#define DEFINE_TEST(name, H, infinity, normal_from)                                                                      \
    ALU_FUNCTION(name)                                                                                                   \
    {                                                                                                                    \
        const uint64_t modifiers = alu_modifiers(operation);                                                             \
        const H *a = sources[0];                                                                                         \
        uint32_t bits = 0;                                                                                               \
        for (int lane = 0; lane < 32; ++lane) {                                                                          \
            const H magnitude = (H)(a[lane] << 1) >> 1;                                                                  \
            const bool number = magnitude <= (infinity);                                                                 \
            const bool holds = (modifiers & M(finite)) != 0       ? magnitude < (infinity)                               \
                               : (modifiers & M(infinite)) != 0   ? magnitude == (infinity)                              \
                               : (modifiers & M(number)) != 0     ? number                                               \
                               : (modifiers & M(notanumber)) != 0 ? !number                                              \
                               : (modifiers & M(normal)) != 0     ? magnitude >= (normal_from) && magnitude < (infinity) \
                                                                  : magnitude < (normal_from) && magnitude != 0;             \
            bits |= (uint32_t)holds << lane;                                                                             \
        }                                                                                                                \
        write_predicate(destinations[0], bits, active);                                                                  \
    }
DEFINE_TEST(test_f32, uint32_t, UINT32_C(0x7f800000), UINT32_C(0x00800000))
DEFINE_TEST(test_f64, uint64_t, UINT64_C(0x7ff0000000000000), UINT64_C(0x0010000000000000))
static bool prepare_test(const struct alu_form *form, struct alu_operation *operation)
{
    (void)operation;
    return alu_one_bit(form->modifiers);
}
#define CLASSES (M(finite) | M(infinite) | M(number) | M(notanumber) | M(normal) | M(subnormal))

/* ---- rows ---- */

#define MODIFIERS (ALU_COMPARISONS | ALU_BOOLEANS | M(ftz))
#define SETP(type, operands, run)                                                                                      \
    {                                                                                                                  \
        "setp", type, PTX_NO_TYPE, 0, MODIFIERS, operands, run, prepare_comparison                                     \
    }
#define SETP_ROWS(type)                                                                                                \
    SETP(type, "p=tt", set_predicate), SETP(type, "p=ttp", set_predicate), SETP(type, "pp=tt", set_predicate),         \
        SETP(type, "pp=ttp", set_predicate)
#define SET(type, other, run)                                                                                          \
    {"set", type, other, 0, MODIFIERS, "t=oo", run, prepare_comparison},                                               \
    {                                                                                                                  \
        "set", type, other, 0, MODIFIERS, "t=oop", run, prepare_comparison                                             \
    }
#define SET_ROWS(other) SET(PTX_U32, other, set_value), SET(PTX_S32, other, set_value), SET(PTX_F32, other, set_value)
#define SET_HALF_ROWS(half)                                                                                            \
    SET(PTX_U32, half, set_value), SET(PTX_S32, half, set_value), SET(PTX_U16, half, set_value),                       \
        SET(PTX_S16, half, set_value), SET(half, half, set_value)

const struct alu_row alu_compare_rows[] = {
    SETP_ROWS(PTX_S32),
    SETP_ROWS(PTX_U32),
    SETP_ROWS(PTX_F32),
    SETP_ROWS(PTX_S64),
    SETP_ROWS(PTX_U64),
    SETP_ROWS(PTX_B32),
    SETP_ROWS(PTX_B64),
    SETP_ROWS(PTX_F64),
    SETP_ROWS(PTX_S16),
    SETP_ROWS(PTX_U16),
    SETP_ROWS(PTX_B16),
    SETP_ROWS(PTX_F16),
    SETP_ROWS(PTX_BF16),
    SETP(PTX_F16X2, "pp=tt", set_predicates_packed),
    SETP(PTX_F16X2, "pp=ttp", set_predicates_packed),
    SETP(PTX_BF16X2, "pp=tt", set_predicates_packed),
    SETP(PTX_BF16X2, "pp=ttp", set_predicates_packed),
    SET_ROWS(PTX_S32),
    SET_ROWS(PTX_U32),
    SET_ROWS(PTX_B32),
    SET_ROWS(PTX_F32),
    SET_ROWS(PTX_S64),
    SET_ROWS(PTX_U64),
    SET_ROWS(PTX_B64),
    SET_ROWS(PTX_F64),
    SET_ROWS(PTX_S16),
    SET_ROWS(PTX_U16),
    SET_ROWS(PTX_B16),
    SET_HALF_ROWS(PTX_F16),
    SET_HALF_ROWS(PTX_BF16),
    SET(PTX_F16X2, PTX_F16X2, set_values_packed),
    SET(PTX_BF16X2, PTX_BF16X2, set_values_packed),
    SET(PTX_U32, PTX_F16X2, set_values_packed),
    SET(PTX_U32, PTX_BF16X2, set_values_packed),
    {"testp", PTX_F32, PTX_NO_TYPE, 0, CLASSES, "p=t", test_f32, prepare_test},
    {"testp", PTX_F64, PTX_NO_TYPE, 0, CLASSES, "p=t", test_f64, prepare_test},
    ALU_END_OF_ROWS,
};
