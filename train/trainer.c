#include "train/trainer.h"

#include "core/log.h"
#include "data/datasets.h"
#include "train/checkpoint.h"
#include "train/trainer_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- creation ---- */

static enum status fill_weights(struct trainer *trainer, float *masters)
{
    enum status result = STATUS_OK;
    const struct model_settings *settings = trainer->setup.model;
    const struct vocabulary *vocabulary = &trainer->setup.components->vocabulary;
    uint64_t seed = (uint64_t)trainer->setup.train->seed;
    int64_t rows = 0;
    TRY(llama_initialize(trainer->model, seed, settings->initializer_deviation, masters));
    if (!*settings->initialize_from)
        return STATUS_OK;
    TRY(llama_read_weights(trainer->model, settings->initialize_from, masters, &rows));
    if (rows != vocabulary->text_size && rows != vocabulary->padded_size)
        FAIL(STATUS_USAGE,
             "%s has %lld vocabulary rows; the text model has %d pieces and the padded vocabulary %d rows",
             settings->initialize_from, (long long)rows, (int)vocabulary->text_size, (int)vocabulary->padded_size);
    if (rows < vocabulary->padded_size)
        TRY(llama_initialize_rows(trainer->model, seed, settings->initializer_deviation, rows, masters));
fail:
    return result;
}

static enum status create_model(struct trainer *trainer, bool empty)
{
    enum status result = STATUS_OK;
    const struct trainer_setup *setup = &trainer->setup;
    const struct train_settings *train = setup->train;
    float *masters = NULL;
    struct llama_config config;
    struct optimizer_settings settings = {train->beta1, train->beta2, train->epsilon, train->weight_decay, train->clip};
    TRY(trainer_model_config(setup->data, setup->model, setup->components->vocabulary.padded_size, &config));
    TRY(llama_create(&config, (enum dtype)train->dtype, setup->kernels, setup->context, &trainer->model));
    if (!empty) {
        masters = calloc((size_t)trainer->model->layout.elements, sizeof(float));
        if (!masters)
            FAIL(STATUS_INTERNAL, "no memory for %lld weights", (long long)trainer->model->layout.elements);
        TRY(fill_weights(trainer, masters));
    }
    TRY(optimizer_create(trainer->model, setup->comm, setup->device_comm, &settings, &trainer->optimizer));
    if (masters && trainer->optimizer->masters) {
        TRY(optimizer_put(trainer->optimizer, 2, 0, masters, trainer->model->layout.elements));
        TRY(setup->kernels->synchronize(setup->context));
    }
    struct llama_workspace_options options = {.rows = trainer->micro_batch,
                                              .length = setup->data->sequence_length,
                                              .recomputation = (enum recomputation)train->recomputation,
                                              .backward = true};
    TRY(llama_workspace_create(trainer->model, &options, &trainer->workspace));
    void *memory;
    TRY(setup->kernels->allocate(setup->context, LLAMA_LOSS_GROUPS * sizeof(double), &memory));
    trainer->group_sums = memory;
fail:
    free(masters);
    return result;
}

static enum status create_lanes(struct trainer *trainer)
{
    enum status result = STATUS_OK;
    const struct trainer_setup *setup = &trainer->setup;
    const struct data_settings *data = setup->data;
    int rank = comm_rank(setup->comm), ranks = comm_size(setup->comm);
    if (ranks > data->lanes)
        FAIL(STATUS_USAGE, "data.lanes is %lld, fewer than the %d ranks", (long long)data->lanes, ranks);
    trainer->own_lanes = (data->lanes - rank + ranks - 1) / ranks;
    trainer->micro_batch = setup->train->micro_batch ? setup->train->micro_batch : trainer->own_lanes;
    if (trainer->micro_batch > trainer->own_lanes)
        trainer->micro_batch = trainer->own_lanes;
    trainer->interleaver = data_interleaver(data, setup->components);
    struct lanes_options options = data_lanes_options(data, (uint64_t)setup->train->seed);
    TRY(datasets_open(&data->train, setup->components, &trainer->datasets));
    TRY(lanes_create(&options, &trainer->interleaver, trainer->datasets, data->train.count, &trainer->lanes));
    TRY(rows_allocate(&trainer->rows, trainer->own_lanes, data->sequence_length));
    TRY(validation_create(trainer));
fail:
    return result;
}

