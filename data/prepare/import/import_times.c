/* A manifest's words must not go back in time. One wrong time among good ones (recognisers give such) must cost that
 * word alone: of all ways to leave out words, the one that keeps most is taken. Where most times are bad, none is
 * trusted: without words prepare finds the times itself. */
#include "data/prepare/import/import_times.h"

#include "text/word_places.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double MOVED_SECONDS = 0.05; /* shorter overlaps are the rounding of a recogniser */
enum { LOST_OF = 3 };                     /* more than one in so many */

static bool follows(const struct import_word *word, const struct import_word *last)
{
    return word->start >= last->start && word->end >= last->end;
}

/* keep[] of words[begin, end): the longest chain in which each word follows the one before it; of equals the first. */
static void keep_longest(const struct import_word *words, int64_t begin, int64_t end, int64_t *length, int64_t *before,
                         bool *keep)
{
    int64_t best = begin;
    for (int64_t i = begin; i < end; i++) {
        length[i] = 1;
        before[i] = -1;
        for (int64_t j = i - 1; j >= begin; j--)
            if (length[j] >= length[i] && follows(words + i, words + j)) {
                length[i] = length[j] + 1;
                before[i] = j;
            }
        if (length[i] > length[best])
            best = i;
    }
    for (int64_t i = best; i >= 0; i = before[i])
        keep[i] = true;
}

/* Words are cut into stretches that nothing crosses, so that the search above stays short: all before a cut is followed
 * by all behind it. */
static enum status choose(const struct import_word *words, int64_t count, bool *keep)
{
    enum status result = STATUS_OK;
    int64_t *length = calloc((size_t)count, sizeof *length), *before = calloc((size_t)count, sizeof *before);
    struct import_word *least = calloc((size_t)count + 1, sizeof *least); /* of all words from here on */
    if (!length || !before || !least)
        FAIL(STATUS_INTERNAL, "out of memory");
    least[count] = (struct import_word){.start = INFINITY, .end = INFINITY};
    for (int64_t i = count - 1; i >= 0; i--) {
        least[i].start = fmin(words[i].start, least[i + 1].start);
        least[i].end = fmin(words[i].end, least[i + 1].end);
    }
    struct import_word most = {.start = 0, .end = 0};
    for (int64_t begin = 0, i = 0; i < count; i++) {
        most.start = fmax(most.start, words[i].start);
        most.end = fmax(most.end, words[i].end);
        if (follows(least + i + 1, &most)) {
            keep_longest(words, begin, i + 1, length, before, keep);
            begin = i + 1;
        }
    }
fail:
    free(length);
    free(before);
    free(least);
    return result;
}

static void drop_word(struct import_row *row, int64_t index)
{
    free(row->words[index].text);
    row->words[index].text = NULL;
}

/* Closes the gaps that drop_word left. */
static void close_gaps(struct import_row *row)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < row->word_count; i++)
        if (row->words[i].text)
            row->words[kept++] = row->words[i];
    row->word_count = kept;
}

static void drop_all(struct import_row *row)
{
    for (int64_t i = 0; i < row->word_count; i++)
        drop_word(row, i);
    close_gaps(row);
}

static enum status drop_untimed(struct import *import, struct import_row *row)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < row->word_count; i++) {
        if (!isnan(row->words[i].end))
            continue;
        TRY(import_note(import, IMPORT_UNTIMED_WORD, row->id, row->source, "\"%.100s\"", row->words[i].text));
        drop_word(row, i);
    }
    close_gaps(row);
fail:
    return result;
}

static enum status drop_back(struct import *import, struct import_row *row)
{
    enum status result = STATUS_OK;
    bool *keep = calloc((size_t)row->word_count + 1, sizeof *keep);
    if (!keep)
        return status_set(STATUS_INTERNAL, "out of memory");
    TRY(choose(row->words, row->word_count, keep));
    for (int64_t i = 0; i < row->word_count; i++) {
        const struct import_word *word = row->words + i;
        if (keep[i])
            continue;
        TRY(import_note(import, IMPORT_TIMES_BACK, row->id, row->source, "\"%.100s\" at %g to %g s", word->text,
                        word->start, word->end));
        drop_word(row, i);
    }
    close_gaps(row);
fail:
    free(keep);
    return result;
}

