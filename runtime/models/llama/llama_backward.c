/* The way back. grad_x holds the gradient of what left the layer and becomes that of what entered it. */
#include "models/llama/llama.h"
#include "models/llama/llama_internal.h"

static enum status norm_backward(struct llama_run *run, const struct llama_buffer *x, int64_t copy, const float *rstd,
                                 int64_t weight_offset, const void *grad_output, const void *grad_residual,
                                 void *grad_x)
{
    enum status result = STATUS_OK;
    struct llama *model = run->model;
    struct rmsnorm_backward norm = {.rows = run->tokens,
                                    .channels = model->config.hidden_size,
                                    .sum = llama_buffer(run->workspace, x, copy),
                                    .weight = llama_at(model->weights, model->dtype, weight_offset),
                                    .grad_output = grad_output,
                                    .grad_residual = grad_residual,
                                    .rstd = rstd,
                                    .grad_sum = grad_x,
                                    .grad_weight = run->gradients + weight_offset,
                                    .overwrite = run->overwrite,
                                    .type = model->dtype};
    TRY(device_context_reserve(model->kernels, model->context, model->kernels->rmsnorm_backward_scratch_size(&norm)));
    TRY(model->kernels->rmsnorm_backward(model->context, &norm));
fail:
    return result;
}

static enum status linear_backward(struct llama_run *run, const void *x, int64_t in, int64_t weight_offset, int64_t out,
                                   const void *grad_output, void *grad_x)
{
    struct llama *model = run->model;
    return llama_linear_backward(
        model, &(struct llama_linear_backward){.rows = run->tokens,
                                               .in = in,
                                               .out = out,
                                               .x = x,
                                               .weight = llama_at(model->weights, model->dtype, weight_offset),
                                               .grad_output = grad_output,
                                               .grad_x = grad_x,
                                               .grad_weight = run->gradients + weight_offset,
                                               .overwrite = run->overwrite});
}

/* x -> norm -> gate|up -> swiglu -> down, + x */
static enum status mlp_backward(struct llama_run *run, int64_t layer)
{
    enum status result = STATUS_OK;
    struct llama *model = run->model;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    bool light = workspace->recomputation == RECOMPUTATION_LIGHT;
    int64_t start = run->offsets.first_layer + layer * run->offsets.layer_stride;
    int64_t hidden = model->config.hidden_size, inner = model->config.intermediate_size;
    void *gate_up = llama_buffer(workspace, &plan->gate_up, layer);
    void *activated = llama_buffer(workspace, &plan->activated, layer);
    void *input = llama_buffer(workspace, &plan->mlp_input, layer);
    void *grad_x = llama_buffer(workspace, &plan->grad_x, 0);
    void *grad_input = llama_buffer(workspace, &plan->grad_input, 0);
    void *grad_activated = llama_buffer(workspace, &plan->grad_wide, 0);
    if (light)
        TRY(llama_swiglu(model, run->tokens, gate_up, activated));
    TRY(linear_backward(run, activated, inner, start + run->offsets.down, hidden, grad_x, grad_activated));
    TRY(model->kernels->swiglu_backward(model->context, &(struct swiglu_backward){.rows = run->tokens,
                                                                                  .channels = inner,
                                                                                  .gate_up = gate_up,
                                                                                  .grad_output = grad_activated,
                                                                                  .grad_gate_up = gate_up,
                                                                                  .type = model->dtype}));
    int64_t norm = start + run->offsets.mlp_norm;
    if (light)
        TRY(llama_norm(model, run->tokens, llama_buffer(workspace, &plan->middle, layer), norm, input, NULL));
    TRY(linear_backward(run, input, hidden, start + run->offsets.gate_up, 2 * inner, gate_up, grad_input));
    TRY(norm_backward(run, &plan->middle, layer, llama_buffer(workspace, &plan->mlp_rstd, layer), norm, grad_input,
                      grad_x, grad_x));
fail:
    return result;
}

/* Gradients of q|k|v before their rotation, into `grad_qkv`. */
static enum status attention_backward(struct llama_run *run, int64_t layer, const void *grad_attention, void *grad_qkv)
{
    enum status result = STATUS_OK;
    struct llama *model = run->model;
    const struct llama_config *config = &model->config;
    int64_t queries = llama_query_width(config), keys = llama_key_width(config);
    struct attention_backward attention = {.forward = llama_run_attention(run, layer),
                                           .grad_output = grad_attention,
                                           .grad_query = grad_qkv,
                                           .grad_key = llama_at(grad_qkv, model->dtype, queries),
                                           .grad_value = llama_at(grad_qkv, model->dtype, queries + keys)};
    TRY(device_context_reserve(model->kernels, model->context,
                               model->kernels->attention_backward_scratch_size(&attention)));
    TRY(model->kernels->attention_backward(model->context, &attention));
    TRY(llama_rope(model, run->tokens, config->heads + config->kv_heads, grad_qkv, llama_qkv_width(config),
                   run->positions, -1));
fail:
    return result;
}

