/* The access as nearly all are: every lane is inside global or inside shared memory, nothing about it is wrong, and no
 * cp.async is under way there. All that access.c, traffic.c and races.c do about an access is done here in loops over the
 * lanes that have no branches. Whatever does not pass in these loops is left to those files, which find out
 * what is the matter and report it: here nothing is ever reported, and what has been noted down before a doubt came up is
 * only what they note down as well. */
#include "emulator/machine/memory_internal.h"

enum { SECTOR_SHIFT = 5, BANKS = 32, BANK_BYTES = 4, WAVEFRONT_BYTES = BANKS * BANK_BYTES };

/* ---- shared memory's wavefronts ---- */

/* In each wavefront a bank gives one word, to as many lanes as want it. So each round serves one word of every bank, and
 * the lanes that wanted another go on to the next. `words` is used up. */
static int64_t count_wavefronts(uint32_t *words, uint32_t count, uint32_t banks)
{
    uint32_t served[BANKS];
    int64_t rounds = 0;
    while (count > 0) {
        uint32_t left = 0;
        for (uint32_t i = 0; i < count; i++)
            served[words[i] % banks] = words[i];
        for (uint32_t i = 0; i < count; i++) {
            uint32_t word = words[i];
            words[left] = word;
            left += served[word % banks] != word;
        }
        count = left;
        rounds++;
    }
    return rounds;
}

int64_t traffic_wavefronts(const uint64_t *addresses, uint32_t lanes, uint32_t bytes)
{
    /* 4 bytes or fewer: all 32 lanes together; 8 bytes: 16 at a time; 16 bytes: 8 at a time. Elements of 8 and 16 bytes
     * lie in 2 and 4 neighbouring banks, always the same ones together, and count as words of 16 and 8 wider banks. */
    uint32_t width = bytes > BANK_BYTES ? bytes : BANK_BYTES, banks = WAVEFRONT_BYTES / width;
    uint32_t shift = (uint32_t)__builtin_ctz(width), words[LANES];
    int64_t sum = 0;
    for (uint32_t lane = 0; lane < LANES; lane += banks) {
        uint32_t count = 0;
        for (uint32_t i = lane; i < lane + banks; i++) {
            words[count] = (uint32_t)((addresses[i] - SHARED_WINDOW) >> shift);
            count += lanes >> i & 1;
        }
        sum += count_wavefronts(words, count, banks);
    }
    return sum;
}

/* ---- global memory's sectors ---- */

/* The distinct sectors of lanes whose addresses do not descend; -1: they do somewhere. Lanes that take no part have the
 * address of one that does. */
static int64_t count_ascending(const uint64_t addresses[LANES])
{
    uint64_t descends = 0, changes = 0;
    for (uint32_t lane = 1; lane < LANES; lane++) {
        uint64_t before = addresses[lane - 1] >> SECTOR_SHIFT, now = addresses[lane] >> SECTOR_SHIFT;
        descends |= (now - before) >> 63;
        changes += now != before;
    }
    return descends != 0 ? -1 : (int64_t)changes + 1;
}

/* ---- where the lanes' bytes are ---- */

/* A copy of the addresses in which lanes that take no part have the address of the first that does. */
static void fill_addresses(const struct access *access, uint64_t addresses[LANES])
{
    uint64_t first = access->addresses[__builtin_ctz(access->lanes)];
    if (access->lanes == UINT32_MAX)
        memcpy(addresses, access->addresses, LANES * sizeof *addresses);
    else
        for (uint32_t lane = 0; lane < LANES; lane++)
            addresses[lane] = (access->lanes >> lane & 1) != 0 ? access->addresses[lane] : first;
}

/* The space that all lanes are in, their addresses multiples of the size; SPACE_NONE where this is not so. */
static enum space common_space(const struct memory *memory, const uint64_t addresses[LANES], uint64_t bytes)
{
    uint64_t bits = 0, least = UINT64_MAX, most = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint64_t address = addresses[lane];
        bits |= address;
        least = address < least ? address : least;
        most = address > most ? address : most;
    }
    if ((bits & (bytes - 1)) != 0)
        return SPACE_NONE;
    if (least >= memory->base && most - memory->base < memory->span)
        return SPACE_GLOBAL;
    bool shared =
        least >= SHARED_WINDOW && memory->shared.size >= bytes && most <= SHARED_WINDOW + memory->shared.size - bytes;
    return shared ? SPACE_SHARED : SPACE_NONE;
}

