/* From token ids to the final norm, and the head with its losses in chunks of rows. */
#include "models/llama/llama.h"
#include "models/llama/llama_internal.h"

#include <math.h>

/* ---- the layers ---- */

struct attention_forward llama_run_attention(const struct llama_run *run, int64_t layer)
{
    const struct llama *model = run->model;
    const struct llama_config *config = &model->config;
    const struct llama_activations *plan = &run->workspace->activations;
    int64_t width = llama_qkv_width(config), queries = llama_query_width(config), keys = llama_key_width(config);
    void *qkv = llama_buffer(run->workspace, &plan->qkv, layer);
    return (struct attention_forward){
        .batch = run->rows,
        .query_length = run->length,
        .key_length = run->length,
        .heads = config->heads,
        .kv_heads = config->kv_heads,
        .head_size = config->head_size,
        .query = qkv,
        .key = llama_at(qkv, model->dtype, queries),
        .value = llama_at(qkv, model->dtype, queries + keys),
        .query_row_stride = width,
        .key_row_stride = width,
        .value_row_stride = width,
        .output_row_stride = queries,
        .query_batch_stride = run->length * width,
        .key_batch_stride = run->length * width,
        .value_batch_stride = run->length * width,
        .output_batch_stride = run->length * queries,
        .output = llama_buffer(run->workspace, &plan->attention, layer),
        .log_sum_exp = run->workspace->backward ? llama_buffer(run->workspace, &plan->log_sum_exp, layer) : NULL,
        .starts = run->starts,
        .scale = (float)(1 / sqrt((double)config->head_size)),
        .type = model->dtype,
    };
}

static enum status linear(struct llama_run *run, const void *x, int64_t in, int64_t weight_offset, int64_t out,
                          const void *addend, void *output)
{
    struct llama *model = run->model;
    return llama_linear(model, &(struct llama_linear){.rows = run->tokens,
                                                      .in = in,
                                                      .out = out,
                                                      .x = x,
                                                      .weight = llama_at(model->weights, model->dtype, weight_offset),
                                                      .addend = addend,
                                                      .output = output,
                                                      .output_type = model->dtype});
}

/* middle = x + o(attention(rope(q|k|v(norm(x))))) */
static enum status run_attention_block(struct llama_run *run, int64_t layer)
{
    enum status result = STATUS_OK;
    struct llama *model = run->model;
    const struct llama_config *config = &model->config;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    int64_t start = run->offsets.first_layer + layer * run->offsets.layer_stride;
    int64_t hidden = config->hidden_size, width = llama_qkv_width(config);
    void *x = llama_buffer(workspace, &plan->x, layer), *qkv = llama_buffer(workspace, &plan->qkv, layer);
    void *input = llama_buffer(workspace, &plan->attention_input, layer);
    float *rstd = workspace->backward ? llama_buffer(workspace, &plan->attention_rstd, layer) : NULL;
    TRY(llama_norm(model, run->tokens, x, start + run->offsets.input_norm, input, rstd));
    TRY(linear(run, input, hidden, start + run->offsets.qkv, width, NULL, qkv));
    TRY(llama_rope(model, run->tokens, config->heads + config->kv_heads, qkv, width, run->positions, 1));
    struct attention_forward attention = llama_run_attention(run, layer);
    TRY(llama_attention(model, &attention));
    TRY(linear(run, attention.output, llama_query_width(config), start + run->offsets.attention_output, hidden, x,
               llama_buffer(workspace, &plan->middle, layer)));
fail:
    return result;
}

enum status llama_run_layer(struct llama_run *run, int64_t layer, bool last_step)
{
    enum status result = STATUS_OK;
    struct llama *model = run->model;
    const struct llama_config *config = &model->config;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    int64_t start = run->offsets.first_layer + layer * run->offsets.layer_stride;
    int64_t hidden = config->hidden_size, inner = config->intermediate_size;
    TRY(run_attention_block(run, layer));
    void *middle = llama_buffer(workspace, &plan->middle, layer);
    void *input = llama_buffer(workspace, &plan->mlp_input, layer);
    void *gate_up = llama_buffer(workspace, &plan->gate_up, layer);
    void *activated = llama_buffer(workspace, &plan->activated, layer);
    float *rstd = workspace->backward ? llama_buffer(workspace, &plan->mlp_rstd, layer) : NULL;
    TRY(llama_norm(model, run->tokens, middle, start + run->offsets.mlp_norm, input, rstd));
    TRY(linear(run, input, hidden, start + run->offsets.gate_up, 2 * inner, NULL, gate_up));
    TRY(llama_swiglu(model, run->tokens, gate_up, activated));
    if (last_step)
        TRY(linear(run, activated, inner, start + run->offsets.down, hidden, middle,
                   llama_buffer(workspace, &plan->x, layer + 1)));
fail:
    return result;
}

enum status llama_run_layers(struct llama_run *run)
{
    enum status result = STATUS_OK;
    struct llama *model = run->model;
    const struct llama_config *config = &model->config;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    struct embedding_forward embedding = {.tokens = run->tokens,
                                          .channels = config->hidden_size,
                                          .rows = config->vocabulary_size,
                                          .ids = run->ids,
                                          .table = llama_at(model->weights, model->dtype, run->offsets.embedding),
                                          .output = llama_buffer(workspace, &plan->x, 0),
                                          .type = model->dtype};
    TRY(model->kernels->embedding_forward(model->context, &embedding));
    for (int64_t layer = 0; layer < config->layers; layer++)
        TRY(llama_run_layer(run, layer, true));
    TRY(llama_norm(model, run->tokens, llama_buffer(workspace, &plan->x, config->layers), run->offsets.final_norm,
                   llama_buffer(workspace, &plan->final, 0),
                   workspace->backward ? llama_buffer(workspace, &plan->final_rstd, 0) : NULL));
fail:
    return result;
}

