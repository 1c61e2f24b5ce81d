/* The access as nearly all are: every lane is inside global or inside shared memory, nothing about it is wrong, and no
 * cp.async is under way there. All that access.c, traffic.c and races.c do about an access is done here in loops over the
 * lanes that have no branches. Whatever does not pass in these loops is left to those files, which find out
 * what is the matter and report it: here nothing is ever reported, and what has been noted down before a doubt came up is
 * only what they note down as well. */
#include "emulator/machine/memory_internal.h"

enum { SECTOR_SHIFT = 5, BANKS = 32, BANK_BYTES = 4, WAVEFRONT_BYTES = BANKS * BANK_BYTES };
enum { LOOKS = 16 };        /* at a page's defined bytes, after which all of them are looked at */
enum { MOST_SEGMENTS = 4 }; /* that are handled as rows */

/* ---- shared memory's wavefronts ---- */

/* In each wavefront a bank gives one word, to as many lanes as want it. So each round serves one word of every bank, and
 * the lanes that wanted another go on to the next. `words` is used up. */
static int64_t serve_banks(uint32_t *words, uint32_t count, uint32_t banks)
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

/* Of `banks` lanes that are all there. Mostly each wants a bank of its own, or the words lie so near each other that no
 * two of them share one. */
static inline int64_t serve_group(uint32_t *words, uint32_t banks)
{
    uint32_t wanted = 0, least = words[0], most = words[0];
    for (uint32_t i = 0; i < banks; i++) {
        wanted |= UINT32_C(1) << words[i] % banks;
        least = words[i] < least ? words[i] : least;
        most = words[i] > most ? words[i] : most;
    }
    if (most - least < banks || wanted == UINT32_MAX >> (BANKS - banks))
        return 1;
    return serve_banks(words, banks, banks);
}

int64_t traffic_wavefronts(const uint32_t offsets[LANES], uint32_t lanes, uint32_t bytes)
{
    /* 4 bytes or fewer: all 32 lanes together; 8 bytes: 16 at a time; 16 bytes: 8 at a time. Elements of 8 and 16 bytes
     * lie in 2 and 4 neighbouring banks, always the same ones together, and count as words of 16 and 8 wider banks. */
    uint32_t width = bytes > BANK_BYTES ? bytes : BANK_BYTES, banks = WAVEFRONT_BYTES / width;
    uint32_t shift = (uint32_t)__builtin_ctz(width), words[LANES];
    int64_t sum = 0;
    for (uint32_t i = 0; i < LANES; i++)
        words[i] = offsets[i] >> shift;
    if (lanes == UINT32_MAX) {
        if (banks == BANKS)
            return serve_group(words, BANKS);
        for (uint32_t lane = 0; lane < LANES; lane += banks)
            sum += banks == 8 ? serve_group(words + lane, 8) : serve_group(words + lane, 16);
        return sum;
    }
    for (uint32_t lane = 0; lane < LANES; lane += banks) {
        uint32_t count = 0, group[BANKS];
        for (uint32_t i = lane; i < lane + banks; i++) {
            group[count] = words[i];
            count += lanes >> i & 1;
        }
        sum += serve_banks(group, count, banks);
    }
    return sum;
}

/* ---- global memory's sectors ---- */

/* The distinct sectors of lanes whose addresses do not descend; -1: they do somewhere. */
static int64_t count_ascending(const uint32_t offsets[LANES])
{
    uint32_t descends = 0, changes = 0;
    for (uint32_t lane = 1; lane < LANES; lane++) {
        uint32_t before = offsets[lane - 1] >> SECTOR_SHIFT, now = offsets[lane] >> SECTOR_SHIFT;
        descends |= now - before;
        changes += now != before;
    }
    return descends >> 31 != 0 ? -1 : (int64_t)changes + 1;
}

/* ---- where the lanes' bytes are ---- */

/* Where all lanes are, as 32-bit offsets from an address that is a multiple of a page. Lanes that take no part have the offset of
 * the first that does. */
struct places {
    enum space space;
    enum shape shape;
    uint64_t origin;
    uint32_t offsets[LANES];
};

