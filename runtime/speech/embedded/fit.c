/* What is kept of an utterance is its measurements, not its samples, in the order in which they were given; the
 * quantisers are fitted when all are known. Units come before styles, whose last value counts changes of unit, and
 * speakers before pitch, which is relative to the speaker's mean. */
#include "speech/embedded/fit.h"

#include "core/array.h"
#include "speech/embedded/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The cost of a change of unit, as a share of a frame's mean squared distance to its centroid. Chosen by measurement on
 * 64 minutes of prompts and synthetic speech: 0 gives 20.6 units per second after deduplication, 0.5 gives 18.0 (the
 * published HuBERT units: 17.1 to 17.5) and says more about the phones; 2 gives 12.6 and says less. */
static const double SWITCH_SHARE = 0.5;

struct fit_utterance {
    struct embedded_analysis *analysis;
    char *speaker; /* NULL: unknown */
};

struct speech_fit {
    struct speech_fit_options options;
    struct embedded_tokenizer *tokenizer; /* being made */
    struct fit_utterance *utterances;
    int64_t count, capacity, speaker_capacity;
};

static enum status check_options(const struct speech_fit_options *options)
{
    const struct {
        const char *name;
        int64_t value, least, most;
    } limits[] = {{"units", options->units, 2, 65535},
                  {"pitch_codes", options->pitch_codes, 1, 65535},
                  {"style_codes", options->style_codes, 1, 65535},
                  {"iterations", options->iterations, 1, 100000}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].value < limits[i].least || limits[i].value > limits[i].most)
            return status_set(STATUS_USAGE, "speech tokenizer: %s is %lld, expected %lld to %lld", limits[i].name,
                              (long long)limits[i].value, (long long)limits[i].least, (long long)limits[i].most);
    return STATUS_OK;
}

enum status speech_fit_begin(const struct speech_fit_options *options, struct speech_fit **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    TRY(check_options(options));
    struct speech_fit *fit = calloc(1, sizeof *fit);
    if (!fit)
        return status_set(STATUS_INTERNAL, "no memory to fit a speech tokenizer");
    fit->options = *options;
    result = embedded_tokenizer_create(&fit->tokenizer);
    if (result == STATUS_OK && options->kernels)
        result = embedded_device_create(options->kernels, fit->tokenizer->mel, &fit->tokenizer->device);
    if (result != STATUS_OK)
        speech_fit_free(fit);
    else
        *out = fit;
fail:
    return result;
}

void speech_fit_free(struct speech_fit *fit)
{
    if (!fit)
        return;
    for (int64_t u = 0; u < fit->count; u++) {
        embedded_analysis_free(fit->utterances[u].analysis);
        free(fit->utterances[u].speaker);
    }
    free(fit->utterances);
    embedded_tokenizer_release(fit->tokenizer);
    free(fit);
}

enum status speech_fit_analyse(const struct speech_fit *fit, const float *samples, int64_t count,
                               struct embedded_analysis **out)
{
    enum status result = STATUS_OK;
    struct embedded_analysis *analysis = NULL;
    *out = NULL;
    TRY(speech_check_samples(samples, count));
    TRY(embedded_analysis_create(samples, count, &analysis));
    TRY(embedded_analysis_complete(analysis, fit->tokenizer->mel, fit->tokenizer->device));
    *out = analysis;
    return STATUS_OK;
fail:
    embedded_analysis_free(analysis);
    return result;
}

void speech_fit_discard(struct embedded_analysis *analysis)
{
    embedded_analysis_free(analysis);
}

enum status speech_fit_take(struct speech_fit *fit, struct embedded_analysis *analysis, const char *speaker)
{
    enum status result = STATUS_OK;
    char *name = NULL;
    TRY(array_grow(&fit->utterances, &fit->capacity, fit->count + 1, "utterances"));
    if (speaker && *speaker && !(name = strdup(speaker)))
        FAIL(STATUS_INTERNAL, "no memory for a speaker's name");
    fit->utterances[fit->count++] = (struct fit_utterance){analysis, name};
    return STATUS_OK;
fail:
    embedded_analysis_free(analysis);
    return result;
}

