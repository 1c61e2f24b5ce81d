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

/* Shared memory that the sums of device.cuh take of a block's, beside what a launch asks for. */
enum { CUDA_STATIC_SHARED = 1024 };

/* Whether an array's elements lie on boundaries of `bytes`, whatever its type: then packs of so many bytes move as words. */
static inline bool lies_on(const void *array, size_t bytes)
{
    return reinterpret_cast<uintptr_t>(array) % bytes == 0;
}

/* Enqueues kernel<<<(blocks, parts), threads, shared>>>(arguments...). Nothing for an empty grid. */
template <typename... Parameters, typename... Arguments>
static enum status launch_shared(const struct device_context *context, const char *operation,
                                 void (*kernel)(Parameters...), int64_t blocks, int64_t parts, int threads,
                                 size_t shared, const Arguments &...arguments)
{
    enum { GRANTED = 48 << 10 }; /* bytes of shared memory that a block has without asking */
    if (blocks <= 0 || parts <= 0)
        return STATUS_OK;
    if (blocks > INT32_MAX || parts > UINT16_MAX)
        return status_set(STATUS_INTERNAL, "%s: a grid of %lld times %lld blocks is more than a device takes",
                          operation, (long long)blocks, (long long)parts);
    if (shared > GRANTED) {
        enum status result = cuda_checked(
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared)), operation);
        if (result != STATUS_OK)
            return result;
    }
    kernel<<<dim3((unsigned int)blocks, (unsigned int)parts), (unsigned int)threads, shared, cuda_stream(context)>>>(
        arguments...);
    return cuda_launched(operation);
}

/* Likewise without shared memory of a size that the call decides. */
template <typename... Parameters, typename... Arguments>
static enum status launch(const struct device_context *context, const char *operation, void (*kernel)(Parameters...),
                          int64_t blocks, int64_t parts, int threads, const Arguments &...arguments)
{
    return launch_shared(context, operation, kernel, blocks, parts, threads, 0, arguments...);
}

/* Likewise for kernels that have one dimension of blocks and live in shared memory, of which every architecture from sm_80 on
 * has 99 KiB for a block. */
template <typename... Parameters, typename... Arguments>
static enum status launch_tensor(const struct device_context *context, const char *operation,
                                 void (*kernel)(Parameters...), int64_t blocks, int threads, int shared,
                                 const Arguments &...arguments)
{
    return launch_shared(context, operation, kernel, blocks, 1, threads, shared, arguments...);
}

#endif
