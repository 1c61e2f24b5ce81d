#include "data/prepare/import_internal.h"

#include "core/array.h"
#include "io/atomic_file.h"
#include "io/json.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const extensions[] = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".g722"};
enum { EXTENSIONS = sizeof extensions / sizeof *extensions, FOLDER_DEPTH = 64 };

const char *import_kind_name(enum import_kind kind)
{
    static const char *const names[IMPORT_KINDS] = {"folder", "librispeech", "ctm", "textgrid", "whisper"};
    return names[kind];
}

/* ---- rows ---- */

struct import_row *import_add(struct import *import)
{
    if (array_grow(&import->rows, &import->capacity, import->count + 1, "rows") != STATUS_OK)
        return NULL;
    struct import_row *row = import->rows + import->count++;
    *row = (struct import_row){.channel = -1};
    return row;
}

static bool has_letter(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80 ||
            strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", *text))
            return true;
    return false;
}

enum status import_add_word(struct import_row *row, const char *text, double start, double end)
{
    if (!has_letter(text))
        return STATUS_OK;
    enum status result = array_grow(&row->words, &row->word_capacity, row->word_count + 1, "words");
    if (result != STATUS_OK)
        return result;
    if (row->word_count > 0 && start < row->words[row->word_count - 1].end)
        start = row->words[row->word_count - 1].end;
    if (end < start)
        end = start;
    char *copy = import_clean_text(text, (int64_t)strlen(text));
    if (!copy)
        return status_set(STATUS_INTERNAL, "out of memory");
    row->words[row->word_count++] = (struct import_word){copy, start, end};
    return STATUS_OK;
}

enum status import_text_from_words(struct import_row *row)
{
    size_t length = 1;
    for (int64_t i = 0; i < row->word_count; i++)
        length += strlen(row->words[i].text) + 1;
    row->text = malloc(length);
    if (!row->text)
        return status_set(STATUS_INTERNAL, "out of memory");
    char *end = row->text;
    *end = 0;
    for (int64_t i = 0; i < row->word_count; i++)
        end += sprintf(end, "%s%s", i ? " " : "", row->words[i].text);
    return STATUS_OK;
}

static void free_rows(struct import *import)
{
    for (int64_t i = 0; i < import->count; i++) {
        struct import_row *row = import->rows + i;
        for (int64_t j = 0; j < row->word_count; j++)
            free(row->words[j].text);
        free(row->words);
        free(row->id);
        free(row->audio);
        free(row->text);
        free(row->speaker);
    }
    free(import->rows);
}

char *import_clean_text(const char *bytes, int64_t size)
{
    char *text = malloc((size_t)size + 1), *end = text;
    if (!text)
        return NULL;
    bool space = false;
    /* A byte order mark is no part of the text. */
    int64_t i = size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (; i < size; i++) {
        if ((unsigned char)bytes[i] <= ' ') {
            space = true;
            continue;
        }
        if (space && end > text)
            *end++ = ' ';
        space = false;
        *end++ = bytes[i];
    }
    *end = 0;
    return text;
}

/* ---- files ---- */

bool import_is_audio(const char *path)
{
    size_t length = strlen(path);
    for (int i = 0; i < EXTENSIONS; i++) {
        size_t tail = strlen(extensions[i]);
        if (length > tail && strcasecmp(path + length - tail, extensions[i]) == 0)
            return true;
    }
    return false;
}

bool import_find_audio(const char *folder, const char *stem, char path[PATH_BYTES])
{
    struct stat information;
    for (int i = 0; i < EXTENSIONS; i++)
        for (int upper = 0; upper < 2; upper++) { /* ".wav", ".WAV" */
            if (path_format(path, "%s/%s%s", folder, stem, extensions[i]) != STATUS_OK)
                continue; /* no file has such a name */
            for (char *c = path + strlen(path) - strlen(extensions[i]); upper && *c; c++)
                *c = (char)toupper((unsigned char)*c);
            if (stat(path, &information) == 0 && S_ISREG(information.st_mode))
                return true;
        }
    return false;
}

