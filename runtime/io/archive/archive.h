/* A collection of files to be read: a folder, a .zip, a .tar or a .tar.gz, told apart by what they contain and never by their
 * names. Nothing is ever unpacked to disk: one member at a time is in memory.
 *
 * The members are the regular files. Their names are relative to the root, with '/' between the parts and without "." or empty
 * parts, and sorted by their bytes. In a folder, links to files are followed and links to folders are not; in a tar, symbolic
 * links are left out. What macOS adds (__MACOSX/, .DS_Store, ._NAME) is left out as well. Refused, with the archive and the
 * member in the text: a ".." part, an absolute name, control characters and marks of direction, bytes that are not UTF-8, two
 * members of one name, encrypted members, hard links in a tar (their contents lie under another name), more than 4 million
 * members, more than 1 GiB of names, and an archive that is truncated or damaged. All of this except the contents is checked
 * when the archive is opened; a zip's contents are held against their CRC-32 when they are read, those of a .tar.gz against
 * gzip's when it is opened. A plain .tar has no checksum over contents.
 *
 * libarchive decodes; its names begin with archive_ too, so no file includes both this header and <archive.h>.
 *
 * A handle belongs to one thread. Memory: the listing (about 50 bytes and the name per member), the member being read, and less
 * than 1 MiB. */
#ifndef SPIRITLM_IO_ARCHIVE_H
#define SPIRITLM_IO_ARCHIVE_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

struct archive;

/* Makes the listing. A .tar.gz is inflated to its end for that. A Parquet file, or one among the members: STATUS_USAGE with what
 * makes a folder of it. No such path: STATUS_USAGE; what is none of the four, and
 * everything above: STATUS_CORRUPT; what cannot be read: STATUS_IO. *archive is NULL after a failure. */
enum status archive_open(const char *path, struct archive **archive);
void archive_close(struct archive *archive); /* NULL is fine */

const char *archive_path(const struct archive *archive);
int64_t archive_count(const struct archive *archive);
const char *archive_name(const struct archive *archive, int64_t index); /* 0 to count - 1; valid until archive_close */
int64_t archive_size(const struct archive *archive, int64_t index);     /* in bytes, unpacked; -1: unknown */
int64_t archive_find(const struct archive *archive, const char *name);  /* its index; -1: no such member */

/* 64 hexadecimal digits: SHA-256 of the lines "NAME\tSIZE\tCRC\n" of all members in order, where CRC is eight hexadecimal
 * digits in a zip and "-" in the other forms, which have none. So it says which files of which sizes there are, and of a
 * folder or a tar nothing about their contents: what an evaluation depends on must be hashed when it is read. The same files
 * packed as a zip and as a tar have different identities. */
void archive_identity(const struct archive *archive, char hex[65]);

/* Reads one member whole. The caller frees *data, behind whose *size bytes there is a NUL. STATUS_CORRUPT when it has more than
 * `limit` bytes (nothing beyond the limit is inflated), when it is damaged, or when the archive is no longer the one that was
 * opened. In a folder, a zip and a plain tar the other members are not touched; a .tar.gz is inflated from its beginning, so
 * whoever reads many members of one uses archive_stream. */
enum status archive_read(struct archive *archive, int64_t index, int64_t limit, void **data, int64_t *size);

/* Is shown a member by archive_stream. The data, with a NUL behind them, are valid until it returns. Anything but STATUS_OK
 * ends the pass and is what archive_stream returns. */
typedef enum status archive_visit(void *context, int64_t index, const void *data, int64_t size);

/* Shows all members for which wanted[index] holds (NULL: all) to `visit`, in the order in which they are stored, in one pass.
 * Errors as for archive_read; a wanted member that is no longer there is STATUS_CORRUPT. */
enum status archive_stream(struct archive *archive, const bool *wanted, int64_t limit, archive_visit *visit,
                           void *context);

#endif
