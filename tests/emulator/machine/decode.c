/* Decoding a kernel: a table from opcode to decoder, and the ops in the order of the instructions, so that an instruction's
 * number is its program counter. Arithmetic is chosen by alu_select; whatever neither knows is an error that names the
 * kernel, the line of the PTX text and the instruction, because one that is skipped would only show as wrong numbers. */
#include "emulator/machine/decode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool decode_fail(struct decoder *decoder, const char *format, ...)
{
    char why[160], text[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    size_t length = (size_t)snprintf(text, sizeof text, "%s", decoder->instruction->opcode);
    for (int32_t i = 0; i < decoder->instruction->modifier_count && length < sizeof text; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, ".%s", decoder->instruction->modifiers[i]);
    snprintf(decoder->error, decoder->size, "kernel %s, PTX line %d, \"%s\": %s", decoder->source->name,
             (int)decoder->instruction->ptx_line, text, why);
    return false;
}

const char *decode_next(const struct decoder *decoder)
{
    return decoder->next_modifier < decoder->instruction->modifier_count
               ? decoder->instruction->modifiers[decoder->next_modifier]
               : "";
}

bool decode_take(struct decoder *decoder, const char *modifier)
{
    if (strcmp(decode_next(decoder), modifier) != 0)
        return false;
    decoder->next_modifier++;
    return true;
}

enum ptx_type decode_type_named(const char *name)
{
    for (int type = PTX_NO_TYPE + 1; type < PTX_TYPES; type++) {
        if (strcmp(ptx_type_name((enum ptx_type)type), name) == 0)
            return (enum ptx_type)type;
    }
    return PTX_NO_TYPE;
}

bool decode_take_type(struct decoder *decoder, enum ptx_type *type)
{
    *type = decode_type_named(decode_next(decoder));
    if (*type == PTX_NO_TYPE)
        return decode_fail(decoder, "a type is expected where \".%s\" is found", decode_next(decoder));
    decoder->next_modifier++;
    return true;
}

bool decode_end(struct decoder *decoder)
{
    if (decoder->next_modifier < decoder->instruction->modifier_count)
        return decode_fail(decoder, "the modifier \".%s\" is not known here", decode_next(decoder));
    return true;
}

bool decode_operand_count(struct decoder *decoder, int32_t least, int32_t most)
{
    int32_t count = decoder->instruction->operand_count;
    if (count < least || count > most)
        return decode_fail(decoder, "%d to %d operands are expected, %d are found", (int)least, (int)most, (int)count);
    return true;
}

const struct ptx_operand *decode_operand(const struct decoder *decoder, int32_t i)
{
    return &decoder->instruction->operands[i];
}

/* ---- control ---- */

static bool decode_branch(struct decoder *decoder)
{
    decode_take(decoder, "uni");
    if (!decode_end(decoder) || !decode_operand_count(decoder, 1, 1))
        return false;
    if (decode_operand(decoder, 0)->kind != PTX_OPERAND_LABEL)
        return decode_fail(decoder, "a label is expected");
    decoder->op->kind = OP_BRANCH;
    decoder->op->target = decode_operand(decoder, 0)->index;
    return true;
}

static bool decode_table_branch(struct decoder *decoder)
{
    if (!decode_take(decoder, "idx"))
        return decode_fail(decoder, "only brx.idx is known");
    decode_take(decoder, "uni");
    if (!decode_end(decoder) || !decode_operand_count(decoder, 2, 2))
        return false;
    if (decode_operand(decoder, 1)->kind != PTX_OPERAND_TABLE)
        return decode_fail(decoder, "a list of .branchtargets is expected");
    decoder->op->kind = OP_TABLE;
    decoder->op->target = decode_operand(decoder, 1)->index;
    return decode_source(decoder, decode_operand(decoder, 0), PTX_U32);
}

static bool decode_exit(struct decoder *decoder)
{
    decode_take(decoder, "uni");
    decoder->op->kind = OP_EXIT;
    return decode_end(decoder) && decode_operand_count(decoder, 0, 0);
}

static bool run_trap(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    return execution_report(execution, CHECK_LAUNCH, warp, op, active, "the kernel stops itself with trap");
}

static bool decode_trap(struct decoder *decoder)
{
    decoder->op->kind = OP_PLAIN;
    decoder->op->run = run_trap;
    return decode_end(decoder) && decode_operand_count(decoder, 0, 0);
}

static bool decode_nanosleep(struct decoder *decoder)
{
    enum ptx_type type;
    decoder->op->kind = OP_YIELD;
    return decode_take_type(decoder, &type) && decode_end(decoder) && decode_operand_count(decoder, 1, 1) &&
           decode_source(decoder, decode_operand(decoder, 0), type);
}

/* ---- clocks ---- */

/* A clock counts the instructions of the launch, so that it grows and a run is repeatable. */
static bool run_clock(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    uint64_t now = (uint64_t)execution->instructions >> op->memory.offset;
    char *destination = warp_slot(warp, op->slots[0]);
    FOR_LANES(lane, active)
    {
        if (op->memory.size == 8)
            memcpy(destination + 8 * lane, &now, 8);
        else
            memcpy(destination + 4 * lane, &now, 4);
    }
    return true;
}

static const struct {
    const char *name;
    int size, shift;
} clocks[] = {
    {"%clock", 4, 0},       {"%clock_hi", 4, 32},      {"%clock64", 8, 0},
    {"%globaltimer", 8, 0}, {"%globaltimer_lo", 4, 0}, {"%globaltimer_hi", 4, 32},
};

/* mov from a clock, the only special register whose value a launch, block and warp do not fix. */
static bool decode_clock(struct decoder *decoder, bool *is_clock)
{
    const struct ptx_instruction *instruction = decoder->instruction;
    *is_clock = false;
    if (strcmp(instruction->opcode, "mov") != 0 || instruction->operand_count != 2 ||
        instruction->operands[1].kind != PTX_OPERAND_SPECIAL)
        return true;
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        if (strcmp(clocks[i].name, instruction->operands[1].text) != 0)
            continue;
        enum ptx_type type;
        *is_clock = true;
        if (!decode_take_type(decoder, &type) || !decode_end(decoder) ||
            !decode_destination(decoder, &instruction->operands[0], type))
            return false;
        if (ptx_type_size(type) != clocks[i].size)
            return decode_fail(decoder, "%s has %d bytes", clocks[i].name, clocks[i].size);
        decoder->op->kind = OP_PLAIN;
        decoder->op->run = run_clock;
        decoder->op->memory.size = (uint8_t)clocks[i].size;
        decoder->op->memory.offset = clocks[i].shift;
        return true;
    }
    return true;
}

