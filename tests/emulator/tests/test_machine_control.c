/* Control flow: divergence and where it joins, loops of different lengths, tables, exits, and lanes that wait for other
 * lanes. */
#include "emulator/tests/machine_trial.h"

#include <stdio.h>
#include <string.h>

/* if (i & 1) { if (i & 2) r = 10; else r = 20; } else { if (i & 2) r = 30; else r = 40; } r += activemask's population */
static void nested_ifs_join(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial_run(trial, "and.b32 %r4, %r1, 1; setp.ne.s32 %p1, %r4, 0;\n"
                     "and.b32 %r5, %r1, 2; setp.ne.s32 %p2, %r5, 0;\n"
                     "@%p1 bra ODD;\n"
                     "@%p2 bra EVEN2;\n mov.u32 %r0, 40; bra JOIN1;\n"
                     "EVEN2: mov.u32 %r0, 30;\nJOIN1: bra JOIN;\n"
                     "ODD: @%p2 bra ODD2;\n mov.u32 %r0, 20; bra JOIN2;\n"
                     "ODD2: mov.u32 %r0, 10;\nJOIN2: activemask.b32 %r7; popc.b32 %r7, %r7; add.u32 %r0, %r0, %r7;\n"
                     "JOIN: activemask.b32 %r6; popc.b32 %r6, %r6; add.u32 %r0, %r0, %r6;");
    trial_no_reports(trial);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(trial->out[i], (i & 1 ? (i & 2 ? 10u : 20u) + 16 : i & 2 ? 30u : 40u) + 32);
    trial_close(trial);
}

/* for (k = 0; k <= i; k++) { if (k == 20) break; sum += k; } */
static void loops_of_different_lengths(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial_run(trial, "mov.u32 %r0, 0; mov.u32 %r4, 0;\n"
                     "LOOP: setp.gt.u32 %p1, %r4, %r1; @%p1 bra DONE;\n"
                     "setp.eq.u32 %p2, %r4, 20; @%p2 bra DONE;\n"
                     "add.u32 %r0, %r0, %r4; add.u32 %r4, %r4, 1; bra.uni LOOP;\n"
                     "DONE: activemask.b32 %r5; not.b32 %r5, %r5; add.u32 %r0, %r0, %r5;");
    trial_no_reports(trial);
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t last = i < 19 ? i : 19;
        assert_int_equal(trial->out[i], last * (last + 1) / 2);
    }
    trial_close(trial);
}

static void a_table_of_branches(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    const char *body = "rem.u32 %r4, %r1, 5; setp.lt.u32 %p1, %r4, 4; add.u32 %r4, %r4, %r3;\n"
                       ".loc 1 12 0\nts: .branchtargets A, B, C, B;\n"
                       "@%p1 brx.idx %r4, ts;\n"
                       "mov.u32 %r0, 500; bra END;\n"
                       "A: mov.u32 %r0, 100; bra END;\nB: mov.u32 %r0, 200; bra END;\n"
                       "C: mov.u32 %r0, 300;\nEND: add.u32 %r0, %r0, %r1;";
    trial_run(trial, body);
    trial_no_reports(trial);
    static const uint32_t expected[] = {100, 200, 300, 200, 500};
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(trial->out[i], expected[i % 5] + i);
    trial->n = 1;
    trial_run(trial, body);
    trial_reported(trial, CHECK_BOUNDS, 12, "index 4");
    assert_false(trial->ended);
    trial_close(trial);
}

/* Lanes that end early leave the rest alone; their output stays what it was. */
static void exits_of_some_lanes(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->block[0] = 48;
    trial_run(trial, "setp.ge.u32 %p1, %r1, 40; @%p1 exit; setp.lt.u32 %p2, %r1, 5; @%p2 ret;\n"
                     "activemask.b32 %r0;");
    trial_no_reports(trial);
    for (uint32_t i = 0; i < 48; i++)
        assert_int_equal(trial->out[i], i < 5 || i >= 40 ? 0xCDCDCDCDu : i < 32 ? 0xFFFFFFE0u : 0xFFu);
    trial_close(trial);
}

/* Every lane takes a lock in turn and spins until it has it: the owner must get ahead of those that spin. */
static void a_spinning_lane_starves_nobody(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->variables = ".global .u32 lock;\n.global .u32 total;";
    trial->block[0] = 64;
    trial_run(trial, "SPIN: atom.global.cas.b32 %r4, [lock], 0, 1; setp.ne.u32 %p1, %r4, 0; @%p1 bra SPIN;\n"
                     "atom.global.add.u32 %r0, [total], 1;\n"
                     "atom.global.exch.b32 %r5, [lock], 0;");
    trial_no_reports(trial);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 64; i++)
        sum += trial->out[i];
    assert_int_equal(sum, 63 * 64 / 2);
    trial_close(trial);
}

static void an_endless_loop_is_reported(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->settings.instruction_budget = 10000;
    const char *body = "mov.u32 %r0, 0;\n.loc 1 33 0\nL: add.u32 %r0, %r0, 1; setp.ne.u32 %p1, %r0, %r3; @%p1 bra L;";
    trial->n = 0xFFFFFFFFu;
    trial_run(trial, body);
    trial_reported(trial, CHECK_ENDLESS, 33, "10000");
    assert_false(trial->ended);
    trial->n = 100;
    trial_run(trial, body);
    trial_no_reports(trial);
    assert_int_equal(trial->out[31], 100);
    trial_close(trial);
}

