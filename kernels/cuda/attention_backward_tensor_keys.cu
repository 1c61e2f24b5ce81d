/* dK and dV of attention in bf16 on tensor cores (attention_backward_tensor.cuh). A block has 128 keys of one key/value head
 * and walks over the queries that see them, head by head of the group; tiles of queries that see all 128 keys come first, in a
 * loop without masks. Keys, values and both gradients stay in registers, 16 keys a warp.
 *
 * Scores are computed as s^T = K Q^T, so that p^T and ds^T come out of mma as the A operands of dV += p^T dO and
 * dK += ds^T Q without a way through shared memory; 16 queries at a time, so that the registers suffice. */
#include "kernels/cuda/attention_backward_tensor.cuh"
#include <math_constants.h>

/* How a block is cut: tiles of 16 keys a warp, queries of a step, and those of them whose scores exist at a time. */
template <int D> struct cut {
    static constexpr int ROWS = D == 32 ? 2 : 1, WARPS = 8 / ROWS, THREADS = WARPS * WARP, KEYS = 128,
                         QUERIES = D == 64 || D == 96 ? 64 : 32, PART = 16;
    static constexpr bool SHARED_PLAN = D != 64, ONE_PLACE = D >= 96; /* where registers do not suffice otherwise */
};

template <int D> struct key_state {
    static constexpr int ROWS = cut<D>::ROWS;
    uint32_t key[ROWS][D / 16][4], value[ROWS][D / 16][4]; /* A fragments */
    float grad_key[ROWS][D / 8][4], grad_value[ROWS][D / 8][4];
};

/* Which keys the queries of a row of the batch see. */
struct visibility {
    const int32_t *starts; /* of the row, or NULL */
    int32_t queries, keys;
    bool bidirectional;

    __device__ inline int2 range(int32_t query) const
    {
        const int32_t own = query < queries ? query : queries - 1;
        return make_int2(starts ? starts[own] : 0, bidirectional ? keys : own + 1 + keys - queries);
    }
};

/* What a block has. Grid: key/value heads fastest, then rows of the batch, then blocks of keys: the first keys are seen by the
 * most queries. */
template <int D> struct place {
    int64_t b, kv;
    int32_t first; /* key */

    __device__ inline place(const struct attention_forward &p)
    {
        const uint32_t block = block_number(), heads = (uint32_t)p.kv_heads, batch = (uint32_t)p.batch;
        kv = block % heads;
        b = block / heads % batch;
        first = (int32_t)(block / heads / batch) * cut<D>::KEYS;
    }
};

/* Where the next tile of queries comes from. */
struct source {
    const cuda_bfloat16 *query, *gradient;
    const struct query_statistics *statistics;
    int32_t rows; /* queries from its first one on; 0: no tile is left */
};

/* A block's walk over the queries of its group: the whole tiles of all heads, then the others of all heads. Each thread has its
 * own, or, where registers are few, the block has one in shared memory, which one thread keeps up a tile ahead. */
struct plan {
    int64_t b, kv;
    struct visibility visibility;
    int32_t group;               /* heads; turn t is head t's whole tiles, turn group + t its others */
    int32_t count[2], begins[2]; /* of a turn's tiles, and where they begin: of the whole ones, of the others */
    int32_t first, end;          /* queries that are seen at all, from the beginning of a tile on */
    int32_t turn, tile, left;    /* what comes after `next`; how many of the turn, with this one */
    struct source next[2];       /* by the stage that it goes to, if the block has one plan */
};

template <int D> struct stage {
    static constexpr int QUERIES = cut<D>::QUERIES; /* in shared memory: queries, output gradients, statistics */
    static constexpr uint32_t TILE = QUERIES * D * 2, BYTES = 2 * TILE + QUERIES * sizeof(struct query_statistics);
};

static __device__ inline void begin_turn(struct plan &plan, int32_t turn)
{
    plan.turn = turn;
    plan.left = turn < plan.group ? plan.count[0] : plan.count[1];
    plan.tile = turn < plan.group ? plan.begins[0] : plan.begins[1];
}

