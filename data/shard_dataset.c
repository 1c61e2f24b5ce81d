/* Reads a folder of shards as one list of rows. The shards touched last stay open: lanes visit rows at random, but
 * within windows of few shards (data/lanes_order.h), so that nearly every row lies in a shard that is open already. */
#include "data/shard_index.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct open_shard {
    struct shard *shard;
    int64_t number, touched;
};

static const int64_t DATASET_WINDOW_BYTES = (int64_t)2 << 30;

struct dataset {
    char *folder;
    struct shard_index index;
    int64_t *begins; /* [shards + 1] */
    struct open_shard *window;
    int64_t window_size;
    int64_t clock;
};

static enum status grow_window(struct dataset *dataset, int64_t shards)
{
    if (shards <= dataset->window_size)
        return STATUS_OK;
    struct open_shard *window = realloc(dataset->window, (size_t)shards * sizeof *window);
    if (!window)
        return status_set(STATUS_INTERNAL, "%s: no memory to keep %lld shards open", dataset->folder,
                          (long long)shards);
    memset(window + dataset->window_size, 0, (size_t)(shards - dataset->window_size) * sizeof *window);
    dataset->window = window;
    dataset->window_size = shards;
    return STATUS_OK;
}

enum status dataset_reserve(struct dataset *dataset, int64_t shards)
{
    int64_t largest = 1;
    for (int64_t i = 0; i < dataset->index.shard_count; i++)
        if (dataset->index.shards[i].bytes > largest)
            largest = dataset->index.shards[i].bytes;
    int64_t affordable = DATASET_WINDOW_BYTES / largest;
    if (shards > affordable)
        shards = affordable;
    if (shards > dataset->index.shard_count)
        shards = dataset->index.shard_count;
    return grow_window(dataset, shards);
}

/* Missing and truncated shards are found before work begins; damage inside them only when they are read. */
static enum status check_sizes(const char *folder, const struct shard_index *index)
{
    for (int64_t i = 0; i < index->shard_count; i++) {
        char path[PATH_BYTES];
        struct stat information;
        if (shard_path(folder, i, path) != STATUS_OK)
            return STATUS_USAGE;
        if (stat(path, &information) != 0)
            return status_set(STATUS_CORRUPT, "%s: the index of its folder names this shard, but it is missing", path);
        if (information.st_size != index->shards[i].bytes)
            return status_set(STATUS_CORRUPT, "%s: it has %lld bytes, but the index says %lld", path,
                              (long long)information.st_size, (long long)index->shards[i].bytes);
    }
    return STATUS_OK;
}

enum status dataset_open(const char *folder, struct dataset **dataset)
{
    enum status result = STATUS_OK;
    *dataset = calloc(1, sizeof **dataset);
    if (!*dataset || !((*dataset)->folder = strdup(folder)))
        FAIL(STATUS_INTERNAL, "%s: out of memory", folder);
    TRY(shard_index_read(folder, &(*dataset)->index));
    const struct shard_index *index = &(*dataset)->index;
    TRY(check_sizes(folder, index));
    (*dataset)->begins = calloc((size_t)index->shard_count + 1, sizeof *(*dataset)->begins);
    if (!(*dataset)->begins)
        FAIL(STATUS_INTERNAL, "%s: out of memory", folder);
    for (int64_t i = 0; i < index->shard_count; i++)
        (*dataset)->begins[i + 1] = (*dataset)->begins[i] + index->shards[i].rows;
    TRY(grow_window(*dataset, DATASET_WINDOW));
    return STATUS_OK;
fail:
    dataset_close(*dataset);
    *dataset = NULL;
    return result;
}

void dataset_close(struct dataset *dataset)
{
    if (!dataset)
        return;
    for (int64_t i = 0; i < dataset->window_size; i++)
        shard_close(dataset->window[i].shard);
    free(dataset->window);
    shard_index_free(&dataset->index);
    free(dataset->begins);
    free(dataset->folder);
    free(dataset);
}

const char *dataset_folder(const struct dataset *dataset)
{
    return dataset->folder;
}

