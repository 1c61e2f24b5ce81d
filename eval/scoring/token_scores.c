/* Sequences are sorted by their ids, which brings equal ones together, and the first of each kind are packed side by side
 * in rows of one length: starts[] keeps them from seeing each other. Every batch has the same shape, so that the kernels cut
 * all of them alike. The vocabulary is cut into ranges of one part each; the sums of a part's ranges are joined here. */
#include "eval/scoring/token_scores.h"

#include "core/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POSITIONS = 4096 }; /* of a batch, unless a single row is longer */

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

struct packer {
    struct llama *model;
    const struct vocabulary_ranges *ranges;
    struct llama_workspace *workspace;
    int64_t rows, length, used; /* positions filled of rows * length, rows being filled one after the other */
    void *pinned;               /* what the device reads and writes */
    double *sums;
    int32_t *ids, *targets, *starts;
    float *target_logits;
    struct token_score **destinations; /* [rows * length] */
};

static void clear(struct packer *packer)
{
    size_t cells = (size_t)(packer->rows * packer->length);
    memset(packer->ids, 0, cells * sizeof *packer->ids);
    memset(packer->targets, 0xff, cells * sizeof *packer->targets);
    memset(packer->destinations, 0, cells * sizeof(struct token_score *));
    for (size_t i = 0; i < cells; i++)
        packer->starts[i] = (int32_t)((int64_t)i % packer->length);
    packer->used = 0;
}

/* Joins the ranges of each part. False when a number is not finite (a part without ids apart). */
static bool read_score(const struct packer *packer, int64_t cell, struct token_score *score)
{
    const struct vocabulary_ranges *ranges = packer->ranges;
    score->logit = packer->target_logits[cell];
    for (int part = 0; part < VOCABULARY_PARTS; part++)
        score->log_sum_exp[part] = -INFINITY;
    for (int64_t b = 0; b < ranges->count; b++) {
        double sum = packer->sums[cell * ranges->count + b];
        if (!isfinite(sum))
            return false;
        double *total = &score->log_sum_exp[ranges->parts[b]];
        *total = log_add(*total, sum);
    }
    return isfinite(score->logit);
}

static enum status flush(struct packer *packer)
{
    enum status result = STATUS_OK;
    if (packer->used == 0)
        return STATUS_OK;
    const struct llama_batch batch = {.rows = packer->rows,
                                      .length = packer->length,
                                      .ids = packer->ids,
                                      .targets = packer->targets,
                                      .starts = packer->starts};
    const struct llama_block_sums sums = {.block_count = packer->ranges->count,
                                          .boundaries = packer->ranges->boundaries,
                                          .sums = packer->sums,
                                          .target_logits = packer->target_logits};
    TRY(llama_sum_blocks(packer->model, packer->workspace, &batch, &sums));
    for (int64_t i = 0; i < packer->rows * packer->length; i++)
        if (packer->destinations[i] && !read_score(packer, i, packer->destinations[i]))
            FAIL(STATUS_CORRUPT, "the model's logits are not finite: its weights are damaged or diverged");
    clear(packer);
fail:
    return result;
}

static enum status add_sequence(struct packer *packer, const struct token_sequence *sequence)
{
    enum status result = STATUS_OK;
    int64_t column = packer->used % packer->length;
    if (column + sequence->count > packer->length)
        packer->used += packer->length - column;
    if (packer->used + sequence->count > packer->rows * packer->length)
        TRY(flush(packer));
    int64_t start = packer->used % packer->length;
    for (int64_t i = 0; i < sequence->count; i++) {
        int64_t at = packer->used + i;
        packer->ids[at] = sequence->ids[i];
        packer->starts[at] = (int32_t)start;
        if (i + 1 >= sequence->first && i + 1 < sequence->count) {
            packer->targets[at] = sequence->ids[i + 1];
            packer->destinations[at] = &sequence->scores[i + 1 - sequence->first];
        }
    }
    packer->used += sequence->count;
fail:
    return result;
}