enum status trainer_create(const struct trainer_setup *setup, bool empty, struct trainer **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    struct trainer *trainer = calloc(1, sizeof *trainer);
    if (!trainer)
        return status_set(STATUS_INTERNAL, "no memory for a trainer");
    trainer->setup = *setup;
    TRY(guard_create(setup->train->spike_window, setup->train->spike_deviations, &trainer->guard));
    TRY(create_lanes(trainer));
    TRY(create_model(trainer, empty));
    *out = trainer;
    return STATUS_OK;
fail:
    trainer_destroy(trainer);
    return result;
}

void trainer_destroy(struct trainer *trainer)
{
    if (!trainer)
        return;
    llama_workspace_destroy(trainer->workspace);
    trainer->setup.kernels->release(trainer->setup.context, trainer->group_sums);
    optimizer_destroy(trainer->optimizer);
    llama_destroy(trainer->model);
    lanes_destroy(trainer->lanes);
    datasets_close(trainer->datasets, trainer->setup.data->train.count);
    rows_free(&trainer->rows);
    for (int source = 0; source < SOURCE_KINDS; source++)
        rows_free(&trainer->validation[source]);
    guard_destroy(trainer->guard);
    free(trainer);
}

/* ---- a step ---- */

_Static_assert((int)TOKEN_KINDS <= (int)LLAMA_LOSS_GROUPS, "a group for every kind of token");

/* Counts the tokens that positions predict, by kind, and names the kind of each as its loss's group. */
static void count_kinds(const struct trainer *trainer, const struct llama_batch *batch, uint8_t *groups,
                        struct token_losses *sums)
{
    for (int64_t i = 0; i < batch->rows * batch->length; i++) {
        if (batch->targets[i] < 0)
            continue;
        enum token_kind kind = vocabulary_kind(&trainer->setup.components->vocabulary, batch->targets[i]);
        groups[i] = (uint8_t)kind;
        sums->count[kind] += 1;
    }
}

static enum status zero_sums(const struct trainer *trainer)
{
    return trainer->setup.kernels->fill_zero(trainer->setup.context, trainer->group_sums,
                                             LLAMA_LOSS_GROUPS * sizeof(double));
}

static enum status read_sums(const struct trainer *trainer, struct token_losses *losses)
{
    enum status result = STATUS_OK;
    const struct trainer_setup *setup = &trainer->setup;
    TRY(setup->kernels->copy_to_host(setup->context, QUEUE_COMPUTE, losses->sum, trainer->group_sums,
                                     sizeof losses->sum));
    TRY(setup->kernels->synchronize(setup->context));
fail:
    return result;
}

static enum status sum_over_ranks(const struct trainer *trainer, struct token_losses *losses)
{
    enum status result = STATUS_OK;
    TRY(comm_all_reduce(trainer->setup.comm, losses->sum, TOKEN_KINDS, DTYPE_F64, COMM_SUM));
    TRY(comm_all_reduce(trainer->setup.comm, losses->count, TOKEN_KINDS, DTYPE_F64, COMM_SUM));
fail:
    return result;
}

static enum status draw_rows(struct trainer *trainer, int64_t *counted)
{
    enum status result = STATUS_OK;
    int64_t length = trainer->setup.data->sequence_length;
    int rank = comm_rank(trainer->setup.comm), ranks = comm_size(trainer->setup.comm);
    struct rows *rows = &trainer->rows;
    for (int64_t i = 0; i < trainer->own_lanes; i++)
        TRY(lanes_next(trainer->lanes, rank + i * ranks, rows->ids + i * length, rows->targets + i * length,
                       rows->starts + i * length));
    *counted = 0;
    for (int64_t i = 0; i < trainer->own_lanes * length; i++)
        *counted += rows->targets[i] >= 0;
    TRY(comm_all_reduce(trainer->setup.comm, counted, 1, DTYPE_I64, COMM_SUM));
fail:
    return result;
}

