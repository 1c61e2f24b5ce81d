/* The only file that knows libarchive. Of its many formats two are switched on, tar and zip, and none of its filters, so that a
 * hostile file meets no other code; gzip is inflated by input.c. It is given the file through callbacks, which never skip past
 * the end: it would take a truncated tar for a whole one. */
#include "io/archive/packed.h"

#include "io/archive/input.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct packed_pass {
    const struct packed *packed;
    struct archive *reader;
    struct input input;
    int64_t begin;
    enum status fault; /* of the input; its text has been set */
    locale_t before;
};

/* libarchive converts names from the archive's character set to that of the locale, and composes letters with their accents when
 * both are UTF-8: the name would no longer be the one in the archive. In the locale "C" it cannot convert and leaves them. */
static void enter(struct packed_pass *pass)
{
    pass->before = uselocale(pass->packed->plain);
}

static void leave(struct packed_pass *pass)
{
    uselocale(pass->before);
}

static la_ssize_t read_input(struct archive *reader, void *context, const void **block)
{
    struct packed_pass *pass = context;
    int64_t size = 0;
    pass->fault = input_next(&pass->input, &size);
    *block = pass->input.block;
    if (pass->fault == STATUS_OK)
        return (la_ssize_t)size;
    archive_set_error(reader, EIO, "cannot be read");
    return ARCHIVE_FATAL;
}

static la_int64_t skip_input(struct archive *reader, void *context, la_int64_t wanted)
{
    (void)reader;
    struct packed_pass *pass = context;
    return input_skip(&pass->input, wanted);
}

/* What libarchive says of its failure, unless it was the input's. */
static enum status refuse(const struct packed_pass *pass, const char *name)
{
    const char *path = pass->packed->path, *reason = archive_error_string(pass->reader);
    if (pass->fault != STATUS_OK)
        return pass->fault;
    if (archive_errno(pass->reader) == ENOMEM)
        return status_set(STATUS_INTERNAL, "%s: no memory for libarchive", path);
    if (!name)
        return status_set(STATUS_CORRUPT, "%s: truncated or damaged: %s", path, reason ? reason : "no reason is known");
    return status_set(STATUS_CORRUPT, "%s: member \"%.200s\": truncated or damaged: %s", path, name,
                      reason ? reason : "no reason is known");
}

enum status packed_begin(const struct packed *packed, int64_t position, struct packed_pass **pass)
{
    enum status result = STATUS_OK;
    *pass = NULL;
    struct packed_pass *made = malloc(sizeof *made);
    if (!made)
        return status_set(STATUS_INTERNAL, "%s: out of memory", packed->path);
    made->packed = packed;
    made->begin = position;
    made->fault = STATUS_OK;
    made->reader = NULL;
    made->input.gzipped = false;
    TRY(input_open(packed->path, packed->descriptor, position, packed->end, packed->kind == PACKED_TAR_GZ,
                   &made->input));
    made->reader = archive_read_new();
    if (!made->reader)
        FAIL(STATUS_INTERNAL, "%s: no memory for libarchive", packed->path);
    int code = packed->kind == PACKED_ZIP ? archive_read_support_format_zip_streamable(made->reader)
                                          : archive_read_support_format_tar(made->reader);
    enter(made);
    if (code == ARCHIVE_OK)
        code = archive_read_open2(made->reader, made, NULL, read_input, skip_input, NULL);
    leave(made);
    if (code != ARCHIVE_OK) {
        result = refuse(made, NULL);
        goto fail;
    }
    *pass = made;
    made = NULL;
fail:
    packed_end(made);
    return result;
}

void packed_end(struct packed_pass *pass)
{
    if (!pass)
        return;
    if (pass->reader) {
        enter(pass);
        archive_read_free(pass->reader);
        leave(pass);
    }
    input_close(&pass->input);
    free(pass);
}

