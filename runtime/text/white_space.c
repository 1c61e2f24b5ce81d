/* White space is what Unicode calls so, whatever the locale: isspace() would cut the same text differently on another
 * machine. */
#include "text/white_space.h"

#include "core/utf8.h"
#include "text/unicode.h"

#include <stdbool.h>

void trim_white_space(const char *text, int64_t *begin, int64_t *end)
{
    size_t length;
    while (*begin < *end && (length = unicode_space_at(text + *begin, (size_t)(*end - *begin))) > 0)
        *begin += (int64_t)length;
    while (*end > *begin && (length = unicode_space_before(text + *begin, (size_t)(*end - *begin))) > 0)
        *end -= (int64_t)length;
}

/* str.isspace: the characters of category Zs, and those whose bidirectional class is WS, B or S. */
static bool is_python_space(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x20) || code == 0x85 || code == 0xa0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f ||
           code == 0x205f || code == 0x3000;
}

/* Bytes of the white space character that text[0, size) begins with; 0: another. */
static size_t python_space_at(const char *text, size_t size)
{
    uint32_t code = 0;
    size_t length = utf8_decode(text, size, &code);
    return length > 0 && is_python_space(code) ? length : 0;
}

void trim_python_space(const char *text, int64_t *begin, int64_t *end)
{
    size_t length;
    while (*begin < *end && (length = python_space_at(text + *begin, (size_t)(*end - *begin))) > 0)
        *begin += (int64_t)length;
    while (*end > *begin) {
        for (length = 1;
             (int64_t)length < *end - *begin && length < 4 && (text[*end - (int64_t)length] & 0xC0) == 0x80;)
            length++; /* back to the byte that the last character begins with */
        if (python_space_at(text + *end - length, length) != length)
            break;
        *end -= (int64_t)length;
    }
}
