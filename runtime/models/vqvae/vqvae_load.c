/* The list of a VQ-VAE's tensors, and what is folded into them before they go to the device: the factor of the blocks into their last
 * convolution, and where the encoder puts out two halves whose sum is the vector, one half into the other. */
#include "models/vqvae/vqvae_internal.h"

#include "core/path.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lister {
    struct vqvae *vqvae;
    const struct vqvae_coder_config *config;
    const char *prefix; /* "model.encoder.level_blocks.0.model" */
};

/* Adds weight and bias of "prefix.name". */
static enum status add(const struct lister *lister, struct vqvae_convolution convolution, const char *name,
                       struct vqvae_convolution *out)
{
    enum status result = STATUS_OK;
    struct parameters *parameters = &lister->vqvae->parameters;
    bool transposed = convolution.transposed;
    const int64_t shape[] = {transposed ? convolution.channels : convolution.output_channels,
                             transposed ? convolution.output_channels : convolution.channels, convolution.kernel};
    if (convolution.stride == 0)
        convolution.stride = 1;
    if (convolution.dilation == 0)
        convolution.dilation = 1;
    TRY(parameters_add(parameters, transposed ? PARAMETER_TRANSPOSED : PARAMETER_CONVOLUTION, 3, shape,
                       &convolution.weight, "%s.%s.weight", lister->prefix, name));
    TRY(parameters_add(parameters, PARAMETER_AS_STORED, 1, &convolution.output_channels, &convolution.bias,
                       "%s.%s.bias", lister->prefix, name));
    *out = convolution;
fail:
    return result;
}

/* Blocks are "STEP.PLACE.model.d.model.1" and ".3". */
static enum status add_blocks(const struct lister *lister, int64_t step, int place, struct vqvae_step *out)
{
    enum status result = STATUS_OK;
    const struct vqvae_coder_config *config = lister->config;
    char name[64];
    for (int64_t d = 0; d < config->depth; d++) {
        const struct vqvae_convolution dilated = {.channels = config->width,
                                                  .output_channels = config->hidden,
                                                  .kernel = VQVAE_BLOCK_KERNEL,
                                                  .dilation = vqvae_dilation(config, d),
                                                  .padding = vqvae_dilation(config, d)};
        const struct vqvae_convolution joined = {
            .channels = config->hidden, .output_channels = config->width, .kernel = 1};
        snprintf(name, sizeof name, "%lld.%d.model.%lld.model.1", (long long)step, place, (long long)d);
        TRY(add(lister, dilated, name, &out->blocks[d][0]));
        snprintf(name, sizeof name, "%lld.%d.model.%lld.model.3", (long long)step, place, (long long)d);
        TRY(add(lister, joined, name, &out->blocks[d][1]));
    }
fail:
    return result;
}

static const struct vqvae_convolution end_convolution = {.kernel = VQVAE_END_KERNEL, .padding = VQVAE_END_KERNEL / 2};

static enum status list_encoder(const struct lister *lister, struct vqvae_coder *coder)
{
    enum status result = STATUS_OK;
    const struct vqvae_coder_config *config = lister->config;
    struct vqvae_convolution last = end_convolution;
    char name[64];
    for (int64_t i = 0; i < config->steps; i++) {
        const struct vqvae_convolution scale = {.channels = i == 0 ? VQVAE_CHANNELS : config->width,
                                                .output_channels = config->width,
                                                .kernel = vqvae_kernel(config, config->strides[i]),
                                                .stride = config->strides[i],
                                                .padding = vqvae_padding(config, config->strides[i])};
        snprintf(name, sizeof name, "%lld.0", (long long)i);
        TRY(add(lister, scale, name, &coder->steps[i].scale));
        TRY(add_blocks(lister, i, 1, &coder->steps[i]));
    }
    last.channels = config->width;
    last.output_channels = config->output_width;
    snprintf(name, sizeof name, "%lld", (long long)config->steps);
    TRY(add(lister, last, name, &coder->last));
fail:
    return result;
}

