/* The first byte says how long a character is, and everything else that Unicode's table 3-7 forbids (overlong forms,
 * surrogates, code points above U+10FFFF) shows in the first two bytes. So malformed text is refused before a code
 * point is computed. */
#include "core/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

size_t utf8_character(const char *text, size_t size)
{
    const unsigned char *byte = (const unsigned char *)text;
    if (byte[0] < 0x80)
        return 1;
    if (byte[0] < 0xC2 || byte[0] > 0xF4)
        return 0;
    size_t length = byte[0] < 0xE0 ? 2 : byte[0] < 0xF0 ? 3 : 4;
    if (size < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((byte[i] & 0xC0) != 0x80)
            return 0;
    bool refused = (byte[0] == 0xE0 && byte[1] < 0xA0) || (byte[0] == 0xED && byte[1] > 0x9F) ||
                   (byte[0] == 0xF0 && byte[1] < 0x90) || (byte[0] == 0xF4 && byte[1] > 0x8F);
    return refused ? 0 : length;
}

size_t utf8_decode(const char *text, size_t size, uint32_t *code)
{
    static const unsigned char masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const unsigned char *byte = (const unsigned char *)text;
    size_t length = utf8_character(text, size);
    uint32_t value = byte[0] & masks[length];
    for (size_t i = 1; i < length; i++)
        value = value << 6 | (byte[i] & 0x3F);
    if (length > 0)
        *code = value;
    return length;
}

bool utf8_is_unsafe(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x61C || code == 0x200E || code == 0x200F ||
           (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

size_t utf8_line(const char *text, char *line, size_t room)
{
    size_t used = 0;
    while (*text) {
        uint32_t code = 0;
        size_t length = utf8_decode(text, SIZE_MAX, &code), taken = length ? length : 1;
        char shown[4 * 4 + 1] = "";
        if (*text == '\n' || *text == '\r' || *text == '\t')
            shown[0] = ' ';
        else if (length == 0 || utf8_is_unsafe(code))
            for (size_t i = 0; i < taken; i++)
                snprintf(shown + 4 * i, 5, "\\x%02X", (unsigned char)text[i]);
        else
            memcpy(shown, text, length);
        size_t size = strlen(shown);
        if (used + size >= room)
            break;
        memcpy(line + used, shown, size);
        used += size;
        text += taken;
    }
    line[used] = 0;
    return used;
}
