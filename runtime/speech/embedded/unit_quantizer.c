/* Implements the steps that are numbered in the header, and their fit. The cost of switching units is derived from the
 * fitted centroids' own distances, since a fixed number would mean something different for every number of units. */
#include "speech/embedded/unit_quantizer.h"

#include "speech/embedded/kmeans.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double SPEECH_RANGE = 6.0, PRIOR_FRAMES = 50.0, PI = 3.14159265358979323846;

/* The fit sets silence_level this far below the mean of the utterances' highest levels, in nats. */
static const double SILENCE_RANGE = 9.0;

/* More frames than this (2.3 hours) are fitted by mini-batches of this many. */
enum { LLOYD_FRAMES = 200000 };

enum status unit_quantizer_allocate(struct unit_quantizer *quantizer, int64_t units)
{
    *quantizer = (struct unit_quantizer){.units = units};
    quantizer->centroids = calloc((size_t)units * UNIT_FEATURES, sizeof(float));
    quantizer->spectra = calloc((size_t)units * UNIT_BANDS, sizeof(float));
    quantizer->run_lengths = calloc((size_t)units, sizeof(float));
    if (quantizer->centroids && quantizer->spectra && quantizer->run_lengths)
        return STATUS_OK;
    unit_quantizer_free(quantizer);
    return status_set(STATUS_INTERNAL, "no memory for %lld units", (long long)units);
}

void unit_quantizer_free(struct unit_quantizer *quantizer)
{
    free(quantizer->centroids);
    free(quantizer->spectra);
    free(quantizer->run_lengths);
    quantizer->centroids = quantizer->spectra = quantizer->run_lengths = NULL;
}

void unit_average(const float *mel, int64_t count, float *averages)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t b = 0; b < UNIT_BANDS; b++) {
            double sum = 0;
            for (int64_t t = 0; t < UNIT_MEL_FRAMES; t++)
                sum += (double)mel[(i * UNIT_MEL_FRAMES + t) * UNIT_BANDS + b];
            averages[i * UNIT_BANDS + b] = (float)(sum / UNIT_MEL_FRAMES);
        }
}

static double frame_level(const float *average)
{
    double sum = 0;
    for (int64_t b = 0; b < UNIT_BANDS; b++)
        sum += (double)average[b];
    return sum / UNIT_BANDS;
}

static double highest_level(const float *averages, int64_t count)
{
    double highest = -INFINITY;
    for (int64_t i = 0; i < count; i++)
        highest = fmax(highest, frame_level(averages + i * UNIT_BANDS));
    return highest;
}

/* Adds the speech frames of an utterance to sum [UNIT_BANDS] and returns their number. */
static int64_t sum_speech(const float *averages, int64_t count, double silence_level, double *sum)
{
    double threshold = fmax(highest_level(averages, count) - SPEECH_RANGE, silence_level);
    int64_t frames = 0;
    for (int64_t i = 0; i < count; i++) {
        const float *average = averages + i * UNIT_BANDS;
        if (!(frame_level(average) > threshold))
            continue;
        for (int64_t b = 0; b < UNIT_BANDS; b++)
            sum[b] += (double)average[b];
        frames++;
    }
    return frames;
}

static void make_neutral(const struct unit_quantizer *quantizer, const float *averages, int64_t count, float *neutral)
{
    double sum[UNIT_BANDS] = {0}, offset[UNIT_BANDS];
    double frames = (double)sum_speech(averages, count, quantizer->silence_level, sum);
    for (int64_t b = 0; b < UNIT_BANDS; b++)
        offset[b] = (sum[b] - frames * (double)quantizer->speech_mean[b]) / (frames + PRIOR_FRAMES);
    for (int64_t i = 0; i < count; i++)
        for (int64_t b = 0; b < UNIT_BANDS; b++)
            neutral[i * UNIT_BANDS + b] = (float)((double)averages[i * UNIT_BANDS + b] - offset[b]);
}

static void make_features(const struct unit_quantizer *quantizer, const float *neutral, int64_t count, float *features)
{
    double basis[UNIT_FEATURES][UNIT_BANDS];
    for (int q = 0; q < UNIT_FEATURES; q++)
        for (int b = 0; b < UNIT_BANDS; b++)
            basis[q][b] = sqrt((q ? 2.0 : 1.0) / UNIT_BANDS) * cos(PI * q * (b + 0.5) / UNIT_BANDS);
    for (int64_t i = 0; i < count; i++) {
        double z[UNIT_BANDS];
        for (int64_t b = 0; b < UNIT_BANDS; b++)
            z[b] = ((double)neutral[i * UNIT_BANDS + b] - (double)quantizer->mean[b]) / (double)quantizer->deviation[b];
        for (int64_t q = 0; q < UNIT_FEATURES; q++) {
            double sum = 0;
            for (int64_t b = 0; b < UNIT_BANDS; b++)
                sum += basis[q][b] * z[b];
            features[i * UNIT_FEATURES + q] = (float)sum;
        }
    }
}

