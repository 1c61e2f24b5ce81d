/* Spectral harmonics correlation: at the bin of a pitch and of its first multiples the spectrum is high, so the product
 * of these magnitudes, summed over a narrow band, peaks at the pitch even when the fundamental itself is weak. The
 * squared signal is used, in which a missing fundamental comes back. */
#include "speech/f0/f0_stages.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    HARMONICS = 4,
    REACH = 10, /* the correlation runs over 2 REACH + 1 neighbouring bins: 40 Hz */
    FIRST = 31, /* bin of 60 Hz */
    LAST = 256, /* bin of 500 Hz */
    COUNT = LAST - FIRST + 1,
    COUNT_PADDED = (COUNT + 3) / 4 * 4,
    BINS = HARMONICS * LAST + REACH + 1, /* spectrum bins that are used */
    PLACES = LAST + 2 * REACH + 8,       /* whole vectors may be read past the last; what lies there is 0 */
    SHIFTS = 3,                          /* by 1 to 3 bins, see find_magnitudes */
    PEAK_REACH = 13,                     /* a peak is the highest within 25 Hz */
    PEAK_LOW = 17,                       /* indices of the array where maximum and mean are taken */
    PEAK_HIGH = 217,
};

static const double mean_limit = 1 / 5.0;     /* a flatter correlation has no pitch */
static const double peak_over_mean = 1.25;    /* least height of a peak */
static const double best_over_mean = 5.0;     /* least height of the best peak */
static const double smallest_maximum = 1e-14; /* below this nothing is scaled */

static double window[F0_SHC_FRAME];                                       /* Kaiser, beta 1/2 */
static double cosines[SHIFTS][F0_SHC_FRAME], sines[SHIFTS][F0_SHC_FRAME]; /* of 2 pi (shift + 1) n / F0_FFT */

struct f0_harmonics {
    const struct fft *fft;
    double frame[F0_SHC_FFT];
    double complex spectrum[F0_SHC_FFT / 2 + 1];
    double complex work[F0_SHC_FFT];
    double magnitude[REACH + F0_SHC_FFT]; /* |Q| from bin -REACH on; only BINS of them are valid */
    /* spread[h - 1][r][i] = |Q[h i + r - REACH]|: for harmonic h all reads of neighbouring k lie side by side. */
    double spread[HARMONICS][HARMONICS][PLACES];
};

/* The modified Bessel function of order 0 by its series; the arguments here are at most 1/2. */
static double bessel_i0(double x)
{
    double term = 1, sum = 1;
    for (int k = 1; k < 20; k++) {
        term *= x * x / (4.0 * k * k);
        sum += term;
    }
    return sum;
}

void f0_harmonics_prepare(void)
{
    const double beta = 0.5, middle = (F0_SHC_FRAME - 1) / 2.0;
    for (int n = 0; n < F0_SHC_FRAME; n++) {
        double r = (n - middle) / middle;
        window[n] = bessel_i0(beta * sqrt(1 - r * r)) / bessel_i0(beta);
        for (int shift = 0; shift < SHIFTS; shift++) {
            cosines[shift][n] = cos(2 * M_PI * (shift + 1) * n / F0_FFT);
            sines[shift][n] = sin(2 * M_PI * (shift + 1) * n / F0_FFT);
        }
    }
}

enum status f0_harmonics_create(const struct fft *fft, struct f0_harmonics **harmonics)
{
    *harmonics = calloc(1, sizeof **harmonics);
    if (!*harmonics)
        return status_set(STATUS_INTERNAL, "no memory for the pitch extractor's spectrum");
    (*harmonics)->fft = fft;
    return STATUS_OK;
}

void f0_harmonics_destroy(struct f0_harmonics *harmonics)
{
    free(harmonics);
}

/* The frame, windowed, minus its mean. */
static void window_frame(struct f0_harmonics *harmonics, const double *squared)
{
    double *frame = harmonics->frame;
    for (int n = 0; n < F0_SHC_FRAME; n++)
        frame[n] = squared[n] * window[n];
    double mean = f0_sum(frame, F0_SHC_FRAME) / F0_SHC_FRAME;
    for (int n = 0; n < F0_SHC_FRAME; n++)
        frame[n] -= mean;
}

/* The spectrum of F0_FFT points of a frame that is mostly padding, from transforms that fit the nearest cache: the
 * frame shifted by r bins and transformed over an eighth of the length gives bins 8 q + r, and from the other end, the
 * signal being real, those conjugate to bins 8 q + 8 - r. Bins 4 q are those of a real transform of a quarter of the
 * length. */
