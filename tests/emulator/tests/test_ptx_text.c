/* What PTX allows and nvcc seldom writes, and what the parser refuses, with the line it names. The texts are short and
 * stand beside what is expected of them. */
#include "emulator/tests/ptx_fixture.h"

#define HEAD ".version 8.10\n.target sm_80, debug\n.address_size 64\n"
/* A kernel whose body begins in line 6. */
#define BODY(text) HEAD ".entry k(.param .u64 p)\n{\n" text "\n}\n"

static struct ptx_module *parse_text(const char *text)
{
    char error[256];
    struct ptx_module *module = ptx_parse(text, strlen(text), error, sizeof error);
    if (!module)
        fail_msg("%s\n%s", error, text);
    return module;
}

/* The text is copied so that a read past its end is one past an allocation's. */
static void assert_refused(const char *text, const char *expected)
{
    char error[512];
    size_t length = strlen(text);
    char *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    struct ptx_module *module = ptx_parse(copy, length, error, sizeof error);
    free(copy);
    if (module)
        fail_msg("parsed, expected \"%s\":\n%s", expected, text);
    assert_string_equal(error, expected);
}

static void integers_and_expressions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t expected;
    } numbers[] = {
        {"0", 0},
        {"10U", 10},
        {"0x7fffffffffffffff", INT64_MAX},
        {"0XffffffffffffffffU", UINT64_MAX},
        {"18446744073709551615", UINT64_MAX},
        {"-9223372036854775808", UINT64_C(1) << 63},
        {"0777", 511},
        {"0B101", 5},
        {"~0", UINT64_MAX},
        {"- -3", 3},
        {"(0xF0 & 0xCC) ^ 0xAA", 0x6A},
        {"1 << 4 | 3", 19},
        {"2 + 3 * 4", 14},
        {"7 - 2 - 1", 4},
        {"-(1 + 2)", (uint64_t)-3},
        {"-7 / 2", (uint64_t)-3},
        {"-7 % 4", (uint64_t)-3},
        {"-8 >> 1", (uint64_t)-4},
        {"-8 >> 64", UINT64_MAX},
        {"0xFFFFFFFFFFFFFFF8U >> 1", 0x7FFFFFFFFFFFFFFCU},
        {"0xFFFFFFFFFFFFFFF8U / 8", 0x1FFFFFFFFFFFFFFFU},
        {"1 << 64", 0},
        {"(0 - 9223372036854775807 - 1) / -1", UINT64_C(1) << 63},
        {"9223372036854775808 / -1", 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[512];
        snprintf(text, sizeof text, BODY(".reg .b64 a; mov.b64 a, %s;"), numbers[i].text);
        struct ptx_module *module = parse_text(text);
        assert_immediate(&module->kernels[0].instructions[0].operands[1], numbers[i].expected, false);
        ptx_free(module);
    }
}

/* The rules were checked with ptxas 13.0, which takes and refuses the same mixes. */
static void floating_literals_follow_the_instruction(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t expected;
    } accepted[] = {
        {"add.f32 f, f, 0f3FC00000", 0x3FC00000},
        {"add.f32 f, f, 1.5", 0x3FC00000},
        {"add.f32 f, f, -1.5", 0xBFC00000},
        {"add.f32 f, f, 1.5e-1", 0x3E19999A},
        {"add.f32 f, f, 0D3FF8000000000000", 0x3FC00000},
        {"add.f64 d, d, 1.5", 0x3FF8000000000000},
        {"add.f64 d, d, 0d3ff8000000000000", 0x3FF8000000000000},
        {"mov.f64 d, d, 0f3fc00000", 0x3FF8000000000000},
        {"mov.b32 f, f, 0F3FC00000", 0x3FC00000},
        {"mov.b64 d, d, 1.5", 0x3FF8000000000000},
    };
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        char text[512];
        snprintf(text, sizeof text, BODY(".reg .f32 f; .reg .f64 d; %s;"), accepted[i].text);
        struct ptx_module *module = parse_text(text);
        const struct ptx_instruction *instruction = &module->kernels[0].instructions[0];
        assert_immediate(&instruction->operands[instruction->operand_count - 1], accepted[i].expected, true);
        ptx_free(module);
    }
    assert_refused(BODY(".reg .f32 f;\nmov.b32 f, 2.5;"),
                   "line 7: a floating-point literal where the type .b32 takes none");
    assert_refused(BODY(".reg .f64 d;\nmov.b64 d, 0f3F800000;"),
                   "line 7: a floating-point literal where the type .b64 takes none");
    assert_refused(BODY(".reg .f32 f;\nadd.f32 f, f, -0f3F800000;"),
                   "line 7: an operator before a floating-point literal");
    assert_refused(BODY(".reg .f32 f;\nadd.f32 f, f, 1.0 + 2;"),
                   "line 7: an expression of floating-point literals is not supported");
}