static struct llama_batch batch_of(const struct rows *rows, int64_t first, int64_t count, int64_t length)
{
    return (struct llama_batch){.rows = count,
                                .length = length,
                                .ids = rows->ids + first * length,
                                .targets = rows->targets + first * length,
                                .starts = rows->starts + first * length,
                                .groups = rows->groups + first * length};
}

static enum status accumulate(struct trainer *trainer, int64_t counted, struct token_losses *losses)
{
    enum status result = STATUS_OK;
    int64_t length = trainer->setup.data->sequence_length;
    struct rows *rows = &trainer->rows;
    float scale = counted > 0 ? (float)(1.0 / (double)counted) : 0.0f;
    TRY(optimizer_zero_gradients(trainer->optimizer));
    TRY(zero_sums(trainer));
    for (int64_t first = 0; first < trainer->own_lanes; first += trainer->micro_batch) {
        int64_t left = trainer->own_lanes - first;
        struct llama_batch batch =
            batch_of(rows, first, left < trainer->micro_batch ? left : trainer->micro_batch, length);
        struct llama_step step = {
            .loss_scale = scale, .gradients = trainer->optimizer->gradients, .group_sums = trainer->group_sums};
        count_kinds(trainer, &batch, rows->groups + first * length, losses);
        TRY(llama_forward_backward(trainer->model, trainer->workspace, &batch, &step));
    }
    TRY(read_sums(trainer, losses));
    TRY(sum_over_ranks(trainer, losses));
fail:
    return result;
}

enum status trainer_step(struct trainer *trainer, struct step_result *out)
{
    enum status result = STATUS_OK;
    const struct train_settings *settings = trainer->setup.train;
    struct step_norm norm = {0};
    int64_t counted = 0;
    *out = (struct step_result){.step = trainer->steps + 1,
                                .tokens = trainer->setup.data->lanes * trainer->setup.data->sequence_length};
    TRY(draw_rows(trainer, &counted));
    TRY(accumulate(trainer, counted, &out->losses));
    TRY(optimizer_reduce(trainer->optimizer, &norm));
    out->loss = token_losses_mean(&out->losses);
    out->gradient_norm = norm.gradient_norm;
    out->learning_rate = schedule_rate(&settings->schedule, out->step, settings->steps);
    out->skipped = guard_judge(trainer->guard, out->loss, norm.gradient_norm);
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
    const struct rows *rows = &trainer->validation[source];
    int64_t length = trainer->setup.data->sequence_length;
    int rank = comm_rank(trainer->setup.comm), ranks = comm_size(trainer->setup.comm);
    *losses = (struct token_losses){0};
    TRY(zero_sums(trainer));
    /* Each rank has its run of the rows, whatever its micro-batch. */
    int64_t end = rows->count * (rank + 1) / ranks;
    for (int64_t first = rows->count * rank / ranks; first < end; first += trainer->micro_batch) {
        int64_t left = end - first;
        struct llama_batch batch =
            batch_of(rows, first, left < trainer->micro_batch ? left : trainer->micro_batch, length);
        count_kinds(trainer, &batch, rows->groups + first * length, losses);
        TRY(llama_add_losses(trainer->model, trainer->workspace, &batch, trainer->group_sums));
    }
    TRY(read_sums(trainer, losses));
    TRY(sum_over_ranks(trainer, losses));
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
    int rank = comm_rank(trainer->setup.comm), ranks = comm_size(trainer->setup.comm);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    for (int64_t i = 0; stream && i < trainer->own_lanes; i++) {
        const char *const *names;
        int64_t count = lanes_last_documents(trainer->lanes, rank + i * ranks, &names);
        for (int64_t j = 0; j < count; j++)
            fprintf(stream, "%s ", names[j]);
    }
    if (stream && fclose(stream) != 0) {
        free(text);
        text = NULL;
    }
    return text;
}
