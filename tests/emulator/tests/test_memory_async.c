/* cp.async: while a copy is under way nobody may touch its destination or write its source; afterwards it counts as the
 * thread's own write, which others must be told of by a barrier. */
#include "emulator/tests/memory_bench.h"

#include <string.h>

#define S SHARED_WINDOW
#define ALL UINT32_MAX
#define TOUCHED "the destination of a cp.async is touched before the copy is waited for"

static uint64_t open_async(struct bench *bench, bool eager)
{
    bench_open(bench);
    machine_settings(bench->machine)->eager_copies = eager;
    uint64_t data = bench_allocate_defined(bench, 8192);
    for (uint64_t i = 0; i < 8192 / 4; i++)
        machine_write(bench->machine, data + 4 * i, &(uint32_t){(uint32_t)i}, 4);
    bench_launch(bench, 64, 8192, 0);
    return data;
}

/* Lane l copies to `to` + 16 l from `from` + 16 l. */
static struct async_copy *copy_row(struct bench *bench, int32_t warp, uint32_t lanes, uint64_t to, uint64_t from,
                                   int32_t source_bytes)
{
    uint64_t addresses[32], sources[32];
    int32_t bytes[32];
    for (uint64_t lane = 0; lane < 32; lane++) {
        addresses[lane] = to + 16 * lane;
        sources[lane] = from + 16 * lane;
        bytes[lane] = source_bytes;
    }
    struct access access = {.action = ACCESS_WRITE,
                            .warp = warp,
                            .lanes = lanes,
                            .bytes = 16,
                            .addresses = addresses,
                            .file = "bench.cu",
                            .line = ++bench->line};
    return memory_async_begin(bench->memory, &access, sources, bytes);
}

static void close_async(struct bench *bench)
{
    bench_end(bench);
    bench_expect_none(bench);
    bench_close(bench);
}

static void bytes_arrive_and_missing_ones_are_zero(void **state)
{
    (void)state;
    for (int32_t eager = 0; eager < 2; eager++) {
        struct bench bench;
        uint64_t data = open_async(&bench, eager != 0);
        struct async_copy *whole = copy_row(&bench, 0, ALL, S, data, 16);
        struct async_copy *part = copy_row(&bench, 0, ALL, S + 1024, data, 6);
        struct async_copy *none = copy_row(&bench, 0, ALL, S + 2048, 64, 0); /* nothing is read from the address */
        assert_non_null(whole);
        assert_non_null(part);
        assert_non_null(none);
        memory_async_end(bench.memory, part);
        memory_async_end(bench.memory, none);
        memory_async_end(bench.memory, whole);
        for (uint32_t row = 0; row < 3; row++) {
            assert_true(bench_row(&bench, ACCESS_READ, 0, ALL, 16, S + 1024 * row, 16));
            for (uint32_t lane = 0; lane < 32; lane++) {
                uint32_t expected[4] = {4 * lane, 4 * lane + 1, 4 * lane + 2, 4 * lane + 3};
                memset((uint8_t *)expected + (row == 0 ? 16 : row == 1 ? 6 : 0), 0, row == 0 ? 0 : row == 1 ? 10 : 16);
                assert_memory_equal(bench.pointers[lane], expected, 16);
            }
        }
        close_async(&bench);
    }
}

