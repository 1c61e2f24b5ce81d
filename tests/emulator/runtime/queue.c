/* Streams as queues: work waits here until something needs it. A stream's work runs in its order; a wait in it first runs
 * the other stream up to the awaited place, and nothing beyond, so that work which nobody waits for stays undone as long
 * as possible and a missing wait shows in the data as well as in the clocks.
 *
 * The legacy stream: work put into it waits for everything in the blocking streams of its device, and work put into those
 * waits for it. Such waits are entries of the queues like those of events. */
#include "emulator/runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

struct stream_clock host_clock;

static int64_t completed[STREAM_SLOTS], put_in[STREAM_SLOTS]; /* by slot, whoever has it */
static int64_t pending;

enum { LONGEST_QUEUE = 65536 };

void clock_join(struct stream_clock *clock, const struct stream_clock *other)
{
    for (int32_t i = 0; i < STREAM_SLOTS; i++)
        if (clock->passed[i] < other->passed[i])
            clock->passed[i] = other->passed[i];
}

/* ---- work ---- */

struct work *work_create(const char *name, work_function *run, size_t payload_bytes)
{
    struct work *work = calloc(1, sizeof *work + payload_bytes);
    if (!work)
        runtime_fatal("no host memory for queued work");
    work->name = name;
    work->run = run;
    work->payload_bytes = payload_bytes;
    return work;
}

struct work *work_clone(const struct work *work)
{
    struct work *clone = work_create(work->name, work->run, work->payload_bytes);
    memcpy(clone, work, sizeof *work + work->payload_bytes);
    clone->next = NULL;
    return clone;
}

void work_add_operand(struct work *work, const char *name, struct span span, bool host, bool write)
{
    if (work->operand_count == (int32_t)(sizeof work->operands / sizeof *work->operands))
        runtime_fatal("%s: too many operands", work->name);
    work->operands[work->operand_count++] = (struct operand){span, name, host, write};
}

static void count_pending(const struct work *work, int32_t change)
{
    pending += change;
    for (int32_t i = 0; i < work->operand_count; i++) {
        struct allocation *allocation = allocation_at(work->operands[i].span.address);
        if (allocation)
            allocation->pending += change;
    }
}

int64_t emulator_pending(void)
{
    return pending;
}

/* ---- putting in ---- */

static void append(struct CUstream_st *stream, struct work *work)
{
    clock_join(&stream->clock, &host_clock);
    work->slot = stream->slot;
    work->sequence = ++put_in[stream->slot];
    stream->clock.passed[stream->slot] = work->sequence;
    work->clock = stream->clock;
    if (stream->last)
        stream->last->next = work;
    else
        stream->first = work;
    stream->last = work;
    count_pending(work, 1);
}

struct stream_mark queue_mark(struct CUstream_st *stream)
{
    struct stream_mark mark = {.slot = stream->slot, .sequence = put_in[stream->slot], .clock = stream->clock};
    return mark;
}

bool queue_passed(const struct stream_mark *mark)
{
    return completed[mark->slot] >= mark->sequence;
}

void queue_put_wait(struct CUstream_st *stream, const struct stream_mark *mark)
{
    /* What is done is still ordered by the wait: only clocks know that the wait was there. */
    clock_join(&stream->clock, &mark->clock);
    if (mark->slot == stream->slot || queue_passed(mark))
        return;
    struct work *work = work_create("wait", NULL, 0);
    work->waits = true;
    work->awaited_slot = mark->slot;
    work->awaited = mark->sequence;
    append(stream, work);
}

static void wait_for_legacy(struct CUstream_st *stream)
{
    struct CUstream_st *legacy = stream->device->legacy;
    if (stream->flags & cudaStreamNonBlocking)
        return;
    if (!stream->legacy) {
        if (stream->clock.passed[legacy->slot] < put_in[legacy->slot]) {
            struct stream_mark mark = queue_mark(legacy);
            queue_put_wait(stream, &mark);
        }
        return;
    }
    for (int32_t i = 0; i < STREAM_SLOTS; i++) {
        struct CUstream_st *other = stream_in_slot(i);
        if (!other || other == stream || other->device != stream->device || other->flags & cudaStreamNonBlocking)
            continue;
        if (stream->clock.passed[i] < put_in[i]) {
            struct stream_mark mark = queue_mark(other);
            queue_put_wait(stream, &mark);
        }
    }
}