static void names_of_an_inner_block_hide_those_outside(void **state)
{
    (void)state;
    struct ptx_module *module = parse_text(BODY(".reg .b32 a, b<2>;\n"
                                                "mov.b32 a, b1;\n"
                                                "{ .reg .b64 a; .shared .b32 b0[2];\n"
                                                "mov.b64 a, b0; { mov.b64 a, b0+4; } }\n"
                                                "{ .reg .pred a;\n"
                                                "@!a bra L; L: }\n"
                                                "mov.b32 a, b0;\n"
                                                "bra L; L:"));
    const struct ptx_kernel *kernel = &module->kernels[0];
    assert_int_equal(kernel->register_count, 5);
    assert_int_equal(kernel->instruction_count, 6);
    const struct ptx_instruction *instructions = kernel->instructions;
    assert_register(kernel, &instructions[0].operands[0], "a", PTX_B32);
    assert_register(kernel, &instructions[0].operands[1], "b1", PTX_B32);
    assert_register(kernel, &instructions[1].operands[0], "a", PTX_B64);
    assert_int_equal(instructions[1].operands[1].kind, PTX_OPERAND_SYMBOL);
    assert_true(instructions[1].operands[1].local);
    assert_int_equal(instructions[2].operands[1].offset, 4);
    assert_int_equal(instructions[2].operands[0].index, instructions[1].operands[0].index);
    assert_int_equal(kernel->registers[instructions[3].guard].type, PTX_PRED);
    assert_int_equal(instructions[3].operands[0].index, 4);
    assert_register(kernel, &instructions[4].operands[1], "b0", PTX_B32);
    assert_int_equal(instructions[4].operands[0].index, instructions[0].operands[0].index);
    assert_int_equal(instructions[5].operands[0].index, 6); /* behind the last instruction */
    ptx_free(module);
}

static void a_branch_leaves_its_block(void **state)
{
    (void)state;
    struct ptx_module *module = parse_text(BODY("OUT: { { bra OUT; bra LATER; } { LATER: bra LATER; } }\n"
                                                "LATER: T: .branchtargets OUT; brx.idx 0, T;"));
    const struct ptx_instruction *instructions = module->kernels[0].instructions;
    assert_int_equal(instructions[0].operands[0].index, 0);
    assert_int_equal(instructions[1].operands[0].index, 3);
    assert_int_equal(instructions[2].operands[0].index, 2);
    assert_int_equal(instructions[3].operands[1].kind, PTX_OPERAND_TABLE);
    assert_int_equal(module->kernels[0].tables[0].targets[0], 0);
    ptx_free(module);
    assert_refused(BODY("{ IN: ret; }\nbra IN;"), "line 7: 'IN' is not declared");
}

