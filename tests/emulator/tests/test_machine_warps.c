/* What lanes and warps do together: shuffles against the formula of PTX ISA, votes, matches, reductions, barriers with and
 * without counts; and what is reported when lanes are missing. Every defect has a neighbour that is right. */
#include "emulator/tests/machine_trial.h"

#include <stdio.h>
#include <string.h>

/* The value of lane i is 3 i + 1. */
static uint32_t value_of(uint32_t lane)
{
    return 3 * lane + 1;
}

/* PTX ISA, "shfl.sync": the pseudo code, for all modes, offsets and segment widths; out = value + 1000 * predicate. */
static void shuffles_follow_the_formula(void **state)
{
    (void)state;
    static const char *const modes[] = {"up", "down", "bfly", "idx"};
    struct trial *trial = trial_open();
    for (int mode = 0; mode < 4; mode++) {
        for (uint32_t width = 32; width >= 4; width /= 2) {
            for (uint32_t b = 0; b < 32; b += 1 + b / 4) {
                uint32_t c = (32 - width) << 8 | (mode == 0 ? 0 : 31);
                char body[512];
                snprintf(body, sizeof body,
                         "mad.lo.u32 %%r4, %%r1, 3, 1; shfl.sync.%s.b32 %%r0|%%p1, %%r4, %u, %u, 0xffffffff;\n"
                         "@%%p1 add.u32 %%r0, %%r0, 1000;",
                         modes[mode], b, c);
                trial_run(trial, body);
                trial_no_reports(trial);
                for (int32_t lane = 0; lane < 32; lane++) {
                    int32_t segment = (int32_t)(32 - width), clamp = (int32_t)(c & 31), offset = (int32_t)b;
                    int32_t most = (lane & segment) | (clamp & ~segment), least = lane & segment;
                    int32_t j = mode == 0   ? lane - offset
                                : mode == 1 ? lane + offset
                                : mode == 2 ? lane ^ offset
                                            : least | (offset & ~segment);
                    bool valid = mode == 0 ? j >= most : j <= most;
                    assert_int_equal(trial->out[lane], value_of((uint32_t)(valid ? j : lane)) + (valid ? 1000 : 0));
                }
            }
        }
    }
    trial_close(trial);
}

/* Two halves of a warp shuffle with masks of their own, under divergence. */
static void halves_shuffle_among_themselves(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial_run(trial, "setp.lt.u32 %p1, %r1, 16; selp.b32 %r5, 0xffff, 0xffff0000, %p1; mov.u32 %r4, 7;\n"
                     "@%p1 add.u32 %r4, %r1, 100;\n@!%p1 add.u32 %r4, %r1, 200;\n"
                     "shfl.sync.bfly.b32 %r0, %r4, 1, 31, %r5;");
    trial_no_reports(trial);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(trial->out[i], (i ^ 1) + (i < 16 ? 100 : 200));
    /* In a branch of its own with its own mask: fine. With the whole warp's mask: the other lanes never come. */
    const char *branch = "setp.lt.u32 %%p1, %%r1, 16; mov.u32 %%r0, 1; @!%%p1 bra REST;\n"
                         ".loc 1 50 0\nshfl.sync.down.b32 %%r0, %%r1, 1, 31, %s;\n"
                         ".loc 1 60 0\nREST: bar.warp.sync 0xffffffff;";
    char body[512];
    snprintf(body, sizeof body, branch, "0xffff");
    trial_run(trial, body);
    assert_int_equal(trial->out[3], 4);
    assert_int_equal(trial->out[20], 1);
    snprintf(body, sizeof body, branch, "0xffffffff");
    trial_run(trial, body);
    trial_reported(trial, CHECK_BARRIER, 50, "waits for lanes 16-31, which stand at test.cu:60");
    assert_false(trial->ended);
    trial_close(trial);
}

static void lanes_outside_of_a_mask_are_reported(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial_run(trial, ".loc 1 5 0\nshfl.sync.bfly.b32 %r0, %r1, 1, 31, 0xffff;");
    trial_reported(trial, CHECK_BARRIER, 5, "member mask 0x0000ffff");
    /* Lane 15 asks lane 16, which does not take part: to ignore the value is fine, to use it is not. */
    const char *body = "setp.ge.u32 %%p1, %%r1, 16; mov.u32 %%r0, 0; @%%p1 bra END;\n"
                       "shfl.sync.down.b32 %%r4, %%r1, 1, 31, 0xffff; setp.lt.u32 %%p2, %%r1, %d;\n"
                       ".loc 1 8 0\n@%%p2 mov.u32 %%r0, %%r4;\nEND:";
    char text[512];
    snprintf(text, sizeof text, body, 15);
    trial_run(trial, text);
    trial_no_reports(trial);
    assert_int_equal(trial->out[14], 15);
    snprintf(text, sizeof text, body, 16);
    trial_run(trial, text);
    trial_reported(trial, CHECK_UNINITIALISED, 8, "%r4");
    trial_close(trial);
}

