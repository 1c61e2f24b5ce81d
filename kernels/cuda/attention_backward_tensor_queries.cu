/* dQ of attention in bf16 on tensor cores (attention_backward_tensor.cuh). A block has 128 queries of one head and walks over
 * their keys, 64 at a time, as the forward does, with the whole tiles first; queries, their output gradients and dQ stay in
 * registers. What the queries and gradients are read through is the memory of the stages of keys and values.
 *
 * Scores are made and used up 32 keys at a time, so that the registers suffice. delta is what the sums of dO V^T begin with. */
#include "kernels/cuda/attention_backward_tensor.cuh"
#include <math_constants.h>

enum { QUERIES = 128 };

/* How a block of QUERIES is cut: tiles of 16 queries a warp, and keys whose scores exist at a time. */
template <int D> struct cut {
    static constexpr int ROWS = D == 32 ? 2 : 1, WARPS = QUERIES / (16 * ROWS), THREADS = WARPS * WARP,
                         KEYS = D == 128 ? 32 : 64, PART = D == 32 || D == 128 ? 16 : 32;
};

template <int D> struct query_state {
    static constexpr int ROWS = cut<D>::ROWS;
    uint32_t query[ROWS][D / 16][4], grad_output[ROWS][D / 16][4];
    float grad_query[ROWS][D / 8][4];
    float shift[ROWS][2], minus_delta[ROWS][2]; /* of rows lane / 4 and lane / 4 + 8 of each sixteen */
};

template <int D>
static __device__ inline void begin(query_state<D> &state, const struct attention_forward &p,
                                    const struct query_statistics *statistics, int64_t b, int64_t head, int32_t first,
                                    uint32_t queries, uint32_t gradients, int lane)
{
    constexpr int ROWS = cut<D>::ROWS;
    const int row = (int)threadIdx.x / WARP * 16 * ROWS;
    load_fragments<ROWS, D>(state.query, queries, row, lane);
    load_fragments<ROWS, D>(state.grad_output, gradients, row, lane);
    clear_sums<ROWS, D>(state.grad_query);
#pragma unroll
    for (int m = 0; m < ROWS; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const int64_t query = first + row + m * 16 + lane / 4 + 8 * r;
            struct query_statistics own = {0, 0};
            if (query < p.query_length)
                own = statistics[(b * p.heads + head) * p.query_length + query];
            state.shift[m][r] = own.shift;
            state.minus_delta[m][r] = -own.delta;
        }
}

/* A block's walk over its tiles, as the forward's. */
template <int D> struct walk {
    static constexpr int KEYS = cut<D>::KEYS;
    static constexpr uint32_t TILE = KEYS * D * 2, STAGE = 2 * TILE;
    tile_order<KEYS> order;
    tile_copy<D, KEYS, cut<D>::THREADS> key, value;
    uint32_t stages, stage;       /* address of the first; offset of the one that is computed next */
    int32_t tile, ahead, to_copy; /* computed next, copied next, and how many are left to copy */

    __device__ inline void copy(uint32_t to)
    {
        key.start(stages + to, ahead, order.end);
        value.start(stages + to + TILE, ahead, order.end);
        ahead = order.after(ahead);
        to_copy--;
    }
};

/* The next `count` tiles: ds, then dQ += ds K. */
template <int D, bool MASKED>
static __device__ inline void attend(query_state<D> &state, walk<D> &at, int32_t count,
                                     const int32_t (&start)[cut<D>::ROWS][2], const int32_t (&end)[cut<D>::ROWS][2],
                                     float factor, int lane)
{
    constexpr int ROWS = cut<D>::ROWS, KEYS = cut<D>::KEYS, PART = cut<D>::PART;
    const float zeros[ROWS][2] = {};
    for (; count > 0; count--) {
        wait_copies<0>();
        __syncthreads(); /* this tile has come, and nobody reads the other stage any more */
        const uint32_t keys = lane_place<D>(at.stages + at.stage, lane),
                       transposed = transposed_place<D>(at.stages + at.stage, lane);
        if (at.to_copy > 0)
            at.copy(walk<D>::STAGE - at.stage);
        commit_copies();
#pragma unroll
        for (int part = 0; part < KEYS; part += PART) {
            float p[ROWS][PART / 8][4], ds[ROWS][PART / 8][4];
            uint32_t packed[ROWS][PART / 16][4];
            multiply_rows<ROWS, D, PART>(p, state.query, keys, part, zeros);
            multiply_rows<ROWS, D, PART>(ds, state.grad_output, keys, KEYS + part, state.minus_delta);
#pragma unroll
            for (int m = 0; m < ROWS; m++)
#pragma unroll
                for (int n = 0; n < PART / 8; n++)
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        const int32_t key = at.tile + lane % 4 * 2 + part + n * 8 + i % 2;
                        const bool hidden = MASKED && (key < start[m][i / 2] || key >= end[m][i / 2]);
                        const float slope = ds[m][n][i] * fast_exp2(fmaf(p[m][n][i], factor, -state.shift[m][i / 2]));
                        ds[m][n][i] = hidden ? 0 : slope;
                    }
            pack_rows<ROWS, PART>(packed, ds);
            add_product<ROWS, D, PART>(state.grad_query, packed, transposed, part);
        }
        at.tile = at.order.after(at.tile);
        at.stage = walk<D>::STAGE - at.stage;
    }
}

