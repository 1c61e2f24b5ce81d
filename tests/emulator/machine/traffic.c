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
        if (read && !map_has_all(run->page->read, run->offset, run->bytes))
            counters->global_bytes_read += map_set_new(run->page->read, run->offset, run->bytes);
        if (write && !map_has_all(run->page->written, run->offset, run->bytes))
            counters->global_bytes_written += map_set_new(run->page->written, run->offset, run->bytes);
    }
}

/* ---- shared memory ---- */

/* Of a group of lanes that is served together. In each wavefront a bank gives one word, to as many lanes as want it, so the
 * bank with the most distinct words decides. Elements of 8 and 16 bytes lie in 2 and 4 neighbouring banks, always the
 * same ones together, and count as words of 16 and 8 wider banks. */
static int64_t group_wavefronts(const struct access *access, uint32_t lanes)
{
    uint64_t width = access->bytes > BANK_BYTES ? (uint64_t)access->bytes : BANK_BYTES;
    uint32_t shift = (uint32_t)__builtin_ctzll(width);
    uint8_t words[BANKS] = {0}, most = 0;
    struct set seen = {{0}};
    for (; lanes != 0; lanes &= lanes - 1) {
        uint64_t word = (access->addresses[__builtin_ctz(lanes)] - SHARED_WINDOW) >> shift;
        if (!set_add(&seen, word))
            continue;
        uint64_t bank = word % (WAVEFRONT_BYTES / width);
        words[bank]++;
        most = words[bank] > most ? words[bank] : most;
    }
    return most;
}

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
    for (int32_t lane = 0; lane < LANES; lane += group) {
        uint32_t lanes = (uint32_t)((UINT64_C(1) << group) - 1) << lane & request->lanes;
        if (lanes != 0)
            counters->shared_wavefronts += group_wavefronts(access, lanes);
    }
}

void traffic_count(struct memory *memory, const struct request *request)
{
    if (request->space == SPACE_GLOBAL)
        count_global(memory, request);
    else if (request->space == SPACE_SHARED)
        count_shared(memory, request);
}
