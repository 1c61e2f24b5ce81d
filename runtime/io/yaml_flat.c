/* libyaml's events, flattened to dotted keys as they come. A value stays text here; the table of keys knows its type
 * (io/config.h). YAML's own rules for types, its anchors and its tags are refused or ignored: a configuration needs
 * none of them, and each can make a file mean something other than it seems to. */
#include "io/yaml_flat.h"

#include "core/array.h"
#include "io/atomic_file.h"
#include "io/text_file.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
    const char *path;
    yaml_parser_t parser;
    struct yaml_flat *flat;
    bool foreign;      /* null is a value, and lists may hold lists */
    char prefix[1024]; /* dotted key of the mapping that is being read */
};

static long long line_of(const yaml_mark_t *mark)
{
    return (long long)mark->line + 1;
}

static enum status next_event(struct reader *reader, yaml_event_t *event)
{
    const yaml_parser_t *parser = &reader->parser;
    if (yaml_parser_parse(&reader->parser, event))
        return STATUS_OK;
    if (parser->error == YAML_MEMORY_ERROR)
        return status_set(STATUS_INTERNAL, "%s: out of memory", reader->path);
    long long line = line_of(&parser->problem_mark);
    if (parser->error == YAML_READER_ERROR) { /* bytes that are not text; libyaml knows their offset, not their line */
        const unsigned char *bytes = parser->input.string.start;
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && bytes + i < parser->input.string.end; i++)
            line += bytes[i] == '\n';
    }
    return status_set(STATUS_USAGE, "%s:%lld: not valid YAML: %s", reader->path, line,
                      parser->problem ? parser->problem : "unknown reason");
}

