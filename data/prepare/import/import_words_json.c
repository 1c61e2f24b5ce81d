/* One reader for all shapes: what a word looks like says which it is. */
#include "data/prepare/import/import_words_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static double seconds(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* whisper.cpp counts in milliseconds. */
static double milliseconds(const json_t *value)
{
    return seconds(value) / 1000;
}

static enum status add(struct import_row *row, const json_t *text, double start, double end)
{
    if (!json_is_string(text))
        return status_set(STATUS_CORRUPT, "a word has no text");
    char *clean = import_clean_text(json_string_value(text), (int64_t)json_string_length(text));
    if (!clean)
        return status_set(STATUS_INTERNAL, "out of memory");
    enum status result = import_add_word(row, clean, start, end);
    free(clean);
    return result;
}

enum status import_add_json_word(struct import_row *row, const json_t *item)
{
    if (json_is_array(item)) {
        const json_t *second = json_array_get(item, 1);
        if (json_is_array(second))
            return add(row, json_array_get(item, 0), seconds(json_array_get(second, 0)),
                       seconds(json_array_get(second, 1)));
        return add(row, json_array_get(item, 0), seconds(second), seconds(json_array_get(item, 2)));
    }
    const json_t *text = json_object_get(item, "word"), *pair = json_object_get(item, "timestamp");
    const json_t *offsets = json_object_get(item, "offsets");
    text = text ? text : json_object_get(item, "text");
    if (json_is_array(pair))
        return add(row, text, seconds(json_array_get(pair, 0)), seconds(json_array_get(pair, 1)));
    if (json_is_object(offsets))
        return add(row, text, milliseconds(json_object_get(offsets, "from")),
                   milliseconds(json_object_get(offsets, "to")));
    return add(row, text, seconds(json_object_get(item, "start")), seconds(json_object_get(item, "end")));
}

enum status import_add_json_words(struct import_row *row, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        enum status result = import_add_json_word(row, json_array_get(list, i));
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

enum status import_set_joined_text(struct import_row *row, const json_t *list)
{
    char *joined = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&joined, &size);
    if (!stream)
        return status_set(STATUS_INTERNAL, "out of memory");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *part = json_string_value(json_object_get(json_array_get(list, i), "text"));
        fprintf(stream, "%s ", part ? part : "");
    }
    enum status result =
        fclose(stream) == 0 ? import_set_text(&row->text, joined) : status_set(STATUS_INTERNAL, "out of memory");
    free(joined);
    return result;
}
