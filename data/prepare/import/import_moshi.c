/* Moshi's data sets: JSON lines {"path": "a/b.wav", "duration"}, and beside each file b.json with its words,
 * {"alignments": [["word", [start, end], "SPEAKER_MAIN"], ...]}. The files are stereo: the main speaker, who is
 * transcribed, is on the left. */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"
#include "data/prepare/import/import_words_json.h"

#include <string.h>
#include <unistd.h>

static const char MAIN_SPEAKER[] = "SPEAKER_MAIN";

static enum status take_words(struct import *import, const json_t *list, struct import_row *row)
{
    enum status result = STATUS_OK;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *speaker = json_string_value(json_array_get(item, 2));
        if (speaker && strcmp(speaker, MAIN_SPEAKER) != 0)
            TRY(import_note(import, IMPORT_OTHER_SPEAKER, row->id, row->source, "\"%.100s\" of %.100s",
                            json_is_string(json_array_get(item, 0)) ? json_string_value(json_array_get(item, 0)) : "",
                            speaker));
        else
            TRY(import_add_json_word(row, item));
    }
    TRY(import_text_from_words(row));
    if (!row->text)
        TRY(import_refuse(import, IMPORT_NO_TEXT, "no word of the main speaker"));
fail:
    return result;
}

/* "a/b.wav" has "a/b.json"; without it the file is speech alone. */
static enum status read_alignment(struct import *import, struct import_row *row)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    json_t *root = NULL;
    const char *dot = strrchr(row->audio, '.');
    TRY(path_format(path, "%.*s.json", (int)(dot - row->audio), row->audio));
    if (access(path, F_OK) != 0)
        return import_note(import, IMPORT_SPEECH_ALONE, row->id, row->source, "%s is missing",
                           import_relative(import, path));
    TRY(import_json_file(path, &root));
    const json_t *list = json_object_get(root, "alignments");
    if (!json_is_array(list))
        FAIL(STATUS_CORRUPT, "%s: no list \"alignments\"", path);
    TRY(take_words(import, list, row));
fail:
    json_decref(root);
    return result;
}

static enum status add_line(struct import *import, void *context, const char *source, char *line)
{
    enum status result = STATUS_OK;
    char audio[PATH_BYTES], id[PATH_BYTES];
    struct import_row *row;
    json_t *root = NULL;
    (void)context;
    TRY(import_json(source, line, &root));
    const char *path = json_string_value(json_object_get(root, "path"));
    if (!path || !*path)
        FAIL(STATUS_CORRUPT, "no string \"path\"");
    if (!import_find_audio(import, import->root, path, audio))
        TRY(import_refuse(import, IMPORT_NO_AUDIO, "%s", path));
    TRY(path_format(id, "%s", path));
    if (import_is_audio(id))
        *strrchr(id, '.') = 0;
    TRY(import_add(import, id, audio, source, &row));
    row->channel = 0;
    TRY(read_alignment(import, row));
fail:
    json_decref(root);
    return result;
}

enum status import_moshi(struct import *import)
{
    return import_each_line(import, import->options->source, add_line, NULL);
}
