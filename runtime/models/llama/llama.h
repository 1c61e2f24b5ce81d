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

struct llama_tables;

struct llama {
    struct llama_config config;
    enum dtype dtype; /* of weights and activations: F32 or BF16 */
    struct parameter_layout layout;
    void *weights;                  /* device arena, layout.elements of dtype; NULL where `binding` has them */
    struct llama_binding *binding;  /* weights for inference, tensor by tensor; NULL: in the arena */
    float *rope_cosine, *rope_sine; /* device, [rope_positions][D/2]: the longest of rope_tables */
    int64_t rope_positions;
    struct llama_tables *rope_tables;
    const struct kernels *kernels;  /* borrowed */
    struct device_context *context; /* borrowed */
};

/* Adds the weights and the rotary tables to a plan, each an allocation of its own: those of llama_create, and longer tables
 * where rows of `length` tokens need them (llama_rope.c). */
enum status llama_plan(const struct llama_config *config, enum dtype dtype, int64_t length, struct memory_plan *plan);

/* Weights zero. `config` is copied; kernels and context must outlive the model. */
enum status llama_create(const struct llama_config *config, enum dtype dtype, const struct kernels *kernels,
                         struct device_context *context, struct llama **model);
void llama_destroy(struct llama *model);

/* A model for inference alone, with the weights of `path` (any layout of llama_source.h). Where operations read host memory,
 * tensors that the file holds in the model's type and order stay in the file, which is mapped as long as the model lives and
 * must not shrink: the process would end with SIGBUS. All others lie in one resident copy. Elsewhere this is llama_create and
 * llama_read_weights. Every number is read once, and one that is not finite refused, as is all else that llama_read_weights
 * refuses. */
enum status llama_open(const char *path, const struct llama_config *config, enum dtype dtype,
                       const struct kernels *kernels, struct device_context *context, struct llama **model);

/* Adds where the weights of a model lie: in its arena, mapped from the file, or in the resident copy. */
enum status llama_plan_weights(const struct llama *model, struct memory_plan *plan);

/* The device's address of a tensor, wherever it lies. */
const void *llama_view_address(const struct llama *model, const struct parameter_view *view);

/* Normal(0, std) for matrices (o and down scaled by 1/sqrt(2 layers)), ones for norms; each tensor from its own
 * stream rng(seed, INITIALIZE, hash of its name), so values do not depend on other shapes. They are made in f32, given to
 * `sink` (NULL: to nobody), and rounded into the model's weights, piece by piece through llama_fill_bytes() of host
 * memory. */
enum status llama_initialize(struct llama *model, uint64_t seed, double std, const struct weight_sink *sink);

/* New tokens of a continued model: rows [first, end) of embedding and head. Each column of a matrix has its own mean and
 * deviation over the rows that the file at `source` has (of a head that the file lacks, those of its embedding). */
enum llama_rows {
    LLAMA_ROWS_MATCH,  /* normal numbers with the mean and the deviation of their column */
    LLAMA_ROWS_NORMAL, /* as llama_initialize: mean 0, the same deviation everywhere */
    LLAMA_ROWS_MEAN,
    LLAMA_ROWS_ZERO
};
struct llama_new_rows {
    int64_t first;
    enum llama_rows kind;
    double deviation;   /* of LLAMA_ROWS_NORMAL */
    const char *source; /* of MATCH and MEAN: what llama_read_weights has read */
};
/* The random numbers are those that llama_initialize would put there. */
enum status llama_initialize_rows(struct llama *model, uint64_t seed, const struct llama_new_rows *rows,
                                  const struct weight_sink *sink);

/* ---- files: reading all layouts of llama_source.h (llama_read.c), writing Hugging Face folders (llama_folder.c) ---- */

/* Reads the configuration of any layout (llama_source.h); refuses by name (STATUS_CORRUPT) what the family does not cover
 * (rope_scaling, attention_bias, another hidden_act...). */
enum status llama_read_config(const char *path, struct llama_config *config);

