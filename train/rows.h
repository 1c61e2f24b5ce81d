/* Packed rows in pinned memory, with everything that a pass over them needs beside the weights: made while the device works
 * on other rows, so that nothing is left to be prepared when it is free. */
#ifndef SPIRITLM_TRAIN_ROWS_H
#define SPIRITLM_TRAIN_ROWS_H

#include "models/llama/llama.h"
#include "text/vocabulary.h"

struct rows {
    int64_t count, length, micro_batch; /* passes take micro_batch rows at a time, the last one what is left */
    int32_t *ids, *targets, *starts;    /* [count][length] */
    int32_t *positions, *order;         /* [count][length]; order: of each pass by itself */
    uint8_t *groups;                    /* [count][length]: the kind of each target; 0 where it is not counted */
    double counts[TOKEN_KINDS];         /* counted targets of each kind */
    const struct kernels *kernels;      /* borrowed: what the memory came from */
    const struct device_context *context;
};

enum status rows_create(const struct kernels *kernels, const struct device_context *context, int64_t count,
                        int64_t length, int64_t micro_batch, struct rows *rows);
void rows_destroy(struct rows *rows); /* zeroed ones are fine */

/* Fills in what follows from ids, targets and starts. Touches nothing but the rows, so any thread may do it. Fails like
 * llama_batch_derive. */
enum status rows_derive(struct rows *rows, const struct vocabulary *vocabulary, const struct llama_config *config);

/* The rows of the pass that begins with row `first`. */
struct llama_batch rows_batch(const struct rows *rows, int64_t first);

#endif
