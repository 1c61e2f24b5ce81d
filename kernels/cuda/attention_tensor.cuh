/* What attention's kernels on tensor cores share: how they are launched, and which keys a query sees. */
#ifndef SPIRITLM_KERNELS_CUDA_ATTENTION_TENSOR_CUH
#define SPIRITLM_KERNELS_CUDA_ATTENTION_TENSOR_CUH

#include "kernels/cuda/attention_tensor.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/tensor.cuh"

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

/* The keys of row b; a wrong length reads nothing. */
static __device__ inline int64_t row_keys(const struct attention_forward &p, int64_t b)
{
    const int64_t length = p.key_lengths ? p.key_lengths[b] : p.key_length;
    return length >= 0 && length <= p.key_length ? length : 0;
}

/* Where the keys of query `i` of row `b` begin; `i` may lie behind the last query, whose keys it then has. */
static __device__ inline int64_t query_start(const struct attention_forward &p, int64_t b, int64_t i)
{
    const int64_t last = p.query_length - 1;
    const int32_t start = p.starts ? p.starts[b * p.query_length + (i < last ? i : last)] : 0;
    return start > 0 ? start : 0;
}

/* Where they end, in a row of `keys` keys. */
static __device__ inline int64_t query_end(const struct attention_forward &p, int64_t keys, int64_t i)
{
    const int64_t last = p.query_length - 1, end = (i < last ? i : last) + 1 + keys - p.query_length;
    return p.bidirectional ? keys : end > 0 ? end : 0;
}

#endif
