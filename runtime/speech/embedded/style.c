/* Seven plain statistics of every second, each scaled so that none outweighs the others in a distance, then the nearest
 * centroid. What a second does not have, such as the pitch of one without voice, counts as average. */
#include "speech/embedded/style.h"

#include "speech/embedded/kmeans.h"
#include "speech/embedded/log_mel.h"
#include "speech/embedded/unit_quantizer.h"

#include <math.h>
#include <stdlib.h>

/* Sums for a mean and a deviation. */
struct moments {
    double sum, squares;
    int64_t count;
};

static void moments_add(struct moments *moments, double value)
{
    moments->sum += value;
    moments->squares += value * value;
    moments->count++;
}

static void moments_store(const struct moments *moments, float *values)
{
    if (moments->count == 0) {
        values[0] = values[1] = NAN;
        return;
    }
    double mean = moments->sum / (double)moments->count;
    values[0] = (float)mean;
    values[1] = (float)sqrt(fmax(moments->squares / (double)moments->count - mean * mean, 0));
}

static double spectral_tilt(const float *averages, int64_t count)
{
    double slope = 0, spread = 0;
    for (int64_t b = 0; b < UNIT_BANDS; b++) {
        double sum = 0, place = (double)b - 0.5 * (UNIT_BANDS - 1);
        for (int64_t i = 0; i < count; i++)
            sum += (double)averages[i * UNIT_BANDS + b];
        slope += place * sum / (double)count;
        spread += place * place;
    }
    return slope / spread * UNIT_BANDS;
}

static int64_t second_end(int64_t second, int64_t count)
{
    return (second + 1) * STYLE_UNITS < count ? (second + 1) * STYLE_UNITS : count;
}

/* The units first..end - 1 of one second. */
static void measure_second(const float *samples, const float *averages, const struct f0_track *track, int64_t first,
                           int64_t end, float *values)
{
    struct moments pitch = {0}, energy = {0};
    int64_t voiced = 0, f0_first = first * UNIT_HOP / F0_HOP, f0_end = end * UNIT_HOP / F0_HOP;
    for (int64_t t = f0_first; t < f0_end; t++) {
        voiced += track->voiced[t] != 0;
        if (track->voiced[t] && track->interpolated[t] > 0)
            moments_add(&pitch, log((double)track->interpolated[t]));
    }
    for (int64_t start = first * UNIT_HOP; start < end * UNIT_HOP; start += LOG_MEL_HOP) {
        double squares = 0;
        for (int64_t i = start; i < start + LOG_MEL_HOP; i++)
            squares += (double)samples[i] * (double)samples[i];
        moments_add(&energy, log(squares / LOG_MEL_HOP + 1e-8));
    }
    moments_store(&pitch, values);
    values[2] = (float)((double)voiced / (double)(f0_end - f0_first));
    moments_store(&energy, values + 3);
    values[5] = (float)spectral_tilt(averages + first * UNIT_BANDS, end - first);
}

void style_measure(const float *samples, const float *averages, const struct f0_track *track, int64_t count,
                   float *values)
{
    for (int64_t s = 0; s < style_count(count); s++)
        measure_second(samples, averages, track, s * STYLE_UNITS, second_end(s, count), values + s * STYLE_VALUES);
}

void style_count_changes(const uint16_t *units, int64_t count, float *values)
{
    for (int64_t s = 0; s < style_count(count); s++) {
        int64_t first = s * STYLE_UNITS, end = second_end(s, count), changes = 0;
        for (int64_t i = first + 1; i < end; i++)
            changes += units[i] != units[i - 1];
        values[s * STYLE_VALUES + 6] = (float)((double)changes / (double)(end - first) * STYLE_UNITS);
    }
}

static void normalise(const struct style_quantizer *quantizer, const float *values, int64_t count, float *normal)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t v = 0; v < STYLE_VALUES; v++) {
            double value = (double)values[i * STYLE_VALUES + v];
            normal[i * STYLE_VALUES + v] =
                isnan(value) ? 0 : (float)((value - (double)quantizer->mean[v]) / (double)quantizer->deviation[v]);
        }
}

enum status style_encode(const struct style_quantizer *quantizer, const float *values, int64_t count, uint16_t *codes)
{
    enum status result = STATUS_OK;
    if (count == 0)
        return STATUS_OK;
    float *normal = calloc((size_t)count * STYLE_VALUES, sizeof *normal);
    int32_t *labels = malloc((size_t)count * sizeof *labels);
    if (!normal || !labels)
        FAIL(STATUS_INTERNAL, "no memory for %lld styles", (long long)count);
    normalise(quantizer, values, count, normal);
    TRY(kmeans_assign(normal, count, STYLE_VALUES, quantizer->centroids, quantizer->styles, NULL, labels, NULL));
    for (int64_t i = 0; i < count; i++)
        codes[i] = (uint16_t)labels[i];
fail:
    free(normal);
    free(labels);
    return result;
}

/* A value that never varies carries no information: its deviation becomes 1. */
static void fit_normalisation(const float *values, int64_t count, struct style_quantizer *quantizer)
{
    for (int64_t v = 0; v < STYLE_VALUES; v++) {
        double sum = 0, squares = 0;
        int64_t present = 0;
        for (int64_t i = 0; i < count; i++)
            if (!isnan(values[i * STYLE_VALUES + v])) {
                sum += (double)values[i * STYLE_VALUES + v];
                present++;
            }
        double mean = present ? sum / (double)present : 0;
        for (int64_t i = 0; i < count; i++)
            if (!isnan(values[i * STYLE_VALUES + v])) {
                double difference = (double)values[i * STYLE_VALUES + v] - mean;
                squares += difference * difference;
            }
        double deviation = present ? sqrt(squares / (double)present) : 0;
        quantizer->mean[v] = (float)mean;
        quantizer->deviation[v] = deviation > 1e-6 ? (float)deviation : 1;
    }
}

enum status style_fit(const float *values, int64_t count, int64_t styles, int64_t passes, uint64_t seed,
                      struct thread_pool *pool, struct style_quantizer *quantizer)
{
    enum status result = STATUS_OK;
    int64_t limit = count / 20 > 1 ? count / 20 : 1;
    *quantizer = (struct style_quantizer){.styles = styles < limit ? styles : limit};
    float *normal = malloc((size_t)count * STYLE_VALUES * sizeof *normal);
    quantizer->centroids = calloc((size_t)quantizer->styles * STYLE_VALUES, sizeof *quantizer->centroids);
    if (!normal || !quantizer->centroids)
        FAIL(STATUS_INTERNAL, "no memory to fit styles on %lld seconds", (long long)count);
    fit_normalisation(values, count, quantizer);
    normalise(quantizer, values, count, normal);
    struct kmeans_options options = {.clusters = quantizer->styles, .passes = passes, .seed = seed, .purpose = 2};
    TRY(kmeans_fit(normal, count, STYLE_VALUES, &options, pool, quantizer->centroids, NULL));
fail:
    free(normal);
    if (result != STATUS_OK) {
        free(quantizer->centroids);
        quantizer->centroids = NULL;
    }
    return result;
}
