/* The race check of accesses that are in order, for access_lanes.c: in loops over the granules of all lanes at once. The
 * rules are those of races.c, which also explains them; what these loops cannot clear of suspicion goes there.
 *
 * A mark is old when it is of an earlier launch (or, in shared memory, block) or below the floor, where everything
 * happened before. Marks of the same warp may be younger: what its lanes did up to its last barrier or __syncwarp, and what
 * a lane did itself, is in order, too. */
#include "emulator/machine/independent.h"
#include "emulator/machine/memory_internal.h"

#define ALWAYS static inline __attribute__((always_inline))

void races_part_begin(struct memory *memory, struct part *part)
{
    const struct access *access = part->access;
    const struct order *order = &memory->order;
    part->base = order->block_base;
    part->low = part->global ? order->launch_base : order->block_base;
    part->floor = order->floor[access->warp];
    part->joined = order->joined[access->warp];
    part->clock = order->clock[access->warp];
    part->who = 0;
    if (memory->checks)
        part->who = (uint32_t)access->warp | site_number(memory, access->file, access->line) << WHO_SITE_SHIFT;
}

/* ---- granules ---- */

/* Those of the part's elements: a row has neighbours only, and needs no list. */
static void list_granules(struct memory *memory, struct part *part)
{
    uint32_t bytes = (uint32_t)part->access->bytes, bits = bytes;
    if (part->row)
        bits |= part->offset;
    else
        for (uint32_t i = 0; i < part->count; i++)
            bits |= part->offsets[i];
    part->records = marks_records(memory, part->page, bits);
    uint32_t shift = part->records->shift, each = bytes >> shift;
    if (part->row) {
        part->first = part->offset >> shift;
        part->granule_count = part->length >> shift;
        part->granule_lanes = memory->lane_bits + LANES * (each - 1) + part->lane * each;
        return;
    }
    part->granule_count = part->count * each;
    part->granule_lanes = part->lanes;
    if (each == 1) {
        for (uint32_t i = 0; i < part->count; i++)
            part->granules[i] = part->offsets[i] >> shift;
        return;
    }
    part->granule_lanes = part->lanes_of_granules;
    for (uint32_t i = 0, at = 0; i < part->count; i++) {
        uint32_t first = part->offsets[i] >> shift, lanes = part->lanes[i];
        for (uint32_t k = 0; k < each; k++, at++) {
            part->granules[at] = first + k;
            part->lanes_of_granules[at] = lanes;
        }
    }
}

ALWAYS uint32_t granule_of(const struct part *part, uint32_t i, bool row)
{
    return row ? part->first + i : part->granules[i];
}

/* ---- what may conflict ---- */

/* Nothing in these marks is of an earlier block of the launch. */
static inline bool of_block(const struct part *part, const struct marks *marks)
{
    return part->low == part->base || marks->since >= part->base;
}
static inline bool all_old(const struct part *part, const struct marks *marks)
{
    return marks == NULL || (marks->latest <= part->floor && of_block(part, marks));
}

ALWAYS bool any_recent(const struct part *part, const struct marks *marks, bool row)
{
    int32_t low = part->low, base = part->base, floor = part->floor, found = 0;
    uint32_t count = part->granule_count;
    if (of_block(part, marks))
        for (uint32_t i = 0; i < count; i++)
            found |= marks->clock[granule_of(part, i, row)] > floor;
    else
        for (uint32_t i = 0; i < count; i++) {
            int32_t clock = marks->clock[granule_of(part, i, row)];
            found |= (clock > floor) | ((clock >= low) & (clock < base));
        }
    return found != 0;
}

ALWAYS bool all_ordered(const struct part *part, const struct marks *marks, bool row)
{
    int32_t low = part->low, base = part->base, floor = part->floor, joined = part->joined;
    uint32_t me = part->who, count = part->granule_count, bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t granule = granule_of(part, i, row), mine = part->granule_lanes[i];
        int32_t clock = marks->clock[granule];
        uint32_t same_warp = ((marks->who[granule] ^ me) & WHO_WARP) == 0, single = (mine & (mine - 1)) == 0;
        uint32_t same_lane = (marks->lanes[granule] == mine) & single;
        uint32_t ordered = (uint32_t)(clock <= floor) | (same_warp & ((uint32_t)(clock <= joined) | same_lane));
        bad |= (uint32_t)(clock >= low) & (1 - ((uint32_t)(clock >= base) & ordered));
    }
    return bad == 0;
}

ALWAYS bool no_conflict_in(const struct part *part, const struct marks *marks, bool row)
{
    return all_old(part, marks) || !any_recent(part, marks, row) || all_ordered(part, marks, row);
}

/* ---- reads are remembered in slots ---- */

