/* cp.async, ldmatrix, stmatrix and mma.sync. Layouts come from the published formulas: PTX ISA, "ldmatrix" and "Matrix
 * Fragments for mma.m16n8k16" (group = lane / 4, place = lane mod 4). */
#include "emulator/tests/machine_trial.h"

#include <stdio.h>
#include <string.h>

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* ---- cp.async ---- */

static const char two_groups[] =
    "mov.u32 %%r4, tile; shl.b32 %%r5, %%r1, 4; add.u32 %%r6, %%r4, %%r5; cvt.u64.u32 %%a10, %%r5; add.s64 %%a11, "
    "%%a2, "
    "%%a10;\n.loc 1 10 0\ncp.async.cg.shared.global [%%r6], [%%a11], 16;\ncp.async.commit_group;\n"
    "cp.async.ca.shared.global.L2::128B [%%r6+512], [%%a11+512], 16;\ncp.async.commit_group;\n"
    "%s\nbar.warp.sync -1;\nxor.b32 %%r7, %%r5, 16; add.u32 %%r7, %%r4, %%r7;\n"
    ".loc 1 20 0\nld.shared.u32 %%r0, [%%r7+%d];";

static void copies_end_with_their_group(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->declarations = ".shared .align 16 .b8 tile[1024];";
    static const struct {
        const char *wait;
        int offset;
        bool fine;
    } cases[] = {{"cp.async.wait_group 1;", 0, true},    {"cp.async.wait_group 0;", 512, true},
                 {"cp.async.wait_all;", 512, true},      {"cp.async.wait_group 2;", 0, false},
                 {"cp.async.wait_group 1;", 512, false}, {"", 512, false}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        char body[1024];
        snprintf(body, sizeof body, two_groups, cases[k].wait, cases[k].offset);
        trial_run(trial, body);
        if (!cases[k].fine) {
            assert_true(machine_report_count(trial->machine) > 0);
            assert_int_equal(machine_report_at(trial->machine, 0)->check, CHECK_ASYNC);
            assert_int_equal(machine_report_at(trial->machine, 0)->access.line, 20);
            continue;
        }
        trial_no_reports(trial);
        for (uint32_t i = 0; i < 32; i++)
            assert_int_equal(trial->out[i], (uint32_t)cases[k].offset / 4 + 4 * (i ^ 1));
        trial->settings.eager_copies = true;
        trial_run(trial, body);
        trial_no_reports(trial);
        assert_int_equal(trial->out[5], (uint32_t)cases[k].offset / 4 + 16);
        trial->settings.eager_copies = false;
    }
    trial_close(trial);
}

/* A copy in no group yet is not part of the groups that wait_group counts, but of wait_all. */
static void open_groups_are_not_waited_for(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->declarations = ".shared .align 16 .b8 tile[512];";
    const char *body = "mov.u32 %%r4, tile; shl.b32 %%r5, %%r1, 4; add.u32 %%r6, %%r4, %%r5; cvt.u64.u32 %%a10, %%r5; "
                       "add.s64 %%a11, %%a2, %%a10; cp.async.ca.shared.global [%%r6], [%%a11], 8;\n%s\n"
                       ".loc 1 30 0\nld.shared.u32 %%r0, [%%r6+4];";
    char text[512];
    snprintf(text, sizeof text, body, "cp.async.wait_group 0;");
    trial_run(trial, text);
    trial_reported(trial, CHECK_ASYNC, 30, "");
    snprintf(text, sizeof text, body, "cp.async.wait_all;");
    trial_run(trial, text);
    trial_no_reports(trial);
    assert_int_equal(trial->out[9], 37);
    trial_close(trial);
}

