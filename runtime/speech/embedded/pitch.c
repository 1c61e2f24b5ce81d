/* Pitch is heard on a logarithmic scale, and speakers differ mostly by a factor, so what is quantised is the logarithm
 * minus the speaker's mean: codes then describe the melody and not the person. The codebook is kept in ascending order,
 * in which a code is found by bisection and a higher code is a higher pitch. */
#include "speech/embedded/pitch.h"

#include "speech/embedded/kmeans.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

struct pitch_sum pitch_voiced_sum(const struct f0_track *track)
{
    struct pitch_sum result = {0, 0};
    for (int64_t i = 0; i < track->count; i++)
        if (track->voiced[i] && track->interpolated[i] > 0) {
            result.sum += log((double)track->interpolated[i]);
            result.frames++;
        }
    return result;
}

double pitch_mean(struct pitch_sum voiced)
{
    return voiced.frames ? voiced.sum / (double)voiced.frames : (double)NAN;
}

void pitch_values(const struct f0_track *track, float *values, int64_t count)
{
    bool voiced = pitch_voiced_sum(track).frames > 0;
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int64_t t = i * PITCH_FRAMES; voiced && t < (i + 1) * PITCH_FRAMES; t++)
            sum += log((double)track->interpolated[t]);
        values[i] = voiced ? (float)(sum / PITCH_FRAMES) : NAN;
    }
}

float pitch_relative(float value, double mean)
{
    return isnan(value) ? 0 : (float)((double)value - mean);
}

int32_t pitch_code(const float *codebook, int64_t codes, float value)
{
    int64_t low = 0, high = codes - 1; /* the first code not below the value, or the last */
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (codebook[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0 && (double)value - (double)codebook[low - 1] <= fabs((double)codebook[low] - (double)value))
        low--;
    while (low > 0 && codebook[low - 1] == codebook[low])
        low--;
    return (int32_t)low;
}

static int compare_floats(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

enum status pitch_fit(const float *values, int64_t count, int64_t codes, int64_t passes, uint64_t seed,
                      struct thread_pool *pool, float *codebook)
{
    if (count < codes)
        return status_set(STATUS_USAGE,
                          "fitting %lld pitch codes needs at least as many values (one per 80 ms), found %lld",
                          (long long)codes, (long long)count);
    struct kmeans_options options = {.clusters = codes, .passes = passes, .seed = seed, .purpose = 1};
    enum status result = kmeans_fit(values, count, 1, &options, pool, codebook, NULL);
    if (result == STATUS_OK)
        qsort(codebook, (size_t)codes, sizeof *codebook, compare_floats);
    return result;
}
