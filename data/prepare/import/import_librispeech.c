/* LibriSpeech's layout: speaker/chapter/speaker-chapter-nnnn.flac, and their texts in speaker-chapter.trans.txt. */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"

#include <stdlib.h>
#include <string.h>

/* "1272-128104-0000 MISTER QUILTER IS THE APOSTLE" */
static enum status add_utterance(struct import *import, void *context, const char *source, char *line)
{
    enum status result = STATUS_OK;
    char audio[PATH_BYTES], *id, *text;
    struct import_row *row;
    if (!import_cut_pair(line, &id, &text) || strchr(id, '/'))
        return status_set(STATUS_CORRUPT, "expected an utterance's id, a space and its text");
    bool found = import_find_audio(import, context, id, audio);
    if (!found)
        return import_note(import, IMPORT_NO_AUDIO, id, source, NULL);
    if (!text[0])
        return import_note(import, IMPORT_NO_TEXT, id, source, NULL);
    TRY(import_add(import, id, audio, source, &row));
    TRY(import_set_text(&row->text, text));
    row->speaker = strndup(id, strcspn(id, "-"));
    const char *last = strrchr(id, '-');
    row->document = strndup(id, last ? (size_t)(last - id) : strlen(id));
    if (!row->speaker || !row->document)
        FAIL(STATUS_INTERNAL, "out of memory");
fail:
    return result;
}

static enum status visit_transcript(struct import *import, const char *path)
{
    char folder[PATH_BYTES];
    struct import_mark mark = import_begin(import);
    enum status result = import_parent(path, folder);
    if (result == STATUS_OK)
        result = import_each_line(import, path, add_utterance, folder);
    return import_settle(import, mark, NULL, import_relative(import, path), result);
}

enum status import_librispeech(struct import *import)
{
    return import_walk(import, import->options->source, ".trans.txt", visit_transcript);
}
