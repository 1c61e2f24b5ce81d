/* Paths that fit are those of printf; paths that do not are refused, never cut. */
#include "support/test_support.h"

#include "core/path.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void parts_are_joined(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    assert_int_equal(path_format(path, "%s/checkpoints/step_%08lld", "runs/a", 1000LL), STATUS_OK);
    assert_string_equal(path, "runs/a/checkpoints/step_00001000");
    assert_int_equal(path_format(path, "%.*s.txt", 5, "hello.wav"), STATUS_OK);
    assert_string_equal(path, "hello.txt");
    assert_int_equal(path_format(path, "%s", ""), STATUS_OK);
    assert_string_equal(path, "");
}

static void home_folders_replace_a_tilde(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"~", "/h"},    {"~/", "/h/"},      {"~/a b", "/h/a b"},
                                           {"a/~", "a/~"}, {"./~/a", "./~/a"}, {"~a.wav", "~a.wav"},
                                           {"", ""},       {"/~/x", "/~/x"}};
    char path[PATH_BYTES], name[PATH_BYTES];
    setenv("HOME", "/h", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(path_expand_home(cases[i][0], path));
        assert_string_equal(path, cases[i][1]);
    }
    assert_fails(path_expand_home("~anna/x", path), STATUS_USAGE, "~anna/x: expected a path");
    assert_fails(path_expand_home("~~/x", path), STATUS_USAGE, "~~/x: expected a path");
    memset(name, 'a', sizeof name - 1);
    memcpy(name, "~/", 2);
    name[PATH_BYTES - 1] = '\0';
    assert_fails(path_expand_home(name, path), STATUS_USAGE, "path too long");
    setenv("HOME", "", 1);
    assert_fails(path_expand_home("~/x", path), STATUS_USAGE, "HOME is not set");
    unsetenv("HOME");
    assert_fails(path_expand_home("~", path), STATUS_USAGE, "HOME is not set");
    assert_ok(path_expand_home("x", path));
}

/* Folders of this many letters, joined with "/b". */
static enum status join_long(size_t letters, char path[PATH_BYTES])
{
    static char folder[2 * PATH_BYTES];
    memset(folder, 'a', letters);
    folder[letters] = '\0';
    return path_format(path, "%s/b", folder);
}

static void the_longest_path_is_one_that_the_system_takes(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    assert_int_equal(PATH_BYTES, PATH_MAX);
    assert_int_equal(join_long(PATH_BYTES - 3, path), STATUS_OK);
    assert_int_equal(strlen(path), PATH_MAX - 1);
    assert_string_equal(path + PATH_MAX - 4, "a/b");
}

static void a_longer_path_is_refused_and_named(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    static const size_t letters[] = {PATH_BYTES - 2, PATH_BYTES - 1, PATH_BYTES, 2 * PATH_BYTES - 1};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        assert_int_equal(join_long(letters[i], path), STATUS_USAGE);
        assert_string_equal(path, ""); /* nothing that could be opened by mistake */
        assert_non_null(strstr(status_text(), "path too long: expected at most 4095 bytes, found "));
        assert_non_null(strstr(status_text(), ": aaaaaaaa"));
    }
    assert_int_equal(join_long(PATH_BYTES - 2, path), STATUS_USAGE);
    assert_non_null(strstr(status_text(), "found 4096: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_joined),
        cmocka_unit_test(home_folders_replace_a_tilde),
        cmocka_unit_test(the_longest_path_is_one_that_the_system_takes),
        cmocka_unit_test(a_longer_path_is_refused_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
