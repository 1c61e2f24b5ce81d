/* The VQ-VAE that turns F0 into Spirit LM's pitch tokens: an encoder of convolutions, whose vectors are replaced by the nearest of a
 * codebook (van den Oord et al. 2017; the network is Jukebox's, Dhariwal et al. 2020), and the decoder that goes back. For inference,
 * in f32.
 *
 *   encoder   per down step a convolution (k 2s, stride s, padding s / 2), then `depth` blocks; last a convolution k 3
 *   block     x + scale * W1 ReLU(conv k 3, dilated (ReLU(x)))
 *   decoder   a convolution k 3; per step `depth` blocks, then a transposed convolution; last a convolution k 3
 *
 * The configuration may say that the strides of a level are a list; then odd strides have k 2s + 1 and padding s / 2 + 1. A clip's
 * numbers depend on its own values alone. */
#ifndef SPIRITLM_MODELS_VQVAE_H
#define SPIRITLM_MODELS_VQVAE_H

#include "core/hash.h"
#include "kernels/kernels.h"

#include <stdbool.h>
#include <stdint.h>

enum { VQVAE_STEPS_LIMIT = 16, VQVAE_DEPTH_LIMIT = 32, VQVAE_CHANNELS = 2 /* f0 and voicing */ };

/* One of the two networks. */
struct vqvae_coder_config {
    int64_t output_width; /* numbers per vector at its narrow end */
    int64_t width, depth, hidden;
    int64_t dilation_growth, dilation_cycle; /* cycle 0: none */
    bool scaled_blocks;                      /* scale is 1 / sqrt(depth), else 1 */
    bool reversed_dilations;
    bool listed; /* the strides of the level are a list */
    int64_t steps, strides[VQVAE_STEPS_LIMIT];
};

struct vqvae_config {
    bool speaker_norm; /* the mean of a speaker's voiced F0 is subtracted */
    int64_t codes, width;
    struct vqvae_coder_config encoder, decoder;
    bool has_decoder; /* the configuration describes one */
};

/* Reads config.yaml. STATUS_CORRUPT or STATUS_USAGE names a key whose value is not computed here. */
enum status vqvae_config_read(const char *path, struct vqvae_config *config);

/* The dilation of block `index` of a step; kernel and padding of a step's convolution. */
int64_t vqvae_dilation(const struct vqvae_coder_config *coder, int64_t index);
int64_t vqvae_kernel(const struct vqvae_coder_config *coder, int64_t stride);
int64_t vqvae_padding(const struct vqvae_coder_config *coder, int64_t stride);

struct vqvae;

/* Reads config.yaml and model.pt of a folder, with the decoder's weights or without. Kernels are borrowed, and `context` too, which
 * allocates the weights and is used until the model is closed. STATUS_CORRUPT names a tensor that is missing or of another shape,
 * or a setting that is not supported. */
enum status vqvae_open(const char *folder, bool decoder, const struct kernels *kernels, struct device_context *context,
                       struct vqvae **vqvae);
void vqvae_close(struct vqvae *vqvae); /* NULL is fine */

const struct vqvae_config *vqvae_config(const struct vqvae *vqvae);
/* Over the configuration and the weights of encoder and codebook, as numbers. */
const struct sha256 *vqvae_fingerprint(const struct vqvae *vqvae);

/* Codes that so many frames of F0 give: 0 when they are too few. */
int64_t vqvae_codes(const struct vqvae *vqvae, int64_t frames);
/* Frames that the decoder makes of so many codes. */
int64_t vqvae_decoded_frames(const struct vqvae *vqvae, int64_t codes);

/* The encoder's two channels [frames][2] of a track: with speaker_norm every f0 that is not 0 has `mean` subtracted, or where that
 * is NULL the mean over the voiced frames. */
void vqvae_prepare(const struct vqvae_config *config, const float *f0, const uint8_t *voiced, int64_t frames,
                   const double *mean, float *channels);

/* Memory for passes, which grows with the longest clip. One thread at a time; several workspaces may share a model. */
struct vqvae_workspace;
enum status vqvae_workspace_create(const struct vqvae *vqvae, struct device_context *context,
                                   struct vqvae_workspace **workspace);
void vqvae_workspace_destroy(struct vqvae_workspace *workspace); /* NULL is fine */

/* codes[vqvae_codes(frames)] of a track; vectors[vqvae_codes(frames)][width], what the encoder puts out, unless NULL. */
enum status vqvae_encode(struct vqvae_workspace *workspace, const float *f0, const uint8_t *voiced, int64_t frames,
                         const double *mean, int32_t *codes, float *vectors);

/* channels[vqvae_decoded_frames(count)][2] of codes. STATUS_USAGE for a code that the codebook does not have, STATUS_INTERNAL where
 * the decoder was not read. */
enum status vqvae_decode(struct vqvae_workspace *workspace, const int32_t *codes, int64_t count, float *channels);

#endif
