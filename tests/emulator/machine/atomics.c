/* atom and red: lane after lane, in the order of the lanes, which is one of the orders that a device may take. Orders and
 * scopes (.relaxed, .acq_rel, .gpu...) are accepted: a machine that runs one instruction at a time has no weaker order. */
#include "emulator/machine/memory_ops.h"

#include <string.h>

enum atomic_function {
    ATOMIC_ADD,
    ATOMIC_ADD_F32,
    ATOMIC_ADD_F64,
    ATOMIC_ADD_ALU, /* 16-bit floats */
    ATOMIC_MIN,
    ATOMIC_MAX,
    ATOMIC_MIN_SIGNED,
    ATOMIC_MAX_SIGNED,
    ATOMIC_INCREMENT,
    ATOMIC_DECREMENT,
    ATOMIC_AND,
    ATOMIC_OR,
    ATOMIC_XOR,
    ATOMIC_EXCHANGE,
    ATOMIC_COMPARE
};

static const struct {
    const char *name;
    enum ptx_type type;
    enum atomic_function function;
} functions[] = {
    {"add", PTX_U32, ATOMIC_ADD},        {"add", PTX_S32, ATOMIC_ADD},        {"add", PTX_U64, ATOMIC_ADD},
    {"add", PTX_S64, ATOMIC_ADD},        {"add", PTX_F32, ATOMIC_ADD_F32},    {"add", PTX_F64, ATOMIC_ADD_F64},
    {"add", PTX_F16, ATOMIC_ADD_ALU},    {"add", PTX_F16X2, ATOMIC_ADD_ALU},  {"add", PTX_BF16, ATOMIC_ADD_ALU},
    {"add", PTX_BF16X2, ATOMIC_ADD_ALU}, {"min", PTX_U32, ATOMIC_MIN},        {"min", PTX_U64, ATOMIC_MIN},
    {"min", PTX_S32, ATOMIC_MIN_SIGNED}, {"min", PTX_S64, ATOMIC_MIN_SIGNED}, {"max", PTX_U32, ATOMIC_MAX},
    {"max", PTX_U64, ATOMIC_MAX},        {"max", PTX_S32, ATOMIC_MAX_SIGNED}, {"max", PTX_S64, ATOMIC_MAX_SIGNED},
    {"inc", PTX_U32, ATOMIC_INCREMENT},  {"dec", PTX_U32, ATOMIC_DECREMENT},  {"and", PTX_B32, ATOMIC_AND},
    {"and", PTX_B64, ATOMIC_AND},        {"or", PTX_B32, ATOMIC_OR},          {"or", PTX_B64, ATOMIC_OR},
    {"xor", PTX_B32, ATOMIC_XOR},        {"xor", PTX_B64, ATOMIC_XOR},        {"exch", PTX_B32, ATOMIC_EXCHANGE},
    {"exch", PTX_B64, ATOMIC_EXCHANGE},  {"cas", PTX_B16, ATOMIC_COMPARE},    {"cas", PTX_B32, ATOMIC_COMPARE},
    {"cas", PTX_B64, ATOMIC_COMPARE},
};

static uint64_t add_f32(uint64_t a, uint64_t b)
{
    float x, y;
    memcpy(&x, &a, 4);
    memcpy(&y, &b, 4);
    x += y;
    uint64_t bits = 0;
    memcpy(&bits, &x, 4);
    return bits;
}

static uint64_t add_f64(uint64_t a, uint64_t b)
{
    double x, y;
    memcpy(&x, &a, 8);
    memcpy(&y, &b, 8);
    x += y;
    memcpy(&a, &x, 8);
    return a;
}

static uint64_t add_alu(const struct op *op, uint64_t a, uint64_t b)
{
    uint32_t first[WARP_LANES] = {(uint32_t)a}, second[WARP_LANES] = {(uint32_t)b}, sum[WARP_LANES] = {0};
    void *destinations[1] = {sum};
    const void *sources[2] = {first, second};
    op->combine.run(&op->combine, destinations, sources, 1);
    return sum[0];
}

