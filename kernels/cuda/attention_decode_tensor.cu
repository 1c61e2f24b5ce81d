/* attention_decode on tensor cores: bf16, heads of 32, 64, 96 and 128. All query heads of a group are rows of one mma tile, so
 * keys and values are read once for the whole group. They go from memory into registers in words of 16 bytes and are operands
 * as they are, without shared memory between:
 *   - scores = Q K^T: a sum over the head may be taken in any order that both sides share. Four lanes hold 32 elements of a
 *     key, each 8 neighbours, and the same of the queries.
 *   - output = P V: columns of the output may come in any order that is undone when they are stored. Eight lanes hold 64
 *     elements of a value, each 8 neighbours; each of the 8 is the lane's column in a tile of its own, and two keys' elements
 *     are put side by side by one byte permutation.
 * Weights are split into two bf16 numbers, whose sum has 16 bits, so that the output is as exact as with f32 weights; the
 * tensor cores have nothing better to do, since the time goes into reading the cache.
 *
 * A block is one piece of the keys of a token; its four warps take tiles of 16 keys in turn, each with a running softmax, and
 * are combined in their order. */
#include "kernels/cuda/attention_decode.cuh"
#include "kernels/cuda/tensor.cuh"

namespace
{

enum {
    ROWS = 16,  /* query heads of a block */
    KEYS = 16,  /* of a tile */
    QUAD = 4,   /* lanes that share a row of an mma tile */
    HALF = 8,   /* rows or columns of half a tile */
    WIDE = 64,  /* elements of a value that eight lanes hold as 16 bytes each */
    NARROW = 32 /* what is left of heads of 32 and 96: 8 bytes each */
};

/* A warp's place in the tiles. */
struct lane_place {
    int quad, lane; /* row of half a tile, and which of its four lanes */
};

template <int D> struct fragments {
    static constexpr int WIDES = D / WIDE, NARROWS = D % WIDE / NARROW;
};

__device__ const uint4 *words_at(const cuda_bfloat16 *row, int element)
{
    return reinterpret_cast<const uint4 *>(row + element);
}

/* Eight neighbours of a query; its address need not be aligned. */
__device__ uint4 load_query(const cuda_bfloat16 *source)
{
    if (reinterpret_cast<uintptr_t>(source) % sizeof(uint4) == 0)
        return __ldg(words_at(source, 0));
    const unsigned short *at = reinterpret_cast<const unsigned short *>(source);
    return make_uint4(at[0] | uint32_t(at[1]) << 16, at[2] | uint32_t(at[3]) << 16, at[4] | uint32_t(at[5]) << 16,
                      at[6] | uint32_t(at[7]) << 16);
}

/* Queries [ROWS][D] as A operands, two for each 32 elements; rows from `heads` on are zeros. */
template <int D>
__device__ void load_queries(uint32_t (&queries)[D / 32][2][4], const cuda_bfloat16 *source, int heads,
                             const struct lane_place &place)
{
#pragma unroll
    for (int step = 0; step < D / 32; step++)
#pragma unroll
        for (int upper = 0; upper < 2; upper++) {
            int row = place.quad + upper * HALF;
            uint4 words =
                row < heads ? load_query(source + row * D + step * 32 + place.lane * CHUNK) : make_uint4(0, 0, 0, 0);
            queries[step][0][upper] = words.x;
            queries[step][0][2 + upper] = words.y;
            queries[step][1][upper] = words.z;
            queries[step][1][2 + upper] = words.w;
        }
}

/* One tile of keys as B operands. */
template <int D>
__device__ void load_keys(uint4 (&words)[2][D / 32], const cuda_bfloat16 *keys, int64_t stride, int64_t first,
                          int64_t end, const struct lane_place &place)
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int64_t key = first + half * HALF + place.quad;
#pragma unroll
        for (int step = 0; step < D / 32; step++)
            words[half][step] = key < end ? __ldg(words_at(keys + key * stride, step * 32 + place.lane * CHUNK))
                                          : make_uint4(0, 0, 0, 0);
    }
}

/* Of one tile of values, what this lane holds: keys 2 lane, 2 lane + 1, and the same of the second half. */
template <int D> struct values {
    uint4 wide[fragments<D>::WIDES + 1][4]; /* one more than needed, so that none is no array of length 0 */
    uint2 narrow[4];
};

template <int D>
__device__ void load_values(struct values<D> &values, const cuda_bfloat16 *source, int64_t stride, int64_t first,
                            int64_t end, const struct lane_place &place)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int64_t key = first + i / 2 * HALF + place.lane * 2 + i % 2;
        const cuda_bfloat16 *row = source + key * stride;
