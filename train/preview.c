/* What a run would do, shown before it does it: samples of the data and the memory plan. */
#include "train/run.h"

#include "data/datasets.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"

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
            TRY(sentencepiece_decode(components->text, ids + i, end - i, true, &text, &size));
            fwrite(text, 1, (size_t)size, file);
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

enum { PARAMETERS, GRADIENTS, STATES, ACTIVATIONS, SCRATCH, CATEGORIES };

struct preview {
    struct llama_config config;
    struct parameter_layout layout;
    struct llama_workspace_options workspace;
    enum dtype dtype;
    struct memory_plan plans[CATEGORIES];
};

/* One scratch serves all operations, so it is as large as the largest of them needs it. */
static enum status plan_scratch(struct preview *preview, const struct kernels *kernels, int ranks)
{
    enum status result = STATUS_OK;
    size_t passes = 0, update = optimizer_scratch(kernels, &preview->layout, ranks);
    TRY(llama_plan_scratch(kernels, &preview->config, preview->dtype, &preview->workspace, &passes));
    if (memory_plan_add(&preview->plans[SCRATCH], (int64_t)(passes > update ? passes : update), "operations") < 0)
        FAIL(STATUS_INTERNAL, "the scratch's size overflows");
fail:
    return result;
}

static enum status plan_memory(struct preview *preview, const struct kernels *kernels, int ranks)
{
    enum status result = STATUS_OK;
    enum dtype dtype = preview->dtype;
    struct memory_plan *plans = preview->plans;
    TRY(parameter_layout_create(&preview->config, &preview->layout));
    if (memory_plan_add(&plans[PARAMETERS], preview->layout.elements * (int64_t)dtype_size(dtype), "weights") < 0)
        FAIL(STATUS_INTERNAL, "the weights' size overflows");
    TRY(optimizer_plan(&preview->layout, dtype, ranks, &plans[GRADIENTS], &plans[STATES]));
    TRY(llama_plan_workspace(kernels, &preview->config, dtype, &preview->workspace, &plans[ACTIVATIONS]));
    TRY(plan_scratch(preview, kernels, ranks));
fail:
    return result;
}

static void print_memory(const struct preview *preview, FILE *file)
{
    int64_t total = 0;
    fprintf(file, "memory per rank:\n");
    for (int i = 0; i < CATEGORIES; i++) {
        memory_plan_print(&preview->plans[i], file);
        total += preview->plans[i].total;
    }
    fprintf(file, "  %-16s %10.1f MiB\n", "total", (double)total / 1048576.0);
    fprintf(file, "and %.1f MiB of host memory while a rank starts, or reads or writes a checkpoint\n",
            (double)checkpoint_host_bytes(preview->dtype) / 1048576.0);
}

enum status run_print_plan(const struct kernels *kernels, const struct data_settings *data,
                           const struct model_settings *model, const struct train_settings *train,
                           int32_t vocabulary_rows, int ranks, FILE *file)
{
    enum status result = STATUS_OK;
    struct preview preview = {.dtype = (enum dtype)train->dtype,
                              .plans = {{.name = "parameters"},
                                        {.name = "gradients"},
                                        {.name = "optimizer"},
                                        {.name = "activations"},
                                        {.name = "scratch"}}};
    const struct llama_config *config = &preview.config;
    const struct interleave_options interleave = data_interleave_options(data);
    const struct lanes_options lanes = data_lanes_options(data, 0);
    TRY(interleave_options_check(&interleave));
    TRY(lanes_options_check(&lanes));
    if (ranks > data->lanes)
        FAIL(STATUS_USAGE, "data.lanes is %lld, fewer than the %d ranks", (long long)data->lanes, ranks);
    int64_t own_lanes = (data->lanes + ranks - 1) / ranks, tokens = data->lanes * data->sequence_length;
    preview.workspace = (struct llama_workspace_options){
        .rows = train->micro_batch && train->micro_batch < own_lanes ? train->micro_batch : own_lanes,
        .length = data->sequence_length,
        .recomputation = (enum recomputation)train->recomputation,
        .head_rows = train->head_rows,
        .backward = true};
    struct model_settings planned = *model;
    if (*model->initialize_from && access(model->initialize_from, R_OK) != 0) {
        fprintf(file, "note: %s is not there; planned with the sizes of the configuration\n", model->initialize_from);
        planned.initialize_from = "";
    }
    TRY(trainer_model_config(data, &planned, vocabulary_rows, &preview.config));
    TRY(plan_memory(&preview, kernels, ranks));
    fprintf(file, "model: %lld parameters, %lld layers of %lld, %lld vocabulary rows, %s\n",
            (long long)llama_parameter_count(config), (long long)config->layers, (long long)config->hidden_size,
            (long long)config->vocabulary_size, dtype_name((enum dtype)train->dtype));
    fprintf(file, "batch: %lld lanes of %lld tokens = %lld tokens per step; %d rank%s of %lld lanes, %lld at a time\n",
            (long long)data->lanes, (long long)data->sequence_length, (long long)tokens, ranks, ranks == 1 ? "" : "s",
            (long long)own_lanes, (long long)preview.workspace.rows);
    fprintf(file, "steps: %lld, %.3g tokens\n", (long long)train->steps, (double)train->steps * (double)tokens);
    print_memory(&preview, file);
fail:
    for (int i = 0; i < CATEGORIES; i++)
        memory_plan_free(&preview.plans[i]);
    parameter_layout_free(&preview.layout);
    return result;
}