/* Signed values compare as unsigned ones with the sign bit turned. */
static bool less(uint64_t a, uint64_t b, int size, bool sign)
{
    uint64_t flip = sign ? UINT64_C(1) << (8 * size - 1) : 0;
    return (a ^ flip) < (b ^ flip);
}

static uint64_t combine(const struct op *op, uint64_t old, uint64_t b, uint64_t c)
{
    int size = op->memory.size;
    switch ((enum atomic_function)op->memory.function) {
    case ATOMIC_ADD:
        return old + b;
    case ATOMIC_ADD_F32:
        return add_f32(old, b);
    case ATOMIC_ADD_F64:
        return add_f64(old, b);
    case ATOMIC_ADD_ALU:
        return add_alu(op, old, b);
    case ATOMIC_MIN:
    case ATOMIC_MIN_SIGNED:
        return less(b, old, size, op->memory.function == ATOMIC_MIN_SIGNED) ? b : old;
    case ATOMIC_MAX:
    case ATOMIC_MAX_SIGNED:
        return less(old, b, size, op->memory.function == ATOMIC_MAX_SIGNED) ? b : old;
    case ATOMIC_INCREMENT:
        return old >= b ? 0 : old + 1;
    case ATOMIC_DECREMENT:
        return old == 0 || old > b ? b : old - 1;
    case ATOMIC_AND:
        return old & b;
    case ATOMIC_OR:
        return old | b;
    case ATOMIC_XOR:
        return old ^ b;
    case ATOMIC_EXCHANGE:
        return b;
    case ATOMIC_COMPARE:
        return old == b ? c : old;
    }
    return old;
}

static uint64_t held_value(const struct warp *warp, uint32_t slot, int size, uint32_t lane)
{
    const void *held = warp_slot(warp, slot);
    return size == 8 ? ((const uint64_t *)held)[lane] : ((const uint32_t *)held)[lane];
}

static bool run_atomic(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    const struct op_memory *memory = &op->memory;
    uint64_t addresses[WARP_LANES];
    void *pointers[WARP_LANES];
    int size = memory->size, first = op->destination_count + (memory->base_size > 0);
    int operands = op->destination_count + op->source_count - first;
    if (!memory_addresses(execution, warp, op, op->slots[op->destination_count], memory->base_size, memory->offset,
                          memory->space, memory->generic, active, addresses) ||
        !memory_touch(execution, warp, op, ACCESS_ATOMIC, size, addresses, active, pointers))
        return false;
    FOR_LANES(lane, active)
    {
        uint64_t old = 0, b = held_value(warp, op->slots[first], size, lane);
        uint64_t c = operands > 1 ? held_value(warp, op->slots[first + 1], size, lane) : 0;
        memcpy(&old, pointers[lane], (size_t)size);
        uint64_t value = combine(op, old, b, c);
        memcpy(pointers[lane], &value, (size_t)size);
        if (op->destination_count == 0)
            continue;
        if (size == 8)
            ((uint64_t *)warp_slot(warp, op->slots[0]))[lane] = old;
        else
            ((uint32_t *)warp_slot(warp, op->slots[0]))[lane] = (uint32_t)old;
    }
    execution->machine->counters.atomics++;
    return true;
}

