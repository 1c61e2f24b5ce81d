#include "text/english/spell_internal.h"

#include "core/array.h"
#include "core/utf8.h"
#include "text/white_space.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- small things the token readers share ---- */

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

/* ---- folding ---- */

struct folded_text {
    char *bytes;
    int32_t *begin, *end; /* of the character each byte comes from, in the original */
    int64_t length;
    bool all_capitals;
};

/* The letters under the accent, for Latin-1 and Latin Extended-A (Unicode's canonical decompositions, and the usual
 * spelling of the letters that have none); NULL for what is no such letter. `one` holds the text of single letters. */
static const char *latin_letters(uint32_t code, char one[2])
{
    static const char latin_1[] = "AAAAAAACEEEEIIIIDNOOOOO.OUUUUYTsaaaaaaaceeeeiiiidnooooo.ouuuuyty";
    static const char extended[] = "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiIiJjKkkLlLlLlL"
                                   "lLlNnNnNnnNnOoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";
    static const struct {
        uint32_t code;
        const char *letters;
    } several[] = {{0xC6, "Ae"}, {0xDE, "Th"},  {0xDF, "ss"},  {0xE6, "ae"},  {0xFE, "th"},
                   {0xD7, "x"},  {0x132, "IJ"}, {0x133, "ij"}, {0x152, "Oe"}, {0x153, "oe"}};
    if (code < 0xC0 || code > 0x17F || code == 0xF7)
        return NULL;
    for (size_t i = 0; i < sizeof several / sizeof several[0]; i++)
        if (several[i].code == code)
            return several[i].letters;
    one[0] = code < 0x100 ? latin_1[code - 0xC0] : extended[code - 0x100];
    one[1] = '\0';
    return one;
}

/* What a character becomes; "" drops it. NULL: keep its bytes. `digits_around`: for the en dash of ranges. */
static const char *fold(uint32_t code, bool digits_around, char one[2])
{
    static const struct {
        uint32_t first, last;
        const char *text;
    } table[] = {
        {0x00, 0x1F, " "},         {0x7F, 0xA0, " "},       {0xA3, 0xA3, "\x01"},     {0xA5, 0xA5, "\x03"},
        {0xAD, 0xAD, ""},          {0xB0, 0xB0, "\x04"},    {0xBD, 0xBD, "\x05"},     {0xBC, 0xBC, "\x06"},
        {0xBE, 0xBE, "\x07"},      {0xAA, 0xAA, NULL},      {0xBA, 0xBA, NULL},       {0xB5, 0xB5, NULL},
        {0xA1, 0xBF, "\""},        {0x2BC, 0x2BC, "'"},     {0x300, 0x36F, ""},       {0x2000, 0x200A, " "},
        {0x200B, 0x200F, ""},      {0x2010, 0x2011, "-"},   {0x2014, 0x2015, "--"},   {0x2018, 0x2019, "'"},
        {0x201B, 0x201B, "'"},     {0x2026, 0x2026, "..."}, {0x2028, 0x2029, " "},    {0x202F, 0x202F, " "},
        {0x2032, 0x2032, "'"},     {0x205F, 0x205F, " "},   {0x20AC, 0x20AC, "\x02"}, {0x2212, 0x2212, "-"},
        {0x2000, 0x2BFF, "\""},    {0x3000, 0x3000, " "},   {0x3001, 0x303F, "\""},   {0xFEFF, 0xFEFF, ""},
        {0x1F000, 0x10FFFF, "\""},
    };
    _Static_assert(FOLDED_POUND == 1 && FOLDED_EURO == 2 && FOLDED_YEN == 3 && FOLDED_DEGREE == 4 && FOLDED_HALF == 5 &&
                       FOLDED_QUARTER == 6 && FOLDED_THREE_QUARTERS == 7,
                   "the table above spells them out");
    if (code == 0x2012 || code == 0x2013)
        return digits_around ? "-" : "--";
    const char *letters = latin_letters(code, one);
    if (letters != NULL)
        return letters;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (code >= table[i].first && code <= table[i].last)
            return table[i].text;
    return code == 0xF7 ? "\"" : NULL;
}

static void folded_free(struct folded_text *folded)
{
    free(folded->bytes);
    free(folded->begin);
    free(folded->end);
}

