/* The directory at the end of a zip file; for the files of io/archive alone. */
#ifndef SPIRITLM_IO_ARCHIVE_ZIP_H
#define SPIRITLM_IO_ARCHIVE_ZIP_H

#include "io/archive/members.h"

/* Adds the regular files of the zip file of `file_size` bytes to the listing, with the places of their headers.
 * STATUS_CORRUPT: no directory at the end, a broken entry, or one that is
 * encrypted. */
enum status zip_list(const char *path, int descriptor, int64_t file_size, struct listing *listing);

/* Whether the header at `position` has the member's name. STATUS_CORRUPT when it has another. */
enum status zip_check_header(const char *path, int descriptor, int64_t position, const char *name);

#endif
