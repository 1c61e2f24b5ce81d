/* Losses the plain way: one sequence at a time through llama_logits, the softmax in double. */
#ifndef SPIRITLM_TESTS_EVAL_SCORE_ORACLE_H
#define SPIRITLM_TESTS_EVAL_SCORE_ORACLE_H

#include "support/test_support.h"
#include "support/tiny_corpus.h"

#include "models/llama.h"

#include <math.h>
#include <stdlib.h>

struct eval_world {
    struct tiny_corpus corpus;
    struct components *components;
    struct device_context context;
    struct llama *model;
};

/* A tiny corpus of `rows` utterances and texts, and a random model with `positions` positions of context. */
static inline int eval_world_open(int64_t rows, int64_t positions, struct eval_world *world)
{
    struct llama_config config = {512, 32, 48, 2, 4, 2, 8, positions, 10000, 1e-5, false};
    const struct kernels *kernels = kernels_cpu();
    tiny_corpus_make(rows, 1, &world->corpus);
    if (tiny_corpus_components(&world->corpus, &world->components) != STATUS_OK ||
        device_context_create(kernels, NULL, 0, &world->context) != STATUS_OK ||
        llama_create(&config, DTYPE_F32, kernels, &world->context, &world->model) != STATUS_OK)
        return -1;
    float *masters = calloc((size_t)world->model->layout.elements, sizeof(float));
    enum status made = llama_initialize(world->model, 5, 0.3, masters);
    free(masters);
    return made == STATUS_OK ? 0 : -1;
}

static inline void eval_world_close(struct eval_world *world)
{
    llama_destroy(world->model);
    device_context_destroy(kernels_cpu(), &world->context);
    components_free(world->components);
}

/* losses[i] = -log p(ids[i] | ids[0..i-1]) for i >= 1; count fits the context. */
static inline void oracle_losses(struct llama *model, const int32_t *ids, int64_t count, double *losses)
{
    int64_t vocabulary = model->config.vocabulary_size;
    struct llama_workspace *workspace;
    float *logits = malloc((size_t)(count * vocabulary) * sizeof *logits);
    struct llama_batch batch = {.rows = 1, .length = count, .ids = ids};
    assert_non_null(logits);
    assert_ok(llama_workspace_create(model, 1, count, RECOMPUTATION_NONE, false, &workspace));
    assert_ok(llama_logits(model, workspace, &batch, logits));
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
    llama_workspace_destroy(workspace);
    free(logits);
}

#endif
