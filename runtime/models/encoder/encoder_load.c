/* Reading an encoder's weights, tensor by tensor, into the device's arena. Few are taken as they are:
 * - Weights of convolutions go from PyTorch's [O][I][K] to the kernels' [O][K][I].
 * - The positional one is stored as direction and length (weight normalisation, Salimans and Kingma 2016), with one length per tap:
 *   w[o][i][k] = g[k] v[o][i][k] / |v[.][.][k]|.
 * - Matrices go from [out][in] to [in][out], of which a product copies its panels row by row; those of queries, keys and values
 *   become one [in][3 out]. */
#include "models/encoder/encoder_internal.h"
#include "models/parameters.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loader {
    struct encoder *encoder;
    const struct named_tensors *tensors;
    struct encoder_names names;
    float *raw, *arranged; /* room for the largest tensor */
    struct sha256_stream *hash;
};

static void transpose_taps(const struct encoder_tensor *tensor, const float *raw, float *arranged)
{
    int64_t channels = tensor->shape[1], kernel = tensor->shape[2];
    for (int64_t o = 0; o < tensor->shape[0]; o++)
        for (int64_t k = 0; k < kernel; k++)
            for (int64_t i = 0; i < channels; i++)
                arranged[(o * kernel + k) * channels + i] = raw[(o * channels + i) * kernel + k];
}

/* One matrix, or the one of queries, keys and values as its third of the columns of what they become together. */
static void transpose_matrix(const struct encoder_tensor *tensor, const float *raw, float *arranged)
{
    enum { TILE = 16 };
    bool third = tensor->part == ENCODER_QUERY || tensor->part == ENCODER_KEY || tensor->part == ENCODER_VALUE;
    int64_t out = tensor->shape[0], in = tensor->shape[1], stride = third ? 3 * out : out;
    float *to = arranged + (third ? (int64_t)(tensor->part - ENCODER_QUERY) * out : 0);
    for (int64_t first = 0; first < out; first += TILE)
        for (int64_t i = 0; i < in; i++)
            for (int64_t o = first; o < first + TILE && o < out; o++)
                to[i * stride + o] = raw[o * in + i];
}

/* The names of length and direction: torch.nn.utils.weight_norm's, or those of its successor in `parametrizations`. */
static void weight_norm_names(const struct loader *loader, char length[static ENCODER_NAME_BYTES],
                              char direction[static ENCODER_NAME_BYTES])
{
    encoder_name(&loader->names, ENCODER_POSITIONAL, 0, "parametrizations.weight.original0", length);
    encoder_name(&loader->names, ENCODER_POSITIONAL, 0, "parametrizations.weight.original1", direction);
    if (named_tensors_find(loader->tensors, length) || named_tensors_find(loader->tensors, direction))
        return;
    encoder_name(&loader->names, ENCODER_POSITIONAL, 0, "weight_g", length);
    encoder_name(&loader->names, ENCODER_POSITIONAL, 0, "weight_v", direction);
}

static enum status read_positional(const struct loader *loader, const struct encoder_tensor *tensor)
{
    enum status result = STATUS_OK;
    char length_name[ENCODER_NAME_BYTES], direction_name[ENCODER_NAME_BYTES];
    int64_t kernel = tensor->shape[2], rows = tensor->shape[0] * tensor->shape[1];
    float *raw = loader->raw;
    double *scale = calloc((size_t)kernel, sizeof *scale);
    float *lengths = calloc((size_t)kernel, sizeof *lengths);
    if (!scale || !lengths)
        FAIL(STATUS_INTERNAL, "no memory for the positional convolution");
    weight_norm_names(loader, length_name, direction_name);
    TRY(named_tensors_read(loader->tensors, length_name, 3, (int64_t[]){1, 1, kernel}, lengths));
    TRY(named_tensors_read(loader->tensors, direction_name, 3, tensor->shape, raw));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < kernel; k++)
            scale[k] += (double)raw[i * kernel + k] * (double)raw[i * kernel + k];
    for (int64_t k = 0; k < kernel; k++) {
        if (!(scale[k] > 0))
            FAIL(STATUS_CORRUPT, "%s: tensor %s: tap %lld is zero and has no direction",
                 named_tensors_path(loader->tensors), direction_name, (long long)k);
        scale[k] = (double)lengths[k] / sqrt(scale[k]);
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < kernel; k++)
            raw[i * kernel + k] = (float)((double)raw[i * kernel + k] * scale[k]);
