/* What the files of FCPE share. */
#ifndef SPIRITLM_MODELS_FCPE_INTERNAL_H
#define SPIRITLM_MODELS_FCPE_INTERNAL_H

#include "models/fcpe/fcpe.h"
#include "models/operations.h"
#include "models/parameters.h"

enum { FCPE_KERNEL = 31, FCPE_ENTRY_KERNEL = 3, FCPE_GROUPS = 4, FCPE_EXPANSION = 2, FCPE_LAYERS_LIMIT = 64 };
#define FCPE_EPSILON 1e-5f
#define FCPE_SLOPE 0.01f

/* A weight and its bias: elements from the arena's start. */
struct fcpe_pair {
    int64_t weight, bias;
};

struct fcpe_layer {
    struct fcpe_pair norm, expand, depthwise, contract;
};

/* The tables of the spectrum in device memory. */
struct fcpe_mel {
    void *memory; /* all of them */
    const double *window, *weights;
    const int32_t *first, *length, *offset;
    int64_t weight_count;
};

struct fcpe {
    struct fcpe_config config;
    struct parameters parameters;
    struct fcpe_pair entry[2], entry_norm, norm, head;
    struct fcpe_layer layers[FCPE_LAYERS_LIMIT];
    int64_t cents;     /* place of the table of steps */
    float *weights;    /* device */
    float *cent_table; /* [steps], host */
    struct fcpe_mel mel;
    struct sha256 fingerprint;
    const struct kernels *kernels;
    struct device_context *context;
};

static inline int64_t fcpe_inner(const struct fcpe_config *config)
{
    return FCPE_EXPANSION * config->hidden;
}

/* fcpe_mel.c */
enum status fcpe_mel_create(const struct fcpe_config *config, const struct kernels *kernels,
                            struct device_context *context, struct fcpe_mel *mel);

/* fcpe_track.c: the highest of `steps` values, the first of equal ones, and the frequency around it. */
void fcpe_decode(const float *values, int64_t steps, const float *cent_table, float *frequency, float *confidence);

#endif
