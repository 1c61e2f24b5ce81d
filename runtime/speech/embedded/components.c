/* The embedded components behind the common interface. The four share one fitted tokenizer, which lives as long as the
 * last of them, and the three encoders one analysis per utterance, in which the spectra, the F0 track and the units are
 * computed when the first of them needs them. */
#include "speech/embedded/embedded.h"

#include "speech/embedded/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum status analysis_of(const struct embedded_tokenizer *tokenizer, struct speech_utterance *utterance,
                               struct embedded_analysis **analysis)
{
    *analysis = (struct embedded_analysis *)speech_utterance_find(utterance, tokenizer);
    if (*analysis)
        return STATUS_OK;
    enum status result = embedded_analysis_create(utterance->samples, utterance->count, analysis);
    if (result != STATUS_OK)
        return result;
    (*analysis)->base.owner = tokenizer;
    speech_utterance_keep(utterance, &(*analysis)->base);
    return STATUS_OK;
}

static int64_t chunk_codes(const struct embedded_chunk *chunk, enum unit_stream stream)
{
    return stream == STREAM_HUBERT ? chunk->units : stream == STREAM_PITCH ? chunk->pitches : chunk->styles;
}

/* The chunk's embedded units: the unit encoder gives them, and styles count their changes. */
static enum status chunk_hubert(const struct embedded_tokenizer *tokenizer, struct embedded_chunk *chunk)
{
    enum status result = STATUS_OK;
    if (chunk->hubert)
        return STATUS_OK;
    TRY(embedded_chunk_averages(chunk, tokenizer->mel, tokenizer->device));
    chunk->hubert = malloc((size_t)chunk->units * sizeof *chunk->hubert);
    if (!chunk->hubert)
        FAIL(STATUS_INTERNAL, "no memory for %lld units", (long long)chunk->units);
    TRY(unit_quantizer_encode(&tokenizer->units, tokenizer->device, chunk->averages, chunk->units, chunk->hubert,
                              NULL));
    return STATUS_OK;
fail:
    free(chunk->hubert);
    chunk->hubert = NULL;
    return result;
}

/* codes [chunk->pitches]. speaker_mean: of ln F0, NAN for the chunk's own. */
static enum status encode_pitch(const struct embedded_tokenizer *tokenizer, struct embedded_chunk *chunk,
                                double speaker_mean, uint16_t *codes)
{
    enum status result = embedded_chunk_pitch(chunk);
    if (result != STATUS_OK)
        return result;
    double mean = isnan(speaker_mean) ? pitch_mean(chunk->voiced) : speaker_mean;
    for (int64_t i = 0; i < chunk->pitches; i++)
        codes[i] =
            (uint16_t)pitch_code(tokenizer->codebook, tokenizer->pitch_codes, pitch_relative(chunk->pitch[i], mean));
    return STATUS_OK;
}

/* codes [chunk->styles] */
static enum status encode_style(const struct embedded_tokenizer *tokenizer, struct embedded_chunk *chunk,
                                uint16_t *codes)
{
    enum status result = STATUS_OK;
    TRY(embedded_chunk_style(chunk, tokenizer->mel, tokenizer->device));
    TRY(chunk_hubert(tokenizer, chunk));
    style_count_changes(chunk->hubert, chunk->units, chunk->style);
    TRY(style_encode(&tokenizer->styles, chunk->style, chunk->styles, codes));
fail:
    return result;
}

static enum status encode_chunk(const struct embedded_tokenizer *tokenizer, enum unit_stream stream,
                                struct embedded_chunk *chunk, double speaker_mean, uint16_t *codes)
{
    enum status result = STATUS_OK;
    if (stream == STREAM_PITCH)
        return encode_pitch(tokenizer, chunk, speaker_mean, codes);
    if (stream == STREAM_STYLE)
        return encode_style(tokenizer, chunk, codes);
    TRY(chunk_hubert(tokenizer, chunk));
    memcpy(codes, chunk->hubert, (size_t)chunk->units * sizeof *codes);
fail:
    return result;
}

