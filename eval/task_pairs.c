/* The task "pairs". Both protocols that are in use, the sum and the mean of the log-likelihoods, are always reported:
 * published numbers follow one or the other, and the one that suits a benchmark should not be chosen after the fact. */
#include "eval/task.h"

#include "core/utf8.h"
#include "eval/pairs.h"
#include "eval/scoring/results.h"

#include <stdlib.h>

static const char protocol[] =
    "log-likelihood of each side's tokens after the prompt and the tag that leads to the side, "
    "once summed and once the mean a token; the likelier side wins; 1 for a win of the "
    "correct side, 0.5 for a tie; sides in the model's context whole";

static json_t *describe_file(const char *path, const struct sha256 *hash)
{
    char hex[65], *whole = realpath(path, NULL);
    sha256_hex(hash, hex);
    json_t *inputs = json_pack("{s:{s:s, s:s}}", "pairs_file", "path", whole ? whole : path, "sha256", hex);
    free(whole);
    return inputs;
}

static void report_accuracy(FILE *report, const char *name, struct estimate accuracy, int64_t ties)
{
    char error[ESTIMATE_ERROR_BYTES];
    utf8_print(report, "%-28s %8.4f %8s %6lld %6lld\n", name, accuracy.value, estimate_error_text(accuracy, error),
               (long long)accuracy.n, (long long)ties);
    if (estimate_caveat(accuracy))
        fprintf(report, "  %s\n", estimate_caveat(accuracy));
}

enum status task_pairs(const struct task *task, const char *path)
{
    enum status result = STATUS_OK;
    struct pairs_result pairs;
    char name[256];
    json_t *samples = json_array(), *metrics = json_object(), *inputs = NULL;
    TRY(results_file_name("pairs", path, ".jsonl", name, sizeof name));
    TRY(pairs_evaluate(task->model, task->components, path, &pairs, samples));
    fprintf(task->report, "%-28s %8s %8s %6s %6s\n", "protocol", "accuracy", "stderr", "n", "ties");
    report_accuracy(task->report, "sum of log-likelihoods", pairs.sum, pairs.ties_sum);
    report_accuracy(task->report, "mean per token", pairs.mean, pairs.ties_mean);
    TRY(results_add(metrics, "accuracy_sum", pairs.sum));
    TRY(results_add(metrics, "accuracy_mean", pairs.mean));
    inputs = describe_file(path, &pairs.file_hash);
    TRY(task_write(task, name, "pairs", protocol, inputs, metrics, samples));
    snprintf(task->outcome->headline, sizeof task->outcome->headline,
             "accuracy %.4f by the sum, %.4f by the mean per token, n = %lld", pairs.sum.value, pairs.mean.value,
             (long long)pairs.sum.n);
    TRY(task_judge(task, pairs_judge(&pairs)));
fail:
    json_decref(samples);
    json_decref(metrics);
    json_decref(inputs);
    return result;
}
