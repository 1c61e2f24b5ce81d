/* Normalised cross-correlation of a frame with itself, shifted: it is near 1 where the shift is a period, however loud
 * the frame is. Only lags around the spectral track are computed, which keeps out double and half periods and saves
 * most of the work; products and energies are summed for many of them at a time. */
#include "speech/f0/f0_stages.h"

#include "core/double4.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    REACH = 2, /* a peak is the highest within this many lags */
    LAGS_AT_ONCE = 16,
    ROOM = F0_NCCF_FRAME + LAGS_AT_ONCE,
};

static const double least_peak = 0.25;
static const double sure_peak = 0.9; /* above this only the highest peak counts */

/* energy[l] = sum of `count` neighbours of `squares` from l on, first <= l < end. Sums of 1, 2, 4... neighbours are
 * made from each other; those in count's binary form add up to it. Nothing is ever subtracted, so that the sum over
 * silence is 0 and not a remainder. `squares` is overwritten. */
static void slide_energy(double squares[ROOM], int count, int first, int end, double *energy)
{
    int start = 0;
    memset(energy + first, 0, (size_t)(end - first) * sizeof *energy);
    for (int width = 1;; width *= 2) {
        if (count & width) {
            for (int l = first; l < end; l++)
                energy[l] += squares[start + l];
            start += width;
        }
        if (start == count)
            return;
        for (int i = 0; i + 2 * width <= F0_NCCF_FRAME; i++)
            squares[i] += squares[i + width];
    }
}

/* product[l] = sum over j < count of x[j] x[j + l], first <= l < end and a few beyond. x is 0 for LAGS_AT_ONCE places
 * past the frame. */
static void correlate(const double x[ROOM], int count, int first, int end, double *product)
{
    for (int lag = first; lag < end; lag += LAGS_AT_ONCE) {
        double4 a = {0}, b = a, c = a, d = a, e = a, f = a, g = a, h = a; /* enough to hide an addition's latency */
        int j = 0;
        for (; j + 1 < count; j += 2) {
            const double4_at *even = (const double4_at *)(x + j + lag), *odd = (const double4_at *)(x + j + lag + 1);
            a += even[0] * x[j];
            b += even[1] * x[j];
            c += even[2] * x[j];
            d += even[3] * x[j];
            e += odd[0] * x[j + 1];
            f += odd[1] * x[j + 1];
            g += odd[2] * x[j + 1];
            h += odd[3] * x[j + 1];
        }
        if (j < count) {
            const double4_at *even = (const double4_at *)(x + j + lag);
            a += even[0] * x[j];
            b += even[1] * x[j];
            c += even[2] * x[j];
            d += even[3] * x[j];
        }
        const double4 sums[4] = {a + e, b + f, c + g, d + h};
        memcpy(product + lag, sums, sizeof sums);
    }
}

/* phi[l] = sum x_j x_{j+l} / sqrt(sum x_j^2 sum x_{j+l}^2) over j < count = F0_NCCF_FRAME - end, first <= l < end; not
 * a number where the signal is 0. */
static void normalised_correlation(const double *frame, int first, int end, double phi[ROOM])
{
    double x[ROOM] = {0}, squares[ROOM], energy[F0_NCCF_FRAME], own = 0;
    int count = F0_NCCF_FRAME - end;
    memcpy(x, frame, F0_NCCF_FRAME * sizeof *x);
    for (int i = 0; i < F0_NCCF_FRAME; i++)
        squares[i] = x[i] * x[i];
    for (int j = 0; j < count; j++)
        own += squares[j];
    correlate(x, count, first, end, phi);
    slide_energy(squares, count, first, end, energy);
    for (int l = first; l < end; l++)
        phi[l] /= sqrt(energy[l] * own);
}

/* The first maximum of the window around n, as a comparison that a NaN in the window fails. */
static bool highest_around(const double *phi, int n)
{
    for (int i = n - REACH; i <= n + REACH; i++)
        if (i != n && !(i < n ? phi[i] < phi[n] : phi[i] <= phi[n]))
            return false;
    return true;
}

static void insert(struct f0_candidate *best, struct f0_candidate candidate)
{
    for (int i = 0; i < F0_NCCF_CANDIDATES; i++)
        if (candidate.merit > best[i].merit) {
            struct f0_candidate pushed = best[i];
            best[i] = candidate;
            candidate = pushed;
        }
}

/* phi holds the lags first <= l <= end, the last one 0. */
static void find_peaks(const double *phi, int first, int end, struct f0_candidate found[F0_NCCF_CANDIDATES])
{
    memset(found, 0, F0_NCCF_CANDIDATES * sizeof *found);
    double highest = 0;
    for (int l = first; l < end; l++)
        highest = isnan(phi[l]) || isnan(highest) ? NAN : fmax(highest, phi[l]);
    bool sure = highest > sure_peak; /* of all lags: it need not be a peak */
    struct f0_candidate best = {0};
    for (int n = first + REACH; n <= end - REACH; n++) {
        if (!(phi[n] > phi[n - 1] && phi[n] > phi[n + 1] && phi[n] > least_peak))
            continue;
        /* n + 1 is the reference's lag for a period of n samples. */
        struct f0_candidate candidate = {.pitch = (double)F0_RATE / (n + 1), .merit = phi[n]};
        if (candidate.merit > best.merit)
            best = candidate;
        if (!sure && highest_around(phi, n))
            insert(found, candidate);
    }
    if (sure)
        found[0] = best;
    double scale = found[0].merit;
    for (int i = 0; i < F0_NCCF_CANDIDATES && scale > 1; i++)
        found[i].merit /= scale;
}

static void take_mean_out(double *frame)
{
    double mean = f0_sum(frame, F0_NCCF_FRAME) / F0_NCCF_FRAME;
    for (int i = 0; i < F0_NCCF_FRAME; i++)
        frame[i] -= mean;
}

void f0_nccf_track(double *signal, const double *track, double deviation, int64_t frames, const uint8_t *needed,
                   struct f0_candidate *candidates)
{
    double phi[ROOM];
    const double limit = 5.0 * deviation;
    for (int64_t f = 0; f < frames; f++) {
        double *frame = signal + f * F0_HOP;
        struct f0_candidate *found = candidates + f * F0_ROWS;
        memset(found, 0, F0_NCCF_CANDIDATES * sizeof *found);
        take_mean_out(frame);
        if (!needed[f])
            continue;
        int first = (int)(F0_RATE / fmin(track[f] + 2.0 * deviation, F0_HIGHEST)) - REACH;
        int end = (int)(F0_RATE / fmax(track[f] - 2.0 * deviation, F0_LOWEST)) + REACH;
        normalised_correlation(frame, first, end, phi);
        phi[end] = 0;
        find_peaks(phi, first, end, found);
        for (int i = 0; i < F0_NCCF_CANDIDATES; i++) {
            double distance = fabs(found[i].pitch - track[f]);
            found[i].merit = distance < limit ? 1.2 * found[i].merit * (1 - distance / limit) : 0;
        }
    }
}
