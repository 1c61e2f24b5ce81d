/* The collector of rows, words and units. */
#include "data/prepare/import/import_rows.h"

#include "core/array.h"
#include "text/unicode.h"
#include "text/white_space.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const double SECONDS_LIMIT = 12 * 3600; /* of a manifest's row */

enum status import_set(char **target, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        return status_set(STATUS_INTERNAL, "out of memory");
    free(*target);
    *target = copy;
    return STATUS_OK;
}

enum status import_set_text(char **target, const char *text)
{
    char *copy = text ? import_clean_text(text, (int64_t)strlen(text)) : NULL;
    if (text && !copy)
        return status_set(STATUS_INTERNAL, "out of memory");
    if (copy && !*copy) {
        free(copy);
        copy = NULL;
    }
    free(*target);
    *target = copy;
    return STATUS_OK;
}

enum status import_add(struct import *import, const char *id, const char *audio, const char *source,
                       struct import_row **row)
{
    enum status result = array_grow(&import->rows, &import->capacity, import->count + 1, "rows");
    if (result != STATUS_OK)
        return result;
    *row = import->rows + import->count++;
    **row = (struct import_row){.channel = -1, .end = -1};
    TRY(import_set(&(*row)->id, id));
    TRY(import_set(&(*row)->audio, audio));
    TRY(import_set(&(*row)->source, source));
fail:
    return result;
}

enum status import_add_word(struct import_row *row, const char *text, double start, double end)
{
    if (!unicode_has_letter(text))
        return STATUS_OK;
    enum status result = array_grow(&row->words, &row->word_capacity, row->word_count + 1, "words");
    if (result != STATUS_OK)
        return result;
    char *copy = import_clean_text(text, (int64_t)strlen(text));
    if (!copy)
        return status_set(STATUS_INTERNAL, "out of memory");
    if (!(start >= 0 && end >= start && end <= SECONDS_LIMIT))
        start = end = NAN;
    row->words[row->word_count++] = (struct import_word){.text = copy, .start = start, .end = end};
    return STATUS_OK;
}

static int by_start(const void *a, const void *b)
{
    const struct import_word *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->text_begin - y->text_begin;
}

enum status import_add_phrase_word(struct import_row *row, const char *text, double start)
{
    int64_t count = row->word_count;
    enum status result = import_add_word(row, text, start, start);
    if (result == STATUS_OK && row->word_count > count)
        row->words[count].end = NAN;
    return result;
}

enum status import_sort_words(struct import_row *row)
{
    if (row->word_count > INT32_MAX)
        return status_set(STATUS_CORRUPT, "too many words");
    for (int64_t i = 0; i < row->word_count; i++) {
        struct import_word *word = row->words + i;
        word->text_begin = (int32_t)i; /* not needed otherwise yet: keeps equals in order */
        if (isnan(word->start))
            word->start = i > 0 ? word[-1].start : 0;
    }
    if (row->word_count > 0)
        qsort(row->words, (size_t)row->word_count, sizeof *row->words, by_start);
    return STATUS_OK;
}

enum status import_add_unit(struct import_row *row, int64_t unit, int64_t times)
{
    if (unit < 0 || unit > UINT16_MAX || times < 1 || times > (1 << 24))
        return status_set(STATUS_CORRUPT, "unit %lld, %lld times: expected a unit of 0 to 65535, at least once",
                          (long long)unit, (long long)times);
    enum status result = array_grow(&row->units, &row->unit_capacity, row->unit_count + times, "units");
    for (int64_t i = 0; result == STATUS_OK && i < times; i++)
        row->units[row->unit_count++] = (uint16_t)unit;
    return result;
}

enum status import_text_from_words(struct import_row *row)
{
    size_t length = 1;
    for (int64_t i = 0; i < row->word_count; i++)
        length += strlen(row->words[i].text) + 1;
    if (row->word_count == 0)
        return import_set(&row->text, NULL);
    free(row->text);
    row->text = malloc(length);
    if (!row->text)
        return status_set(STATUS_INTERNAL, "out of memory");
    char *end = row->text;
    *end = 0;
    for (int64_t i = 0; i < row->word_count; i++)
        end += sprintf(end, "%s%s", i ? " " : "", row->words[i].text);
    return STATUS_OK;
}

static bool surrounded(const char *label, const char *open, const char *close)
{
    size_t length = strlen(label), begin = strlen(open), end = strlen(close);
    return length >= begin + end && strncmp(label, open, begin) == 0 && strcmp(label + length - end, close) == 0;
}

bool import_is_silence(const char *label)
{
    static const char *const names[] = {"sil", "sp", "silence", "pau", "pause", "s", "/s", "eps", "p:", "p"};
    size_t length = strlen(label), begin = strspn(label, "<[{(!~"), end = length;
    if (!unicode_has_letter(label) || strcasecmp(label, "sil") == 0 || strcasecmp(label, "sp") == 0)
        return true;
    while (end > begin && strchr(">]})", label[end - 1]))
        end--;
    for (size_t i = 0; begin > 0 && i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == end - begin && strncasecmp(label + begin, names[i], end - begin) == 0)
            return true;
    return false;
}

bool import_is_noise(const char *label)
{
    static const char *const names[] = {"spn", "nsn", "!exit", "!enter", "!null", "sent-start", "sent-end"};
    static const char *const pairs[][2] = {{"<", ">"},  {"[", "]"}, {"{", "}"}, {"((", "))"},
                                           {"(%", ")"}, {"+", "+"}, {"*", "*"}, {"\xe2\x9f\xa8", "\xe2\x9f\xa9"}};
    if (import_is_silence(label))
        return true;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (surrounded(label, pairs[i][0], pairs[i][1]))
            return true;
    if (label[0] == '%' || strncmp(label, "&=", 2) == 0)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(label, names[i]) == 0)
            return true;
    return false;
}

void import_free_row(struct import_row *row)
{
    for (int64_t i = 0; i < row->word_count; i++)
        free(row->words[i].text);
    free(row->words);
    free(row->units);
    free(row->id);
    free(row->source);
    free(row->audio);
    free(row->text);
    free(row->speaker);
    free(row->document);
    *row = (struct import_row){0};
}

void import_close_gaps(struct import *import)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < import->count; i++)
        if (import->rows[i].id)
            import->rows[kept++] = import->rows[i];
    import->count = kept;
}

char *import_clean_text(const char *bytes, int64_t size)
{
    int64_t begin = 0;
    char *text = malloc((size_t)size + 1), *end = text;
    if (!text)
        return NULL;
    trim_white_space(bytes, &begin, &size);
    bool space = false;
    for (int64_t i = begin; i < size; i++) {
        if ((unsigned char)bytes[i] <= ' ') {
            space = true;
            continue;
        }
        if (space && end > text)
            *end++ = ' ';
        space = false;
        *end++ = bytes[i];
    }
    *end = 0;
    return text;
}
