/* utf8proc has the tables of Unicode; what is decided here is which categories matter to somebody who looks for words.
 * The comparable form is Unicode's caseless matching (full case folding, then compatibility decomposition with marks in
 * canonical order), made more tolerant where recognisers and transcripts differ although people would say that the
 * words are the same. */
#include "text/unicode.h"

#include "core/array.h"
#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    DECOMPOSED_CODES = 32, /* the longest decomposition has 18 */
    NEXT_LINE = 0x85,
    MALFORMED = 0x110000,     /* a malformed byte is this plus the byte, beyond all characters */
    DOTLESS_I = 0x131,        /* compared as i */
    DOT_ABOVE = 0x307,        /* what is left of a folded capital I with a dot: dropped after i */
    FIRST_APOSTROPHE = 0x2B9, /* letters that are written where others write an apostrophe, as in Ukrainian */
    LAST_APOSTROPHE = 0x2BD,  /* and Hawaiian */
};

static utf8proc_category_t category_of(uint32_t code)
{
    return utf8proc_category((utf8proc_int32_t)code);
}

static bool is_mark(uint32_t code)
{
    utf8proc_category_t category = category_of(code);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC;
}

static enum unicode_kind kind_of_category(uint32_t code)
{
    switch (category_of(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
    case UTF8PROC_CATEGORY_CO: /* private letters, and those of a newer Unicode than the table's */
    case UTF8PROC_CATEGORY_CN:
        return code >= FIRST_APOSTROPHE && code <= LAST_APOSTROPHE ? UNICODE_PUNCTUATION : UNICODE_LETTER;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return UNICODE_SPACE;
    case UTF8PROC_CATEGORY_CC:
        return (code >= '\t' && code <= '\r') || code == NEXT_LINE ? UNICODE_SPACE : UNICODE_PUNCTUATION;
    default:
        return UNICODE_PUNCTUATION;
    }
}

/* The letters and marks that a letter is made of, with or without its case. None for a letter without a shape (a Hangul
 * filler, a variation selector), which nobody could see in a text. */
static int64_t decompose(uint32_t code, bool fold_case, uint32_t parts[DECOMPOSED_CODES])
{
    utf8proc_int32_t codes[DECOMPOSED_CODES];
    int boundary = 0, options = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_IGNORE;
    if (fold_case)
        options |= UTF8PROC_CASEFOLD;
    utf8proc_ssize_t count =
        utf8proc_decompose_char((utf8proc_int32_t)code, codes, DECOMPOSED_CODES, (utf8proc_option_t)options, &boundary);
    int64_t kept = 0;
    for (utf8proc_ssize_t i = 0; i < count && i < DECOMPOSED_CODES; i++)
        if (kind_of_category((uint32_t)codes[i]) == UNICODE_LETTER) /* a fraction loses its stroke */
            parts[kept++] = (uint32_t)codes[i];
    return kept;
}

enum unicode_kind unicode_kind(uint32_t code)
{
    uint32_t parts[DECOMPOSED_CODES];
    enum unicode_kind kind = kind_of_category(code);
    return kind == UNICODE_LETTER && decompose(code, false, parts) == 0 ? UNICODE_PUNCTUATION : kind;
}

bool unicode_is_invisible(uint32_t code)
{
    const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)code);
    return property->category == UTF8PROC_CATEGORY_CF || property->ignorable;
}

size_t unicode_space_at(const char *text, size_t size)
{
    uint32_t code = 0;
    size_t length = utf8_decode(text, size, &code);
    return length > 0 && kind_of_category(code) == UNICODE_SPACE ? length : 0;
}

size_t unicode_space_before(const char *text, size_t size)
{
    size_t length = 1; /* back to the byte that the last character begins with */
    while (length < size && length < 4 && ((unsigned char)text[size - length] & 0xC0) == 0x80)
        length++;
    return unicode_space_at(text + size - length, length) == length ? length : 0;
}

bool unicode_has_letter(const char *text)
{
    for (size_t length; *text; text += length) {
        uint32_t code = 0;
        length = utf8_decode(text, SIZE_MAX, &code);
        if (length == 0 || unicode_kind(code) == UNICODE_LETTER)
            return true;
    }
    return false;
}

bool unicode_ascii_base(uint32_t code, char base[UNICODE_BASE_BYTES])
{
    utf8proc_int32_t codes[DECOMPOSED_CODES];
    utf8proc_category_t category = category_of(code);
    int boundary = 0;
    size_t length = 0;
    base[0] = '\0';
    if (kind_of_category(code) != UNICODE_LETTER || is_mark(code))
        return false;
    utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)code, codes, DECOMPOSED_CODES,
                                                     UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);
    for (utf8proc_ssize_t i = 0; i < count && i < DECOMPOSED_CODES; i++) {
        uint32_t c = (uint32_t)codes[i];
        bool ascii = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (ascii && length < UNICODE_BASE_BYTES - 1)
            base[length++] = (char)c;
        else if (!is_mark(c) && kind_of_category(c) == UNICODE_LETTER)
            return false;
    }
    base[category == UTF8PROC_CATEGORY_NO ? 0 : length] = '\0';
    return length > 0;
}

