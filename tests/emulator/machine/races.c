/* Races: two accesses of a byte, one of them writing, not both atomic, of which neither is known to have happened before
 * the other (order.c). Checked against what marks.c remembers, as in Flanagan and Freund's FastTrack: of writes the last is
 * enough, of reads and atomic operations those that no later one stands for. What an earlier block of the launch did is
 * never ordered; blocks run one after the other, so one of its accesses of each kind stands for all.
 *
 * Nearly all accesses are of rows whose marks are old, or the same lanes' own: a loop without branches over a row finds
 * that out, and only where it does not are granules looked at one by one. */
#include "emulator/machine/memory_internal.h"

enum { LARGEST_GRANULES = 1 << LARGEST_SHIFT }; /* of one element */

/* One run of a request, in granules. */
struct row {
    struct memory *memory;
    const struct request *request;
    const struct run *run;
    struct records *records;
    uint32_t first, count;
    uint32_t who;
    int32_t low, base, floor, clock;     /* as in struct order; low is base for shared memory */
    const uint32_t *lanes;               /* [count] */
    uint32_t repeated[LARGEST_GRANULES]; /* lanes of an element that several touch */
    bool race, block_race;               /* reported */
};

static bool start_row(struct row *row, struct memory *memory, const struct request *request)
{
    const struct access *access = request->access;
    const struct order *order = &memory->order;
    row->memory = memory;
    row->request = request;
    row->low = request->space == SPACE_GLOBAL ? order->launch_base : order->block_base;
    row->base = order->block_base;
    row->floor = order->floor[access->warp];
    row->clock = order->clock[access->warp];
    row->race = row->block_race = false;
    row->who = (uint32_t)access->warp | (access->action == ACCESS_ATOMIC ? WHO_ATOMIC : 0) |
               site_number(memory, access->file, access->line) << WHO_SITE_SHIFT;
    return request->space == SPACE_GLOBAL || request->space == SPACE_SHARED;
}

static void set_row(struct row *row, const struct run *run)
{
    uint32_t bytes = (uint32_t)row->request->access->bytes;
    row->run = run;
    row->records = marks_records(row->memory, run->page, bytes | run->offset);
    uint32_t shift = row->records->shift, granules = bytes >> shift;
    row->first = run->offset >> shift;
    row->count = run->bytes >> shift;
    if (run->bytes > bytes) {
        row->lanes = row->memory->lane_bits + LANES * (granules - 1) + (uint32_t)run->lane * granules;
        return;
    }
    for (uint32_t i = 0; i < LARGEST_GRANULES; i++)
        row->repeated[i] = run->lanes;
    row->lanes = row->repeated;
}

/* ---- checks ---- */

static void report_conflict(struct row *row, const struct marks *marks, uint32_t i, uint32_t others, bool earlier_block)
{
    bool *reported = earlier_block ? &row->block_race : &row->race;
    if (*reported)
        return;
    *reported = true;
    uint32_t granule = row->first + i;
    const struct access *access = row->request->access;
    const struct order *order = &row->memory->order;
    int32_t lane = __builtin_ctz(row->lanes[i]), other_lane = __builtin_ctz(others);
    for (uint32_t lanes = row->lanes[i]; !earlier_block && lanes != 0; lanes &= lanes - 1) /* the one that conflicts */
        if (order_conflict(order, access->warp, lanes & -lanes, (int32_t)(marks->who[granule] & WHO_WARP), others,
                           marks->clock[granule]) != 0)
            lane = __builtin_ctz(lanes);
    bool wrote = marks == row->records->write;
    struct machine_access side = report_side(row->memory, access, lane);
    struct machine_access other = report_mark(row->memory, marks, granule, other_lane, wrote);
    static const char *const actions[] = {"a read", "a read", "a write", "an atomic operation"};
    const char *before = wrote ? "write" : (marks->who[granule] & WHO_ATOMIC) != 0 ? "atomic operation" : "read";
    uint32_t offset = granule << row->records->shift;
    uint64_t address = run_address(row->request, row->run, offset < row->run->offset ? row->run->offset : offset);
    if (earlier_block)
        report_access(row->memory, CHECK_BLOCK_RACE, &side, &other, address,
                      "%s of global memory after another block's %s in the same launch", actions[access->action],
                      before);
    else
        report_access(row->memory, CHECK_RACE, &side, &other, address,
                      "%s of %s memory after a%s %s, with no barrier between them", actions[access->action],
                      space_name(row->request->space), before[0] == 'a' ? "n" : "", before);
}

