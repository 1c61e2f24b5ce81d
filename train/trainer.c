/* A step of training, as one line of mathematics per call: rows, forward and backward, sums over ranks, judgement, update.
 *
 * All of it is put into the device's queue without waiting, up to the figures that the judge needs; then the host waits
 * once. What it does besides is hidden: rows are drawn by a thread during the step before (feed.h), gradients are summed
 * over the ranks while backward goes on, and new weights are gathered while the host logs (optimizer.h). Losses are added
 * by kind of token on the device, in double and in order of the tokens, so that their bits do not depend on how a batch is
 * cut into passes. */
#include "train/trainer_parts.h"

#include "data/datasets.h"
#include "train/held_out.h"
#include "train/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct token_losses) == 2 * TOKEN_KINDS * sizeof(double), "sums and counts travel together");

double token_losses_mean(const struct token_losses *losses)
{
    double sum = 0, count = 0;
    for (int k = 0; k < TOKEN_KINDS; k++) {
        sum += losses->sum[k];
        count += losses->count[k];
    }
    return sum / count;
}

enum status trainer_model_config(const struct data_settings *data, const struct model_settings *settings,
                                 int32_t vocabulary_rows, struct llama_config *config)
{
    enum status result = STATUS_OK;
    if (*settings->initialize_from) {
        TRY(llama_read_config(settings->initialize_from, config));
        config->tie_embeddings = config->tie_embeddings && !settings->untie;
    } else {
        *config = (struct llama_config){
            .hidden_size = settings->hidden_size,
            .intermediate_size = settings->intermediate_size,
            .layers = settings->layers,
            .heads = settings->heads,
            .kv_heads = settings->kv_heads ? settings->kv_heads : settings->heads,
            .head_size = settings->head_size ? settings->head_size : settings->hidden_size / settings->heads,
            .rms_norm_epsilon = settings->rms_norm_epsilon,
            .tie_embeddings = settings->tie_embeddings,
        };
    }
    config->rope_theta = settings->rope_theta;
    config->vocabulary_size = vocabulary_rows;
    if (config->maximum_positions < data->sequence_length)
        config->maximum_positions = data->sequence_length;
    TRY(llama_config_check(config));
fail:
    return result;
}

struct llama_workspace_options trainer_workspace_options(const struct data_settings *data,
                                                         const struct train_settings *train, int64_t own_lanes)
{
    bool cut = train->micro_batch > 0 && train->micro_batch < own_lanes;
    return (struct llama_workspace_options){.rows = cut ? train->micro_batch : own_lanes,
                                            .length = data->sequence_length,
                                            .recomputation = (enum recomputation)train->recomputation,
                                            .head_rows = train->head_rows,
                                            .backward = true};
}

/* ---- creation ---- */

/* Random values, or those of a text model and random ones for the rows that it lacks. */
static enum status fill_weights(struct trainer *trainer)
{
    enum status result = STATUS_OK;
    const struct model_settings *settings = trainer->setup.model;
    const struct vocabulary *vocabulary = &trainer->setup.components->vocabulary;
    uint64_t seed = (uint64_t)trainer->setup.train->seed;
    struct weight_sink masters = optimizer_master_sink(trainer->optimizer);
    int64_t rows = 0;
    if (!*settings->initialize_from)
        return llama_initialize(trainer->model, seed, settings->initializer_deviation, &masters);
    TRY(llama_read_weights(trainer->model, settings->initialize_from, &masters, &rows));
    if (rows < vocabulary->text_size)
        FAIL(STATUS_USAGE,
             "%s has %lld vocabulary rows, fewer than the %d pieces of the text model; is it another model's?",
             settings->initialize_from, (long long)rows, (int)vocabulary->text_size);
    /* A model that was grown already has all rows. Rows between, of padding, are overwritten. */
    const struct llama_new_rows new_rows = {.first = vocabulary->text_size,
                                            .kind = (enum llama_rows)settings->new_rows,
                                            .deviation = settings->initializer_deviation,
                                            .source = settings->initialize_from};
    if (rows < vocabulary->padded_size)
        TRY(llama_initialize_rows(trainer->model, seed, &new_rows, &masters));
fail:
    return result;
}

/* How much faster than the others rows of new tokens learn. */
static double new_rate(double learning_rate, const struct train_settings *train)
{
    return learning_rate > 0 && train->schedule.learning_rate > 0 ? learning_rate / train->schedule.learning_rate : 1;
}

