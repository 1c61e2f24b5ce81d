/* Who else wants a model's weights while they are made or read: in f32, before they are rounded to the model's type, piece
 * by piece. The optimizer takes its masters so. Nobody holds all of them on the host. */
#ifndef SPIRITLM_MODELS_LLAMA_WEIGHT_SINK_H
#define SPIRITLM_MODELS_LLAMA_WEIGHT_SINK_H

#include "core/status.h"

#include <stdint.h>

enum { WEIGHT_PIECE = 1 << 20 }; /* elements that a piece has at most: 4 MiB of f32 */

/* `take` is given elements [offset, offset + count) of the arena, never of its padding. The values lie in pinned memory
 * and stay untouched until all copies from them that `take` puts into the compute queue are over. */
struct weight_sink {
    enum status (*take)(void *argument, int64_t offset, const float *values, int64_t count);
    void *argument;
};

#endif
