/* Scores of recordings become wins of pairs, means of items, and means over items. An item counts once, however many voices it
 * has. Sums are compensated (Kahan 1965) and deviations updated as items come (Welford 1962), in the order of the items, so that
 * the last bit does not depend on how a table was sorted. */
#include "eval/zero_shot/slm21.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct running {
    int64_t n;
    double sum, lost; /* lost: what adding to `sum` has rounded away */
    double mean, squares;
};

static void running_add(struct running *running, double value)
{
    double exact = value - running->lost, sum = running->sum + exact;
    running->lost = sum - running->sum - exact;
    running->sum = sum;
    running->n++;
    double before = running->mean;
    running->mean += (value - before) / (double)running->n;
    running->squares += (value - before) * (value - running->mean);
}

static double running_mean(const struct running *running)
{
    return running->n > 0 ? running->sum / (double)running->n : NAN;
}

static struct slm21_line running_line(const struct running *running, const char *name, int64_t length)
{
    double deviation = running->n > 1 ? sqrt(running->squares / (double)(running->n - 1)) : NAN;
    return (struct slm21_line){name, length, running->n, running_mean(running), deviation};
}

/* ---- pairs and items ---- */

static enum status check_scores(const struct slm21 *gold, const double *scores, const bool *present)
{
    for (int64_t row = 0; row < gold->file_count; row++)
        if ((!present || present[row]) && !isfinite(scores[row]))
            return status_set(STATUS_CORRUPT,
                              "%s: the score of the recording \"%.100s\" is %g; expected a finite number", gold->where,
                              gold->files[row], scores[row]);
    return STATUS_OK;
}

static void score_pairs(const struct slm21 *gold, const double *scores, const bool *present, double tie,
                        struct slm21_result *result)
{
    for (int64_t i = 0; i < gold->pair_count; i++) {
        const int64_t *rows = gold->pairs[i].rows;
        if (present && !(present[rows[0]] && present[rows[1]])) {
            result->pair_scores[i] = NAN;
            result->missing_pairs++;
            continue;
        }
        double correct = scores[rows[SLM21_CORRECT]], incorrect = scores[rows[SLM21_INCORRECT]];
        result->pair_scores[i] = correct > incorrect ? 1 : correct == incorrect ? tie : 0;
        result->ties += correct == incorrect;
        result->pairs++;
    }
}

static void score_items(const struct slm21 *gold, struct slm21_result *result)
{
    struct running all = {0}, known = {0};
    for (int64_t i = 0; i < gold->item_count; i++) {
        const struct slm21_item *item = &gold->items[i];
        double sum = 0;
        int64_t voices = 0;
        for (int64_t k = item->first; k < item->first + item->count; k++)
            if (!isnan(result->pair_scores[k])) {
                sum += result->pair_scores[k];
                voices++;
            }
        result->item_scores[i] = voices > 0 ? sum / (double)voices : NAN;
        if (voices == 0)
            continue;
        running_add(&all, result->item_scores[i]);
        if (item->frequency >= 1)
            running_add(&known, result->item_scores[i]);
    }
    result->items = all.n;
    result->all = running_mean(&all);
    result->in_vocabulary = running_mean(&known); /* no item of the syntactic task has a frequency */
    result->in_vocabulary_items = known.n;
}

/* ---- tables ---- */

/* The scorer's bands: from their edge to the next one, which belongs to the next. Its labels are off by one. */
static const struct {
    const char *name;
    double edge;
} bands[SLM21_BANDS] = {{"oov", 0}, {"1-5", 1}, {"6-20", 5}, {"21-100", 20}, {">100", 100}};

static void fill_bands(const struct slm21 *gold, struct slm21_result *result)
{
    struct running running[SLM21_BANDS] = {{0}};
    for (int64_t i = 0; i < gold->item_count; i++) {
        int band = SLM21_BANDS - 1;
        if (isnan(result->item_scores[i]) || isnan(gold->items[i].frequency))
            continue;
        while (band > 0 && gold->items[i].frequency < bands[band].edge)
            band--;
        running_add(&running[band], result->item_scores[i]);
    }
    for (int i = 0; i < SLM21_BANDS; i++)
        result->bands[i] = running_line(&running[i], bands[i].name, -1);
}

static int compare_lengths(const void *a, const void *b, void *items)
{
    const struct slm21_item *all = items;
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    if (all[left].length != all[right].length)
        return all[left].length < all[right].length ? -1 : 1;
    return left < right ? -1 : left > right;
}

static void fill_lengths(const struct slm21 *gold, int64_t *order, struct slm21_result *result)
{
    for (int64_t i = 0; i < gold->item_count; i++)
        order[i] = i;
    qsort_r(order, (size_t)gold->item_count, sizeof *order, compare_lengths, gold->items);
    for (int64_t begin = 0, end; begin < gold->item_count; begin = end) {
        struct running running = {0};
        int64_t length = gold->items[order[begin]].length;
        for (end = begin; end < gold->item_count && gold->items[order[end]].length == length; end++)
            if (!isnan(result->item_scores[order[end]]))
                running_add(&running, result->item_scores[order[end]]);
        if (length >= 0 && running.n > 0)
            result->lines[result->line_count++] = running_line(&running, NULL, length);
    }
}

/* Items are in the order of their types. */
static void fill_types(const struct slm21 *gold, struct slm21_result *result)
{
    struct running types = {0};
    for (int64_t begin = 0, end; begin < gold->item_count; begin = end) {
        struct running running = {0};
        const char *type = gold->items[begin].type;
        for (end = begin; end < gold->item_count && strcmp(gold->items[end].type, type) == 0; end++)
            if (!isnan(result->item_scores[end]))
                running_add(&running, result->item_scores[end]);
        if (running.n == 0)
            continue;
        result->lines[result->line_count++] = running_line(&running, type, -1);
        running_add(&types, running_mean(&running));
    }
    result->mean_of_types = running_mean(&types);
}

enum status slm21_evaluate(const struct slm21 *gold, const double *scores, const bool *present, double tie,
                           struct slm21_result *result)
{
    *result = (struct slm21_result){.mean_of_types = NAN};
    enum status status = check_scores(gold, scores, present);
    if (status != STATUS_OK)
        return status;
    size_t items = (size_t)gold->item_count;
    result->pair_scores = calloc((size_t)gold->pair_count + 1, sizeof *result->pair_scores);
    result->item_scores = calloc(items + 1, sizeof *result->item_scores);
    result->lines = calloc(items + 1, sizeof *result->lines);
    int64_t *order = calloc(items + 1, sizeof *order);
    if (!result->pair_scores || !result->item_scores || !result->lines || !order) {
        status = status_set(STATUS_INTERNAL, "%s: out of memory", gold->where);
    } else {
        score_pairs(gold, scores, present, tie, result);
        score_items(gold, result);
        if (gold->task == SLM21_LEXICAL) {
            fill_bands(gold, result);
            fill_lengths(gold, order, result);
        } else {
            fill_types(gold, result);
        }
    }
    free(order);
    return status;
}

void slm21_result_free(struct slm21_result *result)
{
    free(result->pair_scores);
    free(result->item_scores);
    free(result->lines);
    *result = (struct slm21_result){0};
}
