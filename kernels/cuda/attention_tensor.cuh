/* What attention's kernels on tensor cores share: which keys a query sees, and their products of tiles. */
#ifndef SPIRITLM_KERNELS_CUDA_ATTENTION_TENSOR_CUH
#define SPIRITLM_KERNELS_CUDA_ATTENTION_TENSOR_CUH

#include "kernels/cuda/attention_tensor.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tensor.cuh"

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

/* ---- tiles and products ---- */

/* Rows of a tile in shared memory, [ROWS][D], by all THREADS of a block; rows at and behind `end` become zeros. */
template <int D, int ROWS, int THREADS>
static __device__ inline void load_rows(uint32_t tile, const __nv_bfloat16 *source, int64_t row_stride, int64_t first,
                                        int64_t end)
{
    constexpr int CHUNKS = D / CHUNK;
    for (int i = (int)threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
        const int row = i / CHUNKS, chunk = i % CHUNKS;
        const bool valid = first + row < end;
        copy_chunk_async(tile + tile_offset<D>(row, chunk),
                         source + (valid ? first + row : 0) * row_stride + chunk * CHUNK, valid);
    }
}

/* sum[N / 8][4] = a b^T for the warp's 16 rows: `a` fragments of D / 16 steps, b a tile of N rows of D. */
template <int D, int N>
static __device__ inline void multiply_rows(float sum[N / 8][4], const uint32_t a[D / 16][4], uint32_t b, int lane)
{
#pragma unroll
    for (int n = 0; n < N / 8; n++)
        sum[n][0] = sum[n][1] = sum[n][2] = sum[n][3] = 0;
#pragma unroll
    for (int k = 0; k < D / 16; k++)
#pragma unroll
        for (int n = 0; n < N / 8; n += 2) {
            uint32_t fragment[4];
            load_matrices(fragment, b + tile_offset<D>(n * 8 + b_lane_row(lane), k * 2 + b_lane_chunk(lane)));
            multiply_add(sum[n], a[k], fragment[0], fragment[1]);
            multiply_add(sum[n + 1], a[k], fragment[2], fragment[3]);
        }
}

/* sum[D / 8][4] += p b: p is [16][K] as scores lie in a warp's registers, rounded to bf16; b a tile of K rows of D. */
template <int D, int K>
static __device__ inline void add_product(float sum[D / 8][4], const float p[K / 8][4], uint32_t b, int lane)
{
#pragma unroll
    for (int k = 0; k < K / 16; k++) {
        const uint32_t a[4] = {pack_pair(p[2 * k][0], p[2 * k][1]), pack_pair(p[2 * k][2], p[2 * k][3]),
                               pack_pair(p[2 * k + 1][0], p[2 * k + 1][1]),
                               pack_pair(p[2 * k + 1][2], p[2 * k + 1][3])};
#pragma unroll
        for (int d = 0; d < D / 8; d += 2) {
            uint32_t fragment[4];
            load_matrices_transposed(fragment, b + tile_offset<D>(k * 16 + a_lane_row(lane), d + a_lane_chunk(lane)));
            multiply_add(sum[d], a, fragment[0], fragment[1]);
            multiply_add(sum[d + 1], a, fragment[2], fragment[3]);
        }
    }
}

/* Stores the warp's 16 rows of sums through its own rows `row` on of a tile that nobody else needs any more. `output` is row
 * 0 of the tile; rows at and behind `rows` are left out. */
template <int D>
static __device__ inline void store_rows(const float sum[D / 8][4], unsigned char *tile, int row, __nv_bfloat16 *output,
                                         int64_t row_stride, int64_t rows, int lane)
{
    __syncwarp();
#pragma unroll
    for (int d = 0; d < D / 8; d++)
#pragma unroll
        for (int r = 0; r < 2; r++)
            *reinterpret_cast<uint32_t *>(tile + tile_offset<D>(row + lane / 4 + 8 * r, d) + lane % 4 * 4) =
                pack_pair(sum[d][2 * r], sum[d][2 * r + 1]);
    __syncwarp();
    for (int i = lane; i < 16 * (D / CHUNK); i += WARP) {
        const int own = row + i / (D / CHUNK), chunk = i % (D / CHUNK);
        if (own < rows)
            *reinterpret_cast<uint4 *>(output + own * row_stride + chunk * CHUNK) =
                *reinterpret_cast<const uint4 *>(tile + tile_offset<D>(own, chunk));
    }
}

#endif
