/* What the two ways of attention_decode share: how a call is cut, and the room of a piece in scratch. */
#ifndef SPIRITLM_KERNELS_CUDA_ATTENTION_DECODE_CUH
#define SPIRITLM_KERNELS_CUDA_ATTENTION_DECODE_CUH

#include "kernels/cuda/launch.cuh"

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

/* Whether the tensor cores take this call: by sizes and by how the cache lies, never by its tokens. */
bool attention_decode_tensor_fits(const struct attention_decode *p);
/* Sets cut->parts and cut->exponent, and computes the pieces. */
enum status attention_decode_tensor(const struct device_context *context, const struct attention_decode *p,
                                    struct decode_cut *cut);

#endif
