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

/* The block's and the thread's number, asked for anew at each call: what a kernel works out from them again at its end need
 * not be kept in registers through its loops, where none is left. */
static __device__ inline uint32_t block_number()
{
    uint32_t number;
    asm volatile("mov.u32 %0, %%ctaid.x;" : "=r"(number));
    return number;
}
static __device__ inline int thread_number()
{
    int number;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(number));
    return number;
}

/* ---- copies ---- */

/* A thread's part in copying tiles of ROWS rows of D elements that lie in device memory, `stride` elements apart. LANES
 * threads move 16 bytes each of a row, then the next 16 * LANES bytes; the addresses of all this are constants apart. */
template <int D, int ROWS, int THREADS> struct tile_copy {
    static constexpr int LANES = D % 64 != 0                      ? 4
                                 : D == 128 && THREADS > 8 * ROWS ? 16
                                                                  : 8,
                         STEP = THREADS / LANES, PASSES = ROWS > STEP ? ROWS / STEP : 1;
    static_assert(THREADS % LANES == 0 && STEP % 8 == 0 && (ROWS < STEP || ROWS % STEP == 0), "whole rows of threads");

    const cuda_bfloat16 *source; /* of row 0, this thread's first chunk */
    int64_t stride;
    uint32_t offset; /* in a tile, of the same chunk */

    __device__ inline tile_copy(const void *array, int64_t first_element, int64_t row_stride)
    {
        const int chunk = thread_number() % LANES, row = thread_number() / LANES;
        offset = tile_offset<D>(row, chunk);
        source = static_cast<const cuda_bfloat16 *>(array) + first_element + row * row_stride + chunk * CHUNK;
        stride = row_stride;
    }
    /* Rows [first, first + ROWS) to `tile`; those at and behind `end` become zeros, and are not read. */
    __device__ inline void start(uint32_t tile, int32_t first, int32_t end) const
    {
        const cuda_bfloat16 *from = source + (uint32_t)first * stride;
        const int32_t row = (int32_t)(offset / (D * 2));
        if (ROWS < STEP && row >= ROWS)
            return;
#pragma unroll
        for (int pass = 0; pass < PASSES; pass++) {
#pragma unroll
            for (int c = 0; c < D / CHUNK / LANES; c++)
                copy_chunk_async(tile + offset + (pass * STEP * D * 2 + c * LANES * CHUNK_BYTES),
                                 from + c * LANES * CHUNK, pass * STEP < end - first - row);
            from += STEP * stride;
        }
    }
};

/* ---- which tiles ---- */

/* The tiles of WIDTH positions, [first, end) in all, of which those in [whole, whole_end) are seen by everyone and need no
 * masks. They come first, then the others: from whole_end to the end, then from the first one on. */
template <int WIDTH> struct tile_order {
    int32_t first, end, whole, whole_count, count;

    /* Whole tiles lie in [whole_from, whole_to). */
    __device__ inline tile_order(int32_t from, int32_t to, int32_t whole_from, int32_t whole_to)
    {
        first = from / WIDTH * WIDTH;
        end = to;
        count = end > first ? (end - first + WIDTH - 1) / WIDTH : 0;
        whole = (max(whole_from, first) + WIDTH - 1) / WIDTH * WIDTH;
        whole_count = (min(whole_to, end) - whole) / WIDTH;
        if (whole_count <= 0) {
            whole = first;
            whole_count = 0;
        }
    }
    __device__ inline int32_t after(int32_t tile) const
    {
        return tile + WIDTH < end ? tile + WIDTH : first;
    }
    __device__ inline int32_t first_masked() const
    {
        const int32_t tile = whole + whole_count * WIDTH;
        return tile < end ? tile : first;
    }
};

/* ---- products of the warp's ROWS x 16 rows ---- */

/* Where this lane reads a tile in multiply_rows and in add_product. Tiles that follow one another in memory are further rows of
 * the first one. */
template <int D> static __device__ inline uint32_t lane_place(uint32_t tile, int lane)
{
    return tile + tile_offset<D>(b_lane_row(lane), b_lane_chunk(lane));
}
template <int D> static __device__ inline uint32_t transposed_place(uint32_t tile, int lane)
{
    return tile + tile_offset<D>(a_lane_row(lane), a_lane_chunk(lane));
}

