/* The numbers of STSP: how often what was generated has the sentiment of its prompt. */
#ifndef SPIRITLM_EVAL_STSP_SCORE_H
#define SPIRITLM_EVAL_STSP_SCORE_H

#include "core/statistics.h"
#include "eval/stsp/sentiment.h"

#include <jansson.h>

enum { STSP_NONE = SENTIMENTS, STSP_COLUMNS }; /* the column of what could not be judged */

/* counts[prompt's sentiment][judged sentiment, or STSP_NONE]. */
struct confusion {
    int64_t counts[SENTIMENTS][STSP_COLUMNS];
};
void confusion_add(struct confusion *confusion, enum sentiment prompt, int judged);
int64_t confusion_total(const struct confusion *confusion);
double confusion_accuracy(const struct confusion *confusion); /* NAN without items */
json_t *confusion_json(const struct confusion *confusion);    /* {"negative": {"negative": 3, ..., "failed": 0}, ...} */

/* Items that were run with several seeds: right[item * seeds + seed] is 1 or 0. The mean, and its standard error with the seeds of
 * an item as one cluster: that of the means of items. */
struct estimate stsp_estimate(const double *right, int64_t items, int64_t seeds, double *scratch);

/* The mean of independent numbers, each with its own error: sqrt(sum of squares) / count; n is the sum. */
struct estimate stsp_mean(const struct estimate *parts, int64_t count);

#endif
