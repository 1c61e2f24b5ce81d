/* Chunks of an utterance and what is measured in them: log-mel averages, pitch, prosody. Log-mel and F0 take nearly all
 * of the encoding time, which is why each is computed at most once. */
#include "speech/embedded/analysis.h"

#include <stdlib.h>

static enum status no_memory(const struct embedded_chunk *chunk)
{
    return status_set(STATUS_INTERNAL, "no memory to analyse %lld samples", (long long)chunk->count);
}

enum status embedded_chunk_averages(struct embedded_chunk *chunk, const struct log_mel *mel,
                                    struct embedded_device *device)
{
    enum status result = STATUS_OK;
    if (chunk->averages)
        return STATUS_OK;
    float *spectra = malloc((size_t)log_mel_frames(chunk->count) * UNIT_BANDS * sizeof *spectra);
    float *averages = malloc((size_t)chunk->units * UNIT_BANDS * sizeof *averages);
    if (!spectra || !averages) {
        result = no_memory(chunk);
        goto fail;
    }
    TRY(device ? embedded_device_log_mel(device, chunk->samples, chunk->count, spectra)
               : log_mel_compute(mel, chunk->samples, chunk->count, spectra));
    unit_average(spectra, chunk->units, averages);
    chunk->averages = averages;
    averages = NULL;
fail:
    free(spectra);
    free(averages);
    return result;
}

enum status embedded_chunk_pitch(struct embedded_chunk *chunk)
{
    if (chunk->pitch)
        return STATUS_OK;
    enum status result = f0_extract(chunk->samples, chunk->count, &chunk->track);
    if (result != STATUS_OK)
        return result;
    if (!(chunk->pitch = malloc((size_t)chunk->pitches * sizeof *chunk->pitch))) {
        f0_track_free(&chunk->track);
        return no_memory(chunk);
    }
    chunk->voiced = pitch_voiced_sum(&chunk->track);
    pitch_values(&chunk->track, chunk->pitch, chunk->pitches);
    return STATUS_OK;
}

enum status embedded_chunk_style(struct embedded_chunk *chunk, const struct log_mel *mel,
                                 struct embedded_device *device)
{
    enum status result = STATUS_OK;
    if (chunk->style)
        return STATUS_OK;
    TRY(embedded_chunk_averages(chunk, mel, device));
    TRY(embedded_chunk_pitch(chunk));
    if (!(chunk->style = calloc((size_t)chunk->styles * STYLE_VALUES, sizeof *chunk->style)))
        return no_memory(chunk);
    style_measure(chunk->samples, chunk->averages, &chunk->track, chunk->units, chunk->style);
fail:
    return result;
}

static void destroy(struct speech_analysis *analysis)
{
    embedded_analysis_free((struct embedded_analysis *)analysis);
}

enum status embedded_analysis_create(const float *samples, int64_t count, struct embedded_analysis **out)
{
    *out = NULL;
    struct embedded_analysis *analysis = calloc(1, sizeof *analysis);
    if (!analysis)
        return status_set(STATUS_INTERNAL, "no memory to analyse an utterance");
    analysis->base.destroy = destroy;
    analysis->samples = count;
    analysis->count = count / EMBEDDED_CHUNK + (count % EMBEDDED_CHUNK >= EMBEDDED_SHORTEST);
    if (analysis->count > 0 && !(analysis->chunks = calloc((size_t)analysis->count, sizeof *analysis->chunks))) {
        int64_t chunks = analysis->count;
        free(analysis);
        return status_set(STATUS_INTERNAL, "no memory to analyse an utterance of %lld chunks", (long long)chunks);
    }
    for (int64_t c = 0; c < analysis->count; c++) {
        int64_t begin = c * EMBEDDED_CHUNK, end = c == analysis->count - 1 ? count : begin + EMBEDDED_CHUNK;
        struct embedded_chunk *chunk = &analysis->chunks[c];
        *chunk = (struct embedded_chunk){.samples = samples + begin,
                                         .count = end - begin,
                                         .units = (end - begin) / UNIT_HOP,
                                         .pitches = (end - begin) / PITCH_HOP};
        chunk->styles = style_count(chunk->units);
    }
    *out = analysis;
    return STATUS_OK;
}

enum status embedded_analysis_complete(struct embedded_analysis *analysis, const struct log_mel *mel,
                                       struct embedded_device *device)
{
    enum status result = STATUS_OK;
    for (int64_t c = 0; c < analysis->count; c++) {
        struct embedded_chunk *chunk = &analysis->chunks[c];
        TRY(embedded_chunk_style(chunk, mel, device)); /* which needs the other two */
        f0_track_free(&chunk->track);
        chunk->samples = NULL;
    }
fail:
    return result;
}

void embedded_analysis_free(struct embedded_analysis *analysis)
{
    if (!analysis)
        return;
    for (int64_t c = 0; c < analysis->count; c++) {
        free(analysis->chunks[c].averages);
        free(analysis->chunks[c].hubert);
        free(analysis->chunks[c].pitch);
        free(analysis->chunks[c].style);
        f0_track_free(&analysis->chunks[c].track);
    }
    free(analysis->chunks);
    free(analysis);
}
