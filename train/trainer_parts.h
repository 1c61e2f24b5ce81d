/* What the files of the trainer share (trainer.c, trainer_data.c, trainer_state.c); nobody else includes it. */
#ifndef SPIRITLM_TRAIN_TRAINER_PARTS_H
#define SPIRITLM_TRAIN_TRAINER_PARTS_H

#include "train/trainer.h"

/* Packed rows on the host: [count][length] each. */
struct rows {
    int64_t count;
    int32_t *ids, *targets, *starts;
    uint8_t *groups; /* the kind of each target: whose sum its loss is added to */
};

struct trainer {
    struct trainer_setup setup;
    struct llama *model;
    struct optimizer *optimizer;
    struct llama_workspace *workspace;
    struct interleaver interleaver;
    struct dataset **datasets;
    struct lanes *lanes;
    struct guard *guard;
    double *group_sums; /* device, [LLAMA_LOSS_GROUPS] */
    int64_t own_lanes, micro_batch;
    struct rows rows;                     /* of this rank's lanes */
    struct rows validation[SOURCE_KINDS]; /* count 0: no such data is held out */
    int64_t steps, updates, tokens;       /* steps tried, steps that changed the weights, ids seen */
};

enum status rows_allocate(struct rows *rows, int64_t count, int64_t length);
void rows_free(struct rows *rows);
enum status validation_create(struct trainer *trainer);

#endif
