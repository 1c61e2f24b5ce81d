/* Folding: every character becomes ASCII where it has an equivalent there (an accent is dropped, a typographic
 * quotation mark becomes a plain one), a control character below 8 where it is a symbol that is spoken (FOLDED_POUND
 * ...), or keeps its bytes where it is a letter of another script. The readers then look at bytes, and each byte knows
 * the characters of the original it comes from, so that word times lead back into the text as it was written. */
#include "text/english/spell_fold.h"

#include "core/utf8.h"
#include "text/english/spell_token.h"

#include <stdlib.h>
#include <string.h>

/* The letters under the accent, for Latin-1 and Latin Extended-A (Unicode's canonical decompositions, and the usual
 * spelling of the letters that have none); NULL for any other code. `one` holds the text of single letters. */
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

void folded_text_free(struct folded_text *folded)
{
    free(folded->bytes);
    free(folded->begin);
    free(folded->end);
}

enum status fold_text(const char *text, struct folded_text *folded)
{
    enum status result = STATUS_OK;
    *folded = (struct folded_text){.all_capitals = true};
    size_t length = strlen(text);
    if (length > INT32_MAX)
        return status_set(STATUS_USAGE, "expected a text of at most 2147483647 bytes, found %zu", length);
    size_t room = 3 * length + 1; /* ample: no character grows; an ellipsis keeps its 3 bytes */
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
    folded_text_free(folded);
    return result;
}
