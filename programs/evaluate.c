/* evaluate: scores of a trained model, with their protocol (docs/evaluate.md). */
#include "core/path.h"
#include "data/datasets.h"
#include "data/settings.h"
#include "eval/documents.h"
#include "eval/task.h"
#include "package/model.h"
#include "programs/common/settings.h"
#include "programs/model/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct program_option options[] = {
    {"--model", "RUN_OR_CHECKPOINT", "the model (default train.run)", false},
    {"--out", "DIR", "folder of results and samples (default train.run/evaluation)", false},
    {"--require", NULL, "end with exit code 1 when the task's check does not hold", false},
    MACHINE_OPTION,
};

static const struct program program = {
    .name = "evaluate",
    .usage = "--config FILE TASK [ARGUMENT ...] [--model M] [--out DIR] [--require] [--device D] [key=value ...]",
    .summary =
        "Tasks: `pairs FILE.jsonl` (which of two continuations is likelier), `learning` (held-out nats per token "
        "against a Kneser-Ney bigram, with the units shuffled too; leaves pairs_shuffled.jsonl for `pairs`), "
        "`generation` (the bigram's nats per unit of 20 generated samples beside held-out speech).",
    .example = "evaluate --config configs/demo.yaml learning",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .takes_config = true,
    .takes_arguments = true,
};

struct evaluation {
    struct settings settings;
    struct machine machine;
    struct components *components;
    struct llama *model;
    char *checkpoint; /* what the model's name was resolved to */
    char out[PATH_BYTES];
};

static enum status open_data(const struct evaluation *evaluation, struct dataset ***train, struct dataset ***held_out,
                             struct learning_data *data)
{
    enum status result = STATUS_OK;
    const struct data_settings *settings = &evaluation->settings.data;
    TRY(datasets_open(&settings->train, evaluation->components, train));
    TRY(datasets_open(&settings->validation, evaluation->components, held_out));
    *data = (struct learning_data){.components = evaluation->components,
                                   .interleaver = documents_interleaver(evaluation->components),
                                   .train = *train,
                                   .train_count = settings->train.count,
                                   .held_out = *held_out,
                                   .held_out_count = settings->validation.count,
                                   .seed = (uint64_t)evaluation->settings.train.seed};
fail:
    return result;
}

static void close_data(const struct evaluation *evaluation, struct dataset **train, struct dataset **held_out)
{
    datasets_close(train, evaluation->settings.data.train.count);
    datasets_close(held_out, evaluation->settings.data.validation.count);
}

/* NULL when out of memory. */
static json_t *path_list(const struct config_list *paths)
{
    json_t *list = json_array();
    for (int64_t i = 0; list && i < paths->count; i++) {
        char *whole = realpath(paths->items[i], NULL);
        if (json_array_append_new(list, json_string(whole ? whole : paths->items[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
        free(whole);
    }
    return list;
}

static json_t *dataset_inputs(const struct evaluation *evaluation)
{
    const struct data_settings *data = &evaluation->settings.data;
    return json_pack("{s:o, s:o, s:I}", "train", path_list(&data->train), "validation", path_list(&data->validation),
                     "seed", (json_int_t)evaluation->settings.train.seed);
}

typedef enum status data_task(const struct task *task, const struct learning_data *data, const json_t *inputs);

static enum status run_on_data(const struct evaluation *evaluation, const struct task *task, data_task *measure)
{
    enum status result = STATUS_OK;
    struct dataset **train = NULL, **held_out = NULL;
    struct learning_data data;
    json_t *inputs = dataset_inputs(evaluation);
    TRY(open_data(evaluation, &train, &held_out, &data));
    TRY(measure(task, &data, inputs));
fail:
    close_data(evaluation, train, held_out);
    json_decref(inputs);
    return result;
}

static const struct choice {
    const char *name;
    enum status (*of_file)(const struct task *task, const char *path); /* for a task that takes a file, else NULL */
    data_task *of_data;                                                /* for one that takes the configured datasets */
} choices[] = {{"pairs", task_pairs, NULL}, {"learning", NULL, task_learning}, {"generation", NULL, task_generation}};

static const struct choice *find_choice(const char *name)
{
    for (size_t i = 0; name && i < sizeof choices / sizeof *choices; i++)
        if (!strcmp(choices[i].name, name))
            return &choices[i];
    return NULL;
}

static const char *plain_argument(const struct program_arguments *arguments, int64_t which)
{
    for (int64_t i = 0; i < arguments->count; i++)
        if (!arguments->items[i].option && which-- == 0)
            return arguments->items[i].value;
    return NULL;
}

static enum status set_out(const struct program_arguments *arguments, struct evaluation *evaluation)
{
    const char *out = program_value(arguments, "--out", NULL);
    return out ? path_format(evaluation->out, "%s", out)
               : path_format(evaluation->out, "%s/evaluation", evaluation->settings.train.run);
}

static enum status load(const struct program_arguments *arguments, const char *name, struct evaluation *evaluation)
{
    enum status result = STATUS_OK;
    char *path = NULL;
    TRY(program_machine_create(arguments, evaluation->settings.train.threads, &evaluation->settings.kernels,
                               &evaluation->machine));
    TRY(model_open(name, evaluation->machine.kernels, &evaluation->machine.context, &evaluation->components,
                   &evaluation->model, &path));
    evaluation->checkpoint = realpath(path, NULL);
    if (!evaluation->checkpoint)
        FAIL(STATUS_INTERNAL, "no memory for the path of %s", path);
fail:
    free(path);
    return result;
}

static void evaluation_free(struct evaluation *evaluation)
{
    llama_destroy(evaluation->model);
    components_free(evaluation->components);
    program_machine_destroy(&evaluation->machine);
    free(evaluation->checkpoint);
    settings_free(&evaluation->settings);
    free(evaluation);
}

static enum status run(const struct program_arguments *arguments)
{
    enum status result = STATUS_OK;
    struct evaluation *evaluation = calloc(1, sizeof *evaluation);
    if (!evaluation)
        return status_set(STATUS_INTERNAL, "no memory to evaluate");
    const char *name = plain_argument(arguments, 0);
    const struct choice *choice = find_choice(name);
    if (!choice)
        FAIL(STATUS_USAGE, "expected a task (pairs, learning or generation), found \"%s\"", name ? name : "");
    const char *file = plain_argument(arguments, 1), *surplus = plain_argument(arguments, choice->of_file ? 2 : 1);
    if (choice->of_file && !file)
        FAIL(STATUS_USAGE, "%s needs a JSON Lines file", name);
    if (surplus)
        FAIL(STATUS_USAGE, "%s: unexpected argument \"%s\"", name, surplus);
    TRY(settings_load(arguments, SETTINGS_DATA, &evaluation->settings));
    TRY(set_out(arguments, evaluation));
    const char *model_name = program_value(arguments, "--model", evaluation->settings.train.run);
    TRY(load(arguments, model_name, evaluation));
    const struct task task = {.model = evaluation->model,
                              .components = evaluation->components,
                              .model_name = model_name,
                              .checkpoint = evaluation->checkpoint,
                              .out = evaluation->out,
                              .report = stdout,
                              .require = program_flag(arguments, "--require")};
    TRY(choice->of_file ? choice->of_file(&task, file) : run_on_data(evaluation, &task, choice->of_data));
fail:
    evaluation_free(evaluation);
    return result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
