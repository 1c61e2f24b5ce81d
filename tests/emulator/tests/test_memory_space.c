/* The device's address space: allocations and their guards, fresh bytes, copies, and what lies outside. */
#include "emulator/tests/memory_bench.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long long total = 0, resident = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lld %lld", &total, &resident), 2);
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

static void allocations_are_apart_and_never_reused(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    uint64_t last_end = 0, total = 0;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 1);
    for (int i = 0; i < 200; i++) {
        uint64_t bytes = 1 + rng_below(&rng, 100000);
        uint64_t address = machine_allocate(bench.machine, bytes);
        assert_true(address != 0 && address % 256 == 0);
        assert_true(address >= last_end + 65536);
        assert_true(machine_owns(bench.machine, address, bytes));
        assert_false(machine_owns(bench.machine, address, bytes + 1));
        assert_false(machine_owns(bench.machine, address - 1, 1));
        assert_false(machine_owns(bench.machine, address + bytes, 1));
        last_end = address + bytes;
        total += (bytes + 255) / 256 * 256;
        assert_true(machine_allocated(bench.machine) == total);
        assert_false(machine_release(bench.machine, address + 1));
        if (i % 3 == 0) {
            assert_true(machine_release(bench.machine, address));
            assert_false(machine_release(bench.machine, address));
            assert_false(machine_owns(bench.machine, address, 1));
            total -= (bytes + 255) / 256 * 256;
        }
    }
    assert_true(machine_allocate(bench.machine, UINT64_C(200000000001)) == 0);
    assert_true(machine_allocate(bench.machine, 0) == 0);
    bench_expect_none(&bench);
    bench_close(&bench);
}

static void huge_allocations_cost_what_is_touched(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    uint64_t bytes = UINT64_C(100000000000);
    int64_t before = resident_bytes();
    uint64_t address = machine_allocate(bench.machine, bytes);
    assert_true(address != 0);
    bench_launch(&bench, 32, 0, 0);
    assert_true(bench_row(&bench, ACCESS_WRITE, 0, UINT32_MAX, 4, address, 4));
    assert_true(bench_row(&bench, ACCESS_WRITE, 0, UINT32_MAX, 4, address + bytes - 128, 4));
    assert_true(bench_row(&bench, ACCESS_READ, 0, UINT32_MAX, 4, address + bytes - 128, 4));
    bench_expect_none(&bench);
    assert_false(bench_row(&bench, ACCESS_READ, 0, UINT32_MAX, 4, address + bytes - 124, 4));
    bench_expect(&bench, CHECK_BOUNDS, "at the end of an allocation of 100000000000 bytes");
    bench_end(&bench);
    uint8_t fresh[16], expected[16];
    memset(expected, 0xCD, sizeof expected);
    machine_read(bench.machine, address + bytes / 2, fresh, sizeof fresh, false);
    assert_memory_equal(fresh, expected, sizeof fresh);
    assert_int_equal(machine_first_undefined(bench.machine, address, bytes), 128);
    int64_t grown = resident_bytes() - before;
    if (!(grown < 64 << 20))
        fail_msg("100 GB, of which 256 bytes are touched, take %lld bytes", (long long)grown);
    assert_true(machine_release(bench.machine, address));
    bench_close(&bench);
}

static void released_memory_is_given_back(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    int64_t before = resident_bytes();
    for (int i = 0; i < 40; i++) {
        uint64_t address = bench_allocate_defined(&bench, 16 << 20);
        assert_true(machine_release(bench.machine, address));
    }
    int64_t grown = resident_bytes() - before;
    if (!(grown < 128 << 20))
        fail_msg("40 allocations of 16 MiB, one at a time, take %lld bytes", (long long)grown);
    bench_close(&bench);
}

static void fresh_memory_is_undefined(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    uint64_t address = machine_allocate(bench.machine, 10000);
    uint8_t bytes[10000], expected[10000];
    machine_read(bench.machine, address, bytes, sizeof bytes, false);
    memset(expected, 0xCD, sizeof expected);
    assert_memory_equal(bytes, expected, sizeof bytes);
    machine_fill(bench.machine, address, 7, 5000);
    bench_expect_none(&bench);
    machine_read(bench.machine, address, bytes, sizeof bytes, true);
    const struct machine_report *report = bench_expect(&bench, CHECK_UNINITIALISED, "byte 5000");
    assert_true(report->address == address + 5000 && report->access.thread == -1);
    machine_write(bench.machine, address + 5000, expected, 5000);
    machine_read(bench.machine, address, bytes, sizeof bytes, true);
    assert_int_equal(bytes[4999], 7);
    assert_int_equal(bytes[5000], 0xCD);
    machine_mark_defined(bench.machine, address + 4095, 2, false);
    assert_int_equal(machine_first_undefined(bench.machine, address, 10000), 4095);
    assert_int_equal(machine_first_undefined(bench.machine, address + 4096, 5904), 0);
    assert_int_equal(machine_first_undefined(bench.machine, address + 4097, 5903), -1);
    bench_expect_none(&bench);
    bench_close(&bench);
}

