/* Operands become slots: registers by their number (allocate.c moves them to their place), immediates and special
 * registers as 32 equal or prepared lanes of the shared file, symbols as the addresses of their variables. Here too is
 * where a kernel's variables lie: those of its body and those of the module's shared ones that it names, one after the
 * other; what is dynamic follows them. */
#include "emulator/machine/decode.h"

#include <stdlib.h>
#include <string.h>

/* ---- variables ---- */

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
    return alignment > 1 ? (value + alignment - 1) / alignment * alignment : value;
}

static void mark_used(const struct ptx_module *module, const struct ptx_operand *operand, uint64_t *offsets)
{
    bool symbol = operand->kind == PTX_OPERAND_SYMBOL ||
                  (operand->kind == PTX_OPERAND_ADDRESS && operand->base == PTX_OPERAND_SYMBOL);
    if (symbol && !operand->local && module->variables[operand->index].space == PTX_SHARED)
        offsets[operand->index] = 0;
    for (int32_t i = 0; i < operand->count; i++)
        mark_used(module, &operand->elements[i], offsets);
}

static void place_variable(const struct ptx_variable *variable, uint64_t *total, uint64_t *offset)
{
    *offset = align_up(*total, variable->alignment);
    *total = *offset + variable->size;
}

static void place_variables(struct machine_kernel *kernel)
{
    const struct ptx_module *module = kernel->module;
    const struct ptx_kernel *source = kernel->source;
    uint32_t dynamic_alignment = 16;
    for (int32_t i = 0; i < module->variable_count; i++) {
        const struct ptx_variable *variable = &module->variables[i];
        if (kernel->shared_offsets[i] == UINT64_MAX)
            continue;
        if (variable->size > 0)
            place_variable(variable, &kernel->static_shared, &kernel->shared_offsets[i]);
        else if (variable->alignment > dynamic_alignment)
            dynamic_alignment = variable->alignment;
    }
    for (int32_t i = 0; i < source->variable_count; i++) {
        const struct ptx_variable *variable = &source->variables[i];
        if (variable->space == PTX_LOCAL)
            place_variable(variable, &kernel->local_bytes, &kernel->variable_offset[i]);
        else if (variable->size > 0)
            place_variable(variable, &kernel->static_shared, &kernel->variable_offset[i]);
        else if (variable->alignment > dynamic_alignment)
            dynamic_alignment = variable->alignment;
    }
    kernel->dynamic_shared_offset = align_up(kernel->static_shared, dynamic_alignment);
    for (int32_t i = 0; i < module->variable_count; i++) {
        if (kernel->shared_offsets[i] != UINT64_MAX && module->variables[i].size == 0)
            kernel->shared_offsets[i] = kernel->dynamic_shared_offset;
    }
    for (int32_t i = 0; i < source->variable_count; i++) {
        if (source->variables[i].space == PTX_SHARED && source->variables[i].size == 0)
            kernel->variable_offset[i] = kernel->dynamic_shared_offset;
    }
}

bool decode_layout(struct decoder *decoder)
{
    struct machine_kernel *kernel = decoder->kernel;
    const struct ptx_module *module = kernel->module;
    const struct ptx_kernel *source = kernel->source;
    kernel->shared_offsets = malloc(((size_t)module->variable_count + 1) * sizeof *kernel->shared_offsets);
    kernel->variable_offset = calloc((size_t)source->variable_count + 1, sizeof *kernel->variable_offset);
    kernel->shared_file_bytes = SHARED_SLOTS * 128;
    kernel->shared_file_capacity = 1 << 14;
    kernel->shared_file = aligned_alloc(64, kernel->shared_file_capacity);
    if (kernel->shared_offsets == NULL || kernel->variable_offset == NULL || kernel->shared_file == NULL)
        return false;
    memset(kernel->shared_file, 0, kernel->shared_file_capacity);
    for (int32_t i = 0; i < module->variable_count; i++)
        kernel->shared_offsets[i] = UINT64_MAX;
    for (int32_t i = 0; i < source->instruction_count; i++) {
        for (int32_t k = 0; k < source->instructions[i].operand_count; k++)
            mark_used(module, &source->instructions[i].operands[k], kernel->shared_offsets);
    }
    place_variables(kernel);
    return true;
}

