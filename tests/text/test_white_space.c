/* What is trimmed from the ends of a text. */
#include "support/test_support.h"

#include "text/white_space.h"

#include <string.h>

static void six_characters_are_white_space(void **state)
{
    (void)state;
    for (int c = -128; c < 128; c++)
        assert_int_equal(is_white_space((char)c), c > 0 && strchr(" \t\n\v\f\r", c) != NULL);
}

static void ends_are_trimmed_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t begin, end;
    } cases[] = {
        {"", 0, 0},       {"a", 0, 1},          {" \t\n\v\f\ra b \t\n\v\f\r", 6, 9},
        {" \n ", 3, 3},   {"\xc2\xa0 x", 0, 4}, {"\xe2\x80\x89", 0, 3}, /* Unicode's other spaces are letters here */
        {"a\n\nb", 0, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t begin = 0, end = (int64_t)strlen(cases[i].text);
        trim_white_space(cases[i].text, &begin, &end);
        assert_int_equal(begin, cases[i].begin);
        assert_int_equal(end, cases[i].end);
    }
    int64_t begin = 2, end = 5; /* a part: what lies outside is not touched */
    trim_white_space("ab c de", &begin, &end);
    assert_int_equal(begin, 3);
    assert_int_equal(end, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(six_characters_are_white_space),
        cmocka_unit_test(ends_are_trimmed_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
