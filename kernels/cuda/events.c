/* Queues are streams and events are CUDA's, without times, which would make them slower. A mark of the compute queue takes
 * the fault word along, so that event_wait can say what went wrong before it; a mark of the copy queue does not, because the
 * word may change while that queue reads it: such a fault is told by the next wait for the compute queue. */
#include "kernels/cuda/context.h"

#include <stdlib.h>

struct device_event {
    cudaEvent_t event;
    struct cuda_fault *seen; /* pinned */
    bool recorded, of_compute;
};

enum status cuda_event_create(const struct device_context *context, struct device_event **event)
{
    CHECK(context && event, "event_create: a null pointer");
    *event = NULL;
    enum status result = cuda_enter(context, "event_create");
    if (result != STATUS_OK)
        return result;
    struct device_event *created = calloc(1, sizeof *created);
    CHECK(created, "no memory for an event");
    TRY(cuda_checked(cudaHostAlloc((void **)&created->seen, sizeof *created->seen, cudaHostAllocDefault),
                     "event_create"));
    TRY(cuda_checked(cudaEventCreateWithFlags(&created->event, cudaEventDisableTiming), "event_create"));
    *event = created;
    return STATUS_OK;
fail:
    cuda_event_destroy(context, created);
    return result;
}

void cuda_event_destroy(const struct device_context *context, struct device_event *event)
{
    if (!event)
        return;
    if (cuda_enter(context, "event_destroy") == STATUS_OK) {
        if (event->recorded) /* the copy of the fault word may be on its way */
            (void)cudaEventSynchronize(event->event);
        if (event->event)
            (void)cudaEventDestroy(event->event);
        (void)cudaFreeHost(event->seen);
    }
    free(event);
}

enum status cuda_event_record(const struct device_context *context, enum device_queue queue, struct device_event *event)
{
    enum status result = STATUS_OK;
    CHECK(context && event && queue < QUEUE_COUNT, "event_record: a null pointer, or queue %d", (int)queue);
    TRY(cuda_enter(context, "event_record"));
    struct cuda_libraries *libraries = cuda_libraries_of(context);
    CHECK(!libraries->recording, "event_record: while a graph is recorded");
    if (queue == QUEUE_COMPUTE)
        TRY(cuda_fault_fetch(libraries, event->seen));
    TRY(cuda_checked(cudaEventRecord(event->event, libraries->streams[queue]), "event_record"));
    event->recorded = true;
    event->of_compute = queue == QUEUE_COMPUTE;
fail:
    return result;
}

enum status cuda_queue_wait(const struct device_context *context, enum device_queue queue, struct device_event *event)
{
    CHECK(context && event && queue < QUEUE_COUNT, "queue_wait: a null pointer, or queue %d", (int)queue);
    enum status result = cuda_enter(context, "queue_wait");
    if (result != STATUS_OK || !event->recorded)
        return result;
    CHECK(!cuda_libraries_of(context)->recording, "queue_wait: while a graph is recorded");
    return cuda_checked(cudaStreamWaitEvent(cuda_libraries_of(context)->streams[queue], event->event, 0), "queue_wait");
}

enum status cuda_event_wait(const struct device_context *context, struct device_event *event)
{
    enum status result = STATUS_OK;
    CHECK(context && event, "event_wait: a null pointer");
    TRY(cuda_enter(context, "event_wait"));
    CHECK(!cuda_libraries_of(context)->recording, "event_wait: while a graph is recorded");
    if (event->recorded)
        TRY(cuda_checked(cudaEventSynchronize(event->event), "event_wait"));
    result = cuda_fault_status(cuda_libraries_of(context), event->recorded && event->of_compute ? event->seen : NULL);
fail:
    return result;
}

/* The host then waits for one stream, once: what the copy queue holds comes before the end of the compute queue. */
static enum status join_queues(struct cuda_libraries *libraries)
{
    enum status result = STATUS_OK;
    if (!libraries->copying)
        return STATUS_OK;
    TRY(cuda_checked(cudaEventRecord(libraries->copied, libraries->streams[QUEUE_COPY]), "synchronize"));
    TRY(cuda_checked(cudaStreamWaitEvent(libraries->streams[QUEUE_COMPUTE], libraries->copied, 0), "synchronize"));
    libraries->copying = false;
fail:
    return result;
}

enum status cuda_synchronize(const struct device_context *context)
{
    enum status result = STATUS_OK;
    TRY(cuda_enter(context, "synchronize"));
    struct cuda_libraries *libraries = cuda_libraries_of(context);
    CHECK(!libraries->recording, "synchronize: while a graph is recorded");
    TRY(cuda_fault_fetch(libraries, libraries->seen));
    TRY(join_queues(libraries));
    TRY(cuda_checked(cudaStreamSynchronize(libraries->streams[QUEUE_COMPUTE]), "synchronize"));
    result = cuda_fault_status(libraries, libraries->seen);
fail:
    return result;
}
