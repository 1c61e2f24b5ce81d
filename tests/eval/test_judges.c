/* Whether the check of each task holds, at its thresholds and where a number is missing. */
#include "support/test_support.h"

#include "eval/generation.h"
#include "eval/learning.h"
#include "eval/pairs.h"

#include <math.h>

static void pairs_need_two_standard_errors_in_both_protocols(void **state)
{
    (void)state;
    const struct estimate good = {0.75, 0.125, 9}, bad = {0.75, 0.1251, 9}, one = {1, NAN, 1};
    assert_ok(pairs_judge(&(struct pairs_result){.sum = good, .mean = good}));
    assert_fails(pairs_judge(&(struct pairs_result){.sum = bad, .mean = good}), STATUS_UNMET, "2 standard errors");
    assert_fails(pairs_judge(&(struct pairs_result){.sum = good, .mean = bad}), STATUS_UNMET, "2 standard errors");
    assert_fails(pairs_judge(&(struct pairs_result){.sum = one, .mean = one}), STATUS_UNMET, "2 standard errors");
}

static struct comparison with_margin(double value, double standard_error)
{
    return (struct comparison){.margin = {value, standard_error, 9}};
}

static void learning_needs_order(void **state)
{
    (void)state;
    const struct learning_result good = {.speech = with_margin(0.0625, 0.03125),
                                         .shuffled = with_margin(0.04, 0.001),
                                         .text = with_margin(0.001, 0.0005)};
    struct learning_result result = good;
    assert_ok(learning_judge(&result));
    result.speech = with_margin(0.0625, 0.0313);
    assert_fails(learning_judge(&result), STATUS_UNMET, "speech:");
    result.speech = with_margin(0.0499, 0.001);
    assert_fails(learning_judge(&result), STATUS_UNMET, "speech:");
    result.speech = with_margin(NAN, NAN);
    assert_fails(learning_judge(&result), STATUS_UNMET, "speech:");
    result = good;
    result.shuffled = with_margin(0.0501, 0.001);
    assert_fails(learning_judge(&result), STATUS_UNMET, "shuffled");
    result = good;
    result.text = with_margin(-0.001, 0.0005);
    assert_fails(learning_judge(&result), STATUS_UNMET, "text:");
    result.text.margin.n = 0; /* no text was held out */
    assert_ok(learning_judge(&result));
}

static void generation_needs_a_quarter(void **state)
{
    (void)state;
    static const double good[] = {3, 4, 5}, bad[] = {2.99, 5.01, NAN, INFINITY};
    for (int i = 0; i < 3; i++)
        assert_ok(generation_judge(&(struct generation_result){.generated = good[i], .held_out = 4}));
    for (int i = 0; i < 4; i++)
        assert_fails(generation_judge(&(struct generation_result){.generated = bad[i], .held_out = 4}), STATUS_UNMET,
                     "25 %");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_need_two_standard_errors_in_both_protocols),
        cmocka_unit_test(learning_needs_order),
        cmocka_unit_test(generation_needs_a_quarter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