/* The steps of the decoder undo those of the encoder, but in the order of their own list. */
static enum status list_decoder(struct lister *lister, const char *prefix, struct vqvae_coder *coder)
{
    enum status result = STATUS_OK;
    const struct vqvae_coder_config *config = lister->config;
    struct vqvae_convolution first = end_convolution, last = end_convolution;
    char name[64], out[64];
    first.channels = config->output_width;
    first.output_channels = config->width;
    TRY(add(lister, first, "0", &coder->first));
    for (int64_t i = 0; i < config->steps; i++) {
        const struct vqvae_convolution scale = {.channels = config->width,
                                                .output_channels =
                                                    i == config->steps - 1 ? config->output_width : config->width,
                                                .kernel = vqvae_kernel(config, config->strides[i]),
                                                .stride = config->strides[i],
                                                .padding = vqvae_padding(config, config->strides[i]),
                                                .transposed = true};
        TRY(add_blocks(lister, i + 1, 0, &coder->steps[i]));
        snprintf(name, sizeof name, "%lld.1", (long long)i + 1);
        TRY(add(lister, scale, name, &coder->steps[i].scale));
    }
    last.channels = config->output_width;
    last.output_channels = VQVAE_CHANNELS;
    snprintf(out, sizeof out, "%sdecoder", prefix);
    lister->prefix = out;
    TRY(add(lister, last, "out", &coder->last));
fail:
    return result;
}

static enum status list_tensors(struct vqvae *vqvae, const struct named_tensors *tensors, int64_t *encoder_elements)
{
    enum status result = STATUS_OK;
    const char *prefix = named_tensors_find(tensors, "vq.level_blocks.0.k") ? "" : "model.";
    char name[64];
    const int64_t codebook[] = {vqvae->config.codes, vqvae->config.width};
    struct lister lister = {.vqvae = vqvae, .config = &vqvae->config.encoder, .prefix = name};
    snprintf(name, sizeof name, "%sencoder.level_blocks.0.model", prefix);
    TRY(list_encoder(&lister, &vqvae->coders[0]));
    TRY(parameters_add(&vqvae->parameters, PARAMETER_AS_STORED, 2, codebook, &vqvae->codebook, "%svq.level_blocks.0.k",
                       prefix));
    *encoder_elements = vqvae->parameters.elements;
    if (vqvae->decoder) {
        lister.config = &vqvae->config.decoder;
        snprintf(name, sizeof name, "%sdecoder.level_blocks.0.model", prefix);
        TRY(list_decoder(&lister, prefix, &vqvae->coders[1]));
    }
fail:
    return result;
}

/* ---- folding ---- */

static void scale_blocks(const struct vqvae_coder_config *config, const struct vqvae_coder *coder, float *values)
{
    double factor = config->scaled_blocks ? 1 / sqrt((double)config->depth) : 1;
    for (int64_t i = 0; factor < 1 && i < config->steps; i++)
        for (int64_t d = 0; d < config->depth; d++) {
            const struct vqvae_convolution *joined = &coder->steps[i].blocks[d][1];
            for (int64_t j = 0; j < config->hidden * config->width; j++)
                values[joined->weight + j] = (float)((double)values[joined->weight + j] * factor);
            for (int64_t j = 0; j < config->width; j++)
                values[joined->bias + j] = (float)((double)values[joined->bias + j] * factor);
        }
}

/* (W + V) x + (b + c) is the sum of the halves W x + b and V x + c. */
static void add_halves(struct vqvae *vqvae, float *values)
{
    struct vqvae_convolution *last = &vqvae->coders[0].last;
    int64_t width = vqvae->config.width, numbers = width * last->kernel * last->channels;
    if (last->output_channels == width)
        return;
    for (int64_t j = 0; j < numbers; j++)
        values[last->weight + j] += values[last->weight + numbers + j];
    for (int64_t j = 0; j < width; j++)
        values[last->bias + j] += values[last->bias + width + j];
    last->output_channels = width;
}

