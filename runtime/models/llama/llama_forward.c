/* From token ids to the final norm, and the head with its losses in chunks of rows: the logits of a whole batch would be
 * larger than all other activations together. */
#include "models/llama/llama_internal.h"

/* ---- the layers ---- */

struct attention_forward llama_run_attention(const struct llama_run *run, int64_t layer)
{
    const struct llama_config *config = run->network.config;
    const struct llama_activations *plan = &run->workspace->activations;
    enum dtype dtype = run->network.compute.dtype;
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
        .key = element_at(qkv, dtype, queries),
        .value = element_at(qkv, dtype, queries + keys),
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
        .scale = llama_attention_scale(config),
        .type = dtype,
    };
}

enum status llama_run_rope(const struct llama_run *run, void *qkv, int direction)
{
    const struct llama_network *network = &run->network;
    const struct llama_config *config = network->config;
    return compute_run(&network->compute, rope,
                       &(struct rope){.tokens = run->tokens,
                                      .heads = config->heads + config->kv_heads,
                                      .head_size = config->head_size,
                                      .x = qkv,
                                      .row_stride = llama_qkv_width(config),
                                      .positions = run->positions,
                                      .cosine = network->rope_cosine,
                                      .sine = network->rope_sine,
                                      .table_positions = network->rope_positions,
                                      .direction = direction,
                                      .type = network->compute.dtype});
}

/* middle = x + o(attention(rope(q|k|v(norm(x))))) */
static enum status run_attention_block(struct llama_run *run, int64_t layer)
{
    enum status result = STATUS_OK;
    const struct llama_network *network = &run->network;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    void *x = llama_buffer(workspace, &plan->x, layer), *qkv = llama_buffer(workspace, &plan->qkv, layer);
    float *rstd = workspace->backward ? llama_buffer(workspace, &plan->attention_rstd, layer) : NULL;
    TRY(llama_make_qkv(network, layer, run->tokens, x, llama_buffer(workspace, &plan->attention_input, layer), rstd,
                       qkv));
    TRY(llama_run_rope(run, qkv, 1));
    const struct attention_forward attention = llama_run_attention(run, layer);
    TRY(compute_run(&network->compute, attention_forward, &attention));
    TRY(llama_join_heads(network, layer, run->tokens, attention.output, x,
                         llama_buffer(workspace, &plan->middle, layer)));
fail:
    return result;
}

enum status llama_run_layer(struct llama_run *run, int64_t layer, bool last_product)
{
    enum status result = STATUS_OK;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    TRY(run_attention_block(run, layer));
    const struct llama_mlp mlp = {
        .middle = llama_buffer(workspace, &plan->middle, layer),
        .normalised = llama_buffer(workspace, &plan->mlp_input, layer),
        .rstd = workspace->backward ? llama_buffer(workspace, &plan->mlp_rstd, layer) : NULL,
        .gate_up = llama_buffer(workspace, &plan->gate_up, layer),
        .activated = llama_buffer(workspace, &plan->activated, layer),
        .output = last_product ? llama_buffer(workspace, &plan->x, layer + 1) : NULL,
    };
    TRY(llama_run_mlp(&run->network, layer, run->tokens, &mlp));
fail:
    return result;
}

/* Embedding, all layers, final norm. */
static enum status run_layers(struct llama_run *run)
{
    enum status result = STATUS_OK;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    int64_t layers = run->network.config->layers;
    float *rstd = workspace->backward ? llama_buffer(workspace, &plan->final_rstd, 0) : NULL;
    TRY(llama_embed(&run->network, run->tokens, run->ids, llama_buffer(workspace, &plan->x, 0)));
    for (int64_t layer = 0; layer < layers; layer++)
        TRY(llama_run_layer(run, layer, true));
    TRY(llama_norm(&run->network, run->tokens, llama_buffer(workspace, &plan->x, layers),
                   run->network.offsets.final_norm, llama_buffer(workspace, &plan->final, 0), rstd));
fail:
    return result;
}

