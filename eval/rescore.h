/* `evaluate rescore OUT`: other protocols, read off the samples of earlier runs without the model. */
#ifndef SPIRITLM_EVAL_RESCORE_H
#define SPIRITLM_EVAL_RESCORE_H

#include "eval/settings.h"

#include <stdio.h>

/* For each OUT/samples_TASK.jsonl of a benchmark: prints its numbers under the protocol of its run, changed by the options of `settings`, and
 * writes OUT/rescored_TASK.json, which is results_TASK.json with the new numbers: those that a new run would give, to the bit.
 * `named`: the configuration names a protocol, which is then used instead of the run's. STATUS_USAGE when OUT has no such samples, or
 * for an option that needs a pass of its own; STATUS_CORRUPT names file and line. */
enum status rescore(const char *out, const struct score_settings *settings, bool named, FILE *report);

#endif
