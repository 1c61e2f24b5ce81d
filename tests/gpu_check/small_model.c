/* Training a small model on one rank, as `train` does it but without files: batches are drawn here, and what a checkpoint
 * would hold stays in memory. */
#include "gpu_check/small_model.h"

#include "core/rng.h"

#include <stdlib.h>
#include <string.h>

/* ---- batches ---- */

/* A document goes from a random token on by a rule that a model can learn, with a random token now and then. */
static void draw_document(struct rng *rng, const struct small_run *run, int64_t begin, int64_t end, int64_t row_begin)
{
    int64_t size = run->settings.config.vocabulary_size;
    int32_t token = (int32_t)rng_below(rng, (uint64_t)size);
    for (int64_t i = begin; i < end; i++) {
        run->ids[i] = token;
        run->starts[i] = (int32_t)(begin - row_begin);
        run->groups[i] = (uint8_t)(i % 3);
        token = (int32_t)(rng_below(rng, 10) == 0 ? (int64_t)rng_below(rng, (uint64_t)size) : (token * 5 + 7) % size);
        run->targets[i] = i + 1 < end ? token : -1;
    }
}

/* Returns how many positions count. */
static int64_t draw_batch(struct small_run *run)
{
    const struct small_settings *s = &run->settings;
    struct rng rng = rng_make(s->seed, RNG_TEST, (uint64_t)run->step, 1);
    int64_t counted = 0;
    for (int64_t row = 0; row < s->rows; row++) {
        int64_t row_begin = row * s->length, row_end = row_begin + s->length;
        for (int64_t begin = row_begin, end; begin < row_end; begin = end) {
            end = begin + 2 + (int64_t)rng_below(&rng, (uint64_t)s->length);
            end = end < row_end ? end : row_end;
            draw_document(&rng, run, begin, end, row_begin);
        }
    }
    for (int64_t i = 0; i < s->rows * s->length; i++)
        counted += run->targets[i] >= 0;
    return counted;
}

/* ---- the run ---- */

static enum status allocate_batch(struct small_run *run)
{
    enum status result = STATUS_OK;
    size_t tokens = (size_t)(run->settings.rows * run->settings.length);
    run->ids = malloc(tokens * sizeof *run->ids);
    run->targets = malloc(tokens * sizeof *run->targets);
    run->starts = malloc(tokens * sizeof *run->starts);
    run->groups = malloc(tokens);
    if (!(run->ids && run->targets && run->starts && run->groups))
        FAIL(STATUS_INTERNAL, "no memory for a batch");
    TRY(run->kernels->allocate(&run->context, LLAMA_LOSS_GROUPS * sizeof(double), (void **)&run->group_sums));
fail:
    return result;
}

enum status small_run_open(const struct kernels *kernels, const struct small_settings *settings, struct small_run *run)
{
    enum status result = STATUS_OK;
    const struct optimizer_settings adamw = {
        .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 1.0};
    const struct llama_workspace_options options = {
        .rows = settings->rows, .length = settings->length, .recomputation = settings->recomputation, .backward = true};
    *run = (struct small_run){.settings = *settings, .kernels = kernels};
    TRY(thread_pool_create(0, &run->pool));
    TRY(device_context_create(kernels, run->pool, 0, &run->context));
    TRY(comm_create_single(&run->comm));
    TRY(device_comm_create_single(&run->device_comm));
    TRY(llama_create(&settings->config, settings->dtype, kernels, &run->context, &run->model));
    TRY(optimizer_create(run->model, run->comm, run->device_comm, &adamw, &run->optimizer));
    struct weight_sink masters = optimizer_master_sink(run->optimizer);
    TRY(llama_initialize(run->model, settings->seed, 0.02, &masters));
    TRY(llama_workspace_create(run->model, &options, &run->workspace));
    TRY(allocate_batch(run));
    TRY(kernels->synchronize(&run->context));
    return STATUS_OK;
fail:
    small_run_close(run);
    return result;
}

void small_run_close(struct small_run *run)
{
    if (run->group_sums)
        run->kernels->release(&run->context, run->group_sums);
    free(run->ids);
    free(run->targets);
    free(run->starts);
    free(run->groups);
    if (run->workspace)
        llama_workspace_destroy(run->workspace);
    if (run->optimizer)
        optimizer_destroy(run->optimizer);
    if (run->model)
        llama_destroy(run->model);
    device_comm_destroy(run->device_comm);
    if (run->comm)
        comm_destroy(run->comm);
    if (run->context.libraries)
        device_context_destroy(run->kernels, &run->context);
    thread_pool_destroy(run->pool);
    *run = (struct small_run){0};
}

