/* Barriers of a block: bar.sync, bar.arrive and bar.red over 16 numbers, and what happens when nothing in the block can
 * move. A barrier without a count is complete when every thread that has not ended is there; one with a count when that
 * many are, a warp that is there as a whole counting 32. The aligned forms (bar, barrier.aligned) must be reached by the
 * whole warp: a part of one waits for the rest, and is reported when the rest cannot come. */
#include "emulator/machine/warp_ops.h"

#include <stdio.h>
#include <string.h>

static uint32_t first_lane_of(const struct warp *warp, uint32_t slot, uint32_t active)
{
    const uint32_t *values = warp_slot(warp, slot);
    return values[__builtin_ctz(active)];
}

static int32_t arrived_threads(const struct execution *execution, const struct barrier *barrier)
{
    int32_t arrived = 0;
    for (int32_t w = 0; w < execution->warp_count; w++) {
        uint32_t lanes = barrier->lanes[w], alive = execution->warps[w].alive;
        arrived += lanes == 0 ? 0 : (alive & ~lanes) == 0 ? WARP_LANES : __builtin_popcount(lanes);
    }
    return arrived;
}

static bool complete(const struct execution *execution, const struct barrier *barrier)
{
    if (barrier->expected > 0)
        return arrived_threads(execution, barrier) >= barrier->expected;
    for (int32_t w = 0; w < execution->warp_count; w++) {
        if ((execution->warps[w].alive & ~barrier->lanes[w]) != 0)
            return false;
    }
    return true;
}

static void write_result(const struct warp *warp, const struct op *op, const struct barrier *barrier, uint32_t lanes)
{
    uint32_t *destination = warp_slot(warp, op->slots[0]);
    if (op->warp.mode == BARRIER_POPULATION) {
        FOR_LANES(lane, lanes)
        destination[lane] = (uint32_t)barrier->population;
        return;
    }
    bool value = op->warp.mode == BARRIER_AND ? barrier->all : barrier->any;
    *destination = value ? *destination | lanes : *destination & ~lanes;
}

static void release(struct execution *execution, int32_t number)
{
    struct barrier *barrier = &execution->barriers[number];
    uint32_t warps[32] = {0};
    for (int32_t w = 0; w < execution->warp_count; w++) {
        struct warp *warp = &execution->warps[w];
        if (barrier->lanes[w] != 0)
            warps[0] |= 1u << w;
        for (int32_t i = 0; i < warp->fragment_count; i++) {
            struct fragment *fragment = &warp->fragments[i];
            if (fragment->state != FRAGMENT_WAITS_BARRIER || fragment->barrier != number)
                continue;
            const struct op *op = &execution->kernel->ops[fragment->pc];
            if (op->destination_count > 0) {
                write_result(warp, op, barrier, fragment->mask);
                if (execution->checks)
                    execution_mark(execution, warp, op, fragment->mask);
            }
            fragment->pc++;
            fragment->state = FRAGMENT_READY;
        }
    }
    if (execution->checks)
        memory_barrier(execution->memory, warps);
    execution->barriers_passed++;
    memset(barrier, 0, sizeof *barrier);
}

/* A barrier of all threads that some have left the block without. Devices since sm_70 do not wait for those, but CUDA asks of
 * __syncthreads() that the whole block comes: what the others read behind it, nobody of them wrote. */
static void report_ended(struct execution *execution, const struct barrier *barrier)
{
    for (int32_t w = 0; w < execution->warp_count; w++) {
        struct warp *warp = &execution->warps[w];
        const uint32_t ended = warp->lanes & ~warp->alive;
        char lanes[64];
        if (ended == 0)
            continue;
        format_lanes(lanes, sizeof lanes, ended);
        execution_report(execution, CHECK_BARRIER, warp, &execution->kernel->ops[barrier->first_op], ended,
                         "the barrier is reached after lanes %s of warp %d have ended", lanes, (int)w);
        return;
    }
}

