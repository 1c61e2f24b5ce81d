/* The small checkpoints of the speech models: published layouts with tensors that are a formula of their names, so that no
 * file has to hold them and any program makes the same bits. What the published implementation computes with them is in
 * tests/golden/speech_models. With i the element's index in C order and h the 64-bit FNV-1a hash of "tag/name":
 *   z = splitmix64's output for the state h + (i + 1) * 0x9e3779b97f4a7c15
 *   v = (z >> 40) * 2^-23 - 1                  in [-1, 1), exact in f32
 *   value = (v * scale) + offset               each rounded to f32 */
#ifndef SPIRITLM_TESTS_FORMULA_WEIGHTS_H
#define SPIRITLM_TESTS_FORMULA_WEIGHTS_H

#include "io/safetensors.h"

#include <stdint.h>

/* `count` values of the tensor `name` in the checkpoint `tag`. */
void formula_fill(const char *tag, const char *name, int64_t count, float scale, float offset, float *values);

/* One line of tests/golden/speech_models/weights_small.tsv. */
struct formula_tensor {
    char tag[24], name[128];
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    int64_t count; /* elements */
    float scale, offset;
};

/* All tensors of all checkpoints in the file's order: tags hubert, quantizer, kmeans, vqvae, style, hifigan_base,
 * hifigan_expr. */
struct formula_weights {
    struct formula_tensor *tensors;
    int64_t count;
    struct safetensors *fitted; /* the few tensors that no formula gives */
};

/* Both fail the test when they cannot do their work. */
void formula_weights_load(struct formula_weights *weights);
void formula_weights_free(struct formula_weights *weights);

const struct formula_tensor *formula_weights_find(const struct formula_weights *weights, const char *tag,
                                                  const char *name); /* NULL: none */

/* The tensor's values, those that no formula gives included (the quantizer's 0.bias, the style projector's bias, and the
 * 2.5 added to the quantizer's last output, the blank's). */
void formula_weights_fill(const struct formula_weights *weights, const struct formula_tensor *tensor, float *values);

#endif
