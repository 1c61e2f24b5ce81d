/* What tests do with a model's weights but no program does: hold all of them on the host at once. */
#ifndef SPIRITLM_TESTS_WEIGHTS_H
#define SPIRITLM_TESTS_WEIGHTS_H

#include "models/llama/llama.h"

/* A sink that puts what it is given at its place in `arena` (f32, layout.elements; the padding stays as it is). */
struct weight_sink weights_into(float *arena);

/* `bytes` of the device's memory, copied to the host; the caller frees. Fails the test on an error. */
void *device_copy(const struct llama *model, const void *memory, size_t bytes);

/* The arena of weights, in the model's type, copied likewise. */
void *weights_of(const struct llama *model);

/* `values` (f32, `count`) over the weights of an f32 model from element `offset` on. */
void weights_overwrite(struct llama *model, int64_t offset, const float *values, int64_t count);

#endif