static enum status create_model(struct trainer *trainer, bool empty)
{
    enum status result = STATUS_OK;
    const struct trainer_setup *setup = &trainer->setup;
    const struct train_settings *train = setup->train;
    struct optimizer_settings settings = {.beta1 = train->beta1,
                                          .beta2 = train->beta2,
                                          .epsilon = train->epsilon,
                                          .weight_decay = train->weight_decay,
                                          .clip = train->clip,
                                          .stochastic_rounding = train->stochastic_rounding,
                                          .seed = (uint64_t)train->seed,
                                          .new_rows = setup->components->vocabulary.text_size,
                                          .new_input_rate = new_rate(train->new_input_learning_rate, train),
                                          .new_output_rate = new_rate(train->new_output_learning_rate, train)};
    if (train->stochastic_rounding && train->dtype != DTYPE_BF16)
        FAIL(STATUS_USAGE, "train.stochastic_rounding is for bf16 weights, but train.dtype is %s",
             dtype_name((enum dtype)train->dtype));
    TRY(llama_create(&trainer->config, (enum dtype)train->dtype, setup->kernels, setup->context, &trainer->model));
    TRY(optimizer_create(trainer->model, setup->comm, setup->device_comm, &settings, &trainer->optimizer));
    if (!empty)
        TRY(fill_weights(trainer));
fail:
    return result;
}

static enum status create_workspace(struct trainer *trainer)
{
    enum status result = STATUS_OK;
    const struct trainer_setup *setup = &trainer->setup;
    const struct llama_workspace_options options =
        trainer_workspace_options(setup->data, setup->train, trainer->own_lanes);
    size_t bytes = LLAMA_LOSS_GROUPS * sizeof(double);
    void *memory;
    TRY(llama_workspace_create(trainer->model, &options, &trainer->workspace));
    TRY(setup->kernels->allocate(setup->context, bytes, &memory));
    trainer->group_sums = memory;
    TRY(setup->kernels->allocate_host(setup->context, bytes, &memory));
    trainer->group_sums_read = memory;
fail:
    return result;
}

static enum status create_feed(struct trainer *trainer)
{
    enum status result = STATUS_OK;
    const struct trainer_setup *setup = &trainer->setup;
    const struct data_settings *data = setup->data;
    struct lanes_options lanes_options = data_lanes_options(data, (uint64_t)setup->train->seed);
    trainer->interleaver = data_interleaver(data, setup->components);
    TRY(datasets_open(&data->train, setup->components, &trainer->datasets));
    TRY(lanes_create(&lanes_options, &trainer->interleaver, trainer->datasets, data->train.count, &trainer->lanes));
    const struct feed_options options = {.lanes = trainer->lanes,
                                         .first_lane = comm_rank(setup->comm),
                                         .lane_step = comm_size(setup->comm),
                                         .lane_count = trainer->own_lanes,
                                         .length = data->sequence_length,
                                         .micro_batch = trainer->micro_batch,
                                         .vocabulary = &setup->components->vocabulary,
                                         .config = &trainer->config,
                                         .kernels = setup->kernels,
                                         .context = setup->context};
    TRY(feed_create(&options, &trainer->feed));
fail:
    return result;
}

static enum status create_held_out(struct trainer *trainer)
{
    const struct trainer_setup *setup = &trainer->setup;
    const struct held_out_options options = {.data = setup->data,
                                             .components = setup->components,
                                             .config = &trainer->config,
                                             .rows = setup->train->validation_rows,
                                             .rank = comm_rank(setup->comm),
                                             .ranks = comm_size(setup->comm),
                                             .micro_batch = trainer->micro_batch,
                                             .kernels = setup->kernels,
                                             .context = setup->context};
    return held_out_rows(&options, trainer->held_out);
}

static struct training_shape shape_of(const struct trainer *trainer)
{
    const struct trainer_setup *setup = &trainer->setup;
    return (struct training_shape){
        .kernels = setup->kernels,
        .config = trainer->config,
        .dtype = (enum dtype)setup->train->dtype,
        .workspace = trainer_workspace_options(setup->data, setup->train, trainer->own_lanes),
        .lanes = setup->data->lanes,
        .ranks = comm_size(setup->comm),
    };
}

/* A plan that the device cannot hold is refused before anything is allocated. */
static enum status check_memory(const struct trainer *trainer)
{
    enum status result = STATUS_OK;
    const struct trainer_setup *setup = &trainer->setup;
    const struct training_shape shape = shape_of(trainer);
    const char *limit = "train.device_memory is";
    int64_t bytes;
    TRY(training_memory_parse(setup->train->device_memory, &bytes));
    if (bytes == 0) {
        bytes = setup->kernels->memory(setup->context).capacity;
        limit = "the GPU has";
    }
    TRY(training_memory_check(&shape, bytes, limit));
fail:
    return result;
}