/* What decides the codes: the numbers that are computed with, and how they are used. */
static struct sha256 fingerprint(const struct vqvae *vqvae, const float *values, int64_t elements)
{
    const struct vqvae_config *config = &vqvae->config;
    const struct vqvae_coder_config *encoder = &config->encoder;
    struct sha256_stream *hash = sha256_start();
    char text[256];
    int length =
        snprintf(text, sizeof text, "vqvae 1 %d %lld %lld %lld %lld %lld %d %lld", config->speaker_norm,
                 (long long)config->codes, (long long)config->width, (long long)encoder->width,
                 (long long)encoder->depth, (long long)encoder->hidden, encoder->listed, (long long)encoder->steps);
    sha256_add(hash, text, (size_t)length);
    sha256_add(hash, encoder->strides, (size_t)encoder->steps * sizeof *encoder->strides);
    for (int64_t d = 0; d < encoder->depth; d++)
        sha256_add(hash, &vqvae->coders[0].steps[0].blocks[d][0].dilation, sizeof(int64_t));
    sha256_add(hash, values, (size_t)elements * sizeof *values);
    return sha256_finish(hash);
}

static enum status load(struct vqvae *vqvae, const struct named_tensors *tensors)
{
    enum status result = STATUS_OK;
    float *values = NULL;
    int64_t encoder_elements;
    TRY(list_tensors(vqvae, tensors, &encoder_elements));
    TRY(parameters_read(&vqvae->parameters, tensors, &values));
    scale_blocks(&vqvae->config.encoder, &vqvae->coders[0], values);
    if (vqvae->decoder)
        scale_blocks(&vqvae->config.decoder, &vqvae->coders[1], values);
    add_halves(vqvae, values);
    TRY(parameters_send(&vqvae->parameters, values, vqvae->kernels, vqvae->context, &vqvae->weights));
    vqvae->fingerprint = fingerprint(vqvae, values, encoder_elements);
fail:
    free(values);
    return result;
}

enum status vqvae_open(const char *folder, bool decoder, const struct kernels *kernels, struct device_context *context,
                       struct vqvae **out)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    struct named_tensors *tensors = NULL;
    struct vqvae *vqvae = calloc(1, sizeof *vqvae);
    *out = NULL;
    if (!vqvae || !(vqvae->coders = calloc(2, sizeof *vqvae->coders)))
        FAIL(STATUS_INTERNAL, "no memory for a VQ-VAE");
    vqvae->kernels = kernels;
    vqvae->context = context;
    vqvae->decoder = decoder;
    TRY(path_format(path, "%s/config.yaml", folder));
    TRY(vqvae_config_read(path, &vqvae->config));
    if (decoder && !vqvae->config.has_decoder)
        FAIL(STATUS_CORRUPT, "%s: decoder_params is missing", path);
    TRY(path_format(path, "%s/model.pt", folder));
    TRY(named_tensors_open(path, &tensors));
    TRY(load(vqvae, tensors));
    *out = vqvae;
    vqvae = NULL;
fail:
    named_tensors_close(tensors);
    vqvae_close(vqvae);
    return result;
}

void vqvae_close(struct vqvae *vqvae)
{
    if (!vqvae)
        return;
    if (vqvae->kernels)
        vqvae->kernels->release(vqvae->context, vqvae->weights);
    parameters_free(&vqvae->parameters);
    free(vqvae->coders);
    free(vqvae);
}

const struct vqvae_config *vqvae_config(const struct vqvae *vqvae)
{
    return &vqvae->config;
}

const struct sha256 *vqvae_fingerprint(const struct vqvae *vqvae)
{
    return &vqvae->fingerprint;
}