/* ---- the comparable form ---- */

struct form {
    struct unicode_element *elements;
    int64_t count, room;
};

static enum status append(struct form *form, struct unicode_element element)
{
    enum status result = array_grow(&form->elements, &form->room, form->count + 1, "letters of a text");
    if (result == STATUS_OK)
        form->elements[form->count++] = element;
    return result;
}

static utf8proc_propval_t order_of(const struct unicode_element *element)
{
    return element->mark ? utf8proc_get_property((utf8proc_int32_t)element->code)->combining_class : 0;
}

/* Marks that do not touch each other may be written in any order; here each stands behind those of lower class. Those
 * that changed places share the bytes of all. */
static void put_in_order(struct form *form)
{
    int64_t place = form->count - 1;
    struct unicode_element element = form->elements[place];
    utf8proc_propval_t order = order_of(&element);
    while (order > 0 && place > 0 && order_of(&form->elements[place - 1]) > order) {
        form->elements[place] = form->elements[place - 1];
        place--;
    }
    form->elements[place] = element;
    if (place == form->count - 1)
        return;
    int32_t begin = form->elements[place + 1].begin;
    for (int64_t i = place; i < form->count; i++) {
        form->elements[i].begin = begin;
        form->elements[i].end = element.end;
    }
}

static enum status add_character(struct form *form, uint32_t code, int32_t begin, int32_t end)
{
    uint32_t parts[DECOMPOSED_CODES];
    struct unicode_element element = {.begin = begin, .end = end, .kind = unicode_kind(code)};
    if (element.kind != UNICODE_LETTER)
        return append(form, element);
    int64_t count = decompose(code, false, parts);
    for (int64_t i = 0; i < count; i++) {
        element.code = parts[i];
        element.mark = is_mark(parts[i]);
        enum status result = append(form, element);
        if (result != STATUS_OK)
            return result;
        put_in_order(form);
    }
    return STATUS_OK;
}

/* Chinese characters and kana. (The syllables of Hangul are as wide, but Korean separates words.) */
static bool stands_alone(uint32_t code)
{
    const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)code);
    return property->category == UTF8PROC_CATEGORY_LO && property->charwidth == 2 &&
           property->boundclass == UTF8PROC_BOUNDCLASS_OTHER;
}

/* Case is folded when the marks are in order: the small iota under a Greek letter becomes a letter of its own. */
static enum status fold_letters(const struct form *form, struct form *folded)
{
    bool after_i = false; /* the last letter that is not a mark is i */
    for (int64_t i = 0; i < form->count; i++) {
        struct unicode_element element = form->elements[i];
        uint32_t parts[DECOMPOSED_CODES] = {element.code};
        bool character = element.kind == UNICODE_LETTER && element.code < MALFORMED;
        int64_t count = character ? decompose(element.code, true, parts) : 1;
        for (int64_t j = 0; j < count; j++) {
            element.code = parts[j] == DOTLESS_I ? 'i' : parts[j];
            element.mark = character && is_mark(element.code);
            element.single = character && stands_alone(element.code);
            if (after_i && element.code == DOT_ABOVE) { /* it belongs to the letter before it */
                folded->elements[folded->count - 1].end = element.end;
                continue;
            }
            after_i = element.code == 'i' || (after_i && element.mark);
            enum status result = append(folded, element);
            if (result != STATUS_OK)
                return result;
        }
    }
    return STATUS_OK;
}

enum status unicode_elements(const char *text, struct unicode_element **elements, int64_t *count)
{
    enum status result = STATUS_OK;
    struct form form = {0}, folded = {0};
    size_t size = strlen(text);
    if (size > INT32_MAX)
        FAIL(STATUS_USAGE, "expected a text of at most 2147483647 bytes, found %zu", size);
    for (size_t i = 0, length; i < size; i += length) {
        uint32_t code = 0;
        length = utf8_decode(text + i, size - i, &code);
        if (length > 0) {
            TRY(add_character(&form, code, (int32_t)i, (int32_t)(i + length)));
            continue;
        }
        length = 1;
        TRY(append(&form, (struct unicode_element){
                              .code = MALFORMED + (unsigned char)text[i], .begin = (int32_t)i, .end = (int32_t)i + 1}));
    }
    TRY(fold_letters(&form, &folded));
    *elements = folded.elements;
    *count = folded.count;
    folded.elements = NULL;
fail:
    free(form.elements);
    free(folded.elements);
    return result;
}
