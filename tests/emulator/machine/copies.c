/* cp.async: copies from global to shared memory that are under way until their thread waits for them. Groups belong to a
 * thread, so every lane counts its own commits; a copy that lanes of a warp began together is one copy to the memory, and
 * ends when the last of these lanes has waited for its group. */
#include "emulator/machine/memory_ops.h"

#include <stdlib.h>
#include <string.h>

enum copy_source { SOURCE_WHOLE, SOURCE_SIZE, SOURCE_IGNORE }; /* the optional fourth operand */

/* ---- which are pending ---- */

/* Ends, for these lanes, all copies but those of their `keep` latest committed groups and of the open one; a negative
 * `keep` ends every copy. */
void copies_end_lanes(struct execution *execution, struct warp *warp, uint32_t lanes, int32_t keep)
{
    int32_t left = 0;
    for (int32_t i = 0; i < warp->copy_count; i++) {
        struct pending_copy *pending = &warp->copies[i];
        FOR_LANES(lane, pending->lanes & lanes)
        {
            if (keep < 0 || pending->group < warp->commits[lane] - keep)
                pending->lanes &= ~(1u << lane);
        }
        if (pending->lanes == 0)
            memory_async_end(execution->memory, pending->copy);
        else
            warp->copies[left++] = *pending;
    }
    warp->copy_count = left;
}

void copies_finish(struct execution *execution, struct warp *warp)
{
    copies_end_lanes(execution, warp, ALL_LANES, -1);
}

static bool keep_copy(struct warp *warp, struct async_copy *copy, uint32_t lanes, int32_t group)
{
    if (warp->copy_count == warp->copy_capacity) {
        int32_t capacity = 2 * warp->copy_capacity + 64;
        struct pending_copy *copies = realloc(warp->copies, (size_t)capacity * sizeof *copies);
        if (copies == NULL)
            return false;
        warp->copies = copies;
        warp->copy_capacity = capacity;
    }
    warp->copies[warp->copy_count++] = (struct pending_copy){.copy = copy, .lanes = lanes, .group = group};
    return true;
}

/* ---- cp.async ---- */

static bool source_sizes(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active,
                         int32_t sizes[WARP_LANES])
{
    const struct op_memory *memory = &op->memory;
    const uint32_t *held = warp_slot(warp, op->slots[(memory->base_size > 0) + (memory->second_base_size > 0)]);
    for (uint32_t lane = 0; lane < WARP_LANES; lane++)
        sizes[lane] = memory->size;
    if (memory->function == SOURCE_WHOLE)
        return true;
    FOR_LANES(lane, active)
    {
        if (memory->function == SOURCE_IGNORE)
            sizes[lane] = (*held >> lane & 1) != 0 ? 0 : memory->size;
        else if (held[lane] <= memory->size)
            sizes[lane] = (int32_t)held[lane];
        else
            return execution_report(execution, CHECK_BOUNDS, warp, op, active,
                                    "cp.async of %d bytes with a source of %u bytes", (int)memory->size, held[lane]);
    }
    return true;
}

static bool run_copy(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    const struct op_memory *memory = &op->memory;
    const struct place *place = &execution->kernel->places[op->index];
    uint64_t to[WARP_LANES], from[WARP_LANES];
    int32_t sizes[WARP_LANES];
    if (!memory_addresses(execution, warp, op, op->slots[0], memory->base_size, memory->offset, PTX_SHARED, false,
                          active, to) ||
        !memory_addresses(execution, warp, op, op->slots[memory->base_size > 0], memory->second_base_size,
                          memory->second_offset, PTX_GLOBAL, false, active, from) ||
        !source_sizes(execution, warp, op, active, sizes))
        return false;
    while (active != 0) {
        int32_t group = warp->commits[__builtin_ctz(active)];
        uint32_t lanes = 0;
        FOR_LANES(lane, active)
        lanes |= (uint32_t)(warp->commits[lane] == group) << lane;
        struct access access = {.action = ACCESS_WRITE,
                                .warp = warp->index,
                                .lanes = lanes,
                                .bytes = memory->size,
                                .addresses = to,
                                .file = place->file,
                                .line = place->line};
        struct async_copy *copy = memory_async_begin(execution->memory, &access, from, sizes);
        if (copy == NULL)
            return false;
        if (!keep_copy(warp, copy, lanes, group)) {
            memory_async_end(execution->memory, copy);
            return execution_report(execution, CHECK_LAUNCH, warp, op, active, "the emulator has no memory left");
        }
        active &= ~lanes;
    }
    return true;
}