/* ---- the head ---- */

static int64_t chunk_rows(const struct llama_run *run, int64_t first)
{
    int64_t chunk = run->workspace->activations.chunk, left = run->tokens - first;
    return left < chunk ? left : chunk;
}

/* What the final norm left of the positions from `first` on. */
static void *chunk_input(const struct llama_run *run, int64_t first)
{
    return element_at(llama_buffer(run->workspace, &run->workspace->activations.final, 0), run->network.compute.dtype,
                      first * run->network.config->hidden_size);
}

/* logits[rows][V] (f32) of the positions from `first` on. */
static enum status chunk_logits(struct llama_run *run, int64_t first, int64_t rows)
{
    return llama_make_logits(&run->network, rows, chunk_input(run, first),
                             llama_buffer(run->workspace, &run->workspace->activations.logits, 0));
}

static enum status chunk_losses(struct llama_run *run, int64_t first, int64_t rows)
{
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    const struct compute *compute = &run->network.compute;
    return compute_run(
        compute, cross_entropy,
        &(struct cross_entropy){.rows = rows,
                                .columns = run->network.config->vocabulary_size,
                                .logits = llama_buffer(workspace, &plan->logits, 0),
                                .targets = element_at(run->targets, DTYPE_I32, first),
                                .losses = element_at(llama_buffer(workspace, &plan->losses, 0), DTYPE_F32, first),
                                .groups = run->group_sums ? element_at(run->groups, DTYPE_U8, first) : NULL,
                                .group_sums = run->group_sums,
                                .group_count = LLAMA_LOSS_GROUPS,
                                .grad = run->backward ? llama_buffer(workspace, &plan->grad_logits, 0) : NULL,
                                .grad_scale = run->loss_scale,
                                .type = DTYPE_F32,
                                .grad_type = run->backward ? compute->dtype : DTYPE_F32});
}

/* From the gradient of the chunk's logits: the head's and its input's. Only the first chunk may overwrite. */
static enum status chunk_backward(struct llama_run *run, int64_t first, int64_t rows)
{
    const struct llama_network *network = &run->network;
    const struct llama_activations *plan = &run->workspace->activations;
    int64_t hidden = network->config->hidden_size;
    void *grad_x = llama_buffer(run->workspace, &plan->grad_x, 0);
    return linear_backward(
        &network->compute,
        &(struct linear_gradient){.rows = rows,
                                  .in = hidden,
                                  .out = network->config->vocabulary_size,
                                  .x = chunk_input(run, first),
                                  .weight = llama_weight(network, network->offsets.head),
                                  .grad_output = llama_buffer(run->workspace, &plan->grad_logits, 0),
                                  .grad_x = element_at(grad_x, network->compute.dtype, first * hidden),
                                  .grad_weight = element_at(run->gradients, DTYPE_F32, network->offsets.head),
                                  .overwrite = run->overwrite && first == 0});
}

enum status llama_run_forward(struct llama_run *run)
{
    enum status result = STATUS_OK;
    TRY(run_layers(run));
    for (int64_t first = 0; first < run->tokens; first += run->workspace->activations.chunk) {
        int64_t rows = chunk_rows(run, first);
        TRY(chunk_logits(run, first, rows));
        TRY(chunk_losses(run, first, rows));
        if (run->backward)
            TRY(chunk_backward(run, first, rows));
    }
fail:
    return result;
}

/* ---- forward alone ---- */

static enum status run_wait(struct llama_run *run)
{
    const struct compute *compute = &run->network.compute;
    enum status result = compute->kernels->synchronize(compute->context);
    if (result == STATUS_OK)
        run->workspace->in_flight = false;
    return result;
}

static enum status forward_alone(struct llama *model, struct llama_workspace *workspace,
                                 const struct llama_batch *batch, double *group_sums, struct llama_run *run)
{
    enum status result = STATUS_OK;
    if (!batch->targets || (group_sums && !batch->groups))
        FAIL(STATUS_INTERNAL, "losses of a batch without %s", batch->targets ? "groups" : "targets");
    TRY(llama_run_begin(model, workspace, batch, run));
    run->group_sums = group_sums;
    TRY(llama_run_forward(run));
fail:
    return result;
}

