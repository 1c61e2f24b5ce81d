/* The two passes of attention's backward on tensor cores. Their order of additions depends on nothing but the shapes, so
 * gradients have the same bits in every run: dK and dV are summed by the block of their keys, dQ by the block of its
 * queries, which costs seven products where one pass with atomics needs five.
 *
 * With p = 2^(s * scale * log2(e) - lse * log2(e)) recomputed from the forward's log-sum-exp, and delta = sum(dO * O) of a
 * query: dV = p^T dO, ds = p * (dO V^T - delta) * scale, dK = ds^T Q, dQ = ds K. */
#ifndef SPIRITLM_KERNELS_CUDA_ATTENTION_BACKWARD_TENSOR_CUH
#define SPIRITLM_KERNELS_CUDA_ATTENTION_BACKWARD_TENSOR_CUH

#include "kernels/cuda/attention_tensor.cuh"

/* multiply_rows with `a` in a tile too: row `a_row` on. For tiles whose fragments do not fit into registers. */
template <int D, int N>
static __device__ inline void multiply_tiles(float sum[N / 8][4], uint32_t a, int a_row, uint32_t b, int lane)
{
#pragma unroll
    for (int n = 0; n < N / 8; n++)
        sum[n][0] = sum[n][1] = sum[n][2] = sum[n][3] = 0;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        uint32_t rows[4];
        load_matrices(rows, a + tile_offset<D>(a_row + a_lane_row(lane), k * 2 + a_lane_chunk(lane)));
#pragma unroll
        for (int n = 0; n < N / 8; n += 2) {
            uint32_t fragment[4];
            load_matrices(fragment, b + tile_offset<D>(n * 8 + b_lane_row(lane), k * 2 + b_lane_chunk(lane)));
            multiply_add(sum[n], rows, fragment[0], fragment[1]);
            multiply_add(sum[n + 1], rows, fragment[2], fragment[3]);
        }
    }
}

#endif
