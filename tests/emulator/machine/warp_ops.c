/* What lanes of a warp exchange: shuffles, votes, matches, reductions, and the warp's own barrier. The formulas are those of
 * PTX ISA, "Parallel Synchronization and Communication Instructions". A lane whose shuffle names a lane that does not take
 * part gets a value that counts as not initialised; a program may ignore it, but not use it. */
#include "emulator/machine/warp_ops.h"

#include <string.h>

static void order_lanes(const struct execution *execution, const struct warp *warp, uint32_t lanes)
{
    if (execution->checks)
        memory_warp_barrier(execution->memory, warp->index, lanes);
}

static void write_predicate(const struct warp *warp, uint32_t slot, uint32_t lanes, uint32_t value)
{
    uint32_t *held = warp_slot(warp, slot);
    *held = (*held & ~lanes) | (value & lanes);
}

static void write_lanes(const struct warp *warp, uint32_t slot, uint32_t lanes, const uint32_t *values)
{
    uint32_t *held = warp_slot(warp, slot);
    FOR_LANES(lane, lanes)
    held[lane] = values[lane];
}

static void write_all(const struct warp *warp, uint32_t slot, uint32_t lanes, uint32_t value)
{
    uint32_t *held = warp_slot(warp, slot);
    FOR_LANES(lane, lanes)
    held[lane] = value;
}

static bool decode_collective(struct decoder *decoder, op_run run)
{
    decoder->op->kind = OP_COLLECTIVE;
    decoder->op->run = run;
    decoder->op->warp.member = decoder->op->warp.count = SLOT_NONE;
    if (!decode_take(decoder, "sync"))
        return decode_fail(decoder, "only the form with .sync is known");
    return true;
}

/* ---- shfl ---- */

static inline __attribute__((always_inline)) uint32_t shuffle_source(int32_t mode, uint32_t lane, uint32_t b,
                                                                     uint32_t c, bool *inside)
{
    uint32_t segment = c >> 8 & 31, clamp = c & 31, offset = b & 31;
    uint32_t most = (lane & segment) | (clamp & ~segment), least = lane & segment, source;
    if (mode == SHUFFLE_UP) {
        source = lane - offset;
        *inside = (int32_t)source >= (int32_t)most;
    } else {
        source = mode == SHUFFLE_DOWN  ? lane + offset
                 : mode == SHUFFLE_XOR ? lane ^ offset
                                       : least | (offset & ~segment);
        *inside = source <= most;
    }
    return *inside ? source : lane;
}

/* As shuffle_source of all 32 lanes, where all name one b and one c, as nearly every shuffle does. */
static uint32_t find_sources(int32_t mode, uint32_t b, uint32_t c, uint32_t sources[WARP_LANES])
{
    uint32_t inside = 0;
#define FIND_SOURCES(mode)                                                                                             \
    for (uint32_t lane = 0; lane < WARP_LANES; lane++) {                                                               \
        bool in;                                                                                                       \
        sources[lane] = shuffle_source(mode, lane, b, c, &in);                                                         \
        inside |= (uint32_t)in << lane;                                                                                \
    }
    if (mode == SHUFFLE_XOR)
        FIND_SOURCES(SHUFFLE_XOR)
    else if (mode == SHUFFLE_UP)
        FIND_SOURCES(SHUFFLE_UP)
    else if (mode == SHUFFLE_DOWN)
        FIND_SOURCES(SHUFFLE_DOWN)
    else
        FIND_SOURCES(SHUFFLE_INDEX)
    return inside;
}

