/* The scores of one part of a list (scoring/token_scores.h). */
#ifndef SPIRITLM_EVAL_SCORING_PART_SCORES_H
#define SPIRITLM_EVAL_SCORING_PART_SCORES_H

#include "eval/scoring/token_scores.h"
#include "eval/scoring/vocabulary_parts.h"

/* Is told how many sequences have been computed since the last call. */
struct part_meter {
    void (*done)(void *context, int64_t sequences);
    void *context;
};

/* Fills the scores of sequences that all have some and are different, sorted by prefix_compare; leaves the list in another order. */
enum status part_scores_run(struct llama *model, const struct vocabulary_ranges *ranges, struct token_sequence **list,
                            int64_t count, const struct part_meter *meter);

#endif
