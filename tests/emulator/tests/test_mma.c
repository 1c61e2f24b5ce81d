/* The tensor core's product against a plain triple loop, with fragments filled by the layouts that CuTe publishes for
 * SM80_16x8x16_F32BF16BF16F32_TN (not by the formulas that the emulator uses), as (thread, value) to an offset in a
 * column-major tile:
 *
 *   A 16 x 16   ((4,8),(2,2,2)):((32,1),(16,8,128))
 *   B  8 x 16   ((4,8),(2,2)):((16,1),(8,64))
 *   C 16 x  8   ((4,8),(2,2)):((32,1),(16,8))
 *
 * Small integers make every sum exact, so that results are compared bit for bit in both modes. */
#include "support/test_support.h"

#include "emulator/machine/alu.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The offset of a coordinate that is counted with its first mode fastest. */
static int layout(int index, const int (*modes)[2], int count)
{
    int offset = 0;
    for (int i = 0; i < count; ++i) {
        offset += index % modes[i][0] * modes[i][1];
        index /= modes[i][0];
    }
    return offset;
}
static int layout_a(int lane, int value)
{
    return layout(lane, (const int[][2]){{4, 32}, {8, 1}}, 2) +
           layout(value, (const int[][2]){{2, 16}, {2, 8}, {2, 128}}, 3);
}
static int layout_b(int lane, int value)
{
    return layout(lane, (const int[][2]){{4, 16}, {8, 1}}, 2) + layout(value, (const int[][2]){{2, 8}, {2, 64}}, 2);
}
static int layout_c(int lane, int value)
{
    return layout(lane, (const int[][2]){{4, 32}, {8, 1}}, 2) + layout(value, (const int[][2]){{2, 16}, {2, 8}}, 2);
}

static uint32_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0xffff) != 0)
        fail_msg("%a is no bf16", (double)value);
    return bits >> 16;
}

/* Tiles column-major: a[m + 16 k], b[n + 8 k], c[m + 16 n]. */
struct problem {
    float a[16 * 16], b[8 * 16], c[16 * 8], d[16 * 8];
};

static void run(struct problem *problem, int terms, bool truncate)
{
    uint32_t a[4][32] = {{0}}, b[2][32] = {{0}};
    float c[4][32], d[4][32];
    for (int lane = 0; lane < 32; ++lane) {
        for (int v = 0; v < terms / 2; ++v)
            a[v / 2][lane] |= to_bf16(problem->a[layout_a(lane, v)]) << (16 * (v % 2));
        for (int v = 0; v < terms / 4; ++v)
            b[v / 2][lane] |= to_bf16(problem->b[layout_b(lane, v)]) << (16 * (v % 2));
        for (int v = 0; v < 4; ++v)
            c[v][lane] = problem->c[layout_c(lane, v)];
    }
    if (terms == 16)
        mma_m16n8k16_bf16(d, a, b, c, truncate);
    else
        mma_m16n8k8_bf16(d, a, b, c, truncate);
    for (int lane = 0; lane < 32; ++lane)
        for (int v = 0; v < 4; ++v)
            problem->d[layout_c(lane, v)] = d[v][lane];
}

static void layouts_cover_the_tiles(void **state)
{
    (void)state;
    int a[256] = {0}, b[128] = {0}, c[128] = {0};
    for (int lane = 0; lane < 32; ++lane) {
        for (int v = 0; v < 8; ++v)
            ++a[layout_a(lane, v)];
        for (int v = 0; v < 4; ++v) {
            ++b[layout_b(lane, v)];
            ++c[layout_c(lane, v)];
        }
    }
    for (int i = 0; i < 256; ++i)
        assert_int_equal(a[i], 1);
    for (int i = 0; i < 128; ++i)
        assert_true(b[i] == 1 && c[i] == 1);
}

static float small(struct rng *random)
{
    return (float)((int)rng_below(random, 31) - 15);
}

static void integers_are_exact(void **state)
{
    (void)state;
    struct rng random = rng_make(test_seed(), RNG_TEST, 1, 0);
    for (int round = 0; round < 200; ++round) {
        const int terms = round % 2 == 0 ? 16 : 8;
        struct problem problem;
        for (int i = 0; i < 256; ++i)
            problem.a[i] = small(&random);
        for (int i = 0; i < 128; ++i) {
            problem.b[i] = small(&random);
            problem.c[i] = small(&random) * 1000;
        }
        run(&problem, terms, round % 4 >= 2);
        for (int m = 0; m < 16; ++m)
            for (int n = 0; n < 8; ++n) {
                int expected = (int)problem.c[m + 16 * n];
                for (int k = 0; k < terms; ++k)
                    expected += (int)problem.a[m + 16 * k] * (int)problem.b[n + 8 * k];
                if (problem.d[m + 16 * n] != (float)expected)
                    fail_msg("round %d, d[%d][%d] is %a, expected %d", round, m, n, (double)problem.d[m + 16 * n],
                             expected);
            }
    }
}