bool decode_symbol(struct decoder *decoder, const struct ptx_operand *operand, enum ptx_space *space, uint64_t *address)
{
    const struct machine_kernel *kernel = decoder->kernel;
    if (operand->parameter) {
        *space = PTX_PARAM;
        *address = decoder->source->parameters[operand->index].offset;
    } else if (operand->local) {
        *space = decoder->source->variables[operand->index].space;
        *address = kernel->variable_offset[operand->index];
    } else {
        *space = kernel->module->variables[operand->index].space;
        *address =
            *space == PTX_SHARED ? kernel->shared_offsets[operand->index] : decoder->module->addresses[operand->index];
    }
    *address += (uint64_t)operand->offset;
    return true;
}

/* ---- the shared file ---- */

static bool grow_shared_file(struct machine_kernel *kernel, uint32_t bytes)
{
    if (kernel->shared_file_bytes + bytes <= kernel->shared_file_capacity)
        return true;
    uint32_t capacity = 2 * kernel->shared_file_capacity;
    char *file = aligned_alloc(64, capacity);
    if (file == NULL)
        return false;
    memcpy(file, kernel->shared_file, kernel->shared_file_bytes);
    memset(file + kernel->shared_file_bytes, 0, capacity - kernel->shared_file_bytes);
    free(kernel->shared_file);
    kernel->shared_file = file;
    kernel->shared_file_capacity = capacity;
    return true;
}

/* A slot of 256 bytes holds the value in 64 bits, one of 128 in 32 bits; a predicate takes 64 bytes of which 4 are used.
 * Equal constants share theirs. */
uint32_t decode_constant(struct decoder *decoder, uint64_t bits, int held_bytes)
{
    struct machine_kernel *kernel = decoder->kernel;
    char lanes[256] = {0};
    uint32_t bytes = held_bytes == 4 ? 64 : (uint32_t)held_bytes;
    uint32_t word = held_bytes == 4 ? (bits != 0 ? ALL_LANES : 0) : (uint32_t)bits;
    for (uint32_t i = 0; i < (held_bytes == 4 ? 1 : WARP_LANES); i++) {
        if (held_bytes == 256)
            memcpy(lanes + 8 * i, &bits, 8);
        else
            memcpy(lanes + 4 * i, &word, 4);
    }
    for (uint32_t at = SHARED_SLOTS * 128; at + bytes <= kernel->shared_file_bytes; at += 64) {
        if (memcmp(kernel->shared_file + at, lanes, bytes) == 0)
            return SLOT_SHARED | at;
    }
    if (!grow_shared_file(kernel, bytes)) {
        decode_fail(decoder, "no memory is left");
        return SLOT_NONE;
    }
    uint32_t at = kernel->shared_file_bytes;
    memcpy(kernel->shared_file + at, lanes, bytes);
    kernel->shared_file_bytes += bytes;
    return SLOT_SHARED | at;
}