/* False: some lane is too far away from the first, outside shared memory, or at no multiple of the size. */
static bool find_places(const struct memory *memory, const struct access *access, struct places *places)
{
    const uint64_t *addresses = access->addresses;
    uint64_t first = addresses[__builtin_ctz(access->lanes)], far = 0, size = memory->shared.size;
    uint32_t bytes = (uint32_t)access->bytes, *offsets = places->offsets, bits = 0, most = 0;
    bool shared = first - SHARED_WINDOW < WINDOW_BYTES;
    places->space = shared ? SPACE_SHARED : SPACE_GLOBAL;
    places->origin = shared ? SHARED_WINDOW : (first & ~(uint64_t)(PAGE_BYTES - 1)) - (UINT64_C(1) << 31);
    if (access->lanes == UINT32_MAX)
        for (uint32_t lane = 0; lane < LANES; lane++) {
            uint64_t offset = addresses[lane] - places->origin;
            offsets[lane] = (uint32_t)offset;
            far |= offset >> 32;
        }
    else
        for (uint32_t lane = 0; lane < LANES; lane++) {
            uint64_t offset = ((access->lanes >> lane & 1) != 0 ? addresses[lane] : first) - places->origin;
            offsets[lane] = (uint32_t)offset;
            far |= offset >> 32;
        }
    for (uint32_t lane = 0; lane < LANES; lane++) {
        bits |= offsets[lane];
        most = offsets[lane] > most ? offsets[lane] : most;
    }
    if (far != 0 || (bits & (bytes - 1)) != 0)
        return false;
    return !shared || (bytes <= size && most <= size - bytes);
}

static enum shape find_shape(const uint32_t offsets[LANES], uint32_t lanes, uint32_t bytes)
{
    uint32_t step = offsets[1] - offsets[0], differs = 0;
    if (lanes != UINT32_MAX || (step != 0 && step != bytes))
        return SHAPE_OTHER;
    for (uint32_t lane = 0; lane < LANES; lane++)
        differs |= offsets[lane] ^ (offsets[0] + lane * step);
    return differs != 0 ? SHAPE_OTHER : step == 0 ? SHAPE_ONE : SHAPE_ROW;
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

/* A page whose every byte is defined soon needs no further looks. */
static bool bytes_defined(const struct part *part)
{
    struct page *page = part->page;
    if (!bytes_have(part, page->defined))
        return false;
    if (++page->looks % LOOKS == 0)
        page->all_defined = map_has_all(page->defined, 0, PAGE_BYTES);
    return true;
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
        if (!write && !page->all_defined && !bytes_defined(part))
            return false;
        if (write && part->global && page->read_only != NULL && bytes_have_any(part, page->read_only))
            return false;
        if (action == ACCESS_READ_ONLY && part->global && bytes_have_any(part, page->written))
            return false;
        if (!races_part(memory, part))
            return false;
    }
    if (write && !page->all_defined)
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

/* `length` bytes of neighbours from lane `lane` on. */
static bool run_row(struct memory *memory, struct part *part, enum space space, uint64_t address, uint32_t lane,
                    uint32_t length)
{
    uint32_t bytes = (uint32_t)part->access->bytes;
    part->row = true;
    while (length > 0) { /* twice when it crosses the end of a page, between two elements */
        struct page *page = part->page = find_page(memory, space, address);
        part->offset = (uint32_t)(address & (PAGE_BYTES - 1));
        part->length = length < PAGE_BYTES - part->offset ? length : PAGE_BYTES - part->offset;
        part->lane = lane;
        if (page == NULL || part->offset < page->begin || part->offset + part->length > page->end ||
            !run_part(memory, part))
            return false;
        address += part->length;
        length -= part->length;
        lane += part->length / bytes;
    }
    return true;
}

/* A few rows, such as those of a tile that is narrower than a warp; bit l of `starts`: with lane l a new row begins. */
static bool run_segments(struct memory *memory, struct part *part, const struct places *places, uint32_t starts)
{
    uint32_t bytes = (uint32_t)part->access->bytes;
    for (uint32_t rest = starts; rest != 0; rest &= rest - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(rest), after = rest & (rest - 1);
        uint32_t next = after != 0 ? (uint32_t)__builtin_ctz(after) : LANES;
        if (!run_row(memory, part, places->space, places->origin + places->offsets[lane], lane, (next - lane) * bytes))
            return false;
    }
    return true;
}

/* ---- any other lanes ---- */

/* The lanes of `rest` whose bytes lie in the page of the first of them. */
static uint32_t take_page(struct part *part, const uint32_t offsets[LANES], uint32_t rest)
{
    uint32_t number = offsets[__builtin_ctz(rest)] >> PAGE_SHIFT, taken = 0, count = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t here = (uint32_t)(offsets[lane] >> PAGE_SHIFT == number) & rest >> lane & 1;
        part->offsets[count] = offsets[lane] & (PAGE_BYTES - 1);
        part->lanes[count] = UINT32_C(1) << lane;
        taken |= here << lane;
        count += here;
    }
    part->count = count;
    return taken;
}

/* Lanes next to each other that read one element become one. Bit l of `changes`: lane l has another element than the
 * one before it. */
static void merge_lanes(struct part *part, uint32_t changes)
{
    uint32_t count = 0;
    for (uint32_t rest = changes; rest != 0; rest &= rest - 1) {
        uint32_t first = rest & -rest, next = (rest & (rest - 1)) & -(rest & (rest - 1));
        part->offsets[count] = part->offsets[__builtin_ctz(first)];
        part->lanes[count++] = next - first; /* without a next one: all bits from the first on */
    }
    part->count = count;
}

