/* sLM21's numbers from scored pairs: what the items say of themselves is put into the form of a gold table again, so that the
 * rules of eval/zero_shot/slm21.h decide here too. */
#include "eval/reports.h"

#include "eval/zero_shot/slm21.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const struct choice_item *item, const char *key)
{
    const char *text = json_string_value(json_object_get(item->document, key));
    return text ? text : "";
}

static struct slm21_item describe(const struct choice_item *item, int64_t first)
{
    const json_t *frequency = json_object_get(item->document, "frequency");
    const json_t *length = json_object_get(item->document, "length");
    return (struct slm21_item){
        .id = text_of(item, "id"),
        .type = text_of(item, "type"),
        .subtype = text_of(item, "subtype"),
        .names = {[SLM21_CORRECT] = text_of(item, "correct"), [SLM21_INCORRECT] = text_of(item, "incorrect")},
        .texts = {"", ""},
        .frequency = frequency ? json_number_value(frequency) : NAN,
        .length = length ? (int64_t)json_integer_value(length) : -1,
        .first = first,
    };
}

static bool same_item(const struct slm21_item *a, const struct slm21_item *b)
{
    return !strcmp(a->id, b->id) && !strcmp(a->type, b->type) && !strcmp(a->subtype, b->subtype);
}

/* A table with two rows per pair; the pairs of an item are neighbours. Arrays are for slm21_free. */
static enum status make_gold(const struct report_input *input, struct slm21 *gold)
{
    const struct choice_set *set = input->set;
    size_t pairs = (size_t)set->count + 1;
    *gold = (struct slm21){.task = input->rule == REPORT_SLM21_LEXICAL ? SLM21_LEXICAL : SLM21_SYNTACTIC,
                           .where = input->task,
                           .file_count = 2 * set->count,
                           .pair_count = set->count};
    gold->files = calloc(2 * pairs, sizeof(char *));
    gold->items = calloc(pairs, sizeof *gold->items);
    gold->pairs = calloc(pairs, sizeof *gold->pairs);
    if (!gold->files || !gold->items || !gold->pairs)
        return status_set(STATUS_INTERNAL, "no memory for %lld pairs", (long long)set->count);
    for (int64_t k = 0; k < set->count; k++) {
        struct slm21_item item = describe(&set->items[k], k);
        if (gold->item_count == 0 || !same_item(&gold->items[gold->item_count - 1], &item))
            gold->items[gold->item_count++] = item;
        gold->items[gold->item_count - 1].count++;
        gold->files[2 * k] = gold->files[2 * k + 1] = set->items[k].id;
        gold->pairs[k] = (struct slm21_pair){
            .voice = text_of(&set->items[k], "voice"),
            .rows = {[SLM21_CORRECT] = 2 * k + SLM21_CORRECT, [SLM21_INCORRECT] = 2 * k + SLM21_INCORRECT}};
    }
    return STATUS_OK;
}

/* ---- rows ---- */

/* The mean over items for which `keep` holds. */
static struct estimate estimate_items(const struct slm21 *gold, const double *scores, bool in_vocabulary, double *kept)
{
    int64_t n = 0;
    for (int64_t i = 0; i < gold->item_count; i++)
        if (!isnan(scores[i]) && (!in_vocabulary || gold->items[i].frequency >= 1))
            kept[n++] = scores[i];
    return estimate_mean(kept, n);
}

/* Of an unweighted mean: sqrt(sum se^2) / K over K types. */
static double error_of_types(const struct slm21_result *found)
{
    double squares = 0;
    for (int64_t i = 0; i < found->line_count; i++) {
        const struct slm21_line *line = &found->lines[i];
        squares += line->n > 1 ? line->deviation * line->deviation / (double)line->n : NAN;
    }
    return sqrt(squares) / (double)found->line_count;
}

static enum status add_line(const struct report_input *input, const struct score_protocol *protocol,
                            const struct slm21_line *line, struct benchmark_results *results)
{
    const struct estimate accuracy = {line->mean, line->n > 1 ? line->deviation / sqrt((double)line->n) : NAN, line->n};
    return benchmark_add(results, input->task, line->name, true, accuracy, line->n, (struct benchmark_counts){0},
                         protocol, NULL);
}

static enum status add_rows(const struct report_input *input, const struct score_protocol *protocol,
                            const struct slm21 *gold, const struct slm21_result *found,
                            struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    struct benchmark_row *row;
    bool lexical = gold->task == SLM21_LEXICAL;
    double *kept = calloc((size_t)gold->item_count + 1, sizeof *kept);
    if (!kept)
        FAIL(STATUS_INTERNAL, "no memory for %lld items", (long long)gold->item_count);
    TRY(benchmark_add(results, input->task, "", false, estimate_items(gold, found->item_scores, false, kept),
                      input->expected, (struct benchmark_counts){.ties = found->ties}, protocol, &row));
    row->failures = input->failures;
    if (lexical && found->in_vocabulary_items > 0)
        TRY(benchmark_add(results, input->task, "in vocabulary", true,
                          estimate_items(gold, found->item_scores, true, kept), found->in_vocabulary_items,
                          (struct benchmark_counts){0}, protocol, NULL));
    if (!lexical)
        TRY(benchmark_add(results, input->task, "mean of types", true,
                          (struct estimate){found->mean_of_types, error_of_types(found), found->line_count},
                          found->line_count, (struct benchmark_counts){0}, protocol, NULL));
    const struct slm21_line *lines = lexical ? found->bands : found->lines;
    for (int64_t i = 0; i < (lexical ? SLM21_BANDS : found->line_count); i++)
        if (lines[i].n > 0)
            TRY(add_line(input, protocol, &lines[i], results));
fail:
    free(kept);
    return result;
}

static enum status fill_scores(const struct choice_set *set, const struct score_protocol *protocol, double *scores)
{
    enum status result = STATUS_OK;
    for (int64_t k = 0; k < set->count; k++)
        for (int side = 0; side < 2; side++) {
            const struct choice *choice = &set->items[k].choices[side == SLM21_CORRECT ? 0 : 1];
            if (set->items[k].count != 2 || set->items[k].answer != 0)
                FAIL(STATUS_CORRUPT, "%s: expected two choices, the first of which is right", set->items[k].id);
            TRY(choice_value(choice, protocol, &scores[2 * k + side]));
        }
fail:
    return result;
}

static double tie_value(const struct score_protocol *protocol)
{
    return protocol->tie == TIE_HALF ? 0.5 : protocol->tie == TIE_FIRST ? 1 : 0; /* the right one comes first */
}

enum status report_slm21(const struct report_input *input, const struct score_protocol *protocol,
                         struct benchmark_results *results, const char *folder)
{
    enum status result = STATUS_OK;
    struct slm21 gold;
    struct slm21_result found = {0};
    double *scores = calloc(2 * (size_t)input->set->count + 1, sizeof *scores);
    TRY(make_gold(input, &gold));
    if (!scores)
        FAIL(STATUS_INTERNAL, "no memory for %lld scores", (long long)input->set->count);
    TRY(fill_scores(input->set, protocol, scores));
    TRY(slm21_evaluate(&gold, scores, NULL, tie_value(protocol), &found));
    if (results)
        TRY(add_rows(input, protocol, &gold, &found, results));
    if (folder)
        TRY(slm21_write(&gold, &found, folder, strstr(input->task, "test") ? "test" : "dev"));
fail:
    slm21_result_free(&found);
    slm21_free(&gold);
    free(scores);
    return result;
}
