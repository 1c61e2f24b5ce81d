/* A folder of audio files, each with its text in a .txt file of the same name. */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "io/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* "hello.txt", "hello.TXT" or "hello.wav.txt" of "hello.wav". */
static bool find_text(const char *audio, char path[PATH_BYTES])
{
    static const char *const endings[] = {".txt", ".TXT", ".Txt"};
    struct stat information;
    for (int i = 0; i < 4; i++) {
        const char *dot = i < 3 ? strrchr(audio, '.') : audio + strlen(audio);
        if (path_format(path, "%.*s%s", (int)(dot - audio), audio, endings[i % 3]) == STATUS_OK &&
            stat(path, &information) == 0 && S_ISREG(information.st_mode))
            return true;
    }
    return false;
}

static enum status read_sibling(struct import *import, struct import_row *row)
{
    enum status result = STATUS_OK;
    char path[PATH_BYTES], *data = NULL;
    int64_t size = 0;
    if (find_text(row->audio, path)) {
        TRY(text_file_read(path, IMPORT_FILE_LIMIT, &data, &size));
        if ((int64_t)strlen(data) != size)
            FAIL(STATUS_CORRUPT, "%s: contains a NUL byte", path);
        TRY(import_set_text(&row->text, data));
    }
    if (!row->text)
        TRY(import_note(import, IMPORT_SPEECH_ALONE, row->id, row->source, NULL));
fail:
    free(data);
    return result;
}

static bool is_unknown_audio(const char *path)
{
    static const char *const endings[] = {".m4a", ".aac", ".wma", ".mp4", ".webm",
                                          ".amr", ".wv",  ".ape", ".mka", ".caf"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (import_ends_with(path, endings[i]))
            return true;
    return false;
}

/* A text without audio is missed by whoever wrote it. */
static enum status visit_other(struct import *import, const char *path)
{
    enum status result = STATUS_OK;
    char folder[PATH_BYTES], audio[PATH_BYTES], *stem = NULL, *id = NULL;
    if (is_unknown_audio(path))
        return import_note(import, IMPORT_OTHER_FILE, NULL, import_relative(import, path), NULL);
    if (!import_ends_with(path, ".txt"))
        return STATUS_OK;
    TRY(import_parent(path, folder));
    stem = import_identify(folder, path);
    id = import_identify(import->root, path);
    if (!stem || !id)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    if (!import_find_audio(import, folder, stem, audio))
        TRY(import_note(import, IMPORT_NO_AUDIO, id, import_relative(import, path), NULL));
fail:
    free(id);
    free(stem);
    return result;
}

static enum status read_audio(struct import *import, const char *path, const char *id)
{
    enum status result = STATUS_OK;
    struct import_row *row;
    TRY(import_add(import, id, path, import_relative(import, path), &row));
    const char *slash = strchr(id, '/'), *last = strrchr(id, '/');
    if (import->options->speaker_folders && slash && !(row->speaker = strndup(id, (size_t)(slash - id))))
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    if (last && !(row->document = strndup(id, (size_t)(last - id)))) /* the folder is a book, a session or a show */
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(read_sibling(import, row));
fail:
    return result;
}

static enum status visit_file(struct import *import, const char *path)
{
    if (!import_is_audio(path))
        return visit_other(import, path);
    char *id = import_identify(import->root, path);
    if (!id)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    struct import_mark mark = import_begin(import);
    enum status result = read_audio(import, path, id);
    result = import_settle(import, mark, id, import_relative(import, path), result);
    free(id);
    return result;
}

enum status import_folder(struct import *import)
{
    return import_walk(import, import->options->source, "", visit_file);
}
