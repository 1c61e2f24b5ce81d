/* Kernels as nvcc compiles them (machine/kernels.cu), against the same computed in C in double precision or in integers:
 * in every order of blocks and warps with equal bits, with and without checks, and with the defects that the checkers must
 * find. */
#include "support/test_support.h"

#include "emulator/machine/machine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct machine *machine;

static int load_kernels(void **state)
{
    (void)state;
    char path[4096], error[512];
    struct machine_settings settings;
    snprintf(path, sizeof path, "%s/tests/emulator/tests/machine/kernels.ptx", TEST_SOURCE_DIRECTORY);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("cannot open %s", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size_t length = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(length);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, length, file), length);
    fclose(file);
    struct ptx_module *module = ptx_parse(text, length, error, sizeof error);
    free(text);
    if (module == NULL)
        fail_msg("%s", error);
    machine_default_settings(&settings);
    machine = machine_create(&settings);
    assert_non_null(machine);
    if (!machine_load(machine, module, error, sizeof error))
        fail_msg("%s", error);
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    machine_destroy(machine);
    return 0;
}

static uint64_t upload(const void *host, size_t bytes)
{
    uint64_t address = machine_allocate(machine, bytes);
    assert_int_not_equal(address, 0);
    if (host != NULL)
        machine_write(machine, address, host, bytes);
    return address;
}

static bool launch(const char *name, uint32_t x, uint32_t y, uint32_t threads, uint64_t dynamic, const void *parameters)
{
    struct machine_launch launch = {.kernel = machine_find_kernel(machine, name),
                                    .grid = {x, y, 1},
                                    .block = {threads, 1, 1},
                                    .dynamic_shared = dynamic,
                                    .parameters = parameters};
    assert_non_null(launch.kernel);
    return machine_run(machine, &launch);
}

static void print_reports(void)
{
    char text[1024];
    for (int64_t i = 0; i < machine_report_count(machine); i++) {
        machine_format_report(machine_report_at(machine, i), text, sizeof text);
        print_error("%s", text);
    }
}

static void no_reports(void)
{
    print_reports();
    assert_int_equal(machine_report_count(machine), 0);
}

static void expect_report(const char *name, enum machine_check check)
{
    bool found = false;
    for (int64_t i = 0; i < machine_report_count(machine); i++) {
        const struct machine_report *report = machine_report_at(machine, i);
        found |= report->check == check && strcmp(report->access.file, "kernels.cu") == 0 && report->access.line > 0;
    }
    if (!found) {
        print_reports();
        fail_msg("%s: a report of %s is expected", name, machine_check_name(check));
    }
    machine_clear_reports(machine);
}

static uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static float float_of(uint16_t bf16)
{
    uint32_t bits = (uint32_t)bf16 << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* Runs in every order and with checks off: the bits of `out` stay those of the first run, which is returned. */
static void run_in_all_orders(const char *name, uint32_t x, uint32_t y, uint32_t threads, uint64_t dynamic,
                              const void *parameters, uint64_t out, void *result, size_t bytes, bool clear)
{
    void *again = malloc(bytes);
    assert_non_null(again);
    for (int run = 0; run < 5; run++) {
        machine_settings(machine)->order = run == 4 ? MACHINE_SHUFFLED : (enum machine_order)(run % 3);
        machine_settings(machine)->seed = (uint64_t)run;
        machine_settings(machine)->checks = run != 3;
        machine_fill(machine, out, clear ? 0 : 0xCD, bytes);
        if (!clear)
            machine_mark_defined(machine, out, bytes, false);
        assert_true(launch(name, x, y, threads, dynamic, parameters));
        no_reports();
        machine_read(machine, out, run == 0 ? result : again, bytes, true);
        no_reports();
        if (run > 0)
            assert_memory_equal(again, result, bytes);
    }
    machine_settings(machine)->order = MACHINE_FORWARD;
    machine_settings(machine)->checks = true;
    free(again);
}

/* ---- RMSNorm ---- */

enum { ROWS = 9, COLUMNS = 337 };

struct norm {
    uint64_t x, weight, out;
    int32_t columns;
};

static struct norm make_norm(float *x, float *weight)
{
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 1);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        x[i] = (float)rng_normal(&rng);
    for (int i = 0; i < COLUMNS; i++)
        weight[i] = 1.0F + 0.1F * (float)rng_normal(&rng);
    return (struct norm){.x = upload(x, sizeof(float) * ROWS * COLUMNS),
                         .weight = upload(weight, sizeof(float) * COLUMNS),
                         .out = upload(NULL, sizeof(float) * ROWS * COLUMNS),
                         .columns = COLUMNS};
}