static struct page *find_page(struct memory *memory, enum space space, uint64_t address)
{
    if (space == SPACE_SHARED)
        return shadow_window_page(memory, &memory->shared, address - SHARED_WINDOW);
    struct page *page = shadow_page(memory, address);
    if (page != NULL && page->age != memory->launch_age)
        shadow_touch(memory, page);
    return page;
}

/* ---- one page ---- */

static bool bytes_have(const struct part *part, const uint64_t *map)
{
    if (part->row)
        return map_has_all(map, part->offset, part->length);
    uint64_t element = part->element, missing = 0;
    for (uint32_t i = 0; i < part->count; i++)
        missing |= ~(map[part->offsets[i] / 64] >> part->offsets[i] % 64) & element;
    return missing == 0;
}

static bool bytes_have_any(const struct part *part, const uint64_t *map)
{
    if (part->row)
        return map_find(map, part->offset, part->length, true) != UINT32_MAX;
    uint64_t element = part->element, found = 0;
    for (uint32_t i = 0; i < part->count; i++)
        found |= map[part->offsets[i] / 64] >> part->offsets[i] % 64 & element;
    return found != 0;
}

void part_set(const struct part *part, uint64_t *map)
{
    if (part->row)
        map_set(map, part->offset, part->length);
    else
        for (uint32_t i = 0; i < part->count; i++)
            map[part->offsets[i] / 64] |= part->element << part->offsets[i] % 64;
}

static void count_touched(const struct part *part, uint64_t *map, uint32_t *known, int64_t *counter)
{
    uint32_t added = 0;
    if (*known == part->page->end - part->page->begin || bytes_have(part, map))
        return;
    if (part->row)
        added = map_set_new(map, part->offset, part->length);
    else
        for (uint32_t i = 0; i < part->count; i++)
            added += map_set_new(map, part->offsets[i], (uint32_t)part->access->bytes);
    *known += added;
    *counter += added;
}

/* False: a careful look is needed. */
static bool run_part(struct memory *memory, struct part *part)
{
    struct page *page = part->page;
    enum access_action action = part->access->action;
    bool write = action == ACCESS_WRITE;
    if (memory->checks) {
        if (page->under_way > 0 && bytes_have_any(part, page->pending))
            return false;
        if (write && page->sources > 0)
            return false;
        if (!write && !bytes_have(part, page->defined))
            return false;
        if (write && part->global && page->read_only != NULL && bytes_have_any(part, page->read_only))
            return false;
        if (action == ACCESS_READ_ONLY && part->global && bytes_have_any(part, page->written))
            return false;
        if (!races_part(memory, part))
            return false;
    }
    if (write)
        part_set(part, page->defined);
    if (part->global) {
        struct machine_counters *counters = machine_counters_of(memory->machine);
        if (write)
            count_touched(part, page->written, &page->written_bytes, &counters->global_bytes_written);
        else
            count_touched(part, page->read, &page->read_bytes, &counters->global_bytes_read);
    }
    return true;
}

/* ---- rows ---- */

static bool run_row(struct memory *memory, struct part *part, enum space space, uint64_t address)
{
    uint32_t bytes = (uint32_t)part->access->bytes, left = LANES * bytes, lane = 0;
    part->row = true;
    if (space == SPACE_SHARED && left > SHARED_WINDOW + memory->shared.size - address)
        return false;
    while (left > 0) { /* twice when it crosses the end of a page, between two elements */
        struct page *page = part->page = find_page(memory, space, address);
        part->offset = (uint32_t)(address & (PAGE_BYTES - 1));
        part->length = left < PAGE_BYTES - part->offset ? left : PAGE_BYTES - part->offset;
        part->lane = lane;
        if (page == NULL || part->offset < page->begin || part->offset + part->length > page->end ||
            !run_part(memory, part))
            return false;
        address += part->length;
        left -= part->length;
        lane += part->length / bytes;
    }
    return true;
}

/* ---- any other lanes ---- */

/* The lanes of `rest` whose bytes lie in the page of the first of them. */
static uint32_t take_page(struct part *part, const uint64_t addresses[LANES], uint32_t rest)
{
    uint64_t number = addresses[__builtin_ctz(rest)] >> PAGE_SHIFT;
    uint32_t taken = 0, count = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t here = (uint32_t)(addresses[lane] >> PAGE_SHIFT == number) & rest >> lane & 1;
        part->offsets[count] = (uint32_t)addresses[lane] & (PAGE_BYTES - 1);
        part->lanes[count] = UINT32_C(1) << lane;
        taken |= here << lane;
        count += here;
    }
    part->count = count;
    return taken;
}

