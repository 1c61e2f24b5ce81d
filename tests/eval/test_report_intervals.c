/* The standard errors of benchmarks' rows mean what they say: over many simulated models of known accuracy, a row's value plus and minus
 * 1.96 of them holds the truth in about 95 of 100 cases. Through the reports themselves: single tasks, sLM21's means over ids of
 * unequal voices and over types, means of parts, and MMLU's groups. */
#include "support/test_support.h"

#include "core/rng.h"
#include "eval/reports.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODELS = 2000, FEW_MODELS = 300, MOST_PARTS = 12 };

static const struct score_protocol protocol = {.scope = SCOPE_CONTINUATION};

static int64_t model_count(void)
{
    return test_is_long() ? MODELS : FEW_MODELS;
}

/* How often rows held the truth. */
struct coverage {
    int64_t held, rows;
};

static void note(struct coverage *coverage, const struct benchmark_results *results, const char *alias, double truth)
{
    for (int64_t i = 0; i < results->count; i++)
        if (!strcmp(results->rows[i].alias, alias)) {
            struct estimate found = results->rows[i].accuracy;
            coverage->held +=
                isfinite(found.standard_error) && fabs(found.value - truth) <= 1.96 * found.standard_error;
            coverage->rows++;
            return;
        }
    fail_msg("there is no row \"%s\"", alias);
}

/* 93 to 97 of 100 over 2,000 models; 300 of a row that holds 95 % lie within four deviations, 5 %, of it. */
static void check(const char *what, struct coverage coverage)
{
    double share = (double)coverage.held / (double)coverage.rows, slack = test_is_long() ? 0.02 : 0.05;
    print_message("%s: the interval holds the truth in %.1f %% of %lld cases\n", what, 100 * share,
                  (long long)coverage.rows);
    assert_int_equal(coverage.rows, model_count());
    assert_true(share >= 0.95 - slack && share <= 0.95 + slack);
}

static void add_item(struct choice_set *set, json_t *document)
{
    struct choice_item *item;
    assert_ok(choice_set_add(set, "x", document, 0, 2, &item));
    for (int c = 0; c < 2; c++)
        item->choices[c].scores[SEGMENT_HYPOTHESIS][CHOICE_TEXT].count = 1;
}

/* The right side wins, loses, or is as likely as the other. */
static void judge(struct rng *rng, struct choice_item *item, double right, double ties)
{
    double other = rng_uniform(rng) < ties ? -1 : rng_uniform(rng) < right ? -2 : 0;
    item->choices[0].scores[SEGMENT_HYPOTHESIS][CHOICE_TEXT].sum = -1;
    item->choices[1].scores[SEGMENT_HYPOTHESIS][CHOICE_TEXT].sum = other;
}

static double expected_score(double right, double ties)
{
    return ties / 2 + (1 - ties) * right;
}

static void report(const struct choice_set *set, enum report_rule rule, struct benchmark_results *results)
{
    *results = (struct benchmark_results){0};
    const struct report_input input = {.rule = rule, .task = "all", .set = set, .expected = set->count};
    assert_ok(report_make(&input, &protocol, results));
}

static void single_tasks(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 80, 0);
    struct choice_set set = {0};
    struct coverage coverage = {0};
    for (int i = 0; i < 300; i++)
        add_item(&set, json_object());
    for (int64_t m = 0; m < model_count(); m++) {
        struct benchmark_results results;
        double right = 0.4 + 0.4 * rng_uniform(&rng), ties = 0.2 * rng_uniform(&rng);
        for (int64_t i = 0; i < set.count; i++)
            judge(&rng, &set.items[i], right, ties);
        report(&set, REPORT_MEAN, &results);
        note(&coverage, &results, "all", expected_score(right, ties));
        benchmark_free(&results);
    }
    check("a task", coverage);
    choice_set_free(&set);
}

/* ---- parts ---- */

static const struct {
    const char *part, *group;
    int64_t items;
} plan[MOST_PARTS] = {{"a", "one", 40},  {"b", "one", 90}, {"c", "one", 60},  {"d", "two", 200},
                      {"e", "two", 50},  {"f", "two", 45}, {"g", "one", 70},  {"h", "two", 80},
                      {"i", "two", 120}, {"j", "one", 55}, {"k", "one", 100}, {"l", "two", 65}};

/* Accuracies of parts lie far from each other. */
static void judge_parts(struct rng *rng, struct choice_set *set, double rights[MOST_PARTS], double ties)
{
    int64_t item = 0;
    for (int p = 0; p < MOST_PARTS; p++) {
        rights[p] = 0.2 + 0.7 * rng_uniform(rng);
        for (int64_t i = 0; i < plan[p].items; i++)
            judge(rng, &set->items[item++], rights[p], ties);
    }
}

