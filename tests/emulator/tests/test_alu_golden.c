/* Every instruction of golden/arithmetic.txt, whose results tests/oracles/ptx_arithmetic.py computed from exact rational
 * numbers: all lanes, some lanes, destinations that are sources, and rubbish above the bits of a narrow source. */
#include "emulator/tests/alu_fixture.h"

enum { LANES = 32, LINE = 512 };

struct block {
    char text[LINE];
    int vectors, line;
    int inputs, outputs;
    uint64_t input[LANES][ALU_SOURCES], output[LANES][ALU_DESTINATIONS];
};

static int read_numbers(char *text, uint64_t *numbers, int capacity)
{
    int count = 0;
    for (char *end; *text != '\0' && *text != '\n' && *text != '='; text = end) {
        if (count == capacity)
            fail_msg("too many numbers in a vector");
        numbers[count++] = strtoull(text, &end, 16);
        if (end == text)
            fail_msg("no number: %s", text);
        while (*end == ' ')
            ++end;
    }
    return count;
}
static void read_vector(struct block *block, char *line)
{
    char *equals = strchr(line, '=');
    if (equals == NULL || block->vectors == LANES)
        fail_msg("line %d of the golden file is damaged", block->line);
    block->inputs = read_numbers(line, block->input[block->vectors], ALU_SOURCES);
    block->outputs = read_numbers(equals + 2, block->output[block->vectors], ALU_DESTINATIONS);
    ++block->vectors;
}

/* Where each source's value comes from: a place in the vector, or an immediate of the instruction. */
struct plan {
    struct alu_operation operation;
    int place[ALU_SOURCES]; /* -1: immediate */
    uint64_t immediate[ALU_SOURCES];
};

static void add_source(struct plan *plan, int *count, int *places, const struct ptx_operand *operand)
{
    const bool apart = operand->kind == PTX_OPERAND_VECTOR;
    for (int i = 0; i < (apart ? operand->count : 1); ++i) {
        const bool immediate = operand->kind == PTX_OPERAND_IMMEDIATE;
        plan->place[*count] = immediate ? -1 : (*places)++;
        plan->immediate[*count] = immediate ? operand->bits : 0;
        ++*count;
    }
}
static void make_plan(struct plan *plan, const struct block *block)
{
    alu_require(block->text, &plan->operation);
    struct ptx_module *module = alu_parse(block->text);
    const struct ptx_instruction *instruction = &module->kernels[0].instructions[0];
    int count = 0, places = 0;
    for (int i = 1; i < instruction->operand_count; ++i)
        add_source(plan, &count, &places, &instruction->operands[i]);
    if (plan->operation.reads_carry)
        plan->place[count++] = places++;
    ptx_free(module);
    if (count != plan->operation.source_count || places != block->inputs ||
        block->outputs != plan->operation.destination_count)
        fail_msg("%s: %d sources, %d inputs, %d destinations do not fit the vectors", block->text, count, places,
                 plan->operation.destination_count);
}

/* What a run does besides computing. */
struct variant {
    uint32_t active;
    bool rubbish;            /* above the bits of sources below 32 bits */
    int destination, source; /* which share memory; -1: none */
};

static uint64_t rubbish_above(enum ptx_type type)
{
    const int size = type == PTX_PRED ? 8 : ptx_type_size(type);
    return size == 1 ? 0x5a5a5a00 : size == 2 ? UINT64_C(0xa5a50000) : 0;
}

static void run_variant(const struct block *block, const struct plan *plan, const struct variant *variant)
{
    const struct alu_operation *operation = &plan->operation;
    union alu_held sources[ALU_SOURCES], destinations[ALU_DESTINATIONS], before;
    const void *source_pointers[ALU_SOURCES];
    void *destination_pointers[ALU_DESTINATIONS];
    memset(destinations, 0xcd, sizeof destinations);
    memset(sources, 0xee, sizeof sources);
    for (int i = 0; i < operation->source_count; ++i) {
        source_pointers[i] = &sources[i];
        for (int lane = 0; lane < LANES; ++lane) {
            const uint64_t value =
                plan->place[i] < 0 ? plan->immediate[i] : block->input[lane % block->vectors][plan->place[i]];
            alu_put(&sources[i], operation->sources[i], lane,
                    value | (variant->rubbish ? rubbish_above(operation->sources[i]) : 0));
        }
    }
    for (int i = 0; i < operation->destination_count; ++i)
        destination_pointers[i] = i == variant->destination ? &sources[variant->source] : &destinations[i];
    before = variant->destination < 0 ? destinations[0] : sources[variant->source];
    operation->run(operation, destination_pointers, source_pointers, variant->active);
    for (int i = 0; i < operation->destination_count; ++i)
        for (int lane = 0; lane < LANES; ++lane) {
            const bool shares = i == variant->destination;
            const enum ptx_type type = operation->destinations[i];
            const uint64_t found = alu_get(destination_pointers[i], type, lane);
            union alu_held untouched;
            memset(&untouched, 0xcd, sizeof untouched);
            const uint64_t expected = (variant->active >> lane & 1) != 0
                                          ? block->output[lane % block->vectors][i]
                                          : alu_get(shares ? &before : &untouched, type, lane);
            if (found != expected)
                fail_msg("%s (line %d), lane %d, active %08x, destination %d%s: %llx, expected %llx", block->text,
                         block->line, lane, variant->active, i, shares ? " that is a source" : "",
                         (unsigned long long)found, (unsigned long long)expected);
        }
}

static void run_block(const struct block *block)
{
    struct plan plan;
    make_plan(&plan, block);
    static const uint32_t masks[] = {UINT32_MAX, 0xffff, UINT32_C(0xa5a55a5a), UINT32_C(0x80000000), 0};
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; ++i)
        run_variant(block, &plan, &(struct variant){masks[i], false, -1, -1});
    run_variant(block, &plan, &(struct variant){UINT32_MAX, true, -1, -1});
    for (int d = 0; d < plan.operation.destination_count; ++d)
        for (int s = 0; s < plan.operation.source_count; ++s) {
            run_variant(block, &plan, &(struct variant){UINT32_MAX, false, d, s});
            run_variant(block, &plan, &(struct variant){UINT32_C(0x0ff00ff1), false, d, s});
        }
}

static void every_instruction(void **state)
{
    (void)state;
    FILE *file = fopen(TEST_SOURCE_DIRECTORY "/tests/emulator/tests/golden/arithmetic.txt", "r");
    assert_non_null(file);
    static struct block block;
    char line[LINE];
    int instructions = 0;
    for (int number = 1; fgets(line, sizeof line, file) != NULL; ++number) {
        if (line[0] != '>') {
            read_vector(&block, line);
            continue;
        }
        if (block.vectors > 0)
            run_block(&block);
        memset(&block, 0, sizeof block);
        block.line = number;
        line[strcspn(line, "\n")] = '\0';
        memcpy(block.text, line + 2, strlen(line + 2) + 1);
        ++instructions;
    }
    run_block(&block);
    fclose(file);
    print_message("%d instructions\n", instructions);
    assert_true(instructions > 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_instruction)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
