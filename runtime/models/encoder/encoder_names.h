/* How the tensors of an encoder are called: fairseq's names, which the release of Spirit LM keeps, and Hugging Face's. */
#ifndef SPIRITLM_MODELS_ENCODER_NAMES_H
#define SPIRITLM_MODELS_ENCODER_NAMES_H

#include "io/weights/named_tensors.h"

enum { ENCODER_NAME_BYTES = 256, ENCODER_PREFIX_BYTES = 128 };

enum encoder_part {
    ENCODER_CONVOLUTION, /* of convolution i */
    ENCODER_FEATURE_GROUP_NORM,
    ENCODER_FEATURE_LAYER_NORM, /* of convolution i */
    ENCODER_PROJECTION_NORM,
    ENCODER_PROJECTION,
    ENCODER_POSITIONAL,
    ENCODER_NORM,
    ENCODER_QUERY, /* this and the following: of layer i */
    ENCODER_KEY,
    ENCODER_VALUE,
    ENCODER_OUTPUT,
    ENCODER_ATTENTION_NORM,
    ENCODER_EXPAND,
    ENCODER_CONTRACT,
    ENCODER_FINAL_NORM,
    ENCODER_PARTS
};

struct encoder_names {
    bool hugging_face;
    char prefix[ENCODER_PREFIX_BYTES]; /* "model_weight.", "wav2vec2." or "" */
};

/* Finds out by the name of the first convolution's weight. STATUS_CORRUPT when there is none, or more than one. */
enum status encoder_names_find(const struct named_tensors *tensors, struct encoder_names *names);

/* "encoder.layers.3.fc1.weight" with the prefix; `tensor` is "weight" or "bias". */
void encoder_name(const struct encoder_names *names, enum encoder_part part, int64_t index, const char *tensor,
                  char name[static ENCODER_NAME_BYTES]);

#endif
