/* A mean is the ratio estimator with every denominator 1, so one formula serves both. Differences from the estimate are
 * squared, in a second pass over the data: subtracting a squared mean from a mean of squares would lose most digits
 * when the spread is small. */
#include "core/statistics.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct estimate estimate_ratio(const double *numerators, const double *denominators, int64_t count)
{
    double top = 0, bottom = 0, squares = 0, n = (double)count;
    for (int64_t i = 0; i < count; i++) {
        top += numerators[i];
        bottom += denominators ? denominators[i] : 1;
    }
    double value = top / bottom;
    for (int64_t i = 0; i < count; i++) {
        double difference = numerators[i] - value * (denominators ? denominators[i] : 1);
        squares += difference * difference;
    }
    return (struct estimate){value, count > 1 ? sqrt(n / (n - 1) * squares) / bottom : NAN, count};
}

struct estimate estimate_mean(const double *values, int64_t count)
{
    return estimate_ratio(values, NULL, count);
}

enum status estimate_clustered(const double *values, const int64_t *clusters, int64_t count, int64_t cluster_count,
                               struct estimate *estimate)
{
    enum status result = STATUS_OK;
    int64_t used = 0;
    double *sums = calloc((size_t)cluster_count + 1, sizeof *sums),
           *sizes = calloc((size_t)cluster_count + 1, sizeof *sizes);
    if (!sums || !sizes)
        FAIL(STATUS_INTERNAL, "no memory for %lld clusters", (long long)cluster_count);
    for (int64_t i = 0; i < count; i++) {
        if (clusters[i] < 0 || clusters[i] >= cluster_count)
            FAIL(STATUS_INTERNAL, "value %lld is in cluster %lld of %lld", (long long)i, (long long)clusters[i],
                 (long long)cluster_count);
        sums[clusters[i]] += values[i];
        sizes[clusters[i]]++;
    }
    for (int64_t c = 0; c < cluster_count; c++)
        if (sizes[c] > 0) {
            sums[used] = sums[c];
            sizes[used++] = sizes[c];
        }
    *estimate = estimate_ratio(sums, sizes, used);
fail:
    free(sums);
    free(sizes);
    return result;
}

const char *estimate_caveat(struct estimate estimate)
{
    if (estimate.n < 2)
        return "a single value has no standard error";
    /* rounding may leave a few units in the last place of what is 0 */
    if (estimate.standard_error <= 1e-14 * fabs(estimate.value))
        return "all values are equal: their standard error of 0 says nothing about other data";
    return NULL;
}

const char *estimate_error_text(struct estimate estimate, char text[ESTIMATE_ERROR_BYTES])
{
    if (estimate_caveat(estimate))
        snprintf(text, ESTIMATE_ERROR_BYTES, "-");
    else
        snprintf(text, ESTIMATE_ERROR_BYTES, "%.4f", estimate.standard_error);
    return text;
}
