/* The closed table. Every operation is made from the lists of kernels/operations.h and kernels/operands.h: its operands
 * are looked up and ordered, and the cpu's operation runs on a copy of the parameters in which they are moved to the
 * mapping that can be touched. A member that operands.h forgets is not moved, and the cpu ends with SIGSEGV. */
#include "support/closed_internal.h"

#include "kernels/check.h"
#include "kernels/operands.h"

#include <stdlib.h>
#include <string.h>

static bool watch_reads;

void closed_watch_reads(bool on)
{
    watch_reads = on;
}

/* The context's state, for calls that a device_context of this table makes. */
static struct closed_context *state_of(const struct device_context *context)
{
    return context ? context->libraries : NULL;
}

struct device_context closed_inner_context(const struct device_context *context)
{
    struct device_context inner = *context;
    inner.libraries = state_of(context)->inner;
    inner.scratch = NULL;
    inner.scratch_bytes = 0;
    return inner;
}

/* ---- contexts ---- */

static enum status closed_open(struct device_context *context)
{
    struct closed_context *state = calloc(1, sizeof *state);
    CHECK(state, "closed kernels: no memory for a context");
    enum status result = kernels_cpu()->open(context);
    if (result != STATUS_OK) {
        free(state);
        return result;
    }
    state->inner = context->libraries;
    context->libraries = state;
    closed_lock();
    closed_queues_open(state);
    closed_unlock();
    return STATUS_OK;
}

static void closed_close(struct device_context *context)
{
    struct closed_context *state = state_of(context);
    if (!state)
        return;
    closed_lock();
    closed_queues_close(state);
    closed_unlock();
    if (*state->fault && !state->reported)
        closed_abort("a context is closed that never reported its fault: %s", state->fault);
    if (state->live)
        closed_abort("a context is closed that still has %lld allocations of %lld bytes", (long long)state->live,
                     (long long)state->memory.allocated);
    context->libraries = state->inner;
    kernels_cpu()->close(context);
    context->libraries = NULL;
    free(state);
}

static const char *closed_describe(const struct device_context *context)
{
    if (!state_of(context))
        return kernels_cpu()->describe(context);
    struct device_context inner = closed_inner_context(context);
    return kernels_cpu()->describe(&inner);
}

struct closed_counters closed_counters(const struct device_context *context)
{
    return state_of(context)->counters;
}

void closed_reset_counters(const struct device_context *context)
{
    state_of(context)->counters = (struct closed_counters){0};
}

/* STATUS_INTERNAL unless this table opened the context: for what a graph can record. */
static enum status check_opened(const struct device_context *context, const char *call)
{
    CHECK(state_of(context), "%s: the context was not made by device_context_create", call);
    return STATUS_OK;
}

/* Likewise, and no graph is being recorded. */
static enum status check_context(const struct device_context *context, const char *call)
{
    enum status result = check_opened(context, call);
    if (result == STATUS_OK)
        CHECK(!state_of(context)->recording, "%s: while a graph is recorded", call);
    return result;
}

/* ---- memory ---- */

static enum status closed_allocate(const struct device_context *context, size_t bytes, void **memory)
{
    CHECK(memory, "allocate: no place for the address");
    *memory = NULL;
    enum status result = check_context(context, "allocate");
    if (result != STATUS_OK)
        return result;
    struct closed_context *state = state_of(context);
    closed_lock();
    result = closed_memory_allocate(state, bytes, memory);
    closed_unlock();
    state->counters.allocations++;
    return result;
}

static void closed_release(const struct device_context *context, void *memory)
{
    struct closed_context *state = state_of(context);
    if (!memory)
        return;
    if (!state)
        closed_abort("memory is released by a context that is not open");
    closed_lock();
    closed_memory_release(state, memory);
    closed_unlock();
    state->counters.releases++;
}

static enum status closed_allocate_host(const struct device_context *context, size_t bytes, void **memory)
{
    CHECK(memory, "allocate_host: a null pointer");
    enum status result = check_context(context, "allocate_host");
    if (result != STATUS_OK)
        return result;
    closed_lock();
    result = closed_pinned_allocate(bytes, memory);
    closed_unlock();
    state_of(context)->counters.host_allocations++;
    return result;
}

static void closed_release_host(const struct device_context *context, void *memory)
{
    struct closed_context *state = state_of(context);
    if (!memory)
        return;
    if (!state)
        closed_abort("pinned memory is released by a context that is not open");
    closed_lock();
    size_t bytes = closed_pinned_release(memory);
    if (bytes)
        closed_host_released(state, memory, bytes - 1);
    else
        closed_fault(state, "release_host: %p is no pinned memory", memory);
    closed_unlock();
    if (bytes)
        free(memory);
    state->counters.host_releases++;
}

