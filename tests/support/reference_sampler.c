/* The order of Spirit LM's release: bans, temperature, top-k, top-p. */
#include "support/reference_sampler.h"

#include "support/test_support.h"

#include <math.h>
#include <stdlib.h>

struct candidate {
    float logit;
    int32_t id;
    double weight;
};

/* Largest logit first; equal ones by id. */
static int compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* How many of the sorted candidates remain after top-k and top-p; fills their weights and *total. */
static int64_t truncate_candidates(const struct sampling *sampling, struct candidate *candidates, int64_t count,
                                   double *total)
{
    if (sampling->top_k > 0 && sampling->top_k < count)
        count = sampling->top_k;
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = (double)candidates[i].logit - (double)candidates[0].logit;
        candidates[i].weight = exp(difference / sampling->temperature);
        sum += candidates[i].weight;
    }
    int64_t remaining = 0;
    *total = 0;
    while (remaining < count && (remaining == 0 || *total < sampling->top_p * sum))
        *total += candidates[remaining++].weight;
    return remaining;
}

static int32_t pick(const struct sampling *sampling, struct candidate *candidates, int64_t count, struct rng *rng)
{
    double total;
    qsort(candidates, (size_t)count, sizeof *candidates, compare);
    if (sampling->temperature == 0)
        return candidates[0].id;
    count = truncate_candidates(sampling, candidates, count, &total);
    double point = rng_uniform(rng) * total;
    for (int64_t i = 0; i < count; i++) {
        point -= candidates[i].weight;
        if (point < 0)
            return candidates[i].id;
    }
    return candidates[count - 1].id;
}

int32_t reference_sample(const struct sampling *sampling, const float *logits, const uint8_t *allowed, int64_t rows,
                         struct rng *rng)
{
    struct candidate *candidates = calloc((size_t)rows, sizeof *candidates);
    int64_t count = 0;
    bool finite = true;
    assert_non_null(candidates);
    for (int64_t id = 0; id < rows; id++) {
        if (!allowed[id])
            continue;
        finite = finite && !isnan(logits[id]) && logits[id] != INFINITY;
        if (!isinf(logits[id]))
            candidates[count++] = (struct candidate){logits[id], (int32_t)id, 0};
    }
    int32_t id = finite && count > 0 ? pick(sampling, candidates, count, rng) : -1;
    free(candidates);
    return id;
}
