/* Finds the function of an instruction: its modifiers become a set and a list of types, its operands two lists, and the
 * rows of the tables are tried until one fits. An opcode that is the machine's own (memory, flow of control, other lanes)
 * is told apart from one that nobody knows, so that neither is ever guessed at. */
#include "emulator/machine/alu_internal.h"

#include <stdarg.h>
#include <stdio.h>

static const struct alu_row *const tables[] = {
    alu_move_rows,  alu_integer_rows, alu_multiply_rows, alu_carry_rows,  alu_bits_rows,
    alu_field_rows, alu_float_rows,   alu_compare_rows,  alu_choose_rows, alu_convert_rows,
    alu_half_rows,  alu_double_rows,  alu_special_rows,
};
enum { TABLES = sizeof tables / sizeof tables[0] };

/* What is not this file's: the opcodes of PTX ISA 9.0 that touch memory, other lanes, or the flow of control. */
static const char *const other_opcodes[] = {
    "activemask",
    "alloca",
    "applypriority",
    "atom",
    "bar",
    "barrier",
    "bra",
    "brkpt",
    "brx",
    "call",
    "clusterlaunchcontrol",
    "cp",
    "createpolicy",
    "cvta",
    "discard",
    "elect",
    "exit",
    "fence",
    "getctarank",
    "griddepcontrol",
    "isspacep",
    "istypep",
    "ld",
    "ldmatrix",
    "ldu",
    "mapa",
    "match",
    "mbarrier",
    "membar",
    "mma",
    "movmatrix",
    "multimem",
    "nanosleep",
    "pmevent",
    "prefetch",
    "prefetchu",
    "red",
    "redux",
    "ret",
    "setmaxnreg",
    "shfl",
    "st",
    "stackrestore",
    "stacksave",
    "stmatrix",
    "suld",
    "suq",
    "sured",
    "sust",
    "tensormap",
    "testwait",
    "tex",
    "tld4",
    "trap",
    "txq",
    "vote",
    "wgmma",
    "wmma",
};
enum { OTHER_OPCODES = sizeof other_opcodes / sizeof other_opcodes[0] };

#define MODIFIER_NAME(name) #name,
static const char *const modifier_names[] = {ALU_MODIFIERS(MODIFIER_NAME)};

int alu_held_bytes(enum ptx_type type)
{
    return type == PTX_PRED ? 4 : type == PTX_B64 || type == PTX_U64 || type == PTX_S64 || type == PTX_F64 ? 256 : 128;
}

