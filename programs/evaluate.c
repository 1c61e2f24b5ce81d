/* evaluate: scores of a trained model, with their protocol (docs/evaluate.md). The model is loaded once for all tasks of a
 * command, after everything that can be refused has been looked at. */
#include "core/log.h"
#include "data/datasets.h"
#include "data/settings.h"
#include "eval/commands.h"
#include "eval/documents.h"
#include "eval/plan.h"
#include "package/model.h"
#include "programs/common/settings.h"
#include "programs/model/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct program_option options[] = {
    {"--model", "RUN_OR_CHECKPOINT", "the model (default train.run)", false},
    {"--out", "DIR", "folder of results and samples (default train.run/evaluation)", false},
    {"--require", NULL, "end with exit code 1 when a task's check does not hold", false},
    MACHINE_OPTION,
};

#define TASK_HELP(upper, name, argument, ending, help) "\n  " help
#define COMMAND_HELP(upper, lower, arguments, help) "\n  " help
#define COMMAND_WORD(upper, lower, arguments, help) #lower "|"
#define TASK_WORD(upper, name, argument, ending, help) name "|"

static const struct program program = {
    .name = "evaluate",
    .usage = "--config FILE TASK [FILE ...] [TASK ...] [--model M] [--out DIR] [--require] [--device D] "
             "[key=value ...]",
    .summary =
        "Measures a trained model by one or several tasks. It is loaded once for all of them. TASK is one "
        "of:" TASK_LIST(
            TASK_HELP) "\n  all                   the benchmarks whose archives the configuration names (archives.*)"
                       "\nwithout a model:" COMMAND_LIST(COMMAND_HELP),
    .example = "evaluate --config configs/demo.yaml learning generation pairs",
    .arguments = TASK_LIST(TASK_WORD) COMMAND_LIST(COMMAND_WORD) "FILE",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .takes_config = true,
    .takes_arguments = true,
};

enum { BENCHMARKS = 13 };

/* One of several models that share the generation tasks' items: they are equal, and each computes on a machine of its own. */
struct replica {
    struct machine machine;
    struct components *components;
};