static void fill(struct problem *problem, const float a[16], float b, float c)
{
    memset(problem, 0, sizeof *problem);
    for (int i = 0; i < 256; ++i)
        problem->a[i] = a[i / 16];
    for (int i = 0; i < 128; ++i) {
        problem->b[i] = b;
        problem->c[i] = c;
    }
}

/* Cut off: 1 + 2^-24 * 15 keeps nothing of what lies below 1's 24th bit, while rounding each sum of two thirds of a place
 * goes up by one each time. */
static void truncation(void **state)
{
    (void)state;
    struct problem problem;
    const float tiny[16] = {0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f,
                            0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f};
    fill(&problem, tiny, 1.5f, 1.0f);
    run(&problem, 16, true);
    assert_true(problem.d[5] == 1.0f);
    run(&problem, 16, false);
    assert_true(problem.d[5] == 1.0f + 16 * 0x1p-23f);
    run(&problem, 8, false);
    assert_true(problem.d[127] == 1.0f + 8 * 0x1p-23f);

    /* The sign does not matter: magnitudes are cut. */
    fill(&problem, tiny, -1.5f, -1.0f);
    run(&problem, 16, true);
    assert_true(problem.d[9] == -1.0f);

    /* The largest addend decides even when it cancels: 2^30 - 2^30 leaves what survived its grid of 2^7. */
    const float cancel[16] = {0x1p30f, -0x1p30f, 100.0f, 0x1p8f};
    fill(&problem, cancel, 1.0f, 0.0f);
    run(&problem, 16, true);
    assert_true(problem.d[0] == 256.0f);
    run(&problem, 16, false);
    assert_true(problem.d[0] == 356.0f);
}

static void not_numbers(void **state)
{
    (void)state;
    struct problem problem;
    uint32_t bits;
    for (int truncate = 0; truncate < 2; ++truncate) {
        fill(&problem, (const float[16]){INFINITY}, 1.0f, 2.0f);
        run(&problem, 16, truncate != 0);
        assert_true(isinf(problem.d[3]) && problem.d[3] > 0);
        fill(&problem, (const float[16]){INFINITY}, 0.0f, 2.0f);
        run(&problem, 16, truncate != 0);
        memcpy(&bits, &problem.d[3], sizeof bits);
        assert_int_equal(bits, 0x7fffffff);
        fill(&problem, (const float[16]){0x1p127f, 0x1p127f}, 1.0f, 0.0f);
        run(&problem, 16, truncate != 0);
        memcpy(&bits, &problem.d[3], sizeof bits);
        assert_int_equal(bits, 0x7f800000);
    }
}

/* Products that are no integers: within the error of 17 additions of magnitudes below their sum. */
static void close_to_double(void **state)
{
    (void)state;
    struct rng random = rng_make(test_seed(), RNG_TEST, 1, 0);
    for (int round = 0; round < 100; ++round) {
        struct problem problem;
        for (int i = 0; i < 256; ++i)
            problem.a[i] = ldexpf((float)rng_below(&random, 256) - 128, (int)rng_below(&random, 12) - 16);
        for (int i = 0; i < 128; ++i) {
            problem.b[i] = ldexpf((float)rng_below(&random, 256) - 128, (int)rng_below(&random, 12) - 16);
            problem.c[i] = (float)(rng_uniform(&random) - 0.5);
        }
        run(&problem, 16, round % 2 != 0);
        for (int m = 0; m < 16; ++m)
            for (int n = 0; n < 8; ++n) {
                double sum = problem.c[m + 16 * n], magnitude = fabs(sum);
                for (int k = 0; k < 16; ++k) {
                    const double product = (double)problem.a[m + 16 * k] * (double)problem.b[n + 8 * k];
                    sum += product;
                    magnitude += fabs(product);
                }
                if (!(fabs((double)problem.d[m + 16 * n] - sum) <= 18 * 0x1p-23 * magnitude))
                    fail_msg("d[%d][%d] is %g, expected %g", m, n, (double)problem.d[m + 16 * n], sum);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_cover_the_tiles),
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(truncation),
        cmocka_unit_test(not_numbers),
        cmocka_unit_test(close_to_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
