/* The task intent: which of the intents of Fluent Speech Commands a command asks for, named after thirty examples. An answer is right
 * if it is the intent's name, letter by letter. */
#include "eval/task.h"

#include "core/utf8.h"
#include "eval/few_shot_run.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status add_sample(struct few_shot_run *run, int64_t index, double won)
{
    json_t *sample = few_shot_sample(run, index);
    if (sample && json_object_set_new(sample, "exact_match", json_integer(won > 0)) != 0) {
        json_decref(sample);
        sample = NULL;
    }
    return generation_results_sample(&run->results, sample);
}

/* Clips of one speaker are not independent, but whether the paper's numbers have errors at all is not said: s / sqrt(n). */
static enum status add_part(struct few_shot_run *run, const char *part, const double *won)
{
    enum status result = STATUS_OK;
    double *own = calloc((size_t)run->count + 1, sizeof *own);
    char name[96], error[ESTIMATE_ERROR_BYTES];
    json_t *metrics = NULL;
    int64_t count = 0;
    if (!own)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    for (int64_t i = 0; i < run->count; i++)
        if (!strcmp(run->corpus.items[run->tested[i]].part, part))
            own[count++] = won[i];
    const struct estimate mean = estimate_mean(own, count);
    metrics = json_pack("{s:o, s:o}", "exact_match,none", jdoc_number(mean.value), "exact_match_stderr,none",
                        jdoc_number(mean.standard_error));
    if (!metrics)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    TRY(few_shot_count_faults(run, part, metrics));
    utf8_print(run->task->report, "%-16s %11.4f %8s %7lld %7lld %7lld %7lld %7lld\n", part, mean.value,
               estimate_error_text(mean, error), (long long)count,
               json_integer_value(json_object_get(metrics, "other_modality")),
               json_integer_value(json_object_get(metrics, "too_long")),
               json_integer_value(json_object_get(metrics, "empty")),
               json_integer_value(json_object_get(metrics, "lost_shots")));
    if (*run->task->outcome->headline == 0)
        snprintf(run->task->outcome->headline, sizeof run->task->outcome->headline, "%.60s: exact match %.4f, n = %lld",
                 part, mean.value, (long long)count);
    snprintf(name, sizeof name, "intent_%.80s", part);
    TRY(generation_results_row(&run->results, &(struct generation_row){.name = name,
                                                                       .alias = part,
                                                                       .shots = run->shots.count,
                                                                       .expected = count,
                                                                       .effective = count,
                                                                       .higher_is_better = true,
                                                                       .metrics = json_incref(metrics)}));
fail:
    json_decref(metrics);
    free(own);
    return result;
}

static enum status judge(struct few_shot_run *run)
{
    enum status result = STATUS_OK;
    double *won = calloc((size_t)run->count + 1, sizeof *won);
    const char **parts = NULL;
    char *target = NULL;
    int64_t part_count;
    if (!won)
        FAIL(STATUS_INTERNAL, "no memory for the results");
    for (int64_t i = 0; i < run->count; i++) {
        TRY(text_in_letters(&run->pattern, run->corpus.items[run->tested[i]].answer, &target));
        won[i] = strcmp(target, run->answers[i].text) == 0;
        free(target);
        target = NULL;
        TRY(add_sample(run, i, won[i]));
    }
    TRY(few_shot_parts(run, &parts, &part_count));
    utf8_print(run->task->report, "%-16s %11s %8s %7s %7s %7s %7s %7s\n", "intent", "exact match", "stderr", "n",
               "other", "long", "empty", "lost");
    for (int64_t p = 0; p < part_count; p++)
        TRY(add_part(run, parts[p], won));
fail:
    free(target);
    free(won);
    free(parts);
    return result;
}

enum status task_intent(const struct task *task, const char *path)
{
    enum status result = STATUS_OK;
    struct few_shot_run run = {0};
    const struct few_shot_kind kind = {.name = "intent",
                                       .template = task->prompts->intent,
                                       .shots = 30,
                                       .read = fluent_commands_read,
                                       .rule = {.distinct_answers = true}};
    TRY(few_shot_run(task, &kind, path, &run));
    TRY(judge(&run));
    TRY(few_shot_finish(&run));
    task->outcome->holds = true;
fail:
    few_shot_run_free(&run);
    return result;
}
