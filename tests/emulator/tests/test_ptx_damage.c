/* Damaged PTX gives an error or a tree that holds together, never more. Each damaged text lies in an allocation of its
 * exact length, so that a build with the address sanitizer sees the first byte read beyond it. */
#include "emulator/tests/ptx_fixture.h"

static const char *const fixtures[] = {"declarations.ptx", "control.ptx", "tensor.ptx", "hopper.ptx"};
enum { FIXTURES = sizeof fixtures / sizeof *fixtures };

static void check_operand(const struct ptx_module *module, const struct ptx_kernel *kernel,
                          const struct ptx_operand *operand, bool inner)
{
    enum ptx_operand_kind kind = operand->kind == PTX_OPERAND_ADDRESS ? operand->base : operand->kind;
    switch (kind) {
    case PTX_OPERAND_REGISTER:
        assert_in_range(operand->index, 0, kernel->register_count - 1);
        break;
    case PTX_OPERAND_SYMBOL:
        if (operand->parameter)
            assert_in_range(operand->index, 0, kernel->parameter_count - 1);
        else if (operand->local)
            assert_in_range(operand->index, 0, kernel->variable_count - 1);
        else
            assert_in_range(operand->index, 0, module->variable_count - 1);
        break;
    case PTX_OPERAND_LABEL:
        assert_in_range(operand->index, 0, kernel->instruction_count);
        assert_false(inner);
        break;
    case PTX_OPERAND_TABLE:
        assert_in_range(operand->index, 0, kernel->table_count - 1);
        assert_false(inner);
        break;
    case PTX_OPERAND_SPECIAL:
        assert_true(strlen(operand->text) > 0);
        break;
    case PTX_OPERAND_VECTOR:
    case PTX_OPERAND_PAIR:
        assert_false(inner);
        assert_true(operand->count > 0);
        break;
    default:
        break;
    }
    for (int32_t i = 0; i < operand->count; i++)
        check_operand(module, kernel, &operand->elements[i], true);
}

static void check_variables(const struct ptx_variable *variables, int32_t count)
{
    uint64_t end = 0, sum = 0;
    for (int32_t i = 0; i < count; i++) {
        assert_true(strlen(variables[i].name) > 0);
        assert_true(variables[i].alignment && !(variables[i].alignment & (variables[i].alignment - 1)));
        assert_int_equal(variables[i].size, variables[i].elements * (uint64_t)ptx_type_size(variables[i].type));
        for (uint64_t byte = 0; variables[i].initial && byte < variables[i].size; byte++)
            sum += variables[i].initial[byte];
        if (variables[i].space != PTX_PARAM)
            continue;
        assert_true(variables[i].offset >= end && variables[i].offset % variables[i].alignment == 0);
        end = variables[i].offset + variables[i].size;
    }
    assert_true(sum < UINT64_MAX);
}

/* Every index lies in its array, every text can be read. */
static void check_tree(const struct ptx_module *module)
{
    check_variables(module->variables, module->variable_count);
    for (int32_t k = 0; k < module->kernel_count; k++) {
        const struct ptx_kernel *kernel = &module->kernels[k];
        check_variables(kernel->parameters, kernel->parameter_count);
        check_variables(kernel->variables, kernel->variable_count);
        for (int32_t i = 0; i < kernel->register_count; i++)
            assert_true(strlen(kernel->registers[i].name) > 0);
        for (int32_t i = 0; i < kernel->instruction_count; i++) {
            const struct ptx_instruction *instruction = &kernel->instructions[i];
            assert_true(strlen(instruction->opcode) > 0);
            assert_in_range(instruction->guard + 1, 0, kernel->register_count);
            assert_in_range(instruction->file + 1, 0, module->file_count);
            for (int32_t m = 0; m < instruction->modifier_count; m++)
                assert_true(strlen(instruction->modifiers[m]) > 0);
            for (int32_t o = 0; o < instruction->operand_count; o++)
                check_operand(module, kernel, &instruction->operands[o], false);
        }
        for (int32_t t = 0; t < kernel->table_count; t++) {
            for (int32_t i = 0; i < kernel->tables[t].count; i++)
                assert_in_range(kernel->tables[t].targets[i], 0, kernel->instruction_count);
        }
    }
}

