/* Our errors around Jansson: where, what was expected, what was found. */
#include "support/test_support.h"

#include "io/atomic_file.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *put(const char *text, int64_t size)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/file.json", test_directory());
    assert_ok(atomic_write(path, text, size < 0 ? (int64_t)strlen(text) : size));
    return path;
}

static void errors_name_file_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "file.json:1:0: not valid JSON"},
        {"{\n  \"a\": 1,\n  \"b\": }", "file.json:3:8: not valid JSON: unexpected token"},
        {"{\"a\": 1}\nx", "file.json:2:1: not valid JSON: end of file expected"},
        {"{\"a\": 1, \"a\": 2}", "duplicate object key"},
        {"[\"\xff\"]", "file.json:1:2: not valid JSON: unable to decode byte 0xff"},
        {"[1e999]", "real number overflow"},
        {"[123456789012345678901234567890]", "too big integer"},
        {"[NaN]", "invalid token"},
        {"[\"\\u0000\"]", "not allowed without JSON_ALLOW_NUL"},
    };
    json_t *root;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_fails(jdoc_read(put(cases[i].text, -1), &root), STATUS_CORRUPT, cases[i].part);
        assert_null(root);
    }
    assert_fails(jdoc_read(put("[1]\0[2]", 7), &root), STATUS_CORRUPT, "file.json:1:");
    assert_fails(jdoc_read("/nonexistent/file.json", &root), STATUS_USAGE, "/nonexistent/file.json");
    assert_fails(jdoc_parse("rows.jsonl:17", "{\"a\" 1}", 7, &root), STATUS_CORRUPT, "rows.jsonl:17: column 6:");
    char *deep = malloc(100000);
    memset(deep, '[', 100000);
    assert_fails(jdoc_parse("deep", deep, 100000, &root), STATUS_CORRUPT, "maximum parsing depth");
    free(deep);
}

static void byte_order_marks_are_skipped(void **state)
{
    (void)state;
    json_t *root;
    static const char *const texts[] = {"\xef\xbb\xbf{\"a\": 1}", "\xff\xfe{\0\"\0a\0\"\0:\0 \0001\0}\0"};
    static const int64_t sizes[] = {11, 18};
    for (int i = 0; i < 2; i++) {
        assert_ok(jdoc_read(put(texts[i], sizes[i]), &root));
        assert_int_equal(json_integer_value(json_object_get(root, "a")), 1);
        json_decref(root);
    }
    assert_ok(jdoc_parse("line", texts[0], sizes[0], &root));
    json_decref(root);
}

/* A line that is JSON but for what it holds is told from one that is not. */
static void lines_are_broken_or_only_what_they_hold(void **state)
{
    (void)state;
    static const char *const contents[] = {
        "[\"\xff\"]",     "{\"a\": 1, \"a\": 2}", "[1e999]",       "[NaN]",
        "[-Infinity, 1]", "[\"\\ud800\"]",        "[\"\\u0000\"]", "[123456789012345678901234567890]"};
    static const char *const broken[] = {"",         "{\"a\": 1", "a,b",  "[1] x",
                                         "{'a': 1}", "[\"x",      "[01]", "{\"a\": 1}{\"a\": 2}"};
    json_t *root;
    bool held;
    for (size_t i = 0; i < 8; i++) {
        assert_fails(jdoc_parse_line("l", contents[i], (int64_t)strlen(contents[i]), &root, &held), STATUS_CORRUPT,
                     "l: ");
        assert_true(held);
        assert_fails(jdoc_parse_line("l", broken[i], (int64_t)strlen(broken[i]), &root, &held), STATUS_CORRUPT, "l: ");
        assert_false(held);
    }
}

