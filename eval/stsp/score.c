/* A generation that failed is wrong: it stays in n. */
#include "eval/stsp/score.h"

#include <math.h>

void confusion_add(struct confusion *confusion, enum sentiment prompt, int judged)
{
    confusion->counts[prompt][judged]++;
}

static int64_t row_total(const struct confusion *confusion, int row)
{
    int64_t total = 0;
    for (int c = 0; c < STSP_COLUMNS; c++)
        total += confusion->counts[row][c];
    return total;
}

int64_t confusion_total(const struct confusion *confusion)
{
    int64_t total = 0;
    for (int r = 0; r < SENTIMENTS; r++)
        total += row_total(confusion, r);
    return total;
}

double confusion_accuracy(const struct confusion *confusion)
{
    int64_t right = 0, total = confusion_total(confusion);
    for (int r = 0; r < SENTIMENTS; r++)
        right += confusion->counts[r][r];
    return total > 0 ? (double)right / (double)total : NAN;
}

json_t *confusion_json(const struct confusion *confusion)
{
    json_t *rows = json_object();
    for (int r = 0; rows && r < SENTIMENTS; r++) {
        json_t *row = json_object();
        for (int c = 0; row && c < STSP_COLUMNS; c++)
            json_object_set_new(row, c == STSP_NONE ? "failed" : sentiment_name((enum sentiment)c),
                                json_integer(confusion->counts[r][c]));
        json_object_set_new(rows, sentiment_name((enum sentiment)r), row);
    }
    return rows;
}

struct estimate stsp_estimate(const double *right, int64_t items, int64_t seeds, double *scratch)
{
    for (int64_t i = 0; i < items; i++) {
        scratch[i] = 0;
        for (int64_t s = 0; s < seeds; s++)
            scratch[i] += right[i * seeds + s] / (double)seeds;
    }
    return estimate_mean(scratch, items);
}

struct estimate stsp_mean(const struct estimate *parts, int64_t count)
{
    struct estimate mean = {0};
    double squares = 0;
    for (int64_t i = 0; i < count; i++) {
        mean.value += parts[i].value / (double)count;
        squares += parts[i].standard_error * parts[i].standard_error;
        mean.n += parts[i].n;
    }
    mean.standard_error = sqrt(squares) / (double)count;
    return mean;
}