static struct device_memory closed_memory(const struct device_context *context)
{
    return state_of(context)->memory;
}

/* ---- copies ---- */

/* A copy as a graph keeps it. */
struct recorded_copy {
    void *device, *host; /* or the destination and the source of one inside device memory */
    size_t bytes;
    bool to_host;
};

static enum status copy_host(const struct device_context *context, enum device_queue queue, void *device, void *host,
                             size_t bytes, bool to_host);

static enum status replay_copy_host(const struct device_context *context, const void *parameters)
{
    const struct recorded_copy *p = parameters;
    return copy_host(context, QUEUE_COMPUTE, p->device, p->host, p->bytes, p->to_host);
}

static enum status record_copy_host(const struct closed_context *state, enum device_queue queue,
                                    const struct recorded_copy *copy, const char *call)
{
    CHECK(queue == QUEUE_COMPUTE, "%s: on the copy queue, while a graph is recorded", call);
    closed_lock();
    bool pinned = closed_is_pinned(copy->host, copy->bytes);
    closed_unlock();
    CHECK(pinned, "%s: a graph is recorded, and the host memory is not pinned", call);
    return closed_graph_add(state, replay_copy_host, copy, sizeof *copy);
}

static enum status copy_host(const struct device_context *context, enum device_queue queue, void *device, void *host,
                             size_t bytes, bool to_host)
{
    const char *call = to_host ? "copy_to_host" : "copy_to_device";
    if (bytes == 0)
        return STATUS_OK;
    enum status result = check_opened(context, call);
    if (result != STATUS_OK)
        return result;
    CHECK(device && host, "%s: a null pointer for %zu bytes", call, bytes);
    CHECK(queue < QUEUE_COUNT, "%s: queue %d", call, (int)queue);
    struct closed_context *state = state_of(context);
    if (state->recording)
        return record_copy_host(state, queue, &(struct recorded_copy){device, host, bytes, to_host}, call);
    struct closed_work work = closed_work(state, queue, call);
    closed_note(&work, "device", device, bytes, to_host ? OPERAND_READ : OPERAND_WRITTEN);
    closed_lock();
    TRY(closed_check_host(&work, host, bytes, to_host));
    TRY(closed_enqueue(&work));
    if (!to_host)
        memcpy(closed_memory_inner(device), host, bytes);
    TRY(closed_copy_begin(&work, host, bytes, to_host));
    if (closed_is_pinned(host, bytes))
        state->counters.pinned_copies++;
    else
        state->counters.pageable_copies++;
fail:
    closed_unlock();
    return result;
}

static enum status closed_copy_to_device(const struct device_context *context, enum device_queue queue, void *device,
                                         const void *host, size_t bytes)
{
    return copy_host(context, queue, device, (void *)(uintptr_t)host, bytes, false);
}

static enum status closed_copy_to_host(const struct device_context *context, enum device_queue queue, void *host,
                                       const void *device, size_t bytes)
{
    return copy_host(context, queue, (void *)(uintptr_t)device, host, bytes, true);
}

/* Puts work of the compute queue into it. */
static enum status enqueue(struct closed_work *work)
{
    closed_lock();
    enum status result = closed_enqueue(work);
    closed_unlock();
    return result;
}

static enum status closed_copy(const struct device_context *context, void *destination, const void *source,
                               size_t bytes);
static enum status closed_fill_zero(const struct device_context *context, void *memory, size_t bytes);

static enum status replay_copy(const struct device_context *context, const void *parameters)
{
    const struct recorded_copy *p = parameters;
    return p->host ? closed_copy(context, p->device, p->host, p->bytes)
                   : closed_fill_zero(context, p->device, p->bytes);
}

static enum status closed_copy(const struct device_context *context, void *destination, const void *source,
                               size_t bytes)
{
    if (bytes == 0)
        return STATUS_OK;
    enum status result = check_opened(context, "copy");
    if (result != STATUS_OK)
        return result;
    CHECK(destination && source, "copy: a null pointer for %zu bytes", bytes);
    const struct recorded_copy recorded = {destination, (void *)(uintptr_t)source, bytes, false};
    if (state_of(context)->recording)
        return closed_graph_add(state_of(context), replay_copy, &recorded, sizeof recorded);
    const char *from = source, *to = destination;
    CHECK(from + bytes <= to || to + bytes <= from, "copy: source and destination overlap");
    struct closed_work work = closed_work(state_of(context), QUEUE_COMPUTE, "copy");
    closed_note(&work, "destination", destination, bytes, OPERAND_WRITTEN);
    closed_note(&work, "source", source, bytes, OPERAND_READ);
    result = enqueue(&work);
    if (result != STATUS_OK)
        return result;
    state_of(context)->counters.copies++;
    struct device_context inner = closed_inner_context(context);
    return kernels_cpu()->copy(&inner, closed_memory_inner(destination), closed_memory_inner(source), bytes);
}