static bool run_commit(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    (void)execution;
    (void)op;
    FOR_LANES(lane, active)
    warp->commits[lane]++;
    return true;
}

static bool run_wait(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    copies_end_lanes(execution, warp, active, (int32_t)op->memory.offset);
    return true;
}

static bool decode_wait(struct decoder *decoder, bool all)
{
    struct op *op = decoder->op;
    op->run = run_wait;
    op->memory.offset = -1;
    if (!decode_end(decoder) || !decode_operand_count(decoder, !all, !all))
        return false;
    if (all)
        return true;
    const struct ptx_operand *operand = decode_operand(decoder, 0);
    if (operand->kind != PTX_OPERAND_IMMEDIATE || operand->bits > 1000000)
        return decode_fail(decoder, "a number of groups is expected");
    op->memory.offset = (int64_t)operand->bits;
    return true;
}

static bool decode_copy_modifiers(struct decoder *decoder, bool *all_levels, bool *hinted)
{
    static const char *const sizes[] = {"L2::64B", "L2::128B", "L2::256B"};
    *all_levels = decode_take(decoder, "ca");
    if (!*all_levels && !decode_take(decoder, "cg"))
        return decode_fail(decoder, ".ca or .cg is expected");
    if ((!decode_take(decoder, "shared") && !decode_take(decoder, "shared::cta")) || !decode_take(decoder, "global"))
        return decode_fail(decoder, ".shared.global is expected");
    *hinted = decode_take(decoder, "L2::cache_hint");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        decode_take(decoder, sizes[i]);
    return decode_end(decoder);
}

/* The operand after the size: bytes of the source, or a predicate that makes it none. */
static bool decode_source_size(struct decoder *decoder, const struct ptx_operand *operand)
{
    struct op *op = decoder->op;
    bool predicate = operand->kind == PTX_OPERAND_REGISTER && decode_register_size(decoder, operand->index) == 1;
    if (operand->negated)
        return decode_fail(decoder, "a negated predicate is not known here");
    op->memory.function = predicate ? SOURCE_IGNORE : SOURCE_SIZE;
    return decode_source(decoder, operand, predicate ? PTX_PRED : PTX_U32);
}

static bool decode_copy(struct decoder *decoder)
{
    struct op *op = decoder->op;
    struct op_memory *memory = &op->memory;
    bool all_levels = false, hinted = false;
    op->run = run_copy;
    if (!decode_copy_modifiers(decoder, &all_levels, &hinted) || !decode_operand_count(decoder, 3 + hinted, 4 + hinted))
        return false;
    const struct ptx_operand *size = decode_operand(decoder, 2);
    bool known = size->kind == PTX_OPERAND_IMMEDIATE &&
                 (size->bits == 16 || (all_levels && (size->bits == 4 || size->bits == 8)));
    if (!known)
        return decode_fail(decoder, ".ca copies 4, 8 or 16 bytes, .cg 16");
    memory->size = (uint8_t)size->bits;
    if (!decode_address(decoder, decode_operand(decoder, 0), PTX_SHARED, false, &memory->offset, &memory->base_size) ||
        !decode_address(decoder, decode_operand(decoder, 1), PTX_GLOBAL, false, &memory->second_offset,
                        &memory->second_base_size))
        return false;
    memory->function = SOURCE_WHOLE;
    int32_t count = decoder->instruction->operand_count - hinted;
    if (count == 4 && !decode_source_size(decoder, decode_operand(decoder, 3)))
        return false;
    if (!hinted)
        return true;
    if (!decode_source(decoder, decode_operand(decoder, count), PTX_B64))
        return false;
    op->source_count--;
    return true;
}

bool decode_cp(struct decoder *decoder)
{
    struct op *op = decoder->op;
    op->kind = OP_PLAIN;
    if (!decode_take(decoder, "async"))
        return decode_fail(decoder, "only cp.async is known");
    if (decode_take(decoder, "commit_group")) {
        op->run = run_commit;
        return decode_end(decoder) && decode_operand_count(decoder, 0, 0);
    }
    if (decode_take(decoder, "wait_group"))
        return decode_wait(decoder, false);
    if (decode_take(decoder, "wait_all"))
        return decode_wait(decoder, true);
    return decode_copy(decoder);
}
