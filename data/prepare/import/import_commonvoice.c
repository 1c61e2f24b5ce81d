/* Common Voice: a table with a header, fields between tabs, quotes are plain characters; audio is clips/PATH. Columns are
 * found by their names, since releases add columns and change their order. */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 64 };

struct table {
    char clips[PATH_BYTES];
    int path, sentence, speaker; /* columns; -1: there is none */
    bool header;
};

static enum status read_header(struct table *table, char **fields, int count)
{
    table->path = table->sentence = table->speaker = -1;
    for (int i = 0; i < count; i++) {
        if (strcmp(fields[i], "path") == 0)
            table->path = i;
        else if (strcmp(fields[i], "sentence") == 0)
            table->sentence = i;
        else if (strcmp(fields[i], "client_id") == 0)
            table->speaker = i;
    }
    table->header = true;
    return STATUS_OK;
}

static enum status add_line(struct import *import, void *context, const char *source, char *line)
{
    enum status result = STATUS_OK;
    struct table *table = context;
    char audio[PATH_BYTES], *fields[COLUMNS];
    struct import_row *row;
    int count = import_cut(line, '\t', fields, COLUMNS);
    if (!table->header)
        return read_header(table, fields, count);
    if (table->path < 0 || table->sentence < 0)
        FAIL(STATUS_CORRUPT, "the table's first line does not name the columns \"path\" and \"sentence\"");
    if (count <= table->path || count <= table->sentence || !fields[table->path][0])
        FAIL(STATUS_CORRUPT, "the line has %d fields and no path or sentence among them", count);
    const char *name = fields[table->path];
    if (strstr(name, ".."))
        FAIL(STATUS_CORRUPT, "its path leads out of the folder");
    char id[PATH_BYTES];
    TRY(path_format(id, "%s", name));
    if (import_is_audio(id))
        *strrchr(id, '.') = 0;
    if (!import_find_audio(import, table->clips, name, audio) && !import_find_audio(import, table->clips, id, audio))
        return import_note(import, IMPORT_NO_AUDIO, id, source, "%s", table->clips);
    TRY(import_add(import, id, audio, source, &row));
    TRY(import_set_text(&row->text, fields[table->sentence]));
    if (!row->text)
        TRY(import_refuse(import, IMPORT_NO_TEXT, "the sentence is empty"));
    if (table->speaker >= 0 && count > table->speaker && fields[table->speaker][0])
        TRY(import_set(&row->speaker, fields[table->speaker]));
fail:
    return result;
}

enum status import_commonvoice(struct import *import)
{
    enum status result = STATUS_OK;
    struct table table = {0};
    if (import->options->audio)
        TRY(path_format(table.clips, "%s", import->options->audio));
    else
        TRY(path_format(table.clips, "%s/clips", import->root));
    TRY(import_each_line(import, import->options->source, add_line, &table));
fail:
    return result;
}
