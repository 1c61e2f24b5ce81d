/* Texts as rows of a CTC model's characters. The text is gone through in runs without white space, and in these letter by letter,
 * a letter together with the marks on it, since models have composed letters where Unicode does. */
#include "text/ctc_vocabulary_internal.h"

#include "core/array.h"
#include "core/utf8.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { CLUSTER_CODES = 64 };

struct reading {
    const struct ctc_vocabulary *vocabulary;
    const char *text;
    struct ctc_text *out;
    struct ctc_word word; /* the one that is being read */
    int32_t pending;      /* a punctuation mark that the next letter makes part of the word; -1: none */
    bool run_has_word;    /* this run without white space has a word already */
    bool after_single;    /* the last letter was a word of its own */
};

static enum status add_label(struct reading *reading, int32_t label)
{
    struct ctc_text *out = reading->out;
    enum status result = array_grow(&out->labels, &out->label_room, out->label_count + 1, "labels of a text");
    if (result == STATUS_OK)
        out->labels[out->label_count++] = label;
    return result;
}

/* ---- words ---- */

static enum status end_word(struct reading *reading, int32_t at)
{
    struct ctc_text *out = reading->out;
    reading->pending = -1;
    if (reading->word.count == 0)
        return STATUS_OK;
    reading->word.text_end = at;
    enum status result = array_grow(&out->words, &out->word_room, out->word_count + 1, "words of a text");
    if (result == STATUS_OK)
        out->words[out->word_count++] = reading->word;
    reading->word = (struct ctc_word){.text_begin = at};
    reading->run_has_word = true;
    return result;
}

/* A label of a word, with the delimiter before its first one and the punctuation that it makes part of the word. */
static enum status add_letter(struct reading *reading, int32_t label)
{
    enum status result = STATUS_OK;
    struct ctc_text *out = reading->out;
    int32_t delimiter = reading->vocabulary->delimiter;
    if (reading->word.count > 0 && label == CTC_WILDCARD && out->labels[out->label_count - 1] == CTC_WILDCARD &&
        reading->pending < 0)
        return STATUS_OK;
    if (reading->word.count == 0 && out->word_count > 0 && !reading->run_has_word && delimiter >= 0)
        TRY(add_label(reading, delimiter));
    if (reading->word.count > 0 && reading->pending >= 0) {
        TRY(add_label(reading, reading->pending));
        reading->word.count++;
    }
    reading->pending = -1;
    if (reading->word.count == 0)
        reading->word.first = out->label_count;
    TRY(add_label(reading, label));
    reading->word.count++;
fail:
    return result;
}

/* ---- letters ---- */

static int32_t find_any_case(const struct ctc_vocabulary *vocabulary, uint32_t code)
{
    uint32_t small = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
    uint32_t capital = (uint32_t)utf8proc_toupper((utf8proc_int32_t)code);
    int32_t id = ctc_vocabulary_find(vocabulary, vocabulary->capitals ? capital : code);
    if (id < 0)
        id = ctc_vocabulary_find(vocabulary, small);
    return id < 0 ? ctc_vocabulary_find(vocabulary, capital) : id;
}

static bool is_mark(uint32_t code)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
}

static enum status read_letter(struct reading *reading, uint32_t code)
{
    enum status result = STATUS_OK;
    utf8proc_int32_t parts[CLUSTER_CODES];
    int boundary = 0;
    int32_t id = find_any_case(reading->vocabulary, code);
    if (id >= 0)
        return add_letter(reading, id);
    if (is_mark(code))
        return STATUS_OK;
    utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)code, parts, CLUSTER_CODES,
                                                     UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);
    if (count < 1 || count > CLUSTER_CODES)
        return add_letter(reading, CTC_WILDCARD);
    for (utf8proc_ssize_t i = 0; i < count; i++)
        if (unicode_kind((uint32_t)parts[i]) == UNICODE_LETTER && !is_mark((uint32_t)parts[i])) {
            id = find_any_case(reading->vocabulary, (uint32_t)parts[i]);
            TRY(add_letter(reading, id >= 0 ? id : CTC_WILDCARD));
        }
fail:
    return result;
}