static void trap_ends_the_launch(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    const char *body = "mov.u32 %r0, 7; setp.eq.u32 %p1, %r1, %r3;\n.loc 1 9 0\n@%p1 trap;";
    trial->n = 3;
    trial_run(trial, body);
    trial_reported(trial, CHECK_LAUNCH, 9, "trap");
    assert_false(trial->ended);
    trial->n = 32;
    trial_run(trial, body);
    trial_no_reports(trial);
    trial_close(trial);
}

/* A register that a loop carries keeps its slot, however many others come and go in the loop: a chain of short-lived
 * registers, whose values a second copy of the loop in C predicts. */
static void registers_survive_loops(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    char body[8192] = "mov.u32 %r4, %r1; mov.u32 %r0, 1; mov.u32 %r5, 0; xor.b32 %r6, %r1, 0x55;\nL:\n";
    for (int i = 10; i < 40; i++) {
        size_t length = strlen(body);
        snprintf(body + length, sizeof body - length, "mad.lo.u32 %%r%d, %%r%d, %d, %%r6;\n", i, i == 10 ? 4 : i - 1,
                 2 * i + 1);
    }
    strcat(body, "add.u32 %r4, %r39, 3; xor.b32 %r0, %r0, %r20; add.u32 %r5, %r5, 1;\n"
                 "setp.le.u32 %p1, %r5, %r1; @%p1 bra L;\nadd.u32 %r0, %r0, %r4;");
    trial_run(trial, body);
    trial_no_reports(trial);
    for (uint32_t lane = 0; lane < 32; lane++) {
        uint32_t value = lane, folded = 1, kept = 0;
        for (uint32_t turn = 0; turn <= lane; turn++) {
            for (uint32_t i = 10; i < 40; i++) {
                value = value * (2 * i + 1) + (lane ^ 0x55);
                kept = i == 20 ? value : kept;
            }
            value += 3;
            folded ^= kept;
        }
        assert_int_equal(trial->out[lane], folded + value);
    }
    trial_close(trial);
}

/* The value of the loop's first turn comes from before it under a guard: a write under a guard ends no life. */
static void a_guarded_write_keeps_the_old_value(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial_run(trial, "mov.u32 %r0, 5; and.b32 %r4, %r1, 1; setp.eq.u32 %p1, %r4, 0;\n"
                     "mov.u32 %r6, 9; add.u32 %r7, %r6, 1; @%p1 mov.u32 %r0, %r7; @!%p1 add.u32 %r0, %r0, 100;");
    trial_no_reports(trial);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(trial->out[i], i & 1 ? 105 : 10);
    trial_close(trial);
}

static void special_registers(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->block[0] = 8, trial->block[1] = 3, trial->block[2] = 2;
    trial->dynamic_shared = 640;
    trial_run(trial,
              "mov.u32 %r4, %tid.y; mov.u32 %r5, %tid.z; mad.lo.u32 %r6, %r5, 3, %r4; mad.lo.u32 %r7, %r6, 8, %r1;\n"
              "mul.wide.u32 %a5, %r7, 4; add.s64 %a3, %a1, %a5;\n"
              "mov.u32 %r8, %laneid; mov.u32 %r9, %warpid; shl.b32 %r10, %r9, 5; add.u32 %r10, %r10, %r8;\n"
              "sub.u32 %r0, %r7, %r10;\n" /* 0 */
              "mov.u32 %r11, %lanemask_lt; popc.b32 %r11, %r11; sub.u32 %r11, %r11, %r8; add.u32 %r0, %r0, %r11;\n"
              "mov.u32 %r12, %dynamic_smem_size; add.u32 %r0, %r0, %r12;\n"
              "mov.u32 %r13, %nwarpid; add.u32 %r0, %r0, %r13;\n"
              "mov.u64 %a6, %clock64; mov.u64 %a7, %clock64; setp.ge.u64 %p1, %a6, %a7; @%p1 mov.u32 %r0, 0;");
    trial_no_reports(trial);
    for (uint32_t i = 0; i < 48; i++)
        assert_int_equal(trial->out[i], 642);
    trial_close(trial);
}

static void the_unknown_is_refused(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial_refused(trial, "frobnicate.b32 %r0, %r1;", "not known");
    trial_refused(trial, "ld.global.sideways.u32 %r0, [%a4];", ".sideways");
    trial_refused(trial, "mov.u32 %r0, %envreg3;", "%envreg3");
    trial_refused(trial, "cp.async.ca.shared.global [%r1], [%a4], 12;", "4, 8 or 16");
    trial_refused(trial, "shfl.sync.sideways.b32 %r0, %r1, 1, 31, -1;", "expected");
    trial_refused(trial, "st.global.u64 [%a4], %r1;", "4 bytes");
    trial_refused(trial, "tex.2d.v4.f32.f32 {%f1,%f2,%f3,%f4}, [%a1, {%f1,%f2}];", "not known");
    trial_close(trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nested_ifs_join),
        cmocka_unit_test(loops_of_different_lengths),
        cmocka_unit_test(a_table_of_branches),
        cmocka_unit_test(exits_of_some_lanes),
        cmocka_unit_test(a_spinning_lane_starves_nobody),
        cmocka_unit_test(an_endless_loop_is_reported),
        cmocka_unit_test(trap_ends_the_launch),
        cmocka_unit_test(registers_survive_loops),
        cmocka_unit_test(a_guarded_write_keeps_the_old_value),
        cmocka_unit_test(special_registers),
        cmocka_unit_test(the_unknown_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
