/* JSON lines of texts, as data sets for text models are kept: {"text": "..."} with an optional "id". */
#include "data/prepare/import/import_files.h"
#include "data/prepare/import/import_formats.h"
#include "data/prepare/import/import_lines.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The "id" of the object, or the file's name and the line's number. */
static enum status identify(const json_t *root, const char *document, const char *source, char id[PATH_BYTES])
{
    const json_t *given = json_object_get(root, "id");
    const char *colon = strrchr(source, ':');
    if (json_is_string(given) && json_string_length(given) > 0)
        return path_format(id, "%s", json_string_value(given));
    if (json_is_integer(given))
        return path_format(id, "%" JSON_INTEGER_FORMAT, json_integer_value(given));
    return path_format(id, "%s-%08lld", document, colon ? atoll(colon + 1) : 0);
}

static enum status add_line(struct import *import, void *document, const char *source, char *line)
{
    enum status result = STATUS_OK;
    const char *key = import->options->text_key ? import->options->text_key : "text";
    char id[PATH_BYTES];
    struct import_row *row;
    json_t *root = NULL;
    TRY(import_json(source, line, &root));
    const char *text = json_string_value(json_object_get(root, key));
    if (!json_is_object(root))
        FAIL(STATUS_CORRUPT, "not a JSON object");
    if (!text)
        TRY(import_refuse(import, IMPORT_NO_TEXT, "no string \"%s\"; --text-key names another key", key));
    if (!text[strspn(text, " \t\r\n")])
        TRY(import_refuse(import, IMPORT_NO_TEXT, "\"%s\" is empty", key));
    TRY(identify(root, document, source, id));
    TRY(import_add(import, id, NULL, source, &row));
    TRY(import_set(&row->text, text)); /* as it is: line ends are part of a document */
    TRY(import_set(&row->document, id));
    const char *speaker = json_string_value(json_object_get(root, "speaker"));
    TRY(import_set(&row->speaker, speaker && *speaker ? speaker : NULL));
fail:
    json_decref(root);
    return result;
}

/* Whether the file is what this or an earlier import wrote: OUTPUT, its list, or a part of it. */
static bool is_output(const struct import *import, const char *path)
{
    char folder[PATH_BYTES], output[PATH_BYTES], one[PATH_MAX], other[PATH_MAX];
    const char *given = import->options->output, *name = strrchr(given, '/'), *slash = strrchr(path, '/');
    if (import_parent(path, folder) != STATUS_OK || import_parent(given, output) != STATUS_OK ||
        !realpath(folder, one) || !realpath(output, other) || strcmp(one, other) != 0)
        return false;
    name = name ? name + 1 : given;
    slash = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    size_t length = dot ? (size_t)(dot - name) : strlen(name);
    return strcmp(name, slash) == 0 || (strncmp(name, slash, length) == 0 && slash[length] == '.');
}

static enum status visit_jsonl(struct import *import, const char *path)
{
    if (is_output(import, path) && strcmp(path, import->options->source) != 0)
        return STATUS_OK;
    char *document = import_identify(import->root, path);
    if (!document)
        return status_set(STATUS_INTERNAL, "%s: out of memory", path);
    struct import_mark mark = import_begin(import);
    enum status result = import_each_line(import, path, add_line, document);
    result = import_settle(import, mark, document, import_relative(import, path), result);
    free(document);
    return result;
}

enum status import_jsonl(struct import *import)
{
    return import_walk(import, import->options->source, ".jsonl", visit_jsonl);
}
