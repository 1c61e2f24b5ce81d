/* Log-mel spectra of 16 kHz audio, as neural vocoders and pitch extractors usually take them.
 *
 *   frames     floor(samples / 160): 100 per second. Frame t looks at the 1024 samples from 160 t - 432 on, so it is
 *              centred on the middle of the 160 samples that it stands for.
 *   edges      432 samples before the start and after the end are the signal mirrored without repeating its end
 *              (x[-1] = x[1]); a signal of 432 samples or fewer is preceded and followed by zeros instead.
 *   spectrum   periodic Hann window of 1024 (0.5 - 0.5 cos(2 pi i / 1024)), DFT, sqrt(re^2 + im^2 + 1e-9), bins 0..512.
 *   bands      Slaney's mel scale (Auditory Toolbox, 1998): 3 f / 200 below 1 kHz, 15 + 27 ln(f / 1000) / ln 6.4 above;
 *              bands + 2 edges equally spaced in mel from 0 to 8000 Hz; triangles of area 1 (height 2 / (right -
 *              left)).
 *   logarithm  ln(max(band, 1e-5)). All arithmetic is in double; results are rounded to float once. */
#ifndef SPIRITLM_SPEECH_EMBEDDED_LOG_MEL_H
#define SPIRITLM_SPEECH_EMBEDDED_LOG_MEL_H

#include "core/status.h"

#include <stdint.h>

enum { LOG_MEL_HOP = 160, LOG_MEL_WINDOW = 1024, LOG_MEL_BINS = LOG_MEL_WINDOW / 2 + 1 };

/* What is added to a bin's power before the root, and the least of what the logarithm is taken of. */
#define LOG_MEL_OFFSET 1e-9
#define LOG_MEL_FLOOR 1e-5

struct log_mel; /* tables of one number of bands; read-only, so threads may share it */

enum status log_mel_create(int bands, struct log_mel **mel); /* 1..256 bands */
void log_mel_free(struct log_mel *mel);                      /* NULL is fine */

static inline int64_t log_mel_frames(int64_t samples)
{
    return samples / LOG_MEL_HOP;
}

/* output [log_mel_frames(count)][bands]. Thread-safe. */
enum status log_mel_compute(const struct log_mel *mel, const float *samples, int64_t count, float *output);

/* Band b weighs the bins first..first + length - 1 with weights[0..length - 1]; all its other weights are 0. length may
 * be 0 where bands are narrower than a bin. */
struct log_mel_band {
    int first, length;
    const double *weights;
};
struct log_mel_band log_mel_band(const struct log_mel *mel, int band);
int log_mel_bands(const struct log_mel *mel);
const double *log_mel_window(const struct log_mel *mel); /* [LOG_MEL_WINDOW] */

#endif
