/* Devices: how many there are, what they can do, which one a thread uses, and their synchronization and reset.
 * Properties come from machine_limits; what the machine does not know (clocks, textures, buses) is 0 and is refused as
 * a single attribute, so that no program builds on an invented number. */
#include "emulator/runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

void device_open(struct device *device)
{
    device->lost = cudaSuccess;
    device->legacy = stream_create(device, cudaStreamDefault, 0);
    device->legacy->legacy = true;
}

void device_close(struct device *device)
{
    captures_drop(device);
    streams_drop(device);
    events_drop(device);
    modules_forget(device);
    allocations_remove_of(device);
    device->legacy = NULL;
}

/* From the programming guide's table of compute capabilities. */
static int threads_per_processor(const struct machine_limits *limits)
{
    return (limits->major == 8 && limits->minor != 0) || limits->major == 12 ? 1536 : 2048;
}

static int blocks_per_processor(const struct machine_limits *limits)
{
    if (limits->major == 8 && limits->minor == 6)
        return 16;
    return (limits->major == 8 && limits->minor == 9) || limits->major == 12 ? 24 : 32;
}

static const struct machine_limits *limits_of(int32_t number)
{
    return &machine_settings(devices[number].machine)->limits;
}

static bool device_exists(int number)
{
    return !runtime_unusable() && number >= 0 && number < device_count;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    runtime_enter_always();
    if (count)
        *count = runtime_unusable() ? 0 : device_count;
    return runtime_leave(count ? runtime_unusable() : cudaErrorInvalidValue);
}

