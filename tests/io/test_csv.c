/* Tables with commas and tabs: written cells come back whatever is in them and however lines end, and each fault is named with
 * its line. */
#include "support/test_support.h"

#include "io/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copies into memory of exactly the size that csv_parse asks for, so that the address sanitizer sees what lies beyond. */
static enum status parse_bytes(const char *text, int64_t size, char separator, bool header, struct csv *table)
{
    char *copy = malloc((size_t)size + 1);
    assert_non_null(copy);
    memcpy(copy, text, (size_t)size);
    copy[size] = '\0';
    return csv_parse("t.csv", copy, size, (struct csv_format){separator, header}, table);
}

static enum status parse(const char *text, char separator, bool header, struct csv *table)
{
    return parse_bytes(text, (int64_t)strlen(text), separator, header, table);
}

/* One table: columns and rows as "a|b|c/d|e|f/". */
static void check_cells(const char *text, char separator, bool header, const char *expected)
{
    struct csv table;
    char found[4096] = "";
    size_t used = 0;
    const char *fields[64];
    assert_ok(parse(text, separator, header, &table));
    for (int64_t row = header ? -1 : 0; row < table.row_count; row++) {
        if (row >= 0)
            csv_fields(&table, row, fields);
        for (int64_t i = 0; i < table.column_count; i++) {
            const char *field = row < 0 ? table.columns[i] : fields[i];
            if (row >= 0)
                assert_ptr_equal(field, csv_field(&table, row, i));
            used += (size_t)snprintf(found + used, sizeof found - used, "%s%c", field,
                                     i + 1 < table.column_count ? '|' : '/');
        }
    }
    if (strcmp(found, expected) != 0)
        fail_msg("%s\nfound:    %s\nexpected: %s", text, found, expected);
    csv_free(&table);
}

