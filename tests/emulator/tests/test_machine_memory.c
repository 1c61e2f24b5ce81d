/* ld, st and atom of every width and space, local and shared arrays, parameters, and addresses across spaces. */
#include "emulator/tests/machine_trial.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Every type from the bytes of in[] into registers that are as wide or wider; C extends in the same way. */
static void loads_extend_by_their_type(void **state)
{
    (void)state;
    static const struct {
        const char *load;
        int bytes;
        bool sign, high; /* the upper half of a 64-bit register is looked at */
        uint32_t mask;
    } cases[] = {
        {"ld.global.u8 %r0, [%a4];", 1, false, false, UINT32_MAX},
        {"ld.global.s8 %r0, [%a4];", 1, true, false, UINT32_MAX},
        {"ld.global.b8 %r0, [%a4];", 1, false, false, UINT32_MAX},
        {"ld.global.u16 %r0, [%a4];", 2, false, false, UINT32_MAX},
        {"ld.global.s16 %r0, [%a4];", 2, true, false, UINT32_MAX},
        {"ld.global.s8 %s1, [%a4]; mov.b32 %r0, {%s1, 0};", 1, true, false, 0xFFFF},
        {"ld.global.u8 %s1, [%a4]; cvt.u32.u16 %r0, %s1;", 1, false, false, UINT32_MAX},
        {"ld.global.nc.u16 %s1, [%a4]; cvt.u32.u16 %r0, %s1;", 2, false, false, UINT32_MAX},
        {"ld.global.s8 %a5, [%a4]; shr.u64 %a5, %a5, 32; cvt.u32.u64 %r0, %a5;", 1, true, true, UINT32_MAX},
        {"ld.global.s32 %a5, [%a4]; shr.u64 %a5, %a5, 32; cvt.u32.u64 %r0, %a5;", 4, true, true, UINT32_MAX},
        {"ld.global.u32 %a5, [%a4]; shr.u64 %a5, %a5, 32; cvt.u32.u64 %r0, %a5;", 4, false, true, UINT32_MAX},
        {"ld.volatile.global.u32 %r0, [%a4];", 4, false, false, UINT32_MAX},
        {"ld.relaxed.gpu.global.L1::no_allocate.u32 %r0, [%a4];", 4, false, false, UINT32_MAX},
        {"ld.acquire.sys.global.f32 %f1, [%a4]; mov.b32 %r0, %f1;", 4, false, false, UINT32_MAX},
        {"ld.global.nc.L1::evict_last.L2::128B.b32 %r0, [%a4+0];", 4, false, false, UINT32_MAX},
        {"createpolicy.fractional.L2::evict_first.b64 %a9, 0f3F800000; ld.global.L2::cache_hint.u32 %r0, [%a4], %a9;",
         4, false, false, UINT32_MAX},
        {"add.s64 %a5, %a4, 64; ld.u32 %r0, [%a5-64];", 4, false, false, UINT32_MAX},
    };
    struct trial *trial = trial_open();
    for (uint32_t i = 0; i < 64; i++)
        trial->in[i] = 0x8070F1E0u * (i + 1) ^ (i << 7);
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        trial_run(trial, cases[k].load);
        trial_no_reports(trial);
        for (uint32_t i = 0; i < 32; i++) {
            uint32_t word = trial->in[i];
            int64_t value = cases[k].bytes == 1   ? (cases[k].sign ? (int8_t)word : (int64_t)(uint8_t)word)
                            : cases[k].bytes == 2 ? (cases[k].sign ? (int16_t)word : (int64_t)(uint16_t)word)
                                                  : (cases[k].sign ? (int32_t)word : (int64_t)word);
            uint32_t expected = (uint32_t)((uint64_t)value >> (cases[k].high ? 32 : 0)) & cases[k].mask;
            if (trial->out[i] != expected)
                fail_msg("%s: lane %u has 0x%x, expected 0x%x", cases[k].load, i, trial->out[i], expected);
        }
    }
    trial_close(trial);
}

