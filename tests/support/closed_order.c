/* Who may touch what when. Every piece of work has a number in its queue, and every queue a clock: for each other queue
 * the number of the last work that is over before this queue goes on (Lamport 1978, Mattern 1989). Recording an event
 * copies a clock, waiting for it takes the later of both. Of each allocation the uses are kept that are not known to be
 * over; work whose clock does not reach a use that it would disturb has not been made to wait for it.
 *
 * A copy between host and device does its device side when it is called, in the order of the queue, and keeps the bytes.
 * They reach the host, or are compared with what the host has by then, when the host has waited. */
#include "support/closed_internal.h"

#include "kernels/check.h"
#include "kernels/operands.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUES = 256, POISON = 0xCB };

struct clock {
    int64_t passed[QUEUES]; /* work 1..passed[q] of queue q is over first */
};

struct device_event {
    struct clock clock; /* zero: never recorded, which marks the past */
};

/* A copy that is not over for the host. */
struct open_copy {
    struct closed_context *context;
    int queue;
    int64_t number;
    bool to_host;
    char *host;
    size_t bytes;
    char *kept; /* what the device has, or had */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct clock clocks[QUEUES];
static int64_t enqueued[QUEUES], completed[QUEUES]; /* completed: a host has waited for it */
static bool in_use[QUEUES];
static enum device_queue kinds[QUEUES];
static struct open_copy *copies; /* in the order of their calls */
static int64_t copy_count, copy_capacity;

void closed_lock(void)
{
    pthread_mutex_lock(&mutex);
}

void closed_unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

void closed_fault(struct closed_context *context, const char *format, ...)
{
    if (*context->fault)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context->fault, sizeof context->fault, format, arguments);
    va_end(arguments);
}

void closed_abort(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "closed kernels: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

/* ---- queues and their clocks ---- */

void closed_queues_open(struct closed_context *context)
{
    int q = 0;
    for (int kind = 0; kind < QUEUE_COUNT; kind++) {
        while (q < QUEUES && in_use[q])
            q++;
        if (q == QUEUES)
            closed_abort("more than %d queues are open", QUEUES);
        in_use[q] = true;
        kinds[q] = (enum device_queue)kind;
        context->queues[kind] = q;
        memset(&clocks[q], 0, sizeof clocks[q]);
        clocks[q].passed[q] = enqueued[q]; /* the numbers go on where a closed context's queue ended */
    }
}

static void drop_copy(int64_t i)
{
    free(copies[i].kept);
    copy_count--;
    memmove(&copies[i], &copies[i + 1], (size_t)(copy_count - i) * sizeof *copies);
}

void closed_queues_close(struct closed_context *context)
{
    for (int64_t i = copy_count - 1; i >= 0; i--)
        if (copies[i].context == context)
            drop_copy(i);
    for (int kind = 0; kind < QUEUE_COUNT; kind++) {
        int q = context->queues[kind];
        completed[q] = enqueued[q];
        in_use[q] = false;
    }
}

static void take_later(struct clock *clock, const struct clock *other)
{
    for (int q = 0; q < QUEUES; q++)
        if (clock->passed[q] < other->passed[q])
            clock->passed[q] = other->passed[q];
}

struct device_event *closed_event_create(void)
{
    return calloc(1, sizeof(struct device_event));
}

void closed_event_record(const struct closed_context *context, enum device_queue queue, struct device_event *event)
{
    event->clock = clocks[context->queues[queue]];
}

void closed_queue_wait(const struct closed_context *context, enum device_queue queue, const struct device_event *event)
{
    take_later(&clocks[context->queues[queue]], &event->clock);
}

/* ---- work and its operands ---- */

struct closed_work closed_work(struct closed_context *context, enum device_queue queue, const char *operation)
{
    return (struct closed_work){.context = context, .operation = operation, .queue = context->queues[queue]};
}

void closed_note(struct closed_work *work, const char *member, const void *address, size_t bytes, int access)
{
    if (!address || bytes == 0)
        return;
    if (work->count == CLOSED_OPERANDS)
        closed_abort("%s has more than %d operands", work->operation, (int)CLOSED_OPERANDS);
    work->operands[work->count++] =
        (struct closed_operand){.member = member, .address = address, .bytes = bytes, .access = access};
}

static bool is_over(const struct closed_use *use, int queue)
{
    return use->queue == queue || use->number <= completed[use->queue] ||
           use->number <= clocks[queue].passed[use->queue];
}

static enum status check_uses(const struct closed_work *work, const struct closed_operand *operand)
{
    uintptr_t begin = (uintptr_t)operand->address, end = begin + operand->bytes;
    bool write = operand->access & OPERAND_WRITTEN;
    for (int64_t i = 0; i < operand->allocation->use_count; i++) {
        const struct closed_use *use = &operand->allocation->uses[i];
        if (use->begin >= end || use->end <= begin || !(write || use->write) || is_over(use, work->queue))
            continue;
        bool other =
            use->queue != work->context->queues[QUEUE_COMPUTE] && use->queue != work->context->queues[QUEUE_COPY];
        return status_set(STATUS_INTERNAL, "%s: missing wait: it %s operand %s, which %s %s on the %s queue%s",
                          work->operation, write ? "writes" : "reads", operand->member, use->operation,
                          use->write ? "writes" : "reads", kinds[use->queue] == QUEUE_COPY ? "copy" : "compute",
                          other ? " of another context" : "");
    }
    return STATUS_OK;
}

/* Notes a use in place of those of the same queue that it covers: whoever waits for it has waited for them. */
static void add_use(struct closed_allocation *allocation, struct closed_use use)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < allocation->use_count; i++) {
        const struct closed_use *old = &allocation->uses[i];
        bool covered =
            old->queue == use.queue && old->begin >= use.begin && old->end <= use.end && (use.write || !old->write);
        if (!covered && old->number > completed[old->queue])
            allocation->uses[kept++] = *old;
    }
    allocation->use_count = kept;
    if (kept == allocation->use_capacity) {
        int64_t capacity = kept ? 2 * kept : 8;
        struct closed_use *grown = realloc(allocation->uses, (size_t)capacity * sizeof *grown);
        if (!grown)
            closed_abort("no memory for the uses of an allocation");
        allocation->uses = grown;
        allocation->use_capacity = capacity;
    }
    allocation->uses[allocation->use_count++] = use;
}

