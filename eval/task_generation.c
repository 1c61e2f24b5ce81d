/* The task "generation". Its settings are fixed and part of the protocol's text: the number can only be compared with
 * others that were sampled in the same way. */
#include "eval/task.h"

#include "eval/generation.h"
#include "eval/scoring/results.h"

#include <math.h>

static const char protocol[] = "nats a unit under a Kneser-Ney bigram over the hubert units of the training "
                               "utterances: those of 20 samples of 200 "
                               "tokens (temperature 1, no truncation, empty prompt) beside those of held-out speech";

enum status task_generation(const struct task *task, const struct learning_data *data, const json_t *inputs)
{
    enum status result = STATUS_OK;
    struct generation_result generation;
    const struct generation_options how = {
        .output = OUTPUT_SPEECH, .sampling = {1.0, 0, 1.0}, .max_new_tokens = 200, .samples = 20, .seed = data->seed};
    json_t *metrics = json_object();
    TRY(generation_evaluate(task->model, data, &how, &generation));
    fprintf(task->report,
            "bigram nats per unit: %.4f generated (%lld samples, %lld units), %.4f held out, ratio %.3f\n",
            generation.generated, (long long)generation.samples, (long long)generation.units, generation.held_out,
            generation.generated / generation.held_out);
    TRY(results_add(metrics, "generated", (struct estimate){generation.generated, NAN, generation.units}));
    TRY(results_add(metrics, "held_out", (struct estimate){generation.held_out, NAN, generation.held_out_units}));
    TRY(task_write(task, "generation", "generation", protocol, inputs, metrics, NULL));
    snprintf(task->outcome->headline, sizeof task->outcome->headline,
             "%.4f nats per generated unit, %.3f of held-out speech's", generation.generated,
             generation.generated / generation.held_out);
    TRY(task_judge(task, generation_judge(&generation)));
fail:
    json_decref(metrics);
    return result;
}
