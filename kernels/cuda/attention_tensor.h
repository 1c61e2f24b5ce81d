/* When attention's kernels on tensor cores apply, and their host side: attention_forward.cu and attention_backward.cu choose
 * them where they can, and keep their plain kernels for everything else. */
#ifndef SPIRITLM_KERNELS_CUDA_ATTENTION_TENSOR_H
#define SPIRITLM_KERNELS_CUDA_ATTENTION_TENSOR_H

#include "kernels/cuda/cuda.h"

#include <math.h>

/* Whether copies of 16 bytes, 8 elements of bf16, reach every row of an array. */
static inline bool whole_chunks(const void *array, int64_t row_stride, int64_t batch_stride)
{
    return (uintptr_t)array % 16 == 0 && row_stride % 8 == 0 && batch_stride % 8 == 0;
}

/* Whether the tensor-core kernels take this call: bf16, a head size that they were compiled for, aligned rows, rows
 * whose positions fit 32 bits with a tile to spare, and a positive scale, by which maxima may be found before they are
 * scaled. The others go to the plain kernels. */
static inline bool attention_tensor_fits(const struct attention_forward *p)
{
    const bool size = p->head_size == 32 || p->head_size == 64 || p->head_size == 96 || p->head_size == 128;
    const int64_t most = INT32_MAX - 1024;
    return p->type == DTYPE_BF16 && size && p->key_length <= most && p->query_length <= most && p->scale > 0 &&
           isfinite(p->scale) && whole_chunks(p->query, p->query_row_stride, p->query_batch_stride) &&
           whole_chunks(p->key, p->key_row_stride, p->key_batch_stride) &&
           whole_chunks(p->value, p->value_row_stride, p->value_batch_stride) &&
           whole_chunks(p->output, p->output_row_stride, p->output_batch_stride);
}

/* Likewise for the gradients. */
static inline bool attention_backward_tensor_fits(const struct attention_backward *p)
{
    const struct attention_forward *f = &p->forward;
    return attention_tensor_fits(f) && whole_chunks(p->grad_output, 0, 0) && whole_chunks(p->grad_query, 0, 0) &&
           whole_chunks(p->grad_key, 0, 0) && whole_chunks(p->grad_value, 0, 0);
}

/* attention_forward of calls that fit. */
enum status attention_forward_tensor(const struct device_context *context, const struct attention_forward *p);

/* The passes of attention_backward (attention_backward_tensor.cuh): what the others need of each query, into [B][H][T]; dK and
 * dV; dQ. */
struct query_statistics;
enum status attention_backward_tensor_statistics(const struct device_context *context,
                                                 const struct attention_backward *p,
                                                 struct query_statistics *statistics);
enum status attention_backward_tensor_keys(const struct device_context *context, const struct attention_backward *p,
                                           const struct query_statistics *statistics);
enum status attention_backward_tensor_queries(const struct device_context *context, const struct attention_backward *p,
                                              const struct query_statistics *statistics);

#endif
