/* libarchive behind an interface of our own: the members of a tar or of a part of a zip file, one after the other; for the files
 * of io/archive alone. */
#ifndef SPIRITLM_IO_ARCHIVE_PACKED_H
#define SPIRITLM_IO_ARCHIVE_PACKED_H

#include "io/archive/members.h"

#include <locale.h>

enum packed_kind { PACKED_ZIP, PACKED_TAR, PACKED_TAR_GZ };

struct packed {
    const char *path;
    int descriptor;
    enum packed_kind kind;
    int64_t end;    /* of the file: libarchive looks beyond a zip's last member */
    locale_t plain; /* "C", in which libarchive leaves names as they are */
};

struct packed_pass; /* a reader on its way through the members */

struct packed_entry {
    const char *name; /* as a tar has it; valid until the next one. Of a zip: nothing to rely on */
    int64_t size;     /* -1: unknown */
    int64_t position; /* of its header; inside the inflated tar when that is gzipped */
    bool regular;     /* a file; otherwise a folder, a symbolic link, a device */
    bool hard_link;
};

/* Starts at the header of a member: at 0 in a gzipped tar. */
enum status packed_begin(const struct packed *packed, int64_t position, struct packed_pass **pass);
void packed_end(struct packed_pass *pass); /* NULL is fine */

/* The next member, or *ended. A tar must have its end mark, and gzip's checksum must be right. */
enum status packed_next(struct packed_pass *pass, struct packed_entry *entry, bool *ended);

/* One member's contents in memory that is used again for the next. */
struct packed_buffer {
    char *data; /* a NUL behind `size` bytes */
    int64_t size, capacity;
};

/* Reads the contents of the member at which packed_next stopped. `name` is for errors. STATUS_CORRUPT over `limit` bytes. */
enum status packed_contents(struct packed_pass *pass, const char *name, int64_t limit, struct packed_buffer *buffer);

#endif