/* Fills in plan.next[to] and moves on. */
template <int D>
static __device__ inline void find_next(struct plan &plan, int to, const struct attention_backward &q,
                                        const struct query_statistics *statistics)
{
    const struct attention_forward &p = q.forward;
    const int32_t turn = plan.turn, tile = plan.tile;
    const int64_t b = plan.b, head = plan.kv * plan.group + (turn < plan.group ? turn : turn - plan.group);
    struct source &next = plan.next[to];
    next.rows = plan.left > 0 ? plan.visibility.queries - tile : 0;
    if (next.rows == 0)
        return;
    next.query =
        static_cast<const cuda_bfloat16 *>(p.query) + b * p.query_batch_stride + tile * p.query_row_stride + head * D;
    next.gradient = static_cast<const cuda_bfloat16 *>(q.grad_output) + b * p.output_batch_stride +
                    tile * p.output_row_stride + head * D;
    next.statistics = statistics + (b * p.heads + head) * p.query_length + tile;
    plan.tile = tile + cut<D>::QUERIES < plan.end ? tile + cut<D>::QUERIES : plan.first;
    if (--plan.left == 0 && turn + 1 < 2 * plan.group)
        begin_turn(plan, turn + 1);
}

/* Starts the copies of a tile into the stage at `to`. */
template <int D>
static __device__ inline void copy_tile(uint32_t to, const struct source &next, const struct attention_forward &p)
{
    constexpr int QUERIES = cut<D>::QUERIES, THREADS = cut<D>::THREADS;
    const int32_t own = thread_number();
    tile_copy<D, QUERIES, THREADS>(next.query, 0, p.query_row_stride).start(to, 0, next.rows);
    tile_copy<D, QUERIES, THREADS>(next.gradient, 0, p.output_row_stride).start(to + stage<D>::TILE, 0, next.rows);
    if (own < QUERIES)
        copy_pair_async(to + 2 * stage<D>::TILE + own * (uint32_t)sizeof(struct query_statistics),
                        next.statistics + own, own < next.rows);
}

/* Scores and slopes of `PART` queries from `query` on become p and ds. */
template <int D, bool MASKED>
static __device__ inline void
differentiate(float (&p)[cut<D>::ROWS][cut<D>::PART / 8][4], float (&ds)[cut<D>::ROWS][cut<D>::PART / 8][4],
              const struct query_statistics *statistics, const struct visibility &visibility, int32_t query,
              int32_t key, float factor, int lane)
{
#pragma unroll
    for (int n = 0; n < cut<D>::PART / 8; n++) {
        const float4 both = *reinterpret_cast<const float4 *>(statistics + n * 8 + lane % 4 * 2);
        int2 seen[2];
#pragma unroll
        for (int c = 0; MASKED && c < 2; c++)
            seen[c] = visibility.range(query + n * 8 + lane % 4 * 2 + c);
#pragma unroll
        for (int m = 0; m < cut<D>::ROWS; m++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int32_t own = key + m * 16 + lane / 4 + i / 2 * 8;
                const bool hidden = MASKED && (own < seen[i % 2].x || own >= seen[i % 2].y);
                const float probability = fast_exp2(fmaf(p[m][n][i], factor, i % 2 ? -both.z : -both.x));
                const float slope = probability * (ds[m][n][i] - (i % 2 ? both.w : both.y));
                p[m][n][i] = hidden ? 0 : probability;
                ds[m][n][i] = hidden ? 0 : slope;
            }
    }
}

/* Starts the copies of the tile that comes next, if one does, into stage `to` at `address`, and finds the one after it. */
template <int D>
static __device__ inline void copy_next(uint32_t address, struct plan &plan, int to, const struct attention_backward &q,
                                        const struct query_statistics *statistics)
{
    const int from = cut<D>::SHARED_PLAN ? to : 0;
    if (plan.next[from].rows > 0)
        copy_tile<D>(address, plan.next[from], q.forward);
    commit_copies();
    if (!cut<D>::SHARED_PLAN || thread_number() == 0)
        find_next<D>(plan, cut<D>::SHARED_PLAN ? 1 - to : 0, q, statistics);
}

