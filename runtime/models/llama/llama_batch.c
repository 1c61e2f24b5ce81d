/* A batch on its way to the device: what is wrong with it, which follows from its ids and starts alone and is told before
 * anything is computed; the positions and the order of its tokens; and its copies into the workspace.
 *
 * The copies go through the copy queue into one of two sets of arrays, which passes take in turn: a pass waits for its own
 * arrays alone, and they arrive while the pass before it, or the update of the step before, is still computed. */
#include "models/llama/llama_internal.h"

#include <inttypes.h>

/* ---- what follows from ids and starts ---- */

/* Documents lie one after the other: each position starts a new one or belongs to the one before. */
static enum status check_starts(const struct llama_batch *batch, int64_t row, int32_t *positions,
                                int64_t maximum_positions)
{
    const int32_t *starts = batch->starts ? batch->starts + row * batch->length : NULL;
    for (int64_t t = 0; t < batch->length; t++) {
        int64_t start = starts ? starts[t] : 0;
        if (start != t && (start < 0 || start > t || (starts && start != starts[t - 1])))
            return status_set(STATUS_INTERNAL,
                              "row %" PRId64 ": position %" PRId64 " starts at %" PRId64
                              ", which is neither itself nor its predecessor's start",
                              row, t, start);
        if (t - start >= maximum_positions)
            return status_set(STATUS_USAGE,
                              "row %" PRId64 " holds a document of more than the model's %" PRId64 " positions", row,
                              maximum_positions);
        positions[row * batch->length + t] = (int32_t)(t - start);
    }
    return STATUS_OK;
}

static enum status check_tokens(const struct llama_config *config, const struct llama_batch *batch)
{
    int64_t tokens = batch->rows * batch->length, vocabulary = config->vocabulary_size;
    for (int64_t i = 0; i < tokens; i++) {
        if (batch->ids[i] < 0 || batch->ids[i] >= vocabulary)
            return status_set(STATUS_INTERNAL,
                              "token id %" PRId32 " at row %" PRId64 ", position %" PRId64
                              " is outside the model's %" PRId64 " rows",
                              batch->ids[i], i / batch->length, i % batch->length, vocabulary);
        if (batch->targets && (batch->targets[i] < -1 || batch->targets[i] >= vocabulary))
            return status_set(STATUS_INTERNAL,
                              "target %" PRId32 " at row %" PRId64 ", position %" PRId64
                              " is outside the model's %" PRId64 " rows",
                              batch->targets[i], i / batch->length, i % batch->length, vocabulary);
    }
    return STATUS_OK;
}

enum { DIGIT = 12, DIGIT_VALUES = 1 << DIGIT };
_Static_assert(LLAMA_MAXIMUM_VOCABULARY <= (1 << 2 * DIGIT), "two digits hold every id");

/* One pass of a radix sort: places the tokens listed in `from` (NULL: all, in order) by one digit of their ids. */
static void sort_by_digit(const int32_t *ids, int64_t tokens, int shift, const int32_t *from, int32_t *to)
{
    int32_t places[DIGIT_VALUES] = {0};
    for (int64_t i = 0; i < tokens; i++)
        places[ids[i] >> shift & (DIGIT_VALUES - 1)]++;
    for (int32_t digit = 0, before = 0; digit < DIGIT_VALUES; digit++) {
        int32_t count = places[digit];
        places[digit] = before;
        before += count;
    }
    for (int64_t i = 0; i < tokens; i++) {
        int32_t token = from ? from[i] : (int32_t)i;
        to[places[ids[token] >> shift & (DIGIT_VALUES - 1)]++] = token;
    }
}

enum status llama_batch_derive(const struct llama_config *config, const struct llama_batch *batch, int32_t *positions,
                               int32_t *order)
{
    int64_t tokens;
    if (batch->rows < 1 || batch->length < 1 || __builtin_mul_overflow(batch->rows, batch->length, &tokens) ||
        tokens > INT32_MAX)
        return status_set(STATUS_INTERNAL, "a batch of %" PRId64 " x %" PRId64 " tokens", batch->rows, batch->length);
    enum status result = check_tokens(config, batch);
    if (result == STATUS_OK && order) {
        sort_by_digit(batch->ids, tokens, 0, NULL, positions); /* its place is free until the positions are filled in */
        sort_by_digit(batch->ids, tokens, DIGIT, positions, order);
    }
    for (int64_t row = 0; row < batch->rows && result == STATUS_OK; row++)
        result = check_starts(batch, row, positions, config->maximum_positions);
    return result;
}

/* ---- to the device ---- */

static void *input_array(const struct llama_run *run, const struct llama_buffer *buffer)
{
    return llama_buffer(run->workspace, buffer, run->workspace->input);
}

