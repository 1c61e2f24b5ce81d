/* Instructions about addresses that move no data: cvta, isspacep, and those whose effect an emulator does not have
 * (prefetch, fences, cache policies). A fence orders nothing here: memory is written at once, and what happens before what
 * is decided by barriers and atomics (memory.h). */
#include "emulator/machine/memory_ops.h"

#include <string.h>

static const uint64_t windows[PTX_CONST + 1] = {
    [PTX_PARAM] = PARAMETER_WINDOW, [PTX_SHARED] = SHARED_WINDOW, [PTX_LOCAL] = LOCAL_WINDOW};

static bool run_convert(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    (void)execution;
    uint64_t *destination = warp_slot(warp, op->slots[0]);
    const uint64_t *source = warp_slot(warp, op->slots[1]);
    FOR_LANES(lane, active)
    destination[lane] = source[lane] + (uint64_t)op->memory.offset;
    return true;
}

bool decode_convert_address(struct decoder *decoder)
{
    struct op *op = decoder->op;
    bool to = decode_take(decoder, "to");
    enum ptx_type type;
    if (!memory_space_named(decode_next(decoder), &op->memory.space))
        return decode_fail(decoder, "a space is expected");
    decoder->next_modifier++;
    op->kind = OP_PLAIN;
    op->run = run_convert;
    uint64_t window = windows[op->memory.space];
    op->memory.offset = (int64_t)(to ? 0 - window : window);
    if (!decode_take_type(decoder, &type) || !decode_end(decoder) || !decode_operand_count(decoder, 2, 2))
        return false;
    if (type != PTX_U64)
        return decode_fail(decoder, "only addresses of 64 bits are known");
    return decode_destination(decoder, decode_operand(decoder, 0), PTX_U64) &&
           decode_source(decoder, decode_operand(decoder, 1), PTX_U64);
}

static bool run_isspacep(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    uint32_t *destination = warp_slot(warp, op->slots[0]), inside = 0;
    const uint64_t *source = warp_slot(warp, op->slots[1]);
    uint64_t window = windows[op->memory.space], size = WINDOW_BYTES;
    bool is_global = window == 0;
    FOR_LANES(lane, active)
    {
        bool in;
        if (op->memory.space == PTX_CONST)
            in = memory_is_constant(execution->machine, source[lane]);
        else if (is_global)
            in = source[lane] - SHARED_WINDOW >= size && source[lane] - LOCAL_WINDOW >= size &&
                 source[lane] - PARAMETER_WINDOW >= size;
        else
            in = source[lane] - window < size;
        inside |= (uint32_t)in << lane;
    }
    *destination = (*destination & ~active) | inside;
    return true;
}

bool decode_isspacep(struct decoder *decoder)
{
    struct op *op = decoder->op;
    op->kind = OP_PLAIN;
    op->run = run_isspacep;
    if (!memory_space_named(decode_next(decoder), &op->memory.space))
        return decode_fail(decoder, "a space is expected");
    decoder->next_modifier++;
    return decode_end(decoder) && decode_operand_count(decoder, 2, 2) &&
           decode_destination(decoder, decode_operand(decoder, 0), PTX_PRED) &&
           decode_source(decoder, decode_operand(decoder, 1), PTX_U64);
}

/* ---- without effect ---- */

static bool run_nothing(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    (void)execution;
    (void)warp;
    (void)op;
    (void)active;
    return true;
}

bool decode_prefetch(struct decoder *decoder)
{
    static const char *const levels[] = {"L1", "L2", "L2::evict_last", "L2::evict_normal"};
    struct op *op = decoder->op;
    op->kind = OP_PLAIN;
    op->run = run_nothing;
    op->memory.generic = !memory_space_named(decode_next(decoder), &op->memory.space);
    if (!op->memory.generic)
        decoder->next_modifier++;
    bool level = false;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0] && !level; i++)
        level = decode_take(decoder, levels[i]);
    if (!level)
        return decode_fail(decoder, "a level of the cache is expected");
    return decode_end(decoder) && decode_operand_count(decoder, 1, 1) &&
           decode_address(decoder, decode_operand(decoder, 0), op->memory.space, op->memory.generic, &op->memory.offset,
                          &op->memory.base_size);
}

bool decode_fence(struct decoder *decoder)
{
    decoder->op->kind = OP_PLAIN;
    decoder->op->run = run_nothing;
    bool old = strcmp(decoder->instruction->opcode, "membar") == 0;
    if (!old && !decode_take(decoder, "sc"))
        decode_take(decoder, "acq_rel");
    bool scope = old ? decode_take(decoder, "cta") || decode_take(decoder, "gl") || decode_take(decoder, "sys")
                     : memory_is_scope(decode_next(decoder));
    if (!scope)
        return decode_fail(decoder, "a scope is expected");
    decoder->next_modifier += !old;
    return decode_end(decoder) && decode_operand_count(decoder, 0, 0);
}

static bool run_policy(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    (void)execution;
    uint64_t *destination = warp_slot(warp, op->slots[0]);
    FOR_LANES(lane, active)
    destination[lane] = 0;
    return true;
}

/* A policy is only ever handed to .L2::cache_hint, which changes no value. */
bool decode_createpolicy(struct decoder *decoder)
{
    static const char *const priorities[] = {"L2::evict_last", "L2::evict_normal", "L2::evict_first",
                                             "L2::evict_unchanged"};
    decoder->op->kind = OP_PLAIN;
    decoder->op->run = run_policy;
    if (!decode_take(decoder, "fractional"))
        return decode_fail(decoder, "only createpolicy.fractional is known");
    int found = 0;
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < sizeof priorities / sizeof priorities[0]; i++)
            again |= decode_take(decoder, priorities[i]);
        found += again;
    }
    if (found < 1 || found > 2 || !decode_take(decoder, "b64"))
        return decode_fail(decoder, "one or two eviction priorities and .b64 are expected");
    if (!decode_end(decoder) || !decode_operand_count(decoder, 1, 2) ||
        !decode_destination(decoder, decode_operand(decoder, 0), PTX_B64))
        return false;
    return decoder->instruction->operand_count == 1 || decode_source(decoder, decode_operand(decoder, 1), PTX_F32);
}
