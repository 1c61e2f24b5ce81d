/* Host values on their way to the device a piece at a time: two pinned buffers, one of which is filled while the copies
 * from the other go on. Whatever the size of what is sent, the host needs no more than these. */
#ifndef SPIRITLM_MODELS_STAGING_H
#define SPIRITLM_MODELS_STAGING_H

#include "kernels/kernels.h"

enum { STAGING_BUFFERS = 2 };

struct staging {
    const struct kernels *kernels; /* borrowed, as is the context */
    const struct device_context *context;
    void *buffers[STAGING_BUFFERS];
    struct device_event *events[STAGING_BUFFERS];
    int turn;
};

/* Buffers of `bytes` each. On failure nothing is left to close. */
enum status staging_open(const struct kernels *kernels, const struct device_context *context, size_t bytes,
                         struct staging *staging);

/* *buffer: where the next piece goes, once the copies of what was in it are over. */
enum status staging_next(struct staging *staging, void **buffer);

/* All copies from the buffer of the last staging_next are in the compute queue. */
enum status staging_sent(struct staging *staging);

/* Waits until all copies are over, and frees. Returns `status`, what has happened so far, or, where that was well, what
 * became of the copies. A staging that is all zeros is fine. */
enum status staging_close(struct staging *staging, enum status status);

#endif
