/* What accesses cost on a device, counted as its profiler counts: 32-byte sectors and distinct bytes of global memory,
 * wavefronts of shared memory. */
#include "emulator/machine/memory_internal.h"

enum { SECTOR_SHIFT = 5, BANKS = 32, BANK_BYTES = 4, WAVEFRONT_BYTES = BANKS * BANK_BYTES };

/* ---- distinct numbers of one instruction ---- */

/* An open hash table, at most half full. Numbers are kept plus one: 0 is a free place. */
enum { SET_PLACES = 64 };
struct set {
    uint64_t places[SET_PLACES];
};

/* True when the number is new. */
static bool set_add(struct set *set, uint64_t number)
{
    uint32_t place = (uint32_t)((number * UINT64_C(0x9E3779B97F4A7C15)) >> 58);
    for (; set->places[place] != 0; place = (place + 1) % SET_PLACES)
        if (set->places[place] == number + 1)
            return false;
    set->places[place] = number + 1;
    return true;
}

/* ---- global memory ---- */

static int64_t count_sectors(const struct request *request)
{
    const struct access *access = request->access;
    uint64_t first = access->addresses[0];
    if (request->shape == SHAPE_ONE)
        return 1;
    if (request->shape == SHAPE_ROW)
        return (int64_t)(((first + LANES * (uint64_t)access->bytes - 1) >> SECTOR_SHIFT) - (first >> SECTOR_SHIFT) + 1);
    struct set sectors = {{0}};
    int64_t count = 0;
    for (uint32_t lanes = request->lanes; lanes != 0; lanes &= lanes - 1)
        count += set_add(&sectors, access->addresses[__builtin_ctz(lanes)] >> SECTOR_SHIFT);
    return count;
}

static uint32_t count_new(uint64_t *map, uint32_t *known, uint32_t offset, uint32_t bytes)
{
    uint32_t added = map_has_all(map, offset, bytes) ? 0 : map_set_new(map, offset, bytes);
    *known += added;
    return added;
}

static void count_global(struct memory *memory, const struct request *request)
{
    struct machine_counters *counters = machine_counters_of(memory->machine);
    enum access_action action = request->access->action;
    bool read = action != ACCESS_WRITE, write = action == ACCESS_WRITE || action == ACCESS_ATOMIC;
    int64_t sectors = count_sectors(request);
    counters->global_sectors_read += read ? sectors : 0;
    counters->global_sectors_written += write ? sectors : 0;
    for (int32_t i = 0; i < request->run_count; i++) {
        const struct run *run = &request->runs[i];
        if (read)
            counters->global_bytes_read += count_new(run->page->read, &run->page->read_bytes, run->offset, run->bytes);
        if (write)
            counters->global_bytes_written +=
                count_new(run->page->written, &run->page->written_bytes, run->offset, run->bytes);
    }
}

/* ---- shared memory ---- */

static void count_shared(struct memory *memory, const struct request *request)
{
    struct machine_counters *counters = machine_counters_of(memory->machine);
    const struct access *access = request->access;
    /* 4 bytes or fewer: all 32 lanes together; 8 bytes: 16 at a time; 16 bytes: 8 at a time. */
    int32_t group = access->bytes <= BANK_BYTES ? LANES : WAVEFRONT_BYTES / access->bytes;
    int64_t threads = request->lanes == UINT32_MAX ? LANES : __builtin_popcount(request->lanes);
    counters->shared_wavefronts_ideal += (threads * access->bytes + WAVEFRONT_BYTES - 1) / WAVEFRONT_BYTES;
    if (request->shape != SHAPE_OTHER) { /* neighbours, or one element for all: no conflict in any group */
        counters->shared_wavefronts += LANES / group;
        return;
    }
    uint32_t offsets[LANES];
    for (int32_t lane = 0; lane < LANES; lane++)
        offsets[lane] = (uint32_t)(access->addresses[lane] - SHARED_WINDOW);
    counters->shared_wavefronts += traffic_wavefronts(offsets, request->lanes, (uint32_t)access->bytes);
}

void traffic_count(struct memory *memory, const struct request *request)
{
    if (request->space == SPACE_GLOBAL)
        count_global(memory, request);
    else if (request->space == SPACE_SHARED)
        count_shared(memory, request);
}
