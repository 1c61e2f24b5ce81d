/* The functions that PTX only approximates, against long double: inside the error that PTX ISA documents for each, and
 * exactly what its tables say for zeros, infinities, NaN and subnormal numbers. */
#include "emulator/tests/alu_fixture.h"

#include <math.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static long double bf16_value(uint32_t bits)
{
    return float_of(bits << 16);
}
static long double f16_value(uint32_t bits)
{
    const int exponent = (int)(bits >> 10 & 31);
    const long double fraction = bits & 1023;
    const long double magnitude = exponent == 31  ? (fraction != 0 ? (long double)NAN : (long double)INFINITY)
                                  : exponent == 0 ? ldexpl(fraction, -24)
                                                  : ldexpl(1024 + fraction, exponent - 25);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}
static long double f32_value(uint32_t bits)
{
    return float_of(bits);
}

static long double reciprocal(long double x)
{
    return 1 / x;
}
static long double inverse_root(long double x)
{
    return 1 / sqrtl(x);
}

/* How far a result may be off: by so many units in the last place of an f32, relative to it, or absolutely. */
enum measure { ULP, RELATIVE, ABSOLUTE };

struct function {
    const char *text;
    long double (*reference)(long double);
    long double (*value)(uint32_t bits);
    enum measure measure;
    long double allowed;
    float low, high; /* operands, evenly by their bits (f32) or all of them (halves) */
};
static const struct function functions[] = {
    {"rcp.approx.f32 %r0, %r1;", reciprocal, f32_value, ULP, 1, 1e-37f, 1e37f},
    {"rcp.approx.ftz.f32 %r0, %r1;", reciprocal, f32_value, ULP, 1, 1e-37f, 1e37f},
    {"sqrt.approx.f32 %r0, %r1;", sqrtl, f32_value, RELATIVE, 0x1p-23L, 1e-37f, 1e38f},
    {"sqrt.approx.ftz.f32 %r0, %r1;", sqrtl, f32_value, RELATIVE, 0x1p-23L, 1e-37f, 1e38f},
    {"rsqrt.approx.f32 %r0, %r1;", inverse_root, f32_value, RELATIVE, 0x1p-22L, 1e-37f, 1e38f},
    {"rsqrt.approx.ftz.f32 %r0, %r1;", inverse_root, f32_value, RELATIVE, 0x1p-22L, 1e-37f, 1e38f},
    {"ex2.approx.f32 %r0, %r1;", exp2l, f32_value, ULP, 2, 1e-30f, 127.9f},
    {"ex2.approx.ftz.f32 %r0, %r1;", exp2l, f32_value, ULP, 2, 1e-30f, 125.9f},
    {"lg2.approx.f32 %r0, %r1;", log2l, f32_value, ABSOLUTE, 0x1p-22L, 0.5f, 2.0f},
    {"lg2.approx.ftz.f32 %r0, %r1;", log2l, f32_value, RELATIVE, 0x1p-22L, 2.0f, 1e38f},
    {"sin.approx.f32 %r0, %r1;", sinl, f32_value, ABSOLUTE, 0x1p-20L, 1e-20f, 6.28f},
    {"cos.approx.ftz.f32 %r0, %r1;", cosl, f32_value, ABSOLUTE, 0x1p-20L, 1e-20f, 6.28f},
    {"tanh.approx.f32 %r0, %r1;", tanhl, f32_value, RELATIVE, 0x1p-11L, 1e-30f, 20.0f},
    {"ex2.approx.f16 %h0, %h1;", exp2l, f16_value, RELATIVE, 0x1p-9L, 0, 0},
    {"tanh.approx.f16 %h0, %h1;", tanhl, f16_value, ABSOLUTE, 0x1p-10L, 0, 0},
    {"ex2.approx.ftz.bf16 %h0, %h1;", exp2l, bf16_value, RELATIVE, 0x1p-7L, 0, 0},
    {"tanh.approx.bf16 %h0, %h1;", tanhl, bf16_value, ABSOLUTE, 0x1p-8L, 0, 0},
};

