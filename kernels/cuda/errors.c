/* What the CUDA runtime's error codes mean to whoever runs a program. The runtime says "CUDA driver version is insufficient"
 * also where there is no driver at all, and "no kernel image" where the GPU is older than any this program was built for:
 * each sentence here names the cause on this machine and what helps. */
#include "kernels/cuda/context.h"

#include <stdlib.h>

static enum status insufficient_driver(void)
{
    int driver = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return status_set(STATUS_USAGE, "this machine has no NVIDIA driver; --device cpu computes without one");
    return status_set(
        STATUS_USAGE,
        "the NVIDIA driver is too old: it supports CUDA %d.%d, and this program was built with CUDA %d.%d; "
        "install a newer driver, or build with an older toolkit",
        driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
}

static enum status no_device(void)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (visible)
        return status_set(STATUS_USAGE, "no NVIDIA GPU is visible: CUDA_VISIBLE_DEVICES is \"%s\"", visible);
    return status_set(STATUS_USAGE, "the NVIDIA driver finds no GPU on this machine");
}

static enum status no_kernel_image(void)
{
    int device = 0, major = 0, minor = 0;
    if (cudaGetDevice(&device) == cudaSuccess) {
        (void)cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
        (void)cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    }
    return status_set(
        STATUS_USAGE,
        "this program has no kernels for a GPU of compute capability %d.%d (device %d); it was built for 8.0 "
        "and newer",
        major, minor, device);
}

enum status cuda_checked(cudaError_t error, const char *what)
{
    switch (error) {
    case cudaSuccess:
        return STATUS_OK;
    case cudaErrorInsufficientDriver:
        return insufficient_driver();
    case cudaErrorNoDevice:
        return no_device();
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
        return no_kernel_image();
    case cudaErrorUnsupportedPtxVersion:
        return status_set(STATUS_USAGE,
                          "the NVIDIA driver is too old to compile this program's kernels for its GPU; install one for "
                          "CUDA %d.%d",
                          CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    case cudaErrorMemoryAllocation:
        return status_set(STATUS_INTERNAL, "%s: the device has no memory left", what);
    default:
        return status_set(STATUS_INTERNAL, "%s: %s (%s)", what, cudaGetErrorString(error), cudaGetErrorName(error));
    }
}

enum status cuda_launched(const char *operation)
{
    return cuda_checked(cudaGetLastError(), operation);
}
