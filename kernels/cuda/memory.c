/* Device memory. It is asked of the driver one allocation at a time: what trains or generates allocates when it starts and
 * not while it runs. The driver's addresses are 256-byte aligned. Fresh memory is zeroed on a stream of its own, and a
 * release waits for the queues, since what they hold may still use the memory. */
#include "core/array.h"
#include "kernels/cuda/context.h"

#include <string.h>

static enum status note_block(struct cuda_libraries *libraries, void *memory, size_t bytes)
{
    enum status result = array_grow(&libraries->blocks, &libraries->block_capacity, libraries->block_count + 1,
                                    "entries of the list of what is allocated");
    if (result != STATUS_OK)
        return result;
    libraries->blocks[libraries->block_count++] = (struct cuda_block){memory, bytes};
    libraries->memory.allocated += (int64_t)bytes;
    if (libraries->memory.peak < libraries->memory.allocated)
        libraries->memory.peak = libraries->memory.allocated;
    return STATUS_OK;
}

static enum status out_of_memory(struct cuda_libraries *libraries, size_t bytes)
{
    size_t free_bytes = 0, total = 0;
    (void)cudaGetLastError(); /* the refusal is no error of what follows */
    (void)cudaMemGetInfo(&free_bytes, &total);
    libraries->memory.refused = bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
    return status_set(STATUS_INTERNAL,
                      "no device memory: %zu bytes were asked for, %zu of %zu are free, %lld are this context's", bytes,
                      free_bytes, total, (long long)libraries->memory.allocated);
}

enum status cuda_allocate(const struct device_context *context, size_t bytes, void **memory)
{
    enum status result = STATUS_OK;
    void *block = NULL;
    CHECK(memory, "allocate: no place for the address");
    *memory = NULL;
    TRY(cuda_enter(context, "allocate"));
    struct cuda_libraries *libraries = cuda_libraries_of(context);
    CHECK(!libraries->recording, "allocate: while a graph is recorded");
    size_t asked = bytes ? bytes : 1;
    cudaError_t error = bytes > SIZE_MAX / 2 ? cudaErrorMemoryAllocation : cudaMalloc(&block, asked);
    if (error == cudaErrorMemoryAllocation)
        return out_of_memory(libraries, bytes);
    TRY(cuda_checked(error, "allocate"));
    TRY(cuda_checked(cudaMemsetAsync(block, 0, asked, libraries->setup), "allocate"));
    TRY(cuda_checked(cudaStreamSynchronize(libraries->setup), "allocate"));
    TRY(note_block(libraries, block, bytes));
    *memory = block;
    return STATUS_OK;
fail:
    (void)cudaFree(block);
    return result;
}

void cuda_release(const struct device_context *context, void *memory)
{
    if (!memory || cuda_enter(context, "release") != STATUS_OK)
        return;
    struct cuda_libraries *libraries = cuda_libraries_of(context);
    for (int64_t i = 0; i < libraries->block_count; i++) {
        if (libraries->blocks[i].memory != memory)
            continue;
        libraries->memory.allocated -= (int64_t)libraries->blocks[i].bytes;
        libraries->blocks[i] = libraries->blocks[--libraries->block_count];
        break;
    }
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        (void)cudaStreamSynchronize(libraries->streams[queue]);
    (void)cudaFree(memory);
}

enum status cuda_allocate_host(const struct device_context *context, size_t bytes, void **memory)
{
    CHECK(context && memory, "allocate_host: a null pointer");
    *memory = NULL;
    enum status result = cuda_enter(context, "allocate_host");
    if (result != STATUS_OK)
        return result;
    cudaError_t error = bytes > SIZE_MAX / 2 ? cudaErrorMemoryAllocation
                                             : cudaHostAlloc(memory, bytes ? bytes : 1, cudaHostAllocDefault);
    if (error == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return status_set(STATUS_INTERNAL, "no pinned memory: %zu bytes were asked for", bytes);
    }
    result = cuda_checked(error, "allocate_host");
    if (result == STATUS_OK)
        memset(*memory, 0, bytes);
    return result;
}

void cuda_release_host(const struct device_context *context, void *memory)
{
    if (memory && cuda_enter(context, "release_host") == STATUS_OK)
        (void)cudaFreeHost(memory);
}

struct device_memory cuda_memory(const struct device_context *context)
{
    return cuda_libraries_of(context)->memory;
}

/* ---- copies ---- */

static enum status copy(const struct device_context *context, enum device_queue queue, void *destination,
                        const void *source, size_t bytes, enum cudaMemcpyKind kind, const char *call)
{
    if (bytes == 0)
        return STATUS_OK;
    CHECK(context && destination && source, "%s: a null pointer for %zu bytes", call, bytes);
    CHECK(queue < QUEUE_COUNT, "%s: queue %d", call, (int)queue);
    enum status result = cuda_enter(context, call);
    if (result != STATUS_OK)
        return result;
    struct cuda_libraries *libraries = cuda_libraries_of(context);
    CHECK(!libraries->recording || queue == QUEUE_COMPUTE, "%s: on the copy queue, while a graph is recorded", call);
    libraries->copying |= queue == QUEUE_COPY;
    return cuda_checked(cudaMemcpyAsync(destination, source, bytes, kind, libraries->streams[queue]), call);
}

enum status cuda_copy_to_device(const struct device_context *context, enum device_queue queue, void *device,
                                const void *host, size_t bytes)
{
    return copy(context, queue, device, host, bytes, cudaMemcpyHostToDevice, "copy_to_device");
}

enum status cuda_copy_to_host(const struct device_context *context, enum device_queue queue, void *host,
                              const void *device, size_t bytes)
{
    return copy(context, queue, host, device, bytes, cudaMemcpyDeviceToHost, "copy_to_host");
}

enum status cuda_copy(const struct device_context *context, void *destination, const void *source, size_t bytes)
{
    return copy(context, QUEUE_COMPUTE, destination, source, bytes, cudaMemcpyDeviceToDevice, "copy");
}

enum status cuda_fill_zero(const struct device_context *context, void *memory, size_t bytes)
{
    if (bytes == 0)
        return STATUS_OK;
    CHECK(context && memory, "fill_zero: a null pointer for %zu bytes", bytes);
    enum status result = cuda_enter(context, "fill_zero");
    if (result != STATUS_OK)
        return result;
    return cuda_checked(cudaMemsetAsync(memory, 0, bytes, cuda_stream(context)), "fill_zero");
}
