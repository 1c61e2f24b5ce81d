/* Trees of PTX that nvcc wrote. Every expected value is read off the text of the fixture in ptx/ by hand; lines are those
 * of that text. */
#include "emulator/tests/ptx_fixture.h"

static void types_have_ptx_names_and_sizes(void **state)
{
    (void)state;
    assert_string_equal(ptx_type_name(PTX_BF16X2), "bf16x2");
    assert_string_equal(ptx_type_name(PTX_PRED), "pred");
    assert_int_equal(ptx_type_size(PTX_PRED), 0);
    assert_int_equal(ptx_type_size(PTX_NO_TYPE), 0);
    for (int type = PTX_B8; type < PTX_TYPES; type++) {
        const char *name = ptx_type_name((enum ptx_type)type);
        int bits = atoi(name + strcspn(name, "0123456789"));
        const char *times = strchr(name, 'x');
        assert_int_equal(8 * ptx_type_size((enum ptx_type)type), bits * (times ? atoi(times + 1) : 1));
    }
    ptx_free(NULL);
}

static void module_variables_have_their_values(void **state)
{
    (void)state;
    struct ptx_module *module = fixture_parse("declarations.ptx");
    assert_int_equal(module->version_major, 9);
    assert_int_equal(module->version_minor, 0);
    assert_string_equal(module->target, "sm_80");
    assert_int_equal(module->variable_count, 7);
    const struct ptx_variable *table = variable_named(module->variables, 7, "table");
    static const float values[4] = {1.5f, 2.0f, -3.25f, 0.0f};
    assert_int_equal(table->space, PTX_CONST);
    assert_int_equal(table->type, PTX_B8);
    assert_int_equal(table->elements, 16);
    assert_int_equal(table->size, 16);
    assert_int_equal(table->alignment, 4);
    assert_memory_equal(table->initial, values, sizeof values);
    static const double wide_values[2] = {1.0, -2.5};
    assert_memory_equal(variable_named(module->variables, 7, "wide_table")->initial, wide_values, sizeof wide_values);
    static const short shorts[3] = {1, -2, 3};
    const struct ptx_variable *found = variable_named(module->variables, 7, "shorts");
    assert_int_equal(found->alignment, 2);
    assert_memory_equal(found->initial, shorts, sizeof shorts);
    const struct ptx_variable *counter = variable_named(module->variables, 7, "counter");
    assert_int_equal(counter->space, PTX_GLOBAL);
    assert_int_equal(counter->type, PTX_U32);
    static const uint8_t seven[4] = {7, 0, 0, 0};
    assert_memory_equal(counter->initial, seven, 4);
    static const float half = 0.5f;
    assert_memory_equal(variable_named(module->variables, 7, "scalar")->initial, &half, 4);
    const struct ptx_variable *pointer = variable_named(module->variables, 7, "pointer");
    assert_int_equal(pointer->size, 8);
    assert_null(pointer->initial);
    const struct ptx_variable *dynamic = variable_named(module->variables, 7, "dynamic_bytes");
    assert_int_equal(dynamic->space, PTX_SHARED);
    assert_int_equal(dynamic->alignment, 16);
    assert_int_equal(dynamic->elements, 0);
    assert_int_equal(dynamic->size, 0);
    ptx_free(module);
}

static void kernels_have_parameters_bounds_and_arrays(void **state)
{
    (void)state;
    struct ptx_module *module = fixture_parse("declarations.ptx");
    assert_int_equal(module->kernel_count, 3);
    const struct ptx_kernel *kernel = &module->kernels[0];
    assert_string_equal(kernel->name, "_Z11uses_tablesPfPKfc8settings");
    assert_int_equal(kernel->parameter_count, 4);
    static const struct {
        uint64_t offset, size;
        enum ptx_type type;
        uint32_t alignment;
    } parameters[4] = {{0, 8, PTX_U64, 8}, {8, 8, PTX_U64, 8}, {16, 1, PTX_U8, 1}, {24, 32, PTX_B8, 8}};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(kernel->parameters[i].space, PTX_PARAM);
        assert_int_equal(kernel->parameters[i].offset, parameters[i].offset);
        assert_int_equal(kernel->parameters[i].size, parameters[i].size);
        assert_int_equal(kernel->parameters[i].type, parameters[i].type);
        assert_int_equal(kernel->parameters[i].alignment, parameters[i].alignment);
    }
    assert_int_equal(kernel->parameter_bytes, 56);
    assert_int_equal(kernel->maximum_threads[0], 256);
    assert_int_equal(kernel->maximum_threads[1], 1);
    assert_int_equal(kernel->maximum_threads[2], 1);
    assert_int_equal(kernel->required_threads[0], 0);
    assert_int_equal(kernel->minimum_blocks, 2);
    assert_int_equal(kernel->register_count, 4 + 18 + 34 + 4 + 24);
    assert_int_equal(kernel->variable_count, 2);
    assert_int_equal(kernel->variables[0].space, PTX_SHARED);
    assert_int_equal(kernel->variables[0].size, 33 * 32 * 4);
    assert_int_equal(kernel->variables[1].size, 64);
    assert_int_equal(kernel->variables[1].alignment, 8);
    const struct ptx_kernel *local = &module->kernels[1];
    assert_int_equal(local->variable_count, 1);
    assert_int_equal(local->variables[0].space, PTX_LOCAL);
    assert_int_equal(local->variables[0].size, 64);
    assert_int_equal(local->maximum_threads[0], 0);
    assert_int_equal(local->minimum_blocks, 0);
    const struct ptx_kernel *empty = &module->kernels[2];
    assert_int_equal(empty->parameter_count + (int)empty->parameter_bytes + empty->register_count, 0);
    assert_int_equal(empty->instruction_count, 1);
    assert_opcode(&empty->instructions[0], "ret");
    assert_int_equal(empty->instructions[0].operand_count, 0);
    ptx_free(module);
}