static void missing_sources_become_zeros(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->declarations = ".shared .align 16 .b8 tile[512];";
    /* Lane i takes i mod 5 words of 4; the rest is zeros. Lanes of predicate p ignore their source, even a wild one. */
    trial_run(trial,
              "mov.u32 %r4, tile; shl.b32 %r5, %r1, 4; add.u32 %r6, %r4, %r5; cvt.u64.u32 %a10, %r5; add.s64 %a11, "
              "%a2, %a10; add.s64 %a11, %a11, 16; rem.u32 %r7, %r1, 5; shl.b32 %r7, %r7, 2;\n"
              "cp.async.cg.shared.global [%r6], [%a11], 16, %r7; cp.async.commit_group; cp.async.wait_group 0;\n"
              "ld.shared.v4.u32 {%r10, %r11, %r12, %r13}, [%r6]; add.u32 %r10, %r10, %r11; add.u32 %r12, %r12, %r13; "
              "add.u32 %r0, %r10, %r12;");
    trial_no_reports(trial);
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t sum = 0;
        for (uint32_t k = 0; k < i % 5; k++)
            sum += 4 * (i + 1) + k;
        assert_int_equal(trial->out[i], sum);
    }
    const char *ignored =
        "mov.u32 %%r4, tile; shl.b32 %%r5, %%r1, 2; add.u32 %%r6, %%r4, %%r5; setp.ge.u32 %%p1, %%r1, 16;\n"
        "mov.u64 %%a11, %%a4; @%%p1 mov.u64 %%a11, %s;\n"
        ".loc 1 40 0\ncp.async.ca.shared.global [%%r6], [%%a11], 4%s; cp.async.wait_all; ld.shared.u32 "
        "%%r0, [%%r6];";
    char text[1024];
    snprintf(text, sizeof text, ignored, "64", ", %p1");
    trial_run(trial, text);
    trial_no_reports(trial);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(trial->out[i], i < 16 ? i : 0);
    snprintf(text, sizeof text, ignored, "64", "");
    trial_run(trial, text);
    trial_reported(trial, CHECK_BOUNDS, 40, "");
    assert_false(trial->ended);
    trial_close(trial);
}

/* ---- ldmatrix, stmatrix ---- */

/* Row r of matrix m lies at 16 (8 m + r) and has the elements 100 (8 m + r) + column. */
static uint32_t element(uint32_t matrix, uint32_t row, uint32_t column)
{
    return 100 * (8 * matrix + row) + column;
}

static void fill_rows(struct trial *trial)
{
    for (uint32_t row = 0; row < 32; row++) {
        for (uint32_t column = 0; column < 8; column += 2)
            trial->in[4 * row + column / 2] = element(0, row, column) | element(0, row, column + 1) << 16;
    }
}

static const char to_shared[] =
    "mov.u32 %%r4, tile; shl.b32 %%r5, %%r1, 4; add.u32 %%r6, %%r4, %%r5; cvt.u64.u32 %%a10, "
    "%%r5; add.s64 %%a11, %%a2, %%a10; ld.global.v4.u32 {%%r10, %%r11, %%r12, %%r13}, [%%a11]; "
    "st.shared.v4.u32 [%%r6], {%%r10, %%r11, %%r12, %%r13}; bar.warp.sync -1;\n%s";

static void ldmatrix_has_the_published_layout(void **state)
{
    (void)state;
    static const char *const results[] = {"{%r20}", "{%r20, %r21}", NULL, "{%r20, %r21, %r22, %r23}"};
    struct trial *trial = trial_open();
    trial->declarations = ".shared .align 16 .b8 tile[512];";
    fill_rows(trial);
    for (uint32_t count = 1; count <= 4; count *= 2) {
        for (int transposed = 0; transposed < 2; transposed++) {
            for (uint32_t matrix = 0; matrix < count; matrix++) {
                char load[256], body[1024];
                snprintf(load, sizeof load,
                         "ldmatrix.sync.aligned.m8n8.x%u%s.shared.b16 %s, [%%r6]; mov.u32 %%r0, %%r%u;", count,
                         transposed ? ".trans" : "", results[count - 1], 20 + matrix);
                snprintf(body, sizeof body, to_shared, load);
                trial_run(trial, body);
                trial_no_reports(trial);
                assert_int_equal(machine_counters(trial->machine).ldmatrix, 1);
                for (uint32_t lane = 0; lane < 32; lane++) {
                    uint32_t major = lane / 4, minor = 2 * (lane % 4);
                    uint32_t low = transposed ? element(matrix, minor, major) : element(matrix, major, minor);
                    uint32_t high = transposed ? element(matrix, minor + 1, major) : element(matrix, major, minor + 1);
                    assert_int_equal(trial->out[lane], low | high << 16);
                }
            }
        }
    }
    trial_close(trial);
}

