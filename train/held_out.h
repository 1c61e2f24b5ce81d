/* The held-out rows that a run validates on. */
#ifndef SPIRITLM_TRAIN_HELD_OUT_H
#define SPIRITLM_TRAIN_HELD_OUT_H

#include "data/settings.h"
#include "train/rows.h"

struct held_out_options {
    const struct data_settings *data;
    const struct components *components;
    const struct llama_config *config;
    int64_t rows; /* of each source, over all ranks */
    int rank, ranks;
    int64_t micro_batch;
    const struct kernels *kernels; /* borrowed by the rows */
    const struct device_context *context;
};

/* rows[source]: this rank's share of the first rows of one lane that draws from this source alone, whatever the number of
 * ranks; left alone where nothing is held out of the source, or its weight is 0. For rows_destroy, also after a failure. */
enum status held_out_rows(const struct held_out_options *options, struct rows rows[SOURCE_KINDS]);

#endif
