/* RUN/config.yaml and RUN/run.json: what was run, and what decides its bits. */
#ifndef SPIRITLM_TRAIN_RUN_RECORD_H
#define SPIRITLM_TRAIN_RUN_RECORD_H

#include "train/run.h"

/* Makes the run's folder, writes the resolved configuration, and appends this start to run.json's list. With --resume
 * auto: STATUS_NO_PROGRESS when the last train.fruitless_starts starts were from this very step, which is not the last.
 */
enum status run_record_write(const struct trainer_setup *setup, const struct run_options *options, int64_t first_step);

#endif