cudaError_t cudaGetDevice(int *device)
{
    runtime_enter_always();
    if (device)
        *device = device_current_number();
    return runtime_leave(device ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaSetDevice(int device)
{
    runtime_enter_always();
    if (!device_exists(device))
        return runtime_leave(runtime_unusable() ? runtime_unusable() : cudaErrorInvalidDevice);
    device_make_current(device);
    return runtime_leave(devices[device].lost);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    runtime_enter_always();
    if (!properties || !device_exists(device))
        return runtime_leave(properties ? cudaErrorInvalidDevice : cudaErrorInvalidValue);
    const struct machine_limits *limits = limits_of(device);
    memset(properties, 0, sizeof *properties);
    snprintf(properties->name, sizeof properties->name, "emulated %s", limits->name);
    memcpy(properties->uuid.bytes, "emulated", 8);
    properties->uuid.bytes[15] = (char)device_places[device];
    properties->totalGlobalMem = (size_t)limits->total_memory;
    properties->sharedMemPerBlock = (size_t)limits->shared_per_block;
    properties->sharedMemPerBlockOptin = (size_t)limits->shared_per_block_optin;
    properties->sharedMemPerMultiprocessor = (size_t)limits->shared_per_processor;
    properties->reservedSharedMemPerBlock = 1024;
    properties->regsPerBlock = (int)limits->registers_per_block;
    properties->regsPerMultiprocessor = 65536;
    properties->warpSize = 32;
    properties->memPitch = INT32_MAX;
    properties->maxThreadsPerBlock = limits->threads_per_block;
    properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = 1024;
    properties->maxThreadsDim[2] = 64;
    properties->maxGridSize[0] = INT32_MAX;
    properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
    properties->totalConstMem = 65536;
    properties->major = limits->major;
    properties->minor = limits->minor;
    properties->multiProcessorCount = limits->processors;
    properties->maxThreadsPerMultiProcessor = threads_per_processor(limits);
    properties->maxBlocksPerMultiProcessor = blocks_per_processor(limits);
    properties->concurrentKernels = properties->unifiedAddressing = 1;
    properties->asyncEngineCount = 2;
    properties->streamPrioritiesSupported = properties->hostRegisterSupported = 1;
    properties->pciBusID = device_places[device] + 1;
    return runtime_leave(cudaSuccess);
}

static cudaError_t attribute_of(int *value, enum cudaDeviceAttr attribute, int device)
{
    struct cudaDeviceProp properties;
    cudaGetDeviceProperties(&properties, device);
    switch ((int)attribute) {
#define ATTRIBUTE(name, field)                                                                                         \
    case cudaDevAttr##name:                                                                                            \
        *value = (int)properties.field;                                                                                \
        return cudaSuccess;
        ATTRIBUTE(MaxThreadsPerBlock, maxThreadsPerBlock)
        ATTRIBUTE(MaxBlockDimX, maxThreadsDim[0])
        ATTRIBUTE(MaxBlockDimY, maxThreadsDim[1])
        ATTRIBUTE(MaxBlockDimZ, maxThreadsDim[2])
        ATTRIBUTE(MaxGridDimX, maxGridSize[0])
        ATTRIBUTE(MaxGridDimY, maxGridSize[1])
        ATTRIBUTE(MaxGridDimZ, maxGridSize[2])
        ATTRIBUTE(MaxSharedMemoryPerBlock, sharedMemPerBlock)
        ATTRIBUTE(MaxSharedMemoryPerBlockOptin, sharedMemPerBlockOptin)
        ATTRIBUTE(MaxSharedMemoryPerMultiprocessor, sharedMemPerMultiprocessor)
        ATTRIBUTE(ReservedSharedMemoryPerBlock, reservedSharedMemPerBlock)
        ATTRIBUTE(TotalConstantMemory, totalConstMem)
        ATTRIBUTE(WarpSize, warpSize)
        ATTRIBUTE(MaxPitch, memPitch)
        ATTRIBUTE(MaxRegistersPerBlock, regsPerBlock)
        ATTRIBUTE(MaxRegistersPerMultiprocessor, regsPerMultiprocessor)
        ATTRIBUTE(MultiProcessorCount, multiProcessorCount)
        ATTRIBUTE(Integrated, integrated)
        ATTRIBUTE(CanMapHostMemory, canMapHostMemory)
        ATTRIBUTE(ConcurrentKernels, concurrentKernels)
        ATTRIBUTE(PciBusId, pciBusID)
        ATTRIBUTE(PciDeviceId, pciDeviceID)
        ATTRIBUTE(PciDomainId, pciDomainID)
        ATTRIBUTE(MaxThreadsPerMultiProcessor, maxThreadsPerMultiProcessor)
        ATTRIBUTE(MaxBlocksPerMultiprocessor, maxBlocksPerMultiProcessor)
        ATTRIBUTE(AsyncEngineCount, asyncEngineCount)
        ATTRIBUTE(UnifiedAddressing, unifiedAddressing)
        ATTRIBUTE(ComputeCapabilityMajor, major)
        ATTRIBUTE(ComputeCapabilityMinor, minor)
        ATTRIBUTE(StreamPrioritiesSupported, streamPrioritiesSupported)
        ATTRIBUTE(ManagedMemory, managedMemory)
        ATTRIBUTE(PageableMemoryAccess, pageableMemoryAccess)
        ATTRIBUTE(CooperativeLaunch, cooperativeLaunch)
        ATTRIBUTE(HostRegisterSupported, hostRegisterSupported)
        ATTRIBUTE(ClusterLaunch, clusterLaunch)
#undef ATTRIBUTE
    case cudaDevAttrMemoryPoolsSupported:
        *value = 0; /* cudaMallocAsync works; the calls for pools are not there */
        return cudaSuccess;
    default:
        return cudaErrorNotSupported;
    }
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    runtime_enter_always();
    if (!value)
        return runtime_leave(cudaErrorInvalidValue);
    return runtime_leave(device_exists(device) ? attribute_of(value, attribute, device) : cudaErrorInvalidDevice);
}

cudaError_t cudaDriverGetVersion(int *version)
{
    runtime_enter_always();
    if (version)
        *version = runtime_driver;
    return runtime_leave(version ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    if (!version)
        return cudaErrorInvalidValue;
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    if (least)
        *least = 0;
    if (greatest)
        *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    cudaError_t error = runtime_enter();
    if (!error)
        error = capture_forbids(NULL);
    if (!error) {
        runtime_counters.synchronizations++;
        queue_finish_device(device_current());
        error = device_current()->lost;
    }
    return runtime_leave(error);
}

/* The reports stay: a reset is no way to lose them. */
cudaError_t cudaDeviceReset(void)
{
    runtime_enter_always();
    if (runtime_unusable())
        return runtime_leave(runtime_unusable());
    struct device *device = device_current();
    if (!device->lost)
        queue_finish_device(device);
    struct machine *old = device->machine;
    struct machine_settings settings = *machine_settings(old);
    device_close(device);
    device->machine = machine_create(&settings);
    if (!device->machine)
        runtime_fatal("no memory for device %d", (int)device->number);
    for (int64_t i = 0; i < machine_report_count(old); i++)
        machine_add_report(device->machine, machine_report_at(old, i));
    machine_destroy(old);
    device_open(device);
    runtime_last_error(true);
    return runtime_leave(cudaSuccess);
}

/* What registers would allow is not known from PTX: this is the bound by threads, shared memory and blocks. */
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *function, int block_size,
                                                          size_t dynamic_shared)
{
    cudaError_t error = runtime_enter();
    if (error)
        return runtime_leave(error);
    struct CUkern_st *kernel = module_kernel(function);
    if (!kernel)
        return runtime_leave(cudaErrorInvalidDeviceFunction);
    struct device *device = device_current();
    if (!module_suits(kernel, device))
        return runtime_leave(cudaErrorNoKernelImageForDevice);
    struct machine_kernel_attributes attributes = machine_attributes(module_load_kernel(kernel, device));
    const struct machine_limits *limits = limits_of(device->number);
    if (!blocks || block_size < 1)
        return runtime_leave(cudaErrorInvalidValue);
    int64_t shared = attributes.static_shared + (int64_t)dynamic_shared;
    int64_t allowed = limits->shared_per_block;
    if (kernel->dynamic_shared[device->number] + attributes.static_shared > allowed)
        allowed = kernel->dynamic_shared[device->number] + attributes.static_shared;
    if (block_size > attributes.maximum_threads || shared > allowed) {
        *blocks = 0;
        return runtime_leave(cudaSuccess);
    }
    int64_t fit = threads_per_processor(limits) / ((block_size + 31) / 32 * 32);
    /* Every block takes 1 KB of shared memory for the system beside its own. */
    int64_t by_shared = limits->shared_per_processor / (shared + 1024);
    fit = by_shared < fit ? by_shared : fit;
    *blocks = (int)(fit < blocks_per_processor(limits) ? fit : blocks_per_processor(limits));
    return runtime_leave(cudaSuccess);
}
