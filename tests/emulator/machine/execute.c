/* The interpreter's loops: a block's warps in turns, a warp's fragments in turns, and an instruction for all lanes of a
 * fragment at once. Nothing is allocated here; an op finds its operands by adding offsets to the two files of the warp. */
#include "emulator/machine/interpreter.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    WARP_TURN = 8192, /* instructions of a warp before the next one runs, so that none can wait for another in vain */
    FRAGMENT_TURN = 2048 /* likewise of a fragment while the warp has others */
};

/* ---- reports ---- */

void format_lanes(char *text, size_t size, uint32_t lanes)
{
    size_t length = 0;
    text[0] = 0;
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) {
        if ((lanes >> lane & 1) == 0)
            continue;
        uint32_t last = lane;
        while (last + 1 < WARP_LANES && (lanes >> (last + 1) & 1) != 0)
            last++;
        const char *comma = length > 0 ? ", " : "";
        if (length < size)
            length += (size_t)(last > lane ? snprintf(text + length, size - length, "%s%u-%u", comma, lane, last)
                                           : snprintf(text + length, size - length, "%s%u", comma, lane));
        lane = last;
    }
}

bool execution_report(struct execution *execution, enum machine_check check, const struct warp *warp,
                      const struct op *op, uint32_t lanes, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const struct place *place = &execution->kernel->places[op->index];
    memory_report(execution->memory, check, warp->index, lanes, place->file, place->line, text);
    return false;
}

static void check_reads(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    const int32_t *touched = execution->kernel->touched + op->reads;
    for (int32_t i = 0; i < op->read_count; i++) {
        uint32_t missing = active & ~warp->defined[touched[i]];
        if (missing == 0)
            continue;
        const struct place *place = &execution->kernel->places[op->index];
        memory_report_register(execution->memory, warp->index, missing,
                               execution->kernel->source->registers[touched[i]].name, place->file, place->line);
        warp->defined[touched[i]] |= missing;
    }
}

/* ---- arithmetic ---- */

static inline void run_arithmetic(const struct warp *warp, const struct op *op, uint32_t active)
{
    void *operands[ALU_DESTINATIONS + ALU_SOURCES];
    int count = op->destination_count + op->source_count;
    for (int i = 0; i < 4; i++) /* there are seldom more; slots that are not used are 0 */
        operands[i] = warp_slot(warp, op->slots[i]);
    for (int i = 4; i < count; i++)
        operands[i] = warp_slot(warp, op->slots[i]);
    op->arithmetic(&op->alu, operands, (const void *const *)operands + op->destination_count, active);
}

static bool is_signed(enum ptx_type type)
{
    return type == PTX_S8 || type == PTX_S16 || type == PTX_S32 || type == PTX_S64;
}

static uint64_t low_bits(uint64_t value, int bytes)
{
    return bytes >= 8 ? value : value & ((UINT64_C(1) << 8 * bytes) - 1);
}

/* The register's low bytes as the type is held. */
static void cut_source(uint64_t *lanes, const void *held, bool wide, enum ptx_type type)
{
    for (int lane = 0; lane < WARP_LANES; lane++) {
        uint64_t value = wide ? ((const uint64_t *)held)[lane] : ((const uint32_t *)held)[lane];
        ((uint32_t *)lanes)[lane] = (uint32_t)low_bits(value, ptx_type_size(type));
    }
}

static void extend_destination(void *held, const uint64_t *lanes, bool wide, int register_size, enum ptx_type type,
                               uint32_t active)
{
    int bytes = ptx_type_size(type);
    FOR_LANES(lane, active)
    {
        uint64_t value = low_bits(((const uint32_t *)lanes)[lane], bytes);
        if (is_signed(type) && (value >> (8 * bytes - 1) & 1) != 0)
            value |= ~low_bits(UINT64_MAX, bytes);
        value = low_bits(value, register_size);
        if (wide)
            ((uint64_t *)held)[lane] = value;
        else
            ((uint32_t *)held)[lane] = (uint32_t)value;
    }
}

static void run_adapted(const struct warp *warp, const struct op *op, uint32_t active)
{
    uint64_t scratch[OP_SLOTS][WARP_LANES];
    void *destinations[ALU_DESTINATIONS];
    const void *sources[ALU_SOURCES];
    const struct op_adaptation *adaptation = &op->adaptation;
    for (int i = 0; i < op->destination_count; i++)
        destinations[i] = (adaptation->narrow >> i & 1) != 0 ? scratch[i] : warp_slot(warp, op->slots[i]);
    for (int i = 0; i < op->source_count; i++) {
        int place = op->destination_count + i;
        const void *held = warp_slot(warp, op->slots[place]);
        sources[i] = held;
        if ((adaptation->narrow >> place & 1) != 0) {
            cut_source(scratch[place], held, (adaptation->wide >> place & 1) != 0, op->alu.sources[i]);
            sources[i] = scratch[place];
        }
    }
    op->alu.run(&op->alu, destinations, sources, active);
    for (int i = 0; i < op->destination_count; i++) {
        if ((adaptation->narrow >> i & 1) != 0)
            extend_destination(warp_slot(warp, op->slots[i]), scratch[i], (adaptation->wide >> i & 1) != 0,
                               adaptation->register_size[i], op->alu.destinations[i], active);
    }
}