/* Whether some mark is of this launch (shared memory: block) but not below the floor. */
static bool recent(const struct row *row, const struct marks *marks)
{
    const int32_t *clock = marks->clock + row->first;
    int32_t low = row->low, base = row->base, floor = row->floor, found = 0, count = (int32_t)row->count;
    if (low == base)
        for (int32_t i = 0; i < count; i++)
            found |= clock[i] > floor;
    else
        for (int32_t i = 0; i < count; i++)
            found |= (clock[i] > floor) | ((clock[i] >= low) & (clock[i] < base));
    return found != 0;
}

/* Whether some mark may conflict: it is recent, and not the same single lane's own. */
static bool suspicious(const struct row *row, const struct marks *marks)
{
    if (!recent(row, marks))
        return false;
    const int32_t *clock = marks->clock + row->first;
    const uint32_t *who = marks->who + row->first, *lanes = marks->lanes + row->first, *mine = row->lanes;
    uint32_t warp = row->who & WHO_WARP, count = row->count, bad = 0;
    int32_t low = row->low, base = row->base, floor = row->floor;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t now = clock[i] >= base, single = (mine[i] & (mine[i] - 1)) == 0;
        uint32_t own = ((who[i] & WHO_WARP) == warp) & (lanes[i] == mine[i]) & single;
        bad |= (uint32_t)(clock[i] >= low) & (1 - (now & ((uint32_t)(clock[i] <= floor) | own)));
    }
    return bad != 0;
}

/* `atomic`, `plain`: which marks an access conflicts with. */
static void check_marks(struct row *row, const struct marks *marks, bool atomic, bool plain)
{
    if (marks == NULL || !suspicious(row, marks))
        return;
    const struct access *access = row->request->access;
    for (uint32_t i = 0; i < row->count; i++) {
        uint32_t granule = row->first + i, who = marks->who[granule];
        int32_t clock = marks->clock[granule];
        if (clock < row->low || ((who & WHO_ATOMIC) != 0 ? !atomic : !plain))
            continue;
        uint32_t others = marks->lanes[granule];
        if (clock >= row->base)
            others = order_conflict(&row->memory->order, access->warp, row->lanes[i], (int32_t)(who & WHO_WARP), others,
                                    clock);
        if (others != 0)
            report_conflict(row, marks, i, others, clock < row->base);
    }
}

static void check_row(struct row *row)
{
    struct records *records = row->records;
    enum access_action action = row->request->access->action;
    bool atomic = action != ACCESS_ATOMIC, plain = action == ACCESS_WRITE || action == ACCESS_ATOMIC;
    check_marks(row, records->write, true, true);
    for (int32_t i = 0; i < records->slot_count && (plain || records->atomics); i++)
        check_marks(row, records->slots[i], atomic, plain);
    if (plain)
        check_marks(row, records->earlier_read, atomic, plain);
    if (atomic)
        check_marks(row, records->earlier_atomic, atomic, plain);
}

/* Several lanes write one element in the same instruction. */
static void check_same_instruction(struct row *row)
{
    const struct run *run = row->run;
    uint32_t rest = run->lanes & (run->lanes - 1);
    if (row->request->access->action != ACCESS_WRITE || row->race ||
        run->bytes > (uint32_t)row->request->access->bytes || rest == 0)
        return;
    row->race = true;
    struct machine_access side = report_side(row->memory, row->request->access, __builtin_ctz(rest));
    struct machine_access other = report_side(row->memory, row->request->access, run->lane);
    report_access(row->memory, CHECK_RACE, &side, &other, run_address(row->request, run, run->offset),
                  "two lanes write the same bytes of %s memory in one instruction", space_name(row->request->space));
}

/* ---- ld.global.nc ---- */

/* The last mark of a write in the launch at a byte; NULL when nothing is remembered. */
static const struct marks *last_write(const struct row *row, uint32_t granule)
{
    const struct records *records = row->records;
    if (records->write != NULL && records->write->clock[granule] >= row->low)
        return records->write;
    for (int32_t i = 0; i < records->slot_count; i++)
        if (records->slots[i]->clock[granule] >= row->low && (records->slots[i]->who[granule] & WHO_ATOMIC) != 0)
            return records->slots[i];
    return records->earlier_atomic != NULL && records->earlier_atomic->clock[granule] >= row->low
               ? records->earlier_atomic
               : NULL;
}

