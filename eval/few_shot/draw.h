/* Draws that depend on nothing but what each thing is called: things are taken in the order of a hash, so that adding or removing
 * one never changes the order of the others. */
#ifndef SPIRITLM_EVAL_FEW_SHOT_DRAW_H
#define SPIRITLM_EVAL_FEW_SHOT_DRAW_H

#include "core/hash.h"

struct drawn {
    struct sha256 order; /* of a seed and the thing's name: the caller's choice */
    int64_t index;       /* the thing's number */
};

/* Sorts by `order`. */
void draw_sort(struct drawn *drawn, int64_t count);

#endif
