/* Which instructions are arithmetic, which are the machine's, and which nobody knows: nothing is ever guessed at. */
#include "emulator/tests/alu_fixture.h"

/* The parser wants operands that it knows; what they are does not matter here. */
static void the_machines_own(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "ld.global.f32 %r0, [%q1];",
        "st.shared.v2.u32 [%r1], {%r2, %r3};",
        "mov.u32 %r0, %tid.x;",
        "cvta.to.global.u64 %q0, %q1;",
        "bar.sync 0;",
        "bar.warp.sync %r1;",
        "shfl.sync.bfly.b32 %r0|%p0, %r1, %r2, 31, -1;",
        "vote.sync.ballot.b32 %r0, %p1, -1;",
        "redux.sync.add.s32 %r0, %r1, -1;",
        "activemask.b32 %r0;",
        "match.any.sync.b32 %r0, %r1, -1;",
        "atom.global.add.u32 %r0, [%q1], %r2;",
        "red.global.add.f32 [%q1], %r2;",
        "membar.gl;",
        "fence.acq_rel.gpu;",
        "nanosleep.u32 %r1;",
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r0, %r1, %r2, %r3}, [%r4];",
        ("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%r0, %r1, %r2, %r3}, {%r4, %r5, %r6, %r7}, {%r0, %r1}, "
         "{%r0, %r1, %r2, %r3};"),
        "cp.async.commit_group;",
        "prefetch.global.L2 [%q1];",
        "isspacep.shared %p0, %q1;",
        "griddepcontrol.wait;",
        "exit;",
        "trap;",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
        struct alu_operation operation;
        char error[512] = "";
        const enum alu_selection selection = alu_try(texts[i], &operation, error, sizeof error);
        if (selection != ALU_NOT_ARITHMETIC)
            fail_msg("%s: %d %s", texts[i], (int)selection, error);
    }
}

static void unknown_ones(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"frobnicate.b32 %r0, %r1;", "frobnicate.b32: the opcode is not known"},
        {"add.wat.f32 %r0, %r1, %r2;", "add.wat.f32: the modifier .wat is not known here"},
        {"add.b32 %r0, %r1, %r2;", "add.b32: no known form has these modifiers, types and 1 + 2 operands"},
        {"add.s32 %r0, %r1;", "add.s32: no known form has these modifiers, types and 1 + 1 operands"},
        {"add.sat.u32 %r0, %r1, %r2;", "add.sat.u32: no known form"},
        {"add.rn.rz.f32 %r0, %r1, %r2;", "add.rn.rz.f32: no known form"},
        {"fma.f32 %r0, %r1, %r2, %r3;", "fma.f32: no known form"}, /* its rounding is required */
        {"div.f32 %r0, %r1, %r2;", "div.f32: no known form"},
        {"ex2.f32 %r0, %r1;", "ex2.f32: no known form"},
        {"mul.s32 %r0, %r1, %r2;", "mul.s32: no known form"},
        {"shf.l.b32 %r0, %r1, %r2, %r3;", "shf.l.b32: no known form"},
        {"setp.s32 %p0, %r1, %r2;", "setp.s32: no known form"},
        {"setp.lo.s32 %p0, %r1, %r2;", "setp.lo.s32: no known form"},
        {"setp.nan.s32 %p0, %r1, %r2;", "setp.nan.s32: no known form"},
        {"setp.lt.b32 %p0, %r1, %r2;", "setp.lt.b32: no known form"},
        {"setp.lt.and.s32 %p0, %r1, %r2;", "setp.lt.and.s32: no known form"},
        {"setp.lt.s32 %p0, %r1, %r2, %p3;", "setp.lt.s32: no known form"},
        {"and.pred %p0, %p1, !%p2;", "and.pred: no known form"},
        {"lop3.b32 %r0, %r1, %r2, %r3, %r4;", "lop3.b32: no known form"}, /* the table must be an immediate */
        {"cvt.f32.s32 %r0, %r1;", "cvt.f32.s32: no known form"},          /* the rounding is required */
        {"cvt.s32.f32 %r0, %r1;", "cvt.s32.f32: no known form"},
        {"cvt.rn.s32.f32 %r0, %r1;", "cvt.rn.s32.f32: no known form"},
        {"cvt.bf16.f32 %h0, %r1;", "cvt.bf16.f32: no known form"},
        {"cvt.rn.satfinite.e4m3x2.f32 %h0, %r1, %r2;", "the modifier .e4m3x2 is not known here"},
        {"min.xorsign.f32 %r0, %r1, %r2;", "min.xorsign.f32: no known form"},
        {"add.ftz.bf16 %h0, %h1, %h2;", "add.ftz.bf16: no known form"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        struct alu_operation operation;
        char error[512] = "";
        const enum alu_selection selection = alu_try(cases[i].text, &operation, error, sizeof error);
        if (selection != ALU_UNKNOWN || strstr(error, cases[i].error) == NULL)
            fail_msg("%s: %d \"%s\", expected \"%s\"", cases[i].text, (int)selection, error, cases[i].error);
    }
}