enum status closed_enqueue(struct closed_work *work)
{
    char why[128];
    for (int i = 0; i < work->count; i++) {
        struct closed_operand *operand = &work->operands[i];
        operand->allocation = closed_memory_find(operand->address, operand->bytes, why);
        CHECK(operand->allocation, "%s: operand %s is %zu bytes at %p: %s", work->operation, operand->member,
              operand->bytes, operand->address, why);
        enum status result = check_uses(work, operand);
        if (result != STATUS_OK)
            return result;
    }
    work->number = clocks[work->queue].passed[work->queue] = ++enqueued[work->queue];
    for (int i = 0; i < work->count; i++) {
        const struct closed_operand *operand = &work->operands[i];
        uintptr_t begin = (uintptr_t)operand->address;
        add_use(operand->allocation, (struct closed_use){.begin = begin,
                                                         .end = begin + operand->bytes,
                                                         .operation = work->operation,
                                                         .queue = work->queue,
                                                         .number = work->number,
                                                         .write = operand->access & OPERAND_WRITTEN});
    }
    return STATUS_OK;
}

/* ---- copies between host and device ---- */

static bool overlaps(const struct open_copy *copy, const char *host, size_t bytes)
{
    return host < copy->host + copy->bytes && copy->host < host + bytes;
}

enum status closed_check_host(const struct closed_work *work, const void *host, size_t bytes, bool to_host)
{
    CHECK(!closed_memory_is_device(host), "%s: the host's side at %p is device memory", work->operation, host);
    for (int64_t i = 0; i < copy_count; i++) {
        const struct open_copy *copy = &copies[i];
        CHECK(!overlaps(copy, host, bytes) || (!to_host && !copy->to_host),
              "%s: the host's %zu bytes at %p are still in use by %s", work->operation, bytes, host,
              copy->to_host ? "copy_to_host" : "copy_to_device");
    }
    return STATUS_OK;
}

enum status closed_copy_begin(const struct closed_work *work, void *host, size_t bytes, bool to_host)
{
    if (copy_count == copy_capacity) {
        int64_t capacity = copy_capacity ? 2 * copy_capacity : 32;
        struct open_copy *grown = realloc(copies, (size_t)capacity * sizeof *grown);
        CHECK(grown, "closed kernels: no memory for the list of copies");
        copies = grown;
        copy_capacity = capacity;
    }
    char *kept = malloc(bytes);
    CHECK(kept, "closed kernels: no memory for the %zu bytes of a copy", bytes);
    memcpy(kept, closed_memory_inner(work->operands[0].address), bytes);
    if (to_host)
        memset(host, POISON, bytes);
    copies[copy_count++] = (struct open_copy){work->context, work->queue, work->number, to_host, host, bytes, kept};
    return STATUS_OK;
}

/* The first byte that differs; `bytes` when none does. */
static size_t first_difference(const char *a, const char *b, size_t bytes)
{
    size_t i = 0;
    while (i < bytes && a[i] == b[i])
        i++;
    return i;
}

static void finish_copy(const struct open_copy *copy)
{
    if (copy->to_host) {
        size_t i = 0;
        while (i < copy->bytes && (unsigned char)copy->host[i] == POISON)
            i++;
        if (i < copy->bytes)
            closed_fault(copy->context,
                         "copy_to_host: the host wrote to byte %zu of the %zu at %p before the copy was over", i,
                         copy->bytes, (void *)copy->host);
        memcpy(copy->host, copy->kept, copy->bytes);
        return;
    }
    if (memcmp(copy->host, copy->kept, copy->bytes) != 0)
        closed_fault(copy->context,
                     "copy_to_device: the host changed byte %zu of the %zu at %p before the copy was over",
                     first_difference(copy->host, copy->kept, copy->bytes), copy->bytes, (void *)copy->host);
}

void closed_host_waits(const struct closed_context *context, const struct device_event *event)
{
    struct clock clock = {{0}};
    if (event)
        clock = event->clock;
    for (int kind = 0; !event && kind < QUEUE_COUNT; kind++)
        take_later(&clock, &clocks[context->queues[kind]]);
    for (int q = 0; q < QUEUES; q++)
        if (completed[q] < clock.passed[q])
            completed[q] = clock.passed[q];
    int64_t left = 0;
    for (int64_t i = 0; i < copy_count; i++) {
        if (copies[i].number > completed[copies[i].queue]) {
            copies[left++] = copies[i];
            continue;
        }
        finish_copy(&copies[i]);
        free(copies[i].kept);
    }
    copy_count = left;
}

void closed_host_released(struct closed_context *context, const void *memory, size_t bytes)
{
    for (int64_t i = copy_count - 1; i >= 0; i--)
        if (overlaps(&copies[i], memory, bytes)) {
            closed_fault(context, "release_host: the memory at %p is still in use by %s", memory,
                         copies[i].to_host ? "copy_to_host" : "copy_to_device");
            drop_copy(i);
        }
}