#pragma unroll
        for (int block = 0; block < fragments<D>::WIDES; block++)
            values.wide[block][i] =
                key < end ? __ldg(words_at(row, block * WIDE + place.quad * CHUNK)) : make_uint4(0, 0, 0, 0);
        if (fragments<D>::NARROWS)
            values.narrow[i] =
                key < end
                    ? __ldg(reinterpret_cast<const uint2 *>(row + fragments<D>::WIDES * WIDE + place.quad * CHUNK / 2))
                    : make_uint2(0, 0);
    }
}

/* Element `half` of `a` and of `b`, side by side. */
__device__ uint32_t zip(uint32_t a, uint32_t b, int half)
{
    return __byte_perm(a, b, half ? 0x7632 : 0x5410);
}

/* output[tile] += weights times one column of values each, in both parts of the weights. */
__device__ void add_tile(float (&output)[4], const uint32_t (&high)[4], const uint32_t (&low)[4], uint32_t b0,
                         uint32_t b1)
{
    multiply_add(output, high, b0, b1);
    multiply_add(output, low, b0, b1);
}

template <int D>
__device__ void add_values(float (&output)[D / HALF][4], const float (&weights)[2][4], const struct values<D> &values)
{
    uint32_t high[4], low[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float a = weights[i / 2][i % 2 * 2], b = weights[i / 2][i % 2 * 2 + 1];
        high[i] = pack_pair(a, b);
        low[i] = pack_pair(a - __uint_as_float(high[i] << 16), b - __uint_as_float(high[i] & 0xffff0000u));
    }
#pragma unroll
    for (int block = 0; block < fragments<D>::WIDES; block++) {
        const uint4 *v = values.wide[block];
        const uint32_t words[4][4] = {{v[0].x, v[1].x, v[2].x, v[3].x},
                                      {v[0].y, v[1].y, v[2].y, v[3].y},
                                      {v[0].z, v[1].z, v[2].z, v[3].z},
                                      {v[0].w, v[1].w, v[2].w, v[3].w}};
#pragma unroll
        for (int j = 0; j < CHUNK; j++)
            add_tile(output[block * CHUNK + j], high, low, zip(words[j / 2][0], words[j / 2][1], j % 2),
                     zip(words[j / 2][2], words[j / 2][3], j % 2));
    }
    if (fragments<D>::NARROWS) {
        const uint2 *v = values.narrow;
        const uint32_t words[2][4] = {{v[0].x, v[1].x, v[2].x, v[3].x}, {v[0].y, v[1].y, v[2].y, v[3].y}};
#pragma unroll
        for (int j = 0; j < CHUNK / 2; j++)
            add_tile(output[fragments<D>::WIDES * CHUNK + j], high, low, zip(words[j / 2][0], words[j / 2][1], j % 2),
                     zip(words[j / 2][2], words[j / 2][3], j % 2));
    }
}

/* Where column `column` of output tile `tile` is kept. Both those who store tiles and those who read neighbouring elements of
 * the head find their 32 numbers in 32 different banks. */
__device__ int slot_of(int tile, int column)
{
    return tile * HALF + (column ^ (tile & HALF / 2));
}
/* Where element d of the head is kept. */
template <int D> __device__ int slot_of_element(int d)
{
    int block = d / WIDE, left = d % WIDE;
    return block < fragments<D>::WIDES ? slot_of(block * CHUNK + left % CHUNK, left / CHUNK)
                                       : slot_of(block * CHUNK + left % (CHUNK / 2), left / (CHUNK / 2));
}

/* ---- softmax: of the two rows that a lane has, quad and quad + 8 ---- */

struct softmax_rows {
    float largest[2], sum[2]; /* of this lane's keys */
};

__device__ float quad_maximum(float value)
{
    value = fmaxf(value, __shfl_xor_sync(FULL_WARP, value, 1));
    return fmaxf(value, __shfl_xor_sync(FULL_WARP, value, 2));
}

/* Scores become weights; what was summed before follows a largest score that grew. */
template <int TILES>
__device__ void softmax_tile(struct softmax_rows &rows, float (&output)[TILES][4], float (&scores)[2][4])
{
#pragma unroll
    for (int upper = 0; upper < 2; upper++) {
        float best = fmaxf(fmaxf(scores[0][2 * upper], scores[0][2 * upper + 1]),
                           fmaxf(scores[1][2 * upper], scores[1][2 * upper + 1]));
        float largest = fmaxf(rows.largest[upper], quad_maximum(best)), shift = largest == -INFINITY ? 0.0f : largest;
        float correction = fast_exp2(rows.largest[upper] - shift);
        rows.largest[upper] = largest;
        rows.sum[upper] *= correction;
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
            for (int i = 2 * upper; i < 2 * upper + 2; i++) {
                scores[half][i] = fast_exp2(scores[half][i] - shift);
                rows.sum[upper] += scores[half][i];
            }
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
            output[tile][2 * upper] *= correction;
            output[tile][2 * upper + 1] *= correction;
        }
    }
}