static void the_destination_may_not_be_touched(void **state)
{
    (void)state;
    for (int32_t eager = 0; eager < 2; eager++) {
        struct bench bench;
        uint64_t data = open_async(&bench, eager != 0);
        struct async_copy *copy = copy_row(&bench, 0, ALL, S, data, 16);
        bench_one(&bench, ACCESS_READ, 0, 3, 4, S + 16 * 3 + 4); /* its own */
        const struct machine_report *report = bench_expect(&bench, CHECK_ASYNC, TOUCHED);
        assert_int_equal(report->access.line, 2);
        assert_int_equal(report->access.thread, 3);
        assert_int_equal(report->other.line, 1);
        assert_int_equal(report->other.thread, 3);
        assert_true(report->other.write && report->address == S + 16 * 3 + 4);
        bench_one(&bench, ACCESS_WRITE, 1, 3, 1, S + 511);
        report = bench_expect(&bench, CHECK_ASYNC, TOUCHED);
        assert_int_equal(report->other.thread, 31);
        bench_one(&bench, ACCESS_WRITE, 1, 3, 1, S + 512);
        bench_expect_none(&bench);
        struct async_copy *second = copy_row(&bench, 0, 0x1, S + 16, data, 16);
        report = bench_expect(&bench, CHECK_ASYNC, "two copies into the same bytes of shared memory are under way");
        assert_int_equal(report->other.thread, 1);
        memory_async_end(bench.memory, copy);
        memory_async_end(bench.memory, second);
        memory_warp_barrier(bench.memory, 0, ALL);
        bench_one(&bench, ACCESS_READ, 0, 3, 4, S + 16 * 3 + 4);
        close_async(&bench);
    }
}

/* Two stages: the one that is waited for is read while the other is filled. */
static void a_pipeline_with_its_waits_and_barriers_is_legal(void **state)
{
    (void)state;
    struct bench bench;
    uint64_t data = open_async(&bench, false);
    struct async_copy *stages[2][2];
    for (int32_t warp = 0; warp < 2; warp++)
        stages[0][warp] = copy_row(&bench, warp, ALL, S + 512 * (uint64_t)warp, data + 512 * (uint64_t)warp, 16);
    for (uint64_t step = 0; step < 6; step++) {
        uint64_t next = (step + 1) % 2 * 1024;
        for (int32_t warp = 0; warp < 2; warp++) {
            stages[(step + 1) % 2][warp] =
                copy_row(&bench, warp, ALL, S + next + 512 * (uint64_t)warp, data + 512 * (uint64_t)warp, 16);
            memory_async_end(bench.memory, stages[step % 2][warp]);
        }
        bench_barrier(&bench, 0x3);
        for (int32_t warp = 0; warp < 2; warp++)
            for (uint64_t part = 0; part < 2; part++)
                bench_row(&bench, ACCESS_READ, warp, ALL, 16, S + step % 2 * 1024 + 512 * part, 16);
        bench_barrier(&bench, 0x3);
    }
    bench_expect_none(&bench);
    close_async(&bench); /* the last stage is never waited for, which is legal */
}

static void waiting_is_not_a_barrier(void **state)
{
    (void)state;
    struct bench bench;
    uint64_t data = open_async(&bench, false);
    struct async_copy *copy = copy_row(&bench, 0, ALL, S, data, 16);
    memory_async_end(bench.memory, copy);
    bench_one(&bench, ACCESS_READ, 0, 2, 4, S + 32);
    bench_expect_none(&bench);
    bench_one(&bench, ACCESS_READ, 0, 1, 4, S + 32); /* another lane's copy */
    bench_expect(&bench, CHECK_RACE, "a read of shared memory after a write");
    bench_row(&bench, ACCESS_READ, 1, ALL, 4, S, 4); /* another warp's */
    const struct machine_report *report = bench_expect(&bench, CHECK_RACE, "a read of shared memory after a write");
    assert_int_equal(report->other.line, 1);
    /* The barrier came before the wait: the copy may have landed after it. */
    bench_barrier(&bench, 0x3);
    copy = copy_row(&bench, 0, ALL, S + 1024, data, 16);
    bench_barrier(&bench, 0x3);
    memory_async_end(bench.memory, copy);
    bench_row(&bench, ACCESS_READ, 1, ALL, 4, S + 1024, 4);
    bench_expect(&bench, CHECK_RACE, "a read of shared memory after a write");
    /* Readers of the last round were not waited for when the copy was begun. */
    bench_barrier(&bench, 0x3);
    bench_row(&bench, ACCESS_READ, 1, ALL, 4, S + 1024, 4);
    copy = copy_row(&bench, 0, ALL, S + 1024, data, 16);
    bench_expect(&bench, CHECK_RACE, "a write of shared memory after a read");
    memory_async_end(bench.memory, copy);
    close_async(&bench);
}

