/* The embedded default for pitch units: 12.5 per second. The F0 track (200 frames per second, unvoiced parts
 * interpolated) is taken as ln F0, minus the speaker's mean over voiced frames; every 16 frames (1280 samples, 80 ms)
 * are averaged; the nearest of the codebook's values is the code. Codes are in ascending order of pitch. */
#ifndef SPIRITLM_SPEECH_EMBEDDED_PITCH_H
#define SPIRITLM_SPEECH_EMBEDDED_PITCH_H

#include "core/status.h"
#include "core/thread_pool.h"
#include "speech/f0/f0.h"

#include <stdint.h>

enum { PITCH_HOP = 1280, PITCH_FRAMES = PITCH_HOP / F0_HOP };

/* Sum of ln F0 (interpolated) over the voiced frames, and their number: 0 where nothing is voiced or has a pitch. */
struct pitch_sum {
    double sum;
    int64_t frames;
};
struct pitch_sum pitch_voiced_sum(const struct f0_track *track);
double pitch_mean(struct pitch_sum voiced); /* NAN without frames */

/* values [count]: means of ln F0 over 80 ms each, count <= track->count / PITCH_FRAMES. All NAN when the track has no
 * voiced frame with a pitch. */
void pitch_values(const struct f0_track *track, float *values, int64_t count);

/* What is quantised: a value minus the mean; 0 for NAN. */
float pitch_relative(float value, double mean);

/* The code whose value is nearest, the lower one among equals; codebook [codes] ascending. */
int32_t pitch_code(const float *codebook, int64_t codes, float value);

/* Fits codebook [codes] to values [count]. STATUS_USAGE: fewer values than codes. */
enum status pitch_fit(const float *values, int64_t count, int64_t codes, int64_t passes, uint64_t seed,
                      struct thread_pool *pool, float *codebook);

#endif
