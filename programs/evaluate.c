/* evaluate: scores of a trained model, with their protocol (docs/evaluate.md). */
#include "core/log.h"
#include "eval/documents.h"
#include "eval/generation.h"
#include "eval/learning.h"
#include "eval/pairs.h"
#include "eval/results.h"
#include "eval/shuffled_pairs.h"
#include "io/atomic_file.h"
#include "programs/common/load_model.h"
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
    char *checkpoint; /* what it was resolved to */
    char out[4096];
};

static enum status write_results(const struct evaluation *evaluation, const char *name, const char *task,
                                 const char *protocol, const json_t *inputs, const json_t *metrics,
                                 const json_t *samples)
{
    const struct results_subject subject = {.name = name,
                                            .task = task,
                                            .protocol = protocol,
                                            .model = evaluation->model_name,
                                            .checkpoint = evaluation->checkpoint,
                                            .components = evaluation->components,
                                            .inputs = inputs};
    if (!inputs)
        return status_set(STATUS_INTERNAL, "no memory for the results, or the path of an input is not UTF-8");
    return results_write(evaluation->out, &subject, metrics, samples);
}

/* The whole path of a file or folder that exists; NULL when it cannot be found. */
static char *whole_path(const char *path)
{
    return realpath(path, NULL);
}

/* ---- pairs ---- */

static const char pairs_protocol[] = "log-likelihood of each side's tokens after the prompt and the tag that leads to "
                                     "the side, once summed and once the "
                                     "mean a token; the likelier side wins; 1 for a win of the correct side, 0.5 for a "
                                     "tie; sides in the model's context "
                                     "whole";

static json_t *pairs_inputs(const char *path, const struct sha256 *hash)
{
    char hex[65], *whole = whole_path(path);
    sha256_hex(hash, hex);
    json_t *inputs = json_pack("{s:{s:s, s:s}}", "pairs_file", "path", whole ? whole : path, "sha256", hex);
    free(whole);
    return inputs;
}