/* The letter with its marks, in bytes [at, end), composed. */
static enum status read_cluster(struct reading *reading, int32_t at, int32_t end)
{
    enum status result = STATUS_OK;
    utf8proc_int32_t codes[CLUSTER_CODES];
    utf8proc_ssize_t count = utf8proc_decompose((const utf8proc_uint8_t *)reading->text + at, end - at, codes,
                                                CLUSTER_CODES, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
    if (count >= 1 && count <= CLUSTER_CODES)
        count = utf8proc_normalize_utf32(codes, count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (count < 1 || count > CLUSTER_CODES)
        return add_letter(reading, CTC_WILDCARD);
    for (utf8proc_ssize_t i = 0; i < count; i++)
        TRY(read_letter(reading, (uint32_t)codes[i]));
fail:
    return result;
}

static void read_punctuation(struct reading *reading, uint32_t code)
{
    enum { RIGHT_QUOTE = 0x2019, MODIFIER_APOSTROPHE = 0x2bc };
    static const int32_t several = -2;
    int32_t id = ctc_vocabulary_find(reading->vocabulary, code);
    if (id < 0 && (code == RIGHT_QUOTE || code == MODIFIER_APOSTROPHE))
        id = ctc_vocabulary_find(reading->vocabulary, '\'');
    reading->pending = reading->pending == -1 && id >= 0 ? id : several;
}

/* ---- the text ---- */

/* Where the letter at `at` ends with its marks. */
static int32_t cluster_end(const char *text, int32_t at, int32_t end)
{
    uint32_t code;
    at += (int32_t)utf8_decode(text + at, (size_t)(end - at), &code);
    while (at < end) {
        int32_t length = (int32_t)utf8_decode(text + at, (size_t)(end - at), &code);
        if (length == 0 || !is_mark(code))
            break;
        at += length;
    }
    return at;
}

/* The character at `at`; *next: behind it. `single`: it is of a script without spaces. */
static enum status read_character(struct reading *reading, int32_t at, int32_t end, bool single, int32_t *next)
{
    enum { MODIFIER_APOSTROPHE = 0x2bc };
    enum status result = STATUS_OK;
    uint32_t code = 0;
    int32_t length = (int32_t)utf8_decode(reading->text + at, (size_t)(end - at), &code);
    *next = at + (length > 0 ? length : 1);
    if (length > 0 && unicode_is_invisible(code))
        return STATUS_OK;
    bool apostrophe = code == MODIFIER_APOSTROPHE && ctc_vocabulary_find(reading->vocabulary, code) < 0;
    if (length > 0 && (unicode_kind(code) != UNICODE_LETTER || apostrophe)) {
        read_punctuation(reading, code);
        return STATUS_OK;
    }
    if (single || reading->after_single)
        TRY(end_word(reading, at));
    reading->after_single = single;
    if (length == 0)
        TRY(add_letter(reading, CTC_WILDCARD));
    else
        TRY(read_cluster(reading, at, *next = cluster_end(reading->text, at, end)));
fail:
    return result;
}

static enum status read_run(struct reading *reading, int32_t begin, int32_t end, const bool *single)
{
    enum status result = STATUS_OK;
    reading->word = (struct ctc_word){.text_begin = begin};
    reading->pending = -1;
    reading->run_has_word = reading->after_single = false;
    for (int32_t at = begin, next; at < end; at = next)
        TRY(read_character(reading, at, end, single[at], &next));
    TRY(end_word(reading, end));
    if (reading->run_has_word) /* punctuation behind the last word */
        reading->out->words[reading->out->word_count - 1].text_end = end;
fail:
    return result;
}

/* For each byte, whether a character begins there that may be a word. */
static enum status find_singles(const char *text, size_t size, bool **single)
{
    struct unicode_element *elements = NULL;
    int64_t count = 0;
    *single = NULL;
    enum status result = unicode_elements(text, &elements, &count);
    if (result != STATUS_OK)
        return result;
    *single = calloc(size + 1, sizeof **single);
    for (int64_t i = 0; i < count && *single; i++)
        (*single)[elements[i].begin] |= elements[i].single;
    free(elements);
    return *single ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for a text of %zu bytes", size);
}

enum status ctc_vocabulary_read(const struct ctc_vocabulary *vocabulary, const char *text, struct ctc_text *out)
{
    enum status result = STATUS_OK;
    struct reading reading = {.vocabulary = vocabulary, .text = text, .out = out};
    size_t size = strlen(text);
    bool *single = NULL;
    *out = (struct ctc_text){0};
    TRY(find_singles(text, size, &single));
    for (size_t at = 0; at < size;) {
        size_t space = unicode_space_at(text + at, size - at);
        if (space > 0) {
            at += space;
            continue;
        }
        size_t end = at;
        while (end < size && unicode_space_at(text + end, size - end) == 0)
            end++;
        TRY(read_run(&reading, (int32_t)at, (int32_t)end, single));
        at = end;
    }
fail:
    free(single);
    if (result != STATUS_OK)
        ctc_text_free(out);
    return result;
}

void ctc_text_free(struct ctc_text *text)
{
    free(text->labels);
    free(text->words);
    *text = (struct ctc_text){0};
}
