/* Which checkpoints a run has, and which of them to trust: names alone say nothing, so a folder is taken only after all
 * of its files agree with its MANIFEST. */
#include "package/checkpoints.h"

#include "core/array.h"
#include "core/log.h"
#include "core/path.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int compare_steps(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

int64_t checkpoint_step(const char *name)
{
    char written[32];
    if (strncmp(name, "step_", 5) != 0 || !name[5])
        return -1;
    long long step = strtoll(name + 5, NULL, 10);
    snprintf(written, sizeof written, "step_%08lld", step);
    return step >= 0 && strcmp(written, name) == 0 ? step : -1;
}

static enum status checkpoint_path(const char *run, int64_t step, char path[PATH_BYTES])
{
    return path_format(path, "%s/checkpoints/step_%08lld", run, (long long)step);
}

/* Steps of the folders named step_DIGITS, newest first. */
static enum status list_steps(const char *run, int64_t **steps, int64_t *count)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    DIR *folder = NULL;
    int64_t capacity = 0;
    *steps = NULL;
    *count = 0;
    TRY(path_format(path, "%s/checkpoints", run));
    folder = opendir(path);
    if (!folder)
        return errno == ENOENT ? STATUS_OK : status_set_errno(STATUS_IO, errno, "cannot list %s", path);
    for (struct dirent *entry; (errno = 0, entry = readdir(folder));) {
        int64_t step = checkpoint_step(entry->d_name);
        if (step < 0)
            continue;
        TRY(array_grow(steps, &capacity, *count + 1, "checkpoints of a run"));
        (*steps)[(*count)++] = step;
    }
    if (errno) { /* only errno tells a failure of readdir from the end */
        result = status_set_errno(STATUS_IO, errno, "cannot list %s", path);
        goto fail;
    }
    if (*count > 0)
        qsort(*steps, (size_t)*count, sizeof **steps, compare_steps);
fail:
    if (folder)
        closedir(folder);
    if (result != STATUS_OK) {
        free(*steps);
        *steps = NULL;
        *count = 0;
    }
    return result;
}

static enum status set_aside(const char *path)
{
    for (int k = 1; k < 10000; k++) {
        char target[PATH_BYTES];
        struct stat information;
        enum status fits = path_format(target, "%s.damaged-%d", path, k);
        if (fits != STATUS_OK)
            return fits;
        if (stat(target, &information) == 0)
            continue;
        if (rename(path, target) != 0)
            return status_set_errno(STATUS_IO, errno, "cannot rename %s", path);
        log_warning("renamed it to %s", target);
        return STATUS_OK;
    }
    return status_set(STATUS_IO, "too many damaged copies of %s", path);
}

/* A folder that was renamed by hand would continue a run at the wrong step. Folders of other names, and model folders
 * without a training state, may hold what they like. */
static enum status check_stored_step(const char *path)
{
    enum status result = STATUS_OK;
    char file[PATH_BYTES];
    struct stat information;
    json_t *state = NULL;
    int64_t step = 0;
    char *whole = realpath(path, NULL); /* its own name, not that of a link to it */
    const char *slash = whole ? strrchr(whole, '/') : NULL;
    int64_t named = slash ? checkpoint_step(slash + 1) : -1;
    TRY(path_format(file, "%s/trainer/state.json", path));
    if (named < 0 || (stat(file, &information) != 0 && errno == ENOENT))
        goto fail;
    TRY(checkpoint_read_state(path, &state));
    TRY(jdoc_get_int(file, state, "step", 0, INT64_MAX, &step));
    if (step != named)
        FAIL(STATUS_CORRUPT, "%s: its name says step %lld, but it holds step %lld: give it back its name", path,
             (long long)named, (long long)step);
fail:
    free(whole);
    json_decref(state);
    return result;
}

enum status checkpoint_verify(const char *path)
{
    struct stat information;
    if (lstat(path, &information) == 0 && S_ISLNK(information.st_mode))
        return status_set(STATUS_CORRUPT, "%s: a link; a run's checkpoints must be folders of its own", path);
    enum status result = directory_verify(path, true);
    return result == STATUS_OK ? check_stored_step(path) : result;
}

/* *whole is the place in the list of the newest checkpoint that verifies; `count` when none does. A folder with damage
 * of any kind, unreadable sectors included, is skipped with a warning; running out of memory says nothing about the
 * folder. */
static enum status find_whole(const char *run, const int64_t *steps, int64_t count, int64_t *whole)
{
    for (*whole = 0; *whole < count; ++*whole) {
        char path[PATH_BYTES];
        enum status fits = checkpoint_path(run, steps[*whole], path);
        if (fits != STATUS_OK)
            return fits;
        enum status status = checkpoint_verify(path);
        if (status == STATUS_OK || status == STATUS_INTERNAL)
            return status;
        log_warning("checkpoint %s is damaged: %s", path, status_text());
    }
    return STATUS_OK;
}

enum status checkpoint_newest(const char *run, bool repair, char **out)
{
    enum status result = STATUS_OK;
    int64_t *steps = NULL, count = 0, whole = 0;
    char path[PATH_BYTES];
    *out = NULL;
    TRY(list_steps(run, &steps, &count));
    TRY(find_whole(run, steps, count, &whole));
    if (count > 0 && whole == count)
        FAIL(STATUS_CORRUPT,
             "none of the %lld checkpoints of %s verifies; move %s/checkpoints away to start from scratch",
             (long long)count, run, run);
    for (int64_t i = 0; i < whole && repair; i++) {
        TRY(checkpoint_path(run, steps[i], path));
        TRY(set_aside(path));
    }
    if (count > 0) {
        TRY(checkpoint_path(run, steps[whole], path));
        *out = strdup(path);
        if (!*out)
            FAIL(STATUS_INTERNAL, "no memory for a path");
    }
fail:
    free(steps);
    return result;
}

enum status checkpoint_resolve(const char *name, char **path)
{
    enum status result = STATUS_OK;
    char config[PATH_BYTES];
    struct stat information;
    *path = NULL;
    if (stat(name, &information) != 0)
        return status_set_errno(STATUS_USAGE, errno, "no model at %s", name);
    if (!S_ISDIR(information.st_mode))
        return status_set(STATUS_USAGE, "%s: expected the folder of a run or a checkpoint, found a file", name);
    TRY(path_format(config, "%s/config.json", name));
    if (stat(config, &information) == 0) {
        TRY(directory_verify(name, true));
        TRY(check_stored_step(name));
        *path = strdup(name);
        if (!*path)
            FAIL(STATUS_INTERNAL, "no memory for a path");
        return STATUS_OK;
    }
    TRY(checkpoint_newest(name, false, path));
    if (!*path)
        FAIL(STATUS_USAGE, "%s is neither a checkpoint (no config.json) nor a run with checkpoints", name);
fail:
    return result;
}

enum status checkpoint_prune(const char *run, int64_t saved_step, int64_t keep, int64_t spared)
{
    enum status result = STATUS_OK;
    int64_t *steps = NULL, count = 0, kept = 0;
    TRY(list_steps(run, &steps, &count));
    for (int64_t i = 0; i < count; i++) {
        char path[PATH_BYTES];
        if (steps[i] > saved_step || kept++ < keep || steps[i] == spared)
            continue;
        TRY(checkpoint_path(run, steps[i], path));
        TRY(atomic_remove(path));
    }
fail:
    free(steps);
    return result;
}

enum status checkpoint_read_state(const char *path, json_t **state)
{
    char file[PATH_BYTES];
    enum status result = path_format(file, "%s/trainer/state.json", path);
    return result == STATUS_OK ? jdoc_read(file, state) : result;
}
