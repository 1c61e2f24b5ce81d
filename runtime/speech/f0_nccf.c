#include "speech/f0_stages.h"

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

/* phi(l) = sum x_j x_{j+l} / sqrt(sum x_j^2 sum x_{j+l}^2) over j < count, for the lags first <= l < end; not a number
 * where the signal is 0. x and its squares are 0 for LAGS_AT_ONCE places past the frame. */
static void correlate(const double *x, const double *squares, int count, int first, int end, double *phi)
{
    double energy = 0;
    for (int j = 0; j < count; j++)
        energy += squares[j];
    for (int lag = first; lag < end; lag += LAGS_AT_ONCE) {
        double product[LAGS_AT_ONCE] = {0}, shifted[LAGS_AT_ONCE] = {0};
        for (int j = 0; j < count; j++)
            for (int i = 0; i < LAGS_AT_ONCE; i++) {
                product[i] += x[j] * x[j + lag + i];
                shifted[i] += squares[j + lag + i];
            }
        for (int i = 0; i < LAGS_AT_ONCE && lag + i < end; i++)
            phi[lag + i] = product[i] / sqrt(shifted[i] * energy);
    }
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

/* Takes the mean out of the frame. Eight sums side by side, joined in pairs, for each of four quarters. */
static void take_mean_out(double *frame)
{
    double sum = 0;
    for (int i = 0; i < F0_NCCF_FRAME; i++)
        sum += frame[i];
    double mean = sum / F0_NCCF_FRAME;
    for (int i = 0; i < F0_NCCF_FRAME; i++)
        frame[i] -= mean;
}

void f0_nccf_track(double *signal, const double *track, double deviation, int64_t frames, const uint8_t *needed,
                   struct f0_candidate *candidates)
{
    double x[ROOM] = {0}, squares[ROOM] = {0}, phi[F0_NCCF_FRAME];
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
        memcpy(x, frame, F0_NCCF_FRAME * sizeof *x);
        for (int i = 0; i < F0_NCCF_FRAME; i++)
            squares[i] = x[i] * x[i];
        correlate(x, squares, F0_NCCF_FRAME - end, first, end, phi);
        phi[end] = 0;
        find_peaks(phi, first, end, found);
        for (int i = 0; i < F0_NCCF_CANDIDATES; i++) {
            double distance = fabs(found[i].pitch - track[f]);
            found[i].merit = distance < limit ? 1.2 * found[i].merit * (1 - distance / limit) : 0;
        }
    }
}
