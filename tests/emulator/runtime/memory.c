/* Device and pinned memory. Freeing memory that queued work still uses is reported: cudaFree happens to wait on a
 * device, but nothing promises it for memory that work of another stream will touch only later. cudaFreeAsync goes
 * through its stream like any other work and counts as a write of the whole range, so that its use elsewhere needs a
 * wait. */
#include "emulator/runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

static uint64_t address_of(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

static cudaError_t allocate(void **pointer, size_t bytes, struct allocation **added)
{
    struct device *device = device_current();
    uint64_t address = machine_allocate(device->machine, bytes);
    if (!address)
        return cudaErrorMemoryAllocation;
    *added = allocation_add(address, bytes, DEVICE_MEMORY, device);
    runtime_counters.allocations++;
    *pointer = (void *)(uintptr_t)address;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **pointer, size_t bytes)
{
    cudaError_t error = runtime_enter();
    if (!error && !pointer)
        error = cudaErrorInvalidValue;
    if (!error)
        error = capture_forbids(NULL);
    struct allocation *added;
    if (!error && !bytes)
        *pointer = NULL;
    else if (!error)
        error = allocate(pointer, bytes, &added);
    return runtime_leave(error);
}

/* What was put into the queues stays right if it runs first; that it was needed is the report. */
static void settle_users(struct allocation *allocation, const char *call)
{
    const struct work *user = queue_user(allocation->address, allocation->bytes, allocation->device != NULL);
    if (!user)
        return;
    struct device *device = allocation->device ? allocation->device : device_current();
    runtime_report(device, CHECK_HOST, call, allocation->address, "%s of memory that queued work (%s) still uses", call,
                   user->name);
    for (int32_t i = 0; i < device_count; i++)
        queue_finish_device(&devices[i]);
}

static cudaError_t release(struct allocation *allocation)
{
    struct device *device = allocation->device;
    machine_release(device->machine, allocation->address);
    allocation_remove(allocation);
    runtime_counters.releases++;
    return cudaSuccess;
}

/* The device memory that begins at the pointer, or NULL. */
static struct allocation *device_block(const void *pointer)
{
    struct allocation *allocation = allocation_at(address_of(pointer));
    bool found = allocation && allocation->address == address_of(pointer) && allocation->kind == DEVICE_MEMORY &&
                 !allocation->retired;
    return found ? allocation : NULL;
}

cudaError_t cudaFree(void *pointer)
{
    cudaError_t error = runtime_enter();
    if (!error && pointer)
        error = capture_forbids(NULL);
    if (error || !pointer)
        return runtime_leave(error);
    struct allocation *allocation = device_block(pointer);
    if (!allocation) {
        runtime_report(device_current(), CHECK_HOST, "cudaFree", address_of(pointer),
                       "cudaFree of an address where no allocation of device memory begins");
        return runtime_leave(cudaErrorInvalidValue);
    }
    runtime_counters.synchronizations++;
    settle_users(allocation, "cudaFree");
    return runtime_leave(release(allocation));
}

/* ---- in stream order ---- */

static void note_whole(struct device *device, struct work *work)
{
    hazard_access(device, work, &work->operands[0]);
}

static void release_when_reached(struct device *device, struct work *work)
{
    hazard_access(device, work, &work->operands[0]);
    struct allocation *allocation = allocation_at(work->operands[0].span.address);
    if (allocation)
        release(allocation);
}

cudaError_t cudaMallocAsync(void **pointer, size_t bytes, cudaStream_t handle)
{
    struct CUstream_st *stream = NULL;
    struct allocation *added = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = pointer && bytes ? stream_resolve(handle, &stream) : cudaErrorInvalidValue;
    if (!error && stream->capture)
        error = capture_forbids(stream);
    if (!error)
        error = allocate(pointer, bytes, &added);
    if (!error) {
        struct work *work = work_create("cudaMallocAsync", note_whole, 0);
        work_add_operand(work, "memory", span_of(added->address, bytes), false, true);
        error = queue_put(stream, work);
    }
    return runtime_leave(error);
}

cudaError_t cudaFreeAsync(void *pointer, cudaStream_t handle)
{
    struct CUstream_st *stream = NULL;
    cudaError_t error = runtime_enter();
    if (!error)
        error = stream_resolve(handle, &stream);
    if (!error && stream->capture)
        error = capture_forbids(stream);
    if (error || !pointer)
        return runtime_leave(error);
    struct allocation *allocation = device_block(pointer);
    if (!allocation) {
        runtime_report(device_current(), CHECK_HOST, "cudaFreeAsync", address_of(pointer),
                       "cudaFreeAsync of an address where no allocation of device memory begins");
        return runtime_leave(cudaErrorInvalidValue);
    }
    struct work *work = work_create("cudaFreeAsync", release_when_reached, 0);
    work_add_operand(work, "memory", span_of(allocation->address, allocation->bytes), false, true);
    error = queue_put(stream, work);
    allocation->retired = true;
    return runtime_leave(error);
}

/* ---- pinned memory ---- */

static cudaError_t allocate_host(void **pointer, size_t bytes, unsigned int flags)
{
    if (!pointer || flags & ~(unsigned int)(cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined))
        return cudaErrorInvalidValue;
    if (flags & cudaHostAllocMapped)
        return cudaErrorNotSupported; /* kernels do not reach host memory here */
    *pointer = NULL;
    if (!bytes)
        return cudaSuccess;
    void *memory;
    if (posix_memalign(&memory, 4096, (bytes + 4095) / 4096 * 4096))
        return cudaErrorMemoryAllocation;
    memset(memory, 0xCD, bytes);
    struct allocation *added = allocation_add(address_of(memory), bytes, HOST_ALLOCATED, NULL);
    added->flags = flags;
    runtime_counters.host_allocations++;
    *pointer = memory;
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **pointer, size_t bytes, unsigned int flags)
{
    cudaError_t error = runtime_enter();
    if (!error)
        error = capture_forbids(NULL);
    if (!error)
        error = allocate_host(pointer, bytes, flags);
    return runtime_leave(error);
}

cudaError_t cudaMallocHost(void **pointer, size_t bytes)
{
    return cudaHostAlloc(pointer, bytes, cudaHostAllocDefault);
}

static struct allocation *host_block(const void *pointer, enum allocation_kind kind)
{
    struct allocation *allocation = allocation_at(address_of(pointer));
    return allocation && allocation->address == address_of(pointer) && allocation->kind == kind ? allocation : NULL;
}

cudaError_t cudaFreeHost(void *pointer)
{
    cudaError_t error = runtime_enter();
    if (!error && pointer)
        error = capture_forbids(NULL);
    if (error || !pointer)
        return runtime_leave(error);
    struct allocation *allocation = host_block(pointer, HOST_ALLOCATED);
    if (!allocation) {
        runtime_report(device_current(), CHECK_HOST, "cudaFreeHost", address_of(pointer),
                       "cudaFreeHost of an address where no pinned allocation begins");
        return runtime_leave(cudaErrorInvalidValue);
    }
    settle_users(allocation, "cudaFreeHost");
    allocation_remove(allocation);
    free(pointer);
    runtime_counters.host_releases++;
    return runtime_leave(cudaSuccess);
}

cudaError_t cudaHostRegister(void *pointer, size_t bytes, unsigned int flags)
{
    cudaError_t error = runtime_enter();
    if (!error && (!pointer || !bytes || flags & ~(unsigned int)cudaHostRegisterPortable))
        error = flags & ~(unsigned int)cudaHostRegisterPortable ? cudaErrorNotSupported : cudaErrorInvalidValue;
    for (int64_t i = 0; !error && i < allocation_count(); i++) {
        const struct allocation *other = allocation_number(i);
        if (other->address < address_of(pointer) + bytes && address_of(pointer) < other->address + other->bytes)
            error = cudaErrorHostMemoryAlreadyRegistered;
    }
    if (!error) {
        allocation_add(address_of(pointer), bytes, HOST_REGISTERED, NULL)->flags = flags;
        runtime_counters.host_allocations++;
    }
    return runtime_leave(error);
}

cudaError_t cudaHostUnregister(void *pointer)
{
    cudaError_t error = runtime_enter();
    if (error)
        return runtime_leave(error);
    struct allocation *allocation = host_block(pointer, HOST_REGISTERED);
    if (!allocation)
        return runtime_leave(cudaErrorHostMemoryNotRegistered);
    settle_users(allocation, "cudaHostUnregister");
    allocation_remove(allocation);
    runtime_counters.host_releases++;
    return runtime_leave(cudaSuccess);
}

/* ---- questions ---- */

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    cudaError_t error = runtime_enter();
    if (!error && (!available || !total))
        error = cudaErrorInvalidValue;
    if (!error) {
        struct machine *machine = device_current()->machine;
        *total = (size_t)machine_settings(machine)->limits.total_memory;
        uint64_t used = machine_allocated(machine) + (uint64_t)machine_settings(machine)->memory_taken;
        *available = used < *total ? *total - used : 0;
    }
    return runtime_leave(error);
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *pointer)
{
    cudaError_t error = runtime_enter();
    if (!error && !attributes)
        error = cudaErrorInvalidValue;
    if (error)
        return runtime_leave(error);
    memset(attributes, 0, sizeof *attributes);
    const struct allocation *allocation = allocation_at(address_of(pointer));
    if (!allocation) {
        attributes->type = cudaMemoryTypeUnregistered;
        attributes->device = -2; /* cudaInvalidDeviceId */
        attributes->hostPointer = (void *)(uintptr_t)pointer;
    } else if (allocation->device) {
        attributes->type = cudaMemoryTypeDevice;
        attributes->device = allocation->device->number;
        attributes->devicePointer = (void *)(uintptr_t)pointer;
    } else {
        attributes->type = cudaMemoryTypeHost;
        attributes->device = device_current_number();
        attributes->hostPointer = (void *)(uintptr_t)pointer;
    }
    return runtime_leave(cudaSuccess);
}
