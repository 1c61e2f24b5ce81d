/* The passes of attention's backward on tensor cores. Their order of additions depends on nothing but the shapes, so
 * gradients have the same bits in every run: dK and dV are summed by the block of their keys, dQ by the block of its
 * queries, which costs seven products where one pass with atomics needs five.
 *
 * With p = 2^(s * scale * log2(e) - shift) recomputed from the forward's log-sum-exp, shift = lse * log2(e), and
 * delta = sum(dO * O) of a query: dV = p^T dO, ds = p * (dO V^T - delta), dK = scale * ds^T Q, dQ = scale * ds K. */
#ifndef SPIRITLM_KERNELS_CUDA_ATTENTION_BACKWARD_TENSOR_CUH
#define SPIRITLM_KERNELS_CUDA_ATTENTION_BACKWARD_TENSOR_CUH

#include "kernels/cuda/attention_tensor.cuh"

/* What the first pass leaves for the others of each query and head: [B][H][T]. */
struct query_statistics {
    float shift, delta;
};

#endif
