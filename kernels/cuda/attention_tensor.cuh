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

/* Whether the tensor-core kernels take this call: bf16, a head size that they were compiled for, aligned rows, and a
 * positive scale, by which maxima may be found before they are scaled. The others go to the plain kernels. */
static inline bool attention_tensor_fits(const struct attention_forward *p)
{
    const bool size = p->head_size == 32 || p->head_size == 64 || p->head_size == 96 || p->head_size == 128;
    return p->type == DTYPE_BF16 && size && p->scale > 0 && isfinite(p->scale) &&
           whole_chunks(p->query, p->query_row_stride, p->query_batch_stride) &&
           whole_chunks(p->key, p->key_row_stride, p->key_batch_stride) &&
           whole_chunks(p->value, p->value_row_stride, p->value_batch_stride) &&
           whole_chunks(p->output, p->output_row_stride, p->output_batch_stride);
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
