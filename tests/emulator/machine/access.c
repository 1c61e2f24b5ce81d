/* Every access of a warp: finds each lane's bytes, refuses what lies outside, and hands the rest to the checks. The lanes
 * of one instruction mostly touch neighbouring bytes, so an access is first cut into runs (memory_internal.h), and whatever
 * is checked or counted is done for a run at a time. */
#include "emulator/machine/memory_internal.h"

#include <stdio.h>

enum space access_space(const struct memory *memory, uint64_t address)
{
    if (memory_in_range(memory, address))
        return SPACE_GLOBAL;
    if (address - SHARED_WINDOW < WINDOW_BYTES)
        return SPACE_SHARED;
    if (address - LOCAL_WINDOW < WINDOW_BYTES)
        return SPACE_LOCAL;
    if (address - PARAMETER_WINDOW < WINDOW_BYTES)
        return SPACE_PARAMETER;
    return SPACE_NONE;
}

static const char *action_name(enum access_action action)
{
    static const char *const names[] = {"a read", "a read through ld.global.nc", "a write", "an atomic operation"};
    return names[action];
}

static bool writes(enum access_action action)
{
    return action == ACCESS_WRITE || action == ACCESS_ATOMIC;
}

/* ---- where the bytes are ---- */

static bool refuse_bounds(struct memory *memory, const struct access *access, enum space space, int32_t lane)
{
    uint64_t address = access->addresses[lane];
    char place[160];
    report_place(memory, address, (uint64_t)access->bytes, place, sizeof place);
    struct machine_access side = report_side(memory, access, lane);
    report_access(memory, CHECK_BOUNDS, &side, NULL, address, "%s of %d bytes of %s memory: %s",
                  action_name(access->action), access->bytes, space_name(space), place);
    return false;
}

static bool refuse_alignment(struct memory *memory, const struct access *access, int32_t lane)
{
    struct machine_access side = report_side(memory, access, lane);
    report_access(memory, CHECK_ALIGNMENT, &side, NULL, access->addresses[lane],
                  "%s of %d bytes at an address that is no multiple of %d", action_name(access->action), access->bytes,
                  access->bytes);
    return false;
}

/* The page and the offset in it of one lane's bytes; NULL when not all of them belong to someone. */
static struct page *find_page(struct memory *memory, const struct request *request, int32_t lane, uint32_t *offset)
{
    uint64_t address = request->access->addresses[lane], bytes = (uint64_t)request->access->bytes;
    if (request->space == SPACE_GLOBAL) {
        struct page *page = shadow_page(memory, address);
        *offset = (uint32_t)(address & (PAGE_BYTES - 1));
        return page != NULL && *offset >= page->begin && *offset + bytes <= page->end ? page : NULL;
    }
    bool shared = request->space == SPACE_SHARED;
    struct window *window = shared ? &memory->shared : &memory->local;
    uint64_t place = address - (shared ? SHARED_WINDOW : LOCAL_WINDOW);
    if (place >= window->size || bytes > window->size - place)
        return NULL;
    if (!shared)
        place += (uint64_t)(request->access->warp * LANES + lane) * window->stride;
    *offset = (uint32_t)(place & (PAGE_BYTES - 1));
    return shadow_window_page(memory, window, place);
}

/* Whether the element at `offset` goes on where the run ends, or is the one element of the run once more. */
static bool extend_run(struct run *run, const struct page *page, uint32_t offset, uint32_t bytes, int32_t lane)
{
    if (run->page != page)
        return false;
    uint32_t count = (uint32_t)__builtin_popcount(run->lanes);
    bool repeats = run->bytes == bytes && offset == run->offset;
    bool follows =
        offset == run->offset + run->bytes && count * bytes == run->bytes && lane == run->lane + (int32_t)count;
    if (follows)
        run->bytes += bytes;
    if (follows || repeats)
        run->lanes |= UINT32_C(1) << lane;
    return follows || repeats;
}

static bool resolve_lanes(struct memory *memory, struct request *request, void *pointers[LANES])
{
    uint32_t bytes = (uint32_t)request->access->bytes;
    for (uint32_t lanes = request->lanes; lanes != 0; lanes &= lanes - 1) {
        int32_t lane = __builtin_ctz(lanes);
        uint32_t offset = 0;
        struct page *page = find_page(memory, request, lane, &offset);
        if (page == NULL)
            return refuse_bounds(memory, request->access, request->space, lane);
        pointers[lane] = page->bytes + offset;
        if (request->run_count > 0 && extend_run(&request->runs[request->run_count - 1], page, offset, bytes, lane))
            continue;
        request->runs[request->run_count++] = (struct run){page, offset, bytes, lane, UINT32_C(1) << lane};
    }
    return true;
}

static bool resolve_parameters(struct memory *memory, const struct request *request, void *pointers[LANES])
{
    const struct access *access = request->access;
    for (uint32_t lanes = request->lanes; lanes != 0; lanes &= lanes - 1) {
        int32_t lane = __builtin_ctz(lanes);
        uint64_t offset = access->addresses[lane] - PARAMETER_WINDOW, length = memory->launch.parameter_bytes;
        if (offset >= length || (uint64_t)access->bytes > length - offset)
            return refuse_bounds(memory, access, SPACE_PARAMETER, lane);
        if (writes(access->action)) {
            struct machine_access side = report_side(memory, access, lane);
            report_access(memory, CHECK_READ_ONLY, &side, NULL, access->addresses[lane],
                          "%s at byte %llu of the kernel's parameters", action_name(access->action),
                          (unsigned long long)offset);
            return false;
        }
        pointers[lane] = (uint8_t *)(uintptr_t)memory->launch.parameters + offset;
    }
    return true;
}

