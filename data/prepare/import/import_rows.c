/* The collector. A reader adds a row and fills it. Words are made not to overlap here, once for all formats, since
 * recognisers round times, so that a word may begin before the previous one has ended. */
#include "data/prepare/import/import_rows.h"

#include "core/array.h"
#include "text/unicode.h"
#include "text/white_space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct import_row *import_add(struct import *import)
{
    if (array_grow(&import->rows, &import->capacity, import->count + 1, "rows") != STATUS_OK)
        return NULL;
    struct import_row *row = import->rows + import->count++;
    *row = (struct import_row){.channel = -1};
    return row;
}

enum status import_add_word(struct import_row *row, const char *text, double start, double end)
{
    if (!unicode_has_letter(text))
        return STATUS_OK;
    enum status result = array_grow(&row->words, &row->word_capacity, row->word_count + 1, "words");
    if (result != STATUS_OK)
        return result;
    if (row->word_count > 0 && start < row->words[row->word_count - 1].end)
        start = row->words[row->word_count - 1].end;
    if (end < start)
        end = start;
    char *copy = import_clean_text(text, (int64_t)strlen(text));
    if (!copy)
        return status_set(STATUS_INTERNAL, "out of memory");
    row->words[row->word_count++] = (struct import_word){copy, start, end};
    return STATUS_OK;
}

enum status import_text_from_words(struct import_row *row)
{
    size_t length = 1;
    for (int64_t i = 0; i < row->word_count; i++)
        length += strlen(row->words[i].text) + 1;
    row->text = malloc(length);
    if (!row->text)
        return status_set(STATUS_INTERNAL, "out of memory");
    char *end = row->text;
    *end = 0;
    for (int64_t i = 0; i < row->word_count; i++)
        end += sprintf(end, "%s%s", i ? " " : "", row->words[i].text);
    return STATUS_OK;
}

void import_free_rows(struct import *import)
{
    for (int64_t i = 0; i < import->count; i++) {
        struct import_row *row = import->rows + i;
        for (int64_t j = 0; j < row->word_count; j++)
            free(row->words[j].text);
        free(row->words);
        free(row->id);
        free(row->audio);
        free(row->text);
        free(row->speaker);
    }
    free(import->rows);
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
