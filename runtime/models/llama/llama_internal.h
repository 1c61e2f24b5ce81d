/* What the files of the Llama model share: where each tensor lies, the helpers that turn one line of mathematics into
 * one call of the kernels' table, and the workspace. */
#ifndef SPIRITLM_MODELS_LLAMA_INTERNAL_H
#define SPIRITLM_MODELS_LLAMA_INTERNAL_H

#include "models/llama/llama.h"

enum { LLAMA_MAXIMUM_VOCABULARY = 1 << 24 };

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

/* Element `offset` of an arena of `type`. */
static inline void *llama_at(const void *arena, enum dtype type, int64_t offset)
{
    return (unsigned char *)(uintptr_t)arena + (size_t)offset * dtype_size(type);
}

/* Host f32 values to `count` weights from element `offset` on, rounded to the model's type. */
enum status llama_store_weights(struct llama *model, int64_t offset, const float *values, int64_t count);

/* ---- llama_operations.c: each reserves the scratch it needs ---- */

/* output[rows][out] = x[rows][in] weight[out][in]^T (+ addend, laid out like output). output_type is the model's, or
 * F32. */
struct llama_linear {
    int64_t rows, in, out;
    const void *x, *weight, *addend;
    void *output;
    enum dtype output_type;
};
enum status llama_linear(struct llama *model, const struct llama_linear *linear);

/* grad_weight[out][in] += grad_output[rows][out]^T x[rows][in] and grad_x[rows][in] = grad_output weight. */
struct llama_linear_backward {
    int64_t rows, in, out;
    const void *x, *weight, *grad_output;
    void *grad_x;
    float *grad_weight;
    bool overwrite; /* grad_weight = */
};
enum status llama_linear_backward(struct llama *model, const struct llama_linear_backward *linear);

enum status llama_norm(struct llama *model, int64_t rows, const void *x, int64_t weight_offset, void *output,
                       float *rstd);
enum status llama_rope(struct llama *model, int64_t rows, int64_t heads, void *x, int64_t row_stride,
                       const int32_t *positions, int direction);
enum status llama_swiglu(struct llama *model, int64_t rows, const void *gate_up, void *output);
enum status llama_attention(struct llama *model, const struct attention_forward *attention);

/* ---- llama_workspace.c ---- */

/* One activation of every layer: layer l's copy lies `stride` bytes after layer l - 1's; 0 when they share one. */
struct llama_buffer {
    int64_t offset, stride; /* bytes */
};

struct llama_activations {
    struct llama_buffer x;               /* [N][C] what enters a layer; one more copy: what enters the final norm */
    struct llama_buffer attention_input; /* [N][C] after the first norm */
    struct llama_buffer qkv;             /* [N][(H+2G)D] rotated */
    struct llama_buffer attention;       /* [N][HD] */
    struct llama_buffer middle;          /* [N][C] x + attention's part */
    struct llama_buffer mlp_input;       /* [N][C] after the second norm */
    struct llama_buffer gate_up;         /* [N][2I] */
    struct llama_buffer activated;       /* [N][I] */
    struct llama_buffer attention_rstd, mlp_rstd, log_sum_exp; /* [N], [N], [N][H] f32 */
    struct llama_buffer final, final_rstd;                     /* [N][C], [N] */
    struct llama_buffer logits, grad_logits; /* [chunk][V] f32 and, where the model's type is not F32, in that type */
    struct llama_buffer grad_x, grad_input;  /* [N][C] */
    struct llama_buffer grad_wide;           /* [N][max(I, (H+2G)D + HD)] */
    struct llama_buffer ids, targets, starts, groups, positions, order, losses; /* [N] */
    int64_t chunk; /* rows of the head that are computed at a time */
};

struct llama_workspace {
    struct llama *model; /* borrowed */
    int64_t tokens;      /* B*T at most */
    enum recomputation recomputation;
    bool backward;
    struct llama_activations activations;
    unsigned char *memory;       /* device */
    int32_t *positions, *order;  /* pinned, [tokens] each: of a batch that comes without */
    struct device_event *staged; /* when the last copies out of them are over */
};

static inline void *llama_buffer(const struct llama_workspace *workspace, const struct llama_buffer *buffer,
                                 int64_t layer)
{
    return workspace->memory + buffer->offset + layer * buffer->stride;
}

/* ---- llama_batch.c, llama_forward.c ---- */

/* One call of forward or forward-backward. */
struct llama_run {
    struct llama *model;
    struct llama_workspace *workspace;
    struct llama_offsets offsets;
    int64_t rows, length, tokens;
    const int32_t *ids, *targets, *starts, *positions, *order; /* device; starts NULL: whole rows */
    const uint8_t *groups;                                     /* device */
    double *group_sums;                                        /* device; NULL: none */
    bool backward;                                             /* the rest matters to it alone */
    float loss_scale;
    float *gradients;
    bool overwrite;
};

/* Derives what the batch lacks and copies it to the device. */
enum status llama_run_begin(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                            struct llama_run *run);
/* Embedding, all layers, final norm. */
enum status llama_run_layers(struct llama_run *run);
/* One layer; without `last_step` the down projection is left out: what backward needs is there already. */
enum status llama_run_layer(struct llama_run *run, int64_t layer, bool last_step);
/* Losses of all positions in chunks of rows, and in backward the head's gradient and (into grad_x) its input's. */
enum status llama_run_head(struct llama_run *run);
/* The attention of a layer as both directions describe it. */
struct attention_forward llama_run_attention(const struct llama_run *run, int64_t layer);

#endif
