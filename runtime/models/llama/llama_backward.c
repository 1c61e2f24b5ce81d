/* The way back, layer by layer, without a graph: grad_x holds the gradient of what left a layer and becomes that of what
 * entered it. Gradients of weights land in the arena of the parameters' layout, so a bucket of the arena (a layer) is
 * complete as soon as its layer is. */
#include "models/llama/llama_internal.h"

/* The gradient of the weights at `offset` of the arena. */
static float *gradient_at(const struct llama_run *run, int64_t offset)
{
    return element_at(run->gradients, DTYPE_F32, offset);
}

/* x -> norm: grad_residual, unless it is NULL, reaches x by its other use. */
struct norm_gradient {
    const struct llama_buffer *x, *rstd;
    int64_t copy;   /* of x and rstd: which layer's */
    int64_t weight; /* where it lies in the arena */
    const void *grad_output, *grad_residual;
};

static enum status norm_backward(struct llama_run *run, const struct norm_gradient *norm)
{
    const struct llama_network *network = &run->network;
    const struct llama_workspace *workspace = run->workspace;
    return compute_run(
        &network->compute, rmsnorm_backward,
        &(struct rmsnorm_backward){.rows = run->tokens,
                                   .channels = network->config->hidden_size,
                                   .sum = llama_buffer(workspace, norm->x, norm->copy),
                                   .weight = llama_weight(network, norm->weight),
                                   .grad_output = norm->grad_output,
                                   .grad_residual = norm->grad_residual,
                                   .rstd = llama_buffer(workspace, norm->rstd, norm->copy),
                                   .grad_sum = llama_buffer(workspace, &workspace->activations.grad_x, 0),
                                   .grad_weight = gradient_at(run, norm->weight),
                                   .overwrite = run->overwrite,
                                   .type = network->compute.dtype});
}

static enum status matrix_backward(struct llama_run *run, const void *x, int64_t in, int64_t weight, int64_t out,
                                   const void *grad_output, void *grad_x)
{
    return linear_backward(&run->network.compute,
                           &(struct linear_gradient){.rows = run->tokens,
                                                     .in = in,
                                                     .out = out,
                                                     .x = x,
                                                     .weight = llama_weight(&run->network, weight),
                                                     .grad_output = grad_output,
                                                     .grad_x = grad_x,
                                                     .grad_weight = gradient_at(run, weight),
                                                     .overwrite = run->overwrite});
}

static enum status swiglu_backward(struct llama_run *run, void *gate_up, const void *grad_activated)
{
    return compute_run(&run->network.compute, swiglu_backward,
                       &(struct swiglu_backward){.rows = run->tokens,
                                                 .channels = run->network.config->intermediate_size,
                                                 .gate_up = gate_up,
                                                 .grad_output = grad_activated,
                                                 .grad_gate_up = gate_up,
                                                 .type = run->network.compute.dtype});
}

/* x -> norm -> gate|up -> swiglu -> down, + x */
static enum status mlp_backward(struct llama_run *run, int64_t layer)
{
    enum status result = STATUS_OK;
    const struct llama_network *network = &run->network;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    bool light = workspace->recomputation == RECOMPUTATION_LIGHT;
    int64_t hidden = network->config->hidden_size, inner = network->config->intermediate_size;
    int64_t start = llama_layer_start(network, layer), weight = start + network->offsets.mlp_norm;
    void *gate_up = llama_buffer(workspace, &plan->gate_up, layer);
    void *activated = llama_buffer(workspace, &plan->activated, layer);
    void *input = llama_buffer(workspace, &plan->mlp_input, layer);
    void *grad_x = llama_buffer(workspace, &plan->grad_x, 0);
    void *grad_input = llama_buffer(workspace, &plan->grad_input, 0);
    void *grad_activated = llama_buffer(workspace, &plan->grad_wide, 0);
    if (light)
        TRY(llama_swiglu(network, run->tokens, gate_up, activated));
    TRY(matrix_backward(run, activated, inner, start + network->offsets.down, hidden, grad_x, grad_activated));
    TRY(swiglu_backward(run, gate_up, grad_activated));
    if (light)
        TRY(llama_norm(network, run->tokens, llama_buffer(workspace, &plan->middle, layer), weight, input, NULL));
    TRY(matrix_backward(run, input, hidden, start + network->offsets.gate_up, 2 * inner, gate_up, grad_input));
    TRY(norm_backward(run, &(struct norm_gradient){.x = &plan->middle,
                                                   .copy = layer,
                                                   .rstd = &plan->mlp_rstd,
                                                   .weight = weight,
                                                   .grad_output = grad_input,
                                                   .grad_residual = grad_x}));
fail:
    return result;
}

/* Gradients of q|k|v before their rotation, into `grad_qkv`. */
static enum status heads_backward(struct llama_run *run, int64_t layer, const void *grad_attention, void *grad_qkv)
{
    enum status result = STATUS_OK;
    const struct llama_network *network = &run->network;
    enum dtype dtype = network->compute.dtype;
    int64_t queries = llama_query_width(network->config), keys = llama_key_width(network->config);
    const struct attention_backward attention = {.forward = llama_run_attention(run, layer),
                                                 .grad_output = grad_attention,
                                                 .grad_query = grad_qkv,
                                                 .grad_key = element_at(grad_qkv, dtype, queries),
                                                 .grad_value = element_at(grad_qkv, dtype, queries + keys)};
    TRY(compute_run(&network->compute, attention_backward, &attention));
    TRY(llama_run_rope(run, grad_qkv, -1));
fail:
    return result;
}

