/* What is trimmed from the ends of a text. */
#include "support/test_support.h"

#include "text/white_space.h"

#include <string.h>

static void ends_are_trimmed_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t begin, end;
    } cases[] = {
        {"", 0, 0},
        {"a", 0, 1},
        {" \t\n\v\f\ra b \t\n\v\f\r", 6, 9},
        {" \n ", 3, 3},
        {"a\n\nb", 0, 4},
        {"\xc2\xa0 x\xe2\x80\xa8\xe3\x80\x80", 3, 4}, /* no-break space, line separator, ideographic space */
        {"\xe2\x80\x89", 3, 3},                       /* a thin space */
        {"\xc2\x85\xe1\x9a\x80y\xe2\x80\xaf", 5, 6},  /* next line, Ogham space mark, narrow no-break space */
        {"\xe2\x80\x8bz\xe2\x80\x8b", 0, 7},          /* zero-width spaces are invisible, not white */
        {"\xa0x\xa0", 0, 3},                          /* bytes that are no characters */
        {"\x80\x80\x80\x80\x80", 0, 5},
        {"\xc2", 0, 1},
        {"\xc3\xa0", 0, 2}, /* a letter whose last byte is that of a space */
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
    begin = end = 1; /* nothing at all */
    trim_white_space("   ", &begin, &end);
    assert_int_equal(begin, 1);
    assert_int_equal(end, 1);
}

/* What Python 3.11's str.strip does. */
static void ends_are_trimmed_as_python_does(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t begin, end;
    } cases[] = {
        {"", 0, 0},
        {" \t\n\v\f\ra b \x1c\x1d\x1e\x1f", 6, 9},
        {"\x1b \x1b", 0, 3}, /* another control character */
        {"\xc2\x85 x\xc2\xa0", 3, 4},
        {"\xe2\x80\x80\xe2\x80\x8a", 6, 6},
        {"\xe2\x80\x8bz\xe2\x80\x8b", 0, 7},
        {"\xe1\x9a\x80y\xe3\x80\x80\xe2\x80\xa8\xe2\x81\x9f\xe2\x80\xaf", 3, 4},
        {"\x80\x80 ", 0, 2},
        {"\xc3\xa0", 0, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t begin = 0, end = (int64_t)strlen(cases[i].text);
        trim_python_space(cases[i].text, &begin, &end);
        assert_int_equal(begin, cases[i].begin);
        assert_int_equal(end, cases[i].end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_are_trimmed_and_nothing_else),
        cmocka_unit_test(ends_are_trimmed_as_python_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