/* The next `count` tiles, of which the first begins at query `tile`; `at` is the offset of the stage that it lies in. */
template <int D, bool MASKED>
static __device__ inline void attend(key_state<D> &state, uint32_t &at, int32_t count, int32_t tile, int32_t key,
                                     unsigned char *memory, struct plan &plan, const struct attention_backward &q,
                                     const struct query_statistics *all, int lane)
{
    constexpr int ROWS = cut<D>::ROWS, QUERIES = cut<D>::QUERIES, PART = cut<D>::PART;
    constexpr bool ONE_PLACE = cut<D>::ONE_PLACE;
    const float zeros[ROWS][2] = {}, factor = q.forward.scale * CUDART_L2E_F;
    for (; count > 0; count--) {
        wait_copies<0>();
        __syncthreads(); /* this tile has come, and nobody reads the other stage any more */
        const uint32_t queries = lane_place<D>(shared_address(memory) + at, lane),
                       transposed = ONE_PLACE ? queries : transposed_place<D>(shared_address(memory) + at, lane);
        const struct query_statistics *statistics =
            reinterpret_cast<const struct query_statistics *>(memory + at + 2 * stage<D>::TILE);
        at = stage<D>::BYTES - at;
        copy_next<D>(shared_address(memory) + at, plan, at != 0, q, all);
#pragma unroll
        for (int part = 0; part < QUERIES; part += PART) {
            float p[ROWS][PART / 8][4], ds[ROWS][PART / 8][4];
            uint32_t packed[ROWS][PART / 16][4];
            multiply_rows<ROWS, D, PART>(p, state.key, queries, part, zeros);
            multiply_rows<ROWS, D, PART>(ds, state.value, queries, QUERIES + part, zeros);
            differentiate<D, MASKED>(p, ds, statistics + part, plan.visibility, tile + part, key, factor, lane);
            pack_rows<ROWS, PART>(packed, p);
            add_product<ROWS, D, PART, ONE_PLACE>(state.grad_value, packed, transposed, QUERIES + part);
            pack_rows<ROWS, PART>(packed, ds);
            add_product<ROWS, D, PART, ONE_PLACE>(state.grad_key, packed, transposed, part);
        }
        tile = tile + QUERIES < plan.end ? tile + QUERIES : plan.first;
    }
}

/* How many queries of row b begin at or before `key`: starts do not decrease. */
static __device__ inline int32_t queries_until(const struct attention_forward &p, int64_t b, int32_t key)
{
    int32_t low = 0, high = (int32_t)p.query_length;
    while (p.starts && low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (p.starts[b * p.query_length + middle] <= key)
            low = middle + 1;
        else
            high = middle;
    }
    return high;
}

/* The tiles of queries that see some of the keys [first, first + KEYS) of `keys`; whole where they see all. */
template <int D>
static __device__ inline tile_order<cut<D>::QUERIES> queries_of(const struct attention_forward &p, int64_t b,
                                                                int32_t first, int64_t keys)
{
    constexpr int KEYS = cut<D>::KEYS;
    const int64_t all = p.query_length, hidden = p.bidirectional ? 0 : all - keys + first;
    const int64_t whole = p.bidirectional ? (first + KEYS <= keys ? 0 : all) : hidden + KEYS - 1;
    return tile_order<cut<D>::QUERIES>((int32_t)min(hidden, all),
                                       first < keys ? queries_until(p, b, first + KEYS - 1) : 0,
                                       (int32_t)min(whole, all), queries_until(p, b, first));
}

/* Both gradients of the block's keys, through the rows of each warp. */
template <int D>
static __device__ inline void store_gradients(const key_state<D> &state, unsigned char *memory,
                                              const struct attention_backward &q)
{
    constexpr int ROWS = cut<D>::ROWS;
    const struct attention_forward &p = q.forward;
    const place<D> at(p);
    const int lane = thread_number() % WARP, row = thread_number() / WARP * 16 * ROWS;
    __syncthreads(); /* nobody reads the last tile any more */
    store_rows<ROWS, D>(state.grad_key, p.scale, memory, row,
                        static_cast<cuda_bfloat16 *>(q.grad_key) + at.b * p.key_batch_stride +
                            at.first * p.key_row_stride + at.kv * D,
                        p.key_row_stride, p.key_length - at.first, lane);
    store_rows<ROWS, D>(state.grad_value, 1, memory, row,
                        static_cast<cuda_bfloat16 *>(q.grad_value) + at.b * p.value_batch_stride +
                            at.first * p.value_row_stride + at.kv * D,
                        p.value_row_stride, p.key_length - at.first, lane);
}

