/* Races by name: each defect is found and named with both of its accesses, and the legal pattern next to it is not. */
#include "emulator/tests/memory_bench.h"

#include <string.h>

#define S SHARED_WINDOW
#define ALL UINT32_MAX

static void expect_lines(const struct machine_report *report, int32_t line, int32_t thread, bool write,
                         int32_t other_line, int32_t other_thread, bool other_write)
{
    assert_int_equal(report->access.line, line);
    assert_int_equal(report->access.thread, thread);
    assert_int_equal(report->access.write, write);
    assert_int_equal(report->other.line, other_line);
    assert_int_equal(report->other.thread, other_thread);
    assert_int_equal(report->other.write, other_write);
    assert_string_equal(report->access.file, "bench.cu");
    assert_string_equal(report->other.file, "bench.cu");
    assert_string_equal(report->kernel, "bench");
}

static void open_launch(struct bench *bench, int32_t threads)
{
    bench_open(bench);
    bench_launch(bench, threads, 8192, 0);
}

static void close_launch(struct bench *bench)
{
    bench_end(bench);
    bench_expect_none(bench);
    bench_close(bench);
}

static void a_missing_barrier_is_a_race(void **state)
{
    (void)state;
    struct bench bench;
    open_launch(&bench, 128);
    /* Written by warp 0, read by warp 1. */
    bench_row(&bench, ACCESS_WRITE, 0, ALL, 4, S, 4);
    bench_row(&bench, ACCESS_READ, 1, ALL, 4, S, 4);
    const struct machine_report *report =
        bench_expect(&bench, CHECK_RACE, "a read of shared memory after a write, with no barrier between them");
    expect_lines(report, 2, 32, false, 1, 0, true);
    assert_true(report->address == S);
    /* Read by warp 1, written by warp 2: only lane 5's word. */
    bench_barrier(&bench, 0xF);
    bench_row(&bench, ACCESS_READ, 1, ALL, 4, S, 4);
    bench_one(&bench, ACCESS_WRITE, 2, 9, 4, S + 20);
    report = bench_expect(&bench, CHECK_RACE, "a write of shared memory after a read");
    expect_lines(report, 4, 64 + 9, true, 3, 32 + 5, false);
    assert_true(report->address == S + 20);
    /* Written twice. */
    bench_barrier(&bench, 0xF);
    bench_one(&bench, ACCESS_WRITE, 2, 9, 4, S + 20);
    bench_one(&bench, ACCESS_WRITE, 3, 9, 1, S + 23);
    report = bench_expect(&bench, CHECK_RACE, "a write of shared memory after a write");
    expect_lines(report, 6, 96 + 9, true, 5, 64 + 9, true);
    assert_true(report->address == S + 23);
    /* The first of several readers is not forgotten. */
    bench_barrier(&bench, 0xF);
    for (int32_t warp = 0; warp < 4; warp++)
        bench_row(&bench, ACCESS_READ, warp, ALL, 4, S, 4);
    bench_barrier(&bench, 0xE);
    bench_row(&bench, ACCESS_WRITE, 2, ALL, 4, S, 4);
    report = bench_expect(&bench, CHECK_RACE, "a write of shared memory after a read");
    assert_int_equal(report->other.thread, 0);
    close_launch(&bench);
}

static void barriers_order_warps(void **state)
{
    (void)state;
    struct bench bench;
    open_launch(&bench, 128);
    for (int32_t round = 0; round < 5; round++) { /* a tile that all write and all read */
        for (int32_t warp = 0; warp < 4; warp++)
            bench_row(&bench, ACCESS_WRITE, warp, ALL, 4, S + 128 * (uint64_t)warp, 4);
        bench_barrier(&bench, 0xF);
        for (int32_t warp = 0; warp < 4; warp++)
            for (int32_t part = 0; part < 4; part++)
                bench_row(&bench, ACCESS_READ, warp, ALL, 4, S + 128 * (uint64_t)part, 4);
        bench_barrier(&bench, 0xF);
    }
    bench_expect_none(&bench);
    /* Without the barrier after the reads. */
    for (int32_t warp = 0; warp < 4; warp++)
        bench_row(&bench, ACCESS_READ, warp, ALL, 4, S, 4);
    bench_row(&bench, ACCESS_WRITE, 3, ALL, 4, S, 4);
    bench_expect(&bench, CHECK_RACE, "a write of shared memory after a read");
    /* Barriers of two warps each pass the order on: 0 before 1 before 2; 3 has no part in it. */
    bench_barrier(&bench, 0xF);
    bench_row(&bench, ACCESS_WRITE, 0, ALL, 4, S + 1024, 4);
    bench_barrier(&bench, 0x3);
    bench_barrier(&bench, 0x6);
    bench_row(&bench, ACCESS_READ, 2, ALL, 4, S + 1024, 4);
    bench_expect_none(&bench);
    bench_row(&bench, ACCESS_READ, 3, ALL, 4, S + 1024, 4);
    bench_expect(&bench, CHECK_RACE, "a read of shared memory after a write");
    /* In the other sequence they do not. */
    bench_barrier(&bench, 0xF);
    bench_row(&bench, ACCESS_WRITE, 0, ALL, 4, S + 1024, 4);
    bench_barrier(&bench, 0x6);
    bench_barrier(&bench, 0x3);
    bench_row(&bench, ACCESS_READ, 2, ALL, 4, S + 1024, 4);
    bench_expect(&bench, CHECK_RACE, "a read of shared memory after a write");
    close_launch(&bench);
}

