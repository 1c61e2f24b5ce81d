/* Asynchronous copies from global to shared memory (cp.async). A device may move the bytes at any moment between the
 * instruction and the wait for its group. So nobody may touch the destination, or write the source, in between; here the
 * bytes are moved as late as possible, or at once when the settings say so, and both must give the same results. */
#include "emulator/machine/memory_internal.h"

struct async_copy {
    struct async_copy *next, *previous;
    struct access access; /* of the destination; its addresses are the next member */
    uint64_t addresses[LANES], sources[LANES];
    int32_t source_bytes[LANES];
    void *to[LANES], *from[LANES];
    struct request destination;
    bool moved;
};

/* ---- who else is at work there ---- */

static bool overlaps(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

/* The copy under way one of whose lanes writes to (or reads from) the bytes. */
static const struct async_copy *find_copy(const struct memory *memory, uint64_t address, uint64_t bytes,
                                          bool destination, int32_t *lane)
{
    for (const struct async_copy *copy = memory->copies; copy != NULL; copy = copy->next)
        for (uint32_t lanes = copy->access.lanes; lanes != 0; lanes &= lanes - 1) {
            *lane = __builtin_ctz(lanes);
            if (destination ? overlaps(address, bytes, copy->addresses[*lane], (uint64_t)copy->access.bytes)
                            : overlaps(address, bytes, copy->sources[*lane], (uint64_t)copy->source_bytes[*lane]))
                return copy;
        }
    return NULL;
}

/* True when reported. */
static bool report_copy(struct memory *memory, const struct request *request, const struct run *run, uint32_t offset,
                        bool destination, const char *text)
{
    const struct access *access = request->access;
    int32_t lane = run_lane(request, run, offset), other_lane = 0;
    uint64_t address = access->addresses[lane];
    const struct async_copy *copy = find_copy(memory, address, (uint64_t)access->bytes, destination, &other_lane);
    if (copy == NULL)
        return false;
    struct machine_access side = report_side(memory, access, lane),
                          other = report_side(memory, &copy->access, other_lane);
    other.write = destination;
    report_access(memory, CHECK_ASYNC, &side, &other, address, "%s", text);
    return true;
}

bool async_check(struct memory *memory, const struct request *request, const char *text)
{
    if (memory->copies == NULL)
        return false;
    bool write = request->access->action == ACCESS_WRITE || request->access->action == ACCESS_ATOMIC;
    for (int32_t i = 0; i < request->run_count; i++) {
        const struct run *run = &request->runs[i];
        uint32_t found = UINT32_MAX;
        if (run->page->pending != NULL)
            found = map_find(run->page->pending, run->offset, run->bytes, true);
        if (found != UINT32_MAX && report_copy(memory, request, run, found, true, text))
            return true;
        if (!write || run->page->sources == 0)
            continue;
        for (uint32_t offset = run->offset; offset < run->offset + run->bytes;
             offset += (uint32_t)request->access->bytes)
            if (report_copy(memory, request, run, offset, false,
                            "the source of a cp.async is written before the copy is waited for"))
                return true;
    }
    return false;
}

/* ---- begin ---- */

/* Lanes may read fewer bytes than they fill: those with the same number are one request. */
static bool read_sources(struct memory *memory, struct async_copy *copy, bool first)
{
    struct access access = copy->access;
    access.action = ACCESS_READ;
    access.addresses = copy->sources;
    uint32_t left = 0;
    for (uint32_t lanes = copy->access.lanes; lanes != 0; lanes &= lanes - 1)
        if (copy->source_bytes[__builtin_ctz(lanes)] > 0)
            left |= lanes & -lanes;
    struct request request;
    request_begin(memory, &request, &access, left);
    if (first && left != 0 && !request_aligned(memory, &request))
        return false;
    while (left != 0) {
        uint32_t lanes = 0;
        access.bytes = copy->source_bytes[__builtin_ctz(left)];
        for (uint32_t others = left; others != 0; others &= others - 1)
            if (copy->source_bytes[__builtin_ctz(others)] == access.bytes)
                lanes |= others & -others;
        left &= ~lanes;
        request_begin(memory, &request, &access, lanes);
        request.space = SPACE_GLOBAL; /* any other address is out of bounds there */
        if (!request_resolve(memory, &request, copy->from))
            return false;
        if (first)
            request_check(memory, &request);
        else
            races_access(memory, &request, false);
    }
    return true;
}

static void count_sources(struct memory *memory, const struct async_copy *copy, int32_t change)
{
    for (uint32_t lanes = copy->access.lanes; lanes != 0; lanes &= lanes - 1) {
        int32_t lane = __builtin_ctz(lanes);
        if (copy->source_bytes[lane] > 0)
            shadow_page(memory, copy->sources[lane])->sources += change;
    }
}

static void move(struct async_copy *copy)
{
    for (uint32_t lanes = copy->access.lanes; lanes != 0; lanes &= lanes - 1) {
        int32_t lane = __builtin_ctz(lanes);
        size_t bytes = (size_t)copy->source_bytes[lane];
        if (bytes > 0)
            memcpy(copy->to[lane], copy->from[lane], bytes);
        memset((uint8_t *)copy->to[lane] + bytes, 0, (size_t)copy->access.bytes - bytes);
    }
    copy->moved = true;
}

static void set_pending(struct async_copy *copy, bool pending)
{
    for (int32_t i = 0; i < copy->destination.run_count; i++) {
        const struct run *run = &copy->destination.runs[i];
        if (run->page->pending == NULL)
            run->page->pending = memory_need(calloc(1, sizeof(byte_map)));
        run->page->under_way += pending ? 1 : -1;
        if (pending)
            map_set(run->page->pending, run->offset, run->bytes);
        else
            map_clear(run->page->pending, run->offset, run->bytes);
    }
}

static bool resolve_destination(struct memory *memory, struct async_copy *copy)
{
    struct request *request = &copy->destination;
    request_begin(memory, request, &copy->access, copy->access.lanes);
    request->space = SPACE_SHARED; /* any other address is out of bounds there */
    return request_aligned(memory, request) && request_resolve(memory, request, copy->to);
}

struct async_copy *memory_async_begin(struct memory *memory, const struct access *destination,
                                      const uint64_t sources[32], const int32_t source_bytes[32])
{
    struct async_copy *copy = memory_need(calloc(1, sizeof *copy));
    copy->access = *destination;
    copy->access.action = ACCESS_WRITE;
    copy->access.addresses = copy->addresses;
    for (uint32_t lanes = destination->lanes; lanes != 0; lanes &= lanes - 1) {
        int32_t lane = __builtin_ctz(lanes);
        copy->addresses[lane] = destination->addresses[lane];
        copy->sources[lane] = sources[lane];
        copy->source_bytes[lane] = source_bytes[lane];
    }
    if (!resolve_destination(memory, copy) || !read_sources(memory, copy, true)) {
        free(copy);
        return NULL;
    }
    traffic_count(memory, &copy->destination);
    if (memory->checks) {
        bool reported =
            async_check(memory, &copy->destination, "two copies into the same bytes of shared memory are under way");
        races_access(memory, &copy->destination, !reported);
    }
    set_pending(copy, true);
    count_sources(memory, copy, 1);
    if (machine_settings(memory->machine)->eager_copies)
        move(copy);
    copy->next = memory->copies;
    if (copy->next != NULL)
        copy->next->previous = copy;
    memory->copies = copy;
    return copy;
}

/* ---- end ---- */

/* Nothing is under way there any more. */
static void forget(struct memory *memory, struct async_copy *copy)
{
    set_pending(copy, false);
    count_sources(memory, copy, -1);
    free(copy);
}

void memory_async_end(struct memory *memory, struct async_copy *copy)
{
    if (!copy->moved)
        move(copy);
    for (int32_t i = 0; i < copy->destination.run_count; i++) {
        const struct run *run = &copy->destination.runs[i];
        map_set(run->page->defined, run->offset, run->bytes);
    }
    if (memory->checks) { /* from now on the bytes count as written, and the source as read, by this thread now */
        races_access(memory, &copy->destination, false);
        read_sources(memory, copy, false);
    }
    if (copy->next != NULL)
        copy->next->previous = copy->previous;
    if (copy->previous != NULL)
        copy->previous->next = copy->next;
    else
        memory->copies = copy->next;
    forget(memory, copy);
}

void async_block_end(struct memory *memory)
{
    struct async_copy *copy = memory->copies;
    memory->copies = NULL;
    while (copy != NULL) {
        struct async_copy *next = copy->next;
        forget(memory, copy);
        copy = next;
    }
}
