/* Units: what a layer of a HuBERT gives for each frame, quantized. */
#include "models/encoder/quantizer.h"
#include "speech/neural/neural_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Raise it when the same samples and weights would give other units. */
#define UNITS_VERSION "neural units 1"

enum { PADDING = 40 };

struct units_part {
    struct neural_part base;
    char *encoder_name, *quantizer_name;
    int64_t layer;
    bool pad;
    struct encoder *encoder;
    struct quantizer *quantizer;
};

static int64_t padded(const struct units_part *part, int64_t samples)
{
    return part->pad ? samples + 2 * PADDING : samples;
}

static int64_t count_units(const struct neural_part *base, int64_t samples)
{
    const struct units_part *part = (const struct units_part *)base;
    return encoder_config_frames(encoder_config(part->encoder), padded(part, samples));
}

static enum status describe(const struct units_part *part, struct neural_promise *found)
{
    static const char *const pads[] = {"no padding", "40 zeros at both ends"};
    char layer[40];
    const struct sha256 layer_hash = sha256_of(
                            layer, (size_t)snprintf(layer, sizeof layer, "layer %lld", (long long)part->layer)),
                        pad_hash = sha256_of(pads[part->pad], strlen(pads[part->pad]));
    const struct sha256 *const parts[] = {encoder_fingerprint(part->encoder), quantizer_fingerprint(part->quantizer),
                                          &layer_hash, &pad_hash, NULL};
    const int64_t size = quantizer_size(part->quantizer);
    if (size > UINT16_MAX + 1)
        return status_set(STATUS_CORRUPT, "%s: a quantizer of %lld units, expected at most %d", part->quantizer_name,
                          (long long)size, UINT16_MAX + 1);
    found->fingerprint = neural_fingerprint(UNITS_VERSION, parts);
    found->size = (int32_t)size;
    found->rate = neural_chunk_rate(count_units(&part->base, NEURAL_CHUNK));
    return STATUS_OK;
}

static enum status open_units(struct neural_part *base, struct neural_promise *found)
{
    enum status result = STATUS_OK;
    struct units_part *part = (struct units_part *)base;
    const struct kernels *kernels = base->base->kernels;
    const struct encoder_options options = {.layer = part->layer};
    char path[PATH_BYTES];
    TRY(neural_file_find(base->base, "speech.hubert", part->encoder_name, path));
    TRY(encoder_open(path, &options, kernels, &base->context, &part->encoder));
    const int64_t rate = encoder_config(part->encoder)->sample_rate;
    if (rate != NEURAL_RATE)
        FAIL(STATUS_CORRUPT, "%s: an encoder of audio at %lld Hz, expected %d Hz", path, (long long)rate, NEURAL_RATE);
    TRY(neural_file_find(base->base, "speech.quantizer", part->quantizer_name, path));
    TRY(quantizer_open(path, encoder_width(part->encoder, part->layer), kernels, &base->context, &part->quantizer));
    TRY(describe(part, found));
fail:
    return result;
}

static enum status workspace_create(struct neural_part *base, struct device_context *context, void **workspace)
{
    return encoder_workspace_create(((struct units_part *)base)->encoder, context,
                                    (struct encoder_workspace **)workspace);
}

static void workspace_destroy(void *workspace)
{
    encoder_workspace_destroy(workspace);
}

static void close_units(struct neural_part *base)
{
    struct units_part *part = (struct units_part *)base;
    quantizer_close(part->quantizer);
    encoder_close(part->encoder);
    part->quantizer = NULL;
    part->encoder = NULL;
}

static void destroy(struct neural_part *base)
{
    struct units_part *part = (struct units_part *)base;
    free(part->encoder_name);
    free(part->quantizer_name);
    free(part);
}

static const struct neural_kind kind = {open_units, workspace_create, workspace_destroy, close_units, destroy};

static enum status encode_chunk(struct neural_part *base, struct neural_seat *seat, const float *samples, int64_t count,
                                int32_t *units)
{
    enum status result = STATUS_OK;
    struct units_part *part = (struct units_part *)base;
    struct encoder_output output;
    float *longer = NULL;
    struct encoder_clip clip = {samples, padded(part, count)};
    if (part->pad) {
        if (!(longer = calloc((size_t)clip.count, sizeof *longer)))
            FAIL(STATUS_INTERNAL, "no memory for %lld samples", (long long)clip.count);
        memcpy(longer + PADDING, samples, (size_t)count * sizeof *samples);
        clip.samples = longer;
    }
    TRY(encoder_run(seat->workspace, &clip, 1, part->layer, &output));
    TRY(quantizer_run(part->quantizer, &seat->context, &output, &units));
fail:
    free(longer);
    return result;
}

static enum status encode(const struct speech_encoder *self, struct speech_utterance *utterance, uint16_t **values,
                          int64_t *count)
{
    static const struct neural_chunks chunks = {count_units, encode_chunk};
    return neural_encode_chunks(self->state, &chunks, utterance, values, count);
}

enum status neural_units_open(const struct neural_units *options, struct neural_base *base,
                              const struct neural_promise *promise, struct speech_encoder *encoder)
{
    enum status result = STATUS_OK;
    struct units_part *part = calloc(1, sizeof *part);
    *encoder = (struct speech_encoder){0};
    if (!part)
        return status_set(STATUS_INTERNAL, "no memory for a speech component");
    part->encoder_name = strdup(options->encoder);
    part->quantizer_name = strdup(options->quantizer);
    part->layer = options->layer;
    part->pad = options->pad;
    if (!part->encoder_name || !part->quantizer_name) {
        destroy(&part->base);
        return status_set(STATUS_INTERNAL, "no memory for a speech component");
    }
    TRY(neural_part_start(&part->base, &kind, base, promise));
    *encoder = neural_part_encoder(&part->base, STREAM_HUBERT, encode);
    return STATUS_OK;
fail:
    neural_part_destroy(part);
    return result;
}
