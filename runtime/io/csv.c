/* One pass over the text moves each field's characters to where they belong in the same memory, without the quotes and with a
 * NUL in place of the separator. What is written never overtakes what is read: a field has at least one byte behind it, its
 * separator, its line end, or the NUL behind the text. */
#include "io/csv.h"

#include "core/array.h"
#include "core/utf8.h"
#include "io/text_file.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct csv *csv;
    char separator;
    const char *text; /* what is read */
    int64_t size, at;
    char *out; /* what is written, in the same memory */
    int64_t used;
    int64_t line;
};

static enum status refuse_line(const struct parser *parser, int64_t line, const char *reason)
{
    return status_set(STATUS_CORRUPT, "%s:%lld: %s", parser->csv->where, (long long)line, reason);
}

/* Bytes of the line end at the present place, 0 when there is none. */
static int64_t line_end(const struct parser *parser)
{
    if (parser->text[parser->at] == '\n')
        return 1;
    if (parser->text[parser->at] != '\r')
        return 0;
    return parser->at + 1 < parser->size && parser->text[parser->at + 1] == '\n' ? 2 : 1;
}

/* Moves one character, which may be a line end inside quotes. */
static enum status move_character(struct parser *parser)
{
    const char *from = parser->text + parser->at;
    int64_t bytes = line_end(parser);
    if (bytes > 0)
        parser->line++;
    else
        bytes = (int64_t)utf8_character(from, (size_t)(parser->size - parser->at));
    if (*from == '\0')
        return refuse_line(parser, parser->line, "a NUL; expected text");
    if (bytes == 0)
        return refuse_line(parser, parser->line, "a byte that is not UTF-8; save the file as UTF-8");
    memmove(parser->out + parser->used, from, (size_t)bytes);
    parser->used += bytes;
    parser->at += bytes;
    return STATUS_OK;
}

static enum status quoted_field(struct parser *parser)
{
    int64_t begin = parser->line;
    parser->at++;
    for (;;) {
        if (parser->at == parser->size)
            return refuse_line(parser, begin, "a field begins with a quote that is not closed");
        if (parser->text[parser->at] == '"') {
            if (parser->at + 1 == parser->size || parser->text[parser->at + 1] != '"')
                break;
            parser->at++; /* the second of two is moved */
        }
        enum status result = move_character(parser);
        if (result != STATUS_OK)
            return result;
    }
    parser->at++;
    if (parser->at < parser->size && parser->text[parser->at] != parser->separator && line_end(parser) == 0)
        return refuse_line(parser, parser->line, "text behind the closing quote of a field");
    return STATUS_OK;
}

static enum status field(struct parser *parser)
{
    int64_t begin = parser->used, line = parser->line;
    enum status result = STATUS_OK;
    if (parser->at < parser->size && parser->text[parser->at] == '"')
        result = quoted_field(parser);
    else
        while (result == STATUS_OK && parser->at < parser->size && parser->text[parser->at] != parser->separator &&
               line_end(parser) == 0)
            result = move_character(parser);
    if (result == STATUS_OK && parser->used - begin > CSV_FIELD_LIMIT)
        result = refuse_line(parser, line, "a field of more than 64 MiB");
    return result;
}

/* The fields of one line. Its end is passed before the NUL is written, which may lie on it. */
static enum status fields(struct parser *parser, int64_t *count)
{
    for (*count = 1;; ++*count) {
        enum status result = field(parser);
        if (result != STATUS_OK)
            return result;
        bool more = parser->at < parser->size && parser->text[parser->at] == parser->separator;
        if (more)
            parser->at++;
        else if (parser->at < parser->size)
            parser->at += line_end(parser);
        parser->out[parser->used++] = '\0';
        if (!more)
            return STATUS_OK;
        if (*count == CSV_COLUMNS_LIMIT)
            return refuse_line(parser, parser->line, "more than 4096 columns");
    }
}

/* Whether nothing at all is on the line. */
static bool is_blank(const struct parser *parser)
{
    return line_end(parser) > 0;
}

