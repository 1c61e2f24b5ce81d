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

static struct page *page_at(struct memory *memory, enum space space, uint64_t place)
{
    if (space == SPACE_GLOBAL)
        return shadow_page(memory, place);
    return shadow_window_page(memory, space == SPACE_SHARED ? &memory->shared : &memory->local, place);
}

/* Where a lane's bytes lie: its address, or its offset in a window (local: that of all threads). False: outside of it. */
static inline bool find_place(const struct memory *memory, const struct request *request, int32_t lane, uint64_t *place)
{
    *place = request->access->addresses[lane];
    if (request->space == SPACE_GLOBAL)
        return true;
    bool shared = request->space == SPACE_SHARED;
    const struct window *window = shared ? &memory->shared : &memory->local;
    uint64_t bytes = (uint64_t)request->access->bytes;
    *place -= shared ? SHARED_WINDOW : LOCAL_WINDOW;
    if (*place >= window->size || bytes > window->size - *place)
        return false;
    *place += shared ? 0 : (uint64_t)(request->access->warp * LANES + lane) * window->stride;
    return true;
}

static bool resolve_lanes(struct memory *memory, struct request *request, void *pointers[LANES])
{
    uint32_t bytes = (uint32_t)request->access->bytes, elements = 0;
    struct run *run = NULL;
    struct page *page = NULL;
    uint64_t page_place = 1; /* of `page`; no page begins there */
    for (uint32_t lanes = request->lanes; lanes != 0; lanes &= lanes - 1) {
        int32_t lane = __builtin_ctz(lanes);
        uint64_t place;
        if (!find_place(memory, request, lane, &place))
            return refuse_bounds(memory, request->access, request->space, lane);
        uint32_t offset = (uint32_t)(place & (PAGE_BYTES - 1));
        if (place - offset != page_place) {
            page = page_at(memory, request->space, place);
            page_place = place - offset;
        }
        if (page == NULL || offset < page->begin || offset + bytes > page->end)
            return refuse_bounds(memory, request->access, request->space, lane);
        pointers[lane] = page->bytes + offset;
        bool same_page = run != NULL && run->page == page;
        bool follows =
            same_page && elements > 0 && offset == run->offset + run->bytes && lane == run->lane + (int32_t)elements;
        if (follows) {
            run->bytes += bytes;
            elements++;
        } else if (same_page && offset == run->offset && run->bytes == bytes) {
            elements = 0; /* one element for several lanes: nothing can follow */
        } else {
            run = &request->runs[request->run_count++];
            *run = (struct run){page, offset, bytes, lane, 0};
            elements = 1;
        }
        run->lanes |= lanes & -lanes;
    }
    return true;
}

/* A row crosses the end of a page at most once, between two elements. */
static bool resolve_row(struct memory *memory, struct request *request, void *pointers[LANES])
{
    const struct access *access = request->access;
    uint64_t bytes = (uint64_t)access->bytes, total = LANES * bytes, place;
    if (request->space > SPACE_SHARED || !find_place(memory, request, 0, &place))
        return false;
    if (request->space == SPACE_SHARED && total > memory->shared.size - place)
        return false;
    uint64_t offset = place & (PAGE_BYTES - 1), part = total < PAGE_BYTES - offset ? total : PAGE_BYTES - offset;
    struct page *page = page_at(memory, request->space, place);
    if (page == NULL || offset < page->begin || offset + part > page->end)
        return false;
    int32_t count = (int32_t)(part / bytes);
    uint32_t lanes = count == LANES ? UINT32_MAX : (UINT32_C(1) << count) - 1;
    request->runs[0] = (struct run){page, (uint32_t)offset, (uint32_t)part, 0, lanes};
    request->run_count = 1;
    uint8_t *first = page->bytes + offset;
    if (part < total) {
        page = page_at(memory, request->space, place + part);
        if (page == NULL || page->begin > 0 || total - part > page->end)
            return false;
        request->runs[1] = (struct run){page, 0, (uint32_t)(total - part), count, ~lanes};
        request->run_count = 2;
    }
    for (uint64_t lane = 0; lane < LANES; lane++) /* pages that follow each other do so on the host, too */
        pointers[lane] = first + lane * bytes;
    return true;
}