static void make_parts(struct choice_set *set)
{
    for (int p = 0; p < MOST_PARTS; p++)
        for (int64_t i = 0; i < plan[p].items; i++)
            add_item(set, json_pack("{s:s, s:s}", "part", plan[p].part, "group", plan[p].group));
}

/* Mean over the items of a group's parts (NULL: of all), or plain mean over parts. */
static double truth_of(const double rights[MOST_PARTS], double ties, const char *group, bool by_size)
{
    double sum = 0, weight = 0;
    for (int p = 0; p < MOST_PARTS; p++)
        if (!group || !strcmp(plan[p].group, group)) {
            double size = by_size ? (double)plan[p].items : 1;
            sum += size * expected_score(rights[p], ties);
            weight += size;
        }
    return sum / weight;
}

static void means_of_parts_and_groups(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 81, 0);
    struct choice_set set = {0};
    struct coverage parts = {0}, part = {0}, subjects = {0}, mean = {0}, group = {0};
    make_parts(&set);
    for (int64_t m = 0; m < model_count(); m++) {
        struct benchmark_results results;
        double rights[MOST_PARTS], ties = 0.1 * rng_uniform(&rng);
        judge_parts(&rng, &set, rights, ties);
        report(&set, REPORT_PARTS, &results);
        note(&parts, &results, "all", truth_of(rights, ties, NULL, false));
        note(&part, &results, "d", expected_score(rights[3], ties));
        benchmark_free(&results);
        report(&set, REPORT_SUBJECTS, &results);
        note(&subjects, &results, "all", truth_of(rights, ties, NULL, true));
        note(&mean, &results, "mean of subjects", truth_of(rights, ties, NULL, false));
        note(&group, &results, "two", truth_of(rights, ties, "two", true));
        benchmark_free(&results);
    }
    check("mean of parts", parts);
    check("a part", part);
    check("all subjects", subjects);
    check("mean of subjects", mean);
    check("a group", group);
    choice_set_free(&set);
}

/* ---- sLM21 ---- */

enum { IDS = 240, TYPES = 4 };

/* Ids of one to four voices; each id of its own type, or all of "". */
static void make_ids(struct rng *rng, struct choice_set *set, bool typed)
{
    for (int id = 0; id < IDS; id++) {
        char name[16], type[16] = "", voice[16];
        int voices = 1 + (int)rng_below(rng, 4);
        snprintf(name, sizeof name, "%d", id);
        if (typed)
            snprintf(type, sizeof type, "type%d", id * TYPES / IDS);
        for (int v = 0; v < voices; v++) {
            snprintf(voice, sizeof voice, "v%d", v);
            add_item(set, json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s}", "id", name, "voice", voice, "correct",
                                    "w", "incorrect", "n", "type", type, "frequency", 10, "length", 5, "subtype", ""));
        }
    }
}

/* An id's voices share its chance of being right, Beta(a, 1), by which they hang together; a grows with the type. */
static void judge_ids(struct rng *rng, struct choice_set *set, double a, double ties, bool typed)
{
    double right = 0;
    const char *before = "";
    for (int64_t i = 0; i < set->count; i++) {
        const char *id = json_string_value(json_object_get(set->items[i].document, "id"));
        if (strcmp(id, before) != 0)
            right = pow(rng_uniform(rng), 1 / (typed ? a * (1 + (double)(atoi(id) * TYPES / IDS)) : a));
        before = id;
        judge(rng, &set->items[i], right, ties);
    }
}

static void voices_and_types(void **state)
{
    (void)state;
    for (int typed = 0; typed < 2; typed++) {
        struct rng rng = rng_make(test_seed(), RNG_TEST, 82, (uint64_t)typed);
        struct choice_set set = {0};
        struct coverage coverage = {0};
        make_ids(&rng, &set, typed);
        assert_true(set.count > 2 * IDS);
        for (int64_t m = 0; m < model_count(); m++) {
            struct benchmark_results results;
            double a = 0.3 + 2 * rng_uniform(&rng), ties = 0.2 * rng_uniform(&rng), truth = 0;
            judge_ids(&rng, &set, a, ties, typed);
            for (int t = 0; t < TYPES; t++)
                truth += expected_score(a * (1 + (typed ? t : 0)) / (1 + a * (1 + (typed ? t : 0))), ties) / TYPES;
            report(&set, typed ? REPORT_SLM21_SYNTACTIC : REPORT_SLM21_LEXICAL, &results);
            note(&coverage, &results, typed ? "mean of types" : "all", truth);
            benchmark_free(&results);
        }
        check(typed ? "mean of types" : "ids of several voices", coverage);
        choice_set_free(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_tasks),
        cmocka_unit_test(means_of_parts_and_groups),
        cmocka_unit_test(voices_and_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
