/* Divergence: the lanes of a warp as fragments, one per program counter. The fragment that is furthest behind runs, and
 * fragments that meet are merged; since compilers lay out code so that paths join further on, this joins lanes where a GPU
 * does without knowing post-dominators. A fragment that runs on and on while another one could (lanes that spin on a lock
 * whose owner is another lane) gives way. */
#include "emulator/machine/interpreter.h"

void fragment_merge(struct warp *warp)
{
    for (int32_t i = 0; i < warp->fragment_count; i++) {
        struct fragment *first = &warp->fragments[i];
        for (int32_t k = i + 1; k < warp->fragment_count; k++) {
            struct fragment *second = &warp->fragments[k];
            if (first->pc != second->pc || first->state == FRAGMENT_WAITS_BARRIER ||
                second->state == FRAGMENT_WAITS_BARRIER)
                continue;
            first->mask |= second->mask;
            first->state = FRAGMENT_READY;
            *second = warp->fragments[--warp->fragment_count];
            k--;
        }
    }
}

struct fragment *fragment_add(struct warp *warp, int32_t pc, uint32_t mask)
{
    struct fragment *fragment = &warp->fragments[warp->fragment_count++];
    *fragment = (struct fragment){.pc = pc, .mask = mask, .state = FRAGMENT_READY, .last_turn = warp->turn};
    return fragment;
}

struct fragment *fragment_pick(struct warp *warp)
{
    struct fragment *best = NULL;
    for (int32_t i = 0; i < warp->fragment_count; i++) {
        struct fragment *fragment = &warp->fragments[i];
        if (fragment->state != FRAGMENT_READY)
            continue;
        bool better = best == NULL || (warp->spent ? fragment->last_turn < best->last_turn : fragment->pc < best->pc);
        if (better)
            best = fragment;
    }
    if (best != NULL)
        best->last_turn = ++warp->turn;
    return best;
}

void fragment_exit(struct warp *warp, struct fragment *fragment, uint32_t lanes)
{
    warp->alive &= ~lanes;
    fragment->mask &= ~lanes;
    if (fragment->mask == 0)
        *fragment = warp->fragments[--warp->fragment_count];
    for (int32_t i = 0; i < warp->fragment_count; i++) {
        /* Those that waited for these lanes need not any more. */
        if (warp->fragments[i].state == FRAGMENT_WAITS_LANES)
            warp->fragments[i].state = FRAGMENT_READY;
    }
}

bool fragment_continues(const struct warp *warp, const struct fragment *fragment, bool rotated)
{
    for (int32_t i = 0; i < warp->fragment_count; i++) {
        const struct fragment *other = &warp->fragments[i];
        if (other == fragment || other->state == FRAGMENT_WAITS_BARRIER)
            continue;
        if (other->pc == fragment->pc || (!rotated && other->state == FRAGMENT_READY && other->pc < fragment->pc))
            return false;
    }
    return true;
}
