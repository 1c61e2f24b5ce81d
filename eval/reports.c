/* The rules that are short; sLM21's is in report_slm21.c. */
#include "eval/reports.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *report_rule_name(enum report_rule rule)
{
    static const char *const names[] = {"mean", "parts", "slm21 lexical", "slm21 syntactic"};
    return names[rule];
}

/* What the model gets for items [first, first + count), into won. */
static enum status decide(const struct report_input *input, const struct score_protocol *protocol, int64_t first,
                          int64_t count, double *won, int64_t *ties)
{
    enum status result = STATUS_OK;
    *ties = 0;
    for (int64_t i = 0; i < count; i++) {
        bool tied;
        TRY(choice_decide(&input->set->items[first + i], protocol, &won[i], &tied));
        *ties += tied;
    }
fail:
    return result;
}

static enum status report_mean(const struct report_input *input, const struct score_protocol *protocol, double *won,
                               struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    struct benchmark_row *row;
    int64_t ties;
    TRY(decide(input, protocol, 0, input->set->count, won, &ties));
    TRY(benchmark_add(results, input->task, "", false, estimate_mean(won, input->set->count), input->expected, ties,
                      protocol, &row));
    row->failures = input->failures;
fail:
    return result;
}

static const char *part_of(const struct choice_item *item)
{
    const char *part = json_string_value(json_object_get(item->document, "part"));
    return part ? part : "";
}

/* Items of a part are neighbours. */
static enum status report_parts(const struct report_input *input, const struct score_protocol *protocol, double *won,
                                struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    const struct choice_set *set = input->set;
    double sum = 0, squares = 0;
    int64_t parts = 0, all_ties = 0, mean = results->count;
    TRY(benchmark_add(results, input->task, "", false, (struct estimate){0}, input->expected, 0, protocol, NULL));
    for (int64_t i = 0, end; i < set->count; i = end) {
        int64_t ties;
        const char *part = part_of(&set->items[i]);
        for (end = i + 1; end < set->count && !strcmp(part, part_of(&set->items[end]));)
            end++;
        TRY(decide(input, protocol, i, end - i, won, &ties));
        struct estimate accuracy = estimate_mean(won, end - i);
        TRY(benchmark_add(results, input->task, part, true, accuracy, end - i, ties, protocol, NULL));
        sum += accuracy.value;
        squares += accuracy.standard_error * accuracy.standard_error;
        all_ties += ties;
        parts++;
    }
    struct benchmark_row *row = &results->rows[mean];
    row->accuracy = (struct estimate){sum / (double)parts, sqrt(squares) / (double)parts, set->count};
    row->ties = all_ties;
    row->failures = input->failures;
fail:
    return result;
}

enum status report_make(const struct report_input *input, const struct score_protocol *protocol,
                        struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    double *won = calloc((size_t)input->set->count + 1, sizeof *won);
    if (!won)
        FAIL(STATUS_INTERNAL, "no memory for %lld items", (long long)input->set->count);
    if (input->set->count == 0)
        FAIL(STATUS_CORRUPT, "%s: no item is left to be judged", input->task);
    if (input->rule == REPORT_MEAN)
        TRY(report_mean(input, protocol, won, results));
    else if (input->rule == REPORT_PARTS)
        TRY(report_parts(input, protocol, won, results));
    else
        TRY(report_slm21(input, protocol, results, NULL));
fail:
    free(won);
    return result;
}

enum status report_write_tables(const struct report_input *input, const struct score_protocol *protocol,
                                const char *folder)
{
    bool slm21 = input->rule == REPORT_SLM21_LEXICAL || input->rule == REPORT_SLM21_SYNTACTIC;
    return slm21 ? report_slm21(input, protocol, NULL, folder) : STATUS_OK;
}
