/* What the four forms have in common: which of them it is, the listing, and that a member is what the listing said of it. A zip
 * and a plain tar are entered at the header of the wanted member, whose place the listing has; only a gzipped tar must be gone
 * through from its beginning. */
#include "io/archive/archive.h"

#include "core/hash.h"
#include "core/path.h"
#include "io/archive/folder.h"
#include "io/archive/input.h"
#include "io/archive/members.h"
#include "io/archive/packed.h"
#include "io/archive/zip.h"
#include "io/file_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARQUET_ADVICE "is not read here: scripts/parquet-to-folder makes a folder of it"

struct archive {
    char *path;
    bool is_folder;
    struct packed packed; /* unless it is a folder */
    struct stat about;    /* of the file when it was opened */
    struct listing listing;
};

/* ---- opening ---- */

static enum status list_tar(struct archive *archive)
{
    enum status result = STATUS_OK;
    struct packed_pass *pass = NULL;
    struct packed_entry entry;
    bool ended = false;
    TRY(packed_begin(&archive->packed, 0, &pass));
    for (;;) {
        TRY(packed_next(pass, &entry, &ended));
        if (ended)
            break;
        int64_t length = (int64_t)strlen(entry.name);
        if (entry.hard_link)
            FAIL(STATUS_CORRUPT, "%s: member \"%.200s\" is a hard link, which is not supported: pack the files again",
                 archive->path, entry.name);
        struct member member = {.size = entry.size, .position = entry.position};
        TRY(entry.regular ? listing_add(&archive->listing, archive->path, entry.name, length, &member)
                          : listing_count(&archive->listing, archive->path, length));
    }
fail:
    packed_end(pass);
    return result;
}

/* By the first bytes: a zip begins with a header or, when it is empty, with the end of its directory; a tar has "ustar" in its
 * first header, or, in its oldest form, nothing but a checksum, which libarchive looks at. */
static enum status list_file(struct archive *archive)
{
    unsigned char begin[4] = {0};
    int64_t got = 0;
    struct packed *packed = &archive->packed;
    enum status result = input_read_at(archive->path, packed->descriptor, 0, begin, sizeof begin, &got);
    if (result != STATUS_OK)
        return result;
    if (got == 0)
        return status_set(STATUS_CORRUPT, "%s: empty file; expected a folder, a .zip, a .tar or a .tar.gz",
                          archive->path);
    if (memcmp(begin, "PAR1", 4) == 0)
        return status_set(STATUS_USAGE, "%s: a Parquet file, which " PARQUET_ADVICE, archive->path);
    if (memcmp(begin, "PK\3\4", 4) == 0 || memcmp(begin, "PK\5\6", 4) == 0)
        return zip_list(archive->path, packed->descriptor, archive->about.st_size, &archive->listing);
    packed->kind = begin[0] == 0x1f && begin[1] == 0x8b ? PACKED_TAR_GZ : PACKED_TAR;
    result = list_tar(archive);
    if (result == STATUS_CORRUPT && archive->listing.seen == 0)
        return status_prefix(STATUS_CORRUPT, "%s: expected a folder, a .zip, a .tar or a .tar.gz", archive->path);
    return result;
}

static enum status open_file(struct archive *archive)
{
    /* A FIFO must not hang the program. */
    int descriptor = open(archive->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return status_set_errno(code_of_open(errno), errno, "%s", archive->path);
    archive->packed.descriptor = descriptor;
    if (fstat(descriptor, &archive->about) != 0)
        return status_set_errno(STATUS_IO, errno, "%s", archive->path);
    if (S_ISDIR(archive->about.st_mode)) {
        archive->is_folder = true;
        return folder_list(archive->path, &archive->listing);
    }
    if (!S_ISREG(archive->about.st_mode))
        return status_set(STATUS_USAGE, "%s: expected a folder, a .zip, a .tar or a .tar.gz, found a pipe or device",
                          archive->path);
    archive->packed.end = archive->about.st_size;
    return list_file(archive);
}

/* Benchmarks' copies on hubs are Parquet files, perhaps with others beside them. */
static enum status refuse_parquet(const struct archive *archive)
{
    static const char ending[] = ".parquet";
    for (int64_t i = 0; i < archive->listing.count; i++) {
        const char *name = archive_name(archive, i);
        size_t length = strlen(name);
        if (length >= sizeof ending - 1 && !strcmp(name + length - (sizeof ending - 1), ending))
            return status_set(STATUS_USAGE, "%s: %s is a Parquet file, which " PARQUET_ADVICE, archive->path, name);
    }
    return STATUS_OK;
}

enum status archive_open(const char *path, struct archive **archive)
{
    enum status result = STATUS_OK;
    *archive = NULL;
    struct archive *made = calloc(1, sizeof *made);
    if (!made)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    made->packed.descriptor = -1;
    made->path = strdup(path);
    if (!made->path)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    made->packed.path = made->path;
    made->packed.plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!made->packed.plain)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(open_file(made));
    TRY(listing_finish(&made->listing, path));
    TRY(refuse_parquet(made));
    *archive = made;
    made = NULL;
fail:
    archive_close(made);
    return result;
}