static const struct {
    const char *name;
    bool of_warp;
    int slot;
} specials[] = {
    {"%tid.x", true, WARP_TID_X},
    {"%tid.y", true, WARP_TID_Y},
    {"%tid.z", true, WARP_TID_Z},
    {"%warpid", true, WARP_ID},
    {"%laneid", false, SHARED_LANE},
    {"%lanemask_eq", false, SHARED_LANEMASK_EQ},
    {"%lanemask_le", false, SHARED_LANEMASK_LE},
    {"%lanemask_lt", false, SHARED_LANEMASK_LT},
    {"%lanemask_ge", false, SHARED_LANEMASK_GE},
    {"%lanemask_gt", false, SHARED_LANEMASK_GT},
    {"WARP_SZ", false, SHARED_WARP_SIZE},
    {"%ntid.x", false, SHARED_NTID_X},
    {"%ntid.y", false, SHARED_NTID_Y},
    {"%ntid.z", false, SHARED_NTID_Z},
    {"%ctaid.x", false, SHARED_CTAID_X},
    {"%ctaid.y", false, SHARED_CTAID_Y},
    {"%ctaid.z", false, SHARED_CTAID_Z},
    {"%nctaid.x", false, SHARED_NCTAID_X},
    {"%nctaid.y", false, SHARED_NCTAID_Y},
    {"%nctaid.z", false, SHARED_NCTAID_Z},
    {"%nwarpid", false, SHARED_NWARPID},
    {"%smid", false, SHARED_SMID},
    {"%nsmid", false, SHARED_NSMID},
    {"%dynamic_smem_size", false, SHARED_DYNAMIC_SIZE},
    {"%total_smem_size", false, SHARED_TOTAL_SIZE},
    /* Launches without clusters: each block is a cluster of its own. */
    {"%is_explicit_cluster", false, SHARED_ZERO},
    {"%cluster_ctaid.x", false, SHARED_ZERO},
    {"%cluster_ctaid.y", false, SHARED_ZERO},
    {"%cluster_ctaid.z", false, SHARED_ZERO},
    {"%cluster_ctarank", false, SHARED_ZERO},
    {"%cluster_nctaid.x", false, SHARED_ONE},
    {"%cluster_nctaid.y", false, SHARED_ONE},
    {"%cluster_nctaid.z", false, SHARED_ONE},
    {"%cluster_nctarank", false, SHARED_ONE},
    {"%clusterid.x", false, SHARED_CTAID_X},
    {"%clusterid.y", false, SHARED_CTAID_Y},
    {"%clusterid.z", false, SHARED_CTAID_Z},
    {"%nclusterid.x", false, SHARED_NCTAID_X},
    {"%nclusterid.y", false, SHARED_NCTAID_Y},
    {"%nclusterid.z", false, SHARED_NCTAID_Z},
};

static bool special_slot(struct decoder *decoder, const char *name, uint32_t *slot)
{
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        if (strcmp(specials[i].name, name) == 0) {
            *slot = 128 * (uint32_t)specials[i].slot | (specials[i].of_warp ? 0 : SLOT_SHARED);
            return true;
        }
    }
    return decode_fail(decoder, "the special register %s is not known here", name);
}

/* ---- operands ---- */

int decode_register_size(const struct decoder *decoder, int32_t index)
{
    enum ptx_type type = decoder->source->registers[index].type;
    return type == PTX_PRED ? 1 : ptx_type_size(type);
}

static bool append(struct decoder *decoder, bool destination, uint32_t slot)
{
    struct op *op = decoder->op;
    if (slot == SLOT_NONE)
        return false;
    if (op->destination_count + op->source_count >= OP_SLOTS)
        return decode_fail(decoder, "it has more than %d operands", OP_SLOTS);
    if (destination && op->source_count > 0)
        return decode_fail(decoder, "a destination follows a source");
    op->slots[op->destination_count + op->source_count] = slot;
    if (destination)
        op->destination_count++;
    else
        op->source_count++;
    return true;
}

static bool use_register(struct decoder *decoder, bool destination, int32_t index)
{
    if (destination)
        decoder->write_list[decoder->write_count++] = index;
    else
        decoder->read_list[decoder->read_count++] = index;
    return append(decoder, destination, SLOT_REGISTER | (uint32_t)index);
}

static int type_size(enum ptx_type type)
{
    return type == PTX_PRED ? 1 : ptx_type_size(type);
}

bool decode_destination_any(struct decoder *decoder, const struct ptx_operand *operand, int *size)
{
    if (operand->kind == PTX_OPERAND_SINK) {
        *size = 0;
        return append(decoder, true, 128 * WARP_SINK);
    }
    if (operand->kind != PTX_OPERAND_REGISTER || operand->negated)
        return decode_fail(decoder, "a register is expected as destination");
    *size = decode_register_size(decoder, operand->index);
    return use_register(decoder, true, operand->index);
}

bool decode_destination(struct decoder *decoder, const struct ptx_operand *operand, enum ptx_type type)
{
    int size = 0;
    if (!decode_destination_any(decoder, operand, &size))
        return false;
    if (size != 0 && size != type_size(type))
        return decode_fail(decoder, "a destination of type %s is expected, %s has %d bytes", ptx_type_name(type),
                           decoder->source->registers[operand->index].name, size);
    return true;
}

