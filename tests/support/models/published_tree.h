/* The release's tree of speech models in small: its folders, files and layouts with weights of a formula (formula_weights.h), in the
 * published widths with two layers, and vocoders of 64 channels. tests/golden/speech_models has what the published implementation
 * computes with them. */
#ifndef SPIRITLM_TESTS_PUBLISHED_TREE_H
#define SPIRITLM_TESTS_PUBLISHED_TREE_H

#include "package/speech_composed.h"

#include <stdint.h>

enum { PUBLISHED_CLIPS = 3, PUBLISHED_LAYER = 2 };

/* Writes ROOT/speech_tokenizer/..., and ROOT itself. */
void published_tree_write(const char *root);

/* What configs/expressive.yaml and configs/base_7b.yaml name, but for the layer; f0 as it is given. */
struct speech_options published_options(const char *root, bool expressive, const char *f0);

/* The recordings that the golden values are of, as samples and as files; `name` is their key in clips.json. */
struct published_clip {
    const char *name, *path; /* path: NULL for the one that is samples without a header */
    float *samples;
    int64_t count;
};
void published_clips_load(struct published_clip clips[PUBLISHED_CLIPS]);
void published_clips_free(struct published_clip clips[PUBLISHED_CLIPS]);

/* A member of a clip in clips.json: "hubert", "pitch", "style" (numbers), "string_base", "string_expressive". Valid to the test's end. */
const char *published_value(const char *clip, const char *key);

#endif
