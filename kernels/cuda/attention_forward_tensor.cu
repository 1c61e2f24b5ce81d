/* Attention forward in bf16 on tensor cores: FlashAttention's algorithm (Dao et al. 2022; Dao 2023). A block takes 128 queries of
 * one head and walks over its keys 64 at a time; a warp has 16 queries, or 32 where a head is small enough, whose scores,
 * probabilities and outputs never leave its registers: scores come out of mma in the layout that the second product wants
 * for its A operand. What limits such a loop is shared memory: each matrix that a warp loads must serve many products, and each
 * tile that is copied must serve many warps.
 *
 * Keys and values of the next tile are under way (cp.async) while this one is computed. Tiles that all 128 queries see whole
 * come first, in a loop without masks. Documents: starts do not decrease in a row, so the first query's start tells which
 * tile is the first, and tiles before it are never touched. The last queries, which have the most keys in the causal case,
 * come first in the grid.
 *
 * Probabilities are 2^(score * factor - shift), one multiply-add and one ex2. The shift is not the largest score itself but
 * one of the scores that was the largest once: sums and outputs are only rescaled when a score exceeds it by 2^MARGIN,
 * which after the first tile is rare. Any shift gives the same quotient, and f32 and bf16 lose nothing to 2^MARGIN. */
#include "kernels/cuda/attention_tensor.cuh"
#include <math_constants.h>

enum { QUERIES = 128, KEYS = 64, SCORE_TILES = KEYS / 8, MARGIN = 8 };

/* How a block of QUERIES is cut: tiles of 16 queries a warp. */
template <int D> struct cut {
    static constexpr int ROWS = D <= 64 ? 2 : 1, WARPS = QUERIES / (16 * ROWS), THREADS = WARPS * WARP;
};

/* What a thread keeps of its queries, rows lane / 4 and lane / 4 + 8 of each sixteen. */
template <int D> struct query_state {
    static constexpr int ROWS = cut<D>::ROWS;
    uint32_t query[ROWS][D / 16][4]; /* A fragments of the warp's queries */
    float output[ROWS][D / 8][4];    /* not yet divided by the sums */
    float largest[ROWS][2];          /* the score that is subtracted; -infinity before the first key */
    float sum[ROWS][2];              /* this lane's part of the sum of 2^((score - largest) * factor) */
};

/* Scores of keys that a query does not see become -infinity. */
template <int ROWS>
static __device__ inline void mask_scores(float (&scores)[ROWS][SCORE_TILES][4], const int32_t (&start)[ROWS][2],
                                          const int32_t (&end)[ROWS][2], int32_t first, int lane)
{
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int n = 0; n < SCORE_TILES; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int32_t key = first + lane % 4 * 2 + n * 8 + i % 2;
                if (key < start[m][i / 2] || key >= end[m][i / 2])
                    scores[m][n][i] = -CUDART_INF_F;
            }
}

/* Gives the queries whose scores have outgrown their shift a new one; sums and outputs follow. */
template <int D>
static __device__ inline void rescale(query_state<D> &state, float (&top)[cut<D>::ROWS][2], float factor)
{
#pragma unroll
    for (int m = 0; m < cut<D>::ROWS; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float score = fmaxf(top[m][r], __shfl_xor_sync(FULL_WARP, top[m][r], 1));
            score = fmaxf(score, __shfl_xor_sync(FULL_WARP, score, 2));
            const float before = state.largest[m][r];
            const bool grew = score * factor > before * factor + MARGIN;
            const float correction = grew ? fast_exp2((before - score) * factor) : 1;
            state.largest[m][r] = grew ? score : before;
            state.sum[m][r] *= correction;
#pragma unroll
            for (int d = 0; d < D / 8; d++) {
                state.output[m][d][2 * r] *= correction;
                state.output[m][d][2 * r + 1] *= correction;
            }
        }
}

/* What is subtracted from score * factor; 0 as long as the query has seen no key: then 2^(-infinity - 0) is 0. */
static __device__ inline float shift_of(float largest, float factor)
{
    return largest == -CUDART_INF_F ? 0 : largest * factor;
}