static long double error_of(const struct function *function, long double found, long double expected)
{
    const long double error = fabsl(found - expected);
    if (function->measure == ABSOLUTE)
        return error;
    if (function->measure == RELATIVE)
        return error / fabsl(expected);
    int exponent;
    frexpl(expected, &exponent);
    return error / ldexpl(1, (exponent > -125 ? exponent : -125) - 24);
}

static void check(const struct function *function, const struct alu_operation *operation,
                  const union alu_held *operands)
{
    union alu_held results;
    memset(&results, 0, sizeof results);
    operation->run(operation, (void *[]){&results}, (const void *[]){operands}, UINT32_MAX);
    const bool half = function->value != f32_value;
    for (int lane = 0; lane < 32; ++lane) {
        const long double operand = function->value(operands->narrow[lane]);
        const long double expected = function->reference(operand), found = function->value(results.narrow[lane]);
        /* Results that are subnormal or beyond a half's range are edges, not approximations. */
        const long double smallest = function->value == f16_value ? 0x1p-14L : 0x1p-126L;
        const long double largest = function->value == f16_value ? 65504 : 0x1.fep127L;
        const bool plain = isfinite(operand) && fabsl(operand) >= smallest &&
                           (function->measure == ABSOLUTE || fabsl(expected) >= smallest) && fabsl(expected) <= largest;
        if (!half || plain) {
            const long double error = error_of(function, found, expected);
            if (!(error <= function->allowed))
                fail_msg("%s of %La: %La, expected %La, error %Lg", function->text, operand, found, expected, error);
        }
    }
}

static void inside_the_documented_error(void **state)
{
    (void)state;
    struct rng random = rng_make(test_seed(), RNG_TEST, 1, 0);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; ++i) {
        const struct function *function = &functions[i];
        struct alu_operation operation;
        alu_require(function->text, &operation);
        const bool half = function->value != f32_value, negative = strncmp(function->text, "ex2", 3) == 0 ||
                                                                   strncmp(function->text, "sin", 3) == 0 ||
                                                                   strncmp(function->text, "tanh", 4) == 0;
        const uint32_t low = bits_of(function->low), high = bits_of(function->high);
        for (int round = 0; round < 2048; ++round) {
            union alu_held operands;
            for (int lane = 0; lane < 32; ++lane)
                operands.narrow[lane] = half ? (uint32_t)(round * 32 + lane)
                                             : (low + (uint32_t)rng_below(&random, high - low)) |
                                                   (negative && lane % 2 != 0 ? 0x80000000u : 0);
            check(function, &operation, &operands);
        }
    }
}