static enum status fold_text(const char *text, struct folded_text *folded)
{
    enum status result = STATUS_OK;
    *folded = (struct folded_text){.all_capitals = true};
    size_t length = strlen(text);
    if (length > INT32_MAX)
        return status_set(STATUS_USAGE, "a text of %zu bytes is longer than the 2147483647 that can be spelled",
                          length);
    size_t room = 3 * length + 1; /* an ellipsis or a dash grows at most from 3 bytes to 3; a letter from 2 to 2 */
    folded->bytes = malloc(room);
    folded->begin = malloc(room * sizeof *folded->begin);
    folded->end = malloc(room * sizeof *folded->end);
    if (folded->bytes == NULL || folded->begin == NULL || folded->end == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for a text of %zu bytes", length);
    for (size_t i = 0; i < length;) {
        uint32_t code = 0;
        char one[2];
        size_t size = utf8_decode(text + i, length - i, &code);
        const char *piece = " ";
        int64_t piece_length = 1;
        if (size > 0) {
            bool digits_around = i > 0 && is_digit(text[i - 1]) && is_digit(text[i + size]);
            const char *folded_character = fold(code, digits_around, one);
            piece = folded_character != NULL ? folded_character : text + i;
            piece_length = folded_character != NULL ? (int64_t)strlen(folded_character) : (int64_t)size;
        } else
            size = 1;
        for (int64_t k = 0; k < piece_length; k++, folded->length++) {
            folded->bytes[folded->length] = piece[k];
            folded->begin[folded->length] = (int32_t)i;
            folded->end[folded->length] = (int32_t)(i + size);
            folded->all_capitals = folded->all_capitals && !(piece[k] >= 'a' && piece[k] <= 'z');
        }
        if (piece_length == 0 && folded->length > 0) /* an accent belongs to the letter before it */
            folded->end[folded->length - 1] = (int32_t)(i + size);
        i += size;
    }
    folded->bytes[folded->length] = '\0';
    return STATUS_OK;
fail:
    folded_free(folded);
    return result;
}

/* ---- tokens ---- */

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

struct token_list {
    struct written_token *tokens;
    int64_t count, room;
};

static enum status add_token(struct token_list *list, const struct folded_text *folded, int64_t begin, int64_t end)
{
    trim(folded->bytes, &begin, &end);
    if (begin >= end)
        return STATUS_OK;
    enum status result = array_grow(&list->tokens, &list->room, list->count + 1, "tokens of a text");
    if (result != STATUS_OK)
        return result;
    /* Longer tokens are no words; the readers need only their beginning to say so. */
    int64_t length = end - begin < 4096 ? end - begin : 4096;
    list->tokens[list->count++] = (struct written_token){.bytes = folded->bytes + begin,
                                                         .length = (int)length,
                                                         .begin = begin,
                                                         .end = end,
                                                         .full_stop = folded->bytes[end] == '.'};
    return STATUS_OK;
}

static enum status cut_tokens(const struct folded_text *folded, struct token_list *list)
{
    const char *s = folded->bytes;
    for (int64_t i = 0; i < folded->length;) {
        if (is_white_space(s[i])) {
            i++;
            continue;
        }
        int64_t end = i;
        while (end < folded->length && !is_white_space(s[end]))
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

/* ---- putting it together ---- */

struct spoken_room {
    int64_t tokens, readings, words;
};

static enum status append_token(struct spoken_text *spoken, struct spoken_room *room, int32_t begin, int32_t end,
                                const struct readings *readings)
{
    enum status result = STATUS_OK;
    if (readings->count == 0)
        return STATUS_OK;
    TRY(array_grow(&spoken->tokens, &room->tokens, spoken->token_count + 1, "tokens of a text"));
    TRY(array_grow(&spoken->readings, &room->readings, spoken->reading_count + readings->count, "readings of a text"));
    spoken->tokens[spoken->token_count++] = (struct spoken_token){
        .text_begin = begin, .text_end = end, .first_reading = spoken->reading_count, .reading_count = readings->count};
    for (int i = 0; i < readings->count; i++) {
        const struct phrase *phrase = &readings->list[i];
        TRY(array_grow(&spoken->words, &room->words, spoken->word_count + phrase->count, "words of a text"));
        assert(spoken->words != NULL && spoken->readings != NULL);
        memcpy(spoken->words + spoken->word_count, phrase->words, (size_t)phrase->count * sizeof *spoken->words);
        spoken->readings[spoken->reading_count++] =
            (struct spoken_reading){.first = spoken->word_count, .count = phrase->count};
        spoken->word_count += phrase->count;
    }
fail:
    return result;
}

enum status spell_readings(const char *text, struct spoken_text *spoken)
{
    enum status result = STATUS_OK;
    struct folded_text folded;
    struct token_list list = {0};
    struct spoken_room room = {0};
    struct readings *readings = NULL;
    *spoken = (struct spoken_text){0};
    result = fold_text(text, &folded);
    if (result != STATUS_OK)
        return result;
    if ((readings = malloc(sizeof *readings)) == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for the readings of a token");
    TRY(cut_tokens(&folded, &list));
    for (int64_t i = 0; i < list.count; i++) {
        const struct written_token *first = &list.tokens[i], *last = first;
        readings->count = 0;
        if (read_money_and_scale(first, readings))
            last = &list.tokens[++i];
        else if (!read_number_token(first, readings))
            read_word_token(first, readings);
        TRY(append_token(spoken, &room, folded.begin[first->begin], folded.end[last->end - 1], readings));
    }
    goto done;
fail:
    spoken_text_free(spoken);
done:
    free(readings);
    free(list.tokens);
    folded_free(&folded);
    return result;
}

void spoken_text_free(struct spoken_text *spoken)
{
    free(spoken->tokens);
    free(spoken->readings);
    free(spoken->words);
    *spoken = (struct spoken_text){0};
}

enum status spell_out(const char *text, struct spoken_word **words, int64_t *count)
{
    struct spoken_text spoken;
    *words = NULL;
    *count = 0;
    enum status result = spell_readings(text, &spoken);
    if (result != STATUS_OK)
        return result;
    int64_t total = 0;
    assert(spoken.token_count == 0 || spoken.readings != NULL);
    for (int64_t i = 0; i < spoken.token_count; i++)
        total += spoken.readings[spoken.tokens[i].first_reading].count;
    if (total > 0 && (*words = malloc((size_t)total * sizeof **words)) == NULL) {
        result = status_set(STATUS_INTERNAL, "out of memory for %lld spoken words", (long long)total);
        goto done;
    }
    for (int64_t i = 0; i < spoken.token_count; i++) {
        const struct spoken_token *token = &spoken.tokens[i];
        const struct spoken_reading *reading = &spoken.readings[token->first_reading];
        for (int64_t k = 0; k < reading->count; k++) {
            assert(*words != NULL && spoken.words != NULL);
            struct spoken_word *word = &(*words)[(*count)++];
            memcpy(word->text, spoken.words[reading->first + k], sizeof word->text);
            word->text_begin = token->text_begin;
            word->text_end = token->text_end;
        }
    }
done:
    spoken_text_free(&spoken);
    return result;
}
