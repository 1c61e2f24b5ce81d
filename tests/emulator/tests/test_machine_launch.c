/* Launches: their limits, the order of blocks and warps, registers that nobody wrote, blocks that race, reports that are
 * counted. */
#include "emulator/tests/machine_trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refuse_launch(struct trial *trial, const char *part)
{
    trial_run(trial, "mov.u32 %r0, 1;");
    trial_reported(trial, CHECK_LAUNCH, 0, part);
    assert_false(trial->ended);
    assert_int_equal(machine_counters(trial->machine).launches, 0);
}

static void limits_of_sizes(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->block[0] = 1025;
    refuse_launch(trial, "block.x is 1025");
    trial->block[0] = 512, trial->block[1] = 3;
    refuse_launch(trial, "1536 threads");
    trial->block[0] = 1, trial->block[1] = 1, trial->block[2] = 65;
    refuse_launch(trial, "block.z is 65");
    trial->block[2] = 0;
    refuse_launch(trial, "block.z is 0");
    trial->block[2] = 1, trial->grid[1] = 65536;
    refuse_launch(trial, "grid.y is 65536");
    trial->grid[1] = 1, trial->grid[2] = 65536;
    refuse_launch(trial, "grid.z is 65536");
    trial->grid[2] = 1, trial->grid[0] = 0x80000000u;
    refuse_launch(trial, "grid.x is 2147483648");
    trial->grid[0] = 1, trial->block[0] = 1024;
    trial_run(trial, "mov.u32 %r0, 1;");
    trial_no_reports(trial);
    trial_close(trial);
}

static void limits_of_shared_memory(void **state)
{
    (void)state;
    static const struct {
        const struct machine_limits *limits;
        uint64_t most;
    } devices[] = {{&machine_sm_80, 163 * 1024}, {&machine_sm_86, 99 * 1024}, {&machine_sm_90, 227 * 1024}};
    struct trial *trial = trial_open();
    trial->declarations = ".shared .align 4 .b8 tile[1024];";
    for (int i = 0; i < 3; i++) {
        trial->settings.limits = *devices[i].limits;
        trial->dynamic_shared = devices[i].most - 1024;
        const char *body = "mov.u32 %r4, tile; st.shared.u32 [%r4], 3; mov.u32 %r0, 1;";
        trial_run(trial, body);
        assert_true(trial->ended);
        trial->dynamic_shared++;
        trial_run(trial, body);
        trial_reported(trial, CHECK_LAUNCH, 0, devices[i].limits->name);
        assert_false(trial->ended);
    }
    trial_close(trial);
}

/* .maxntid and .reqntid */
static void limits_of_kernels(void **state)
{
    (void)state;
    struct machine_settings settings;
    machine_default_settings(&settings);
    struct machine *machine = machine_create(&settings);
    char text[512], error[256];
    static const char *const limits[] = {".maxntid 64, 2", ".reqntid 64, 2"};
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text,
                 ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k%d()\n%s\n{\nret;\n}\n", i,
                 limits[i]);
        struct ptx_module *module = ptx_parse(text, strlen(text), error, sizeof error);
        assert_non_null(module);
        assert_true(machine_load(machine, module, error, sizeof error));
    }
    static const struct {
        const char *kernel;
        uint32_t x, y;
        bool good;
    } launches[] = {{"k0", 64, 2, true}, {"k0", 128, 1, true},  {"k0", 65, 2, false},
                    {"k1", 64, 2, true}, {"k1", 128, 1, false}, {"k1", 32, 2, false}};
    for (size_t i = 0; i < sizeof launches / sizeof launches[0]; i++) {
        struct machine_launch launch = {.kernel = machine_find_kernel(machine, launches[i].kernel),
                                        .grid = {2, 1, 1},
                                        .block = {launches[i].x, launches[i].y, 1}};
        assert_int_equal(machine_attributes(launch.kernel).maximum_threads, 128);
        assert_true(machine_run(machine, &launch) == launches[i].good);
        assert_int_equal(machine_report_count(machine), launches[i].good ? 0 : 1);
        machine_clear_reports(machine);
    }
    assert_null(machine_find_kernel(machine, "k2"));
    machine_destroy(machine);
}

/* Every block and warp takes a number: each is given once, whatever the order, and the orders differ. */
static void orders_visit_every_block_once(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->variables = ".global .u32 next;";
    trial->grid[0] = 7, trial->grid[1] = 1, trial->block[0] = 64;
    const char *body =
        "and.b32 %r4, %r1, 31; setp.eq.u32 %p1, %r4, 0; mov.u32 %r5, 0; @%p1 atom.global.add.u32 %r5, [next], 1; "
        "shfl.sync.idx.b32 %r0, %r5, 0, 31, -1;";
    uint32_t first[2][14];
    for (int order = MACHINE_FORWARD; order <= MACHINE_SHUFFLED; order++) {
        trial->settings.order = (enum machine_order)order;
        for (uint64_t seed = 1; seed <= 2; seed++) {
            bool seen[14] = {false};
            trial->settings.seed = seed;
            trial_run(trial, body);
            trial_no_reports(trial);
            for (uint32_t w = 0; w < 14; w++) {
                uint32_t number = trial->out[32 * w];
                assert_true(number < 14 && !seen[number]);
                seen[number] = true;
                if (order == MACHINE_FORWARD)
                    assert_int_equal(number, w);
                if (order == MACHINE_REVERSED)
                    assert_int_equal(number, 13 - w);
                first[seed - 1][w] = number;
            }
        }
    }
    assert_memory_not_equal(first[0], first[1], sizeof first[0]);
    trial_close(trial);
}

