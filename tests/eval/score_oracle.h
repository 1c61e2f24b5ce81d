/* Losses computed in the simplest way: one sequence at a time through llama_logits, with the softmax in double. */
#ifndef SPIRITLM_TESTS_EVAL_SCORE_ORACLE_H
#define SPIRITLM_TESTS_EVAL_SCORE_ORACLE_H

#include "support/test_support.h"

#include "models/llama/llama.h"

#include <math.h>
#include <stdlib.h>

/* [count][V], to be freed; count fits the context. */
static inline float *oracle_logits(struct llama *model, const int32_t *ids, int64_t count)
{
    struct llama_workspace *workspace;
    float *logits = malloc((size_t)(count * model->config.vocabulary_size) * sizeof *logits);
    struct llama_batch batch = {.rows = 1, .length = count, .ids = ids};
    assert_non_null(logits);
    assert_ok(llama_workspace_create(model, &(struct llama_workspace_options){.rows = 1, .length = count}, &workspace));
    assert_ok(llama_logits(model, workspace, &batch, logits));
    llama_workspace_destroy(workspace);
    return logits;
}

/* losses[i] = -log p(ids[i] | ids[0..i-1]) for i >= 1. */
static inline void oracle_losses(struct llama *model, const int32_t *ids, int64_t count, double *losses)
{
    int64_t vocabulary = model->config.vocabulary_size;
    float *logits = oracle_logits(model, ids, count);
    losses[0] = 0;
    for (int64_t i = 1; i < count; i++) {
        const float *row = logits + (i - 1) * vocabulary;
        double largest = -INFINITY, sum = 0;
        for (int64_t v = 0; v < vocabulary; v++)
            largest = fmax(largest, (double)row[v]);
        for (int64_t v = 0; v < vocabulary; v++)
            sum += exp((double)row[v] - largest);
        losses[i] = largest + log(sum) - (double)row[ids[i]];
    }
    free(logits);
}

#endif