/* By one thread where the block has one plan. */
template <int D>
static __device__ inline void make_plan(struct plan &plan, const struct attention_forward &p, const place<D> &own,
                                        int64_t keys)
{
    const tile_order<cut<D>::QUERIES> order = queries_of<D>(p, own.b, own.first, keys);
    plan.b = own.b;
    plan.kv = own.kv;
    plan.visibility = {p.starts ? p.starts + own.b * p.query_length : nullptr, (int32_t)p.query_length, (int32_t)keys,
                       p.bidirectional};
    plan.group = (int32_t)p.heads / (int32_t)p.kv_heads;
    plan.count[0] = order.whole_count;
    plan.count[1] = order.count - order.whole_count;
    plan.begins[0] = order.whole;
    plan.begins[1] = order.first_masked();
    plan.first = order.first;
    plan.end = order.end;
    begin_turn(plan, order.whole_count == 0 ? plan.group : 0);
}

template <int D>
static __global__ void __launch_bounds__(cut<D>::THREADS)
    attention_backward_keys_kernel(const struct attention_backward q, const struct query_statistics *statistics)
{
    extern __shared__ __align__(128) unsigned char memory[];
    __shared__ struct plan in_shared;
    constexpr int ROWS = cut<D>::ROWS, KEYS = cut<D>::KEYS, THREADS = cut<D>::THREADS;
    const struct attention_forward &p = q.forward;
    const place<D> own(p);
    const int64_t keys = row_keys(p, own.b);
    const int lane = (int)threadIdx.x % WARP, row = (int)threadIdx.x / WARP * 16 * ROWS;
    const uint32_t stages = shared_address(memory);
    struct plan in_registers;
    struct plan &plan = cut<D>::SHARED_PLAN ? in_shared : in_registers;
    /* keys and values come through the memory of the stages */
    tile_copy<D, KEYS, THREADS>(p.key, own.b * p.key_batch_stride + own.kv * D, p.key_row_stride)
        .start(stages, own.first, (int32_t)keys);
    tile_copy<D, KEYS, THREADS>(p.value, own.b * p.value_batch_stride + own.kv * D, p.value_row_stride)
        .start(stages + KEYS * D * 2, own.first, (int32_t)keys);
    commit_copies();
    if (threadIdx.x == 0 || !cut<D>::SHARED_PLAN) {
        make_plan<D>(plan, p, own, keys);
        find_next<D>(plan, 0, q, statistics);
    }
    wait_copies<0>();
    __syncthreads();
    key_state<D> state;
    load_fragments<ROWS, D>(state.key, stages, row, lane);
    load_fragments<ROWS, D>(state.value, stages + KEYS * D * 2, row, lane);
    clear_sums<ROWS, D>(state.grad_key);
    clear_sums<ROWS, D>(state.grad_value);
    __syncthreads(); /* both stages may be overwritten */
    copy_next<D>(stages, plan, 0, q, statistics);
    uint32_t at = 0;
    attend<D, false>(state, at, plan.count[0] * plan.group, 0, 0, memory, plan, q, statistics, lane);
    for (int32_t h = 0; h < plan.group; h++)
        attend<D, true>(state, at, plan.count[1], plan.begins[1],
                        place<D>(p).first + thread_number() / WARP * 16 * ROWS, memory, plan, q, statistics, lane);
    store_gradients<D>(state, memory, q);
}

template <int D>
static enum status run(const struct device_context *context, const struct attention_backward *q,
                       const struct query_statistics *statistics)
{
    constexpr int KEYS = cut<D>::KEYS;
    const struct attention_forward *p = &q->forward;
    return launch_tensor(context, "attention_backward", attention_backward_keys_kernel<D>,
                         (p->key_length + KEYS - 1) / KEYS * p->batch * p->kv_heads, cut<D>::THREADS,
                         max(2 * (int)stage<D>::BYTES, 2 * KEYS * D * 2), *q, statistics);
}

enum status attention_backward_tensor_keys(const struct device_context *context, const struct attention_backward *q,
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
