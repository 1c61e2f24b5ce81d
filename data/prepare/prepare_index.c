/* The index stage: every shard is verified, then the dataset is published by writing its index. The index is written
 * last, since a folder without one is not a dataset: training cannot begin on a part of it. */
#include "data/prepare/prepare_internal.h"

#include "core/log.h"
#include "io/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* rejects.jsonl and changes.jsonl. */
struct listed {
    char *rejects, *changes;
};

static void listed_free(struct listed *listed)
{
    free(listed->rejects);
    free(listed->changes);
    *listed = (struct listed){0};
}

struct verification {
    const struct prepare_dataset *dataset;
    struct shard_record *records;
    struct shard_totals *totals;
    enum status *status;
    char **errors;
};

static enum status check_record(const struct prepare_dataset *dataset, int64_t number,
                                const struct shard_record *record)
{
    int64_t rows = prepare_shard_count(dataset, number);
    if (memcmp(record->made_from.bytes, dataset->made_from.bytes, sizeof record->made_from.bytes) != 0)
        return status_set(
            STATUS_USAGE,
            "%s: shard %lld was made from a different manifest, settings or tokenizer: run prepare --stage "
            "shards again",
            dataset->folder, (long long)number);
    if (record->entry.rows + record->reject_count != rows)
        return status_set(STATUS_CORRUPT,
                          "%s: shard %lld has %lld rows and %lld rejects, but the manifest has %lld rows for it",
                          dataset->folder, (long long)number, (long long)record->entry.rows,
                          (long long)record->reject_count, (long long)rows);
    return STATUS_OK;
}

static enum status verify_shard(const struct prepare_dataset *dataset, int64_t number, struct shard_record *record,
                                struct shard_totals *totals)
{
    enum status result = STATUS_OK;
    struct shard *shard = NULL;
    char path[PATH_BYTES];
    result = shard_record_read(dataset->folder, number, record);
    if (result == STATUS_USAGE)
        FAIL(STATUS_USAGE, "%s: shard %lld of %lld has not been made: run prepare --stage shards (all parts) first",
             dataset->folder, (long long)number, (long long)dataset->shards);
    TRY(result);
    TRY(check_record(dataset, number, record));
    TRY(prepare_open_shard(dataset, number, &record->entry.hash, path, &shard));
    if (shard_rows(shard) != record->entry.rows)
        FAIL(STATUS_CORRUPT, "%s: it has %lld rows, but %lld were written", path, (long long)shard_rows(shard),
             (long long)record->entry.rows);
    if (dataset->kind == DATASET_SPEECH && record->entry.rows > 0 &&
        memcmp(shard_get_fingerprints(shard), &dataset->fingerprints, sizeof dataset->fingerprints) != 0)
        FAIL(STATUS_CORRUPT, "%s: it was made with a different tokenizer", path);
    shard_count(shard, totals);
fail:
    shard_close(shard);
    return result;
}

static void verify_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct verification *verification = argument;
    verification->status[task] =
        verify_shard(verification->dataset, task, verification->records + task, verification->totals + task);
    if (verification->status[task] != STATUS_OK)
        verification->errors[task] = strdup(status_text());
}

static void add_totals(struct shard_totals *sum, const struct shard_totals *totals)
{
    sum->rows += totals->rows;
    sum->aligned_rows += totals->aligned_rows;
    sum->words += totals->words;
    sum->samples += totals->samples;
    sum->aligned_samples += totals->aligned_samples;
    sum->text_bytes += totals->text_bytes;
    for (int stream = 0; stream < STREAM_COUNT; stream++) {
        sum->units[stream] += totals->units[stream];
        if (totals->codes[stream] > sum->codes[stream])
            sum->codes[stream] = totals->codes[stream];
    }
}

/* Fills the index from the verified shards; *rejects is allocated. */
static enum status gather(const struct prepare_dataset *dataset, const struct verification *verification,
                          struct shard_index *index, char **rejects)
{
    enum status result = STATUS_OK;
    size_t length = 0, used = 0;
    index->kind = dataset->kind;
    index->made_from = dataset->made_from;
    index->fingerprints = dataset->fingerprints;
    index->shard_count = dataset->shards;
    index->shards = calloc((size_t)dataset->shards + 1, sizeof *index->shards);
    for (int64_t k = 0; k < dataset->shards; k++) {
        if (verification->status[k] != STATUS_OK)
            FAIL(verification->status[k], "%s", verification->errors[k] ? verification->errors[k] : "out of memory");
        length += strlen(verification->records[k].rejects);
    }
    *rejects = calloc(1, length + 1);
    if (!index->shards || !*rejects)
        FAIL(STATUS_INTERNAL, "out of memory");
    for (int64_t k = 0; k < dataset->shards; k++) {
        const struct shard_record *record = verification->records + k;
        size_t size = strlen(record->rejects);
        memcpy(*rejects + used, record->rejects, size);
        used += size;
        index->shards[k] = record->entry;
        index->rejects += record->reject_count;
        add_totals(&index->totals, verification->totals + k);
    }
    index->rejects_hash = sha256_of(*rejects, used);
    if (index->totals.rows == 0)
        FAIL(STATUS_CORRUPT, "%s: none of its %lld rows can be used; the first was rejected: %.*s",
             dataset->manifest.path, (long long)dataset->manifest.count, (int)strcspn(*rejects, "\n"), *rejects);
fail:
    return result;
}

