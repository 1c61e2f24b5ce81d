/* Byte order marks, and the text behind them. */
#include "support/files.h"
#include "support/test_support.h"

#include "io/text_file.h"

#include <stdlib.h>
#include <string.h>

static void marks_are_skipped_and_utf16_is_converted(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int64_t size;
        const char *text;
    } cases[] = {
        {"plain", 5, "plain"},
        {"", 0, ""},
        {"\xef\xbb\xbf", 3, ""},
        {"\xef\xbb\xbfx\n", 5, "x\n"},
        {"\xef\xbb\xbf\xef\xbb\xbfx", 7, "\xef\xbb\xbfx"}, /* one mark; the second is a character of the text */
        {"\xef\xbb", 2, "\xef\xbb"},
        {"x\xef\xbb\xbf", 4, "x\xef\xbb\xbf"},
        {"\xff\xfe", 2, ""},
        {"\xfe\xff", 2, ""},
        {"\xff\xfeh\0\xe9\0\xac\x20\x3d\xd8\x00\xde", 12, "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xfe\xff\0h\0\xe9\x20\xac\xd8\x3d\xde\x00", 12, "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xff", 1, "\xff"},
        {"\xc3\x28", 2, "\xc3\x28"}, /* whether other bytes are text is for the reader to say */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = NULL;
        int64_t size = -1;
        write_plainly(test_path("t"), cases[i].bytes, cases[i].size);
        assert_ok(text_file_read(test_path("t"), 100, &text, &size));
        assert_int_equal(size, strlen(cases[i].text));
        assert_memory_equal(text, cases[i].text, (size_t)size + 1);
        free(text);
    }
}

static void broken_utf16_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int64_t size;
        const char *part;
    } cases[] = {
        {"\xff\xfeh\0x", 5, "byte 4 is not UTF-16"},           /* half a character */
        {"\xff\xfe\0\0h\0\0\0", 8, "byte 2 is not UTF-16"},    /* UTF-32 */
        {"\xfe\xff\xdc\x00\0h", 6, "byte 2 is not UTF-16"},    /* the second half of a pair alone */
        {"\xfe\xff\0h\xd8\x00\0h", 8, "byte 4 is not UTF-16"}, /* the first */
        {"\xfe\xff\xd8\x00", 4, "byte 2 is not UTF-16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = NULL;
        int64_t size = 0;
        write_plainly(test_path("t"), cases[i].bytes, cases[i].size);
        assert_fails(text_file_read(test_path("t"), 100, &text, &size), STATUS_CORRUPT, cases[i].part);
        assert_null(text);
    }
    char *text = NULL;
    int64_t size = 0;
    assert_fails(text_file_read("/nonexistent/t", 100, &text, &size), STATUS_USAGE, "/nonexistent/t");
    write_plainly(test_path("t"), "abcdef", 6);
    assert_fails(text_file_read(test_path("t"), 5, &text, &size), STATUS_CORRUPT, "at most 5 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_skipped_and_utf16_is_converted),
        cmocka_unit_test(broken_utf16_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
