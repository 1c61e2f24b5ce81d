/* What attention's kernels share. All of them are made of two products over tiles in shared memory: "rows", a few vectors of D
 * per warp that a block keeps (queries, or keys where the gradients of keys are sought), against "columns", 32 vectors that the
 * block loads, 64 elements of each at a time so that shared memory suffices for every head size up to 512. In the first
 * product a lane is a column, in the second an element. Both are chains of multiply-adds in one order: of the elements, and of
 * the columns. */
#ifndef SPIRITLM_KERNELS_CUDA_ATTENTION_CUH
#define SPIRITLM_KERNELS_CUDA_ATTENTION_CUH

#include "kernels/cuda/launch.cuh"

enum {
    ATTENTION_WARPS = 4,
    ATTENTION_THREADS = ATTENTION_WARPS * WARP,
    ATTENTION_BLOCKS = 3, /* a processor holds: 168 registers per thread. Left alone, ptxas spills for more blocks */
    CHUNK = 64,           /* elements of a column in shared memory at a time */
    CHUNK_STRIDE = CHUNK + 1, /* odd, so that both ways through a tile are free of bank conflicts */
    HALVES = CHUNK / WARP,    /* elements of a chunk per lane */
};

/* A head has at most CHUNKS chunks, a constant of each kernel: 1 or 2 in f32, MOST_CHUNKS for longer heads and for all that
 * tensor cores do not take in bf16. Few models have either, and every variant costs seconds of compilation, so the long one
 * takes every head, and its loops stay loops. */
enum { MOST_CHUNKS = 8 };

__host__ __device__ constexpr int unrolled(int chunks)
{
    return chunks == MOST_CHUNKS ? 1 : 4;
}

/* ---- what a query sees ---- */

/* Keys [start, end); empty when start >= end. */
struct key_range {
    int64_t start, end;
};

/* The keys of row b; a wrong length reads nothing. */
__device__ inline int64_t row_keys(const struct attention_forward &p, int64_t b)
{
    if (!p.key_lengths)
        return p.key_length;
    int64_t length = p.key_lengths[b];
    return length >= 0 && length <= p.key_length ? length : 0;
}

/* What query i of row b attends to, always within [0, keys). */
__device__ inline struct key_range query_keys(const struct attention_forward &p, int64_t keys, int64_t b, int64_t i)
{
    int64_t start = p.starts ? p.starts[b * p.query_length + i] : 0;
    int64_t end = p.bidirectional ? keys : i + 1 + keys - p.query_length;
    struct key_range range = {start > 0 ? start : 0, end < keys ? end : keys};
    return range;
}

/* Reports a start below the one before it (below 0 for the first of a row), and a length outside. One thread per query. */
__device__ inline void check_query(const struct attention_forward &p, int operation, int64_t b, int64_t i,
                                   struct cuda_fault *fault)
{
    if (p.starts) {
        const int32_t *starts = p.starts + b * p.query_length;
        int64_t before = i > 0 ? starts[i - 1] : 0;
        index_fits(fault, operation, CUDA_FAULT_START, b * p.query_length + i, p.query_length, starts[i], before,
                   INT64_MAX);
    }
    if (p.key_lengths && i == 0)
        index_fits(fault, operation, CUDA_FAULT_LENGTH, b, p.batch, p.key_lengths[b], 0, p.key_length + 1);
}

/* ---- tiles ---- */

/* rows[ROWS][CHUNKS * CHUNK] = `count` vectors of `size` elements times `scale`, and zeros in the rows behind them. A warp takes
 * a row at a time; nobody reads what lies behind a row's elements. The block loads; the caller synchronizes. */
template <int ROWS, int CHUNKS, typename T>
__device__ inline void load_rows(float *rows, const T *source, int64_t stride, int count, int size, float scale)
{
    int warp = int(threadIdx.x) / WARP, lane = int(threadIdx.x) % WARP;
#pragma unroll 1
    for (int row = warp; row < ROWS; row += ATTENTION_WARPS)
#pragma unroll(unrolled(CHUNKS))
        for (int d = lane; d < size; d += WARP)
            rows[row * CHUNKS * CHUNK + d] = row < count ? load_element(source, row * stride + d) * scale : 0.0f;
}

/* tile[WARP][CHUNK_STRIDE] likewise: `count` columns, `width` elements of each. Begins when the block has used what is
 * there, ends when it may use what is new. */
