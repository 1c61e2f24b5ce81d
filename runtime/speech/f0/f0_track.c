/* One smooth pitch for every frame, voiced or not, from the spectral candidates: the cheapest path through the frames
 * that have any, and monotone cubic pieces between them. The next stage searches only near this track, so it needs a
 * value everywhere and must not overshoot. */
#include "speech/f0/f0_stages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double typical_pitch = 150; /* Hz, where nothing better is known */

static double mean_of(const double *values, int64_t count)
{
    return f0_sum(values, count) / (double)count;
}

/* `work` holds count numbers. */
static double deviation_of(const double *values, int64_t count, double *work)
{
    double mean = mean_of(values, count);
    for (int64_t i = 0; i < count; i++)
        work[i] = (values[i] - mean) * (values[i] - mean);
    return sqrt(mean_of(work, count));
}

static double track_transition(const void *context, int64_t frame, double from, double to)
{
    (void)frame;
    const double *weight = context;
    double step = fabs(to - from) / F0_LOWEST;
    return *weight * (0.05 * step + step * step);
}

/* In each frame the candidate nearest to 0.8 of the mean, weighted by 3 - merit; its pitch is replaced by the median of
 * those of the frames around it. `work` holds 2 * count numbers. */
static enum status smooth_low_candidates(struct f0_candidate *voiced, int64_t count, double mean, double *work)
{
    uint8_t *chosen = malloc((size_t)count);
    if (!chosen)
        return status_set(STATUS_INTERNAL, "no memory for a pitch track of %lld frames", (long long)count);
    double *picked = work, *smooth = work + count;
    for (int64_t i = 0; i < count; i++) {
        const struct f0_candidate *frame = voiced + i * F0_SHC_CANDIDATES;
        double least = INFINITY;
        chosen[i] = 0;
        for (int c = 0; c < F0_SHC_CANDIDATES; c++) {
            double distance = fabs(frame[c].pitch - 0.8 * mean) * (3 - frame[c].merit);
            if (distance < least) {
                least = distance;
                chosen[i] = (uint8_t)c;
            }
        }
        picked[i] = frame[chosen[i]].pitch;
    }
    f0_median(picked, count, F0_TRACK_MEDIAN, smooth);
    for (int64_t i = 0; i < count; i++)
        voiced[i * F0_SHC_CANDIDATES + chosen[i]].pitch = smooth[i];
    free(chosen);
    return STATUS_OK;
}

/* The path through the frames that have candidates. `work` holds 2 * count numbers, `path` count. */
static enum status path_of_voiced(struct f0_candidate *voiced, int64_t count, double *work, double *path)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < count; i++)
        path[i] = voiced[i * F0_SHC_CANDIDATES].pitch;
    double mean = mean_of(path, count), weight = 11.0 * deviation_of(path, count, work) / mean;
    TRY(smooth_low_candidates(voiced, count, mean, work));
    TRY(f0_cheapest_path(voiced, F0_SHC_CANDIDATES, count, track_transition, &weight, work));
    f0_median(work, count, F0_TRACK_MEDIAN, path);
fail:
    return result;
}

/* Each frame's value becomes the mean of it and the two before; the first two frames, which have fewer, copy later
 * ones. Below four frames there is nothing to copy and nothing is smoothed (the reference fails on these). */
static void smooth_track(double *track, int64_t frames)
{
    if (frames < 4)
        return;
    for (int64_t f = frames - 1; f >= 2; f--)
        track[f] = track[f] * (1.0 / 3) + track[f - 1] * (1.0 / 3) + track[f - 2] * (1.0 / 3);
    track[0] = track[2];
    track[1] = track[3];
}

