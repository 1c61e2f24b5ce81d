/* The energy between 117 and 398 Hz of every frame, relative to the recording's mean: what decides whether a frame is
 * voiced. Only bins 60..204 of the 8192-point spectrum of 320 samples are wanted, so they are summed directly. The
 * frame is folded about its centre, where the cosine is even and the sine odd: half the work, and the phase of the
 * shift does not change a magnitude. */
#include "speech/f0/f0_stages.h"

#include "core/double4.h"

#include <math.h>
#include <string.h>

enum {
    FIRST_BIN = 60,
    BINS = 145,
    BINS_PADDED = 152, /* whole vectors; the padding's cosines and sines are 0 */
    HALF = F0_FRAME / 2,
    FRAMES_AT_ONCE = 4, /* share each row of the tables */
};

static double window[HALF]; /* outward from the centre */
static double cosines[HALF][BINS_PADDED], sines[HALF][BINS_PADDED];

void f0_energy_prepare(void)
{
    for (int m = 0; m < HALF; m++) {
        window[m] = 0.5 - 0.5 * cos(2 * M_PI * (HALF + 1 + m) / (F0_FRAME + 1)); /* Hann(322) without its end zeros */
        for (int b = 0; b < BINS; b++) {
            /* (m + 1/2) k less whole turns, as an integer: the angle stays exact. */
            int steps = ((2 * m + 1) * (FIRST_BIN + b)) % (2 * F0_FFT);
            cosines[m][b] = cos(M_PI * steps / F0_FFT);
            sines[m][b] = sin(M_PI * steps / F0_FFT);
        }
    }
}

/* sums[f][b] = sum over m of values[f][m] * table[m][b], 8 bins of all frames at a time in registers. */
static void project(double table[HALF][BINS_PADDED], double values[FRAMES_AT_ONCE][HALF],
                    double sums[FRAMES_AT_ONCE][BINS_PADDED])
{
    for (int b = 0; b < BINS_PADDED; b += 8) {
        double4 sum[FRAMES_AT_ONCE][2] = {{{0}}};
        for (int m = 0; m < HALF; m++) {
            const double4_at *row = (const double4_at *)&table[m][b];
            for (int f = 0; f < FRAMES_AT_ONCE; f++) {
                sum[f][0] += row[0] * values[f][m];
                sum[f][1] += row[1] * values[f][m];
            }
        }
        for (int f = 0; f < FRAMES_AT_ONCE; f++)
            memcpy(&sums[f][b], sum[f], sizeof sum[f]);
    }
}

bool f0_energy(const double *filtered, int64_t frames, double *energy)
{
    double even[FRAMES_AT_ONCE][HALF], odd[FRAMES_AT_ONCE][HALF];
    double real[FRAMES_AT_ONCE][BINS_PADDED], imaginary[FRAMES_AT_ONCE][BINS_PADDED];
    double total = 0;
    for (int64_t first = 0; first < frames; first += FRAMES_AT_ONCE) {
        for (int f = 0; f < FRAMES_AT_ONCE; f++) {
            const double *centre = filtered + (first + f < frames ? first + f : frames - 1) * F0_HOP + HALF;
            for (int m = 0; m < HALF; m++) {
                double right = centre[m] * window[m], left = centre[-1 - m] * window[m];
                even[f][m] = right + left;
                odd[f][m] = right - left;
            }
        }
        project(cosines, even, real);
        project(sines, odd, imaginary);
        for (int f = 0; f < FRAMES_AT_ONCE && first + f < frames; f++) {
            double sum = 0;
            for (int b = 0; b < BINS; b++)
                sum += sqrt(real[f][b] * real[f][b] + imaginary[f][b] * imaginary[f][b]);
            energy[first + f] = sum;
            total += sum;
        }
    }
    double mean = total / (double)frames;
    for (int64_t f = 0; f < frames; f++)
        energy[f] = mean > 0 ? energy[f] / mean : 0;
    return mean > 0;
}
