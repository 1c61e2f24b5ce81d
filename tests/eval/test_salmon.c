/* Which recordings of SALMon's folders are a pair. */
#include "support/test_support.h"

#include "eval/zero_shot/salmon.h"

#include <string.h>

static bool is_pair(const struct salmon_pair *pair, const char *part, int64_t number, int64_t natural,
                    int64_t disturbed)
{
    return (int64_t)strlen(part) == pair->part_length && !strncmp(pair->part, part, strlen(part)) &&
           pair->number == number && pair->members[0] == natural && pair->members[1] == disturbed;
}

static void numbers_are_numbers(void **state)
{
    (void)state;
    /* 10 before 9 in the listing, gaps, and a part whose name begins like another's */
    static const char *const names[] = {"salmon_benchmark/rir/sample_10_0.wav",
                                        "salmon_benchmark/rir/sample_10_1.wav",
                                        "salmon_benchmark/rir/sample_9_1.wav",
                                        "salmon_benchmark/rir/sample_9_0.wav",
                                        "salmon_benchmark/rir_b/sample_3_1.wav",
                                        "salmon_benchmark/rir_b/sample_3_0.wav",
                                        "salmon_benchmark/rir/sample_400_0.wav",
                                        "salmon_benchmark/rir/sample_400_1.wav",
                                        "salmon_benchmark/README.md",
                                        "salmon_benchmark/bg/sample_0_0.wav",
                                        "salmon_benchmark/bg/sample_0_1.wav"};
    struct salmon salmon;
    assert_ok(salmon_read("s.zip", names, 11, false, &salmon));
    assert_int_equal(salmon.count, 5);
    assert_true(is_pair(&salmon.pairs[0], "bg", 0, 9, 10));
    assert_true(is_pair(&salmon.pairs[1], "rir", 9, 3, 2));
    assert_true(is_pair(&salmon.pairs[2], "rir", 10, 0, 1));
    assert_true(is_pair(&salmon.pairs[3], "rir", 400, 6, 7));
    assert_true(is_pair(&salmon.pairs[4], "rir_b", 3, 5, 4));
    salmon_free(&salmon);
}

static void what_is_no_pair_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *names[3];
        int count;
        const char *message;
    } cases[] = {
        {{"p/sample_1_0.wav"}, 1, "p/sample_1_0.wav has no recording 1"},
        {{"p/sample_1_1.wav"}, 1, "p/sample_1_1.wav has no recording 0"},
        {{"p/sample_1_0.wav", "q/sample_1_1.wav"}, 2, "has no recording"},
        {{"p/sample_1_2.wav"}, 1, "third recording"},
        {{"p/sample_x_0.wav"}, 1, "found p/sample_x_0.wav"},
        {{"p/sample_1.wav"}, 1, "found p/sample_1.wav"},
        {{"p/sample_01_0.wav"}, 1, "found p/sample_01_0.wav"},
        {{"p/other.wav"}, 1, "found p/other.wav"},
        {{"sample_1_0.wav"}, 1, "found sample_1_0.wav"},
        {{"a/p/sample_1_0.wav", "b/p/sample_1_0.wav", "b/p/sample_1_1.wav"}, 3, "the same recording"},
        {{"p/readme.txt"}, 1, "there is no pair"},
    };
    struct salmon salmon;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(salmon_read("s.zip", cases[i].names, cases[i].count, false, &salmon), STATUS_CORRUPT,
                     cases[i].message);
    static const char *const lone[] = {"p/sample_1_0.wav", "p/sample_2_0.wav", "p/sample_2_1.wav"};
    assert_ok(salmon_read("s.zip", lone, 3, true, &salmon));
    assert_true(salmon.count == 1 && salmon.lone == 1 && salmon.pairs[0].number == 2);
    salmon_free(&salmon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_numbers),
        cmocka_unit_test(what_is_no_pair_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
