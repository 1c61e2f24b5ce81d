/* From the rows of gold.csv to pairs: rows are sorted by what a pair must share, so that those of one pair are neighbours,
 * whatever their order in the table was. The challenge's own scorer joins words the same way but takes the k-th correct sentence
 * with the k-th incorrect one; on the tables as they were published both give the same. */
#include "eval/zero_shot/slm21.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gold_row {
    const char *file, *id, *voice, *type, *subtype, *word, *phones, *frequency, *length;
    int64_t number; /* the id, where all are integers */
    int64_t row;
    int side;
};

struct columns {
    int64_t file, id, voice, type, subtype, word, phones, frequency, length, correct;
};

struct join {
    struct slm21 *gold;
    const struct csv *table;
    struct gold_row *rows; /* in the order of what a pair shares */
    int64_t count;
    bool numeric;   /* all ids are integers */
    bool by_phones; /* no word that does not exist has a spelling */
    enum slm21_incomplete incomplete;
};

/* ---- reading ---- */

static enum status find_columns(const struct csv *table, enum slm21_task task, struct columns *columns)
{
    const struct {
        const char *name;
        int64_t *column;
        int task; /* -1: both */
    } wanted[] = {{"filename", &columns->file, -1},
                  {"id", &columns->id, -1},
                  {"voice", &columns->voice, -1},
                  {"correct", &columns->correct, -1},
                  {"frequency", &columns->frequency, SLM21_LEXICAL},
                  {"word", &columns->word, SLM21_LEXICAL},
                  {"phones", &columns->phones, SLM21_LEXICAL},
                  {"length", &columns->length, SLM21_LEXICAL},
                  {"type", &columns->type, SLM21_SYNTACTIC},
                  {"subtype", &columns->subtype, SLM21_SYNTACTIC},
                  {"transcription", &columns->word, SLM21_SYNTACTIC}};
    *columns = (struct columns){.type = -1, .subtype = -1, .phones = -1, .frequency = -1, .length = -1};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (wanted[i].task >= 0 && wanted[i].task != (int)task)
            continue;
        enum status result = csv_column(table, wanted[i].name, wanted[i].column);
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

static const char *field_or_nothing(const char **fields, int64_t column)
{
    return column >= 0 ? fields[column] : "";
}

static enum status read_row(const struct join *join, const struct columns *columns, const char **fields, int64_t index,
                            struct gold_row *row)
{
    const char *where = join->table->where, *correct = fields[columns->correct];
    long long line = (long long)csv_line(join->table, index);
    *row = (struct gold_row){.file = fields[columns->file],
                             .id = fields[columns->id],
                             .voice = fields[columns->voice],
                             .type = field_or_nothing(fields, columns->type),
                             .subtype = field_or_nothing(fields, columns->subtype),
                             .word = fields[columns->word],
                             .phones = field_or_nothing(fields, columns->phones),
                             .frequency = field_or_nothing(fields, columns->frequency),
                             .length = field_or_nothing(fields, columns->length),
                             .row = index};
    if (!*row->file || !*row->id)
        return status_set(STATUS_CORRUPT, "%s:%lld: %s is empty", where, line, *row->file ? "id" : "filename");
    if (strcmp(correct, "0") != 0 && strcmp(correct, "1") != 0)
        return status_set(STATUS_CORRUPT, "%s:%lld: correct is \"%.40s\"; expected 0 or 1", where, line, correct);
    row->side = correct[0] == '1' ? SLM21_CORRECT : SLM21_INCORRECT;
    return STATUS_OK;
}

static bool is_integer(const char *text, int64_t *value)
{
    const char *digits = text + (*text == '-');
    if (!*digits || strspn(digits, "0123456789") != strlen(digits))
        return false;
    errno = 0;
    *value = strtoll(text, NULL, 10);
    return errno == 0;
}

static enum status read_rows(struct join *join)
{
    struct columns columns;
    enum status result = find_columns(join->table, join->gold->task, &columns);
    const char **fields = calloc((size_t)join->table->column_count + 1, sizeof *fields);
    join->rows = calloc((size_t)join->table->row_count + 1, sizeof *join->rows);
    join->numeric = true;
    join->by_phones = true;
    if (result == STATUS_OK && (!fields || !join->rows))
        result = status_set(STATUS_INTERNAL, "%s: out of memory", join->table->where);
    for (int64_t i = 0; result == STATUS_OK && i < join->table->row_count; i++) {
        struct gold_row *row = &join->rows[join->count];
        csv_fields(join->table, i, fields);
        result = read_row(join, &columns, fields, i, row);
        if (result != STATUS_OK)
            break;
        join->numeric = join->numeric && is_integer(row->id, &row->number);
        join->by_phones = join->by_phones && (row->side == SLM21_CORRECT || !*row->word);
        join->gold->files[join->count++] = row->file;
    }
    join->by_phones = join->by_phones && join->gold->task == SLM21_LEXICAL;
    free(fields);
    return result;
}

/* ---- recordings by name ---- */

static int compare_files(const void *a, const void *b, void *files)
{
    const char *const *names = files;
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    int order = strcmp(names[left], names[right]);
    return order != 0 ? order : left < right ? -1 : left > right;
}

static enum status sort_files(const struct csv *table, struct slm21 *gold)
{
    for (int64_t i = 0; i < gold->file_count; i++)
        gold->by_name[i] = i;
    qsort_r(gold->by_name, (size_t)gold->file_count, sizeof *gold->by_name, compare_files, gold->files);
    for (int64_t i = 1; i < gold->file_count; i++) {
        int64_t before = gold->by_name[i - 1], row = gold->by_name[i];
        if (strcmp(gold->files[before], gold->files[row]) == 0)
            return status_set(STATUS_CORRUPT, "%s:%lld: the recording \"%.100s\" is already on line %lld", table->where,
                              (long long)csv_line(table, row), gold->files[row], (long long)csv_line(table, before));
    }
    return STATUS_OK;
}

int64_t slm21_find(const struct slm21 *gold, const char *file)
{
    int64_t low = 0, high = gold->file_count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = strcmp(gold->files[gold->by_name[middle]], file);
        if (order == 0)
            return gold->by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* ---- joining ---- */

static int compare_items(const struct gold_row *left, const struct gold_row *right, bool numeric)
{
    int order = strcmp(left->type, right->type);
    if (order == 0)
        order = strcmp(left->subtype, right->subtype);
    if (order == 0 && numeric)
        order = left->number < right->number ? -1 : left->number > right->number;
    return order != 0 ? order : strcmp(left->id, right->id);
}

static int compare_rows(const void *a, const void *b, void *numeric)
{
    const struct gold_row *left = a, *right = b;
    int order = compare_items(left, right, *(const bool *)numeric);
    if (order == 0)
        order = strcmp(left->voice, right->voice);
    if (order == 0)
        order = left->side - right->side;
    return order != 0 ? order : left->row < right->row ? -1 : left->row > right->row;
}

/* A key as errors show it. */
static const char *key_text(const struct gold_row *row, char text[400])
{
    if (*row->type || *row->subtype)
        snprintf(text, 400, "type \"%.80s\", subtype \"%.80s\", id \"%.80s\", voice \"%.80s\"", row->type, row->subtype,
                 row->id, row->voice);
    else
        snprintf(text, 400, "id \"%.80s\", voice \"%.80s\"", row->id, row->voice);
    return text;
}

static long long line_of(const struct join *join, const struct gold_row *row)
{
    return (long long)csv_line(join->table, row->row);
}

/* `count` rows share a key. */
static enum status refuse_key(const struct join *join, const struct gold_row *rows, int64_t count)
{
    char key[400];
    if (count == 1)
        return status_set(STATUS_CORRUPT, "%s:%lld: %s: the %s side has no counterpart", join->table->where,
                          line_of(join, rows), key_text(rows, key),
                          rows->side == SLM21_CORRECT ? "correct" : "incorrect");
    int64_t second = 1; /* of the side that is there twice */
    while (second + 1 < count && rows[second].side != rows[second - 1].side)
        second++;
    return status_set(STATUS_CORRUPT, "%s:%lld: %s: the %s side is already on line %lld", join->table->where,
                      line_of(join, &rows[second]), key_text(rows, key),
                      rows[second].side == SLM21_CORRECT ? "correct" : "incorrect", line_of(join, &rows[second - 1]));
}

static enum status read_frequency(const struct join *join, const struct gold_row *row, double *frequency)
{
    const char *text = row->frequency;
    char *end = NULL;
    *frequency = NAN;
    if (!*text)
        return STATUS_OK;
    bool plain = strspn(text, "0123456789.eE+") == strlen(text);
    *frequency = plain ? strtod(text, &end) : NAN;
    if (!plain || *end || !isfinite(*frequency))
        return status_set(STATUS_CORRUPT, "%s:%lld: frequency is \"%.40s\"; expected a number from 0 on, or nothing",
                          join->table->where, line_of(join, row), text);
    return STATUS_OK;
}

/* A table program that has seen an empty cell writes 5 as "5.0". */
static enum status read_length(const struct join *join, const struct gold_row *row, int64_t *length)
{
    const char *text = row->length;
    size_t digits = strspn(text, "0123456789");
    *length = -1;
    if (!*text)
        return STATUS_OK;
    if (digits == 0 || digits > 9 || (text[digits] && strcmp(text + digits, ".0") != 0))
        return status_set(STATUS_CORRUPT, "%s:%lld: length is \"%.40s\"; expected a whole number", join->table->where,
                          line_of(join, row), text);
    *length = strtoll(text, NULL, 10);
    return STATUS_OK;
}

static const char *shown_name(const struct join *join, const struct gold_row *row)
{
    return join->by_phones ? row->phones : row->word;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* sides[0] and [1] are a pair; with the voice before it, `first`, it shares its item. */
static enum status check_agreement(const struct join *join, const struct gold_row *sides[2],
                                   const struct gold_row *first[2])
{
    for (int side = 0; side < 2; side++) {
        const struct gold_row *a = first[side], *b = sides[side];
        const char *what = !same_text(a->word, b->word)                                      ? "text"
                           : !same_text(shown_name(join, a), shown_name(join, b))            ? "phones"
                           : side == SLM21_CORRECT && !same_text(a->frequency, b->frequency) ? "frequency"
                           : side == SLM21_CORRECT && !same_text(a->length, b->length)       ? "length"
                                                                                             : NULL;
        char key[400];
        if (what)
            return status_set(STATUS_CORRUPT, "%s:%lld: %s: another %s than on line %lld for another voice",
                              join->table->where, line_of(join, b), key_text(b, key), what, line_of(join, a));
    }
    return STATUS_OK;
}

static enum status begin_item(struct join *join, const struct gold_row *sides[2])
{
    struct slm21 *gold = join->gold;
    const struct gold_row *correct = sides[SLM21_CORRECT];
    struct slm21_item *item = &gold->items[gold->item_count++];
    *item = (struct slm21_item){
        .id = correct->id, .type = correct->type, .subtype = correct->subtype, .first = gold->pair_count};
    for (int side = 0; side < 2; side++) {
        item->names[side] = shown_name(join, sides[side]);
        item->texts[side] = sides[side]->word;
    }
    enum status result = read_frequency(join, correct, &item->frequency);
    return result == STATUS_OK ? read_length(join, correct, &item->length) : result;
}

static enum status add_pair(struct join *join, const struct gold_row *sides[2], const struct gold_row *first[2])
{
    struct slm21 *gold = join->gold;
    enum status result = STATUS_OK;
    if (first[0] && compare_items(first[0], sides[0], join->numeric) == 0) {
        result = check_agreement(join, sides, first);
    } else {
        result = begin_item(join, sides);
        first[0] = sides[0];
        first[1] = sides[1];
    }
    gold->items[gold->item_count - 1].count++;
    gold->pairs[gold->pair_count++] = (struct slm21_pair){sides[0]->voice, {sides[0]->row, sides[1]->row}};
    return result;
}

static enum status join_rows(struct join *join)
{
    const struct gold_row *first[2] = {NULL, NULL};
    for (int64_t begin = 0, end; begin < join->count; begin = end) {
        const struct gold_row *rows = &join->rows[begin];
        for (end = begin + 1; end < join->count && compare_items(rows, &join->rows[end], join->numeric) == 0 &&
                              strcmp(rows->voice, join->rows[end].voice) == 0;)
            end++;
        int64_t count = end - begin;
        if (count == 2 && rows[0].side != rows[1].side) {
            const struct gold_row *sides[2] = {&rows[0], &rows[1]};
            enum status result = add_pair(join, sides, first);
            if (result != STATUS_OK)
                return result;
            continue;
        }
        if (join->incomplete == SLM21_REFUSE)
            return refuse_key(join, rows, count);
        *(count == 1 ? &join->gold->lone_rows : &join->gold->doubled_rows) += count;
    }
    if (join->gold->pair_count == 0)
        return status_set(STATUS_CORRUPT, "%s: no pair of a correct and an incorrect side", join->table->where);
    return STATUS_OK;
}

enum status slm21_read(const struct csv *table, enum slm21_task task, enum slm21_incomplete incomplete,
                       struct slm21 *gold)
{
    size_t rows = (size_t)table->row_count;
    *gold = (struct slm21){.task = task, .where = table->where, .file_count = table->row_count};
    struct join join = {.gold = gold, .table = table, .incomplete = incomplete};
    enum status result = STATUS_OK;
    gold->files = calloc(rows + 1, sizeof *gold->files);
    gold->by_name = calloc(rows + 1, sizeof *gold->by_name);
    gold->items = calloc(rows / 2 + 1, sizeof *gold->items);
    gold->pairs = calloc(rows / 2 + 1, sizeof *gold->pairs);
    if (!gold->files || !gold->by_name || !gold->items || !gold->pairs)
        FAIL(STATUS_INTERNAL, "%s: out of memory", table->where);
    TRY(read_rows(&join));
    TRY(sort_files(table, gold));
    qsort_r(join.rows, (size_t)join.count, sizeof *join.rows, compare_rows, &join.numeric);
    TRY(join_rows(&join));
fail:
    free(join.rows);
    return result;
}

void slm21_free(struct slm21 *gold)
{
    free(gold->files);
    free(gold->by_name);
    free(gold->items);
    free(gold->pairs);
    *gold = (struct slm21){0};
}

enum status slm21_texts(const struct slm21 *gold, int64_t index, const char **correct, const char **incorrect)
{
    const struct slm21_item *item = &gold->items[index];
    *correct = item->texts[SLM21_CORRECT];
    *incorrect = item->texts[SLM21_INCORRECT];
    if (**correct && **incorrect)
        return STATUS_OK;
    return status_set(STATUS_CORRUPT, "%s: id \"%.80s\": the %s side has no spelling", gold->where, item->id,
                      **correct ? "incorrect" : "correct");
}