static void the_source_may_not_be_written(void **state)
{
    (void)state;
    struct bench bench;
    uint64_t data = open_async(&bench, false);
    bench_row(&bench, ACCESS_WRITE, 0, ALL, 4, data, 4);
    bench_barrier(&bench, 0x3);
    struct async_copy *copy = copy_row(&bench, 0, ALL, S, data, 12);
    bench_one(&bench, ACCESS_READ, 1, 0, 4, data);
    bench_barrier(&bench, 0x3);
    bench_one(&bench, ACCESS_WRITE, 1, 5, 4, data + 16 * 7 + 12); /* beyond what is read */
    bench_one(&bench, ACCESS_WRITE, 1, 5, 4, data + 512);
    bench_expect_none(&bench);
    bench_one(&bench, ACCESS_WRITE, 1, 5, 4, data + 16 * 7 + 8);
    const struct machine_report *report =
        bench_expect(&bench, CHECK_ASYNC, "the source of a cp.async is written before the copy is waited for");
    assert_int_equal(report->access.thread, 37);
    assert_int_equal(report->other.thread, 7);
    assert_false(report->other.write);
    memory_async_end(bench.memory, copy);
    bench_one(&bench, ACCESS_WRITE, 1, 6, 4, data + 16 * 9); /* the wait orders only the thread's own */
    bench_expect(&bench, CHECK_RACE, "a write of global memory after a read");
    bench_barrier(&bench, 0x3);
    bench_one(&bench, ACCESS_WRITE, 1, 6, 4, data + 16 * 10);
    close_async(&bench);
}

static void sources_and_destinations_must_be_legal(void **state)
{
    (void)state;
    struct bench bench;
    uint64_t data = open_async(&bench, false);
    assert_null(copy_row(&bench, 0, ALL, S, data + 8192 - 256, 16));
    const struct machine_report *report =
        bench_expect(&bench, CHECK_BOUNDS, "at the end of an allocation of 8192 bytes");
    assert_int_equal(report->access.thread, 16);
    assert_null(copy_row(&bench, 0, ALL, S + 8192 - 256, data, 16));
    bench_expect(&bench, CHECK_BOUNDS, "past the end of 8192 bytes of shared memory");
    assert_null(copy_row(&bench, 0, ALL, data, data, 16));
    bench_expect(&bench, CHECK_BOUNDS, "shared memory");
    assert_null(copy_row(&bench, 0, ALL, S, S + 1024, 16));
    bench_expect(&bench, CHECK_BOUNDS, "global memory");
    assert_null(copy_row(&bench, 0, ALL, S, data + 8, 16));
    bench_expect(&bench, CHECK_ALIGNMENT, "no multiple of 16");
    assert_null(copy_row(&bench, 0, ALL, S + 4, data, 16));
    bench_expect(&bench, CHECK_ALIGNMENT, "no multiple of 16");
    machine_mark_defined(bench.machine, data + 100, 1, false);
    struct async_copy *copy = copy_row(&bench, 0, ALL, S, data, 16);
    report = bench_expect(&bench, CHECK_UNINITIALISED, "global memory");
    assert_true(report->address == data + 100 && report->access.thread == 6);
    memory_async_end(bench.memory, copy);
    close_async(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_and_missing_ones_are_zero),
        cmocka_unit_test(the_destination_may_not_be_touched),
        cmocka_unit_test(a_pipeline_with_its_waits_and_barriers_is_legal),
        cmocka_unit_test(waiting_is_not_a_barrier),
        cmocka_unit_test(the_source_may_not_be_written),
        cmocka_unit_test(sources_and_destinations_must_be_legal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
