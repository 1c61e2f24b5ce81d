/* dK and dV of attention in bf16 on tensor cores (attention_backward_tensor.cuh). A block of four warps has 64 keys of one
 * key/value head, 16 a warp, and walks over the queries that see them, head by head of the group. Scores are computed as
 * s^T = K Q^T, so that p^T and ds^T come out of mma as the A operands of dV += p^T dO and dK += ds^T Q without a way
 * through shared memory. */
#include "kernels/cuda/attention_backward_tensor.cuh"
#include <math_constants.h>

enum { KEYS = 64, WARPS = 4, THREADS = WARPS * WARP };

/* Queries a step: as many as leave registers for both gradients. */
template <int D> constexpr int queries_of()
{
    return D <= 64 ? 64 : 32;
}

/* What a step needs of each of its queries, beside the tiles. */
struct query_values {
    float shift, delta; /* log-sum-exp times log2(e), sum(dO * O) */
    int32_t start, end; /* of the keys that it sees; empty for queries that do not exist */
};

/* The queries of a step: two tiles and their values in shared memory. */
template <int D> struct step {
    static constexpr int QUERIES = queries_of<D>();
    static constexpr uint32_t TILE = QUERIES * D * 2,
                              BYTES = 2 * TILE + QUERIES * (uint32_t)sizeof(struct query_values);
};

/* Starts the copies of a step into the memory at `stage`; `values` is the same memory's last part. */
template <int D>
static __device__ inline void load_step(uint32_t stage, struct query_values *values, const struct attention_backward &q,
                                        const float *delta, int64_t b, int64_t head, int64_t first)
{
    const struct attention_forward &p = q.forward;
    load_rows<D, step<D>::QUERIES, THREADS>(
        stage, static_cast<const __nv_bfloat16 *>(p.query) + b * p.query_batch_stride + head * D, p.query_row_stride,
        first, p.query_length);
    load_rows<D, step<D>::QUERIES, THREADS>(
        stage + step<D>::TILE, static_cast<const __nv_bfloat16 *>(q.grad_output) + b * p.output_batch_stride + head * D,
        p.output_row_stride, first, p.query_length);
    const int64_t query = first + threadIdx.x, index = (b * p.heads + head) * p.query_length + query;
    if (threadIdx.x < step<D>::QUERIES) {
        const bool exists = query < p.query_length;
        values[threadIdx.x].shift = exists ? p.log_sum_exp[index] * CUDART_L2E_F : 0;
        values[threadIdx.x].delta = exists ? delta[index] : 0;
        values[threadIdx.x].start = exists ? (int32_t)query_start(p, b, query) : 0;
        values[threadIdx.x].end = exists ? (int32_t)query_end(p, row_keys(p, b), query) : 0;
    }
}

template <int D> struct key_state {
    float grad_key[D / 8][4], grad_value[D / 8][4];
};

/* One step of queries for the warp's keys, whose first is `key`, row `row` of the tiles of keys and values. */
template <int D, bool MASKED>
static __device__ inline void attend(key_state<D> &state, uint32_t keys, uint32_t values, int row, int32_t key,
                                     uint32_t stage, const struct query_values *of_queries, float scale, int lane)
{
    constexpr int QUERIES = step<D>::QUERIES;
    float p[QUERIES / 8][4], ds[QUERIES / 8][4];
    const float factor = scale * CUDART_L2E_F;
    multiply_tiles<D, QUERIES>(p, keys, row, stage, lane);
    multiply_tiles<D, QUERIES>(ds, values, row, stage + step<D>::TILE, lane);
#pragma unroll
    for (int n = 0; n < QUERIES / 8; n++)
#pragma unroll
        for (int c = 0; c < 2; c++) {
            const struct query_values query = of_queries[n * 8 + lane % 4 * 2 + c];
#pragma unroll
            for (int i = c; i < 4; i += 2) {
                const int32_t own = key + lane / 4 + i / 2 * 8;
                const bool hidden = MASKED && (own < query.start || own >= query.end);
                p[n][i] = hidden ? 0 : fast_exp2(fmaf(p[n][i], factor, -query.shift));
                ds[n][i] = hidden ? 0 : p[n][i] * (ds[n][i] - query.delta) * scale;
            }
        }
    add_product<D, QUERIES>(state.grad_value, p, stage + step<D>::TILE, lane);
    add_product<D, QUERIES>(state.grad_key, ds, stage, lane);
}

/* The tiles of keys and values, side by side. */
template <int D>
static __device__ inline void load_keys(uint32_t keys, const struct attention_forward &p, int64_t b, int64_t kv,
                                        int64_t first)
{
    load_rows<D, KEYS, THREADS>(keys, static_cast<const __nv_bfloat16 *>(p.key) + b * p.key_batch_stride + kv * D,
                                p.key_row_stride, first, row_keys(p, b));
    load_rows<D, KEYS, THREADS>(keys + KEYS * D * 2,
                                static_cast<const __nv_bfloat16 *>(p.value) + b * p.value_batch_stride + kv * D,
                                p.value_row_stride, first, row_keys(p, b));
}

