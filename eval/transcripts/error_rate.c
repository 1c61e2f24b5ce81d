/* The Levenshtein distance by dynamic programming with one row of cells. Cell (c, r) stands for the first c words of the
 * reference and the first r words of the hypothesis; it holds the least number of errors and, of the alignment that is traced
 * back from it, the number of substitutions. Both follow from the three cells before it, because the rule that chooses the
 * way back looks at nothing else. Deletions and insertions then follow from the lengths, since their difference is fixed.
 *
 * A cell is one integer: errors in the high bits, a preference in two bits, substitutions in the low ones. The smallest of
 * three candidates is the fewest errors and, among equals, the preferred step, without a branch:
 *
 *     deletion 0, substitution 1, insertion 2, hit 3
 *
 * Words become numbers by sorting the words of both texts, so that cells compare numbers, and no choice of words makes a
 * hash table slow. */
#include "eval/transcripts/error_rate.h"

#include "core/array.h"
#include "core/utf8.h"
#include "eval/transcripts/characters.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ONE_ERROR (UINT64_C(1) << 34)
#define PREFER(order) ((uint64_t)(order) << 32)
#define ONE_SUBSTITUTION UINT64_C(1)
enum { LONGEST = 1 << 29 }; /* so that errors and substitutions fit into their bits */

int64_t error_sum(const struct error_counts *counts)
{
    return counts->substitutions + counts->deletions + counts->insertions;
}

int64_t error_reference(const struct error_counts *counts)
{
    return counts->substitutions + counts->deletions + counts->hits;
}

int64_t error_hypothesis(const struct error_counts *counts)
{
    return counts->substitutions + counts->insertions + counts->hits;
}

double error_rate_of(const struct error_counts *counts)
{
    int64_t words = error_reference(counts);
    return words > 0 ? (double)error_sum(counts) / (double)words : (double)counts->insertions;
}

/* ---- alignment ---- */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* row[c] on entry: cell (c, 0). Returns the last cell of the last row. */
static uint64_t last_cell(const uint32_t *reference, int64_t columns, const uint32_t *hypothesis, int64_t rows,
                          uint64_t *row)
{
    for (int64_t r = 0; r < rows; r++) {
        const uint32_t word = hypothesis[r];
        uint64_t diagonal = row[0], left = diagonal + ONE_ERROR;
        row[0] = left;
        for (int64_t c = 1; c <= columns; c++) {
            uint64_t changed = reference[c - 1] == word ? PREFER(3) : ONE_ERROR + PREFER(1) + ONE_SUBSTITUTION;
            uint64_t best = smaller(left + ONE_ERROR, diagonal + changed);
            diagonal = row[c];
            best = smaller(best, diagonal + ONE_ERROR + PREFER(2));
            row[c] = left = best & ~PREFER(3);
        }
    }
    return row[columns];
}

static enum status align(const uint32_t *reference, int64_t columns, const uint32_t *hypothesis, int64_t rows,
                         struct error_counts *counts)
{
    *counts = (struct error_counts){0};
    while (columns > 0 && rows > 0 && *reference == *hypothesis) {
        reference++, hypothesis++, columns--, rows--;
        counts->hits++;
    }
    while (columns > 0 && rows > 0 && reference[columns - 1] == hypothesis[rows - 1]) {
        columns--, rows--;
        counts->hits++;
    }
    if (columns > LONGEST || rows > LONGEST || (rows > 0 && columns > ERROR_RATE_CELLS / rows))
        return status_set(STATUS_USAGE, "texts of %lld and %lld elements that differ are too long to be aligned",
                          (long long)columns, (long long)rows);
    uint64_t *row = malloc((size_t)(columns + 1) * sizeof *row);
    if (!row)
        return status_set(STATUS_INTERNAL, "no memory to align texts of %lld and %lld elements", (long long)columns,
                          (long long)rows);
    for (int64_t c = 0; c <= columns; c++)
        row[c] = (uint64_t)c * ONE_ERROR;
    uint64_t cell = last_cell(reference, columns, hypothesis, rows, row);
    int64_t errors = (int64_t)(cell / ONE_ERROR), substitutions = (int64_t)(cell & UINT32_MAX);
    free(row);
    counts->substitutions = substitutions;
    counts->deletions = (errors - substitutions + columns - rows) / 2;
    counts->insertions = (errors - substitutions - columns + rows) / 2;
    counts->hits += columns - substitutions - counts->deletions;
    return STATUS_OK;
}

/* ---- words and characters ---- */

struct word {
    const char *bytes;
    int64_t size;
    uint32_t *number; /* where its number is written */
};

struct elements {
    uint32_t *numbers;
    int64_t count, room;
};

/* The text without the white space at its ends. */
static void strip(const char **text, int64_t *size)
{
    int64_t begin = skip_white_space(*text, *size, 0), end = *size;
    while (end > begin && is_white_space(character_before(*text, end)))
        end = character_begin(*text, end - 1);
    *text += begin;
    *size = end - begin;
}

