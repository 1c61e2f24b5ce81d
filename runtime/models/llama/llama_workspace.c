/* Which activations are kept, from shapes alone.
 *
 *                      none   light   block   forward alone
 *   x                  L+1    L+1     L+1     1 (in place)
 *   qkv, attention     L      L       1       1
 *   middle, gate|up    L      L       1       1
 *   norms, activated   L      1       1       1
 * "light" makes the norms and the SwiGLU again in backward, "block" the whole layer but for its last product. */
#include "models/llama/llama_internal.h"

#include <inttypes.h>
#include <stdlib.h>

struct planner {
    struct memory_plan *plan;
    int64_t tokens;
    enum status result;
};

/* `copies` of [tokens][width] elements of `size` bytes. */
static struct llama_buffer plan_buffer(struct planner *planner, const char *name, int64_t rows, int64_t width,
                                       size_t size, int64_t copies)
{
    struct llama_buffer buffer = {0};
    int64_t one, all;
    if (planner->result != STATUS_OK)
        return buffer;
    if (__builtin_mul_overflow(rows, width, &one) || __builtin_mul_overflow(one, (int64_t)size, &one) ||
        one > INT64_MAX - MEMORY_ALIGNMENT || __builtin_mul_overflow(memory_align(one), copies, &all))
        all = -1;
    else
        buffer.offset = memory_plan_add(planner->plan, all, copies > 1 ? "%s x %" PRId64 : "%s", name, copies);
    if (all < 0 || buffer.offset < 0)
        planner->result =
            status_set(STATUS_USAGE, "activations: the size of \"%s\" for %" PRId64 " tokens cannot be planned", name,
                       planner->tokens);
    buffer.stride = copies > 1 ? memory_align(one) : 0;
    return buffer;
}

static int64_t head_chunk(const struct kernels *kernels, const struct llama_config *config,
                          const struct llama_workspace_options *options)
{
    int64_t tokens = options->rows * options->length, rows = options->head_rows;
    if (rows <= 0)
        return llama_head_rows(kernels, config, tokens);
    return rows < tokens ? rows : tokens;
}

static void plan_layers(struct planner *planner, const struct llama_config *config, size_t size,
                        const struct llama_workspace_options *options, struct llama_activations *plan)
{
    enum recomputation recomputation = options->recomputation;
    bool backward = options->backward;
    int64_t tokens = planner->tokens, hidden = config->hidden_size, layers = config->layers;
    int64_t cheap = backward && recomputation == RECOMPUTATION_NONE ? layers : 1;
    int64_t dear = backward && recomputation != RECOMPUTATION_BLOCK ? layers : 1;
    plan->x = plan_buffer(planner, "layer inputs", tokens, hidden, size, backward ? layers + 1 : 1);
    plan->attention_input = plan_buffer(planner, "first norm", tokens, hidden, size, cheap);
    plan->qkv = plan_buffer(planner, "q|k|v", tokens, llama_qkv_width(config), size, dear);
    plan->attention = plan_buffer(planner, "attention", tokens, llama_query_width(config), size, dear);
    plan->middle = plan_buffer(planner, "middle", tokens, hidden, size, dear);
    /* Light makes each norm just before its use, so one buffer serves both. */
    plan->mlp_input = recomputation == RECOMPUTATION_LIGHT || !backward
                          ? plan->attention_input
                          : plan_buffer(planner, "second norm", tokens, hidden, size, cheap);
    plan->gate_up = plan_buffer(planner, "gate|up", tokens, 2 * config->intermediate_size, size, dear);
    plan->activated = plan_buffer(planner, "activated", tokens, config->intermediate_size, size, cheap);
    if (backward) {
        plan->attention_rstd = plan_buffer(planner, "first norm's rstd", tokens, 1, sizeof(float), dear);
        plan->mlp_rstd = plan_buffer(planner, "second norm's rstd", tokens, 1, sizeof(float), dear);
        plan->log_sum_exp = plan_buffer(planner, "log-sum-exp", tokens, config->heads, sizeof(float), dear);
    }
}

