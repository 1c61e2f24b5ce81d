/* The words of a row: their times are checked, and each gets its place in the row's text. */
#include "data/manifest_internal.h"

#include "text/unicode.h"
#include "text/word_places.h"

#include <math.h>
#include <stdlib.h>

static const double SAMPLES_A_SECOND = 16000;

static enum status word_times(const char *where, const json_t *item, size_t index, struct aligned_word *word)
{
    const json_t *start = json_array_get(item, 1), *end = json_array_get(item, 2);
    if (json_array_size(item) != 3 || !json_is_string(json_array_get(item, 0)) || !json_is_number(start) ||
        !json_is_number(end))
        return status_set(STATUS_CORRUPT, "%s: \"words\"[%zu] must be [\"word\", start, end]", where, index);
    double from = json_number_value(start), to = json_number_value(end);
    if (!(from >= 0 && from <= to && to <= MANIFEST_SECONDS_LIMIT))
        return status_set(STATUS_CORRUPT, "%s: \"words\"[%zu]: times %g to %g; expected 0 <= start <= end <= %d", where,
                          index, from, to, MANIFEST_SECONDS_LIMIT);
    word->start = (int32_t)lround(from * SAMPLES_A_SECOND);
    word->end = (int32_t)lround(to * SAMPLES_A_SECOND);
    return STATUS_OK;
}

/* Words with a letter: their times go into row->words, their texts into `texts`. */
static enum status take_times(const char *where, const json_t *list, struct manifest_row *row, const char **texts)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct aligned_word *word = row->words + row->word_count;
        enum status result = word_times(where, item, i, word);
        if (result != STATUS_OK)
            return result;
        const char *text = json_string_value(json_array_get(item, 0));
        if (!unicode_has_letter(text))
            continue;
        const struct aligned_word *last = row->word_count > 0 ? word - 1 : NULL;
        if (last && (word->start < last->start || word->end < last->end))
            return status_set(STATUS_CORRUPT, "%s: \"words\"[%zu] lies before the previous word", where, i);
        if (last && word->start < last->end) {
            word->start = last->end;
            row->moved_words++;
        }
        texts[row->word_count++] = text;
    }
    if (row->word_count == 0)
        return status_set(STATUS_CORRUPT, "%s: none of its \"words\" has a letter or a digit", where);
    return STATUS_OK;
}

enum status manifest_fill_words(const char *where, const json_t *list, struct manifest_row *row)
{
    enum status result = STATUS_OK;
    size_t count = json_array_size(list);
    int64_t missing = -1;
    const char **texts = calloc(count, sizeof *texts);
    struct word_place *places = calloc(count, sizeof *places);
    row->words = calloc(count, sizeof *row->words);
    if (!texts || !places || !row->words)
        FAIL(STATUS_INTERNAL, "%s: out of memory", where);
    TRY(take_times(where, list, row, texts));
    TRY(word_places_find(row->text, texts, row->word_count, places, &missing));
    if (missing >= 0)
        FAIL(STATUS_CORRUPT, "%s: \"words\": \"%.200s\" (number %lld) does not occur in the rest of the text", where,
             texts[missing], (long long)missing + 1);
    for (int64_t i = 0; i < row->word_count; i++) {
        row->words[i].text_begin = places[i].begin;
        row->words[i].text_end = places[i].end;
    }
fail:
    free(texts);
    free(places);
    return result;
}