fail:
    free(scale);
    free(lengths);
    return result;
}

/* The group norm and the convolution before it become one convolution per clip, made on the host (encoder_features.c). */
static enum status keep(const struct encoder_tensor *tensor, const float *values, struct encoder *encoder)
{
    float **place = tensor->part == ENCODER_CONVOLUTION && tensor->index == 0 && !tensor->bias ? &encoder->first_weight
                    : tensor->part == ENCODER_FEATURE_GROUP_NORM && !tensor->bias ? &encoder->first_norm_weight
                    : tensor->part == ENCODER_FEATURE_GROUP_NORM                  ? &encoder->first_norm_bias
                                                                                  : NULL;
    if (!place || !encoder_has_group_norm(&encoder->config))
        return STATUS_OK;
    if (!(*place = malloc((size_t)tensor->count * sizeof **place)))
        return status_set(STATUS_INTERNAL, "no memory for the first convolution");
    memcpy(*place, values, (size_t)tensor->count * sizeof **place);
    return STATUS_OK;
}

static enum status load_tensor(struct loader *loader, const struct encoder_tensor *tensor)
{
    enum status result = STATUS_OK;
    struct encoder *encoder = loader->encoder;
    char name[ENCODER_NAME_BYTES];
    int64_t offset = tensor->offset, count = tensor->count;
    encoder_name(&loader->names, tensor->part, tensor->index, tensor->bias ? "bias" : "weight", name);
    const float *values = loader->raw;
    if (tensor->part == ENCODER_POSITIONAL && !tensor->bias && !named_tensors_find(loader->tensors, name))
        TRY(read_positional(loader, tensor));
    else
        TRY(named_tensors_read(loader->tensors, name, tensor->rank, tensor->shape, loader->raw));
    sha256_add(loader->hash, values, (size_t)count * sizeof *values);
    if (tensor->rank > 1) {
        (tensor->rank == 3 ? transpose_taps : transpose_matrix)(tensor, loader->raw, loader->arranged);
        values = loader->arranged;
    }
    if (tensor->rank == 2 && (tensor->part == ENCODER_QUERY || tensor->part == ENCODER_KEY))
        return STATUS_OK; /* until the values' matrix is there too */
    if (tensor->rank == 2 && tensor->part == ENCODER_VALUE) {
        offset -= 2 * count;
        count *= 3;
    }
    TRY(keep(tensor, values, encoder));
    TRY(encoder->kernels->copy_to_device(encoder->context, QUEUE_COMPUTE, encoder->weights + offset, values,
                                         (size_t)count * sizeof *values));
    TRY(encoder->kernels->synchronize(encoder->context));
fail:
    return result;
}

/* What decides the result beside the weights. */
static void hash_config(struct sha256_stream *hash, const struct encoder *encoder)
{
    const struct encoder_config *c = &encoder->config;
    char text[512];
    int length =
        snprintf(text, sizeof text, "encoder 1 %d %d %d %d %lld %lld %lld %lld %lld %lld %d %a %lld %d %a",
                 c->convolution_bias, c->layer_norm_features, c->projection_norm, c->projection,
                 (long long)c->positional_kernel, (long long)c->positional_groups, (long long)c->hidden_size,
                 (long long)c->intermediate_size, (long long)c->heads, (long long)encoder->layer, c->norm_first,
                 c->epsilon, (long long)c->sample_rate, c->normalize, c->normalize ? c->normalize_epsilon : 0);
    sha256_add(hash, text, (size_t)length);
    sha256_add(hash, c->convolutions, (size_t)c->convolution_count * sizeof *c->convolutions);
}

/* Names and shapes of all tensors: a configuration whose sizes the file does not have is refused before memory is taken for them. */
static enum status check_tensors(const struct loader *loader)
{
    enum status result = STATUS_OK;
    const struct encoder_layout *layout = &loader->encoder->layout;
    char name[ENCODER_NAME_BYTES], length_name[ENCODER_NAME_BYTES];
    for (int64_t i = 0; i < layout->count; i++) {
        const struct encoder_tensor *tensor = &layout->tensors[i];
        encoder_name(&loader->names, tensor->part, tensor->index, tensor->bias ? "bias" : "weight", name);
        if (tensor->part == ENCODER_POSITIONAL && !tensor->bias && !named_tensors_find(loader->tensors, name)) {
            weight_norm_names(loader, length_name, name);
            TRY(parameter_check(loader->tensors, length_name, 3, (int64_t[]){1, 1, tensor->shape[2]}));
        }
        TRY(parameter_check(loader->tensors, name, tensor->rank, tensor->shape));
    }
fail:
    return result;
}