/* x -> norm -> q|k|v -> rope -> attention -> o, + x */
static enum status attention_block_backward(struct llama_run *run, int64_t layer)
{
    enum status result = STATUS_OK;
    const struct llama_network *network = &run->network;
    const struct llama_workspace *workspace = run->workspace;
    const struct llama_activations *plan = &workspace->activations;
    int64_t hidden = network->config->hidden_size, width = llama_qkv_width(network->config);
    int64_t start = llama_layer_start(network, layer), weight = start + network->offsets.input_norm;
    void *input = llama_buffer(workspace, &plan->attention_input, layer);
    void *grad_x = llama_buffer(workspace, &plan->grad_x, 0);
    void *grad_input = llama_buffer(workspace, &plan->grad_input, 0);
    void *grad_qkv = llama_buffer(workspace, &plan->grad_wide, 0);
    void *grad_attention = element_at(grad_qkv, network->compute.dtype, run->tokens * width);
    TRY(matrix_backward(run, llama_buffer(workspace, &plan->attention, layer), llama_query_width(network->config),
                        start + network->offsets.attention_output, hidden, grad_x, grad_attention));
    TRY(heads_backward(run, layer, grad_attention, grad_qkv));
    if (workspace->recomputation == RECOMPUTATION_LIGHT)
        TRY(llama_norm(network, run->tokens, llama_buffer(workspace, &plan->x, layer), weight, input, NULL));
    TRY(matrix_backward(run, input, hidden, start + network->offsets.qkv, width, grad_qkv, grad_input));
    TRY(norm_backward(run, &(struct norm_gradient){.x = &plan->x,
                                                   .copy = layer,
                                                   .rstd = &plan->attention_rstd,
                                                   .weight = weight,
                                                   .grad_output = grad_input,
                                                   .grad_residual = grad_x}));
fail:
    return result;
}

static enum status embedding_backward(struct llama_run *run)
{
    const struct llama_config *config = run->network.config;
    return compute_run(&run->network.compute, embedding_backward,
                       &(struct embedding_backward){
                           .tokens = run->tokens,
                           .channels = config->hidden_size,
                           .rows = config->vocabulary_size,
                           .ids = run->ids,
                           .order = run->order,
                           .grad_output = llama_buffer(run->workspace, &run->workspace->activations.grad_x, 0),
                           .grad_table = gradient_at(run, run->network.offsets.embedding),
                           .type = run->network.compute.dtype});
}

static enum status bucket_done(const struct llama_bucket_hook *hook, int64_t bucket)
{
    return hook && hook->done ? hook->done(hook->argument, bucket) : STATUS_OK;
}

enum status llama_run_backward(struct llama_run *run, const struct llama_bucket_hook *hook)
{
    enum status result = STATUS_OK;
    const struct llama_activations *plan = &run->workspace->activations;
    int64_t layers = run->network.config->layers;
    TRY(norm_backward(run, &(struct norm_gradient){.x = &plan->x,
                                                   .copy = layers,
                                                   .rstd = &plan->final_rstd,
                                                   .weight = run->network.offsets.final_norm,
                                                   .grad_output = llama_buffer(run->workspace, &plan->grad_x, 0)}));
    TRY(bucket_done(hook, layers + 1));
    for (int64_t layer = layers - 1; layer >= 0; layer--) {
        if (run->workspace->recomputation == RECOMPUTATION_BLOCK)
            TRY(llama_run_layer(run, layer, false));
        TRY(mlp_backward(run, layer));
        TRY(attention_block_backward(run, layer));
        TRY(bucket_done(hook, layer + 1));
    }
    TRY(embedding_backward(run));
    TRY(bucket_done(hook, 0));
fail:
    return result;
}

static enum status zero_gradients(struct llama_run *run, int64_t first, int64_t end)
{
    const struct compute *compute = &run->network.compute;
    return first == end ? STATUS_OK
                        : compute->kernels->fill_zero(compute->context, gradient_at(run, first),
                                                      (size_t)(end - first) * sizeof *run->gradients);
}

/* What a pass that overwrites does not write: the padding behind every tensor, and the embedding's gradient, which is
 * added to token by token. A tied head has written that before. */
static enum status zero_the_rest(struct llama_run *run, const struct parameter_layout *layout)
{
    enum status result = STATUS_OK;
    int64_t end = 0;
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        if (view->alias)
            continue;
        TRY(zero_gradients(run, end, view->offset));
        end = view->offset + view->count;
        if (i == 0 && !run->network.config->tie_embeddings)
            TRY(zero_gradients(run, view->offset, end));
    }
    TRY(zero_gradients(run, end, layout->elements));
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
    if (model->binding)
        FAIL(STATUS_INTERNAL, "a model that was opened for inference is trained");
    if (step->group_sums && !batch->groups)
        FAIL(STATUS_INTERNAL, "sums of losses of a batch without groups");
    TRY(llama_run_begin(model, workspace, batch, &run));
    run.backward = true;
    run.group_sums = step->group_sums;
    run.loss_scale = step->loss_scale;
    run.gradients = step->gradients;
    run.overwrite = step->overwrite;
    TRY(llama_run_forward(&run));
    if (step->overwrite)
        TRY(zero_the_rest(&run, &model->layout));
    TRY(llama_run_backward(&run, step->hook));
fail:
    return result;
}
