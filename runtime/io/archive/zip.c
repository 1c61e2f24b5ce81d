/* The directory of a zip file (PKWARE's APPNOTE 6.3.10) says where each member's own header is, so that any member can be read
 * without going through the others, and has its CRC-32, which libarchive does not tell. libarchive is then started at that
 * header: what it finds there must have the name, the size and the CRC of the directory. A zip file without its directory at its
 * end is truncated and refused; libarchive alone would take what is left of it for the whole. */
#include "io/archive/zip.h"

#include "io/archive/input.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    CENTRAL_BYTES = 46,
    LOCAL_BYTES = 30,
    COMMENT_LIMIT = 0xffff,
    FLAG_ENCRYPTED = 1 << 0,
    FLAG_HIDDEN_HEADERS = 1 << 13,
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
    EXTRA_ZIP64 = 1,
    MADE_BY_UNIX = 3,
    SHOWN = 200,
    ROOM = 1 << 18 /* more than an entry with its name, extra fields and comment can have */
};
static const uint64_t IN_ZIP64 = 0xffffffffu; /* in place of a size or a position */

struct directory {
    const char *path;
    int descriptor;
    uint64_t begin, size, count;
    uint64_t at; /* of bytes[0] in the file */
    int64_t used, filled;
    unsigned char bytes[ROOM];
};

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

/* ---- the end of the file ---- */

/* ZIP64 keeps the large numbers in a record of its own, found through a locator before the end record. */
static enum status read_end64(struct directory *directory, const unsigned char *locator, uint64_t locator_at)
{
    unsigned char end[END64_BYTES];
    int64_t got = 0;
    uint64_t at = little(locator + 8, 8);
    if (locator_at < END64_BYTES || at > locator_at - END64_BYTES)
        return status_set(STATUS_CORRUPT, "%s: damaged: its ZIP64 end record is said to be at byte %llu",
                          directory->path, (unsigned long long)at);
    enum status result = input_read_at(directory->path, directory->descriptor, (int64_t)at, end, END64_BYTES, &got);
    if (result != STATUS_OK)
        return result;
    if (got < END64_BYTES || !has_signature(end, 6, 6))
        return status_set(STATUS_CORRUPT, "%s: damaged: no ZIP64 end record at byte %llu", directory->path,
                          (unsigned long long)at);
    if (little(locator + 16, 4) > 1 || little(end + 16, 8) != 0 || little(end + 24, 8) != little(end + 32, 8))
        return status_set(STATUS_CORRUPT, "%s: a zip file in several parts is not supported", directory->path);
    directory->begin = little(end + 48, 8);
    directory->size = little(end + 40, 8);
    directory->count = little(end + 32, 8);
    if (directory->begin > at || directory->size != at - directory->begin)
        return status_set(STATUS_CORRUPT,
                          "%s: damaged: its directory of %llu bytes at byte %llu does not end at byte %llu",
                          directory->path, (unsigned long long)directory->size, (unsigned long long)directory->begin,
                          (unsigned long long)at);
    return STATUS_OK;
}

/* `end` is the end record at `at`, and the LOCATOR_BYTES before it can be read if at >= LOCATOR_BYTES. */
static enum status take_end(struct directory *directory, const unsigned char *end, uint64_t at)
{
    if (at >= LOCATOR_BYTES && has_signature(end - LOCATOR_BYTES, 6, 7))
        return read_end64(directory, end - LOCATOR_BYTES, at - LOCATOR_BYTES);
    if (little(end + 4, 4) != 0 || little(end + 8, 2) != little(end + 10, 2))
        return status_set(STATUS_CORRUPT, "%s: a zip file in several parts is not supported", directory->path);
    directory->begin = little(end + 16, 4);
    directory->size = little(end + 12, 4);
    directory->count = little(end + 10, 2);
    if (directory->begin > at || directory->size != at - directory->begin)
        return status_set(STATUS_CORRUPT,
                          "%s: damaged: its directory of %llu bytes at byte %llu does not end at byte %llu",
                          directory->path, (unsigned long long)directory->size, (unsigned long long)directory->begin,
                          (unsigned long long)at);
    return STATUS_OK;
}

