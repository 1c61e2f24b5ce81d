/* What the two ways of attention_decode share: how a call is cut, and the room of a piece in scratch. */
#ifndef SPIRITLM_KERNELS_CUDA_ATTENTION_DECODE_CUH
#define SPIRITLM_KERNELS_CUDA_ATTENTION_DECODE_CUH

#include "kernels/cuda/launch.cuh"

enum { DECODE_WARPS = 4, DECODE_THREADS = DECODE_WARPS * WARP };

struct decode_cut {
    int64_t pieces, piece_keys;
    int64_t parts;  /* of the query heads in a group: blocks that each read the group's keys */
    float exponent; /* weights are 2^(exponent * (score - largest score)) */
    float *partial; /* [N][H][pieces][D + 2]: output not yet divided, largest score, sum of weights */
};

static __device__ inline float *piece_of(const struct attention_decode &p, const struct decode_cut &cut, int64_t n,
                                         int64_t h, int64_t piece)
{
    return cut.partial + ((n * p.heads + h) * cut.pieces + piece) * (p.head_size + 2);
}

/* The number of keys of token n, or -1 where its length or its row is wrong. */
static __device__ inline int64_t token_keys(const struct attention_decode &p, int64_t n, struct cuda_fault *fault)
{
    bool fits =
        index_fits(fault, CUDA_attention_decode, CUDA_FAULT_ROW, n, p.tokens, p.rows[n], 0, p.cache.rows) &&
        index_fits(fault, CUDA_attention_decode, CUDA_FAULT_LENGTH, n, p.tokens, p.lengths[n], 0, p.cache.capacity + 1);
    return fits ? p.lengths[n] : -1;
}

/* What one block computes: `heads` query heads from `head` on, which share key/value head `kv`, of token n. */
struct decode_block {
    int64_t n, kv, head, piece;
    int heads;
};
static __device__ inline struct decode_block decode_block_of(const struct attention_decode &p,
                                                             const struct decode_cut &cut, int block_heads)
{
    int64_t index = blockIdx.x, group = p.heads / p.kv_heads, first = index / cut.pieces % cut.parts * block_heads;
    int64_t kv = index / cut.pieces / cut.parts % p.kv_heads;
    struct decode_block block = {index / cut.pieces / cut.parts / p.kv_heads, kv, kv * group + first,
                                 index % cut.pieces, int(min(group - first, int64_t(block_heads)))};
    return block;
}

/* What the warps of a block have made of their keys: for each head its output, largest score and sum of weights. */
template <int ROWS, int WIDTH> struct warp_results {
    float output[DECODE_WARPS][ROWS][WIDTH];
    float largest[DECODE_WARPS][ROWS], sum[DECODE_WARPS][ROWS];
};

/* Waits for the block. The warps' results to the piece's place, in the order of the warps; weights are powers of 2. Element d of a head is at
 * SLOT(d). */
template <int ROWS, int WIDTH, int (*SLOT)(int)>
static __device__ inline void combine_warps(const struct attention_decode &p, const struct decode_cut &cut,
                                            const struct decode_block &block,
                                            const struct warp_results<ROWS, WIDTH> &results)
{
    int size = int(p.head_size);
    __syncthreads();
    for (int index = int(threadIdx.x); index < block.heads * size; index += DECODE_THREADS) {
        int row = index / size, d = index % size, slot = SLOT(d);
        float largest = -INFINITY, output = 0, sum = 0;
#pragma unroll
        for (int warp = 0; warp < DECODE_WARPS; warp++)
            largest = fmaxf(largest, results.largest[warp][row]);
        float shift = largest == -INFINITY ? 0.0f : largest;
#pragma unroll
        for (int warp = 0; warp < DECODE_WARPS; warp++) {
            float weight = exp2f(results.largest[warp][row] - shift);
            output = fmaf(results.output[warp][row][slot], weight, output);
            sum = fmaf(results.sum[warp][row], weight, sum);
        }
        float *result = piece_of(p, cut, block.n, block.head + row, block.piece); /* [D + 2] */
        result[d] = output;
        if (d == 0) {
            result[size] = largest;
            result[size + 1] = sum;
        }
    }
}

/* Two ways to compute the pieces, each for the calls that it fits: by sizes and by how the cache lies, never by its tokens.
 * They set cut->parts and cut->exponent. Tensor cores: bf16; lanes: heads of a multiple of four elements. */
bool attention_decode_tensor_fits(const struct attention_decode *p);
enum status attention_decode_tensor(const struct device_context *context, const struct attention_decode *p,
                                    struct decode_cut *cut);
bool attention_decode_lanes_fit(const struct attention_decode *p);
enum status attention_decode_lanes(const struct device_context *context, const struct attention_decode *p,
                                   struct decode_cut *cut);

#endif