static enum status load(struct encoder *encoder, const struct named_tensors *tensors)
{
    enum status result = STATUS_OK;
    struct loader loader = {.encoder = encoder, .tensors = tensors};
    void *memory = NULL;
    int64_t largest = 0;
    for (int64_t i = 0; i < encoder->layout.count; i++)
        if (largest < encoder->layout.tensors[i].count)
            largest = encoder->layout.tensors[i].count;
    TRY(encoder_names_find(tensors, &loader.names));
    TRY(check_tensors(&loader));
    TRY(encoder->kernels->allocate(encoder->context, (size_t)encoder->layout.elements * sizeof(float), &memory));
    encoder->weights = memory;
    loader.hash = sha256_start();
    loader.raw = malloc((size_t)largest * sizeof *loader.raw);
    loader.arranged = malloc(3 * (size_t)largest * sizeof *loader.arranged); /* queries, keys and values */
    if (!loader.raw || !loader.arranged)
        FAIL(STATUS_INTERNAL, "%s: no memory for its largest tensor", named_tensors_path(tensors));
    hash_config(loader.hash, encoder);
    for (int64_t i = 0; i < encoder->layout.count; i++)
        TRY(load_tensor(&loader, &encoder->layout.tensors[i]));
fail:
    if (loader.hash)
        encoder->fingerprint = sha256_finish(loader.hash);
    free(loader.raw);
    free(loader.arranged);
    return result;
}

enum status encoder_create(const struct named_tensors *tensors, const struct encoder_options *options,
                           const struct kernels *kernels, struct device_context *context, struct encoder **out)
{
    enum status result = STATUS_OK;
    struct encoder *encoder = calloc(1, sizeof *encoder);
    *out = NULL;
    if (!encoder)
        return status_set(STATUS_INTERNAL, "no memory for an encoder");
    *encoder = (struct encoder){.kernels = kernels, .context = context, .layer = options->layer};
    TRY(encoder_config_read(tensors, options->normalize_default, &encoder->config));
    if (options->layer < ENCODER_FEATURES ||
        (options->layer > encoder->config.layers && options->layer != ENCODER_LAST))
        FAIL(STATUS_USAGE, "%s: layer %lld was requested; it has %lld", named_tensors_path(tensors),
             (long long)options->layer, (long long)encoder->config.layers);
    TRY(encoder_layout_create(&encoder->config, options->layer, &encoder->layout));
    TRY(load(encoder, tensors));
    *out = encoder;
    return STATUS_OK;
fail:
    encoder_close(encoder);
    return result;
}

enum status encoder_open(const char *path, const struct encoder_options *options, const struct kernels *kernels,
                         struct device_context *context, struct encoder **encoder)
{
    struct named_tensors *tensors;
    *encoder = NULL;
    enum status result = named_tensors_open(path, &tensors);
    if (result == STATUS_OK)
        result = encoder_create(tensors, options, kernels, context, encoder);
    named_tensors_close(tensors);
    return result;
}

void encoder_close(struct encoder *encoder)
{
    if (!encoder)
        return;
    encoder->kernels->release(encoder->context, encoder->weights);
    encoder_layout_free(&encoder->layout);
    free(encoder->first_weight);
    free(encoder->first_norm_weight);
    free(encoder->first_norm_bias);
    free(encoder);
}

const struct encoder_config *encoder_config(const struct encoder *encoder)
{
    return &encoder->config;
}

const struct sha256 *encoder_fingerprint(const struct encoder *encoder)
{
    return &encoder->fingerprint;
}

int64_t encoder_width(const struct encoder *encoder, int64_t stop)
{
    const struct encoder_config *config = &encoder->config;
    return stop == ENCODER_FEATURES ? config->convolutions[config->convolution_count - 1].channels
                                    : config->hidden_size;
}
