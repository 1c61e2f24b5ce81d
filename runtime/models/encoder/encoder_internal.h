/* What the files of the encoder share. */
#ifndef SPIRITLM_MODELS_ENCODER_INTERNAL_H
#define SPIRITLM_MODELS_ENCODER_INTERNAL_H

#include "models/encoder/encoder.h"
#include "models/encoder/encoder_names.h"
#include "models/operations.h"

/* ---- the arena of weights (encoder_layout.c) ---- */

/* One tensor of the checkpoint in the order of the arena. */
struct encoder_tensor {
    enum encoder_part part;
    int64_t index;
    bool bias;
    int rank;
    int64_t shape[3]; /* in the file */
    int64_t offset, count;
};

struct encoder_layout {
    struct encoder_tensor *tensors;
    int64_t count, capacity;
    int64_t elements;   /* of the arena; tensors begin at multiples of 64, but q, k and v follow each other */
    int64_t indices;    /* entries per part below */
    int64_t *weights;   /* [ENCODER_PARTS][indices] offsets */
    int64_t *biases;    /* likewise */
    int64_t last_layer; /* layers whose weights are there */
};

/* All tensors that passes up to `layer` use. */
enum status encoder_layout_create(const struct encoder_config *config, int64_t layer, struct encoder_layout *layout);
void encoder_layout_free(struct encoder_layout *layout);

/* ---- the encoder ---- */

struct encoder {
    struct encoder_config config;
    struct encoder_layout layout;
    int64_t layer; /* the furthest that passes go */
    const struct kernels *kernels;
    struct device_context *context;
    float *weights; /* device; how a tensor lies there: encoder_load.c */
    /* The first convolution and the group norm behind it, on the host: [O][K], [O]... (encoder_features.c) */
    float *first_weight, *first_norm_weight, *first_norm_bias;
    struct sha256 fingerprint;
};

static inline const float *encoder_weight(const struct encoder *encoder, enum encoder_part part, int64_t index)
{
    return encoder->weights + encoder->layout.weights[part * encoder->layout.indices + index];
}
static inline const float *encoder_bias(const struct encoder *encoder, enum encoder_part part, int64_t index)
{
    return encoder->weights + encoder->layout.biases[part * encoder->layout.indices + index];
}

/* Whether the first convolution has a group norm behind it. */
static inline bool encoder_has_group_norm(const struct encoder_config *config)
{
    return !config->layer_norm_features;
}

/* ---- a workspace ---- */

struct encoder_buffers {
    float *samples;                   /* of one clip */
    float *first_weight, *first_bias; /* of the first convolution with one clip's group norm in them */
    float *tiles[2];                  /* frames between two convolutions, of one tile */
    float *features;                  /* [N][F] */
    float *x, *y, *normal, *output;   /* [N][C] each */
    float *qkv;                       /* [N][3C] */
    float *wide;                      /* [rows of a block][I] */
    int32_t *lengths;                 /* [B] */
};

struct encoder_workspace {
    const struct encoder *encoder;
    struct device_context *context;
    int64_t clips, frames, samples; /* what the buffers have room for */
    void *memory;                   /* device: all buffers */
    struct encoder_buffers buffers;
    /* Pinned host memory: what is on its way to the device, free again after `sent`. */
    float *host_samples, *host_first;
    int32_t *host_lengths;
    struct device_event *sent;
    int64_t *clip_frames; /* [clips] */
    int64_t block_rows;   /* of the feed-forward layers */
    int64_t tile_frames;  /* of the convolutions */
};

/* One pass. B clips, T frames each with padding, N = BT. */
struct encoder_pass {
    struct compute compute;
    const struct encoder *encoder;
    struct encoder_workspace *workspace;
    int64_t clips, frames, rows; /* B, T, N */
    int64_t stop;
    const struct encoder_tap *tap; /* NULL: nobody looks */
};

/* Products of fewer rows have other bits than those of more (kernels/operations.h), so there are never fewer. */
enum { ENCODER_LEAST_ROWS = 17 };

/* Rows that a pass of this batch computes per clip. */
int64_t encoder_padded_frames(int64_t clips, int64_t frames);

/* Output frames of the convolutions that a tile computes at a time, and the numbers in its largest array. */
int64_t encoder_tile_frames(const struct encoder *encoder);
int64_t encoder_tile_elements(const struct encoder *encoder, int64_t tile_frames);

/* One clip's features, [frames][F] at buffers.features of its place (encoder_features.c). */
enum status encoder_run_features(const struct encoder_pass *pass, const struct encoder_clip *clip, int64_t place,
                                 int64_t frames);
/* Projection, positional convolution and layers of all clips; *values: where the result lies (encoder_layers.c). */
enum status encoder_run_layers(const struct encoder_pass *pass, const float **values);

#endif