static bool run_shuffle(struct execution *execution, struct warp *warp, const struct op *op, uint32_t lanes)
{
    const uint32_t *values = warp_slot(warp, op->slots[op->destination_count]);
    const uint32_t *b = warp_slot(warp, op->slots[op->destination_count + 1]);
    const uint32_t *c = warp_slot(warp, op->slots[op->destination_count + 2]);
    uint32_t result[WARP_LANES], sources[WARP_LANES], predicate = 0, undefined = 0, differs = 0;
    uint32_t *destination = warp_slot(warp, op->slots[0]);
    for (int lane = 0; lane < WARP_LANES; lane++)
        differs |= (b[lane] ^ b[0]) | (c[lane] ^ c[0]);
    if (lanes == ALL_LANES && differs == 0) {
        predicate = find_sources(op->warp.mode, b[0], c[0], sources);
        for (int lane = 0; lane < WARP_LANES; lane++)
            result[lane] = values[sources[lane]];
        memcpy(destination, result, sizeof result);
    } else {
        FOR_LANES(lane, lanes)
        {
            bool inside;
            uint32_t source = shuffle_source(op->warp.mode, lane, b[lane], c[lane], &inside);
            predicate |= (uint32_t)inside << lane;
            if ((lanes >> source & 1) == 0) {
                undefined |= 1u << lane;
                result[lane] = 0xCDCDCDCDu;
            } else {
                result[lane] = values[source];
            }
        }
        write_lanes(warp, op->slots[0], lanes, result);
    }
    if (op->warp.has_predicate)
        write_predicate(warp, op->slots[1], lanes, predicate);
    order_lanes(execution, warp, lanes);
    if (undefined != 0 && execution->checks && op->warp.has_value)
        warp->defined[execution->kernel->touched[op->writes]] &= ~undefined;
    return true;
}

/* d or d|p */
static bool decode_results(struct decoder *decoder, const struct ptx_operand *operand, enum ptx_type type)
{
    struct op *op = decoder->op;
    const struct ptx_operand *first = operand;
    if (operand->kind == PTX_OPERAND_PAIR)
        first = &operand->elements[0];
    op->warp.has_value = first->kind != PTX_OPERAND_SINK;
    op->warp.has_predicate = operand->kind == PTX_OPERAND_PAIR;
    return decode_destination(decoder, first, type) &&
           (!op->warp.has_predicate || decode_destination(decoder, &operand->elements[1], PTX_PRED));
}

bool decode_shuffle(struct decoder *decoder)
{
    static const char *const modes[] = {"up", "down", "bfly", "idx"};
    struct op *op = decoder->op;
    if (!decode_collective(decoder, run_shuffle))
        return false;
    op->warp.mode = -1;
    for (int i = 0; i < 4 && op->warp.mode < 0; i++) {
        if (decode_take(decoder, modes[i]))
            op->warp.mode = i;
    }
    if (op->warp.mode < 0 || !decode_take(decoder, "b32"))
        return decode_fail(decoder, ".up, .down, .bfly or .idx and .b32 are expected");
    return decode_end(decoder) && decode_operand_count(decoder, 5, 5) &&
           decode_results(decoder, decode_operand(decoder, 0), PTX_B32) &&
           decode_source(decoder, decode_operand(decoder, 1), PTX_B32) &&
           decode_source(decoder, decode_operand(decoder, 2), PTX_B32) &&
           decode_source(decoder, decode_operand(decoder, 3), PTX_B32) &&
           decode_extra(decoder, decode_operand(decoder, 4), &op->warp.member);
}

/* ---- vote, activemask, elect ---- */

static bool run_vote(struct execution *execution, struct warp *warp, const struct op *op, uint32_t lanes)
{
    const uint32_t *held = warp_slot(warp, op->slots[1]);
    uint32_t votes = (op->warp.negated ? ~*held : *held) & lanes;
    bool all = votes == lanes, any = votes != 0;
    bool value = op->warp.mode == VOTE_ALL ? all : op->warp.mode == VOTE_ANY ? any : all || !any;
    if (op->warp.mode == VOTE_BALLOT)
        write_all(warp, op->slots[0], lanes, votes);
    else
        write_predicate(warp, op->slots[0], lanes, value ? ALL_LANES : 0);
    order_lanes(execution, warp, lanes);
    return true;
}