/* True when reported. */
static bool check_read_only(struct row *row)
{
    bool read = row->request->access->action == ACCESS_READ_ONLY;
    const uint64_t *map = read ? row->run->page->written : row->run->page->read_only;
    uint32_t found = map != NULL ? map_find(map, row->run->offset, row->run->bytes, true) : UINT32_MAX;
    if (found == UINT32_MAX)
        return false;
    uint32_t granule = found >> row->records->shift;
    const struct marks *marks = read ? last_write(row, granule) : row->records->cached;
    struct machine_access side =
        report_side(row->memory, row->request->access, run_lane(row->request, row->run, found));
    struct machine_access other = {.thread = -2};
    if (marks != NULL && marks->clock[granule] >= row->low)
        other = report_mark(row->memory, marks, granule, __builtin_ctz(marks->lanes[granule]), read);
    report_access(row->memory, CHECK_READ_ONLY, &side, &other, run_address(row->request, row->run, found),
                  read ? "ld.global.nc of memory that the same launch writes"
                       : "a write of memory that the same launch reads through ld.global.nc");
    return true;
}

/* ---- records ---- */

static inline void note_latest(const struct row *row, struct marks *marks)
{
    marks->latest = row->clock > marks->latest ? row->clock : marks->latest;
    marks->owner = -1; /* races_lanes.c looks anew */
}

static void set_marks(const struct row *row, struct marks *marks)
{
    note_latest(row, marks);
    int32_t *restrict clock = marks->clock + row->first, now = row->clock;
    uint32_t *restrict who = marks->who + row->first, *restrict lanes = marks->lanes + row->first;
    const uint32_t *restrict mine = row->lanes;
    uint32_t me = row->who, count = row->count;
    for (uint32_t i = 0; i < count; i++) {
        clock[i] = now;
        who[i] = me;
        lanes[i] = mine[i];
    }
}

/* Whether all marks of the row in a slot may make way for this access: they are nothing, an earlier block's, or of its kind
 * and such that whoever conflicts with them also conflicts with it. */
static bool replaceable(const struct row *row, const struct marks *marks, bool *earlier)
{
    const int32_t *clock = marks->clock + row->first;
    const uint32_t *who = marks->who + row->first, *lanes = marks->lanes + row->first, *mine = row->lanes;
    int32_t low = row->low, base = row->base, floor = row->floor, now = row->clock;
    uint32_t me = row->who, count = row->count, bad = 0, before = 0;
    if (clock[0] > floor && ((who[0] ^ me) & WHO_WARP) != 0)
        return false; /* another warp's, as those after it mostly are: there is no need to look at them */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t same_kind = ((who[i] ^ me) & WHO_ATOMIC) == 0, same_warp = ((who[i] ^ me) & WHO_WARP) == 0;
        uint32_t joins = same_warp & ((uint32_t)(clock[i] == now) | ((lanes[i] & ~mine[i]) == 0));
        bad |= (uint32_t)(clock[i] >= base) & (1 - (same_kind & ((uint32_t)(clock[i] <= floor) | joins)));
        before |= (uint32_t)(clock[i] >= low) & (uint32_t)(clock[i] < base);
    }
    *earlier = before != 0;
    return bad == 0;
}

static void keep_earlier(struct row *row, const struct marks *marks)
{
    struct records *records = row->records;
    for (uint32_t granule = row->first; granule < row->first + row->count; granule++) {
        int32_t clock = marks->clock[granule];
        if (clock < row->low || clock >= row->base)
            continue;
        bool atomic = (marks->who[granule] & WHO_ATOMIC) != 0;
        struct marks *kept =
            marks_need(row->memory, records, atomic ? &records->earlier_atomic : &records->earlier_read);
        kept->since = 0; /* all of it is of earlier blocks */
        if (kept->clock[granule] >= row->low)
            continue;
        kept->clock[granule] = clock;
        kept->who[granule] = marks->who[granule];
        kept->lanes[granule] = marks->lanes[granule];
    }
}

/* As set_marks, but lanes of the warp that did the same at this clock stay. */
static void join_marks(const struct row *row, struct marks *marks)
{
    note_latest(row, marks);
    int32_t *restrict clock = marks->clock + row->first, now = row->clock;
    uint32_t *restrict who = marks->who + row->first, *restrict lanes = marks->lanes + row->first;
    const uint32_t *restrict mine = row->lanes;
    uint32_t me = row->who, count = row->count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t joins = (uint32_t)(clock[i] == now) & (((who[i] ^ me) & (WHO_WARP | WHO_ATOMIC)) == 0);
        lanes[i] = mine[i] | (lanes[i] & (0 - joins));
        clock[i] = now;
        who[i] = me;
    }
}

