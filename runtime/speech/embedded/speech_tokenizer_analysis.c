/* What is measured of sound before anything is quantised. Fitting and encoding both go through it, so that they see the
 * same numbers; units and style share the log-mel spectra, pitch and style the F0 track, each computed once. */
#include "speech/embedded/speech_tokenizer_internal.h"

#include <math.h>
#include <stdlib.h>

static enum status analyse_chunk(const struct log_mel *mel, const float *samples, int64_t count,
                                 struct speech_chunk *chunk)
{
    enum status result = STATUS_OK;
    struct f0_track track = {0};
    float *spectra = NULL;
    *chunk = (struct speech_chunk){.units = count / UNIT_HOP, .pitches = count / PITCH_HOP};
    chunk->styles = style_count(chunk->units);
    spectra = malloc((size_t)log_mel_frames(count) * UNIT_BANDS * sizeof *spectra);
    chunk->averages = malloc((size_t)chunk->units * UNIT_BANDS * sizeof *chunk->averages);
    chunk->pitch = malloc((size_t)chunk->pitches * sizeof *chunk->pitch);
    chunk->style = calloc((size_t)chunk->styles * STYLE_VALUES, sizeof *chunk->style);
    if (!spectra || !chunk->averages || !chunk->pitch || !chunk->style)
        FAIL(STATUS_INTERNAL, "no memory to analyse %lld samples", (long long)count);
    TRY(log_mel_compute(mel, samples, count, spectra));
    unit_average(spectra, chunk->units, chunk->averages);
    TRY(f0_extract(samples, count, &track));
    chunk->voiced = pitch_voiced_sum(&track);
    pitch_values(&track, chunk->pitch, chunk->pitches);
    style_measure(samples, chunk->averages, &track, chunk->units, chunk->style);
fail:
    f0_track_free(&track);
    free(spectra);
    return result;
}

enum status speech_features_make(const struct log_mel *mel, const float *samples, int64_t count,
                                 struct speech_features **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(samples[i]))
            return status_set(STATUS_CORRUPT, "sample %lld of %lld is not a finite number", (long long)i,
                              (long long)count);
    struct speech_features *features = calloc(1, sizeof *features);
    if (!features)
        return status_set(STATUS_INTERNAL, "no memory to analyse an utterance");
    features->samples = count;
    int64_t chunks = count / SPEECH_CHUNK + (count % SPEECH_CHUNK >= SPEECH_SHORTEST);
    if (chunks > 0 && !(features->chunks = calloc((size_t)chunks, sizeof *features->chunks)))
        FAIL(STATUS_INTERNAL, "no memory to analyse an utterance of %lld chunks", (long long)chunks);
    for (int64_t c = 0; c < chunks; c++) {
        int64_t begin = c * SPEECH_CHUNK, end = c == chunks - 1 ? count : begin + SPEECH_CHUNK;
        features->count = c + 1;
        TRY(analyse_chunk(mel, samples + begin, end - begin, &features->chunks[c]));
    }
    *out = features;
    return STATUS_OK;
fail:
    speech_features_free(features);
    return result;
}

void speech_features_free(struct speech_features *features)
{
    if (!features)
        return;
    for (int64_t c = 0; c < features->count; c++) {
        free(features->chunks[c].averages);
        free(features->chunks[c].pitch);
        free(features->chunks[c].style);
    }
    free(features->chunks);
    free(features);
}
