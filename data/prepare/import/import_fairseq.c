/* fairseq's and textless' lists. NAME.tsv has the folder of the audio on its first line, then "path<TAB>samples"; beside
 * it NAME.km has the units of each line, or NAME.wrd its words. A file of "name|unit unit ..." has both in one. */
#include "core/array.h"
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lines {
    char **items, **sources;
    int64_t count, capacity, source_capacity;
};

static enum status keep_line(struct import *import, void *context, const char *source, char *line)
{
    struct lines *lines = context;
    enum status result = STATUS_OK;
    (void)import;
    TRY(array_grow(&lines->items, &lines->capacity, lines->count + 1, "lines"));
    TRY(array_grow(&lines->sources, &lines->source_capacity, lines->count + 1, "lines"));
    lines->items[lines->count] = strdup(line);
    lines->sources[lines->count] = strdup(source);
    lines->count++;
    if (!lines->items[lines->count - 1] || !lines->sources[lines->count - 1])
        FAIL(STATUS_INTERNAL, "out of memory");
fail:
    return result;
}

static void free_lines(struct lines *lines)
{
    for (int64_t i = 0; i < lines->count; i++) {
        free(lines->items[i]);
        free(lines->sources[i]);
    }
    free(lines->items);
    free(lines->sources);
}

/* "5 5 71" */
static enum status take_units(const char *text, struct import_row *row)
{
    for (char *end; *(text += strspn(text, " \t")); text = end) {
        errno = 0;
        long long unit = strtoll(text, &end, 10);
        if (end == text || errno || (*end && *end != ' ' && *end != '\t'))
            return status_set(STATUS_CORRUPT, "\"%.20s\" is not a unit", text);
        enum status result = import_add_unit(row, unit, 1);
        if (result != STATUS_OK)
            return result;
    }
    return row->unit_count > 0 ? STATUS_OK : status_set(STATUS_CORRUPT, "the line has no units");
}

/* An id of a name that may have folders and an audio file's extension. */
static enum status identify(const char *name, char id[PATH_BYTES])
{
    enum status result = path_format(id, "%s", name);
    if (result == STATUS_OK && import_is_audio(id))
        *strrchr(id, '.') = 0;
    return result;
}

static enum status add_named(struct import *import, void *context, const char *source, char *line)
{
    enum status result = STATUS_OK;
    char id[PATH_BYTES], *fields[2];
    struct import_row *row;
    (void)context;
    if (import_cut(line, '|', fields, 2) != 2 || !fields[0][0])
        FAIL(STATUS_CORRUPT, "expected \"name|unit unit ...\"");
    TRY(identify(fields[0], id));
    TRY(import_add(import, id, NULL, source, &row));
    TRY(take_units(fields[1], row));
fail:
    return result;
}

struct table {
    struct lines lines, labels;
    const char *folder;
    bool units; /* labels are units; otherwise words, or there are none */
};

/* One line of the table with its label. Rows with units are ready; the audio is not read again. */
static enum status add_line(struct import *import, const struct table *table, int64_t i)
{
    enum status result = STATUS_OK;
    char audio[PATH_BYTES], id[PATH_BYTES], *fields[2];
    struct import_row *row;
    struct import_mark mark = import_begin(import);
    const char *source = table->lines.sources[i], *label = table->labels.count > 0 ? table->labels.items[i - 1] : NULL;
    import_cut(table->lines.items[i], '\t', fields, 2);
    TRY(identify(fields[0], id));
    if (!table->units && !import_find_audio(import, table->folder, fields[0], audio))
        TRY(import_refuse(import, IMPORT_NO_AUDIO, "%s/%s", table->folder, fields[0]));
    TRY(import_add(import, id, table->units ? NULL : audio, source, &row));
    if (table->units)
        TRY(take_units(label, row));
    else
        TRY(import_set_text(&row->text, label));
    if (!table->units && !row->text)
        TRY(import_note(import, IMPORT_SPEECH_ALONE, id, source, NULL));
fail:
    return import_settle(import, mark, id, source, result);
}

/* Labels belong to lines by their order alone, so a wrong number of them would shift all: that is refused. */
static enum status read_labels(struct import *import, struct table *table)
{
    static const char *const endings[] = {"km", "wrd"};
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    const char *source = import->options->source, *dot = strrchr(source, '.');
    for (int i = 0; i < 2 && table->labels.count == 0; i++) {
        TRY(path_format(path, "%.*s.%s", (int)(dot - source), source, endings[i]));
        if (access(path, F_OK) != 0)
            continue;
        TRY(import_all_lines(import, path, keep_line, &table->labels));
        table->units = i == 0;
        if (table->labels.count != table->lines.count - 1)
            FAIL(STATUS_CORRUPT, "%s has %lld lines for the %lld files of %s: it is not clear which belongs to which",
                 path, (long long)table->labels.count, (long long)table->lines.count - 1, source);
    }
fail:
    return result;
}

enum status import_fairseq(struct import *import)
{
    enum status result = STATUS_OK;
    struct table table = {0};
    if (!import_ends_with(import->options->source, ".tsv"))
        return import_each_line(import, import->options->source, add_named, NULL);
    TRY(import_all_lines(import, import->options->source, keep_line, &table.lines));
    if (table.lines.count < 2)
        goto fail;
    table.folder = import->options->audio ? import->options->audio : table.lines.items[0];
    TRY(read_labels(import, &table));
    for (int64_t i = 1; i < table.lines.count; i++)
        TRY(add_line(import, &table, i));
fail:
    free_lines(&table.lines);
    free_lines(&table.labels);
    return result;
}
