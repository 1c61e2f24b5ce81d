/* Scores of sequences along the tree of what they share. */
#ifndef SPIRITLM_EVAL_SCORING_BRANCH_SCORES_H
#define SPIRITLM_EVAL_SCORING_BRANCH_SCORES_H

#include "eval/scoring/prefix_tree.h"
#include "eval/scoring/vocabulary_parts.h"

/* Fills the scores of all sequences below children of the root that have children themselves: those that share something. How they
 * are computed depends on the tree and on the model's configuration alone. `done` is told how many sequences are finished. */
enum status branch_scores_run(struct llama *model, const struct vocabulary_ranges *ranges,
                              const struct prefix_tree *tree, void (*done)(void *context, int64_t sequences),
                              void *context);

#endif
