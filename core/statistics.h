/* Means with their standard errors. */
#ifndef SPIRITLM_CORE_STATISTICS_H
#define SPIRITLM_CORE_STATISTICS_H

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

/* NULL, or in words why the standard error says nothing: fewer than two observations, or all are equal. */
const char *estimate_caveat(struct estimate estimate);

/* The standard error in four decimals, or "-" where it says nothing. Returns `text`. */
enum { ESTIMATE_ERROR_BYTES = 32 };
const char *estimate_error_text(struct estimate estimate, char text[ESTIMATE_ERROR_BYTES]);

#endif