static enum status take_header(struct parser *parser, int64_t at, int64_t line)
{
    struct csv *csv = parser->csv;
    csv->columns = calloc((size_t)csv->column_count, sizeof *csv->columns);
    if (!csv->columns)
        return status_set(STATUS_INTERNAL, "%s: out of memory", csv->where);
    const char *name = csv->text + at;
    for (int64_t i = 0; i < csv->column_count; i++, name += strlen(name) + 1) {
        if (csv_find_column(csv, name) >= 0)
            return status_set(STATUS_CORRUPT, "%s:%lld: two columns have the name \"%.100s\"", csv->where,
                              (long long)line, name);
        csv->columns[i] = name;
    }
    return STATUS_OK;
}

static enum status take_row(struct parser *parser, int64_t at, int64_t line, int64_t count)
{
    struct csv *csv = parser->csv;
    if (count != csv->column_count)
        return status_set(STATUS_CORRUPT, "%s:%lld: expected %lld fields, found %lld", csv->where, (long long)line,
                          (long long)csv->column_count, (long long)count);
    enum status result = array_grow(&csv->rows, &csv->capacity, csv->row_count + 1, "rows");
    if (result == STATUS_OK)
        csv->rows[csv->row_count++] = (struct csv_row){at, line};
    return result;
}

static enum status parse(struct parser *parser, bool header)
{
    struct csv *csv = parser->csv;
    while (parser->at < parser->size) {
        int64_t at = parser->used, line = parser->line, count = 0;
        if (is_blank(parser) && csv->column_count != 1) {
            parser->at += line_end(parser);
            parser->line++;
            continue;
        }
        enum status result = fields(parser, &count);
        parser->line++;
        if (result != STATUS_OK)
            return result;
        bool first = csv->column_count == 0;
        if (first)
            csv->column_count = count;
        result = first && header ? take_header(parser, at, line) : take_row(parser, at, line, count);
        if (result != STATUS_OK)
            return result;
    }
    return csv->column_count > 0 ? STATUS_OK
                                 : status_set(STATUS_CORRUPT, "%s: empty file; expected a table", csv->where);
}

enum status csv_parse(const char *where, char *text, int64_t size, struct csv_format format, struct csv *csv)
{
    *csv = (struct csv){.text = text, .where = strdup(where)};
    if (!csv->where)
        return status_set(STATUS_INTERNAL, "%s: out of memory", where);
    enum status result = text_decode(where, &csv->text, &size);
    if (result != STATUS_OK)
        return result;
    struct parser parser = {csv, format.separator, csv->text, size, 0, csv->text, 0, 1};
    return parse(&parser, format.header);
}

void csv_free(struct csv *csv)
{
    free(csv->where);
    free(csv->text);
    free(csv->columns);
    free(csv->rows);
    *csv = (struct csv){0};
}

int64_t csv_find_column(const struct csv *csv, const char *name)
{
    for (int64_t i = 0; csv->columns && i < csv->column_count && csv->columns[i]; i++)
        if (strcmp(csv->columns[i], name) == 0)
            return i;
    return -1;
}

enum status csv_column(const struct csv *csv, const char *name, int64_t *column)
{
    *column = csv_find_column(csv, name);
    if (*column >= 0)
        return STATUS_OK;
    char names[600] = "";
    size_t used = 0;
    for (int64_t i = 0; csv->columns && i < csv->column_count && used < sizeof names - 80; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s\"%.60s\"", i > 0 ? ", " : "", csv->columns[i]);
    return status_set(STATUS_CORRUPT, "%s: no column \"%s\"; its columns are %s", csv->where, name, names);
}

void csv_fields(const struct csv *csv, int64_t row, const char **fields)
{
    assert(row >= 0 && row < csv->row_count);
    const char *text = csv->text + csv->rows[row].at;
    for (int64_t i = 0; i < csv->column_count; i++, text += strlen(text) + 1)
        fields[i] = text;
}

const char *csv_field(const struct csv *csv, int64_t row, int64_t column)
{
    assert(row >= 0 && row < csv->row_count && column >= 0 && column < csv->column_count);
    const char *text = csv->text + csv->rows[row].at;
    while (column-- > 0)
        text += strlen(text) + 1;
    return text;
}

int64_t csv_line(const struct csv *csv, int64_t row)
{
    return csv->rows[row].line;
}
