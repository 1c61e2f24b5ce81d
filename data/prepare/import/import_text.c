/* Plain text: each file, each paragraph (lines between empty lines) or each line becomes a row. Texts are kept as they
 * are but for white space at their ends: line ends are part of a text. */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"
#include "io/text_file.h"
#include "text/white_space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* text[begin, end) of the file; `number` is the line that it begins on, in an id as wide as sorting needs. */
static enum status add_text(struct import *import, const char *document, const char *path, const char *text,
                            int64_t begin, int64_t end, int64_t number)
{
    enum status result = STATUS_OK;
    char id[PATH_BYTES], source[PATH_BYTES];
    struct import_row *row;
    trim_white_space(text, &begin, &end);
    if (begin == end)
        return STATUS_OK;
    TRY(path_format(source, "%s:%lld", path, (long long)number));
    if (import->options->per == IMPORT_PER_FILE)
        TRY(path_format(id, "%s", document));
    else
        TRY(path_format(id, "%s-%08lld", document, (long long)number));
    TRY(import_add(import, id, NULL, source, &row));
    TRY(import_set(&row->document, document));
    row->text = strndup(text + begin, (size_t)(end - begin));
    if (!row->text)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
fail:
    return result;
}

static bool is_empty(const char *line, int64_t length)
{
    int64_t begin = 0;
    trim_white_space(line, &begin, &length);
    return begin == length;
}

/* Carriage returns before line ends are the editor's, not the text's. */
static void unify_line_ends(char *text, int64_t *size)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < *size; i++)
        if (text[i] != '\r' || (i + 1 < *size && text[i + 1] != '\n'))
            text[kept++] = text[i] == '\r' ? '\n' : text[i]; /* alone: an old Macintosh's */
    text[kept] = 0;
    *size = kept;
}

static enum status cut_text(struct import *import, const char *path, const char *document, const char *text,
                            int64_t size)
{
    enum status result = STATUS_OK;
    enum import_per per = import->options->per;
    int64_t begin = 0, first = 1, number = 1;
    for (int64_t at = 0; at < size && per != IMPORT_PER_FILE; number++) {
        int64_t length = (int64_t)strcspn(text + at, "\n"), next = at + length + (at + length < size);
        bool empty = is_empty(text + at, length);
        if (per == IMPORT_PER_LINE || empty) {
            TRY(add_text(import, document, path, text, begin, empty ? at : next, first));
            begin = next;
            first = number + 1;
        }
        at = next;
    }
    TRY(add_text(import, document, path, text, begin, size, first));
fail:
    return result;
}

static enum status visit_text(struct import *import, const char *path)
{
    enum status result = STATUS_OK;
    char *text = NULL, *document = import_identify(import->root, path);
    const char *source = import_relative(import, path);
    int64_t size = 0, before = import->count;
    struct import_mark mark = import_begin(import);
    if (!document)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(text_file_read(path, IMPORT_FILE_LIMIT, &text, &size));
    if ((int64_t)strlen(text) != size)
        FAIL(STATUS_CORRUPT, "%s: contains a NUL byte", path);
    unify_line_ends(text, &size);
    TRY(cut_text(import, source, document, text, size));
    if (import->count == before)
        TRY(import_refuse(import, IMPORT_NO_TEXT, "%s: empty", path));
fail:
    result = import_settle(import, mark, document, source, result);
    free(text);
    free(document);
    return result;
}

enum status import_text(struct import *import)
{
    return import_walk(import, import->options->source, ".txt", visit_text);
}