static void norm_equals_the_double_one(void **state)
{
    (void)state;
    static float x[ROWS * COLUMNS], weight[COLUMNS], out[ROWS * COLUMNS];
    static double expected[ROWS * COLUMNS];
    struct norm norm = make_norm(x, weight);
    for (int row = 0; row < ROWS; row++) {
        double sum = 0;
        for (int i = 0; i < COLUMNS; i++)
            sum += (double)x[row * COLUMNS + i] * (double)x[row * COLUMNS + i];
        for (int i = 0; i < COLUMNS; i++)
            expected[row * COLUMNS + i] = (double)x[row * COLUMNS + i] * (double)weight[i] / sqrt(sum / COLUMNS + 1e-5);
    }
    run_in_all_orders("rms_norm", ROWS, 1, 128, 0, &norm, norm.out, out, sizeof out, false);
    assert_close("rms_norm", out, expected, ROWS * COLUMNS, 1e-6);
}

static void defects_of_the_norm_are_found(void **state)
{
    (void)state;
    static float x[ROWS * COLUMNS], weight[COLUMNS];
    struct norm norm = make_norm(x, weight);
    launch("rms_norm_without_barrier", ROWS, 1, 128, 0, &norm);
    expect_report("rms_norm_without_barrier", CHECK_RACE);
    assert_false(launch("rms_norm_half_shuffle", ROWS, 1, 128, 0, &norm));
    expect_report("rms_norm_half_shuffle", CHECK_BARRIER);
    assert_false(launch("rms_norm_past_the_row", ROWS, 1, 128, 0, &norm));
    expect_report("rms_norm_past_the_row", CHECK_BOUNDS);
}

/* ---- products ---- */

enum { M = 75, N = 45, K = 160 };

struct product {
    uint64_t a, b, c;
    int32_t m, n, k;
};

static struct product make_product(uint16_t *a, uint16_t *b)
{
    struct rng rng = rng_make(test_seed(), RNG_TEST, 2, 1);
    for (int i = 0; i < M * K; i++)
        a[i] = bf16_of((float)rng_normal(&rng));
    for (int i = 0; i < N * K; i++)
        b[i] = bf16_of((float)rng_normal(&rng));
    return (struct product){
        .a = upload(a, 2 * M * K), .b = upload(b, 2 * N * K), .c = upload(NULL, 4 * M * N), .m = M, .n = N, .k = K};
}

static void product_equals_the_double_one(void **state)
{
    (void)state;
    static uint16_t a[M * K], b[N * K];
    static float c[M * N];
    static double expected[M * N];
    struct product product = make_product(a, b);
    for (int i = 0; i < M * N; i++) {
        for (int k = 0; k < K; k++)
            expected[i] += (double)float_of(a[i / N * K + k]) * (double)float_of(b[i % N * K + k]);
    }
    for (int run = 0; run < 4; run++) {
        machine_settings(machine)->truncate = run % 2;
        machine_settings(machine)->eager_copies = run / 2;
        machine_reset_counters(machine);
        run_in_all_orders("product_bf16", 2, 3, 128, 0, &product, product.c, c, sizeof c, false);
        struct machine_counters counters = machine_counters(machine);
        assert_int_equal(counters.launches, 5);
        assert_int_equal(counters.mma, 5 * 6 * 4 * (K / 32) * 4);
        assert_int_equal(counters.ldmatrix, 5 * 6 * 4 * (K / 32) * 4);
        /* f32 sums of 160 products: 160 * 2^-24 of the sum of magnitudes, some 100; twice that when cut off. */
        assert_close("product_bf16", c, expected, M * N, run % 2 ? 2e-4 : 1e-4);
    }
    machine_settings(machine)->truncate = machine_settings(machine)->eager_copies = false;
}

