/* Text of unknown origin, made safe to print and to put into JSON: a file may contain control characters that a
 * terminal would obey. */
#include "core/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

static void print_control(FILE *stream, const unsigned char *character, size_t length)
{
    static const char plain[] = "\n\t\r", names[] = "ntr";
    const char *known = *character ? strchr(plain, *character) : NULL;
    if (known)
        fprintf(stream, "\\%c", names[known - plain]);
    for (size_t i = 0; !known && i < length; i++)
        fprintf(stream, "\\x%02X", character[i]);
}

enum status utf8_repair(const char *text, int64_t size, bool escape, char **out, int64_t *out_size, bool *malformed)
{
    size_t written = 0;
    *out = NULL;
    *malformed = false;
    FILE *stream = open_memstream(out, &written);
    if (!stream)
        return status_set(STATUS_INTERNAL, "no memory for a text of %lld bytes", (long long)size);
    for (int64_t i = 0; i < size;) {
        uint32_t code = 0;
        size_t length = utf8_decode(text + i, (size_t)(size - i), &code);
        if (length == 0) {
            *malformed = true;
            fputs(REPLACEMENT, stream);
            i++;
            continue;
        }
        if (escape && utf8_is_unsafe(code))
            print_control(stream, (const unsigned char *)text + i, length);
        else
            fwrite(text + i, 1, length, stream);
        i += (int64_t)length;
    }
    bool failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || failed) {
        free(*out);
        *out = NULL;
        return status_set(STATUS_INTERNAL, "no memory for a text of %lld bytes", (long long)size);
    }
    *out_size = (int64_t)written;
    return STATUS_OK;
}

enum status utf8_printable(const char *text, int64_t size, char **printable)
{
    int64_t unused;
    bool malformed;
    return utf8_repair(text, size, true, printable, &unused, &malformed);
}

int utf8_print(FILE *file, const char *format, ...)
{
    char *text = NULL, *printable = NULL;
    int written = 0;
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        return -1;
    for (const char *line = text; written >= 0 && line < text + size;) {
        const char *end = memchr(line, '\n', (size_t)(text + size - line));
        int64_t length = (end ? end : text + size) - line;
        if (utf8_printable(line, length, &printable) != STATUS_OK || fputs(printable, file) < 0 ||
            (end && fputc('\n', file) < 0))
            written = -1;
        else
            written += (int)length + (end != NULL);
        free(printable);
        printable = NULL;
        line += length + 1;
    }
    free(text);
    return written;
}
