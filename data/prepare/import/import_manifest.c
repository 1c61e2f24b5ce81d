/* Rows become lines of JSON. An audio file below the manifest's folder is named relative to it, so that a corpus and its
 * manifest can be moved together. */
#include "data/prepare/import/import_manifest.h"

#include "core/log.h"
#include "core/utf8.h"
#include "data/prepare/import/import_files.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "text/lower_case.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As data/manifest.h has them, which lies above this room. */
enum { NAME_LIMIT = 1024, TEXT_LIMIT = 4 << 20, SECONDS_LIMIT = 12 * 3600 };

/* Before texts are measured: some letters have longer small ones. */
enum status import_lower_texts(struct import *import)
{
    for (int64_t i = 0; i < import->count; i++) {
        char *lower = NULL;
        enum status result = import->rows[i].text ? text_lower_case(import->rows[i].text, &lower) : STATUS_OK;
        if (result != STATUS_OK)
            return result;
        free(import->rows[i].text);
        import->rows[i].text = lower;
    }
    return STATUS_OK;
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

/* ---- rows ---- */

static bool is_utf8(const char *text)
{
    while (text && *text) {
        size_t length = utf8_character(text, SIZE_MAX);
        if (length == 0)
            return false;
        text += length;
    }
    return true;
}

static enum status check_row(struct import *import, const struct import_row *row)
{
    char real[PATH_MAX];
    const char *speaker = row->speaker ? row->speaker : import->options->speaker;
    if (!row->id[0] || strlen(row->id) > NAME_LIMIT || (speaker && strlen(speaker) > NAME_LIMIT))
        return import_refuse(import, IMPORT_UNREADABLE, "its name or speaker is empty or has more than %d bytes",
                             NAME_LIMIT);
    if (row->text && strlen(row->text) > TEXT_LIMIT)
        return import_refuse(import, IMPORT_TOO_LONG, "%zu bytes", strlen(row->text));
    if (row->begin > SECONDS_LIMIT || row->end > SECONDS_LIMIT || (row->end >= 0 && row->end <= row->begin))
        return import_refuse(import, IMPORT_UNREADABLE, "%g to %g s: expected a segment within %d s", row->begin,
                             row->end, SECONDS_LIMIT);
    if (!is_utf8(row->id) || !is_utf8(row->text) || !is_utf8(speaker) || !is_utf8(row->audio))
        return import_refuse(import, IMPORT_NOT_UTF8, "its name, text or speaker");
    if (row->audio && !realpath(row->audio, real))
        return import_refuse(import, IMPORT_NO_AUDIO, "%s: %s", row->audio, strerror(errno));
    if (!row->audio && !row->text && !row->units)
        return import_refuse(import, IMPORT_NO_TEXT, "neither text, audio nor units");
    return STATUS_OK;
}

enum status import_check_rows(struct import *import)
{
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < import->count; i++) {
        struct import_row *row = import->rows + i;
        const struct import_mark mark = import_begin(import);
        result = check_row(import, row);
        if (result == STATUS_OK)
            continue;
        TRY(import_settle(import, mark, row->id, row->source, result));
        import_free_row(row);
    }
fail:
    import_close_gaps(import);
    return result;
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

static json_t *units_json(const struct import_row *row)
{
    json_t *list = json_array();
    for (int64_t i = 0; list && i < row->unit_count; i++)
        if (json_array_append_new(list, json_integer(row->units[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static enum status row_line(const struct import *import, const struct import_row *row, const char *folder, char **line)
{
    enum status result = STATUS_OK;
    char audio[PATH_BYTES] = "";
    const char *speaker = row->speaker ? row->speaker : import->options->speaker;
    if (row->audio)
        TRY(written_path(folder, row->audio, audio));
    json_t *object = json_pack("{s:s, s:s*, s:s*, s:s*}", "id", row->id, "audio", row->audio ? audio : NULL, "text",
                               row->text, "speaker", speaker);
    bool lost = !object;
    if (!lost && row->channel >= 0)
        lost |= json_object_set_new(object, "channel", json_integer(row->channel)) != 0;
    if (!lost && row->begin > 0)
        lost |= json_object_set_new(object, "begin", json_real(row->begin)) != 0;
    if (!lost && row->end >= 0)
        lost |= json_object_set_new(object, "end", json_real(row->end)) != 0;
    if (!lost && row->word_count > 0)
        lost |= json_object_set_new(object, "words", words_json(row)) != 0;
    if (!lost && row->unit_count > 0)
        lost |= json_object_set_new(object, "hubert", units_json(row)) != 0;
    if (!lost)
        *line = jdoc_text(object, 0);
    json_decref(object);
    if (!*line)
        FAIL(STATUS_INTERNAL, "%s: out of memory", row->id);
fail:
    return result;
}

/* The rows of one part (-1: all). */
static enum status write_rows(struct import *import, const struct import_split *split, int part, const char *folder,
                              const char *path)
{
    enum status result = STATUS_OK;
    char *data = NULL, *line = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&data, &size);
    if (!stream)
        FAIL(STATUS_INTERNAL, "out of memory");
    for (int64_t i = 0; i < import->count; i++) {
        if (part >= 0 && split->parts[i] != part)
            continue;
        line = NULL;
        TRY(row_line(import, import->rows + i, folder, &line));
        bool written = fputs(line, stream) >= 0;
        free(line);
        if (!written)
            FAIL(STATUS_INTERNAL, "out of memory");
    }
    if (fflush(stream) != 0)
        FAIL(STATUS_INTERNAL, "out of memory");
    TRY(atomic_write(path, data, (int64_t)size));
fail:
    if (stream)
        fclose(stream);
    free(data);
    return result;
}

/* ---- notes ---- */

/* What a note is sorted by: an id, or a file without the number of a line. */
static const char *sort_key(const struct import_note *note, size_t *length)
{
    const char *key = note->id ? note->id : note->source, *colon = note->id ? NULL : strrchr(key, ':');
    *length = colon ? (size_t)(colon - key) : strlen(key);
    return key;
}

static int in_order(const void *a, const void *b)
{
    const struct import_note *x = a, *y = b;
    size_t one, other;
    const char *first = sort_key(x, &one), *second = sort_key(y, &other);
    int order = memcmp(first, second, one < other ? one : other);
    if (order == 0 && one != other)
        order = one < other ? -1 : 1;
    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

void import_sort_notes(struct import *import)
{
    if (import->note_count > 0)
        qsort(import->notes, (size_t)import->note_count, sizeof *import->notes, in_order);
}

static json_t *text_json(const char *text)
{
    char *repaired = NULL;
    int64_t size = 0;
    bool malformed = false;
    if (!text || utf8_repair(text, (int64_t)strlen(text), false, &repaired, &size, &malformed) != STATUS_OK)
        return NULL;
    json_t *string = json_stringn(repaired, (size_t)size);
    free(repaired);
    return string;
}

static enum status write_notes(const struct import *import, const char *path)
{
    enum status result = STATUS_OK;
    char *data = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&data, &size);
    if (!stream)
        FAIL(STATUS_INTERNAL, "out of memory");
    for (int64_t i = 0; i < import->note_count; i++) {
        const struct import_note *note = import->notes + i;
        json_t *object = json_pack("{s:b, s:o, s:s, s:o*, s:o*}", "rejected", import_reason_rejects(note->reason),
                                   "source", text_json(note->source), "reason", import_reason_text(note->reason), "id",
                                   text_json(note->id), "detail", text_json(note->detail));
        if (object && note->count > 1)
            json_object_set_new(object, "count", json_integer(note->count));
        char *line = object ? jdoc_text(object, 0) : NULL;
        bool written = line && fputs(line, stream) >= 0;
        free(line);
        json_decref(object);
        if (!written)
            FAIL(STATUS_INTERNAL, "out of memory");
    }
    if (fflush(stream) != 0)
        FAIL(STATUS_INTERNAL, "out of memory");
    TRY(atomic_write(path, data, (int64_t)size));
fail:
    if (stream)
        fclose(stream);
    free(data);
    return result;
}

/* "a/b.jsonl" and "test" make "a/b.test.jsonl". */
static enum status named_part(const char *output, const char *part, char path[PATH_BYTES])
{
    static const char ending[] = ".jsonl";
    size_t length = strlen(output), tail = sizeof ending - 1;
    bool ended = length > tail && strcmp(output + length - tail, ending) == 0;
    return path_format(path, "%.*s.%s.jsonl", (int)(ended ? length - tail : length), output, part);
}

enum status import_write(struct import *import, const struct import_split *split)
{
    enum status result = STATUS_OK;
    char folder[PATH_MAX], parent[PATH_BYTES], path[PATH_BYTES], list[PATH_BYTES];
    const char *output = import->options->output;
    TRY(import_parent(output, parent));
    TRY(make_directories(parent));
    if (!realpath(parent, folder))
        TRY(status_set_errno(STATUS_IO, errno, "%s", parent));
    TRY(named_part(output, "rejects", list));
    if (split->count == 0)
        TRY(write_rows(import, split, -1, folder, output));
    for (int part = 0; part < split->count; part++) {
        TRY(named_part(output, split->names[part], path));
        TRY(write_rows(import, split, part, folder, path));
        log_info("%s: %lld rows", path, (long long)split->rows[part]);
    }
    if (import->note_count > 0)
        TRY(write_notes(import, !output_is_stream(output)          ? list
                                : output_summary(output) == stderr ? "/dev/stderr" /* nothing lies beside a stream */
                                                                   : "/dev/stdout"));
    else if (output_is_stream(output))
        return STATUS_OK;
    else if (unlink(list) != 0 && errno != ENOENT) /* an earlier import's */
        TRY(status_set_errno(STATUS_IO, errno, "%s", list));
fail:
    return result;
}