static void defects_of_the_product_are_found(void **state)
{
    (void)state;
    static uint16_t a[M * K], b[N * K];
    struct product product = make_product(a, b);
    launch("product_waits_too_little", 2, 3, 128, 0, &product);
    expect_report("product_waits_too_little", CHECK_ASYNC);
    launch("product_without_barrier", 2, 3, 128, 0, &product);
    bool race = false, early = false;
    for (int64_t i = 0; i < machine_report_count(machine); i++) {
        race |= machine_report_at(machine, i)->check == CHECK_RACE;
        early |= machine_report_at(machine, i)->check == CHECK_ASYNC;
    }
    assert_true(race || early);
    machine_clear_reports(machine);
    assert_false(launch("product_without_row_guard", 2, 3, 128, 0, &product));
    expect_report("product_without_row_guard", CHECK_BOUNDS);
}

/* ---- integers: equal in every bit ---- */

static void collatz_steps(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static uint32_t numbers[COUNT], steps[COUNT];
    for (uint32_t i = 0; i < COUNT; i++)
        numbers[i] = i * i + 1;
    struct {
        uint64_t numbers, steps;
        int32_t n;
    } parameters = {upload(numbers, sizeof numbers), upload(NULL, sizeof steps), COUNT};
    run_in_all_orders("collatz", 8, 1, 128, 0, &parameters, parameters.steps, steps, sizeof steps, false);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint64_t value = numbers[i];
        uint32_t count = 0;
        for (; value != 1 && count < 500; count++)
            value = value & 1 ? 3 * value + 1 : value >> 1;
        assert_int_equal(steps[i], count);
    }
}

static int32_t interpret(const uint8_t *program, int32_t input, int length, int i)
{
    int32_t stack[8] = {input}, top = 0;
    for (int at = 0; at < length; at++) {
        uint32_t value = (uint32_t)stack[top];
        switch (program[(at + i) % length]) {
        case 0:
            stack[top] = (int32_t)(value + 3);
            break;
        case 1:
            stack[top] = (int32_t)(value * 5);
            break;
        case 2:
            if (top < 7)
                stack[++top] = (int32_t)(value ^ 0x55);
            break;
        case 3:
            if (top > 0) {
                stack[top - 1] = (int32_t)((uint32_t)stack[top - 1] - value);
                top--;
            }
            break;
        case 4:
            stack[top] = stack[top] < 0 ? (int32_t)(0 - value) : stack[top] >> 1;
            break;
        case 5:
            stack[top] = (int32_t)(uint32_t)(uint64_t)((int64_t)stack[top] * 1000003 >> 7);
            break;
        default:
            stack[top] = (int32_t)~value;
            break;
        }
    }
    return stack[top];
}

static void a_switch_and_a_local_array(void **state)
{
    (void)state;
    enum { COUNT = 200, LENGTH = 61 };
    uint8_t program[LENGTH];
    static int32_t input[COUNT], out[COUNT];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 3, 1);
    for (int i = 0; i < LENGTH; i++)
        program[i] = (uint8_t)rng_below(&rng, 7);
    for (int i = 0; i < COUNT; i++)
        input[i] = (int32_t)rng_below(&rng, 2000) - 1000;
    struct {
        uint64_t program, input, out;
        int32_t length, n;
    } parameters = {upload(program, sizeof program), upload(input, sizeof input), upload(NULL, sizeof out), LENGTH,
                    COUNT};
    run_in_all_orders("interpret", 4, 1, 64, 0, &parameters, parameters.out, out, sizeof out, false);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(out[i], interpret(program, input[i], LENGTH, i));
}

