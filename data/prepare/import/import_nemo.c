/* A NeMo manifest: JSON lines {"audio_filepath", "duration", "text"}, and "offset" where an utterance is a part of the
 * file. Paths are absolute or relative to the manifest's folder. */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Seconds under the key; NaN: it is there and not a time; `fallback`: it is not there. */
static double seconds(const json_t *root, const char *key, double fallback)
{
    const json_t *value = json_object_get(root, key);
    if (!value || json_is_null(value))
        return fallback;
    double number = json_is_number(value) ? json_number_value(value) : NAN;
    return number >= 0 ? number : NAN;
}

/* The file's path below the source without extension; several utterances of one file are told apart by where they begin,
 * in milliseconds. */
static enum status identify(const struct import *import, const char *audio, bool part, double begin,
                            char id[PATH_BYTES])
{
    enum status result = STATUS_OK;
    char name[PATH_BYTES];
    TRY(path_format(name, "%s", import_relative(import, audio)));
    char *dot = strrchr(name, '.');
    if (dot)
        *dot = 0;
    if (part)
        TRY(path_format(id, "%s-%09lld", name, (long long)llround(begin * 1000)));
    else
        TRY(path_format(id, "%s", name));
fail:
    return result;
}

static enum status set_texts(struct import *import, const json_t *root, struct import_row *row)
{
    enum status result = STATUS_OK;
    const json_t *speaker = json_object_get(root, "speaker");
    TRY(import_set_text(&row->text, json_string_value(json_object_get(root, "text"))));
    TRY(import_set(&row->document, import_relative(import, row->audio)));
    if (json_is_string(speaker) && json_string_length(speaker) > 0)
        TRY(import_set(&row->speaker, json_string_value(speaker)));
    char number[32];
    if (json_is_integer(speaker)) { /* NeMo's text-to-speech manifests number them */
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(speaker));
        TRY(import_set(&row->speaker, number));
    }
    if (!row->text)
        TRY(import_note(import, IMPORT_SPEECH_ALONE, row->id, row->source, NULL));
fail:
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
    const char *path = json_string_value(json_object_get(root, "audio_filepath"));
    const char *folder = import->options->audio ? import->options->audio : import->root;
    if (!path || !*path)
        FAIL(STATUS_CORRUPT, "no string \"audio_filepath\"");
    double offset = seconds(root, "offset", -1), duration = seconds(root, "duration", -1);
    if (isnan(offset) || (offset >= 0 && isnan(duration)))
        FAIL(STATUS_CORRUPT, "\"offset\" or \"duration\" is not a time");
    if (!import_find_audio(import, folder, path, audio))
        TRY(import_refuse(import, IMPORT_NO_AUDIO, "%s", path));
    TRY(identify(import, audio, offset >= 0, offset, id));
    TRY(import_add(import, id, audio, source, &row));
    if (offset >= 0) { /* without an offset the utterance is the whole file */
        row->begin = offset;
        row->end = duration > 0 ? offset + duration : -1;
    }
    TRY(set_texts(import, root, row));
fail:
    json_decref(root);
    return result;
}

enum status import_nemo(struct import *import)
{
    return import_each_line(import, import->options->source, add_line, NULL);
}
