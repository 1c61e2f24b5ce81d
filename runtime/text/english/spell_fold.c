/* Folding: every character becomes ASCII where it has an equivalent there (an accent is dropped, a typographic
 * quotation mark becomes a plain one), a control character below 8 where it is a symbol that is spoken (FOLDED_POUND
 * ...), or keeps its bytes where it is a letter of another script. The readers then look at bytes, and each byte knows
 * the characters of the original it comes from, so that word times lead back into the text as it was written. */
#include "text/english/spell_fold.h"

#include "core/utf8.h"
#include "text/english/spell_token.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

/* What is not spoken as Unicode's decompositions and categories have it; sorted. */
static const struct {
    uint32_t first, last;
    const char *text;
} exceptions[] = {
    {0x00, 0x1F, " "},      {0x7F, 0x9F, " "},       {0xA3, 0xA3, "\x01"},   {0xA5, 0xA5, "\x03"},
    {0xAA, 0xAA, NULL},     {0xB0, 0xB0, "\x04"},    {0xBA, 0xBA, NULL},     {0xBC, 0xBC, "\x06"},
    {0xBD, 0xBD, "\x05"},   {0xBE, 0xBE, "\x07"},    {0xC6, 0xC6, "Ae"},     {0xD0, 0xD0, "D"},
    {0xD7, 0xD7, "x"},      {0xD8, 0xD8, "O"},       {0xDE, 0xDE, "Th"},     {0xDF, 0xDF, "ss"},
    {0xE6, 0xE6, "ae"},     {0xF0, 0xF0, "d"},       {0xF8, 0xF8, "o"},      {0xFE, 0xFE, "th"},
    {0x110, 0x110, "D"},    {0x111, 0x111, "d"},     {0x126, 0x126, "H"},    {0x127, 0x127, "h"},
    {0x131, 0x131, "i"},    {0x138, 0x138, "k"},     {0x141, 0x141, "L"},    {0x142, 0x142, "l"},
    {0x14A, 0x14A, "N"},    {0x14B, 0x14B, "n"},     {0x152, 0x152, "Oe"},   {0x153, 0x153, "oe"},
    {0x166, 0x166, "T"},    {0x167, 0x167, "t"},     {0x2B9, 0x2BD, "'"},    {0x300, 0x36F, ""},
    {0x1E9E, 0x1E9E, "SS"}, {0x2010, 0x2011, "-"},   {0x2014, 0x2015, "--"}, {0x2018, 0x2019, "'"},
    {0x201B, 0x201B, "'"},  {0x2026, 0x2026, "..."}, {0x2032, 0x2032, "'"},  {0x20AC, 0x20AC, "\x02"},
    {0x2212, 0x2212, "-"},  {0xFF07, 0xFF07, "'"},
};

/* What a character becomes; "" drops it. NULL: keep its bytes. `digits_around`: for the en dash of ranges. */
static const char *fold(uint32_t code, bool digits_around, char base[UNICODE_BASE_BYTES])
{
    _Static_assert(FOLDED_POUND == 1 && FOLDED_EURO == 2 && FOLDED_YEN == 3 && FOLDED_DEGREE == 4 && FOLDED_HALF == 5 &&
                       FOLDED_QUARTER == 6 && FOLDED_THREE_QUARTERS == 7,
                   "the table above spells them out");
    if (code == 0x2012 || code == 0x2013)
        return digits_around ? "-" : "--";
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++)
        if (code >= exceptions[i].first && code <= exceptions[i].last)
            return exceptions[i].text;
    if (code < 0x80)
        return NULL;
    switch (unicode_kind(code)) {
    case UNICODE_LETTER:
        if (!unicode_ascii_base(code, base))
            return NULL;
        return base[0] != '\0' ? base : "\"";
    case UNICODE_SPACE:
        return " ";
    case UNICODE_PUNCTUATION:
        break;
    }
    return unicode_is_invisible(code) ? "" : "\"";
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
    size_t room = 3 * length + 1; /* ample: a Roman numeral of 3 bytes has at most 4 letters, and nothing grows more */
    folded->bytes = malloc(room);
    folded->begin = malloc(room * sizeof *folded->begin);
    folded->end = malloc(room * sizeof *folded->end);
    if (folded->bytes == NULL || folded->begin == NULL || folded->end == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for a text of %zu bytes", length);
    for (size_t i = 0; i < length;) {
        uint32_t code = 0;
        char base[UNICODE_BASE_BYTES];
        size_t size = utf8_decode(text + i, length - i, &code);
        const char *piece = " ";
        int64_t piece_length = 1;
        if (size > 0) {
            bool digits_around = i > 0 && is_digit(text[i - 1]) && is_digit(text[i + size]);
            const char *folded_character = fold(code, digits_around, base);
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