/* Sums of 16-bit floats are those of `add` with the same type. */
static bool select_add(struct decoder *decoder, enum ptx_type type)
{
    const struct ptx_instruction *instruction = decoder->instruction;
    char round[] = "rn", name[16], add[] = "add", why[160];
    const char *of_type = ptx_type_name(type);
    memcpy(name, of_type, strlen(of_type) + 1);
    char *modifiers[] = {round, name};
    struct ptx_operand operands[3] = {
        {.kind = PTX_OPERAND_REGISTER}, {.kind = PTX_OPERAND_REGISTER}, {.kind = PTX_OPERAND_REGISTER}};
    struct ptx_instruction sum = {.opcode = add,
                                  .modifiers = modifiers,
                                  .modifier_count = 2,
                                  .guard = -1,
                                  .operands = operands,
                                  .operand_count = 3,
                                  .file = instruction->file,
                                  .line = instruction->line,
                                  .ptx_line = instruction->ptx_line};
    if (alu_select(&sum, &decoder->op->combine, why, sizeof why) != ALU_SELECTED)
        return decode_fail(decoder, "the sum: %s", why);
    return true;
}

static bool decode_function_of(struct decoder *decoder, const char *name, enum ptx_type type)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (functions[i].type != type || strcmp(functions[i].name, name) != 0)
            continue;
        decoder->op->memory.function = (int32_t)functions[i].function;
        return functions[i].function != ATOMIC_ADD_ALU || select_add(decoder, type);
    }
    return decode_fail(decoder, "the operation .%s of type %s is not known", name, ptx_type_name(type));
}

static bool is_order(const char *name)
{
    return strcmp(name, "relaxed") == 0 || strcmp(name, "acquire") == 0 || strcmp(name, "release") == 0 ||
           strcmp(name, "acq_rel") == 0;
}

static bool decode_atomic_modifiers(struct decoder *decoder, enum ptx_type *type, bool *hinted)
{
    struct op_memory *memory = &decoder->op->memory;
    if (is_order(decode_next(decoder)))
        decoder->next_modifier++;
    if (memory_is_scope(decode_next(decoder)))
        decoder->next_modifier++;
    memory->generic = !memory_space_named(decode_next(decoder), &memory->space);
    if (!memory->generic) {
        decoder->next_modifier++;
        if (memory->space != PTX_GLOBAL && memory->space != PTX_SHARED)
            return decode_fail(decoder, "atomics are for .global and .shared");
    }
    const char *name = decode_next(decoder);
    decoder->next_modifier += decoder->next_modifier < decoder->instruction->modifier_count;
    bool no_flush = decode_take(decoder, "noftz");
    *hinted = decode_take(decoder, "L2::cache_hint");
    if (!decode_take_type(decoder, type) || !decode_end(decoder) || !decode_function_of(decoder, name, *type))
        return false;
    if (no_flush != (memory->function == ATOMIC_ADD_ALU))
        return decode_fail(decoder, ".noftz goes with the sums of 16-bit floats, and only with them");
    memory->size = (uint8_t)ptx_type_size(*type);
    memory->count = 1;
    memory->action = ACCESS_ATOMIC;
    return true;
}

bool decode_atomic(struct decoder *decoder)
{
    struct op *op = decoder->op;
    enum ptx_type type;
    bool hinted = false, result = strcmp(decoder->instruction->opcode, "atom") == 0;
    op->kind = OP_PLAIN;
    op->run = run_atomic;
    if (!decode_atomic_modifiers(decoder, &type, &hinted))
        return false;
    int function = op->memory.function, next = 0, values = function == ATOMIC_COMPARE ? 2 : 1;
    if (!result && (function == ATOMIC_COMPARE || function == ATOMIC_EXCHANGE))
        return decode_fail(decoder, "red has no such operation");
    int expected = result + 1 + values + hinted;
    if (!decode_operand_count(decoder, expected, expected) ||
        (result && !decode_destination(decoder, decode_operand(decoder, next++), type)) ||
        !decode_address(decoder, decode_operand(decoder, next++), op->memory.space, op->memory.generic,
                        &op->memory.offset, &op->memory.base_size))
        return false;
    for (int i = 0; i < values; i++) {
        if (!decode_source(decoder, decode_operand(decoder, next++), type))
            return false;
    }
    if (hinted) {
        if (!decode_source(decoder, decode_operand(decoder, next), PTX_B64))
            return false;
        op->source_count--;
    }
    return true;
}