/* The type in which a model with this folder's weights runs: bf16 where all its tensors are bf16, or are vectors of f32 with
 * numbers that bf16 has, as GGUF files keep norms. Else f32, which holds f16 exactly; f16 itself is only read. */
enum status llama_read_dtype(const char *folder, enum dtype *dtype);

/* Reads the weights (f32, bf16, f16 or blocks) into the model, and in f32 into `sink` (NULL: no), piece by piece as
 * llama_initialize. Vocabulary rows: the file may have fewer than the model; the missing rows are left untouched and their
 * first index returned in *rows_read (NULL: all rows are expected). A model that is not tied takes as its head the embedding
 * of a file that is. A missing, surplus, misshapen or non-finite tensor is
 * refused by name, and then the model holds a mixture: discard it. */
enum status llama_read_weights(struct llama *model, const char *folder, const struct weight_sink *sink,
                               int64_t *rows_read);

/* Refuses what llama_read_weights refuses, except numbers that are not finite, without a model or a device. *rows of
 * vocabulary are there. */
enum status llama_check_folder(const char *folder, const struct llama_config *config, int64_t *rows);

struct atomic_directory;
/* Writes config.json, generation_config.json, safetensors shards of at most 4 GiB (model.safetensors alone when one
 * suffices, else with index) in the model's dtype, as LlamaForCausalLM.from_pretrained reads them. The weights come from
 * the device in pieces of WEIGHT_PIECE elements. */
enum status llama_write_folder(const struct llama *model, struct atomic_directory *directory, int32_t bos_id,
                               int32_t eos_id);

/* The same from the files of a model in any layout (llama_source.h), without a device: in the type of llama_read_dtype, with as
 * many rows of vocabulary as are there. Refuses what llama_read_weights refuses. *copied, when wanted, says what was written. */
struct llama_copy {
    enum dtype dtype;
    int64_t elements; /* of all tensors that were written */
};
enum status llama_copy_folder(const char *path, struct atomic_directory *directory, int32_t bos_id, int32_t eos_id,
                              struct llama_copy *copied);

/* ---- training ---- */

enum recomputation { RECOMPUTATION_NONE, RECOMPUTATION_LIGHT, RECOMPUTATION_BLOCK }; /* equal to the bit */

enum { LLAMA_LOSS_GROUPS = 16 };

/* Rows of packed tokens. All pointers are host memory, pinned where the caller can, which stays untouched until the next
 * synchronize. A batch must fit its workspace in rows * length, and no document may be longer than maximum_positions or, beyond
 * 4096 tokens, than the length of the workspace. */
struct llama_batch {
    int64_t rows, length;   /* B, T */
    const int32_t *ids;     /* [B][T] */
    const int32_t *targets; /* [B][T]; -1: not counted. The target of position t is usually ids[t + 1]. */
    const int32_t *starts;  /* [B][T]: index in the row of the first token that position t attends to, which also
                               restarts its rotary position (t - start); NULL: whole row */
    const uint8_t *groups;  /* [B][T]: the group, below LLAMA_LOSS_GROUPS, to whose sum a position's loss is added;
                               NULL: no sums */
    /* What llama_batch_derive fills, for a caller who prepares batches while the device works on others. Positions that
     * are NULL (or an order that is NULL where a backward pass needs it) are derived when the batch is used. */
    const int32_t *positions; /* [B][T] rotary positions */
    const int32_t *order;     /* [B*T] the tokens sorted by id, those of one id in their own order */
};

/* Checks ids, targets and starts, and fills positions [B][T] and, unless it is NULL, order [B*T]. Reads nothing else of
 * the batch and allocates nothing. STATUS_INTERNAL names what is outside its range, STATUS_USAGE a document that is longer
 * than the model's positions. */
enum status llama_batch_derive(const struct llama_config *config, const struct llama_batch *batch, int32_t *positions,
                               int32_t *order);

struct llama_workspace; /* activations for batches of up to a given size */

/* What a workspace is for. */
struct llama_workspace_options {
    int64_t rows, length; /* B, T of the largest batch */
    enum recomputation recomputation;
    bool backward;     /* false: forward alone */
    int64_t head_rows; /* rows of the head computed at a time; 0: as many as suit the kernels */
};

