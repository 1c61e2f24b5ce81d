/* Two small tables that are computed when asked for: which character a byte is, by counting the bytes before it that are
 * not visible, and the same backwards. */
#include "text/byte_alphabet.h"

#include "core/utf8.h"

#include <stdbool.h>

enum { FIRST_SUBSTITUTE = 0x100, SUBSTITUTES = 68 };

static bool is_visible(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

/* 0x00-0x20 are the first 33 substitutes, 0x7F-0xA0 the next 34, 0xAD the last. */
static int substituted_byte(uint32_t code)
{
    int index = (int)(code - FIRST_SUBSTITUTE);
    return index <= ' ' ? index : index < SUBSTITUTES - 1 ? index - 33 + 0x7F : 0xAD;
}

static uint32_t character_of(int byte)
{
    if (is_visible(byte))
        return (uint32_t)byte;
    return (uint32_t)(FIRST_SUBSTITUTE + (byte <= ' ' ? byte : byte <= 0xA0 ? byte - 0x7F + 33 : SUBSTITUTES - 1));
}

int64_t alphabet_read(const char *text, int64_t size, char *bytes)
{
    int64_t count = 0;
    for (int64_t at = 0; at < size;) {
        uint32_t code = 0;
        size_t length = utf8_decode(text + at, (size_t)(size - at), &code);
        if (length == 0)
            return -1;
        if (code >= FIRST_SUBSTITUTE && code < FIRST_SUBSTITUTE + SUBSTITUTES)
            bytes[count++] = (char)substituted_byte(code);
        else if (code < FIRST_SUBSTITUTE && is_visible((int)code))
            bytes[count++] = (char)code;
        else
            return -1;
        at += (int64_t)length;
    }
    return count;
}

int64_t alphabet_write(const char *bytes, int64_t size, char *text)
{
    int64_t length = 0;
    for (int64_t i = 0; i < size; i++) {
        uint32_t code = character_of((unsigned char)bytes[i]);
        if (code < 0x80) {
            text[length++] = (char)code;
        } else {
            text[length++] = (char)(0xC0 | code >> 6);
            text[length++] = (char)(0x80 | (code & 0x3F));
        }
    }
    return length;
}