/* All 32 lanes touch neighbouring bytes of one page of global or shared memory: the commonest access. */
static bool resolve_row(struct memory *memory, struct request *request, void *pointers[LANES])
{
    const struct access *access = request->access;
    uint64_t first = access->addresses[0], bytes = (uint64_t)access->bytes, difference = 0;
    if (request->lanes != UINT32_MAX || request->space > SPACE_SHARED)
        return false;
    for (uint64_t lane = 0; lane < LANES; lane++)
        difference |= access->addresses[lane] ^ (first + lane * bytes);
    uint32_t offset = 0;
    if (difference != 0 || (first & (PAGE_BYTES - 1)) + LANES * bytes > PAGE_BYTES)
        return false;
    struct page *page = find_page(memory, request, 0, &offset);
    uint64_t last = first + (LANES - 1) * bytes;
    if (page == NULL || (request->space == SPACE_GLOBAL && offset + LANES * bytes > page->end) ||
        (request->space == SPACE_SHARED && last - SHARED_WINDOW + bytes > memory->shared.size))
        return false; /* resolve_lanes says which lane it is */
    for (uint64_t lane = 0; lane < LANES; lane++)
        pointers[lane] = page->bytes + offset + lane * bytes;
    request->runs[0] = (struct run){page, offset, (uint32_t)(LANES * bytes), 0, UINT32_MAX};
    request->run_count = 1;
    return true;
}

bool access_aligned(struct memory *memory, const struct access *access, uint32_t lanes)
{
    uint64_t bits = 0;
    for (int32_t lane = 0; lane < LANES; lane++)
        bits |= access->addresses[lane] & (uint64_t)(access->bytes - 1) & -(uint64_t)(lanes >> lane & 1);
    if (bits == 0)
        return true;
    while ((access->addresses[__builtin_ctz(lanes)] & (uint64_t)(access->bytes - 1)) == 0)
        lanes &= lanes - 1;
    return refuse_alignment(memory, access, __builtin_ctz(lanes));
}

bool access_resolve(struct memory *memory, struct request *request, void *pointers[LANES])
{
    const struct access *access = request->access;
    request->run_count = 0;
    if (request->space == SPACE_NONE)
        return refuse_bounds(memory, access, SPACE_NONE, __builtin_ctz(request->lanes));
    if (request->space == SPACE_PARAMETER)
        return resolve_parameters(memory, request, pointers);
    if (!resolve_row(memory, request, pointers) && !resolve_lanes(memory, request, pointers))
        return false;
    if (request->space == SPACE_GLOBAL)
        for (int32_t i = 0; i < request->run_count; i++)
            if (request->runs[i].page->age != memory->launch_age)
                shadow_touch(memory, request->runs[i].page);
    return true;
}

/* ---- checks ---- */

/* The address that a program would name for a byte of a run. */
uint64_t run_address(const struct request *request, const struct run *run, uint32_t offset)
{
    const struct access *access = request->access;
    return access->addresses[run_lane(request, run, offset)] + (offset - run->offset) % (uint32_t)access->bytes;
}

static void check_defined(struct memory *memory, const struct request *request)
{
    for (int32_t i = 0; i < request->run_count; i++) {
        const struct run *run = &request->runs[i];
        uint32_t found = map_find(run->page->defined, run->offset, run->bytes, false);
        if (found == UINT32_MAX)
            continue;
        const struct access *access = request->access;
        struct machine_access side = report_side(memory, access, run_lane(request, run, found));
        report_access(memory, CHECK_UNINITIALISED, &side, NULL, run_address(request, run, found),
                      "%s of %d bytes of %s memory that nobody wrote", action_name(access->action), access->bytes,
                      space_name(request->space));
        return;
    }
}

static void define(const struct request *request)
{
    for (int32_t i = 0; i < request->run_count; i++)
        map_set(request->runs[i].page->defined, request->runs[i].offset, request->runs[i].bytes);
}

void access_check(struct memory *memory, const struct request *request)
{
    enum access_action action = request->access->action;
    traffic_count(memory, request);
    if (memory->checks) {
        bool reported =
            async_check(memory, request, "the destination of a cp.async is touched before the copy is waited for");
        if (!reported && action != ACCESS_WRITE)
            check_defined(memory, request);
        races_access(memory, request, !reported);
    }
    if (writes(action))
        define(request);
}

static bool access_lanes(struct memory *memory, struct request *request, void *pointers[LANES])
{
    if (!access_aligned(memory, request->access, request->lanes) || !access_resolve(memory, request, pointers))
        return false;
    if (request->space != SPACE_PARAMETER)
        access_check(memory, request);
    return true;
}

bool memory_access(struct memory *memory, const struct access *access, void *pointers[32])
{
    struct request request;
    request.access = access;
    for (uint32_t left = access->lanes; left != 0; left &= ~request.lanes) {
        request.space = access_space(memory, access->addresses[__builtin_ctz(left)]);
        request.lanes = 0;
        for (uint32_t lanes = left; lanes != 0; lanes &= lanes - 1) {
            int32_t lane = __builtin_ctz(lanes);
            if (access_space(memory, access->addresses[lane]) == request.space)
                request.lanes |= UINT32_C(1) << lane;
        }
        if (!access_lanes(memory, &request, pointers))
            return false;
    }
    return true;
}
