/* A GPU as a device: opening a context asks for its streams, its fault word and the library that multiplies matrices. What can
 * be wrong with a machine (no driver, an old one, no GPU, a GPU that no kernel was built for, no memory left) shows here, in
 * one line, before anything has been computed. */
#include "kernels/cuda/context.h"
#include "kernels/cuda/conv1d_cudnn.h"
#include "kernels/cuda/kernels_cuda.h"
#include "kernels/cuda/products.h"
#include "kernels/cuda/ranges.h"
#include "kernels/cuda/sizes/conv1d_engine.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OLDEST_MAJOR = 8 }; /* the kernels need sm_80: bf16 tensor cores, cp.async */

static atomic_int selected;
static _Thread_local int current = -1; /* the device that the runtime has for this thread */

enum status kernels_cuda_devices(int *count)
{
    *count = 0;
    cudaError_t error = cudaGetDeviceCount(count);
    if (error != cudaSuccess)
        (void)cudaGetLastError(); /* the runtime keeps it for the next launch otherwise */
    return cuda_checked(error == cudaSuccess && *count == 0 ? cudaErrorNoDevice : error, "the GPUs cannot be counted");
}

enum status kernels_cuda_select(int index)
{
    int count, major = 0, minor = 0;
    enum status result = kernels_cuda_devices(&count);
    if (result != STATUS_OK)
        return result;
    if (index < 0 || index >= count)
        return status_set(STATUS_USAGE, "there is no GPU %d; this machine shows %d, counted from 0", index, count);
    TRY(cuda_checked(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index), "the GPU"));
    TRY(cuda_checked(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index), "the GPU"));
    if (major < OLDEST_MAJOR)
        return status_set(STATUS_USAGE, "GPU %d has compute capability %d.%d; the kernels need %d.0 or newer", index,
                          major, minor, (int)OLDEST_MAJOR);
    atomic_store(&selected, index);
fail:
    return result;
}

enum status kernels_cuda_device_bytes(int index, int64_t *bytes)
{
    enum status result = STATUS_OK;
    int count;
    struct cudaDeviceProp properties;
    *bytes = 0;
    TRY(kernels_cuda_devices(&count));
    if (index < 0 || index >= count)
        return status_set(STATUS_USAGE, "there is no GPU %d; this machine shows %d, counted from 0", index, count);
    TRY(cuda_checked(cudaGetDeviceProperties(&properties, index), "the GPU"));
    *bytes = (int64_t)properties.totalGlobalMem;
fail:
    return result;
}

static enum status use_device(int device)
{
    if (current == device)
        return STATUS_OK;
    enum status result = cuda_checked(cudaSetDevice(device), "the GPU cannot be used");
    if (result == STATUS_OK)
        current = device;
    return result;
}

enum status cuda_enter(const struct device_context *context, const char *call)
{
    CHECK(context && context->libraries, "%s: the context was not made by device_context_create", call);
    return use_device(cuda_libraries_of(context)->device);
}

cudaStream_t cuda_stream(const struct device_context *context)
{
    return cuda_libraries_of(context)->streams[QUEUE_COMPUTE];
}

struct cuda_fault *cuda_fault_word(const struct device_context *context)
{
    return cuda_libraries_of(context)->fault;
}

size_t cuda_shared_limit(const struct device_context *context)
{
    return cuda_libraries_of(context)->shared_limit;
}

/* ---- open and close ---- */

static enum status read_properties(struct cuda_libraries *libraries)
{
    enum status result = STATUS_OK;
    int shared = 0;
    TRY(cuda_checked(cudaDeviceGetAttribute(&libraries->major, cudaDevAttrComputeCapabilityMajor, libraries->device),
                     "the GPU"));
    TRY(cuda_checked(cudaDeviceGetAttribute(&libraries->minor, cudaDevAttrComputeCapabilityMinor, libraries->device),
                     "the GPU"));
    if (libraries->major < OLDEST_MAJOR)
        return cuda_checked(cudaErrorNoKernelImageForDevice, "the GPU");
    TRY(cuda_checked(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, libraries->device),
                     "the GPU"));
    libraries->shared_limit = (size_t)shared;
fail:
    return result;
}

