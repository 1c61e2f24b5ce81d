/* Both sides are brought into their comparable form once, so that a search only compares numbers. A search that need not
 * look far does not: a word that fits where the last one ended is looked for as a whole word only a little further on,
 * which keeps the time linear in the text whatever the words are. */
#include "text/word_places.h"

#include "text/unicode.h"

#include <stdbool.h>
#include <stdlib.h>

enum { LOOK_AHEAD = 1024 }; /* elements */

struct form {
    struct unicode_element *elements;
    int64_t count;
};

static bool is_letter(const struct form *form, int64_t at)
{
    return at < form->count && form->elements[at].kind == UNICODE_LETTER;
}

/* Whether the text may be cut before element `at`: not inside a character. */
static bool is_cut(const struct form *text, int64_t at)
{
    return at == 0 || at >= text->count || text->elements[at].begin >= text->elements[at - 1].end;
}

static bool begins_word(const struct form *text, int64_t at)
{
    if (at == 0 || text->elements[at - 1].kind != UNICODE_LETTER)
        return true;
    return !text->elements[at].mark && (text->elements[at].single || text->elements[at - 1].single);
}

/* The element after the word's last letter when the text has the word at `at`; -1 otherwise. White space inside the word
 * must meet white space. */
static int64_t match(const struct form *text, int64_t at, const struct form *word)
{
    if (!is_cut(text, at))
        return -1;
    bool space = false, begun = false;
    int64_t end = at;
    for (int64_t i = 0; i < word->count; i++) {
        const struct unicode_element *letter = word->elements + i;
        space |= letter->kind == UNICODE_SPACE;
        if (letter->kind != UNICODE_LETTER)
            continue;
        bool spaced = false;
        for (; at < text->count && text->elements[at].kind != UNICODE_LETTER; at++)
            spaced |= text->elements[at].kind == UNICODE_SPACE;
        if (at == text->count || text->elements[at].code != letter->code || (begun && spaced != space))
            return -1;
        end = ++at;
        begun = true;
        space = false;
    }
    return is_cut(text, end) ? end : -1;
}

static bool ends_word(const struct form *text, int64_t end)
{
    return !is_letter(text, end) || begins_word(text, end);
}

/* The next place at or after `from` where the word occurs as a whole; otherwise, as part of a longer word, only at the
 * first letter after `from`. Returns where it ends, -1 when it does not occur. `part_first` takes the part if there is
 * one. */
static int64_t search(const struct form *text, int64_t from, const struct form *word, bool part_first, int64_t *start)
{
    int64_t first = from;
    while (first < text->count && text->elements[first].kind != UNICODE_LETTER)
        first++;
    int64_t part = first < text->count ? match(text, first, word) : -1;
    int64_t limit = part >= 0 && text->count - first > LOOK_AHEAD ? first + LOOK_AHEAD : text->count;
    *start = first;
    if (part >= 0 && part_first)
        return part;
    for (int64_t at = first; at < limit; at++) {
        if (!is_letter(text, at) || (at > first && !begins_word(text, at)))
            continue;
        int64_t end = match(text, at, word);
        if (end >= 0 && ends_word(text, end)) {
            *start = at;
            return end;
        }
    }
    return part;
}

static bool has_letter(const struct form *form)
{
    for (int64_t i = 0; i < form->count; i++)
        if (form->elements[i].kind == UNICODE_LETTER)
            return true;
    return false;
}

/* Punctuation before a word belongs to it, back to the last word or space, and so does the punctuation after it. Returns
 * the element behind. */
static int64_t place_word(const struct form *text, int64_t from, int64_t start, int64_t end, struct word_place *place)
{
    while (start > from && text->elements[start - 1].kind == UNICODE_PUNCTUATION)
        start--;
    while (end < text->count && text->elements[end].kind == UNICODE_PUNCTUATION)
        end++;
    place->begin = text->elements[start].begin;
    place->end = text->elements[end - 1].end;
    return end;
}

static enum status find_all(const struct form *text, const char *const *words, int64_t count, bool part_first,
                            struct word_place *places, int64_t *missing)
{
    enum status result = STATUS_OK;
    int64_t position = 0;
    *missing = -1;
    for (int64_t i = 0; i < count && *missing < 0; i++) {
        struct form word = {0};
        result = unicode_elements(words[i], &word.elements, &word.count);
        if (result != STATUS_OK)
            return result;
        int64_t start = 0, end = 0;
        if (!has_letter(&word)) {
            int32_t here = i > 0 ? places[i - 1].end : 0;
            places[i] = (struct word_place){here, here};
        } else if ((end = search(text, position, &word, part_first, &start)) < 0) {
            *missing = i;
        } else {
            position = place_word(text, position, start, end, places + i);
        }
        free(word.elements);
    }
    return STATUS_OK;
}

enum status word_places_find(const char *text, const char *const *words, int64_t count, struct word_place *places,
                             int64_t *missing)
{
    struct form form = {0};
    enum status result = unicode_elements(text, &form.elements, &form.count);
    if (result == STATUS_OK)
        result = find_all(&form, words, count, false, places, missing);
    if (result == STATUS_OK && *missing >= 0) { /* "can", "not" in "Cannot I? I can": the whole word came too late */
        int64_t second = 0;
        result = find_all(&form, words, count, true, places, &second);
        if (result == STATUS_OK && second < 0)
            *missing = -1;
    }
    free(form.elements);
    return result;
}
