/* Keys are removed from a line's object as they are read; those that remain at the end are the row's own labels, kept
 * as they are. Everything is checked here, so that code that works on rows need not: preparing a corpus takes hours, and
 * should not fail at its last row because of a mistake in the manifest. */
#include "data/manifest_internal.h"

#include "core/array.h"
#include "core/path.h"
#include "core/utf8.h"
#include "io/json.h"
#include "io/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHERE_LENGTH = 512 };
static const int64_t MANIFEST_FILE_LIMIT = (int64_t)64 << 30;

static enum status out_of_memory(const char *where)
{
    return status_set(STATUS_INTERNAL, "%s: out of memory", where);
}

/* Takes `key` out of the object, so that what is left at the end is the row's meta. NULL when absent or null. */
static json_t *take(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (!value)
        return NULL;
    json_incref(value);
    json_object_del(object, key);
    if (json_is_null(value)) {
        json_decref(value);
        return NULL;
    }
    return value;
}

/* An absent key, null and "" all give NULL. */
static enum status take_text(const char *where, json_t *object, const char *key, size_t limit, char **text)
{
    enum status result = STATUS_OK;
    json_t *value = take(object, key);
    if (!value)
        return STATUS_OK;
    if (!json_is_string(value))
        FAIL(STATUS_CORRUPT, "%s: \"%s\" must be a string", where, key);
    if (json_string_length(value) > limit)
        FAIL(STATUS_CORRUPT, "%s: \"%s\" has %zu bytes; at most %zu are allowed", where, key, json_string_length(value),
             limit);
    if (json_string_length(value) > 0 && !(*text = strdup(json_string_value(value))))
        result = out_of_memory(where);
fail:
    json_decref(value);
    return result;
}

static enum status take_seconds(const char *where, json_t *object, const char *key, double *seconds)
{
    json_t *value = take(object, key);
    if (!value)
        return STATUS_OK;
    bool number = json_is_number(value);
    double given = json_number_value(value);
    json_decref(value);
    if (!number || !(given >= 0 && given <= MANIFEST_SECONDS_LIMIT))
        return status_set(STATUS_CORRUPT, "%s: \"%s\" must be seconds between 0 and %d", where, key,
                          MANIFEST_SECONDS_LIMIT);
    *seconds = given;
    return STATUS_OK;
}

static enum status take_units(const char *where, json_t *object, struct manifest_row *row, int stream)
{
    enum status result = STATUS_OK;
    json_t *value = take(object, unit_stream_name((enum unit_stream)stream));
    if (!value)
        return STATUS_OK;
    if (!json_is_array(value))
        FAIL(STATUS_CORRUPT, "%s: \"%s\" must be a list of integers", where,
             unit_stream_name((enum unit_stream)stream));
    size_t count = json_array_size(value);
    if (count == 0)
        goto fail;
    row->units[stream] = malloc(count * sizeof *row->units[stream]);
    if (!row->units[stream])
        FAIL(STATUS_INTERNAL, "%s: out of memory", where);
    for (size_t i = 0; i < count; i++) {
        json_t *item = json_array_get(value, i);
        json_int_t unit = json_integer_value(item);
        if (!json_is_integer(item) || unit < 0 || unit > UINT16_MAX)
            FAIL(STATUS_CORRUPT, "%s: \"%s\"[%zu] must be an integer between 0 and 65535", where,
                 unit_stream_name((enum unit_stream)stream), i);
        row->units[stream][i] = (uint16_t)unit;
    }
    row->unit_count[stream] = (int64_t)count;
fail:
    json_decref(value);
    return result;
}

static enum status take_words(const char *where, json_t *object, struct manifest_row *row)
{
    enum status result = STATUS_OK;
    json_t *value = take(object, "words");
    if (!value)
        return STATUS_OK;
    if (!json_is_array(value))
        FAIL(STATUS_CORRUPT, "%s: \"words\" must be a list of [\"word\", start, end]", where);
    if (json_array_size(value) == 0)
        goto fail;
    if (!row->text)
        FAIL(STATUS_CORRUPT, "%s: \"words\" without \"text\"", where);
    TRY(manifest_fill_words(where, value, row));
fail:
    json_decref(value);
    return result;
}

static enum status take_channel(const char *where, json_t *object, struct manifest_row *row)
{
    row->channel = -1;
    json_t *value = take(object, "channel");
    if (!value)
        return STATUS_OK;
    bool good = json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) < 1024;
    if (good)
        row->channel = (int)json_integer_value(value);
    json_decref(value);
    return good ? STATUS_OK
                : status_set(STATUS_CORRUPT, "%s: \"channel\" must be an integer between 0 and 1023", where);
}