/* How operands are held is said before anything runs. */
static void operands_and_types(void **state)
{
    (void)state;
    struct alu_operation operation;
    alu_require("mad.wide.s32 %q0, %r1, %r2, %q3;", &operation);
    assert_int_equal(operation.destinations[0], PTX_S64);
    assert_int_equal(operation.sources[0], PTX_S32);
    assert_int_equal(operation.sources[2], PTX_S64);
    alu_require("shl.b64 %q0, %q1, %r2;", &operation);
    assert_int_equal(operation.sources[1], PTX_U32);
    alu_require("madc.hi.cc.u32 %r0, %r1, %r2, %r3;", &operation);
    assert_true(operation.reads_carry && operation.writes_carry);
    assert_int_equal(operation.source_count, 4);
    assert_int_equal(operation.destination_count, 2);
    assert_int_equal(operation.sources[3], PTX_PRED);
    alu_require("mov.b64 {%h0, %h1, %h2, %h3}, %q1;", &operation);
    assert_int_equal(operation.destination_count, 4);
    assert_int_equal(operation.destinations[3], PTX_B16);
    alu_require("setp.lt.and.f32 %p0|%p1, %r1, %r2, !%p3;", &operation);
    assert_int_equal(operation.source_count, 3);
    alu_require("cvt.s8.s32 %h0, %r1;", &operation);
    assert_int_equal(operation.destinations[0], PTX_S8);
    alu_require("ex2.approx.ftz.f32 %r0, %r1;", &operation);
    assert_true(operation.special_function);
    alu_require("fma.rn.f32 %r0, %r1, %r2, %r3;", &operation);
    assert_false(operation.special_function);
    assert_int_equal(alu_held_bytes(PTX_PRED), 4);
    assert_int_equal(alu_held_bytes(PTX_S8), 128);
    assert_int_equal(alu_held_bytes(PTX_F64), 256);
}

/* A destination that nobody wants (_) is no memory. */
static void sinks(void **state)
{
    (void)state;
    struct alu_operation operation;
    union alu_held a, b, q = {.predicate = 0}, p = {.predicate = 0}, table = {.predicate = 0};
    for (int lane = 0; lane < 32; ++lane) {
        a.narrow[lane] = (uint32_t)lane;
        b.narrow[lane] = 16;
    }
    alu_require("setp.lt.u32 %p0|%p1, %r1, %r2;", &operation);
    operation.run(&operation, (void *[]){NULL, &q}, (const void *[]){&a, &b}, UINT32_MAX);
    assert_int_equal(q.predicate, 0xffff0000u);
    alu_require("lop3.and.b32 _|%p0, %r1, %r2, %r3, 0xc0, %p1;", &operation);
    p.predicate = UINT32_MAX;
    operation.run(&operation, (void *[]){NULL, &q}, (const void *[]){&a, &b, &b, &table, &p}, UINT32_MAX);
    assert_int_equal(q.predicate, 0xffff0000u); /* lane & 16 */
    alu_require("mov.b32 {%h0, %h1}, %r1;", &operation);
    operation.run(&operation, (void *[]){NULL, &a}, (const void *[]){&b}, UINT32_MAX);
    assert_int_equal(a.narrow[5], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_machines_own),
        cmocka_unit_test(unknown_ones),
        cmocka_unit_test(operands_and_types),
        cmocka_unit_test(sinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