static enum status closed_fill_zero(const struct device_context *context, void *memory, size_t bytes)
{
    if (bytes == 0)
        return STATUS_OK;
    enum status result = check_opened(context, "fill_zero");
    if (result != STATUS_OK)
        return result;
    CHECK(memory, "fill_zero: a null pointer for %zu bytes", bytes);
    const struct recorded_copy recorded = {.device = memory, .bytes = bytes};
    if (state_of(context)->recording)
        return closed_graph_add(state_of(context), replay_copy, &recorded, sizeof recorded);
    struct closed_work work = closed_work(state_of(context), QUEUE_COMPUTE, "fill_zero");
    closed_note(&work, "memory", memory, bytes, OPERAND_WRITTEN);
    result = enqueue(&work);
    if (result != STATUS_OK)
        return result;
    state_of(context)->counters.fills++;
    struct device_context inner = closed_inner_context(context);
    return kernels_cpu()->fill_zero(&inner, closed_memory_inner(memory), bytes);
}

/* ---- events ---- */

static enum status check_event(const struct device_context *context, const struct device_event *event, const char *call)
{
    CHECK(event, "%s: a null pointer", call);
    return check_context(context, call);
}

static enum status event_create(const struct device_context *context, struct device_event **event)
{
    CHECK(event, "event_create: a null pointer");
    enum status result = check_context(context, "event_create");
    if (result != STATUS_OK)
        return result;
    *event = closed_event_create();
    CHECK(*event, "no memory for an event");
    return STATUS_OK;
}

static void event_destroy(const struct device_context *context, struct device_event *event)
{
    (void)context;
    free(event);
}

static enum status event_record(const struct device_context *context, enum device_queue queue,
                                struct device_event *event)
{
    enum status result = check_event(context, event, "event_record");
    if (result != STATUS_OK)
        return result;
    CHECK(queue < QUEUE_COUNT, "event_record: queue %d", (int)queue);
    closed_lock();
    closed_event_record(state_of(context), queue, event);
    closed_unlock();
    return STATUS_OK;
}

static enum status queue_wait(const struct device_context *context, enum device_queue queue, struct device_event *event)
{
    enum status result = check_event(context, event, "queue_wait");
    if (result != STATUS_OK)
        return result;
    CHECK(queue < QUEUE_COUNT, "queue_wait: queue %d", (int)queue);
    closed_lock();
    closed_queue_wait(state_of(context), queue, event);
    closed_unlock();
    state_of(context)->counters.queue_waits++;
    return STATUS_OK;
}

/* What a wait of the host ends with: faults of this table, then those of the cpu. */
static enum status wait(const struct device_context *context, const struct device_event *event)
{
    struct closed_context *state = state_of(context);
    closed_lock();
    closed_host_waits(state, event);
    bool fault = *state->fault;
    state->reported = state->reported || fault;
    closed_unlock();
    CHECK(!fault, "%s", state->fault);
    struct device_context inner = closed_inner_context(context);
    return kernels_cpu()->synchronize(&inner);
}

static enum status event_wait(const struct device_context *context, struct device_event *event)
{
    enum status result = check_event(context, event, "event_wait");
    if (result != STATUS_OK)
        return result;
    state_of(context)->counters.event_waits++;
    return wait(context, event);
}

static enum status synchronize(const struct device_context *context)
{
    enum status result = check_context(context, "synchronize");
    if (result != STATUS_OK)
        return result;
    state_of(context)->counters.synchronizes++;
    return wait(context, NULL);
}

/* ---- operations ---- */

/* FNV-1a over words of eight bytes. */
static uint64_t hash_of(const void *memory, size_t bytes)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, (const char *)memory + i, bytes - i < sizeof word ? bytes - i : sizeof word);
        hash = (hash ^ word) * 1099511628211u;
    }
    return hash;
}

/* Whether the operand is read alone, and shares no byte with one that is written. */
static bool only_read(const struct closed_work *work, const struct closed_operand *operand)
{
    const char *start = operand->address;
    for (int i = 0; i < work->count; i++) {
        const struct closed_operand *other = &work->operands[i];
        const char *begin = other->address;
        if ((other->access & OPERAND_WRITTEN) && start < begin + other->bytes && begin < start + operand->bytes)
            return false;
    }
    return true;
}

