/* What a run would do, shown before it does it: samples of the data and the memory plan. */
#include "train/run.h"

#include "core/utf8.h"
#include "data/datasets.h"
#include "train/checkpoint.h"
#include "train/memory.h"

#include <stdlib.h>
#include <unistd.h>

/* Writes ids as a reader wants them: runs of text pieces decoded, every other id by its name. */
static enum status print_ids(const struct components *components, const int32_t *ids, int64_t count, FILE *file)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    const struct vocabulary *vocabulary = &components->vocabulary;
    for (int64_t i = 0; i < count;) {
        int64_t end = i;
        while (end < count && vocabulary_kind(vocabulary, ids[end]) == TOKEN_TEXT && ids[end] != vocabulary->bos &&
               ids[end] != vocabulary->eos)
            end++;
        if (end > i) {
            int64_t size = 0;
            TRY(text_model_decode(components->text, ids + i, end - i, true, &text, &size));
            utf8_print(file, "%.*s", (int)size, text);
            free(text);
            text = NULL;
            i = end;
            continue;
        }
        char name[16];
        vocabulary_token_name(vocabulary, ids[i], name);
        fputs(ids[i] == vocabulary->bos ? "<s>" : ids[i] == vocabulary->eos ? "</s>\n" : name, file);
        i++;
    }
fail:
    free(text);
    return result;
}

enum status run_show_samples(const struct trainer_setup *setup, int64_t count, FILE *file)
{
    enum status result = STATUS_OK;
    struct dataset **datasets = NULL;
    struct lanes *lanes = NULL;
    const struct data_settings *data = setup->data;
    struct interleaver interleaver = data_interleaver(data, setup->components);
    struct lanes_options options = data_lanes_options(data, (uint64_t)setup->train->seed);
    int64_t length = data->sequence_length, shown = 0;
    int32_t *ids = calloc((size_t)length * 3, sizeof *ids);
    if (!ids)
        FAIL(STATUS_INTERNAL, "no memory for a row");
    TRY(datasets_open(&data->train, setup->components, &datasets));
    TRY(lanes_create(&options, &interleaver, datasets, data->train.count, &lanes));
    for (int64_t row = 0; shown < count; row++) {
        TRY(lanes_next(lanes, row % data->lanes, ids, ids + length, ids + 2 * length));
        for (int64_t begin = 0; begin < length && shown < count; shown++) {
            int64_t end = begin + 1;
            while (end < length && ids[end] != setup->components->vocabulary.bos)
                end++;
            fprintf(file, "--- document %lld, %lld tokens\n", (long long)shown + 1, (long long)(end - begin));
            TRY(print_ids(setup->components, ids + begin, end - begin, file));
            fputc('\n', file);
            begin = end;
        }
    }
fail:
    lanes_destroy(lanes);
    datasets_close(datasets, data->train.count);
    free(ids);
    return result;
}

/* ---- the memory plan ---- */

static void print_memory(const struct training_memory *memory, enum dtype dtype, FILE *file)
{
    fprintf(file, "memory per rank:\n");
    for (int i = 0; i < TRAINING_CATEGORIES; i++)
        if (memory->plans[i].total > 0)
            memory_plan_print(&memory->plans[i], file);
    fprintf(file, "  %-26s %10.1f MiB\n", "total", (double)memory->total / 1048576.0);
    fprintf(file, "and %.1f MiB of host memory while a rank starts, or reads or writes a checkpoint\n",
            (double)checkpoint_host_bytes(dtype) / 1048576.0);
}

/* The shape of rank 0, which has the most lanes. */
static enum status plan_shape(const struct run_plan *plan, FILE *file, struct training_shape *shape)
{
    enum status result = STATUS_OK;
    const struct data_settings *data = plan->data;
    const struct train_settings *train = plan->train;
    struct model_settings model = *plan->model;
    int64_t own_lanes = (data->lanes + plan->ranks - 1) / plan->ranks;
    *shape = (struct training_shape){.kernels = plan->kernels,
                                     .dtype = (enum dtype)train->dtype,
                                     .workspace = trainer_workspace_options(data, train, own_lanes),
                                     .lanes = data->lanes,
                                     .ranks = plan->ranks};
    if (*model.initialize_from && access(model.initialize_from, R_OK) != 0) {
        utf8_print(file, "note: %s is not there; planned with the sizes of the configuration\n", model.initialize_from);
        model.initialize_from = "";
    }
    TRY(trainer_model_config(data, &model, plan->vocabulary_rows, &shape->config));
fail:
    return result;
}

static void print_sizes(const struct run_plan *plan, const struct training_shape *shape, FILE *file)
{
    const struct llama_config *config = &shape->config;
    const struct data_settings *data = plan->data;
    int64_t tokens = data->lanes * data->sequence_length;
    fprintf(file, "model: %lld parameters, %lld layers of %lld, %lld vocabulary rows, %s\n",
            (long long)llama_parameter_count(config), (long long)config->layers, (long long)config->hidden_size,
            (long long)config->vocabulary_size, dtype_name(shape->dtype));
    fprintf(file, "batch: %lld lanes of %lld tokens = %lld tokens per step; %d rank%s of %lld lanes, %lld at a time\n",
            (long long)data->lanes, (long long)data->sequence_length, (long long)tokens, plan->ranks,
            plan->ranks == 1 ? "" : "s", (long long)((data->lanes + plan->ranks - 1) / plan->ranks),
            (long long)shape->workspace.rows);
    fprintf(file, "steps: %lld, %.3g tokens\n", (long long)plan->train->steps,
            (double)plan->train->steps * (double)tokens);
}

enum status run_print_plan(const struct run_plan *plan, FILE *file)
{
    enum status result = STATUS_OK;
    struct training_shape shape;
    struct training_memory memory = {0};
    const struct interleave_options interleave = data_interleave_options(plan->data);
    const struct lanes_options lanes = data_lanes_options(plan->data, 0);
    TRY(interleave_options_check(&interleave));
    TRY(lanes_options_check(&lanes));
    if (plan->ranks > plan->data->lanes)
        FAIL(STATUS_USAGE, "data.lanes is %lld, fewer than the %d ranks", (long long)plan->data->lanes, plan->ranks);
    TRY(plan_shape(plan, file, &shape));
    TRY(training_memory_plan(&shape, &memory));
    print_sizes(plan, &shape, file);
    print_memory(&memory, shape.dtype, file);
    fflush(file);
    TRY(training_memory_check(&shape, plan->device_bytes, plan->device_name));
fail:
    training_memory_free(&memory);
    return result;
}
