/* The file: a magic text, then records one behind the other, each with a checksum over all that is in it. Records are found by the first bytes of
 * their hash in a table of places; ids lie in one array. */
#include "eval/unit_cache.h"

#include "core/array.h"
#include "core/hash.h"
#include "core/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[16] = "spiritlm units 1";
enum { MOST_IDS = 1 << 24 };

struct record_head {
    struct sha256 samples;
    uint32_t count, checksum; /* CRC32C of samples, count and ids */
};

struct entry {
    struct sha256 samples;
    int64_t first, count; /* of its ids */
};

struct unit_cache {
    struct file_lock *lock; /* NULL: somebody else writes */
    FILE *file;             /* NULL: nothing is added */
    char path[PATH_BYTES];
    struct entry *entries;
    int64_t count, capacity;
    int64_t *places; /* [place_count], a power of two: index of an entry + 1; 0: empty */
    int64_t place_count;
    int32_t *ids;
    int64_t id_count, id_capacity;
    bool failed; /* to write */
};

/* ---- in memory ---- */

static uint32_t checksum_of(const struct record_head *head, const int32_t *ids)
{
    uint32_t crc = crc32c(0, &head->samples, sizeof head->samples);
    crc = crc32c(crc, &head->count, sizeof head->count);
    return crc32c(crc, ids, (size_t)head->count * sizeof *ids);
}

static int64_t *place_of(const struct unit_cache *cache, const struct sha256 *samples)
{
    uint64_t at;
    memcpy(&at, samples->bytes, sizeof at);
    for (at &= (uint64_t)cache->place_count - 1;; at = (at + 1) & ((uint64_t)cache->place_count - 1)) {
        int64_t index = cache->places[at];
        if (index == 0 || memcmp(&cache->entries[index - 1].samples, samples, sizeof *samples) == 0)
            return &cache->places[at];
    }
}

static enum status grow_places(struct unit_cache *cache)
{
    int64_t wanted = cache->place_count ? 2 * cache->place_count : 1024;
    int64_t *places = calloc((size_t)wanted, sizeof *places);
    if (!places)
        return status_set(STATUS_INTERNAL, "no memory for a cache of units");
    free(cache->places);
    cache->places = places;
    cache->place_count = wanted;
    for (int64_t i = 0; i < cache->count; i++)
        *place_of(cache, &cache->entries[i].samples) = i + 1;
    return STATUS_OK;
}

static enum status remember(struct unit_cache *cache, const struct sha256 *samples, const int32_t *ids, int64_t count)
{
    enum status result = STATUS_OK;
    if (2 * (cache->count + 1) > cache->place_count)
        TRY(grow_places(cache));
    int64_t *place = place_of(cache, samples);
    if (*place != 0)
        return STATUS_OK;
    TRY(array_grow(&cache->entries, &cache->capacity, cache->count + 1, "cached recordings"));
    TRY(array_grow(&cache->ids, &cache->id_capacity, cache->id_count + count, "cached units"));
    if (count > 0)
        memcpy(cache->ids + cache->id_count, ids, (size_t)count * sizeof *ids);
    cache->entries[cache->count] = (struct entry){*samples, cache->id_count, count};
    cache->id_count += count;
    *place = ++cache->count;
fail:
    return result;
}

/* ---- the file ---- */

/* Reads records up to the first that is not whole; *whole is where they end. */
static enum status read_records(struct unit_cache *cache, FILE *file, int64_t *whole)
{
    enum status result = STATUS_OK;
    struct record_head head;
    int32_t *ids = NULL;
    int64_t capacity = 0;
    char text[sizeof magic];
    *whole = 0;
    if (fread(text, 1, sizeof text, file) != sizeof text || memcmp(text, magic, sizeof magic) != 0)
        return STATUS_OK;
    *whole = sizeof magic;
    while (fread(&head, sizeof head, 1, file) == 1 && head.count <= MOST_IDS) {
        TRY(array_grow(&ids, &capacity, (int64_t)head.count + 1, "units of a cached recording"));
        if (fread(ids, sizeof *ids, head.count, file) != head.count || checksum_of(&head, ids) != head.checksum)
            break;
        TRY(remember(cache, &head.samples, ids, head.count));
        *whole += (int64_t)(sizeof head + head.count * sizeof *ids);
    }
fail:
    free(ids);
    return result;
}

