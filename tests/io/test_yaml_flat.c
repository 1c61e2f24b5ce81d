/* YAML that other programs wrote: what a configuration of our own refuses and theirs may hold, null and lists of lists. The rest of
 * the reader: test_config.c. */
#include "support/test_support.h"

#include "io/yaml_flat.h"
#include "support/files.h"

#include <stdio.h>
#include <string.h>

static const char *write(const char *text)
{
    write_text_in(test_directory(), "foreign.yaml", text);
    return test_path("foreign.yaml");
}

static const struct yaml_item *find(const struct yaml_flat *flat, const char *key)
{
    for (int64_t i = 0; i < flat->count; i++)
        if (strcmp(flat->items[i].key, key) == 0)
            return &flat->items[i];
    return NULL;
}

static void nulls_are_values_without_text(void **state)
{
    (void)state;
    struct yaml_flat flat;
    const char *path = write("a: null\nb: ~\nc:\nd: \"null\"\ne:\n  f: null\n");
    assert_ok(yaml_flat_read_foreign(path, &flat));
    assert_int_equal(flat.count, 6); /* e is an item too */
    assert_int_equal(find(&flat, "a")->kind, YAML_EMPTY);
    assert_int_equal(find(&flat, "b")->kind, YAML_EMPTY);
    assert_int_equal(find(&flat, "c")->kind, YAML_EMPTY);
    assert_int_equal(find(&flat, "e.f")->kind, YAML_EMPTY);
    assert_int_equal(find(&flat, "d")->kind, YAML_VALUE);
    assert_string_equal(find(&flat, "d")->values[0], "null");
    yaml_flat_free(&flat);
    assert_fails(yaml_flat_read(path, &flat), STATUS_USAGE, "a has no value");
}

static void lists_of_lists_are_items_of_their_own(void **state)
{
    (void)state;
    struct yaml_flat flat;
    const char *path = write("a:\n  b: [[1, 2], [3], []]\n  c: [[[4]]]\n");
    assert_ok(yaml_flat_read_foreign(path, &flat));
    assert_int_equal(find(&flat, "a.b")->kind, YAML_LIST);
    assert_int_equal(find(&flat, "a.b")->count, 0);
    assert_int_equal(find(&flat, "a.b.0")->count, 2);
    assert_string_equal(find(&flat, "a.b.0")->values[1], "2");
    assert_int_equal(find(&flat, "a.b.1")->count, 1);
    assert_int_equal(find(&flat, "a.b.2")->count, 0);
    assert_string_equal(find(&flat, "a.c.0.0")->values[0], "4");
    yaml_flat_free(&flat);
    assert_fails(yaml_flat_read(path, &flat), STATUS_USAGE, "the list a.b may hold only plain values");
}

static void mixtures_and_depths_are_refused(void **state)
{
    (void)state;
    struct yaml_flat flat;
    char deep[256] = "a: ";
    for (int i = 0; i < 40; i++)
        strcat(deep, "[");
    for (int i = 0; i < 40; i++)
        strcat(deep, "]");
    strcat(deep, "\n");
    assert_fails(yaml_flat_read_foreign(write("a: [1, [2]]\n"), &flat), STATUS_USAGE, "foreign.yaml:1: a list holds");
    assert_fails(yaml_flat_read_foreign(write("a: [[1], 2]\n"), &flat), STATUS_USAGE, "may hold only plain values");
    assert_fails(yaml_flat_read_foreign(write("a:\n- b: 1\n"), &flat), STATUS_USAGE, "may hold only plain values");
    assert_fails(yaml_flat_read_foreign(write("a: [null]\n"), &flat), STATUS_USAGE, "a has no value");
    assert_fails(yaml_flat_read_foreign(write("a: &x 1\n"), &flat), STATUS_USAGE, "anchors");
    assert_fails(yaml_flat_read_foreign(write(deep), &flat), STATUS_USAGE, "too many levels of lists");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nulls_are_values_without_text),
                                       cmocka_unit_test(lists_of_lists_are_items_of_their_own),
                                       cmocka_unit_test(mixtures_and_depths_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