static void hash_reads(struct closed_work *work)
{
    for (int i = 0; watch_reads && i < work->count; i++) {
        struct closed_operand *operand = &work->operands[i];
        if (only_read(work, operand))
            operand->hash = hash_of(closed_memory_inner(operand->address), operand->bytes);
    }
}

static enum status check_reads(const struct closed_work *work)
{
    for (int i = 0; watch_reads && i < work->count; i++) {
        const struct closed_operand *operand = &work->operands[i];
        CHECK(!only_read(work, operand) ||
                  operand->hash == hash_of(closed_memory_inner(operand->address), operand->bytes),
              "%s: operand %s was written to, which operands.h has as read", work->operation, operand->member);
    }
    return STATUS_OK;
}

/* The cpu's context for a call, with the scratch where the cpu can touch it. */
static struct device_context context_of_call(const struct device_context *context)
{
    struct device_context inner = closed_inner_context(context);
    if (context->scratch && closed_memory_is_device(context->scratch)) {
        inner.scratch = closed_memory_inner(context->scratch);
        inner.scratch_bytes = context->scratch_bytes;
    }
    return inner;
}

#define NOTE(member, bytes, access) closed_note(&work, #member, p->member, bytes, access);
#define MOVE(member, bytes, access)                                                                                    \
    if (p->member && (bytes) > 0)                                                                                      \
        moved.member = closed_memory_inner(p->member);
#define CLOSED_OPERATION(name)                                                                                         \
    static enum status run_##name(const struct device_context *context, const struct name *p);                         \
    static enum status replay_##name(const struct device_context *context, const void *parameters)                     \
    {                                                                                                                  \
        return run_##name(context, parameters);                                                                        \
    }                                                                                                                  \
    static enum status run_##name(const struct device_context *context, const struct name *p)                          \
    {                                                                                                                  \
        if (!p || !state_of(context))                                                                                  \
            return kernels_cpu()->name(context, p); /* which says what is wrong */                                     \
        enum status result = check_##name(p);                                                                          \
        if (result != STATUS_OK)                                                                                       \
            return result;                                                                                             \
        if (state_of(context)->recording)                                                                              \
            return closed_graph_add(state_of(context), replay_##name, p, sizeof *p);                                   \
        size_t scratch = kernels_cpu()->name##_scratch_size(p);                                                        \
        struct closed_work work = closed_work(state_of(context), QUEUE_COMPUTE, #name);                                \
        OPERANDS_##name(NOTE);                                                                                         \
        if (scratch <= context->scratch_bytes)                                                                         \
            closed_note(&work, "context->scratch", context->scratch, scratch, OPERAND_WRITTEN);                        \
        result = enqueue(&work);                                                                                       \
        if (result != STATUS_OK)                                                                                       \
            return result;                                                                                             \
        struct name moved = *p;                                                                                        \
        OPERANDS_##name(MOVE);                                                                                         \
        state_of(context)->counters.operations.name++;                                                                 \
        struct device_context inner = context_of_call(context);                                                        \
        hash_reads(&work);                                                                                             \
        result = kernels_cpu()->name(&inner, &moved);                                                                  \
        return result == STATUS_OK ? check_reads(&work) : result;                                                      \
    }                                                                                                                  \
    static size_t scratch_of_##name(const struct name *p)                                                              \
    {                                                                                                                  \
        return kernels_cpu()->name##_scratch_size(p);                                                                  \
    }
KERNEL_OPERATIONS(CLOSED_OPERATION)
#undef CLOSED_OPERATION

static const struct kernels table = {
    .name = "closed",
    .open = closed_open,
    .close = closed_close,
    .allocate = closed_allocate,
    .release = closed_release,
    .allocate_host = closed_allocate_host,
    .release_host = closed_release_host,
    .memory = closed_memory,
    .copy_to_device = closed_copy_to_device,
    .copy_to_host = closed_copy_to_host,
    .copy = closed_copy,
    .fill_zero = closed_fill_zero,
    .event_create = event_create,
    .event_destroy = event_destroy,
    .event_record = event_record,
    .queue_wait = queue_wait,
    .event_wait = event_wait,
    .synchronize = synchronize,
    .graph_begin = closed_graph_begin,
    .graph_end = closed_graph_end,
    .graph_launch = closed_graph_launch,
    .graph_destroy = closed_graph_destroy,
#define MEMBER(name) .name = run_##name, .name##_scratch_size = scratch_of_##name,
    KERNEL_OPERATIONS(MEMBER)
#undef MEMBER
        .describe = closed_describe,
};

const struct kernels *kernels_closed(void)
{
    return &table;
}