static enum status plan_activations(const struct kernels *kernels, const struct llama_config *config, enum dtype dtype,
                                    const struct llama_workspace_options *options, struct memory_plan *memory,
                                    struct llama_activations *plan)
{
    *plan = (struct llama_activations){0};
    enum status result = llama_config_check(config);
    if (result != STATUS_OK)
        return result;
    int64_t tokens;
    if (options->rows < 1 || options->length < 1 || __builtin_mul_overflow(options->rows, options->length, &tokens) ||
        tokens > INT32_MAX)
        return status_set(STATUS_USAGE, "activations: a batch of %" PRId64 " x %" PRId64 " tokens", options->rows,
                          options->length);
    struct planner planner = {.plan = memory, .tokens = tokens, .result = STATUS_OK};
    size_t size = dtype_size(dtype);
    int64_t hidden = config->hidden_size, vocabulary = config->vocabulary_size;
    plan_layers(&planner, config, size, options, plan);
    plan->final = plan_buffer(&planner, "final norm", tokens, hidden, size, 1);
    plan->chunk = head_chunk(kernels, config, options);
    plan->logits = plan_buffer(&planner, "logits of a chunk", plan->chunk, vocabulary, sizeof(float), 1);
    if (options->backward) {
        plan->final_rstd = plan_buffer(&planner, "final norm's rstd", tokens, 1, sizeof(float), 1);
        plan->grad_logits = plan->logits;
        if (dtype != DTYPE_F32)
            plan->grad_logits = plan_buffer(&planner, "gradient of a chunk", plan->chunk, vocabulary, size, 1);
        plan->grad_x = plan_buffer(&planner, "gradient of x", tokens, hidden, size, 1);
        plan->grad_input = plan_buffer(&planner, "gradient of a norm", tokens, hidden, size, 1);
        int64_t attention = llama_qkv_width(config) + llama_query_width(config);
        int64_t wide = attention > config->intermediate_size ? attention : config->intermediate_size;
        plan->grad_wide = plan_buffer(&planner, "gradient inside", tokens, wide, size, 1);
    } else {
        plan->block_sums =
            plan_buffer(&planner, "block sums of a chunk", plan->chunk, LOG_SUM_EXP_BLOCKS, sizeof(double), 1);
        plan->target_logits = plan_buffer(&planner, "targets of a chunk", plan->chunk, 1, sizeof(float), 1);
    }
    struct llama_buffer *integers[] = {&plan->ids, &plan->targets, &plan->starts, &plan->positions, &plan->order};
    static const char *const names[] = {"ids", "targets", "starts", "positions", "order"};
    for (int i = 0; i < (options->backward ? 5 : 4); i++)
        *integers[i] = plan_buffer(&planner, names[i], tokens, 1, sizeof(int32_t), LLAMA_INPUTS);
    plan->groups = plan_buffer(&planner, "groups", tokens, 1, sizeof(uint8_t), LLAMA_INPUTS);
    plan->losses = plan_buffer(&planner, "losses", tokens, 1, sizeof(float), 1);
    return planner.result;
}

enum status llama_plan_workspace(const struct kernels *kernels, const struct llama_config *config, enum dtype dtype,
                                 const struct llama_workspace_options *options, struct memory_plan *plan)
{
    struct llama_activations activations;
    return plan_activations(kernels, config, dtype, options, plan, &activations);
}

/* The passes of a batch of `rows` rows, computed nowhere. */
static enum status measure_passes(struct llama_run *run, int64_t rows)
{
    enum status result = STATUS_OK;
    run->rows = rows;
    run->tokens = rows * run->length;
    run->backward = false;
    TRY(llama_run_forward(run));
    if (run->workspace->backward) {
        run->backward = true;
        TRY(llama_run_forward(run));
        TRY(llama_run_backward(run, NULL));
    }
fail:
    return result;
}

