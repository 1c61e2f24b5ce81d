/* What the files of RoBERTa share. */
#ifndef SPIRITLM_MODELS_ROBERTA_INTERNAL_H
#define SPIRITLM_MODELS_ROBERTA_INTERNAL_H

#include "models/host_linear.h"
#include "models/operations.h"
#include "models/parameters.h"
#include "models/roberta/roberta.h"

enum { ROBERTA_LAYERS_LIMIT = 256, ROBERTA_LEAST_LIMIT = 3 };

/* A weight and its bias: elements from the arena's start. Matrices lie there as [in][out]. */
struct roberta_pair {
    int64_t weight, bias;
};

struct roberta_layer {
    struct roberta_pair query, key, value, output, attention_norm, expand, contract, final_norm;
};

struct roberta {
    struct roberta_config config;
    struct parameters parameters;
    int64_t words, positions, types; /* tables; the row of token type 0 has been added to each position */
    struct roberta_pair norm;
    struct roberta_layer *layers;
    struct host_linear dense, out; /* of the head */
    float *weights;                /* device */
    struct sha256 fingerprint;
    const struct kernels *kernels;
    struct device_context *context;
};

/* Reads config.json and checks that its sizes fit together. */
enum status roberta_config_read(const char *folder, struct roberta_config *config);

#endif
