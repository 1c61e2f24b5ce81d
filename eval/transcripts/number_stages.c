/* What whisper-english does to a text before its numbers are read, and afterwards to the currencies in it. Each stage is a
 * scanner for one regular expression. */
#include "eval/transcripts/number_stages.h"

#include "eval/transcripts/characters.h"
#include "eval/transcripts/number_words.h"
#include "eval/transcripts/text_stages.h"

#include <stdio.h>
#include <string.h>

static bool is_ascii_small(char byte)
{
    return byte >= 'a' && byte <= 'z';
}

/* ---- before ---- */

/* Bytes of "and a half" at byte `at`, white space of any kind between its words. 0: something else stands there. */
static int64_t half_at(const struct text_buffer *text, int64_t at)
{
    static const char *const words[] = {"and", "a", "half"};
    int64_t end = at;
    if (!is_word_boundary(text->bytes, text->size, at))
        return 0;
    for (int i = 0; i < 3; i++) {
        int64_t begin = i > 0 ? skip_white_space(text->bytes, text->size, end) : end;
        if ((i > 0 && begin == end) || strncmp(text->bytes + begin, words[i], strlen(words[i])) != 0)
            return 0;
        end = begin + (int64_t)strlen(words[i]);
    }
    return is_word_boundary(text->bytes, text->size, end) ? end - at : 0;
}

/* Whether the last word of text[begin, end) is a cardinal number. */
static bool ends_with_number(const struct text_buffer *text, int64_t begin, int64_t end)
{
    while (end > begin && is_white_space(character_before(text->bytes, end)))
        end = character_begin(text->bytes, end - 1);
    int64_t word = end;
    while (word > begin && !is_white_space(character_before(text->bytes, word)))
        word = character_begin(text->bytes, word - 1);
    switch (number_word_find(text->bytes + word, end - word)->kind) {
    case NUMBER_ZERO:
    case NUMBER_ONE:
    case NUMBER_TEN:
    case NUMBER_POWER:
        return true;
    default:
        return false;
    }
}

static void add_part(struct text_buffer *to, bool *first, const char *bytes, int64_t size)
{
    if (!*first)
        text_buffer_add(to, " ", 1);
    text_buffer_add(to, bytes, size);
    *first = false;
}

void and_a_half_stage(const struct text_buffer *from, struct text_buffer *to)
{
    bool first = true;
    for (int64_t begin = 0, at = 0; begin <= from->size;) {
        int64_t half = 0;
        const char *found = strstr(from->bytes + at, "and");
        int64_t end = found ? found - from->bytes : from->size;
        if (found && (half = half_at(from, end)) == 0) {
            at = end + 1;
            continue;
        }
        if (skip_white_space(from->bytes, from->size, begin) < end) {
            add_part(to, &first, from->bytes + begin, end - begin);
            if (half > 0 && ends_with_number(from, begin, end))
                add_part(to, &first, "point five", 10);
            else if (half > 0)
                add_part(to, &first, "and a half", 10);
        }
        if (!found)
            break;
        begin = at = end + half;
    }
}

void digits_apart_stage(const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0; at < from->size; at++) {
        char byte = from->bytes[at], next = from->bytes[at + 1];
        text_buffer_add(to, &byte, 1);
        if ((is_ascii_small(byte) && is_ascii_digit(next)) || (is_ascii_digit(byte) && is_ascii_small(next)))
            text_buffer_add(to, " ", 1);
    }
}

static bool suffix_at(const struct text_buffer *text, int64_t at)
{
    static const char *const suffixes[] = {"st", "nd", "rd", "th", "s"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (strncmp(text->bytes + at, suffixes[i], strlen(suffixes[i])) == 0 &&
            is_word_boundary(text->bytes, text->size, at + (int64_t)strlen(suffixes[i])))
            return true;
    return false;
}

void digit_suffixes_stage(const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0; at < from->size; at++) {
        text_buffer_add(to, from->bytes + at, 1);
        if (!is_ascii_digit(from->bytes[at]))
            continue;
        int64_t end = skip_white_space(from->bytes, from->size, at + 1);
        if (end > at + 1 && suffix_at(from, end))
            at = end - 1;
    }
}