/* Conversions whose register is wider than their type, which cvt alone may name. */
static void conversions_between_registers_of_other_widths(void **state)
{
    (void)state;
    static const struct {
        const char *convert;
        int bytes;
        bool sign;
        uint32_t mask;
        int shift;
    } cases[] = {
        {"cvt.u32.u8 %r0, %r4;", 1, false, UINT32_MAX, 0},
        {"cvt.s32.s8 %r0, %r4;", 1, true, UINT32_MAX, 0},
        {"cvt.s32.s16 %r0, %r4;", 2, true, UINT32_MAX, 0},
        {"cvt.u16.u32 %s1, %r4; mov.b32 %r0, {%s1, 0};", 2, false, UINT32_MAX, 0},
        {"cvt.s8.s32 %r0, %r4;", 1, true, UINT32_MAX, 0},
        {"cvt.u8.u32 %r0, %r4;", 1, false, UINT32_MAX, 0},
        {"cvt.s8.s32 %s1, %r4; mov.b32 %r0, {%s1, 0};", 1, true, 0xFFFF, 0},
        {"cvt.s64.s8 %a5, %r4; shr.u64 %a5, %a5, 20; cvt.u32.u64 %r0, %a5;", 1, true, UINT32_MAX, 20},
        {"cvt.u64.u32 %a5, %r4; cvt.s64.s8 %a5, %a5; shr.u64 %a5, %a5, 20; cvt.u32.u64 %r0, %a5;", 1, true, UINT32_MAX,
         20},
        {"cvt.u64.u32 %a5, %r4; cvt.s16.s64 %a5, %a5; shr.u64 %a5, %a5, 20; cvt.u32.u64 %r0, %a5;", 2, true, UINT32_MAX,
         20},
        {"cvt.u64.u32 %a5, %r4; cvt.u32.u16 %r0, %a5;", 2, false, UINT32_MAX, 0},
    };
    struct trial *trial = trial_open();
    for (uint32_t i = 0; i < 32; i++)
        trial->in[i] = 0x9E3779B9u * (i + 1);
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        char body[512];
        snprintf(body, sizeof body, "ld.global.u32 %%r4, [%%a4]; %s", cases[k].convert);
        trial_run(trial, body);
        trial_no_reports(trial);
        for (uint32_t i = 0; i < 32; i++) {
            uint32_t word = trial->in[i];
            int64_t value = cases[k].bytes == 1 ? (cases[k].sign ? (int8_t)word : (int64_t)(uint8_t)word)
                                                : (cases[k].sign ? (int16_t)word : (int64_t)(uint16_t)word);
            uint32_t expected = (uint32_t)((uint64_t)value >> cases[k].shift) & cases[k].mask;
            if (trial->out[i] != expected)
                fail_msg("%s: lane %u has 0x%x, expected 0x%x", cases[k].convert, i, trial->out[i], expected);
        }
    }
    trial_refused(trial, "add.u32 %r0, %a4, 1;", "8 bytes");
    trial_refused(trial, "st.global.u8 [%a4], %p1;", "a source of 1 bytes");
    trial_close(trial);
}