static enum status encode(const struct speech_encoder *self, struct speech_utterance *utterance, uint16_t **values,
                          int64_t *count)
{
    enum status result = STATUS_OK;
    const struct embedded_tokenizer *tokenizer = self->state;
    struct embedded_analysis *analysis;
    double speaker_mean = embedded_speaker_mean(tokenizer, utterance->speaker);
    int64_t total = 0;
    *values = NULL;
    *count = 0;
    TRY(analysis_of(tokenizer, utterance, &analysis));
    for (int64_t c = 0; c < analysis->count; c++)
        total += chunk_codes(&analysis->chunks[c], self->stream);
    if (total == 0)
        return STATUS_OK;
    if (!(*values = malloc((size_t)total * sizeof **values)))
        FAIL(STATUS_INTERNAL, "no memory for %lld units", (long long)total);
    for (int64_t c = 0; c < analysis->count; c++) {
        struct embedded_chunk *chunk = &analysis->chunks[c];
        TRY(encode_chunk(tokenizer, self->stream, chunk, speaker_mean, *values + *count));
        *count += chunk_codes(chunk, self->stream);
    }
fail:
    return result;
}

static bool knows_speaker(const struct speech_encoder *self, const char *speaker)
{
    return !isnan(embedded_speaker_mean(self->state, speaker));
}

static enum status synthesise(const struct speech_vocoder *self, const struct spoken_unit *spoken,
                              const int32_t *durations, int64_t spoken_count, struct thread_pool *pool, float **samples,
                              int64_t *count)
{
    return embedded_vocode(self->state, spoken, durations, spoken_count, pool, samples, count);
}

enum status embedded_compute_on(struct speech *speech, const struct speech_compute *compute)
{
    for (int stream = 0; compute->device && stream < STREAM_COUNT; stream++) {
        struct embedded_tokenizer *tokenizer = speech->encoder[stream].state;
        if (speech->encoder[stream].encode == encode && !tokenizer->device)
            return embedded_device_create(compute->device, tokenizer->mel, &tokenizer->device);
    }
    return STATUS_OK;
}

static void release(void *state)
{
    embedded_tokenizer_release(state);
}

/* Each of the four owns a share of the tokenizer. */
static void make_components(struct embedded_tokenizer *tokenizer, struct speech *speech)
{
    const int64_t sizes[STREAM_COUNT] = {tokenizer->units.units, tokenizer->pitch_codes, tokenizer->styles.styles};
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        speech->encoder[stream] = (struct speech_encoder){
            .stream = (enum unit_stream)stream,
            .rate = tokenizer->rates.rate[stream],
            .size = (int32_t)sizes[stream],
            .fingerprint = tokenizer->fingerprints[stream],
            .state = embedded_tokenizer_share(tokenizer),
            .encode = encode,
            .knows_speaker = stream == STREAM_PITCH ? knows_speaker : NULL,
            .destroy = release,
        };
    speech->compute_on = embedded_compute_on;
    speech->vocoder = (struct speech_vocoder){
        .fingerprint = tokenizer->vocoder_fingerprint,
        .units = tokenizer->fingerprints[STREAM_HUBERT],
        .state = embedded_tokenizer_share(tokenizer),
        .synthesise = synthesise,
        .destroy = release,
    };
}

enum status embedded_open(const char *folder, const json_t *description, struct speech *speech)
{
    enum status result = STATUS_OK;
    static const char *const files[] = {"tokenizer.json", "tokenizer.safetensors", "MANIFEST"};
    struct embedded_tokenizer *tokenizer = NULL;
    TRY(embedded_tokenizer_read(folder, description, &tokenizer));
    make_components(tokenizer, speech);
    for (size_t f = 0; f < sizeof files / sizeof *files; f++)
        TRY(speech_add_file(speech, folder, files[f]));
fail:
    embedded_tokenizer_release(tokenizer);
    return result;
}
