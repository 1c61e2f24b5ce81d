/* The wav2vec 2.0 encoder (Baevski et al. 2020), of which HuBERT (Hsu et al. 2021) is the same network: convolutions that turn a
 * waveform into features, a positional convolution, and a transformer that looks both ways. For inference, in f32.
 *
 * What a clip gives depends on its samples alone: not on the clips beside it, nor on how far they are padded, and where products
 * of more than 16 rows are row-stable (kernels/operations.h) to the bit. */
#ifndef SPIRITLM_MODELS_ENCODER_H
#define SPIRITLM_MODELS_ENCODER_H

#include "core/hash.h"
#include "kernels/kernels.h"
#include "models/encoder/encoder_config.h"

/* How far a pass goes. Layer n >= 1 is what the n-th layer of the transformer puts out, without the last norm of a network whose
 * norms come first. */
enum {
    ENCODER_FEATURES = -2,  /* what the convolutions put out */
    ENCODER_PROJECTED = -1, /* behind norm and projection */
    ENCODER_INPUT = 0,      /* what enters the first layer */
    ENCODER_LAST = 1 << 20  /* all layers, and the last norm if there is one */
};

struct encoder_options {
    int64_t layer;          /* the furthest that passes will go; the weights behind it are neither read nor needed */
    bool normalize_default; /* where a folder does not say whether samples are normalised */
};

struct encoder;

/* Reads a checkpoint of any layout of encoder_config.h. Kernels are borrowed, and `context` too, which allocates the weights and
 * is used until the encoder is closed. STATUS_CORRUPT names a tensor that is missing or of another shape, or a setting that is
 * not supported; STATUS_USAGE a layer that the network does not have. */
enum status encoder_create(const struct named_tensors *tensors, const struct encoder_options *options,
                           const struct kernels *kernels, struct device_context *context, struct encoder **encoder);
/* The same from a path. */
enum status encoder_open(const char *path, const struct encoder_options *options, const struct kernels *kernels,
                         struct device_context *context, struct encoder **encoder);
void encoder_close(struct encoder *encoder); /* NULL is fine */

const struct encoder_config *encoder_config(const struct encoder *encoder);
/* Over the configuration and the weights that passes use, as numbers: the same whatever the layout of the file. */
const struct sha256 *encoder_fingerprint(const struct encoder *encoder);
int64_t encoder_width(const struct encoder *encoder,
                      int64_t stop); /* numbers per frame after a pass that goes so far */

/* ---- passes ---- */

struct encoder_clip {
    const float *samples; /* host memory, at the encoder's rate */
    int64_t count;
};

/* What a pass left in the workspace, until the next one: frames [clips][stride][width] in device memory; clip i has frames[i]
 * of them, and what lies behind those is undefined. A clip that is too short has none. */
struct encoder_output {
    const float *values;
    const int64_t *frames; /* [clips] */
    int64_t clips, stride, width;
};

/* Memory for passes, which grows with the largest batch. One thread at a time; several workspaces may share an encoder. */
struct encoder_workspace;
enum status encoder_workspace_create(const struct encoder *encoder, struct device_context *context,
                                     struct encoder_workspace **workspace);
void encoder_workspace_destroy(struct encoder_workspace *workspace); /* NULL is fine */

/* `stop`: one of the enum above or a layer, at most the encoder's. Samples must be finite. */
enum status encoder_run(struct encoder_workspace *workspace, const struct encoder_clip *clips, int64_t count,
                        int64_t stop, struct encoder_output *output);

/* The same, and on the way every input of a layer, and at last the output: transformers' hidden_states. `take` is called with 0 for
 * what enters the first layer, and so on; what `output` holds is overwritten as soon as it has returned, and may be taken by
 * encoder_copy. `stop` is ENCODER_LAST. */
struct encoder_tap {
    enum status (*take)(void *argument, int64_t layer, const struct encoder_output *output);
    void *argument;
};
enum status encoder_run_tapped(struct encoder_workspace *workspace, const struct encoder_clip *clips, int64_t count,
                               const struct encoder_tap *tap, struct encoder_output *output);

/* Frames [first, first + count) of a clip, copied to the host. */
enum status encoder_copy(const struct encoder_workspace *workspace, const struct encoder_output *output, int64_t clip,
                         int64_t first, int64_t count, float *values);

#endif
