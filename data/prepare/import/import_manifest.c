/* Rows become lines of JSON. An audio file below the manifest's folder is named relative to it, so that a corpus and its
 * manifest can be moved together. */
#include "data/prepare/import/import_manifest.h"

#include "data/prepare/import/import_files.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void lower(char *text)
{
    for (; text && *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + 32);
}

/* "a/b.wav" where the audio lies below the manifest's folder, else its absolute path. */
static enum status written_path(const char *folder, const char *audio, char path[PATH_BYTES])
{
    char real[PATH_MAX];
    if (!realpath(audio, real))
        return status_set_errno(STATUS_IO, errno, "%s", audio);
    size_t length = strlen(folder);
    bool below = strncmp(real, folder, length) == 0 && real[length] == '/';
    const char *name = below ? real + length + 1 : real; /* "~/" at the beginning would mean the home folder */
    return path_format(path, "%s%s", name[0] == '~' ? "./" : "", name);
}

static json_t *words_json(const struct import_row *row)
{
    json_t *list = json_array();
    for (int64_t i = 0; list && i < row->word_count; i++) {
        const struct import_word *word = row->words + i;
        if (json_array_append_new(list, json_pack("[s,f,f]", word->text, word->start, word->end)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static enum status row_line(const struct import *import, const struct import_row *row, const char *folder, char **line)
{
    enum status result = STATUS_OK;
    char audio[PATH_BYTES];
    const char *speaker = row->speaker ? row->speaker : import->options->speaker;
    TRY(written_path(folder, row->audio, audio));
    json_t *object =
        json_pack("{s:s, s:s, s:s*, s:s*}", "id", row->id, "audio", audio, "text", row->text, "speaker", speaker);
    bool good = object != NULL;
    if (good && row->channel >= 0)
        good = json_object_set_new(object, "channel", json_integer(row->channel)) == 0;
    if (good && row->word_count > 0)
        good = json_object_set_new(object, "words", words_json(row)) == 0;
    if (good)
        *line = jdoc_text(object, 0);
    json_decref(object);
    if (!*line)
        FAIL(STATUS_CORRUPT, "%s: its name, text or speaker is not UTF-8", row->audio);
fail:
    return result;
}

enum status import_write_manifest(struct import *import)
{
    enum status result = STATUS_OK;
    char *data = NULL, *line = NULL, folder[PATH_MAX], parent[PATH_BYTES];
    size_t size = 0;
    FILE *stream = open_memstream(&data, &size);
    const char *output = import->options->output;
    if (!stream)
        FAIL(STATUS_INTERNAL, "out of memory");
    TRY(import_parent(output, parent));
    TRY(make_directories(parent));
    if (!realpath(parent, folder))
        FAIL(STATUS_IO, "%s: %s", parent, strerror(errno));
    for (int64_t i = 0; i < import->count; i++) {
        struct import_row *row = import->rows + i;
        if (import->options->lowercase)
            lower(row->text);
        line = NULL;
        TRY(row_line(import, row, folder, &line));
        bool written = fputs(line, stream) >= 0;
        free(line);
        if (!written)
            FAIL(STATUS_INTERNAL, "out of memory");
        import->counts.with_text += row->text != NULL;
        import->counts.words += row->word_count;
    }
    if (fflush(stream) != 0)
        FAIL(STATUS_INTERNAL, "out of memory");
    import->counts.rows = import->count;
    TRY(atomic_write(output, data, (int64_t)size));
fail:
    if (stream)
        fclose(stream);
    free(data);
    return result;
}
