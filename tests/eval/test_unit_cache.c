/* The cache of units: what it keeps, what a crash leaves of it, and who may write. */
#include "support/files.h"
#include "support/test_support.h"

#include "eval/unit_cache.h"
#include "io/atomic_file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 3000 };

static struct speech speech;
static struct components components;

static void make_components(uint8_t mark)
{
    components = (struct components){.speech = &speech, .vocabulary = {.hubert_count = 5}};
    memset(&components.fingerprints[COMPONENT_HUBERT], mark, sizeof(struct sha256));
    memset(&components.fingerprints[COMPONENT_VOCABULARY], 7, sizeof(struct sha256));
}

static struct unit_cache *open_cache(const char *folder)
{
    struct unit_cache *cache;
    assert_ok(unit_cache_open(folder, &components, LOCKS_REQUIRED, &cache));
    assert_non_null(cache);
    return cache;
}

static struct sha256 key_of(int n)
{
    return sha256_of(&n, sizeof n);
}

static void expect(const struct unit_cache *cache, int n, const int32_t *expected, int64_t expected_count)
{
    const struct sha256 key = key_of(n);
    const int32_t *ids;
    int64_t count;
    assert_true(unit_cache_find(cache, &key, &ids, &count));
    assert_int_equal(count, expected_count);
    if (count > 0)
        assert_memory_equal(ids, expected, (size_t)count * sizeof *ids);
}

/* n % 7 ids: n, n + 1, ... */
static int64_t fill(int n, int32_t ids[7])
{
    for (int i = 0; i < 7; i++)
        ids[i] = n + i;
    return n % 7;
}

static const char *make_folder(const char *name)
{
    const char *folder = test_path("%s", name);
    assert_ok(make_directories(folder));
    return folder;
}

static void what_is_added_is_found_again(void **state)
{
    (void)state;
    const char *folder = make_folder("many");
    int32_t ids[7];
    make_components(1);
    for (int round = 0; round < 2; round++) {
        struct unit_cache *cache = open_cache(folder);
        assert_int_equal(unit_cache_count(cache), round ? MANY : 0);
        for (int n = 0; n < MANY; n++) {
            const struct sha256 key = key_of(n);
            int64_t count = fill(n, ids);
            assert_ok(unit_cache_add(cache, &key, ids, count)); /* the second time it is there already */
            expect(cache, n, ids, count);
        }
        const struct sha256 other = key_of(MANY);
        const int32_t *found;
        int64_t count;
        assert_false(unit_cache_find(cache, &other, &found, &count));
        assert_ok(unit_cache_close(cache));
    }
    make_components(2); /* other tokenizers know nothing of these units */
    struct unit_cache *cache = open_cache(folder);
    assert_int_equal(unit_cache_count(cache), 0);
    assert_ok(unit_cache_close(cache));
}

/* The one file NAME.cache in a folder. */
static const char *cache_file(const char *folder)
{
    static char path[1024];
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (strstr(entry->d_name, ".cache"))
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    closedir(directory);
    return path;
}

/* Cut off anywhere or damaged in one byte, it loses what lies behind and nothing before, and goes on. */
static void damage_costs_what_lies_behind_it(void **state)
{
    (void)state;
    const char *folder = make_folder("damaged");
    const int32_t ids[3] = {5, 6, 7};
    void *bytes;
    int64_t size, record = 32 + 8 + 12;
    make_components(1);
    struct unit_cache *cache = open_cache(folder);
    for (int n = 0; n < 3; n++) {
        const struct sha256 key = key_of(n);
        assert_ok(unit_cache_add(cache, &key, ids, 3));
    }
    assert_ok(unit_cache_close(cache));
    const char *path = cache_file(folder);
    assert_ok(file_read(path, 1 << 20, &bytes, &size));
    assert_int_equal(size, 16 + 3 * record);
    for (int64_t at = 0; at < 2 * size; at++) {
        char *changed = malloc((size_t)size);
        memcpy(changed, bytes, (size_t)size);
        if (at < size)
            write_plainly(path, changed, at);
        else {
            changed[at - size] ^= 0x41;
            write_plainly(path, changed, size);
        }
        free(changed);
        int64_t damaged = at < size ? at : at - size, whole = damaged < 16 ? 0 : (damaged - 16) / record;
        cache = open_cache(folder);
        assert_int_equal(unit_cache_count(cache), whole);
        for (int n = 0; n < whole; n++)
            expect(cache, n, ids, 3);
        const struct sha256 key = key_of(9);
        assert_ok(unit_cache_add(cache, &key, ids, 2));
        assert_ok(unit_cache_close(cache));
        cache = open_cache(folder);
        assert_int_equal(unit_cache_count(cache), whole + 1);
        expect(cache, 9, ids, 2);
        assert_ok(unit_cache_close(cache));
    }
    free(bytes);
}

static void one_writes_and_others_read(void **state)
{
    (void)state;
    const char *folder = make_folder("shared");
    const int32_t ids[2] = {1, 2};
    const struct sha256 keys[2] = {key_of(1), key_of(2)};
    make_components(1);
    struct unit_cache *first = open_cache(folder);
    assert_ok(unit_cache_add(first, &keys[0], ids, 2));
    struct unit_cache *second = open_cache(folder);
    assert_ok(unit_cache_add(second, &keys[1], ids, 1)); /* for itself */
    expect(second, 2, ids, 1);
    assert_ok(unit_cache_close(second));
    assert_ok(unit_cache_close(first));
    first = open_cache(folder);
    assert_int_equal(unit_cache_count(first), 1);
    expect(first, 1, ids, 2);
    assert_ok(unit_cache_close(first));
}

static void nothing_is_left_of_an_unused_cache(void **state)
{
    (void)state;
    const char *folder = make_folder("unused");
    struct unit_cache *cache;
    make_components(1);
    assert_ok(unit_cache_close(open_cache(folder)));
    int files = 0;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; (entry = readdir(directory));)
        files += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
    closedir(directory);
    assert_int_equal(files, 0);
    memset(&components.fingerprints[COMPONENT_HUBERT], 0, sizeof(struct sha256)); /* not known */
    assert_ok(unit_cache_open(folder, &components, LOCKS_REQUIRED, &cache));
    assert_null(cache);
    assert_ok(unit_cache_close(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_is_found_again),
        cmocka_unit_test(damage_costs_what_lies_behind_it),
        cmocka_unit_test(one_writes_and_others_read),
        cmocka_unit_test(nothing_is_left_of_an_unused_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