/* The path of least cost. Ties go to staying, then to the lowest unit. from[i][u]: the unit before u at frame i. */
static enum status least_path(const float *distances, int64_t count, int64_t units, double switch_cost, uint16_t *path)
{
    double *cost = malloc((size_t)units * sizeof *cost);
    uint16_t *from = malloc((size_t)(count * units) * sizeof *from);
    if (!cost || !from) {
        free(cost);
        free(from);
        return status_set(STATUS_INTERNAL, "no memory for the units of %lld frames", (long long)count);
    }
    assert(units > 0);
    memset(cost, 0, (size_t)units * sizeof *cost);
    int64_t best = 0;
    for (int64_t i = 0; i < count; i++) {
        double change = cost[best] + switch_cost;
        int64_t least = 0;
        for (int64_t u = 0; u < units; u++) {
            bool stay = cost[u] <= change;
            from[i * units + u] = (uint16_t)(stay ? u : best);
            cost[u] = (stay ? cost[u] : change) + (double)distances[i * units + u];
            if (cost[u] < cost[least])
                least = u;
        }
        best = least;
    }
    for (int64_t i = count - 1; i >= 0; i--) {
        path[i] = (uint16_t)best;
        best = from[i * units + best];
    }
    free(cost);
    free(from);
    return STATUS_OK;
}

/* Distances [count][units] of features to all centroids. */
static enum status measure_features(const struct unit_quantizer *quantizer, struct embedded_device *device,
                                    const float *features, int64_t count, float *distances)
{
    struct distance_problem problem = {features, quantizer->centroids, count, UNIT_FEATURES, quantizer->units};
    return device ? embedded_device_distances(device, &problem, distances)
                  : kmeans_distances(features, count, UNIT_FEATURES, quantizer->centroids, quantizer->units, distances);
}

enum status unit_quantizer_encode(const struct unit_quantizer *quantizer, struct embedded_device *device,
                                  const float *averages, int64_t count, uint16_t *units, float *neutral_out)
{
    enum status result = STATUS_OK;
    float *neutral = NULL, *features = NULL, *distances = NULL;
    if (count == 0)
        return STATUS_OK;
    neutral = malloc((size_t)count * UNIT_BANDS * sizeof *neutral);
    features = malloc((size_t)count * UNIT_FEATURES * sizeof *features);
    distances = malloc((size_t)(count * quantizer->units) * sizeof *distances);
    if (!neutral || !features || !distances)
        FAIL(STATUS_INTERNAL, "no memory for %lld units", (long long)count);
    make_neutral(quantizer, averages, count, neutral);
    make_features(quantizer, neutral, count, features);
    TRY(measure_features(quantizer, device, features, count, distances));
    TRY(least_path(distances, count, quantizer->units, quantizer->switch_cost, units));
    if (neutral_out)
        memcpy(neutral_out, neutral, (size_t)count * UNIT_BANDS * sizeof *neutral);
fail:
    free(neutral);
    free(features);
    free(distances);
    return result;
}

/* ---- fitting ---- */

static void fit_levels(const struct unit_sample *samples, int64_t sample_count, struct unit_quantizer *quantizer)
{
    double highest = 0, sum[UNIT_BANDS] = {0};
    int64_t utterances = 0, frames = 0;
    for (int64_t s = 0; s < sample_count; s++)
        if (samples[s].count > 0) {
            highest += highest_level(samples[s].averages, samples[s].count);
            utterances++;
        }
    quantizer->silence_level = highest / (double)utterances - SILENCE_RANGE;
    for (int64_t s = 0; s < sample_count; s++)
        frames += sum_speech(samples[s].averages, samples[s].count, quantizer->silence_level, sum);
    for (int64_t b = 0; b < UNIT_BANDS; b++)
        quantizer->speech_mean[b] = frames ? (float)(sum[b] / (double)frames) : 0;
}

/* A band without variation would be divided by 0: its deviation is set so that it weighs next to nothing. */
static void fit_bands(const float *neutral, int64_t frames, struct unit_quantizer *quantizer)
{
    for (int64_t b = 0; b < UNIT_BANDS; b++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < frames; i++)
            sum += (double)neutral[i * UNIT_BANDS + b];
        double mean = sum / (double)frames;
        for (int64_t i = 0; i < frames; i++) {
            double difference = (double)neutral[i * UNIT_BANDS + b] - mean;
            squares += difference * difference;
        }
        quantizer->mean[b] = (float)mean;
        quantizer->deviation[b] = (float)fmax(sqrt(squares / (double)frames), 1e-3);
    }
}

struct encode_job {
    const struct unit_quantizer *quantizer;
    struct embedded_device *device;
    struct unit_sample *samples;
    struct encode_outcome {
        enum status result;
        char error[256]; /* a thread's text is its own */
    } * outcomes;        /* one per sample */
};

