/* A corpus of some seconds and a model that knows nothing: what scoring and generating need. */
#ifndef SPIRITLM_TESTS_TINY_WORLD_H
#define SPIRITLM_TESTS_TINY_WORLD_H

#include "support/tiny_corpus.h"

#include "models/llama/llama.h"

struct tiny_world {
    struct tiny_corpus corpus;
    struct components *components;
    struct device_context context;
    struct llama *model;
};

/* `rows` utterances and texts, and random weights with `positions` positions of context. Fails the test. */
void tiny_world_open(int64_t rows, int64_t positions, struct tiny_world *world);
void tiny_world_close(struct tiny_world *world);

#endif
