/* FCPE (torchfcpe 0.0.4, "fast context-based pitch estimation"): F0 from a log-mel spectrum by a network of convolutions, of
 * which Spirit LM's release takes its pitch. For inference, in f32.
 *
 *   log-mel     window 1024, hop 160, 128 bands of Slaney's scale (core/mel_bank.h), sqrt(re^2 + im^2 + 1e-9), ln(max(x, 1e-5));
 *               a clip of n samples has F = floor(n / 160) + 1 frames, of which the last repeats the one before
 *   entry       convolution k 3, group norm (4 groups over the whole clip), leaky rectifier 0.01, convolution k 3
 *   6 layers    x += W2 SiLU(depthwise k 31 (GLU(W1 LayerNorm(x))))
 *   head        layer norm, 360 sigmoids, one for every step of 20 cents from 32.7 Hz on
 *   frequency   the mean of the nine steps around the highest, weighted by their values; 0 where the highest is below a threshold
 *
 * A clip's numbers depend on its samples alone. */
#ifndef SPIRITLM_MODELS_FCPE_H
#define SPIRITLM_MODELS_FCPE_H

#include "core/hash.h"
#include "io/weights/named_tensors.h"
#include "kernels/kernels.h"

struct fcpe_config {
    int64_t window, hop, bands; /* of the spectrum */
    double lowest, highest;     /* hertz that the bands span */
    int64_t hidden, layers, steps;
    bool dropout; /* the names of the layers' tensors are those of a model with a dropout */
};

/* Reads the configuration in `config_dict`. STATUS_CORRUPT names a key whose value is not computed here. */
enum status fcpe_config_read(const struct named_tensors *tensors, struct fcpe_config *config);

struct fcpe;

/* Reads a file of the form of torchfcpe's fcpe_c_v001.pt: a dict with `config_dict` and the state dict `model`. Kernels are
 * borrowed, and `context` too, which allocates the weights and is used until the model is closed. STATUS_CORRUPT names a tensor
 * that is missing or of another shape, or a setting that is not supported. */
enum status fcpe_open(const char *path, const struct kernels *kernels, struct device_context *context,
                      struct fcpe **fcpe);
void fcpe_close(struct fcpe *fcpe); /* NULL is fine */

const struct fcpe_config *fcpe_config(const struct fcpe *fcpe);
/* Over the configuration and the weights, as numbers. */
const struct sha256 *fcpe_fingerprint(const struct fcpe *fcpe);

/* ---- passes ---- */

/* Memory for passes, which grows with the longest clip. One thread at a time; several workspaces may share a model. */
struct fcpe_workspace;
enum status fcpe_workspace_create(const struct fcpe *fcpe, struct device_context *context,
                                  struct fcpe_workspace **workspace);
void fcpe_workspace_destroy(struct fcpe_workspace *workspace); /* NULL is fine */

/* Frames of a clip of so many samples. */
int64_t fcpe_frames(const struct fcpe *fcpe, int64_t samples);

/* The highest of the network's values (confidence) in every frame, and the frequency in hertz around it, whatever the confidence.
 * Both have fcpe_frames(count) numbers. Samples are finite, at 16 kHz. */
enum status fcpe_run(struct fcpe_workspace *workspace, const float *samples, int64_t count, float *frequency,
                     float *confidence);

/* ---- from frames to a track ---- */

/* What the release asks for. */
#define FCPE_THRESHOLD 0.05f /* a frame is voiced above this confidence, */
#define FCPE_LOWEST 50.0f    /* and from this frequency on */
#define FCPE_HIGHEST 1100.0f /* hertz: higher ones are clamped */
enum { FCPE_TRACK_HOP = 80 };

static inline int64_t fcpe_track_length(int64_t samples)
{
    return samples / FCPE_TRACK_HOP + 1;
}

/* f0 [length] and voiced [length] of a clip with so many frames: unvoiced frames get what lies on the line between their voiced
 * neighbours, or the nearest of them at the ends; then every place takes a frame near it, as nearest-neighbour interpolation in
 * float32 has it. Without a voiced frame f0 is 0. frequency is overwritten. */
void fcpe_make_track(float *frequency, const float *confidence, int64_t frames, int64_t length, float *f0,
                     uint8_t *voiced);

/* Both in one: f0 and voiced have fcpe_track_length(count) numbers. */
enum status fcpe_track(struct fcpe_workspace *workspace, const float *samples, int64_t count, float *f0,
                       uint8_t *voiced);

#endif
