/* What accesses cost on a device, counted as its profiler counts: 32-byte sectors and distinct bytes of global memory,
 * wavefronts of shared memory. */
#include "emulator/machine/memory_internal.h"

enum { SECTOR_SHIFT = 5, BANKS = 32, WAVEFRONT_BYTES = 128 };

/* ---- global memory ---- */

/* Distinct sectors of one instruction. Lanes mostly come in ascending order; others are looked for among all before. */
static int64_t count_sectors(const struct request *request)
{
    uint64_t seen[LANES];
    int64_t count = 0;
    if (request->run_count == 1) {
        const struct run *run = &request->runs[0];
        return (int64_t)(((run->offset + run->bytes - 1) >> SECTOR_SHIFT) - (run->offset >> SECTOR_SHIFT) + 1);
    }
    for (uint32_t lanes = request->lanes; lanes != 0; lanes &= lanes - 1) {
        uint64_t sector = request->access->addresses[__builtin_ctz(lanes)] >> SECTOR_SHIFT;
        int64_t i = count - 1;
        while (i >= 0 && seen[i] != sector)
            i--;
        if (i < 0)
            seen[count++] = sector;
    }
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
        if (read)
            counters->global_bytes_read += map_set_new(run->page->read, run->offset, run->bytes);
        if (write)
            counters->global_bytes_written += map_set_new(run->page->written, run->offset, run->bytes);
    }
}

/* ---- shared memory ---- */

/* Of one group of lanes that is served together: in each wavefront a bank gives one word of 4 bytes, to as many lanes as
 * want it, so the bank with the most distinct words decides. */
static int64_t group_wavefronts(const struct access *access, uint32_t lanes)
{
    uint32_t words[BANKS][LANES], most = 0;
    uint8_t count[BANKS] = {0};
    uint32_t words_per_lane = access->bytes > 4 ? (uint32_t)access->bytes / 4 : 1;
    for (; lanes != 0; lanes &= lanes - 1) {
        uint32_t first = (uint32_t)((access->addresses[__builtin_ctz(lanes)] - SHARED_WINDOW) / 4);
        for (uint32_t word = first; word < first + words_per_lane; word++) {
            uint32_t bank = word % BANKS, i = 0;
            while (i < count[bank] && words[bank][i] != word)
                i++;
            if (i == count[bank])
                words[bank][count[bank]++] = word;
            most = count[bank] > most ? count[bank] : most;
        }
    }
    return most;
}

static void count_shared(struct memory *memory, const struct request *request)
{
    struct machine_counters *counters = machine_counters_of(memory->machine);
    const struct access *access = request->access;
    int64_t asked = (int64_t)__builtin_popcount(request->lanes) * access->bytes, wavefronts = 0;
    counters->shared_wavefronts_ideal += (asked + WAVEFRONT_BYTES - 1) / WAVEFRONT_BYTES;
    /* 4 bytes or fewer: all 32 lanes together; 8 bytes: 16 at a time; 16 bytes: 8 at a time. */
    int32_t group = access->bytes <= 4 ? LANES : WAVEFRONT_BYTES / access->bytes;
    bool row = request->run_count == 1; /* neighbours, or one element for all: no conflict in any group */
    for (int32_t lane = 0; lane < LANES; lane += group) {
        uint32_t lanes = (uint32_t)((UINT64_C(1) << group) - 1) << lane & request->lanes;
        if (lanes != 0)
            wavefronts += row ? 1 : group_wavefronts(access, lanes);
    }
    counters->shared_wavefronts += wavefronts;
}

void traffic_count(struct memory *memory, const struct request *request)
{
    if (request->space == SPACE_GLOBAL)
        count_global(memory, request);
    else if (request->space == SPACE_SHARED)
        count_shared(memory, request);
}
