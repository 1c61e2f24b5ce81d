/* The rules that are short; sLM21's is in report_slm21.c. */
#include "eval/reports.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *report_rule_name(enum report_rule rule)
{
    static const char *const names[] = {"mean", "clusters", "parts", "subjects", "slm21 lexical", "slm21 syntactic"};
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

/* ---- clusters ---- */

struct named_item {
    const char *cluster;
    int64_t item;
};

static int compare_clusters(const void *a, const void *b)
{
    const struct named_item *x = a, *y = b;
    return strcmp(x->cluster, y->cluster);
}

/* Numbers the clusters that the items' documents name: clusters[i] is that of item i. */
static enum status number_clusters(const struct choice_set *set, int64_t *clusters, int64_t *count)
{
    enum status result = STATUS_OK;
    struct named_item *items = calloc((size_t)set->count + 1, sizeof *items);
    if (!items)
        FAIL(STATUS_INTERNAL, "no memory for %lld items", (long long)set->count);
    for (int64_t i = 0; i < set->count; i++) {
        const char *name = json_string_value(json_object_get(set->items[i].document, "cluster"));
        if (!name)
            FAIL(STATUS_CORRUPT, "%s: the item names no cluster", set->items[i].id);
        items[i] = (struct named_item){name, i};
    }
    qsort(items, (size_t)set->count, sizeof *items, compare_clusters);
    *count = 0;
    for (int64_t i = 0; i < set->count; i++) {
        *count += i == 0 || strcmp(items[i - 1].cluster, items[i].cluster) != 0;
        clusters[items[i].item] = *count - 1;
    }
fail:
    free(items);
    return result;
}

static enum status report_clusters(const struct report_input *input, const struct score_protocol *protocol, double *won,
                                   struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    struct benchmark_row *row;
    struct estimate accuracy;
    int64_t ties, count, items = input->set->count, *clusters = calloc((size_t)items + 1, sizeof *clusters);
    if (!clusters)
        FAIL(STATUS_INTERNAL, "no memory for the clusters of %lld items", (long long)items);
    TRY(decide(input, protocol, 0, items, won, &ties));
    TRY(number_clusters(input->set, clusters, &count));
    TRY(estimate_clustered(won, clusters, items, count, &accuracy));
    accuracy.n = items;
    TRY(benchmark_add(results, input->task, "", false, accuracy, input->expected, ties, protocol, &row));
    row->failures = input->failures;
    row->clusters = count;
fail:
    free(clusters);
    return result;
}

/* ---- parts ---- */

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

/* ---- subjects ---- */

/* A mean over all items of some parts, its standard error pooled from theirs as lm-evaluation-harness does:
 * sqrt(sum (n - 1) n se^2 / (N - K) / N) over K parts of n items, N in all. */
struct pool {
    double sum, squares; /* of wins; of (n - 1) n se^2 */
    int64_t n, parts, ties;
};

static void pool_add(struct pool *pool, struct estimate part, int64_t ties)
{
    double n = (double)part.n;
    pool->sum += n * part.value;
    pool->squares += part.n > 1 ? (n - 1) * n * part.standard_error * part.standard_error : 0;
    pool->n += part.n;
    pool->parts++;
    pool->ties += ties;
}

static struct estimate pool_estimate(const struct pool *pool)
{
    double error = NAN;
    if (pool->n > pool->parts)
        error = sqrt(pool->squares / (double)(pool->n - pool->parts) / (double)pool->n);
    return (struct estimate){pool->sum / (double)pool->n, error, pool->n};
}

static const char *group_of(const struct choice_item *item)
{
    const char *group = json_string_value(json_object_get(item->document, "group"));
    return group ? group : "";
}

/* Adds a part's numbers to the pool of its group, which is found by name in rows [first, ..). */
static enum status add_to_group(struct benchmark_results *groups, struct pool *pools, const char *group,
                                const struct score_protocol *protocol, struct estimate part, int64_t ties)
{
    int64_t g = 0;
    while (g < groups->count && strcmp(groups->rows[g].alias, group) != 0)
        g++;
    if (g == groups->count) {
        enum status result = benchmark_add(groups, "", group, true, part, 0, 0, protocol, NULL);
        if (result != STATUS_OK)
            return result;
    }
    pool_add(&pools[g], part, ties);
    return STATUS_OK;
}

static enum status add_pools(const struct report_input *input, const struct score_protocol *protocol,
                             const struct benchmark_results *groups, const struct pool *pools, const struct pool *all,
                             double mean_of_parts, struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    struct benchmark_row *row;
    TRY(benchmark_add(results, input->task, "", false, pool_estimate(all), input->expected, all->ties, protocol, &row));
    row->failures = input->failures;
    TRY(benchmark_add(results, input->task, "mean of subjects", true, (struct estimate){mean_of_parts, NAN, all->parts},
                      all->parts, 0, protocol, NULL));
    for (int64_t g = 0; g < groups->count; g++)
        TRY(benchmark_add(results, input->task, groups->rows[g].alias, true, pool_estimate(&pools[g]), pools[g].n,
                          pools[g].ties, protocol, NULL));
fail:
    return result;
}

static enum status report_subjects(const struct report_input *input, const struct score_protocol *protocol, double *won,
                                   struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    const struct choice_set *set = input->set;
    struct benchmark_results parts = {0}, groups = {0};
    struct pool all = {0}, *pools = calloc((size_t)set->count + 1, sizeof *pools);
    double mean = 0;
    if (!pools)
        FAIL(STATUS_INTERNAL, "no memory for %lld items", (long long)set->count);
    for (int64_t i = 0, end; i < set->count; i = end) {
        int64_t ties;
        const char *part = part_of(&set->items[i]);
        for (end = i + 1; end < set->count && !strcmp(part, part_of(&set->items[end]));)
            end++;
        TRY(decide(input, protocol, i, end - i, won, &ties));
        struct estimate accuracy = estimate_mean(won, end - i);
        TRY(benchmark_add(&parts, input->task, part, true, accuracy, end - i, ties, protocol, NULL));
        TRY(add_to_group(&groups, pools, group_of(&set->items[i]), protocol, accuracy, ties));
        pool_add(&all, accuracy, ties);
        mean += accuracy.value;
    }
    TRY(add_pools(input, protocol, &groups, pools, &all, mean / (double)all.parts, results));
    for (int64_t p = 0; p < parts.count; p++)
        TRY(benchmark_add(results, input->task, parts.rows[p].alias, true, parts.rows[p].accuracy,
                          parts.rows[p].expected, parts.rows[p].ties, protocol, NULL));
fail:
    benchmark_free(&parts);
    benchmark_free(&groups);
    free(pools);
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
    else if (input->rule == REPORT_CLUSTERS)
        TRY(report_clusters(input, protocol, won, results));
    else if (input->rule == REPORT_PARTS)
        TRY(report_parts(input, protocol, won, results));
    else if (input->rule == REPORT_SUBJECTS)
        TRY(report_subjects(input, protocol, won, results));
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