/* The end record is the last thing in the file but for a comment, whose length it knows. */
static enum status find_end(struct directory *directory, int64_t file_size)
{
    static const int64_t most = LOCATOR_BYTES + END_BYTES + COMMENT_LIMIT;
    int64_t size = file_size < most ? file_size : most, got = 0;
    unsigned char *tail = malloc((size_t)size + 1);
    if (!tail)
        return status_set(STATUS_INTERNAL, "%s: out of memory", directory->path);
    enum status result = input_read_at(directory->path, directory->descriptor, file_size - size, tail, size, &got);
    bool found = false;
    for (int64_t at = got - END_BYTES; result == STATUS_OK && !found && at >= 0; at--) {
        found = has_signature(tail + at, 5, 6) && (int64_t)little(tail + at + 20, 2) == got - at - END_BYTES &&
                (at >= LOCATOR_BYTES || at == file_size - got);
        if (found)
            result = take_end(directory, tail + at, (uint64_t)(file_size - got + at));
    }
    if (result == STATUS_OK && !found)
        result =
            status_set(STATUS_CORRUPT, "%s: truncated: a zip file without its directory at its end", directory->path);
    free(tail);
    return result;
}

/* ---- its entries ---- */

/* Makes the next `wanted` bytes of the directory readable at *bytes. */
static enum status need(struct directory *directory, int64_t wanted, const unsigned char **bytes)
{
    if (directory->filled - directory->used < wanted) {
        int64_t kept = directory->filled - directory->used, got = 0;
        memmove(directory->bytes, directory->bytes + directory->used, (size_t)kept);
        directory->at += (uint64_t)directory->used;
        uint64_t from = directory->at + (uint64_t)kept, left = directory->begin + directory->size - from;
        int64_t room = ROOM - kept, size = left < (uint64_t)room ? (int64_t)left : room;
        enum status result =
            input_read_at(directory->path, directory->descriptor, (int64_t)from, directory->bytes + kept, size, &got);
        if (result != STATUS_OK)
            return result;
        directory->used = 0;
        directory->filled = kept + got;
    }
    *bytes = directory->bytes + directory->used;
    if (directory->filled - directory->used < wanted)
        return status_set(STATUS_CORRUPT, "%s: damaged: its directory ends inside an entry", directory->path);
    return STATUS_OK;
}

struct sizes {
    uint64_t whole, stored, header;
};

/* Replaces what an entry left to ZIP64's extra field. False when that is missing or too short. */
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

/* Folders, and on Unix links and devices, are no regular files. */
static bool is_regular(const unsigned char *entry, uint64_t name_length)
{
    uint64_t mode = little(entry + 38, 4) >> 16;
    if (name_length > 0 && entry[CENTRAL_BYTES + name_length - 1] == '/')
        return false;
    return entry[5] != MADE_BY_UNIX || (mode & S_IFMT) == 0 || S_ISREG((mode_t)mode);
}

/* The two that everybody writes. Of the others some want as much memory as their headers say. */
static bool is_supported(uint64_t method)
{
    return method == METHOD_STORED || method == METHOD_DEFLATED;
}