/* Whether the read may take the place of all marks in the slot: whoever conflicts with them conflicts with it, too. */
ALWAYS bool slot_fits(const struct part *part, const struct marks *marks, bool row)
{
    int32_t base = part->base, floor = part->floor, joined = part->joined, now = part->clock;
    uint32_t me = part->who, count = part->granule_count, bad = 0;
    uint32_t first = granule_of(part, 0, row);
    if (marks->clock[first] > floor && ((marks->who[first] ^ me) & WHO_WARP) != 0)
        return false; /* another warp's, as those after it mostly are: there is no need to look at them */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t granule = granule_of(part, i, row);
        int32_t clock = marks->clock[granule];
        uint32_t same_warp = ((marks->who[granule] ^ me) & WHO_WARP) == 0;
        uint32_t covered = (marks->lanes[granule] & ~part->granule_lanes[i]) == 0;
        uint32_t joins = same_warp & ((uint32_t)(clock <= joined) | (uint32_t)(clock == now) | covered);
        bad |= (uint32_t)(clock >= base) & (uint32_t)(clock > floor) & (1 - joins);
    }
    return bad == 0;
}

/* Global memory, when a new block comes to the page: what earlier ones read becomes one record, of the first of them where
 * there are several, and the slots are empty again. */
static void fold_slots(struct memory *memory, const struct part *part)
{
    struct records *records = part->records;
    uint32_t count = PAGE_BYTES >> records->shift;
    records->block = part->base;
    for (int32_t i = 0; i < records->slot_count; i++) {
        struct marks *marks = records->slots[i], *kept = records->earlier_read;
        if (marks->latest < part->low ||
            marks->latest >= part->base) /* the latter: races.c has been there in this block */
            continue;
        if (kept == NULL) {
            records->slots[i] = NULL;
            marks_need(memory, records, &records->slots[i]);
            marks->since = 0; /* all of it is of earlier blocks */
            records->earlier_read = marks;
            continue;
        }
        for (uint32_t granule = 0; granule < count; granule++) {
            bool take = kept->clock[granule] < part->low;
            kept->clock[granule] = take ? marks->clock[granule] : kept->clock[granule];
            kept->who[granule] = take ? marks->who[granule] : kept->who[granule];
            kept->lanes[granule] = take ? marks->lanes[granule] : kept->lanes[granule];
        }
        memset(marks->clock, 0, count * sizeof *marks->clock);
        marks->since = part->base;
        marks->latest = 0;
        marks->owner = -1;
    }
}

/* What the marks of a slot are to a read that may take their place. */
enum slot_state {
    SLOT_OTHER, /* it may not */
    SLOT_OLD,   /* they are old, or of the same warp and in order */
    SLOT_OWN,   /* or they are of the same warp's reads at this clock */
    SLOT_MIXED
};

ALWAYS enum slot_state look_at_slot(const struct part *part, struct marks *marks, bool row)
{
    int32_t floor = part->floor, joined = part->joined, now = part->clock;
    uint32_t me = part->who, count = part->granule_count, recent = 0, differs = 0;
    if (marks->owner == part->access->warp && joined == now - 1)
        return marks->latest <= joined ? SLOT_OLD : SLOT_OWN;
    if (all_old(part, marks)) {
        marks->owner = part->access->warp;
        return SLOT_OLD;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t granule = granule_of(part, i, row);
        int32_t clock = marks->clock[granule];
        uint32_t other_warp = ((marks->who[granule] ^ me) & WHO_WARP) != 0;
        recent |= (uint32_t)(clock > floor) & (other_warp | (uint32_t)(clock > joined));
        differs |= (uint32_t)(clock != now) | other_warp;
    }
    if (recent == 0 && of_block(part, marks))
        return SLOT_OLD;
    if (differs == 0)
        return SLOT_OWN;
    return slot_fits(part, marks, row) ? SLOT_MIXED : SLOT_OTHER;
}

/* The slot that the warp used before, or else the first that the read may take; a new one when there is none. */
ALWAYS struct marks *find_slot(struct memory *memory, struct part *part, bool row, enum slot_state *state)
{
    struct records *records = part->records;
    uint8_t *hint = &records->slot_of_warp[part->access->warp];
    if (*hint < records->slot_count) {
        *state = look_at_slot(part, records->slots[*hint], row);
        if (records->slots[*hint]->owner != part->access->warp)
            records->slots[*hint]->owner = -1;
        if (*state != SLOT_OTHER)
            return records->slots[*hint];
    }
    int32_t slot = 0;
    *state = SLOT_MIXED;
    while (slot < records->slot_count && !slot_fits(part, records->slots[slot], row))
        slot++;
    if (slot == records->slot_count)
        marks_add_slot(memory, records);
    *hint = slot <= UINT8_MAX ? (uint8_t)slot : 0;
    if (records->slots[slot]->owner != part->access->warp)
        records->slots[slot]->owner = all_old(part, records->slots[slot]) ? part->access->warp : -1;
    return records->slots[slot];
}

/* The mark of an earlier block stays known when another takes its place. */
static void keep_earlier(struct memory *memory, const struct part *part, const struct marks *marks)
{
    for (uint32_t i = 0; i < part->granule_count; i++) {
        uint32_t granule = granule_of(part, i, part->row);
        int32_t clock = marks->clock[granule];
        if (clock < part->low || clock >= part->base)
            continue;
        struct marks *kept = marks_need(memory, part->records, &part->records->earlier_read);
        kept->since = 0; /* all of it is of earlier blocks */
        if (kept->clock[granule] >= part->low)
            continue;
        kept->clock[granule] = clock;
        kept->who[granule] = marks->who[granule];
        kept->lanes[granule] = marks->lanes[granule];
    }
}

