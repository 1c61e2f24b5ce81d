/* Which of a run's checkpoints has the best validation loss. */
#ifndef SPIRITLM_TRAIN_BEST_H
#define SPIRITLM_TRAIN_BEST_H

#include "core/status.h"

#include <stdint.h>

/* Of the checkpoints that are there, the one whose own step has the smallest finite "validation/loss" in RUN/metrics.jsonl, the
 * earlier one among equals. *step is -1 when none was validated. */
enum status best_checkpoint(const char *run, int64_t *step, double *loss);

#endif
