/* From the network's values to a track at 200 Hz. The arithmetic is in float32 and in the order of torchfcpe's, since the release's
 * pitch tokens were made with it: the nearest frame of a place is found by a product that rounds, which gives another frame than
 * exact integers in some lengths (the first is 365,185 samples). */
#include "models/fcpe/fcpe_internal.h"

#include <math.h>

enum { AROUND = 4 };

void fcpe_decode(const float *values, int64_t steps, const float *cent_table, float *frequency, float *confidence)
{
    int64_t best = 0;
    float weighted = 0, sum = 0;
    for (int64_t i = 1; i < steps; i++)
        if (values[i] > values[best])
            best = i;
    for (int64_t i = best - AROUND; i <= best + AROUND;
         i++) { /* a step at the end counts for those that are not there */
        int64_t step = i < 0 ? 0 : i < steps ? i : steps - 1;
        weighted += cent_table[step] * values[step];
        sum += values[step];
    }
    *confidence = values[best];
    *frequency = sum > 0 ? 10.0f * exp2f(weighted / sum / 1200.0f) : 0;
}

/* The line between the voiced frames around every gap; false without any. */
static bool fill_gaps(float *frequency, int64_t frames)
{
    int64_t left = -1;
    for (int64_t t = 0; t < frames; t++) {
        if (!(frequency[t] >= FCPE_LOWEST))
            continue;
        for (int64_t i = left + 1; i < t; i++)
            frequency[i] =
                left < 0 ? frequency[t]
                         : frequency[left] + (float)(i - left) * (frequency[t] - frequency[left]) / (float)(t - left);
        left = t;
    }
    for (int64_t i = left + 1; left >= 0 && i < frames; i++)
        frequency[i] = frequency[left];
    return left >= 0;
}

void fcpe_make_track(float *frequency, const float *confidence, int64_t frames, int64_t length, float *f0,
                     uint8_t *voiced)
{
    float scale = (float)frames / (float)length;
    for (int64_t t = 0; t < frames; t++)
        if (!(confidence[t] > FCPE_THRESHOLD))
            frequency[t] = 0;
    for (int64_t i = 0; i < length; i++) {
        int64_t source = (int64_t)floorf((float)i * scale);
        source = source < frames ? source : frames - 1;
        voiced[i] = frequency[source] >= FCPE_LOWEST;
        f0[i] = 0;
    }
    if (!fill_gaps(frequency, frames))
        return;
    for (int64_t i = 0; i < length; i++) {
        int64_t source = (int64_t)floorf((float)i * scale);
        source = source < frames ? source : frames - 1;
        f0[i] = fminf(frequency[source], FCPE_HIGHEST);
    }
}