static void symbols_name_module_kernel_and_parameters(void **state)
{
    (void)state;
    struct ptx_module *module = fixture_parse("declarations.ptx");
    const struct ptx_kernel *kernel = &module->kernels[0];
    const struct ptx_instruction *load = instruction_at(kernel, 48);
    assert_opcode(load, "ld.param.f64");
    assert_register(kernel, &load->operands[0], "%fd1", PTX_F64);
    assert_int_equal(load->operands[1].kind, PTX_OPERAND_ADDRESS);
    assert_int_equal(load->operands[1].base, PTX_OPERAND_SYMBOL);
    assert_true(load->operands[1].parameter && load->operands[1].local);
    assert_int_equal(load->operands[1].index, 3);
    assert_int_equal(load->operands[1].offset, 16);
    const struct ptx_instruction *table = instruction_at(kernel, 65);
    assert_opcode(table, "mov.u64");
    assert_int_equal(table->operands[1].kind, PTX_OPERAND_SYMBOL);
    assert_false(table->operands[1].local || table->operands[1].parameter);
    assert_string_equal(module->variables[table->operands[1].index].name, "table");
    const struct ptx_instruction *sums = instruction_at(kernel, 87);
    assert_true(sums->operands[1].local && !sums->operands[1].parameter);
    assert_int_equal(sums->operands[1].index, 1);
    const struct ptx_instruction *store = instruction_at(kernel, 93);
    assert_opcode(store, "st.global.u64");
    assert_int_equal(store->operands[0].kind, PTX_OPERAND_ADDRESS);
    assert_int_equal(store->operands[0].base, PTX_OPERAND_SYMBOL);
    assert_string_equal(module->variables[store->operands[0].index].name, "pointer");
    const struct ptx_instruction *thread = instruction_at(kernel, 56);
    assert_int_equal(thread->operands[1].kind, PTX_OPERAND_SPECIAL);
    assert_string_equal(thread->operands[1].text, "%tid.x");
    ptx_free(module);
}

static void lines_are_those_of_the_last_location(void **state)
{
    (void)state;
    struct ptx_module *module = fixture_parse("control.ptx");
    assert_int_equal(module->file_count, 4);
    assert_string_equal(module->files[1], "control.cu");
    assert_string_equal(module->files[3], "sm_70_rt.hpp");
    const struct ptx_kernel *kernel = &module->kernels[0];
    static const int lines[][2] = {{27, 23}, {31, 26}, {36, 0}, {41, 27}, {44, 6}, {83, 20}, {85, 29}, {111, 38}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const struct ptx_instruction *instruction = instruction_at(kernel, lines[i][0]);
        assert_int_equal(instruction->file, 1);
        assert_int_equal(instruction->line, lines[i][1]);
    }
    assert_int_equal(instruction_at(&module->kernels[1], 142)->file, 2);
    assert_int_equal(instruction_at(&module->kernels[1], 142)->line, 431);
    ptx_free(module);
    module = fixture_parse("tensor.ptx");
    assert_int_equal(module->kernels[0].instructions[0].file, -1);
    ptx_free(module);
}

/* A jump at line `from` goes to the instruction at line `to`. */
static void assert_jump(const struct ptx_kernel *kernel, int32_t from, int32_t to)
{
    const struct ptx_instruction *jump = instruction_at(kernel, from);
    assert_string_equal(jump->opcode, "bra");
    assert_int_equal(jump->operand_count, 1);
    assert_int_equal(jump->operands[0].kind, PTX_OPERAND_LABEL);
    assert_int_equal(jump->operands[0].index, number_of(kernel, instruction_at(kernel, to)));
}

