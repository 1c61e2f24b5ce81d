/* Launches: by the stubs of <<<>>> (old and new), by cudaLaunchKernel and cudaLaunchKernelExC. What a launch asks for
 * is held against the limits of the device when it is made, because that is when a device refuses it; the parameters
 * are copied then, too. */
#include "emulator/runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

struct launch_payload {
    struct CUkern_st *kernel;
    uint32_t grid[3], block[3];
    uint64_t dynamic_shared;
    _Alignas(16) unsigned char parameters[];
};

static struct launch_payload *launch_of(struct work *work)
{
    return (struct launch_payload *)(void *)work->payload;
}

/* What ended the launch, from the report that says so. */
static cudaError_t error_of_launch(const struct machine *machine)
{
    int64_t count = machine_report_count(machine);
    for (int64_t i = count - 1; i >= 0; i--)
        switch (machine_report_at(machine, i)->check) {
        case CHECK_BOUNDS:
            return cudaErrorIllegalAddress;
        case CHECK_ALIGNMENT:
            return cudaErrorMisalignedAddress;
        case CHECK_ENDLESS:
            return cudaErrorLaunchTimeout;
        default:
            break;
        }
    return cudaErrorLaunchFailure;
}

static void run_launch(struct device *device, struct work *work)
{
    struct launch_payload *payload = launch_of(work);
    struct machine_launch launch = {.kernel = payload->kernel->loaded[device->number],
                                    .dynamic_shared = payload->dynamic_shared,
                                    .parameters = payload->parameters};
    memcpy(launch.grid, payload->grid, sizeof launch.grid);
    memcpy(launch.block, payload->block, sizeof launch.block);
    runtime_counters.launches++;
    if (!totals_run(device->machine, &launch, payload->kernel->name))
        device->lost = error_of_launch(device->machine);
    hazard_launch(device, work);
}

bool launch_mentions(const struct work *work, uint64_t address, uint64_t bytes)
{
    if (work->run != run_launch)
        return false;
    const unsigned char *parameters = work->payload + sizeof(struct launch_payload);
    size_t count = work->payload_bytes - sizeof(struct launch_payload);
    for (size_t i = 0; i + 8 <= count; i += 8) {
        uint64_t value;
        memcpy(&value, parameters + i, sizeof value);
        if (value - address < bytes)
            return true;
    }
    return false;
}

/* ---- limits ---- */

static int64_t shared_allowed(const struct CUkern_st *kernel, const struct device *device)
{
    const struct machine_limits *limits = &machine_settings(device->machine)->limits;
    int64_t without = limits->shared_per_block - machine_attributes(kernel->loaded[device->number]).static_shared;
    int64_t opted = kernel->dynamic_shared[device->number];
    return opted > without ? opted : without;
}

