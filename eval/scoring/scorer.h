/* Losses of many token sequences under a model, packed side by side without attention between them. */
#ifndef SPIRITLM_EVAL_SCORING_SCORER_H
#define SPIRITLM_EVAL_SCORING_SCORER_H

#include "models/llama/llama.h"

struct scored_sequence {
    int32_t *ids; /* owned by the caller */
    int64_t count;
    float *losses; /* [count]: losses[i] = -log p(ids[i] | ids before it), losses[0] = 0; filled by the scorer */
};

/* A sequence longer than the model's context is scored in windows of that many tokens, each of which begins with the
 * last token of the one before and sees nothing earlier. Shows progress. STATUS_CORRUPT when a loss is not finite. */
enum status scorer_run(struct llama *model, struct scored_sequence *sequences, int64_t count);

#endif