/* out[k] of a lane's own 8 words. */
static void vectors_of_every_width(void **state)
{
    (void)state;
    static const char *const copies[] = {
        "ld.global.v2.u32 {%r10, %r11}, [%a6]; ld.global.v2.u32 {%r12, %r13}, [%a6+8]; ld.global.v4.b32 {%r14, %r15, "
        "%r16, "
        "%r17}, [%a6+16]; st.global.v4.u32 [%a5], {%r10, %r11, %r12, %r13}; st.global.v2.b32 [%a5+16], {%r14, %r15}; "
        "st.global.v2.b32 [%a5+24], {%r16, %r17};",
        "ld.global.v2.u64 {%a10, %a11}, [%a6]; ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%a6+16]; st.global.v2.b64 "
        "[%a5], "
        "{%a10, %a11}; st.global.v4.f32 [%a5+16], {%f1, %f2, %f3, %f4};",
        "ld.global.v8.b32 {%r10, %r11, %r12, %r13, %r14, %r15, %r16, %r17}, [%a6]; st.global.v8.b32 [%a5], {%r10, "
        "%r11, "
        "%r12, %r13, %r14, %r15, %r16, %r17};",
        "ld.global.v4.b64 {%a10, %a11, %a12, %a13}, [%a6]; st.global.v4.b64 [%a5], {%a10, %a11, %a12, %a13};",
        "ld.global.v4.u16 {%s1, %s2, %s3, %s4}, [%a6]; st.global.v4.u16 [%a5], {%s1, %s2, %s3, %s4}; ld.global.v4.u8 "
        "{%s5, %s6, %s7, %s8}, [%a6+8]; st.global.v4.u8 [%a5+8], {%s5, %s6, %s7, %s8}; ld.global.u32 %r10, [%a6+12]; "
        "st.global.u32 [%a5+12], %r10; ld.global.v2.f64 {%d1, %d2}, [%a6+16]; st.global.v2.f64 [%a5+16], {%d1, %d2};",
        "ld.global.u64 %a10, [%a6]; st.global.u32 [%a5], %a10; shr.u64 %a10, %a10, 32; st.global.u16 [%a5+4], %a10; "
        "shr.u64 "
        "%a10, %a10, 16; st.global.u8 [%a5+6], %a10; shr.u64 %a10, %a10, 8; cvt.u16.u64 %s1, %a10; st.global.u8 "
        "[%a5+7], "
        "%s1; ld.global.v2.u32 {%r10, _}, [%a6+8]; ld.global.v2.u32 {_, %r11}, [%a6+8]; st.global.v2.u32 [%a5+8], "
        "{%r10, "
        "%r11}; ld.global.v2.u64 {%a10, %a11}, [%a6+16]; st.global.v2.u64 [%a5+16], {%a10, %a11};",
    };
    struct trial *trial = trial_open();
    for (uint32_t i = 0; i < 4096; i++)
        trial->in[i] = 0x9E3779B9u * (i + 1);
    for (size_t k = 0; k < sizeof copies / sizeof copies[0]; k++) {
        char body[2048];
        snprintf(body, sizeof body,
                 "mul.wide.u32 %%a7, %%r1, 32; add.s64 %%a6, %%a2, %%a7; add.s64 %%a5, %%a1, %%a7;\n%s\n"
                 "mov.u32 %%r0, 0; add.s64 %%a3, %%a3, 1024;",
                 copies[k]);
        trial_run(trial, body);
        trial_no_reports(trial);
        assert_memory_equal(trial->out, trial->in, 32 * 32);
    }
    trial_close(trial);
}

/* A local array that is indexed by data, through local addresses and through generic ones. */
static void local_arrays_belong_to_threads(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->declarations = ".local .align 16 .b8 depot[64];";
    trial->block[0] = 64;
    const char *body =
        "mov.u64 %%a10, depot; cvta.local.u64 %%a11, %%a10; mov.u32 %%r4, 0;\n"
        "L: mul.wide.u32 %%a12, %%r4, 4; add.s64 %%a13, %%a10, %%a12; mad.lo.u32 %%r5, %%r1, 100, %%r4;\n"
        "st.local.u32 [%%a13], %%r5; add.u32 %%r4, %%r4, 1; setp.lt.u32 %%p1, %%r4, %d; @%%p1 bra L;\n"
        "and.b32 %%r6, %%r1, 15; mul.wide.u32 %%a12, %%r6, 4; add.s64 %%a14, %%a11, %%a12;\n"
        "isspacep.local %%p2, %%a14; isspacep.global %%p3, %%a14; isspacep.shared %%p4, %%a14;\n"
        ".loc 1 40 0\nld.u32 %%r0, [%%a14];\n@!%%p2 mov.u32 %%r0, 0; @%%p3 mov.u32 %%r0, 0; @%%p4 mov.u32 %%r0, 0;";
    char text[1024];
    snprintf(text, sizeof text, body, 16);
    trial_run(trial, text);
    trial_no_reports(trial);
    for (uint32_t t = 0; t < 64; t++)
        assert_int_equal(trial->out[t], 100 * t + t % 16);
    snprintf(text, sizeof text, body, 15);
    trial_run(trial, text);
    assert_int_equal(machine_report_at(trial->machine, 0)->check, CHECK_UNINITIALISED);
    assert_int_equal(machine_report_at(trial->machine, 0)->access.line, 40);
    snprintf(text, sizeof text, body, 17);
    trial_run(trial, text);
    assert_int_equal(machine_report_at(trial->machine, 0)->check, CHECK_BOUNDS);
    assert_false(trial->ended);
    trial_close(trial);
}