/* ---- control ---- */

static void split(struct warp *warp, struct fragment *fragment, int32_t target, uint32_t taken)
{
    if (taken == fragment->mask) {
        fragment->pc = target;
        return;
    }
    fragment->pc++;
    if (taken != 0) {
        fragment->mask &= ~taken;
        fragment_add(warp, target, taken);
    }
}

static bool branch_by_table(struct execution *execution, struct warp *warp, struct fragment *fragment,
                            const struct op *op, uint32_t active)
{
    const struct machine_kernel *kernel = execution->kernel;
    const uint32_t *index = warp_slot(warp, op->slots[0]);
    int32_t start = kernel->table_start[op->target], count = kernel->table_start[op->target + 1] - start;
    uint32_t stay = fragment->mask & ~active;
    int32_t next = fragment->pc + 1;
    fragment->mask = 0;
    while (active != 0) {
        uint32_t first = index[__builtin_ctz(active)], same = 0;
        if (first >= (uint32_t)count)
            return execution_report(execution, CHECK_BOUNDS, warp, op, active,
                                    "brx.idx with index %u, its table has %d labels", first, (int)count);
        FOR_LANES(lane, active)
        same |= (uint32_t)(index[lane] == first) << lane;
        active &= ~same;
        if (fragment->mask == 0) {
            fragment->mask = same;
            fragment->pc = kernel->targets[start + (int32_t)first];
        } else {
            fragment_add(warp, kernel->targets[start + (int32_t)first], same);
        }
    }
    if (fragment->mask == 0) {
        fragment->mask = stay;
        fragment->pc = next;
    } else if (stay != 0) {
        fragment_add(warp, next, stay);
    }
    return true;
}

static bool exit_lanes(struct execution *execution, struct warp *warp, struct fragment *fragment, uint32_t active)
{
    fragment->pc++;
    if (active == 0)
        return true;
    copies_end_lanes(execution, warp, active, -1);
    fragment_exit(warp, fragment, active);
    return barrier_release(execution);
}

/* Ops that may change fragments: false ends the launch. */
static bool run_control(struct execution *execution, struct warp *warp, struct fragment *fragment, const struct op *op,
                        uint32_t active)
{
    switch (op->kind) {
    case OP_BRANCH:
        split(warp, fragment, op->target, active);
        return true;
    case OP_TABLE:
        return branch_by_table(execution, warp, fragment, op, active);
    case OP_EXIT:
        return exit_lanes(execution, warp, fragment, active);
    case OP_COLLECTIVE:
        return collective_run(execution, warp, fragment, op, active);
    case OP_BARRIER:
        return barrier_arrive(execution, warp, fragment, op, active);
    default:
        fragment->pc++;
        warp->spent = true;
        return true;
    }
}

/* ---- turns ---- */

enum turn { TURN_CHANGED, TURN_SPENT, TURN_FAILED };

static inline uint32_t guarded_lanes(struct execution *execution, struct warp *warp, const struct op *op,
                                     uint32_t lanes)
{
    uint32_t predicate = *(const uint32_t *)warp_slot(warp, op->guard);
    uint32_t active = lanes & (op->guard_negated ? ~predicate : predicate);
    if (op->doubtful_reads && execution->checks)
        check_reads(execution, warp, op, active);
    return active;
}

/* Ops that only go on to the next one: false ends the launch. */
static inline bool run_plain(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    if (op->kind == OP_ALU) {
        execution->special_functions += op->special_function;
        run_arithmetic(warp, op, active);
    } else if (op->kind == OP_ADAPTED) {
        execution->special_functions += op->special_function;
        run_adapted(warp, op, active);
    } else if (!op->run(execution, warp, op, active)) {
        return false;
    }
    if (op->doubtful_writes && execution->checks)
        execution_mark(execution, warp, op, active);
    return true;
}

/* Runs ops up to the first that may change fragments, to `meet` or to the last of `budget`; returns the next one's
 * number, or -1 when the launch is to end. */
