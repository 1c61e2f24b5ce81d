/* A corpus of a few seconds and an untrained model: what scoring and generating need. */
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

/* `rows` utterances and texts, and a model with random weights and a context of `positions`. Fails the test on an
 * error. */
void tiny_world_open(int64_t rows, int64_t positions, struct tiny_world *world);
void tiny_world_close(struct tiny_world *world);

#endif
