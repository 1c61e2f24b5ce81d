/* Means with their standard errors. */
#ifndef SPIRITLM_CORE_STATISTICS_H
#define SPIRITLM_CORE_STATISTICS_H

#include "core/status.h"

#include <stdint.h>

struct estimate {
    double value, standard_error; /* NAN with fewer than two observations */
    int64_t n;
};

/* The mean and its standard error, s / sqrt(n). */
struct estimate estimate_mean(const double *values, int64_t count);

/* sum(numerator) / sum(denominator) over clusters (utterances), with the ratio estimator's standard error
 * sqrt(n / (n - 1) * sum((numerator - value * denominator)^2)) / sum(denominator). */
struct estimate estimate_ratio(const double *numerators, const double *denominators, int64_t count);

/* The mean of values that come in clusters. Those of one cluster (the seeds of an item, the comparisons of an utterance) depend on
 * each other, so clusters are what is counted: `n` of them have values, and the standard error is the ratio estimator's of their
 * sums over their sizes, which is also the cluster-robust one (CR1; Liang and Zeger 1986). With clusters of one size it is s / sqrt(n)
 * of their means; with a cluster for each value this is estimate_mean. clusters[i] in [0, cluster_count) is that of values[i];
 * STATUS_INTERNAL otherwise. */
enum status estimate_clustered(const double *values, const int64_t *clusters, int64_t count, int64_t cluster_count,
                               struct estimate *estimate);

/* NULL, or in words why the standard error says nothing: fewer than two observations, or all are equal. */
const char *estimate_caveat(struct estimate estimate);

/* The standard error in four decimals, or "-" where it says nothing. Returns `text`. */
enum { ESTIMATE_ERROR_BYTES = 32 };
const char *estimate_error_text(struct estimate estimate, char text[ESTIMATE_ERROR_BYTES]);

#endif
