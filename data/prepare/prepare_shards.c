/* The shards stage: rows [512k, 512k + 512) (prepare.shard_rows) of the manifest make shard k. What a shard holds
 * depends on these rows and the settings alone, so parts can be made by any process in any order, and a shard that
 * already exists and is whole is left alone. */
#include "data/prepare/prepare_internal.h"

#include "core/log.h"
#include "core/utf8.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The rows of one shard while the threads make them. */
struct batch {
    const struct prepare *prepare;
    const struct prepare_dataset *dataset;
    const struct manifest_row *rows;
    int64_t count;
    struct row_worker *workers;
    struct made_row made[SHARD_ROWS];
    enum status status[SHARD_ROWS];
    char *errors[SHARD_ROWS]; /* the failing threads' error texts */
    pthread_mutex_t mutex;    /* guards what follows */
    struct progress *progress;
    int64_t done, shards;
};

static void make_row(void *argument, int64_t task, int worker)
{
    struct batch *batch = argument;
    batch->status[task] =
        prepare_row(batch->prepare, batch->dataset, batch->rows + task, batch->workers + worker, batch->made + task);
    if (batch->status[task] != STATUS_OK)
        batch->errors[task] = strdup(status_text());
    pthread_mutex_lock(&batch->mutex);
    progress_update(batch->progress, ++batch->done, "");
    pthread_mutex_unlock(&batch->mutex);
}

/* Appends {"id": ..., KEY: ...}\n to the lines. */
static enum status add_line(char **lines, const char *id, const char *key, const char *reason)
{
    enum status result = STATUS_OK;
    char *line = NULL, *repaired = NULL;
    int64_t size = 0;
    bool malformed = false;
    json_t *object = NULL;
    TRY(utf8_repair(reason, (int64_t)strlen(reason), false, &repaired, &size, &malformed)); /* it may be cut */
    object = json_pack("{s:s, s:s}", "id", id, key, repaired);
    if (!object || !(line = jdoc_text(object, 0)))
        FAIL(STATUS_INTERNAL, "out of memory");
    size_t used = *lines ? strlen(*lines) : 0;
    char *longer = realloc(*lines, used + strlen(line) + 1);
    if (!longer)
        FAIL(STATUS_INTERNAL, "out of memory");
    *lines = longer;
    strcpy(*lines + used, line);
fail:
    free(line);
    free(repaired);
    json_decref(object);
    return result;
}

static enum status collect_row(const struct made_row *made, const char *id, struct shard_writer *writer,
                               struct shard_record *record)
{
    enum status result = STATUS_OK;
    if (made->reason[0]) {
        record->reject_count++;
        return add_line(&record->rejects, id, "reason", made->reason);
    }
    for (int i = 0; i < made->change_count; i++)
        TRY(add_line(&record->changes, id, "change", made->changes[i]));
    TRY(shard_writer_add(writer, &made->row));
fail:
    return result;
}

/* Adds the rows in the manifest's order, whatever the order in which the threads finished. */
static enum status collect_rows(const struct batch *batch, struct shard_writer *writer, struct shard_record *record,
                                struct alignment_store *alignments)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < batch->count; i++) {
        const struct made_row *made = batch->made + i;
        if (batch->status[i] != STATUS_OK)
            FAIL(batch->status[i], "%s:%lld: %s", batch->dataset->manifest.path, (long long)batch->rows[i].line,
                 batch->errors[i] ? batch->errors[i] : "out of memory");
        if (made->aligned_here)
            TRY(alignment_store_add(alignments, &made->alignment));
        result = collect_row(made, batch->rows[i].id ? batch->rows[i].id : "", writer, record);
        if (result != STATUS_OK)
            return status_prefix(result, "%s:%lld", batch->dataset->manifest.path, (long long)batch->rows[i].line);
    }
fail:
    return result;
}

static enum status write_shard(const struct batch *batch, int64_t number)
{
    enum status result = STATUS_OK;
    const struct prepare_dataset *dataset = batch->dataset;
    struct shard_writer *writer = NULL;
    struct shard_record record = {.made_from = dataset->made_from};
    struct alignment_store alignments = {0};
    char path[PATH_BYTES];
    TRY(shard_writer_create(&writer));
    TRY(collect_rows(batch, writer, &record, &alignments));
    TRY(alignment_store_write(dataset->folder, number, &alignments));
    TRY(prepare_new_shard_path(dataset, number, path));
    record.entry.rows = shard_writer_rows(writer);
    TRY(shard_writer_write(writer, path, &dataset->fingerprints, &record.entry.bytes, &record.entry.hash));
    TRY(shard_record_write(dataset->folder, number, &record));
fail:
    alignment_store_free(&alignments);
    shard_record_free(&record);
    shard_writer_free(writer);
    return result;
}

