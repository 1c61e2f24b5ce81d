/* What an import leaves out or changes. Notes are kept until the end, since only then is it known whether anything is
 * left, and so that they can be sorted as the manifest is. */
#include "core/array.h"
#include "data/prepare/import/import_rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

enum status import_note(struct import *import, enum import_reason reason, const char *id, const char *source,
                        const char *format, ...)
{
    for (int64_t i = import->note_count - 1; i >= 0 && i >= import->note_count - IMPORT_REASONS; i--) {
        struct import_note *note = import->notes + i;
        if (note->reason == reason && id && same(note->id, id) && same(note->source, source) &&
            !import_reason_rejects(reason)) {
            note->count++;
            return STATUS_OK;
        }
    }
    enum status result = array_grow(&import->notes, &import->note_capacity, import->note_count + 1, "notes");
    if (result != STATUS_OK)
        return result;
    struct import_note note = {.reason = reason, .count = 1, .order = import->note_count};
    char *detail = NULL;
    if (format) {
        va_list arguments;
        va_start(arguments, format);
        int length = vasprintf(&detail, format, arguments);
        va_end(arguments);
        if (length < 0)
            return status_set(STATUS_INTERNAL, "out of memory");
    }
    note.detail = detail;
    result = import_set(&note.id, id);
    if (result == STATUS_OK)
        result = import_set(&note.source, source);
    import->notes[import->note_count++] = note;
    return result;
}

enum status import_refuse(struct import *import, enum import_reason reason, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return status_set(STATUS_INTERNAL, "out of memory");
    import->refusal = reason;
    status_set(STATUS_CORRUPT, "%s", text);
    free(text);
    return STATUS_CORRUPT;
}

struct import_mark import_begin(const struct import *import)
{
    return (struct import_mark){import->count, import->note_count};
}

static void free_note(struct import_note *note)
{
    free(note->id);
    free(note->source);
    free(note->detail);
}

void import_forget(struct import *import, int64_t count)
{
    while (import->note_count > count)
        free_note(import->notes + --import->note_count);
}

void import_forget_reason(struct import *import, enum import_reason reason)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < import->note_count; i++)
        if (import->notes[i].reason == reason)
            free_note(import->notes + i);
        else
            import->notes[kept++] = import->notes[i];
    import->note_count = kept;
}

enum status import_settle(struct import *import, struct import_mark mark, const char *id, const char *source,
                          enum status result)
{
    enum import_reason reason = import->refusal;
    import->refusal = IMPORT_UNREADABLE;
    if (result == STATUS_OK || !status_concerns_one_file(result))
        return result;
    while (import->count > mark.rows)
        import_free_row(import->rows + --import->count);
    import_forget(import, mark.notes);
    char text[1024];
    snprintf(text, sizeof text, "%s", status_text());
    return import_note(import, reason, id, source, "%s", text);
}

const char *import_relative(const struct import *import, const char *path)
{
    size_t length = strlen(import->root);
    while (length > 0 && import->root[length - 1] == '/')
        length--;
    if (strncmp(path, import->root, length) != 0 || path[length] != '/')
        return path;
    path += length;
    return path + strspn(path, "/");
}

void import_free(struct import *import)
{
    for (int64_t i = 0; i < import->count; i++)
        import_free_row(import->rows + i);
    for (int64_t i = 0; i < import->note_count; i++)
        free_note(import->notes + i);
    for (int64_t i = 0; i < import->found_count; i++)
        free(import->found[i]);
    free(import->rows);
    free(import->notes);
    free(import->found);
}
