/* Attention forward in bf16 on tensor cores: FlashAttention's algorithm (Dao et al. 2022; Dao 2023). A block of four warps takes
 * 64 queries of one head and walks over its keys 64 at a time; a warp has 16 queries, whose scores, probabilities and
 * outputs never leave its registers: scores come out of mma in the layout that the second product wants for its A operand.
 *
 * Keys and values of the next tile are under way (cp.async) while this one is computed. Tiles that all 64 queries see
 * whole are computed without masks, in the same code. Documents: starts do not decrease in a row, so the first query's
 * start tells which tile is the first, and tiles before it are never touched. The last queries, which have the most keys
 * in the causal case, come first in the grid.
 *
 * Scores are kept in powers of two: 2^(s * scale * log2(e) - m) is one multiply-add and one ex2. */
#include "kernels/cuda/attention_tensor.cuh"
#include <math_constants.h>

enum { QUERIES = 64, KEYS = 64, WARPS = 4, THREADS = WARPS * WARP, SCORE_TILES = KEYS / 8 };

/* What a thread keeps of its two queries, rows lane / 4 and lane / 4 + 8 of its warp's sixteen. */
template <int D> struct query_state {
    uint32_t query[D / 16][4]; /* A fragments of the warp's queries */
    float output[D / 8][4];    /* not yet divided by the sums */
    float largest[2];          /* of the scores so far, times log2(e) * scale; -infinity before the first */
    float sum[2];              /* this lane's part of the sum of 2^(score - largest) */
    int32_t start[2], end[2];  /* the keys that they see */
};

/* Scores of keys that a query does not see become -infinity. */
template <int D>
static __device__ inline void mask_scores(const query_state<D> &state, int32_t first, int lane,
                                          float scores[SCORE_TILES][4])
{
#pragma unroll
    for (int n = 0; n < SCORE_TILES; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int32_t key = first + n * 8 + lane % 4 * 2 + i % 2;
            if (key < state.start[i / 2] || key >= state.end[i / 2])
                scores[n][i] = -CUDART_INF_F;
        }
}

/* Scores become 2^(score * factor - largest); largest, sum and output follow. */
template <int D>
static __device__ inline void softmax(query_state<D> &state, float factor, float scores[SCORE_TILES][4])
{
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float largest = scores[0][2 * r];
#pragma unroll
        for (int n = 0; n < SCORE_TILES; n++)
            largest = fmaxf(largest, fmaxf(scores[n][2 * r], scores[n][2 * r + 1]));
        largest = fmaxf(largest, __shfl_xor_sync(FULL_WARP, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(FULL_WARP, largest, 2));
        largest = fmaxf(state.largest[r], largest * factor);
        const float shift = largest == -CUDART_INF_F ? 0 : largest; /* no key yet: 2^(-infinity - 0) is 0 */
        if (__any_sync(FULL_WARP, largest != state.largest[r])) {
            const float correction = fast_exp2(state.largest[r] - shift);
            state.sum[r] *= correction;
#pragma unroll
            for (int d = 0; d < D / 8; d++) {
                state.output[d][2 * r] *= correction;
                state.output[d][2 * r + 1] *= correction;
            }
            state.largest[r] = largest;
        }
#pragma unroll
        for (int n = 0; n < SCORE_TILES; n++)
#pragma unroll
            for (int i = 2 * r; i < 2 * r + 2; i++) {
                scores[n][i] = fast_exp2(fmaf(scores[n][i], factor, -shift));
                state.sum[r] += scores[n][i];
            }
    }
}

/* One tile of keys and values for one warp. */
template <int D, bool MASKED>
static __device__ inline void attend(query_state<D> &state, uint32_t keys, uint32_t values, int32_t first, float factor,
                                     int lane)
{
    float scores[SCORE_TILES][4];
    multiply_rows<D, KEYS>(scores, state.query, keys, lane);
    if (MASKED)
        mask_scores<D>(state, first, lane, scores);
    softmax<D>(state, factor, scores);
    add_product<D, KEYS>(state.output, scores, values, lane);
}

template <int D>
static __device__ inline void begin(query_state<D> &state, const struct attention_forward &p, int64_t b, int64_t keys,
                                    int64_t first, uint32_t queries, int lane)
{
    const int row = (int)threadIdx.x / WARP * 16;
#pragma unroll
    for (int k = 0; k < D / 16; k++)
        load_matrices(state.query[k], queries + tile_offset<D>(row + a_lane_row(lane), k * 2 + a_lane_chunk(lane)));
#pragma unroll
    for (int d = 0; d < D / 8; d++)
        state.output[d][0] = state.output[d][1] = state.output[d][2] = state.output[d][3] = 0;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int64_t query = first + row + lane / 4 + 8 * r;
        state.largest[r] = -CUDART_INF_F;
        state.sum[r] = 0;
        state.start[r] = (int32_t)query_start(p, b, query);
        state.end[r] = (int32_t)query_end(p, keys, query);
    }
}