bool barrier_release(struct execution *execution)
{
    for (int32_t number = 0; number < BLOCK_BARRIERS; number++) {
        struct barrier *barrier = &execution->barriers[number];
        if (!barrier->used || !complete(execution, barrier))
            continue;
        int32_t arrived = arrived_threads(execution, barrier);
        if (barrier->expected > 0 && arrived > barrier->expected)
            return execution_report(
                execution, CHECK_BARRIER, &execution->warps[0], &execution->kernel->ops[barrier->first_op], 1,
                "%d threads arrive at barrier %d, which expects %d", (int)arrived, (int)number, (int)barrier->expected);
        if (barrier->expected == 0)
            report_ended(execution, barrier);
        release(execution, number);
    }
    return true;
}

static bool check_count(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active,
                        int32_t number, int32_t *count)
{
    struct barrier *barrier = &execution->barriers[number];
    int32_t whole = (execution->threads + WARP_LANES - 1) / WARP_LANES * WARP_LANES;
    *count = 0;
    if (op->warp.count != SLOT_NONE) {
        *count = (int32_t)first_lane_of(warp, op->warp.count, active);
        if (*count <= 0 || *count % WARP_LANES != 0)
            return execution_report(execution, CHECK_BARRIER, warp, op, active,
                                    "barrier %d with %d threads: a multiple of 32 is expected", (int)number,
                                    (int)*count);
    }
    int32_t expected = barrier->expected > 0 ? barrier->expected : whole, mine = *count > 0 ? *count : whole;
    if (barrier->used && expected != mine)
        return execution_report(execution, CHECK_BARRIER, warp, op, active,
                                "barrier %d with %d threads, others wait there with %d (%s:%d)", (int)number, (int)mine,
                                (int)expected, execution->kernel->places[barrier->first_op].file,
                                (int)execution->kernel->places[barrier->first_op].line);
    if ((barrier->lanes[warp->index] & active) != 0)
        return execution_report(execution, CHECK_BARRIER, warp, op, active,
                                "barrier %d is reached twice by the same threads before it is complete", (int)number);
    return true;
}

static void take_predicate(struct barrier *barrier, const struct warp *warp, const struct op *op, uint32_t active)
{
    const uint32_t *held = warp_slot(warp, op->slots[op->destination_count + 1]);
    uint32_t votes = (op->warp.negated ? ~*held : *held) & active;
    barrier->population += __builtin_popcount(votes);
    barrier->any |= votes != 0;
    barrier->all &= votes == active;
}

static bool arrive(struct execution *execution, struct warp *warp, struct fragment *fragment, const struct op *op,
                   uint32_t active)
{
    uint32_t number = first_lane_of(warp, op->slots[op->destination_count], active);
    int32_t count;
    if (number >= BLOCK_BARRIERS)
        return execution_report(execution, CHECK_BARRIER, warp, op, active, "barrier %u: there are 16", number);
    if (!check_count(execution, warp, op, active, (int32_t)number, &count))
        return false;
    struct barrier *barrier = &execution->barriers[number];
    if (!barrier->used) {
        barrier->used = barrier->all = true;
        barrier->expected = count;
        barrier->first_op = op->index;
    }
    barrier->lanes[warp->index] |= active;
    if (op->destination_count > 0)
        take_predicate(barrier, warp, op, active);
    if (op->warp.mode == BARRIER_ARRIVE) {
        fragment->pc++;
        fragment->state = FRAGMENT_READY;
    } else {
        fragment->state = FRAGMENT_WAITS_BARRIER;
        fragment->barrier = (int32_t)number;
    }
    return barrier_release(execution);
}

