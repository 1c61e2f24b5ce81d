/* The mark is looked for once, behind reading: UTF-16 must be converted as a whole anyway. */
#include "io/text_file.h"

#include "core/array.h"
#include "io/atomic_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int put_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

static uint32_t unit_at(const unsigned char *bytes, bool big)
{
    return big ? (uint32_t)bytes[0] << 8 | bytes[1] : (uint32_t)bytes[1] << 8 | bytes[0];
}

/* `bytes` follow the byte order mark. */
static enum status utf8_from_utf16(const char *where, const unsigned char *bytes, int64_t count, bool big, char **text,
                                   int64_t *size)
{
    char *made = malloc((size_t)(count / 2) * 3 + 4), *out = made;
    if (!made)
        return status_set(STATUS_INTERNAL, "%s: out of memory", where);
    for (int64_t i = 0; i < count; i += 2) {
        uint32_t code = i + 1 < count ? unit_at(bytes + i, big) : 0;
        if (code >= 0xD800 && code < 0xDC00 && i + 3 < count) {
            uint32_t low = unit_at(bytes + i + 2, big);
            if (low >= 0xDC00 && low < 0xE000) {
                code = 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00));
                i += 2;
            }
        }
        if (code == 0 || (code >= 0xD800 && code < 0xE000)) {
            free(made);
            return status_set(STATUS_CORRUPT, "%s: byte %lld is not UTF-16, as which the file begins: save it as UTF-8",
                              where, (long long)i + 2);
        }
        out += put_utf8(code, out);
    }
    *out = 0;
    *text = made;
    *size = out - made;
    return STATUS_OK;
}

int64_t text_mark(const char *text, int64_t size)
{
    return size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

enum status text_decode(const char *where, char **text, int64_t *size)
{
    const unsigned char *bytes = (const unsigned char *)*text;
    int64_t mark = text_mark(*text, *size);
    if (mark > 0) {
        *size -= mark;
        memmove(*text, *text + mark, (size_t)*size + 1);
        return STATUS_OK;
    }
    bool big = *size >= 2 && bytes[0] == 0xFE && bytes[1] == 0xFF;
    if (!big && !(*size >= 2 && bytes[0] == 0xFF && bytes[1] == 0xFE))
        return STATUS_OK;
    char *decoded = NULL;
    enum status result = utf8_from_utf16(where, bytes + 2, *size - 2, big, &decoded, size);
    if (result == STATUS_OK) {
        free(*text);
        *text = decoded;
    }
    return result;
}

enum status text_file_read(const char *path, int64_t limit, char **text, int64_t *size)
{
    void *data = NULL;
    enum status result = file_read(path, limit, &data, size);
    if (result != STATUS_OK)
        return result;
    char *read = data;
    result = text_decode(path, &read, size);
    if (result == STATUS_OK)
        *text = read;
    else
        free(read);
    return result;
}

enum status text_stream_read(FILE *stream, const char *where, int64_t limit, char **text, int64_t *size)
{
    enum status result = STATUS_OK;
    char *read = NULL;
    int64_t capacity = 0, count = 0, got = 1;
    while (got > 0) {
        if (count > limit)
            FAIL(STATUS_CORRUPT, "%s: expected at most %lld bytes, found more", where, (long long)limit);
        TRY(array_grow(&read, &capacity, count + (1 << 16), "bytes of text"));
        got = (int64_t)fread(read + count, 1, (size_t)(capacity - count - 1), stream);
        count += got;
    }
    if (ferror(stream)) {
        result = status_set_errno(STATUS_IO, errno, "%s: cannot read", where);
        goto fail;
    }
    read[count] = 0;
    TRY(text_decode(where, &read, &count));
    *text = read;
    *size = count;
    read = NULL;
fail:
    free(read);
    return result;
}