/* Scores become probabilities times 2^something that the sum has too. */
template <int D>
static __device__ inline void softmax(query_state<D> &state, float factor,
                                      float (&scores)[cut<D>::ROWS][SCORE_TILES][4])
{
    constexpr int ROWS = cut<D>::ROWS;
    float top[ROWS][2];
    bool grew = false;
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            top[m][r] = fmaxf(scores[m][0][2 * r], scores[m][0][2 * r + 1]);
#pragma unroll
            for (int n = 1; n < SCORE_TILES; n++)
                top[m][r] = fmaxf(top[m][r], fmaxf(scores[m][n][2 * r], scores[m][n][2 * r + 1]));
            grew |= top[m][r] * factor > state.largest[m][r] * factor + MARGIN;
        }
    if (__any_sync(FULL_WARP, grew))
        rescale<D>(state, top, factor);
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float shift = shift_of(state.largest[m][r], factor);
#pragma unroll
            for (int n = 0; n < SCORE_TILES; n++) {
#pragma unroll
                for (int i = 2 * r; i < 2 * r + 2; i++)
                    scores[m][n][i] = fast_exp2(fmaf(scores[m][n][i], factor, -shift));
                state.sum[m][r] += scores[m][n][2 * r] + scores[m][n][2 * r + 1];
            }
        }
}

/* A block's walk over its tiles: where the next one comes from, and the stage it goes to. */
template <int D> struct walk {
    static constexpr uint32_t TILE = KEYS * D * 2, STAGE = 2 * TILE;
    tile_order<KEYS> order;
    tile_copy<D, KEYS, cut<D>::THREADS> key, value;
    uint32_t stages, stage;       /* address of the first; offset of the one that is computed next */
    int32_t tile, ahead, to_copy; /* computed next, copied next, and how many are left to copy */

    __device__ inline void copy()
    {
        key.start(stages + (STAGE - stage), ahead, order.end);
        value.start(stages + (STAGE - stage) + TILE, ahead, order.end);
        ahead = order.after(ahead);
        to_copy--;
    }
};

/* The next `count` tiles. */
template <int D, bool MASKED>
static __device__ inline void attend(query_state<D> &state, walk<D> &at, int32_t count,
                                     const int32_t (&start)[cut<D>::ROWS][2], const int32_t (&end)[cut<D>::ROWS][2],
                                     float factor, int lane)
{
    constexpr int ROWS = cut<D>::ROWS;
    const float zeros[ROWS][2] = {};
    for (; count > 0; count--) {
        wait_copies<0>();
        __syncthreads(); /* this tile has come, and nobody reads the other stage any more */
        const uint32_t keys = lane_place<D>(at.stages + at.stage, lane),
                       values = transposed_place<D>(at.stages + at.stage, lane);
        if (at.to_copy > 0)
            at.copy();
        commit_copies();
        float scores[ROWS][SCORE_TILES][4];
        uint32_t packed[ROWS][KEYS / 16][4];
        multiply_rows<ROWS, D, KEYS>(scores, state.query, keys, 0, zeros);
        if (MASKED)
            mask_scores<ROWS>(scores, start, end, at.tile, lane);
        softmax<D>(state, factor, scores);
        pack_rows<ROWS, KEYS>(packed, scores);
        add_product<ROWS, D, KEYS>(state.output, packed, values, KEYS);
        at.tile = at.order.after(at.tile);
        at.stage = walk<D>::STAGE - at.stage;
    }
}

/* Divides by the sums and stores, through the warp's own rows of shared memory. */
template <int D>
static __device__ inline void finish(query_state<D> &state, const struct attention_forward &p, int64_t b, int64_t head,
                                     int32_t first, unsigned char *memory, float factor, int lane)
{
    constexpr int ROWS = cut<D>::ROWS;
    const int row = (int)threadIdx.x / WARP * 16 * ROWS;
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float sum = state.sum[m][r];
            sum += __shfl_xor_sync(FULL_WARP, sum, 1);
            sum += __shfl_xor_sync(FULL_WARP, sum, 2);
            const float inverse = sum == 0 ? 0 : 1 / sum; /* a query without keys: output 0 */
#pragma unroll
            for (int d = 0; d < D / 8; d++) {
                state.output[m][d][2 * r] *= inverse;
                state.output[m][d][2 * r + 1] *= inverse;
            }
            const int64_t query = first + row + m * 16 + lane / 4 + 8 * r;
            if (p.log_sum_exp && lane % 4 == 0 && query < p.query_length)
                p.log_sum_exp[(b * p.heads + head) * p.query_length + query] =
                    (shift_of(state.largest[m][r], factor) + log2f(sum)) * CUDART_LN2_F;
        }
    __syncthreads(); /* nobody reads the last tile any more */
    store_rows<ROWS, D>(state.output, 1, memory, row,
                        static_cast<cuda_bfloat16 *>(p.output) + b * p.output_batch_stride +
                            first * p.output_row_stride + head * D,
                        p.output_row_stride, p.query_length - first, lane);
}