/* A word that begins before the previous one has ended. */
static enum status move_overlaps(struct import *import, struct import_row *row)
{
    enum status result = STATUS_OK;
    for (int64_t i = 1; i < row->word_count; i++) {
        struct import_word *word = row->words + i;
        double last = row->words[i - 1].end;
        if (last - word->start > MOVED_SECONDS)
            TRY(import_note(import, IMPORT_OVERLAP, row->id, row->source, "\"%.100s\" from %g to %g s", word->text,
                            word->start, last));
        word->start = fmax(word->start, last);
    }
fail:
    return result;
}

static enum status find_places(const struct import_row *row, struct word_place **places, int64_t *missing)
{
    const char **texts = calloc((size_t)row->word_count + 1, sizeof *texts);
    *places = calloc((size_t)row->word_count + 1, sizeof **places);
    if (!texts || !*places) {
        free(texts);
        return status_set(STATUS_INTERNAL, "out of memory");
    }
    for (int64_t i = 0; i < row->word_count; i++)
        texts[i] = row->words[i].text;
    enum status result = word_places_find(row->text, texts, row->word_count, *places, missing);
    free(texts);
    return result;
}

/* Finds the place of each word; words that are not those of the text are all dropped. */
static enum status place_words(struct import *import, struct import_row *row)
{
    enum status result = STATUS_OK;
    struct word_place *places = NULL;
    int64_t missing = -1;
    TRY(find_places(row, &places, &missing));
    if (missing >= 0) {
        TRY(import_note(import, IMPORT_UNTIMED_ROW, row->id, row->source,
                        "the word \"%.100s\" does not occur in the rest of the text", row->words[missing].text));
        drop_all(row);
    }
    for (int64_t i = 0; i < row->word_count; i++) {
        row->words[i].text_begin = places[i].begin;
        row->words[i].text_end = places[i].end;
    }
fail:
    free(places);
    return result;
}

/* After words were taken out: where the same word occurs twice, the one that is left might be found in the other's
 * place, with the wrong time. Such a word loses its time too. */
static enum status check_places(struct import *import, struct import_row *row)
{
    enum status result = STATUS_OK;
    struct word_place *places = NULL;
    int64_t missing = -1;
    for (bool changed = true; changed && row->word_count > 0;) {
        free(places);
        TRY(find_places(row, &places, &missing));
        changed = false;
        for (int64_t i = 0; i < row->word_count; i++) {
            const struct import_word *word = row->words + i;
            if (missing < 0 && places[i].begin == word->text_begin && places[i].end == word->text_end)
                continue;
            TRY(import_note(import, IMPORT_UNTIMED_WORD, row->id, row->source,
                            "\"%.100s\" occurs twice, and it is not clear which one has the time", word->text));
            drop_word(row, i);
            changed = true;
        }
        close_gaps(row);
    }
fail:
    free(places);
    return result;
}

enum status import_settle_words(struct import *import, struct import_row *row)
{
    enum status result = STATUS_OK;
    int64_t count = 0, timed = 0, notes = import->note_count;
    if (row->word_count == 0 || !row->text)
        return STATUS_OK;
    TRY(place_words(import, row));
    count = row->word_count;
    TRY(drop_untimed(import, row));
    timed = row->word_count;
    if (count > 0 && timed == 0) {
        import_forget(import, notes);
        return import_note(import, IMPORT_NO_TIMES, row->id, row->source, "%lld words", (long long)count);
    }
    TRY(drop_back(import, row));
    if (row->word_count < count)
        TRY(check_places(import, row));
    if ((timed - row->word_count) * LOST_OF > timed) {
        int64_t lost = timed - row->word_count;
        import_forget(import, notes);
        TRY(import_note(import, IMPORT_BAD_TIMES, row->id, row->source, "%lld of %lld words", (long long)lost,
                        (long long)timed));
        drop_all(row);
    }
    TRY(move_overlaps(import, row));
fail:
    return result;
}