/* ---- the table ---- */

static const struct {
    const char *opcode;
    decode_function decode;
} families[] = {
    {"ld", decode_load},
    {"st", decode_store},
    {"atom", decode_atomic},
    {"red", decode_atomic},
    {"cvta", decode_convert_address},
    {"isspacep", decode_isspacep},
    {"prefetch", decode_prefetch},
    {"prefetchu", decode_prefetch},
    {"membar", decode_fence},
    {"fence", decode_fence},
    {"createpolicy", decode_createpolicy},
    {"cp", decode_cp},
    {"ldmatrix", decode_ldmatrix},
    {"stmatrix", decode_stmatrix},
    {"mma", decode_mma},
    {"shfl", decode_shuffle},
    {"vote", decode_vote},
    {"match", decode_match},
    {"redux", decode_redux},
    {"activemask", decode_activemask},
    {"elect", decode_elect},
    {"bar", decode_barrier},
    {"barrier", decode_barrier},
    {"bra", decode_branch},
    {"brx", decode_table_branch},
    {"ret", decode_exit},
    {"exit", decode_exit},
    {"trap", decode_trap},
    {"nanosleep", decode_nanosleep},
};

static bool decode_instruction(struct decoder *decoder)
{
    const struct ptx_instruction *instruction = decoder->instruction;
    bool is_clock;
    if (!decode_clock(decoder, &is_clock))
        return false;
    if (is_clock)
        return true;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (strcmp(families[i].opcode, instruction->opcode) == 0)
            return families[i].decode(decoder);
    }
    return decode_arithmetic(decoder);
}

/* ---- the kernel ---- */

static const char *file_name(const struct ptx_module *module, int32_t file)
{
    if (file < 0 || file >= module->file_count || module->files[file] == NULL)
        return "";
    const char *slash = strrchr(module->files[file], '/');
    return slash != NULL ? slash + 1 : module->files[file];
}

