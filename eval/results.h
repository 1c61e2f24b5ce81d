/* Results as other evaluation tools write them: DIR/results_TASK.json (task, metrics with their standard errors, n,
 * model, fingerprints) and DIR/samples_TASK.jsonl. */
#ifndef SPIRITLM_EVAL_RESULTS_H
#define SPIRITLM_EVAL_RESULTS_H

#include "eval/statistics.h"
#include "generate/components.h"

#include <jansson.h>

/* {"value", "standard_error", "n"} under `name`; a NaN becomes null. */
void results_add(json_t *metrics, const char *name, struct estimate estimate);

/* `metrics` and `samples` are borrowed; samples NULL: none are written. */
enum status results_write(const char *folder, const char *task, const char *model, const struct components *components,
                          const json_t *metrics, const json_t *samples);

#endif