enum status llama_plan_scratch(const struct kernels *kernels, const struct llama_config *config, enum dtype dtype,
                               const struct llama_workspace_options *options, size_t *bytes)
{
    enum status result = STATUS_OK;
    struct memory_plan plan = {.name = "activations"};
    struct llama_workspace workspace = {
        .recomputation = options->recomputation, .backward = options->backward, .memory = COMPUTE_NOWHERE};
    struct llama_config one_layer = *config; /* all layers need the same */
    one_layer.layers = 1;
    *bytes = 0;
    TRY(plan_activations(kernels, config, dtype, options, &plan, &workspace.activations));
    struct llama_run run = {.network = llama_network_measuring(kernels, &one_layer, dtype, bytes),
                            .workspace = &workspace,
                            .length = options->length,
                            .ids = COMPUTE_NOWHERE,
                            .targets = COMPUTE_NOWHERE,
                            .positions = COMPUTE_NOWHERE,
                            .order = COMPUTE_NOWHERE,
                            .starts = COMPUTE_NOWHERE,
                            .groups = COMPUTE_NOWHERE,
                            .group_sums = COMPUTE_NOWHERE,
                            .gradients = COMPUTE_NOWHERE};
    for (int64_t rows = 1; rows <= options->rows; rows++)
        TRY(measure_passes(&run, rows));
fail:
    memory_plan_free(&plan);
    return result;
}

/* Pinned memory for positions and order of a batch that comes without, and the events of its way to the device. */
static enum status make_staging(struct llama_workspace *workspace)
{
    enum status result = STATUS_OK;
    const struct llama *model = workspace->model;
    size_t bytes = (size_t)workspace->tokens * sizeof(int32_t);
    void *memory;
    TRY(model->kernels->allocate_host(model->context, bytes, &memory));
    workspace->positions = memory;
    if (workspace->backward) {
        TRY(model->kernels->allocate_host(model->context, bytes, &memory));
        workspace->order = memory;
    }
    TRY(model->kernels->event_create(model->context, &workspace->staged));
    for (int i = 0; i < LLAMA_INPUTS; i++) {
        TRY(model->kernels->event_create(model->context, &workspace->filled[i]));
        TRY(model->kernels->event_create(model->context, &workspace->passed[i]));
    }
fail:
    return result;
}

enum status llama_workspace_create(struct llama *model, const struct llama_workspace_options *options,
                                   struct llama_workspace **out)
{
    *out = NULL;
    enum status result = STATUS_OK;
    struct memory_plan plan = {.name = "activations"};
    struct llama_workspace *workspace = calloc(1, sizeof *workspace);
    if (!workspace)
        return status_set(STATUS_INTERNAL, "no memory for a workspace");
    workspace->model = model;
    workspace->recomputation = options->recomputation;
    workspace->backward = options->backward;
    TRY(plan_activations(model->kernels, &model->config, model->dtype, options, &plan, &workspace->activations));
    TRY(llama_need_positions(model, options->length));
    workspace->tokens = options->rows * options->length;
    size_t scratch;
    TRY(llama_plan_scratch(model->kernels, &model->config, model->dtype, options, &scratch));
    TRY(device_context_reserve(model->kernels, model->context, scratch));
    TRY(make_staging(workspace));
    void *memory;
    TRY(model->kernels->allocate(model->context, (size_t)plan.total, &memory));
    workspace->memory = memory;
    *out = workspace;
    workspace = NULL;
fail:
    memory_plan_free(&plan);
    llama_workspace_destroy(workspace);
    return result;
}

void llama_workspace_destroy(struct llama_workspace *workspace)
{
    if (!workspace)
        return;
    const struct llama *model = workspace->model;
    if (workspace->in_flight)
        (void)model->kernels->event_wait(model->context, workspace->staged);
    model->kernels->release(model->context, workspace->memory);
    model->kernels->release_host(model->context, workspace->positions);
    model->kernels->release_host(model->context, workspace->order);
    model->kernels->event_destroy(model->context, workspace->staged);
    for (int i = 0; i < LLAMA_INPUTS; i++) {
        model->kernels->event_destroy(model->context, workspace->filled[i]);
        model->kernels->event_destroy(model->context, workspace->passed[i]);
    }
    free(workspace);
}
