/* LJSpeech's layout, which many corpora of one voice share: metadata.csv without a header, "id|raw text|normalised text",
 * in which quotes are plain characters; audio is wavs/id.wav. The normalised text is taken, since it is what is spoken. */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static enum status add_line(struct import *import, void *context, const char *source, char *line)
{
    enum status result = STATUS_OK;
    char audio[PATH_BYTES], folder[PATH_BYTES], *fields[3] = {NULL, NULL, NULL};
    struct import_row *row;
    (void)context;
    int count = import_cut(line, '|', fields, 3);
    if (count < 2 || !fields[0][0])
        FAIL(STATUS_CORRUPT, "expected \"id|text|normalised text\"");
    const char *id = fields[0];
    if (strstr(id, ".."))
        FAIL(STATUS_CORRUPT, "its name leads out of the folder");
    TRY(path_format(folder, "%s/wavs", import->root));
    if (!import_find_audio(import, folder, id, audio) && !import_find_audio(import, import->root, id, audio))
        return import_note(import, IMPORT_NO_AUDIO, id, source, "%s", folder);
    TRY(import_add(import, id, audio, source, &row));
    if (count > 2)
        TRY(import_set_text(&row->text, fields[2]));
    if (!row->text)
        TRY(import_set_text(&row->text, fields[1]));
    if (!row->text)
        TRY(import_refuse(import, IMPORT_NO_TEXT, "the line has an id alone"));
fail:
    return result;
}

enum status import_ljspeech(struct import *import)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    struct stat information;
    TRY(path_format(path, "%s", import->options->source));
    if (stat(path, &information) == 0 && S_ISDIR(information.st_mode))
        TRY(path_format(path, "%s/metadata.csv", import->options->source));
    TRY(import_each_line(import, path, add_line, NULL));
fail:
    return result;
}