static cudaError_t check_launch(const struct CUkern_st *kernel, const struct device *device, dim3 grid, dim3 block,
                                size_t dynamic_shared)
{
    const struct machine_limits *limits = &machine_settings(device->machine)->limits;
    struct machine_kernel_attributes attributes = machine_attributes(kernel->loaded[device->number]);
    uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (!grid.x || !grid.y || !grid.z || grid.x > INT32_MAX || grid.y > 65535 || grid.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (!threads || block.x > 1024 || block.y > 1024 || block.z > 64 || threads > (uint64_t)limits->threads_per_block)
        return cudaErrorInvalidConfiguration;
    /* .maxntid: the machine code was made for no more. */
    if (threads > (uint64_t)attributes.maximum_threads)
        return cudaErrorInvalidValue;
    if ((int64_t)dynamic_shared > shared_allowed(kernel, device))
        return cudaErrorInvalidValue;
    return cudaSuccess;
}

static cudaError_t put_launch(struct CUkern_st *kernel, dim3 grid, dim3 block, void **arguments, size_t dynamic_shared,
                              cudaStream_t handle)
{
    struct CUstream_st *stream = NULL;
    struct device *device = device_current();
    if (!kernel)
        return cudaErrorInvalidDeviceFunction;
    cudaError_t error = stream_resolve(handle, &stream);
    if (!error && stream->device != device)
        error = cudaErrorInvalidResourceHandle;
    if (error)
        return error;
    if (!module_suits(kernel, device))
        return cudaErrorNoKernelImageForDevice;
    struct machine_kernel *loaded = module_load_kernel(kernel, device);
    error = check_launch(kernel, device, grid, block, dynamic_shared);
    if (error)
        return error;
    struct machine_kernel_attributes attributes = machine_attributes(loaded);
    struct work *work =
        work_create(kernel->name, run_launch, sizeof(struct launch_payload) + (size_t)attributes.parameter_bytes);
    struct launch_payload *payload = launch_of(work);
    payload->kernel = kernel;
    memcpy(payload->grid, &grid, sizeof payload->grid);
    memcpy(payload->block, &block, sizeof payload->block);
    payload->dynamic_shared = dynamic_shared;
    for (int32_t i = 0; i < attributes.parameter_count; i++) {
        uint64_t bytes;
        uint64_t offset = machine_parameter_offset(loaded, i, &bytes);
        memcpy(payload->parameters + offset, arguments[i], (size_t)bytes);
    }
    if (!stream->capture)
        runtime_counters.launch_calls++;
    return queue_put(stream, work);
}

static cudaError_t launch(struct CUkern_st *kernel, dim3 grid, dim3 block, void **arguments, size_t dynamic_shared,
                          cudaStream_t stream)
{
    cudaError_t error = runtime_enter();
    if (!error)
        error = put_launch(kernel, grid, block, arguments, dynamic_shared, stream);
    return runtime_leave(error);
}

/* ---- public calls ---- */

cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **arguments, size_t dynamic_shared,
                             cudaStream_t stream)
{
    return launch(module_kernel(function), grid, block, arguments, dynamic_shared, stream);
}

/* Attributes that only hint are taken; those that change what a kernel may do are refused. */
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *function, void **arguments)
{
    cudaError_t error = config ? cudaSuccess : cudaErrorInvalidValue;
    for (unsigned int i = 0; !error && i < config->numAttrs; i++) {
        const cudaLaunchAttribute *attribute = &config->attrs[i];
        bool one_block_cluster = attribute->id == cudaLaunchAttributeClusterDimension &&
                                 attribute->val.clusterDim.x * attribute->val.clusterDim.y == 1 &&
                                 attribute->val.clusterDim.z == 1;
        if (attribute->id != cudaLaunchAttributeIgnore && attribute->id != cudaLaunchAttributePriority &&
            attribute->id != cudaLaunchAttributePreferredSharedMemoryCarveout && !one_block_cluster)
            error = cudaErrorNotSupported;
    }
    if (error) {
        runtime_enter_always();
        return runtime_leave(error);
    }
    return launch(module_kernel(function), config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes,
                  config->stream);
}

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attribute, int value)
{
    cudaError_t error = runtime_enter();
    struct CUkern_st *kernel = module_kernel(function);
    if (!error && !kernel)
        error = cudaErrorInvalidDeviceFunction;
    if (error)
        return runtime_leave(error);
    struct device *device = device_current();
    int64_t used = machine_attributes(module_load_kernel(kernel, device)).static_shared;
    int64_t limit = machine_settings(device->machine)->limits.shared_per_block_optin;
    switch ((int)attribute) {
    case cudaFuncAttributeMaxDynamicSharedMemorySize:
        if (value < 0 || value + used > limit)
            return runtime_leave(cudaErrorInvalidValue);
        kernel->dynamic_shared[device->number] = value;
        return runtime_leave(cudaSuccess);
    case cudaFuncAttributePreferredSharedMemoryCarveout:
        return runtime_leave(value >= -1 && value <= 100 ? cudaSuccess : cudaErrorInvalidValue);
    default:
        return runtime_leave(cudaErrorNotSupported);
    }
}