enum status llama_losses(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                         float *losses)
{
    enum status result = STATUS_OK;
    struct llama_run run;
    TRY(forward_alone(model, workspace, batch, NULL, &run));
    TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, losses,
                                     llama_buffer(workspace, &workspace->activations.losses, 0),
                                     (size_t)run.tokens * sizeof *losses));
    TRY(run_wait(&run));
fail:
    return result;
}

enum status llama_add_losses(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                             double *group_sums)
{
    struct llama_run run;
    if (!group_sums)
        return status_set(STATUS_INTERNAL, "losses are to be added to no sums");
    return forward_alone(model, workspace, batch, group_sums, &run);
}

/* One chunk of the head, and what it says brought to the host. The chunk after it uses the same buffers, in queue order. */
static enum status chunk_block_sums(struct llama_run *run, const struct llama_block_sums *sums, int64_t first,
                                    int64_t rows)
{
    enum status result = STATUS_OK;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    const struct llama *model = workspace->model;
    struct log_sum_exp operation = {.rows = rows,
                                    .columns = run->network.config->vocabulary_size,
                                    .block_count = sums->block_count,
                                    .logits = llama_buffer(workspace, &plan->logits, 0),
                                    .targets = element_at(run->targets, DTYPE_I32, first),
                                    .sums = llama_buffer(workspace, &plan->block_sums, 0),
                                    .target_logits = llama_buffer(workspace, &plan->target_logits, 0),
                                    .type = DTYPE_F32};
    for (int64_t b = 0; b <= sums->block_count; b++)
        operation.boundaries[b] = sums->boundaries[b];
    TRY(chunk_logits(run, first, rows));
    TRY(compute_run(&run->network.compute, log_sum_exp, &operation));
    TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, sums->sums + first * sums->block_count,
                                     operation.sums, (size_t)(rows * sums->block_count) * sizeof *sums->sums));
    TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, sums->target_logits + first,
                                     operation.target_logits, (size_t)rows * sizeof *sums->target_logits));
fail:
    return result;
}

enum status llama_sum_blocks(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                             const struct llama_block_sums *sums)
{
    enum status result = STATUS_OK;
    struct llama_run run;
    if (!batch->targets || workspace->backward)
        return status_set(STATUS_INTERNAL, "sums of blocks %s",
                          batch->targets ? "in a workspace of training" : "of a batch without targets");
    if (sums->block_count < 1 || sums->block_count > LOG_SUM_EXP_BLOCKS)
        return status_set(STATUS_INTERNAL, "sums of %lld blocks", (long long)sums->block_count);
    TRY(llama_run_begin(model, workspace, batch, &run));
    TRY(run_layers(&run));
    for (int64_t first = 0; first < run.tokens; first += workspace->activations.chunk)
        TRY(chunk_block_sums(&run, sums, first, chunk_rows(&run, first)));
    TRY(run_wait(&run));
fail:
    return result;
}

enum status llama_logits(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *batch,
                         float *logits)
{
    enum status result = STATUS_OK;
    struct llama_run run;
    int64_t vocabulary = model->config.vocabulary_size;
    TRY(llama_run_begin(model, workspace, batch, &run));
    TRY(run_layers(&run));
    for (int64_t first = 0; first < run.tokens; first += workspace->activations.chunk) {
        int64_t rows = chunk_rows(&run, first);
        TRY(chunk_logits(&run, first, rows));
        TRY(model->kernels->copy_to_host(model->context, QUEUE_COMPUTE, logits + first * vocabulary,
                                         llama_buffer(workspace, &workspace->activations.logits, 0),
                                         (size_t)(rows * vocabulary) * sizeof *logits));
    }
    TRY(run_wait(&run));
fail:
    return result;
}
