/* Pairs: the model should find the correct one of two continuations likelier. The file has JSON lines
 *   {"id": "1", "prompt": [{"text": "..."}], "correct": [{"audio": "a.wav"}], "incorrect": [{"units": "[Hu1]..."}]}
 * where "prompt" may be missing and a side is a list of pieces or one piece. Two protocols are reported: the sum of the
 * log-likelihoods of the continuation's tokens, and their mean. A win counts 1, a tie 0.5. */
#ifndef SPIRITLM_EVAL_PAIRS_H
#define SPIRITLM_EVAL_PAIRS_H

#include "core/statistics.h"
#include "generate/prompt.h"
#include "models/llama/llama.h"

#include <jansson.h>

struct pairs_result {
    struct estimate sum, mean; /* accuracy by summed and by per-token log-likelihood */
    int64_t ties_sum, ties_mean;
    struct sha256 file_hash; /* of the bytes that were scored */
};

/* Reads and scores every line of `path` (audio relative to its folder). `samples` (NULL to skip) receives one object
 * per pair: id, and for each side tokens, sum and mean of the log-likelihood. STATUS_CORRUPT with file and line for a
 * bad line; STATUS_USAGE with the pair's id when a side with its prompt is longer than the model's context. */
enum status pairs_evaluate(struct llama *model, const struct components *components, const char *path,
                           struct pairs_result *result, json_t *samples);

/* STATUS_UNMET unless both accuracies lie above 0.5 by 2 standard errors. */
enum status pairs_judge(const struct pairs_result *pairs);

#endif
