/* What the files of the Llama model share: the workspace, and a pass of training through it. */
#ifndef SPIRITLM_MODELS_LLAMA_INTERNAL_H
#define SPIRITLM_MODELS_LLAMA_INTERNAL_H

#include "models/llama/llama_network.h"

enum { LLAMA_MAXIMUM_VOCABULARY = 1 << 24 };

/* llama.c: a model without weights. */
enum status llama_create_bare(const struct llama_config *config, enum dtype dtype, const struct kernels *kernels,
                              struct device_context *context, struct llama **out);

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
    struct llama_buffer losses;              /* [N] */
    struct llama_buffer block_sums, target_logits; /* [chunk][LOG_SUM_EXP_BLOCKS] f64, [chunk]; forward alone */
    struct llama_buffer ids, targets, starts, groups, positions, order; /* [N]; one copy per LLAMA_INPUTS */
    int64_t chunk; /* rows of the head that are computed at a time */
};

/* Batches are copied to the device while the pass before still computes, so their arrays are there twice. */
enum { LLAMA_INPUTS = 2 };

struct llama_workspace {
    struct llama *model; /* borrowed */
    int64_t tokens;      /* B*T at most */
    enum recomputation recomputation;
    bool backward;
    struct llama_activations activations;
    void *memory;                              /* device */
    int32_t *positions, *order;                /* pinned, [tokens] each: of a batch that comes without */
    struct device_event *staged;               /* when the last copies out of them are over */
    bool in_flight;                            /* nobody has waited for those yet */
    int input;                                 /* which copy of the batch's arrays the next pass takes */
    struct device_event *filled[LLAMA_INPUTS]; /* copy queue: the arrays are there */
    struct device_event *passed[LLAMA_INPUTS]; /* compute queue: the passes that read them are over */
};

static inline void *llama_buffer(const struct llama_workspace *workspace, const struct llama_buffer *buffer,
                                 int64_t layer)
{
    return element_at(workspace->memory, DTYPE_U8, buffer->offset + layer * buffer->stride);
}

/* ---- llama_batch.c, llama_forward.c ---- */

/* One pass: forward alone, or forward and backward. Arrays lie in device memory. */
struct llama_run {
    struct llama_network network;
    struct llama_workspace *workspace;
    int64_t rows, length, tokens;
    const int32_t *ids, *targets, *positions, *order;
    const int32_t *starts; /* NULL: whole rows */
    const uint8_t *groups;
    double *group_sums; /* NULL: none */
    bool backward;      /* the rest matters to it alone */
    float loss_scale;
    float *gradients;
    bool overwrite;
};

/* A whole pass of a batch that lies on the device (llama_forward.c), and the way back (llama_backward.c). */
enum status llama_run_forward(struct llama_run *run);
enum status llama_run_backward(struct llama_run *run, const struct llama_bucket_hook *hook);

/* Derives what the batch lacks and copies it to the device. */
enum status llama_run_begin(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                            struct llama_run *run);
/* One layer; without `last_product` the one with the down matrix is left out: what backward needs is there already. */
enum status llama_run_layer(struct llama_run *run, int64_t layer, bool last_product);
/* Rotates the heads of queries and keys, which lie at qkv, or turns gradients back (-1). */
enum status llama_run_rope(const struct llama_run *run, void *qkv, int direction);
/* The attention of a layer as both directions describe it. */
struct attention_forward llama_run_attention(const struct llama_run *run, int64_t layer);

#endif