static void warp_barriers_order_lanes(void **state)
{
    (void)state;
    struct bench bench;
    open_launch(&bench, 64);
    bench_row(&bench, ACCESS_WRITE, 1, ALL, 4, S, 4);
    bench_row(&bench, ACCESS_READ, 1, ALL, 4, S, 4); /* each lane its own */
    bench_expect_none(&bench);
    bench_row(&bench, ACCESS_READ, 1, ALL >> 1, 4, S + 4, 4); /* each the next one's */
    const struct machine_report *report = bench_expect(&bench, CHECK_RACE, "a read of shared memory after a write");
    expect_lines(report, 3, 32, false, 1, 33, true);
    memory_warp_barrier(bench.memory, 1, ALL);
    bench_row(&bench, ACCESS_READ, 1, ALL >> 1, 4, S + 4, 4);
    bench_expect_none(&bench);
    /* A barrier of half the lanes orders these and no others; two of them pass the order on. */
    bench_one(&bench, ACCESS_WRITE, 0, 0, 4, S + 512);
    memory_warp_barrier(bench.memory, 0, 0x00FF);
    bench_one(&bench, ACCESS_READ, 0, 7, 4, S + 512);
    bench_expect_none(&bench);
    bench_one(&bench, ACCESS_READ, 0, 8, 4, S + 512);
    bench_expect(&bench, CHECK_RACE, "a read of shared memory after a write");
    memory_warp_barrier(bench.memory, 0, 0xFF80);
    bench_one(&bench, ACCESS_READ, 0, 15, 4, S + 512);
    bench_expect_none(&bench);
    bench_one(&bench, ACCESS_READ, 0, 16, 4, S + 512);
    bench_expect(&bench, CHECK_RACE, "a read of shared memory after a write");
    /* Two lanes write one word in the same instruction; another's barrier does not help. */
    bench_row(&bench, ACCESS_WRITE, 1, 0x3, 4, S + 1024, 0);
    report = bench_expect(&bench, CHECK_RACE, "two lanes write the same bytes of shared memory in one instruction");
    expect_lines(report, bench.line, 33, true, bench.line, 32, true);
    bench_row(&bench, ACCESS_WRITE, 1, 0x11, 4, S + 1024, 0);
    bench_expect(&bench, CHECK_RACE, "write");
    bench_row(&bench, ACCESS_READ, 0, ALL, 4, S, 0); /* all read one word of the other warp */
    bench_expect(&bench, CHECK_RACE, "a read of shared memory after a write");
    bench_barrier(&bench, 0x3);
    bench_row(&bench, ACCESS_READ, 0, ALL, 4, S, 0);
    close_launch(&bench);
}

static void neighbouring_bytes_are_no_race(void **state)
{
    (void)state;
    struct bench bench;
    open_launch(&bench, 64);
    uint64_t global = bench_allocate_defined(&bench, 4096);
    for (uint64_t half = 0; half < 2; half++) { /* the halves of each word by different warps, as bf16 */
        bench_row(&bench, ACCESS_WRITE, (int32_t)half, ALL, 2, S + 2 * half, 4);
        bench_row(&bench, ACCESS_WRITE, (int32_t)half, ALL, 2, global + 2 * half, 4);
        bench_row(&bench, ACCESS_WRITE, (int32_t)half, ALL, 1, S + 1024 + half, 2);
    }
    bench_row(&bench, ACCESS_WRITE, 0, ALL, 2, S + 2048, 2); /* by different lanes */
    bench_expect_none(&bench);
    bench_one(&bench, ACCESS_READ, 0, 0, 4, S);
    const struct machine_report *report = bench_expect(&bench, CHECK_RACE, "a read of shared memory after a write");
    assert_int_equal(report->other.thread, 32);
    bench_one(&bench, ACCESS_READ, 0, 1, 2, global + 4);
    bench_expect_none(&bench);
    bench_one(&bench, ACCESS_READ, 0, 1, 2, global + 6);
    report = bench_expect(&bench, CHECK_RACE, "a read of global memory after a write");
    assert_int_equal(report->other.thread, 33);
    assert_true(report->address == global + 6);
    close_launch(&bench);
}