/* sum = a b^T + initial: `a` fragments of D / 16 steps, b rows [from, from + N) of a tile of rows of D. initial[m][0] is of rows lane / 4, initial[m][1] of those 8 below. */
template <int ROWS, int D, int N>
static __device__ inline void multiply_rows(float (&sum)[ROWS][N / 8][4], const uint32_t (&a)[ROWS][D / 16][4],
                                            uint32_t place, int from, const float (&initial)[ROWS][2])
{
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int n = 0; n < N / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                sum[m][n][i] = initial[m][i / 2];
#pragma unroll
    for (int k = 0; k < D / 16; k++)
#pragma unroll
        for (int n = 0; n < N / 8; n += 2) {
            uint32_t fragment[4];
            load_matrices(fragment, tile_place<D>(place, from + n * 8, k * 2));
#pragma unroll
            for (int m = 0; m < ROWS; m++) {
                multiply_add(sum[m][n], a[m][k], fragment[0], fragment[1]);
                multiply_add(sum[m][n + 1], a[m][k], fragment[2], fragment[3]);
            }
        }
}

/* p of [16][K] as mma left it in a warp's registers, rounded to bf16: the A operand of the next product. */
template <int ROWS, int K>
static __device__ inline void pack_rows(uint32_t (&packed)[ROWS][K / 16][4], const float (&p)[ROWS][K / 8][4])
{
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int k = 0; k < K / 16; k++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                packed[m][k][i] = pack_pair(p[m][2 * k + i / 2][i % 2 * 2], p[m][2 * k + i / 2][i % 2 * 2 + 1]);
}

/* sum += p b: p [16][K] packed, b rows [from, from + K) of a tile of rows of D. With ONE_PLACE the lane reads where it does for
 * multiply_rows: fewer addresses to keep, and two moves more for each load, since halves of an operand then lie apart. */
template <int ROWS, int D, int K, bool ONE_PLACE = false>
static __device__ inline void add_product(float (&sum)[ROWS][D / 8][4], const uint32_t (&p)[ROWS][K / 16][4],
                                          uint32_t place, int from)
{
    constexpr int SECOND = ONE_PLACE ? 2 : 1,
                  OTHER = ONE_PLACE ? 1 : 2; /* half of the first operand; first of the other */
#pragma unroll
    for (int k = 0; k < K / 16; k++)
#pragma unroll
        for (int d = 0; d < D / 8; d += 2) {
            uint32_t fragment[4];
            load_matrices_transposed(fragment, tile_place<D>(place, from + k * 16, d));
#pragma unroll
            for (int m = 0; m < ROWS; m++) {
                multiply_add(sum[m][d], p[m][k], fragment[0], fragment[SECOND]);
                multiply_add(sum[m][d + 1], p[m][k], fragment[OTHER], fragment[3]);
            }
        }
}

/* The A fragments of a tile's ROWS x 16 rows from `row` on. */
template <int ROWS, int D>
static __device__ inline void load_fragments(uint32_t (&a)[ROWS][D / 16][4], uint32_t tile, int row, int lane)
{
    const uint32_t place = tile + tile_offset<D>(row + a_lane_row(lane), a_lane_chunk(lane));
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int k = 0; k < D / 16; k++)
            load_matrices(a[m][k], tile_place<D>(place, m * 16, k * 2));
}

template <int ROWS, int D> static __device__ inline void clear_sums(float (&sum)[ROWS][D / 8][4])
{
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int d = 0; d < D / 8; d++)
            sum[m][d][0] = sum[m][d][1] = sum[m][d][2] = sum[m][d][3] = 0;
}

/* Stores the warp's rows of sums, times `factor`, through its own rows `row` on of a tile that nobody else needs any more.
 * `output` is row 0 of the tile; rows at and behind `rows` are left out. */
template <int ROWS, int D>
static __device__ inline void store_rows(const float (&sum)[ROWS][D / 8][4], float factor, unsigned char *tile, int row,
                                         cuda_bfloat16 *output, int64_t row_stride, int64_t rows, int lane)
{
    __syncwarp();
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int d = 0; d < D / 8; d++)
#pragma unroll
            for (int r = 0; r < 2; r++)
                *reinterpret_cast<uint32_t *>(tile + tile_offset<D>(row + m * 16 + lane / 4 + 8 * r, d) +
                                              lane % 4 * 4) =
                    pack_pair(sum[m][d][2 * r] * factor, sum[m][d][2 * r + 1] * factor);
    __syncwarp();
    for (int i = lane; i < ROWS * 16 * (D / CHUNK); i += WARP) {
        const int own = row + i / (D / CHUNK), chunk = i % (D / CHUNK);
        if (own < rows)
            *reinterpret_cast<uint4 *>(output + own * row_stride + chunk * CHUNK) =
                *reinterpret_cast<const uint4 *>(tile + tile_offset<D>(own, chunk));
    }
}

#endif
