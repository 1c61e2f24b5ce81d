/* The network is runtime/models/encoder, the vocabulary runtime/text; here frames become a text. */
#include "eval/judges/recognizer.h"

#include "core/array.h"
#include "models/encoder/ctc_model.h"
#include "text/ctc_vocabulary.h"
#include "text/lower_case.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct recognizer {
    struct ctc_model *model;
    struct ctc_workspace *workspace;
    struct ctc_vocabulary *vocabulary;
    struct sha256 fingerprint;
};

static struct sha256 fingerprint_of(const struct recognizer *recognizer)
{
    const struct ctc_vocabulary *vocabulary = recognizer->vocabulary;
    const int32_t numbers[] = {ctc_vocabulary_blank(vocabulary), ctc_vocabulary_delimiter(vocabulary),
                               ctc_vocabulary_lowers(vocabulary)};
    struct sha256_stream *hash = sha256_start();
    sha256_add(hash, "recognizer 1", 12);
    sha256_add(hash, ctc_model_fingerprint(recognizer->model), sizeof(struct sha256));
    sha256_add(hash, numbers, sizeof numbers);
    for (int32_t id = 0; id < ctc_vocabulary_size(vocabulary); id++) {
        const char *token = ctc_vocabulary_token(vocabulary, id);
        sha256_add(hash, token ? token : "", token ? strlen(token) + 1 : 1);
    }
    return sha256_finish(hash);
}

enum status recognizer_open(const char *folder, const struct kernels *kernels, struct device_context *context,
                            struct recognizer **out)
{
    enum status result = STATUS_OK;
    struct recognizer *recognizer = calloc(1, sizeof *recognizer);
    *out = NULL;
    if (!recognizer)
        FAIL(STATUS_INTERNAL, "no memory for a recognizer");
    TRY(ctc_vocabulary_open(folder, &recognizer->vocabulary));
    TRY(ctc_model_open(folder, kernels, context, &recognizer->model));
    const struct encoder_config *config = ctc_model_config(recognizer->model);
    if (config->sample_rate != RECOGNIZER_RATE)
        FAIL(STATUS_CORRUPT, "%s/preprocessor_config.json: sampling_rate is %" PRId64 ", only %d is supported", folder,
             config->sample_rate, RECOGNIZER_RATE);
    if (ctc_vocabulary_size(recognizer->vocabulary) > ctc_model_size(recognizer->model))
        FAIL(STATUS_CORRUPT, "%s: vocab.json has ids up to %" PRId32 ", but the model has %" PRId32 " characters",
             folder, ctc_vocabulary_size(recognizer->vocabulary) - 1, ctc_model_size(recognizer->model));
    TRY(ctc_workspace_create(recognizer->model, context, &recognizer->workspace));
    recognizer->fingerprint = fingerprint_of(recognizer);
    *out = recognizer;
    recognizer = NULL;
fail:
    recognizer_close(recognizer);
    return result;
}

void recognizer_close(struct recognizer *recognizer)
{
    if (!recognizer)
        return;
    ctc_workspace_destroy(recognizer->workspace);
    ctc_model_close(recognizer->model);
    ctc_vocabulary_close(recognizer->vocabulary);
    free(recognizer);
}

const struct sha256 *recognizer_fingerprint(const struct recognizer *recognizer)
{
    return &recognizer->fingerprint;
}

/* ---- frames to text ---- */

struct transcript {
    char *bytes;
    int64_t size, room;
};

static enum status append(struct transcript *transcript, const char *text)
{
    int64_t size = (int64_t)strlen(text);
    enum status result =
        array_grow(&transcript->bytes, &transcript->room, transcript->size + size + 1, "bytes of a text");
    if (result != STATUS_OK)
        return result;
    memcpy(transcript->bytes + transcript->size, text, (size_t)size + 1);
    transcript->size += size;
    return STATUS_OK;
}

/* Spaces at both ends, and the NUL. */
static void strip(struct transcript *transcript)
{
    int64_t begin = 0;
    while (transcript->size > 0 && transcript->bytes[transcript->size - 1] == ' ')
        transcript->size--;
    while (begin < transcript->size && transcript->bytes[begin] == ' ')
        begin++;
    transcript->size -= begin;
    memmove(transcript->bytes, transcript->bytes + begin, (size_t)transcript->size);
    transcript->bytes[transcript->size] = '\0';
}

static enum status spell(const struct ctc_vocabulary *vocabulary, const int32_t *best, int64_t frames,
                         struct transcript *transcript)
{
    enum status result = STATUS_OK;
    TRY(append(transcript, ""));
    for (int64_t t = 0; t < frames; t++) {
        int32_t id = best[t];
        const char *token = id == ctc_vocabulary_delimiter(vocabulary) ? " " : ctc_vocabulary_token(vocabulary, id);
        if (id != ctc_vocabulary_blank(vocabulary) && (t == 0 || id != best[t - 1]) && token)
            TRY(append(transcript, token));
    }
    strip(transcript);
fail:
    return result;
}

enum status recognizer_run(struct recognizer *recognizer, const float *samples, int64_t count, char **text)
{
    enum status result = STATUS_OK;
    const struct encoder_clip clip = {.samples = samples, .count = count};
    struct transcript transcript = {0};
    int64_t frames = encoder_config_frames(ctc_model_config(recognizer->model), count);
    int32_t *best = malloc((size_t)(frames + 1) * sizeof *best);
    *text = NULL;
    if (!best)
        FAIL(STATUS_INTERNAL, "no memory for %" PRId64 " frames", frames);
    TRY(ctc_model_greedy(recognizer->workspace, &clip, best));
    TRY(spell(recognizer->vocabulary, best, frames, &transcript));
    if (ctc_vocabulary_lowers(recognizer->vocabulary)) {
        TRY(text_lower_case(transcript.bytes, text));
    } else {
        *text = transcript.bytes;
        transcript.bytes = NULL;
    }
fail:
    free(best);
    free(transcript.bytes);
    return result;
}
