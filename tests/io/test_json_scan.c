/* The scanner against Jansson, which builds a tree: both accept the same texts, and what one reads the other reads. */
#include "support/test_support.h"

#include "io/json_scan.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one text, two readers ---- */

static void assert_equal_text(struct scan_text text, const char *expected, size_t size)
{
    assert_int_equal(text.size, size);
    assert_memory_equal(text.bytes, expected, size);
}

static void assert_equal_value(struct scan *scan, const json_t *expected);

static void assert_equal_object(struct scan *scan, const json_t *expected)
{
    size_t members = 0;
    bool found;
    assert_ok(scan_object(scan, "an object"));
    for (struct scan_text key;;) {
        assert_ok(scan_member(scan, &key, &found));
        if (!found)
            break;
        json_t *value = json_object_getn(expected, key.bytes, (size_t)key.size);
        assert_non_null(value);
        assert_equal_value(scan, value);
        members++;
    }
    assert_int_equal(members, json_object_size(expected));
}

static void assert_equal_value(struct scan *scan, const json_t *expected)
{
    struct scan_text text;
    int64_t number;
    size_t elements = 0;
    bool yes, found;
    switch (scan_kind(scan)) {
    case SCAN_OBJECT:
        assert_true(json_is_object(expected));
        assert_equal_object(scan, expected);
        return;
    case SCAN_LIST:
        assert_true(json_is_array(expected));
        assert_ok(scan_list(scan, "a list"));
        for (;; elements++) {
            assert_ok(scan_element(scan, &found));
            if (!found)
                break;
            assert_equal_value(scan, json_array_get(expected, elements));
        }
        assert_int_equal(elements, json_array_size(expected));
        return;
    case SCAN_TEXT:
        assert_ok(scan_string(scan, "a text", &text));
        assert_equal_text(text, json_string_value(expected), json_string_length(expected));
        return;
    case SCAN_NUMBER:
        if (json_is_integer(expected)) {
            assert_ok(scan_integer(scan, "a number", INT64_MIN, INT64_MAX, &number));
            assert_int_equal(number, json_integer_value(expected));
            return;
        }
        assert_true(json_is_real(expected));
        assert_ok(scan_skip(scan));
        return;
    case SCAN_TRUE:
    case SCAN_FALSE:
        assert_ok(scan_bool(scan, "true or false", &yes));
        assert_true(json_is_boolean(expected) && yes == json_is_true(expected));
        return;
    case SCAN_NULL:
        assert_true(json_is_null(expected));
        assert_ok(scan_skip(scan));
        return;
    default:
        fail_msg("not a value");
    }
}

static bool has_key_twice(const char *text, size_t size)
{
    json_error_t error;
    json_t *tree = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    json_decref(tree);
    return !tree;
}

/* Whether both readers accept the text. Numbers that Jansson has no room for are left out. */
static bool compare(const char *text, size_t size)
{
    struct scan_buffer buffer = {0};
    json_error_t error;
    char *exact = guarded_allocate(size + 1);
    memcpy(exact, text, size);
    struct scan scan = scan_start("text", exact, (int64_t)size, &buffer);
    json_t *tree = json_loadb(exact, size, JSON_DECODE_ANY, &error);
    bool accepted = scan_skip(&scan) == STATUS_OK && scan_end(&scan) == STATUS_OK;
    if (accepted != (tree != NULL) && json_error_code(&error) != json_error_numeric_overflow)
        fail_msg("\"%.*s\" is %s, but not by Jansson (%s)", (int)size, text, accepted ? "accepted" : "refused",
                 tree ? "no error" : error.text);
    if (accepted && tree && !has_key_twice(exact, size)) {
        scan = scan_start("text", exact, (int64_t)size, &buffer);
        assert_equal_value(&scan, tree);
        assert_ok(scan_end(&scan));
    }
    accepted = accepted && tree;
    json_decref(tree);
    free(buffer.bytes);
    guarded_free(exact);
    return accepted;
}

static const char *const seeds[] = {
    "{\"a\":[1,-2,30,0,-0],\"b\":{\"c\":null,\"d\":true},\"\":\"\"}",
    "[\"\\u00e9\\ud83d\\ude00\\n\\t\\\\\\/\\\"\\b\\f\\r\", \"na\xc3\xafve \xf0\x9f\x98\x80\", [[], {}], false]",
    " { \"x\" : 1.5e3 , \"y\" : [ 1e-5 , 0.0 , -9223372036854775808 ] }\r\n",
    "\"one \\u0041 text\"",
    "-12",
};