/* Registers are decided by ptxas, which nothing here runs: numRegs is 0. */
cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *function)
{
    cudaError_t error = runtime_enter();
    struct CUkern_st *kernel = module_kernel(function);
    if (!error && (!kernel || !attributes))
        error = attributes ? cudaErrorInvalidDeviceFunction : cudaErrorInvalidValue;
    if (error)
        return runtime_leave(error);
    struct device *device = device_current();
    struct machine_kernel_attributes known = machine_attributes(module_load_kernel(kernel, device));
    const struct machine_limits *limits = &machine_settings(device->machine)->limits;
    memset(attributes, 0, sizeof *attributes);
    attributes->sharedSizeBytes = (size_t)known.static_shared;
    attributes->localSizeBytes = (size_t)known.local_bytes;
    attributes->maxThreadsPerBlock = known.maximum_threads;
    attributes->ptxVersion = attributes->binaryVersion = limits->major * 10 + limits->minor;
    attributes->maxDynamicSharedSizeBytes = (int)shared_allowed(kernel, device);
    attributes->preferredShmemCarveout = -1;
    return runtime_leave(cudaSuccess);
}

/* ---- called by the stubs of <<<>>> ---- */

static _Thread_local struct {
    dim3 grid, block;
    size_t dynamic_shared;
    cudaStream_t stream;
} configurations[8];
static _Thread_local int configuration_count;

unsigned int __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t dynamic_shared, struct CUstream_st *stream);
cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *dynamic_shared, void *stream);
cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *function);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments, size_t dynamic_shared,
                               cudaStream_t stream);

unsigned int __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t dynamic_shared, struct CUstream_st *stream)
{
    int i = configuration_count;
    if (i == (int)(sizeof configurations / sizeof *configurations))
        return 1;
    configurations[i].grid = grid;
    configurations[i].block = block;
    configurations[i].dynamic_shared = dynamic_shared;
    configurations[i].stream = stream;
    configuration_count++;
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *dynamic_shared, void *stream)
{
    if (!configuration_count)
        return cudaErrorMissingConfiguration;
    int i = --configuration_count;
    *grid = configurations[i].grid;
    *block = configurations[i].block;
    *dynamic_shared = configurations[i].dynamic_shared;
    memcpy(stream, &configurations[i].stream, sizeof(cudaStream_t));
    return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *function)
{
    *kernel = module_kernel(function);
    return *kernel ? cudaSuccess : cudaErrorInvalidDeviceFunction;
}

cudaError_t cudaGetKernel(cudaKernel_t *kernel, const void *function)
{
    runtime_enter_always();
    return runtime_leave(kernel ? __cudaGetKernel(kernel, function) : cudaErrorInvalidValue);
}

/* The stub drops what this returns, so only cudaGetLastError can tell the program. */
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments, size_t dynamic_shared,
                               cudaStream_t stream)
{
    cudaError_t error = launch(kernel, grid, block, arguments, dynamic_shared, stream);
    if (error)
        runtime_note_unseen(error, kernel ? kernel->name : "?");
    return error;
}

/* ---- refused ---- */

/* The driver's interface is not emulated. */
cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **pointer, unsigned int version,
                                             unsigned long long flags, enum cudaDriverEntryPointQueryResult *status)
{
    (void)version, (void)flags;
    runtime_enter_always();
    if (pointer)
        *pointer = NULL;
    if (status)
        *status = cudaDriverEntryPointSymbolNotFound;
    runtime_report(device_current(), CHECK_HOST, "cudaGetDriverEntryPoint", 0,
                   "the driver's interface is not emulated: %s was asked for", symbol ? symbol : "NULL");
    return runtime_leave(cudaErrorNotSupported);
}

cudaError_t cudaGetDriverEntryPoint(const char *symbol, void **pointer, unsigned long long flags,
                                    enum cudaDriverEntryPointQueryResult *status)
{
    return cudaGetDriverEntryPointByVersion(symbol, pointer, CUDART_VERSION, flags, status);
}
