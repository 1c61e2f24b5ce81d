/* The life of a device context, on the table's open, allocate and close alone, so that backends share it. */
#include "kernels/kernels.h"

enum status device_context_create(const struct kernels *kernels, struct thread_pool *pool, size_t scratch_bytes,
                                  struct device_context *context)
{
    *context = (struct device_context){.pool = pool};
    enum status result = STATUS_OK;
    TRY(kernels->open(context));
    TRY(device_context_reserve(kernels, context, scratch_bytes));
    return STATUS_OK;
fail:
    device_context_destroy(kernels, context);
    return result;
}

enum status device_context_reserve(const struct kernels *kernels, struct device_context *context, size_t bytes)
{
    if (bytes <= context->scratch_bytes)
        return STATUS_OK;
    void *larger;
    enum status result = kernels->allocate(context, bytes, &larger);
    if (result != STATUS_OK)
        return result;
    kernels->release(context, context->scratch);
    context->scratch = larger;
    context->scratch_bytes = bytes;
    return STATUS_OK;
}

void device_context_destroy(const struct kernels *kernels, struct device_context *context)
{
    if (!context)
        return;
    kernels->release(context, context->scratch);
    kernels->close(context);
    *context = (struct device_context){0};
}
