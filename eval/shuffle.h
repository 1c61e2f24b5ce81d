/* Destroys the order of a document's units and keeps everything else: the control for claims about order. */
#ifndef SPIRITLM_EVAL_SHUFFLE_H
#define SPIRITLM_EVAL_SHUFFLE_H

#include "eval/scoring/scorer.h"
#include "text/vocabulary.h"

/* Permutes the tokens of one kind among their places in a document; seed and document determine the permutation. */
enum status shuffle_kind(const struct vocabulary *vocabulary, enum token_kind kind, uint64_t seed, int64_t document,
                         struct scored_sequence *sequence);

#endif
