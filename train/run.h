/* A training run from its folder's point of view: config.yaml, run.json, metrics, checkpoints, report; resuming;
 * progress; signals. Rank 0 writes, all ranks compute.
 *   RUN/config.yaml          the resolved configuration
 *   RUN/run.json             what decides the bits, and the command of every start
 *   RUN/metrics.jsonl, RUN/tensorboard/, RUN/report.html
 *   RUN/checkpoints/step_00001000/
 *   RUN/.train.lock          while it trains (io/lock.h) */
#ifndef SPIRITLM_TRAIN_RUN_H
#define SPIRITLM_TRAIN_RUN_H

#include "io/lock.h"
#include "train/trainer.h"

#include <stdio.h>

enum resume_kind { RESUME_AUTO, RESUME_NONE, RESUME_PATH };

struct run_options {
    enum resume_kind resume;
    const char *resume_path;     /* for RESUME_PATH: a checkpoint folder */
    const char *command;         /* the command line, for run.json */
    const struct config *config; /* written to config.yaml; NULL: not */
    enum lock_policy locks;      /* on the run's folder */
};

/* Trains until the configured steps are done. The run's folder is locked meanwhile: STATUS_USAGE at once where another
 * program trains in it. STATUS_REQUEUE after a signal, with a checkpoint of the last step. */
enum status run_train(const struct trainer_setup *setup, const struct run_options *options);

/* Prints `count` documents of the training mixture as the model sees them: text as text, other ids by name. */
enum status run_show_samples(const struct trainer_setup *setup, int64_t count, FILE *file);

/* What is planned, without weights or data: all of it borrowed. */
struct run_plan {
    const struct kernels *kernels; /* only its sizes */
    const struct data_settings *data;
    const struct model_settings *model;
    const struct train_settings *train;
    int32_t vocabulary_rows;
    int ranks;
    int64_t device_bytes;    /* that a rank's device has; 0: unknown */
    const char *device_name; /* who says so, before the number: "train.device_memory is" */
};

/* Prints the memory of a rank, category by category, the batch and the steps. Then STATUS_USAGE where the device has less,
 * as training_memory_check says it. */
enum status run_print_plan(const struct run_plan *plan, FILE *file);

#endif
