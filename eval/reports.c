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
                          int64_t count, double *won, struct benchmark_counts *counts)
{
    enum status result = STATUS_OK;
    *counts = (struct benchmark_counts){0};
    for (int64_t i = 0; i < count; i++) {
        const struct choice_item *item = &input->set->items[first + i];
        bool tied;
        TRY(choice_decide(item, protocol, &won[i], &tied));
        counts->ties += tied;
        counts->truncated += item->cut_tokens > 0;
        counts->lost_shots += item->lost_shots;
    }
fail:
    return result;
}

static void add_counts(struct benchmark_counts *sum, const struct benchmark_counts *part)
{
    sum->ties += part->ties;
    sum->truncated += part->truncated;
    sum->lost_shots += part->lost_shots;
}

static enum status report_mean(const struct report_input *input, const struct score_protocol *protocol, double *won,
                               struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    struct benchmark_row *row;
    struct benchmark_counts counts;
    TRY(decide(input, protocol, 0, input->set->count, won, &counts));
    TRY(benchmark_add(results, input->task, "", false, estimate_mean(won, input->set->count), input->expected, counts,
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
    struct benchmark_counts counts;
    int64_t count, items = input->set->count, *clusters = calloc((size_t)items + 1, sizeof *clusters);
    if (!clusters)
        FAIL(STATUS_INTERNAL, "no memory for the clusters of %lld items", (long long)items);
    TRY(decide(input, protocol, 0, items, won, &counts));
    TRY(number_clusters(input->set, clusters, &count));
    TRY(estimate_clustered(won, clusters, items, count, &accuracy));
    accuracy.n = items;
    TRY(benchmark_add(results, input->task, "", false, accuracy, input->expected, counts, protocol, &row));
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

/* One row per part, in `parts`. Items of a part are neighbours. `won` is scratch. */
static enum status judge_parts(const struct report_input *input, const struct score_protocol *protocol, double *won,
                               struct benchmark_results *parts)
{
    enum status result = STATUS_OK;
    const struct choice_set *set = input->set;
    for (int64_t i = 0, end; i < set->count; i = end) {
        struct benchmark_counts counts;
        const char *part = part_of(&set->items[i]);
        for (end = i + 1; end < set->count && !strcmp(part, part_of(&set->items[end]));)
            end++;
        TRY(decide(input, protocol, i, end - i, won, &counts));
        TRY(benchmark_add(parts, input->task, part, true, estimate_mean(won, end - i), end - i, counts, protocol,
                          NULL));
    }
fail:
    return result;
}

/* The plain mean of parts with the standard error sqrt(sum se^2) / parts; n is the number of their items. */
static struct estimate mean_of_parts(const struct benchmark_results *parts)
{
    double sum = 0, squares = 0;
    int64_t n = 0;
    for (int64_t p = 0; p < parts->count; p++) {
        struct estimate part = parts->rows[p].accuracy;
        sum += part.value;
        squares += part.standard_error * part.standard_error;
        n += part.n;
    }
    double count = (double)parts->count;
    return (struct estimate){sum / count, sqrt(squares) / count, n};
}

static struct benchmark_counts counts_of(const struct benchmark_row *row)
{
    return (struct benchmark_counts){row->ties, row->truncated, row->lost_shots};
}

static struct benchmark_counts sum_counts(const struct benchmark_results *parts)
{
    struct benchmark_counts sum = {0};
    for (int64_t p = 0; p < parts->count; p++) {
        const struct benchmark_counts counts = counts_of(&parts->rows[p]);
        add_counts(&sum, &counts);
    }
    return sum;
}

/* Adds a part's row to the results, as a member of a group. */
static enum status add_member(struct benchmark_results *results, const char *task, const char *group,
                              const struct benchmark_row *part, const struct score_protocol *protocol)
{
    struct benchmark_row *row;
    enum status result = benchmark_add(results, task, part->alias, true, part->accuracy, part->expected,
                                       counts_of(part), protocol, &row);
    if (result == STATUS_OK)
        snprintf(row->member_of, sizeof row->member_of, "%s", group);
    return result;
}

static enum status report_parts(const struct report_input *input, const struct score_protocol *protocol, double *won,
                                struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    struct benchmark_results parts = {0};
    struct benchmark_row *row;
    char group[sizeof row->name];
    TRY(judge_parts(input, protocol, won, &parts));
    TRY(benchmark_add(results, input->task, "", false, mean_of_parts(&parts), input->expected, sum_counts(&parts),
                      protocol, &row));
    row->failures = input->failures;
    row->group = true;
    snprintf(group, sizeof group, "%s", row->name);
    for (int64_t p = 0; p < parts.count; p++)
        TRY(add_member(results, input->task, group, &parts.rows[p], protocol));
fail:
    benchmark_free(&parts);
    return result;
}

/* ---- subjects ---- */

/* A mean over all items of some parts, its standard error pooled from theirs as lm-evaluation-harness does:
 * sqrt(sum (n - 1) n se^2 / (N - K) / N) over K parts of n items, N in all. */
struct pool {
    const char *group;   /* which parts: NULL is all */
    char name[64];       /* of its row */
    double sum, squares; /* of wins; of (n - 1) n se^2 */
    int64_t n, parts;
    struct benchmark_counts counts;
};

static void pool_add(struct pool *pool, const struct benchmark_row *part)
{
    const struct benchmark_counts counts = counts_of(part);
    double n = (double)part->accuracy.n, error = part->accuracy.standard_error;
    pool->sum += n * part->accuracy.value;
    pool->squares += part->accuracy.n > 1 ? (n - 1) * n * error * error : 0;
    pool->n += part->accuracy.n;
    pool->parts++;
    add_counts(&pool->counts, &counts);
}

static struct estimate pool_estimate(const struct pool *pool)
{
    double error = NAN;
    if (pool->n > pool->parts)
        error = sqrt(pool->squares / (double)(pool->n - pool->parts) / (double)pool->n);
    return (struct estimate){pool->sum / (double)pool->n, error, pool->n};
}

/* Adds the row of a pool, a member of the group `above` (NULL: of none), and notes its name. */
static enum status add_pool(const struct report_input *input, const struct score_protocol *protocol, struct pool *pool,
                            const char *above, struct benchmark_results *results)
{
    struct benchmark_row *row;
    enum status result =
        benchmark_add(results, input->task, pool->group ? pool->group : "", pool->group != NULL, pool_estimate(pool),
                      pool->group ? pool->n : input->expected, pool->counts, protocol, &row);
    if (result != STATUS_OK)
        return result;
    row->failures = pool->group ? 0 : input->failures;
    row->group = true;
    snprintf(row->member_of, sizeof row->member_of, "%s", above ? above : "");
    snprintf(pool->name, sizeof pool->name, "%s", row->name);
    return STATUS_OK;
}

static const char *group_of(const struct choice_item *item)
{
    const char *group = json_string_value(json_object_get(item->document, "group"));
    return group ? group : "";
}

/* The pool of a group among pools[1, *count), made where there is none. */
static struct pool *find_pool(struct pool *pools, int64_t *count, const char *group)
{
    for (int64_t g = 1; g < *count; g++)
        if (!strcmp(pools[g].group, group))
            return &pools[g];
    pools[*count].group = group;
    return &pools[(*count)++];
}

/* pools[0] is all, the others are the groups in the order in which they come. */
static enum status add_rows(const struct report_input *input, const struct score_protocol *protocol,
                            const struct benchmark_results *parts, struct pool *pools, int64_t pool_count,
                            struct pool *const *pool_of_part, struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    struct estimate mean = mean_of_parts(parts);
    mean.n = parts->count;
    TRY(add_pool(input, protocol, &pools[0], NULL, results));
    TRY(benchmark_add(results, input->task, "mean of subjects", true, mean, parts->count, (struct benchmark_counts){0},
                      protocol, NULL));
    for (int64_t g = 1; g < pool_count; g++)
        TRY(add_pool(input, protocol, &pools[g], pools[0].name, results));
    for (int64_t p = 0; p < parts->count; p++)
        TRY(add_member(results, input->task, pool_of_part[p]->name, &parts->rows[p], protocol));
fail:
    return result;
}

static enum status report_subjects(const struct report_input *input, const struct score_protocol *protocol, double *won,
                                   struct benchmark_results *results)
{
    enum status result = STATUS_OK;
    struct benchmark_results parts = {0};
    struct pool *pools = NULL, **pool_of_part = NULL;
    int64_t pool_count = 1;
    TRY(judge_parts(input, protocol, won, &parts));
    pools = calloc((size_t)parts.count + 1, sizeof *pools);
    pool_of_part = calloc((size_t)parts.count + 1, sizeof *pool_of_part);
    if (!pools || !pool_of_part)
        FAIL(STATUS_INTERNAL, "no memory for %lld parts", (long long)parts.count);
    for (int64_t p = 0, item = 0; p < parts.count; item += parts.rows[p++].accuracy.n) {
        pool_of_part[p] = find_pool(pools, &pool_count, group_of(&input->set->items[item]));
        pool_add(&pools[0], &parts.rows[p]);
        pool_add(pool_of_part[p], &parts.rows[p]);
    }
    TRY(add_rows(input, protocol, &parts, pools, pool_count, pool_of_part, results));
fail:
    benchmark_free(&parts);
    free(pools);
    free(pool_of_part);
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
