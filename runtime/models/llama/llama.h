/* The Llama-2 family (Touvron et al. 2023): token embedding, layers of RMSNorm - grouped-query attention with rotary
 * positions - RMSNorm - SwiGLU, a final RMSNorm and a linear head. Explicit forward and backward, no autograd graph.
 *
 * Parameters lie flat in one arena in execution order: embedding, then a layer at a time input norm, q|k|v, o,
 * post-attention norm, gate|up, down, then the final norm and the head. A table of named views (Hugging Face names)
 * carries shape and flags. Gradients and moments are f32 arenas of the same layout. */
#ifndef SPIRITLM_MODELS_LLAMA_H
#define SPIRITLM_MODELS_LLAMA_H

#include "core/memory_plan.h"
#include "kernels/kernels.h"
#include "models/llama/weight_sink.h"

#include <stdbool.h>
#include <stdint.h>

struct llama_config {
    int64_t vocabulary_size; /* rows of the embedding, padding included */
    int64_t hidden_size, intermediate_size, layers, heads, kv_heads, head_size;
    int64_t maximum_positions;
    double rope_theta, rms_norm_epsilon;
    bool tie_embeddings;
};

/* STATUS_USAGE with the reason when sizes are impossible (heads not a multiple of kv_heads, odd head_size...). */
enum status llama_config_check(const struct llama_config *config);
int64_t llama_parameter_count(const struct llama_config *config); /* a tied head counts once */
/* Floating-point operations of forward + backward a token, for MFU: 6 a matrix element (the head's included, the
 * embedding's and the norms' not) and 6 * layers * heads * head_size * context for causal attention over `context`. */
double llama_flops_per_token(const struct llama_config *config, int64_t context);

struct parameter_view {
    char name[96];  /* "model.layers.0.self_attn.q_proj.weight" */
    int64_t offset; /* elements from the arena's start; q, k, v (and gate, up) follow each other without a gap */
    int64_t count;  /* elements */
    int rank;
    int64_t shape[2];
    int layer;  /* -1: embedding, final norm, head */
    bool decay; /* weight decay applies: false for norms */
    bool alias; /* the tied head: offset of the embedding, not counted, not stored again */
};

struct parameter_layout {
    struct parameter_view *views;
    int64_t count;
    int64_t elements;     /* of the arena, padding included; tensor groups start at multiples of 128 elements (256 bytes
                             in bf16, 512 in f32) */
    int64_t bucket_count; /* layers + 2: embedding, each layer, final norm + head */
    int64_t *bucket_offsets; /* [bucket_count + 1] elements */
};

enum status parameter_layout_create(const struct llama_config *config, struct parameter_layout *layout);
void parameter_layout_free(struct parameter_layout *layout);
const struct parameter_view *parameter_layout_find(const struct parameter_layout *layout, const char *name);

struct llama {
    struct llama_config config;
    enum dtype dtype; /* of weights and activations: F32 or BF16 */
    struct parameter_layout layout;
    void *weights; /* device arena, layout.elements of dtype */
    float *rope_cosine, *rope_sine;
    const struct kernels *kernels;  /* borrowed */
    struct device_context *context; /* borrowed */
};

/* Weights zero. `config` is copied; kernels and context must outlive the model. */
enum status llama_create(const struct llama_config *config, enum dtype dtype, const struct kernels *kernels,
                         struct device_context *context, struct llama **model);
void llama_destroy(struct llama *model);

/* Normal(0, std) for matrices (o and down scaled by 1/sqrt(2 layers)), ones for norms; each tensor from its own
 * stream rng(seed, INITIALIZE, hash of its name), so values do not depend on other shapes. They are made in f32, given to
 * `sink` (NULL: to nobody), and rounded into the model's weights, piece by piece through llama_fill_bytes() of host
 * memory. */
enum status llama_initialize(struct llama *model, uint64_t seed, double std, const struct weight_sink *sink);

/* The same normal numbers for rows [first_row, end) of embedding and head alone: new tokens of a continued model. */
enum status llama_initialize_rows(struct llama *model, uint64_t seed, double std, int64_t first_row,
                                  const struct weight_sink *sink);

/* ---- Hugging Face folders (llama_folder.c) ---- */

/* Reads config.json; refuses by name (STATUS_CORRUPT) what the family does not cover (rope_scaling, attention_bias,
 * another hidden_act...). */
enum status llama_read_config(const char *folder, struct llama_config *config);

/* The type in which a model with this folder's weights runs: bf16 where all its tensors are bf16. Else f32, which holds
 * f16 exactly; f16 itself is only read. */
