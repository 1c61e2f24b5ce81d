/* What a run measures, step by step, in two files that other programs read: RUN/metrics.jsonl (one JSON object a line,
 * "step" in each) and RUN/tensorboard/events.out.tfevents.* (scalars, for TensorBoard). Both are cut to a checkpoint's
 * step when a run resumes: no step twice, none missing. */
#ifndef SPIRITLM_TRAIN_METRICS_H
#define SPIRITLM_TRAIN_METRICS_H

#include "core/status.h"

#include <jansson.h>
#include <stdint.h>

struct metrics;

/* Opens (or begins) the files of a run, first removing every line and event of a step > `last_step` (0: all). A last
 * line that a crash left half-written is removed too. */
enum status metrics_open(const char *run, int64_t last_step, struct metrics **metrics);

/* `values` (borrowed) holds numbers by name, "loss/text" for one; a non-finite one is written as null in JSON. */
enum status metrics_write(struct metrics *metrics, int64_t step, const json_t *values);

/* Everything written so far is on disk: called before a checkpoint is published. */
enum status metrics_sync(struct metrics *metrics);
void metrics_close(struct metrics *metrics); /* NULL is fine */

#endif