static enum status make_queues(struct cuda_libraries *libraries)
{
    enum status result = STATUS_OK;
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        TRY(cuda_checked(cudaStreamCreateWithFlags(&libraries->streams[queue], cudaStreamNonBlocking), "a stream"));
    TRY(cuda_checked(cudaStreamCreateWithFlags(&libraries->setup, cudaStreamNonBlocking), "a stream"));
    TRY(cuda_checked(cudaEventCreateWithFlags(&libraries->copied, cudaEventDisableTiming), "an event"));
    TRY(cuda_checked(cudaMalloc((void **)&libraries->fault, sizeof *libraries->fault), "the fault word"));
    TRY(cuda_checked(cudaHostAlloc((void **)&libraries->seen, sizeof *libraries->seen, cudaHostAllocDefault),
                     "pinned memory"));
    memset(libraries->seen, 0, sizeof *libraries->seen);
    TRY(cuda_checked(cudaMemsetAsync(libraries->fault, 0, sizeof *libraries->fault, libraries->setup),
                     "the fault word"));
    TRY(cuda_checked(cudaStreamSynchronize(libraries->setup), "the fault word"));
fail:
    return result;
}

static void describe(struct cuda_libraries *libraries)
{
    struct cudaDeviceProp properties = {0};
    char version[32], convolutions[48] = "";
    int driver = 0;
    if (cudaGetDeviceProperties(&properties, libraries->device) != cudaSuccess)
        snprintf(properties.name, sizeof properties.name, "a GPU");
    libraries->memory.capacity = (int64_t)properties.totalGlobalMem;
    snprintf(libraries->name, sizeof libraries->name, "%s", properties.name);
    (void)cudaDriverGetVersion(&driver);
    cuda_products_version(libraries->products, version, sizeof version);
    if (libraries->cudnn) {
        char cudnn[24];
        cuda_cudnn_version(libraries->cudnn, cudnn, sizeof cudnn);
        snprintf(convolutions, sizeof convolutions, ", conv1d: cuDNN %s", cudnn);
    }
    snprintf(
        libraries->description, sizeof libraries->description,
        "CUDA %d.%d kernels on %.100s (sm_%d%d, driver for CUDA %d.%d), f32: cuBLASLt %s (FMA), bf16: cuBLASLt %s%s",
        CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10, properties.name, libraries->major, libraries->minor,
        driver / 1000, driver % 1000 / 10, version, version, convolutions);
}

static void free_libraries(struct cuda_libraries *libraries)
{
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        if (libraries->streams[queue])
            (void)cudaStreamSynchronize(libraries->streams[queue]);
    cuda_products_close(libraries->products);
    cuda_cudnn_close(libraries->cudnn);
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        if (libraries->streams[queue])
            (void)cudaStreamDestroy(libraries->streams[queue]);
    if (libraries->copied)
        (void)cudaEventDestroy(libraries->copied);
    if (libraries->setup)
        (void)cudaStreamDestroy(libraries->setup);
    (void)cudaFree(libraries->fault);
    (void)cudaFreeHost(libraries->seen);
    free(libraries->blocks);
    free(libraries);
}

enum status cuda_open(struct device_context *context)
{
    enum status result = STATUS_OK;
    int count;
    struct cuda_libraries *libraries = calloc(1, sizeof *libraries);
    CHECK(libraries, "no memory for the context of a GPU");
    cuda_ranges_open();
    TRY(kernels_cuda_devices(&count));
    libraries->device = atomic_load(&selected);
    TRY(use_device(libraries->device));
    TRY(read_properties(libraries));
    TRY(make_queues(libraries));
    TRY(cuda_products_open(&libraries->products));
    if (cuda_conv1d_engine() == CUDA_CONV1D_CUDNN)
        TRY(cuda_cudnn_open(libraries->streams[QUEUE_COMPUTE], &libraries->cudnn));
    describe(libraries);
    context->libraries = libraries;
    context->stream = libraries->streams[QUEUE_COMPUTE];
    return STATUS_OK;
fail:
    free_libraries(libraries);
    return result;
}

void cuda_close(struct device_context *context)
{
    if (context->libraries && cuda_enter(context, "close") == STATUS_OK)
        free_libraries(cuda_libraries_of(context));
    context->libraries = NULL;
    context->stream = NULL;
}

const char *cuda_describe(const struct device_context *context)
{
    return context && context->libraries ? cuda_libraries_of(context)->description : "no context";
}

double cuda_peak_flops(const struct device_context *context, enum dtype type)
{
    return cuda_published_peak(cuda_libraries_of(context)->name, type);
}
