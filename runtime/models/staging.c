/* The two buffers take turns. An event behind each one's copies says when it may be filled again, so that the host waits
 * only for copies that were started a whole piece ago. */
#include "models/staging.h"

enum status staging_open(const struct kernels *kernels, const struct device_context *context, size_t bytes,
                         struct staging *staging)
{
    enum status result = STATUS_OK;
    *staging = (struct staging){.kernels = kernels, .context = context};
    for (int i = 0; i < STAGING_BUFFERS; i++) {
        TRY(kernels->allocate_host(context, bytes, &staging->buffers[i]));
        TRY(kernels->event_create(context, &staging->events[i]));
    }
fail:
    return result == STATUS_OK ? result : staging_close(staging, result);
}

enum status staging_next(struct staging *staging, void **buffer)
{
    *buffer = staging->buffers[staging->turn];
    return staging->kernels->event_wait(staging->context, staging->events[staging->turn]);
}

enum status staging_sent(struct staging *staging)
{
    struct device_event *event = staging->events[staging->turn];
    staging->turn = (staging->turn + 1) % STAGING_BUFFERS;
    return staging->kernels->event_record(staging->context, QUEUE_COMPUTE, event);
}

enum status staging_close(struct staging *staging, enum status status)
{
    if (!staging->kernels)
        return status;
    enum status copied = staging->kernels->synchronize(staging->context);
    for (int i = 0; i < STAGING_BUFFERS; i++) {
        staging->kernels->event_destroy(staging->context, staging->events[i]);
        staging->kernels->release_host(staging->context, staging->buffers[i]);
    }
    *staging = (struct staging){0};
    return status == STATUS_OK ? copied : status;
}