template <int UNROLLED, typename T>
__device__ inline void load_tile(float *tile, const T *source, int64_t stride, int count, int width, float scale)
{
    __syncthreads();
#pragma unroll(UNROLLED)
    for (int index = int(threadIdx.x); index < WARP * CHUNK; index += ATTENTION_THREADS) {
        int column = index / CHUNK, d = index % CHUNK;
        tile[column * CHUNK_STRIDE + d] =
            column < count && d < width ? load_element(source, column * stride + d) * scale : 0.0f;
    }
    __syncthreads();
}

/* Columns in device memory: `count` of them, at most WARP. */
template <typename T> struct columns {
    const T *first;
    int64_t stride;
    int count, size;
    float scale;
};

/* product[r] = row r of this warp's ROWS rows times this lane's column. */
template <int ROWS, int CHUNKS, typename T>
__device__ inline void multiply_columns(float (&product)[ROWS], const float *rows, float *tile,
                                        const struct columns<T> &columns)
{
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        product[r] = 0;
    const float *column = tile + threadIdx.x % WARP * CHUNK_STRIDE;
    for (int first = 0; first < columns.size; first += CHUNK) {
        int width = min(int(CHUNK), columns.size - first);
        load_tile<unrolled(CHUNKS)>(tile, columns.first + first, columns.stride, columns.count, width, columns.scale);
#pragma unroll(unrolled(CHUNKS))
        for (int d = 0; d < width; d++)
#pragma unroll
            for (int r = 0; r < ROWS; r++)
                product[r] = fmaf(rows[r * CHUNKS * CHUNK + first + d], column[d], product[r]);
    }
}

/* sum[r][k] += over the columns in their order, weight[r] of the column's lane * element lane + k * WARP of the column. */
template <int ROWS, int CHUNKS, typename T>
__device__ inline void add_columns(float (&sum)[ROWS][CHUNKS * HALVES], const float (&weight)[ROWS], float *tile,
                                   const struct columns<T> &columns)
{
    int lane = int(threadIdx.x) % WARP;
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        int first = chunk * CHUNK, width = min(int(CHUNK), columns.size - first);
        if (width <= 0)
            continue;
        load_tile<unrolled(CHUNKS)>(tile, columns.first + first, columns.stride, columns.count, width, columns.scale);
#pragma unroll(unrolled(CHUNKS))
        for (int column = 0; column < columns.count; column++) {
            const float *element = tile + column * CHUNK_STRIDE + lane;
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                float factor = __shfl_sync(FULL_WARP, weight[r], column);
#pragma unroll
                for (int half = 0; half < HALVES; half++)
                    sum[r][chunk * HALVES + half] = fmaf(factor, element[half * WARP], sum[r][chunk * HALVES + half]);
            }
        }
    }
}

/* One row of sums, times `factor`, to memory: [size]. */
template <int COUNT, typename T>
__device__ inline void store_row(T *destination, const float (&sum)[COUNT], int size, float factor)
{
    int lane = int(threadIdx.x) % WARP;
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (k * WARP + lane < size)
            store_element(destination, k * WARP + lane, sum[k] * factor);
}

template <int ROWS, int COUNT> __device__ inline void clear_sums(float (&sum)[ROWS][COUNT])
{
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int k = 0; k < COUNT; k++)
            sum[r][k] = 0;
}

/* ---- running softmax ---- */

/* Of one row: the largest score so far, in all lanes, and this lane's part of the sum of exp(score - largest). */
struct softmax {
    float largest, sum;
};

/* A score becomes exp(score - largest); sum and output follow a largest score that grew. A row without a key yet has the
 * largest score -infinity, and is shifted by 0. Rows whose largest score stays keep their bits: tiles that a row does not
 * see leave no trace. */
template <int COUNT> __device__ inline float softmax_step(struct softmax &softmax, float (&output)[COUNT], float score)
{
    float largest = fmaxf(softmax.largest, warp_maximum(score)), shift = largest == -INFINITY ? 0.0f : largest;
    float weight = expf(score - shift);
    if (largest != softmax.largest) {
        float correction = expf(softmax.largest - shift);
        softmax.largest = largest;
        softmax.sum *= correction;
#pragma unroll
        for (int k = 0; k < COUNT; k++)
            output[k] *= correction;
    }
    softmax.sum += weight;
    return weight;
}

#endif