static enum status join_changes(const struct prepare_dataset *dataset, const struct shard_record *records,
                                char **changes)
{
    size_t length = 0, used = 0;
    for (int64_t k = 0; k < dataset->shards; k++)
        length += strlen(records[k].changes);
    *changes = calloc(1, length + 1);
    if (!*changes)
        return status_set(STATUS_INTERNAL, "out of memory");
    for (int64_t k = 0; k < dataset->shards; k++) {
        size_t size = strlen(records[k].changes);
        memcpy(*changes + used, records[k].changes, size);
        used += size;
    }
    return STATUS_OK;
}

/* The number in "shard_00012.h5" or "00012.json"; -1 for other names. */
static int64_t number_in(const char *name, const char *before, const char *after)
{
    size_t prefix = strlen(before);
    if (strncmp(name, before, prefix) != 0)
        return -1;
    size_t digits = strspn(name + prefix, "0123456789");
    return digits >= 5 && digits < 18 && strcmp(name + prefix + digits, after) == 0 ? strtoll(name + prefix, NULL, 10)
                                                                                    : -1;
}

/* Removes shards and records past the last one, left by an earlier and longer manifest. */
static enum status remove_beyond(const char *folder, const char *before, const char *after, int64_t count)
{
    enum status result = STATUS_OK;
    DIR *directory = opendir(folder);
    if (!directory)
        return status_set_errno(STATUS_IO, errno, "%s: cannot be listed", folder);
    for (struct dirent *entry; result == STATUS_OK && (errno = 0, entry = readdir(directory));) {
        char path[PATH_BYTES];
        if (number_in(entry->d_name, before, after) < count)
            continue;
        result = path_format(path, "%s/%s", folder, entry->d_name);
        if (result != STATUS_OK)
            break;
        if (unlink(path) != 0)
            result = status_set_errno(STATUS_IO, errno, "%s: cannot be removed", path);
        else
            log_info("%s: removed, since the manifest is shorter now", path);
    }
    if (result == STATUS_OK && errno != 0)
        result = status_set_errno(STATUS_IO, errno, "%s: cannot be listed", folder);
    closedir(directory);
    return result;
}

static enum status remove_stale(const struct prepare_dataset *dataset)
{
    enum status result = STATUS_OK;
    char parts[PATH_BYTES];
    TRY(path_format(parts, "%s/parts", dataset->folder));
    TRY(remove_beyond(dataset->folder, "shard_", ".h5", dataset->shards));
    TRY(remove_beyond(parts, "", ".json", dataset->shards));
    TRY(remove_beyond(parts, "", ".alignments", dataset->shards));
    TRY(remove_beyond(parts, "shard_", ".h5", dataset->shards));
fail:
    return result;
}

enum status write_if_different(const char *path, const void *data, int64_t size, bool *written)
{
    void *present = NULL;
    int64_t present_size = 0;
    bool same = file_read(path, size, &present, &present_size) == STATUS_OK && present_size == size &&
                memcmp(present, data, (size_t)size) == 0;
    free(present);
    *written = !same;
    return same ? STATUS_OK : atomic_write(path, data, size);
}

static bool same_index(const struct shard_index *a, const struct shard_index *b)
{
    return a->kind == b->kind && memcmp(&a->made_from, &b->made_from, sizeof a->made_from) == 0 &&
           memcmp(&a->fingerprints, &b->fingerprints, sizeof a->fingerprints) == 0 &&
           a->shard_count == b->shard_count &&
           memcmp(a->shards, b->shards, (size_t)a->shard_count * sizeof *a->shards) == 0 &&
           memcmp(&a->totals, &b->totals, sizeof a->totals) == 0 && a->rejects == b->rejects &&
           memcmp(&a->rejects_hash, &b->rejects_hash, sizeof a->rejects_hash) == 0;
}

