/* What the files of the vocoder share. */
#ifndef SPIRITLM_MODELS_HIFIGAN_INTERNAL_H
#define SPIRITLM_MODELS_HIFIGAN_INTERNAL_H

#include "models/hifigan/hifigan.h"
#include "models/operations.h"

/* ---- the arena of weights (hifigan_layout.c) ---- */

enum { HIFIGAN_NAME_BYTES = 96 };

enum hifigan_kind {
    HIFIGAN_PLAIN,       /* as it is */
    HIFIGAN_CONVOLUTION, /* [O][I][K], in the arena [O][K][I] */
    HIFIGAN_NORMALISED,  /* the same, in the file as direction and length for each output */
    HIFIGAN_TRANSPOSED,  /* [I][O][K], in the arena [K][O][I]; direction and length for each input */
};

struct hifigan_tensor {
    enum hifigan_kind kind;
    char name[HIFIGAN_NAME_BYTES]; /* without the file's prefix */
    int rank;
    int64_t shape[3]; /* in the file */
    int64_t offset, count;
    bool averages; /* its input is the sum of a stage's blocks, of which it wants the mean */
};

struct hifigan_place {
    int64_t weight, bias; /* offsets in the arena */
};

struct hifigan_layout {
    struct hifigan_tensor *tensors;
    int64_t count, capacity;
    int64_t elements; /* of the arena */
    int64_t tables[HIFIGAN_TABLES];
    struct hifigan_place durations[2], duration_norms[2], duration_output;
    struct hifigan_place input, output, stages[HIFIGAN_STAGES];
    /* The two convolutions at each dilation of each block of each stage. */
    struct hifigan_place blocks[HIFIGAN_STAGES][HIFIGAN_BLOCKS][HIFIGAN_DILATIONS][2];
    int64_t ones; /* as many as there are channels in a stage at most: no tensor, but weights that add two arrays */
};

enum status hifigan_layout_create(const struct hifigan_config *config, struct hifigan_layout *layout);
void hifigan_layout_free(struct hifigan_layout *layout);

/* ---- the vocoder ---- */

struct hifigan_names {
    char *text, **names; /* the file with a NUL behind each line; the lines */
    int64_t count;
    char *path; /* for errors; NULL: there is no such file */
};

struct hifigan {
    struct hifigan_config config;
    struct hifigan_layout layout;
    const struct kernels *kernels;
    struct device_context *context;
    float *weights;                /* device */
    struct hifigan_names names[2]; /* of speakers and of styles */
    struct sha256 fingerprint;
};

/* Reads all weights into the device's arena (hifigan_load.c). */
enum status hifigan_load(struct hifigan *hifigan, const char *path);

static inline const float *hifigan_weight(const struct hifigan *hifigan, int64_t offset)
{
    return hifigan->weights + offset;
}

/* Channels after a stage; before the first one: -1. */
static inline int64_t hifigan_channels(const struct hifigan_config *config, int64_t stage)
{
    return config->channels >> (stage + 1);
}

/* ---- a workspace (hifigan_workspace.c) ---- */

enum { HIFIGAN_DURATION_UNITS = 512 }; /* whose durations are found at a time */

struct hifigan_buffers {
    int32_t *ids;             /* [TABLES][frames or units of a chunk] */
    float *inputs;            /* [frames][I]; embeddings side by side */
    float *upsampled;         /* of a stage: what its blocks begin with */
    float *running, *between; /* of a block: what it has come to, and what lies between its two convolutions */
    float *sum;               /* of the blocks so far; what the next stage begins with */
};

struct hifigan_workspace {
    const struct hifigan *hifigan;
    struct device_context *context;
    int64_t chunk_frames;
    int64_t room; /* ids per table */
    void *memory; /* device: all buffers */
    struct hifigan_buffers buffers;
    int32_t *host_ids;      /* pinned: on their way to the device, free again after `sent` */
    float *host_logarithms; /* pinned */
    struct device_event *sent;
};

/* Frames from a row on, without those behind the last. */
struct hifigan_range {
    int64_t first, end;
};

/* What a chunk computes, each range in frames of its own rate. */
struct hifigan_plan {
    struct hifigan_range frames;                     /* of codes */
    struct hifigan_range inputs[HIFIGAN_STAGES + 1]; /* of each stage, of the last convolution after them */
    struct hifigan_range blocks[HIFIGAN_STAGES];     /* of each stage's residual blocks */
    struct hifigan_range samples;
};

/* What samples of frames [first, first + count) of `total` need (hifigan_plan.c). */
void hifigan_plan_make(const struct hifigan_config *config, struct hifigan_range wanted, int64_t total,
                       struct hifigan_plan *plan);
/* Numbers in the largest array of a stage, and of the first convolution. */
int64_t hifigan_plan_elements(const struct hifigan_config *config, const struct hifigan_plan *plan);

/* One chunk on its way. */
struct hifigan_pass {
    struct compute compute;
    const struct hifigan_workspace *workspace;
    struct hifigan_plan plan;
};
/* From the ids at buffers.ids to samples, which lie in `between` then, from the first frame of the last convolution's input on
 * (hifigan_speak.c). */
enum status hifigan_run_chunk(const struct hifigan_pass *pass);

/* Sends ids [HIFIGAN_TABLES][room], which the host has put into host_ids, to the device. */
enum status hifigan_send_ids(struct hifigan_workspace *workspace);

/* The layers (hifigan_layers.c): a convolution with stride 1 that keeps the number of frames. */
struct hifigan_convolution {
    int64_t frames, channels, outputs, kernel, dilation;
    struct hifigan_place place;
    const float *x, *residual;
    float *output;
    float input_slope; /* of the LeakyReLU before it; 1: none */
    enum activation activation;
};
enum status hifigan_convolve(const struct compute *compute, const struct hifigan *hifigan,
                             const struct hifigan_convolution *convolution);

/* Rows of a table by the ids that lie at buffers.ids, into columns of an array of `width` channels. */
enum status hifigan_embed(const struct compute *compute, const struct hifigan_workspace *workspace,
                          enum hifigan_table table, int64_t frames, float *output, int64_t width);

/* Logarithms of the durations of `units` units whose ids lie at buffers.ids, into `running` (hifigan_durations.c). */
enum status hifigan_run_durations(const struct compute *compute, const struct hifigan_workspace *workspace,
                                  int64_t units);

#endif
