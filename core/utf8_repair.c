/* Text of unknown origin, made safe to print and to put into JSON: a file may contain control characters that a
 * terminal would obey. */
#include "core/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* The control characters that a terminal might obey: C0, DEL and C1, which has two bytes. */
static bool is_control(const unsigned char *character, size_t length)
{
    return (length == 1 && (character[0] < 0x20 || character[0] == 0x7F)) ||
           (length == 2 && character[0] == 0xC2 && character[1] < 0xA0);
}

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
        size_t length = utf8_character(text + i, (size_t)(size - i));
        if (length == 0) {
            *malformed = true;
            fputs(REPLACEMENT, stream);
            i++;
            continue;
        }
        if (escape && is_control((const unsigned char *)text + i, length))
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