enum status speech_fit_add(struct speech_fit *fit, const float *samples, int64_t count, const char *speaker)
{
    struct embedded_analysis *analysis;
    enum status result = speech_fit_analyse(fit, samples, count, &analysis);
    return result == STATUS_OK ? speech_fit_take(fit, analysis, speaker) : result;
}

static int compare_speakers(const void *left, const void *right)
{
    return strcmp(((const struct speaker *)left)->name, ((const struct speaker *)right)->name);
}

/* The table of speakers, in order of names, with the mean of each. */
static enum status fit_speakers(struct speech_fit *fit)
{
    struct embedded_tokenizer *tokenizer = fit->tokenizer;
    struct speaker *speakers = calloc((size_t)fit->count + 1, sizeof *speakers);
    int64_t count = 0, distinct = 0;
    if (!speakers)
        return status_set(STATUS_INTERNAL, "no memory for the speakers of %lld utterances", (long long)fit->count);
    for (int64_t u = 0; u < fit->count; u++)
        if (fit->utterances[u].speaker)
            speakers[count++].name = fit->utterances[u].speaker;
    qsort(speakers, (size_t)count, sizeof *speakers, compare_speakers);
    for (int64_t s = 0; s < count; s++)
        if (s == 0 || strcmp(speakers[s].name, speakers[distinct - 1].name) != 0)
            speakers[distinct++].name = speakers[s].name;
    tokenizer->speakers = speakers;
    for (int64_t s = 0; s < distinct; s++) {
        if (!(speakers[s].name = strdup(speakers[s].name)))
            return status_set(STATUS_INTERNAL, "no memory for a speaker's name");
        tokenizer->speaker_count = s + 1; /* from here on the tokenizer owns that many names */
    }
    for (int64_t u = 0; u < fit->count; u++) {
        struct speaker *speaker = embedded_speaker(tokenizer, fit->utterances[u].speaker);
        const struct embedded_analysis *analysis = fit->utterances[u].analysis;
        for (int64_t c = 0; speaker && c < analysis->count; c++) {
            speaker->pitch.sum += analysis->chunks[c].voiced.sum;
            speaker->pitch.frames += analysis->chunks[c].voiced.frames;
        }
    }
    for (int64_t s = 0; s < distinct; s++)
        speakers[s].mean = pitch_mean(speakers[s].pitch);
    return STATUS_OK;
}

/* All chunks of all utterances in order. */
static int64_t count_chunks(const struct speech_fit *fit)
{
    int64_t chunks = 0;
    for (int64_t u = 0; u < fit->count; u++)
        chunks += fit->utterances[u].analysis->count;
    return chunks;
}

static enum status fit_units(struct speech_fit *fit, struct thread_pool *pool, struct unit_sample *samples,
                             int64_t chunks)
{
    int64_t at = 0;
    for (int64_t u = 0; u < fit->count; u++) {
        struct embedded_analysis *analysis = fit->utterances[u].analysis;
        for (int64_t c = 0; c < analysis->count; c++, at++) {
            struct embedded_chunk *chunk = &analysis->chunks[c];
            samples[at] = (struct unit_sample){.averages = chunk->averages, .count = chunk->units};
            samples[at].units = malloc((size_t)chunk->units * sizeof *samples[at].units);
            if (!samples[at].units)
                return status_set(STATUS_INTERNAL, "no memory for %lld units", (long long)chunk->units);
        }
    }
    struct unit_fit_options options = {.units = fit->options.units,
                                       .passes = fit->options.iterations,
                                       .seed = fit->options.seed,
                                       .switch_share = SWITCH_SHARE,
                                       .device = fit->tokenizer->device};
    enum status result = unit_quantizer_fit(samples, chunks, &options, pool, &fit->tokenizer->units);
    at = 0;
    for (int64_t u = 0; u < fit->count && result == STATUS_OK; u++)
        for (int64_t c = 0; c < fit->utterances[u].analysis->count; c++, at++)
            style_count_changes(samples[at].units, samples[at].count, fit->utterances[u].analysis->chunks[c].style);
    return result;
}

