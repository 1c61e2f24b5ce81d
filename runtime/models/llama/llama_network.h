/* The parts of the network that training and generation share, each a line of the model's mathematics: what differs
 * between the two is where keys and values lie, and which activations are kept. N is the number of tokens. */
#ifndef SPIRITLM_MODELS_LLAMA_NETWORK_H
#define SPIRITLM_MODELS_LLAMA_NETWORK_H

#include "models/llama/llama.h"
#include "models/operations.h"

/* Elements from the arena's start; within a layer from the layer's start. All layers are alike. */
struct llama_offsets {
    int64_t embedding, first_layer, layer_stride;
    int64_t input_norm, qkv, attention_output, mlp_norm, gate_up, down;
    int64_t final_norm, head, elements; /* head equals embedding when tied */
};

void llama_find_offsets(const struct llama_config *config, struct llama_offsets *offsets);

static inline int64_t llama_query_width(const struct llama_config *config)
{
    return config->heads * config->head_size;
}

static inline int64_t llama_key_width(const struct llama_config *config)
{
    return config->kv_heads * config->head_size;
}

static inline int64_t llama_qkv_width(const struct llama_config *config)
{
    return llama_query_width(config) + 2 * llama_key_width(config);
}

/* Weights for inference that lie tensor by tensor, where a mapped file has them or in a copy (llama_bind.c). */
struct llama_binding {
    struct llama_source *source; /* open as long as its tensors are read */
    const void **tensors;        /* [layout.count] */
    void *resident;              /* device memory of the copies; NULL: there are none */
    int64_t mapped_bytes, resident_bytes;
};

enum {
    LLAMA_LAYER_TENSORS = 9,
    LLAMA_OTHER_TENSORS = 3
}; /* views of a layer; the embedding before, norm and head after all */

/* A model as its operations see it; while measuring, one whose weights are nowhere. */
struct llama_network {
    struct compute compute;
    const struct llama_config *config;
    struct llama_offsets offsets;
    const void *weights;
    const void *const *tensors; /* the views' addresses, when there is no arena; else NULL */
    const float *rope_cosine, *rope_sine;
    int64_t rope_positions;
};

struct llama_network llama_network_of(const struct llama *model);
/* Notes the largest scratch of its operations in *bytes and computes nothing. */
struct llama_network llama_network_measuring(const struct kernels *kernels, const struct llama_config *config,
                                             enum dtype dtype, size_t *bytes);

/* The weights at `offset` of the arena. Where tensors lie apart, a tensor starts there. */
const void *llama_weight(const struct llama_network *network, int64_t offset);

/* Where the tensors of a layer start. */
static inline int64_t llama_layer_start(const struct llama_network *network, int64_t layer)
{
    return network->offsets.first_layer + layer * network->offsets.layer_stride;
}

/* What the kernels wish for, or else rows of a product and elements of a large matrix (64 MiB of f32) that suit a cpu.
 * There they are part of what decides the bits. */
static inline int64_t llama_block_rows(const struct kernels *kernels)
{
    return kernels->block_rows > 0 ? kernels->block_rows : 128;
}
static inline int64_t llama_block_elements(const struct kernels *kernels)
{
    return kernels->block_elements > 0 ? kernels->block_elements : 1 << 24;
}

/* For how many of `tokens` tokens the head is computed at a time. */
int64_t llama_head_rows(const struct kernels *kernels, const struct llama_config *config, int64_t tokens);

/* The factor of attention's scores. */
float llama_attention_scale(const struct llama_config *config);

/* output[N][C] = rows `ids` of the embedding. */
enum status llama_embed(const struct llama_network *network, int64_t tokens, const int32_t *ids, void *output);

/* output[N][C] = RMSNorm of x with the weight at `offset`; rstd[N] may be NULL. */
enum status llama_norm(const struct llama_network *network, int64_t tokens, const void *x, int64_t offset, void *output,
                       float *rstd);

/* qkv[N][(H+2G)D] = normalised x, which lands in `normalised`, times the layer's q|k|v. */
enum status llama_make_qkv(const struct llama_network *network, int64_t layer, int64_t tokens, const void *x,
                           void *normalised, float *rstd, void *qkv);

/* The same for a session, which keeps queries and keys apart: query[N][HD], key_value[N][2GD]. These are two products:
 * BLAS chooses its kernel by the number of columns, and a session's bits are older than the joint product. */
enum status llama_make_heads(const struct llama_network *network, int64_t layer, int64_t tokens, const void *x,
                             void *normalised, void *query, void *key_value);

/* middle[N][C] = x + attention[N][HD] times the layer's output matrix. */
enum status llama_join_heads(const struct llama_network *network, int64_t layer, int64_t tokens, const void *attention,
                             const void *x, void *middle);

enum status llama_swiglu(const struct llama_network *network, int64_t tokens, const void *gate_up, void *activated);

/* output = middle + down(swiglu(gate|up(norm(middle)))). */
struct llama_mlp {
    const void *middle; /* [N][C] */
    void *normalised;   /* [N][C] */
    float *rstd;        /* [N] or NULL */
    void *gate_up;      /* [N][2I] */
    void *activated;    /* [N][I] */
    void *output;       /* [N][C]; NULL: the last product is left out */
};
enum status llama_run_mlp(const struct llama_network *network, int64_t layer, int64_t tokens,
                          const struct llama_mlp *mlp);

/* logits[N][V] (f32) of what the final norm left. */
enum status llama_make_logits(const struct llama_network *network, int64_t tokens, const void *normalised,
                              float *logits);

/* llama_rope.c. Makes the model's rotary tables long enough for rows of `length` tokens, or for all positions that it has. */
enum status llama_need_positions(struct llama *model, int64_t length);
enum status llama_plan_positions(const struct llama_config *config, int64_t length, struct memory_plan *plan);
void llama_free_positions(struct llama *model);

#endif
