/* dQ of attention in bf16 on tensor cores (attention_backward_tensor.cuh). A block of four warps has 64 queries of one head and
 * walks over their keys, 64 at a time, as the forward does; queries, their output gradients and dQ stay in registers. What
 * the queries and gradients are read through is then the second stage of keys and values. */
#include "kernels/cuda/attention_backward_tensor.cuh"
#include <math_constants.h>

enum { QUERIES = 64, KEYS = 64, WARPS = 4, THREADS = WARPS * WARP };

template <int D> struct query_state {
    uint32_t query[D / 16][4], grad_output[D / 16][4];
    float grad_query[D / 8][4];
    float shift[2], delta[2]; /* of rows lane / 4 and lane / 4 + 8: log-sum-exp times log2(e), sum(dO * O) */
    int32_t start[2], end[2];
};

template <int D>
static __device__ inline void begin(query_state<D> &state, const struct attention_forward &p, const float *delta,
                                    int64_t b, int64_t head, int64_t first, uint32_t queries, uint32_t gradients,
                                    int lane)
{
    const int row = (int)threadIdx.x / WARP * 16;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        const uint32_t offset = tile_offset<D>(row + a_lane_row(lane), k * 2 + a_lane_chunk(lane));
        load_matrices(state.query[k], queries + offset);
        load_matrices(state.grad_output[k], gradients + offset);
    }
#pragma unroll
    for (int d = 0; d < D / 8; d++)
        state.grad_query[d][0] = state.grad_query[d][1] = state.grad_query[d][2] = state.grad_query[d][3] = 0;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int64_t query = first + row + lane / 4 + 8 * r, index = (b * p.heads + head) * p.query_length + query;
        const bool exists = query < p.query_length;
        state.shift[r] = exists ? p.log_sum_exp[index] * CUDART_L2E_F : 0;
        state.delta[r] = exists ? delta[index] : 0;
        state.start[r] = (int32_t)query_start(p, b, query);
        state.end[r] = (int32_t)query_end(p, row_keys(p, b), query);
    }
}

/* One tile of keys and values: ds, then dQ += ds K. */
template <int D, bool MASKED>
static __device__ inline void attend(query_state<D> &state, uint32_t keys, uint32_t values, int32_t first, float scale,
                                     int lane)
{
    float p[KEYS / 8][4], ds[KEYS / 8][4];
    const float factor = scale * CUDART_L2E_F;
    multiply_rows<D, KEYS>(p, state.query, keys, lane);
    multiply_rows<D, KEYS>(ds, state.grad_output, values, lane);
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int32_t key = first + n * 8 + lane % 4 * 2 + i % 2;
            const bool hidden = MASKED && (key < state.start[i / 2] || key >= state.end[i / 2]);
            const float probability = fast_exp2(fmaf(p[n][i], factor, -state.shift[i / 2]));
            ds[n][i] = hidden ? 0 : probability * (ds[n][i] - state.delta[i / 2]) * scale;
        }
    add_product<D, KEYS>(state.grad_query, ds, keys, lane);
}

/* Grid as in the forward: heads fastest, then rows of the batch, then blocks of queries from the last one on. */
template <int D>
static __global__ void __launch_bounds__(THREADS)
    attention_backward_queries_kernel(const struct attention_backward q, const float *delta)
{
    extern __shared__ __align__(128) unsigned char memory[];
    constexpr uint32_t TILE = KEYS * D * 2;
    const struct attention_forward &p = q.forward;
    const int64_t head = blockIdx.x % p.heads, b = blockIdx.x / p.heads % p.batch, kv = head / (p.heads / p.kv_heads);
    const int64_t first = ((p.query_length + QUERIES - 1) / QUERIES - 1 - blockIdx.x / (p.heads * p.batch)) * QUERIES;
    const int lane = (int)threadIdx.x % WARP;
    const int64_t end = query_end(p, row_keys(p, b), first + QUERIES - 1),
                  least_end = query_end(p, row_keys(p, b), first);
    const int64_t most_start = query_start(p, b, first + QUERIES - 1);
    const __nv_bfloat16 *key = static_cast<const __nv_bfloat16 *>(p.key) + b * p.key_batch_stride + kv * D;
    const __nv_bfloat16 *value = static_cast<const __nv_bfloat16 *>(p.value) + b * p.value_batch_stride + kv * D;
    const uint32_t stages = shared_address(memory);
    int64_t tile = query_start(p, b, first) / KEYS * KEYS;

    load_rows<D, QUERIES, THREADS>(stages + 2 * TILE,
                                   static_cast<const __nv_bfloat16 *>(p.query) + b * p.query_batch_stride + head * D,
                                   p.query_row_stride, first, p.query_length);
    load_rows<D, QUERIES, THREADS>(
        stages + 3 * TILE, static_cast<const __nv_bfloat16 *>(q.grad_output) + b * p.output_batch_stride + head * D,
        p.output_row_stride, first, p.query_length);
    load_rows<D, KEYS, THREADS>(stages, key, p.key_row_stride, tile, end);
    load_rows<D, KEYS, THREADS>(stages + TILE, value, p.value_row_stride, tile, end);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    query_state<D> state;
    begin<D>(state, p, delta, b, head, first, stages + 2 * TILE, stages + 3 * TILE, lane);
    __syncthreads(); /* the second stage may be overwritten */
    for (uint32_t stage = stages; tile < end; tile += KEYS) {
        const uint32_t other = stage == stages ? stages + 2 * TILE : stages;
        if (tile + KEYS < end) {
            load_rows<D, KEYS, THREADS>(other, key, p.key_row_stride, tile + KEYS, end);
            load_rows<D, KEYS, THREADS>(other + TILE, value, p.value_row_stride, tile + KEYS, end);
        }
        commit_copies();
        if (tile >= most_start && tile + KEYS <= least_end)
            attend<D, false>(state, stage, stage + TILE, (int32_t)tile, p.scale, lane);
        else
            attend<D, true>(state, stage, stage + TILE, (int32_t)tile, p.scale, lane);
        wait_copies<0>();
        __syncthreads(); /* the next tile has come, and nobody reads this one any more */
        stage = other;
    }
    store_rows<D>(state.grad_query, memory, (int)threadIdx.x / WARP * 16,
                  static_cast<__nv_bfloat16 *>(q.grad_query) + b * p.query_batch_stride + first * p.query_row_stride +
                      head * D,
                  p.query_row_stride, p.query_length - first, lane);
}

template <int D>
static enum status run(const struct device_context *context, const struct attention_backward *q, const float *delta)
{
    const struct attention_forward *p = &q->forward;
    return launch_tensor(context, "attention_backward", attention_backward_queries_kernel<D>,
                         (p->query_length + QUERIES - 1) / QUERIES * p->batch * p->heads, THREADS, 4 * KEYS * D * 2, *q,
                         delta);
}

enum status attention_backward_tensor_queries(const struct device_context *context, const struct attention_backward *q,
                                              const float *delta)
{
    switch (q->forward.head_size) {
    case 32:
        return run<32>(context, q, delta);
    case 64:
        return run<64>(context, q, delta);
    case 96:
        return run<96>(context, q, delta);
    default:
        return run<128>(context, q, delta);
    }
}