/* Operand and result as bits, from the tables of PTX ISA. */
struct edge {
    const char *text;
    struct {
        uint32_t operand, result;
    } cases[12];
};
enum {
    INF = 0x7f800000,
    NEG = INT32_MIN,
    NOT = 0x7fffffff,
    ONE = 0x3f800000,
    END = 0x12345678 /* ends a list */
};
#define NEG_INF 0xff800000u
#define NEG_ZERO 0x80000000u
static const struct edge edges[] = {
    {"rcp.approx.f32 %r0, %r1;",
     {{0, INF},
      {NEG_ZERO, NEG_INF},
      {INF, 0},
      {NEG_INF, NEG_ZERO},
      {0x7fc00000, NOT},
      {1, INF},
      {ONE, ONE},
      {END, END}}},
    {"rcp.approx.ftz.f32 %r0, %r1;",
     {{1, INF}, {0x807fffff, NEG_INF}, {0x7f7fffff, 0}, {0xff7fffff, NEG_ZERO}, {END, END}}},
    {"sqrt.approx.f32 %r0, %r1;",
     {{0, 0},
      {NEG_ZERO, NEG_ZERO},
      {INF, INF},
      {NEG_INF, NOT},
      {0xbf800000, NOT},
      {0x40800000, 0x40000000},
      {END, END}}},
    {"sqrt.approx.ftz.f32 %r0, %r1;", {{1, 0}, {0x80000001, NEG_ZERO}, {END, END}}},
    {"rsqrt.approx.f32 %r0, %r1;",
     {{0, INF}, {NEG_ZERO, NEG_INF}, {INF, 0}, {0xbf800000, NOT}, {0x40800000, 0x3f000000}, {END, END}}},
    {"rsqrt.approx.ftz.f32 %r0, %r1;", {{1, INF}, {0x80000001, NEG_INF}, {END, END}}},
    {"ex2.approx.f32 %r0, %r1;",
     {{0, ONE},
      {NEG_ZERO, ONE},
      {INF, INF},
      {NEG_INF, 0},
      {NOT, NOT},
      {1, ONE},
      {0x43000000, INF},        /* 2^128 */
      {0xc3150000, 1},          /* 2^-149 */
      {0xc3160000, 0},          /* 2^-150: half of the smallest, to even */
      {0xc2fe0000, 0x00400000}, /* 2^-127 */
      {0x41200000, 0x44800000}, /* 2^10 */
      {END, END}}},
    {"ex2.approx.ftz.f32 %r0, %r1;", {{0xc2fe0000, 0}, {0xc2fc0000, 0x00800000}, {0x80000001, ONE}, {END, END}}},
    {"lg2.approx.f32 %r0, %r1;",
     {{0, NEG_INF},
      {NEG_ZERO, NEG_INF},
      {INF, INF},
      {0xbf800000, NOT},
      {ONE, 0},
      {1, 0xc3150000},
      {0x44800000, 0x41200000},
      {END, END}}},
    {"lg2.approx.ftz.f32 %r0, %r1;", {{1, NEG_INF}, {0x80000001, NEG_INF}, {END, END}}},
    {"sin.approx.f32 %r0, %r1;", {{0, 0}, {NEG_ZERO, NEG_ZERO}, {INF, NOT}, {NEG_INF, NOT}, {END, END}}},
    {"cos.approx.f32 %r0, %r1;", {{0, ONE}, {NEG_ZERO, ONE}, {INF, NOT}, {END, END}}},
    {"tanh.approx.f32 %r0, %r1;",
     {{0, 0}, {NEG_ZERO, NEG_ZERO}, {INF, ONE}, {NEG_INF, 0xbf800000}, {NOT, NOT}, {END, END}}},
    {"ex2.approx.f16 %h0, %h1;",
     {{0, 0x3c00}, {0x7c00, 0x7c00}, {0xfc00, 0}, {0x7fff, 0x7fff}, {0x4c00, 0x7c00}, {END, END}}},
    {"ex2.approx.ftz.bf16 %h0, %h1;", {{0, 0x3f80}, {0x7f80, 0x7f80}, {0xff80, 0}, {0x7fff, 0x7fff}, {END, END}}},
    {"ex2.approx.f16x2 %r0, %r1;", {{0xc0003c00, 0x34004000}, {0x7c00fc00, 0x7c000000}, {END, END}}},
    {"ex2.approx.ftz.bf16x2 %r0, %r1;", {{0xc0003f80, 0x3e804000}, {END, END}}},
    {"tanh.approx.f16x2 %r0, %r1;", {{0x7c00fc00, 0x3c00bc00}, {0x80000000, 0x80000000}, {END, END}}},
    {"tanh.approx.bf16x2 %r0, %r1;", {{0x7f80ff80, 0x3f80bf80}, {END, END}}},
};

static void edges_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; ++i) {
        struct alu_operation operation;
        alu_require(edges[i].text, &operation);
        assert_true(operation.special_function);
        for (int k = 0; edges[i].cases[k].operand != END; ++k) {
            union alu_held operand, result;
            for (int lane = 0; lane < 32; ++lane)
                operand.narrow[lane] = edges[i].cases[k].operand;
            memset(&result, 0, sizeof result);
            operation.run(&operation, (void *[]){&result}, (const void *[]){&operand}, UINT32_MAX);
            if (result.narrow[31] != edges[i].cases[k].result)
                fail_msg("%s of %08x: %08x, expected %08x", edges[i].text, edges[i].cases[k].operand, result.narrow[31],
                         edges[i].cases[k].result);
        }
    }
}

