/* The task "learning": a table for the reader, the same numbers as results, and the pairs of held-out speech with its
 * shuffled copy, which are made here because this task knows the held-out documents. */
#include "eval/task.h"

#include "core/path.h"
#include "eval/scoring/results.h"
#include "eval/shuffled_pairs.h"
#include "io/atomic_file.h"

#include <math.h>

static const char protocol[] =
    "nats a deduplicated hubert unit (of text: a piece), the model's beside those of an interpolated Kneser-Ney bigram "
    "over the same tokens of the training documents; margin is the bigram's minus the model's with the ratio "
    "estimator's standard error over documents; documents longer than the model's context in windows of that length";

static enum status report_comparison(FILE *report, const char *name, const struct comparison *comparison,
                                     json_t *metrics)
{
    enum status result = STATUS_OK;
    char key[64], error[ESTIMATE_ERROR_BYTES];
    if (comparison->margin.n == 0)
        return STATUS_OK;
    fprintf(report, "%-24s %8.4f %8.4f %9.4f %8s %9lld %9.0f\n", name, comparison->model, comparison->bigram,
            comparison->margin.value, estimate_error_text(comparison->margin, error), (long long)comparison->margin.n,
            comparison->tokens);
    if (estimate_caveat(comparison->margin))
        fprintf(report, "  %s\n", estimate_caveat(comparison->margin));
    snprintf(key, sizeof key, "%s/model", name);
    TRY(results_add(metrics, key, (struct estimate){comparison->model, NAN, comparison->margin.n}));
    snprintf(key, sizeof key, "%s/bigram", name);
    TRY(results_add(metrics, key, (struct estimate){comparison->bigram, NAN, comparison->margin.n}));
    snprintf(key, sizeof key, "%s/margin", name);
    TRY(results_add(metrics, key, comparison->margin));
fail:
    return result;
}

static enum status report(FILE *file, const struct learning_result *learning, json_t *metrics)
{
    enum status result = STATUS_OK;
    fprintf(file, "%-24s %8s %8s %9s %8s %9s %9s\n", "nats per token, held out", "model", "bigram", "margin", "stderr",
            "documents", "tokens");
    TRY(report_comparison(file, "speech units", &learning->speech, metrics));
    TRY(report_comparison(file, "of real recordings", &learning->real_speech, metrics));
    TRY(report_comparison(file, "shuffled units", &learning->shuffled, metrics));
    TRY(report_comparison(file, "text pieces", &learning->text, metrics));
    if (learning->windowed > 0)
        fprintf(file, "%lld documents are longer than the model's context and were scored in windows\n",
                (long long)learning->windowed);
fail:
    return result;
}

enum status task_learning(const struct task *task, const struct learning_data *data, const json_t *inputs)
{
    enum status result = STATUS_OK;
    struct learning_result learning;
    char path[PATH_BYTES], error[ESTIMATE_ERROR_BYTES];
    json_t *metrics = json_object(), *all_inputs = json_copy((json_t *)(uintptr_t)inputs);
    TRY(learning_evaluate(task->model, data, &learning));
    TRY(report(task->report, &learning, metrics));
    TRY(make_directories(task->out));
    TRY(path_format(path, "%s/" SHUFFLED_PAIRS_NAME, task->out));
    TRY(shuffled_pairs_write(data, task->model->config.maximum_positions, path));
    if (all_inputs && json_object_set_new(all_inputs, "windowed_documents", json_integer(learning.windowed)) != 0)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    TRY(task_write(task, "learning", "learning", protocol, all_inputs, metrics, NULL));
    snprintf(task->outcome->headline, sizeof task->outcome->headline,
             "speech %.4f nats per unit, %.4f below the bigram (standard error %s)", learning.speech.model,
             learning.speech.margin.value, estimate_error_text(learning.speech.margin, error));
    TRY(task_judge(task, learning_judge(&learning)));
fail:
    json_decref(metrics);
    json_decref(all_inputs);
    return result;
}
