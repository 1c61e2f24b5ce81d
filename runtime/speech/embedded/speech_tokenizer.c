/* A fitted tokenizer in use. An utterance is taken in chunks of 100 s, a whole number of units of every stream, and
 * each is encoded by itself: the memory for spectra and pitch stays bounded for recordings of any length, and what is
 * said in one chunk does not change the units of another. */
#include "speech/embedded/speech_tokenizer_internal.h"

#include "speech/embedded/griffin_lim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum status speech_tokenizer_allocate(struct speech_tokenizer **out)
{
    *out = NULL;
    struct speech_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return status_set(STATUS_INTERNAL, "no memory for a speech tokenizer");
    tokenizer->rates.rate[STREAM_HUBERT] = (struct rational){25, 1};
    tokenizer->rates.rate[STREAM_PITCH] = (struct rational){25, 2};
    tokenizer->rates.rate[STREAM_STYLE] = (struct rational){1, 1};
    enum status result = log_mel_create(UNIT_BANDS, &tokenizer->mel);
    if (result != STATUS_OK)
        free(tokenizer);
    else
        *out = tokenizer;
    return result;
}

void speech_tokenizer_free(struct speech_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    unit_quantizer_free(&tokenizer->units);
    free(tokenizer->codebook);
    free(tokenizer->styles.centroids);
    for (int64_t s = 0; s < tokenizer->speaker_count; s++)
        free(tokenizer->speakers[s].name);
    free(tokenizer->speakers);
    log_mel_free(tokenizer->mel);
    free(tokenizer->log_magnitudes);
    free(tokenizer);
}

const struct unit_rates *speech_tokenizer_rates(const struct speech_tokenizer *tokenizer)
{
    return &tokenizer->rates;
}

int32_t speech_tokenizer_size(const struct speech_tokenizer *tokenizer, enum unit_stream stream)
{
    switch (stream) {
    case STREAM_HUBERT:
        return (int32_t)tokenizer->units.units;
    case STREAM_PITCH:
        return (int32_t)tokenizer->pitch_codes;
    case STREAM_STYLE:
        return (int32_t)tokenizer->styles.styles;
    case STREAM_COUNT:
        break;
    }
    return 0;
}

struct sha256 speech_tokenizer_fingerprint(const struct speech_tokenizer *tokenizer, enum unit_stream stream)
{
    return tokenizer->fingerprints[stream];
}

struct sha256 speech_tokenizer_vocoder_fingerprint(const struct speech_tokenizer *tokenizer)
{
    return tokenizer->vocoder_fingerprint;
}

static int compare_name(const void *name, const void *speaker)
{
    return strcmp(name, ((const struct speaker *)speaker)->name);
}

struct speaker *speech_tokenizer_speaker(const struct speech_tokenizer *tokenizer, const char *name)
{
    if (!name || tokenizer->speaker_count == 0)
        return NULL;
    return bsearch(name, tokenizer->speakers, (size_t)tokenizer->speaker_count, sizeof *tokenizer->speakers,
                   compare_name);
}

double speech_tokenizer_speaker_mean(const struct speech_tokenizer *tokenizer, const char *speaker)
{
    const struct speaker *found = speech_tokenizer_speaker(tokenizer, speaker);
    return found ? found->mean : (double)NAN;
}

/* Appends the codes of one chunk. */
static enum status encode_chunk(const struct speech_tokenizer *tokenizer, struct speech_chunk *chunk,
                                double speaker_mean, struct units *units)
{
    enum status result = STATUS_OK;
    uint16_t *hubert = units->values[STREAM_HUBERT] + units->count[STREAM_HUBERT];
    uint16_t *pitch = units->values[STREAM_PITCH] + units->count[STREAM_PITCH];
    uint16_t *style = units->values[STREAM_STYLE] + units->count[STREAM_STYLE];
    TRY(unit_quantizer_encode(&tokenizer->units, chunk->averages, chunk->units, hubert, NULL));
    double mean = isnan(speaker_mean) ? pitch_mean(chunk->voiced) : speaker_mean;
    for (int64_t i = 0; i < chunk->pitches; i++)
        pitch[i] =
            (uint16_t)pitch_code(tokenizer->codebook, tokenizer->pitch_codes, pitch_relative(chunk->pitch[i], mean));
    style_count_changes(hubert, chunk->units, chunk->style);
    TRY(style_encode(&tokenizer->styles, chunk->style, chunk->styles, style));
    units->count[STREAM_HUBERT] += chunk->units;
    units->count[STREAM_PITCH] += chunk->pitches;
    units->count[STREAM_STYLE] += chunk->styles;
fail:
    return result;
}

enum status speech_tokenizer_encode(const struct speech_tokenizer *tokenizer, const float *samples, int64_t count,
                                    double speaker_mean, struct units *units)
{
    enum status result = STATUS_OK;
    struct speech_features *features = NULL;
    int64_t totals[STREAM_COUNT] = {0};
    *units = (struct units){0};
    TRY(speech_features_make(tokenizer->mel, samples, count, &features));
    for (int64_t c = 0; c < features->count; c++) {
        totals[STREAM_HUBERT] += features->chunks[c].units;
        totals[STREAM_PITCH] += features->chunks[c].pitches;
        totals[STREAM_STYLE] += features->chunks[c].styles;
    }
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        if (totals[stream] > 0 &&
            !(units->values[stream] = malloc((size_t)totals[stream] * sizeof *units->values[stream])))
            FAIL(STATUS_INTERNAL, "no memory for %lld units", (long long)totals[stream]);
    for (int64_t c = 0; c < features->count; c++)
        TRY(encode_chunk(tokenizer, &features->chunks[c], speaker_mean, units));
fail:
    speech_features_free(features);
    if (result != STATUS_OK)
        units_free(units);
    return result;
}