static void declarations_in_all_their_forms(void **state)
{
    (void)state;
    struct ptx_module *module = parse_text(
        HEAD "/* a comment\nof two lines */\n"
             ".visible .global .align 16 .v4 .f32 v[2][3];\n"
             ".const .s16 list[] = {-1, 0x7fff, 0xffff /* , */};\n"
             ".global .f64 x[3] = {1.5, 0f3F800000, 0};\n"
             ".weak .entry one(.param .u64 .ptr .global .align 4 a, .param .u64 .ptr .align 1 b, .param .b8 c,\n"
             ".param .align 16 .b8 d[5])\n.reqntid 8, 4\n.maxnreg 64\n.pragma \"nounroll\";\n{ ret; }\n"
             ".visible .entry two\n{\n.pragma \"nounroll\";\n;exit; }\n"
             ".file 2 \"b.cu\", 1700000000, 42\n.section .debug_info { .b8 1,2 { } $L: .b64 a+1 }");
    assert_int_equal(module->version_major, 8);
    assert_int_equal(module->version_minor, 10);
    assert_string_equal(module->target, "sm_80");
    assert_int_equal(module->variables[0].elements, 24);
    assert_int_equal(module->variables[0].size, 96);
    assert_int_equal(module->variables[0].alignment, 16);
    static const int16_t list[3] = {-1, 0x7fff, -1};
    assert_int_equal(module->variables[1].elements, 3);
    assert_int_equal(module->variables[1].alignment, 2);
    assert_memory_equal(module->variables[1].initial, list, sizeof list);
    static const double x[3] = {1.5, 1.0, 0.0};
    assert_memory_equal(module->variables[2].initial, x, sizeof x);
    const struct ptx_kernel *kernel = &module->kernels[0];
    assert_int_equal(kernel->parameters[1].alignment, 8);
    assert_int_equal(kernel->parameters[2].offset, 16);
    assert_int_equal(kernel->parameters[3].offset, 32);
    assert_int_equal(kernel->parameter_bytes, 37);
    assert_int_equal(kernel->required_threads[0], 8);
    assert_int_equal(kernel->required_threads[1], 4);
    assert_int_equal(kernel->required_threads[2], 1);
    assert_int_equal(kernel->maximum_threads[0], 0);
    assert_string_equal(module->kernels[1].name, "two");
    assert_opcode(&module->kernels[1].instructions[0], "exit");
    assert_int_equal(module->kernels[1].instructions[0].ptx_line, 18);
    assert_int_equal(module->file_count, 3);
    assert_string_equal(module->files[0], "");
    assert_string_equal(module->files[2], "b.cu");
    ptx_free(module);
}

static void addresses_and_specials(void **state)
{
    (void)state;
    struct ptx_module *module = parse_text(BODY(".shared .b32 s[4]; .reg .b64 %rd<2>; .reg .b32 r;\n"
                                                "ld.shared.u32 r, [s-4]; ld.u32 r, [16]; ld.u32 r, [%rd1 + 8*2];\n"
                                                "ld.u32 r, [%rd1-12]; mov.u32 r, WARP_SZ; mov.u32 r, %laneid;\n"
                                                "mov.u32 r, %nctaid.z; mov.b64 %rd0, s+-8; mov.b32 {r, _}, %rd1;"));
    const struct ptx_kernel *kernel = &module->kernels[0];
    const struct ptx_instruction *instructions = kernel->instructions;
    assert_int_equal(instructions[0].operands[1].base, PTX_OPERAND_SYMBOL);
    assert_int_equal(instructions[0].operands[1].offset, -4);
    assert_int_equal(instructions[1].operands[1].base, PTX_OPERAND_IMMEDIATE);
    assert_int_equal(instructions[1].operands[1].bits, 16);
    assert_address(kernel, &instructions[2].operands[1], "%rd1", 16);
    assert_address(kernel, &instructions[3].operands[1], "%rd1", -12);
    assert_string_equal(instructions[4].operands[1].text, "WARP_SZ");
    assert_string_equal(instructions[5].operands[1].text, "%laneid");
    assert_string_equal(instructions[6].operands[1].text, "%nctaid.z");
    assert_int_equal(instructions[7].operands[1].kind, PTX_OPERAND_SYMBOL);
    assert_int_equal(instructions[7].operands[1].offset, -8);
    assert_int_equal(instructions[8].operands[0].elements[1].kind, PTX_OPERAND_SINK);
    ptx_free(module);
}

