/* What the files of the trainer share (trainer.c, trainer_state.c); nobody else includes it. */
#ifndef SPIRITLM_TRAIN_TRAINER_PARTS_H
#define SPIRITLM_TRAIN_TRAINER_PARTS_H

#include "train/feed.h"
#include "train/trainer.h"

struct trainer {
    struct trainer_setup setup;
    struct llama_config config; /* the model's */
    struct llama *model;
    struct optimizer *optimizer;
    struct llama_workspace *workspace;
    struct interleaver interleaver;
    struct dataset **datasets;
    struct lanes *lanes;
    struct feed *feed; /* of this rank's lanes */
    struct guard *guard;
    int64_t own_lanes, micro_batch;
    struct rows held_out[SOURCE_KINDS]; /* this rank's; count 0: none */
    double *group_sums;                 /* device, [LLAMA_LOSS_GROUPS]: sums of losses by kind of token */
    double *group_sums_read;            /* pinned: what they were at the last synchronize */
    int64_t steps, updates, tokens;     /* steps tried, steps that changed the weights, ids seen */
};

#endif
