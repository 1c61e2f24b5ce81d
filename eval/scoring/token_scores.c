/* Sequences are sorted by their ids, which brings equal ones together, and the first of each kind are packed. The vocabulary is cut
 * into ranges of one part each; the sums of a part's ranges are joined here. */
#include "eval/scoring/token_scores.h"

#include "core/log.h"
#include "eval/scoring/packer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the parts of the vocabulary ---- */

struct vocabulary_ranges {
    int64_t count;
    int64_t boundaries[LOG_SUM_EXP_BLOCKS + 1];
    enum vocabulary_part parts[LOG_SUM_EXP_BLOCKS];
};

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

/* Maximal runs of one part. `rows` of the model's embedding: those behind the vocabulary are padding. */
static enum status find_ranges(const struct vocabulary *vocabulary, int64_t rows, struct vocabulary_ranges *ranges)
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

/* ---- batches ---- */

/* What a batch needs beside the packer. */
struct scorer {
    struct llama *model;
    const struct vocabulary_ranges *ranges;
    double *sums; /* pinned, [positions][ranges], and behind them target_logits[positions] */
    float *target_logits;
    int64_t positions;
};

/* Joins the ranges of each part. False when a number is not finite (a part without ids apart). */
static bool read_score(const struct vocabulary_ranges *ranges, const double *sums, float logit,
                       struct token_score *score)
{
    score->logit = logit;
    for (int part = 0; part < VOCABULARY_PARTS; part++)
        score->log_sum_exp[part] = -INFINITY;
    for (int64_t b = 0; b < ranges->count; b++) {
        if (!isfinite(sums[b]))
            return false;
        double *total = &score->log_sum_exp[ranges->parts[b]];
        *total = log_add(*total, sums[b]);
    }
    return isfinite(logit);
}

static enum status make_room(struct scorer *scorer, int64_t positions)
{
    const struct llama *model = scorer->model;
    size_t sums = (size_t)(positions * scorer->ranges->count) * sizeof(double);
    if (positions <= scorer->positions)
        return STATUS_OK;
    model->kernels->release_host(model->context, scorer->sums);
    scorer->sums = NULL;
    enum status result =
        model->kernels->allocate_host(model->context, sums + (size_t)positions * sizeof(float), (void **)&scorer->sums);
    if (result == STATUS_OK) {
        scorer->positions = positions;
        scorer->target_logits = (float *)(void *)((char *)scorer->sums + sums);
    }
    return result;
}

static enum status run(void *context, struct llama_workspace *workspace, const struct llama_batch *batch,
                       void *const *destinations)
{
    enum status result = STATUS_OK;
    struct scorer *scorer = context;
    const struct vocabulary_ranges *ranges = scorer->ranges;
    TRY(make_room(scorer, batch->length));
    const struct llama_block_sums sums = {.block_count = ranges->count,
                                          .boundaries = ranges->boundaries,
                                          .sums = scorer->sums,
                                          .target_logits = scorer->target_logits};
    TRY(llama_sum_blocks(scorer->model, workspace, batch, &sums));
    for (int64_t i = 0; i < batch->length; i++)
        if (destinations[i] &&
            !read_score(ranges, scorer->sums + i * ranges->count, scorer->target_logits[i], destinations[i]))
            FAIL(STATUS_CORRUPT, "the model's logits are not finite: its weights are damaged or diverged");
fail:
    return result;
}

/* ---- equal sequences ---- */

static int compare_sequences(const struct token_sequence *a, const struct token_sequence *b)
{
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1; /* long ones first: they leave gaps that short ones fill */
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return memcmp(a->ids, b->ids, (size_t)a->count * sizeof *a->ids);
}

static int by_content_and_place(const void *a, const void *b)
{
    const struct token_sequence *x = *(struct token_sequence *const *)a, *y = *(struct token_sequence *const *)b;
    int order = compare_sequences(x, y);
    return order != 0 ? order : (x > y) - (x < y);
}

static bool equal(struct token_sequence *const *sorted, int64_t i)
{
    return i > 0 && compare_sequences(sorted[i - 1], sorted[i]) == 0;
}

static bool has_scores(const struct token_sequence *sequence)
{
    return sequence->count > sequence->first;
}