cudaError_t queue_put(struct CUstream_st *stream, struct work *work)
{
    if (stream->capture)
        return capture_put(stream, work);
    if (stream->device->lost) {
        free(work);
        return stream->device->lost;
    }
    wait_for_legacy(stream);
    if (work->prepare)
        work->prepare(stream->device, work);
    append(stream, work);
    if (pending > LONGEST_QUEUE) { /* a device's queues are not endless either */
        struct stream_mark mark = {.slot = stream->slot, .sequence = work->sequence - 1};
        while (!queue_passed(&mark))
            queue_step(&mark);
    }
    return cudaSuccess;
}

/* ---- running ---- */

static void run_first(struct CUstream_st *stream)
{
    /* It stays in the queue while it runs: what is known of its predecessors is still needed. */
    struct work *work = stream->first;
    if (work->run && !stream->device->lost)
        work->run(stream->device, work);
    stream->first = work->next;
    if (!stream->first)
        stream->last = NULL;
    count_pending(work, -1);
    completed[work->slot] = work->sequence;
    free(work);
}

struct stream_clock queue_floor(void)
{
    struct stream_clock floor = host_clock;
    for (int32_t slot = 0; slot < STREAM_SLOTS; slot++) {
        const struct CUstream_st *stream = stream_in_slot(slot);
        if (!stream || !stream->first)
            continue;
        for (int32_t i = 0; i < STREAM_SLOTS; i++)
            if (floor.passed[i] > stream->first->clock.passed[i])
                floor.passed[i] = stream->first->clock.passed[i];
    }
    return floor;
}

void queue_drop(struct CUstream_st *stream)
{
    while (stream->first) {
        struct work *work = stream->first;
        stream->first = work->next;
        count_pending(work, -1);
        free(work);
    }
    stream->last = NULL;
    completed[stream->slot] = put_in[stream->slot];
    host_clock.passed[stream->slot] = put_in[stream->slot];
}

/* Runs one piece of work that stands between the present and the mark. */
void queue_step(const struct stream_mark *mark)
{
    int32_t slot = mark->slot;
    if (queue_passed(mark))
        return;
    struct CUstream_st *stream = stream_in_slot(slot);
    while (stream->first->waits && completed[stream->first->awaited_slot] < stream->first->awaited)
        stream = stream_in_slot(stream->first->awaited_slot);
    run_first(stream);
}

void queue_run_to(const struct stream_mark *mark)
{
    while (!queue_passed(mark))
        queue_step(mark);
    clock_join(&host_clock, &mark->clock);
}

void queue_finish(struct CUstream_st *stream)
{
    if (stream->legacy) { /* the host waits for whatever the legacy stream would wait for */
        queue_put(stream, work_create("cudaStreamSynchronize", NULL, 0));
    }
    struct stream_mark mark = queue_mark(stream);
    queue_run_to(&mark);
}

void queue_finish_device(struct device *device)
{
    for (int32_t i = 0; i < STREAM_SLOTS; i++) {
        struct CUstream_st *stream = stream_in_slot(i);
        if (stream && stream->device == device) {
            struct stream_mark mark = queue_mark(stream);
            queue_run_to(&mark);
        }
    }
    if (pending)
        return;
    for (int32_t i = 0; i < STREAM_SLOTS; i++)
        if (host_clock.passed[i] < completed[i])
            return; /* done, but the host has not waited for it: another device's */
    allocations_forget_accesses();
}

const struct work *queue_user(uint64_t address, uint64_t bytes, bool device_memory)
{
    struct span range = span_of(address, bytes);
    for (int32_t slot = 0; pending && slot < STREAM_SLOTS; slot++) {
        const struct CUstream_st *stream = stream_in_slot(slot);
        for (const struct work *work = stream ? stream->first : NULL; work; work = work->next) {
            for (int32_t i = 0; i < work->operand_count; i++)
                if (span_overlaps(&work->operands[i].span, &range))
                    return work;
            if (device_memory && launch_mentions(work, address, bytes))
                return work;
        }
    }
    return NULL;
}