/* Grid as in the forward: heads fastest, then rows of the batch, then blocks of queries from the last one on. */
template <int D>
static __global__ void __launch_bounds__(cut<D>::THREADS)
    attention_backward_queries_kernel(const struct attention_backward q, const struct query_statistics *statistics)
{
    extern __shared__ __align__(128) unsigned char memory[];
    constexpr int ROWS = cut<D>::ROWS, KEYS = cut<D>::KEYS, THREADS = cut<D>::THREADS;
    const struct attention_forward &p = q.forward;
    const uint32_t heads = (uint32_t)p.heads, rows = blockIdx.x / heads, head = blockIdx.x % heads;
    const uint32_t b = rows % (uint32_t)p.batch, kv = head / (heads / (uint32_t)p.kv_heads);
    const int32_t first =
        ((int32_t)((p.query_length + QUERIES - 1) / QUERIES - 1) - (int32_t)(rows / (uint32_t)p.batch)) * QUERIES;
    const int lane = (int)threadIdx.x % WARP, row = (int)threadIdx.x / WARP * 16 * ROWS;
    const int64_t keys = row_keys(p, b);
    const tile_order<KEYS> order((int32_t)query_start(p, b, first), (int32_t)query_end(p, keys, first + QUERIES - 1),
                                 (int32_t)query_start(p, b, first + QUERIES - 1), (int32_t)query_end(p, keys, first));
    walk<D> at = {order,
                  {p.key, b * p.key_batch_stride + kv * D, p.key_row_stride},
                  {p.value, b * p.value_batch_stride + kv * D, p.value_row_stride},
                  shared_address(memory),
                  0,
                  order.whole_count ? order.whole : order.first_masked(),
                  order.whole_count ? order.whole : order.first_masked(),
                  order.count};
    tile_copy<D, QUERIES, THREADS>(p.query, b * p.query_batch_stride + head * D, p.query_row_stride)
        .start(at.stages, first, (int32_t)p.query_length);
    tile_copy<D, QUERIES, THREADS>(q.grad_output, b * p.output_batch_stride + head * D, p.output_row_stride)
        .start(at.stages + QUERIES * D * 2, first, (int32_t)p.query_length);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    query_state<D> state;
    begin<D>(state, p, statistics, b, head, first, at.stages, at.stages + QUERIES * D * 2, lane);
    __syncthreads(); /* both stages may be overwritten */
    if (order.count > 0)
        at.copy(0);
    commit_copies();
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
    __syncthreads(); /* nobody reads the last tile any more */
    store_rows<ROWS, D>(state.grad_query, p.scale, memory, row,
                        static_cast<cuda_bfloat16 *>(q.grad_query) + b * p.query_batch_stride +
                            first * p.query_row_stride + head * D,
                        p.query_row_stride, p.query_length - first, lane);
}

template <int D>
static enum status run(const struct device_context *context, const struct attention_backward *q,
                       const struct query_statistics *statistics)
{
    const struct attention_forward *p = &q->forward;
    return launch_tensor(context, "attention_backward", attention_backward_queries_kernel<D>,
                         (p->query_length + QUERIES - 1) / QUERIES * p->batch * p->heads, cut<D>::THREADS,
                         max(2 * (int)walk<D>::STAGE, 2 * QUERIES * D * 2), *q, statistics);
}

enum status attention_backward_tensor_queries(const struct device_context *context, const struct attention_backward *q,
                                              const struct query_statistics *statistics)
{
    switch (q->forward.head_size) {
    case 32:
        return run<32>(context, q, statistics);
    case 64:
        return run<64>(context, q, statistics);
    case 96:
        return run<96>(context, q, statistics);
    default:
        return run<128>(context, q, statistics);
    }
}
