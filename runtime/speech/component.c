/* A set of speech components: what all kinds of them have in common. The components compute; their places, their
 * lifetimes and the guarantees that callers rely on are handled here, so that no component has to. */
#include "speech/component.h"

#include "io/atomic_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 256 << 20 };

struct speech_analysis *speech_utterance_find(const struct speech_utterance *utterance, const void *owner)
{
    struct speech_analysis *analysis = utterance->analyses;
    while (analysis && analysis->owner != owner)
        analysis = analysis->next;
    return analysis;
}

void speech_utterance_keep(struct speech_utterance *utterance, struct speech_analysis *analysis)
{
    analysis->next = utterance->analyses;
    utterance->analyses = analysis;
}

static void forget_analyses(struct speech_utterance *utterance)
{
    while (utterance->analyses) {
        struct speech_analysis *analysis = utterance->analyses;
        utterance->analyses = analysis->next;
        analysis->destroy(analysis);
    }
}

void speech_encoder_remove(struct speech_encoder *encoder)
{
    if (encoder->destroy)
        encoder->destroy(encoder->state);
    *encoder = (struct speech_encoder){0};
}

void speech_vocoder_remove(struct speech_vocoder *vocoder)
{
    if (vocoder->destroy)
        vocoder->destroy(vocoder->state);
    *vocoder = (struct speech_vocoder){0};
}

enum status speech_compute_on(struct speech *speech, const struct speech_compute *compute)
{
    return speech->compute_on ? speech->compute_on(speech, compute) : STATUS_OK;
}

enum status speech_choose_voice(const struct speech *speech, const char *speaker, const char *style)
{
    const struct speech_vocoder *vocoder = &speech->vocoder;
    if (!speaker && !style)
        return STATUS_OK;
    if (!vocoder->synthesise)
        return status_set(STATUS_USAGE, "this speech tokenizer has no vocoder, so no voice can be chosen");
    if (!vocoder->choose_voice)
        return status_set(STATUS_USAGE, "%s %s: the vocoder of this speech tokenizer has one voice alone",
                          speaker ? "speaker" : "style", speaker ? speaker : style);
    return vocoder->choose_voice(vocoder, speaker, style);
}

void speech_free(struct speech *speech)
{
    if (!speech)
        return;
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        speech_encoder_remove(&speech->encoder[stream]);
    speech_vocoder_remove(&speech->vocoder);
    if (speech->destroy_shared)
        speech->destroy_shared(speech->shared);
    speech_forget_files(speech);
    free(speech);
}

void speech_forget_files(struct speech *speech)
{
    for (int64_t f = 0; f < speech->file_count; f++) {
        free(speech->files[f].name);
        free(speech->files[f].data);
    }
    free(speech->files);
    speech->files = NULL;
    speech->file_count = 0;
}

enum status speech_add_file(struct speech *speech, const char *folder, const char *name)
{
    enum status result = STATUS_OK;
    char path[4096];
    struct speech_file file = {0};
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        FAIL(STATUS_USAGE, "%s: the path is too long", folder);
    TRY(file_read(path, FILE_LIMIT, &file.data, &file.size));
    struct speech_file *grown = realloc(speech->files, (size_t)(speech->file_count + 1) * sizeof *grown);
    if (grown)
        speech->files = grown;
    if (!grown || !(file.name = strdup(name)))
        FAIL(STATUS_INTERNAL, "%s: no memory for the file", path);
    speech->files[speech->file_count++] = file;
    return STATUS_OK;
fail:
    free(file.data);
    return result;
}

