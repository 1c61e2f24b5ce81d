/* Tables of text with a separator between their fields: RFC 4180, with commas or tabs.
 *
 * A field in quotes may hold separators, line breaks and doubled quotes; a quote inside a field that does not begin with one
 * stands for itself, as every reader takes it. Lines end with LF, CRLF or CR, the last one with nothing if it likes. A byte order
 * mark is skipped, and UTF-16 that begins with one is read. Lines without any character are skipped, unless there is only one
 * column. Every row must have as many fields as the first line.
 *
 * Errors are one line, "WHERE:LINE: reason", STATUS_CORRUPT: another number of fields, a quote that is not closed, text behind a
 * closing quote, NUL, bytes that are not UTF-8, a field of more than 64 MiB, more than 4096 columns, two columns of one name. */
#ifndef SPIRITLM_IO_CSV_H
#define SPIRITLM_IO_CSV_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { CSV_COLUMNS_LIMIT = 4096, CSV_FIELD_LIMIT = 64 << 20 };

struct csv_row {
    int64_t at;   /* of its first field in the text */
    int64_t line; /* on which it begins, from 1 */
};

/* A row's fields lie one behind the other in the text, each with a NUL at its end: they are decoded in place, and what is kept
 * beside the text is 16 bytes per row. */
struct csv {
    char *where; /* the file's name, for errors */
    char *text;
    const char **columns; /* their names; NULL without a header */
    int64_t column_count;
    struct csv_row *rows; /* without the header */
    int64_t row_count, capacity;
};

struct csv_format {
    char separator; /* ',' or '\t' */
    bool header;    /* the first line has the names of the columns */
};

/* Reads a whole text. `text`, allocated, with a NUL behind its `size` bytes, belongs to the table from here on, also after a
 * failure. `csv` is for csv_free, also after a failure. A text without any line is refused. */
enum status csv_parse(const char *where, char *text, int64_t size, struct csv_format format, struct csv *csv);
void csv_free(struct csv *csv);

/* The number of the column of that name. A missing one is STATUS_CORRUPT, and the text names those that exist. */
enum status csv_column(const struct csv *csv, const char *name, int64_t *column);
int64_t csv_find_column(const struct csv *csv, const char *name); /* -1: there is none */

/* All fields of a row: column_count pointers into the text, which are valid until csv_free. */
void csv_fields(const struct csv *csv, int64_t row, const char **fields);
/* One of them: it passes over those before it. */
const char *csv_field(const struct csv *csv, int64_t row, int64_t column);

int64_t csv_line(const struct csv *csv, int64_t row);

#endif
