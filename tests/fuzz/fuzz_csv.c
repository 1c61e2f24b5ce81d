/* Tables: the first byte of an input says how it is read ("c" or "t" for the separator, in upper case with a header), the rest is
 * the text. A second reader, which looks at one character at a time and remembers where each field begins, must come to the same
 * rows and fields or find the same text faulty. */
#include "fuzz/fuzz.h"

#include "core/utf8.h"
#include "io/csv.h"
#include "io/text_file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- the second reader ---- */

struct plain {
    char *fields; /* each with a NUL behind it */
    int64_t used, field_count, row_count, columns;
    bool faulty;
};

static bool is_clean(const char *text, int64_t size)
{
    for (int64_t i = 0; i < size;) {
        size_t bytes = utf8_character(text + i, (size_t)(size - i));
        if (bytes == 0 || text[i] == '\0')
            return false;
        i += (int64_t)bytes;
    }
    return true;
}

static void end_row(struct plain *plain, int64_t fields)
{
    if (plain->columns == 0)
        plain->columns = fields;
    plain->faulty |= fields != plain->columns || fields > CSV_COLUMNS_LIMIT;
    plain->row_count++;
    plain->field_count += fields;
}

enum place { AT_LINE_BEGIN, AT_FIELD_BEGIN, BARE, QUOTED, BEHIND_QUOTE };

static void read_plainly(const char *text, int64_t size, char separator, struct plain *plain)
{
    enum place place = AT_LINE_BEGIN;
    int64_t fields = 0;
    plain->faulty = !is_clean(text, size);
    for (int64_t i = 0; i < size && !plain->faulty; i++) {
        char c = text[i];
        bool end = c == '\n' || c == '\r';
        if (place == QUOTED && c != '"') {
            plain->fields[plain->used++] = c;
            continue;
        }
        if (place == AT_LINE_BEGIN && end && plain->columns != 1)
            continue; /* an empty line; CRLF is two of them, which makes no difference */
        if (place == QUOTED || (c == '"' && (place == AT_LINE_BEGIN || place == AT_FIELD_BEGIN))) {
            bool doubled = place == QUOTED && i + 1 < size && text[i + 1] == '"';
            if (doubled)
                plain->fields[plain->used++] = text[i++];
            place = place == QUOTED && !doubled ? BEHIND_QUOTE : QUOTED;
        } else if (c == separator || end) {
            plain->fields[plain->used++] = '\0';
            fields++;
            place = end ? AT_LINE_BEGIN : AT_FIELD_BEGIN;
            i += c == '\r' && i + 1 < size && text[i + 1] == '\n';
            if (end) {
                end_row(plain, fields);
                fields = 0;
            }
        } else {
            plain->faulty = place == BEHIND_QUOTE;
            plain->fields[plain->used++] = c;
            place = BARE;
        }
    }
    plain->faulty |= place == QUOTED;
    if (place != AT_LINE_BEGIN) {
        plain->fields[plain->used++] = '\0';
        end_row(plain, fields + 1);
    }
    plain->faulty |= plain->row_count == 0;
}

/* ---- what must hold ---- */

static bool has_equal_columns(const struct plain *plain)
{
    const char *names[CSV_COLUMNS_LIMIT], *at = plain->fields;
    for (int64_t i = 0; i < plain->columns; i++, at += strlen(at) + 1) {
        names[i] = at;
        for (int64_t k = 0; k < i; k++)
            if (strcmp(names[k], at) == 0)
                return true;
    }
    return false;
}

static void check_table(const struct csv *table, const struct plain *plain, bool header, int64_t size)
{
    const char *expected = plain->fields, *fields[CSV_COLUMNS_LIMIT];
    int64_t line = 0;
    fuzz_require(table->column_count == plain->columns, "the columns are counted");
    fuzz_require(table->row_count + header == plain->row_count, "the rows are counted");
    fuzz_require((table->columns != NULL) == header, "there are names of columns or not");
    for (int64_t row = header ? -1 : 0; row < table->row_count; row++) {
        if (row >= 0) {
            fuzz_require(table->rows[row].at >= 0 && table->rows[row].at < size + 1, "a row lies in the text");
            csv_fields(table, row, fields);
            fuzz_require(csv_line(table, row) > line, "lines go up");
            line = csv_line(table, row);
        }
        for (int64_t i = 0; i < table->column_count; i++) {
            const char *field = row < 0 ? table->columns[i] : fields[i];
            fuzz_require(strcmp(field, expected) == 0, "a field is what the second reader found");
            expected += strlen(expected) + 1;
        }
    }
}

static void check_with(const uint8_t *data, size_t size, char separator, bool header)
{
    struct csv table;
    struct plain plain = {0};
    int64_t decoded = (int64_t)size;
    char *copy = malloc(size + 1), *other = malloc(size + 1);
    fuzz_require(copy && other, "there is memory");
    memcpy(copy, data, size);
    copy[size] = '\0';
    memcpy(other, copy, size + 1);
    bool readable = text_decode("input", &other, &decoded) == STATUS_OK;
    plain.fields = malloc((size_t)decoded + 2);
    fuzz_require(plain.fields != NULL, "there is memory");
    if (readable)
        read_plainly(other, decoded, separator, &plain);
    enum status status = csv_parse("input", copy, (int64_t)size, (struct csv_format){separator, header}, &table);
    bool expected = readable && !plain.faulty && !(header && has_equal_columns(&plain));
    fuzz_require((status == STATUS_OK) == expected, "a table is read if the second reader finds no fault in it");
    if (status == STATUS_OK)
        check_table(&table, &plain, header, decoded);
    else
        fuzz_require_refusal(status, "input");
    csv_free(&table);
    free(other);
    free(plain.fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        check_with(data + 1, size - 1, (data[0] | 0x20) == 't' ? '\t' : ',', !(data[0] & 0x20));
    return 0;
}

/* Puts in, or over what is there, one of the characters that mean something. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t limit, unsigned seed)
{
    static const char *const pieces[] = {",",    "\t",    "\"",    "\"\"",     "\n",  "\r",
                                         "\r\n", "a,b\n", "\"a\"", "\xc3\xa9", "\xff"};
    struct rng rng = rng_make(seed, RNG_TEST, 11, 0);
    if (size < 2 || rng_below(&rng, 3) == 0)
        return LLVMFuzzerMutate(data, size, limit);
    uint64_t which = rng_below(&rng, sizeof pieces / sizeof *pieces + 1);
    const char *piece = which < sizeof pieces / sizeof *pieces ? pieces[which] : "";
    size_t count = *piece ? strlen(piece) : 1; /* the last is a NUL */
    size_t at = 1 + (size_t)rng_below(&rng, size - 1), old = (size_t)rng_below(&rng, 2);
    return fuzz_splice(data, size, limit, at, old, piece, count);
}
