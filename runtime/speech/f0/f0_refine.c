/* The candidates of both signals become the rows of the last search: sorted, joined by the spectral track, by the
 * median of the best and by "unvoiced", each with a merit that follows from the frame's energy. The path through them
 * changes pitch and voicing only where that is worth its cost. */
#include "speech/f0/f0_stages.h"

#include <math.h>
#include <stdlib.h>

/* By merit, highest first; equals keep their order. */
static void sort_rows(struct f0_candidate *rows)
{
    for (int i = 1; i < F0_ROWS; i++) {
        struct f0_candidate moved = rows[i];
        int at = i;
        for (; at > 0 && rows[at - 1].merit < moved.merit; at--)
            rows[at] = rows[at - 1];
        rows[at] = moved;
    }
}

static void refine_frame(struct f0_candidate *rows, double median, double track, double energy)
{
    const double certainty = fmin(1, energy / 2);
    if (energy <= F0_SILENT_ENERGY) {
        for (int i = 0; i < F0_ROWS; i++)
            rows[i] = (struct f0_candidate){.pitch = 0, .merit = 0.99};
    } else if (rows[0].pitch > 0) {
        rows[F0_ROWS - 1] = (struct f0_candidate){.pitch = 0, .merit = 1 - rows[0].merit};
        for (int i = 1; i < F0_ROWS - 1; i++)
            if (rows[i].pitch == 0)
                rows[i].merit = 0;
    } else {
        rows[0] = (struct f0_candidate){.pitch = track, .merit = certainty};
        for (int i = 1; i < F0_ROWS; i++)
            rows[i] = (struct f0_candidate){.pitch = 0, .merit = 1 - certainty};
    }
    rows[F0_ROW_MEDIAN] = (struct f0_candidate){.pitch = median, .merit = median > 0 ? rows[0].merit : 1 - certainty};
    rows[F0_ROW_TRACK] = (struct f0_candidate){.pitch = track, .merit = energy / 5};
}

enum status f0_refine(struct f0_candidate *rows, const double *track, const double *energy, const uint8_t *voiced,
                      int64_t frames)
{
    double *best = calloc((size_t)frames * 2, sizeof *best), *median = best + frames;
    if (!best)
        return status_set(STATUS_INTERNAL, "no memory to refine %lld frames", (long long)frames);
    for (int64_t f = 0; f < frames; f++) {
        sort_rows(rows + f * F0_ROWS);
        best[f] = rows[f * F0_ROWS].pitch;
    }
    f0_median(best, frames, F0_REFINE_MEDIAN, median);
    for (int64_t f = 0; f < frames; f++)
        refine_frame(rows + f * F0_ROWS, voiced[f] ? median[f] : 0, track[f], energy[f]);
    free(best);
    return STATUS_OK;
}

struct costs {
    const double *energy;
    double mean; /* of the medians that are voiced; not a number when none is */
};

static double final_transition(const void *context, int64_t frame, double from, double to)
{
    const struct costs *costs = context;
    double cost;
    if (from > 0 && to > 0)
        cost = 0.15 * (fabs(to - from) / costs->mean);
    else if (from > 0 || to > 0)
        cost = 0.5 * (1 - fmin(1, fabs(costs->energy[frame - 1] - costs->energy[frame])));
    else
        cost = 0.1;
    return cost / 0.9;
}

enum status f0_final_path(const struct f0_candidate *rows, const double *energy, int64_t frames, double *result)
{
    int64_t count = 0;
    for (int64_t f = 0; f < frames; f++) {
        double median = rows[f * F0_ROWS + F0_ROW_MEDIAN].pitch;
        if (median > 0)
            result[count++] = median;
    }
    struct costs costs = {.energy = energy, .mean = count > 0 ? f0_sum(result, count) / (double)count : NAN};
    return f0_cheapest_path(rows, F0_ROWS, frames, final_transition, &costs, result);
}