/* Divides by the sums and stores, through the warp's own rows of the queries' tile. */
template <int D>
static __device__ inline void finish(query_state<D> &state, const struct attention_forward &p, int64_t b, int64_t head,
                                     int64_t first, unsigned char *queries, int lane)
{
    const int row = (int)threadIdx.x / WARP * 16;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float sum = state.sum[r];
        sum += __shfl_xor_sync(FULL_WARP, sum, 1);
        sum += __shfl_xor_sync(FULL_WARP, sum, 2);
        const float inverse = sum == 0 ? 0 : 1 / sum; /* a query without keys: output 0 */
#pragma unroll
        for (int d = 0; d < D / 8; d++) {
            state.output[d][2 * r] *= inverse;
            state.output[d][2 * r + 1] *= inverse;
        }
        const int64_t query = first + row + lane / 4 + 8 * r;
        if (p.log_sum_exp && lane % 4 == 0 && query < p.query_length)
            p.log_sum_exp[(b * p.heads + head) * p.query_length + query] =
                (state.largest[r] + log2f(sum)) * CUDART_LN2_F;
    }
    store_rows<D>(state.output, queries, row,
                  static_cast<__nv_bfloat16 *>(p.output) + b * p.output_batch_stride + first * p.output_row_stride +
                      head * D,
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
static __global__ void __launch_bounds__(THREADS)
    attention_forward_tensor_kernel(const struct attention_forward p, struct cuda_fault *fault)
{
    extern __shared__ __align__(128) unsigned char memory[];
    constexpr uint32_t TILE = KEYS * D * 2;
    const int64_t head = blockIdx.x % p.heads, b = blockIdx.x / p.heads % p.batch;
    const int64_t first = ((p.query_length + QUERIES - 1) / QUERIES - 1 - blockIdx.x / (p.heads * p.batch)) * QUERIES;
    if (!indices_fit(p, fault, b, first))
        return;
    const int lane = (int)threadIdx.x % WARP;
    const int64_t keys = row_keys(p, b), kv = head / (p.heads / p.kv_heads);
    const int64_t end = query_end(p, keys, first + QUERIES - 1), least_end = query_end(p, keys, first);
    const int64_t most_start = query_start(p, b, first + QUERIES - 1);
    const __nv_bfloat16 *key = static_cast<const __nv_bfloat16 *>(p.key) + b * p.key_batch_stride + kv * D;
    const __nv_bfloat16 *value = static_cast<const __nv_bfloat16 *>(p.value) + b * p.value_batch_stride + kv * D;
    const uint32_t queries = shared_address(memory), stages = queries + TILE;
    int64_t tile = query_start(p, b, first) / KEYS * KEYS;

    load_rows<D, QUERIES, THREADS>(queries,
                                   static_cast<const __nv_bfloat16 *>(p.query) + b * p.query_batch_stride + head * D,
                                   p.query_row_stride, first, p.query_length);
    if (tile < end) {
        load_rows<D, KEYS, THREADS>(stages, key, p.key_row_stride, tile, end);
        load_rows<D, KEYS, THREADS>(stages + TILE, value, p.value_row_stride, tile, end);
    }
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    query_state<D> state;
    begin<D>(state, p, b, keys, first, queries, lane);
    const float factor = p.scale * CUDART_L2E_F;
    for (uint32_t stage = stages; tile < end; tile += KEYS) {
        const bool more = tile + KEYS < end;
        const uint32_t other = stage == stages ? stages + 2 * TILE : stages;
        if (more) {
            load_rows<D, KEYS, THREADS>(other, key, p.key_row_stride, tile + KEYS, end);
            load_rows<D, KEYS, THREADS>(other + TILE, value, p.value_row_stride, tile + KEYS, end);
        }
        commit_copies();
        if (tile >= most_start && tile + KEYS <= least_end)
            attend<D, false>(state, stage, stage + TILE, (int32_t)tile, factor, lane);
        else
            attend<D, true>(state, stage, stage + TILE, (int32_t)tile, factor, lane);
        wait_copies<0>();
        __syncthreads(); /* the next tile has come, and nobody reads this one any more */
        stage = other;
    }
    finish<D>(state, p, b, head, first, memory, lane);
}

template <int D> static enum status run(const struct device_context *context, const struct attention_forward *p)
{
    constexpr int BYTES = (QUERIES + 4 * KEYS) * D * 2; /* queries, and two stages of keys and values */
    return launch_tensor(context, "attention_forward", attention_forward_tensor_kernel<D>,
                         (p->query_length + QUERIES - 1) / QUERIES * p->batch * p->heads, THREADS, BYTES, *p,
                         cuda_fault_word(context));
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