static void votes_matches_and_reductions(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        uint32_t even, odd;
    } cases[] = {
        {"vote.sync.ballot.b32 %r0, %p1, 0xffffffff;", 0xAAAAAAAA, 0xAAAAAAAA},
        {"vote.sync.ballot.b32 %r0, !%p1, 0xffffffff;", 0x55555555, 0x55555555},
        {"vote.sync.any.pred %p2, %p1, 0xffffffff; selp.b32 %r0, 1, 0, %p2;", 1, 1},
        {"vote.sync.all.pred %p2, %p1, 0xffffffff; selp.b32 %r0, 1, 0, %p2;", 0, 0},
        {"vote.sync.uni.pred %p2, %p1, 0xffffffff; selp.b32 %r0, 1, 0, %p2;", 0, 0},
        {"vote.sync.all.pred %p2, %p1, %r5; selp.b32 %r0, 1, 0, %p2;", 0, 1},
        {"vote.sync.uni.pred %p2, %p1, %r5; selp.b32 %r0, 1, 0, %p2;", 1, 1},
        {"match.any.sync.b32 %r0, %r4, 0xffffffff;", 0x55555555, 0xAAAAAAAA},
        {"match.all.sync.b32 %r0|%p2, %r4, 0xffffffff; @%p2 mov.u32 %r0, 99;", 0, 0},
        {"match.all.sync.b32 %r0|%p2, %r4, %r5; @!%p2 mov.u32 %r0, 99;", 0x55555555, 0xAAAAAAAA},
        {"redux.sync.add.u32 %r0, %r1, 0xffffffff;", 496, 496},
        {"redux.sync.add.s32 %r0, %r1, %r5;", 240, 256},
        {"redux.sync.min.u32 %r0, %r1, %r5;", 0, 1},
        {"redux.sync.max.u32 %r0, %r1, %r5;", 30, 31},
        {"neg.s32 %r6, %r1; redux.sync.min.s32 %r0, %r6, 0xffffffff;", (uint32_t)-31, (uint32_t)-31},
        {"neg.s32 %r6, %r1; redux.sync.max.s32 %r0, %r6, 0xffffffff;", 0, 0},
        {"redux.sync.or.b32 %r0, %r1, %r5;", 30, 31},
        {"redux.sync.and.b32 %r0, %r1, %r5;", 0, 1},
        {"redux.sync.xor.b32 %r0, %r5, %r5;", 0, 0},
        {"elect.sync %r0|%p2, %r5; @%p2 add.u32 %r0, %r0, 64; @%p2 sub.u32 %r0, %r0, 64;", 0, 1},
    };
    struct trial *trial = trial_open();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[512];
        snprintf(body, sizeof body,
                 "and.b32 %%r4, %%r1, 1; setp.ne.u32 %%p1, %%r4, 0; selp.b32 %%r5, 0xAAAAAAAA, 0x55555555, %%p1;\n%s",
                 cases[i].body);
        trial_run(trial, body);
        trial_no_reports(trial);
        for (uint32_t lane = 0; lane < 32; lane++) {
            if (trial->out[lane] != (lane % 2 ? cases[i].odd : cases[i].even))
                fail_msg("%s: lane %u has 0x%x", cases[i].body, lane, trial->out[lane]);
        }
    }
    trial_close(trial);
}

/* ---- barriers of the block ---- */

static const char pass_on[] = /* the thread's value goes to the thread opposite, through shared memory */
    "mov.u32 %%r4, tile; shl.b32 %%r5, %%r1, 2; add.u32 %%r6, %%r4, %%r5; mad.lo.u32 %%r7, %%r1, 3, 1;\n"
    ".loc 1 20 0\nst.shared.u32 [%%r6], %%r7;\n"
    "%s\n"
    "sub.u32 %%r8, 127, %%r1; shl.b32 %%r8, %%r8, 2; add.u32 %%r8, %%r4, %%r8;\n"
    ".loc 1 22 0\nld.shared.u32 %%r0, [%%r8];";

static void run_with_barrier(struct trial *trial, const char *barrier)
{
    char body[1024];
    snprintf(body, sizeof body, pass_on, barrier);
    trial_run(trial, body);
}