/* Relative paths begin in the manifest's folder. */
static enum status resolve_audio(const char *where, const char *manifest_path, struct manifest_row *row)
{
    enum status result = STATUS_OK;
    char home[PATH_BYTES];
    const char *slash = strrchr(manifest_path, '/');
    if (!row->audio)
        return STATUS_OK;
    if ((result = path_expand_home(row->audio, home)) != STATUS_OK)
        return status_prefix(STATUS_CORRUPT, "%s: \"audio\"", where);
    bool relative = home[0] != '/' && slash;
    char *path = NULL;
    if (asprintf(&path, "%.*s%s", relative ? (int)(slash - manifest_path) + 1 : 0, manifest_path, home) < 0)
        return out_of_memory(where);
    free(row->audio);
    row->audio = path;
    return result;
}

static enum status check_row(const char *where, const struct manifest_row *row)
{
    if (!row->id)
        return status_set(STATUS_CORRUPT, "%s: \"id\" is missing or empty", where);
    if (!row->text && !row->audio && !row->units[STREAM_HUBERT])
        return status_set(STATUS_CORRUPT, "%s: the row has none of \"text\", \"audio\" and \"hubert\"", where);
    if ((row->units[STREAM_PITCH] || row->units[STREAM_STYLE]) && !row->units[STREAM_HUBERT])
        return status_set(STATUS_CORRUPT, "%s: \"pitch\" or \"style\" without \"hubert\"", where);
    if (row->words && !row->audio && !row->units[STREAM_HUBERT])
        return status_set(STATUS_CORRUPT, "%s: \"words\" without \"audio\" or \"hubert\"", where);
    if (!row->audio && (row->begin > 0 || row->end >= 0))
        return status_set(STATUS_CORRUPT, "%s: \"begin\" or \"end\" without \"audio\"", where);
    if (row->end >= 0 && row->end <= row->begin)
        return status_set(STATUS_CORRUPT, "%s: \"end\" %g is not after \"begin\" %g", where, row->end, row->begin);
    return STATUS_OK;
}

/* Consumes the known keys of `object`. */
static enum status fill_row(const char *where, const char *manifest_path, json_t *object, struct manifest_row *row)
{
    enum status result = STATUS_OK;
    row->end = -1;
    TRY(take_text(where, object, "id", MANIFEST_ID_LIMIT, &row->id));
    TRY(take_text(where, object, "audio", 4095, &row->audio));
    TRY(take_text(where, object, "text", MANIFEST_TEXT_LIMIT, &row->text));
    TRY(take_text(where, object, "speaker", MANIFEST_ID_LIMIT, &row->speaker));
    TRY(take_channel(where, object, row));
    TRY(take_seconds(where, object, "begin", &row->begin));
    TRY(take_seconds(where, object, "end", &row->end));
    TRY(take_words(where, object, row));
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        TRY(take_units(where, object, row, stream));
    TRY(check_row(where, row));
    TRY(resolve_audio(where, manifest_path, row));
    json_object_del(object,
                    "units"); /* the unit string that `tokenize` prints beside the units, from which it follows */
    if (json_object_size(object) > 0) {
        row->meta = jdoc_text(object, 0);
        if (!row->meta)
            FAIL(STATUS_INTERNAL, "%s: out of memory", where);
        row->meta[strcspn(row->meta, "\n")] = 0;
        if (strlen(row->meta) > MANIFEST_TEXT_LIMIT)
            FAIL(STATUS_CORRUPT, "%s: the row's labels take more than %d bytes", where, MANIFEST_TEXT_LIMIT);
    }
fail:
    return result;
}

static void row_clear(struct manifest_row *row)
{
    free(row->id);
    free(row->audio);
    free(row->text);
    free(row->speaker);
    free(row->meta);
    free(row->fault);
    free(row->words);
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        free(row->units[stream]);
    memset(row, 0, sizeof *row);
}

/* Leaves of the row what it is called and, from the error text, why it cannot be used. */
static enum status set_fault(struct manifest *manifest, struct manifest_row *row)
{
    int64_t size = 0, line = row->line;
    bool malformed = false;
    char *id = row->id, *fault = NULL;
    row->id = NULL;
    row_clear(row);
    row->line = line;
    row->id = id;
    enum status result = utf8_repair(status_text(), (int64_t)strlen(status_text()), false, &fault, &size, &malformed);
    row->fault = fault;
    manifest->faults++;
    return result;
}

const struct config_list manifest_any_labels;

static enum status keep_foreign_key(struct manifest *manifest)
{
    if (!manifest->foreign_key && !(manifest->foreign_key = strdup(status_text())))
        return out_of_memory(manifest->path);
    return STATUS_OK;
}