/* As take_page when it takes all 32 lanes; false where they are on more pages than one. */
static bool take_all(const struct memory *memory, struct part *part, const uint32_t offsets[LANES], uint32_t changes)
{
    uint32_t differs = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        differs |= offsets[lane] ^ offsets[0];
        part->offsets[lane] = offsets[lane] & (PAGE_BYTES - 1);
    }
    if (differs >= PAGE_BYTES)
        return false;
    memcpy(part->lanes, memory->lane_bits, sizeof part->lanes);
    part->count = LANES;
    if (changes != UINT32_MAX && part->access->action != ACCESS_WRITE)
        merge_lanes(part, changes);
    return true;
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

static bool run_lanes(struct memory *memory, struct part *part, const struct places *places)
{
    const uint32_t *offsets = places->offsets;
    uint32_t changes = 1, starts = 1, bytes = (uint32_t)part->access->bytes;
    if (part->access->lanes == UINT32_MAX) {
        for (uint32_t lane = 1; lane < LANES; lane++) {
            uint32_t step = offsets[lane] - offsets[lane - 1];
            changes |= step != 0 ? memory->lane_bits[lane] : 0;
            starts |= step != bytes ? memory->lane_bits[lane] : 0;
        }
        if (__builtin_popcount(starts) <= MOST_SEGMENTS)
            return run_segments(memory, part, places, starts);
    }
    part->row = false;
    for (uint32_t rest = part->access->lanes; rest != 0;) {
        uint32_t first = (uint32_t)__builtin_ctz(rest);
        bool all = rest == UINT32_MAX && take_all(memory, part, offsets, changes);
        uint32_t taken = all ? UINT32_MAX : take_page(part, offsets, rest);
        part->page = find_page(memory, places->space, places->origin + offsets[first]);
        if (part->page == NULL || !within_page(part) || !run_part(memory, part))
            return false;
        rest &= ~taken;
    }
    return true;
}

static bool run_one(struct memory *memory, struct part *part, const struct places *places)
{
    uint64_t address = places->origin + places->offsets[0];
    part->row = false;
    part->count = 1;
    part->offsets[0] = (uint32_t)address & (PAGE_BYTES - 1);
    part->lanes[0] = UINT32_MAX;
    part->page = find_page(memory, places->space, address);
    return part->page != NULL && within_page(part) && run_part(memory, part);
}

/* ---- all of an access ---- */

static void count(struct memory *memory, const struct access *access, const struct places *places, int64_t sectors)
{
    struct machine_counters *counters = machine_counters_of(memory->machine);
    if (places->space == SPACE_GLOBAL) {
        *(access->action == ACCESS_WRITE ? &counters->global_sectors_written : &counters->global_sectors_read) +=
            sectors;
        return;
    }
    int64_t bytes = access->bytes;
    int64_t threads = access->lanes == UINT32_MAX ? LANES : __builtin_popcount(access->lanes);
    counters->shared_wavefronts_ideal += (threads * bytes + WAVEFRONT_BYTES - 1) / WAVEFRONT_BYTES;
    if (places->shape == SHAPE_OTHER)
        counters->shared_wavefronts += traffic_wavefronts(places->offsets, access->lanes, (uint32_t)bytes);
    else /* neighbours, or one element for all: no conflict in any group */
        counters->shared_wavefronts += bytes <= BANK_BYTES ? 1 : LANES * bytes / WAVEFRONT_BYTES;
}

bool access_lanes(struct memory *memory, const struct access *access, void *pointers[LANES])
{
    struct places places;
    struct part part;
    uint32_t bytes = (uint32_t)access->bytes;
    if (access->action == ACCESS_ATOMIC || access->lanes == 0 || !find_places(memory, access, &places))
        return false;
    int64_t sectors = 0;
    if (places.space == SPACE_GLOBAL && (sectors = count_ascending(places.offsets)) < 0)
        return false;
    places.shape = find_shape(places.offsets, access->lanes, bytes);
    if (places.shape == SHAPE_ONE && access->action == ACCESS_WRITE)
        return false;
    part.access = access;
    part.global = places.space == SPACE_GLOBAL;
    part.element = ~UINT64_C(0) >> (64 - bytes);
    races_part_begin(memory, &part);
    uint64_t first = places.origin + places.offsets[0];
    bool good = places.shape == SHAPE_ROW   ? run_row(memory, &part, places.space, first, 0, LANES * bytes)
                : places.shape == SHAPE_ONE ? run_one(memory, &part, &places)
                                            : run_lanes(memory, &part, &places);
    if (!good)
        return false;
    count(memory, access, &places, sectors);
    uint64_t bias = part.global ? places.origin : (uint64_t)(uintptr_t)memory->shared.bytes;
    for (uint32_t lane = 0; lane < LANES; lane++)
        pointers[lane] = (void *)(uintptr_t)(places.offsets[lane] + bias);
    return true;
}