static void copies_carry_what_is_undefined(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    enum { BYTES = 20000 };
    uint64_t source = machine_allocate(bench.machine, BYTES), destination = machine_allocate(bench.machine, BYTES);
    static bool defined[BYTES];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 2, 2);
    for (int i = 0; i < 300; i++) {
        uint64_t first = rng_below(&rng, BYTES), count = 1 + rng_below(&rng, 90);
        count = first + count > BYTES ? BYTES - first : count;
        machine_fill(bench.machine, source + first, (uint8_t)i, count);
        memset(defined + first, 1, count);
    }
    for (int round = 0; round < 50; round++) {
        uint64_t from = rng_below(&rng, 9000), to = rng_below(&rng, 9000), count = 1 + rng_below(&rng, 10000);
        machine_fill(bench.machine, destination, 0, BYTES);
        machine_copy(bench.machine, destination + to, source + from, count);
        for (uint64_t i = 0; i < BYTES; i++) {
            bool inside = i >= to && i < to + count, expected = !inside || defined[i - to + from];
            if ((machine_first_undefined(bench.machine, destination + i, 1) < 0) != expected)
                fail_msg("round %d: byte %d is expected to be %s", round, (int)i, expected ? "defined" : "undefined");
        }
        assert_memory_equal(machine_host_pointer(bench.machine, destination + to),
                            machine_host_pointer(bench.machine, source + from), count);
    }
    bench_expect_none(&bench);
    machine_copy(bench.machine, source, source + 10, 11);
    bench_expect(&bench, CHECK_HOST, "overlap");
    bench_close(&bench);
}

static void the_host_cannot_leave_an_allocation(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    uint64_t address = bench_allocate_defined(&bench, 100);
    uint8_t bytes[200] = {0};
    machine_write(bench.machine, address, bytes, 101);
    bench_expect(&bench, CHECK_BOUNDS, "1 of 101 bytes lie past the end of an allocation of 100 bytes");
    machine_read(bench.machine, address + 100, bytes, 1, true);
    bench_expect(&bench, CHECK_BOUNDS, "at the end of an allocation of 100 bytes");
    machine_copy(bench.machine, address, address - 4, 4);
    bench_expect(&bench, CHECK_BOUNDS, "4 bytes before an allocation of 100 bytes");
    assert_null(machine_host_pointer(bench.machine, address + 100));
    assert_true(machine_release(bench.machine, address));
    machine_fill(bench.machine, address + 8, 0, 4);
    bench_expect(&bench, CHECK_BOUNDS, "8 bytes into an allocation of 100 bytes that was released");
    bench_close(&bench);
}

static void kernels_cannot_leave_an_allocation(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    uint64_t address = bench_allocate_defined(&bench, 4096);
    bench_launch(&bench, 64, 1000, 40);
    bench_block(&bench, 7);
    assert_true(bench_row(&bench, ACCESS_READ, 1, UINT32_MAX, 4, address + 4096 - 128, 4));
    assert_false(bench_row(&bench, ACCESS_READ, 1, UINT32_MAX, 4, address + 4096 - 80, 4));
    const struct machine_report *report = bench_expect(
        &bench, CHECK_BOUNDS, "a read of 4 bytes of global memory: at the end of an allocation of 4096 bytes");
    assert_int_equal(report->access.thread, 32 + 20);
    assert_int_equal(report->access.block[0], 7);
    assert_string_equal(report->access.file, "bench.cu");
    assert_string_equal(report->kernel, "bench");
    assert_int_equal(report->other.thread, -2);
    assert_true(report->address == address + 4096);
    assert_false(bench_one(&bench, ACCESS_WRITE, 0, 0, 4, address + 4096 + 12));
    bench_expect(&bench, CHECK_BOUNDS, "12 bytes past the end of an allocation of 4096 bytes");
    assert_false(bench_one(&bench, ACCESS_READ, 0, 0, 4, 0));
    bench_expect(&bench, CHECK_BOUNDS, "no device memory is there");
    assert_false(bench_one(&bench, ACCESS_READ, 0, 0, 4, address + 2));
    bench_expect(&bench, CHECK_ALIGNMENT, "no multiple of 4");
    assert_false(bench_row(&bench, ACCESS_READ, 0, UINT32_MAX, 16, address + 8, 16));
    bench_expect(&bench, CHECK_ALIGNMENT, "no multiple of 16");
    assert_true(bench_one(&bench, ACCESS_WRITE, 0, 0, 8, SHARED_WINDOW + 992));
    assert_false(bench_one(&bench, ACCESS_WRITE, 0, 0, 16, SHARED_WINDOW + 992));
    bench_expect(&bench, CHECK_BOUNDS, "8 of 16 bytes lie past the end of 1000 bytes of shared memory");
    assert_false(bench_row(&bench, ACCESS_WRITE, 0, UINT32_MAX, 4, SHARED_WINDOW + 876, 4));
    bench_expect(&bench, CHECK_BOUNDS, "0 bytes past the end of 1000 bytes of shared memory");
    assert_true(bench_one(&bench, ACCESS_WRITE, 1, 31, 4, LOCAL_WINDOW + 36));
    assert_false(bench_one(&bench, ACCESS_WRITE, 1, 31, 4, LOCAL_WINDOW + 40));
    bench_expect(&bench, CHECK_BOUNDS, "of local memory");
    assert_true(bench_one(&bench, ACCESS_READ, 0, 0, 4, PARAMETER_WINDOW + 12));
    assert_int_equal(*(uint32_t *)bench.pointers[0], 4);
    assert_false(bench_one(&bench, ACCESS_READ, 0, 0, 8, PARAMETER_WINDOW + 16));
    bench_expect(&bench, CHECK_BOUNDS, "of 16 bytes of parameters");
    assert_false(bench_one(&bench, ACCESS_WRITE, 0, 0, 4, PARAMETER_WINDOW + 4));
    bench_expect(&bench, CHECK_READ_ONLY, "parameters");
    bench_expect_none(&bench);
    bench_end(&bench);
    assert_true(machine_release(bench.machine, address));
    bench_launch(&bench, 32, 0, 0);
    assert_false(bench_one(&bench, ACCESS_READ, 0, 0, 4, address + 8));
    bench_expect(&bench, CHECK_BOUNDS, "that was released");
    bench_end(&bench);
    bench_close(&bench);
}

