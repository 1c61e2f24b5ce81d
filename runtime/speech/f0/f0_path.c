/* What several stages share: sums, medians, and the path of least cost through candidates by dynamic programming
 * (Viterbi). Sums are added in NumPy's order because paths of equal cost are common and the last bit then decides as it
 * does in the reference. */
#include "speech/f0/f0_stages.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

double f0_sum(const double *values, int64_t count)
{
    enum { LANES = 8, BLOCK = 128 };
    if (count > BLOCK) {
        int64_t half = count / 2 - count / 2 % LANES;
        return f0_sum(values, half) + f0_sum(values + half, count - half);
    }
    double sum = 0;
    int64_t i = 0;
    if (count >= LANES) {
        double lane[LANES] = {0};
        for (; i + LANES <= count; i += LANES)
            for (int j = 0; j < LANES; j++)
                lane[j] += values[i + j];
        sum = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    }
    for (; i < count; i++)
        sum += values[i];
    return sum;
}

void f0_median(const double *input, int64_t count, int length, double *output)
{
    int half = length / 2;
    for (int64_t n = 0; n < count; n++) {
        double sorted[F0_REFINE_MEDIAN];
        for (int i = 0; i < length; i++) {
            int64_t from = n + i - half;
            double value = from >= 0 && from < count ? input[from] : 0;
            int at = i;
            for (; at > 0 && sorted[at - 1] > value; at--)
                sorted[at] = sorted[at - 1];
            sorted[at] = value;
        }
        output[n] = sorted[half];
    }
}

/* Index of the smallest, the highest of equals. NaN counts as smallest, as in NumPy's argmin: with no voiced frame at
 * all the transition costs are NaN, and the path must still be the reference's. */
static int cheapest(const double *cost, int count)
{
    int best = count - 1;
    for (int i = count - 1; i >= 0; i--) {
        if (isnan(cost[i]))
            return i;
        if (cost[i] < cost[best])
            best = i;
    }
    return best;
}

enum status f0_cheapest_path(const struct f0_candidate *candidates, int rows, int64_t frames, f0_transition *transition,
                             const void *context, double *result)
{
    assert(rows > 0 && rows <= F0_ROWS);
    uint8_t *came_from = calloc((size_t)frames, (size_t)rows);
    if (!came_from)
        return status_set(STATUS_INTERNAL, "no memory for a pitch path of %lld frames", (long long)frames);
    double cost[F0_ROWS], next[F0_ROWS];
    for (int i = 0; i < rows; i++)
        cost[i] = 1 - candidates[i].merit;
    for (int64_t frame = 1; frame < frames; frame++) {
        const struct f0_candidate *before = candidates + (frame - 1) * rows, *now = candidates + frame * rows;
        for (int i = 0; i < rows; i++) {
            double through[F0_ROWS];
            for (int k = 0; k < rows; k++)
                through[k] = cost[k] + transition(context, frame, before[k].pitch, now[i].pitch);
            int best = cheapest(through, rows);
            came_from[frame * rows + i] = (uint8_t)best;
            next[i] = through[best] + (1 - now[i].merit);
        }
        for (int i = 0; i < rows; i++)
            cost[i] = next[i];
    }
    int row = frames > 1 ? cheapest(cost, rows) : 0;
    for (int64_t frame = frames - 1; frame >= 0; frame--) {
        result[frame] = candidates[frame * rows + row].pitch;
        row = frame > 0 ? came_from[frame * rows + row] : 0;
    }
    free(came_from);
    return STATUS_OK;
}