static struct trial *open_block(uint32_t threads)
{
    struct trial *trial = trial_open();
    trial->declarations = ".shared .align 4 .b8 tile[512];";
    trial->block[0] = threads;
    return trial;
}

static void barriers_order_shared_memory(void **state)
{
    (void)state;
    static const char *const barriers[] = {"bar.sync 0;",
                                           "barrier.sync 3;",
                                           "barrier.sync.aligned 2, 128;",
                                           "barrier.cta.sync.aligned 1;",
                                           "bar.red.popc.u32 %r9, 0, %p0;",
                                           "mov.u32 %r20, 5; mov.u32 %r21, 128; bar.sync %r20, %r21;"};
    struct trial *trial = open_block(128);
    for (int order = MACHINE_FORWARD; order <= MACHINE_SHUFFLED; order++) {
        trial->settings.order = (enum machine_order)order;
        for (size_t i = 0; i < sizeof barriers / sizeof barriers[0]; i++) {
            char text[256];
            snprintf(text, sizeof text, "setp.lt.u32 %%p0, %%r1, 40; %s", barriers[i]);
            run_with_barrier(trial, text);
            trial_no_reports(trial);
            for (uint32_t t = 0; t < 128; t++)
                assert_int_equal(trial->out[t], value_of(127 - t));
            assert_int_equal(machine_counters(trial->machine).barriers, 1);
        }
    }
    /* Without one the bytes of the other warp are a race, or were never written, depending on the order. */
    run_with_barrier(trial, "");
    bool found = false;
    for (int64_t i = 0; i < machine_report_count(trial->machine); i++) {
        const struct machine_report *report = machine_report_at(trial->machine, i);
        found |= report->check == CHECK_RACE && strcmp(report->access.file, "test.cu") == 0;
    }
    assert_true(found);
    trial_close(trial);
}

static void reductions_of_barriers(void **state)
{
    (void)state;
    struct trial *trial = open_block(128);
    trial_run(trial, "setp.lt.u32 %p0, %r1, 40; setp.lt.u32 %p4, %r1, 128; bar.red.popc.u32 %r4, 0, !%p0;\n"
                     "bar.red.and.pred %p1, 0, %p0; bar.red.or.pred %p2, 0, %p0; bar.red.and.pred %p3, 1, 128, %p4;\n"
                     "selp.b32 %r5, 1000, 0, %p1; selp.b32 %r6, 2000, 0, %p2; selp.b32 %r7, 4000, 0, %p3;\n"
                     "add.u32 %r0, %r4, %r5; add.u32 %r0, %r0, %r6; add.u32 %r0, %r0, %r7;");
    trial_no_reports(trial);
    for (uint32_t t = 0; t < 128; t++)
        assert_int_equal(trial->out[t], 88 + 6000);
    trial_close(trial);
}

/* Producers arrive at barrier 1, consumers wait there. */
static void arriving_and_waiting(void **state)
{
    (void)state;
    struct trial *trial = open_block(128);
    const char *body = "mov.u32 %%r0, 5; mov.u32 %%r4, tile; shl.b32 %%r5, %%r1, 2; add.u32 %%r6, %%r4, %%r5;\n"
                       "setp.ge.u32 %%p1, %%r1, 64; @%%p1 bra CONSUMER;\n"
                       "st.shared.u32 [%%r6], %%r1; .loc 1 30 0\n%s\n bra END;\n"
                       "CONSUMER: .loc 1 31 0\n%s\nld.shared.u32 %%r0, [%%r6-256];\nEND:";
    char text[1024];
    for (int order = MACHINE_FORWARD; order <= MACHINE_REVERSED; order++) {
        trial->settings.order = (enum machine_order)order;
        snprintf(text, sizeof text, body, "bar.arrive 1, 128;", "bar.sync 1, 128;");
        trial_run(trial, text);
        trial_no_reports(trial);
        for (uint32_t t = 0; t < 128; t++)
            assert_int_equal(trial->out[t], t < 64 ? 5 : t - 64);
    }
    snprintf(text, sizeof text, body, "bar.arrive 1, 96;", "bar.sync 1, 128;");
    trial_run(trial, text);
    assert_int_equal(machine_report_at(trial->machine, 0)->check, CHECK_BARRIER);
    assert_non_null(strstr(machine_report_at(trial->machine, 0)->text, "with 96 threads"));
    assert_false(trial->ended);
    trial->settings.order = MACHINE_FORWARD;
    snprintf(text, sizeof text, body, "", "bar.sync 1, 128;");
    trial_run(trial, text);
    trial_reported(trial, CHECK_BARRIER, 31, "barrier 1 with 64 of 128 threads");
    snprintf(text, sizeof text, body, "bar.arrive 1, 100;", "");
    trial_run(trial, text);
    trial_reported(trial, CHECK_BARRIER, 30, "a multiple of 32");
    snprintf(text, sizeof text, body, "bar.arrive 1, 96;", "bra END;");
    trial_run(trial, text);
    trial_reported(trial, CHECK_BARRIER, 30, "ends while barrier 1 is incomplete");
    trial_close(trial);
}

