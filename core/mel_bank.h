/* Triangular bands on Slaney's mel scale (Auditory Toolbox, 1998), as most log-mel spectra of speech use them: 3 f / 200 below
 * 1 kHz, 15 + 27 ln(f / 1000) / ln 6.4 above. The edges of the bands are equally spaced in mel; each triangle has the height
 * 2 / (right - left), so that its area over the frequencies is 1. */
#ifndef SPIRITLM_CORE_MEL_BANK_H
#define SPIRITLM_CORE_MEL_BANK_H

#include <stdint.h>

struct mel_bank {
    int64_t bands, bins; /* bins: of the spectrum, window / 2 + 1 */
    double hertz_per_bin;
    double lowest, highest; /* hertz: the outer edges of the first and the last band */
};

double mel_of_hertz(double hertz);
double hertz_of_mel(double mel);

/* weights[bins] of one band; bins [*first, *first + *length) are those that are not 0. *length may be 0 where bands are narrower
 * than a bin. */
void mel_bank_fill(const struct mel_bank *bank, int64_t band, double *weights, int32_t *first, int32_t *length);

#endif