/* Parses a copy; the number of kernels, or -1 with an error of one line. */
static int32_t parse_copy(const char *text, size_t length)
{
    char error[256];
    char *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    struct ptx_module *module = ptx_parse(copy, length, error, sizeof error);
    free(copy);
    if (!module) {
        assert_int_equal(strncmp(error, "line ", 5), 0);
        assert_true(strlen(error) > strlen("line 1: ") && !strchr(error, '\n'));
        return -1;
    }
    check_tree(module);
    int32_t kernels = module->kernel_count;
    ptx_free(module);
    return kernels;
}

/* nvcc ends a kernel, and nothing else, with an empty line and a brace. */
static int32_t kernels_that_end(const char *text, size_t length)
{
    int32_t count = 0;
    for (size_t i = 0; i + 3 <= length; i++)
        count += !memcmp(text + i, "\n\n}", 3);
    return count;
}

static void a_text_may_end_anywhere(void **state)
{
    (void)state;
    for (int f = 0; f < FIXTURES; f++) {
        size_t whole;
        char *text = fixture_text(fixtures[f], &whole);
        int64_t parsed = 0;
        for (size_t length = 0; length <= whole; length++) {
            int32_t kernels = parse_copy(text, length);
            parsed += kernels >= 0;
            if (kernels >= 0 && kernels != kernels_that_end(text, length))
                fail_msg("%s: %d kernels in the first %zu bytes", fixtures[f], kernels, length);
        }
        assert_true(parsed > 0 && parsed < (int64_t)whole);
        free(text);
    }
}

static void any_byte_may_be_another(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 0, 0);
    int rounds = test_is_long() ? 100000 : 1000;
    for (int f = 0; f < FIXTURES; f++) {
        size_t length;
        int64_t refused = 0;
        char *text = fixture_text(fixtures[f], &length);
        char *damaged = malloc(length);
        assert_non_null(damaged);
        for (int round = 0; round < rounds; round++) {
            memcpy(damaged, text, length);
            for (uint64_t flips = 1 + rng_below(&rng, 3); flips; flips--) {
                char *byte = &damaged[rng_below(&rng, length)];
                *byte = (char)(rng_below(&rng, 2) ? *byte ^ (1 << rng_below(&rng, 8)) : (int)rng_below(&rng, 256));
            }
            refused += parse_copy(damaged, length) < 0;
        }
        assert_true(refused > rounds / 10);
        free(damaged);
        free(text);
    }
}

/* Pieces of one fixture are moved into another, or left out: the tokens are right, their order is not. */
static void pieces_may_be_anywhere(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 0);
    int rounds = test_is_long() ? 100000 : 2000;
    char *texts[FIXTURES];
    size_t lengths[FIXTURES];
    for (int f = 0; f < FIXTURES; f++)
        texts[f] = fixture_text(fixtures[f], &lengths[f]);
    enum { PIECE = 200 };
    for (int round = 0; round < rounds; round++) {
        uint64_t from = rng_below(&rng, FIXTURES), into = rng_below(&rng, FIXTURES);
        size_t start = rng_below(&rng, lengths[from] - PIECE), size = rng_below(&rng, PIECE);
        size_t place = rng_below(&rng, lengths[into] - PIECE), left_out = rng_below(&rng, PIECE);
        size_t rest = lengths[into] - place - left_out;
        char *damaged = malloc(place + size + rest);
        assert_non_null(damaged);
        memcpy(damaged, texts[into], place);
        memcpy(damaged + place, texts[from] + start, size);
        memcpy(damaged + place + size, texts[into] + place + left_out, rest);
        parse_copy(damaged, place + size + rest);
        free(damaged);
    }
    for (int f = 0; f < FIXTURES; f++)
        free(texts[f]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_may_end_anywhere),
        cmocka_unit_test(any_byte_may_be_another),
        cmocka_unit_test(pieces_may_be_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