static inline int32_t run_straight(struct execution *execution, struct warp *warp, int32_t pc, uint32_t mask,
                                   int32_t meet, int64_t end)
{
    const struct op *ops = execution->kernel->ops;
    do {
        const struct op *op = &ops[pc];
        if (op->kind > OP_PLAIN)
            return pc;
        uint32_t active = mask;
        execution->instructions++;
        if (op->guard != SLOT_NONE)
            active = guarded_lanes(execution, warp, op, mask);
        else if (op->doubtful_reads && execution->checks)
            check_reads(execution, warp, op, active);
        if (active != 0 && !run_plain(execution, warp, op, active))
            return -1;
        pc++;
    } while (pc != meet && execution->instructions < end);
    return pc;
}

/* Runs a fragment until it is waiting, meets another, is ahead of one that could run, or has used up its turn. */
static enum turn run_fragment(struct execution *execution, struct warp *warp, struct fragment *fragment, int64_t limit)
{
    const struct op *ops = execution->kernel->ops;
    bool rotated = warp->spent;
    int64_t end = execution->instructions + limit;
    int32_t meet = fragment_meeting(warp, fragment);
    warp->spent = false;
    while (execution->instructions < end) {
        const struct op *op = &ops[fragment->pc];
        if (op->kind <= OP_PLAIN) {
            int32_t next = run_straight(execution, warp, fragment->pc, fragment->mask, meet, end);
            if (next < 0)
                return TURN_FAILED;
            fragment->pc = next;
            if (next == meet)
                return TURN_CHANGED;
            continue;
        }
        uint32_t active = fragment->mask;
        execution->instructions++;
        if (op->guard != SLOT_NONE)
            active = guarded_lanes(execution, warp, op, active);
        else if (op->doubtful_reads && execution->checks)
            check_reads(execution, warp, op, active);
        int32_t before = warp->fragment_count;
        if (!run_control(execution, warp, fragment, op, active))
            return TURN_FAILED;
        if (warp->fragment_count != before || warp->fragment_count == 0 || fragment->state != FRAGMENT_READY ||
            warp->spent)
            return TURN_CHANGED;
        if (warp->fragment_count > 1) {
            if (!fragment_continues(warp, fragment, rotated))
                return TURN_CHANGED;
            meet = fragment_meeting(warp, fragment);
        }
        if (fragment->pc == meet)
            return TURN_CHANGED;
    }
    return TURN_SPENT;
}

static bool over_budget(struct execution *execution, struct warp *warp)
{
    if (execution->instructions < execution->budget)
        return false;
    const struct fragment *fragment = &warp->fragments[0];
    execution_report(execution, CHECK_ENDLESS, warp, &execution->kernel->ops[fragment->pc], fragment->mask,
                     "the launch has used up its %lld instructions", (long long)execution->budget);
    return true;
}

/* *moved: whether it ran at all. */
static bool run_warp(struct execution *execution, struct warp *warp, bool *moved)
{
    int64_t end = execution->instructions + WARP_TURN;
    while (execution->instructions < end) {
        if (warp->fragment_count > 1)
            fragment_merge(warp);
        struct fragment *fragment = fragment_pick(warp);
        if (fragment == NULL)
            return true;
        if (over_budget(execution, warp))
            return false;
        *moved = true;
        int64_t limit = warp->fragment_count > 1 ? FRAGMENT_TURN : end - execution->instructions;
        if (limit > execution->budget - execution->instructions)
            limit = execution->budget - execution->instructions;
        enum turn turn = run_fragment(execution, warp, fragment, limit);
        if (turn == TURN_FAILED)
            return false;
        warp->spent |= turn == TURN_SPENT;
        if (warp->spent && warp->fragment_count <= 1)
            return true;
    }
    return true;
}

static void begin_warp(struct execution *execution, struct warp *warp)
{
    int32_t first = warp->index * WARP_LANES, rest = execution->threads - first;
    warp->lanes = warp->alive = rest >= WARP_LANES ? ALL_LANES : (1u << rest) - 1;
    warp->spent = false;
    warp->fragment_count = 0;
    warp->turn = 0;
    warp->copy_count = 0;
    memset(warp->commits, 0, sizeof warp->commits);
    if (execution->checks)
        memset(warp->defined, 0, ((size_t)execution->kernel->source->register_count + 1) * sizeof *warp->defined);
    fragment_add(warp, 0, warp->lanes);
}

/* Every warp by turns until all have ended. False ends the launch. */
bool execute_block(struct execution *execution)
{
    memset(execution->barriers, 0, sizeof execution->barriers);
    for (int32_t w = 0; w < execution->warp_count; w++)
        begin_warp(execution, &execution->warps[w]);
    for (;;) {
        bool moved = false, alive = false;
        for (int32_t i = 0; i < execution->warp_count; i++) {
            struct warp *warp = &execution->warps[execution->warp_order[i]];
            if (warp->alive != 0 && !run_warp(execution, warp, &moved))
                return false;
            alive |= warp->alive != 0;
        }
        if (!alive)
            break;
        if (!moved && !barrier_stuck(execution))
            return false;
    }
    barrier_leftovers(execution);
    return true;
}