static void undefined_bytes_are_found(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench);
    uint64_t address = machine_allocate(bench.machine, 8192);
    machine_fill(bench.machine, address, 0, 4096);
    bench_launch(&bench, 64, 4096, 64);
    assert_true(bench_row(&bench, ACCESS_READ, 0, UINT32_MAX, 4, address + 4096 - 128, 4));
    bench_expect_none(&bench);
    assert_true(bench_row(&bench, ACCESS_READ, 0, UINT32_MAX, 4, address + 4096 - 124, 4));
    const struct machine_report *report = bench_expect(&bench, CHECK_UNINITIALISED, "global memory");
    assert_int_equal(report->access.thread, 31);
    assert_true(report->address == address + 4096);
    /* One 16-bit half of a word is not the other. */
    assert_true(bench_one(&bench, ACCESS_WRITE, 0, 3, 2, SHARED_WINDOW + 10));
    assert_true(bench_one(&bench, ACCESS_READ, 0, 3, 2, SHARED_WINDOW + 10));
    bench_expect_none(&bench);
    assert_true(bench_one(&bench, ACCESS_READ, 0, 3, 4, SHARED_WINDOW + 8));
    report = bench_expect(&bench, CHECK_UNINITIALISED, "shared memory");
    assert_true(report->address == SHARED_WINDOW + 8);
    /* Local memory is each thread's own. */
    assert_true(bench_one(&bench, ACCESS_WRITE, 0, 3, 4, LOCAL_WINDOW + 8));
    assert_true(bench_one(&bench, ACCESS_READ, 0, 3, 4, LOCAL_WINDOW + 8));
    bench_expect_none(&bench);
    assert_true(bench_one(&bench, ACCESS_READ, 1, 3, 4, LOCAL_WINDOW + 8));
    bench_expect(&bench, CHECK_UNINITIALISED, "local memory");
    /* A new block finds neither what the last one left in shared nor in local memory. */
    bench_block(&bench, 1);
    assert_true(bench_one(&bench, ACCESS_READ, 0, 3, 2, SHARED_WINDOW + 10));
    assert_int_equal(*(uint16_t *)bench.pointers[3], 0xCDCD);
    bench_expect(&bench, CHECK_UNINITIALISED, "shared memory");
    assert_true(bench_one(&bench, ACCESS_READ, 0, 3, 4, LOCAL_WINDOW + 8));
    bench_expect(&bench, CHECK_UNINITIALISED, "local memory");
    bench_end(&bench);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_apart_and_never_reused),
        cmocka_unit_test(huge_allocations_cost_what_is_touched),
        cmocka_unit_test(released_memory_is_given_back),
        cmocka_unit_test(fresh_memory_is_undefined),
        cmocka_unit_test(copies_carry_what_is_undefined),
        cmocka_unit_test(the_host_cannot_leave_an_allocation),
        cmocka_unit_test(kernels_cannot_leave_an_allocation),
        cmocka_unit_test(undefined_bytes_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
