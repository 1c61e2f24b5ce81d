/* What accesses cost: wavefronts of shared memory and sectors of global memory for patterns whose numbers follow from 32
 * banks of 4 bytes, groups of 32, 16 and 8 lanes for elements of up to 4, 8 and 16 bytes, and sectors of 32 bytes. */
#include "emulator/tests/memory_bench.h"

#define ALL UINT32_MAX

struct pattern {
    const char *name;
    int32_t bytes;
    uint32_t lanes;
    uint64_t stride; /* bytes between lanes */
    int64_t wavefronts, ideal;
};

static void wavefronts_are_those_of_32_banks(void **state)
{
    (void)state;
    static const struct pattern patterns[] = {
        {"neighbouring words", 4, ALL, 4, 1, 1},
        {"every second word", 4, ALL, 8, 2, 1},
        {"every third word", 4, ALL, 12, 1, 1}, /* 3 and 32 have no common divisor */
        {"every fourth word", 4, ALL, 16, 4, 1},
        {"a column of 32 words", 4, ALL, 128, 32, 1},
        {"a column of 33 words", 4, ALL, 132, 1, 1},
        {"one word for all", 4, ALL, 0, 1, 1},
        {"neighbouring halves", 2, ALL, 2, 1, 1},
        {"a half of every word", 2, ALL, 4, 1, 1},
        {"a column of 32 halves", 2, ALL, 64, 16, 1}, /* banks 0 and 16, 16 words of each */
        {"neighbouring bytes", 1, ALL, 1, 1, 1},
        {"neighbouring pairs of words", 8, ALL, 8, 2, 2},
        {"every second pair", 8, ALL, 16, 4, 2},
        {"one pair for all", 8, ALL, 0, 2, 2},
        {"neighbouring quadruples", 16, ALL, 16, 4, 4},
        {"every second quadruple", 16, ALL, 32, 8, 4},
        {"rows of 64 bf16, no padding", 16, ALL, 128, 32, 4},
        {"rows of 72 bf16", 16, ALL, 144, 4, 4},
        {"eight rows of 64 bf16", 16, 0xFF, 128, 8, 1},
        {"eight rows of 72 bf16", 16, 0xFF, 144, 1, 1},
        {"half the lanes", 4, 0xFFFF, 4, 1, 1},
        {"two lanes of each group", 16, 0x03030303, 16, 4, 1},
    };
    struct bench bench;
    bench_open(&bench);
    bench_launch(&bench, 32, 32768, 0);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        for (int32_t write = 0; write < 2; write++) {
            const struct pattern *pattern = &patterns[i];
            machine_reset_counters(bench.machine);
            bench_row(&bench, write ? ACCESS_WRITE : ACCESS_READ, 0, pattern->lanes, pattern->bytes,
                      SHARED_WINDOW + 256, pattern->stride);
            struct machine_counters counters = machine_counters(bench.machine);
            if (counters.shared_wavefronts != pattern->wavefronts || counters.shared_wavefronts_ideal != pattern->ideal)
                fail_msg("%s: expected %d wavefronts (ideal %d), found %d (%d)", pattern->name,
                         (int)pattern->wavefronts, (int)pattern->ideal, (int)counters.shared_wavefronts,
                         (int)counters.shared_wavefronts_ideal);
            assert_int_equal(counters.global_sectors_read + counters.global_sectors_written, 0);
        }
    bench_end(&bench);
    bench_close(&bench);
}

/* ldmatrix of a tile with rows of 64 bf16 whose 16-byte pieces are moved by the row's number, modulo 8. */
static void a_swizzled_tile_has_no_conflicts(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    bench_launch(&bench, 32, 32768, 0);
    for (uint64_t piece = 0; piece < 8; piece++) {
        uint64_t addresses[32];
        for (uint64_t lane = 0; lane < 32; lane++)
            addresses[lane] = SHARED_WINDOW + 128 * lane + 16 * (piece ^ (lane % 8));
        machine_reset_counters(bench.machine);
        bench_access(&bench, ACCESS_WRITE, 0, ALL, 16, addresses);
        assert_int_equal(machine_counters(bench.machine).shared_wavefronts, 4);
        assert_int_equal(machine_counters(bench.machine).shared_wavefronts_ideal, 4);
    }
    bench_end(&bench);
    bench_close(&bench);
}

