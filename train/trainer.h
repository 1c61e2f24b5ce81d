/* One rank of a training run: model, optimizer, data lanes and guard, advanced a step at a time. Files, logs and
 * signals are train/run.h's business. */
#ifndef SPIRITLM_TRAIN_TRAINER_H
#define SPIRITLM_TRAIN_TRAINER_H

#include "data/settings.h"
#include "package/components.h"
#include "train/guard.h"
#include "train/optimizer.h"
#include "train/settings.h"

#include <stdbool.h>

/* Borrowed by the trainer for its life. device_comm follows the compute queue of `context`. */
struct trainer_setup {
    const struct data_settings *data;
    const struct model_settings *model;
    const struct train_settings *train;
    const struct components *components;
    struct comm *comm;
    struct device_comm *device_comm;
    const struct kernels *kernels;
    struct device_context *context;
};

/* Sums over the whole global batch, or over validation rows. */
struct token_losses {
    double sum[TOKEN_KINDS];
    double count[TOKEN_KINDS];
};
double token_losses_mean(const struct token_losses *losses); /* over all kinds; NAN without a token */

struct step_result {
    int64_t step;
    struct token_losses losses;
    double loss, gradient_norm, learning_rate;
    int64_t tokens;      /* ids of the global batch */
    const char *skipped; /* NULL: the weights were updated; else why not */
};

struct trainer;

/* Opens the datasets, checks every fingerprint, builds the model with random or given weights (not when `empty`: a
 * checkpoint will fill it). */
enum status trainer_create(const struct trainer_setup *setup, bool empty, struct trainer **trainer);
void trainer_destroy(struct trainer *trainer);

/* Forward, backward, reduce, judge, update: one synchronize and no allocation of device memory. The update is in the queue
 * when this returns. STATUS_CORRUPT at GUARD_STOPS_AT skipped steps in a row. */
enum status trainer_step(struct trainer *trainer, struct step_result *result);

/* Losses on the held-out rows of one source; counts are zero when there are none. All ranks call. */
enum status trainer_validate(struct trainer *trainer, enum source_kind source, struct token_losses *losses);

int64_t trainer_steps_done(const struct trainer *trainer);
int64_t trainer_tokens_done(const struct trainer *trainer);
struct llama *trainer_model(struct trainer *trainer); /* its weights: after optimizer_finish_update */
struct optimizer *trainer_optimizer(struct trainer *trainer);

/* Names of the documents of the last step's rows on this rank ("dataset number:row number"), separated by spaces, for
 * the log of a skipped batch. Allocated for the caller; NULL when out of memory. */
char *trainer_last_documents(const struct trainer *trainer);

/* False while steps are being skipped: what is saved then must not push out what was saved before. */
bool trainer_is_healthy(const struct trainer *trainer);

/* Writes RUN/checkpoints/step_N of the present step. All ranks call. */
enum status trainer_save(struct trainer *trainer, const char *run);

/* Takes up a checkpoint: weights, moments, lanes, guard, step. Warns where what decides the bits differs. */
enum status trainer_load(struct trainer *trainer, const char *path);

/* What a rank with so many lanes makes its workspace with. */
struct llama_workspace_options trainer_workspace_options(const struct data_settings *data,
                                                         const struct train_settings *train, int64_t own_lanes);

/* The model's configuration that the settings ask for. */
enum status trainer_model_config(const struct data_settings *data, const struct model_settings *model,
                                 int32_t vocabulary_rows, struct llama_config *config);

#endif
