/* attention_decode by multiply-adds in f32, four elements at a time: f32, and bf16 heads that the tensor cores do not take. A
 * warp takes eight keys in turn. For the scores four lanes share a key, each every fourth word of it; for the output each lane
 * has words of the head and goes through the eight values. All query heads of a group, up to eight, stay in one block, so
 * that keys and values are read once for them: queries in shared memory, outputs in registers. */
#include "kernels/cuda/attention_decode.cuh"

namespace
{

enum {
    FOUR = 4,           /* elements of a word */
    QUAD = 4,           /* lanes that share a key */
    KEYS = WARP / QUAD, /* of a tile */
    MOST_ROWS = 8,      /* query heads of a block */
};

__device__ float4 load_four(const float *source)
{
    return __ldg(reinterpret_cast<const float4 *>(source));
}
__device__ float4 load_four(const cuda_bfloat16 *source)
{
    uint2 words = __ldg(reinterpret_cast<const uint2 *>(source));
    return make_float4(__uint_as_float(words.x << 16), __uint_as_float(words.x & 0xffff0000u),
                       __uint_as_float(words.y << 16), __uint_as_float(words.y & 0xffff0000u));
}

__device__ float dot_four(const float4 &a, const float4 &b, float sum)
{
    return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}
__device__ void add_four(float4 &sum, float weight, const float4 &x)
{
    sum.x = fmaf(weight, x.x, sum.x);
    sum.y = fmaf(weight, x.y, sum.y);
    sum.z = fmaf(weight, x.z, sum.z);
    sum.w = fmaf(weight, x.w, sum.w);
}
__device__ void scale_four(float4 &sum, float factor)
{
    sum.x *= factor;
    sum.y *= factor;
    sum.z *= factor;
    sum.w *= factor;
}

__device__ int same_slot(int d)
{
    return d;
}

/* A warp's sums over its keys. */
template <int ROWS, int FOURS> struct lane_sums {
    float4 output[ROWS][FOURS];
    float largest[ROWS], sum[ROWS]; /* sum: of this lane's keys */
};

/* Scores of one tile become weights, of the lane's own key; what was summed before follows a largest score that grew. */
template <int ROWS, int FOURS>
__device__ void softmax_tile(struct lane_sums<ROWS, FOURS> &sums, float (&scores)[ROWS], bool exists)
{
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        float score = scores[row];
        for (int distance = 1; distance < QUAD; distance *= 2)
            score += __shfl_xor_sync(FULL_WARP, score, distance);
        score = exists ? score : -INFINITY;
        float largest = score;
        for (int distance = QUAD; distance < WARP; distance *= 2)
            largest = fmaxf(largest, __shfl_xor_sync(FULL_WARP, largest, distance));
        largest = fmaxf(sums.largest[row], largest);
        float shift = largest == -INFINITY ? 0.0f : largest, correction = exp2f(sums.largest[row] - shift);
        scores[row] = exp2f(score - shift);
        sums.largest[row] = largest;
        sums.sum[row] = fmaf(sums.sum[row], correction, scores[row]);
#pragma unroll
        for (int i = 0; i < FOURS; i++)
            scale_four(sums.output[row][i], correction);
    }
}

template <int ROWS, int FOURS>
__device__ void store_sums(struct warp_results<ROWS, FOURS * WARP * FOUR> &results,
                           const struct lane_sums<ROWS, FOURS> &sums)
{
    int warp = int(threadIdx.x) / WARP, lane = int(threadIdx.x) % WARP;
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        float sum = sums.sum[row];
        for (int distance = QUAD; distance < WARP; distance *= 2)
            sum += __shfl_xor_sync(FULL_WARP, sum, distance);
        if (lane == 0) { /* they are the same in all */
            results.largest[warp][row] = sums.largest[row];
            results.sum[warp][row] = sum;
        }
#pragma unroll
        for (int i = 0; i < FOURS; i++)
            *reinterpret_cast<float4 *>(&results.output[warp][row][(i * WARP + lane) * FOUR]) = sums.output[row][i];
    }
}

