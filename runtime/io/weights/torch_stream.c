/* The format of torch.save before PyTorch 1.6, and of its _use_new_zipfile_serialization=False: five pickles one after the
 * other (a magic number, the version, facts about the machine, the value, the keys of the storages), then for each key in
 * that order the number of elements, 8 bytes, and the elements. */
#include "io/weights/torch_internal.h"

#include <stdlib.h>
#include <string.h>

enum { PROTOCOL_VERSION = 1001, LENGTH_BYTES = 8, FRAME_BYTES = 9 };

/* PROTO n; a FRAME from protocol 4 on; LONG1 with 10 bytes; STOP. */
bool torch_stream_begins(const unsigned char *head, int64_t size)
{
    static const unsigned char magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
    if (size < 2 || head[0] != 0x80 || head[1] < 2 || head[1] > 5)
        return false;
    int64_t at = head[1] >= 4 ? 2 + FRAME_BYTES : 2;
    return size >= at + (int64_t)sizeof magic && memcmp(head + at, magic, sizeof magic) == 0;
}

static int compare_keys(const struct torch_storage *storage, const char *key, int64_t length)
{
    int64_t common = storage->key_length < length ? storage->key_length : length;
    int order = common > 0 ? memcmp(storage->key, key, (size_t)common) : 0;
    return order != 0 ? order : storage->key_length < length ? -1 : storage->key_length > length;
}

static int compare_storages(const void *a, const void *b)
{
    const struct torch_storage *right = *(struct torch_storage *const *)b;
    return compare_keys(*(struct torch_storage *const *)a, right->key, right->key_length);
}

/* All mentions of a storage, sorted by key, get its place; *at moves behind it. */
static enum status place_storage(struct torch_archive *archive, struct torch_storage **storages, int64_t count,
                                 const struct torch_value *key, int64_t *at)
{
    const char *path = archive->file.path;
    int64_t low = 0, high = count, bytes;
    int shown = key->size < 100 ? (int)key->size : 100;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (compare_keys(storages[middle], key->text, key->size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count || compare_keys(storages[low], key->text, key->size) != 0)
        return status_set(STATUS_CORRUPT, "%s: no tensor uses its storage \"%.*s\"", path, shown, key->text);
    struct torch_storage *first = storages[low];
    if (first->bytes)
        return status_set(STATUS_CORRUPT, "%s: two storages \"%.*s\"", path, shown, key->text);
    if (archive->file.size - *at < LENGTH_BYTES)
        return status_set(STATUS_CORRUPT, "%s: it ends before its storage \"%.*s\"", path, shown, key->text);
    uint64_t announced = 0;
    for (int i = 0; i < LENGTH_BYTES; i++)
        announced |= (uint64_t)archive->file.bytes[*at + i] << (8 * i);
    *at += LENGTH_BYTES;
    if (announced != (uint64_t)first->stored)
        return status_set(STATUS_CORRUPT, "%s: storage \"%.*s\": expected %lld elements, found %llu", path, shown,
                          key->text, (long long)first->stored, (unsigned long long)announced);
    if (__builtin_mul_overflow(first->stored, first->width, &bytes) || bytes > archive->file.size - *at)
        return status_set(STATUS_CORRUPT, "%s: storage \"%.*s\": expected %lld elements, found %lld bytes", path, shown,
                          key->text, (long long)first->stored, (long long)(archive->file.size - *at));
    for (; low < count && compare_keys(storages[low], key->text, key->size) == 0; low++) {
        if (storages[low]->width != first->width || storages[low]->type != first->type ||
            storages[low]->stored != first->stored)
            return status_set(STATUS_CORRUPT, "%s: storage \"%.*s\" is of two types or sizes", path, shown, key->text);
        storages[low]->bytes = archive->file.bytes + *at;
    }
    *at += bytes;
    return STATUS_OK;
}

static enum status place_storages(struct torch_archive *archive, const struct torch_value *keys, int64_t at)
{
    enum status result = STATUS_OK;
    const char *path = archive->file.path;
    int64_t count = archive->objects.storage_count, i = 0;
    struct torch_storage **storages = malloc((size_t)(count + 1) * sizeof *storages);
    if (!storages)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    for (struct torch_storage *storage = archive->objects.storages; storage; storage = storage->next)
        storages[i++] = storage;
    qsort(storages, (size_t)count, sizeof *storages, compare_storages);
    if (keys->kind != TORCH_LIST)
        FAIL(STATUS_CORRUPT, "%s: the keys of its storages are not a list", path);
    for (i = 0; i < keys->items->count; i++) {
        const struct torch_value *key = &keys->items->values[i];
        if (key->kind != TORCH_STRING)
            FAIL(STATUS_CORRUPT, "%s: the key of a storage is not a text", path);
        TRY(place_storage(archive, storages, count, key, &at));
    }
    for (i = 0; i < count; i++)
        if (!storages[i]->bytes)
            FAIL(STATUS_CORRUPT, "%s: the storage \"%.*s\" of a tensor is missing", path,
                 (int)(storages[i]->key_length < 100 ? storages[i]->key_length : 100), storages[i]->key);
    if (at != archive->file.size)
        FAIL(STATUS_CORRUPT, "%s: %lld bytes behind its last storage", path, (long long)(archive->file.size - at));
fail:
    free(storages);
    return result;
}

enum status torch_stream_read(struct torch_archive *archive)
{
    enum status result = STATUS_OK;
    enum { MAGIC, VERSION, MACHINE, VALUE, KEYS, PICKLES };
    struct torch_value values[PICKLES] = {{0}};
    const char *path = archive->file.path;
    struct pickle_meaning meaning = torch_objects_meaning(&archive->objects);
    int64_t at = 0, used = 0;
    for (int i = 0; i < PICKLES; i++) {
        TRY(pickle_read(&archive->memory, &meaning, archive->file.bytes + at, archive->file.size - at, at, &used,
                        &values[i]));
        at += used;
        if (i == VERSION && (values[i].kind != TORCH_INTEGER || values[i].integer != PROTOCOL_VERSION))
            FAIL(STATUS_CORRUPT, "%s: expected version %d of PyTorch's stream format", path, PROTOCOL_VERSION);
        const struct torch_value *little = i == MACHINE ? torch_value_get(&values[i], "little_endian") : NULL;
        if (i == MACHINE && (!little || little->kind != TORCH_BOOL || !little->boolean))
            FAIL(STATUS_CORRUPT, "%s: written on a machine that has the highest byte of a number first", path);
    }
    TRY(place_storages(archive, &values[KEYS], at));
    archive->root = values[VALUE];
fail:
    return result;
}
