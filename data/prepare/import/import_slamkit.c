/* slamkit's files of units: features.jsonl, {"units": [..], "duration": [frames, ..], "file_name"}, in which a unit stands
 * once for all its frames, and tokens.jsonl, {"audio_repr": "<Un3><Un49>", "file_name"}. */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"

#include <stdlib.h>
#include <string.h>

static enum status take_units(const json_t *units, const json_t *durations, struct import_row *row)
{
    for (size_t i = 0; i < json_array_size(units); i++) {
        const json_t *unit = json_array_get(units, i), *frames = json_array_get(durations, i);
        if (!json_is_integer(unit) || (durations && !json_is_integer(frames)))
            return status_set(STATUS_CORRUPT, "\"units\" or \"duration\": number %zu is not an integer", i + 1);
        enum status result = import_add_unit(row, json_integer_value(unit), durations ? json_integer_value(frames) : 1);
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

static enum status take_text(const char *text, struct import_row *row)
{
    while (*text) {
        char *end;
        if (strncmp(text, "<Un", 3) != 0)
            return status_set(STATUS_CORRUPT, "\"audio_repr\": expected <Un..>, found \"%.20s\"", text);
        long long unit = strtoll(text + 3, &end, 10);
        if (end == text + 3 || *end != '>')
            return status_set(STATUS_CORRUPT, "\"audio_repr\": expected <Un..>, found \"%.20s\"", text);
        enum status result = import_add_unit(row, unit, 1);
        if (result != STATUS_OK)
            return result;
        text = end + 1;
        text += strspn(text, " ");
    }
    return STATUS_OK;
}

static enum status add_line(struct import *import, void *context, const char *source, char *line)
{
    enum status result = STATUS_OK;
    char id[PATH_BYTES];
    struct import_row *row;
    json_t *root = NULL;
    (void)context;
    TRY(import_json(source, line, &root));
    const char *name = json_string_value(json_object_get(root, "file_name"));
    const char *text = json_string_value(json_object_get(root, "audio_repr"));
    const json_t *units = json_object_get(root, "units"), *durations = json_object_get(root, "duration");
    if (!name || !*name || (!text && !json_is_array(units)))
        FAIL(STATUS_CORRUPT, "expected \"file_name\", and \"units\" or \"audio_repr\"");
    if (durations && units && json_array_size(durations) != json_array_size(units))
        FAIL(STATUS_CORRUPT, "%zu \"units\" have %zu times in \"duration\"", json_array_size(units),
             json_array_size(durations));
    TRY(path_format(id, "%s", name));
    if (import_is_audio(id))
        *strrchr(id, '.') = 0;
    TRY(import_add(import, id, NULL, source, &row));
    TRY(units ? take_units(units, durations, row) : take_text(text, row));
    if (row->unit_count == 0)
        FAIL(STATUS_CORRUPT, "no units");
    if (!units || !durations)
        TRY(import_note(import, IMPORT_RUNS, id, source, NULL));
fail:
    json_decref(root);
    return result;
}

enum status import_slamkit(struct import *import)
{
    return import_each_line(import, import->options->source, add_line, NULL);
}
