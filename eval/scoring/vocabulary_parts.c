/* A mask takes away text or speech, so that every token's log-sum-exp is kept by part; a part is several ranges of ids where EOS or padding
 * lies inside it. */
#include "eval/scoring/vocabulary_parts.h"

#include <math.h>

static enum vocabulary_part part_of(const struct vocabulary *vocabulary, int32_t id)
{
    if (id == vocabulary->eos)
        return PART_OTHER;
    switch (vocabulary_kind(vocabulary, id)) {
    case TOKEN_TEXT:
        return PART_TEXT;
    case TOKEN_HUBERT:
    case TOKEN_PITCH:
    case TOKEN_STYLE:
        return PART_SPEECH;
    default:
        return PART_OTHER;
    }
}

enum status vocabulary_ranges_find(const struct vocabulary *vocabulary, int64_t rows, struct vocabulary_ranges *ranges)
{
    *ranges = (struct vocabulary_ranges){0};
    for (int64_t id = 0; id < rows; id++) {
        enum vocabulary_part part = part_of(vocabulary, (int32_t)id);
        if (ranges->count == 0 || ranges->parts[ranges->count - 1] != part) {
            if (ranges->count == LOG_SUM_EXP_BLOCKS)
                return status_set(STATUS_INTERNAL, "the vocabulary has more than %d ranges", LOG_SUM_EXP_BLOCKS);
            ranges->boundaries[ranges->count] = id;
            ranges->parts[ranges->count++] = part;
        }
        ranges->boundaries[ranges->count] = id + 1;
    }
    return STATUS_OK;
}

/* log(exp(a) + exp(b)) */
static double log_add(double a, double b)
{
    double larger = a > b ? a : b, smaller = a > b ? b : a;
    return smaller == -INFINITY ? larger : larger + log1p(exp(smaller - larger));
}

double token_log_probability(const struct token_score *score)
{
    const double *sums = score->log_sum_exp;
    return (double)score->logit - log_add(log_add(sums[PART_TEXT], sums[PART_SPEECH]), sums[PART_OTHER]);
}

double token_masked_log_probability(const struct token_score *score, enum vocabulary_part masked)
{
    const double *sums = score->log_sum_exp;
    enum vocabulary_part kept = masked == PART_TEXT ? PART_SPEECH : PART_TEXT;
    return (double)score->logit - log_add(sums[kept], sums[PART_OTHER]);
}

/* ---- what the model says ---- */

enum status score_buffer_reserve(const struct llama *model, const struct vocabulary_ranges *ranges, int64_t tokens,
                                 struct score_buffer *buffer)
{
    size_t sums = (size_t)(tokens * ranges->count) * sizeof(double);
    if (tokens <= buffer->capacity)
        return STATUS_OK;
    score_buffer_free(model, buffer);
    enum status result =
        model->kernels->allocate_host(model->context, sums + (size_t)tokens * sizeof(float), (void **)&buffer->sums);
    if (result == STATUS_OK) {
        buffer->capacity = tokens;
        buffer->target_logits = (float *)(void *)((char *)buffer->sums + sums);
    }
    return result;
}

void score_buffer_free(const struct llama *model, struct score_buffer *buffer)
{
    if (buffer->sums) /* after a failure copies into it may still be on their way */
        (void)model->kernels->synchronize(model->context);
    model->kernels->release_host(model->context, buffer->sums);
    *buffer = (struct score_buffer){0};
}

struct llama_block_sums score_buffer_sums(const struct vocabulary_ranges *ranges, const struct score_buffer *buffer)
{
    return (struct llama_block_sums){.block_count = ranges->count,
                                     .boundaries = ranges->boundaries,
                                     .sums = buffer->sums,
                                     .target_logits = buffer->target_logits};
}

enum status score_buffer_read(const struct vocabulary_ranges *ranges, const struct score_buffer *buffer, int64_t token,
                              struct token_score *score)
{
    const double *sums = buffer->sums + token * ranges->count;
    score->logit = buffer->target_logits[token];
    for (int part = 0; part < VOCABULARY_PARTS; part++)
        score->log_sum_exp[part] = -INFINITY;
    bool finite = isfinite(score->logit);
    for (int64_t b = 0; b < ranges->count; b++) {
        double *total = &score->log_sum_exp[ranges->parts[b]];
        finite = finite && isfinite(sums[b]);
        *total = log_add(*total, sums[b]);
    }
    return finite
               ? STATUS_OK
               : status_set(STATUS_CORRUPT, "the model's logits are not finite: its weights are damaged or diverged");
}
