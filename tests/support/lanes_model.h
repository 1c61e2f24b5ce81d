/* What lanes promise (data/lanes.h, data/lanes_order.h), implemented as simply as possible: whole epochs as lists, a
 * row of tokens built one token at a time, nothing saved or restored, no ranks. Slow, and without any of the cursors,
 * windows and carried states that the lanes have. */
#ifndef SPIRITLM_TESTS_LANES_MODEL_H
#define SPIRITLM_TESTS_LANES_MODEL_H

#include "support/lanes_fixture.h"

/* A dataset as it was made. */
struct made_dataset {
    enum dataset_kind kind;
    const struct made_row *rows;
    int64_t count, rows_per_shard;
};

struct model_place {
    int64_t dataset, row;
};

/* One document of a lane. */
struct model_draw {
    int source;
    int64_t epoch;
    struct model_place place;
};

struct lanes_model;

/* `datasets` and `interleaver` are borrowed. */
struct lanes_model *lanes_model_create(const struct lanes_options *options, const struct interleaver *interleaver,
                                       const struct made_dataset *const *datasets, int64_t dataset_count);
void lanes_model_free(struct lanes_model *model);

/* Number of a source's rows in all its datasets; 0: the source has no document. */
int64_t lanes_model_rows(const struct lanes_model *model, int source);
bool lanes_model_usable(const struct lanes_model *model, int source, struct model_place place);
/* Number of the shard that holds a row, counted over the source's datasets. */
int64_t lanes_model_shard(const struct lanes_model *model, int source, struct model_place place, int64_t *rows);

/* Changes the weights from here on: shares are counted from zero again if one differs. */
void lanes_model_set_weights(struct lanes_model *model, const double weights[SOURCE_KINDS]);

/* The lane's next row: arrays of sequence_length, and the documents that gave it tokens, in order. */
struct model_row {
    int32_t *ids, *targets, *starts;
    struct model_place *places;
    int64_t place_count;
};
void lanes_model_next(struct lanes_model *model, int64_t lane, struct model_row *row);

/* All documents that the lane has drawn, in order; *count of them. */
const struct model_draw *lanes_model_draws(const struct lanes_model *model, int64_t lane, int64_t *count);

/* Number of a source's tokens that all lanes have given. */
int64_t lanes_model_tokens(const struct lanes_model *model, int source);

/* The number of epochs of a source of which the lane has taken its whole part. */
int64_t lanes_model_epochs_done(struct lanes_model *model, int64_t lane, int source);

/* First row of part `part` of an epoch of `rows` rows. */
int64_t lanes_model_part(int64_t rows, int64_t part, int64_t lanes);

#endif
