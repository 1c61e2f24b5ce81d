/* Results as other evaluation tools write them: DIR/results_NAME.json (task, protocol, metrics with their standard
 * errors, n, model, checkpoint, fingerprints, inputs) and DIR/samples_NAME.jsonl. */
#ifndef SPIRITLM_EVAL_SCORING_RESULTS_H
#define SPIRITLM_EVAL_SCORING_RESULTS_H

#include "core/statistics.h"
#include "package/components.h"

#include <jansson.h>

struct results_subject {
    const char *name;       /* used in the files' names: the task, and for pairs the file's name too */
    const char *task;       /* "pairs" */
    const char *protocol;   /* what was measured, in words */
    const char *model;      /* as the user named it */
    const char *checkpoint; /* the folder that it was resolved to */
    const struct components *components;
    const json_t *inputs; /* what was judged on: files with their SHA-256, datasets, seeds */
};

/* {"value", "standard_error", "n"} under `name`; a value that is not finite becomes null. Where the standard error says
 * nothing (estimate_caveat), "note" says why. */
enum status results_add(json_t *metrics, const char *name, struct estimate estimate);

/* `metrics` and `samples` are borrowed; samples NULL: none are written. */
enum status results_write(const char *folder, const struct results_subject *subject, const json_t *metrics,
                          const json_t *samples);

/* Makes the name of the results of a task on a file: "TASK_" and the file's name without folder and ending (".jsonl").
 * STATUS_USAGE when it does not fit. */
enum status results_file_name(const char *task, const char *path, const char *ending, char *name, int64_t size);

#endif