/* Pointers to the sequences that have scores, equal ones beside each other, then as they come; *count is how many. NULL: no memory. */
static struct token_sequence **sort_sequences(struct token_sequence *sequences, int64_t *count)
{
    struct token_sequence **sorted = calloc((size_t)*count + 1, sizeof(struct token_sequence *));
    int64_t kept = 0;
    for (int64_t i = 0; sorted && i < *count; i++)
        if (has_scores(&sequences[i]))
            sorted[kept++] = &sequences[i];
    if (sorted)
        qsort(sorted, (size_t)kept, sizeof(struct token_sequence *), by_content_and_place);
    *count = kept;
    return sorted;
}

static enum status add_sequence(struct packer *packer, const struct token_sequence *sequence)
{
    return packer_add(packer, sequence->ids, sequence->count - 1, sequence->first, sequence->scores,
                      sizeof *sequence->scores);
}

/* Long ones first; where the next one does not fit any more, short ones from the other end fill the batch. */
static enum status pack(struct packer *packer, struct token_sequence *const *different, int64_t count)
{
    enum status result = STATUS_OK;
    struct progress progress;
    progress_start(&progress, "scoring", "sequences", count);
    for (int64_t first = 0, last = count; first < last;) {
        if (!packer_fits(packer, different[first]->count - 1) && packer_fits(packer, different[last - 1]->count - 1))
            TRY(add_sequence(packer, different[--last]));
        else
            TRY(add_sequence(packer, different[first++]));
        progress_update(&progress, first + count - last, "");
    }
    TRY(packer_flush(packer));
    progress_finish(&progress, count, "");
fail:
    return result;
}

/* Computes the first of each kind, and copies its scores to the others. */
static enum status score_sorted(struct llama *model, const struct vocabulary_ranges *ranges,
                                struct token_sequence **sorted, int64_t count)
{
    enum status result = STATUS_OK;
    struct scorer scorer = {.model = model, .ranges = ranges};
    struct packer *packer = NULL;
    int64_t different = 0, tokens = 0;
    struct token_sequence **list = calloc((size_t)count + 1, sizeof(struct token_sequence *));
    if (!list)
        FAIL(STATUS_INTERNAL, "no memory to score %lld sequences", (long long)count);
    for (int64_t i = 0; i < count; i++)
        if (!equal(sorted, i)) {
            list[different++] = sorted[i];
            tokens += sorted[i]->count - 1;
        }
    TRY(packer_create(
        model,
        &(struct packer_options){.tokens = tokens, .longest = list[0]->count - 1, .run = run, .context = &scorer},
        &packer));
    TRY(pack(packer, list, different));
    for (int64_t i = 1; i < count; i++)
        if (equal(sorted, i))
            memcpy(sorted[i]->scores, sorted[i - 1]->scores,
                   (size_t)(sorted[i]->count - sorted[i]->first) * sizeof *sorted[i]->scores);
fail:
    packer_destroy(packer);
    model->kernels->release_host(model->context, scorer.sums);
    free(list);
    return result;
}

enum status token_scores_run(struct llama *model, const struct vocabulary *vocabulary, struct token_sequence *sequences,
                             int64_t count)
{
    enum status result = STATUS_OK;
    int64_t context = model->config.maximum_positions;
    struct vocabulary_ranges ranges;
    struct token_sequence **sorted = NULL;
    for (int64_t i = 0; i < count; i++) {
        if (sequences[i].first < 1)
            return status_set(STATUS_INTERNAL, "the score of token 0 is wanted, which has nothing before it");
        if (has_scores(&sequences[i]) && sequences[i].count - 1 > context)
            return status_set(STATUS_USAGE, "the model reads %lld tokens of a sequence, but its context is %lld",
                              (long long)(sequences[i].count - 1), (long long)context);
    }
    TRY(find_ranges(vocabulary, model->config.vocabulary_size, &ranges));
    sorted = sort_sequences(sequences, &count);
    if (!sorted)
        FAIL(STATUS_INTERNAL, "no memory to score the sequences");
    if (count > 0)
        TRY(score_sorted(model, &ranges, sorted, count));
fail:
    free(sorted);
    return result;
}
