/* The zip format of torch.save: below one folder, data.pkl is the pickle of the value, and data/KEY the elements of each
 * storage. Beside them there may be the byte order, version numbers, and for TorchScript code, which is ignored. */
#include "io/weights/torch_archive.h"

#include "io/weights/torch_internal.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_BYTES = 4, FOLDER_LIMIT = 1000, KEY_LIMIT = 200 };
static const int64_t CHECKED_AT_ONCE = 1 << 20; /* records below this have their CRC checked when a file is opened */

/* The record FOLDER/NAME, where FOLDER is the first `folder_length` characters of `folder`. */
static const struct zip_record *find(const struct torch_archive *archive, const char *folder, int64_t folder_length,
                                     const char *subfolder, const char *name, int64_t length)
{
    char path[FOLDER_LIMIT + KEY_LIMIT + 8];
    int64_t middle = (int64_t)strlen(subfolder);
    if (folder_length > FOLDER_LIMIT || length > KEY_LIMIT)
        return NULL;
    memcpy(path, folder, (size_t)folder_length);
    memcpy(path + folder_length, subfolder, (size_t)middle);
    memcpy(path + folder_length + middle, name, (size_t)length);
    return zip_archive_find(&archive->zip, path, folder_length + middle + length);
}

/* FOLDER/data.pkl; the folder is named after the file that was saved. */
static enum status find_pickle(const struct torch_archive *archive, const struct zip_record **pickle)
{
    static const char end[] = "/data.pkl";
    const int64_t tail = sizeof end - 1;
    *pickle = NULL;
    for (int64_t i = 0; i < archive->zip.count; i++) {
        const struct zip_record *record = &archive->zip.records[i];
        int64_t folder = record->name_length - tail;
        if (folder < 1 || folder > FOLDER_LIMIT || memcmp(record->name + folder, end, (size_t)tail) != 0 ||
            memchr(record->name, '/', (size_t)folder))
            continue;
        if (*pickle)
            return status_set(STATUS_CORRUPT, "%s: two records data.pkl", archive->file.path);
        *pickle = record;
    }
    return *pickle ? STATUS_OK
                   : status_set(STATUS_CORRUPT, "%s: a zip file without FOLDER/data.pkl: torch.save did not write it",
                                archive->file.path);
}

static enum status check_byte_order(const struct torch_archive *archive, const struct zip_record *pickle)
{
    const struct zip_record *order = find(archive, pickle->name, pickle->name_length - 8, "", "byteorder", 9);
    if (order && (order->size != 6 || memcmp(archive->file.bytes + order->begin, "little", 6) != 0))
        return status_set(STATUS_CORRUPT, "%s: expected the byte order \"little\", found \"%.*s\"", archive->file.path,
                          (int)(order->size < 20 ? order->size : 20), (const char *)archive->file.bytes + order->begin);
    return STATUS_OK;
}

static enum status place_storages(struct torch_archive *archive, const struct zip_record *pickle)
{
    for (struct torch_storage *storage = archive->objects.storages; storage; storage = storage->next) {
        const struct zip_record *record =
            find(archive, pickle->name, pickle->name_length - 8, "data/", storage->key, storage->key_length);
        int shown = storage->key_length < KEY_LIMIT ? (int)storage->key_length : KEY_LIMIT;
        int64_t bytes;
        if (!record)
            return status_set(STATUS_CORRUPT, "%s: the storage \"%.*s\" of a tensor is missing", archive->file.path,
                              shown, storage->key);
        if (__builtin_mul_overflow(storage->stored, storage->width, &bytes) || bytes != record->size)
            return status_set(STATUS_CORRUPT, "%s: storage \"%.*s\": expected %lld elements of %s, found %lld bytes",
                              archive->file.path, shown, storage->key, (long long)storage->stored, storage->class_name,
                              (long long)record->size);
        storage->bytes = archive->file.bytes + record->begin;
    }
    return STATUS_OK;
}

static enum status read_zip(struct torch_archive *archive)
{
    enum status result = STATUS_OK;
    const struct zip_record *pickle;
    struct pickle_meaning meaning = torch_objects_meaning(&archive->objects);
    int64_t used = 0;
    TRY(zip_archive_read(&archive->file, &archive->zip));
    TRY(find_pickle(archive, &pickle));
    for (int64_t i = 0; i < archive->zip.count; i++)
        if (archive->zip.records[i].size < CHECKED_AT_ONCE)
            TRY(zip_record_verify(&archive->zip, &archive->zip.records[i]));
    TRY(check_byte_order(archive, pickle));
    TRY(pickle_read(&archive->memory, &meaning, archive->file.bytes + pickle->begin, pickle->size, pickle->begin, &used,
                    &archive->root));
    if (used != pickle->size)
        FAIL(STATUS_CORRUPT, "%s: %lld bytes behind the end of its pickle", archive->file.path,
             (long long)(pickle->size - used));
    TRY(place_storages(archive, pickle));
fail:
    return result;
}

/* A pickle from protocol 2 on, which joblib's have and the older ones do not. */
static bool pickle_begins(const unsigned char *head, int64_t size)
{
    return size >= 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5;
}