void archive_close(struct archive *archive)
{
    if (!archive)
        return;
    if (archive->packed.descriptor >= 0)
        close(archive->packed.descriptor);
    if (archive->packed.plain)
        freelocale(archive->packed.plain);
    listing_free(&archive->listing);
    free(archive->path);
    free(archive);
}

/* ---- the listing ---- */

const char *archive_path(const struct archive *archive)
{
    return archive->path;
}

int64_t archive_count(const struct archive *archive)
{
    return archive->listing.count;
}

const char *archive_name(const struct archive *archive, int64_t index)
{
    assert(index >= 0 && index < archive->listing.count);
    return listing_name(&archive->listing, index);
}

int64_t archive_size(const struct archive *archive, int64_t index)
{
    assert(index >= 0 && index < archive->listing.count);
    return archive->listing.members[index].size;
}

int64_t archive_find(const struct archive *archive, const char *name)
{
    return listing_find(&archive->listing, name);
}

void archive_identity(const struct archive *archive, char hex[65])
{
    struct sha256_stream *stream = sha256_start();
    for (int64_t i = 0; i < archive->listing.count; i++) {
        const struct member *member = &archive->listing.members[i];
        const char *name = listing_name(&archive->listing, i);
        char rest[64];
        int length = member->has_crc
                         ? snprintf(rest, sizeof rest, "\t%lld\t%08x\n", (long long)member->size, member->crc)
                         : snprintf(rest, sizeof rest, "\t%lld\t-\n", (long long)member->size);
        sha256_add(stream, name, strlen(name));
        sha256_add(stream, rest, (size_t)length);
    }
    struct sha256 hash = sha256_finish(stream);
    sha256_hex(&hash, hex);
}

/* ---- contents ---- */

static enum status check_unchanged(const struct archive *archive)
{
    struct stat now;
    if (fstat(archive->packed.descriptor, &now) != 0)
        return status_set_errno(STATUS_IO, errno, "%s", archive->path);
    if (now.st_size != archive->about.st_size || now.st_mtim.tv_sec != archive->about.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != archive->about.st_mtim.tv_nsec)
        return status_set(STATUS_CORRUPT, "%s: the file was changed after it had been opened", archive->path);
    return STATUS_OK;
}

static enum status check_limit(const struct archive *archive, int64_t index, int64_t limit)
{
    int64_t size = archive->listing.members[index].size;
    if (size > limit)
        return status_set(STATUS_CORRUPT, "%s: member \"%.200s\": expected at most %lld bytes, found %lld",
                          archive->path, archive_name(archive, index), (long long)limit, (long long)size);
    return STATUS_OK;
}

/* A member whose size is known may not turn out to have more. */
static int64_t most_bytes(const struct archive *archive, int64_t index, int64_t limit)
{
    int64_t size = archive->listing.members[index].size;
    return size >= 0 ? size : limit;
}