enum status small_run_step(struct small_run *run, double *loss, double *norm)
{
    enum status result = STATUS_OK;
    const struct small_settings *s = &run->settings;
    double sums[LLAMA_LOSS_GROUPS];
    int64_t counted = draw_batch(run);
    const struct llama_batch batch = {.rows = s->rows,
                                      .length = s->length,
                                      .ids = run->ids,
                                      .targets = run->targets,
                                      .starts = run->starts,
                                      .groups = run->groups};
    const struct llama_bucket_hook hook = optimizer_hook(run->optimizer);
    const struct llama_step step = {.loss_scale = 1.0f / (float)counted,
                                    .gradients = run->optimizer->gradients,
                                    .overwrite = true,
                                    .group_sums = run->group_sums,
                                    .hook = &hook};
    TRY(optimizer_finish_update(run->optimizer));
    TRY(run->kernels->fill_zero(&run->context, run->group_sums, sizeof sums));
    TRY(llama_forward_backward(run->model, run->workspace, &batch, &step));
    TRY(optimizer_measure(run->optimizer));
    TRY(run->kernels->copy_to_host(&run->context, QUEUE_COMPUTE, sums, run->group_sums, sizeof sums));
    TRY(run->kernels->synchronize(&run->context));
    TRY(optimizer_update(run->optimizer, 3e-3, ++run->step));
    *loss = 0;
    for (int i = 0; i < LLAMA_LOSS_GROUPS; i++)
        *loss += sums[i] / (double)counted;
    *norm = optimizer_gradient_norm(run->optimizer);
fail:
    return result;
}

/* ---- states ---- */

/* In f32 the weights are their own masters. */
static int state_count(const struct small_run *run)
{
    return run->settings.dtype == DTYPE_BF16 ? OPTIMIZER_STATES : 2;
}

enum status small_state_save(struct small_run *run, struct small_state *state)
{
    enum status result = STATUS_OK;
    int64_t elements = run->model->layout.elements;
    *state =
        (struct small_state){.step = run->step, .weight_bytes = (size_t)elements * dtype_size(run->settings.dtype)};
    state->weights = malloc(state->weight_bytes);
    if (!state->weights)
        FAIL(STATUS_INTERNAL, "no memory for a state");
    TRY(optimizer_finish_update(run->optimizer));
    TRY(run->kernels->copy_to_host(&run->context, QUEUE_COMPUTE, state->weights, run->model->weights,
                                   state->weight_bytes));
    TRY(run->kernels->synchronize(&run->context));
    for (int which = 0; which < state_count(run); which++) {
        state->states[which] = calloc((size_t)elements, sizeof(float));
        if (!state->states[which])
            FAIL(STATUS_INTERNAL, "no memory for a state");
        TRY(optimizer_get(run->optimizer, which, 0, elements, state->states[which]));
    }
fail:
    return result;
}

enum status small_state_load(struct small_run *run, const struct small_state *state)
{
    enum status result = STATUS_OK;
    TRY(run->kernels->copy_to_device(&run->context, QUEUE_COMPUTE, run->model->weights, state->weights,
                                     state->weight_bytes));
    for (int which = 0; which < state_count(run); which++)
        TRY(optimizer_put(run->optimizer, which, 0, state->states[which], run->model->layout.elements));
    TRY(run->kernels->synchronize(&run->context));
    run->step = state->step;
fail:
    return result;
}

bool small_state_same(const struct small_state *a, const struct small_state *b, int64_t elements)
{
    if (a->step != b->step || a->weight_bytes != b->weight_bytes ||
        memcmp(a->weights, b->weights, a->weight_bytes) != 0)
        return false;
    for (int which = 0; which < OPTIMIZER_STATES; which++)
        if (!a->states[which] != !b->states[which] ||
            (a->states[which] && memcmp(a->states[which], b->states[which], (size_t)elements * sizeof(float)) != 0))
            return false;
    return true;
}

void small_state_free(struct small_state *state)
{
    free(state->weights);
    for (int which = 0; which < OPTIMIZER_STATES; which++)
        free(state->states[which]);
    *state = (struct small_state){0};
}