/* Copies one number per token, if there is one. */
static enum status upload(struct llama_run *run, const struct llama_buffer *buffer, const void *host, size_t size)
{
    const struct compute *compute = &run->network.compute;
    if (!host)
        return STATUS_OK;
    return compute->kernels->copy_to_device(compute->context, QUEUE_COPY, input_array(run, buffer), host,
                                            (size_t)run->tokens * size);
}

static const void *uploaded(const struct llama_run *run, const struct llama_buffer *buffer, const void *host)
{
    return host ? input_array(run, buffer) : NULL;
}

/* What the caller did not derive goes through the workspace's own memory, once the copies before have left it. */
static enum status derive(struct llama_run *run, struct llama_batch *batch)
{
    enum status result = STATUS_OK;
    const struct compute *compute = &run->network.compute;
    struct llama_workspace *workspace = run->workspace;
    if (workspace->in_flight)
        TRY(compute->kernels->event_wait(compute->context, workspace->staged));
    workspace->in_flight = true;
    TRY(llama_batch_derive(run->network.config, batch, workspace->positions, workspace->order));
    batch->positions = workspace->positions;
    batch->order = workspace->order;
fail:
    return result;
}

static enum status copy_arrays(struct llama_run *run, const struct llama_batch *batch)
{
    enum status result = STATUS_OK;
    const struct llama_activations *plan = &run->workspace->activations;
    const int32_t *order = run->workspace->backward ? batch->order : NULL;
    run->ids = uploaded(run, &plan->ids, batch->ids);
    run->targets = uploaded(run, &plan->targets, batch->targets);
    run->starts = uploaded(run, &plan->starts, batch->starts);
    run->groups = uploaded(run, &plan->groups, batch->groups);
    run->positions = uploaded(run, &plan->positions, batch->positions);
    run->order = uploaded(run, &plan->order, order);
    TRY(upload(run, &plan->ids, batch->ids, sizeof *batch->ids));
    TRY(upload(run, &plan->targets, batch->targets, sizeof *batch->targets));
    TRY(upload(run, &plan->starts, batch->starts, sizeof *batch->starts));
    TRY(upload(run, &plan->groups, batch->groups, sizeof *batch->groups));
    TRY(upload(run, &plan->positions, batch->positions, sizeof *batch->positions));
    TRY(upload(run, &plan->order, order, sizeof *order));
fail:
    return result;
}

/* The pass before this one read the other arrays, and all passes up to now come before the mark for those; the mark for
 * this pass's arrays was made when that pass began. */
static enum status upload_all(struct llama_run *run, const struct llama_batch *batch)
{
    enum status result = STATUS_OK;
    const struct compute *compute = &run->network.compute;
    const struct kernels *kernels = compute->kernels;
    struct llama_workspace *workspace = run->workspace;
    int own = workspace->input, other = 1 - own;
    TRY(kernels->event_record(compute->context, QUEUE_COMPUTE, workspace->passed[other]));
    TRY(kernels->queue_wait(compute->context, QUEUE_COPY, workspace->passed[own]));
    TRY(copy_arrays(run, batch));
    TRY(kernels->event_record(compute->context, QUEUE_COPY, workspace->filled[own]));
    TRY(kernels->queue_wait(compute->context, QUEUE_COMPUTE, workspace->filled[own]));
    workspace->input = other;
fail:
    return result;
}

enum status llama_run_begin(struct llama *model, struct llama_workspace *workspace, const struct llama_batch *given,
                            struct llama_run *run)
{
    enum status result = STATUS_OK;
    struct llama_batch batch = *given;
    *run = (struct llama_run){
        .network = llama_network_of(model), .workspace = workspace, .rows = batch.rows, .length = batch.length};
    if (workspace->model != model)
        FAIL(STATUS_INTERNAL, "the workspace belongs to another model");
    if (batch.rows < 1 || batch.length < 1 || __builtin_mul_overflow(batch.rows, batch.length, &run->tokens) ||
        run->tokens > workspace->tokens)
        FAIL(STATUS_INTERNAL, "batch of %" PRId64 " x %" PRId64 " tokens in a workspace for %" PRId64, batch.rows,
             batch.length, workspace->tokens);
    if (batch.length > model->rope_positions && model->config.maximum_positions > model->rope_positions)
        FAIL(STATUS_INTERNAL, "rows of %" PRId64 " tokens in a workspace that was made for shorter ones", batch.length);
    bool derived = batch.positions && (batch.order || !workspace->backward);
    if (!derived)
        TRY(derive(run, &batch));
    TRY(upload_all(run, &batch));
    if (!derived)
        TRY(model->kernels->event_record(model->context, QUEUE_COPY, workspace->staged));
    return STATUS_OK;
fail:
    if (workspace->in_flight)
        (void)model->kernels->synchronize(model->context); /* nothing else marks the end of copies that were begun */
    workspace->in_flight = false;
    return result;
}
