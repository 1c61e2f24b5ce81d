/* The bigram and the estimators against values worked out by hand. */
#include "support/test_support.h"

#include "core/statistics.h"
#include "eval/kneser_ney.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sequences "0 1 0 1 2" and "0 2" over {0, 1, 2, 3}; ^ is the start.
 * Pairs: ^0:2, 01:2, 10:1, 12:1, 02:1. Counts of counts: n1 = 3, n2 = 2, so D = 3/7.
 * Predecessors N(. w): 0 from {^, 1} = 2, 1 from {0} = 1, 2 from {1, 0} = 2, 3: 0; N(. .) = 5, T = 3.
 * Of these one word has 1 and two have 2: D1 = 1 / (1 + 2*2) = 1/5. P1(w) = max(N - 1/5, 0)/5 + (1/5 * 3/5) / 4. */
static void bigram_equals_the_hand_computation(void **state)
{
    (void)state;
    static const int32_t first[] = {0, 1, 0, 1, 2}, second[] = {0, 2};
    struct kneser_ney *model;
    assert_ok(kneser_ney_create(4, &model));
    assert_ok(kneser_ney_add(model, first, 5));
    assert_ok(kneser_ney_add(model, second, 2));
    assert_ok(kneser_ney_finish(model));
    double d = 3.0 / 7, rest = 0.2 * 3 / 5 / 4;
    double p1[4] = {1.8 / 5 + rest, 0.8 / 5 + rest, 1.8 / 5 + rest, rest};
    /* Context 0: c = 3, successors {1, 2}. */
    assert_true(fabs(exp(kneser_ney_log(model, 0, 1)) - ((2 - d) / 3 + d * 2 / 3 * p1[1])) < 1e-14);
    assert_true(fabs(exp(kneser_ney_log(model, 0, 2)) - ((1 - d) / 3 + d * 2 / 3 * p1[2])) < 1e-14);
    assert_true(fabs(exp(kneser_ney_log(model, 0, 3)) - d * 2 / 3 * p1[3]) < 1e-14);
    /* The start: c = 2, one successor. */
    assert_true(fabs(exp(kneser_ney_log(model, -1, 0)) - ((2 - d) / 2 + d / 2 * p1[0])) < 1e-14);
    /* Context 3 was never seen. */
    assert_true(fabs(exp(kneser_ney_log(model, 3, 2)) - p1[2]) < 1e-14);
    double nats = -kneser_ney_log(model, -1, 0) - kneser_ney_log(model, 0, 2);
    assert_true(fabs(kneser_ney_nats(model, second, 2) - nats) < 1e-14);
    kneser_ney_free(model);
}

static void bigram_probabilities_sum_to_one(void **state)
{
    (void)state;
    enum { SIZE = 50, LENGTH = 400 };
    struct rng rng = rng_make(test_seed(), RNG_TEST, 6, 0);
    struct kneser_ney *model;
    int32_t sequence[LENGTH];
    assert_ok(kneser_ney_create(SIZE, &model));
    for (int s = 0; s < 5; s++) {
        for (int i = 0; i < LENGTH; i++)
            sequence[i] = (int32_t)(SIZE * pow(rng_uniform(&rng), 3));
        assert_ok(kneser_ney_add(model, sequence, LENGTH));
    }
    assert_ok(kneser_ney_finish(model));
    for (int32_t context = -1; context < SIZE; context++) {
        double sum = 0;
        for (int32_t word = 0; word < SIZE; word++)
            sum += exp(kneser_ney_log(model, context, word));
        assert_true(fabs(sum - 1) < 1e-12);
    }
    sequence[0] = SIZE;
    assert_fails(kneser_ney_add(model, sequence, 1), STATUS_INTERNAL, "outside");
    kneser_ney_free(model);
    assert_ok(kneser_ney_create(SIZE, &model));
    assert_fails(kneser_ney_finish(model), STATUS_USAGE, "no training sequence");
    kneser_ney_free(model);
}

static void estimates_equal_the_textbook(void **state)
{
    (void)state;
    static const double values[] = {1, 0, 1, 1, 0.5}; /* mean 0.7, s^2 = 0.2, s / sqrt 5 = 0.2 */
    struct estimate mean = estimate_mean(values, 5);
    assert_true(fabs(mean.value - 0.7) < 1e-15 && fabs(mean.standard_error - 0.2) < 1e-15 && mean.n == 5);
    static const double tops[] = {2, 3, 10}, bottoms[] = {1, 2, 5}; /* ratio 15/8; residuals 1/8, -3/4, 5/8 */
    struct estimate ratio = estimate_ratio(tops, bottoms, 3);
    double squares = 1.0 / 64 + 9.0 / 16 + 25.0 / 64;
    assert_true(fabs(ratio.value - 1.875) < 1e-15);
    assert_true(fabs(ratio.standard_error - sqrt(1.5 * squares) / 8) < 1e-15);
    assert_true(isnan(estimate_mean(values, 1).standard_error) && isnan(estimate_mean(values, 0).value));
}