static enum status read_pickle(struct torch_archive *archive)
{
    struct pickle_meaning meaning = torch_objects_meaning_joblib(&archive->objects);
    int64_t used = 0;
    enum status result =
        pickle_read(&archive->memory, &meaning, archive->file.bytes, archive->file.size, 0, &used, &archive->root);
    if (result == STATUS_OK && used != archive->file.size)
        return status_set(STATUS_CORRUPT, "%s: %lld bytes behind the end of its pickle", archive->file.path,
                          (long long)(archive->file.size - used));
    return result;
}

/* What joblib.dump may have compressed a pickle with; NULL: nothing. */
static const char *compression_of(const unsigned char *head)
{
    static const struct {
        unsigned char magic[4];
        int length;
        const char *name;
    } kinds[] = {{{0x78, 0x01}, 2, "zlib"},           {{0x78, 0x5e}, 2, "zlib"},        {{0x78, 0x9c}, 2, "zlib"},
                 {{0x78, 0xda}, 2, "zlib"},           {{'Z', 'F'}, 2, "zlib"},          {{0x1f, 0x8b}, 2, "gzip"},
                 {{'B', 'Z', 'h'}, 3, "bz2"},         {{0xfd, '7', 'z', 'X'}, 4, "xz"}, {{0x5d, 0, 0}, 3, "lzma"},
                 {{0x04, 0x22, 0x4d, 0x18}, 4, "lz4"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (memcmp(head, kinds[i].magic, (size_t)kinds[i].length) == 0)
            return kinds[i].name;
    return NULL;
}

bool torch_archive_begins(const unsigned char *head, int64_t size)
{
    return (size >= 4 && memcmp(head, "PK\3\4", 4) == 0) || pickle_begins(head, size);
}

static enum status read_form(struct torch_archive *archive)
{
    const unsigned char *head = archive->file.bytes;
    bool zip = memcmp(head, "PK\3\4", 4) == 0;
    archive->form = zip                                             ? TORCH_FORM_ZIP
                    : torch_stream_begins(head, archive->file.size) ? TORCH_FORM_STREAM
                                                                    : TORCH_FORM_PICKLE;
    if (zip)
        return read_zip(archive);
    if (archive->form == TORCH_FORM_STREAM)
        return torch_stream_read(archive);
    if (pickle_begins(head, archive->file.size))
        return read_pickle(archive);
    const char *compression = compression_of(head);
    if (compression)
        return status_set(STATUS_CORRUPT, "%s: compressed with %s; joblib.dump without `compress` writes it plainly",
                          archive->file.path, compression);
    return status_set(
        STATUS_CORRUPT,
        "%s: expected a file of PyTorch, found neither a zip file nor its older stream format nor a pickle",
        archive->file.path);
}

enum status torch_archive_open(const char *path, struct torch_archive **out)
{
    enum status result = STATUS_OK;
    struct torch_archive *archive = calloc(1, sizeof *archive);
    *out = NULL;
    if (!archive)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(mapped_file_open(path, LEAST_BYTES, "file of PyTorch", &archive->file));
    archive->memory = (struct pickle_memory){.path = archive->file.path, .limit = TORCH_VALUES_LIMIT};
    archive->objects = (struct torch_objects){.memory = &archive->memory};
    TRY(read_form(archive));
    torch_objects_place(&archive->objects);
    TRY(torch_objects_finish(&archive->objects, &archive->root));
    TRY(torch_names_list(archive));
    *out = archive;
    return STATUS_OK;
fail:
    torch_archive_close(archive);
    return result;
}

void torch_archive_close(struct torch_archive *archive)
{
    if (!archive)
        return;
    pickle_memory_free(&archive->memory);
    zip_archive_free(&archive->zip);
    mapped_file_close(&archive->file);
    free(archive);
}

enum torch_form torch_archive_form(const struct torch_archive *archive)
{
    return archive->form;
}

const struct torch_value *torch_archive_root(const struct torch_archive *archive)
{
    return &archive->root;
}

int64_t torch_archive_count(const struct torch_archive *archive)
{
    return archive->count;
}

const struct stored_tensor *torch_archive_tensor(const struct torch_archive *archive, int64_t index)
{
    return &archive->tensors[index];
}

static int compare_name(const void *name, const void *tensor)
{
    return strcmp(name, ((const struct stored_tensor *)tensor)->name);
}

const struct stored_tensor *torch_archive_find(const struct torch_archive *archive, const char *name)
{
    if (archive->count == 0)
        return NULL;
    return bsearch(name, archive->tensors, (size_t)archive->count, sizeof *archive->tensors, compare_name);
}

int64_t torch_archive_class_count(const struct torch_archive *archive)
{
    return archive->objects.class_count;
}

const char *torch_archive_class(const struct torch_archive *archive, int64_t index)
{
    return archive->objects.classes[index]->name;
}

enum status torch_archive_verify(const struct torch_archive *archive)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; result == STATUS_OK && i < archive->zip.count; i++)
        result = zip_record_verify(&archive->zip, &archive->zip.records[i]);
    return result;
}
