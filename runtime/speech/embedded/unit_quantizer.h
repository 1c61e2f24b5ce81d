/* The embedded default for speech units: 25 per second, k-means over log-mel spectra (the baseline of Lakhotia et al.,
 * "On generative spoken language modeling from raw audio", TACL 2021), made steadier in four documented steps.
 *
 *   1. a[i] = mean of the log-mel frames 4i .. 4i + 3: unit i stands for the samples 640 i .. 640 i + 639.
 *   2. The recording's colour is taken out: level(i) = mean of a[i] over the bands; i is speech where level(i) is above
 *      both the utterance's highest level - 6 and silence_level; with n such frames,
 *      neutral[i] = a[i] - sum over speech frames of (a - speech_mean) / (n + 50).
 *      The prior of 50 frames (2 s) keeps short utterances close to where they were.
 *   3. z = (neutral - mean) / deviation in each band; feature q = the orthonormal DCT-II of z over the bands, q < 20:
 *      the shape of the spectrum without its harmonics.
 *   4. The units are the path with the least sum of squared distances to its centroids plus switch_cost for each change
 *      of unit (the duration penalty of Kamper and van Niekerk, Interspeech 2021; found by Viterbi's algorithm), which
 *      removes changes that come from noise. A switch_cost of 0 is plain k-means.
 *
 * The result depends on the utterance alone. Beside its centroid each unit has the mean neutral log-mel spectrum of its
 * frames and their mean run length, which the vocoder uses. */
#ifndef SPIRITLM_SPEECH_EMBEDDED_UNIT_QUANTIZER_H
#define SPIRITLM_SPEECH_EMBEDDED_UNIT_QUANTIZER_H

#include "core/status.h"
#include "core/thread_pool.h"
#include "speech/embedded/device.h"

#include <stdint.h>

enum { UNIT_HOP = 640, UNIT_MEL_FRAMES = 4, UNIT_BANDS = 80, UNIT_FEATURES = 20 };

struct unit_quantizer {
    int64_t units;
    float mean[UNIT_BANDS], deviation[UNIT_BANDS]; /* of neutral spectra over the fitting sample */
    float speech_mean[UNIT_BANDS];                 /* of a[i] over its speech frames */
    double silence_level, switch_cost;
    float *centroids;   /* [units][UNIT_FEATURES] */
    float *spectra;     /* [units][UNIT_BANDS] mean neutral log-mel */
    float *run_lengths; /* [units] mean length of a run, in units */
};

enum status unit_quantizer_allocate(struct unit_quantizer *quantizer, int64_t units); /* zeroed arrays */
void unit_quantizer_free(struct unit_quantizer *quantizer);                           /* frees the arrays */

/* Step 1: mel [4 count][UNIT_BANDS] to averages [count][UNIT_BANDS]. */
void unit_average(const float *mel, int64_t count, float *averages);

/* Steps 2 to 4: averages [count][UNIT_BANDS] to units [count]; neutral [count][UNIT_BANDS] may be NULL. device: where
 * distances are computed; NULL: on the host. */
enum status unit_quantizer_encode(const struct unit_quantizer *quantizer, struct embedded_device *device,
                                  const float *averages, int64_t count, uint16_t *units, float *neutral);

/* One utterance of a fitting sample. */
struct unit_sample {
    float *averages; /* [count][UNIT_BANDS] */
    int64_t count;
    uint16_t *units; /* [count]: filled by the fit */
};

struct unit_fit_options {
    int64_t units, passes;
    uint64_t seed;
    struct embedded_device *device; /* where distances are computed; NULL: on the host */
    double switch_share;            /* switch_cost as a share of the mean squared distance of a frame to its centroid */
};

/* Fits everything on the sample. *quantizer is the caller's, to be freed by unit_quantizer_free. STATUS_USAGE: fewer
 * frames than units. */
enum status unit_quantizer_fit(struct unit_sample *samples, int64_t sample_count,
                               const struct unit_fit_options *options, struct thread_pool *pool,
                               struct unit_quantizer *quantizer);

#endif
