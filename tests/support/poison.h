/* Faults put into chosen steps of a training: a loss or a gradient that is not finite, or finite and far too large. The
 * operations of a table of kernels are replaced by ones that compute as before and then spoil their result, through the
 * table. Each rank is a thread of its own with faults of its own. */
#ifndef SPIRITLM_TESTS_POISON_H
#define SPIRITLM_TESTS_POISON_H

#include "kernels/kernels.h"

enum poison_kind {
    POISON_NONE,
    POISON_LOSS_NAN, /* of one token; the gradients stay as they are */
    POISON_LOSS_INFINITE,
    POISON_LOSS_MINUS_INFINITE,
    POISON_GRADIENT_NAN, /* of one weight; the losses stay as they are */
    POISON_GRADIENT_INFINITE,
    POISON_GRADIENT_MINUS_INFINITE,
    POISON_NORM_OVERFLOWS, /* all gradients are finite, their norm is not an f32 */
    POISON_LOSS_SPIKE,     /* every loss is ten times as large */
    POISON_GRADIENT_SPIKE, /* one gradient is 10^4 */
    POISON_KINDS
};
const char *poison_name(enum poison_kind kind);

/* The calling thread's next training: steps first..last (from 1, in the order in which they are computed) are spoiled.
 * Needs one forward and backward pass a step, so micro_batch 0. The gradient is the one at `element` of the embedding
 * table, until another is aimed at. */
void poison_begin(enum poison_kind kind, int64_t first, int64_t last, int64_t element);

/* From now on: this one of the gradients' arena (device memory), which must be that of a weight. */
void poison_aim(const float *gradient);

/* Puts the spoiling operations into a copy of test_kernels(). */
void poison_kernels(struct kernels *kernels);

#endif