/* Behind the last member of a tar comes a block of zeros. libarchive does not miss it, but a file that was cut off between two
 * members has none. What follows in a gzipped file is inflated for the sake of its checksum. */
static enum status check_end(struct packed_pass *pass)
{
    const char *path = pass->packed->path;
    if (pass->packed->kind == PACKED_ZIP)
        return STATUS_OK;
    if (archive_filter_bytes(pass->reader, 0) <= archive_read_header_position(pass->reader))
        return status_set(STATUS_CORRUPT, "%s: truncated: a tar without the mark of its end", path);
    enum status result = STATUS_OK;
    for (int64_t size = 1; result == STATUS_OK && size > 0 && pass->input.gzipped;)
        result = input_next(&pass->input, &size);
    return result;
}

enum status packed_next(struct packed_pass *pass, struct packed_entry *entry, bool *ended)
{
    struct archive_entry *header = NULL;
    *ended = false;
    enter(pass);
    int code = archive_read_next_header(pass->reader, &header);
    const char *name = code == ARCHIVE_OK || code == ARCHIVE_WARN ? archive_entry_pathname(header) : NULL;
    leave(pass);
    if (code == ARCHIVE_EOF) {
        *ended = true;
        return check_end(pass);
    }
    if (!name && pass->packed->kind == PACKED_ZIP && code == ARCHIVE_WARN)
        name = "";
    if ((code != ARCHIVE_OK && code != ARCHIVE_WARN) || !name)
        return refuse(pass, NULL);
    if (archive_entry_is_encrypted(header))
        return status_set(STATUS_CORRUPT, "%s: member \"%.200s\" is encrypted", pass->packed->path, name);
    *entry = (struct packed_entry){.name = name,
                                   .size = archive_entry_size_is_set(header) ? archive_entry_size(header) : -1,
                                   .position = pass->begin + archive_read_header_position(pass->reader),
                                   .regular = archive_entry_filetype(header) == AE_IFREG,
                                   .hard_link = archive_entry_hardlink(header) != NULL};
    if (entry->size < -1)
        return status_set(STATUS_CORRUPT, "%s: member \"%.200s\": a size of %lld bytes", pass->packed->path, name,
                          (long long)entry->size);
    return STATUS_OK;
}

/* Room for one byte more than has been read, and for no more than one beyond the limit. A size that a header claims is not
 * believed before as many bytes have come. */
static enum status make_room(const char *path, int64_t limit, struct packed_buffer *buffer)
{
    int64_t room = buffer->capacity < 1 << 16 ? 1 << 16 : buffer->capacity + buffer->capacity / 2;
    if (room > limit + 2)
        room = limit + 2;
    char *grown = realloc(buffer->data, (size_t)room);
    if (!grown)
        return status_set(STATUS_INTERNAL, "%s: no memory for a member of %lld bytes", path, (long long)room);
    buffer->data = grown;
    buffer->capacity = room;
    return STATUS_OK;
}

enum status packed_contents(struct packed_pass *pass, const char *name, int64_t limit, struct packed_buffer *buffer)
{
    const char *path = pass->packed->path;
    buffer->size = 0;
    for (;;) {
        if (buffer->size + 1 >= buffer->capacity) {
            enum status result = make_room(path, limit, buffer);
            if (result != STATUS_OK)
                return result;
        }
        int64_t room = buffer->capacity - 1 - buffer->size, rest = limit + 1 - buffer->size;
        room = room < rest ? room : rest;
        enter(pass);
        la_ssize_t got = archive_read_data(pass->reader, buffer->data + buffer->size, (size_t)room);
        leave(pass);
        if (got < 0)
            return refuse(pass, name);
        if (got == 0)
            break;
        buffer->size += got;
        if (buffer->size > limit)
            return status_set(STATUS_CORRUPT, "%s: member \"%.200s\": expected at most %lld bytes, found more", path,
                              name, (long long)limit);
    }
    buffer->data[buffer->size] = '\0';
    return STATUS_OK;
}