enum status f0_spectral_track(struct f0_candidate *candidates, int64_t frames, double *track, double *deviation)
{
    enum status result = STATUS_OK;
    double *work = malloc((size_t)frames * 3 * sizeof *work);
    int64_t *where = malloc((size_t)frames * sizeof *where);
    if (!work || !where)
        FAIL(STATUS_INTERNAL, "no memory for a pitch track of %lld frames", (long long)frames);
    int64_t count = 0;
    for (int64_t f = 0; f < frames; f++)
        if (candidates[f * F0_SHC_CANDIDATES].pitch > 0) {
            memmove(candidates + count * F0_SHC_CANDIDATES, candidates + f * F0_SHC_CANDIDATES,
                    F0_SHC_CANDIDATES * sizeof *candidates);
            where[count++] = f;
        }
    double *path = work + 2 * frames, mean = typical_pitch;
    *deviation = 0;
    if (count > 2)
        TRY(path_of_voiced(candidates, count, work, path));
    else
        for (int64_t i = 0; i < count; i++)
            path[i] = typical_pitch;
    if (count > 0) {
        mean = mean_of(path, count);
        *deviation = deviation_of(path, count, work);
    }
    *deviation = fmax(*deviation, 0.05 * mean);
    memset(track, 0, (size_t)frames * sizeof *track);
    for (int64_t i = 0; i < count; i++)
        track[where[i]] = path[i];
    if (track[0] < mean / 2)
        track[0] = mean;
    if (track[frames - 1] < mean / 2)
        track[frames - 1] = mean;
    TRY(f0_pchip(track, frames));
    smooth_track(track, frames);
fail:
    free(work);
    free(where);
    return result;
}

static int sign_of(double value)
{
    return (value > 0) - (value < 0);
}

/* One-sided slope at an end from the first two steps (h, slope), kept from overshooting. */
static double end_slope(double h0, double h1, double m0, double m1)
{
    double slope = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1);
    if (sign_of(slope) != sign_of(m0))
        return 0;
    if (sign_of(m0) != sign_of(m1) && fabs(slope) > 3 * fabs(m0))
        return 3 * m0;
    return slope;
}

/* The weighted harmonic mean of the slopes left and right; 0 at an extremum. */
static double inner_slope(double h0, double h1, double m0, double m1)
{
    if (sign_of(m0) * sign_of(m1) <= 0)
        return 0;
    double w0 = 2 * h1 + h0, w1 = h1 + 2 * h0;
    return 1 / ((w0 / m0 + w1 / m1) / (w0 + w1));
}

static void fill_between(double *values, int64_t from, int64_t to, double slope_from, double slope_to)
{
    double h = (double)(to - from), y = values[from], rise = (values[to] - y) / h;
    double t = (slope_from + slope_to - 2 * rise) / h;
    double cubic = t / h, square = (rise - slope_from) / h - t;
    for (int64_t i = from + 1; i < to; i++) {
        double s = (double)(i - from);
        values[i] = y + slope_from * s + square * (s * s) + cubic * (s * s * s);
    }
}

enum status f0_pchip(double *values, int64_t frames)
{
    int64_t *knot = malloc((size_t)frames * sizeof *knot), count = 0;
    if (!knot)
        return status_set(STATUS_INTERNAL, "no memory for a pitch track of %lld frames", (long long)frames);
    for (int64_t f = 0; f < frames; f++)
        if (values[f] > 0)
            knot[count++] = f;
    double left = 0; /* slope at knot i */
    for (int64_t i = 0; i + 1 < count; i++) {
        double h[3] = {0}, m[3] = {0}; /* steps and slopes before, at and after the interval */
        for (int j = 0; j < 3; j++)
            if (i + j >= 1 && i + j < count) {
                int64_t a = knot[i + j - 1], b = knot[i + j];
                h[j] = (double)(b - a);
                m[j] = (values[b] - values[a]) / h[j];
            }
        if (i == 0)
            left = count == 2 ? m[1] : end_slope(h[1], h[2], m[1], m[2]);
        double right = count == 2       ? m[1]
                       : i + 2 == count ? end_slope(h[1], h[0], m[1], m[0])
                                        : inner_slope(h[1], h[2], m[1], m[2]);
        fill_between(values, knot[i], knot[i + 1], left, right);
        left = right;
    }
    free(knot);
    return STATUS_OK;
}