static void atomics_race_with_plain_accesses_only(void **state)
{
    (void)state;
    struct bench bench;
    open_launch(&bench, 64);
    bench_one(&bench, ACCESS_WRITE, 0, 0, 4, S);
    bench_barrier(&bench, 0x3);
    bench_row(&bench, ACCESS_ATOMIC, 0, ALL, 4, S, 0);
    bench_row(&bench, ACCESS_ATOMIC, 1, ALL, 4, S, 0);
    bench_row(&bench, ACCESS_ATOMIC, 0, ALL, 4, S, 0);
    bench_expect_none(&bench);
    bench_one(&bench, ACCESS_READ, 0, 3, 4, S);
    bench_expect(&bench, CHECK_RACE, "a read of shared memory after an atomic operation");
    bench_barrier(&bench, 0x3);
    bench_one(&bench, ACCESS_READ, 1, 3, 4, S);
    bench_expect_none(&bench);
    bench_one(&bench, ACCESS_ATOMIC, 0, 0, 4, S);
    const struct machine_report *report =
        bench_expect(&bench, CHECK_RACE, "an atomic operation of shared memory after a read");
    assert_int_equal(report->other.thread, 35);
    bench_one(&bench, ACCESS_WRITE, 1, 1, 4, S);
    bench_expect(&bench, CHECK_RACE, "a write of shared memory after a");
    close_launch(&bench);
}

static void blocks_may_not_share_what_one_writes(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    uint64_t data = bench_allocate_defined(&bench, 65536), sums = bench_allocate_defined(&bench, 256);
    bench_launch(&bench, 64, 0, 0);
    for (int32_t block = 0; block < 6;
         block++) { /* each writes its own row, reads what nobody writes, adds to one sum */
        if (block > 0)
            bench_block(&bench, block);
        bench_row(&bench, ACCESS_READ, 0, ALL, 4, data + 32768, 4);
        bench_row(&bench, ACCESS_WRITE, 1, ALL, 2, data + 64 * (uint64_t)block, 2);
        bench_row(&bench, ACCESS_ATOMIC, 1, ALL, 4, sums, 0);
    }
    bench_expect_none(&bench);
    int32_t line = bench.line;
    bench_one(&bench, ACCESS_WRITE, 0, 4, 2, data + 64 * 2 + 6); /* block 5 into the row of block 2 */
    const struct machine_report *report =
        bench_expect(&bench, CHECK_BLOCK_RACE, "a write of global memory after another block's write");
    expect_lines(report, line + 1, 4, true, 8, 32 + 3, true);
    assert_int_equal(report->access.block[0], 5);
    assert_int_equal(report->other.block[0], 2);
    bench_one(&bench, ACCESS_READ, 0, 4, 4, data + 64);
    bench_expect(&bench, CHECK_BLOCK_RACE, "a read of global memory after another block's write");
    bench_one(&bench, ACCESS_READ, 0, 4, 4, sums);
    machine_clear_reports(bench.machine); /* a race within the block besides */
    bench_block(&bench, 6);
    bench_one(&bench, ACCESS_READ, 0, 4, 4, sums);
    bench_expect(&bench, CHECK_BLOCK_RACE, "a read of global memory after another block's atomic operation");
    bench_one(&bench, ACCESS_WRITE, 0, 7, 4, data + 32768 + 8);
    report = bench_expect(&bench, CHECK_BLOCK_RACE, "a write of global memory after another block's read");
    assert_int_equal(report->other.thread, 2);
    bench_one(&bench, ACCESS_ATOMIC, 0, 7, 4, data + 32768 + 16);
    bench_expect(&bench, CHECK_BLOCK_RACE, "an atomic operation of global memory after another block's read");
    bench_end(&bench);
    bench_launch(&bench, 64, 0, 0); /* a new launch comes after the last one */
    bench_row(&bench, ACCESS_WRITE, 0, ALL, 4, data, 4);
    bench_row(&bench, ACCESS_READ, 1, ALL, 4, sums, 0);
    close_launch(&bench);
}