bool decode_vote(struct decoder *decoder)
{
    static const char *const modes[] = {"all", "any", "uni", "ballot"};
    struct op *op = decoder->op;
    enum ptx_type type;
    if (!decode_collective(decoder, run_vote))
        return false;
    op->warp.mode = -1;
    for (int i = 0; i < 4 && op->warp.mode < 0; i++) {
        if (decode_take(decoder, modes[i]))
            op->warp.mode = i;
    }
    if (op->warp.mode < 0)
        return decode_fail(decoder, ".all, .any, .uni or .ballot is expected");
    if (!decode_take_type(decoder, &type) || !decode_end(decoder) || !decode_operand_count(decoder, 3, 3))
        return false;
    if (type != (op->warp.mode == VOTE_BALLOT ? PTX_B32 : PTX_PRED))
        return decode_fail(decoder, "the type does not fit");
    op->warp.negated = decode_operand(decoder, 1)->negated;
    return decode_destination(decoder, decode_operand(decoder, 0), type) &&
           decode_source(decoder, decode_operand(decoder, 1), PTX_PRED) &&
           decode_extra(decoder, decode_operand(decoder, 2), &op->warp.member);
}

static bool run_activemask(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    (void)execution;
    write_all(warp, op->slots[0], active, active);
    return true;
}

bool decode_activemask(struct decoder *decoder)
{
    decoder->op->kind = OP_PLAIN;
    decoder->op->run = run_activemask;
    if (!decode_take(decoder, "b32"))
        return decode_fail(decoder, ".b32 is expected");
    return decode_end(decoder) && decode_operand_count(decoder, 1, 1) &&
           decode_destination(decoder, decode_operand(decoder, 0), PTX_B32);
}

static bool run_elect(struct execution *execution, struct warp *warp, const struct op *op, uint32_t lanes)
{
    uint32_t leader = (uint32_t)__builtin_ctz(lanes);
    write_all(warp, op->slots[0], lanes, leader);
    write_predicate(warp, op->slots[1], lanes, 1u << leader);
    order_lanes(execution, warp, lanes);
    return true;
}

bool decode_elect(struct decoder *decoder)
{
    if (!decode_collective(decoder, run_elect) || !decode_end(decoder) || !decode_operand_count(decoder, 2, 2))
        return false;
    if (decode_operand(decoder, 0)->kind != PTX_OPERAND_PAIR)
        return decode_fail(decoder, "two destinations d|p are expected");
    return decode_results(decoder, decode_operand(decoder, 0), PTX_B32) &&
           decode_extra(decoder, decode_operand(decoder, 1), &decoder->op->warp.member);
}

/* ---- match ---- */

static uint64_t value_of(const void *held, bool wide, uint32_t lane)
{
    return wide ? ((const uint64_t *)held)[lane] : ((const uint32_t *)held)[lane];
}

static bool run_match(struct execution *execution, struct warp *warp, const struct op *op, uint32_t lanes)
{
    const void *values = warp_slot(warp, op->slots[op->destination_count]);
    uint32_t result[WARP_LANES];
    FOR_LANES(lane, lanes)
    {
        uint32_t same = 0;
        FOR_LANES(other, lanes)
        same |= (uint32_t)(value_of(values, op->warp.wide, lane) == value_of(values, op->warp.wide, other)) << other;
        result[lane] = same;
    }
    bool all = result[__builtin_ctz(lanes)] == lanes;
    if (op->warp.mode == MATCH_ALL) {
        write_all(warp, op->slots[0], lanes, all ? lanes : 0);
        if (op->warp.has_predicate)
            write_predicate(warp, op->slots[1], lanes, all ? ALL_LANES : 0);
    } else {
        write_lanes(warp, op->slots[0], lanes, result);
    }
    order_lanes(execution, warp, lanes);
    return true;
}