enum dataset_kind dataset_kind(const struct dataset *dataset)
{
    return dataset->index.kind;
}

int64_t dataset_rows(const struct dataset *dataset)
{
    return dataset->index.totals.rows;
}

int64_t dataset_shards(const struct dataset *dataset)
{
    return dataset->index.shard_count;
}

int64_t dataset_shard_begin(const struct dataset *dataset, int64_t shard)
{
    return dataset->begins[shard];
}

const struct shard_fingerprints *dataset_fingerprints(const struct dataset *dataset)
{
    return &dataset->index.fingerprints;
}

const struct shard_totals *dataset_totals(const struct dataset *dataset)
{
    return &dataset->index.totals;
}

struct sha256 dataset_hash(const struct dataset *dataset)
{
    const struct shard_index *index = &dataset->index;
    struct sha256_stream *stream = sha256_start();
    const char *kind = dataset_kind_name(index->kind);
    sha256_add(stream, kind, strlen(kind) + 1);
    sha256_add(stream, index->fingerprints.stream, sizeof index->fingerprints.stream);
    sha256_add(stream, &index->fingerprints.rates, sizeof index->fingerprints.rates);
    for (int64_t i = 0; i < index->shard_count; i++)
        sha256_add(stream, index->shards[i].hash.bytes, sizeof index->shards[i].hash.bytes);
    return sha256_finish(stream);
}

static bool same_fingerprints(const struct shard_fingerprints *a, const struct shard_fingerprints *b)
{
    return memcmp(a->stream, b->stream, sizeof a->stream) == 0 && memcmp(&a->rates, &b->rates, sizeof a->rates) == 0;
}

static enum status open_into(struct dataset *dataset, int64_t number, struct open_shard *slot)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    const struct shard_entry *entry = dataset->index.shards + number;
    shard_close(slot->shard);
    slot->shard = NULL;
    TRY(shard_path(dataset->folder, number, path));
    TRY(shard_open(path, &entry->hash, &slot->shard));
    slot->number = number;
    if (shard_rows(slot->shard) != entry->rows)
        FAIL(STATUS_CORRUPT, "%s: it has %lld rows, but the index says %lld", path, (long long)shard_rows(slot->shard),
             (long long)entry->rows);
    if (dataset->index.kind == DATASET_SPEECH && entry->rows > 0 &&
        !same_fingerprints(shard_get_fingerprints(slot->shard), &dataset->index.fingerprints))
        FAIL(STATUS_CORRUPT, "%s: its fingerprints are not those of the index", path);
    return STATUS_OK;
fail:
    shard_close(slot->shard);
    slot->shard = NULL;
    return result;
}

/* The slot that holds the shard; otherwise an empty slot or the one touched longest ago. */
static struct open_shard *find_slot(struct dataset *dataset, int64_t number)
{
    struct open_shard *oldest = dataset->window;
    for (struct open_shard *slot = dataset->window; slot < dataset->window + dataset->window_size; slot++) {
        if (slot->shard && slot->number == number)
            return slot;
        int64_t age = slot->shard ? slot->touched : -1, oldest_age = oldest->shard ? oldest->touched : -1;
        if (age < oldest_age)
            oldest = slot;
    }
    return oldest;
}

enum status dataset_row(struct dataset *dataset, int64_t row, struct shard_row *out)
{
    if (row < 0 || row >= dataset->index.totals.rows)
        return status_set(STATUS_INTERNAL, "%s: there is no row %lld of %lld", dataset->folder, (long long)row,
                          (long long)dataset->index.totals.rows);
    int64_t low = 0, high = dataset->index.shard_count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (dataset->begins[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    struct open_shard *slot = find_slot(dataset, low);
    if (!slot->shard || slot->number != low) {
        enum status result = open_into(dataset, low, slot);
        if (result != STATUS_OK)
            return result;
    }
    slot->touched = ++dataset->clock;
    shard_row_get(slot->shard, row - dataset->begins[low], out);
    return STATUS_OK;
}