static enum status fit_pitch(struct speech_fit *fit, struct thread_pool *pool)
{
    enum status result = STATUS_OK;
    struct embedded_tokenizer *tokenizer = fit->tokenizer;
    int64_t count = 0, at = 0, codes = fit->options.pitch_codes;
    for (int64_t u = 0; u < fit->count; u++)
        for (int64_t c = 0; c < fit->utterances[u].analysis->count; c++)
            count += fit->utterances[u].analysis->chunks[c].pitches;
    float *values = malloc((size_t)count * sizeof *values);
    tokenizer->codebook = malloc((size_t)codes * sizeof *tokenizer->codebook);
    tokenizer->pitch_codes = codes;
    if (!values || !tokenizer->codebook)
        FAIL(STATUS_INTERNAL, "no memory for %lld pitch values", (long long)count);
    for (int64_t u = 0; u < fit->count; u++) {
        double speaker_mean = embedded_speaker_mean(tokenizer, fit->utterances[u].speaker);
        for (int64_t c = 0; c < fit->utterances[u].analysis->count; c++) {
            const struct embedded_chunk *chunk = &fit->utterances[u].analysis->chunks[c];
            double mean = isnan(speaker_mean) ? pitch_mean(chunk->voiced) : speaker_mean;
            for (int64_t i = 0; i < chunk->pitches; i++)
                values[at++] = pitch_relative(chunk->pitch[i], mean);
        }
    }
    TRY(pitch_fit(values, count, codes, fit->options.iterations, fit->options.seed, pool, tokenizer->codebook));
fail:
    free(values);
    return result;
}

static enum status fit_styles(struct speech_fit *fit, struct thread_pool *pool)
{
    enum status result = STATUS_OK;
    int64_t count = 0, at = 0;
    for (int64_t u = 0; u < fit->count; u++)
        for (int64_t c = 0; c < fit->utterances[u].analysis->count; c++)
            count += fit->utterances[u].analysis->chunks[c].styles;
    float *values = malloc((size_t)count * STYLE_VALUES * sizeof *values);
    if (!values)
        return status_set(STATUS_INTERNAL, "no memory for %lld seconds of prosody", (long long)count);
    for (int64_t u = 0; u < fit->count; u++)
        for (int64_t c = 0; c < fit->utterances[u].analysis->count; c++) {
            const struct embedded_chunk *chunk = &fit->utterances[u].analysis->chunks[c];
            memcpy(values + at * STYLE_VALUES, chunk->style, (size_t)chunk->styles * STYLE_VALUES * sizeof *values);
            at += chunk->styles;
        }
    TRY(style_fit(values, count, fit->options.style_codes, fit->options.iterations, fit->options.seed, pool,
                  &fit->tokenizer->styles));
fail:
    free(values);
    return result;
}

enum status speech_fit_finish(struct speech_fit *fit, struct thread_pool *pool, const char *path, bool replace)
{
    enum status result = STATUS_OK;
    struct embedded_tokenizer *tokenizer = fit->tokenizer;
    struct unit_sample *samples = NULL;
    int64_t chunks = count_chunks(fit);
    if (chunks == 0)
        FAIL(STATUS_USAGE, "%s: nothing to fit a speech tokenizer on: no utterance of 80 ms or more among %lld", path,
             (long long)fit->count);
    if (!(samples = calloc((size_t)chunks, sizeof *samples)))
        FAIL(STATUS_INTERNAL, "no memory for %lld utterances", (long long)chunks);
    tokenizer->record =
        (struct fit_record){.seed = fit->options.seed, .passes = fit->options.iterations, .utterances = fit->count};
    for (int64_t u = 0; u < fit->count; u++)
        tokenizer->record.samples += fit->utterances[u].analysis->samples;
    TRY(fit_speakers(fit));
    TRY(fit_units(fit, pool, samples, chunks));
    TRY(fit_pitch(fit, pool));
    TRY(fit_styles(fit, pool));
    tokenizer->vocoder_iterations = VOCODER_ITERATIONS;
    tokenizer->vocoder_seed = fit->options.seed;
    embedded_tokenizer_seal(tokenizer);
    TRY(embedded_tokenizer_save(tokenizer, path, replace));
fail:
    for (int64_t s = 0; samples && s < chunks; s++)
        free(samples[s].units);
    free(samples);
    return result;
}
