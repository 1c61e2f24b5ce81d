/* The machine's memory run by hand: the tests say which warp touches what, in place of the interpreter. */
#include "emulator/tests/memory_bench.h"

#include <string.h>

void bench_open(struct bench *bench)
{
    struct machine_settings settings;
    machine_default_settings(&settings);
    settings.checks = true;
    settings.limits.total_memory = INT64_C(200000000000);
    *bench = (struct bench){.machine = machine_create(&settings)};
    assert_non_null(bench->machine);
    bench->memory = machine_memory(bench->machine);
}

void bench_close(struct bench *bench)
{
    machine_destroy(bench->machine);
}

void bench_launch(struct bench *bench, int32_t threads, uint64_t shared_bytes, uint64_t local_bytes)
{
    static const uint32_t parameters[4] = {1, 2, 3, 4};
    struct memory_launch launch = {.kernel = "bench",
                                   .parameters = parameters,
                                   .parameter_bytes = sizeof parameters,
                                   .shared_bytes = shared_bytes,
                                   .local_bytes = local_bytes,
                                   .threads = threads};
    memory_launch_begin(bench->memory, &launch);
    bench->block_number = -1;
    bench_block(bench, 0);
}

void bench_block(struct bench *bench, int32_t x)
{
    int32_t block[3] = {x, 0, 0};
    if (bench->block_number >= 0)
        memory_block_end(bench->memory);
    bench->block_number++;
    memory_block_begin(bench->memory, block, bench->block_number);
}

void bench_end(struct bench *bench)
{
    memory_block_end(bench->memory);
    memory_launch_end(bench->memory);
}

bool bench_access(struct bench *bench, enum access_action action, int32_t warp, uint32_t lanes, int32_t bytes,
                  const uint64_t addresses[32])
{
    struct access access = {.action = action,
                            .warp = warp,
                            .lanes = lanes,
                            .bytes = bytes,
                            .addresses = addresses,
                            .file = "bench.cu",
                            .line = ++bench->line};
    if (!memory_access(bench->memory, &access, bench->pointers))
        return false;
    for (int32_t lane = 0; lane < 32; lane++)
        if ((lanes >> lane & 1) != 0 && (action == ACCESS_WRITE || action == ACCESS_ATOMIC))
            memset(bench->pointers[lane], lane, (size_t)bytes);
    return true;
}

bool bench_row(struct bench *bench, enum access_action action, int32_t warp, uint32_t lanes, int32_t bytes,
               uint64_t first, uint64_t stride)
{
    uint64_t addresses[32];
    for (uint64_t lane = 0; lane < 32; lane++)
        addresses[lane] = first + lane * stride;
    return bench_access(bench, action, warp, lanes, bytes, addresses);
}

bool bench_one(struct bench *bench, enum access_action action, int32_t warp, int32_t lane, int32_t bytes,
               uint64_t address)
{
    return bench_row(bench, action, warp, UINT32_C(1) << lane, bytes, address, 0);
}

void bench_barrier(struct bench *bench, uint32_t warps)
{
    uint32_t members[32] = {warps};
    memory_barrier(bench->memory, members);
}

uint64_t bench_allocate_defined(struct bench *bench, uint64_t bytes)
{
    uint64_t address = machine_allocate(bench->machine, bytes);
    assert_true(address != 0);
    machine_fill(bench->machine, address, 0, bytes);
    return address;
}

const struct machine_report *bench_expect(struct bench *bench, enum machine_check check, const char *part)
{
    static struct machine_report report;
    if (machine_report_count(bench->machine) != 1) {
        for (int64_t i = 0; i < machine_report_count(bench->machine); i++)
            print_error("report: %s: %s\n", machine_check_name(machine_report_at(bench->machine, i)->check),
                        machine_report_at(bench->machine, i)->text);
        fail_msg("expected one report of %s (%s), found %d", machine_check_name(check), part,
                 (int)machine_report_count(bench->machine));
    }
    report = *machine_report_at(bench->machine, 0);
    machine_clear_reports(bench->machine);
    if (report.check != check || strstr(report.text, part) == NULL)
        fail_msg("expected %s (%s), found %s: %s", machine_check_name(check), part, machine_check_name(report.check),
                 report.text);
    return &report;
}

void bench_expect_none(struct bench *bench)
{
    if (machine_report_count(bench->machine) == 0)
        return;
    const struct machine_report *report = machine_report_at(bench->machine, 0);
    fail_msg("unexpected report: %s line %d and %d: %s", machine_check_name(report->check), report->access.line,
             report->other.line, report->text);
}