/* ---- afterwards ---- */

/* Bytes of a currency's symbol that counts whole units; 0: another character. */
static int64_t currency_at(const char *text)
{
    static const char *const symbols[] = {"$", "£", "€"};
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (strncmp(text, symbols[i], strlen(symbols[i])) == 0)
            return (int64_t)strlen(symbols[i]);
    return 0;
}

/* One or two digits at byte `at`, no digit or letter behind them: their number, and their value. */
static int64_t cents_at(const struct text_buffer *text, int64_t at, int *value)
{
    *value = 0;
    int64_t end = at;
    while (end < at + 2 && is_ascii_digit(text->bytes[end]))
        *value = *value * 10 + (text->bytes[end++] - '0');
    return end > at && is_word_boundary(text->bytes, text->size, end) ? end - at : 0;
}

/* Bytes of "$2 and ¢7" at byte `at`, of which *whole are "$2"; 0: something else. */
static int64_t whole_and_cents_at(const struct text_buffer *text, int64_t at, int64_t *whole, int *cents)
{
    int64_t end = at + currency_at(text->bytes + at), digits = end;
    if (end == at)
        return 0;
    while (is_ascii_digit(text->bytes[end]))
        end++;
    *whole = end - at;
    if (end == digits || text->bytes[end] != ' ')
        return 0;
    end++;
    if (strncmp(text->bytes + end, "and ", 4) == 0)
        end += 4;
    if (strncmp(text->bytes + end, "¢", 2) != 0)
        return 0;
    int64_t length = cents_at(text, end + 2, cents);
    return length > 0 ? end + 2 + length - at : 0;
}

void combined_cents_stage(const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0; at < from->size;) {
        char text[16];
        int cents;
        int64_t whole, length = whole_and_cents_at(from, at, &whole, &cents);
        text_buffer_add(to, from->bytes + at, length > 0 ? whole : 1);
        at += length > 0 ? length : 1;
        if (length == 0)
            continue;
        snprintf(text, sizeof text, ".%02d", cents);
        text_buffer_add_text(to, text);
    }
}

/* Between the zero and the cents any character will do, since the original's full stop is not quoted. */
static int64_t zero_and_cents_at(const struct text_buffer *text, int64_t at, int *cents)
{
    int64_t end = at + currency_at(text->bytes + at), length;
    if (end == at || text->bytes[end] != '0' || end + 1 == text->size || text->bytes[end + 1] == '\n')
        return 0;
    character_at(text->bytes, text->size, end + 1, &length);
    end += 1 + length;
    length = cents_at(text, end, cents);
    return length > 0 ? end + length - at : 0;
}

void cents_alone_stage(const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0; at < from->size;) {
        char text[16];
        int cents;
        int64_t length = zero_and_cents_at(from, at, &cents);
        if (length > 0)
            snprintf(text, sizeof text, "¢%d", cents);
        text_buffer_add(to, length > 0 ? text : from->bytes + at, length > 0 ? (int64_t)strlen(text) : 1);
        at += length > 0 ? length : 1;
    }
}

void one_stage(const struct text_buffer *from, struct text_buffer *to)
{
    for (int64_t at = 0; at < from->size; at++) {
        bool alone = from->bytes[at] == '1' && !is_word_character(character_before(from->bytes, at)) &&
                     is_word_boundary(from->bytes, from->size, at + (from->bytes[at + 1] == 's' ? 2 : 1));
        text_buffer_add(to, alone ? "one" : from->bytes + at, alone ? 3 : 1);
    }
}

void numbers_work(struct text_work *work)
{
    text_work_run(work, and_a_half_stage);
    text_work_run(work, digits_apart_stage);
    text_work_run(work, digit_suffixes_stage);
    text_work_run(work, spoken_numbers_stage);
    text_work_run(work, combined_cents_stage);
    text_work_run(work, cents_alone_stage);
    text_work_run(work, one_stage);
}