/* FOURS words of the head per lane: heads of up to FOURS * 128 elements. */
template <typename T, int ROWS, int FOURS>
__global__ void __launch_bounds__(DECODE_THREADS, 2)
    piece_by_lanes(struct attention_decode p, struct decode_cut cut, float scale, struct cuda_fault *fault)
{
    constexpr int WIDTH = FOURS * WARP * FOUR;
    __shared__ float queries[ROWS][WIDTH];
    __shared__ struct warp_results<ROWS, WIDTH> results;
    struct decode_block block = decode_block_of(p, cut, ROWS);
    int lane = int(threadIdx.x) % WARP, size = int(p.head_size);
    int64_t stride = 2 * p.kv_heads * size, start = block.piece * cut.piece_keys;
    int64_t end = min(token_keys(p, block.n, fault), start + cut.piece_keys);
    if (start >= end)
        return;
    const T *keys = static_cast<const T *>(p.cache.memory) + p.rows[block.n] * p.cache.row_stride + block.kv * size;
    const T *values = keys + stride / 2;
    const T *query =
        static_cast<const T *>(p.query) + block.n * p.query_row_stride + block.head * size; /* [heads][D] */
    for (int i = int(threadIdx.x); i < ROWS * size; i += DECODE_THREADS)
        queries[i / size][i % size] = i / size < block.heads ? load_element(query, i) * scale : 0.0f;
    __syncthreads();
    struct lane_sums<ROWS, FOURS> sums = {
    };
#pragma unroll
    for (int row = 0; row < ROWS; row++)
        sums.largest[row] = -INFINITY;
    for (int64_t first = start + int(threadIdx.x) / WARP * KEYS; first < end; first += DECODE_WARPS * KEYS) {
        int64_t key = first + lane / QUAD;
        float scores[ROWS] = {};
#pragma unroll 4
        for (int d = lane % QUAD * FOUR; d < size; d += QUAD * FOUR) {
            float4 x = key < end ? load_four(keys + key * stride + d) : make_float4(0, 0, 0, 0);
#pragma unroll
            for (int row = 0; row < ROWS; row++)
                scores[row] = dot_four(*reinterpret_cast<const float4 *>(&queries[row][d]), x, scores[row]);
        }
        softmax_tile<ROWS, FOURS>(sums, scores, key < end);
        int count = int(min(end - first, int64_t(KEYS)));
#pragma unroll 2
        for (int i = 0; i < count; i++) {
            float4 x[FOURS];
#pragma unroll
            for (int f = 0; f < FOURS; f++) {
                int d = (f * WARP + lane) * FOUR;
                x[f] = d < size ? load_four(values + (first + i) * stride + d) : make_float4(0, 0, 0, 0);
            }
#pragma unroll
            for (int row = 0; row < ROWS; row++) {
                float weight = __shfl_sync(FULL_WARP, scores[row], i * QUAD);
#pragma unroll
                for (int f = 0; f < FOURS; f++)
                    add_four(sums.output[row][f], weight, x[f]);
            }
        }
    }
    store_sums<ROWS, FOURS>(results, sums);
    combine_warps<ROWS, WIDTH, same_slot>(p, cut, block, results);
}

typedef void piece_kernel(struct attention_decode, struct decode_cut, float, struct cuda_fault *);

/* Long heads leave room for fewer rows. */
int rows_of(const struct attention_decode *p)
{
    int64_t group = p->heads / p->kv_heads;
    return group == 1 ? 1 : p->head_size <= 128 ? MOST_ROWS : MOST_ROWS / 2;
}

/* One class of heads for up to 128 elements and one for all longer ones, which no model of today has in f32: each variant costs
 * a second of compilation. */
template <typename T> piece_kernel *choose(const struct attention_decode *p)
{
    bool alone = rows_of(p) == 1;
    if (p->head_size <= 128)
        return alone ? piece_by_lanes<T, 1, 1> : piece_by_lanes<T, MOST_ROWS, 1>;
    return alone ? piece_by_lanes<T, 1, 4> : piece_by_lanes<T, MOST_ROWS / 2, 4>;
}

} // namespace

bool attention_decode_lanes_fit(const struct attention_decode *p)
{
    return p->head_size % FOUR == 0 && reinterpret_cast<uintptr_t>(p->cache.memory) % sizeof(float4) == 0 &&
           p->cache.row_stride % FOUR == 0;
}

enum status attention_decode_lanes(const struct device_context *context, const struct attention_decode *p,
                                   struct decode_cut *cut)
{
    const float log2_e = 1.4426950408889634f;
    piece_kernel *kernel = p->type == DTYPE_F32 ? choose<float>(p) : choose<cuda_bfloat16>(p);
    cut->parts = divide_up(p->heads / p->kv_heads, rows_of(p));
    cut->exponent = 1; /* the scale has made powers of e those of 2 */
    return launch(context, "attention_decode", kernel, p->tokens * p->kv_heads * cut->parts * cut->pieces, 1,
                  DECODE_THREADS, *p, *cut, p->scale * log2_e, cuda_fault_word(context));
}
