/* Reading a vocoder's weights, tensor by tensor, into the device's arena.
 *
 * Convolutions outside of the duration predictor are stored as direction v and length g (weight normalisation, Salimans and Kingma
 * 2016) over their first dimension: w[i] = g[i] v[i] / |v[i]|, where i is an output of a convolution, but an input of a transposed
 * one. They are multiplied out here, in double. Files from which the normalisation was removed have `weight` in their place.
 *
 * A stage ends with the mean of its residual blocks, and what follows is a LeakyReLU and a convolution. LeakyReLU(x / n) is
 * LeakyReLU(x) / n, so the division goes into the convolution's weights. */
#include "models/hifigan/hifigan_internal.h"

#include "io/weights/named_tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FULL_NAME_BYTES = 2 * HIFIGAN_NAME_BYTES };

struct loader {
    struct hifigan *hifigan;
    const struct named_tensors *tensors;
    const char *prefix;
    bool *used; /* tensors of the file */
    float *raw, *arranged, *lengths;
    struct sha256_stream *hash;
};

/* The three ways in which the weight of a convolution is stored. */
struct stored_names {
    char whole[FULL_NAME_BYTES], length[FULL_NAME_BYTES], direction[FULL_NAME_BYTES];
    bool normalised;
};

static void find_names(const struct loader *loader, const struct hifigan_tensor *tensor, struct stored_names *names)
{
    snprintf(names->whole, FULL_NAME_BYTES, "%s%s", loader->prefix, tensor->name);
    names->normalised = (tensor->kind == HIFIGAN_NORMALISED || tensor->kind == HIFIGAN_TRANSPOSED) &&
                        !named_tensors_find(loader->tensors, names->whole);
    int stem = (int)strlen(tensor->name) - (int)strlen("weight");
    snprintf(names->length, FULL_NAME_BYTES, "%s%.*sparametrizations.weight.original0", loader->prefix, stem,
             tensor->name);
    snprintf(names->direction, FULL_NAME_BYTES, "%s%.*sparametrizations.weight.original1", loader->prefix, stem,
             tensor->name);
    if (!names->normalised || named_tensors_find(loader->tensors, names->length) ||
        named_tensors_find(loader->tensors, names->direction))
        return;
    snprintf(names->length, FULL_NAME_BYTES, "%s%s_g", loader->prefix, tensor->name);
    snprintf(names->direction, FULL_NAME_BYTES, "%s%s_v", loader->prefix, tensor->name);
}

/* ---- checks, before anything is allocated for the shapes that a configuration asks for ---- */

static enum status check(struct loader *loader, const char *name, int rank, const int64_t *shape)
{
    const struct stored_tensor *tensor;
    enum status result = named_tensors_expect(loader->tensors, name, rank, shape, &tensor);
    if (result == STATUS_OK)
        loader->used[tensor - named_tensors_tensor(loader->tensors, 0)] = true;
    return result;
}

static enum status check_tensors(struct loader *loader)
{
    enum status result = STATUS_OK;
    const struct hifigan_layout *layout = &loader->hifigan->layout;
    struct stored_names names;
    for (int64_t i = 0; i < layout->count; i++) {
        const struct hifigan_tensor *tensor = &layout->tensors[i];
        find_names(loader, tensor, &names);
        if (names.normalised) {
            TRY(check(loader, names.length, 3, (int64_t[]){tensor->shape[0], 1, 1}));
            TRY(check(loader, names.direction, 3, tensor->shape));
        } else {
            TRY(check(loader, names.whole, tensor->rank, tensor->shape));
        }
    }
    for (int64_t i = 0; i < named_tensors_count(loader->tensors); i++) {
        const char *name = named_tensors_tensor(loader->tensors, i)->name;
        if (!loader->used[i] && strncmp(name, loader->prefix, strlen(loader->prefix)) == 0)
            FAIL(STATUS_CORRUPT, "%s: tensor %.200s has no place in the vocoder that its configuration describes",
                 named_tensors_path(loader->tensors), name);
    }
fail:
    return result;
}

/* ---- reading ---- */

static enum status read_normalised(const struct loader *loader, const struct hifigan_tensor *tensor,
                                   const struct stored_names *names)
{
    enum status result = STATUS_OK;
    int64_t rows = tensor->shape[0], row = tensor->count / rows;
    TRY(named_tensors_read(loader->tensors, names->length, 3, (int64_t[]){rows, 1, 1}, loader->lengths));
    TRY(named_tensors_read(loader->tensors, names->direction, 3, tensor->shape, loader->raw));
    for (int64_t i = 0; i < rows; i++) {
        float *values = loader->raw + i * row;
        double squares = 0;
        for (int64_t j = 0; j < row; j++)
            squares += (double)values[j] * (double)values[j];
        if (!(squares > 0))
            FAIL(STATUS_CORRUPT, "%s: tensor %s: row %lld is zero and has no direction",
                 named_tensors_path(loader->tensors), names->direction, (long long)i);
        double scale = (double)loader->lengths[i] / sqrt(squares);
        for (int64_t j = 0; j < row; j++)
            values[j] = (float)((double)values[j] * scale);
    }
fail:
    return result;
}