static void members_are_checked(void **state)
{
    (void)state;
    json_t *root;
    const char *string;
    int64_t whole;
    double number;
    bool truth;
    static const char text[] = "{\"s\": \"x\", \"i\": 5, \"r\": 2.5, \"t\": true, \"n\": null, \"o\": {}, \"l\": []}";
    assert_ok(jdoc_parse("here", text, (int64_t)strlen(text), &root));
    assert_ok(jdoc_get_string("here", root, "s", &string));
    assert_string_equal(string, "x");
    assert_ok(jdoc_get_int("here", root, "i", 5, 5, &whole));
    assert_int_equal(whole, 5);
    assert_ok(jdoc_get_number("here", root, "r", &number));
    assert_true(number == 2.5);
    assert_ok(jdoc_get_number("here", root, "i", &number));
    assert_true(number == 5);
    assert_ok(jdoc_get_bool("here", root, "t", &truth));
    assert_true(truth);
    assert_true(jdoc_has(root, "s") && !jdoc_has(root, "n") && !jdoc_has(root, "none"));
    assert_fails(jdoc_get_int("here", root, "i", 6, 9, &whole), STATUS_CORRUPT, "here: \"i\" is 5, expected 6 to 9");
    assert_fails(jdoc_get_int("here", root, "i", -9, 4, &whole), STATUS_CORRUPT, "expected -9 to 4");
    assert_fails(jdoc_get_int("here", root, "r", 0, 9, &whole), STATUS_CORRUPT,
                 "should be a whole number, found a number");
    assert_fails(jdoc_get_string("here", root, "i", &string), STATUS_CORRUPT,
                 "\"i\" should be a string, found a whole");
    assert_fails(jdoc_get_number("here", root, "s", &number), STATUS_CORRUPT, "should be a number, found a string");
    assert_fails(jdoc_get_bool("here", root, "n", &truth), STATUS_CORRUPT, "should be true or false, found null");
    assert_fails(jdoc_get_bool("here", root, "none", &truth), STATUS_CORRUPT, "here: \"none\" is missing");
    assert_fails(jdoc_get_string("here", json_object_get(root, "l"), "s", &string), STATUS_CORRUPT, "found a list");
    assert_fails(jdoc_get_string("here", NULL, "s", &string), STATUS_CORRUPT, "found nothing");
    json_decref(root);
}

static void hashes_are_read_as_they_are_written(void **state)
{
    (void)state;
    struct sha256 hash = sha256_of("abc", 3), read;
    json_t *root = json_pack("{s:o}", "h", jdoc_hash(&hash));
    assert_ok(jdoc_get_hash("here", root, "h", &read));
    assert_memory_equal(&read, &hash, sizeof hash);
    assert_fails(jdoc_get_hash("here", root, "none", &read), STATUS_CORRUPT, "here: \"none\" is missing");
    char text[66];
    sha256_hex(&hash, text);
    json_object_set_new(root, "short", json_stringn(text, 63));
    text[64] = 'a';
    json_object_set_new(root, "long", json_stringn(text, 65));
    text[0] = 'B';
    json_object_set_new(root, "capital", json_stringn(text, 64));
    static const char *const wrong[] = {"short", "long", "capital"};
    for (int i = 0; i < 3; i++)
        assert_fails(jdoc_get_hash("here", root, wrong[i], &read), STATUS_CORRUPT,
                     "should be a SHA-256 in 64 lower-case");
    json_decref(root);
}

static void text_is_sorted_and_exact(void **state)
{
    (void)state;
    json_t *root = json_pack("{s:i, s:f, s:[i,i], s:s}", "b", 1, "a", 0.1, "list", 1, 2, "c", "\xc3\xa9\n");
    char *line = jdoc_text(root, 0), *pretty = jdoc_text(root, 2);
    assert_string_equal(line, "{\"a\": 0.10000000000000001, \"b\": 1, \"c\": \"\xc3\xa9\\n\", \"list\": [1, 2]}\n");
    assert_non_null(strstr(pretty, "{\n  \"a\": 0.1"));
    json_t *again;
    assert_ok(jdoc_parse("again", line, (int64_t)strlen(line), &again));
    assert_true(json_equal(root, again));
    json_decref(again);
    json_decref(root);
    free(line);
    free(pretty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_file_line_and_column),        cmocka_unit_test(byte_order_marks_are_skipped),
        cmocka_unit_test(lines_are_broken_or_only_what_they_hold), cmocka_unit_test(members_are_checked),
        cmocka_unit_test(hashes_are_read_as_they_are_written),     cmocka_unit_test(text_is_sorted_and_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