/* Lanes of the warp that did the same at this clock stay; so do those of this very access, which may touch a granule
 * more than once. */
ALWAYS void join_marks(const struct part *part, struct marks *marks, bool row)
{
    int32_t now = part->clock;
    uint32_t me = part->who, count = part->granule_count;
    const uint32_t *mine = part->granule_lanes;
    int32_t *clock = marks->clock;
    uint32_t *who = marks->who, *lanes = marks->lanes;
    if (row) {
        INDEPENDENT_PASSES
        for (uint32_t i = 0; i < count; i++) {
            uint32_t granule = part->first + i;
            uint32_t joins = (uint32_t)(clock[granule] == now) & (((who[granule] ^ me) & WHO_WARP) == 0);
            lanes[granule] = mine[i] | (lanes[granule] & (0 - joins));
            clock[granule] = now;
            who[granule] = me;
        }
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t granule = part->granules[i];
        uint32_t joins = (uint32_t)(clock[granule] == now) & (((who[granule] ^ me) & WHO_WARP) == 0);
        lanes[granule] = mine[i] | (lanes[granule] & (0 - joins));
        clock[granule] = now;
        who[granule] = me;
    }
}

ALWAYS void set_marks(const struct part *part, struct marks *marks, bool row)
{
    int32_t *restrict clock = marks->clock + (row ? part->first : 0), now = part->clock;
    uint32_t *restrict who = marks->who + (row ? part->first : 0);
    uint32_t *restrict lanes = marks->lanes + (row ? part->first : 0);
    const uint32_t *restrict mine = part->granule_lanes, *restrict granules = part->granules;
    uint32_t me = part->who, count = part->granule_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = row ? i : granules[i];
        clock[at] = now;
        who[at] = me;
        lanes[at] = mine[i];
    }
}

static inline void note_latest(const struct part *part, struct marks *marks)
{
    marks->latest = part->clock > marks->latest ? part->clock : marks->latest;
}

ALWAYS bool run_read(struct memory *memory, struct part *part, bool row)
{
    struct records *records = part->records;
    enum slot_state state;
    if (!no_conflict_in(part, records->write, row))
        return false;
    if (records->earlier_atomic != NULL && any_recent(part, records->earlier_atomic, row))
        return false;
    struct marks *marks = find_slot(memory, part, row, &state);
    if (state == SLOT_MIXED && !of_block(part, marks))
        keep_earlier(memory, part, marks);
    if (state == SLOT_OLD && row)
        set_marks(part, marks, row);
    else
        join_marks(part, marks, row);
    note_latest(part, marks);
    return true;
}

/* Whether two lanes write the same element. */
static bool repeated(struct memory *memory, const struct part *part)
{
    uint32_t differs = 0;
    for (uint32_t i = 0; i < part->count; i++)
        memory->stamp[part->offsets[i]] = (uint8_t)i;
    for (uint32_t i = 0; i < part->count; i++)
        differs |= memory->stamp[part->offsets[i]] ^ i;
    return differs != 0;
}

ALWAYS bool run_write(struct memory *memory, struct part *part, bool row)
{
    struct records *records = part->records;
    if (!row && repeated(memory, part))
        return false;
    if (!no_conflict_in(part, records->write, row))
        return false;
    for (int32_t i = 0; i < records->slot_count; i++)
        if (!no_conflict_in(part, records->slots[i], row))
            return false;
    if (records->earlier_read != NULL && any_recent(part, records->earlier_read, row))
        return false;
    if (records->earlier_atomic != NULL && any_recent(part, records->earlier_atomic, row))
        return false;
    struct marks *marks = marks_need(memory, records, &records->write);
    set_marks(part, marks, row);
    note_latest(part, marks);
    return true;
}

/* ld.global.nc: whoever writes there is at fault, so only that it was read is noted down. */
ALWAYS bool run_read_only(struct memory *memory, struct part *part, bool row)
{
    struct page *page = part->page;
    if (page->read_only == NULL)
        page->read_only = memory_need(calloc(1, sizeof(byte_map)));
    part_set(part, page->read_only);
    set_marks(part, marks_need(memory, part->records, &part->records->cached), row);
    return true;
}

ALWAYS bool run(struct memory *memory, struct part *part, bool row)
{
    switch (part->access->action) {
    case ACCESS_READ_ONLY:
        return part->global ? run_read_only(memory, part, row) : run_read(memory, part, row);
    case ACCESS_WRITE:
        return run_write(memory, part, row);
    default:
        return run_read(memory, part, row);
    }
}

bool races_part(struct memory *memory, struct part *part)
{
    list_granules(memory, part);
    if (part->records->atomics)
        return false;
    if (part->global && part->records->block != part->base)
        fold_slots(memory, part);
    return part->row ? run(memory, part, true) : run(memory, part, false);
}