/* Whether a slot holds this very access already: of these lanes, at this clock. */
static bool already(const struct row *row, const struct marks *marks)
{
    const int32_t *clock = marks->clock + row->first;
    const uint32_t *who = marks->who + row->first, *lanes = marks->lanes + row->first, *mine = row->lanes;
    uint32_t me = row->who, count = row->count, differs = 0;
    int32_t now = row->clock;
    if (clock[0] != now)
        return false;
    for (uint32_t i = 0; i < count; i++)
        differs |= (uint32_t)(clock[i] ^ now) | ((who[i] ^ me) & (WHO_WARP | WHO_ATOMIC)) | (mine[i] & ~lanes[i]);
    return differs == 0;
}

static void record_slot(struct row *row)
{
    struct records *records = row->records;
    bool atomic = row->request->access->action == ACCESS_ATOMIC, mixed = atomic || records->atomics;
    records->atomics |= atomic;
    for (int32_t i = 0; i < records->slot_count; i++) {
        struct marks *marks = records->slots[i];
        bool earlier = false;
        if (!mixed && !recent(row, marks)) { /* below the floor, so not of this clock */
            set_marks(row, marks);
            return;
        }
        if (already(row, marks))
            return;
        if (!replaceable(row, marks, &earlier))
            continue;
        if (earlier)
            keep_earlier(row, marks);
        join_marks(row, marks);
        return;
    }
    set_marks(row, marks_add_slot(row->memory, records));
}

static void record_row(struct row *row)
{
    struct records *records = row->records;
    enum access_action action = row->request->access->action;
    if (action == ACCESS_READ_ONLY && row->request->space == SPACE_GLOBAL) {
        struct page *page = row->run->page;
        if (page->read_only == NULL)
            page->read_only = memory_need(calloc(1, sizeof(byte_map)));
        map_set(page->read_only, row->run->offset, row->run->bytes);
        set_marks(row, marks_need(row->memory, records, &records->cached));
    } else if (action == ACCESS_WRITE) {
        set_marks(row, marks_need(row->memory, records, &records->write));
    } else {
        record_slot(row);
    }
}

/* ---- both at once ---- */

/* As `recent`, of few granules; what the same lanes of the warp did counts as old. */
static inline bool few_old(const struct row *row, const struct marks *marks)
{
    uint32_t me = row->who, mine = row->lanes[0];
    for (uint32_t granule = row->first; granule < row->first + row->count; granule++) {
        int32_t clock = marks->clock[granule];
        bool old = clock < row->low || (clock >= row->base && clock <= row->floor);
        bool own = clock >= row->base && ((marks->who[granule] ^ me) & (WHO_WARP | WHO_ATOMIC)) == 0 &&
                   marks->lanes[granule] == mine;
        if (!old && !own)
            return false;
    }
    return true;
}

/* A plain access of one lane, as of a column or a gather: true when nothing can conflict, and it is remembered. */
static bool access_few(struct row *row)
{
    struct records *records = row->records;
    uint32_t mine = row->lanes[0];
    bool write = row->request->access->action == ACCESS_WRITE;
    struct marks *marks = records->write;
    if (row->run->bytes > (uint32_t)row->request->access->bytes || (mine & (mine - 1)) != 0 || records->atomics ||
        (marks != NULL && !few_old(row, marks)))
        return false;
    if (write && (marks == NULL || records->earlier_read != NULL))
        return false;
    int32_t i = 0;
    while (i < records->slot_count && few_old(row, records->slots[i]) == write)
        i++;
    if ((i < records->slot_count) == write) /* a read wants one that is old, a write all */
        return false;
    marks = write ? marks : records->slots[i];
    note_latest(row, marks);
    for (uint32_t granule = row->first; granule < row->first + row->count; granule++) {
        marks->clock[granule] = row->clock;
        marks->who[granule] = row->who;
        marks->lanes[granule] = mine;
    }
    return true;
}

void races_access(struct memory *memory, const struct request *request, bool check)
{
    struct row row;
    if (!start_row(&row, memory, request))
        return;
    enum access_action action = request->access->action;
    bool global = request->space == SPACE_GLOBAL, read_only_reported = !check;
    for (int32_t i = 0; i < request->run_count; i++) {
        set_row(&row, &request->runs[i]);
        bool simple = action == ACCESS_READ || (action == ACCESS_WRITE && request->runs[i].page->read_only == NULL);
        if (simple && check && access_few(&row))
            continue;
        if (!read_only_reported && global && action != ACCESS_READ)
            read_only_reported = check_read_only(&row);
        if (check && !(global && action == ACCESS_READ_ONLY)) { /* of those, whoever writes there is at fault */
            check_row(&row);
            check_same_instruction(&row);
        }
        record_row(&row); /* before the next run: runs of one instruction may overlap */
    }
}
