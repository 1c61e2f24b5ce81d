/* Layouts of whole corpora: a folder of audio with .txt files, and LibriSpeech's. */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "io/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum status out_of_memory(const char *path)
{
    return status_set(STATUS_INTERNAL, "%s: out of memory", path);
}

/* ---- audio + .txt ---- */

/* "hello.txt" of "hello.wav". */
static enum status read_sibling(const char *audio, char **text)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES];
    char *data = NULL;
    int64_t size = 0;
    const char *dot = strrchr(audio, '.');
    *text = NULL;
    TRY(path_format(path, "%.*s.txt", dot ? (int)(dot - audio) : 0, audio));
    if (access(path, F_OK) != 0)
        return STATUS_OK;
    TRY(text_file_read(path, IMPORT_FILE_LIMIT, &data, &size));
    *text = import_clean_text(data, size);
    if (!*text)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    if (!**text) {
        free(*text);
        *text = NULL;
    }
fail:
    free(data);
    return result;
}

static enum status visit_audio(struct import *import, const char *path)
{
    if (!import_is_audio(path))
        return STATUS_OK;
    struct import_row *row = import_add(import);
    if (!row)
        return out_of_memory(path);
    row->id = import_identify(import->root, path);
    row->audio = strdup(path);
    if (!row->id || !row->audio)
        return out_of_memory(path);
    const char *slash = strchr(row->id, '/');
    if (import->options->speaker_folders && slash && !(row->speaker = strndup(row->id, (size_t)(slash - row->id))))
        return out_of_memory(path);
    enum status result = read_sibling(path, &row->text);
    import->counts.without_text += result == STATUS_OK && !row->text;
    return result;
}

enum status import_folder(struct import *import)
{
    return import_walk(import, import->options->source, "", visit_audio);
}

/* ---- LibriSpeech ---- */

/* "1272-128104-0000 MISTER QUILTER IS THE APOSTLE" */
static enum status add_utterance(struct import *import, const char *path, const char *folder, int64_t number,
                                 const char *line, int64_t length)
{
    char audio[PATH_BYTES], id[256];
    int64_t id_length = (int64_t)strcspn(line, " \t");
    if (id_length == 0 || id_length >= length || id_length >= (int64_t)sizeof id)
        return status_set(STATUS_CORRUPT, "%s:%lld: expected an utterance's id, a space and its text", path,
                          (long long)number);
    snprintf(id, sizeof id, "%.*s", (int)id_length, line);
    if (strchr(id, '/'))
        return status_set(STATUS_CORRUPT, "%s:%lld: \"%s\" is not an utterance's id", path, (long long)number, id);
    if (!import_find_audio(folder, id, audio)) {
        import->counts.without_audio++;
        return STATUS_OK;
    }
    struct import_row *row = import_add(import);
    if (!row)
        return out_of_memory(path);
    row->id = strdup(id);
    row->audio = strdup(audio);
    row->speaker = strndup(id, strcspn(id, "-"));
    row->text = import_clean_text(line + id_length, length - id_length);
    return row->id && row->audio && row->speaker && row->text ? STATUS_OK : out_of_memory(path);
}

static enum status visit_transcript(struct import *import, const char *path)
{
    enum status result = STATUS_OK;
    char folder[PATH_BYTES], *line = NULL;
    char *data = NULL;
    int64_t size = 0, number = 0;
    TRY(import_parent(path, folder));
    TRY(text_file_read(path, IMPORT_FILE_LIMIT, &data, &size));
    for (const char *next = data, *end = next + size; next < end;) {
        int64_t length = (int64_t)strcspn(next, "\n");
        number++;
        line = strndup(next, (size_t)length);
        if (!line)
            FAIL(STATUS_INTERNAL, "%s: out of memory", path);
        if (line[strspn(line, " \t\r")] != 0)
            TRY(add_utterance(import, path, folder, number, line, (int64_t)strlen(line)));
        free(line);
        line = NULL;
        next += length + 1;
    }
fail:
    free(line);
    free(data);
    return result;
}

enum status import_librispeech(struct import *import)
{
    return import_walk(import, import->options->source, ".trans.txt", visit_transcript);
}