/* Static and dynamic shared memory do not overlap; what is dynamic has its alignment and ends where the launch says. */
static void dynamic_shared_memory_follows_the_static(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->variables = ".shared .align 4 .b8 fixed[132];\n.shared .align 4 .b8 unused[40000];\n"
                       ".extern .shared .align 128 .b8 dynamic[];";
    trial->dynamic_shared = 128;
    const char *body =
        "mov.u32 %r4, fixed; mov.u32 %r5, dynamic; shl.b32 %r6, %r1, 2; add.u32 %r7, %r4, %r6; "
        "add.u32 %r8, %r5, %r6; st.shared.u32 [%r7], %r1; add.u32 %r9, %r1, 500;\n"
        ".loc 1 9 0\nst.shared.u32 [%r8], %r9; ld.shared.u32 %r10, [%r7]; ld.shared.u32 %r11, [%r8];\n"
        "sub.u32 %r12, %r5, %r4; add.u32 %r0, %r10, %r11; mad.lo.u32 %r0, %r12, 10000, %r0;\n"
        "mov.u64 %a10, dynamic; cvta.shared.u64 %a11, %a10; cvta.to.shared.u64 %a12, %a11; sub.s64 %a13, %a12, "
        "%a10; cvt.u32.u64 %r13, %a13; add.u32 %r0, %r0, %r13;";
    trial_run(trial, body);
    trial_no_reports(trial);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(trial->out[i], 256 * 10000 + 2 * i + 500);
    assert_int_equal(machine_attributes(machine_find_kernel(trial->machine, "k")).static_shared, 132);
    trial->dynamic_shared = 124;
    trial_run(trial, body);
    trial_reported(trial, CHECK_BOUNDS, 9, "");
    assert_false(trial->ended);
    trial_close(trial);
}

static void variables_of_the_module(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->variables = ".const .align 4 .u32 table[4] = {11, 22, 33, 44};\n.global .align 8 .b8 zeros[16];\n"
                       ".global .align 4 .u32 one = 1;";
    trial_run(trial,
              "and.b32 %r4, %r1, 3; mul.wide.u32 %a10, %r4, 4; mov.u64 %a11, table; add.s64 %a12, %a11, %a10;\n"
              "ld.const.u32 %r5, [%a12]; ld.const.u32 %r6, [table+8]; ld.global.u32 %r7, [one]; ld.global.u32 %r8, "
              "[zeros+12];\ncvta.const.u64 %a13, %a12; ld.u32 %r9, [%a13]; sub.u32 %r9, %r9, %r5;\n"
              "add.u32 %r0, %r5, %r6; add.u32 %r0, %r0, %r7; add.u32 %r0, %r0, %r8; add.u32 %r0, %r0, %r9;");
    trial_no_reports(trial);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(trial->out[i], 11 * (i % 4 + 1) + 33 + 1);
    uint64_t bytes = 0;
    assert_int_not_equal(machine_find_variable(trial->machine, "table", &bytes), 0);
    assert_int_equal(bytes, 16);
    assert_int_equal(machine_find_variable(trial->machine, "nothing", &bytes), 0);
    trial_run(trial, "mov.u64 %a11, table; mov.u32 %r0, 5;\n.loc 1 6 0\nst.u32 [%a11], %r0;");
    trial_reported(trial, CHECK_READ_ONLY, 6, "constant");
    trial_run(trial, "mov.u64 %a11, zeros; mov.u32 %r0, 5; setp.eq.u32 %p1, %r1, 0;\n@%p1 st.u32 [%a11], %r0;");
    trial_no_reports(trial);
    trial_close(trial);
}

/* Parameters through a register, as a struct by value is indexed. */
static void parameters_by_offset(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->n = 77;
    trial_run(trial, "mov.b64 %a10, out; ld.param.u32 %r4, [%a10+16]; ld.param.v2.u32 {%r5, %r6}, [out+8];\n"
                     "mov.b64 %a11, {%r5, %r6}; sub.s64 %a11, %a11, %a2; cvt.u32.u64 %r7, %a11;\n"
                     "cvta.param.u64 %a12, %a10; ld.u8 %r8, [%a12+16]; add.u32 %r0, %r4, %r7; add.u32 %r0, %r0, %r8;");
    trial_no_reports(trial);
    assert_int_equal(trial->out[0], 154);
    uint64_t bytes = 0;
    assert_int_equal(machine_parameter_offset(machine_find_kernel(trial->machine, "k"), 2, &bytes), 16);
    assert_int_equal(bytes, 4);
    trial_close(trial);
}