/* ---- the block ---- */

template <int D> using results_of_warps = struct warp_results<ROWS, D + HALF>; /* elements by slots */

template <int D>
__device__ void store_results(results_of_warps<D> &results, const struct softmax_rows &rows,
                              const float (&output)[D / HALF][4], const struct lane_place &place)
{
    int warp = int(threadIdx.x) / WARP;
#pragma unroll
    for (int upper = 0; upper < 2; upper++) {
        int row = place.quad + upper * HALF;
        float sum = rows.sum[upper];
        sum += __shfl_xor_sync(FULL_WARP, sum, 1);
        sum += __shfl_xor_sync(FULL_WARP, sum, 2);
        if (place.lane == 0) { /* they are the same in all four */
            results.largest[warp][row] = rows.largest[upper];
            results.sum[warp][row] = sum;
        }
#pragma unroll
        for (int tile = 0; tile < D / HALF; tile++)
            *reinterpret_cast<float2 *>(&results.output[warp][row][slot_of(tile, place.lane * 2)]) =
                make_float2(output[tile][2 * upper], output[tile][2 * upper + 1]);
    }
}

template <int D>
__global__ void __launch_bounds__(DECODE_THREADS, 2)
    piece_by_tensor(struct attention_decode p, struct decode_cut cut, float scale, struct cuda_fault *fault)
{
    __shared__ results_of_warps<D> results;
    struct decode_block block = decode_block_of(p, cut, ROWS);
    struct lane_place place = {int(threadIdx.x) % WARP / QUAD, int(threadIdx.x) % QUAD};
    int64_t stride = 2 * p.kv_heads * D, start = block.piece * cut.piece_keys;
    int64_t end = min(token_keys(p, block.n, fault), start + cut.piece_keys);
    if (start >= end)
        return;
    const cuda_bfloat16 *keys =
        static_cast<const cuda_bfloat16 *>(p.cache.memory) + p.rows[block.n] * p.cache.row_stride + block.kv * D;
    const cuda_bfloat16 *query =
        static_cast<const cuda_bfloat16 *>(p.query) + block.n * p.query_row_stride + block.head * D;
    uint32_t queries[D / 32][2][4];
    load_queries<D>(queries, query, block.heads, place);
    struct softmax_rows rows = {{-INFINITY, -INFINITY}, {0, 0}};
    float output[D / HALF][4] = {};
    for (int64_t first = start + int(threadIdx.x) / WARP * KEYS; first < end; first += DECODE_WARPS * KEYS) {
        uint4 words[2][D / 32];
        struct values<D> values;
        load_keys<D>(words, keys, stride, first, end, place);
        load_values<D>(values, keys + stride / 2, stride, first, end, place);
        float scores[2][4] = {};
#pragma unroll
        for (int half = 0; half < 2; half++) {
#pragma unroll
            for (int step = 0; step < D / 32; step++) {
                multiply_add(scores[half], queries[step][0], words[half][step].x, words[half][step].y);
                multiply_add(scores[half], queries[step][1], words[half][step].z, words[half][step].w);
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
                bool exists = first + half * HALF + place.lane * 2 + i % 2 < end;
                scores[half][i] = exists ? scores[half][i] * scale : -INFINITY;
            }
        }
        softmax_tile(rows, output, scores);
        add_values<D>(output, scores, values);
    }
    store_results<D>(results, rows, output, place);
    combine_warps<ROWS, D + HALF, slot_of_element<D>>(p, cut, block, results);
}

typedef void piece_kernel(struct attention_decode, struct decode_cut, float, struct cuda_fault *);

piece_kernel *choose(int64_t head_size)
{
    switch (head_size) {
    case 32:
        return piece_by_tensor<32>;
    case 64:
        return piece_by_tensor<64>;
    case 96:
        return piece_by_tensor<96>;
    default:
        return piece_by_tensor<128>;
    }
}

} // namespace

bool attention_decode_tensor_fits(const struct attention_decode *p)
{
    return p->type == DTYPE_BF16 && p->head_size % 32 == 0 && p->head_size <= 128 &&
           reinterpret_cast<uintptr_t>(p->cache.memory) % sizeof(uint4) == 0 && p->cache.row_stride % CHUNK == 0;
}

enum status attention_decode_tensor(const struct device_context *context, const struct attention_decode *p,
                                    struct decode_cut *cut)
{
    const float log2_e = 1.4426950408889634f;
    cut->parts = divide_up(p->heads / p->kv_heads, ROWS);
    cut->exponent = 1; /* the scale has made powers of e those of 2 */
    return launch(context, "attention_decode", choose(p->head_size), p->tokens * p->kv_heads * cut->parts * cut->pieces,
                  1, DECODE_THREADS, *p, *cut, p->scale * log2_e, cuda_fault_word(context));
}