/* Until everything is ready the old index stays, and all that it names with it. */
static enum status remove_index(const struct prepare_dataset *dataset)
{
    char path[PATH_BYTES];
    enum status result = path_format(path, "%s/index.json", dataset->folder);
    if (result != STATUS_OK)
        return result;
    if (unlink(path) == 0)
        return sync_folder(dataset->folder);
    return errno == ENOENT ? STATUS_OK : status_set_errno(STATUS_IO, errno, "%s: cannot be removed", path);
}

static bool is_published(const struct prepare_dataset *dataset, const struct shard_index *index)
{
    struct shard_index present = {0};
    bool published = shard_index_read(dataset->folder, &present) == STATUS_OK && same_index(&present, index);
    shard_index_free(&present);
    return published;
}

/* The index comes last: everything that it names is there by then, whole. */
static enum status publish(const struct prepare *prepare, const struct prepare_dataset *dataset,
                           const struct shard_index *index, const struct listed *listed)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    bool written = false, current = is_published(dataset, index);
    if (!current)
        TRY(remove_index(dataset));
    if (prepare_has_locked(prepare, dataset))
        TRY(prepare_publish_shards(dataset, index->shards));
    TRY(path_format(path, "%s/rejects.jsonl", dataset->folder));
    TRY(write_if_different(path, listed->rejects, (int64_t)strlen(listed->rejects), &written));
    TRY(path_format(path, "%s/changes.jsonl", dataset->folder));
    TRY(write_if_different(path, listed->changes, (int64_t)strlen(listed->changes), &written));
    TRY(remove_stale(dataset));
    if (!current)
        TRY(shard_index_write(dataset->folder, index));
    log_info("%s: %lld rows in %lld shards, %lld rejected, index %s", dataset->folder, (long long)index->totals.rows,
             (long long)index->shard_count, (long long)index->rejects, current ? "current" : "written");
fail:
    return result;
}

/* Verifies all shards and fills the index and the lists with what they hold. */
static enum status verify(const struct prepare *prepare, const struct prepare_dataset *dataset,
                          struct shard_index *index, struct listed *listed)
{
    enum status result = STATUS_OK;
    size_t shards = (size_t)dataset->shards;
    struct verification verification = {
        .dataset = dataset,
        .records = calloc(shards + 1, sizeof *verification.records),
        .totals = calloc(shards + 1, sizeof *verification.totals),
        .status = calloc(shards + 1, sizeof *verification.status),
        .errors = calloc(shards + 1, sizeof *verification.errors),
    };
    if (!verification.records || !verification.totals || !verification.status || !verification.errors)
        FAIL(STATUS_INTERNAL, "out of memory");
    thread_pool_run(prepare->pool, dataset->shards, verify_task, &verification);
    TRY(gather(dataset, &verification, index, &listed->rejects));
    TRY(join_changes(dataset, verification.records, &listed->changes));
fail:
    for (size_t k = 0; k < shards; k++) {
        if (verification.records)
            shard_record_free(verification.records + k);
        if (verification.errors)
            free(verification.errors[k]);
    }
    free(verification.records);
    free(verification.totals);
    free(verification.status);
    free(verification.errors);
    return result;
}

/* Whether the published index was made from what is asked for now: then there is probably nothing to write. */
static bool is_probably_current(const struct prepare_dataset *dataset)
{
    struct shard_index present = {0};
    bool current = shard_index_read(dataset->folder, &present) == STATUS_OK &&
                   memcmp(&present.made_from, &dataset->made_from, sizeof present.made_from) == 0;
    shard_index_free(&present);
    return current;
}

enum status prepare_index(struct prepare *prepare, const struct prepare_dataset *dataset)
{
    enum status result = STATUS_OK;
    struct shard_index index = {0};
    struct file_lock *lock = NULL;
    struct listed listed = {0};
    if (!is_probably_current(dataset))
        TRY(prepare_lock_dataset(prepare, dataset));
    TRY(verify(prepare, dataset, &index, &listed));
    if (!prepare_has_locked(prepare, dataset) && (!is_published(dataset, &index) || prepare_has_staged(dataset))) {
        shard_index_free(&index);
        listed_free(&listed);
        TRY(prepare_lock_dataset(prepare, dataset)); /* what was verified without a lock may have changed */
        TRY(verify(prepare, dataset, &index, &listed));
    }
    if (prepare_has_locked(prepare, dataset))
        TRY(prepare_lock_index(prepare, dataset, &lock));
    TRY(publish(prepare, dataset, &index, &listed));
fail:
    lock_release(lock);
    shard_index_free(&index);
    listed_free(&listed);
    return result;
}
