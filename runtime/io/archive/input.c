/* gzip is inflated by zlib itself and not by libarchive, which does not compare the CRC-32 and the length that a gzip file ends
 * with: a damaged download would be read as if it were whole. */
#include "io/archive/input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW_OF_GZIP = 15 + 16 };

enum status input_read_at(const char *path, int descriptor, int64_t position, void *bytes, int64_t size, int64_t *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t part = pread(descriptor, (char *)bytes + *got, (size_t)(size - *got), position + *got);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return status_set_errno(STATUS_IO, errno, "%s: cannot be read", path);
        if (part == 0)
            break;
        *got += part;
    }
    return STATUS_OK;
}

enum status input_open(const char *path, int descriptor, int64_t begin, int64_t end, bool gzipped, struct input *input)
{
    input->path = path;
    input->descriptor = descriptor;
    input->position = begin;
    input->end = end;
    input->gzipped = false;
    input->inside = true;
    memset(&input->stream, 0, sizeof input->stream);
    if (gzipped && inflateInit2(&input->stream, WINDOW_OF_GZIP) != Z_OK)
        return status_set(STATUS_INTERNAL, "%s: no memory for zlib", path);
    input->gzipped = gzipped;
    return STATUS_OK;
}

void input_close(struct input *input)
{
    if (input->gzipped)
        inflateEnd(&input->stream);
    input->gzipped = false;
}

static enum status read_block(struct input *input, unsigned char *bytes, int64_t *size)
{
    int64_t left = input->end - input->position, wanted = left < INPUT_BLOCK ? left : INPUT_BLOCK;
    enum status result = input_read_at(input->path, input->descriptor, input->position, bytes, wanted, size);
    input->position += *size;
    return result;
}

/* Behind the end of a gzip member: another one (gzip files may be joined), zeros as tapes have them, or nothing. */
static enum status begin_next_member(struct input *input, bool *ended)
{
    *ended = false;
    for (;;) {
        while (input->stream.avail_in > 0 && *input->stream.next_in == 0) {
            input->stream.next_in++;
            input->stream.avail_in--;
        }
        if (input->stream.avail_in > 0)
            break;
        int64_t size = 0;
        enum status result = read_block(input, input->packed, &size);
        if (result != STATUS_OK)
            return result;
        if (size == 0) {
            *ended = true;
            return STATUS_OK;
        }
        input->stream.next_in = input->packed;
        input->stream.avail_in = (unsigned)size;
    }
    if (*input->stream.next_in != 0x1f)
        return status_set(STATUS_CORRUPT, "%s: damaged: something else follows its gzip data", input->path);
    inflateReset(&input->stream);
    input->inside = true;
    return STATUS_OK;
}

static enum status inflate_block(struct input *input, int64_t *size)
{
    z_stream *stream = &input->stream;
    stream->next_out = input->block;
    stream->avail_out = INPUT_BLOCK;
    while (stream->avail_out == INPUT_BLOCK) {
        int64_t got = 0;
        bool ended = false;
        enum status result = STATUS_OK;
        if (!input->inside) {
            result = begin_next_member(input, &ended);
            if (result != STATUS_OK || ended)
                return result;
        }
        if (stream->avail_in == 0) {
            result = read_block(input, input->packed, &got);
            if (result != STATUS_OK)
                return result;
            if (got == 0)
                return status_set(STATUS_CORRUPT, "%s: truncated: its gzip data have no end", input->path);
            stream->next_in = input->packed;
            stream->avail_in = (unsigned)got;
        }
        int code = inflate(stream, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR)
            return status_set(STATUS_INTERNAL, "%s: no memory for zlib", input->path);
        if (code == Z_STREAM_END)
            input->inside = false;
        else if (code != Z_OK && code != Z_BUF_ERROR)
            return status_set(STATUS_CORRUPT, "%s: damaged gzip data before byte %lld: %s", input->path,
                              (long long)input->position, stream->msg ? stream->msg : "cannot be inflated");
    }
    *size = INPUT_BLOCK - (int64_t)stream->avail_out;
    return STATUS_OK;
}

enum status input_next(struct input *input, int64_t *size)
{
    *size = 0;
    return input->gzipped ? inflate_block(input, size) : read_block(input, input->block, size);
}

int64_t input_skip(struct input *input, int64_t wanted)
{
    if (input->gzipped || wanted < 0)
        return 0;
    int64_t left = input->end - input->position, skipped = wanted < left ? wanted : left;
    input->position += skipped;
    return skipped;
}
