/* Style: the class that a wav2vec 2.0 network gives to each second. */
#include "models/encoder/style_classifier.h"
#include "speech/neural/neural_internal.h"

#include <stdlib.h>
#include <string.h>

/* Raise it when the same samples and weights would give other styles. */
#define STYLE_VERSION "neural style 1"

struct style_part {
    struct neural_part base;
    char *name;
    struct style_classifier *classifier;
};

static int64_t count_styles(const struct neural_part *base, int64_t samples)
{
    return style_classifier_count(((const struct style_part *)base)->classifier, samples);
}

static enum status open_style(struct neural_part *base, struct neural_promise *found)
{
    enum status result = STATUS_OK;
    struct style_part *part = (struct style_part *)base;
    char path[PATH_BYTES];
    TRY(neural_file_find(base->base, "speech.style", part->name, path));
    TRY(style_classifier_open(path, base->base->kernels, &base->context, &part->classifier));
    const int64_t rate = encoder_config(style_classifier_encoder(part->classifier))->sample_rate,
                  size = style_classifier_size(part->classifier);
    if (rate != NEURAL_RATE)
        FAIL(STATUS_CORRUPT, "%s: a classifier of audio at %lld Hz, expected %d Hz", path, (long long)rate,
             NEURAL_RATE);
    if (size > UINT16_MAX + 1)
        FAIL(STATUS_CORRUPT, "%s: a classifier of %lld styles, expected at most %d", path, (long long)size,
             UINT16_MAX + 1);
    const struct sha256 *const parts[] = {style_classifier_fingerprint(part->classifier), NULL};
    found->fingerprint = neural_fingerprint(STYLE_VERSION, parts);
    found->size = (int32_t)size;
    found->rate = neural_chunk_rate(count_styles(base, NEURAL_CHUNK));
fail:
    return result;
}

static enum status workspace_create(struct neural_part *base, struct device_context *context, void **workspace)
{
    const struct style_part *part = (const struct style_part *)base;
    return encoder_workspace_create(style_classifier_encoder(part->classifier), context,
                                    (struct encoder_workspace **)workspace);
}

static void workspace_destroy(void *workspace)
{
    encoder_workspace_destroy(workspace);
}

static void close_style(struct neural_part *base)
{
    struct style_part *part = (struct style_part *)base;
    style_classifier_close(part->classifier);
    part->classifier = NULL;
}

static void destroy(struct neural_part *base)
{
    struct style_part *part = (struct style_part *)base;
    free(part->name);
    free(part);
}

static const struct neural_kind kind = {open_style, workspace_create, workspace_destroy, close_style, destroy};

static enum status encode_chunk(struct neural_part *base, struct neural_seat *seat, const float *samples, int64_t count,
                                int32_t *styles)
{
    const struct encoder_clip clip = {samples, count};
    return style_classifier_run(((struct style_part *)base)->classifier, seat->workspace, &clip, 1, &styles, NULL);
}

static enum status encode(const struct speech_encoder *self, struct speech_utterance *utterance, uint16_t **values,
                          int64_t *count)
{
    static const struct neural_chunks chunks = {count_styles, encode_chunk};
    return neural_encode_chunks(self->state, &chunks, utterance, values, count);
}

enum status neural_style_open(const struct neural_style *options, struct neural_base *base,
                              const struct neural_promise *promise, struct speech_encoder *encoder)
{
    enum status result = STATUS_OK;
    struct style_part *part = calloc(1, sizeof *part);
    *encoder = (struct speech_encoder){0};
    if (!part || !(part->name = strdup(options->classifier))) {
        free(part);
        return status_set(STATUS_INTERNAL, "no memory for a speech component");
    }
    TRY(neural_part_start(&part->base, &kind, base, promise));
    *encoder = neural_part_encoder(&part->base, STREAM_STYLE, encode);
    return STATUS_OK;
fail:
    neural_part_destroy(part);
    return result;
}