/* Adds what such a workspace needs to `plan` (category "activations"): the very allocation of llama_workspace_create. The
 * context's scratch is not in it. */
enum status llama_plan_workspace(const struct kernels *kernels, const struct llama_config *config, enum dtype dtype,
                                 const struct llama_workspace_options *options, struct memory_plan *plan);
/* Bytes of scratch that passes of 1 to `rows` rows of `length` tokens need of the device context. The model's own passes
 * are gone through without computing anything. */
enum status llama_plan_scratch(const struct kernels *kernels, const struct llama_config *config, enum dtype dtype,
                               const struct llama_workspace_options *options, size_t *bytes);

/* Allocates, and reserves the scratch in the model's context: from then on no pass allocates. A batch that fits but has
 * another length than the largest one runs where the kernels need no more scratch for it than was reserved. */
enum status llama_workspace_create(struct llama *model, const struct llama_workspace_options *options,
                                   struct llama_workspace **workspace);
void llama_workspace_destroy(struct llama_workspace *workspace);

/* Called in backward when the work that completes the gradients of a bucket is in the compute queue (highest bucket first;
 * bucket 0 last). */
struct llama_bucket_hook {
    enum status (*done)(void *argument, int64_t bucket);
    void *argument;
};

/* What a pass of forward and backward is to leave behind. Pointers are device memory. */
struct llama_step {
    float loss_scale; /* gradients are those of loss_scale * sum of losses */
    float *gradients; /* f32 arena of the parameters' layout */
    bool overwrite;   /* false: gradients are added to; true: written, padding between tensors as zeros, and what was
                           there before is never read */
    double
        *group_sums; /* [LLAMA_LOSS_GROUPS], added to in order of the positions; or NULL. Needs the batch's groups. */
    const struct llama_bucket_hook *hook; /* or NULL */
};

/* Puts forward and backward into the compute queue and returns without waiting for them. */
enum status llama_forward_backward(struct llama *model, struct llama_workspace *workspace,
                                   const struct llama_batch *batch, const struct llama_step *step);

/* Forward alone, for evaluation: losses[B*T] (host f32, 0 where not counted). Synchronizes once. */
enum status llama_losses(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                         float *losses);

/* Forward alone: adds the losses to group_sums as a step does, and returns without waiting. */
enum status llama_add_losses(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                             double *group_sums);

/* What the logits of every position say of some blocks of the vocabulary (the operation log_sum_exp), on the host: for scores
 * whose protocol, with any of the blocks masked, is chosen later. */
struct llama_block_sums {
    int64_t block_count;       /* 1 to LOG_SUM_EXP_BLOCKS */
    const int64_t *boundaries; /* [block_count + 1] never decreasing, from 0 to vocabulary_size */
    double *sums;              /* [B*T][block_count]: the block's log-sum-exp; 0 where not counted */
    float *target_logits;      /* [B*T]: the target's logit; 0 where not counted */
};

/* Forward alone. `sums` and `target_logits` are host memory, pinned where the caller can. Synchronizes once. */
enum status llama_sum_blocks(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                             const struct llama_block_sums *sums);

/* Logits of every position, [B][T][V] f32 on the host: for tests and small inputs. Synchronizes once. */
enum status llama_logits(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                         float *logits);

/* ---- generation: a cache of keys and values ---- */

struct llama_session;

struct llama_session_options {
    int64_t rows, capacity; /* independent sequences, and tokens of each (at most maximum_positions) */
    int64_t prefill_tokens; /* of a prompt, or of branches, computed at a time; 0: as many as suit the kernels */
    const uint8_t *masks;   /* host, [mask_count][V]: 1 where an id may be drawn; NULL: nothing is drawn. Copied. */
    int64_t mask_count;
    bool scores; /* llama_session_score is used: it has prefill_tokens at a time */
    bool eager;  /* no graphs: each draw puts its operations into the queue one by one, which must give the same bits */
};