static enum status check_plain(struct reader *reader, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        anchor = event->data.alias.anchor;
        break;
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        if (strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
            return status_set(STATUS_USAGE, "%s:%lld: a value holds a NUL character", reader->path,
                              line_of(&event->start_mark));
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return status_set(STATUS_USAGE, "%s:%lld: anchors and aliases (&%s) are not accepted", reader->path,
                          line_of(&event->start_mark), (const char *)anchor);
    if (tag)
        return status_set(STATUS_USAGE, "%s:%lld: tags (%s) are not accepted", reader->path,
                          line_of(&event->start_mark), (const char *)tag);
    return STATUS_OK;
}

static enum status add_item(struct reader *reader, int64_t line, enum yaml_kind kind, struct yaml_item **item)
{
    struct yaml_flat *flat = reader->flat;
    for (int64_t i = 0; i < flat->count; i++) {
        if (strcmp(flat->items[i].key, reader->prefix) == 0)
            return status_set(STATUS_USAGE, "%s:%lld: key %s is already on line %lld", reader->path, (long long)line,
                              reader->prefix, (long long)flat->items[i].line);
    }
    if (flat->count == YAML_MAX_KEYS)
        return status_set(STATUS_USAGE, "%s:%lld: more than %d keys", reader->path, (long long)line, YAML_MAX_KEYS);
    enum status result = array_grow(&flat->items, &flat->capacity, flat->count + 1, "keys");
    if (result != STATUS_OK)
        return result;
    char *key = strdup(reader->prefix);
    if (!key)
        return status_set(STATUS_INTERNAL, "%s: out of memory", reader->path);
    *item = &flat->items[flat->count++];
    **item = (struct yaml_item){.key = key, .kind = kind, .line = line};
    return STATUS_OK;
}

static bool is_null(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static enum status add_value(struct reader *reader, struct yaml_item *item, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (is_null(event))
        return status_set(STATUS_USAGE, "%s:%lld: %s has no value (write \"\" for an empty text)", reader->path,
                          line_of(&event->start_mark), item->key);
    enum status result = array_grow(&item->values, &item->capacity, item->count + 1, "values of a list");
    if (result != STATUS_OK)
        return result;
    char *copy = strdup(text);
    if (!copy)
        return status_set(STATUS_INTERNAL, "%s: out of memory", reader->path);
    item->values[item->count++] = copy;
    return STATUS_OK;
}

static enum status read_list(struct reader *reader, int64_t index, int depth);

/* A list inside of the list at `index`, of which it is number `place`: an item of its own, "key.place". */
static enum status read_inner_list(struct reader *reader, int64_t index, int64_t place, int64_t line, int depth)
{
    struct yaml_item *inner;
    size_t outer = strlen(reader->prefix);
    int written = snprintf(reader->prefix + outer, sizeof reader->prefix - outer, ".%lld", (long long)place);
    if (reader->flat->items[index].count > 0 || depth > YAML_MAX_DEPTH ||
        written >= (int)(sizeof reader->prefix - outer))
        return status_set(STATUS_USAGE, "%s:%lld: a list holds values and lists, or too many levels of lists",
                          reader->path, (long long)line);
    enum status result = add_item(reader, line, YAML_LIST, &inner);
    if (result == STATUS_OK)
        result = read_list(reader, reader->flat->count - 1, depth + 1);
    reader->prefix[outer] = 0;
    return result;
}

/* The values of the list that is the item at `index`. */
static enum status read_list(struct reader *reader, int64_t index, int depth)
{
    enum status result;
    int64_t inner = 0;
    for (bool done = false; !done;) {
        yaml_event_t event;
        if ((result = next_event(reader, &event)) != STATUS_OK)
            return result;
        struct yaml_item *item = &reader->flat->items[index];
        result = check_plain(reader, &event);
        if (result == STATUS_OK && event.type == YAML_SCALAR_EVENT && inner == 0)
            result = add_value(reader, item, &event);
        else if (result == STATUS_OK && event.type == YAML_SEQUENCE_END_EVENT)
            done = true;
        else if (result == STATUS_OK && event.type == YAML_SEQUENCE_START_EVENT && reader->foreign)
            result = read_inner_list(reader, index, inner++, line_of(&event.start_mark), depth);
        else if (result == STATUS_OK)
            result = status_set(STATUS_USAGE, "%s:%lld: the list %s may hold only plain values", reader->path,
                                line_of(&event.start_mark), item->key);
        yaml_event_delete(&event);
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

static enum status read_mapping(struct reader *reader, int depth);

/* The value of the key in reader->prefix, which is on `line`. */
static enum status read_value(struct reader *reader, int64_t line, int depth)
{
    yaml_event_t event;
    struct yaml_item *item;
    enum status result = next_event(reader, &event);
    if (result != STATUS_OK)
        return result;
    TRY(check_plain(reader, &event));
    if (event.type == YAML_SCALAR_EVENT) {
        bool empty = reader->foreign
                         ? is_null(&event)
                         : event.data.scalar.length == 0 && event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        TRY(add_item(reader, line, empty ? YAML_EMPTY : YAML_VALUE, &item));
        if (!empty)
            TRY(add_value(reader, item, &event));
    } else if (event.type == YAML_SEQUENCE_START_EVENT) {
        TRY(add_item(reader, line, YAML_LIST, &item));
        TRY(read_list(reader, reader->flat->count - 1, depth));
    } else if (event.type == YAML_MAPPING_START_EVENT) {
        TRY(add_item(reader, line, YAML_EMPTY, &item)); /* so that a duplicate section is refused as a duplicate key */
        TRY(read_mapping(reader, depth + 1));
    } else {
        result = status_set(STATUS_USAGE, "%s:%lld: %s has no value", reader->path, (long long)line, reader->prefix);
    }
fail:
    yaml_event_delete(&event);
    return result;
}

static enum status read_mapping(struct reader *reader, int depth)
{
    enum status result = STATUS_OK;
    size_t outer = strlen(reader->prefix);
    for (;;) {
        yaml_event_t event;
        if ((result = next_event(reader, &event)) != STATUS_OK)
            return result;
        bool done = event.type == YAML_MAPPING_END_EVENT, named = event.type == YAML_SCALAR_EVENT;
        int64_t line = line_of(&event.start_mark);
        result = check_plain(reader, &event);
        if (result == STATUS_OK && named) {
            const char *name = (const char *)event.data.scalar.value;
            int written =
                snprintf(reader->prefix + outer, sizeof reader->prefix - outer, "%s%s", outer ? "." : "", name);
            if (!*name || written >= (int)(sizeof reader->prefix - outer))
                result = status_set(STATUS_USAGE, "%s:%lld: a key is empty or too long", reader->path, (long long)line);
        } else if (result == STATUS_OK && !done) {
            result = status_set(STATUS_USAGE, "%s:%lld: a key must be a plain word", reader->path, (long long)line);
        }
        yaml_event_delete(&event);
        if (result != STATUS_OK || done)
            break;
        if (depth > YAML_MAX_DEPTH) {
            result = status_set(STATUS_USAGE, "%s:%lld: more than %d nested levels", reader->path, (long long)line,
                                YAML_MAX_DEPTH);
            break;
        }
        if ((result = read_value(reader, line, depth)) != STATUS_OK)
            break;
        reader->prefix[outer] = 0;
    }
    reader->prefix[outer] = 0;
    return result;
}

/* The stream: at most one document, which is a mapping. */
static enum status read_stream(struct reader *reader)
{
    enum status result = STATUS_OK;
    int64_t documents = 0;
    for (bool done = false; !done;) {
        yaml_event_t event;
        if ((result = next_event(reader, &event)) != STATUS_OK)
            return result;
        result = check_plain(reader, &event);
        yaml_event_type_t type = event.type;
        long long line = line_of(&event.start_mark);
        bool empty = type == YAML_SCALAR_EVENT && event.data.scalar.length == 0;
        yaml_event_delete(&event);
        if (result != STATUS_OK)
            return result;
        switch (type) {
        case YAML_DOCUMENT_START_EVENT:
            if (documents++)
                result =
                    status_set(STATUS_USAGE, "%s:%lld: expected one document, found a second one", reader->path, line);
            break;
        case YAML_MAPPING_START_EVENT:
            result = read_mapping(reader, 1);
            break;
        case YAML_SCALAR_EVENT:
        case YAML_SEQUENCE_START_EVENT:
            if (!empty)
                result =
                    status_set(STATUS_USAGE, "%s:%lld: expected keys and values (\"key: value\")", reader->path, line);
            break;
        default:
            done = type == YAML_STREAM_END_EVENT;
        }
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

static enum status read_file(const char *path, bool foreign, struct yaml_flat *flat)
{
    struct reader reader = {.path = path, .flat = flat, .foreign = foreign};
    char *text;
    int64_t size;
    *flat = (struct yaml_flat){0};
    void *data = NULL;
    enum status result = file_read_stream(path, YAML_MAX_BYTES, &data, &size);
    text = data;
    if (result == STATUS_OK && (result = text_decode(path, &text, &size)) != STATUS_OK)
        free(text);
    if (result != STATUS_OK)
        return result == STATUS_CORRUPT ? STATUS_USAGE : result;
    if (yaml_parser_initialize(&reader.parser)) {
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, (size_t)size);
        yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
        result = read_stream(&reader);
        yaml_parser_delete(&reader.parser);
    } else {
        result = status_set(STATUS_INTERNAL, "%s: out of memory", path);
    }
    free(text);
    if (result != STATUS_OK)
        yaml_flat_free(flat);
    return result;
}

enum status yaml_flat_read(const char *path, struct yaml_flat *flat)
{
    return read_file(path, false, flat);
}

enum status yaml_flat_read_foreign(const char *path, struct yaml_flat *flat)
{
    return read_file(path, true, flat);
}

void yaml_flat_free(struct yaml_flat *flat)
{
    for (int64_t i = 0; i < flat->count; i++) {
        for (int64_t j = 0; j < flat->items[i].count; j++)
            free(flat->items[i].values[j]);
        free(flat->items[i].values);
        free(flat->items[i].key);
    }
    free(flat->items);
    *flat = (struct yaml_flat){0};
}
