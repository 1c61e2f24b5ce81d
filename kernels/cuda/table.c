/* The CUDA table: arguments, context and scratch are checked here, once for all operations, by the checks that all backends
 * share; what an operation finds in device memory it reports through the fault word (faults.c). */
#include "kernels/cuda/context.h"
#include "kernels/cuda/kernels_cuda.h"
#include "kernels/cuda/ranges.h"

#define CHECKED_OPERATION(name)                                                                                        \
    static enum status run_##name(const struct device_context *context, const struct name *p)                          \
    {                                                                                                                  \
        CHECK(context &&p, #name ": a null pointer");                                                                  \
        enum status result = cuda_enter(context, #name);                                                               \
        if (result == STATUS_OK)                                                                                       \
            result = check_##name(p);                                                                                  \
        if (result != STATUS_OK)                                                                                       \
            return result;                                                                                             \
        size_t scratch = cuda_##name##_scratch_size(p);                                                                \
        CHECK(context->scratch_bytes >= scratch && (context->scratch || scratch == 0),                                 \
              #name ": needs %zu bytes of scratch, the context has %zu", scratch, context->scratch_bytes);             \
        cuda_range_begin(#name);                                                                                       \
        result = cuda_##name(context, p);                                                                              \
        cuda_range_end();                                                                                              \
        return result;                                                                                                 \
    }
KERNEL_OPERATIONS(CHECKED_OPERATION)
#undef CHECKED_OPERATION

static const struct kernels table = {
    .name = "cuda",
    .block_rows = CUDA_BLOCK_ROWS,
    .block_elements = CUDA_BLOCK_ELEMENTS,
    .context_bytes = CUDA_CONTEXT_BYTES,
    .driver_bytes = CUDA_DRIVER_BYTES,
    .open = cuda_open,
    .close = cuda_close,
    .allocate = cuda_allocate,
    .release = cuda_release,
    .allocate_host = cuda_allocate_host,
    .release_host = cuda_release_host,
    .memory = cuda_memory,
    .peak_flops = cuda_peak_flops,
    .copy_to_device = cuda_copy_to_device,
    .copy_to_host = cuda_copy_to_host,
    .copy = cuda_copy,
    .fill_zero = cuda_fill_zero,
    .event_create = cuda_event_create,
    .event_destroy = cuda_event_destroy,
    .event_record = cuda_event_record,
    .queue_wait = cuda_queue_wait,
    .event_wait = cuda_event_wait,
    .synchronize = cuda_synchronize,
    .graph_begin = cuda_graph_begin,
    .graph_end = cuda_graph_end,
    .graph_launch = cuda_graph_launch,
    .graph_destroy = cuda_graph_destroy,
#define MEMBER(name) .name = run_##name, .name##_scratch_size = cuda_##name##_scratch_size,
    KERNEL_OPERATIONS(MEMBER)
#undef MEMBER
        .describe = cuda_describe,
};

const struct kernels *kernels_cuda(void)
{
    return &table;
}
