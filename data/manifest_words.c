/* Finds the words of an alignment in a row's text: they are compared letter by letter, case and punctuation aside. */
#include "core/utf8.h"
#include "data/manifest.h"

enum { WORD_LETTERS = 256 };

enum character { CHARACTER_LETTER, CHARACTER_PUNCTUATION, CHARACTER_SPACE, CHARACTER_END };

/* One code point; a malformed byte counts as itself. */
static int64_t decode(const char *text, uint32_t *code)
{
    *code = (unsigned char)*text;
    size_t length = utf8_decode(text, SIZE_MAX, code);
    return length > 0 ? (int64_t)length : 1;
}

/* Simple case folding of the Latin, Greek and Cyrillic blocks. */
static uint32_t fold(uint32_t code)
{
    if ((code >= 'A' && code <= 'Z') || (code >= 0xC0 && code <= 0xDE && code != 0xD7) ||
        (code >= 0x391 && code <= 0x3A9) || (code >= 0x410 && code <= 0x42F))
        return code + 32;
    if (code >= 0x400 && code <= 0x40F)
        return code + 80;
    if ((code >= 0x100 && code <= 0x137) || (code >= 0x14A && code <= 0x177))
        return code | 1;
    return code;
}

static enum character classify(uint32_t code)
{
    if (code == 0)
        return CHARACTER_END;
    if (code <= ' ' || code == 0x7f || code == 0xA0 || code == 0x3000)
        return CHARACTER_SPACE;
    if (code < 0x80) {
        bool letter = (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
        return letter ? CHARACTER_LETTER : CHARACTER_PUNCTUATION;
    }
    bool punctuation = code < 0xC0 ? code != 0xAA && code != 0xB5 && code != 0xBA
                                   : (code >= 0x2000 && code <= 0x206F) || (code >= 0x3001 && code <= 0x3020);
    return punctuation ? CHARACTER_PUNCTUATION : CHARACTER_LETTER;
}

static enum character next(const char *text, int64_t position, uint32_t *letter, int64_t *length)
{
    *length = decode(text + position, letter);
    enum character kind = classify(*letter);
    *letter = fold(*letter);
    return kind;
}

/* Compares `count` letters with the text at `position`, skipping punctuation between them. Returns the position after
 * the last letter, or -1. */
static int64_t match(const char *text, int64_t position, const uint32_t *letters, int64_t count, bool whole)
{
    uint32_t letter;
    int64_t length;
    for (int64_t i = 0; i < count;) {
        enum character kind = next(text, position, &letter, &length);
        if (kind == CHARACTER_END || kind == CHARACTER_SPACE || (kind == CHARACTER_LETTER && letter != letters[i]))
            return -1;
        i += kind == CHARACTER_LETTER;
        position += length;
    }
    return whole && next(text, position, &letter, &length) == CHARACTER_LETTER ? -1 : position;
}

static int64_t word_letters(const char *word, uint32_t letters[WORD_LETTERS])
{
    int64_t count = 0, length;
    uint32_t letter;
    for (int64_t position = 0;; position += length) {
        enum character kind = next(word, position, &letter, &length);
        if (kind == CHARACTER_END)
            return count;
        if (kind != CHARACTER_LETTER)
            continue;
        if (count == WORD_LETTERS)
            return 0;
        letters[count++] = letter;
    }
}

/* The first place at or after `from` where the word occurs as a whole; otherwise, as part of a longer word ("can" "not"
 * in "cannot"), only at the first letter after `from`. */
static int64_t search(const char *text, int64_t from, const uint32_t *letters, int64_t count, int64_t *start)
{
    int64_t length, first = -1;
    uint32_t letter;
    bool inside = false;
    for (int64_t position = from;; position += length) {
        enum character kind = next(text, position, &letter, &length);
        if (kind == CHARACTER_END)
            break;
        if (kind == CHARACTER_LETTER && !inside) {
            first = first < 0 ? position : first;
            int64_t end = match(text, position, letters, count, true);
            if (end >= 0) {
                *start = position;
                return end;
            }
        }
        inside = kind == CHARACTER_LETTER;
    }
    *start = first;
    return first < 0 ? -1 : match(text, first, letters, count, false);
}

bool manifest_find_word(const char *text, const char *word, int64_t *position, int32_t *begin, int32_t *end)
{
    uint32_t letters[WORD_LETTERS], letter;
    int64_t count = word_letters(word, letters), start, length;
    if (count == 0)
        return false;
    int64_t stop = search(text, *position, letters, count, &start);
    if (stop < 0)
        return false;
    /* Punctuation before the word belongs to it, back to the last space. */
    int64_t touching = *position;
    for (int64_t i = *position; i < start; i += length)
        if (next(text, i, &letter, &length) != CHARACTER_PUNCTUATION)
            touching = i + length;
    while (next(text, stop, &letter, &length) == CHARACTER_PUNCTUATION)
        stop += length;
    *begin = (int32_t)touching;
    *end = (int32_t)stop;
    *position = stop;
    return true;
}
