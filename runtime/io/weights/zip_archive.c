/* The directory of a zip file. It stands at the end of the file and says where each record's own header is; the header says
 * where the data begin. Both are read and must agree: a reader that trusts only one of the two can be shown another file
 * than a reader that trusts the other. */
#include "io/weights/zip_archive.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    CENTRAL_BYTES = 46,
    LOCAL_BYTES = 30,
    RECORDS_LIMIT = 200000, /* of real models: some thousands */
    FLAG_DESCRIPTOR = 1 << 3,
    FLAG_UTF8 = 1 << 11,
    EXTRA_ZIP64 = 1,
    SHOWN = 200 /* characters of a name in an error */
};
static const uint32_t IN_ZIP64 = 0xffffffffu; /* in place of a size or an offset */

static uint64_t little(const unsigned char *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static bool has_signature(const unsigned char *bytes, unsigned char third, unsigned char fourth)
{
    return bytes[0] == 'P' && bytes[1] == 'K' && bytes[2] == third && bytes[3] == fourth;
}

static int shown(const struct zip_record *record)
{
    return record->name_length < SHOWN ? (int)record->name_length : SHOWN;
}

/* Sets an error about one record. */
static enum status refuse(const struct zip_archive *archive, const struct zip_record *record, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum status refuse(const struct zip_archive *archive, const struct zip_record *record, const char *format, ...)
{
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return status_set(STATUS_CORRUPT, "%s: record \"%.*s\": %s", archive->file->path, shown(record), record->name,
                      reason);
}

/* ---- the end of the file ---- */

struct directory {
    uint64_t begin, size, count;
};

/* ZIP64 keeps the large numbers in a record of its own, found through a locator before the end record. */
static enum status read_end64(const struct mapped_file *file, int64_t locator_at, struct directory *directory)
{
    const unsigned char *locator = file->bytes + locator_at;
    uint64_t at = little(locator + 8, 8);
    if (little(locator + 4, 4) != 0 || little(locator + 16, 4) != 1)
        return status_set(STATUS_CORRUPT, "%s: a zip file in several parts is not supported", file->path);
    if (locator_at < END64_BYTES || at > (uint64_t)(locator_at - END64_BYTES) ||
        !has_signature(file->bytes + at, 6, 6) || little(file->bytes + at + 4, 8) != (uint64_t)locator_at - at - 12)
        return status_set(STATUS_CORRUPT, "%s: its zip directory has no ZIP64 end record at byte %llu", file->path,
                          (unsigned long long)at);
    const unsigned char *end = file->bytes + at;
    if (little(end + 16, 8) != 0 || little(end + 24, 8) != little(end + 32, 8))
        return status_set(STATUS_CORRUPT, "%s: a zip file in several parts is not supported", file->path);
    struct directory large = {little(end + 48, 8), little(end + 40, 8), little(end + 32, 8)};
    if ((directory->count != large.count && directory->count != 0xffff) ||
        (directory->size != large.size && directory->size != IN_ZIP64) ||
        (directory->begin != large.begin && directory->begin != IN_ZIP64))
        return status_set(STATUS_CORRUPT, "%s: the two end records of its zip directory contradict each other",
                          file->path);
    *directory = large;
    if (directory->begin > at || directory->size != at - directory->begin)
        return status_set(STATUS_CORRUPT, "%s: its zip directory of %llu bytes at byte %llu does not end at byte %llu",
                          file->path, (unsigned long long)directory->size, (unsigned long long)directory->begin,
                          (unsigned long long)at);
    return STATUS_OK;
}

static enum status read_end(const struct mapped_file *file, struct directory *directory)
{
    int64_t at = file->size - END_BYTES;
    if (at < 0 || !has_signature(file->bytes + at, 5, 6) || little(file->bytes + at + 20, 2) != 0)
        return status_set(STATUS_CORRUPT,
                          "%s: expected the end record of a zip directory in its last 22 bytes: cut off, or "
                          "followed by something else",
                          file->path);
    const unsigned char *end = file->bytes + at;
    if (little(end + 4, 4) != 0 || little(end + 8, 2) != little(end + 10, 2))
        return status_set(STATUS_CORRUPT, "%s: a zip file in several parts is not supported", file->path);
    *directory = (struct directory){little(end + 16, 4), little(end + 12, 4), little(end + 10, 2)};
    if (at >= LOCATOR_BYTES && has_signature(end - LOCATOR_BYTES, 6, 7)) {
        enum status result = read_end64(file, at - LOCATOR_BYTES, directory);
        if (result != STATUS_OK)
            return result;
    } else if (directory->begin > (uint64_t)at || directory->size != (uint64_t)at - directory->begin) {
        return status_set(STATUS_CORRUPT, "%s: its zip directory of %llu bytes at byte %llu does not end at byte %lld",
                          file->path, (unsigned long long)directory->size, (unsigned long long)directory->begin,
                          (long long)at);
    }
    if (directory->count > RECORDS_LIMIT || directory->count * CENTRAL_BYTES > directory->size)
        return status_set(
            STATUS_CORRUPT, "%s: its zip directory of %llu bytes announces %llu records; at most %d are supported",
            file->path, (unsigned long long)directory->size, (unsigned long long)directory->count, RECORDS_LIMIT);
    return STATUS_OK;
}

/* ---- one record ---- */

struct sizes {
    uint64_t whole, stored, header;
};

/* Replaces what a header left to ZIP64's extra field. False when that is missing or too short. */
static bool take_zip64(const unsigned char *extra, uint64_t length, struct sizes *sizes)
{
    uint64_t *wanted[] = {&sizes->whole, &sizes->stored, &sizes->header};
    if (sizes->whole != IN_ZIP64 && sizes->stored != IN_ZIP64 && sizes->header != IN_ZIP64)
        return true;
    while (length >= 4) {
        uint64_t id = little(extra, 2), size = little(extra + 2, 2);
        if (size > length - 4)
            return false;
        if (id == EXTRA_ZIP64) {
            const unsigned char *at = extra + 4;
            for (int i = 0; i < 3; i++) {
                if (*wanted[i] != IN_ZIP64)
                    continue;
                if (size < 8)
                    return false;
                *wanted[i] = little(at, 8);
                at += 8;
                size -= 8;
            }
            return true;
        }
        extra += 4 + size;
        length -= 4 + size;
    }
    return false;
}

/* The record's own header: of the same name, method and flags, and with the same numbers unless these come later. */
static enum status check_local(const struct zip_archive *archive, struct zip_record *record, uint64_t flags,
                               int64_t limit)
{
    if (record->header > limit - LOCAL_BYTES)
        return refuse(archive, record, "its header at byte %lld lies outside of the %lld bytes before the directory",
                      (long long)record->header, (long long)limit);
    const unsigned char *local = archive->file->bytes + record->header;
    uint64_t name_length = little(local + 26, 2), extra_length = little(local + 28, 2);
    if (!has_signature(local, 3, 4))
        return refuse(archive, record, "no header at byte %lld", (long long)record->header);
    record->begin = record->header + LOCAL_BYTES + (int64_t)(name_length + extra_length);
    if (record->begin > limit || record->size > limit - record->begin)
        return refuse(archive, record, "its %lld bytes at byte %lld reach past the %lld bytes before the directory",
                      (long long)record->size, (long long)record->begin, (long long)limit);
    if ((int64_t)name_length != record->name_length ||
        memcmp(local + LOCAL_BYTES, record->name, (size_t)name_length) != 0)
        return refuse(archive, record, "its header has another name");
    if (little(local + 6, 2) != flags || little(local + 8, 2) != 0)
        return refuse(archive, record, "its header has another method or other flags than the directory");
    struct sizes sizes = {little(local + 22, 4), little(local + 18, 4), 0};
    uint64_t crc = little(local + 14, 4);
    bool blank = record->descriptor && sizes.whole == 0 && sizes.stored == 0 && crc == 0;
    if (blank)
        return STATUS_OK;
    if (record->descriptor && crc == 0 && sizes.whole == IN_ZIP64 && sizes.stored == IN_ZIP64)
        return STATUS_OK; /* the extra field's numbers are as blank as those of the header */
    if (!take_zip64(local + LOCAL_BYTES + name_length, extra_length, &sizes) || crc != record->crc ||
        sizes.whole != (uint64_t)record->size || sizes.stored != (uint64_t)record->size)
        return refuse(archive, record, "its header has another size or CRC than the directory");
    return STATUS_OK;
}

/* Reads a directory entry of at most `left` bytes and moves *at behind it. */
static enum status read_record(const struct zip_archive *archive, const struct directory *directory, uint64_t *at,
                               struct zip_record *record)
{
    const struct mapped_file *file = archive->file;
    const unsigned char *entry = file->bytes + *at;
    uint64_t left = directory->begin + directory->size - *at;
    if (left < CENTRAL_BYTES || !has_signature(entry, 1, 2))
        return status_set(STATUS_CORRUPT, "%s: no entry of the zip directory at byte %llu", file->path,
                          (unsigned long long)*at);
    uint64_t flags = little(entry + 8, 2), method = little(entry + 10, 2), name_length = little(entry + 28, 2);
    uint64_t extra_length = little(entry + 30, 2), comment_length = little(entry + 32, 2);
    uint64_t length = CENTRAL_BYTES + name_length + extra_length + comment_length;
    if (length > left || name_length == 0 || memchr(entry + CENTRAL_BYTES, 0, name_length))
        return status_set(STATUS_CORRUPT, "%s: a broken entry of the zip directory at byte %llu", file->path,
                          (unsigned long long)*at);
    *at += length;
    *record = (struct zip_record){.name = (const char *)entry + CENTRAL_BYTES,
                                  .name_length = (int64_t)name_length,
                                  .crc = (uint32_t)little(entry + 16, 4),
                                  .descriptor = (flags & FLAG_DESCRIPTOR) != 0};
    struct sizes sizes = {little(entry + 24, 4), little(entry + 20, 4), little(entry + 42, 4)};
    if (method != 0)
        return refuse(archive, record, "compressed by method %llu; only stored records are supported",
                      (unsigned long long)method);
    if ((flags & ~(uint64_t)(FLAG_DESCRIPTOR | FLAG_UTF8)) != 0)
        return refuse(archive, record, "flags 0x%llx are not supported (encrypted?)", (unsigned long long)flags);
    if (!take_zip64(entry + CENTRAL_BYTES + name_length, extra_length, &sizes))
        return refuse(archive, record, "its ZIP64 field is missing or too short");
    if (sizes.whole != sizes.stored)
        return refuse(archive, record, "stored, but of two sizes, %llu and %llu", (unsigned long long)sizes.stored,
                      (unsigned long long)sizes.whole);
    if (sizes.whole > (uint64_t)file->size || sizes.header > (uint64_t)file->size)
        return refuse(archive, record, "%llu bytes at byte %llu of a file of %lld bytes",
                      (unsigned long long)sizes.whole, (unsigned long long)sizes.header, (long long)file->size);
    record->size = (int64_t)sizes.whole;
    record->header = (int64_t)sizes.header;
    return check_local(archive, record, flags, (int64_t)directory->begin);
}

/* ---- all records ---- */

static int compare_places(const void *a, const void *b)
{
    int64_t left = ((const struct zip_record *)a)->header, right = ((const struct zip_record *)b)->header;
    return left < right ? -1 : left > right;
}

static int compare_texts(const char *a, int64_t a_length, const char *b, int64_t b_length)
{
    int order = memcmp(a, b, (size_t)(a_length < b_length ? a_length : b_length));
    return order != 0 ? order : a_length < b_length ? -1 : a_length > b_length;
}

static int compare_names(const void *a, const void *b)
{
    const struct zip_record *left = a, *right = b;
    return compare_texts(left->name, left->name_length, right->name, right->name_length);
}

/* CRC and both sizes, of 4 bytes each or of 8 in ZIP64, with or without a signature before them. All of them are known
 * here, so that the forms cannot be confused. Writers leave the descriptor of an empty record away. Returns its length,
 * or -1. */
static int64_t descriptor_length(const struct zip_archive *archive, const struct zip_record *record, int64_t room)
{
    const unsigned char *at = archive->file->bytes + record->begin + record->size;
    for (int64_t signature = 4; signature >= 0; signature -= 4)
        for (int width = 4; width <= 8; width += 4) {
            const unsigned char *numbers = at + signature;
            if (room < signature + 4 + 2 * width || (signature && !has_signature(at, 7, 8)))
                continue;
            if (little(numbers, 4) == record->crc && little(numbers + 4, width) == (uint64_t)record->size &&
                little(numbers + 4 + width, width) == (uint64_t)record->size)
                return signature + 4 + 2 * width;
        }
    return record->size == 0 ? 0 : -1;
}

/* Each record with its header and descriptor must end before the next one begins. */
static enum status check_places(const struct zip_archive *archive, int64_t limit)
{
    for (int64_t i = 0; i < archive->count; i++) {
        const struct zip_record *record = archive->records + i;
        int64_t next = i + 1 < archive->count ? record[1].header : limit, end = record->begin + record->size;
        if (end > next)
            return refuse(archive, record, "it overlaps the record \"%.*s\"", shown(record + 1), record[1].name);
        if (record->descriptor && descriptor_length(archive, record, next - end) < 0)
            return refuse(archive, record, "no data descriptor with its size and CRC behind its data");
    }
    return STATUS_OK;
}

/* Eight bytes are added in one step ("slicing by 8"): slice k has what a byte means that k others follow. */
static uint32_t crc_slices[8][256];

static void fill_crc_slices(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        crc_slices[0][i] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (int i = 0; i < 256; i++)
            crc_slices[slice][i] = crc_slices[slice - 1][i] >> 8 ^ crc_slices[0][crc_slices[slice - 1][i] & 0xff];
}

enum status zip_archive_read(const struct mapped_file *file, struct zip_archive *archive)
{
    static pthread_once_t slices_filled = PTHREAD_ONCE_INIT;
    struct directory directory;
    *archive = (struct zip_archive){.file = file};
    enum status result = read_end(file, &directory);
    if (result != STATUS_OK)
        return result;
    pthread_once(&slices_filled, fill_crc_slices);
    archive->records = calloc(directory.count + 1, sizeof *archive->records);
    if (!archive->records)
        return status_set(STATUS_INTERNAL, "%s: out of memory", file->path);
    uint64_t at = directory.begin;
    for (uint64_t i = 0; i < directory.count; i++) {
        result = read_record(archive, &directory, &at, archive->records + i);
        if (result != STATUS_OK)
            return result;
        archive->count++;
    }
    if (at != directory.begin + directory.size)
        return status_set(STATUS_CORRUPT, "%s: its zip directory has bytes behind its %lld records", file->path,
                          (long long)archive->count);
    qsort(archive->records, (size_t)archive->count, sizeof *archive->records, compare_places);
    result = check_places(archive, (int64_t)directory.begin);
    if (result != STATUS_OK)
        return result;
    qsort(archive->records, (size_t)archive->count, sizeof *archive->records, compare_names);
    for (int64_t i = 1; i < archive->count; i++)
        if (compare_names(archive->records + i - 1, archive->records + i) == 0)
            return refuse(archive, archive->records + i, "there are two of that name");
    return STATUS_OK;
}

void zip_archive_free(struct zip_archive *archive)
{
    free(archive->records);
    archive->records = NULL;
    archive->count = 0;
}

const struct zip_record *zip_archive_find(const struct zip_archive *archive, const char *name, int64_t length)
{
    const struct zip_record wanted = {.name = name, .name_length = length};
    if (archive->count == 0)
        return NULL;
    return bsearch(&wanted, archive->records, (size_t)archive->count, sizeof wanted, compare_names);
}

static uint32_t crc32_add(uint32_t crc, const unsigned char *bytes, int64_t size)
{
    const uint32_t(*slice)[256] = crc_slices;
    for (; size >= 8; size -= 8, bytes += 8) {
        uint32_t low = crc ^ (uint32_t)little(bytes, 4), high = (uint32_t)little(bytes + 4, 4);
        crc = slice[7][low & 0xff] ^ slice[6][low >> 8 & 0xff] ^ slice[5][low >> 16 & 0xff] ^ slice[4][low >> 24] ^
              slice[3][high & 0xff] ^ slice[2][high >> 8 & 0xff] ^ slice[1][high >> 16 & 0xff] ^ slice[0][high >> 24];
    }
    for (; size > 0; size--, bytes++)
        crc = crc >> 8 ^ slice[0][(crc ^ *bytes) & 0xff];
    return crc;
}

enum status zip_record_verify(const struct zip_archive *archive, const struct zip_record *record)
{
    const int64_t piece = 16 << 20;
    uint32_t crc = 0xffffffffu;
    for (int64_t done = 0, size; done < record->size; done += size) {
        const unsigned char *bytes = archive->file->bytes + record->begin + done;
        size = record->size - done < piece ? record->size - done : piece;
        crc = crc32_add(crc, bytes, size);
        if (size == piece)
            mapped_bytes_forget(bytes, size);
    }
    if ((crc ^ 0xffffffffu) != record->crc)
        return refuse(archive, record, "expected CRC-32 %08x, found %08x", (unsigned)record->crc,
                      (unsigned)(crc ^ 0xffffffffu));
    return STATUS_OK;
}
