/* A file mapped into memory to be read: it may be larger than memory, and what the page cache holds of it is shared by all
 * ranks of a machine. The file must not shrink while it is open. */
#ifndef SPIRITLM_IO_MAPPED_FILE_H
#define SPIRITLM_IO_MAPPED_FILE_H

#include "core/status.h"

#include <stdint.h>

struct mapped_file {
    char *path;
    const unsigned char *bytes;
    int64_t size;
};

/* STATUS_USAGE when there is no such file or it is a folder or a device; STATUS_CORRUPT when it has fewer than
 * `least` >= 1 bytes, which is "too few for a KIND". `file` is for mapped_file_close, also after a failure. */
enum status mapped_file_open(const char *path, int64_t least, const char *kind, struct mapped_file *file);
void mapped_file_close(struct mapped_file *file);

/* `bytes` bytes of a mapped file have been read: the pages that lie in them as a whole are this process's memory no longer.
 * Who reads them again gets them again. */
void mapped_bytes_forget(const void *begin, int64_t bytes);

/* Bytes of a mapped file are about to be read from their beginning to their end, and will be kept. Comes before the first
 * reading: it then fills large pages, where the file system has them. */
void mapped_bytes_expect(const void *begin, int64_t bytes);

/* Bytes of a mapped file are read again and again from now on, in whatever order. */
void mapped_bytes_keep(const void *begin, int64_t bytes);

#endif