/* "add.cc.u32: text". */
static enum alu_selection __attribute__((format(printf, 4, 5)))
unknown(const struct ptx_instruction *instruction, char *error, size_t size, const char *format, ...)
{
    char text[160];
    int length = snprintf(text, sizeof text, "%s", instruction->opcode);
    for (int i = 0; i < instruction->modifier_count && length >= 0 && length < (int)sizeof text; ++i)
        length += snprintf(text + length, sizeof text - (size_t)length, ".%s", instruction->modifiers[i]);
    char reason[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    if (size > 0)
        snprintf(error, size, "%s: %s", text, reason);
    return ALU_UNKNOWN;
}

static bool take_modifier(struct alu_form *form, const char *name)
{
    for (int i = 0; i < ALU_MODIFIER_COUNT; ++i)
        if (strcmp(name, modifier_names[i]) == 0) {
            form->modifiers |= UINT64_C(1) << i;
            return true;
        }
    for (int type = PTX_PRED; type < PTX_TYPES; ++type)
        if (strcmp(name, ptx_type_name((enum ptx_type)type)) == 0 && form->type_count < ALU_FORM_TYPES) {
            form->types[form->type_count++] = (enum ptx_type)type;
            return true;
        }
    return false;
}

/* Vectors and pairs taken apart. */
static bool take_operand(const struct ptx_operand **list, int32_t *count, int32_t capacity,
                         const struct ptx_operand *operand)
{
    const bool apart = operand->kind == PTX_OPERAND_VECTOR || operand->kind == PTX_OPERAND_PAIR;
    const int32_t elements = apart ? operand->count : 1;
    for (int32_t i = 0; i < elements; ++i) {
        if (*count == capacity)
            return false;
        list[(*count)++] = apart ? &operand->elements[i] : operand;
    }
    return true;
}

static bool take_operands(struct alu_form *form)
{
    const struct ptx_instruction *instruction = form->instruction;
    for (int32_t i = 0; i < instruction->operand_count; ++i) {
        const struct ptx_operand *operand = &instruction->operands[i];
        form->vectors |= operand->kind == PTX_OPERAND_VECTOR;
        if (!(i == 0 ? take_operand(form->destinations, &form->destination_count, ALU_DESTINATIONS, operand)
                     : take_operand(form->sources, &form->source_count, ALU_SOURCES, operand)))
            return false;
    }
    return true;
}

static enum ptx_type wide_type(enum ptx_type type)
{
    switch (type) {
    case PTX_U16:
        return PTX_U32;
    case PTX_S16:
        return PTX_S32;
    case PTX_U32:
        return PTX_U64;
    case PTX_S32:
        return PTX_S64;
    default:
        return PTX_NO_TYPE;
    }
}

static enum ptx_type half_type(enum ptx_type type)
{
    return type == PTX_B64 ? PTX_B32 : type == PTX_B32 ? PTX_B16 : PTX_B8;
}

static enum ptx_type operand_type(const struct alu_row *row, char letter)
{
    switch (letter) {
    case 't':
        return row->type;
    case 'o':
        return row->other;
    case 'w':
        return wide_type(row->type);
    case 'h':
        return half_type(row->type);
    case 'q':
        return half_type(half_type(row->type));
    case 'u':
        return PTX_U32;
    case 's':
        return PTX_S32;
    default: /* 'p', 'c' */
        return PTX_PRED;
    }
}

/* Fills types and counts from the row's letters; false when the instruction has other numbers of operands. */
static bool fits_operands(const struct alu_row *row, const struct alu_form *form, struct alu_operation *operation)
{
    const char *letter = row->operands;
    for (; *letter != '='; ++letter) {
        operation->destinations[operation->destination_count++] = operand_type(row, *letter);
        operation->writes_carry |= *letter == 'c';
    }
    for (++letter; *letter != '\0'; ++letter) {
        operation->sources[operation->source_count++] = operand_type(row, *letter);
        operation->reads_carry |= *letter == 'c';
    }
    return operation->destination_count - operation->writes_carry == form->destination_count &&
           operation->source_count - operation->reads_carry == form->source_count;
}

/* Only rows that look at the instruction once more know what to do with !%p. */
static bool has_negated_source(const struct alu_form *form)
{
    for (int32_t i = 0; i < form->source_count; ++i)
        if (form->sources[i]->negated)
            return true;
    return false;
}

static bool fits(const struct alu_row *row, const struct alu_form *form, struct alu_operation *operation)
{
    if (row->type != form->types[0] || row->other != form->types[1] ||
        (form->modifiers & row->required) != row->required || (form->modifiers & ~(row->required | row->optional)) != 0)
        return false;
    memset(operation, 0, sizeof *operation);
    operation->run = row->run;
    operation->detail[0] = (int32_t)alu_rounding_of(form->modifiers);
    operation->detail[4] = (int32_t)(uint32_t)form->modifiers;
    operation->detail[5] = (int32_t)(uint32_t)(form->modifiers >> 32);
    if (!fits_operands(row, form, operation))
        return false;
    return row->prepare == NULL ? !has_negated_source(form) : row->prepare(form, operation);
}

static bool is_other(const char *opcode)
{
    for (int i = 0; i < OTHER_OPCODES; ++i)
        if (strcmp(opcode, other_opcodes[i]) == 0)
            return true;
    return false;
}

/* mov of a special register or of an address is the machine's. */
static bool moves_what_only_the_machine_knows(const struct ptx_instruction *instruction)
{
    return strcmp(instruction->opcode, "mov") == 0 && instruction->operand_count == 2 &&
           (instruction->operands[1].kind == PTX_OPERAND_SPECIAL ||
            instruction->operands[1].kind == PTX_OPERAND_SYMBOL);
}

/* Two opcodes name three types; the last one says nothing new. */
static bool third_type_fits(const struct alu_form *form)
{
    if (form->type_count < 3)
        return true;
    const bool pack = (form->modifiers & M(pack)) != 0 && ptx_type_size(form->types[0]) == 1;
    const bool video = strcmp(form->instruction->opcode, "vabsdiff4") == 0;
    return form->type_count == 3 && form->types[2] == (pack ? PTX_B32 : video ? form->types[1] : PTX_NO_TYPE);
}

enum alu_selection alu_select(const struct ptx_instruction *instruction, struct alu_operation *operation, char *error,
                              size_t size)
{
    if (is_other(instruction->opcode) || moves_what_only_the_machine_knows(instruction))
        return ALU_NOT_ARITHMETIC;
    struct alu_form form = {.instruction = instruction};
    const char *strange = NULL;
    for (int32_t i = 0; i < instruction->modifier_count; ++i)
        if (!take_modifier(&form, instruction->modifiers[i]) && strange == NULL)
            strange = instruction->modifiers[i];
    const bool few = take_operands(&form);
    bool known = false;
    for (int i = 0; i < TABLES; ++i)
        for (const struct alu_row *row = tables[i]; row->opcode != NULL; ++row) {
            if (row->opcode[0] != instruction->opcode[0] || strcmp(row->opcode, instruction->opcode) != 0)
                continue;
            known = true;
            if (strange == NULL && few && third_type_fits(&form) && fits(row, &form, operation))
                return ALU_SELECTED;
        }
    if (!known)
        return unknown(instruction, error, size, "the opcode is not known");
    if (strange != NULL)
        return unknown(instruction, error, size, "the modifier .%s is not known here", strange);
    return unknown(instruction, error, size, "no known form has these modifiers, types and %d + %d operands",
                   form.destination_count, form.source_count);
}
