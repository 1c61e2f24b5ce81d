/* Instructions that a warp executes together: each lane waits for the lanes of its member mask at the same instruction.
 * Lanes that have ended are not waited for, as CUDA has it. Lanes of one fragment may name different masks (two halves of a
 * warp that shuffle among themselves); each group goes on when it is complete. Who waits for ever is found by
 * barrier_stuck, when nothing in the block can move any more. */
#include "emulator/machine/interpreter.h"

static uint32_t lanes_with(const uint32_t *masks, uint32_t lanes, uint32_t mask)
{
    uint32_t group = 0;
    FOR_LANES(lane, lanes)
    {
        if (masks[lane] == mask)
            group |= 1u << lane;
    }
    return group;
}

static bool run_group(struct execution *execution, struct warp *warp, const struct op *op, uint32_t group)
{
    /* Before it runs: a shuffle takes the mark back from lanes that get no value. */
    if (execution->checks)
        execution_mark(execution, warp, op, group);
    return op->run(execution, warp, op, group);
}

static bool run_whole_warp(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active)
{
    if (warp->alive != ALL_LANES)
        execution_report(execution, CHECK_BARRIER, warp, op, ~warp->alive,
                         "the instruction needs all 32 lanes of the warp, some do not exist or have ended");
    return run_group(execution, warp, op, active);
}

static bool run_groups(struct execution *execution, struct warp *warp, const struct op *op, uint32_t active,
                       uint32_t *done)
{
    const uint32_t *masks = warp_slot(warp, op->warp.member);
    *done = 0;
    for (uint32_t rest = active; rest != 0;) {
        uint32_t member = masks[__builtin_ctz(rest)], group = lanes_with(masks, rest, member);
        rest &= ~group;
        if ((member & warp->alive & ~group) != 0)
            continue;
        if ((group & ~member) != 0)
            execution_report(execution, CHECK_BARRIER, warp, op, group & ~member,
                             "lanes execute it that are not in its member mask 0x%08x", member);
        if (!run_group(execution, warp, op, group))
            return false;
        *done |= group;
    }
    return true;
}

bool collective_run(struct execution *execution, struct warp *warp, struct fragment *fragment, const struct op *op,
                    uint32_t active)
{
    uint32_t done = 0;
    if (active == 0) {
        fragment->pc++;
        return true;
    }
    if (op->warp.member == SLOT_NONE) {
        if ((warp->alive & ~active) == 0) {
            if (!run_whole_warp(execution, warp, op, active))
                return false;
            done = active;
        }
    } else if (!run_groups(execution, warp, op, active, &done)) {
        return false;
    }
    uint32_t passed = done | (fragment->mask & ~active);
    if (done == active) {
        fragment->pc++;
        return true;
    }
    fragment->state = FRAGMENT_WAITS_LANES;
    if (passed != 0) {
        fragment->mask &= ~passed;
        fragment_add(warp, fragment->pc + 1, passed);
    }
    return true;
}
