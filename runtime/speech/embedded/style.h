/* The embedded default for style units: one per second, k-means over seven plain statistics of prosody. Second s covers
 * the units 25 s .. 25 s + 24 (in the last second, what is left) and the samples, spectra and F0 frames that these
 * stand for:
 *
 *   0, 1  mean and population deviation of ln F0 over voiced frames with a pitch; where there are none, the
 *         values are missing (NAN) and count as the average, 0, after normalisation
 *   2     share of voiced F0 frames
 *   3, 4  mean and population deviation of energy: ln(mean of x^2 + 1e-8) of 160 samples each
 *   5     spectral tilt: slope of the mean log-mel spectrum over the bands by least squares, times the number of bands
 *   6     changes of unit per second: changes between neighbours in the second / its units * 25
 *
 * Each is normalised to mean 0 and deviation 1 over the fitting sample. */
#ifndef SPIRITLM_SPEECH_EMBEDDED_STYLE_H
#define SPIRITLM_SPEECH_EMBEDDED_STYLE_H

#include "core/status.h"
#include "core/thread_pool.h"
#include "speech/f0/f0.h"

#include <stdint.h>

enum { STYLE_VALUES = 7, STYLE_UNITS = 25 };

struct style_quantizer {
    int64_t styles;
    float mean[STYLE_VALUES], deviation[STYLE_VALUES];
    float *centroids; /* [styles][STYLE_VALUES], of normalised values */
};

static inline int64_t style_count(int64_t units)
{
    return (units + STYLE_UNITS - 1) / STYLE_UNITS;
}

/* values [style_count(count)][STYLE_VALUES] of an utterance of `count` units: all but the last of the seven, from its
 * samples [>= 640 count], averages [count][UNIT_BANDS] (unit_quantizer.h) and track. */
void style_measure(const float *samples, const float *averages, const struct f0_track *track, int64_t count,
                   float *values);

/* Fills in the last of the seven from the units [count]. */
void style_count_changes(const uint16_t *units, int64_t count, float *values);

/* Codes of values [count][STYLE_VALUES]. */
enum status style_encode(const struct style_quantizer *quantizer, const float *values, int64_t count, uint16_t *codes);

/* Fits at most `styles` styles, at most one per 20 values and at least one. *quantizer is freed by free(centroids). */
enum status style_fit(const float *values, int64_t count, int64_t styles, int64_t passes, uint64_t seed,
                      struct thread_pool *pool, struct style_quantizer *quantizer);

#endif