static enum status parse_line(struct manifest *manifest, const struct config_list *labels, const char *line,
                              int64_t length, int64_t number)
{
    enum status result = STATUS_OK;
    char where[WHERE_LENGTH], place[32];
    json_t *object = NULL;
    bool contents = false;
    struct manifest_row *row = manifest->rows + manifest->count++;
    *row = (struct manifest_row){.line = number};
    snprintf(where, sizeof where, "%s:%lld", manifest->path, (long long)number);
    snprintf(place, sizeof place, "line %lld", (long long)number);
    result = jdoc_parse_line(where, line, length, &object, &contents);
    if (result == STATUS_CORRUPT && contents) {
        jdoc_parse_line(place, line, length, &object, &contents);
        return set_fault(manifest, row);
    }
    TRY(result);
    if (!json_is_object(object))
        FAIL(STATUS_CORRUPT, "%s: a row must be a JSON object", where);
    result = manifest_check_keys(where, object, labels);
    if (result == STATUS_CORRUPT && labels == &manifest_any_labels)
        result = keep_foreign_key(manifest);
    TRY(result);
    result = fill_row(place, manifest->path, object, row);
    if (result == STATUS_CORRUPT)
        result = set_fault(manifest, row);
fail:
    json_decref(object);
    return result;
}

static bool blank(const char *line, int64_t length)
{
    for (int64_t i = 0; i < length; i++)
        if (!strchr(" \t\r", line[i]) || !line[i])
            return false;
    return true;
}

static enum status parse_lines(struct manifest *manifest, const struct config_list *labels, const char *data,
                               int64_t size)
{
    enum status result = STATUS_OK;
    int64_t capacity = 0, number = 0;
    for (int64_t position = 0; position < size;) {
        const char *line = data + position, *newline = memchr(line, '\n', (size_t)(size - position));
        int64_t length = newline ? newline - line : size - position;
        position += length + 1;
        number++;
        if (blank(line, length))
            continue;
        TRY(array_grow(&manifest->rows, &capacity, manifest->count + 1, "rows of a manifest"));
        TRY(parse_line(manifest, labels, line, length, number));
    }
fail:
    return result;
}

/* Finds duplicate ids with a hash table (open addressing) of the rows' numbers. */
static enum status refuse_duplicates(const struct manifest *manifest)
{
    uint64_t slots = 16;
    while (slots < 2 * (uint64_t)manifest->count)
        slots *= 2;
    int64_t *table = malloc(slots * sizeof *table);
    if (!table)
        return out_of_memory(manifest->path);
    memset(table, 0xff, slots * sizeof *table);
    enum status result = STATUS_OK;
    for (int64_t i = 0; i < manifest->count; i++) {
        const char *id = manifest->rows[i].id;
        if (!id)
            continue;
        uint64_t slot = ((uint64_t)crc32c(0, id, strlen(id)) << 16 ^ crc32c(1, id, strlen(id))) & (slots - 1);
        for (; table[slot] >= 0; slot = (slot + 1) & (slots - 1))
            if (strcmp(manifest->rows[table[slot]].id, id) == 0)
                FAIL(STATUS_CORRUPT, "%s:%lld: the id \"%s\" was already used on line %lld", manifest->path,
                     (long long)manifest->rows[i].line, id, (long long)manifest->rows[table[slot]].line);
        table[slot] = i;
    }
fail:
    free(table);
    return result;
}

static enum status check_labels(const struct config_list *labels)
{
    for (int64_t i = 0; labels && i < labels->count; i++)
        if (manifest_is_own_key(labels->items[i]))
            return status_set(STATUS_USAGE, "manifest.labels: \"%s\" has a meaning in manifests and cannot be a label",
                              labels->items[i]);
    return STATUS_OK;
}

enum status manifest_read(const char *path, const struct config_list *labels, struct manifest *manifest)
{
    enum status result = STATUS_OK;
    char *data = NULL;
    int64_t size = 0;
    memset(manifest, 0, sizeof *manifest);
    TRY(check_labels(labels));
    TRY(text_file_read(path, MANIFEST_FILE_LIMIT, &data, &size));
    manifest->hash = sha256_of(data, (size_t)size);
    manifest->path = strdup(path);
    if (!manifest->path)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    TRY(parse_lines(manifest, labels, data, size));
    if (manifest->count == 0)
        FAIL(STATUS_CORRUPT, "%s: the manifest has no rows", path);
    TRY(refuse_duplicates(manifest));
    if (manifest->faults == manifest->count)
        FAIL(STATUS_CORRUPT, "%s:%lld: none of its %lld rows can be used; the first: %s", path,
             (long long)manifest->rows[0].line, (long long)manifest->count, manifest->rows[0].fault);
fail:
    free(data);
    if (result != STATUS_OK)
        manifest_free(manifest);
    return result;
}

void manifest_free(struct manifest *manifest)
{
    for (int64_t i = 0; i < manifest->count; i++)
        row_clear(manifest->rows + i);
    free(manifest->rows);
    free(manifest->path);
    free(manifest->foreign_key);
    memset(manifest, 0, sizeof *manifest);
}
