/* Streams and events: CUDA's calls for them. A destroyed stream keeps its slot until its work has run, as on a device,
 * where destroying returns at once and the work goes on. */
#include "emulator/runtime/runtime.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct CUstream_st *slots[STREAM_SLOTS];
static struct CUevent_st *events;

struct CUstream_st *stream_in_slot(int32_t slot)
{
    return slots[slot];
}

static void free_slot(struct CUstream_st *stream)
{
    slots[stream->slot] = NULL;
    free(stream);
}

struct CUstream_st *stream_create(struct device *device, unsigned int flags, int priority)
{
    for (int32_t i = 0; i < STREAM_SLOTS; i++)
        if (slots[i] && slots[i]->destroyed && !slots[i]->first)
            free_slot(slots[i]);
    int32_t slot = 0;
    while (slot < STREAM_SLOTS && slots[slot])
        slot++;
    if (slot == STREAM_SLOTS)
        runtime_fatal("more than %d streams are alive", STREAM_SLOTS);
    struct CUstream_st *stream = calloc(1, sizeof *stream);
    if (!stream)
        runtime_fatal("no host memory for a stream");
    *stream = (struct CUstream_st){.device = device, .slot = slot, .flags = flags, .priority = priority};
    stream->clock = host_clock;
    slots[slot] = stream;
    return stream;
}

void streams_drop(const struct device *device)
{
    for (int32_t i = 0; i < STREAM_SLOTS; i++) {
        if (!slots[i] || slots[i]->device != device)
            continue;
        queue_drop(slots[i]);
        free_slot(slots[i]);
    }
}

cudaError_t stream_resolve(cudaStream_t handle, struct CUstream_st **stream)
{
    if (!handle || handle == cudaStreamLegacy) {
        *stream = device_current()->legacy;
        return captures_forbid_legacy(*stream);
    }
    if (handle == cudaStreamPerThread)
        runtime_fatal("cudaStreamPerThread is not emulated: create a stream");
    for (int32_t i = 0; i < STREAM_SLOTS; i++)
        if (slots[i] == handle && !handle->destroyed) {
            *stream = handle;
            return cudaSuccess;
        }
    runtime_report(device_current(), CHECK_HOST, "stream", (uint64_t)(uintptr_t)handle,
                   "a stream is used that was never created or is destroyed");
    return cudaErrorInvalidResourceHandle;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *handle, unsigned int flags, int priority)
{
    cudaError_t error = runtime_enter();
    if (!error && (!handle || flags & ~(unsigned int)cudaStreamNonBlocking))
        error = cudaErrorInvalidValue;
    if (!error)
        *handle = stream_create(device_current(), flags, priority > 0 ? 0 : priority < -5 ? -5 : priority);
    return runtime_leave(error);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *handle, unsigned int flags)
{
    return cudaStreamCreateWithPriority(handle, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t *handle)
{
    return cudaStreamCreateWithPriority(handle, cudaStreamDefault, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t handle)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = stream_resolve(handle, &stream);
    if (!error && stream->legacy)
        error = cudaErrorInvalidResourceHandle;
    if (!error && stream->capture)
        error = capture_forbids(stream);
    if (!error)
        stream->destroyed = true;
    return runtime_leave(error);
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned int *flags)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = flags ? stream_resolve(handle, &stream) : cudaErrorInvalidValue;
    if (!error)
        *flags = stream->flags;
    return runtime_leave(error);
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int *priority)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = priority ? stream_resolve(handle, &stream) : cudaErrorInvalidValue;
    if (!error)
        *priority = stream->priority;
    return runtime_leave(error);
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = stream_resolve(handle, &stream);
    if (!error && stream->capture)
        error = capture_forbids(stream);
    if (!error) {
        runtime_counters.synchronizations++;
        queue_finish(stream);
        error = stream->device->lost;
    }
    return runtime_leave(error);
}

/* Each query lets one piece of work run, so that a host that polls gets on, and has to poll. */
static cudaError_t query(const struct stream_mark *mark, const struct device *device)
{
    if (!queue_passed(mark)) {
        queue_step(mark);
        return device->lost ? device->lost : cudaErrorNotReady;
    }
    clock_join(&host_clock, &mark->clock);
    return device->lost;
}

cudaError_t cudaStreamQuery(cudaStream_t handle)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = stream_resolve(handle, &stream);
    if (!error && stream->capture)
        error = capture_forbids(stream);
    if (!error) {
        struct stream_mark mark = queue_mark(stream);
        error = query(&mark, stream->device);
    }
    return runtime_leave(error);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned int flags)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = stream_resolve(handle, &stream);
    if (!error)
        error = event_resolve(event);
    if (!error && flags)
        error = cudaErrorNotSupported;
    if (!error && (stream->capture || event->capture_id))
        error = capture_wait(stream, event);
    else if (!error && event->recorded)
        queue_put_wait(stream, &event->mark);
    return runtime_leave(error);
}