static enum status make_shard(struct batch *batch, int64_t number)
{
    const struct prepare_dataset *dataset = batch->dataset;
    batch->rows = dataset->manifest.rows + number * dataset->shard_rows;
    batch->count = prepare_shard_count(dataset, number);
    struct alignment_store known;
    enum status result = alignment_store_read(dataset->folder, number, &known);
    if (result != STATUS_OK)
        return result;
    for (int i = 0; i < thread_pool_threads(batch->prepare->pool); i++)
        batch->workers[i].known = &known;
    thread_pool_run(batch->prepare->pool, batch->count, make_row, batch);
    alignment_store_free(&known);
    result = write_shard(batch, number);
    for (int64_t i = 0; i < batch->count; i++) {
        made_row_free(batch->made + i);
        free(batch->errors[i]);
        batch->errors[i] = NULL;
    }
    return result;
}

static bool newer(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* Whether a row's audio was written after the shard was. */
static bool audio_changed(const struct prepare_dataset *dataset, int64_t number)
{
    char path[PATH_BYTES];
    struct stat record, audio;
    if (dataset->kind == DATASET_TEXT || dataset->ready)
        return false;
    if (shard_record_path(dataset->folder, number, path) != STATUS_OK || stat(path, &record) != 0)
        return true;
    const struct manifest_row *rows = dataset->manifest.rows + number * dataset->shard_rows;
    for (int64_t i = 0; i < prepare_shard_count(dataset, number); i++)
        if (!rows[i].fault && stat(rows[i].audio, &audio) == 0 && newer(&audio.st_mtim, &record.st_mtim))
            return true;
    return false;
}

/* Whether shard `number` exists, is whole, and was made from what is asked for now. `quiet`: damage was reported before. */
static bool is_current(const struct prepare_dataset *dataset, int64_t number, bool quiet)
{
    struct shard_record record;
    struct shard *shard = NULL;
    char path[PATH_BYTES];
    enum status status = shard_record_read(dataset->folder, number, &record);
    if (status == STATUS_CORRUPT && !quiet)
        log_warning("%s; the shard is made again", status_text());
    if (status != STATUS_OK)
        return false;
    bool current = memcmp(record.made_from.bytes, dataset->made_from.bytes, sizeof record.made_from.bytes) == 0 &&
                   !audio_changed(dataset, number);
    if (current) {
        status = prepare_open_shard(dataset, number, &record.entry.hash, path, &shard);
        current = status == STATUS_OK;
        if (status == STATUS_CORRUPT && !quiet)
            log_warning("%s; it is made again", status_text());
        shard_close(shard);
    }
    shard_record_free(&record);
    return current;
}

static enum status make_folders(const struct prepare_dataset *dataset)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    TRY(path_format(path, "%s/parts", dataset->folder));
    TRY(make_directories(path));
    TRY(remove_leftovers(dataset->folder)); /* of runs that were killed */
    TRY(remove_leftovers(path));
fail:
    return result;
}

/* Whether all shards of this part seem to be current, going by their records alone. */
static bool all_seem_current(const struct prepare *prepare, const struct prepare_dataset *dataset)
{
    bool current = true;
    for (int64_t k = prepare->options->part - 1; current && k < dataset->shards; k += prepare->options->parts) {
        struct shard_record record;
        current = shard_record_read(dataset->folder, k, &record) == STATUS_OK &&
                  memcmp(&record.made_from, &dataset->made_from, sizeof record.made_from) == 0 &&
                  !audio_changed(dataset, k);
        shard_record_free(&record);
    }
    return current;
}

struct survey {
    const struct prepare *prepare;
    const struct prepare_dataset *dataset;
    bool *current; /* of this part's shards, in order */
};

static void survey_shard(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct survey *survey = argument;
    const struct prepare_options *options = survey->prepare->options;
    survey->current[task] = is_current(survey->dataset, options->part - 1 + task * options->parts, false);
}