static enum status run_pairs(struct evaluation *evaluation, const char *path)
{
    enum status result = STATUS_OK;
    struct pairs_result pairs;
    char name[256];
    json_t *samples = json_array(), *metrics = json_object(), *inputs = NULL;
    TRY(results_pairs_name(path, name, sizeof name));
    TRY(pairs_evaluate(evaluation->model, evaluation->components, path, &pairs, samples));
    printf("%-28s %8s %8s %6s %6s\n", "protocol", "accuracy", "stderr", "n", "ties");
    printf("%-28s %8.4f %8.4f %6lld %6lld\n", "sum of log-likelihoods", pairs.sum.value, pairs.sum.standard_error,
           (long long)pairs.sum.n, (long long)pairs.ties_sum);
    printf("%-28s %8.4f %8.4f %6lld %6lld\n", "mean a token", pairs.mean.value, pairs.mean.standard_error,
           (long long)pairs.mean.n, (long long)pairs.ties_mean);
    TRY(results_add(metrics, "accuracy_sum", pairs.sum));
    TRY(results_add(metrics, "accuracy_mean", pairs.mean));
    inputs = pairs_inputs(path, &pairs.file_hash);
    TRY(write_results(evaluation, name, "pairs", pairs_protocol, inputs, metrics, samples));
    if (program_flag(evaluation->arguments, "--require") && !(pairs.mean.value >= 0.5 + 2 * pairs.mean.standard_error &&
                                                              pairs.sum.value >= 0.5 + 2 * pairs.sum.standard_error))
        FAIL(STATUS_UNMET, "the correct side is not preferred by 2 standard errors");
fail:
    json_decref(samples);
    json_decref(metrics);
    json_decref(inputs);
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
        char *whole = whole_path(paths->items[i]);
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

static enum status report_comparison(const char *name, const struct comparison *comparison, json_t *metrics)
{
    enum status result = STATUS_OK;
    char key[64];
    if (comparison->margin.n == 0)
        return STATUS_OK;
    printf("%-24s %8.4f %8.4f %9.4f %8.4f %9lld %9.0f\n", name, comparison->model, comparison->bigram,
           comparison->margin.value, comparison->margin.standard_error, (long long)comparison->margin.n,
           comparison->tokens);
    snprintf(key, sizeof key, "%s/model", name);
    TRY(results_add(metrics, key, (struct estimate){comparison->model, NAN, comparison->margin.n}));
    snprintf(key, sizeof key, "%s/bigram", name);
    TRY(results_add(metrics, key, (struct estimate){comparison->bigram, NAN, comparison->margin.n}));
    snprintf(key, sizeof key, "%s/margin", name);
    TRY(results_add(metrics, key, comparison->margin));
fail:
    return result;
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

static const char learning_protocol[] =
    "nats a deduplicated hubert unit (of text: a piece), the model's beside those of an interpolated Kneser-Ney bigram "
    "over the same tokens of the training documents; margin is the bigram's minus the model's with the ratio "
    "estimator's standard error over documents; documents longer than the model's context in windows of that length";

static enum status run_learning(struct evaluation *evaluation, const char *unused)
{
    enum status result = STATUS_OK;
    struct dataset **train = NULL, **held_out = NULL;
    struct learning_data data;
    struct learning_result learning;
    json_t *metrics = json_object(), *inputs = NULL;
    (void)unused;
    TRY(open_data(evaluation, &train, &held_out, &data));
    TRY(learning_evaluate(evaluation->model, &data, &learning));
    printf("%-24s %8s %8s %9s %8s %9s %9s\n", "nats a token, held out", "model", "bigram", "margin", "stderr",
           "documents", "tokens");
    TRY(report_comparison("speech units", &learning.speech, metrics));
    TRY(report_comparison("of real recordings", &learning.real_speech, metrics));
    TRY(report_comparison("shuffled units", &learning.shuffled, metrics));
    TRY(report_comparison("text pieces", &learning.text, metrics));
    if (learning.windowed > 0)
        printf("%lld documents are longer than the model's context and were scored in windows\n",
               (long long)learning.windowed);
    char path[4200];
    TRY(make_directories(evaluation->out));
    snprintf(path, sizeof path, "%s/pairs_shuffled.jsonl", evaluation->out);
    TRY(shuffled_pairs_write(&data, evaluation->model->config.maximum_positions, path));
    inputs = dataset_inputs(evaluation);
    if (inputs && json_object_set_new(inputs, "windowed_documents", json_integer(learning.windowed)) != 0)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    TRY(write_results(evaluation, "learning", "learning", learning_protocol, inputs, metrics, NULL));
    if (program_flag(evaluation->arguments, "--require"))
        TRY(judge_learning(&learning));
fail:
    close_data(evaluation, train, held_out);
    json_decref(metrics);
    json_decref(inputs);
    return result;
}

static const char generation_protocol[] =
    "nats a unit under a Kneser-Ney bigram over the hubert units of the training utterances: those of 20 samples of "
    "200 "
    "tokens (temperature 1, no truncation, empty prompt) beside those of held-out speech";

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
    json_t *metrics = json_object(), *inputs = NULL;
    (void)unused;
    TRY(open_data(evaluation, &train, &held_out, &data));
    TRY(generation_evaluate(evaluation->model, &data, &how, &generation));
    double ratio = generation.generated / generation.held_out;
    printf("bigram nats a unit: %.4f generated (%lld samples, %lld units), %.4f held out, ratio %.3f\n",
           generation.generated, (long long)generation.samples, (long long)generation.units, generation.held_out,
           ratio);
    TRY(results_add(metrics, "generated", (struct estimate){generation.generated, NAN, generation.units}));
    TRY(results_add(metrics, "held_out", (struct estimate){generation.held_out, NAN, 0}));
    inputs = dataset_inputs(evaluation);
    TRY(write_results(evaluation, "generation", "generation", generation_protocol, inputs, metrics, NULL));
    if (program_flag(evaluation->arguments, "--require") && !(fabs(ratio - 1) <= 0.25))
        FAIL(STATUS_UNMET, "generated units lie more than 25 %% from held-out speech under the bigram");
fail:
    close_data(evaluation, train, held_out);
    json_decref(metrics);
    json_decref(inputs);
    return result;
}

static const struct task {
    const char *name;
    enum status (*run)(struct evaluation *evaluation, const char *argument);
    const char *argument; /* what it needs; NULL: it takes none */
} tasks[] = {{"pairs", run_pairs, "a file of JSON lines"},
             {"learning", run_learning, NULL},
             {"generation", run_generation, NULL}};

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
    char *path = NULL;
    struct evaluation *evaluation = calloc(1, sizeof *evaluation);
    if (!evaluation)
        return status_set(STATUS_INTERNAL, "no memory to evaluate");
    const char *name = plain_argument(arguments, 0);
    const struct task *task = find_task(name);
    evaluation->arguments = arguments;
    if (!task)
        FAIL(STATUS_USAGE, "the task is pairs, learning or generation, not \"%s\"", name ? name : "");
    const char *argument = plain_argument(arguments, 1), *surplus = plain_argument(arguments, task->argument ? 2 : 1);
    if (task->argument && !argument)
        FAIL(STATUS_USAGE, "%s needs %s", name, task->argument);
    if (surplus)
        FAIL(STATUS_USAGE, "%s does not know what to do with \"%s\"", name, surplus);
    TRY(settings_load(arguments, SETTINGS_DATA, &evaluation->settings));
    evaluation->model_name = program_value(arguments, "--model", evaluation->settings.train.run);
    const char *out = program_value(arguments, "--out", NULL);
    int used = out ? snprintf(evaluation->out, sizeof evaluation->out, "%s", out)
                   : snprintf(evaluation->out, sizeof evaluation->out, "%s/evaluation", evaluation->settings.train.run);
    if (used < 0 || (size_t)used >= sizeof evaluation->out)
        FAIL(STATUS_USAGE, "the path of the results is too long");
    TRY(machine_create(evaluation->settings.train.threads, &evaluation->machine));
    TRY(model_load(evaluation->model_name, &evaluation->machine, &evaluation->components, &evaluation->model, &path));
    evaluation->checkpoint = whole_path(path);
    if (!evaluation->checkpoint)
        FAIL(STATUS_INTERNAL, "no memory for the path of %s", path);
    TRY(task->run(evaluation, argument));
fail:
    llama_destroy(evaluation->model);
    components_free(evaluation->components);
    machine_destroy(&evaluation->machine);
    free(path);
    free(evaluation->checkpoint);
    settings_free(&evaluation->settings);
    free(evaluation);
    return result;
}

int main(int argc, char **argv)
{
    return program_main(&program, argc, argv, run);
}