/* A part of a launch's blocks, from the front or from the back; smaller launches run whole. */
static void some_blocks_run_alone(void **state)
{
    (void)state;
    static const struct {
        int64_t first, count;
        uint32_t begin, end;
    } parts[] = {{2, 3, 2, 5}, {-2, 2, 5, 7}, {-7, 1, 0, 1}, {0, 0, 0, 7}, {5, 3, 0, 7}, {-9, 1, 0, 7}, {6, 1, 6, 7}};
    struct trial *trial = trial_open();
    trial->grid[0] = 7, trial->grid[1] = 1;
    for (int order = MACHINE_FORWARD; order <= MACHINE_SHUFFLED; order++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            trial->settings.order = (enum machine_order)order;
            trial->settings.first_block = parts[i].first;
            trial->settings.block_count = parts[i].count;
            trial_run(trial, "mov.u32 %r0, 1;");
            trial_no_reports(trial);
            for (uint32_t block = 0; block < 7; block++)
                assert_int_equal(trial->out[32 * block],
                                 block >= parts[i].begin && block < parts[i].end ? 1u : 0xCDCDCDCDu);
        }
    trial_close(trial);
}

static void blocks_and_threads_in_three_dimensions(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->grid[0] = 3, trial->grid[1] = 2, trial->grid[2] = 2;
    trial->settings.order = MACHINE_SHUFFLED;
    trial_run(
        trial,
        "mov.u32 %r4, %ctaid.y; mov.u32 %r5, %ctaid.z; mov.u32 %r6, %nctaid.x; mov.u32 %r7, %nctaid.y; mad.lo.u32 "
        "%r8, %r5, %r7, %r4; mad.lo.u32 %r8, %r8, %r6, %r62; mad.lo.u32 %r9, %r8, 32, %r1; mul.wide.u32 %a10, %r9, "
        "4; add.s64 %a3, %a1, %a10; mad.lo.u32 %r0, %r5, 100, %r4; mad.lo.u32 %r0, %r0, 100, %r62;");
    trial_no_reports(trial);
    for (uint32_t b = 0; b < 12; b++)
        assert_int_equal(trial->out[32 * b + 5], b / 6 * 10000 + b / 3 % 2 * 100 + b % 3);
    trial_close(trial);
}

/* A register that only some lanes have written. */
static void registers_that_nobody_wrote(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    const char *body =
        "setp.lt.u32 %%p1, %%r1, 16; @%%p1 mov.u32 %%r9, 4; mov.u32 %%r0, 0;\n.loc 1 7 0\n%s add.u32 %%r0, %%r9, 1;";
    char text[256];
    snprintf(text, sizeof text, body, "@%p1");
    trial_run(trial, text);
    trial_no_reports(trial);
    snprintf(text, sizeof text, body, "");
    trial_run(trial, text);
    trial_reported(trial, CHECK_UNINITIALISED, 7, "%r9");
    assert_true(trial->ended);
    trial->settings.checks = false;
    trial_run(trial, text);
    trial_no_reports(trial);
    trial_close(trial);
}

/* Two blocks write one word. */
static void blocks_that_race(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->grid[0] = 2;
    trial_run(trial, "mov.u32 %r0, 3; setp.eq.u32 %p1, %r1, 0; .loc 1 12 0\n@%p1 st.global.u32 [%a1+1024], %r0;");
    trial_reported(trial, CHECK_BLOCK_RACE, 12, "");
    trial_run(trial, "mov.u32 %r0, 3; setp.eq.u32 %p1, %r2, 0; .loc 1 12 0\n@%p1 st.global.u32 [%a1+1024], %r0;");
    trial_no_reports(trial);
    trial_close(trial);
}

static void reports_are_counted_and_cleared(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->grid[0] = 5;
    trial_run(trial, "mov.u32 %r0, 1; .loc 1 3 0\nadd.u32 %r4, %r9, 1; .loc 1 4 0\nadd.u32 %r4, %r10, 1;");
    assert_int_equal(machine_report_count(trial->machine), 2);
    const struct machine_report *report = machine_report_at(trial->machine, 1);
    assert_int_equal(report->times, 5);
    assert_int_equal(report->access.line, 4);
    assert_null(machine_report_at(trial->machine, 2));
    char text[512];
    machine_format_report(report, text, sizeof text);
    assert_non_null(strstr(text, "uninitialised in k: "));
    assert_non_null(strstr(text, "test.cu:4"));
    assert_non_null(strstr(text, "5 times"));
    machine_clear_reports(trial->machine);
    assert_int_equal(machine_report_count(trial->machine), 0);
    trial_close(trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_of_sizes),
        cmocka_unit_test(limits_of_shared_memory),
        cmocka_unit_test(limits_of_kernels),
        cmocka_unit_test(orders_visit_every_block_once),
        cmocka_unit_test(some_blocks_run_alone),
        cmocka_unit_test(blocks_and_threads_in_three_dimensions),
        cmocka_unit_test(registers_that_nobody_wrote),
        cmocka_unit_test(blocks_that_race),
        cmocka_unit_test(reports_are_counted_and_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