/* Bytes of the gap between two words that begins at byte `at`: U+0020 or at least two white space characters. 0: none. */
static int64_t gap_at(const char *text, int64_t size, int64_t at)
{
    int64_t first;
    uint32_t code = character_at(text, size, at, &first);
    if (!is_white_space(code))
        return 0;
    int64_t all = skip_white_space(text, size, at) - at;
    return code == ' ' || all > first ? all : 0;
}

static enum status find_words(const char *text, struct word **words, int64_t *count, int64_t *room)
{
    int64_t size = (int64_t)strlen(text), begin = 0;
    strip(&text, &size);
    for (int64_t at = 0, length, gap; begin < size; at += length) {
        gap = gap_at(text, size, at);
        if (at < size && gap == 0) {
            character_at(text, size, at, &length);
            continue;
        }
        enum status result = array_grow(words, room, *count + 1, "words");
        if (result != STATUS_OK)
            return result;
        (*words)[(*count)++] = (struct word){.bytes = text + begin, .size = at - begin};
        begin = at + gap;
        length = gap;
        if (at == size)
            break;
    }
    return STATUS_OK;
}

static int by_bytes(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, (size_t)(x->size < y->size ? x->size : y->size));
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* numbers[i] of words[i]: equal for equal words. Sorts the words. */
static void number_words(struct word *words, int64_t count, uint32_t *numbers)
{
    uint32_t number = 0;
    for (int64_t i = 0; i < count; i++)
        words[i].number = numbers + i;
    if (count > 0)
        qsort(words, (size_t)count, sizeof *words, by_bytes);
    for (int64_t i = 0; i < count; i++) {
        number += i > 0 && by_bytes(words + i - 1, words + i) != 0;
        *words[i].number = number;
    }
}

static enum status check_pair(const char *reference, const char *hypothesis)
{
    enum status result = check_utf8(reference);
    if (result != STATUS_OK)
        return status_prefix(result, "the reference");
    result = check_utf8(hypothesis);
    return result == STATUS_OK ? result : status_prefix(result, "the hypothesis");
}

enum status error_rate_words(const char *reference, const char *hypothesis, struct error_counts *counts)
{
    enum status result = STATUS_OK;
    struct word *words = NULL;
    uint32_t *numbers = NULL;
    int64_t columns = 0, count = 0, room = 0;
    TRY(check_pair(reference, hypothesis));
    TRY(find_words(reference, &words, &count, &room));
    columns = count;
    TRY(find_words(hypothesis, &words, &count, &room));
    numbers = malloc((size_t)count * sizeof *numbers + 1);
    if (!numbers)
        FAIL(STATUS_INTERNAL, "no memory for %lld words", (long long)count);
    number_words(words, count, numbers);
    TRY(align(numbers, columns, numbers + columns, count - columns, counts));
fail:
    free(words);
    free(numbers);
    return result;
}

static enum status find_characters(const char *text, struct elements *elements)
{
    int64_t size = (int64_t)strlen(text);
    strip(&text, &size);
    enum status result = array_grow(&elements->numbers, &elements->room, elements->count + size, "characters");
    if (result != STATUS_OK)
        return result;
    for (int64_t at = 0, length; at < size; at += length)
        elements->numbers[elements->count++] = character_at(text, size, at, &length);
    return STATUS_OK;
}

enum status error_rate_characters(const char *reference, const char *hypothesis, struct error_counts *counts)
{
    enum status result = STATUS_OK;
    struct elements elements = {0};
    TRY(check_pair(reference, hypothesis));
    TRY(find_characters(reference, &elements));
    int64_t columns = elements.count;
    TRY(find_characters(hypothesis, &elements));
    if (elements.count == 0)
        *counts = (struct error_counts){0};
    else
        TRY(align(elements.numbers, columns, elements.numbers + columns, elements.count - columns, counts));
fail:
    free(elements.numbers);
    return result;
}

/* ---- many pairs ---- */

enum status error_rate_estimate(const struct error_counts *counts, int64_t count, struct error_rate *rate)
{
    *rate = (struct error_rate){.corpus = {NAN, NAN, count}, .mean = {NAN, NAN, count}};
    if (count == 0)
        return STATUS_OK;
    double *values = malloc((size_t)count * 3 * sizeof *values);
    if (!values)
        return status_set(STATUS_INTERNAL, "no memory for the rates of %lld pairs", (long long)count);
    double *words = values + count, *rates = words + count;
    for (int64_t i = 0; i < count; i++) {
        const struct error_counts *pair = counts + i;
        rate->total.substitutions += pair->substitutions;
        rate->total.deletions += pair->deletions;
        rate->total.insertions += pair->insertions;
        rate->total.hits += pair->hits;
        rate->empty_references += error_reference(pair) == 0;
        values[i] = (double)error_sum(pair);
        words[i] = (double)error_reference(pair);
        rates[i] = error_rate_of(pair);
    }
    if (error_reference(&rate->total) > 0)
        rate->corpus = estimate_ratio(values, words, count);
    else
        rate->corpus.value = (double)rate->total.insertions;
    rate->mean = estimate_mean(rates, count);
    free(values);
    return STATUS_OK;
}