static void branches_go_to_the_labels_of_their_block(void **state)
{
    (void)state;
    struct ptx_module *module = fixture_parse("control.ptx");
    const struct ptx_kernel *kernel = &module->kernels[0];
    assert_jump(kernel, 33, 67);
    assert_jump(kernel, 49, 53);
    assert_jump(kernel, 50, 59);
    assert_jump(kernel, 56, 63);
    assert_jump(kernel, 64, 41);
    assert_jump(kernel, 75, 78);
    assert_jump(kernel, 77, 74);
    assert_jump(kernel, 91, 94);
    assert_jump(kernel, 93, 90);
    const struct ptx_instruction *guarded = instruction_at(kernel, 33);
    assert_string_equal(kernel->registers[guarded->guard].name, "%p1");
    assert_false(guarded->guard_negated);
    const struct ptx_instruction *first = instruction_at(kernel, 75), *second = instruction_at(kernel, 91);
    assert_true(first->guard_negated && second->guard_negated);
    assert_string_equal(kernel->registers[first->guard].name, "seen");
    assert_string_equal(kernel->registers[second->guard].name, "seen");
    assert_int_not_equal(first->guard, second->guard);
    assert_int_equal(instruction_at(kernel, 76)->guard, first->guard);
    assert_int_equal(instruction_at(kernel, 77)->guard, -1);
    const struct ptx_instruction *indexed = instruction_at(kernel, 101);
    assert_opcode(indexed, "brx.idx");
    assert_register(kernel, &indexed->operands[0], "%r8", PTX_B32);
    assert_int_equal(indexed->operands[1].kind, PTX_OPERAND_TABLE);
    assert_int_equal(indexed->operands[1].index, 0);
    assert_int_equal(kernel->table_count, 1);
    assert_int_equal(kernel->tables[0].count, 3);
    assert_int_equal(kernel->tables[0].targets[0], number_of(kernel, instruction_at(kernel, 102)));
    assert_int_equal(kernel->tables[0].targets[1], number_of(kernel, instruction_at(kernel, 103)));
    assert_int_equal(kernel->tables[0].targets[2], kernel->tables[0].targets[0]);
    ptx_free(module);
}

static void numbers_are_read_in_every_base(void **state)
{
    (void)state;
    struct ptx_module *module = fixture_parse("control.ptx");
    const struct ptx_kernel *kernel = &module->kernels[0], *votes = &module->kernels[1];
    assert_immediate(&instruction_at(kernel, 74)->operands[2], 0xFF, false);
    assert_immediate(&instruction_at(kernel, 76)->operands[1], 10, false);
    assert_immediate(&instruction_at(kernel, 78)->operands[1], 15, false);
    assert_address(kernel, &instruction_at(kernel, 78)->operands[0], "%rd2", 4);
    assert_address(kernel, &instruction_at(kernel, 102)->operands[0], "%rd1", -8);
    assert_immediate(&instruction_at(kernel, 102)->operands[1], (uint64_t)-5, false);
    assert_immediate(&instruction_at(kernel, 103)->operands[1], (uint64_t)-20, false);
    assert_immediate(&instruction_at(votes, 132)->operands[2], 0x3F800000, true);
    assert_immediate(&instruction_at(votes, 136)->operands[1], UINT64_MAX, false);
    ptx_free(module);
}

static void pairs_and_negated_predicates(void **state)
{
    (void)state;
    struct ptx_module *module = fixture_parse("control.ptx");
    const struct ptx_kernel *kernel = &module->kernels[1];
    const struct ptx_instruction *shuffle = instruction_at(kernel, 142);
    assert_opcode(shuffle, "shfl.sync.up.b32");
    assert_int_equal(shuffle->operand_count, 5);
    assert_int_equal(shuffle->operands[0].kind, PTX_OPERAND_PAIR);
    assert_int_equal(shuffle->operands[0].count, 2);
    assert_register(kernel, &shuffle->operands[0].elements[0], "%r6", PTX_B32);
    assert_register(kernel, &shuffle->operands[0].elements[1], "%p3", PTX_PRED);
    const struct ptx_instruction *compare = instruction_at(kernel, 153); /* the first of two in this line */
    assert_opcode(compare, "setp.lt.and.f32");
    assert_int_equal(compare->operands[0].kind, PTX_OPERAND_PAIR);
    assert_register(kernel, &compare->operands[0].elements[1], "q", PTX_PRED);
    assert_register(kernel, &compare->operands[3], "p", PTX_PRED);
    assert_true(compare->operands[3].negated);
    assert_false(compare->operands[1].negated);
    const struct ptx_instruction *store = compare + 1;
    assert_string_equal(kernel->registers[store->guard].name, "q");
    assert_immediate(&store->operands[1], 0x40200000, true); /* 2.5 as the f32 that is stored */
    ptx_free(module);
}

