/* Which accesses of a block happen before which. Each warp has a clock that moves on at every barrier it takes part in, and
 * knows up to which clock it is ordered after each other warp: Mattern's vector clocks, a warp at a time, because a
 * barrier of the block orders whole warps. Within a warp each lane knows up to which clock it is ordered after each other
 * lane; as nearly all warp barriers name all lanes, that table is used only above the last clock at which all did.
 *
 * All clocks of a barrier's warps go to one value, so that after a barrier of the whole block a single comparison with the
 * floor tells that a record is old, whoever made it. */
#include "emulator/machine/memory_internal.h"

#include <stdio.h>

static void note_block(struct memory *memory)
{
    if (memory->block_count == memory->block_capacity) {
        memory->block_capacity = memory->block_capacity * 2 + 256;
        memory->blocks = memory_need(realloc(memory->blocks, (size_t)memory->block_capacity * sizeof *memory->blocks));
    }
    struct block_start *start = &memory->blocks[memory->block_count++];
    start->clock = memory->order.block_base;
    memcpy(start->block, memory->block, sizeof start->block);
}

static void set_floor(struct order *order, int32_t warp)
{
    int32_t least = order->joined[warp];
    for (int32_t other = 0; other < order->warps; other++)
        if (other != warp && order->known[warp][other] < least)
            least = order->known[warp][other];
    order->floor[warp] = least;
}

void order_launch_begin(struct memory *memory)
{
    struct order *order = &memory->order;
    int32_t threads = memory->launch.threads;
    if (order->top >= INT32_MAX / 2) { /* no launch is left that a small clock could belong to */
        marks_drop_pool(memory);
        memset(order->lanes, 0, sizeof order->lanes);
        order->top = 0;
    }
    order->launch_base = order->block_base = ++order->top;
    order->warps = (threads + LANES - 1) / LANES;
    for (int32_t warp = 0; warp < WARPS; warp++) {
        int32_t lanes = threads - warp * LANES;
        order->existing[warp] = lanes >= LANES ? UINT32_MAX : lanes <= 0 ? 0 : (UINT32_C(1) << lanes) - 1;
    }
    memory->block_count = 0;
}

void order_block_begin(struct memory *memory)
{
    struct order *order = &memory->order;
    order->block_base = ++order->top;
    note_block(memory);
    for (int32_t warp = 0; warp < order->warps; warp++) {
        order->clock[warp] = order->block_base;
        order->joined[warp] = order->floor[warp] = order->block_base - 1;
        for (int32_t other = 0; other < order->warps; other++)
            order->known[warp][other] = order->block_base - 1;
    }
}

static void advance(struct order *order, int32_t warp, int32_t clock)
{
    order->clock[warp] = clock;
    if (clock > order->top)
        order->top = clock;
    if (clock == INT32_MAX) {
        fprintf(stderr, "emulator: a launch has more barriers than the race checker can number\n");
        abort();
    }
}

void memory_barrier(struct memory *memory, const uint32_t warps[32])
{
    struct order *order = &memory->order;
    int32_t joint[WARPS] = {0}, latest = 0;
    uint32_t members = warps[0];
    for (uint32_t left = members; left != 0; left &= left - 1) {
        int32_t warp = __builtin_ctz(left);
        latest = order->clock[warp] > latest ? order->clock[warp] : latest;
        for (int32_t other = 0; other < order->warps; other++)
            joint[other] = order->known[warp][other] > joint[other] ? order->known[warp][other] : joint[other];
    }
    for (uint32_t left = members; left != 0; left &= left - 1)
        joint[__builtin_ctz(left)] = latest;
    for (uint32_t left = members; left != 0; left &= left - 1) {
        int32_t warp = __builtin_ctz(left);
        memcpy(order->known[warp], joint, sizeof joint);
        order->joined[warp] = latest;
        set_floor(order, warp);
        advance(order, warp, latest + 1);
    }
}

/* What a row says of an earlier block lies below all clocks of this one, so rows are never cleared. */
static void join_lanes(struct order *order, int32_t warp, uint32_t lanes)
{
    int32_t(*table)[LANES] = order->lanes[warp], joint[LANES] = {0};
    for (uint32_t left = lanes; left != 0; left &= left - 1) {
        const int32_t *row = table[__builtin_ctz(left)];
        for (int32_t other = 0; other < LANES; other++)
            joint[other] = row[other] > joint[other] ? row[other] : joint[other];
    }
    for (uint32_t left = lanes; left != 0; left &= left - 1)
        joint[__builtin_ctz(left)] = order->clock[warp];
    for (uint32_t left = lanes; left != 0; left &= left - 1)
        memcpy(table[__builtin_ctz(left)], joint, sizeof joint);
}

void memory_warp_barrier(struct memory *memory, int32_t warp, uint32_t lanes)
{
    struct order *order = &memory->order;
    uint32_t existing = order->existing[warp];
    lanes &= existing;
    if ((lanes & (lanes - 1)) == 0)
        return;
    if (lanes == existing) {
        order->joined[warp] = order->clock[warp];
        set_floor(order, warp);
    } else {
        join_lanes(order, warp, lanes);
    }
    advance(order, warp, order->clock[warp] + 1);
}

void order_launch_end(struct memory *memory)
{
    memory->order.launch_base = memory->order.block_base = ++memory->order.top;
}

const int32_t *order_block_of(const struct memory *memory, int32_t clock)
{
    int64_t low = 0, high = memory->block_count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (memory->blocks[middle].clock <= clock)
            low = middle;
        else
            high = middle;
    }
    return memory->blocks[low].block;
}

uint32_t order_conflict(const struct order *order, int32_t warp, uint32_t lanes, int32_t other_warp,
                        uint32_t other_lanes, int32_t clock)
{
    if (other_warp != warp)
        return order->known[warp][other_warp] < clock ? other_lanes : 0;
    if (clock <= order->joined[warp])
        return 0;
    uint32_t found = 0;
    for (; lanes != 0; lanes &= lanes - 1) {
        const int32_t *row = order->lanes[warp][__builtin_ctz(lanes)];
        for (uint32_t left = other_lanes & ~(lanes & -lanes); left != 0; left &= left - 1)
            if (row[__builtin_ctz(left)] < clock)
                found |= left & -left;
    }
    return found;
}