/* Whether what lies in device memory may be used: this row's number of keys, and the starts of this block's queries. */
static __device__ inline bool indices_fit(const struct attention_forward &p, struct cuda_fault *fault, int64_t b,
                                          int64_t first)
{
    bool good = true;
    if (p.key_lengths)
        good = index_fits(fault, CUDA_attention_forward, CUDA_FAULT_LENGTH, b, p.batch, p.key_lengths[b], 0,
                          p.key_length + 1);
    const int64_t query = first + threadIdx.x, index = b * p.query_length + query;
    if (p.starts && threadIdx.x < QUERIES && query < p.query_length)
        good = index_fits(fault, CUDA_attention_forward, CUDA_FAULT_START, query, p.query_length, p.starts[index],
                          query > 0 ? p.starts[index - 1] : 0, INT64_MAX) &&
               good;
    return __syncthreads_and(good);
}

/* Grid: heads fastest, then rows of the batch, then blocks of queries from the last one on. */
template <int D>
static __global__ void __launch_bounds__(cut<D>::THREADS)
    attention_forward_tensor_kernel(const struct attention_forward p, struct cuda_fault *fault)
{
    extern __shared__ __align__(128) unsigned char memory[];
    constexpr int ROWS = cut<D>::ROWS, THREADS = cut<D>::THREADS;
    const uint32_t heads = (uint32_t)p.heads, rows = blockIdx.x / heads, head = blockIdx.x % heads;
    const uint32_t b = rows % (uint32_t)p.batch, kv = head / (heads / (uint32_t)p.kv_heads);
    const int32_t first =
        ((int32_t)((p.query_length + QUERIES - 1) / QUERIES - 1) - (int32_t)(rows / (uint32_t)p.batch)) * QUERIES;
    if (!indices_fit(p, fault, b, first))
        return;
    const int lane = (int)threadIdx.x % WARP, row = (int)threadIdx.x / WARP * 16 * ROWS;
    const int64_t keys = row_keys(p, b);
    const tile_order<KEYS> order((int32_t)query_start(p, b, first), (int32_t)query_end(p, keys, first + QUERIES - 1),
                                 (int32_t)query_start(p, b, first + QUERIES - 1), (int32_t)query_end(p, keys, first));
    walk<D> at = {order,
                  {p.key, b * p.key_batch_stride + kv * D, p.key_row_stride},
                  {p.value, b * p.value_batch_stride + kv * D, p.value_row_stride},
                  shared_address(memory),
                  walk<D>::STAGE,
                  order.whole_count ? order.whole : order.first_masked(),
                  order.whole_count ? order.whole : order.first_masked(),
                  order.count};
    /* the queries come through the memory of the second stage */
    tile_copy<D, QUERIES, THREADS>(p.query, b * p.query_batch_stride + head * D, p.query_row_stride)
        .start(at.stages + walk<D>::STAGE, first, (int32_t)p.query_length);
    if (order.count > 0)
        at.copy();
    commit_copies();
    at.stage = 0;
    wait_copies<0>();
    __syncthreads();
    query_state<D> state;
    load_fragments<ROWS, D>(state.query, at.stages + walk<D>::STAGE, row, lane);
    clear_sums<ROWS, D>(state.output);
#pragma unroll
    for (int m = 0; m < ROWS; m++)
        for (int r = 0; r < 2; r++) {
            state.largest[m][r] = -CUDART_INF_F;
            state.sum[m][r] = 0;
        }
    const float factor = p.scale * CUDART_L2E_F;
    int32_t start[ROWS][2], end[ROWS][2];
    attend<D, false>(state, at, order.whole_count, start, end, factor, lane);
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            start[m][r] = (int32_t)query_start(p, b, first + row + m * 16 + lane / 4 + 8 * r);
            end[m][r] = (int32_t)query_end(p, keys, first + row + m * 16 + lane / 4 + 8 * r);
        }
    attend<D, true>(state, at, order.count - order.whole_count, start, end, factor, lane);
    finish<D>(state, p, b, head, first, memory, factor, lane);
}

template <int D> static enum status run(const struct device_context *context, const struct attention_forward *p)
{
    return launch_tensor(context, "attention_forward", attention_forward_tensor_kernel<D>,
                         (p->query_length + QUERIES - 1) / QUERIES * p->batch * p->heads, cut<D>::THREADS,
                         (int)(2 * walk<D>::STAGE), *p, cuda_fault_word(context));
}

enum status attention_forward_tensor(const struct device_context *context, const struct attention_forward *p)
{
    switch (p->head_size) {
    case 32:
        return run<32>(context, p);
    case 64:
        return run<64>(context, p);
    case 96:
        return run<96>(context, p);
    default:
        return run<128>(context, p);
    }
}
