/* utf8proc's categories decide, as Python's own tables of the same standard do. ASCII is answered without a look into them,
 * since nearly all of a transcript is ASCII. Characters that only one of two versions of Unicode knows differ by nature:
 * utf8proc 2.8 has Unicode 15, Python 3.11 has 14. */
#include "eval/transcripts/characters.h"

#include "core/utf8.h"

#include <stddef.h>
#include <utf8proc.h>

enum { NEXT_LINE = 0x85 };

static utf8proc_category_t category_of(uint32_t code)
{
    return utf8proc_category((utf8proc_int32_t)code);
}

bool is_white_space(uint32_t code)
{
    if (code < 0x80)
        return code == ' ' || (code >= '\t' && code <= '\r') || (code >= 0x1C && code <= 0x1F);
    if (code == NEXT_LINE)
        return true;
    utf8proc_category_t category = category_of(code);
    return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

bool is_word_character(uint32_t code)
{
    if (code < 0x80)
        return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || (code >= '0' && code <= '9') ||
               code == '_';
    switch (category_of(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return false;
    }
}

bool is_decimal_digit(uint32_t code)
{
    if (code < 0x80)
        return code >= '0' && code <= '9';
    return category_of(code) == UTF8PROC_CATEGORY_ND;
}

/* The digits of a script follow each other from zero to nine (Unicode, section 4.6), and utf8proc does not tell their values:
 * they are counted back to the first of the run. Several sets may stand side by side, as those of mathematics. */
int decimal_digit_value(uint32_t code)
{
    uint32_t first = code;
    while (first > 0 && is_decimal_digit(first - 1))
        first--;
    return (int)((code - first) % 10);
}

bool is_mark_symbol_or_punctuation(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
        return true;
    default:
        return false;
    }
}

bool is_ascii_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

uint32_t character_at(const char *text, int64_t size, int64_t at, int64_t *length)
{
    uint32_t code = 0;
    *length = at < size ? (int64_t)utf8_decode(text + at, (size_t)(size - at), &code) : 0;
    return code;
}

int64_t character_begin(const char *text, int64_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80)
        at--;
    return at;
}

uint32_t character_before(const char *text, int64_t at)
{
    uint32_t code = 0;
    if (at == 0)
        return 0;
    int64_t begin = character_begin(text, at - 1);
    utf8_decode(text + begin, (size_t)(at - begin), &code);
    return code;
}

bool is_word_boundary(const char *text, int64_t size, int64_t at)
{
    int64_t length;
    uint32_t after = character_at(text, size, at, &length);
    return is_word_character(character_before(text, at)) != is_word_character(after);
}

int64_t skip_white_space(const char *text, int64_t size, int64_t at)
{
    int64_t length;
    while (at < size && is_white_space(character_at(text, size, at, &length)))
        at += length;
    return at;
}

enum status check_utf8(const char *text)
{
    for (size_t at = 0, length; text[at]; at += length) {
        length = utf8_character(text + at, SIZE_MAX);
        if (length == 0)
            return status_set(STATUS_CORRUPT, "byte %zu of the text is not UTF-8", at + 1);
    }
    return STATUS_OK;
}
