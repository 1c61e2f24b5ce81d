#include "support/damage.h"

#include "support/files.h"
#include "support/test_support.h"

#include "io/atomic_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char STRANGER[] = "stranger.bin";

static const char *path_of(const struct damaged_folder *folder, const char *name)
{
    static char path[1024 + DAMAGED_NAME];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    return path;
}

void damaged_folder_open(struct damaged_folder *folder, const char *path, const char *sibling, const char *const *names)
{
    *folder = (struct damaged_folder){.touched = {-1, -1}};
    snprintf(folder->path, sizeof folder->path, "%s", path);
    for (; *names; names++) {
        assert_true(folder->count < DAMAGED_FILES);
        int i = folder->count++;
        char other[2048];
        void *bytes;
        snprintf(folder->files[i].name, DAMAGED_NAME, "%s", *names);
        assert_ok(file_read(path_of(folder, *names), 1 << 30, &bytes, &folder->files[i].size));
        folder->files[i].bytes = bytes;
        if (!sibling)
            continue;
        snprintf(other, sizeof other, "%s/%s", sibling, *names);
        assert_ok(file_read(other, 1 << 30, &bytes, &folder->files[i].older_size));
        folder->files[i].older = bytes;
        if (folder->files[i].older_size == folder->files[i].size &&
            memcmp(bytes, folder->files[i].bytes, (size_t)folder->files[i].size) == 0) {
            free(bytes);
            folder->files[i].older = NULL;
        }
    }
}

void damaged_folder_close(struct damaged_folder *folder)
{
    for (int i = 0; i < folder->count; i++) {
        free(folder->files[i].bytes);
        free(folder->files[i].older);
    }
    folder->count = 0;
}

static void put_damaged(struct damaged_folder *folder, int i, struct rng *rng)
{
    char what[DAMAGE_TEXT] = "";
    int64_t size;
    uint8_t *bytes = damage_bytes(rng, folder->files[i].bytes, folder->files[i].size, &size, what);
    write_plainly(path_of(folder, folder->files[i].name), bytes, size);
    free(bytes);
    snprintf(folder->what, sizeof folder->what, "%s: %s", folder->files[i].name, what);
}

/* Swaps the contents of two files; false when they are equal. */
static bool exchange(struct damaged_folder *folder, int i, struct rng *rng)
{
    int j = (int)rng_below(rng, (uint64_t)folder->count);
    if (folder->files[i].size == folder->files[j].size &&
        memcmp(folder->files[i].bytes, folder->files[j].bytes, (size_t)folder->files[i].size) == 0)
        return false;
    write_plainly(path_of(folder, folder->files[i].name), folder->files[j].bytes, folder->files[j].size);
    write_plainly(path_of(folder, folder->files[j].name), folder->files[i].bytes, folder->files[i].size);
    folder->touched[1] = j;
    memcpy(folder->culprits[1], folder->files[j].name, DAMAGED_NAME);
    snprintf(folder->what, sizeof folder->what, "%.100s and %.100s changed places", folder->files[i].name,
             folder->files[j].name);
    return true;
}

void damaged_folder_damage(struct damaged_folder *folder, struct rng *rng, bool may_add)
{
    int i = (int)rng_below(rng, (uint64_t)folder->count);
    uint64_t kind = rng_below(rng, 20);
    folder->touched[0] = i;
    folder->touched[1] = -1;
    folder->any = false;
    memcpy(folder->culprits[0], folder->files[i].name, DAMAGED_NAME);
    folder->culprits[1][0] = 0;
    if (kind == 0) {
        assert_int_equal(unlink(path_of(folder, folder->files[i].name)), 0);
        snprintf(folder->what, sizeof folder->what, "%s taken away", folder->files[i].name);
    } else if (kind == 1 && may_add) {
        folder->touched[0] = -1;
        memcpy(folder->culprits[0], STRANGER, sizeof STRANGER);
        write_plainly(path_of(folder, STRANGER), "", 0);
        snprintf(folder->what, sizeof folder->what, "%s added", STRANGER);
    } else if (kind == 2 && folder->files[i].older) {
        write_plainly(path_of(folder, folder->files[i].name), folder->files[i].older, folder->files[i].older_size);
        snprintf(folder->what, sizeof folder->what, "%s from another version", folder->files[i].name);
        folder->any = strcmp(folder->files[i].name, "MANIFEST") == 0;
    } else if (kind != 3 || !exchange(folder, i, rng)) {
        put_damaged(folder, i, rng);
    }
}

void damaged_folder_repair(struct damaged_folder *folder)
{
    for (int t = 0; t < 2; t++)
        if (folder->touched[t] >= 0)
            write_plainly(path_of(folder, folder->files[folder->touched[t]].name),
                          folder->files[folder->touched[t]].bytes, folder->files[folder->touched[t]].size);
    if (strcmp(folder->culprits[0], STRANGER) == 0)
        assert_int_equal(unlink(path_of(folder, STRANGER)), 0);
}

bool damaged_folder_named(const struct damaged_folder *folder, const char *text)
{
    for (int c = 0; c < 2; c++)
        if (folder->culprits[c][0] && strstr(text, folder->culprits[c]))
            return true;
    for (int i = 0; folder->any && i < folder->count; i++)
        if (strstr(text, folder->files[i].name))
            return true;
    return false;
}