/* x -> norm -> q|k|v -> rope -> attention -> o, + x */
static enum status attention_block_backward(struct llama_run *run, int64_t layer)
{
    enum status result = STATUS_OK;
    struct llama *model = run->model;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    int64_t start = run->offsets.first_layer + layer * run->offsets.layer_stride;
    int64_t hidden = model->config.hidden_size, width = llama_qkv_width(&model->config);
    void *input = llama_buffer(workspace, &plan->attention_input, layer);
    void *grad_x = llama_buffer(workspace, &plan->grad_x, 0);
    void *grad_input = llama_buffer(workspace, &plan->grad_input, 0);
    void *grad_qkv = llama_buffer(workspace, &plan->grad_wide, 0);
    void *grad_attention = llama_at(grad_qkv, model->dtype, run->tokens * width);
    TRY(linear_backward(run, llama_buffer(workspace, &plan->attention, layer), llama_query_width(&model->config),
                        start + run->offsets.attention_output, hidden, grad_x, grad_attention));
    TRY(attention_backward(run, layer, grad_attention, grad_qkv));
    int64_t norm = start + run->offsets.input_norm;
    if (workspace->recomputation == RECOMPUTATION_LIGHT)
        TRY(llama_norm(model, run->tokens, llama_buffer(workspace, &plan->x, layer), norm, input, NULL));
    TRY(linear_backward(run, input, hidden, start + run->offsets.qkv, width, grad_qkv, grad_input));
    TRY(norm_backward(run, &plan->x, layer, llama_buffer(workspace, &plan->attention_rstd, layer), norm, grad_input,
                      grad_x, grad_x));
fail:
    return result;
}

static enum status zero_gradients(struct llama_run *run, int64_t first, int64_t end)
{
    const struct llama *model = run->model;
    return first == end ? STATUS_OK
                        : model->kernels->fill_zero(model->context, run->gradients + first,
                                                    (size_t)(end - first) * sizeof *run->gradients);
}

/* What a pass that overwrites does not write: the padding behind every tensor, and the embedding's gradient, which is
 * added to token by token. A tied head has written that before. */
static enum status zero_the_rest(struct llama_run *run)
{
    enum status result = STATUS_OK;
    const struct parameter_layout *layout = &run->model->layout;
    int64_t end = 0;
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        if (view->alias)
            continue;
        TRY(zero_gradients(run, end, view->offset));
        end = view->offset + view->count;
        if (i == 0 && !run->model->config.tie_embeddings)
            TRY(zero_gradients(run, view->offset, end));
    }
    TRY(zero_gradients(run, end, layout->elements));
fail:
    return result;
}

static enum status bucket_done(const struct llama_bucket_hook *hook, int64_t bucket)
{
    return hook && hook->done ? hook->done(hook->argument, bucket) : STATUS_OK;
}

static enum status run_backward(struct llama_run *run, const struct llama_bucket_hook *hook)
{
    enum status result = STATUS_OK;
    struct llama *model = run->model;
    const struct llama_config *config = &model->config;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    void *grad_x = llama_buffer(workspace, &plan->grad_x, 0);
    TRY(norm_backward(run, &plan->x, config->layers, llama_buffer(workspace, &plan->final_rstd, 0),
                      run->offsets.final_norm, grad_x, NULL, grad_x));
    TRY(bucket_done(hook, config->layers + 1));
    for (int64_t layer = config->layers - 1; layer >= 0; layer--) {
        if (workspace->recomputation == RECOMPUTATION_BLOCK)
            TRY(llama_run_layer(run, layer, false));
        TRY(mlp_backward(run, layer));
        TRY(attention_block_backward(run, layer));
        TRY(bucket_done(hook, layer + 1));
    }
    TRY(model->kernels->embedding_backward(
        model->context, &(struct embedding_backward){.tokens = run->tokens,
                                                     .channels = config->hidden_size,
                                                     .rows = config->vocabulary_size,
                                                     .ids = run->ids,
                                                     .order = run->order,
                                                     .grad_output = grad_x,
                                                     .grad_table = run->gradients + run->offsets.embedding,
                                                     .type = model->dtype}));
    TRY(bucket_done(hook, 0));
fail:
    return result;
}

enum status llama_forward_backward(struct llama *model, struct llama_workspace *workspace,
                                   const struct llama_batch *batch, const struct llama_step *step)
{
    enum status result = STATUS_OK;
    struct llama_run run;
    if (!workspace->backward)
        FAIL(STATUS_INTERNAL, "gradients asked of a workspace that was made for forward alone");
    if (!batch->targets || !step->gradients)
        FAIL(STATUS_INTERNAL, "gradients of a batch without %s", step->gradients ? "targets" : "an arena for them");
    if (step->group_sums && !batch->groups)
        FAIL(STATUS_INTERNAL, "sums of losses of a batch without groups");
    TRY(llama_run_begin(model, workspace, batch, &run));
    run.backward = true;
    run.group_sums = step->group_sums;
    run.loss_scale = step->loss_scale;
    run.gradients = step->gradients;
    run.overwrite = step->overwrite;
    TRY(llama_run_layers(&run));
    TRY(llama_run_head(&run));
    if (step->overwrite)
        TRY(zero_the_rest(&run));
    TRY(run_backward(&run, step->hook));
fail:
    return result;
}