static void spaces_are_not_mixed_up(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->declarations = ".shared .align 4 .b8 tile[128];";
    trial_run(
        trial,
        "mov.u64 %a10, tile; cvta.shared.u64 %a11, %a10; mov.u32 %r0, 1;\n.loc 1 4 0\nst.global.u32 [%a11], %r0;");
    trial_reported(trial, CHECK_BOUNDS, 4, "global memory");
    trial_run(trial, "mov.u32 %r0, 1;\n.loc 1 5 0\nst.shared.u32 [%a1], %r0;");
    trial_reported(trial, CHECK_BOUNDS, 5, "");
    trial_run(trial, "mov.u32 %r0, 1; .loc 1 6 0\nld.global.u32 %r0, [%a4+2];");
    trial_reported(trial, CHECK_ALIGNMENT, 6, "");
    trial_run(trial,
              "mov.u32 %r0, 1; mov.u64 %a10, tile; cvta.shared.u64 %a11, %a10; mul.wide.u32 %a12, %r1, 4; add.s64 "
              "%a11, %a11, %a12; st.u32 [%a11], %r0; ld.u32 %r0, [%a11];");
    trial_no_reports(trial);
    trial_close(trial);
}

/* ---- atomics ---- */

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* 64 threads on one word: what is left in it, and a sum over what they got (which no order may change). */
static void atomics_of_32_bits(void **state)
{
    (void)state;
    static const struct {
        const char *operation, *value;
        uint32_t start, end;
    } cases[] = {
        {"add.u32", "%r1", 5, 5 + 63 * 64 / 2},
        {"add.s32", "-2", 5, (uint32_t)(5 - 128)},
        {"min.u32", "%r4", 1000, 100},
        {"max.u32", "%r4", 1000, 1000},
        {"min.s32", "%r5", 0, (uint32_t)-63},
        {"max.s32", "%r5", 0x80000000u, 0},
        {"inc.u32", "9", 0, 64 % 10},
        {"dec.u32", "9", 0, 6},
        {"and.b32", "%r4", 0xFFF, 0},
        {"or.b32", "%r1", 0, 63},
        {"xor.b32", "%r4", 7, 7},
        {"relaxed.gpu.global.add.u32", "1", 0, 64},
    };
    struct trial *trial = trial_open();
    trial->block[0] = 64;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        for (int shared = 0; shared < 2; shared++) {
            char body[1024], variables[256];
            bool scoped = strchr(cases[k].operation, 'g') != NULL;
            if (shared && scoped)
                continue;
            snprintf(variables, sizeof variables, shared ? ".shared .u32 word;" : ".global .u32 word = %u;",
                     cases[k].start);
            trial->variables = variables;
            snprintf(body, sizeof body,
                     "add.u32 %%r4, %%r1, 100; neg.s32 %%r5, %%r1; setp.eq.u32 %%p1, %%r1, 0;\n%s\nbar.sync 0;\n"
                     "%s%s%s %s[word], %s;\nbar.sync 0;\n%s %%r0, [word];",
                     shared ? "@%p1 st.shared.u32 [word], %r3;" : "", k % 2 ? "atom" : "red",
                     scoped   ? "."
                     : shared ? ".shared."
                              : ".global.",
                     cases[k].operation, k % 2 ? "%r9, " : "", cases[k].value,
                     shared ? "ld.shared.u32" : "ld.global.u32");
            trial->n = cases[k].start;
            trial_run(trial, body);
            trial_no_reports(trial);
            if (trial->out[7] != cases[k].end)
                fail_msg("%s: 0x%x, expected 0x%x", cases[k].operation, trial->out[7], cases[k].end);
            assert_int_equal(machine_counters(trial->machine).atomics, 2);
        }
    }
    trial_close(trial);
}