bool barrier_arrive(struct execution *execution, struct warp *warp, struct fragment *fragment, const struct op *op,
                    uint32_t active)
{
    if (active == 0) {
        fragment->pc++;
        return true;
    }
    if (active != fragment->mask) {
        fragment_add(warp, fragment->pc + 1, fragment->mask & ~active);
        fragment->mask = active;
    }
    if (op->warp.needs_warp && active != warp->alive) {
        fragment->state = FRAGMENT_WAITS_LANES;
        return true;
    }
    return arrive(execution, warp, fragment, op, active);
}

/* ---- when nothing moves ---- */

static bool report_waiting_lanes(struct execution *execution, struct warp *warp, const struct fragment *fragment)
{
    const struct op *op = &execution->kernel->ops[fragment->pc];
    uint32_t member = op->warp.member == SLOT_NONE ? ALL_LANES : first_lane_of(warp, op->warp.member, fragment->mask);
    uint32_t missing = member & warp->alive & ~fragment->mask;
    const struct place *place = &execution->kernel->places[fragment->pc];
    char waiting[64], lanes[64];
    for (int32_t i = 0; i < warp->fragment_count; i++) {
        if ((warp->fragments[i].mask & missing) != 0)
            place = &execution->kernel->places[warp->fragments[i].pc];
    }
    format_lanes(waiting, sizeof waiting, fragment->mask);
    format_lanes(lanes, sizeof lanes, missing);
    return execution_report(execution, CHECK_BARRIER, warp, op, fragment->mask,
                            "deadlock: %s of lanes %s waits for lanes %s, which stand at %s:%d",
                            execution->kernel->source->instructions[op->index].opcode, waiting, lanes, place->file,
                            (int)place->line);
}

static bool report_waiting_warp(struct execution *execution, struct warp *warp, const struct fragment *fragment)
{
    const struct op *op = &execution->kernel->ops[fragment->pc];
    const struct barrier *barrier = &execution->barriers[fragment->barrier];
    const struct place *place = &execution->kernel->places[fragment->pc];
    char lanes[64];
    for (int32_t w = 0; w < execution->warp_count; w++) {
        const struct warp *other = &execution->warps[w];
        for (int32_t i = 0; i < other->fragment_count; i++) {
            if (other->fragments[i].pc != fragment->pc)
                place = &execution->kernel->places[other->fragments[i].pc];
        }
    }
    format_lanes(lanes, sizeof lanes, fragment->mask);
    return execution_report(execution, CHECK_BARRIER, warp, op, fragment->mask,
                            "deadlock: lanes %s of warp %d wait at barrier %d with %d of %d threads, others at %s:%d",
                            lanes, (int)warp->index, (int)fragment->barrier, (int)arrived_threads(execution, barrier),
                            (int)(barrier->expected > 0 ? barrier->expected : execution->threads), place->file,
                            (int)place->line);
}

static struct fragment *find_waiting(struct execution *execution, bool at_barrier, enum fragment_state state,
                                     struct warp **found)
{
    for (int32_t w = 0; w < execution->warp_count; w++) {
        struct warp *warp = &execution->warps[w];
        for (int32_t i = 0; i < warp->fragment_count; i++) {
            struct fragment *fragment = &warp->fragments[i];
            bool is_barrier = execution->kernel->ops[fragment->pc].kind == OP_BARRIER;
            if (fragment->state == state && is_barrier == at_barrier) {
                *found = warp;
                return fragment;
            }
        }
    }
    return NULL;
}

/* Lanes that alone are at an aligned barrier are reported, and then arrive as threads of their own, which is what devices
 * since sm_70 do. All other waiting is for ever. */