/* What ldmatrix takes apart, stmatrix puts together. */
static void stmatrix_undoes_ldmatrix(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->declarations = ".shared .align 16 .b8 tile[512];\n.shared .align 16 .b8 copy[512];";
    fill_rows(trial);
    for (int transposed = 0; transposed < 2; transposed++) {
        char move[512], body[1024];
        const char *trans = transposed ? ".trans" : "";
        snprintf(
            move, sizeof move,
            "ldmatrix.sync.aligned.m8n8.x4%s.shared::cta.b16 {%%r20, %%r21, %%r22, %%r23}, [%%r6]; mov.u32 %%r7, copy; "
            "add.u32 %%r8, %%r7, %%r5;\nstmatrix.sync.aligned.m8n8.x4%s.shared.b16 [%%r8], {%%r20, %%r21, %%r22, "
            "%%r23};\n"
            "bar.warp.sync -1; shl.b32 %%r9, %%r1, 2; add.u32 %%r9, %%r7, %%r9; ld.shared.u32 %%r0, [%%r9+256];",
            trans, trans);
        snprintf(body, sizeof body, to_shared, move);
        trial_run(trial, body);
        trial_no_reports(trial);
        for (uint32_t lane = 0; lane < 32; lane++)
            assert_int_equal(trial->out[lane], trial->in[64 + lane]);
    }
    trial->settings.limits = machine_sm_80;
    trial_refused(trial, "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r4], {%r5};", "sm_90");
    trial_close(trial);
}

static void missing_lanes_and_barriers_of_matrices(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->declarations = ".shared .align 16 .b8 tile[512];";
    const char *load =
        "setp.ge.u32 %p1, %r1, 24;\n.loc 1 50 0\n@!%p1 ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [%r6];\n"
        ".loc 1 51 0\nbar.warp.sync -1;";
    char body[1024];
    snprintf(body, sizeof body, to_shared, load);
    trial_run(trial, body);
    trial_reported(trial, CHECK_BARRIER, 50, "waits for lanes 24-31, which stand at test.cu:51");
    /* Rows that other lanes wrote without a barrier in between. */
    trial_run(trial,
              "mov.u32 %r4, tile; shl.b32 %r5, %r1, 4; add.u32 %r6, %r4, %r5; st.shared.v4.u32 [%r6], {%r1, %r1, %r1, "
              "%r1};\n.loc 1 60 0\nxor.b32 %r7, %r6, 16; ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r0, %r20, %r21, "
              "%r22}, [%r7];");
    trial_reported(trial, CHECK_RACE, 60, "");
    trial_close(trial);
}

/* ---- mma ---- */

static uint32_t bf16_bits(int value)
{
    float exact = (float)value;
    uint32_t bits;
    memcpy(&bits, &exact, 4);
    return bits >> 16;
}