/* PyTorch keeps the taps together, the kernels the channels that are summed. */
static void arrange(const struct hifigan_tensor *tensor, const float *raw, float *arranged)
{
    bool transposed = tensor->kind == HIFIGAN_TRANSPOSED;
    int64_t outputs = tensor->shape[transposed ? 1 : 0], inputs = tensor->shape[transposed ? 0 : 1];
    int64_t kernel = tensor->shape[2];
    for (int64_t o = 0; o < outputs; o++)
        for (int64_t i = 0; i < inputs; i++)
            for (int64_t k = 0; k < kernel; k++) {
                if (transposed)
                    arranged[(k * outputs + o) * inputs + i] = raw[(i * outputs + o) * kernel + k];
                else
                    arranged[(o * kernel + k) * inputs + i] = raw[(o * inputs + i) * kernel + k];
            }
}

static enum status send(const struct hifigan *hifigan, int64_t offset, const float *values, int64_t count)
{
    enum status result = hifigan->kernels->copy_to_device(hifigan->context, QUEUE_COMPUTE, hifigan->weights + offset,
                                                          values, (size_t)count * sizeof(float));
    return result == STATUS_OK ? hifigan->kernels->synchronize(hifigan->context) : result;
}

static enum status load_tensor(struct loader *loader, const struct hifigan_tensor *tensor)
{
    enum status result = STATUS_OK;
    struct stored_names names;
    float *values = loader->raw;
    find_names(loader, tensor, &names);
    if (names.normalised)
        TRY(read_normalised(loader, tensor, &names));
    else
        TRY(named_tensors_read(loader->tensors, names.whole, tensor->rank, tensor->shape, loader->raw));
    if (tensor->kind != HIFIGAN_PLAIN) {
        arrange(tensor, loader->raw, loader->arranged);
        values = loader->arranged;
    }
    sha256_add(loader->hash, values, (size_t)tensor->count * sizeof *values);
    for (int64_t i = 0; tensor->averages && i < tensor->count; i++)
        values[i] = (float)((double)values[i] / (double)loader->hifigan->config.blocks);
    TRY(send(loader->hifigan, tensor->offset, values, tensor->count));
fail:
    return result;
}

/* What decides the samples beside the weights. */
static void hash_config(struct sha256_stream *hash, const struct hifigan_config *c)
{
    sha256_add(hash, "hifigan 1", 9);
    sha256_add(hash, c->rows, sizeof c->rows);
    sha256_add(hash, &c->duration_channels, sizeof c->duration_channels);
    sha256_add(hash, &c->sample_rate, sizeof c->sample_rate);
    sha256_add(hash, &c->pitch_repetition, sizeof c->pitch_repetition);
    sha256_add(hash, &c->style_repetition, sizeof c->style_repetition);
    sha256_add(hash, c->rates, sizeof c->rates);
    sha256_add(hash, c->kernels, sizeof c->kernels);
    sha256_add(hash, c->block_kernels, sizeof c->block_kernels);
    sha256_add(hash, c->dilations, sizeof c->dilations);
}

static enum status read_all(struct loader *loader)
{
    enum status result = STATUS_OK;
    struct hifigan *hifigan = loader->hifigan;
    const struct hifigan_layout *layout = &hifigan->layout;
    int64_t ones = hifigan_channels(&hifigan->config, 0), largest = ones, rows = 1;
    void *memory;
    for (int64_t i = 0; i < layout->count; i++) {
        largest = layout->tensors[i].count > largest ? layout->tensors[i].count : largest;
        rows = layout->tensors[i].shape[0] > rows ? layout->tensors[i].shape[0] : rows;
    }
    loader->raw = malloc((size_t)largest * sizeof *loader->raw);
    loader->arranged = malloc((size_t)largest * sizeof *loader->arranged);
    loader->lengths = malloc((size_t)rows * sizeof *loader->lengths);
    if (!loader->raw || !loader->arranged || !loader->lengths)
        FAIL(STATUS_INTERNAL, "%s: no memory for its largest tensor", named_tensors_path(loader->tensors));
    TRY(hifigan->kernels->allocate(hifigan->context, (size_t)layout->elements * sizeof(float), &memory));
    hifigan->weights = memory;
    for (int64_t i = 0; i < ones; i++)
        loader->raw[i] = 1;
    TRY(send(hifigan, layout->ones, loader->raw, ones));
    hash_config(loader->hash, &hifigan->config);
    for (int64_t i = 0; i < layout->count; i++)
        TRY(load_tensor(loader, &layout->tensors[i]));
fail:
    return result;
}

enum status hifigan_load(struct hifigan *hifigan, const char *path)
{
    enum status result = STATUS_OK;
    struct named_tensors *tensors = NULL;
    struct loader loader = {.hifigan = hifigan, .prefix = "generator.", .hash = sha256_start()};
    TRY(named_tensors_open(path, &tensors));
    loader.tensors = tensors;
    if (!named_tensors_find(tensors, "generator.conv_pre.bias"))
        loader.prefix = "";
    if (!named_tensors_find(tensors, "generator.conv_pre.bias") && !named_tensors_find(tensors, "conv_pre.bias"))
        FAIL(STATUS_CORRUPT, "%s: tensor generator.conv_pre.bias is missing: not a HiFi-GAN vocoder", path);
    if (!(loader.used = calloc((size_t)named_tensors_count(tensors) + 1, sizeof *loader.used)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(check_tensors(&loader));
    TRY(read_all(&loader));
fail:
    hifigan->fingerprint = sha256_finish(loader.hash);
    named_tensors_close(tensors);
    free(loader.used);
    free(loader.raw);
    free(loader.arranged);
    free(loader.lengths);
    return result;
}
