/* The bytes of an archive's file from one position on, inflated where it is gzipped; for the files of io/archive alone. */
#ifndef SPIRITLM_IO_ARCHIVE_INPUT_H
#define SPIRITLM_IO_ARCHIVE_INPUT_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>

enum { INPUT_BLOCK = 1 << 16 };

struct input {
    const char *path;      /* for errors */
    int descriptor;        /* borrowed */
    int64_t position, end; /* of what has not been read yet, in the file */
    bool gzipped;
    bool inside;     /* a gzip member has begun and not ended */
    z_stream stream; /* of a gzipped file */
    unsigned char packed[INPUT_BLOCK];
    unsigned char block[INPUT_BLOCK];
};

/* `input` is for input_close, also after a failure. */
enum status input_open(const char *path, int descriptor, int64_t begin, int64_t end, bool gzipped, struct input *input);
void input_close(struct input *input);

/* The next bytes, at most INPUT_BLOCK, in input->block; *size 0 at the end. A gzipped file has its CRC-32 and length checked
 * where it ends. */
enum status input_next(struct input *input, int64_t *size);

/* Goes ahead without reading, by at most `wanted` bytes; returns by how many. 0 where everything must be inflated. */
int64_t input_skip(struct input *input, int64_t wanted);

/* As many bytes of the file as there are at `position`, at most `size`; *got may be less only at the end of the file. */
enum status input_read_at(const char *path, int descriptor, int64_t position, void *bytes, int64_t size, int64_t *got);

#endif