static void texts_are_accepted_and_read_as_by_jansson(void **state)
{
    (void)state;
    static const char parts[] = "{}[]:,\"\\ \n\t0123456789-+.eEtrufalsnxabcd/\xc3\xa9\xed\xa0\x80\xff\x01";
    const int64_t rounds = test_is_long() ? 2000000 : 100000;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 21, 0);
    int64_t accepted = 0;
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        assert_true(compare(seeds[i], strlen(seeds[i])));
    for (int64_t n = 0; n < rounds; n++) {
        char text[200];
        const char *seed = seeds[rng_below(&rng, sizeof seeds / sizeof *seeds)];
        size_t size = strlen(seed);
        memcpy(text, seed, size);
        for (uint64_t i = 0; i <= rng_below(&rng, 3); i++) { /* a byte replaced, put in, or taken out; a part doubled */
            size_t at = (size_t)rng_below(&rng, size);
            char part = parts[rng_below(&rng, sizeof parts - 1)];
            uint64_t kind = rng_below(&rng, 3);
            if (kind == 0) {
                text[at] = part;
            } else if (kind == 1) {
                memmove(text + at + 1, text + at, size - at);
                text[at] = part;
                size++;
            } else if (size > 1) {
                memmove(text + at, text + at + 1, size - at - 1);
                size--;
            }
        }
        accepted += compare(text, size);
    }
    print_message("%lld of %lld changed texts are JSON\n", (long long)accepted, (long long)rounds);
    assert_true(accepted > rounds / 100 && accepted < rounds);
}

static void whatever_is_cut_off_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (size_t size = 0; size < strlen(seeds[i]); size++)
            assert_false(compare(seeds[i], size));
}

/* ---- errors ---- */

static void errors_name_the_text_the_byte_and_what_was_expected(void **state)
{
    (void)state;
    struct scan_buffer buffer = {0};
    struct scan_text text;
    int64_t number = 0;
    bool found;
    struct scan scan = scan_start("a.json", " [1 2]", 6, &buffer);
    assert_fails(scan_object(&scan, "a model"), STATUS_CORRUPT, "a.json: byte 1: expected a model, found '['");
    assert_fails(scan_skip(&scan), STATUS_CORRUPT, "a.json: byte 4: expected ',' or ']', found '2'");
    scan = scan_start("a.json", "\"\x01\"", 3, &buffer);
    assert_fails(scan_string(&scan, "a text", &text), STATUS_CORRUPT, "found byte 0x01");
    scan = scan_start("a.json", "\"\\ud800x\"", 9, &buffer);
    assert_fails(scan_string(&scan, "a text", &text), STATUS_CORRUPT, "byte 1: half of a surrogate pair");
    scan = scan_start("a.json", "\"\\u0000\"", 8, &buffer);
    assert_fails(scan_string(&scan, "a text", &text), STATUS_CORRUPT, "NUL in a text");
    static const char *const numbers[] = {"8", "-1", "9223372036854775808", "1.0", "1e0"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        scan = scan_start("a.json", numbers[i], (int64_t)strlen(numbers[i]), &buffer);
        assert_fails(scan_integer(&scan, "an id", 0, 7, &number), STATUS_CORRUPT, "expected 0 to 7");
        assert_true(strstr(status_text(), numbers[i]));
    }
    scan = scan_start("a.json", "\xEF\xBB\xBF 5", 5, &buffer); /* a byte order mark */
    assert_ok(scan_integer(&scan, "an id", 0, 7, &number));
    assert_int_equal(number, 5);
    scan = scan_start("a.json", "{\"a\" 1}", 7, &buffer);
    assert_ok(scan_object(&scan, "an object"));
    assert_fails(scan_member(&scan, &text, &found), STATUS_CORRUPT, "byte 5: expected ':', found '1'");
    free(buffer.bytes);
}

static void depth_is_limited(void **state)
{
    (void)state;
    enum { DEEP = 1 << 20 };
    struct scan_buffer buffer = {0};
    char *text = malloc(DEEP);
    assert_non_null(text);
    memset(text, '[', DEEP);
    for (int depth = SCAN_DEPTH; depth <= SCAN_DEPTH + 1; depth++) {
        memset(text, '[', DEEP);
        memset(text + depth, ']', (size_t)depth);
        struct scan scan = scan_start("deep", text, 2 * depth, &buffer);
        if (depth == SCAN_DEPTH) {
            assert_ok(scan_skip(&scan));
            assert_ok(scan_end(&scan));
        } else {
            assert_fails(scan_skip(&scan), STATUS_CORRUPT, "more than 60 objects and lists within each other");
        }
    }
    memset(text, '[', DEEP);
    struct scan scan = scan_start("deep", text, DEEP, &buffer);
    assert_fails(scan_skip(&scan), STATUS_CORRUPT, "deep: byte 60");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_accepted_and_read_as_by_jansson),
        cmocka_unit_test(whatever_is_cut_off_is_refused),
        cmocka_unit_test(errors_name_the_text_the_byte_and_what_was_expected),
        cmocka_unit_test(depth_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