static void vectors_and_their_literals(void **state)
{
    (void)state;
    struct ptx_module *module = fixture_parse("tensor.ptx");
    const struct ptx_kernel *kernel = &module->kernels[0];
    const struct ptx_instruction *copy = instruction_at(kernel, 42);
    assert_opcode(copy, "cp.async.cg.shared.global.L2::128B");
    assert_immediate(&copy->operands[2], 16, false);
    assert_address(kernel, &copy->operands[0], "%r14", 0);
    const struct ptx_instruction *load = instruction_at(kernel, 50);
    assert_opcode(load, "ldmatrix.sync.aligned.m8n8.x4.shared.b16");
    assert_int_equal(load->operands[0].kind, PTX_OPERAND_VECTOR);
    assert_int_equal(load->operands[0].count, 4);
    assert_register(kernel, &load->operands[0].elements[3], "%r6", PTX_B32);
    assert_address(kernel, &load->operands[1], "%r14", -32);
    const struct ptx_instruction *multiply = instruction_at(kernel, 57);
    assert_opcode(multiply, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32");
    assert_int_equal(multiply->operand_count, 4);
    assert_int_equal(multiply->operands[2].count, 2);
    assert_register(kernel, &multiply->operands[2].elements[1], "%r4", PTX_B32);
    const struct ptx_instruction *store = instruction_at(kernel, 60);
    assert_immediate(&store->operands[1].elements[0], 0, false);
    assert_register(kernel, &store->operands[1].elements[1], "%r3", PTX_B32);
    const struct ptx_instruction *packed = instruction_at(kernel, 68);
    assert_register(kernel, &packed->operands[1].elements[0], "low", PTX_F16);
    assert_immediate(&instruction_at(kernel, 81)->operands[3], 0x3DCCCCCD, true);
    ptx_free(module);
}

static void hopper_adds_coordinates_and_sinks(void **state)
{
    (void)state;
    struct ptx_module *module = fixture_parse("hopper.ptx");
    const struct ptx_kernel *kernel = &module->kernels[0];
    assert_string_equal(module->target, "sm_90a");
    assert_int_equal(kernel->parameters[0].alignment, 64);
    assert_int_equal(kernel->parameters[0].size, 128);
    assert_int_equal(kernel->parameter_bytes, 152);
    const struct ptx_instruction *map = instruction_at(kernel, 30);
    assert_int_equal(map->operands[1].kind, PTX_OPERAND_SYMBOL);
    assert_true(map->operands[1].parameter);
    assert_int_equal(map->operands[1].index, 0);
    assert_int_equal(instruction_at(kernel, 38)->operands[0].kind, PTX_OPERAND_SINK);
    const struct ptx_instruction *elect = instruction_at(kernel, 44);
    assert_int_equal(elect->operands[0].elements[0].kind, PTX_OPERAND_SINK);
    assert_register(kernel, &elect->operands[0].elements[1], "chosen", PTX_PRED);
    assert_immediate(&elect->operands[1], 0xffffffff, false);
    const struct ptx_instruction *copy = instruction_at(kernel, 45);
    assert_opcode(copy, "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes");
    assert_int_equal(copy->guard, elect->operands[0].elements[1].index);
    assert_address(kernel, &copy->operands[1], "%rd1", 0);
    assert_int_equal(copy->operands[1].count, 2);
    assert_register(kernel, &copy->operands[1].elements[0], "%r4", PTX_B32);
    assert_immediate(&copy->operands[1].elements[1], 64, false);
    assert_int_equal(copy->operands[0].count, 0);
    const struct ptx_instruction *multiply = instruction_at(kernel, 52);
    assert_opcode(multiply, "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16");
    assert_int_equal(multiply->operand_count, 8);
    assert_immediate(&multiply->operands[5], UINT64_MAX, false);
    ptx_free(module);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_have_ptx_names_and_sizes),
        cmocka_unit_test(module_variables_have_their_values),
        cmocka_unit_test(kernels_have_parameters_bounds_and_arrays),
        cmocka_unit_test(symbols_name_module_kernel_and_parameters),
        cmocka_unit_test(lines_are_those_of_the_last_location),
        cmocka_unit_test(branches_go_to_the_labels_of_their_block),
        cmocka_unit_test(numbers_are_read_in_every_base),
        cmocka_unit_test(pairs_and_negated_predicates),
        cmocka_unit_test(vectors_and_their_literals),
        cmocka_unit_test(hopper_adds_coordinates_and_sinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
