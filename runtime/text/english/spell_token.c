/* Questions about a written token, and how its readings are collected. ASCII letters and digits are recognised by hand,
 * not by <ctype.h>: how a text is read must not depend on the locale. */
#include "text/english/spell_token.h"

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

bool is_letter(char c)
{
    return is_capital(c) || (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

static char small(char c)
{
    return is_capital(c) ? (char)(c - 'A' + 'a') : c;
}

bool token_is(const struct written_token *token, const char *lower_case)
{
    int i = 0;
    for (; i < token->length && lower_case[i] != '\0'; i++)
        if (small(token->bytes[i]) != lower_case[i])
            return false;
    return i == token->length && lower_case[i] == '\0';
}

void say_word(struct phrase *phrase, const char *bytes, int length)
{
    char lower[SPOKEN_WORD_BYTES + 4]; /* what is longer is cut, at a character boundary */
    int count = length < (int)sizeof lower ? length : (int)sizeof lower;
    for (int i = 0; i < count; i++)
        lower[i] = small(bytes[i]);
    phrase_add_bytes(phrase, lower, count);
}

void readings_add(struct readings *readings, const struct phrase *phrase)
{
    if (phrase->count == 0 || readings->count == SPELL_READINGS)
        return;
    for (int i = 0; i < readings->count; i++)
        if (phrase_equal(&readings->list[i], phrase))
            return;
    readings->list[readings->count++] = *phrase;
}

void readings_put_before(struct readings *readings, const char *word)
{
    for (int i = 0; i < readings->count; i++) {
        struct phrase longer;
        phrase_clear(&longer);
        phrase_add(&longer, word);
        phrase_append(&longer, &readings->list[i]);
        readings->list[i] = longer;
    }
}

void readings_put_after(struct readings *readings, const char *word)
{
    for (int i = 0; i < readings->count; i++)
        phrase_add(&readings->list[i], word);
}

uint64_t digits_value(const char *digits, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value * 10 + (uint64_t)(digits[i] - '0');
    return value;
}

bool is_half_day(const char *bytes, int length, char *letter)
{
    struct written_token rest = {.bytes = bytes, .length = length};
    *letter = length > 0 && (bytes[0] == 'p' || bytes[0] == 'P') ? 'p' : 'a';
    return token_is(&rest, "am") || token_is(&rest, "pm") || token_is(&rest, "a.m") || token_is(&rest, "p.m");
}

void readings_put_half_day_after(struct readings *readings, char letter)
{
    char name[2] = {letter, '\0'};
    readings_put_after(readings, name);
    readings_put_after(readings, "m");
}