/* The numbers of this part's shards that must be made, and their rows. */
static enum status list_missing(const struct prepare *prepare, const struct prepare_dataset *dataset, int64_t owned,
                                int64_t *missing, int64_t *count, int64_t *rows)
{
    struct survey survey = {prepare, dataset, calloc((size_t)owned + 1, sizeof *survey.current)};
    if (!survey.current)
        return status_set(STATUS_INTERNAL, "out of memory");
    thread_pool_run(prepare->pool, owned, survey_shard, &survey);
    for (int64_t i = 0; i < owned; i++) {
        if (survey.current[i])
            continue;
        int64_t number = prepare->options->part - 1 + i * prepare->options->parts;
        missing[(*count)++] = number;
        *rows += prepare_shard_count(dataset, number);
    }
    free(survey.current);
    return STATUS_OK;
}

/* Makes one shard, unless another process has made it meanwhile. */
static enum status make_if_missing(struct batch *batch, int64_t number, bool wait, bool *busy)
{
    enum status result = STATUS_OK;
    struct file_lock *lock = NULL;
    TRY(prepare_lock_shard(batch->prepare, batch->dataset, number, wait, &lock, busy));
    if (*busy)
        return STATUS_OK;
    if (is_current(batch->dataset, number, true)) {
        batch->done += prepare_shard_count(batch->dataset, number);
    } else {
        TRY(make_shard(batch, number));
        batch->shards++;
    }
fail:
    lock_release(lock);
    return result;
}

/* A shard that another process is making comes last: by then it is made, or its maker has died. */
static enum status make_all(struct batch *batch, int64_t *missing, int64_t count)
{
    enum status result = STATUS_OK;
    int64_t deferred = 0;
    bool busy = false;
    for (int64_t i = 0; i < count; i++) {
        TRY(make_if_missing(batch, missing[i], false, &busy));
        if (busy)
            missing[deferred++] = missing[i];
    }
    for (int64_t i = 0; i < deferred; i++)
        TRY(make_if_missing(batch, missing[i], true, &busy));
fail:
    return result;
}

static enum status make_missing(struct prepare *prepare, const struct prepare_dataset *dataset, int64_t *missing,
                                int64_t count, int64_t rows, int64_t *made)
{
    enum status result = STATUS_OK;
    int threads = thread_pool_threads(prepare->pool);
    struct progress progress;
    struct batch *batch = calloc(1, sizeof *batch);
    struct row_worker *workers = calloc((size_t)threads, sizeof *workers);
    if (!batch || !workers)
        FAIL(STATUS_INTERNAL, "out of memory");
    *batch = (struct batch){.prepare = prepare, .dataset = dataset, .workers = workers, .progress = &progress};
    pthread_mutex_init(&batch->mutex, NULL);
    progress_start(&progress, dataset->name, "rows", rows);
    result = make_all(batch, missing, count);
    progress_finish(&progress, batch->done, "");
    pthread_mutex_destroy(&batch->mutex);
    *made = batch->shards;
fail:
    for (int i = 0; workers && i < threads; i++)
        row_worker_free(workers + i);
    free(workers);
    free(batch);
    return result;
}

enum status prepare_shards(struct prepare *prepare, const struct prepare_dataset *dataset)
{
    enum status result = STATUS_OK;
    const struct prepare_options *options = prepare->options;
    int64_t owned = (dataset->shards - options->part + options->parts) / options->parts, count = 0, rows = 0, made = 0;
    int64_t *missing = calloc((size_t)owned + 1, sizeof *missing);
    if (!missing)
        FAIL(STATUS_INTERNAL, "out of memory");
    if (!all_seem_current(prepare, dataset))
        TRY(prepare_lock_dataset(prepare, dataset)); /* so that what is found missing or current stays so */
    TRY(make_folders(dataset));
    TRY(list_missing(prepare, dataset, owned, missing, &count, &rows));
    if (count > 0) {
        TRY(prepare_lock_dataset(prepare, dataset));
        TRY(make_missing(prepare, dataset, missing, count, rows, &made));
    }
    log_info("%s: made %lld shards; %lld were current and whole%s", dataset->folder, (long long)made,
             (long long)(owned - count), made < count ? ", the others were made by another process meanwhile" : "");
fail:
    free(missing);
    return result;
}
