/* Copies of the golden folders of judges, each with its one change. */
#include "support/judge_folders.h"
#include "support/test_support.h"

#include "core/path.h"
#include "io/atomic_file.h"
#include "support/files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *copy_folder(const char *golden)
{
    static int count;
    const char *folder = test_path("judge%d", count++);
    char from[PATH_BYTES], to[PATH_BYTES];
    assert_int_equal(mkdir(folder, 0777), 0);
    assert_ok(path_format(from, JUDGES "/%s", golden));
    DIR *directory = opendir(from);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.') {
            assert_ok(path_format(from, "judges/%s/%s", golden, entry->d_name));
            assert_ok(path_format(to, "%s/%s", folder, entry->d_name));
            copy_golden(from, to);
        }
    closedir(directory);
    return folder;
}

static void replace(const char *path, const char *old, const char *new)
{
    void *data;
    int64_t size;
    assert_ok(file_read(path, INT64_C(1) << 26, &data, &size));
    char *bytes = data, *at = memmem(bytes, (size_t)size, old, strlen(old));
    if (!at)
        fail_msg("no %s in %s", old, path);
    int64_t before = at - bytes, behind = size - before - (int64_t)strlen(old), length = (int64_t)strlen(new);
    char *changed = malloc((size_t)(before + length + behind) + 1);
    assert_non_null(changed);
    memcpy(changed, bytes, (size_t)before);
    memcpy(changed + before, new, (size_t)length);
    memcpy(changed + before + length, at + strlen(old), (size_t)behind);
    write_plainly(path, changed, before + length + behind);
    free(changed);
    free(data);
}

const char *changed_judge(const char *golden, const char *file, const char *old, const char *new)
{
    const char *folder = copy_folder(golden);
    char path[PATH_BYTES];
    assert_ok(path_format(path, "%s/%s", folder, file));
    if (!new)
        assert_int_equal(remove(path), 0);
    else if (!old)
        write_text(path, new);
    else
        replace(path, old, new);
    return folder;
}

const char *changed_judge_member(const char *golden, const char *file, const char *key, const char *value)
{
    const char *folder = copy_folder(golden);
    char path[PATH_BYTES];
    json_t *root, *member = NULL;
    assert_ok(path_format(path, "%s/%s", folder, file));
    assert_ok(jdoc_read(path, &root));
    if (value) {
        assert_non_null(member = json_loads(value, JSON_DECODE_ANY, NULL));
        assert_int_equal(json_object_set_new(root, key, member), 0);
    } else {
        assert_int_equal(json_object_del(root, key), 0);
    }
    char *text = jdoc_text(root, 1);
    assert_non_null(text);
    write_text(path, text);
    free(text);
    json_decref(root);
    return folder;
}

json_t *expected_of_judge(const char *folder)
{
    char path[PATH_BYTES];
    json_t *expected;
    assert_ok(path_format(path, "%s/expected.json", folder));
    assert_ok(jdoc_read(path, &expected));
    return expected;
}