/* Whether whole warps have ended or some lanes; a barrier with a number of threads asks for no others. */
static void threads_that_have_ended_are_missed_but_not_waited_for(void **state)
{
    (void)state;
    struct trial *trial = open_block(128);
    trial_run(trial, "setp.ge.u32 %p1, %r1, 64; @%p1 exit;\n.loc 1 50 0\nbar.sync 0; mov.u32 %r0, 1;");
    trial_reported(trial, CHECK_BARRIER, 50, "after lanes 0-31 of warp 2 have ended");
    assert_int_equal(trial->out[63], 1);
    assert_true(trial->ended);
    trial_run(trial, "setp.eq.u32 %p1, %r1, 69; @%p1 exit;\n.loc 1 52 0\nbar.sync 0; mov.u32 %r0, 1;");
    trial_reported(trial, CHECK_BARRIER, 52, "after lanes 5 of warp 2 have ended");
    trial->settings.order = MACHINE_REVERSED;
    trial_run(trial, "setp.lt.u32 %p1, %r1, 64; @%p1 exit;\n.loc 1 54 0\nbar.sync 0; mov.u32 %r0, 1;");
    trial_reported(trial, CHECK_BARRIER, 54, "after lanes 0-31 of warp 0 have ended");
    trial_run(trial, "setp.lt.u32 %p1, %r1, 64; @%p1 exit; bar.sync 1, 64; mov.u32 %r0, 1;");
    trial_no_reports(trial);
    trial_close(trial);
    trial = open_block(40); /* lanes that the block never had */
    trial_run(trial, "bar.sync 0; mov.u32 %r0, 1;");
    trial_no_reports(trial);
    trial_close(trial);
}

/* __syncthreads() in a branch that a part of a warp takes. */
static void a_barrier_under_divergence(void **state)
{
    (void)state;
    struct trial *trial = open_block(64);
    const char *body = "mov.u32 %%r0, 1; setp.lt.u32 %%p1, %%r1, %d; @!%%p1 bra AFTER;\n.loc 1 70 0\nbar.sync 0;\n"
                       ".loc 1 72 0\nAFTER: bar.sync 0;";
    char text[512];
    snprintf(text, sizeof text, body, 64);
    trial_run(trial, text);
    trial_no_reports(trial);
    snprintf(text, sizeof text, body, 48);
    trial_run(trial, text);
    assert_true(machine_report_count(trial->machine) > 0);
    const struct machine_report *report = machine_report_at(trial->machine, 0);
    assert_int_equal(report->check, CHECK_BARRIER);
    assert_int_equal(report->access.line, 70);
    assert_non_null(strstr(report->text, "lanes 0-15 of warp 1"));
    trial_close(trial);
}

/* A warp whose lanes come to a barrier from far apart in the code is whole when all have come. */
static void a_barrier_waits_for_the_rest_of_its_warp(void **state)
{
    (void)state;
    struct trial *trial = open_block(64);
    trial_run(trial, "and.b32 %r4, %r1, 3; setp.eq.u32 %p1, %r4, 0; @%p1 bra FAR;\nmov.u32 %r0, 1;\n"
                     "BACK: bar.sync 0; bra END;\nFAR: mov.u32 %r0, 2; bra BACK;\nEND:");
    trial_no_reports(trial);
    for (uint32_t t = 0; t < 64; t++)
        assert_int_equal(trial->out[t], t % 4 ? 1 : 2);
    trial_close(trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffles_follow_the_formula),
        cmocka_unit_test(halves_shuffle_among_themselves),
        cmocka_unit_test(lanes_outside_of_a_mask_are_reported),
        cmocka_unit_test(votes_matches_and_reductions),
        cmocka_unit_test(barriers_order_shared_memory),
        cmocka_unit_test(reductions_of_barriers),
        cmocka_unit_test(arriving_and_waiting),
        cmocka_unit_test(threads_that_have_ended_are_missed_but_not_waited_for),
        cmocka_unit_test(a_barrier_under_divergence),
        cmocka_unit_test(a_barrier_waits_for_the_rest_of_its_warp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
