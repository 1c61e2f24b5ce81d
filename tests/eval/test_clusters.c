/* Items whose errors belong together: what is reported of a hand-made set, against values worked out by hand. */
#include "support/test_support.h"

#include "eval/reports.h"

#include <math.h>

/* An item of two choices whose right one has the sum `right`, the wrong one -1. */
static void add_item(struct choice_set *set, const char *cluster, double right)
{
    struct choice_item *item;
    json_t *document = cluster ? json_pack("{s:s}", "cluster", cluster) : json_object();
    assert_ok(choice_set_add(set, "story", document, 0, 2, &item));
    for (int c = 0; c < 2; c++)
        item->choices[c].scores[SEGMENT_HYPOTHESIS][CHOICE_TEXT] =
            (struct kind_scores){.count = 1, .sum = c == 0 ? right : -1};
}

/* Clusters "b" 1, 0, 1; "a" 0; "c" 1, 0.5 (a tie): 3.5 of 6. Sums 2, 0, 1.5 and sizes 3, 1, 2 leave 2 - 1.75, -7/12 and 1.5 - 7/6;
 * 12 times these are 3, -7, 4, and their squares 74. */
static void errors_are_over_clusters(void **state)
{
    (void)state;
    static const struct {
        const char *cluster;
        double right;
    } items[] = {{"b", 0}, {"c", 0}, {"b", -2}, {"a", -2}, {"b", 0}, {"c", -1}};
    const struct score_protocol protocol = {.scope = SCOPE_CONTINUATION};
    struct choice_set set = {0};
    struct benchmark_results results = {0};
    struct report_input input = {.rule = REPORT_CLUSTERS, .task = "t", .set = &set, .expected = 8, .failures = 2};
    for (int i = 0; i < 6; i++)
        add_item(&set, items[i].cluster, items[i].right);
    assert_ok(report_make(&input, &protocol, &results));
    const struct benchmark_row *row = &results.rows[0];
    assert_int_equal(results.count, 1);
    assert_true(fabs(row->accuracy.value - 3.5 / 6) < 1e-15 && row->accuracy.n == 6);
    assert_true(fabs(row->accuracy.standard_error - sqrt(1.5 * 74) / 12 / 6) < 1e-15);
    assert_true(row->clusters == 3 && row->ties == 1 && row->expected == 8 && row->failures == 2);
    benchmark_free(&results);
    add_item(&set, NULL, 0);
    assert_fails(report_make(&input, &protocol, &results), STATUS_CORRUPT, "story: the item names no cluster");
    benchmark_free(&results);
    choice_set_free(&set);
}

/* With a cluster for each item it is the error that items have by themselves. */
static void single_items_are_clusters_too(void **state)
{
    (void)state;
    const struct score_protocol protocol = {.scope = SCOPE_CONTINUATION};
    struct choice_set set = {0};
    struct benchmark_results results = {0};
    struct report_input input = {.rule = REPORT_CLUSTERS, .task = "t", .set = &set, .expected = 7};
    for (int i = 0; i < 7; i++) {
        char name[2] = {(char)('a' + 3 * i % 7), 0};
        add_item(&set, name, i % 3 == 0 ? -2 : 0);
    }
    assert_ok(report_make(&input, &protocol, &results));
    input.rule = REPORT_MEAN;
    assert_ok(report_make(&input, &protocol, &results));
    assert_true(fabs(results.rows[0].accuracy.value - results.rows[1].accuracy.value) < 1e-15);
    assert_true(fabs(results.rows[0].accuracy.standard_error - results.rows[1].accuracy.standard_error) < 1e-15);
    assert_true(results.rows[0].clusters == 7 && results.rows[1].clusters == 0);
    benchmark_free(&results);
    choice_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_over_clusters),
        cmocka_unit_test(single_items_are_clusters_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