static void what_a_module_may_not_say(void **state)
{
    (void)state;
    assert_refused("", "line 1: expected .version, found the end of the text");
    assert_refused("\n.target sm_80", "line 2: expected .version, found '.target'");
    assert_refused(".version 9", "line 1: expected a version such as 9.0, found '9'");
    assert_refused(".version 9.0\n", "line 2: expected .target, found the end of the text");
    assert_refused(".version 9.0\n.global .u32 x;", "line 2: expected .target, found '.global'");
    assert_refused(".version 9.0\n.target sm_80\n.address_size 32",
                   "line 3: expected an address size from 64 to 64, found 32");
    assert_refused(HEAD ".extern .func (.param .b32 r) vprintf (.param .b64 a);",
                   "line 4: the device function 'vprintf' is called, not inlined: not supported");
    assert_refused(HEAD ".extern .global .u32 x;", "line 4: a variable that is defined elsewhere is not supported");
    assert_refused(HEAD ".global .attribute(.managed) .u32 x;",
                   "line 4: .attribute (managed or unified memory) is not supported");
    assert_refused(HEAD ".global .u64 x = generic(y);",
                   "line 4: the address of 'generic' in an initialiser is not supported");
    assert_refused(HEAD ".global .u8 x = 256;", "line 4: an initial value that a .u8 cannot hold");
    assert_refused(HEAD ".global .u8 x[2] = {1, 2,\n3};", "line 5: more initial values than the 2 elements of 'x'");
    assert_refused(HEAD ".global .u8 x[2] = {{1}, {2}};",
                   "line 4: a list inside a list of initial values is not supported");
    assert_refused(HEAD ".shared .u8 x = 1;",
                   "line 4: only variables in global and constant memory have initial values");
    assert_refused(HEAD ".shared .u8 x[];", "line 4: only an .extern array may leave its length open");
    assert_refused(HEAD ".global .align 3 .u8 x;", "line 4: an alignment of 3, which is no power of two");
    assert_refused(HEAD ".global .u64 x[4611686018427387904];", "line 4: a variable of more than 2^63 bytes");
    assert_refused(HEAD ".global .u64 x[18446744073709551615];",
                   "line 4: expected the length of an array from 0 to 9223372036854775807, found 18446744073709551615");
    assert_refused(HEAD ".global .pred x;", "line 4: expected a type that memory can hold, found 'x'");
    assert_refused(HEAD ".global .u32 x;\n.global .u32 x;\n", "line 6: 'x' is declared twice");
    assert_refused(HEAD ".entry k() {}\n.entry k() {}", "line 5: 'k' is declared twice");
    assert_refused(HEAD ".entry k() .reqnctapercluster 2 {}", "line 4: clusters of blocks are not supported");
    assert_refused(HEAD ".entry k(.param .b8 x[40000])", "line 4: parameters of more than 32764 bytes");
    assert_refused(HEAD ".section .debug {\n{}", "line 5: expected the end of the section, found the end of the text");
    assert_refused(HEAD ".surprise", "line 4: expected a directive that is known, found '.surprise'");
    assert_refused(HEAD "/* open\n\n", "line 6: a comment that does not end");
    assert_refused(HEAD ".file 1 \"a", "line 4: a string that does not end on its line");
    assert_refused(HEAD "\1", "line 4: a character that PTX does not know");
}