/* Bytes are read by one block, then by the next one, which writes them: its own read must not hide the other block's. */
static void the_blocks_own_read_hides_no_other(void **state)
{
    (void)state;
    for (int32_t row = 0; row < 2; row++) { /* by a row of lanes, or by a single one */
        struct bench bench;
        uint32_t lanes = row ? ALL : 1;
        bench_open(&bench);
        uint64_t data = bench_allocate_defined(&bench, 4096);
        bench_launch(&bench, 32, 0, 0);
        bench_one(&bench, ACCESS_WRITE, 0, 0, 4, data + 256);
        bench_row(&bench, ACCESS_READ, 0, lanes, 4, data, 4);
        bench_block(&bench, 1);
        bench_row(&bench, ACCESS_READ, 0, lanes, 4, data, 4);
        bench_row(&bench, ACCESS_WRITE, 0, lanes, 4, data, 4);
        const struct machine_report *report =
            bench_expect(&bench, CHECK_BLOCK_RACE, "a write of global memory after another block's read");
        expect_lines(report, 4, 0, true, 2, 0, false);
        assert_int_equal(report->other.block[0], 0);
        close_launch(&bench);
    }
}

static void read_only_loads_want_memory_that_nobody_writes(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    uint64_t data = bench_allocate_defined(&bench, 8192);
    bench_launch(&bench, 64, 0, 0);
    bench_row(&bench, ACCESS_READ_ONLY, 0, ALL, 4, data, 4);
    bench_row(&bench, ACCESS_READ_ONLY, 1, ALL, 4, data, 4);
    bench_row(&bench, ACCESS_WRITE, 0, ALL, 4, data + 128, 4);
    bench_expect_none(&bench);
    bench_one(&bench, ACCESS_READ_ONLY, 0, 31, 4, data + 252); /* its own earlier write */
    const struct machine_report *report =
        bench_expect(&bench, CHECK_READ_ONLY, "ld.global.nc of memory that the same launch writes");
    expect_lines(report, 4, 31, false, 3, 31, true);
    bench_block(&bench, 1);
    bench_one(&bench, ACCESS_WRITE, 1, 3, 1, data + 6); /* a byte that an earlier block has read */
    report = bench_expect(&bench, CHECK_READ_ONLY, "a write of memory that the same launch reads through ld.global.nc");
    expect_lines(report, 5, 35, true, 2, 33, false);
    assert_true(report->address == data + 6);
    bench_one(&bench, ACCESS_READ_ONLY, 0, 31, 4, data + 252); /* an earlier block's write */
    bench_expect(&bench, CHECK_READ_ONLY, "ld.global.nc");
    bench_end(&bench);
    bench_launch(&bench, 64, 0, 0);
    bench_row(&bench, ACCESS_READ_ONLY, 0, ALL, 4, data + 128, 4);
    bench_row(&bench, ACCESS_WRITE, 0, ALL, 4, data, 4);
    close_launch(&bench);
}

/* Only bounds and alignment are looked at, but what is defined is still known afterwards. */
static void without_checks_only_bounds_are_checked(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    uint64_t data = machine_allocate(bench.machine, 4096);
    machine_settings(bench.machine)->checks = false;
    bench_launch(&bench, 64, 8192, 0);
    bench_row(&bench, ACCESS_READ, 0, ALL, 4, S, 4);
    bench_row(&bench, ACCESS_WRITE, 0, ALL, 4, data, 4);
    bench_row(&bench, ACCESS_WRITE, 1, ALL, 4, data, 4);
    bench_expect_none(&bench);
    assert_false(bench_one(&bench, ACCESS_WRITE, 0, 0, 4, data + 4096));
    bench_expect(&bench, CHECK_BOUNDS, "at the end");
    assert_false(bench_one(&bench, ACCESS_WRITE, 0, 0, 4, S + 2));
    bench_expect(&bench, CHECK_ALIGNMENT, "no multiple of 4");
    bench_end(&bench);
    machine_settings(bench.machine)->checks = true;
    bench_launch(&bench, 64, 8192, 0);
    bench_row(&bench, ACCESS_READ, 0, ALL, 4, data, 4);
    bench_expect_none(&bench);
    bench_row(&bench, ACCESS_READ, 0, ALL, 4, data + 4, 4);
    bench_expect(&bench, CHECK_UNINITIALISED, "a read of 4 bytes of global memory that nobody wrote");
    close_launch(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_barrier_is_a_race),
        cmocka_unit_test(barriers_order_warps),
        cmocka_unit_test(warp_barriers_order_lanes),
        cmocka_unit_test(neighbouring_bytes_are_no_race),
        cmocka_unit_test(atomics_race_with_plain_accesses_only),
        cmocka_unit_test(blocks_may_not_share_what_one_writes),
        cmocka_unit_test(the_blocks_own_read_hides_no_other),
        cmocka_unit_test(read_only_loads_want_memory_that_nobody_writes),
        cmocka_unit_test(without_checks_only_bounds_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
