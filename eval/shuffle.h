/* Order destroyed, all else kept: the control of every claim about order. */
#ifndef SPIRITLM_EVAL_SHUFFLE_H
#define SPIRITLM_EVAL_SHUFFLE_H

#include "eval/scorer.h"
#include "text/vocabulary.h"

/* Permutes the tokens of one kind among their places in a document; the permutation is named by seed and document. */
enum status shuffle_kind(const struct vocabulary *vocabulary, enum token_kind kind, uint64_t seed, int64_t document,
                         struct scored_sequence *sequence);

#endif