static void cells(void **state)
{
    (void)state;
    static const struct {
        const char *text, *cells;
    } cases[] = {
        {"a,b\n1,2\n", "a|b/1|2/"},
        {"a,b\r\n1,2\r\n", "a|b/1|2/"},
        {"a,b\r1,2\r", "a|b/1|2/"},
        {"a,b\n1,2", "a|b/1|2/"},
        {"a,b\r\n1,2", "a|b/1|2/"},
        {"a,b\r\n1,", "a|b/1|/"},
        {"a,b\n,", "a|b/|/"},
        {"a,b\n,\n,x\n", "a|b/|/|x/"},
        {"\xef\xbb\xbf"
         "a,b\n1,2\n",
         "a|b/1|2/"},
        {"\"a\",\"b\"\n\"1\",\"2\"", "a|b/1|2/"},
        {"a,b\n\"1,2\",\"3\"\"4\"\n", "a|b/1,2|3\"4/"},
        {"a,b\n\"\"\"\",\"\"\n", "a|b/\"|/"},
        {"a,b\n\"\"\"\"\"\",x\n", "a|b/\"\"|x/"},
        {"a,b\n\"x\ny\",\"x\r\ny\"\n1,2\n", "a|b/x\ny|x\r\ny/1|2/"},
        {"a,b\n\"x\ry\",\"\n\"\n", "a|b/x\ry|\n/"},
        {"a,b\nhe said \"no\",5\" x\n", "a|b/he said \"no\"|5\" x/"},
        {"a,b\n x , \"y\" \n", "a|b/ x | \"y\" /"},
        {"a,b\n\n1,2\n\r\n\n", "a|b/1|2/"},
        {"\n\na,b\n1,2\n", "a|b/1|2/"},
        {"a\n\n1\n", "a//1/"}, /* with one column an empty line is an empty field */
        {"a\n\"\"", "a//"},
        {"a,b\n\xc3\xa9,\xf0\x9f\x98\x80\n", "a|b/\xc3\xa9|\xf0\x9f\x98\x80/"},
        {"a,b\n1\t2,3\n", "a|b/1\t2|3/"},
        {"a,b\n#1,//\n", "a|b/#1|///"},
        {",a\n0,x\n", "|a/0|x/"}, /* an unnamed column, as pandas writes its index */
        {"a,b", "a|b/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_cells(cases[i].text, ',', true, cases[i].cells);
    check_cells("a\tb,c\n1,2\t\"3\t4\"\n", '\t', true, "a|b,c/1,2|3\t4/");
    check_cells("1,2\n3,4\n", ',', false, "1|2/3|4/");
    check_cells("1,1\n1,1\n", ',', false, "1|1/1|1/");
}

static void sixteen_bits(void **state)
{
    (void)state;
    struct csv table;
    assert_ok(parse_bytes("\xff\xfe"
                          "a\0,\0b\0\n\0"
                          "1\0,\0\xe9\0",
                          16, ',', true, &table));
    assert_int_equal(table.row_count, 1);
    assert_string_equal(csv_field(&table, 0, 1), "\xc3\xa9");
    csv_free(&table);
}

static void faults_name_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t size; /* 0: up to its NUL */
        const char *part;
    } cases[] = {
        {"", 0, "t.csv: empty file; expected a table"},
        {"\n\r\n", 0, "t.csv: empty file; expected a table"},
        {"\xef\xbb\xbf", 0, "t.csv: empty file"},
        {"a,b\n1,2\n1,2,3\n", 0, "t.csv:3: expected 2 fields, found 3"},
        {"a,b\n1,2\n1\n", 0, "t.csv:3: expected 2 fields, found 1"},
        {"a,b\n1,2\n \n", 0, "t.csv:3: expected 2 fields, found 1"},
        {"a,b\n1,2\n\n\n1\n", 0, "t.csv:5: expected 2 fields, found 1"},
        {"a,b\r\n\"x\r\ny\",2\r\n1\r\n", 0, "t.csv:4: expected 2 fields, found 1"},
        {"a,b\r\"x\ry\",2\r1\r", 0, "t.csv:4: expected 2 fields, found 1"},
        {"a,b\n\"x\ny", 0, "t.csv:2: a field begins with a quote that is not closed"},
        {"a,b\n1,\"", 0, "t.csv:2: a field begins with a quote that is not closed"},
        {"a,b\n1,\"x\"\"", 0, "t.csv:2: a field begins with a quote"},
        {"a,b\n\"x\"y,2\n", 0, "t.csv:2: text behind the closing quote of a field"},
        {"a,b\n\"x\ny\" ,2\n", 0, "t.csv:3: text behind the closing quote"},
        {"a,b\n1,x\0y\n", 10, "t.csv:2: a NUL"},
        {"a,b\n1,2\n\0", 9, "t.csv:3: a NUL"},
        {"a,b\n1,\"x\0y\"\n", 12, "t.csv:2: a NUL"},
        {"a,b\n1,\xe9\n", 0, "t.csv:2: a byte that is not UTF-8"},
        {"a,b\n1,\xc3", 0, "t.csv:2: a byte that is not UTF-8"},
        {"a,b\n1,\xed\xa0\x80\n", 0, "t.csv:2: a byte that is not UTF-8"},
        {"a,b,a\n1,2,3\n", 0, "t.csv:1: two columns have the name \"a\""},
        {"\na,a\n", 0, "t.csv:2: two columns have the name \"a\""},
        {",x,\n", 0, "t.csv:1: two columns have the name \"\""},
        {"\xff\xfe"
         "a",
         3, "t.csv: byte 2 is not UTF-16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct csv table;
        int64_t size = cases[i].size ? cases[i].size : (int64_t)strlen(cases[i].text);
        enum status result = parse_bytes(cases[i].text, size, ',', true, &table);
        if (result != STATUS_CORRUPT || !strstr(status_text(), cases[i].part))
            fail_msg("case %zu: %d, \"%s\"; expected \"%s\"", i, result, result ? status_text() : "", cases[i].part);
        csv_free(&table);
    }
}

static void columns_are_found_by_name(void **state)
{
    (void)state;
    struct csv table;
    int64_t column = -1;
    assert_ok(parse("id,voice,text\n1,A,x\n", ',', true, &table));
    assert_ok(csv_column(&table, "text", &column));
    assert_int_equal(column, 2);
    assert_int_equal(csv_find_column(&table, "Text"), -1);
    assert_fails(csv_column(&table, "word", &column), STATUS_CORRUPT,
                 "t.csv: no column \"word\"; its columns are \"id\", \"voice\", \"text\"");
    assert_int_equal(csv_line(&table, 0), 2);
    csv_free(&table);
    assert_ok(parse("1,2\n", ',', false, &table));
    assert_int_equal(csv_find_column(&table, "1"), -1);
    csv_free(&table);
}

/* 4096 columns and 64 MiB are read, one more is not. */
static void limits(void **state)
{
    (void)state;
    enum { FIELD = 64 << 20 };
    struct csv table;
    char *text = malloc(FIELD + 16);
    assert_non_null(text);
    memset(text, ',', CSV_COLUMNS_LIMIT);
    text[CSV_COLUMNS_LIMIT - 1] = '\0';
    assert_ok(parse(text, ',', false, &table));
    assert_int_equal(table.column_count, CSV_COLUMNS_LIMIT);
    csv_free(&table);
    memset(text, ',', CSV_COLUMNS_LIMIT);
    text[CSV_COLUMNS_LIMIT] = '\0';
    assert_fails(parse(text, ',', false, &table), STATUS_CORRUPT, "t.csv:1: more than 4096 columns");
    csv_free(&table);
    memset(text, 'x', FIELD + 1);
    assert_ok(parse_bytes(text, FIELD, ',', false, &table));
    csv_free(&table);
    assert_fails(parse_bytes(text, FIELD + 1, ',', false, &table), STATUS_CORRUPT,
                 "t.csv:1: a field of more than 64 MiB");
    csv_free(&table);
    free(text);
}

/* ---- random tables ---- */

static const char *const pieces[] = {"a",  "b,", "\"", "\"\"",     "\n", "\r\n",
                                     "\r", "\t", " ",  "\xc3\xa9", ",",  "\xe4\xb8\xad"};

static void random_field(struct rng *rng, char field[64])
{
    field[0] = '\0';
    for (uint64_t count = rng_below(rng, 5); count > 0; count--)
        strcat(field, pieces[rng_below(rng, sizeof pieces / sizeof *pieces)]);
}

/* In quotes where it must be, and sometimes where it need not. */
static void put_field(FILE *out, const char *field, char separator, bool quoted)
{
    char special[] = {separator, '"', '\n', '\r', '\0'};
    if (!quoted && !strpbrk(field, special)) {
        fputs(field, out);
        return;
    }
    fputc('"', out);
    for (; *field; field++) {
        fputs(*field == '"' ? "\"" : "", out);
        fputc(*field, out);
    }
    fputc('"', out);
}

static int64_t breaks_in(const char *text)
{
    int64_t count = 0;
    for (; *text; text++)
        count += *text == '\n' || (*text == '\r' && text[1] != '\n');
    return count;
}

static void written_cells_come_back(void **state)
{
    (void)state;
    enum { ROWS = 12, COLUMNS = 6 };
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    static char fields[ROWS][COLUMNS][64];
    int rounds = test_is_long() ? 100000 : 3000;
    for (int round = 0; round < rounds; round++) {
        struct rng rng = rng_make(test_seed(), RNG_TEST, (uint64_t)round, 5);
        int64_t rows = 1 + (int64_t)rng_below(&rng, ROWS), columns = 2 + (int64_t)rng_below(&rng, COLUMNS - 1),
                line = 1;
        char separator = rng_below(&rng, 2) ? ',' : '\t', *text = NULL;
        const char *end = ends[rng_below(&rng, 3)];
        size_t size = 0;
        int64_t lines[ROWS];
        FILE *out = open_memstream(&text, &size);
        assert_non_null(out);
        for (int64_t row = 0; row < rows; row++) {
            lines[row] = line++;
            for (int64_t i = 0; i < columns; i++) {
                random_field(&rng, fields[row][i]);
                line += breaks_in(fields[row][i]);
                put_field(out, fields[row][i], separator, rng_below(&rng, 4) == 0);
                if (i + 1 < columns)
                    fputc(separator, out);
            }
            if (row + 1 < rows || rng_below(&rng, 2))
                fputs(end, out);
        }
        fclose(out);
        struct csv table;
        assert_ok(csv_parse("t.csv", text, (int64_t)size, (struct csv_format){separator, false}, &table));
        assert_int_equal(table.row_count, rows);
        assert_int_equal(table.column_count, columns);
        for (int64_t row = 0; row < rows; row++) {
            assert_int_equal(csv_line(&table, row), lines[row]);
            for (int64_t i = 0; i < columns; i++)
                assert_string_equal(csv_field(&table, row, i), fields[row][i]);
        }
        csv_free(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells),
        cmocka_unit_test(sixteen_bits),
        cmocka_unit_test(faults_name_their_line),
        cmocka_unit_test(columns_are_found_by_name),
        cmocka_unit_test(limits),
        cmocka_unit_test(written_cells_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