/* A device that refused an allocation all the same, because it is shared: what was planned is said beside what it has. */
static enum status add_plan(const struct trainer *trainer, enum status failure)
{
    const struct training_shape shape = shape_of(trainer);
    struct training_memory memory;
    char found[1024], planned[512] = "nothing";
    snprintf(found, sizeof found, "%s", status_text());
    if (training_memory_plan(&shape, &memory) == STATUS_OK)
        training_memory_text(&memory, planned, sizeof planned);
    training_memory_free(&memory);
    return status_set(failure, "%s; planned: %s", found, planned);
}

enum status trainer_create(const struct trainer_setup *setup, bool empty, struct trainer **out)
{
    enum status result = STATUS_OK;
    int64_t lanes = setup->data->lanes;
    int rank = comm_rank(setup->comm), ranks = comm_size(setup->comm);
    *out = NULL;
    if (ranks > lanes)
        return status_set(STATUS_USAGE, "data.lanes is %lld, fewer than the %d ranks", (long long)lanes, ranks);
    struct trainer *trainer = calloc(1, sizeof *trainer);
    if (!trainer)
        return status_set(STATUS_INTERNAL, "no memory for a trainer");
    trainer->setup = *setup;
    trainer->own_lanes = (lanes - rank + ranks - 1) / ranks;
    trainer->micro_batch = trainer_workspace_options(setup->data, setup->train, trainer->own_lanes).rows;
    TRY(guard_create(setup->train->spike_window, setup->train->spike_deviations, &trainer->guard));
    TRY(trainer_model_config(setup->data, setup->model, setup->components->vocabulary.padded_size, &trainer->config));
    TRY(check_memory(trainer));
    TRY(create_feed(trainer));
    TRY(create_held_out(trainer));
    TRY(create_model(trainer, empty));
    TRY(create_workspace(trainer));
    *out = trainer;
    return STATUS_OK;
fail:
    if (setup->kernels->memory(setup->context).refused > 0)
        result = add_plan(trainer, result);
    trainer_destroy(trainer);
    return result;
}

void trainer_destroy(struct trainer *trainer)
{
    if (!trainer)
        return;
    const struct trainer_setup *setup = &trainer->setup;
    (void)setup->kernels->synchronize(
        setup->context); /* a step that failed half-way has left copies of rows in the queue */
    feed_destroy(trainer->feed);
    llama_workspace_destroy(trainer->workspace);
    optimizer_destroy(trainer->optimizer);
    if (trainer->group_sums)
        setup->kernels->release(setup->context, trainer->group_sums);
    if (trainer->group_sums_read)
        setup->kernels->release_host(setup->context, trainer->group_sums_read);
    llama_destroy(trainer->model);
    lanes_destroy(trainer->lanes);
    datasets_close(trainer->datasets, setup->data->train.count);
    for (int source = 0; source < SOURCE_KINDS; source++)
        rows_destroy(&trainer->held_out[source]);
    guard_destroy(trainer->guard);
    free(trainer);
}

/* ---- sums of losses ---- */

static enum status zero_sums(const struct trainer *trainer)
{
    const struct trainer_setup *setup = &trainer->setup;
    return setup->kernels->fill_zero(setup->context, trainer->group_sums, LLAMA_LOSS_GROUPS * sizeof(double));
}

/* They are there after the next synchronize. */
static enum status read_sums(const struct trainer *trainer)
{
    const struct trainer_setup *setup = &trainer->setup;
    return setup->kernels->copy_to_host(setup->context, QUEUE_COMPUTE, trainer->group_sums_read, trainer->group_sums,
                                        LLAMA_LOSS_GROUPS * sizeof(double));
}

/* What was read, and the counts of the rows, over all ranks. */
static enum status sum_over_ranks(const struct trainer *trainer, const double counts[TOKEN_KINDS],
                                  struct token_losses *losses)
{
    memcpy(losses->sum, trainer->group_sums_read, sizeof losses->sum);
    memcpy(losses->count, counts, sizeof losses->count);
    return comm_all_reduce(trainer->setup.comm, losses, 2 * TOKEN_KINDS, DTYPE_F64, COMM_SUM);
}

/* ---- a step ---- */

