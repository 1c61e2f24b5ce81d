/* How an id is drawn, the plain way: one row at a time on the host, every candidate sorted by the C library. */
#ifndef SPIRITLM_TESTS_REFERENCE_SAMPLER_H
#define SPIRITLM_TESTS_REFERENCE_SAMPLER_H

#include "core/rng.h"
#include "generate/sampler.h"

/* An allowed id of `rows`; -1 when an allowed logit is NaN or plus infinity, or all are minus infinity. Uses one number of
 * `rng` unless greedy. */
int32_t reference_sample(const struct sampling *sampling, const float *logits, const uint8_t *allowed, int64_t rows,
                         struct rng *rng);

#endif