/* Opens the file for appending behind what is whole of it. */
static enum status open_for_writing(struct unit_cache *cache, int64_t whole)
{
    cache->file = fopen(cache->path, whole > 0 ? "r+b" : "w+b");
    if (!cache->file)
        return status_set_errno(STATUS_IO, errno, "%s: cannot be written", cache->path);
    if (whole > 0 && (ftruncate(fileno(cache->file), whole) != 0 || fseek(cache->file, 0, SEEK_END) != 0))
        return status_set_errno(STATUS_IO, errno, "%s: cannot be written", cache->path);
    if (whole == 0 && fwrite(magic, 1, sizeof magic, cache->file) != sizeof magic)
        return status_set_errno(STATUS_IO, errno, "%s: cannot be written", cache->path);
    return STATUS_OK;
}

/* Over the fingerprints of what ids depend on; false when one is not known. */
static bool make_identity(const struct components *components, struct sha256 *identity)
{
    static const enum component parts[] = {COMPONENT_HUBERT, COMPONENT_PITCH, COMPONENT_STYLE, COMPONENT_VOCABULARY};
    const struct sha256 none = {{0}};
    struct sha256 all[4];
    for (int i = 0; i < 4; i++) {
        bool optional = parts[i] == COMPONENT_PITCH || parts[i] == COMPONENT_STYLE;
        all[i] = components->fingerprints[parts[i]];
        bool absent = memcmp(&all[i], &none, sizeof none) == 0;
        if (absent && !(optional && components->vocabulary.pitch_count == 0))
            return false;
    }
    *identity = sha256_of(all, sizeof all);
    return true;
}

enum status unit_cache_open(const char *folder, const struct components *components, enum lock_policy locks,
                            struct unit_cache **out)
{
    enum status result = STATUS_OK;
    struct sha256 identity;
    struct unit_cache *cache = NULL;
    FILE *file = NULL;
    char hex[65];
    int64_t whole = 0;
    *out = NULL;
    if (!components->speech || !make_identity(components, &identity))
        return STATUS_OK;
    cache = calloc(1, sizeof *cache);
    if (!cache)
        return status_set(STATUS_INTERNAL, "no memory for a cache of units");
    sha256_hex(&identity, hex);
    TRY(path_format(cache->path, "%s/units_%.16s.cache", folder, hex));
    TRY(grow_places(cache));
    TRY(lock_acquire(&(struct lock_request){.folder = folder,
                                            .file = ".units.lock",
                                            .what = cache->path,
                                            .advice = "",
                                            .policy = locks,
                                            .patience = LOCK_TRY},
                     &cache->lock));
    file = fopen(cache->path, "rb");
    if (file)
        TRY(read_records(cache, file, &whole));
    if (cache->lock || locks == LOCKS_NONE)
        TRY(open_for_writing(cache, whole));
    *out = cache;
    cache = NULL;
fail:
    if (file)
        fclose(file);
    if (cache)
        unit_cache_close(cache);
    return result;
}

enum status unit_cache_close(struct unit_cache *cache)
{
    if (!cache)
        return STATUS_OK;
    bool failed = cache->failed;
    if (cache->file)
        failed = fclose(cache->file) != 0 || failed;
    if (cache->file && cache->count == 0)
        unlink(cache->path);
    lock_release(cache->lock);
    enum status result = failed ? status_set(STATUS_IO, "%s: not all of it was written", cache->path) : STATUS_OK;
    free(cache->entries);
    free(cache->places);
    free(cache->ids);
    free(cache);
    return result;
}

/* ---- use ---- */

bool unit_cache_find(const struct unit_cache *cache, const struct sha256 *samples, const int32_t **ids, int64_t *count)
{
    int64_t index = cache ? *place_of(cache, samples) : 0;
    if (index == 0)
        return false;
    *ids = cache->ids + cache->entries[index - 1].first;
    *count = cache->entries[index - 1].count;
    return true;
}

enum status unit_cache_add(struct unit_cache *cache, const struct sha256 *samples, const int32_t *ids, int64_t count)
{
    enum status result = STATUS_OK;
    struct record_head head = {.samples = *samples, .count = (uint32_t)count};
    if (!cache || count > MOST_IDS || *place_of(cache, samples) != 0)
        return STATUS_OK;
    TRY(remember(cache, samples, ids, count));
    if (!cache->file)
        return STATUS_OK;
    head.checksum = checksum_of(&head, ids);
    if (fwrite(&head, sizeof head, 1, cache->file) != 1 ||
        fwrite(ids, sizeof *ids, (size_t)count, cache->file) != (size_t)count)
        cache->failed = true;
fail:
    return result;
}

int64_t unit_cache_count(const struct unit_cache *cache)
{
    return cache ? cache->count : 0;
}
