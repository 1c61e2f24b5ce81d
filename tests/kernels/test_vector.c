/* exp and the conversions of kernels/cpu/vector.h against the C library in double. */
#include "kernels/cpu/vector.h"
#include "support/test_support.h"

#include <math.h>

static float exp_of(float x)
{
    return vector_exp(vector_fill(x))[3];
}

/* Every 61st float of both signs: 70 million bit patterns, in steps of the eight lanes. */
static void exp_is_within_two_units(void **state)
{
    (void)state;
    double worst = 0;
    float worst_at = 0;
    for (uint32_t bits = 0; bits < 0x42c00000u; bits += 8 * 997) /* up to 96 */
        for (int sign = 0; sign < 2; sign++) {
            vector x;
            for (uint32_t j = 0; j < LANES; j++) {
                uint32_t word = (bits + j * 997) | (sign ? 0x80000000u : 0);
                float value;
                memcpy(&value, &word, sizeof value);
                x[j] = value;
            }
            vector y = vector_exp(x);
            for (int j = 0; j < LANES; j++) {
                double exact = exp((double)x[j]);
                if (exact > 3.4028235677973366e38) {
                    if (!(isinf(y[j]) && y[j] > 0))
                        fail_msg("exp(%.9g) = %.9g, expected infinity", (double)x[j], (double)y[j]);
                    continue;
                }
                int exponent;
                frexp(exact, &exponent);
                double unit = ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
                double error = fabs((double)y[j] - exact) / unit;
                if (!(error <= 2))
                    fail_msg("exp(%.9g) = %.9g, expected %.9g: %.2f units in the last place", (double)x[j],
                             (double)y[j], exact, error);
                if (error > worst) {
                    worst = error;
                    worst_at = x[j];
                }
            }
            vector z = vector_exp_probability(x);
            for (int j = 0; j < LANES; j++)
                if (x[j] <= 80 && !(x[j] < -87 ? z[j] == 0 : z[j] == y[j]))
                    fail_msg("probability exp(%.9g) = %.9g, not %.9g", (double)x[j], (double)z[j], (double)y[j]);
        }
    print_message("exp: at most %.3f units in the last place, at %.9g\n", worst, (double)worst_at);
}

static void exp_has_the_right_ends(void **state)
{
    (void)state;
    assert_true(exp_of(0) == 1 && exp_of(-0.0f) == 1);
    assert_true(exp_of(-INFINITY) == 0 && exp_of(-200) == 0 && exp_of(-3e38f) == 0);
    assert_true(isinf(exp_of(INFINITY)) && isinf(exp_of(89)) && isinf(exp_of(3e38f)));
    assert_true(isnan(exp_of(NAN)) && isnan(exp_of(-NAN)));
    assert_true(exp_of(-103.9f) > 0); /* subnormal numbers are not lost */
    vector ends = vector_exp_probability((vector){0, -INFINITY, NAN, -NAN, -1e30f, -88, -0.0f, INFINITY});
    assert_true(ends[0] == 1 && ends[1] == 0 && isnan(ends[2]) && isnan(ends[3]) && ends[4] == 0 && ends[5] == 0 &&
                ends[6] == 1 && isnan(ends[7]));
}

/* Every bf16 read exactly, every 251st float rounded as core/dtype.h does it. */
static void bf16_reads_and_rounds(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i += LANES) {
        bf16 source[LANES];
        for (uint32_t j = 0; j < LANES; j++)
            source[j] = (bf16)(i + j);
        vector v = vector_load(source, 0, LANES, DTYPE_BF16);
        for (int j = 0; j < LANES; j++) {
            uint32_t bits;
            float value = v[j];
            memcpy(&bits, &value, sizeof bits);
            assert_int_equal(bits, (uint32_t)source[j] << 16);
        }
    }
    for (uint64_t i = 0; i < 1ull << 32; i += 8 * 251) {
        vector_bits bits;
        for (uint32_t j = 0; j < LANES; j++)
            bits[j] = (uint32_t)i + j * 251;
        bf16 stored[LANES];
        vector_store(stored, 0, LANES, DTYPE_BF16, (vector)bits);
        for (int j = 0; j < LANES; j++) {
            float value;
            uint32_t word = bits[j];
            memcpy(&value, &word, sizeof value);
            if (stored[j] != bf16_from_float(value))
                fail_msg("%08x rounds to %04x, expected %04x", word, stored[j], bf16_from_float(value));
        }
    }
}

static void parts_touch_nothing_else(void **state)
{
    (void)state;
    for (int64_t count = 1; count <= LANES; count++)
        for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
            size_t size = dtype_size((enum dtype)type);
            char *memory = guarded_allocate((size_t)count * size);
            vector_store(memory, 0, count, (enum dtype)type, vector_fill(-2.5f));
            vector v = vector_load(memory, 0, count, (enum dtype)type);
            for (int64_t j = 0; j < LANES; j++)
                assert_true(v[j] == (j < count ? -2.5f : 0));
            guarded_free(memory);
        }
}

static void sums_and_extremes(void **state)
{
    (void)state;
    vector v = {1, 2, 4, 8, 16, 32, 64, 128};
    assert_true(vector_sum(v) == 255);
    vector a = {1, NAN, -0.0f, INFINITY, 3, -1, -INFINITY, 7}, b = {2, 5, 0, 1, NAN, -2, 0, 7};
    vector high = vector_max(a, b), low = vector_min(a, b);
    assert_true(high[0] == 2 && high[1] == 5 && isinf(high[3]) && isnan(high[4]) && high[5] == -1 && high[6] == 0);
    assert_true(low[0] == 1 && low[1] == 5 && low[3] == 1 && isnan(low[4]) && low[5] == -2 && isinf(low[6]));
    assert_true(vector_square_root(vector_fill(2))[5] == sqrtf(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_two_units), cmocka_unit_test(exp_has_the_right_ends),
        cmocka_unit_test(bf16_reads_and_rounds),   cmocka_unit_test(parts_touch_nothing_else),
        cmocka_unit_test(sums_and_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