/* Adds what such a session needs to `plan` (category "session"): the very allocation of llama_session_create. */
enum status llama_plan_session(const struct kernels *kernels, const struct llama_config *config, enum dtype dtype,
                               const struct llama_session_options *options, struct memory_plan *plan);
/* Bytes of scratch that its passes need of the device context. */
enum status llama_plan_session_scratch(const struct kernels *kernels, const struct llama_config *config,
                                       enum dtype dtype, const struct llama_session_options *options, size_t *bytes);

/* Allocates, and reserves the scratch in the model's context: from then on nothing is allocated. */
enum status llama_session_create(struct llama *model, const struct llama_session_options *options,
                                 struct llama_session **session);
void llama_session_destroy(struct llama_session *session);
int64_t llama_session_length(const struct llama_session *session, int64_t row);
void llama_session_truncate(struct llama_session *session, int64_t row, int64_t length);

/* Appends `count` >= 1 tokens to one row. With `logits` (host f32 [V]) brings those of the last of them and synchronizes
 * once; with NULL returns without waiting. STATUS_USAGE when they do not fit. */
enum status llama_session_prefill(struct llama_session *session, int64_t row, const int32_t *ids, int64_t count,
                                  float *logits);

/* Copies row `source`'s cache to row `destination`: several samples of one prompt. */
enum status llama_session_copy_row(struct llama_session *session, int64_t destination, int64_t source);

/* Appends one token to each listed row (none twice); logits [count][V] (host f32). Bit-equal to the same row decoded alone.
 * Synchronizes once. */
enum status llama_session_decode(struct llama_session *session, const int64_t *rows, const int32_t *ids, int64_t count,
                                 float *logits);

/* One drawn id for each of some rows: the operation `sample` (kernels/operations.h) says how. Pointers are host memory. */
struct llama_draw {
    int64_t count;
    const int64_t *rows;      /* [count], none twice */
    const int32_t *mask_rows; /* [count]: which mask each row has; NULL: all the first */
    const double *uniforms;   /* [count] in [0, 1); not read when temperature is 0 */
    double temperature;       /* 0: greedy */
    int64_t top_k;            /* 0: all */
    double top_p;             /* 1: all */
    int32_t *ids;             /* [count]: a drawn id, or -1 where the row's logits are not finite */
};

/* Draws the ids that follow the prompt which the latest llama_session_prefill appended: the rows are those that are to go
 * on from it, and each has its own uniform number. Appends nothing. Synchronizes once. */
enum status llama_session_draw_first(struct llama_session *session, const struct llama_draw *draw);

/* Appends ids[i] to row rows[i] and draws what follows it into ids[i]. Logits stay on the device. One copy to the device,
 * one from it, one synchronize; where the kernels have graphs, the third call of one kind (rows, temperature, top-k, top-p)
 * and all after it are one launch: the first runs call by call, which loads its kernels, the second is recorded. Each row's id
 * is the one that it would draw alone. */
enum status llama_session_draw(struct llama_session *session, const struct llama_draw *draw);

/* ---- scores that share a beginning ---- */

/* Some tokens behind the first `position` of a row. They take the place of what the row held from there on. */
struct llama_branch {
    int64_t row, position;
    const int32_t *ids;
    int64_t count; /* 1 at least */
};

/* What is to be known of one of the branches' tokens, counted through in their order: how likely `target` follows it. A token may
 * be listed several times. */
struct llama_wanted {
    int64_t token;
    int32_t target;
};

/* Takes all branches through the layers together, at most prefill_tokens tokens. Those of one row come one after the other, as if each
 * were a call of its own; it costs less where branches that follow each other are of different rows. A row's length is then the end of its
 * last branch. sums->sums [wanted_count][block_count] and target_logits [wanted_count] are host memory, pinned where the caller can.
 * Synchronizes. A token's numbers depend in their last bits on how many tokens are in the call. STATUS_INTERNAL when a branch begins
 * behind its row's end, or goes beyond the capacity. */
enum status llama_session_score(struct llama_session *session, const struct llama_branch *branches,
                                int64_t branch_count, const struct llama_wanted *wanted, int64_t wanted_count,
                                const struct llama_block_sums *sums);

#endif