bool decode_match(struct decoder *decoder)
{
    struct op *op = decoder->op;
    enum ptx_type type;
    decoder->op->kind = OP_COLLECTIVE;
    op->run = run_match;
    op->warp.member = op->warp.count = SLOT_NONE;
    if (decode_take(decoder, "all"))
        op->warp.mode = MATCH_ALL;
    else if (decode_take(decoder, "any"))
        op->warp.mode = MATCH_ANY;
    else
        return decode_fail(decoder, ".any or .all is expected");
    if (!decode_take(decoder, "sync"))
        return decode_fail(decoder, ".sync is expected");
    if (!decode_take_type(decoder, &type) || !decode_end(decoder) || !decode_operand_count(decoder, 3, 3))
        return false;
    if (type != PTX_B32 && type != PTX_B64)
        return decode_fail(decoder, ".b32 or .b64 is expected");
    op->warp.wide = type == PTX_B64;
    if (op->warp.mode == MATCH_ANY && decode_operand(decoder, 0)->kind == PTX_OPERAND_PAIR)
        return decode_fail(decoder, "match.any has no predicate");
    return decode_results(decoder, decode_operand(decoder, 0), PTX_B32) &&
           decode_source(decoder, decode_operand(decoder, 1), type) &&
           decode_extra(decoder, decode_operand(decoder, 2), &op->warp.member);
}

/* ---- redux ---- */

static uint32_t reduce_two(int32_t mode, uint32_t a, uint32_t b)
{
    switch (mode) {
    case REDUX_ADD:
        return a + b;
    case REDUX_MIN:
        return a < b ? a : b;
    case REDUX_MAX:
        return a > b ? a : b;
    case REDUX_MIN_SIGNED:
        return (int32_t)a < (int32_t)b ? a : b;
    case REDUX_MAX_SIGNED:
        return (int32_t)a > (int32_t)b ? a : b;
    case REDUX_AND:
        return a & b;
    case REDUX_OR:
        return a | b;
    default:
        return a ^ b;
    }
}

static bool run_redux(struct execution *execution, struct warp *warp, const struct op *op, uint32_t lanes)
{
    const uint32_t *values = warp_slot(warp, op->slots[1]);
    uint32_t total = values[__builtin_ctz(lanes)];
    FOR_LANES(lane, lanes & (lanes - 1))
    total = reduce_two(op->warp.mode, total, values[lane]);
    write_all(warp, op->slots[0], lanes, total);
    order_lanes(execution, warp, lanes);
    return true;
}

bool decode_redux(struct decoder *decoder)
{
    static const struct {
        const char *name, *type;
        int mode;
    } modes[] = {{"add", "u32", REDUX_ADD}, {"add", "s32", REDUX_ADD},        {"min", "u32", REDUX_MIN},
                 {"max", "u32", REDUX_MAX}, {"min", "s32", REDUX_MIN_SIGNED}, {"max", "s32", REDUX_MAX_SIGNED},
                 {"and", "b32", REDUX_AND}, {"or", "b32", REDUX_OR},          {"xor", "b32", REDUX_XOR}};
    struct op *op = decoder->op;
    if (!decode_collective(decoder, run_redux))
        return false;
    const char *name = decode_next(decoder);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i].name, name) != 0 || decoder->next_modifier + 2 != decoder->instruction->modifier_count ||
            strcmp(decoder->instruction->modifiers[decoder->next_modifier + 1], modes[i].type) != 0)
            continue;
        op->warp.mode = modes[i].mode;
        return decode_operand_count(decoder, 3, 3) &&
               decode_destination(decoder, decode_operand(decoder, 0), PTX_B32) &&
               decode_source(decoder, decode_operand(decoder, 1), PTX_B32) &&
               decode_extra(decoder, decode_operand(decoder, 2), &op->warp.member);
    }
    return decode_fail(decoder, "this operation and type are not known");
}

/* ---- bar.warp.sync ---- */

static bool run_warp_barrier(struct execution *execution, struct warp *warp, const struct op *op, uint32_t lanes)
{
    (void)op;
    order_lanes(execution, warp, lanes);
    return true;
}

bool decode_warp_barrier(struct decoder *decoder)
{
    return decode_collective(decoder, run_warp_barrier) && decode_end(decoder) && decode_operand_count(decoder, 1, 1) &&
           decode_extra(decoder, decode_operand(decoder, 0), &decoder->op->warp.member);
}
