/* What attention's kernels on tensor cores share: when they apply, and which keys a query sees. */
#ifndef SPIRITLM_KERNELS_CUDA_ATTENTION_TENSOR_CUH
#define SPIRITLM_KERNELS_CUDA_ATTENTION_TENSOR_CUH

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/tensor.cuh"

#include <math.h>

/* Whether 16-byte copies reach every row of an array of bf16: its address and strides are whole chunks. */
static inline bool whole_chunks(const void *array, int64_t row_stride, int64_t batch_stride)
{
    return (uintptr_t)array % CHUNK_BYTES == 0 && row_stride % CHUNK == 0 && batch_stride % CHUNK == 0;
}

/* Whether the tensor-core kernels take this call: bf16, a head size that they were compiled for, aligned rows, rows of
 * less than 2^31 keys, and a positive scale, by which maxima may be found before they are scaled. The others go to the plain kernels. */
static inline bool attention_tensor_fits(const struct attention_forward *p)
{
    const bool size = p->head_size == 32 || p->head_size == 64 || p->head_size == 96 || p->head_size == 128;
    return p->type == DTYPE_BF16 && size && p->key_length < INT32_MAX && p->query_length < INT32_MAX && p->scale > 0 &&
           isfinite(p->scale) && whole_chunks(p->query, p->query_row_stride, p->query_batch_stride) &&
           whole_chunks(p->key, p->key_row_stride, p->key_batch_stride) &&
           whole_chunks(p->value, p->value_row_stride, p->value_batch_stride) &&
           whole_chunks(p->output, p->output_row_stride, p->output_batch_stride);
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

/* attention_forward of calls that fit. */
enum status attention_forward_tensor(const struct device_context *context, const struct attention_forward *p);

/* Where the keys of query `i` of row `b` begin; `i` may lie behind the last query, whose keys it then has. */
static __device__ inline int64_t query_start(const struct attention_forward &p, int64_t b, int64_t i)
{
    const int64_t last = p.query_length - 1;
    return p.starts ? p.starts[b * p.query_length + (i < last ? i : last)] : 0;
}

/* Where they end, in a row of `keys` keys. */
static __device__ inline int64_t query_end(const struct attention_forward &p, int64_t keys, int64_t i)
{
    const int64_t last = p.query_length - 1, end = (i < last ? i : last) + 1 + keys - p.query_length;
    return p.bidirectional ? keys : end > 0 ? end : 0;
}

#endif