static void atomics_of_floats_and_64_bits(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->variables = ".global .align 8 .b8 words[32];";
    trial_run(
        trial,
        "mov.u64 %a10, words; mov.f32 %f1, 0f3F000000; atom.global.add.f32 %f2, [%a10], %f1;\n"
        "mov.f64 %d1, 0d3FE0000000000000; red.global.add.f64 [%a10+8], %d1;\n"
        "cvt.u64.u32 %a11, %r1; neg.s64 %a12, %a11; atom.global.min.s64 %a13, [%a10+16], %a12;\n"
        "atom.global.add.u64 %a14, [%a10+24], 0x100000000;\n"
        "bar.warp.sync -1; ld.relaxed.gpu.global.f32 %f3, [%a10]; ld.relaxed.gpu.global.f64 %d2, [%a10+8];\n"
        "cvt.rn.f32.f64 %f4, %d2; add.f32 %f3, %f3, %f4; ld.relaxed.gpu.global.u64 %a15, [%a10+16];\n"
        "cvt.rn.f32.s64 %f5, %a15; add.f32 %f3, %f3, %f5; ld.relaxed.gpu.global.u64 %a16, [%a10+24];\n"
        "shr.u64 %a16, %a16, 32; cvt.rn.f32.s64 %f6, %a16; fma.rn.f32 %f3, %f6, 0f44800000, %f3; mov.b32 %r0, %f3;");
    trial_no_reports(trial);
    assert_true(float_of(trial->out[3]) == 16.0F + 16.0F - 31.0F + 32.0F * 1024.0F);
    /* {1, 2} + {0.5, 0.25} per lane in both 16-bit formats: sums that the formats hold exactly. */
    trial_run(trial,
              "mov.u64 %a10, words; setp.lt.u32 %p1, %r1, 4; mov.u32 %r5, 0x3E803F00; mov.u32 %r6, 0x34003800;\n"
              "@%p1 red.global.add.noftz.bf16x2 [%a10], %r5; @%p1 atom.global.add.noftz.f16x2 %r7, [%a10+4], %r6;\n"
              "bar.warp.sync -1; and.b32 %r8, %r1, 1; mul.wide.u32 %a11, %r8, 4; add.s64 %a10, %a10, %a11;\n"
              "ld.relaxed.gpu.global.u32 %r0, [%a10];");
    trial_no_reports(trial);
    assert_int_equal(trial->out[0], 0x3F804000u); /* bf16: {2.0, 1.0} */
    assert_int_equal(trial->out[1], 0x3C004000u); /* f16 */
    trial_close(trial);
}

static void compare_and_swap(void **state)
{
    (void)state;
    struct trial *trial = trial_open();
    trial->variables = ".global .align 8 .b8 words[16];";
    /* One lane wins; the others see what it wrote. */
    trial_run(trial,
              "mov.u64 %a10, words; add.u32 %r4, %r1, 1; atom.global.cas.b32 %r5, [%a10], 0, %r4;\n"
              "cvt.u64.u32 %a11, %r4; mov.u64 %a12, 0; atom.acq_rel.gpu.global.cas.b64 %a13, [%a10+8], %a12, %a11;\n"
              "cvt.u32.u64 %r6, %a13; mad.lo.u32 %r0, %r6, 1000, %r5; cvt.u16.u32 %s1, %r4; mov.u16 %s2, 0;\n"
              "atom.global.cas.b16 %s3, [%a10+4], %s2, %s1; cvt.u32.u16 %r7, %s3; mad.lo.u32 %r0, %r7, 1000000, %r0;");
    trial_no_reports(trial);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(trial->out[i], i == 0 ? 0 : 1001001);
    trial_close(trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_extend_by_their_type),
        cmocka_unit_test(conversions_between_registers_of_other_widths),
        cmocka_unit_test(vectors_of_every_width),
        cmocka_unit_test(local_arrays_belong_to_threads),
        cmocka_unit_test(dynamic_shared_memory_follows_the_static),
        cmocka_unit_test(variables_of_the_module),
        cmocka_unit_test(parameters_by_offset),
        cmocka_unit_test(spaces_are_not_mixed_up),
        cmocka_unit_test(atomics_of_32_bits),
        cmocka_unit_test(atomics_of_floats_and_64_bits),
        cmocka_unit_test(compare_and_swap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
