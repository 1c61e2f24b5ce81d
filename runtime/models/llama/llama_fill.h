/* Values that are made on the host, piece by piece, become weights of the model. */
#ifndef SPIRITLM_MODELS_LLAMA_FILL_H
#define SPIRITLM_MODELS_LLAMA_FILL_H

#include "models/llama/llama.h"
#include "models/staging.h"

enum { FILL_BLOCK = 1 << 15 }; /* elements of one task of the thread pool: a piece has at most 32 */

struct llama_fill {
    struct llama *model;            /* borrowed */
    const struct weight_sink *sink; /* borrowed; NULL: none */
    void *destination;              /* device memory of the model's type: its arena */
    struct staging staging;
    float *values; /* [WEIGHT_PIECE]: the piece that is being made */
};

enum status llama_fill_open(struct llama *model, const struct weight_sink *sink, struct llama_fill *fill);
enum status llama_fill_open_at(struct llama *model, void *destination,
                               struct llama_fill *fill); /* not into the arena */

/* Points fill->values at room for the next piece. */
enum status llama_fill_next(struct llama_fill *fill);

/* The `count` values made since then are elements [offset, offset + count) of the destination: they are rounded to the model's
 * type, start on their way to it, and are given to the sink. */
enum status llama_fill_send(struct llama_fill *fill, int64_t offset, int64_t count);

/* As staging_close. */
enum status llama_fill_close(struct llama_fill *fill, enum status status);

/* Bytes of host memory between open and close. */
int64_t llama_fill_bytes(enum dtype dtype);

#endif
