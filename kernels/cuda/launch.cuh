/* How an operation's host side puts its kernels into the compute queue: one function, so that an empty grid, a grid that is
 * too large and a launch that the device refuses are treated alike everywhere. */
#ifndef SPIRITLM_KERNELS_CUDA_LAUNCH_CUH
#define SPIRITLM_KERNELS_CUDA_LAUNCH_CUH

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/sizes/pieces.h"

/* Threads for `items` of work: whole warps, at most `most`, at least one warp. */
static inline int block_threads(int64_t items, int most)
{
    return items >= most ? most : int(divide_up(items > 0 ? items : 1, WARP)) * WARP;
}

/* Enqueues kernel<<<(blocks, parts), threads>>>(arguments...). Nothing for an empty grid. */
template <typename... Parameters, typename... Arguments>
static enum status launch(const struct device_context *context, const char *operation, void (*kernel)(Parameters...),
                          int64_t blocks, int64_t parts, int threads, const Arguments &...arguments)
{
    if (blocks <= 0 || parts <= 0)
        return STATUS_OK;
    if (blocks > INT32_MAX || parts > UINT16_MAX)
        return status_set(STATUS_INTERNAL, "%s: a grid of %lld times %lld blocks is more than a device takes",
                          operation, (long long)blocks, (long long)parts);
    kernel<<<dim3((unsigned int)blocks, (unsigned int)parts), (unsigned int)threads, 0, cuda_stream(context)>>>(
        arguments...);
    return cuda_launched(operation);
}

/* kernel<<<blocks, threads>>> with `shared` bytes of dynamic shared memory, which every architecture from sm_80 on has at
 * most 99 KiB of for a block. */
template <typename... Parameters, typename... Arguments>
static enum status launch_tensor(const struct device_context *context, const char *operation,
                                 void (*kernel)(Parameters...), int64_t blocks, int threads, int shared,
                                 const Arguments &...arguments)
{
    if (blocks <= 0)
        return STATUS_OK;
    if (blocks > INT32_MAX)
        return status_set(STATUS_INTERNAL, "%s: a grid of %lld blocks is more than a device takes", operation,
                          (long long)blocks);
    enum status result =
        cuda_checked(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared), operation);
    if (result != STATUS_OK)
        return result;
    kernel<<<(unsigned int)blocks, (unsigned int)threads, (size_t)shared, cuda_stream(context)>>>(arguments...);
    return cuda_launched(operation);
}

#endif
