/* Pitch: the fundamental frequency 200 times a second, in the codes of a VQ-VAE. F0 comes from FCPE, which Spirit LM's release
 * takes, or from pYAAPT, which its models were trained with. */
#include "models/fcpe/fcpe.h"
#include "models/vqvae/vqvae.h"
#include "speech/f0/f0.h"
#include "speech/neural/neural_internal.h"

#include <stdlib.h>
#include <string.h>

/* Raise them when the same samples and weights would give other codes. */
#define FCPE_VERSION "neural pitch, fcpe 1"
#define YAAPT_VERSION "neural pitch, pyaapt 1"

struct pitch_part {
    struct neural_part base;
    char *quantizer_name, *f0_name; /* f0_name "": pYAAPT */
    struct vqvae *vqvae;
    struct fcpe *fcpe; /* NULL: pYAAPT */
};

struct pitch_workspace {
    struct fcpe_workspace *fcpe;
    struct vqvae_workspace *vqvae;
};

static int64_t track_length(const struct pitch_part *part, int64_t samples)
{
    return *part->f0_name ? fcpe_track_length(samples) : samples / F0_HOP;
}

static int64_t count_codes(const struct neural_part *base, int64_t samples)
{
    const struct pitch_part *part = (const struct pitch_part *)base;
    return vqvae_codes(part->vqvae, track_length(part, samples));
}

static enum status open_pitch(struct neural_part *base, struct neural_promise *found)
{
    enum status result = STATUS_OK;
    struct pitch_part *part = (struct pitch_part *)base;
    const struct kernels *kernels = base->base->kernels;
    char path[PATH_BYTES];
    TRY(neural_file_find(base->base, "speech.pitch", part->quantizer_name, path));
    TRY(vqvae_open(path, false, kernels, &base->context, &part->vqvae));
    if (*part->f0_name) {
        TRY(neural_file_find(base->base, "speech.f0", part->f0_name, path));
        TRY(fcpe_open(path, kernels, &base->context, &part->fcpe));
    }
    const struct sha256 *const parts[] = {vqvae_fingerprint(part->vqvae),
                                          part->fcpe ? fcpe_fingerprint(part->fcpe) : NULL, NULL};
    found->fingerprint = neural_fingerprint(part->fcpe ? FCPE_VERSION : YAAPT_VERSION, parts);
    found->size = (int32_t)vqvae_config(part->vqvae)->codes;
    found->rate = neural_chunk_rate(count_codes(base, NEURAL_CHUNK));
fail:
    return result;
}

static void workspace_destroy(void *state)
{
    struct pitch_workspace *workspace = state;
    fcpe_workspace_destroy(workspace->fcpe);
    vqvae_workspace_destroy(workspace->vqvae);
    free(workspace);
}

static enum status workspace_create(struct neural_part *base, struct device_context *context, void **out)
{
    enum status result = STATUS_OK;
    struct pitch_part *part = (struct pitch_part *)base;
    struct pitch_workspace *workspace = calloc(1, sizeof *workspace);
    if (!workspace)
        return status_set(STATUS_INTERNAL, "no memory for a speech component");
    if (part->fcpe)
        TRY(fcpe_workspace_create(part->fcpe, context, &workspace->fcpe));
    TRY(vqvae_workspace_create(part->vqvae, context, &workspace->vqvae));
    *out = workspace;
    return STATUS_OK;
fail:
    workspace_destroy(workspace);
    return result;
}

static void close_pitch(struct neural_part *base)
{
    struct pitch_part *part = (struct pitch_part *)base;
    fcpe_close(part->fcpe);
    vqvae_close(part->vqvae);
    part->fcpe = NULL;
    part->vqvae = NULL;
}

static void destroy(struct neural_part *base)
{
    struct pitch_part *part = (struct pitch_part *)base;
    free(part->quantizer_name);
    free(part->f0_name);
    free(part);
}

static const struct neural_kind kind = {open_pitch, workspace_create, workspace_destroy, close_pitch, destroy};

static enum status encode_yaapt(const struct pitch_workspace *workspace, const float *samples, int64_t count,
                                int32_t *codes)
{
    struct f0_track track;
    enum status result = f0_extract(samples, count, &track);
    if (result != STATUS_OK)
        return result;
    result = vqvae_encode(workspace->vqvae, track.interpolated, track.voiced, track.count, NULL, codes, NULL);
    f0_track_free(&track);
    return result;
}

static enum status encode_fcpe(const struct pitch_workspace *workspace, const float *samples, int64_t count,
                               int32_t *codes)
{
    enum status result = STATUS_OK;
    const int64_t length = fcpe_track_length(count);
    float *f0 = malloc((size_t)length * sizeof *f0);
    uint8_t *voiced = malloc((size_t)length);
    if (!f0 || !voiced)
        FAIL(STATUS_INTERNAL, "no memory for the pitch of %lld samples", (long long)count);
    TRY(fcpe_track(workspace->fcpe, samples, count, f0, voiced));
    TRY(vqvae_encode(workspace->vqvae, f0, voiced, length, NULL, codes, NULL));
fail:
    free(f0);
    free(voiced);
    return result;
}

static enum status encode_chunk(struct neural_part *base, struct neural_seat *seat, const float *samples, int64_t count,
                                int32_t *codes)
{
    const struct pitch_part *part = (const struct pitch_part *)base;
    return (part->fcpe ? encode_fcpe : encode_yaapt)(seat->workspace, samples, count, codes);
}

static enum status encode(const struct speech_encoder *self, struct speech_utterance *utterance, uint16_t **values,
                          int64_t *count)
{
    static const struct neural_chunks chunks = {count_codes, encode_chunk};
    return neural_encode_chunks(self->state, &chunks, utterance, values, count);
}

enum status neural_pitch_open(const struct neural_pitch *options, struct neural_base *base,
                              const struct neural_promise *promise, struct speech_encoder *encoder)
{
    enum status result = STATUS_OK;
    struct pitch_part *part = calloc(1, sizeof *part);
    *encoder = (struct speech_encoder){0};
    if (!part)
        return status_set(STATUS_INTERNAL, "no memory for a speech component");
    part->quantizer_name = strdup(options->quantizer);
    part->f0_name = strdup(options->f0 ? options->f0 : "");
    if (!part->quantizer_name || !part->f0_name) {
        destroy(&part->base);
        return status_set(STATUS_INTERNAL, "no memory for a speech component");
    }
    TRY(neural_part_start(&part->base, &kind, base, promise));
    *encoder = neural_part_encoder(&part->base, STREAM_PITCH, encode);
    return STATUS_OK;
fail:
    neural_part_destroy(part);
    return result;
}