static uint64_t literal_bits(const struct ptx_operand *operand, enum ptx_type type)
{
    int size = ptx_type_size(type);
    return type == PTX_PRED || size >= 8 ? operand->bits : operand->bits & ((UINT64_C(1) << 8 * size) - 1);
}

bool decode_source_any(struct decoder *decoder, const struct ptx_operand *operand, enum ptx_type type, int *size)
{
    enum ptx_space space;
    uint64_t address;
    uint32_t slot = SLOT_NONE;
    *size = type_size(type);
    switch (operand->kind) {
    case PTX_OPERAND_REGISTER:
        *size = decode_register_size(decoder, operand->index);
        return use_register(decoder, false, operand->index);
    case PTX_OPERAND_IMMEDIATE:
        return append(decoder, false, decode_constant(decoder, literal_bits(operand, type), alu_held_bytes(type)));
    case PTX_OPERAND_SPECIAL:
        if (strcmp(operand->text, "%gridid") == 0 && *size == 8)
            return append(decoder, false, decode_constant(decoder, 0, 256));
        if (alu_held_bytes(type) != 128)
            return decode_fail(decoder, "%s has 32 bits", operand->text);
        return special_slot(decoder, operand->text, &slot) && append(decoder, false, slot);
    case PTX_OPERAND_SYMBOL:
        if (*size < 4)
            return decode_fail(decoder, "an address does not fit in %d bytes", *size);
        return decode_symbol(decoder, operand, &space, &address) &&
               append(decoder, false, decode_constant(decoder, address, alu_held_bytes(type)));
    case PTX_OPERAND_SINK:
        return append(decoder, false, decode_constant(decoder, 0, alu_held_bytes(type)));
    default:
        return decode_fail(decoder, "an operand of a kind that is not expected here");
    }
}

bool decode_source(struct decoder *decoder, const struct ptx_operand *operand, enum ptx_type type)
{
    int size = 0;
    if (!decode_source_any(decoder, operand, type, &size))
        return false;
    if (size != type_size(type))
        return decode_fail(decoder, "a source of type %s is expected, %s has %d bytes", ptx_type_name(type),
                           decoder->source->registers[operand->index].name, size);
    return true;
}

/* Counts as a read, but stays outside of the list of operands. */
bool decode_extra(struct decoder *decoder, const struct ptx_operand *operand, uint32_t *slot)
{
    struct op *op = decoder->op;
    if (!decode_source(decoder, operand, PTX_U32))
        return false;
    op->source_count--;
    *slot = op->slots[op->destination_count + op->source_count];
    return true;
}

static const uint64_t space_windows[PTX_CONST + 1] = {
    [PTX_PARAM] = PARAMETER_WINDOW, [PTX_SHARED] = SHARED_WINDOW, [PTX_LOCAL] = LOCAL_WINDOW};

bool decode_address(struct decoder *decoder, const struct ptx_operand *operand, enum ptx_space space, bool generic,
                    int64_t *offset, uint8_t *base_size)
{
    if (operand->kind != PTX_OPERAND_ADDRESS)
        return decode_fail(decoder, "an address in brackets is expected");
    if (operand->base == PTX_OPERAND_REGISTER) {
        int size = decode_register_size(decoder, operand->index);
        if (size != 4 && size != 8)
            return decode_fail(decoder, "an address of 4 or 8 bytes is expected");
        *offset = operand->offset;
        *base_size = (uint8_t)size;
        return use_register(decoder, false, operand->index);
    }
    *base_size = 0;
    if (operand->base == PTX_OPERAND_IMMEDIATE) {
        *offset = (int64_t)operand->bits + operand->offset;
        return true;
    }
    enum ptx_space of_symbol;
    uint64_t address;
    if (!decode_symbol(decoder, operand, &of_symbol, &address))
        return false;
    if (!generic && of_symbol != space)
        return decode_fail(decoder, "the variable lies in another space");
    *offset = (int64_t)(generic ? address + space_windows[of_symbol] : address);
    return true;
}
