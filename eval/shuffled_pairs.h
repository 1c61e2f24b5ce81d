/* Makes a file for `evaluate pairs` from held-out speech: each utterance's units, against the same units with the
 * hubert ones shuffled among their places. */
#ifndef SPIRITLM_EVAL_SHUFFLED_PAIRS_H
#define SPIRITLM_EVAL_SHUFFLED_PAIRS_H

#include "eval/learning.h"

#define SHUFFLED_PAIRS_NAME "pairs_shuffled.jsonl"

/* Utterances of more than `context` tokens are left out: `pairs` would refuse them. */
enum status shuffled_pairs_write(const struct learning_data *data, int64_t context, const char *path);

#endif
