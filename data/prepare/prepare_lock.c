/* Who makes what when several run prepare at once: the parts of one job, or the same command started twice. All who make
 * one dataset from the same things share its lock, and anybody who would make it from other things is refused. Each
 * shard is made under a lock of its own, and whoever comes second finds it made; the same holds for the tokenizer and for
 * the index. Readers lock nothing, nor does a prepare that finds everything made. */
#include "data/prepare/prepare_internal.h"

#include "io/lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status prepare_lock_dataset(struct prepare *prepare, const struct prepare_dataset *dataset)
{
    char purpose[65];
    sha256_hex(&dataset->made_from, purpose);
    struct file_lock **lock = &prepare->locks[dataset - prepare->datasets];
    const struct lock_request request = {
        .folder = dataset->folder,
        .file = ".prepare.lock",
        .what = dataset->folder,
        .advice = "name another prepare.output: both would make this dataset, from different manifests, settings or "
                  "tokenizers",
        .purpose = purpose,
        .policy = prepare->options->locks,
        .patience = LOCK_REFUSE,
        .shared = true};
    return *lock ? STATUS_OK : lock_acquire(&request, lock);
}

bool prepare_has_locked(const struct prepare *prepare, const struct prepare_dataset *dataset)
{
    return prepare->options->locks == LOCKS_NONE || prepare->locks[dataset - prepare->datasets] != NULL;
}

void prepare_unlock_datasets(struct prepare *prepare)
{
    for (int64_t i = 0; prepare->locks && i < prepare->dataset_count; i++)
        lock_release(prepare->locks[i]);
    free(prepare->locks);
    prepare->locks = NULL;
}

enum status prepare_lock_shard(const struct prepare *prepare, const struct prepare_dataset *dataset, int64_t number,
                               bool wait, struct file_lock **lock, bool *busy)
{
    enum status result = STATUS_OK;
    char file[32], folder[PATH_BYTES], what[PATH_BYTES];
    snprintf(file, sizeof file, ".%05lld.lock", (long long)number);
    *busy = false;
    TRY(path_format(folder, "%s/parts", dataset->folder));
    TRY(path_format(what, "shard %lld of %s", (long long)number, dataset->folder));
    const struct lock_request request = {.folder = folder,
                                         .file = file,
                                         .what = what,
                                         .advice = "name another prepare.output",
                                         .policy = prepare->options->locks,
                                         .patience = wait ? LOCK_WAIT : LOCK_TRY};
    TRY(lock_acquire(&request, lock));
    *busy = !*lock && prepare->options->locks != LOCKS_NONE;
fail:
    return result;
}

enum status prepare_lock_index(const struct prepare *prepare, const struct prepare_dataset *dataset,
                               struct file_lock **lock)
{
    enum status result = STATUS_OK;
    char what[PATH_BYTES];
    TRY(path_format(what, "the index of %s", dataset->folder));
    const struct lock_request request = {.folder = dataset->folder,
                                         .file = ".index.lock",
                                         .what = what,
                                         .advice = "name another prepare.output",
                                         .policy = prepare->options->locks,
                                         .patience = LOCK_WAIT};
    TRY(lock_acquire(&request, lock));
fail:
    return result;
}

/* Beside the folder, which appears whole: a lock inside would be in the way of that. */
static enum status tokenizer_lock_path(const struct prepare *prepare, char parent[PATH_BYTES], char file[PATH_BYTES])
{
    const char *path = prepare->options->tokenizer->folder;
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    enum status result = path_format(parent, "%.*s", begin ? (int)begin : 1, begin ? path : ".");
    return result == STATUS_OK ? path_format(file, ".%.*s.lock", (int)(end - begin), path + begin) : result;
}

enum status prepare_lock_tokenizer(const struct prepare *prepare, const struct sha256 *fit_from,
                                   struct file_lock **lock)
{
    enum status result = STATUS_OK;
    const char *path = prepare->options->tokenizer->folder;
    char purpose[65], parent[PATH_BYTES], file[PATH_BYTES];
    sha256_hex(fit_from, purpose);
    TRY(tokenizer_lock_path(prepare, parent, file));
    const struct lock_request request = {
        .folder = parent,
        .file = file,
        .what = path,
        .advice =
            "name another tokenizer.folder: both would fit this tokenizer, on different manifests or with different "
            "settings",
        .purpose = purpose,
        .policy = prepare->options->locks,
        .patience = LOCK_WAIT};
    TRY(lock_acquire(&request, lock));
fail:
    return result;
}

void prepare_remove_abandoned_locks(const struct prepare *prepare)
{
    char path[PATH_BYTES], file[PATH_BYTES];
    for (int64_t i = 0; i < prepare->dataset_count; i++) {
        lock_remove_abandoned(prepare->datasets[i].folder, NULL);
        if (path_format(path, "%s/parts", prepare->datasets[i].folder) == STATUS_OK)
            lock_remove_abandoned(path, NULL);
    }
    if (tokenizer_lock_path(prepare, path, file) == STATUS_OK)
        lock_remove_abandoned(path, file);
}