static enum status packer_create(struct llama *model, const struct vocabulary_ranges *ranges, int64_t rows,
                                 int64_t length, struct packer *packer)
{
    enum status result = STATUS_OK;
    size_t cells = (size_t)(rows * length), sums = cells * (size_t)ranges->count * sizeof(double);
    *packer = (struct packer){.model = model, .ranges = ranges, .rows = rows, .length = length};
    TRY(model->kernels->allocate_host(model->context, sums + cells * (3 * sizeof(int32_t) + sizeof(float)),
                                      &packer->pinned));
    packer->sums = packer->pinned;
    packer->ids = (int32_t *)(void *)((char *)packer->pinned + sums);
    packer->targets = packer->ids + cells;
    packer->starts = packer->targets + cells;
    packer->target_logits = (float *)(void *)(packer->starts + cells);
    packer->destinations = calloc(cells, sizeof(struct token_score *));
    if (!packer->destinations)
        FAIL(STATUS_INTERNAL, "no memory to score sequences of %lld tokens", (long long)length);
    clear(packer);
    TRY(llama_workspace_create(model, &(struct llama_workspace_options){.rows = rows, .length = length},
                               &packer->workspace));
fail:
    return result;
}

static void packer_destroy(struct packer *packer)
{
    llama_workspace_destroy(packer->workspace);
    if (packer->model)
        packer->model->kernels->release_host(packer->model->context, packer->pinned);
    free(packer->destinations);
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

/* Pointers to all sequences, equal ones beside each other. NULL: no memory. */
static struct token_sequence **sort_sequences(struct token_sequence *sequences, int64_t count)
{
    struct token_sequence **sorted = calloc((size_t)count + 1, sizeof(struct token_sequence *));
    for (int64_t i = 0; sorted && i < count; i++)
        sorted[i] = &sequences[i];
    if (sorted)
        qsort(sorted, (size_t)count, sizeof(struct token_sequence *), by_content_and_place);
    return sorted;
}

static enum status score_sorted(struct packer *packer, struct token_sequence **sorted, int64_t count)
{
    enum status result = STATUS_OK;
    struct progress progress;
    progress_start(&progress, "scoring", "sequences", count);
    for (int64_t i = 0; i < count; i++) {
        if (has_scores(sorted[i]) && !equal(sorted, i))
            TRY(add_sequence(packer, sorted[i]));
        progress_update(&progress, i + 1, "");
    }
    TRY(flush(packer));
    progress_finish(&progress, count, "");
    for (int64_t i = 1; i < count; i++)
        if (has_scores(sorted[i]) && equal(sorted, i))
            memcpy(sorted[i]->scores, sorted[i - 1]->scores,
                   (size_t)(sorted[i]->count - sorted[i]->first) * sizeof *sorted[i]->scores);
fail:
    return result;
}

enum status token_scores_run(struct llama *model, const struct vocabulary *vocabulary, struct token_sequence *sequences,
                             int64_t count)
{
    enum status result = STATUS_OK;
    int64_t context = model->config.maximum_positions, longest = 0;
    struct vocabulary_ranges ranges;
    struct packer packer = {0};
    struct token_sequence **sorted = NULL;
    for (int64_t i = 0; i < count; i++) {
        if (sequences[i].first < 1)
            return status_set(STATUS_INTERNAL, "the score of token 0 is wanted, which has nothing before it");
        if (has_scores(&sequences[i]))
            longest = sequences[i].count > longest ? sequences[i].count : longest;
    }
    if (longest > context)
        return status_set(STATUS_USAGE, "a sequence has %lld tokens, but the model's context is %lld",
                          (long long)longest, (long long)context);
    if (longest == 0)
        return STATUS_OK;
    TRY(find_ranges(vocabulary, model->config.vocabulary_size, &ranges));
    sorted = sort_sequences(sequences, count);
    if (!sorted)
        FAIL(STATUS_INTERNAL, "no memory to score %lld sequences", (long long)count);
    int64_t rows = longest < POSITIONS ? POSITIONS / longest : 1;
    TRY(packer_create(model, &ranges, rows, longest, &packer));
    TRY(score_sorted(&packer, sorted, count));
fail:
    packer_destroy(&packer);
    free(sorted);
    return result;
}
