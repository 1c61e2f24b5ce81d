/* What the files of the VQ-VAE share. */
#ifndef SPIRITLM_MODELS_VQVAE_INTERNAL_H
#define SPIRITLM_MODELS_VQVAE_INTERNAL_H

#include "models/operations.h"
#include "models/parameters.h"
#include "models/vqvae/vqvae.h"

enum { VQVAE_BLOCK_KERNEL = 3, VQVAE_END_KERNEL = 3 };

/* A convolution, or its transpose, with the places of its tensors in the arena. */
struct vqvae_convolution {
    int64_t weight, bias;
    int64_t channels, output_channels, kernel, stride, dilation, padding;
    bool transposed;
};

struct vqvae_step {
    struct vqvae_convolution scale; /* changes the rate: before the blocks in the encoder, after them in the decoder */
    struct vqvae_convolution blocks[VQVAE_DEPTH_LIMIT][2];
};

struct vqvae_coder {
    struct vqvae_convolution first, last; /* the encoder has no `first` */
    struct vqvae_step steps[VQVAE_STEPS_LIMIT];
};

struct vqvae {
    struct vqvae_config config;
    bool decoder; /* its weights were read */
    struct parameters parameters;
    struct vqvae_coder *coders; /* [2]: the encoder, the decoder */
    int64_t codebook;
    float *weights; /* device */
    struct sha256 fingerprint;
    const struct kernels *kernels;
    struct device_context *context;
};

/* Frames that the convolution makes of so many. */
int64_t vqvae_frames_after(const struct vqvae_convolution *convolution, int64_t frames);

#endif
