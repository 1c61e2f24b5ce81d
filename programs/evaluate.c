/* evaluate: scores of a trained model, with their protocol (docs/evaluate.md). */
#include "core/log.h"
#include "eval/generation.h"
#include "eval/learning.h"
#include "eval/pairs.h"
#include "eval/results.h"
#include "eval/shuffled_pairs.h"
#include "io/atomic_file.h"
#include "programs/common/machine.h"
#include "programs/common/program.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct program_option options[] = {
    {"--model", "RUN_OR_CHECKPOINT", "the model (default train.run)", false},
    {"--out", "DIR", "folder of results and samples (default train.run/evaluation)", false},
    {"--require", NULL, "end with exit code 1 when the task's check does not hold", false},
};

static const struct program program = {
    .name = "evaluate",
    .usage = "--config FILE TASK [ARGUMENT ...] [--model M] [--out DIR] [--require] [key=value ...]",
    .summary = "Tasks: `pairs FILE.jsonl` (which of two continuations is likelier), `learning` (held-out nats a token "
               "against a Kneser-Ney bigram, with the units shuffled too; leaves pairs_shuffled.jsonl for `pairs`), "
               "`generation` (the bigram's nats a unit of 20 "
               "generated samples beside held-out speech).",
    .example = "evaluate --config configs/demo.yaml learning",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .takes_config = true,
    .takes_arguments = true,
};

struct evaluation {
    const struct program_arguments *arguments;
    struct settings settings;
    struct machine machine;
    struct components *components;
    struct llama *model;
    const char *model_name;
    char out[4096];
};

/* ---- pairs ---- */

static enum status run_pairs(struct evaluation *evaluation, const char *path)
{
    enum status result = STATUS_OK;
    struct pairs_result pairs;
    json_t *samples = json_array(), *metrics = json_object();
    if (!path)
        FAIL(STATUS_USAGE, "pairs needs a file of JSON lines");
    TRY(pairs_evaluate(evaluation->model, evaluation->components, path, &pairs, samples));
    printf("%-28s %8s %8s %6s %6s\n", "protocol", "accuracy", "stderr", "n", "ties");
    printf("%-28s %8.4f %8.4f %6lld %6lld\n", "sum of log-likelihoods", pairs.sum.value, pairs.sum.standard_error,
           (long long)pairs.sum.n, (long long)pairs.ties_sum);
    printf("%-28s %8.4f %8.4f %6lld %6lld\n", "mean a token", pairs.mean.value, pairs.mean.standard_error,
           (long long)pairs.mean.n, (long long)pairs.ties_mean);
    results_add(metrics, "accuracy_sum", pairs.sum);
    results_add(metrics, "accuracy_mean", pairs.mean);
    TRY(results_write(evaluation->out, "pairs", evaluation->model_name, evaluation->components, metrics, samples));
    if (program_flag(evaluation->arguments, "--require") && !(pairs.mean.value >= 0.5 + 2 * pairs.mean.standard_error &&
                                                              pairs.sum.value >= 0.5 + 2 * pairs.sum.standard_error))
        FAIL(STATUS_UNMET, "the correct side is not preferred by 2 standard errors");
fail:
    json_decref(samples);
    json_decref(metrics);
    return result;
}

/* ---- learning and generation, on the configured datasets ---- */