static void encode_sample(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct encode_job *job = argument;
    struct unit_sample *sample = &job->samples[task];
    struct encode_outcome *outcome = &job->outcomes[task];
    outcome->result =
        unit_quantizer_encode(job->quantizer, job->device, sample->averages, sample->count, sample->units, NULL);
    if (outcome->result != STATUS_OK)
        snprintf(outcome->error, sizeof outcome->error, "%s", status_text());
}

static enum status encode_all(const struct unit_quantizer *quantizer, struct embedded_device *device,
                              struct unit_sample *samples, int64_t sample_count, struct thread_pool *pool)
{
    struct encode_job job = {.quantizer = quantizer, .device = device, .samples = samples};
    job.outcomes = calloc((size_t)sample_count, sizeof *job.outcomes);
    if (!job.outcomes)
        return status_set(STATUS_INTERNAL, "no memory for %lld utterances", (long long)sample_count);
    thread_pool_run(pool, sample_count, encode_sample, &job);
    enum status result = STATUS_OK;
    for (int64_t s = 0; s < sample_count && result == STATUS_OK; s++)
        if (job.outcomes[s].result != STATUS_OK)
            result = status_set(job.outcomes[s].result, "utterance %lld: %s", (long long)s, job.outcomes[s].error);
    free(job.outcomes);
    return result;
}

/* Mean neutral spectrum and mean run length of each unit; a unit that never occurs has the sample's mean spectrum and
 * runs of 1. neutral: of all samples, end to end. */
static enum status fit_spectra(const struct unit_sample *samples, int64_t sample_count, const float *neutral,
                               struct unit_quantizer *quantizer)
{
    int64_t units = quantizer->units;
    double *sums = calloc((size_t)units * UNIT_BANDS, sizeof *sums);
    int64_t *frames = calloc((size_t)units, sizeof *frames), *runs = calloc((size_t)units, sizeof *runs);
    enum status result = STATUS_OK;
    if (!sums || !frames || !runs)
        FAIL(STATUS_INTERNAL, "no memory for the spectra of %lld units", (long long)units);
    for (int64_t s = 0; s < sample_count; s++) {
        for (int64_t i = 0; i < samples[s].count; i++, neutral += UNIT_BANDS) {
            int64_t unit = samples[s].units[i];
            frames[unit]++;
            runs[unit] += i == 0 || samples[s].units[i - 1] != unit;
            for (int64_t b = 0; b < UNIT_BANDS; b++)
                sums[unit * UNIT_BANDS + b] += (double)neutral[b];
        }
    }
    for (int64_t u = 0; u < units; u++) {
        quantizer->run_lengths[u] = frames[u] ? (float)((double)frames[u] / (double)runs[u]) : 1;
        for (int64_t b = 0; b < UNIT_BANDS; b++)
            quantizer->spectra[u * UNIT_BANDS + b] =
                frames[u] ? (float)(sums[u * UNIT_BANDS + b] / (double)frames[u]) : quantizer->mean[b];
    }
fail:
    free(sums);
    free(frames);
    free(runs);
    return result;
}

enum status unit_quantizer_fit(struct unit_sample *samples, int64_t sample_count,
                               const struct unit_fit_options *options, struct thread_pool *pool,
                               struct unit_quantizer *quantizer)
{
    enum status result = STATUS_OK;
    float *neutral = NULL, *features = NULL;
    int64_t frames = 0;
    TRY(unit_quantizer_allocate(quantizer, options->units));
    for (int64_t s = 0; s < sample_count; s++)
        frames += samples[s].count;
    if (frames < options->units)
        FAIL(STATUS_USAGE, "fitting %lld units needs at least %lld frames of 40 ms, found %lld in the sample",
             (long long)options->units, (long long)options->units, (long long)frames);
    neutral = malloc((size_t)frames * UNIT_BANDS * sizeof *neutral);
    features = malloc((size_t)frames * UNIT_FEATURES * sizeof *features);
    if (!neutral || !features)
        FAIL(STATUS_INTERNAL, "no memory to fit units on %lld frames", (long long)frames);
    fit_levels(samples, sample_count, quantizer);
    int64_t at = 0;
    for (int64_t s = 0; s < sample_count; at += samples[s++].count)
        make_neutral(quantizer, samples[s].averages, samples[s].count, neutral + at * UNIT_BANDS);
    fit_bands(neutral, frames, quantizer);
    make_features(quantizer, neutral, frames, features);
    struct kmeans_options kmeans = {.clusters = options->units,
                                    .passes = options->passes,
                                    .batch = LLOYD_FRAMES,
                                    .seed = options->seed,
                                    .purpose = 0,
                                    .device = options->device};
    struct kmeans_report report;
    TRY(kmeans_fit(features, frames, UNIT_FEATURES, &kmeans, pool, quantizer->centroids, &report));
    quantizer->switch_cost = options->switch_share * report.inertia;
    TRY(encode_all(quantizer, options->device, samples, sample_count, pool));
    TRY(fit_spectra(samples, sample_count, neutral, quantizer));
fail:
    free(neutral);
    free(features);
    if (result != STATUS_OK)
        unit_quantizer_free(quantizer);
    return result;
}