static bool keep_touched(struct decoder *decoder)
{
    struct machine_kernel *kernel = decoder->kernel;
    int32_t count = decoder->read_count + decoder->write_count;
    if (kernel->touched_count + count > kernel->touched_capacity) {
        int32_t capacity = 2 * kernel->touched_capacity + count + 256;
        int32_t *touched = realloc(kernel->touched, (size_t)capacity * sizeof *touched);
        if (touched == NULL)
            return decode_fail(decoder, "no memory is left");
        kernel->touched = touched;
        kernel->touched_capacity = capacity;
    }
    struct op *op = decoder->op;
    op->reads = kernel->touched_count;
    op->read_count = decoder->read_count;
    op->writes = op->reads + op->read_count;
    op->write_count = decoder->write_count;
    for (int32_t i = 0; i < decoder->read_count; i++)
        kernel->touched[op->reads + i] = decoder->read_list[i];
    for (int32_t i = 0; i < decoder->write_count; i++)
        kernel->touched[op->writes + i] = decoder->write_list[i];
    kernel->touched_count += count;
    return true;
}

static bool decode_one(struct decoder *decoder, int32_t i)
{
    struct machine_kernel *kernel = decoder->kernel;
    decoder->instruction = &decoder->source->instructions[i];
    decoder->op = &kernel->ops[i];
    decoder->next_modifier = 0;
    decoder->read_count = decoder->write_count = 0;
    struct op *op = decoder->op;
    op->index = i;
    op->guard = SLOT_NONE;
    kernel->places[i].file = file_name(decoder->module->ptx, decoder->instruction->file);
    kernel->places[i].line = decoder->instruction->line;
    if (decoder->instruction->guard >= 0) {
        if (decode_register_size(decoder, decoder->instruction->guard) != 1)
            return decode_fail(decoder, "the guard is no predicate");
        op->guard = SLOT_REGISTER | (uint32_t)decoder->instruction->guard;
        op->guard_negated = decoder->instruction->guard_negated;
        decoder->read_list[decoder->read_count++] = decoder->instruction->guard;
    }
    return decode_instruction(decoder) && keep_touched(decoder);
}

static bool decode_tables(struct machine_kernel *kernel)
{
    const struct ptx_kernel *source = kernel->source;
    int32_t total = 0;
    for (int32_t i = 0; i < source->table_count; i++)
        total += source->tables[i].count;
    kernel->targets = calloc((size_t)total + 1, sizeof *kernel->targets);
    kernel->table_start = calloc((size_t)source->table_count + 1, sizeof *kernel->table_start);
    if (kernel->targets == NULL || kernel->table_start == NULL)
        return false;
    for (int32_t i = 0, next = 0; i < source->table_count; i++) {
        for (int32_t k = 0; k < source->tables[i].count; k++)
            kernel->targets[next++] = source->tables[i].targets[k];
        kernel->table_start[i + 1] = next;
    }
    return true;
}

static bool decode_all(struct decoder *decoder)
{
    struct machine_kernel *kernel = decoder->kernel;
    const struct ptx_kernel *source = decoder->source;
    int32_t count = source->instruction_count;
    kernel->op_count = count + 1;
    kernel->ops = calloc((size_t)count + 1, sizeof *kernel->ops);
    kernel->places = calloc((size_t)count + 1, sizeof *kernel->places);
    if (kernel->ops == NULL || kernel->places == NULL || !decode_tables(kernel) || !decode_layout(decoder)) {
        snprintf(decoder->error, decoder->size, "kernel %s: no memory is left", source->name);
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        if (!decode_one(decoder, i))
            return false;
    }
    kernel->ops[count].kind = OP_EXIT;
    kernel->ops[count].guard = SLOT_NONE;
    kernel->ops[count].index = count;
    kernel->places[count] = count > 0 ? kernel->places[count - 1] : (struct place){.file = ""};
    if (kernel->places[count].file == NULL)
        kernel->places[count].file = "";
    return allocate_registers(kernel, decoder->error, decoder->size);
}

struct machine_kernel *decode_kernel(struct machine *machine, struct machine_module *module,
                                     const struct ptx_kernel *source, char *error, size_t size)
{
    struct machine_kernel *kernel = calloc(1, sizeof *kernel);
    if (kernel == NULL) {
        snprintf(error, size, "kernel %s: no memory is left", source->name);
        return NULL;
    }
    kernel->machine = machine;
    kernel->module = module->ptx;
    kernel->source = source;
    struct decoder decoder = {
        .machine = machine, .module = module, .source = source, .kernel = kernel, .error = error, .size = size};
    if (!decode_all(&decoder)) {
        decode_free(kernel);
        return NULL;
    }
    return kernel;
}

void decode_free(struct machine_kernel *kernel)
{
    if (kernel == NULL)
        return;
    free(kernel->ops);
    free(kernel->places);
    free(kernel->touched);
    free(kernel->targets);
    free(kernel->table_start);
    free(kernel->shared_file);
    free(kernel->shared_offsets);
    free(kernel->variable_offset);
    free(kernel);
}