/* What was read against what the listing says. */
static enum status check_contents(const struct archive *archive, int64_t index, const void *data, int64_t size)
{
    const struct member *member = &archive->listing.members[index];
    if (member->size >= 0 && size != member->size)
        return status_set(STATUS_CORRUPT,
                          "%s: member \"%.200s\": expected %lld bytes, found %lld: damaged, or changed while it "
                          "was read",
                          archive->path, archive_name(archive, index), (long long)member->size, (long long)size);
    uint32_t crc = member->has_crc ? (uint32_t)crc32_z(0, data, (size_t)size) : 0;
    if (member->has_crc && crc != member->crc)
        return status_set(STATUS_CORRUPT, "%s: member \"%.200s\": damaged: expected CRC-32 %08x, found %08x",
                          archive->path, archive_name(archive, index), member->crc, crc);
    return STATUS_OK;
}

/* No more than that, since members can be large. */
static enum status make_exact_room(const char *path, int64_t room, struct packed_buffer *buffer)
{
    free(buffer->data);
    buffer->data = malloc((size_t)room);
    buffer->capacity = buffer->data ? room : 0;
    return buffer->data ? STATUS_OK
                        : status_set(STATUS_INTERNAL, "%s: no memory for %lld bytes", path, (long long)room);
}

static enum status read_from_folder(const struct archive *archive, int64_t index, int64_t limit,
                                    struct packed_buffer *buffer)
{
    char path[PATH_BYTES];
    struct stat about;
    enum status result = path_format(path, "%s/%s", archive->path, archive_name(archive, index));
    if (result != STATUS_OK)
        return result;
    int64_t expected = archive->listing.members[index].size;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return status_set_errno(errno == ENOENT ? STATUS_CORRUPT : STATUS_IO, errno, "%s", path);
    if (fstat(descriptor, &about) != 0)
        result = status_set_errno(STATUS_IO, errno, "%s", path);
    else if (!S_ISREG(about.st_mode) || about.st_size != expected)
        result = status_set(STATUS_CORRUPT, "%s: expected a file of %lld bytes, as there was at first; found another",
                            path, (long long)expected);
    assert(expected <= limit);
    if (result == STATUS_OK && expected >= buffer->capacity)
        result = make_exact_room(path, expected + 1, buffer);
    if (result == STATUS_OK)
        result = input_read_at(path, descriptor, 0, buffer->data, expected, &buffer->size);
    if (result == STATUS_OK)
        buffer->data[buffer->size] = '\0';
    close(descriptor);
    return result;
}

/* Whether the member at which a pass has stopped is the one that was listed there. */
static enum status check_entry(const struct archive *archive, int64_t index, const struct packed_entry *entry)
{
    enum status result = STATUS_OK;
    const char *name = archive_name(archive, index);
    bool kept = false;
    char *plain = NULL;
    if (archive->packed.kind == PACKED_ZIP)
        return zip_check_header(archive->path, archive->packed.descriptor, archive->listing.members[index].position,
                                name);
    size_t length = strlen(entry->name);
    plain = malloc(length + 1);
    if (!plain)
        return status_set(STATUS_INTERNAL, "%s: out of memory", archive->path);
    TRY(member_name(archive->path, entry->name, (int64_t)length, plain, &kept));
    if (!kept || strcmp(plain, name) != 0 || !entry->regular || entry->hard_link)
        FAIL(STATUS_CORRUPT,
             "%s: member \"%.200s\": \"%.200s\" is found in its place: damaged, or changed while it was read",
             archive->path, name, entry->name);
fail:
    free(plain);
    return result;
}

/* A zip or a plain tar, entered at the member. */
static enum status read_at_member(const struct archive *archive, int64_t index, int64_t limit,
                                  struct packed_buffer *buffer)
{
    enum status result = STATUS_OK;
    struct packed_pass *pass = NULL;
    struct packed_entry entry;
    bool ended = false;
    TRY(packed_begin(&archive->packed, archive->listing.members[index].position, &pass));
    TRY(packed_next(pass, &entry, &ended));
    if (ended)
        FAIL(STATUS_CORRUPT, "%s: member \"%.200s\" is no longer there", archive->path, archive_name(archive, index));
    TRY(check_entry(archive, index, &entry));
    TRY(packed_contents(pass, archive_name(archive, index), most_bytes(archive, index, limit), buffer));
fail:
    packed_end(pass);
    return result;
}