static void what_a_kernel_may_not_say(void **state)
{
    (void)state;
    assert_refused(BODY(".reg .b32 a\n"), "line 8: expected ';', found '}'");
    assert_refused(BODY(".reg .b32 a<2000000>;"), "line 6: a kernel of more than 1048576 registers");
    assert_refused(BODY(".reg .b32 a, a;"), "line 6: 'a' is declared twice");
    assert_refused(BODY("mov.u32 %r1, 0;"), "line 6: the register '%r1' is not declared");
    assert_refused(BODY("bra L;\n"), "line 6: 'L' is not declared");
    assert_refused(BODY("L: L: ret;"), "line 6: 'L' is declared twice");
    assert_refused(BODY("bra k;"), "line 6: the address of the kernel 'k' is not supported");
    assert_refused(BODY("T: .branchtargets T;"), "line 6: 'T' is not a label");
    assert_refused(BODY("T: .branchtargets p;"), "line 6: 'p' is not declared");
    assert_refused(BODY(".reg .b32 a;\n@a ret;"), "line 7: the guard 'a' is no predicate");
    assert_refused(BODY("call.uni f, (p);"), "line 6: a call of a device function is not supported: inline it");
    assert_refused(BODY("F: .callprototype _ ();"), "line 6: a call of a device function is not supported: inline it");
    assert_refused(BODY("{ .param .b32 a; }"),
                   "line 6: .param outside a kernel's head (a call of a device function) is not supported");
    assert_refused(BODY(".global .b32 a;"), "line 6: a variable of this state space is not supported here");
    assert_refused(BODY("mov.u32 %tid.v, 1;"), "line 6: expected a component .x, .y, .z or .w, found '.v'");
    assert_refused(BODY("mov.u32 {p, L}, 1;"), "line 6: 'L' is not declared");
    assert_refused(BODY("ld.u32 [%tid.x];"), "line 6: an address of neither a register nor a variable");
    assert_refused(BODY("mov.u32 !3, 1;"), "line 6: expected an operand, found '3'");
    assert_refused(BODY("mov.u32 12ab;"), "line 6: a malformed number");
    assert_refused(BODY("mov.u32 0x;"), "line 6: a malformed number");
    assert_refused(BODY("mov.u32 09;"), "line 6: a malformed number");
    assert_refused(BODY("mov.f32 0f3F80;"), "line 6: a malformed number");
    assert_refused(BODY("mov.u64 18446744073709551616;"), "line 6: a number beyond 64 bits");
    assert_refused(BODY("mov.u64 1 / (2 - 2);"), "line 6: a division by zero");
    assert_refused(BODY(".loc 1 2 3\nret;"), "line 7: no .file has the number 1 that .loc names");
    assert_refused(BODY(".loc 1 2 3, sometimes"), "line 6: expected function_name or inlined_at, found 'sometimes'");
    assert_refused(BODY("ret;\n}\n}"), "line 8: expected a directive, found '}'");
}

static void depth_is_limited_and_not_the_stack(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    char *text = malloc(DEPTH + 512);
    assert_non_null(text);
    static const struct {
        char opening;
        const char *before, *expected;
    } cases[] = {
        {'{', "", "line 6: more than 256 blocks inside each other"},
        {'(', "mov.u32 ", "line 6: an expression of more than 64 levels"},
        {'-', "mov.u32 ", "line 6: an expression of more than 64 levels"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int used = snprintf(text, 512, HEAD ".entry k(.param .u64 p)\n{\n%s", cases[i].before);
        memset(text + used, cases[i].opening, DEPTH);
        text[used + DEPTH] = '\0';
        assert_refused(text, cases[i].expected);
    }
    free(text);
}

static void an_error_fits_its_room(void **state)
{
    (void)state;
    char error[8] = "xxxxxxx";
    assert_null(ptx_parse("?", 1, error, sizeof error));
    assert_string_equal(error, "line 1:");
    assert_null(ptx_parse("?", 1, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_and_expressions),
        cmocka_unit_test(floating_literals_follow_the_instruction),
        cmocka_unit_test(names_of_an_inner_block_hide_those_outside),
        cmocka_unit_test(a_branch_leaves_its_block),
        cmocka_unit_test(declarations_in_all_their_forms),
        cmocka_unit_test(addresses_and_specials),
        cmocka_unit_test(what_a_module_may_not_say),
        cmocka_unit_test(what_a_kernel_may_not_say),
        cmocka_unit_test(depth_is_limited_and_not_the_stack),
        cmocka_unit_test(an_error_fits_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