static void find_magnitudes(struct f0_harmonics *harmonics)
{
    enum { EIGHTH = F0_FFT / 8 };
    double *to = harmonics->magnitude + REACH;
    fft_real(harmonics->fft, harmonics->frame, harmonics->spectrum, harmonics->work);
    const double *pairs = (const double *)harmonics->spectrum;
    for (int q = 0; 4 * q < BINS; q++)
        to[4 * q] = pairs[2 * q] * pairs[2 * q] + pairs[2 * q + 1] * pairs[2 * q + 1];
    for (int r = 1; r <= SHIFTS; r++) {
        double *real = (double *)harmonics->work, *imaginary = real + EIGHTH;
        for (int n = 0; n < F0_SHC_FRAME; n++) {
            real[n] = harmonics->frame[n] * cosines[r - 1][n];
            imaginary[n] = -harmonics->frame[n] * sines[r - 1][n];
        }
        memset(real + F0_SHC_FRAME, 0, (EIGHTH - F0_SHC_FRAME) * sizeof *real);
        memset(imaginary + F0_SHC_FRAME, 0, (EIGHTH - F0_SHC_FRAME) * sizeof *imaginary);
        const double *y = fft_complex_half(harmonics->fft, real, real + 2 * EIGHTH);
        for (int q = 0; 8 * q < BINS; q++) {
            int last = EIGHTH - 1 - q;
            to[8 * q + r] = y[q] * y[q] + y[EIGHTH + q] * y[EIGHTH + q];
            to[8 * q + 8 - r] = y[last] * y[last] + y[EIGHTH + last] * y[EIGHTH + last];
        }
    }
    for (int k = 0; k < BINS; k++)
        to[k] = sqrt(to[k]);
}

static void spread_magnitudes(struct f0_harmonics *harmonics)
{
    for (int h = 1; h <= HARMONICS; h++)
        for (int r = 0; r < h; r++) {
            int places = (REACH + BINS - r + h - 1) / h;
            for (int i = 0; i < places && i < PLACES; i++)
                harmonics->spread[h - 1][r][i] = harmonics->magnitude[i * h + r];
        }
}

/* correlation[k - 1] = sum over |j| <= REACH of the product over h of |Q[h k + j]|; 0 below FIRST. */
static void correlate(const struct f0_harmonics *harmonics, double correlation[LAST])
{
    double sum[COUNT_PADDED] = {0};
    for (int j = 0; j <= 2 * REACH; j++) {
        const double *one = &harmonics->spread[0][0][FIRST + j];
        const double *two = &harmonics->spread[1][j % 2][FIRST + j / 2];
        const double *three = &harmonics->spread[2][j % 3][FIRST + j / 3];
        const double *four = &harmonics->spread[3][j % 4][FIRST + j / 4];
        for (int k = 0; k < COUNT_PADDED; k++)
            sum[k] += one[k] * two[k] * three[k] * four[k];
    }
    memset(correlation, 0, (FIRST - 1) * sizeof *correlation);
    memcpy(correlation + FIRST - 1, sum, COUNT * sizeof *sum);
}

static bool highest_around(const double *data, int n)
{
    for (int i = n - PEAK_REACH; i <= n + PEAK_REACH; i++)
        if (i < n ? data[i] >= data[n] : data[i] > data[n])
            return false;
    return true;
}

static void no_candidates(struct f0_candidate found[F0_SHC_CANDIDATES])
{
    for (int i = 0; i < F0_SHC_CANDIDATES; i++)
        found[i] = (struct f0_candidate){.pitch = 0, .merit = 1};
}

/* Scales to a maximum of 1, and finds one to three peaks that stand out. More than three are taken for noise. */
static void find_peaks(double data[LAST], struct f0_candidate found[F0_SHC_CANDIDATES])
{
    no_candidates(found);
    double highest = 0, mean = 0, best = 0;
    for (int n = PEAK_LOW; n <= PEAK_HIGH; n++)
        highest = fmax(highest, data[n]);
    if (highest > smallest_maximum)
        for (int n = 0; n < LAST; n++)
            data[n] /= highest;
    for (int n = PEAK_LOW; n <= PEAK_HIGH; n++)
        mean += data[n];
    mean /= PEAK_HIGH - PEAK_LOW + 1;
    if (mean > mean_limit)
        return;
    int count = 0;
    struct f0_candidate peaks[F0_SHC_CANDIDATES];
    for (int n = PEAK_LOW + PEAK_REACH + 1; n <= PEAK_HIGH - PEAK_REACH; n++) {
        if (!(data[n] > data[n - 1] && data[n] > data[n + 1] && data[n] > peak_over_mean * mean) ||
            !highest_around(data, n))
            continue;
        if (count == F0_SHC_CANDIDATES - 1)
            return;
        int at = count++;
        for (; at > 0 && peaks[at - 1].merit < data[n]; at--)
            peaks[at] = peaks[at - 1];
        peaks[at] = (struct f0_candidate){.pitch = n * F0_BIN, .merit = data[n]};
        best = peaks[0].merit;
    }
    if (count == 0 || best / mean < best_over_mean)
        return;
    for (int i = 0; i < F0_SHC_CANDIDATES; i++)
        found[i] = peaks[i < count ? i : 0];
}

void f0_harmonics_find(struct f0_harmonics *harmonics, const double *squared,
                       struct f0_candidate found[F0_SHC_CANDIDATES])
{
    double correlation[LAST];
    window_frame(harmonics, squared);
    find_magnitudes(harmonics);
    spread_magnitudes(harmonics);
    correlate(harmonics, correlation);
    find_peaks(correlation, found);
}
