/* The edit distance against its definition, and what it does with long texts. */
#include "support/test_support.h"

#include "core/edit_distance.h"
#include "core/rng.h"

#include <string.h>

/* By definition, without a table: exponential, so only for short texts. */
static int64_t by_definition(const char *a, const char *b)
{
    if (!*a || !*b)
        return (int64_t)(strlen(a) + strlen(b));
    int64_t best = by_definition(a + 1, b + 1) + (*a != *b);
    int64_t removed = by_definition(a + 1, b) + 1, inserted = by_definition(a, b + 1) + 1;
    best = removed < best ? removed : best;
    return inserted < best ? inserted : best;
}

static void short_texts_equal_the_definition(void **state)
{
    (void)state;
    assert_int_equal(edit_distance("kitten", "sitting"), 3);
    assert_int_equal(edit_distance("", ""), 0);
    struct rng rng = rng_make(1, RNG_TEST, 0, 0);
    for (int trial = 0; trial < 2000; trial++) {
        char texts[2][8] = {{0}};
        for (int t = 0; t < 2; t++)
            for (uint64_t i = 0, length = rng_below(&rng, 7); i < length; i++)
                texts[t][i] = (char)('a' + rng_below(&rng, 3));
        assert_int_equal(edit_distance(texts[0], texts[1]), by_definition(texts[0], texts[1]));
    }
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char a[300], b[300];
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    a[299] = b[299] = 0;
    assert_int_equal(edit_distance(a, b), 127);
    assert_int_equal(edit_distance(a, ""), 127);
    memset(b, 'a', 127);
    assert_int_equal(edit_distance(a, b), 0);
    b[126] = 'b';
    assert_int_equal(edit_distance(a, b), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_texts_equal_the_definition),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
