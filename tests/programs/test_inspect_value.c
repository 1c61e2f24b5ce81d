/* What inspect prints for other programs: the value at a path of a JSON file (--get), and the texts of manifests (--texts). */
#include "support/files.h"
#include "support/test_support.h"

#include <stdio.h>
#include <string.h>

static const char json[] =
    "{\"report\": {\"rows\": 12, \"share\": 0.25, \"names\": [\"first\", {\"last\": \"two\\nlines\"}],\n"
    " \"none\": null, \"good\": true, \"a.b\": {\"c\": 7}, \"a\": {\"b\": {\"d\": 8}}},\n"
    " \"speech units/margin\": {\"value\": -1e-3}, \"\\u00fc\": \"\\u00fc\"}";

static const struct value_case {
    const char *path, *value;
} cases[] = {
    {"report.rows", "12"},
    {"report.share", "0.25"},
    {"report.names.0", "first"},
    {"report.names.1.last", "two\\nlines"},
    {"report.names", "[\"first\", {\"last\": \"two\\nlines\"}]"},
    {"report.none", "null"},
    {"report.good", "true"},
    {"report.a.b.c", "7"}, /* the longer key is taken... */
    {"speech units/margin.value", "-0.001"},
    {"\xc3\xbc", "\xc3\xbc"},
};

static void values_are_printed_as_a_shell_takes_them(void **state)
{
    (void)state;
    char text[1000], expected[200];
    write_text_in(test_directory(), "a.json", json);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run_command(text, sizeof text, "'%s/inspect' --get '%s' '%s/a.json'", TEST_PROGRAM_DIRECTORY,
                                     cases[i].path, test_directory()),
                         0);
        snprintf(expected, sizeof expected, "%s\n", cases[i].value);
        assert_string_equal(text, expected);
    }
    /* ...so what only the shorter one has is not found; and several files give one line each. */
    assert_int_equal(run_command(text, sizeof text, "'%s/inspect' --get report.a.b.d '%s/a.json'",
                                 TEST_PROGRAM_DIRECTORY, test_directory()),
                     2);
    assert_non_null(strstr(text, "no \"d\" in \"report.a.b\"; found \"c\""));
    assert_int_equal(run_command(text, sizeof text, "cd '%s' && '%s/inspect' --get report.rows a.json a.json",
                                 test_directory(), TEST_PROGRAM_DIRECTORY),
                     0);
    assert_string_equal(text, "12\n12\n");
}

/* What spm_train reads: each text as it is, on lines of its own; rows without text and rows that cannot be used are passed over. */
static void texts_are_printed_alone(void **state)
{
    (void)state;
    char text[1000];
    write_text_in(test_directory(), "a.jsonl",
                  "{\"id\": \"1\", \"text\": \"Gr\\u00fc\\u00dfe \\\"an\\\" alle\"}\n{\"id\": \"2\", \"text\": 7}\n"
                  "{\"id\": \"3\", \"text\": \"two\\nlines \"}\n");
    write_text_in(test_directory(), "b.jsonl",
                  "{\"id\": \"1\", \"audio\": \"a.wav\"}\n{\"id\": \"2\", \"audio\": \"b.wav\", \"text\": \"b\"}\n");
    assert_int_equal(run_command(text, sizeof text, "cd '%s' && '%s/inspect' --texts a.jsonl b.jsonl", test_directory(),
                                 TEST_PROGRAM_DIRECTORY),
                     0);
    assert_string_equal(text, "Gr\303\274\303\237e \"an\" alle\ntwo\nlines \nb\n");
    assert_int_equal(run_command(text, sizeof text, "cd '%s' && '%s/inspect' --texts --row 0 a.jsonl", test_directory(),
                                 TEST_PROGRAM_DIRECTORY),
                     2);
    write_text_in(test_directory(), "c.model", "x");
    assert_int_equal(run_command(text, sizeof text, "cd '%s' && '%s/inspect' --texts c.model", test_directory(),
                                 TEST_PROGRAM_DIRECTORY),
                     2);
    assert_non_null(strstr(text, "c.model: --texts is only for manifests"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_printed_as_a_shell_takes_them),
        cmocka_unit_test(texts_are_printed_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