static enum status open_data(const struct evaluation *evaluation, struct dataset ***train, struct dataset ***held_out,
                             struct learning_data *data)
{
    enum status result = STATUS_OK;
    const struct data_settings *settings = &evaluation->settings.data;
    TRY(datasets_open(&settings->train, evaluation->components, train));
    TRY(datasets_open(&settings->validation, evaluation->components, held_out));
    *data = (struct learning_data){.components = evaluation->components,
                                   .interleaver = trainer_interleaver(settings, evaluation->components),
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

static void print_comparison(const char *name, const struct comparison *comparison, json_t *metrics)
{
    char key[64];
    if (comparison->margin.n == 0)
        return;
    printf("%-24s %8.4f %8.4f %9.4f %8.4f %9lld %9.0f\n", name, comparison->model, comparison->bigram,
           comparison->margin.value, comparison->margin.standard_error, (long long)comparison->margin.n,
           comparison->tokens);
    snprintf(key, sizeof key, "%s/model", name);
    results_add(metrics, key, (struct estimate){comparison->model, NAN, comparison->margin.n});
    snprintf(key, sizeof key, "%s/bigram", name);
    results_add(metrics, key, (struct estimate){comparison->bigram, NAN, comparison->margin.n});
    snprintf(key, sizeof key, "%s/margin", name);
    results_add(metrics, key, comparison->margin);
}

static enum status judge_learning(const struct learning_result *learning)
{
    if (!comparison_holds(&learning->speech, 0.05))
        return status_set(STATUS_UNMET, "speech: the model is not 0.05 nat and 2 standard errors below the bigram");
    if (comparison_holds(&learning->shuffled, 0.05))
        return status_set(STATUS_UNMET, "shuffled units pass the check too: it does not measure order");
    if (learning->text.margin.n > 0 && !comparison_holds(&learning->text, 0))
        return status_set(STATUS_UNMET, "text: the model is not below the bigram of the same pieces");
    return STATUS_OK;
}

static enum status run_learning(struct evaluation *evaluation, const char *unused)
{
    enum status result = STATUS_OK;
    struct dataset **train = NULL, **held_out = NULL;
    struct learning_data data;
    struct learning_result learning;
    json_t *metrics = json_object();
    (void)unused;
    TRY(open_data(evaluation, &train, &held_out, &data));
    TRY(learning_evaluate(evaluation->model, &data, &learning));
    printf("%-24s %8s %8s %9s %8s %9s %9s\n", "nats a token, held out", "model", "bigram", "margin", "stderr",
           "documents", "tokens");
    print_comparison("speech units", &learning.speech, metrics);
    print_comparison("of real recordings", &learning.real_speech, metrics);
    print_comparison("shuffled units", &learning.shuffled, metrics);
    print_comparison("text pieces", &learning.text, metrics);
    char path[4200];
    TRY(make_directories(evaluation->out));
    snprintf(path, sizeof path, "%s/pairs_shuffled.jsonl", evaluation->out);
    TRY(shuffled_pairs_write(&data, path));
    TRY(results_write(evaluation->out, "learning", evaluation->model_name, evaluation->components, metrics, NULL));
    if (program_flag(evaluation->arguments, "--require"))
        TRY(judge_learning(&learning));
fail:
    close_data(evaluation, train, held_out);
    json_decref(metrics);
    return result;
}

static enum status run_generation(struct evaluation *evaluation, const char *unused)
{
    enum status result = STATUS_OK;
    struct dataset **train = NULL, **held_out = NULL;
    struct learning_data data;
    struct generation_result generation;
    struct generation_options how = {.output = OUTPUT_SPEECH,
                                     .sampling = {1.0, 0, 1.0},
                                     .max_new_tokens = 200,
                                     .samples = 20,
                                     .seed = (uint64_t)evaluation->settings.train.seed};
    json_t *metrics = json_object();
    (void)unused;
    TRY(open_data(evaluation, &train, &held_out, &data));
    TRY(generation_evaluate(evaluation->model, &data, &how, &generation));
    double ratio = generation.generated / generation.held_out;
    printf("bigram nats a unit: %.4f generated (%lld samples, %lld units), %.4f held out, ratio %.3f\n",
           generation.generated, (long long)generation.samples, (long long)generation.units, generation.held_out,
           ratio);
    results_add(metrics, "generated", (struct estimate){generation.generated, NAN, generation.units});
    results_add(metrics, "held_out", (struct estimate){generation.held_out, NAN, 0});
    TRY(results_write(evaluation->out, "generation", evaluation->model_name, evaluation->components, metrics, NULL));
    if (program_flag(evaluation->arguments, "--require") && !(fabs(ratio - 1) <= 0.25))
        FAIL(STATUS_UNMET, "generated units lie more than 25 %% from held-out speech under the bigram");
fail:
    close_data(evaluation, train, held_out);
    json_decref(metrics);
    return result;
}

static const struct task {
    const char *name;
    enum status (*run)(struct evaluation *evaluation, const char *argument);
} tasks[] = {{"pairs", run_pairs}, {"learning", run_learning}, {"generation", run_generation}};

static const struct task *find_task(const char *name)
{
    for (size_t i = 0; name && i < sizeof tasks / sizeof *tasks; i++)
        if (!strcmp(tasks[i].name, name))
            return &tasks[i];
    return NULL;
}

static const char *plain_argument(const struct program_arguments *arguments, int64_t which)
{
    for (int64_t i = 0; i < arguments->count; i++)
        if (!arguments->items[i].option && which-- == 0)
            return arguments->items[i].value;
    return NULL;
}

static enum status run(const struct program_arguments *arguments)
{
    enum status result = STATUS_OK;
    struct evaluation *evaluation = calloc(1, sizeof *evaluation);
    if (!evaluation)
        return status_set(STATUS_INTERNAL, "no memory to evaluate");
    const char *name = plain_argument(arguments, 0);
    const struct task *task = find_task(name);
    evaluation->arguments = arguments;
    if (!task)
        FAIL(STATUS_USAGE, "the task is pairs, learning or generation, not \"%s\"", name ? name : "");
    TRY(settings_load(arguments, SETTINGS_DATA, &evaluation->settings));
    evaluation->model_name = program_value(arguments, "--model", evaluation->settings.train.run);
    const char *out = program_value(arguments, "--out", NULL);
    if (out)
        snprintf(evaluation->out, sizeof evaluation->out, "%s", out);
    else
        snprintf(evaluation->out, sizeof evaluation->out, "%s/evaluation", evaluation->settings.train.run);
    TRY(machine_create(evaluation->settings.train.threads, &evaluation->machine));
    TRY(model_load(evaluation->model_name, &evaluation->machine, &evaluation->components, &evaluation->model));
    TRY(task->run(evaluation, plain_argument(arguments, 1)));
fail:
    llama_destroy(evaluation->model);
    components_free(evaluation->components);
    machine_destroy(&evaluation->machine);
    settings_free(&evaluation->settings);
    free(evaluation);
    return result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
