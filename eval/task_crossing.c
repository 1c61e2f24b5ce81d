/* The task "crossing": whether a continuation is likelier after its own beginning in the other modality. There is no check: how
 * much a small model can know of that is to be seen, not required. */
#include "eval/task.h"

#include "eval/crossing.h"
#include "eval/scoring/results.h"

static const char protocol[] =
    "each held-out aligned utterance of at least four words, cut before its middle word; the second half's tokens, EOS "
    "included, in one modality after the first half in the other, once its own and once that of the next utterance in "
    "a random "
    "circle; accuracy: how often the own first half makes them likelier, 0.5 for a tie; margin: nats per token that it "
    "saves, "
    "ratio estimator over utterances; utterances longer than the model's context are left out";

static enum status report_score(FILE *report, const char *name, const struct crossing_score *score, json_t *metrics)
{
    enum status result = STATUS_OK;
    char key[64], error[2][ESTIMATE_ERROR_BYTES];
    if (score->accuracy.n == 0)
        return STATUS_OK;
    fprintf(report, "%-32s %8.4f %8s %9.4f %8s %9lld\n", name, score->accuracy.value,
            estimate_error_text(score->accuracy, error[0]), score->margin.value,
            estimate_error_text(score->margin, error[1]), (long long)score->accuracy.n);
    if (estimate_caveat(score->accuracy))
        fprintf(report, "  %s\n", estimate_caveat(score->accuracy));
    snprintf(key, sizeof key, "%s/accuracy", name);
    TRY(results_add(metrics, key, score->accuracy));
    snprintf(key, sizeof key, "%s/margin", name);
    TRY(results_add(metrics, key, score->margin));
fail:
    return result;
}

enum status task_crossing(const struct task *task, const struct learning_data *data, const json_t *inputs)
{
    enum status result = STATUS_OK;
    struct crossing_result found;
    json_t *metrics = json_object(), *all_inputs = json_copy((json_t *)(uintptr_t)inputs);
    TRY(crossing_evaluate(task->model, data, &found));
    fprintf(task->report, "%-32s %8s %8s %9s %8s %9s\n", "own against another's beginning", "accuracy", "stderr",
            "margin", "stderr", "n");
    TRY(report_score(task->report, "speech then text", &found.all[0], metrics));
    TRY(report_score(task->report, "speech then text, recordings", &found.real[0], metrics));
    TRY(report_score(task->report, "text then speech", &found.all[1], metrics));
    TRY(report_score(task->report, "text then speech, recordings", &found.real[1], metrics));
    if (found.left_out > 0)
        fprintf(task->report, "%lld utterances are longer than the model's context and were left out\n",
                (long long)found.left_out);
    if (all_inputs && json_object_set_new(all_inputs, "left_out", json_integer(found.left_out)) != 0)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    TRY(task_write(task, "crossing", "crossing", protocol, all_inputs, metrics, NULL));
    snprintf(task->outcome->headline, sizeof task->outcome->headline,
             "own beginning preferred: text after speech %.3f, speech after text %.3f", found.all[0].accuracy.value,
             found.all[1].accuracy.value);
    task->outcome->holds = true;
fail:
    json_decref(metrics);
    json_decref(all_inputs);
    return result;
}