/* ---- the head ---- */

/* logits[rows][V] (f32) of the positions from `first` on. */
static enum status chunk_logits(struct llama_run *run, int64_t first, int64_t rows)
{
    struct llama *model = run->model;
    const struct llama_config *config = &model->config;
    const struct llama_workspace *workspace = run->workspace;
    const void *final = llama_buffer(workspace, &workspace->activations.final, 0);
    return llama_linear(model,
                        &(struct llama_linear){.rows = rows,
                                               .in = config->hidden_size,
                                               .out = config->vocabulary_size,
                                               .x = llama_at(final, model->dtype, first * config->hidden_size),
                                               .weight = llama_at(model->weights, model->dtype, run->offsets.head),
                                               .output = llama_buffer(workspace, &workspace->activations.logits, 0),
                                               .output_type = DTYPE_F32});
}

/* From the gradient of the chunk's logits: the head's and its input's. */
static enum status chunk_backward(struct llama_run *run, int64_t first, int64_t rows)
{
    enum status result = STATUS_OK;
    struct llama *model = run->model;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    int64_t hidden = model->config.hidden_size, vocabulary = model->config.vocabulary_size;
    void *grad_logits = llama_buffer(workspace, &plan->grad_logits, 0);
    TRY(llama_linear_backward(
        model, &(struct llama_linear_backward){
                   .rows = rows,
                   .in = hidden,
                   .out = vocabulary,
                   .x = llama_at(llama_buffer(workspace, &plan->final, 0), model->dtype, first * hidden),
                   .weight = llama_at(model->weights, model->dtype, run->offsets.head),
                   .grad_output = grad_logits,
                   .grad_x = llama_at(llama_buffer(workspace, &plan->grad_x, 0), model->dtype, first * hidden),
                   .grad_weight = run->gradients + run->offsets.head,
                   .overwrite = run->overwrite && first == 0}));
fail:
    return result;
}

enum status llama_run_head(struct llama_run *run)
{
    enum status result = STATUS_OK;
    struct llama *model = run->model;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    float *losses = llama_buffer(workspace, &plan->losses, 0);
    for (int64_t first = 0; first < run->tokens; first += plan->chunk) {
        int64_t rows = run->tokens - first < plan->chunk ? run->tokens - first : plan->chunk;
        TRY(chunk_logits(run, first, rows));
        TRY(model->kernels->cross_entropy(
            model->context,
            &(struct cross_entropy){.rows = rows,
                                    .columns = model->config.vocabulary_size,
                                    .logits = llama_buffer(workspace, &plan->logits, 0),
                                    .targets = run->targets + first,
                                    .losses = losses + first,
                                    .groups = run->group_sums ? run->groups + first : NULL,
                                    .group_sums = run->group_sums,
                                    .group_count = LLAMA_LOSS_GROUPS,
                                    .grad = run->backward ? llama_buffer(workspace, &plan->grad_logits, 0) : NULL,
                                    .grad_scale = run->loss_scale,
                                    .type = DTYPE_F32,
                                    .grad_type = run->backward ? model->dtype : DTYPE_F32}));
        if (run->backward)
            TRY(chunk_backward(run, first, rows));
    }
fail:
    return result;
}

/* Losses of all positions into the workspace and, unless it is NULL, group_sums. */
static enum status run_forward(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                               double *group_sums, struct llama_run *run)
{
    enum status result = STATUS_OK;
    if (!batch->targets || (group_sums && !batch->groups))
        FAIL(STATUS_INTERNAL, "losses of a batch without %s", batch->targets ? "groups" : "targets");
    TRY(llama_run_begin(model, workspace, batch, run));
    run->group_sums = group_sums;
    TRY(llama_run_layers(run));
    TRY(llama_run_head(run));
fail:
    return result;
}

enum status llama_losses(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                         float *losses)
{
    enum status result = STATUS_OK;
    struct llama_run run;
    TRY(run_forward(model, workspace, batch, NULL, &run));
    TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, losses,
                                     llama_buffer(workspace, &workspace->activations.losses, 0),
                                     (size_t)run.tokens * sizeof *losses));
    TRY(model->kernels->synchronize(model->context));
fail:
    return result;
}

enum status llama_add_losses(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                             double *group_sums)
{
    struct llama_run run;
    if (!group_sums)
        return status_set(STATUS_INTERNAL, "losses are to be added to no sums");
    return run_forward(model, workspace, batch, group_sums, &run);
}

enum status llama_logits(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                         float *logits)
{
    enum status result = STATUS_OK;
    struct llama_run run;
    int64_t chunk = workspace->activations.chunk, vocabulary = model->config.vocabulary_size;
    TRY(llama_run_begin(model, workspace, batch, &run));
    TRY(llama_run_layers(&run));
    for (int64_t first = 0; first < run.tokens; first += chunk) {
        int64_t rows = run.tokens - first < chunk ? run.tokens - first : chunk;
        TRY(chunk_logits(&run, first, rows));
        TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, logits + first * vocabulary,
                                         llama_buffer(workspace, &workspace->activations.logits, 0),
                                         (size_t)(rows * vocabulary) * sizeof *logits));
    }
    TRY(model->kernels->synchronize(model->context));
fail:
    return result;
}