/* The step's rows, and the number of counted targets in those of all ranks. */
static enum status next_rows(struct trainer *trainer, const struct rows **rows, int64_t *counted)
{
    enum status result = STATUS_OK;
    TRY(feed_next(trainer->feed, rows));
    *counted = 0;
    for (int kind = 0; kind < TOKEN_KINDS; kind++)
        *counted += (int64_t)(*rows)->counts[kind];
    TRY(comm_all_reduce(trainer->setup.comm, counted, 1, DTYPE_I64, COMM_SUM));
fail:
    return result;
}

/* The gradient of the mean loss over the whole global batch. */
static enum status accumulate(struct trainer *trainer, const struct rows *rows, int64_t counted)
{
    enum status result = STATUS_OK;
    const struct llama_bucket_hook hook = optimizer_hook(trainer->optimizer);
    TRY(zero_sums(trainer));
    for (int64_t first = 0; first < rows->count; first += rows->micro_batch) {
        struct llama_batch batch = rows_batch(rows, first);
        struct llama_step step = {.loss_scale = counted > 0 ? (float)(1.0 / (double)counted) : 0.0f,
                                  .gradients = trainer->optimizer->gradients,
                                  .overwrite = first == 0,
                                  .group_sums = trainer->group_sums,
                                  .hook = first + batch.rows == rows->count ? &hook : NULL};
        TRY(llama_forward_backward(trainer->model, trainer->workspace, &batch, &step));
    }
    TRY(read_sums(trainer));
fail:
    return result;
}

enum status trainer_step(struct trainer *trainer, struct step_result *out)
{
    enum status result = STATUS_OK;
    const struct trainer_setup *setup = &trainer->setup;
    const struct rows *rows;
    int64_t counted = 0;
    *out =
        (struct step_result){.step = trainer->steps + 1, .tokens = setup->data->lanes * setup->data->sequence_length};
    TRY(next_rows(trainer, &rows, &counted));
    TRY(optimizer_finish_update(trainer->optimizer));
    TRY(accumulate(trainer, rows, counted));
    TRY(optimizer_measure(trainer->optimizer));
    TRY(setup->kernels->synchronize(setup->context));
    TRY(sum_over_ranks(trainer, rows->counts, &out->losses));
    out->loss = token_losses_mean(&out->losses);
    out->gradient_norm = optimizer_gradient_norm(trainer->optimizer);
    out->learning_rate = schedule_rate(&setup->train->schedule, out->step, setup->train->steps);
    out->skipped = guard_judge(trainer->guard, out->loss, out->gradient_norm);
    if (!out->skipped)
        TRY(optimizer_update(trainer->optimizer, out->learning_rate, ++trainer->updates));
    trainer->steps++;
    trainer->tokens += out->tokens;
    if (guard_skips_in_a_row(trainer->guard) >= GUARD_STOPS_AT)
        FAIL(STATUS_CORRUPT, "step %lld: %s; that is %d bad steps in a row: stopped", (long long)out->step,
             out->skipped, (int)GUARD_STOPS_AT);
fail:
    return result;
}

enum status trainer_validate(struct trainer *trainer, enum source_kind source, struct token_losses *losses)
{
    enum status result = STATUS_OK;
    const struct trainer_setup *setup = &trainer->setup;
    const struct rows *rows = &trainer->held_out[source];
    *losses = (struct token_losses){0};
    TRY(optimizer_finish_update(trainer->optimizer));
    TRY(zero_sums(trainer));
    for (int64_t first = 0; first < rows->count; first += rows->micro_batch) {
        struct llama_batch batch = rows_batch(rows, first);
        TRY(llama_add_losses(trainer->model, trainer->workspace, &batch, trainer->group_sums));
    }
    TRY(read_sums(trainer));
    TRY(setup->kernels->synchronize(setup->context));
    TRY(sum_over_ranks(trainer, rows->counts, losses));
fail:
    return result;
}

int64_t trainer_steps_done(const struct trainer *trainer)
{
    return trainer->steps;
}

int64_t trainer_tokens_done(const struct trainer *trainer)
{
    return trainer->tokens;
}

struct llama *trainer_model(struct trainer *trainer)
{
    return trainer->model;
}

struct optimizer *trainer_optimizer(struct trainer *trainer)
{
    return trainer->optimizer;
}

bool trainer_is_healthy(const struct trainer *trainer)
{
    return guard_skips_in_a_row(trainer->guard) == 0;
}

char *trainer_last_documents(const struct trainer *trainer)
{
    return strdup(feed_documents(trainer->feed));
}