static bool within_page(const struct part *part)
{
    const struct page *page = part->page;
    uint32_t outside = 0, bytes = (uint32_t)part->access->bytes;
    if (page->begin == 0 && page->end == PAGE_BYTES)
        return true;
    for (uint32_t i = 0; i < part->count; i++)
        outside |= (uint32_t)(part->offsets[i] < page->begin) | (uint32_t)(part->offsets[i] + bytes > page->end);
    return outside == 0;
}

static bool run_lanes(struct memory *memory, struct part *part, enum space space, const uint64_t addresses[LANES])
{
    part->row = false;
    for (uint32_t rest = part->access->lanes; rest != 0;) {
        uint32_t first = (uint32_t)__builtin_ctz(rest);
        uint32_t taken = take_page(part, addresses, rest);
        part->page = find_page(memory, space, addresses[first]);
        if (part->page == NULL || !within_page(part) || !run_part(memory, part))
            return false;
        rest &= ~taken;
    }
    return true;
}

static bool run_one(struct memory *memory, struct part *part, enum space space, uint64_t address)
{
    part->row = false;
    part->count = 1;
    part->offsets[0] = (uint32_t)address & (PAGE_BYTES - 1);
    part->lanes[0] = UINT32_MAX;
    part->page = find_page(memory, space, address);
    return part->page != NULL && within_page(part) && run_part(memory, part);
}

/* ---- all of an access ---- */

static void count(struct memory *memory, const struct access *access, enum shape shape, enum space space,
                  const uint64_t addresses[LANES], int64_t sectors)
{
    struct machine_counters *counters = machine_counters_of(memory->machine);
    if (space == SPACE_GLOBAL) {
        *(access->action == ACCESS_WRITE ? &counters->global_sectors_written : &counters->global_sectors_read) +=
            sectors;
        return;
    }
    int64_t bytes = access->bytes;
    int64_t threads = access->lanes == UINT32_MAX ? LANES : __builtin_popcount(access->lanes);
    counters->shared_wavefronts_ideal += (threads * bytes + WAVEFRONT_BYTES - 1) / WAVEFRONT_BYTES;
    if (shape == SHAPE_OTHER)
        counters->shared_wavefronts += traffic_wavefronts(addresses, access->lanes, (uint32_t)bytes);
    else /* neighbours, or one element for all: no conflict in any group */
        counters->shared_wavefronts += bytes <= BANK_BYTES ? 1 : LANES * bytes / WAVEFRONT_BYTES;
}

bool access_lanes(struct memory *memory, const struct access *access, enum shape shape, void *pointers[LANES])
{
    uint64_t addresses[LANES], bytes = (uint64_t)access->bytes;
    struct part part;
    if (access->action == ACCESS_ATOMIC || access->lanes == 0 || (shape == SHAPE_ONE && access->action == ACCESS_WRITE))
        return false;
    fill_addresses(access, addresses);
    enum space space = common_space(memory, addresses, bytes);
    if (space == SPACE_NONE)
        return false;
    int64_t sectors = 0;
    if (space == SPACE_GLOBAL && (sectors = count_ascending(addresses)) < 0)
        return false;
    part.access = access;
    part.global = space == SPACE_GLOBAL;
    part.element = ~UINT64_C(0) >> (64 - bytes);
    races_part_begin(memory, &part);
    bool good = shape == SHAPE_ROW   ? run_row(memory, &part, space, addresses[0])
                : shape == SHAPE_ONE ? run_one(memory, &part, space, addresses[0])
                                     : run_lanes(memory, &part, space, addresses);
    if (!good)
        return false;
    if (shape == SHAPE_ROW && space == SPACE_GLOBAL) /* elements of a row may be larger than a sector's part */
        sectors = (int64_t)(((addresses[0] + LANES * bytes - 1) >> SECTOR_SHIFT) - (addresses[0] >> SECTOR_SHIFT) + 1);
    count(memory, access, shape, space, addresses, sectors);
    uint64_t bias = space == SPACE_GLOBAL ? 0 : (uint64_t)(uintptr_t)memory->shared.bytes - SHARED_WINDOW;
    for (uint32_t lane = 0; lane < LANES; lane++)
        pointers[lane] = (void *)(uintptr_t)(addresses[lane] + bias);
    return true;
}