bool barrier_stuck(struct execution *execution)
{
    struct warp *warp = NULL;
    struct fragment *fragment = find_waiting(execution, true, FRAGMENT_WAITS_LANES, &warp);
    if (fragment != NULL) {
        const struct op *op = &execution->kernel->ops[fragment->pc];
        char lanes[64];
        format_lanes(lanes, sizeof lanes, fragment->mask);
        execution_report(execution, CHECK_BARRIER, warp, op, fragment->mask,
                         "the barrier is reached by lanes %s of warp %d without the others of the warp", lanes,
                         (int)warp->index);
        return arrive(execution, warp, fragment, op, fragment->mask);
    }
    fragment = find_waiting(execution, false, FRAGMENT_WAITS_LANES, &warp);
    if (fragment != NULL)
        return report_waiting_lanes(execution, warp, fragment);
    fragment = find_waiting(execution, true, FRAGMENT_WAITS_BARRIER, &warp);
    return report_waiting_warp(execution, warp, fragment);
}

void barrier_leftovers(struct execution *execution)
{
    for (int32_t number = 0; number < BLOCK_BARRIERS; number++) {
        const struct barrier *barrier = &execution->barriers[number];
        if (!barrier->used)
            continue;
        for (int32_t w = 0; w < execution->warp_count; w++) {
            if (barrier->lanes[w] != 0) {
                execution_report(execution, CHECK_BARRIER, &execution->warps[w],
                                 &execution->kernel->ops[barrier->first_op], barrier->lanes[w],
                                 "the block ends while barrier %d is incomplete", (int)number);
                break;
            }
        }
    }
}

bool decode_barrier(struct decoder *decoder)
{
    static const struct {
        const char *name;
        int mode;
    } reductions[] = {{"popc", BARRIER_POPULATION}, {"and", BARRIER_AND}, {"or", BARRIER_OR}};
    struct op *op = decoder->op;
    bool old = strcmp(decoder->instruction->opcode, "bar") == 0;
    if (old && decode_take(decoder, "warp"))
        return decode_warp_barrier(decoder);
    decode_take(decoder, "cta");
    op->kind = OP_BARRIER;
    op->warp.member = op->warp.count = SLOT_NONE;
    int32_t next = 0, count = decoder->instruction->operand_count;
    bool reduction = decode_take(decoder, "red");
    if (reduction) {
        op->warp.mode = -1;
        for (size_t i = 0; i < sizeof reductions / sizeof reductions[0]; i++) {
            if (decode_take(decoder, reductions[i].name))
                op->warp.mode = reductions[i].mode;
        }
        if (op->warp.mode < 0)
            return decode_fail(decoder, ".popc, .and or .or is expected");
    } else if (decode_take(decoder, "arrive")) {
        op->warp.mode = BARRIER_ARRIVE;
    } else if (decode_take(decoder, "sync")) {
        op->warp.mode = BARRIER_SYNC;
    } else {
        return decode_fail(decoder, ".sync, .arrive or .red is expected");
    }
    op->warp.needs_warp = decode_take(decoder, "aligned") || old;
    if (reduction) {
        enum ptx_type type, expected = op->warp.mode == BARRIER_POPULATION ? PTX_U32 : PTX_PRED;
        if (!decode_take_type(decoder, &type) || !decode_operand_count(decoder, 3, 4))
            return false;
        if (type != expected)
            return decode_fail(decoder, "type %s is expected", ptx_type_name(expected));
        if (!decode_destination(decoder, decode_operand(decoder, next++), type))
            return false;
    }
    if (!decode_end(decoder) || !decode_operand_count(decoder, 1, 4) ||
        !decode_source(decoder, decode_operand(decoder, next++), PTX_U32))
        return false;
    if (next + reduction < count && !decode_extra(decoder, decode_operand(decoder, next++), &op->warp.count))
        return false;
    if (op->warp.mode == BARRIER_ARRIVE && op->warp.count == SLOT_NONE)
        return decode_fail(decoder, "bar.arrive needs a number of threads");
    if (reduction) {
        op->warp.negated = decode_operand(decoder, next)->negated;
        if (!decode_source(decoder, decode_operand(decoder, next++), PTX_PRED))
            return false;
    }
    return next == count || decode_fail(decoder, "%d operands are expected", (int)next);
}