static enum status read_member(const struct archive *archive, int64_t index, int64_t limit,
                               struct packed_buffer *buffer)
{
    enum status result = STATUS_OK;
    TRY(check_limit(archive, index, limit));
    if (archive->is_folder) {
        TRY(read_from_folder(archive, index, limit, buffer));
    } else {
        TRY(check_unchanged(archive));
        TRY(read_at_member(archive, index, limit, buffer));
    }
    TRY(check_contents(archive, index, buffer->data, buffer->size));
fail:
    return result;
}

struct order {
    int64_t position, index;
};

static int compare_order(const void *a, const void *b)
{
    const struct order *left = a, *right = b;
    if (left->position != right->position)
        return left->position < right->position ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

/* The wanted members as they are stored. */
static enum status wanted_order(const struct archive *archive, const bool *wanted, struct order **order, int64_t *count)
{
    int64_t members = archive->listing.count;
    *count = 0;
    *order = malloc(((size_t)members + 1) * sizeof **order);
    if (!*order)
        return status_set(STATUS_INTERNAL, "%s: out of memory", archive->path);
    for (int64_t i = 0; i < members; i++)
        if (!wanted || wanted[i])
            (*order)[(*count)++] = (struct order){archive->listing.members[i].position, i};
    qsort(*order, (size_t)*count, sizeof **order, compare_order);
    return STATUS_OK;
}

/* Goes through a gzipped tar to the last of the wanted members. */
static enum status stream_inflated(struct archive *archive, const struct order *order, int64_t count, int64_t limit,
                                   archive_visit *visit, void *context, struct packed_buffer *buffer)
{
    enum status result = STATUS_OK;
    struct packed_pass *pass = NULL;
    struct packed_entry entry;
    bool ended = false;
    TRY(check_unchanged(archive));
    TRY(packed_begin(&archive->packed, 0, &pass));
    for (int64_t next = 0; next < count;) {
        int64_t index = order[next].index;
        TRY(packed_next(pass, &entry, &ended));
        if (ended || entry.position > order[next].position)
            FAIL(STATUS_CORRUPT, "%s: member \"%.200s\" is no longer there", archive->path,
                 archive_name(archive, index));
        if (entry.position < order[next].position)
            continue;
        TRY(check_entry(archive, index, &entry));
        TRY(check_limit(archive, index, limit));
        TRY(packed_contents(pass, archive_name(archive, index), most_bytes(archive, index, limit), buffer));
        TRY(check_contents(archive, index, buffer->data, buffer->size));
        TRY(visit(context, index, buffer->data, buffer->size));
        next++;
    }
fail:
    packed_end(pass);
    return result;
}

enum status archive_stream(struct archive *archive, const bool *wanted, int64_t limit, archive_visit *visit,
                           void *context)
{
    enum status result = STATUS_OK;
    struct packed_buffer buffer = {0};
    struct order *order = NULL;
    int64_t count = 0;
    TRY(wanted_order(archive, wanted, &order, &count));
    if (!archive->is_folder && archive->packed.kind == PACKED_TAR_GZ) {
        TRY(stream_inflated(archive, order, count, limit, visit, context, &buffer));
    } else {
        for (int64_t i = 0; i < count; i++) {
            TRY(read_member(archive, order[i].index, limit, &buffer));
            TRY(visit(context, order[i].index, buffer.data, buffer.size));
        }
    }
fail:
    free(order);
    free(buffer.data);
    return result;
}

/* The only wanted member has been read; its buffer is the caller's. */
static enum status stop_there(void *context, int64_t index, const void *data, int64_t size)
{
    (void)context, (void)index, (void)data, (void)size;
    return STATUS_OK;
}

enum status archive_read(struct archive *archive, int64_t index, int64_t limit, void **data, int64_t *size)
{
    enum status result = STATUS_OK;
    struct packed_buffer buffer = {0};
    struct order order = {archive->listing.members[index].position, index};
    assert(index >= 0 && index < archive->listing.count && limit >= 0 && limit < INT64_MAX - 2);
    *data = NULL;
    *size = 0;
    if (!archive->is_folder && archive->packed.kind == PACKED_TAR_GZ) {
        TRY(stream_inflated(archive, &order, 1, limit, stop_there, NULL, &buffer));
    } else {
        TRY(read_member(archive, index, limit, &buffer));
    }
    *data = buffer.data;
    *size = buffer.size;
    buffer.data = NULL;
fail:
    free(buffer.data);
    return result;
}
