/* Cuts a text at white space, then at punctuation between letters, and strips what surrounds a word and is not spoken.
 * Punctuation that changes how a number is read ("1,234.50", "-5", "$3", "10%", "12:30") stays with it. */
#include "text/english/spell_cut.h"

#include "core/array.h"

#include <stdlib.h>
#include <string.h>

static bool is_money(char c)
{
    return c == '$' || c == FOLDED_POUND || c == FOLDED_EURO || c == FOLDED_YEN;
}

static bool is_word_byte(char c)
{
    return is_letter(c) || is_digit(c) || (c >= FOLDED_HALF && c <= FOLDED_THREE_QUARTERS);
}

/* Length of the separator at s[i] inside a run without white space, 0 when there is none. */
static int64_t separator_length(const char *s, int64_t i, int64_t begin, int64_t end)
{
    char before = i > begin ? s[i - 1] : ' ', after = i + 1 < end ? s[i + 1] : ' ';
    if (strchr(";!?\"()[]{}<>|", s[i]) != NULL)
        return 1;
    if (s[i] == ',' || s[i] == ':')
        return is_digit(before) && is_digit(after) ? 0 : 1;
    if (s[i] == '.' && before >= 'a' && before <= 'z' && is_capital(after))
        return 1; /* a full stop without a space after it */
    if (s[i] != '-' && s[i] != '.')
        return 0;
    int64_t run = 1;
    while (i + run < end && s[i + run] == s[i])
        run++;
    return run > 1 ? run : 0;
}

/* A leading apostrophe is a quotation mark unless the word is one of these. */
static bool is_clipped_word(const char *s, int64_t length)
{
    static const char *const clipped[] = {"'em", "'til", "'tis", "'twas", "'cause", "'bout", "'twill", "'ere"};
    struct written_token token = {.bytes = s, .length = (int)length};
    for (size_t i = 0; i < sizeof clipped / sizeof clipped[0]; i++)
        if (token_is(&token, clipped[i]))
            return true;
    return false;
}

/* Takes the punctuation off both ends; leaves nothing of a token that is not spoken. */
static void trim(const char *s, int64_t *begin, int64_t *end)
{
    if (*begin >= *end)
        return;
    int64_t stops = *begin + 1; /* a symbol alone, with or without a full stop after it */
    while (stops < *end && s[stops] == '.')
        stops++;
    if (stops == *end && s[*begin] != '\0' && strchr("&@#*+=%$\x01\x02\x04", s[*begin]) != NULL) {
        *end = *begin + 1;
        return;
    }
    if (is_clipped_word(s + *begin, *end - *begin))
        return;
    for (; *begin < *end && !is_word_byte(s[*begin]); (*begin)++) {
        char c = s[*begin], next = *begin + 1 < *end ? s[*begin + 1] : ' ';
        bool number_follows = is_digit(next) || (next == '.' && *begin + 2 < *end && is_digit(s[*begin + 2]));
        if (number_follows && (is_money(c) || strchr("#*+-.", c) != NULL))
            break;
        if (is_money(next) && (c == '-' || c == '+'))
            break;
        if (c == '@' && is_word_byte(next))
            break;
    }
    for (; *begin < *end && !is_word_byte(s[*end - 1]); (*end)--) {
        char c = s[*end - 1], before = *end - 2 >= *begin ? s[*end - 2] : ' ';
        if (is_digit(before) && (c == '%' || c == '+' || c == FOLDED_DEGREE || is_money(c)))
            break;
        if (is_letter(before) && (c == '#' || c == '+'))
            break;
        if (c == '+' && before == '+' && *end - 3 >= *begin && is_letter(s[*end - 3]))
            break;
    }
}

static enum status add_token(struct token_list *list, const struct folded_text *folded, int64_t begin, int64_t end)
{
    trim(folded->bytes, &begin, &end);
    if (begin >= end)
        return STATUS_OK;
    enum status result = array_grow(&list->tokens, &list->room, list->count + 1, "tokens of a text");
    if (result != STATUS_OK)
        return result;
    /* Longer tokens are not words; the readers can tell from their beginning alone. */
    int64_t length = end - begin < 4096 ? end - begin : 4096;
    list->tokens[list->count++] = (struct written_token){.bytes = folded->bytes + begin,
                                                         .length = (int)length,
                                                         .begin = begin,
                                                         .end = end,
                                                         .full_stop = folded->bytes[end] == '.'};
    return STATUS_OK;
}

enum status cut_tokens(const struct folded_text *folded, struct token_list *list)
{
    const char *s = folded->bytes;
    for (int64_t i = 0; i < folded->length;) {
        if (s[i] == ' ') {
            i++;
            continue;
        }
        int64_t end = i;
        while (end < folded->length && s[end] != ' ')
            end++;
        int64_t begin = i;
        for (int64_t at = i; at < end;) {
            int64_t separator = separator_length(s, at, i, end);
            if (separator == 0) {
                at++;
                continue;
            }
            enum status result = add_token(list, folded, begin, at);
            if (result != STATUS_OK)
                return result;
            at += separator;
            begin = at;
        }
        enum status result = add_token(list, folded, begin, end);
        if (result != STATUS_OK)
            return result;
        i = end;
    }
    for (int64_t i = 0; i < list->count; i++) {
        list->tokens[i].previous = i > 0 ? &list->tokens[i - 1] : NULL;
        list->tokens[i].next = i + 1 < list->count ? &list->tokens[i + 1] : NULL;
        list->tokens[i].all_capitals_text = folded->all_capitals && list->count > 2;
    }
    return STATUS_OK;
}
