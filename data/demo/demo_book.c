/* Reads the King James Bible of Debian's bible-kjv-text: a table of offsets, then windows of text, each compressed as
 * by compress(1). LZW is decoded here, since none of the libraries that are linked anyway can do it. */
#include "data/demo/demo_sources.h"

#include "io/atomic_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOOK "/usr/lib/bible.data"

enum {
    CLEAR_CODE = 256,
    FIRST_CODE = 257,
    LEAST_BITS = 9,
    MOST_BITS = 16,
    MOST_CODES = 1 << MOST_BITS,
    HEADER_BYTES = 92, /* up to the offsets of the windows */
    MOST_WINDOWS = 4096,
    BOOK_LIMIT = 64 << 20,
};

/* ---- LZW as of compress(1) ---- */

struct lzw_table {
    uint16_t prefix[MOST_CODES];
    unsigned char last[MOST_CODES];
    char stack[MOST_CODES];
};

struct code_reader {
    const unsigned char *codes;
    int64_t bits, position; /* in bits */
    int64_t group_begin;    /* where the codes of the current width began: they come in groups of eight */
    int width;
};

/* The next code; -1 at the end. */
static int next_code(struct code_reader *reader)
{
    if (reader->position + reader->width > reader->bits)
        return -1;
    unsigned value = 0;
    for (int i = 0; i < reader->width; i++) {
        int64_t bit = reader->position + i;
        value |= (unsigned)(reader->codes[bit / 8] >> (bit % 8) & 1) << i;
    }
    reader->position += reader->width;
    return (int)value;
}

/* The width changes at the end of a group of eight codes; what is left of the group is padding. */
static void change_width(struct code_reader *reader, int width)
{
    int64_t group = 8 * (int64_t)reader->width;
    int64_t used = reader->position - reader->group_begin;
    reader->position = reader->group_begin + (used + group - 1) / group * group;
    reader->group_begin = reader->position;
    reader->width = width;
}

enum status lzw_decode(const unsigned char *codes, int64_t size, char *text, int64_t room, int64_t *length)
{
    enum status result = STATUS_OK;
    struct lzw_table *table = malloc(sizeof *table);
    struct code_reader reader = {.codes = codes, .bits = 8 * size, .width = LEAST_BITS};
    int next_free = FIRST_CODE, previous = -1;
    unsigned char first_byte = 0;
    *length = 0;
    if (table == NULL)
        return status_set(STATUS_INTERNAL, "out of memory for an LZW table");
    for (int code; (code = next_code(&reader)) >= 0;) {
        if (code == CLEAR_CODE) {
            change_width(&reader, LEAST_BITS);
            next_free = FIRST_CODE;
            previous = -1;
            continue;
        }
        int64_t depth = 0;
        int at = code;
        if (previous < 0 ? code > 255 : code > next_free)
            FAIL(STATUS_CORRUPT, "LZW: the code %d comes before its definition", code);
        if (code == next_free && previous >= 0) { /* the previous string followed by its own first byte */
            table->stack[depth++] = (char)first_byte;
            at = previous;
        }
        for (; at > 255; at = table->prefix[at])
            table->stack[depth++] = (char)table->last[at];
        first_byte = (unsigned char)at;
        table->stack[depth++] = (char)at;
        if (depth > room - *length)
            FAIL(STATUS_CORRUPT, "LZW: more text than the %lld bytes of a window", (long long)room);
        while (depth > 0)
            text[(*length)++] = table->stack[--depth];
        if (previous >= 0 && next_free < MOST_CODES) {
            table->prefix[next_free] = (uint16_t)previous;
            table->last[next_free] = first_byte;
            next_free++;
            if (next_free == 1 << reader.width && reader.width < MOST_BITS)
                change_width(&reader, reader.width + 1);
        }
        previous = code;
        if (*length == room)
            break;
    }
fail:
    free(table);
    return result;
}

/* ---- the book ---- */

static uint32_t big_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* All windows, one after the other. */
static enum status read_windows(const char *path, char **text, int64_t *length)
{
    enum status result = STATUS_OK;
    void *data = NULL;
    int64_t size = 0;
    *text = NULL;
    *length = 0;
    if (access(path, R_OK) != 0)
        return status_set(STATUS_USAGE,
                          "%s: missing: the demo needs Debian's package bible-kjv-text (scripts/install-dependencies "
                          "installs it)",
                          path);
    TRY(file_read(path, BOOK_LIMIT, &data, &size));
    const unsigned char *bytes = data;
    if (size < HEADER_BYTES || memcmp(bytes, "EC02", 4) != 0)
        FAIL(STATUS_CORRUPT, "%s: it does not begin with EC02, so it is not the text of bible-kjv-text 4", path);
    int64_t window = big_endian(bytes + HEADER_BYTES - 8), windows = big_endian(bytes + HEADER_BYTES - 4);
    if (window < 1 || window > 1 << 20 || windows < 1 || windows > MOST_WINDOWS || size < HEADER_BYTES + 4 * windows)
        FAIL(STATUS_CORRUPT, "%s: %lld windows of %lld bytes; expected at most %d of 1048576", path, (long long)windows,
             (long long)window, MOST_WINDOWS);
    *text = malloc((size_t)(window * windows) + 1);
    if (*text == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for %s", path);
    for (int64_t i = 0; i < windows; i++) {
        int64_t begin = big_endian(bytes + HEADER_BYTES + 4 * i), part = 0;
        int64_t end = i + 1 < windows ? (int64_t)big_endian(bytes + HEADER_BYTES + 4 * (i + 1)) : size;
        if (begin > end || end > size)
            FAIL(STATUS_CORRUPT, "%s: window %lld lies at %lld to %lld, but the file has %lld bytes", path,
                 (long long)i, (long long)begin, (long long)end, (long long)size);
        result = lzw_decode(bytes + begin, end - begin, *text + *length, window, &part);
        if (result != STATUS_OK) {
            status_prefix(result, "%s: window %lld", path, (long long)i);
            goto fail;
        }
        *length += part;
    }
    (*text)[*length] = '\0';
fail:
    free(data);
    if (result != STATUS_OK) {
        free(*text);
        *text = NULL;
    }
    return result;
}

enum status demo_book_read_from(const char *path, struct demo_book *book)
{
    enum status result = STATUS_OK;
    int64_t length = 0, lines = 0;
    *book = (struct demo_book){0};
    TRY(read_windows(path, &book->memory, &length));
    for (int64_t i = 0; i < length; i++)
        lines += book->memory[i] == '\n';
    book->verses = malloc((size_t)(lines + 1) * sizeof *book->verses);
    if (book->verses == NULL)
        FAIL(STATUS_INTERNAL, "out of memory for %lld verses", (long long)lines);
    /* Lines "Ge1:1 In the beginning ..."; the title has no chapter. */
    char *rest = NULL;
    for (char *line = strtok_r(book->memory, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *space = strchr(line, ' '), *colon = strchr(line, ':');
        if (space == NULL || colon == NULL || colon > space || space[1] == '\0')
            continue;
        *space = '\0';
        book->verses[book->count++] = (struct demo_verse){line, space + 1};
    }
    if (book->count == 0)
        FAIL(STATUS_CORRUPT, "%s: found no verse in %lld bytes of text", path, (long long)length);
fail:
    if (result != STATUS_OK)
        demo_book_free(book);
    return result;
}

enum status demo_book_read(struct demo_book *book)
{
    return demo_book_read_from(BOOK, book);
}

void demo_book_free(struct demo_book *book)
{
    free(book->memory);
    free(book->verses);
    *book = (struct demo_book){0};
}
