/* All allowed logits are sorted, largest first, so that top-k and top-p both keep a beginning of one list. Equal logits
 * are ordered by id: without that, which one is kept would depend on how the C library sorts. */
#include "generate/sampler.h"

#include <math.h>
#include <stdlib.h>

struct candidate {
    float logit;
    int32_t id;
};

struct sampler {
    int64_t rows;
    struct candidate *candidates;
    double *weights;
};

enum status sampling_check(const struct sampling *sampling)
{
    if (!(sampling->temperature >= 0 && sampling->temperature <= 100))
        return status_set(STATUS_USAGE, "temperature %g is not between 0 and 100", sampling->temperature);
    if (sampling->top_k < 0)
        return status_set(STATUS_USAGE, "top_k %lld is negative", (long long)sampling->top_k);
    if (!(sampling->top_p > 0 && sampling->top_p <= 1))
        return status_set(STATUS_USAGE, "top_p %g is not in (0, 1]", sampling->top_p);
    return STATUS_OK;
}

void output_mask(const struct vocabulary *vocabulary, enum output_modality modality, bool *allowed)
{
    for (int32_t id = 0; id < vocabulary->padded_size; id++) {
        enum token_kind kind = vocabulary_kind(vocabulary, id);
        bool unit = kind == TOKEN_HUBERT || kind == TOKEN_PITCH || kind == TOKEN_STYLE;
        bool text = kind == TOKEN_TEXT && id != vocabulary->bos && id != vocabulary->unk;
        allowed[id] = id == vocabulary->eos || (modality != OUTPUT_TEXT && unit) ||
                      (modality != OUTPUT_SPEECH && text) || (modality == OUTPUT_ANY && kind == TOKEN_TAG);
    }
}

enum status sampler_create(int64_t rows, struct sampler **out)
{
    *out = NULL;
    struct sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler)
        return status_set(STATUS_INTERNAL, "no memory for a sampler");
    sampler->rows = rows;
    sampler->candidates = calloc((size_t)rows, sizeof *sampler->candidates);
    sampler->weights = calloc((size_t)rows, sizeof *sampler->weights);
    if (!sampler->candidates || !sampler->weights) {
        sampler_destroy(sampler);
        return status_set(STATUS_INTERNAL, "no memory to sample from %lld ids", (long long)rows);
    }
    *out = sampler;
    return STATUS_OK;
}

void sampler_destroy(struct sampler *sampler)
{
    if (!sampler)
        return;
    free(sampler->candidates);
    free(sampler->weights);
    free(sampler);
}

/* Largest logit first; equal ones by id, so that the order is one and the same everywhere. */
static int compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* How many of the sorted candidates remain after top-k and top-p; fills their weights and *total. */
static int64_t truncate_candidates(struct sampler *sampler, const struct sampling *sampling, int64_t count,
                                   double *total)
{
    if (sampling->top_k > 0 && sampling->top_k < count)
        count = sampling->top_k;
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = (double)sampler->candidates[i].logit - (double)sampler->candidates[0].logit;
        sampler->weights[i] = exp(difference / sampling->temperature);
        sum += sampler->weights[i];
    }
    /* The smallest set whose mass reaches top_p. */
    double kept = 0;
    int64_t remaining = 0;
    while (remaining < count && (remaining == 0 || kept < sampling->top_p * sum))
        kept += sampler->weights[remaining++];
    *total = kept;
    return remaining;
}

int32_t sampler_pick(struct sampler *sampler, const struct sampling *sampling, const float *logits, const bool *allowed,
                     struct rng *rng)
{
    int64_t count = 0, best = -1;
    for (int64_t id = 0; id < sampler->rows; id++) {
        if (!allowed[id])
            continue;
        if (isnan(logits[id]) || logits[id] == INFINITY)
            return -1;
        if (isinf(logits[id]))
            continue;
        sampler->candidates[count] = (struct candidate){logits[id], (int32_t)id};
        if (best < 0 || logits[id] > sampler->candidates[best].logit)
            best = count;
        count++;
    }
    if (count == 0)
        return -1;
    if (sampling->temperature == 0)
        return sampler->candidates[best].id;
    qsort(sampler->candidates, (size_t)count, sizeof *sampler->candidates, compare);
    double total = 0;
    count = truncate_candidates(sampler, sampling, count, &total);
    double point = rng_uniform(rng) * total;
    for (int64_t i = 0; i < count; i++) {
        point -= sampler->weights[i];
        if (point < 0)
            return sampler->candidates[i].id;
    }
    return sampler->candidates[count - 1].id;
}