/* ---- events ---- */

cudaError_t event_resolve(cudaEvent_t handle)
{
    for (const struct CUevent_st *event = events; event; event = event->next)
        if (event == handle)
            return cudaSuccess;
    runtime_report(device_current(), CHECK_HOST, "event", (uint64_t)(uintptr_t)handle,
                   "an event is used that was never created or is destroyed");
    return cudaErrorInvalidResourceHandle;
}

void events_drop(const struct device *device)
{
    for (struct CUevent_st **link = &events; *link;) {
        struct CUevent_st *event = *link;
        if (event->device != device) {
            link = &event->next;
            continue;
        }
        *link = event->next;
        free(event);
    }
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *handle, unsigned int flags)
{
    cudaError_t error = runtime_enter();
    if (!error && !handle)
        error = cudaErrorInvalidValue;
    if (!error && flags & ~(unsigned int)(cudaEventBlockingSync | cudaEventDisableTiming))
        error = flags & cudaEventInterprocess ? cudaErrorNotSupported : cudaErrorInvalidValue;
    if (!error) {
        struct CUevent_st *event = calloc(1, sizeof *event);
        if (!event)
            runtime_fatal("no host memory for an event");
        *event = (struct CUevent_st){.device = device_current(), .flags = flags, .next = events};
        events = event;
        *handle = event;
    }
    return runtime_leave(error);
}

cudaError_t cudaEventCreate(cudaEvent_t *handle)
{
    return cudaEventCreateWithFlags(handle, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t handle)
{
    cudaError_t error = runtime_enter();
    if (!error)
        error = event_resolve(handle);
    if (!error) {
        struct CUevent_st **link = &events;
        while (*link != handle)
            link = &(*link)->next;
        *link = handle->next;
        free(handle);
    }
    return runtime_leave(error);
}

struct event_payload {
    struct CUevent_st *event;
};

static void pass_event(struct device *device, struct work *work)
{
    (void)device;
    const struct event_payload *payload = (const struct event_payload *)(const void *)work->payload;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (struct CUevent_st *event = events; event; event = event->next)
        if (event == payload->event && event->mark.slot == work->slot && event->mark.sequence == work->sequence)
            event->milliseconds = (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t handle, unsigned int flags)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = stream_resolve(handle, &stream);
    if (!error)
        error = event_resolve(event);
    if (!error && event->device != stream->device)
        error = cudaErrorInvalidResourceHandle;
    if (!error && flags)
        error = cudaErrorNotSupported;
    if (error)
        return runtime_leave(error);
    if (stream->capture)
        return runtime_leave(capture_record(stream, event));
    struct work *work = work_create("cudaEventRecord", pass_event, sizeof(struct event_payload));
    ((struct event_payload *)(void *)work->payload)->event = event;
    error = queue_put(stream, work);
    if (!error) {
        event->recorded = true;
        event->capture_id = 0;
        event->mark = queue_mark(stream);
    }
    return runtime_leave(error);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return cudaEventRecordWithFlags(event, stream, cudaEventRecordDefault);
}

static cudaError_t ask_event(cudaEvent_t event)
{
    cudaError_t error = runtime_enter();
    if (!error)
        error = event_resolve(event);
    if (!error && event->capture_id)
        error = cudaErrorCapturedEvent;
    return error;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    cudaError_t error = ask_event(event);
    if (!error && event->recorded)
        error = query(&event->mark, event->device);
    return runtime_leave(error);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    cudaError_t error = ask_event(event);
    if (!error && event->recorded) {
        runtime_counters.synchronizations++;
        queue_run_to(&event->mark);
        error = event->device->lost;
    }
    return runtime_leave(error);
}

/* Times are those of the host that emulates: they only grow. */
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end)
{
    cudaError_t error = ask_event(start);
    if (!error)
        error = event_resolve(end);
    if (!error && !milliseconds)
        error = cudaErrorInvalidValue;
    if (!error && ((start->flags | end->flags) & cudaEventDisableTiming || !start->recorded || !end->recorded ||
                   start->device != end->device))
        error = cudaErrorInvalidResourceHandle;
    if (!error && (!queue_passed(&start->mark) || !queue_passed(&end->mark)))
        error = cudaErrorNotReady;
    if (!error)
        *milliseconds = (float)(end->milliseconds - start->milliseconds);
    return runtime_leave(error);
}