/* Integers of up to 7 and sums far below 2^24 are exact in every order. */
static void mma_of_integers_is_exact(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 1);
    for (int depth = 16; depth >= 8; depth -= 8) {
        int a[16][16], b[16][8], c[16][8];
        for (int i = 0; i < 16 * 16; i++)
            a[i / 16][i % 16] = (int)rng_below(&rng, 15) - 7;
        for (int i = 0; i < 16 * 8; i++) {
            b[i / 8][i % 8] = (int)rng_below(&rng, 15) - 7;
            c[i / 8][i % 8] = (int)rng_below(&rng, 201) - 100;
        }
        int a_count = depth / 4;
        for (int lane = 0; lane < 32; lane++) {
            int group = lane / 4, place = lane % 4;
            uint32_t *words = trial->in + 16 * lane;
            for (int i = 0; i < 2 * a_count; i += 2) {
                int row = group + (i / 2 % 2) * 8, column = 2 * place + i / 4 * 8;
                words[i / 2] = bf16_bits(a[row][column]) | bf16_bits(a[row][column + 1]) << 16;
            }
            for (int i = 0; i < a_count; i += 2) {
                int row = 2 * place + i / 2 * 8;
                words[4 + i / 2] = bf16_bits(b[row][group]) | bf16_bits(b[row + 1][group]) << 16;
            }
            for (int i = 0; i < 4; i++) {
                float value = (float)c[group + i / 2 * 8][2 * place + i % 2];
                memcpy(&words[8 + i], &value, 4);
            }
        }
        const char *mma =
            depth == 16 ? "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, {%r10, %r11, "
                          "%r12, %r13}, {%r14, %r15}, {%f1, %f2, %f3, %f4};"
                        : "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, {%r10, %r11}, "
                          "{%r14}, {%f1, %f2, %f3, %f4};";
        char body[1024];
        snprintf(
            body, sizeof body,
            "shl.b32 %%r5, %%r1, 6; cvt.u64.u32 %%a10, %%r5; add.s64 %%a11, %%a2, %%a10; ld.global.v4.u32 {%%r10, "
            "%%r11, "
            "%%r12, %%r13}, [%%a11]; ld.global.v2.u32 {%%r14, %%r15}, [%%a11+16]; ld.global.v4.f32 {%%f1, %%f2, %%f3, "
            "%%f4}, [%%a11+32];\n%s\nshl.b32 %%r5, %%r1, 4; cvt.u64.u32 %%a10, %%r5; add.s64 %%a11, %%a1, %%a10; "
            "st.global.v4.f32 [%%a11], {%%f1, %%f2, %%f3, %%f4}; add.s64 %%a3, %%a3, 1024; mov.u32 %%r0, 0;",
            mma);
        for (int truncate = 0; truncate < 2; truncate++) {
            trial->settings.truncate = truncate;
            trial_run(trial, body);
            trial_no_reports(trial);
            assert_int_equal(machine_counters(trial->machine).mma, 1);
            for (int i = 0; i < 128; i++) {
                int lane = i / 4, row = lane / 4 + i % 4 / 2 * 8, column = 2 * (lane % 4) + i % 2, sum = c[row][column];
                for (int k = 0; k < depth; k++)
                    sum += a[row][k] * b[k][column];
                assert_true(float_of(trial->out[i]) == (float)sum);
            }
        }
    }
    trial_close(trial);
}

/* 1 + 1.5 * 2^-24: the nearest float is 1 + 2^-23; cut off it is 1. */
static void mma_rounds_or_truncates(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    const char *body =
        "mov.b32 %r10, 0x00003FC0; mov.b32 %r11, 0; mov.b32 %r14, 0x00003380; and.b32 %r5, %r1, 3; setp.ne.u32 "
        "%p1, %r5, 0; @%p1 mov.b32 %r10, 0; mov.f32 %f1, 0f3F800000;\n"
        "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f5, %f2, %f3, %f4}, {%r10, %r11}, {%r14}, {%f1, "
        "%f1, %f1, %f1};\nmov.b32 %r0, %f5;";
    trial_run(trial, body);
    trial_no_reports(trial);
    assert_int_equal(trial->out[0], 0x3F800001u);
    trial->settings.truncate = true;
    trial_run(trial, body);
    trial_no_reports(trial);
    assert_int_equal(trial->out[0], 0x3F800000u);
    trial_close(trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_end_with_their_group),  cmocka_unit_test(open_groups_are_not_waited_for),
        cmocka_unit_test(missing_sources_become_zeros), cmocka_unit_test(ldmatrix_has_the_published_layout),
        cmocka_unit_test(stmatrix_undoes_ldmatrix),     cmocka_unit_test(missing_lanes_and_barriers_of_matrices),
        cmocka_unit_test(mma_of_integers_is_exact),     cmocka_unit_test(mma_rounds_or_truncates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