enum status import_parent(const char *path, char folder[PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return path_format(folder, ".");
    return path_format(folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

char *import_identify(const char *folder, const char *path)
{
    size_t length = strlen(folder);
    while (length > 0 && folder[length - 1] == '/')
        length--;
    const char *name = path;
    if (strncmp(path, folder, length) == 0 && path[length] == '/')
        name = path + length + 1;
    name += strspn(name, "/");
    const char *slash = strrchr(name, '/'), *dot = strrchr(name, '.');
    if (!dot || dot == name || (slash && dot < slash + 2))
        return strdup(name);
    return strndup(name, (size_t)(dot - name));
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static enum status walk(struct import *import, const char *path, const char *suffix, import_visit visit, int depth)
{
    enum status result = STATUS_OK;
    struct stat information;
    struct dirent **entries = NULL;
    int count = 0;
    if (stat(path, &information) != 0)
        FAIL(errno == ENOENT ? STATUS_USAGE : STATUS_IO, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(information.st_mode))
        return depth > 0 && !ends_with(path, suffix) ? STATUS_OK : visit(import, path);
    if (depth == FOLDER_DEPTH)
        FAIL(STATUS_USAGE, "%s: folders lie more than %d deep: do links form a circle?", path, FOLDER_DEPTH);
    count = scandir(path, &entries, visible, by_name);
    if (count < 0)
        FAIL(STATUS_IO, "%s: cannot be listed: %s", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        char inner[PATH_BYTES];
        TRY(path_format(inner, "%s/%s", path, entries[i]->d_name));
        TRY(walk(import, inner, suffix, visit, depth + 1));
    }
fail:
    for (int i = 0; entries && i < count; i++)
        free(entries[i]);
    free(entries);
    return result;
}

enum status import_walk(struct import *import, const char *folder, const char *suffix, import_visit visit)
{
    return walk(import, folder, suffix, visit, 0);
}

/* ---- the manifest ---- */

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct import_row *)a)->id, ((const struct import_row *)b)->id);
}

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
    return path_format(path, "%s", below ? real + length + 1 : real);
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

static enum status write_manifest(struct import *import)
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

static enum status refuse_duplicates(const struct import *import)
{
    for (int64_t i = 1; i < import->count; i++)
        if (strcmp(import->rows[i].id, import->rows[i - 1].id) == 0)
            return status_set(STATUS_CORRUPT, "two utterances would both get the id %s: %s and %s", import->rows[i].id,
                              import->rows[i - 1].audio, import->rows[i].audio);
    return STATUS_OK;
}

enum status import_run(const struct import_options *options, struct import_counts *counts)
{
    static enum status (*const importers[IMPORT_KINDS])(struct import *) = {
        import_folder, import_librispeech, import_ctm, import_textgrid, import_whisper};
    enum status result = STATUS_OK;
    struct import import = {.options = options};
    struct stat information;
    if (stat(options->source, &information) != 0)
        FAIL(errno == ENOENT || errno == ENOTDIR ? STATUS_USAGE : STATUS_IO, "%s: %s", options->source,
             strerror(errno));
    if (S_ISDIR(information.st_mode))
        TRY(path_format(import.root, "%s", options->source));
    else
        TRY(import_parent(options->source, import.root));
    TRY(importers[options->kind](&import));
    if (import.count == 0)
        FAIL(STATUS_USAGE, "%s: nothing of the kind %s is there%s", options->source, import_kind_name(options->kind),
             import.counts.without_audio ? " that has its audio" : "");
    qsort(import.rows, (size_t)import.count, sizeof *import.rows, by_id);
    TRY(refuse_duplicates(&import));
    TRY(write_manifest(&import));
    *counts = import.counts;
fail:
    free_rows(&import);
    return result;
}