static bool resolve_one(struct memory *memory, struct request *request, void *pointers[LANES])
{
    uint32_t bytes = (uint32_t)request->access->bytes;
    int32_t first = __builtin_ctz(request->lanes);
    uint64_t place;
    if (request->space > SPACE_SHARED || !find_place(memory, request, first, &place))
        return false;
    uint32_t offset = (uint32_t)(place & (PAGE_BYTES - 1));
    struct page *page = page_at(memory, request->space, place);
    if (page == NULL || offset < page->begin || offset + bytes > page->end)
        return false;
    request->runs[0] = (struct run){page, offset, bytes, first, request->lanes};
    request->run_count = 1;
    for (int32_t lane = 0; lane < LANES; lane++)
        pointers[lane] = page->bytes + offset;
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

bool request_aligned(struct memory *memory, const struct request *request)
{
    const struct access *access = request->access;
    uint64_t bits = access->addresses[__builtin_ctz(request->lanes)], mask = (uint64_t)(access->bytes - 1);
    for (uint32_t lane = 0; request->shape == SHAPE_OTHER && lane < LANES; lane++)
        bits |= access->addresses[lane] & -(uint64_t)(request->lanes >> lane & 1);
    if ((bits & mask) == 0)
        return true;
    uint32_t lanes = request->lanes;
    while ((access->addresses[__builtin_ctz(lanes)] & mask) == 0)
        lanes &= lanes - 1;
    return refuse_alignment(memory, access, __builtin_ctz(lanes));
}

static enum shape shape_of(const struct access *access, uint32_t lanes)
{
    const uint64_t *addresses = access->addresses;
    uint64_t first = addresses[0], step = addresses[1] - first, difference = 0;
    if (lanes != UINT32_MAX || (step != 0 && step != (uint64_t)access->bytes))
        return SHAPE_OTHER;
    for (uint64_t lane = 0; lane < LANES; lane++)
        difference |= addresses[lane] ^ (first + lane * step);
    return difference != 0 ? SHAPE_OTHER : step == 0 ? SHAPE_ONE : SHAPE_ROW;
}

void request_begin(const struct memory *memory, struct request *request, const struct access *access, uint32_t lanes)
{
    request->access = access;
    request->lanes = lanes;
    request->run_count = 0;
    request->shape = shape_of(access, lanes);
    request->space = lanes != 0 ? access_space(memory, access->addresses[__builtin_ctz(lanes)]) : SPACE_NONE;
}

bool request_resolve(struct memory *memory, struct request *request, void *pointers[LANES])
{
    const struct access *access = request->access;
    if (request->space == SPACE_NONE)
        return refuse_bounds(memory, access, SPACE_NONE, __builtin_ctz(request->lanes));
    if (request->space == SPACE_PARAMETER)
        return resolve_parameters(memory, request, pointers);
    if (!(request->shape == SHAPE_ROW && resolve_row(memory, request, pointers)) &&
        !(request->shape == SHAPE_ONE && resolve_one(memory, request, pointers))) {
        request->run_count = 0;
        if (!resolve_lanes(memory, request, pointers)) /* it also says which lane is at fault */
            return false;
    }
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
        if (map_has_all(run->page->defined, run->offset, run->bytes))
            continue;
        uint32_t found = map_find(run->page->defined, run->offset, run->bytes, false);
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

void request_check(struct memory *memory, const struct request *request)
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

static bool run_request(struct memory *memory, struct request *request, void *pointers[LANES])
{
    if (!request_aligned(memory, request) || !request_resolve(memory, request, pointers))
        return false;
    if (request->space != SPACE_PARAMETER)
        request_check(memory, request);
    return true;
}

/* The lanes whose addresses are of the first one's space. */
static uint32_t lanes_of_space(const struct memory *memory, const struct access *access, uint32_t lanes)
{
    enum space space = access_space(memory, access->addresses[__builtin_ctz(lanes)]);
    uint32_t found = 0;
    for (; lanes != 0; lanes &= lanes - 1)
        if (access_space(memory, access->addresses[__builtin_ctz(lanes)]) == space)
            found |= lanes & -lanes;
    return found;
}

bool memory_access(struct memory *memory, const struct access *access, void *pointers[32])
{
    if (access_lanes(memory, access, pointers))
        return true;
    struct request request;
    request_begin(memory, &request, access, access->lanes);
    if (request.shape != SHAPE_OTHER)
        return run_request(memory, &request, pointers);
    for (uint32_t left = access->lanes; left != 0; left &= ~request.lanes) {
        uint32_t lanes = lanes_of_space(memory, access, left);
        if (lanes != access->lanes)
            request_begin(memory, &request, access, lanes);
        if (!run_request(memory, &request, pointers))
            return false;
    }
    return true;
}