static uint32_t divide(const struct alu_operation *operation, uint32_t a, uint32_t b)
{
    union alu_held x, y, result;
    for (int lane = 0; lane < 32; ++lane) {
        x.narrow[lane] = a;
        y.narrow[lane] = b;
    }
    operation->run(operation, (void *[]){&result}, (const void *[]){&x, &y}, UINT32_MAX);
    return result.narrow[7];
}

/* div.approx and div.full: 2 units in the last place; .approx loses divisors above 2^126. */
static void divisions(void **state)
{
    (void)state;
    struct rng random = rng_make(test_seed(), RNG_TEST, 1, 0);
    static const char *const texts[] = {"div.approx.f32 %r0, %r1, %r2;", "div.approx.ftz.f32 %r0, %r1, %r2;",
                                        "div.full.f32 %r0, %r1, %r2;", "div.full.ftz.f32 %r0, %r1, %r2;"};
    for (int i = 0; i < 4; ++i) {
        struct alu_operation operation;
        alu_require(texts[i], &operation);
        for (int round = 0; round < 4096; ++round) {
            const uint32_t a = 0x20000000u + (uint32_t)rng_below(&random, 0x40000000u);
            const uint32_t b = 0x20000000u + (uint32_t)rng_below(&random, 0x40000000u);
            const long double expected = (long double)float_of(a) / float_of(b),
                              found = float_of(divide(&operation, a, b));
            if (fabsl(expected) < 0x1p-126L || fabsl(expected) > 0x1.fffffep127L)
                continue;
            int exponent;
            frexpl(expected, &exponent);
            if (!(fabsl(found - expected) <= 2 * ldexpl(1, exponent - 24)))
                fail_msg("%s: %08x / %08x is %La, expected %La", texts[i], a, b, found, expected);
        }
        assert_int_equal(divide(&operation, 0, 0), NOT);
        assert_int_equal(divide(&operation, ONE, 0), INF);
        assert_int_equal(divide(&operation, ONE, NEG_ZERO), NEG_INF);
    }
    struct alu_operation operation;
    alu_require(texts[0], &operation);
    assert_int_equal(divide(&operation, 0x7e900000, 0x7e900000), 0); /* 2^126 * 1.125, both */
    assert_int_equal(divide(&operation, 0xfe900000u, 0x7e900000), NEG_ZERO);
    assert_int_equal(divide(&operation, INF, 0x7e900000), NOT);
    assert_int_equal(divide(&operation, 0x7e800000, 0x7e800000), ONE);
    alu_require(texts[2], &operation);
    assert_int_equal(divide(&operation, 0x7e900000, 0x7e900000), ONE);
}

/* rcp.approx.ftz.f64 and rsqrt.approx.ftz.f64 give the upper half of a rough result. */
static void rough_doubles(void **state)
{
    (void)state;
    struct rng random = rng_make(test_seed(), RNG_TEST, 1, 0);
    static const char *const texts[] = {"rcp.approx.ftz.f64 %q0, %q1;", "rsqrt.approx.ftz.f64 %q0, %q1;",
                                        "rsqrt.approx.f64 %q0, %q1;"};
    for (int i = 0; i < 3; ++i) {
        struct alu_operation operation;
        alu_require(texts[i], &operation);
        for (int round = 0; round < 1000; ++round) {
            union alu_held operand, result;
            double value, found;
            for (int lane = 0; lane < 32; ++lane)
                operand.wide[lane] = UINT64_C(0x3000000000000000) + (rng_u64(&random) >> 3);
            operation.run(&operation, (void *[]){&result}, (const void *[]){&operand}, UINT32_MAX);
            memcpy(&value, &operand.wide[3], sizeof value);
            memcpy(&found, &result.wide[3], sizeof found);
            const double expected = i == 0 ? 1 / value : 1 / sqrt(value);
            if (!(fabs(found - expected) <= 0x1p-18 * expected))
                fail_msg("%s of %a: %a, expected %a", texts[i], value, found, expected);
            if (i < 2)
                assert_int_equal(result.wide[3] & 0xffffffffu, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inside_the_documented_error),
        cmocka_unit_test(edges_are_exact),
        cmocka_unit_test(divisions),
        cmocka_unit_test(rough_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