static void a_histogram(void **state)
{
    (void)state;
    enum { COUNT = 5000, BINS = 37 };
    static uint8_t bytes[COUNT];
    static uint32_t counts[BINS];
    uint32_t expected[BINS] = {0};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 4, 1);
    for (int i = 0; i < COUNT; i++) {
        bytes[i] = (uint8_t)rng_below(&rng, 256);
        expected[bytes[i] % BINS]++;
    }
    struct {
        uint64_t bytes, counts;
        int32_t n, bins;
    } parameters = {upload(bytes, sizeof bytes), upload(NULL, sizeof counts), COUNT, BINS};
    run_in_all_orders("histogram", 3, 1, 96, BINS * 4, &parameters, parameters.counts, counts, sizeof counts, true);
    assert_memory_equal(counts, expected, sizeof counts);
    assert_false(launch("histogram", 3, 1, 96, BINS * 4 - 4, &parameters));
    expect_report("histogram", CHECK_BOUNDS);
}

static void a_softmax(void **state)
{
    (void)state;
    enum { LINES = 5, WIDTH = 101 };
    static uint16_t x[LINES * WIDTH], out[LINES * WIDTH];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 5, 1);
    for (int i = 0; i < LINES * WIDTH; i++)
        x[i] = bf16_of(3.0F * (float)rng_normal(&rng));
    struct {
        uint64_t x, out;
        int32_t columns;
    } parameters = {upload(x, sizeof x), upload(NULL, sizeof out), WIDTH};
    run_in_all_orders("softmax", LINES, 1, 32, 0, &parameters, parameters.out, out, sizeof out, false);
    for (int row = 0; row < LINES; row++) {
        double sum = 0;
        for (int i = 0; i < WIDTH; i++)
            sum += exp((double)float_of(x[row * WIDTH + i]));
        for (int i = 0; i < WIDTH; i++) {
            double expected = exp((double)float_of(x[row * WIDTH + i])) / sum;
            double error = fabs((double)float_of(out[row * WIDTH + i]) - expected);
            if (!(error <= expected * (1.0 / 256 + 1e-5)))
                fail_msg("softmax: row %d, column %d is off by %g of %g", row, i, error, expected);
        }
    }
}

/* ---- speed, printed and not judged ---- */

static void speed(const char *what, bool checks)
{
    static uint16_t a[M * K], b[N * K];
    struct product product = make_product(a, b);
    machine_settings(machine)->checks = checks;
    machine_reset_counters(machine);
    clock_t start = clock();
    for (int i = 0; i < 20; i++)
        assert_true(launch("product_bf16", 2, 3, 128, 0, &product));
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    double millions = 1e-6 * (double)machine_counters(machine).warp_instructions;
    printf("%s: %.1f million warp instructions per second of CPU time\n", what, millions / seconds);
    machine_settings(machine)->checks = true;
}

static void speeds(void **state)
{
    (void)state;
    speed("product_bf16 without checks", false);
    speed("product_bf16 with checks", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm_equals_the_double_one),
        cmocka_unit_test(defects_of_the_norm_are_found),
        cmocka_unit_test(product_equals_the_double_one),
        cmocka_unit_test(defects_of_the_product_are_found),
        cmocka_unit_test(collatz_steps),
        cmocka_unit_test(a_switch_and_a_local_array),
        cmocka_unit_test(a_histogram),
        cmocka_unit_test(a_softmax),
        cmocka_unit_test(speeds),
    };
    return cmocka_run_group_tests(tests, load_kernels, destroy);
}
