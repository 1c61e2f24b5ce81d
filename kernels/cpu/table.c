/* The CPU's table. Work is done when a call returns, so queues, events and pinned memory need nothing: a copy is over at
 * once, and an event marks the past. Arguments, context and scratch are checked here, once for all operations. */
#include "kernels/cpu/context.h"

#include <stdlib.h>

#define CHECKED_OPERATION(name)                                                                                        \
    static enum status run_##name(const struct device_context *context, const struct name *p)                          \
    {                                                                                                                  \
        CHECK(context &&p, #name ": a null pointer");                                                                  \
        enum status result = cpu_check_context(context, #name);                                                        \
        if (result == STATUS_OK)                                                                                       \
            result = check_##name(p);                                                                                  \
        if (result == STATUS_OK)                                                                                       \
            result = cpu_check_scratch(context, cpu_##name##_scratch_size(p), #name);                                  \
        return result == STATUS_OK ? cpu_##name(context, p) : result;                                                  \
    }
KERNEL_OPERATIONS(CHECKED_OPERATION)
#undef CHECKED_OPERATION

/* Operations whose tiles live in the threads' scratch, or that need none. */
#define NO_SCRATCH(name)                                                                                               \
    size_t cpu_##name##_scratch_size(const struct name *p)                                                             \
    {                                                                                                                  \
        (void)p;                                                                                                       \
        return 0;                                                                                                      \
    }
NO_SCRATCH(embedding_forward)
NO_SCRATCH(embedding_backward)
NO_SCRATCH(rmsnorm_forward)
NO_SCRATCH(rope)
NO_SCRATCH(rope_append)
NO_SCRATCH(attention_forward)
NO_SCRATCH(attention_decode)
NO_SCRATCH(swiglu_forward)
NO_SCRATCH(swiglu_backward)
NO_SCRATCH(log_sum_exp)
NO_SCRATCH(convert)
NO_SCRATCH(clip_scale)
NO_SCRATCH(adamw)
NO_SCRATCH(gelu_backward)
NO_SCRATCH(activate)
NO_SCRATCH(glu)
NO_SCRATCH(gather_repeat)
NO_SCRATCH(conv1d_transposed)
NO_SCRATCH(conv1d_forward)
NO_SCRATCH(conv1d_backward)
NO_SCRATCH(layer_norm_forward)
NO_SCRATCH(log_mel_spectrum)
#undef NO_SCRATCH

static enum status allocate_host(const struct device_context *context, size_t bytes, void **memory)
{
    CHECK(context && memory, "allocate_host: a null pointer");
    *memory = calloc(1, bytes ? bytes : 1);
    CHECK(*memory, "no memory: %zu bytes were asked for", bytes);
    return STATUS_OK;
}

static void release_host(const struct device_context *context, void *memory)
{
    (void)context;
    free(memory);
}

static enum status copy_to_device(const struct device_context *context, enum device_queue queue, void *device,
                                  const void *host, size_t bytes)
{
    CHECK(queue < QUEUE_COUNT, "copy_to_device: queue %d", (int)queue);
    return cpu_copy(context, device, host, bytes);
}

static enum status copy_to_host(const struct device_context *context, enum device_queue queue, void *host,
                                const void *device, size_t bytes)
{
    CHECK(queue < QUEUE_COUNT, "copy_to_host: queue %d", (int)queue);
    return cpu_copy(context, host, device, bytes);
}

struct device_event {
    char unused;
};

static enum status event_create(const struct device_context *context, struct device_event **event)
{
    CHECK(context && event, "event_create: a null pointer");
    *event = malloc(sizeof **event);
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
    CHECK(context && event && queue < QUEUE_COUNT, "event_record: a null pointer, or queue %d", (int)queue);
    return STATUS_OK;
}

static enum status queue_wait(const struct device_context *context, enum device_queue queue, struct device_event *event)
{
    CHECK(context && event && queue < QUEUE_COUNT, "queue_wait: a null pointer, or queue %d", (int)queue);
    return STATUS_OK;
}

static enum status synchronize(const struct device_context *context)
{
    enum status result = cpu_check_context(context, "synchronize");
    if (result != STATUS_OK)
        return result;
    const struct cpu_libraries *libraries = context->libraries;
    CHECK(!*libraries->fault, "%s", libraries->fault);
    return STATUS_OK;
}

static enum status event_wait(const struct device_context *context, struct device_event *event)
{
    CHECK(event, "event_wait: a null pointer");
    return synchronize(context);
}

static const struct kernels table = {
    .name = "cpu",
    .reads_host_memory = true,
    .stable_columns = cpu_matmul_stable_columns,
    .open = cpu_open,
    .close = cpu_close,
    .allocate = cpu_allocate,
    .release = cpu_release,
    .allocate_host = allocate_host,
    .release_host = release_host,
    .memory = cpu_memory,
    .copy_to_device = copy_to_device,
    .copy_to_host = copy_to_host,
    .copy = cpu_copy,
    .fill_zero = cpu_fill_zero,
    .event_create = event_create,
    .event_destroy = event_destroy,
    .event_record = event_record,
    .queue_wait = queue_wait,
    .event_wait = event_wait,
    .synchronize = synchronize,
#define MEMBER(name) .name = run_##name, .name##_scratch_size = cpu_##name##_scratch_size,
    KERNEL_OPERATIONS(MEMBER)
#undef MEMBER
        .describe = cpu_describe,
};

const struct kernels *kernels_cpu(void)
{
    return &table;
}