static bool same_hash(const struct sha256 *a, const struct sha256 *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

enum status speech_check(const struct speech *speech)
{
    static const struct sha256 zero;
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        const struct speech_encoder *encoder = &speech->encoder[stream];
        const char *name = unit_stream_name((enum unit_stream)stream);
        if (!encoder->encode)
            continue;
        if ((int)encoder->stream != stream)
            return status_set(STATUS_INTERNAL, "the encoder in the place of %s is for %s", name,
                              unit_stream_name(encoder->stream));
        if (encoder->rate.numerator < 1 || encoder->rate.denominator < 1)
            return status_set(STATUS_INTERNAL,
                              "the %s encoder: expected a positive rate, found %lld/%lld units per second", name,
                              (long long)encoder->rate.numerator, (long long)encoder->rate.denominator);
        if (encoder->size < 1 || encoder->size > UINT16_MAX + 1)
            return status_set(STATUS_INTERNAL, "the %s encoder has %d units, expected 1 to %d", name,
                              (int)encoder->size, UINT16_MAX + 1);
    }
    const struct speech_encoder *units = &speech->encoder[STREAM_HUBERT];
    if (!units->encode || !speech->vocoder.synthesise || same_hash(&speech->vocoder.units, &zero) ||
        same_hash(&speech->vocoder.units, &units->fingerprint))
        return STATUS_OK;
    char wanted[65], found[65];
    sha256_hex(&speech->vocoder.units, wanted);
    sha256_hex(&units->fingerprint, found);
    return status_set(STATUS_USAGE,
                      "the vocoder expects the hubert units of encoder %.16s, found units of encoder %.16s", wanted,
                      found);
}

struct unit_rates speech_rates(const struct speech *speech)
{
    struct unit_rates rates;
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        rates.rate[stream] = speech->encoder[stream].encode ? speech->encoder[stream].rate : (struct rational){0, 1};
    return rates;
}

bool speech_knows_speaker(const struct speech *speech, const char *speaker)
{
    for (int stream = 0; speaker && *speaker && stream < STREAM_COUNT; stream++) {
        const struct speech_encoder *encoder = &speech->encoder[stream];
        if (encoder->knows_speaker && encoder->knows_speaker(encoder, speaker))
            return true;
    }
    return false;
}

enum status speech_check_samples(const float *samples, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(samples[i]))
            return status_set(STATUS_CORRUPT, "sample %lld of %lld is not a finite number", (long long)i,
                              (long long)count);
    return STATUS_OK;
}

/* A unit that its vocabulary lacks would become the id of something else, so it is refused where it was made. */
static enum status check_values(const struct speech_encoder *encoder, const uint16_t *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (values[i] >= encoder->size)
            return status_set(STATUS_INTERNAL, "the %s encoder: expected a unit below %d, found %d",
                              unit_stream_name(encoder->stream), (int)encoder->size, (int)values[i]);
    return STATUS_OK;
}

enum status speech_encode(const struct speech *speech, const float *samples, int64_t count, const char *speaker,
                          unsigned streams, struct units *units)
{
    enum status result = STATUS_OK;
    struct speech_utterance utterance = {.samples = samples, .count = count, .speaker = speaker};
    *units = (struct units){0};
    if (streams & STREAMS_BASE && !speech->encoder[STREAM_HUBERT].encode)
        FAIL(STATUS_USAGE, "this speech tokenizer has no encoder of hubert units, so it cannot encode audio");
    TRY(speech_check_samples(samples, count));
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        const struct speech_encoder *encoder = &speech->encoder[stream];
        if (!(streams & 1u << stream) || !encoder->encode)
            continue;
        TRY(encoder->encode(encoder, &utterance, &units->values[stream], &units->count[stream]));
        TRY(check_values(encoder, units->values[stream], units->count[stream]));
    }
fail:
    forget_analyses(&utterance);
    if (result != STATUS_OK)
        units_free(units);
    return result;
}

enum status speech_synthesise(const struct speech *speech, const struct spoken_unit *spoken, const int32_t *durations,
                              int64_t spoken_count, struct thread_pool *pool, float **samples, int64_t *count)
{
    *samples = NULL;
    *count = 0;
    if (!speech->vocoder.synthesise)
        return status_set(STATUS_USAGE, "this speech tokenizer has no vocoder, so it cannot synthesise speech");
    return speech->vocoder.synthesise(&speech->vocoder, spoken, durations, spoken_count, pool, samples, count);
}