struct evaluation {
    struct settings settings;
    struct machine machine;
    struct components *components;
    struct llama **models;    /* [ranks]; the first is everybody's */
    struct replica *replicas; /* [ranks] of the models behind the first */
    int64_t ranks;
    char *checkpoint; /* what the model's name was resolved to */
    struct task_plan plan;
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

/* The benchmarks whose archive the configuration names, with them, behind `count` arguments: what "all" stands for. */
static int64_t add_archives(const struct archive_settings *archives, const char **plain, int64_t count)
{
    const struct {
        const char *task, *archive;
    } all[] = {
        {"swuggy", archives->swuggy},
        {"sblimp", archives->sblimp},
        {"wuggy-text", archives->wuggy_text},
        {"blimp-text", archives->blimp_text},
        {"storycloze", archives->storycloze},
        {"topic-storycloze", archives->topic_storycloze},
        {"storycloze-text", archives->storycloze_text},
        {"salmon", archives->salmon},
        {"mmlu", archives->mmlu},
        {"blimp", archives->blimp},
        {"asr", archives->asr},
        {"intent", archives->intent},
        {"stsp", archives->stsp},
    };
    _Static_assert(sizeof all / sizeof *all == BENCHMARKS, "the number of archives");
    for (size_t i = 0; i < BENCHMARKS; i++)
        if (*all[i].archive) {
            plain[count++] = all[i].task;
            plain[count++] = all[i].archive;
        }
    return count;
}

/* The arguments that are no options, in an array to be freed, "all" replaced by what it stands for. */
static enum status plain_arguments(const struct program_arguments *arguments, const struct archive_settings *archives,
                                   const char ***out, int64_t *count)
{
    enum status result = STATUS_OK;
    const char **plain = calloc((size_t)arguments->count * 2 * BENCHMARKS + 1, sizeof *plain);
    *out = plain;
    *count = 0;
    if (!plain)
        FAIL(STATUS_INTERNAL, "no memory for the tasks");
    for (int64_t i = 0; i < arguments->count; i++) {
        const struct program_argument *argument = &arguments->items[i];
        int64_t before = *count;
        if (argument->option)
            continue;
        if (strcmp(argument->value, "all") != 0 || (before > 0 && !strcmp(plain[0], "where"))) {
            plain[(*count)++] = argument->value;
            continue;
        }
        *count = add_archives(archives, plain, before);
        if (*count == before)
            FAIL(STATUS_USAGE, "all: the configuration names no archive (archives.swuggy, archives.salmon ...)");
    }
fail:
    return result;
}

/* Runs a command, or makes the plan of the tasks. *done: it was a command. */
static enum status make_plan(const struct program_arguments *arguments, struct evaluation *evaluation, bool *done)
{
    enum status result = STATUS_OK;
    const struct settings *settings = &evaluation->settings;
    char out[PATH_BYTES];
    int64_t count;
    const char **plain = NULL;
    TRY(plain_arguments(arguments, &settings->archives, &plain, &count));
    const char *given = program_value(arguments, "--out", NULL);
    TRY(given ? path_format(out, "%s", given) : path_format(out, "%s/evaluation", settings->train.run));
    const struct command_input input = {.score = &settings->score,
                                        .evaluate = &settings->evaluate,
                                        .submission = &settings->submission,
                                        .protocol_named =
                                            strcmp(config_origin(settings->config, "score.protocol"), "default") != 0,
                                        .out = out,
                                        .report = stdout};
    *done = command_run(plain, count, &input, &result);
    if (!*done)
        TRY(plan_make(plain, count, out, &evaluation->plan));
fail:
    free(plain);
    return result;
}

/* The models of the ranks behind the first, from the same folder; they share the processors. */
static enum status load_replicas(const struct program_arguments *arguments, struct evaluation *evaluation)
{
    enum status result = STATUS_OK;
    int64_t threads = thread_pool_threads(evaluation->machine.pool) / evaluation->ranks;
    for (int64_t r = 1; r < evaluation->ranks; r++) {
        struct replica *replica = &evaluation->replicas[r];
        TRY(program_machine_create(arguments, threads > 0 ? threads : 1, &evaluation->settings.kernels,
                                   &replica->machine));
        TRY(model_open(evaluation->checkpoint, replica->machine.kernels, &replica->machine.context,
                       &replica->components, &evaluation->models[r], NULL));
    }
fail:
    return result;
}

static enum status load(const struct program_arguments *arguments, const char *name, struct evaluation *evaluation)
{
    enum status result = STATUS_OK;
    char *path = NULL;
    evaluation->ranks = plan_generates(&evaluation->plan) ? evaluation->settings.evaluate.ranks : 1;
    evaluation->models = calloc((size_t)evaluation->ranks, sizeof(struct llama *));
    evaluation->replicas = calloc((size_t)evaluation->ranks, sizeof *evaluation->replicas);
    if (!evaluation->models || !evaluation->replicas)
        FAIL(STATUS_INTERNAL, "no memory for %lld models", (long long)evaluation->ranks);
    TRY(program_machine_create(arguments, evaluation->settings.train.threads, &evaluation->settings.kernels,
                               &evaluation->machine));
    TRY(model_open(name, evaluation->machine.kernels, &evaluation->machine.context, &evaluation->components,
                   &evaluation->models[0], &path));
    evaluation->checkpoint = realpath(path, NULL);
    if (!evaluation->checkpoint)
        FAIL(STATUS_INTERNAL, "no memory for the path of %s", path);
    TRY(load_replicas(arguments, evaluation));
fail:
    free(path);
    return result;
}

static void evaluation_free(struct evaluation *evaluation)
{
    for (int64_t r = 0; r < evaluation->ranks && evaluation->models; r++)
        llama_destroy(evaluation->models[r]);
    for (int64_t r = 1; r < evaluation->ranks && evaluation->replicas; r++) {
        components_free(evaluation->replicas[r].components);
        program_machine_destroy(&evaluation->replicas[r].machine);
    }
    free(evaluation->models);
    free(evaluation->replicas);
    components_free(evaluation->components);
    program_machine_destroy(&evaluation->machine);
    free(evaluation->checkpoint);
    plan_free(&evaluation->plan);
    settings_free(&evaluation->settings);
    free(evaluation);
}

/* Runs what has not failed yet. Datasets that do not open end only the tasks that need them, before any other begins. */
static enum status run_tasks(struct evaluation *evaluation, const struct task *task)
{
    struct dataset **train = NULL, **held_out = NULL;
    struct learning_data data = {0};
    json_t *inputs = NULL;
    if (plan_needs_data(&evaluation->plan)) {
        enum status opened = open_data(evaluation, &train, &held_out, &data);
        inputs = dataset_inputs(evaluation);
        if (opened != STATUS_OK)
            plan_fail_data(&evaluation->plan, opened);
    }
    plan_run(&evaluation->plan, task, &data, inputs);
    close_data(evaluation, train, held_out);
    json_decref(inputs);
    return plan_finish(&evaluation->plan, stdout);
}

static enum status run(const struct program_arguments *arguments)
{
    enum status result = STATUS_OK;
    bool done;
    struct unit_cache *units = NULL;
    struct evaluation *evaluation = calloc(1, sizeof *evaluation);
    if (!evaluation)
        return status_set(STATUS_INTERNAL, "no memory to evaluate");
    TRY(settings_load(arguments, SETTINGS_DATA, &evaluation->settings));
    TRY(evaluate_settings_check(&evaluation->settings.evaluate));
    TRY(make_plan(arguments, evaluation, &done));
    if (done)
        goto fail;
    TRY(plan_check_writable(&evaluation->plan));
    plan_check_files(&evaluation->plan);
    if (!plan_pending(&evaluation->plan)) {
        result = plan_finish(&evaluation->plan, stdout);
        goto fail;
    }
    const char *model_name = program_value(arguments, "--model", evaluation->settings.train.run);
    TRY(load(arguments, model_name, evaluation));
    if (evaluation->settings.evaluate.cache && plan_needs_archives(&evaluation->plan))
        TRY(unit_cache_open(evaluation->plan.out, evaluation->components,
                            (enum lock_policy)evaluation->settings.files.locks, &units));
    const struct task task = {.model = evaluation->models[0],
                              .models = evaluation->models,
                              .ranks = evaluation->ranks,
                              .locks = (enum lock_policy)evaluation->settings.files.locks,
                              .prompts = &evaluation->settings.prompts,
                              .judges = &evaluation->settings.judges,
                              .components = evaluation->components,
                              .model_name = model_name,
                              .checkpoint = evaluation->checkpoint,
                              .out = evaluation->plan.out,
                              .report = stdout,
                              .require = program_flag(arguments, "--require"),
                              .score = &evaluation->settings.score,
                              .evaluate = &evaluation->settings.evaluate,
                              .units = units};
    TRY(run_tasks(evaluation, &task));
fail:
    if (unit_cache_close(units) != STATUS_OK && result == STATUS_OK)
        log_warning("%s", status_text());
    evaluation_free(evaluation);
    return result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