/* Clusters {1, 0, 1}, {0}, {1, 1}, none and {0, 0, 0}: 4 of 9, sums 2, 0, 2, 0 and sizes 3, 1, 2, 3, so 9 times the residuals are 6, -4, 10, -12,
 * whose squares add up to 296. */
static void clusters_equal_the_hand_computation(void **state)
{
    (void)state;
    static const double values[] = {1, 0, 0, 0, 1, 1, 0, 1, 0};
    static const int64_t clusters[] = {0, 4, 4, 0, 0, 2, 1, 2, 4};
    struct estimate estimate;
    assert_ok(estimate_clustered(values, clusters, 9, 5, &estimate));
    assert_true(fabs(estimate.value - 4.0 / 9) < 1e-15 && estimate.n == 4);
    assert_true(fabs(estimate.standard_error - sqrt(4.0 / 3 * 296) / 81) < 1e-15);
    static const int64_t single[] = {3, 3, 3, 3, 3, 3, 3, 3, 3}, outside[] = {0, 5}, negative[] = {0, -1};
    assert_ok(estimate_clustered(values, single, 9, 5, &estimate));
    assert_true(isnan(estimate.standard_error) && estimate.n == 1);
    assert_ok(estimate_clustered(values, single, 0, 0, &estimate));
    assert_true(isnan(estimate.value) && estimate.n == 0);
    assert_fails(estimate_clustered(values, outside, 2, 5, &estimate), STATUS_INTERNAL, "value 1 is in cluster 5 of 5");
    assert_fails(estimate_clustered(values, negative, 2, 5, &estimate), STATUS_INTERNAL, "cluster -1 of 5");
}

/* The mean of means over clusters of one size, and estimate_mean where each value has its own. */
static void equal_clusters_are_a_mean_of_means(void **state)
{
    (void)state;
    enum { CLUSTERS = 37, SIZE = 5 };
    struct rng rng = rng_make(test_seed(), RNG_TEST, 7, 0);
    double values[CLUSTERS * SIZE], means[CLUSTERS] = {0};
    int64_t clusters[CLUSTERS * SIZE], own[CLUSTERS * SIZE], order[CLUSTERS * SIZE];
    rng_permutation(&rng, order, CLUSTERS * SIZE);
    for (int64_t i = 0; i < CLUSTERS * SIZE; i++) {
        own[i] = order[i];
        clusters[i] = order[i] % CLUSTERS;
        values[i] = rng_normal(&rng);
        means[clusters[i]] += values[i] / SIZE;
    }
    struct estimate clustered, single, expected = estimate_mean(means, CLUSTERS),
                                       plain = estimate_mean(values, CLUSTERS * SIZE);
    assert_ok(estimate_clustered(values, clusters, CLUSTERS * SIZE, CLUSTERS, &clustered));
    assert_ok(estimate_clustered(values, own, CLUSTERS * SIZE, CLUSTERS * SIZE, &single));
    assert_true(fabs(clustered.value - expected.value) < 1e-14 && clustered.n == CLUSTERS);
    assert_true(fabs(clustered.standard_error - expected.standard_error) < 1e-14);
    assert_true(fabs(single.value - plain.value) < 1e-14 && single.n == CLUSTERS * SIZE);
    assert_true(fabs(single.standard_error - plain.standard_error) < 1e-14);
}

/* A standard error that is 0 because there is nothing to see is not shown as if it were one. */
static void errors_that_say_nothing_have_a_caveat(void **state)
{
    (void)state;
    static const double same[] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}, others[] = {1, 1, 1, 1, 1, 1, 0};
    static const double thirds[] = {1.0 / 3, 2.0 / 3, 5.0 / 3}, weights[] = {1, 2, 5};
    char text[ESTIMATE_ERROR_BYTES];
    const struct estimate single = estimate_mean(same, 1), equal = estimate_mean(same, 7),
                          ratio = estimate_ratio(thirds, weights, 3), sound = estimate_mean(others, 7);
    assert_non_null(strstr(estimate_caveat(single), "a single value"));
    assert_non_null(strstr(estimate_caveat(equal), "all values are equal"));
    assert_non_null(strstr(estimate_caveat(ratio), "all values are equal"));
    assert_null(estimate_caveat(sound));
    assert_string_equal(estimate_error_text(single, text), "-");
    assert_string_equal(estimate_error_text(equal, text), "-");
    assert_string_equal(estimate_error_text(sound, text), "0.1429"); /* s^2 = 1/7, s / sqrt 7 = 1/7 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bigram_equals_the_hand_computation), cmocka_unit_test(bigram_probabilities_sum_to_one),
        cmocka_unit_test(estimates_equal_the_textbook),       cmocka_unit_test(clusters_equal_the_hand_computation),
        cmocka_unit_test(equal_clusters_are_a_mean_of_means), cmocka_unit_test(errors_that_say_nothing_have_a_caveat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
