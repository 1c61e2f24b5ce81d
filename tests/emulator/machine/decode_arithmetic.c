/* Instructions of alu.h: their operands, taken apart, against the types that alu_select names. A conversion may name a
 * register that is wider than its type, which alu.h does not know; such operands are copied to what it expects and back
 * (OP_ADAPTED). A negated predicate is alu_select's to know or to refuse. */
#include "emulator/machine/decode.h"

#include <string.h>

enum { MOST_OPERANDS = ALU_DESTINATIONS + ALU_SOURCES };

static int flatten(const struct ptx_operand *operand, const struct ptx_operand **flat, int count)
{
    if (operand->kind != PTX_OPERAND_VECTOR && operand->kind != PTX_OPERAND_PAIR) {
        if (count < MOST_OPERANDS)
            flat[count] = operand;
        return count + 1;
    }
    for (int32_t i = 0; i < operand->count; i++)
        count = flatten(&operand->elements[i], flat, count);
    return count;
}

static int size_of(enum ptx_type type)
{
    return type == PTX_PRED ? 1 : ptx_type_size(type);
}

static bool check_size(struct decoder *decoder, int found, enum ptx_type type, int place)
{
    int expected = size_of(type);
    if (found == expected || found == 0)
        return true;
    bool conversion = strcmp(decoder->instruction->opcode, "cvt") == 0;
    if (!conversion || found < expected || type == PTX_PRED)
        return decode_fail(decoder, "operand %d is a register of %d bytes, type %s is expected", place, found,
                           ptx_type_name(type));
    struct op_adaptation *adaptation = &decoder->op->adaptation;
    adaptation->narrow |= (uint16_t)(1 << place);
    if (found == 8)
        adaptation->wide |= (uint16_t)(1 << place);
    adaptation->register_size[place] = (uint8_t)found;
    decoder->op->kind = OP_ADAPTED;
    return true;
}

static bool add_operand(struct decoder *decoder, const struct ptx_operand *operand, int place, bool destination)
{
    struct op *op = decoder->op;
    int size;
    if (destination) {
        enum ptx_type type = op->alu.destinations[place];
        return decode_destination_any(decoder, operand, &size) && check_size(decoder, size, type, place);
    }
    enum ptx_type type = op->alu.sources[place - op->destination_count];
    return decode_source_any(decoder, operand, type, &size) && check_size(decoder, size, type, place);
}

/* mov of a special register or of an address is no arithmetic to alu.h, which knows neither; here both are slots like any
 * register, so that it is chosen as if it moved one. */
static enum alu_selection choose(const struct ptx_instruction *instruction, struct alu_operation *operation, char *why,
                                 size_t size)
{
    struct ptx_operand operands[2];
    struct ptx_instruction plain = *instruction;
    bool moves = strcmp(instruction->opcode, "mov") == 0 && instruction->operand_count == 2;
    if (moves &&
        (instruction->operands[1].kind == PTX_OPERAND_SPECIAL || instruction->operands[1].kind == PTX_OPERAND_SYMBOL)) {
        operands[0] = instruction->operands[0];
        operands[1] = (struct ptx_operand){.kind = PTX_OPERAND_REGISTER};
        plain.operands = operands;
    }
    return alu_select(&plain, operation, why, size);
}

bool decode_arithmetic(struct decoder *decoder)
{
    const struct ptx_instruction *instruction = decoder->instruction;
    struct op *op = decoder->op;
    char why[160];
    op->kind = OP_ALU;
    enum alu_selection selection = choose(instruction, &op->alu, why, sizeof why);
    if (selection == ALU_NOT_ARITHMETIC)
        return decode_fail(decoder, "this instruction is not known");
    if (selection == ALU_UNKNOWN)
        return decode_fail(decoder, "%s", why);
    op->arithmetic = op->alu.run;
    op->special_function = op->alu.special_function;

    const struct ptx_operand *flat[MOST_OPERANDS];
    int count = 0;
    for (int32_t i = 0; i < instruction->operand_count; i++)
        count = flatten(&instruction->operands[i], flat, count);
    int destinations = op->alu.destination_count - op->alu.writes_carry;
    int sources = op->alu.source_count - op->alu.reads_carry;
    if (count != destinations + sources)
        return decode_fail(decoder, "%d operands are expected, %d are found", destinations + sources, count);
    for (int i = 0; i < destinations; i++) {
        if (!add_operand(decoder, flat[i], i, true))
            return false;
    }
    if (op->alu.writes_carry)
        op->slots[op->destination_count++] = 128 * WARP_CARRY;
    for (int i = 0; i < sources; i++) {
        if (!add_operand(decoder, flat[destinations + i], op->destination_count + i, false))
            return false;
    }
    if (op->alu.reads_carry)
        op->slots[op->destination_count + op->source_count++] = 128 * WARP_CARRY;
    return true;
}