enum status llama_read_dtype(const char *folder, enum dtype *dtype);

/* Reads the weights (f32, bf16 or f16) into the model, and in f32 into `sink` (NULL: no), piece by piece as
 * llama_initialize. Vocabulary rows: the file may have fewer than the model; the missing rows are left untouched and their
 * first index returned in *rows_read (NULL: all rows are expected). A missing, surplus, misshapen or non-finite tensor is
 * refused by name, and then the model holds a mixture: discard it. */
enum status llama_read_weights(struct llama *model, const char *folder, const struct weight_sink *sink,
                               int64_t *rows_read);

struct atomic_directory;
/* Writes config.json, generation_config.json, safetensors shards of at most 4 GiB (model.safetensors alone when one
 * suffices, else with index) in the model's dtype, as LlamaForCausalLM.from_pretrained reads them. The weights come from
 * the device in pieces of WEIGHT_PIECE elements. */
enum status llama_write_folder(const struct llama *model, struct atomic_directory *directory, int32_t bos_id,
                               int32_t eos_id);

/* ---- training ---- */

enum recomputation { RECOMPUTATION_NONE, RECOMPUTATION_LIGHT, RECOMPUTATION_BLOCK }; /* equal to the bit */

/* Rows of packed tokens. All pointers are host memory. */
struct llama_batch {
    int64_t rows, length;   /* B, T */
    const int32_t *ids;     /* [B][T] */
    const int32_t *targets; /* [B][T]; -1: not counted. The target of position t is usually ids[t + 1]. */
    const int32_t *starts;  /* [B][T]: index in the row of the first token that position t attends to, which also
                               restarts its rotary position (t - start); NULL: whole row */
};

struct llama_workspace; /* activations for up to a given B x T */

/* Adds what a workspace of this shape needs to `plan` (category "activations"): the very allocation of
 * llama_workspace_create. The context's scratch is not in it. */
enum status llama_plan_workspace(const struct llama_config *config, enum dtype dtype, int64_t rows, int64_t length,
                                 enum recomputation recomputation, bool backward, struct memory_plan *plan);
enum status llama_workspace_create(struct llama *model, int64_t rows, int64_t length, enum recomputation recomputation,
                                   bool backward, struct llama_workspace **workspace);
void llama_workspace_destroy(struct llama_workspace *workspace);

/* Called in backward when the gradients of a bucket are complete (highest bucket first; with tied embeddings bucket 0
 * last). */
struct llama_bucket_hook {
    enum status (*done)(void *argument, int64_t bucket);
    void *argument;
};

/* A batch must fit the workspace in rows * length, no document may be longer than maximum_positions.
 *
 * Forward and backward: losses[B*T] (host f32, 0 where not counted) and gradients (device f32 arena) +=
 * d(loss_scale * sum of losses). hook may be NULL. */
enum status llama_forward_backward(struct llama *model, struct llama_workspace *workspace,
                                   const struct llama_batch *batch, float loss_scale, float *gradients, float *losses,
                                   const struct llama_bucket_hook *hook);

/* Forward alone: the same losses. */
enum status llama_losses(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                         float *losses);

/* Logits of every position, [B][T][V] f32 on the host: for tests and small inputs. */
enum status llama_logits(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                         float *logits);

/* ---- generation: a KV cache (llama_session.c) ---- */

struct llama_session;

/* `rows` independent sequences of up to `capacity` tokens (at most maximum_positions). */
enum status llama_session_create(struct llama *model, int64_t rows, int64_t capacity, struct llama_session **session);
void llama_session_destroy(struct llama_session *session);
int64_t llama_session_length(const struct llama_session *session, int64_t row);
void llama_session_truncate(struct llama_session *session, int64_t row, int64_t length);

/* Appends `count` >= 1 tokens to one row; logits of the last of them (host f32 [V]; NULL: not wanted). STATUS_USAGE
 * when they do not fit. */
enum status llama_session_prefill(struct llama_session *session, int64_t row, const int32_t *ids, int64_t count,
                                  float *logits);

/* Copies row `source`'s cache to row `destination`: several samples of one prompt. */
enum status llama_session_copy_row(struct llama_session *session, int64_t destination, int64_t source);

/* Appends one token to each listed row (none twice); logits [count][V]. Bit-equal to the same row decoded alone. */
enum status llama_session_decode(struct llama_session *session, const int64_t *rows, const int32_t *ids, int64_t count,
                                 float *logits);

#endif
