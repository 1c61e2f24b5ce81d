/* utf8proc has the small letter of each capital one. What it lacks are the two rules for which one letter is not enough:
 * Unicode's SpecialCasing has them, and they need to know which characters have case and which are looked through. */
#include "text/lower_case.h"

#include "core/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    CAPITAL_I_WITH_DOT = 0x130,
    DOT_ABOVE = 0x307,
    CAPITAL_SIGMA = 0x3A3,
    SMALL_SIGMA = 0x3C3,
    FINAL_SIGMA = 0x3C2,
};

struct code_range {
    uint32_t first, last;
};

/* What has case without being a letter, or without a letter's category: ordinals, Roman numerals, letters in circles and
 * squares (Other_Lowercase and Other_Uppercase, those aside that are looked through all the same). */
static const struct code_range other_cased[] = {{0xAA, 0xAA},      {0xBA, 0xBA},       {0x2160, 0x217F},
                                                {0x24B6, 0x24E9},  {0x1F130, 0x1F149}, {0x1F150, 0x1F169},
                                                {0x1F170, 0x1F189}};

/* Punctuation that may stand within a word (Word_Break: MidLetter, MidNumLet, Single_Quote). */
static const struct code_range within_words[] = {
    {0x27, 0x27},     {0x2E, 0x2E},     {0x3A, 0x3A},     {0xB7, 0xB7},     {0x387, 0x387},   {0x55F, 0x55F},
    {0x5F4, 0x5F4},   {0x2018, 0x2019}, {0x2024, 0x2024}, {0x2027, 0x2027}, {0xFE13, 0xFE13}, {0xFE52, 0xFE52},
    {0xFE55, 0xFE55}, {0xFF07, 0xFF07}, {0xFF0E, 0xFF0E}, {0xFF1A, 0xFF1A}};

static bool is_in(uint32_t code, const struct code_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

enum neighbour { WITHOUT_CASE, WITH_CASE, LOOKED_THROUGH };

static enum neighbour neighbour_kind(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return LOOKED_THROUGH;
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
        return WITH_CASE;
    default:
        if (is_in(code, within_words, sizeof within_words / sizeof *within_words))
            return LOOKED_THROUGH;
        return is_in(code, other_cased, sizeof other_cased / sizeof *other_cased) ? WITH_CASE : WITHOUT_CASE;
    }
}

/* Whether a letter with case follows what may be looked through. */
static bool case_follows(const char *text)
{
    for (size_t length; *text; text += length) {
        uint32_t code;
        length = utf8_decode(text, SIZE_MAX, &code);
        enum neighbour kind = length ? neighbour_kind(code) : WITHOUT_CASE;
        if (kind != LOOKED_THROUGH)
            return kind == WITH_CASE;
    }
    return false;
}

enum status text_lower_case(const char *text, char **lower)
{
    const size_t size = strlen(text);
    bool after_case = false; /* a letter with case precedes what may be looked through */
    /* No character has a lower case of more than half as many bytes again ("İ": two, three). */
    char *to = *lower = malloc(size + size / 2 + 1);
    if (!to)
        return status_set(STATUS_INTERNAL, "no memory for a text of %zu bytes", size);
    for (size_t length; *text; text += length) {
        uint32_t code;
        length = utf8_decode(text, SIZE_MAX, &code);
        if (length == 0) {
            length = 1;
            *to++ = *text;
            after_case = false;
            continue;
        }
        uint32_t small = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
        if (code == CAPITAL_SIGMA)
            small = after_case && !case_follows(text + length) ? FINAL_SIGMA : SMALL_SIGMA;
        if (code == CAPITAL_I_WITH_DOT)
            small = 'i';
        to += utf8proc_encode_char((utf8proc_int32_t)small, (utf8proc_uint8_t *)to);
        if (code == CAPITAL_I_WITH_DOT)
            to += utf8proc_encode_char(DOT_ABOVE, (utf8proc_uint8_t *)to);
        enum neighbour kind = neighbour_kind(code);
        if (kind != LOOKED_THROUGH)
            after_case = kind == WITH_CASE;
    }
    *to = 0;
    return STATUS_OK;
}