static void expect_sectors(struct bench *bench, const char *name, int64_t read, int64_t written)
{
    struct machine_counters counters = machine_counters(bench->machine);
    if (counters.global_sectors_read != read || counters.global_sectors_written != written)
        fail_msg("%s: expected %d sectors read, %d written, found %d, %d", name, (int)read, (int)written,
                 (int)counters.global_sectors_read, (int)counters.global_sectors_written);
    machine_reset_counters(bench->machine);
}

static void sectors_are_counted_once_an_instruction(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    uint64_t data = bench_allocate_defined(&bench, 65536), addresses[32];
    bench_launch(&bench, 32, 0, 0);
    bench_row(&bench, ACCESS_READ, 0, ALL, 4, data, 4);
    expect_sectors(&bench, "a row", 4, 0);
    bench_row(&bench, ACCESS_READ_ONLY, 0, ALL, 4, data + 8192 + 4, 4);
    expect_sectors(&bench, "a row that begins one word later", 5, 0);
    bench_row(&bench, ACCESS_WRITE, 0, ALL, 16, data, 16);
    expect_sectors(&bench, "a row of 16-byte elements", 0, 16);
    bench_row(&bench, ACCESS_WRITE, 0, ALL, 2, data, 2);
    expect_sectors(&bench, "a row of bf16", 0, 2);
    bench_row(&bench, ACCESS_READ, 0, ALL, 4, data, 0);
    expect_sectors(&bench, "one word for all", 1, 0);
    bench_row(&bench, ACCESS_READ, 0, ALL, 4, data, 1024);
    expect_sectors(&bench, "a column", 32, 0);
    bench_row(&bench, ACCESS_READ, 0, ALL, 4, data + 4096 - 256 - 64, 4);
    expect_sectors(&bench, "a row across the end of a page", 4, 0);
    bench_row(&bench, ACCESS_READ, 0, 0x0F0F, 4, data, 4);
    expect_sectors(&bench, "two pieces of a row", 2, 0);
    bench_row(&bench, ACCESS_ATOMIC, 0, ALL, 4, data, 4);
    expect_sectors(&bench, "an atomic operation", 4, 4);
    for (uint64_t lane = 0; lane < 32; lane++)
        addresses[lane] = data + 4 * (31 - lane);
    bench_access(&bench, ACCESS_READ, 0, ALL, 4, addresses);
    expect_sectors(&bench, "a row backwards", 4, 0);
    for (uint64_t lane = 0; lane < 32; lane++)
        addresses[lane] = data + 1024 * (lane * 7 % 8) + 4 * (lane / 8);
    bench_access(&bench, ACCESS_READ, 0, ALL, 4, addresses);
    expect_sectors(&bench, "eight sectors in turn", 8, 0);
    bench_end(&bench);
    bench_close(&bench);
}

static void bytes_are_counted_once_a_launch(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    uint64_t data = bench_allocate_defined(&bench, 65536);
    for (int32_t launch = 1; launch <= 2; launch++) {
        bench_launch(&bench, 64, 0, 0);
        bench_row(&bench, ACCESS_READ, 0, ALL, 4, data, 4);
        bench_row(&bench, ACCESS_READ, 1, ALL, 4, data + 64, 4);
        bench_block(&bench, 1);
        bench_row(&bench, ACCESS_READ, 0, ALL, 2, data + 1, 0); /* refused */
        bench_row(&bench, ACCESS_READ, 0, ALL, 2, data, 0);
        bench_row(&bench, ACCESS_WRITE, 0, ALL, 2, data + 4096 - 256 - 30, 2);
        bench_row(&bench, ACCESS_ATOMIC, 0, 1, 8, data + 4096, 0);
        bench_end(&bench);
        assert_int_equal(machine_counters(bench.machine).global_bytes_read, launch * (192 + 8));
        assert_int_equal(machine_counters(bench.machine).global_bytes_written, launch * (64 + 8));
    }
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wavefronts_are_those_of_32_banks),
        cmocka_unit_test(a_swizzled_tile_has_no_conflicts),
        cmocka_unit_test(sectors_are_counted_once_an_instruction),
        cmocka_unit_test(bytes_are_counted_once_a_launch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