static enum status add_entry(struct directory *directory, const unsigned char *entry, struct listing *listing)
{
    uint64_t flags = little(entry + 8, 2), name_length = little(entry + 28, 2), extra_length = little(entry + 30, 2);
    const char *name = (const char *)entry + CENTRAL_BYTES;
    int shown = name_length < SHOWN ? (int)name_length : SHOWN;
    if (!is_regular(entry, name_length))
        return listing_count(listing, directory->path, (int64_t)name_length);
    if (flags & (FLAG_ENCRYPTED | FLAG_HIDDEN_HEADERS))
        return status_set(STATUS_CORRUPT, "%s: member \"%.*s\" is encrypted", directory->path, shown, name);
    if (!is_supported(little(entry + 10, 2)))
        return status_set(
            STATUS_CORRUPT,
            "%s: member \"%.*s\" is compressed by method %d; only stored and deflated members are supported",
            directory->path, shown, name, (int)little(entry + 10, 2));
    struct sizes sizes = {little(entry + 24, 4), little(entry + 20, 4), little(entry + 42, 4)};
    if (!take_zip64(entry + CENTRAL_BYTES + name_length, extra_length, &sizes))
        return status_set(STATUS_CORRUPT, "%s: member \"%.*s\": its ZIP64 field is missing or too short",
                          directory->path, shown, name);
    if (directory->begin < LOCAL_BYTES || sizes.header > directory->begin - LOCAL_BYTES ||
        sizes.stored > directory->begin || sizes.whole > INT64_MAX)
        return status_set(STATUS_CORRUPT, "%s: member \"%.*s\": %llu bytes at byte %llu of %llu before the directory",
                          directory->path, shown, name, (unsigned long long)sizes.stored,
                          (unsigned long long)sizes.header, (unsigned long long)directory->begin);
    struct member member = {.size = (int64_t)sizes.whole,
                            .position = (int64_t)sizes.header,
                            .crc = (uint32_t)little(entry + 16, 4),
                            .has_crc = true};
    return listing_add(listing, directory->path, name, (int64_t)name_length, &member);
}

static enum status read_entries(struct directory *directory, struct listing *listing)
{
    directory->at = directory->begin;
    for (uint64_t i = 0; i < directory->count; i++) {
        const unsigned char *entry = NULL;
        enum status result = need(directory, CENTRAL_BYTES, &entry);
        if (result != STATUS_OK)
            return result;
        if (!has_signature(entry, 1, 2))
            return status_set(STATUS_CORRUPT, "%s: damaged: expected %llu entries in its directory, found %llu",
                              directory->path, (unsigned long long)directory->count, (unsigned long long)i);
        int64_t length =
            CENTRAL_BYTES + (int64_t)(little(entry + 28, 2) + little(entry + 30, 2) + little(entry + 32, 2));
        result = need(directory, length, &entry);
        if (result == STATUS_OK)
            result = add_entry(directory, entry, listing);
        if (result != STATUS_OK)
            return result;
        directory->used += length;
    }
    uint64_t end = directory->at + (uint64_t)directory->used;
    if (end != directory->begin + directory->size)
        return status_set(STATUS_CORRUPT, "%s: damaged: its directory has bytes behind its %llu entries",
                          directory->path, (unsigned long long)directory->count);
    return STATUS_OK;
}

enum status zip_list(const char *path, int descriptor, int64_t file_size, struct listing *listing)
{
    struct directory *directory = calloc(1, sizeof *directory);
    if (!directory)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    directory->path = path;
    directory->descriptor = descriptor;
    enum status result = find_end(directory, file_size);
    if (result == STATUS_OK)
        result = read_entries(directory, listing);
    free(directory);
    return result;
}

enum status zip_check_header(const char *path, int descriptor, int64_t position, const char *name)
{
    unsigned char header[LOCAL_BYTES];
    int64_t got = 0, length = 0;
    bool kept = false;
    char *raw = NULL, *plain = NULL;
    enum status result = STATUS_OK;
    TRY(input_read_at(path, descriptor, position, header, LOCAL_BYTES, &got));
    length = got == LOCAL_BYTES ? (int64_t)little(header + 26, 2) : 0;
    raw = calloc(1, (size_t)length + 1);
    plain = calloc(1, (size_t)length + 1);
    if (!raw || !plain)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(input_read_at(path, descriptor, position + LOCAL_BYTES, raw, length, &got));
    if (length > 0 && !is_supported(little(header + 8, 2)))
        FAIL(STATUS_CORRUPT, "%s: member \"%.200s\": damaged: its header has another method than the directory", path,
             name);
    if (got != length || member_name(path, raw, length, plain, &kept) != STATUS_OK || strcmp(plain, name) != 0)
        FAIL(STATUS_CORRUPT, "%s: member \"%.200s\": damaged: \"%.200s\" is found in its place", path, name, raw);
fail:
    free(raw);
    free(plain);
    return result;
}