/* The gradients of the warp's keys, through its rows of those tiles. */
template <int D>
static __device__ inline void store_gradients(const key_state<D> &state, unsigned char *keys,
                                              const struct attention_backward &q, int64_t b, int64_t kv, int64_t first,
                                              int row, int lane)
{
    const struct attention_forward &p = q.forward;
    store_rows<D>(state.grad_key, keys, row,
                  static_cast<__nv_bfloat16 *>(q.grad_key) + b * p.key_batch_stride + first * p.key_row_stride + kv * D,
                  p.key_row_stride, p.key_length - first, lane);
    store_rows<D>(state.grad_value, keys + KEYS * D * 2, row,
                  static_cast<__nv_bfloat16 *>(q.grad_value) + b * p.value_batch_stride + first * p.value_row_stride +
                      kv * D,
                  p.value_row_stride, p.key_length - first, lane);
}

/* How many queries of row b begin at or before `key`: starts do not decrease. */
static __device__ inline int32_t queries_until(const struct attention_forward &p, int64_t b, int32_t key)
{
    int32_t low = 0, high = (int32_t)p.query_length;
    while (p.starts && low < high) {
        const int32_t middle = (low + high) / 2;
        if (p.starts[b * p.query_length + middle] <= key)
            low = middle + 1;
        else
            high = middle;
    }
    return high;
}

/* Grid: key/value heads fastest, then rows of the batch, then blocks of keys: the first keys are seen by the most. */
template <int D>
static __global__ void __launch_bounds__(THREADS)
    attention_backward_keys_kernel(const struct attention_backward q, const float *delta)
{
    extern __shared__ __align__(128) unsigned char memory[];
    constexpr uint32_t TILE = KEYS * D * 2, STAGE = step<D>::BYTES;
    constexpr int QUERIES = step<D>::QUERIES;
    const struct attention_forward &p = q.forward;
    const int64_t kv = blockIdx.x % p.kv_heads, b = blockIdx.x / p.kv_heads % p.batch;
    const int32_t first = (int32_t)(blockIdx.x / (p.kv_heads * p.batch)) * KEYS,
                  group = (int32_t)(p.heads / p.kv_heads);
    const int lane = (int)threadIdx.x % WARP, row = (int)threadIdx.x / WARP * 16;
    const uint32_t keys = shared_address(memory), stages = keys + 2 * TILE;
    const int32_t begin = p.bidirectional ? 0 : first / QUERIES * QUERIES;
    const int32_t end = queries_until(p, b, first + KEYS - 1), whole = queries_until(p, b, first);
    const int32_t steps = end > begin ? (end - begin + QUERIES - 1) / QUERIES : 0;

    load_keys<D>(keys, p, b, kv, first);
    const int64_t length = row_keys(p, b);
    key_state<D> state;
#pragma unroll
    for (int d = 0; d < D / 8; d++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            state.grad_key[d][i] = state.grad_value[d][i] = 0;
    unsigned char *const stage_memory = memory + 2 * TILE;
    /* One ahead: the next step is loaded while this one is computed. */
    int32_t loaded_head = 0, loaded = begin, query = begin;
    uint32_t stage = 0; /* where the step that is computed lies, from the first stage on */
    const int64_t count = (int64_t)steps * group;
    for (int64_t i = -1; i < count; i++) {
        const uint32_t other = STAGE - stage;
        if (i + 1 < count) {
            load_step<D>(stages + other,
                         reinterpret_cast<struct query_values *>(stage_memory + other + 2 * step<D>::TILE), q, delta, b,
                         kv * group + loaded_head, loaded);
            loaded += QUERIES;
            if (loaded >= end) {
                loaded = begin;
                loaded_head++;
            }
        }
        commit_copies();
        if (i >= 0) {
            const struct query_values *values =
                reinterpret_cast<const struct query_values *>(stage_memory + stage + 2 * step<D>::TILE);
            const bool seen = query_end(p, length, query) >= first + KEYS;
            if (seen && query + QUERIES <= whole)
                attend<D, false>(state, keys, keys + TILE, row, first + row, stages + stage, values, p.scale, lane);
            else
                attend<D, true>(state, keys, keys + TILE, row, first + row, stages + stage, values, p.scale, lane);
            query = query + QUERIES >= end ? begin : query + QUERIES;
        }
        wait_copies<0>();
        __syncthreads(); /* the next step has come, and nobody reads this one any more */
        stage = other;
    }
    store_gradients<D>(state, memory, q, b, kv, first, row, lane);
}

template <int D>
static enum status run(const struct device_context *context, const struct attention_backward *q, const float *delta)
{
    const struct attention_forward *p = &q->forward;
    return launch_tensor(context, "attention_backward", attention_backward_keys_kernel<D>,
                         (p->key_length + KEYS - 1) / KEYS * p->batch * p->kv_heads, THREADS,
                         (int)(2 * KEYS * D * 2 + 2 * step<D>::BYTES), *q, delta);
}

enum status attention_backward_tensor_keys(const struct device_context *context, const struct attention_backward *q,
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
