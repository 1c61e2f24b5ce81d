/* Looking a member up, checking its type and its range is one call, so that every error says file, key, expected and
 * found in the same words. Duplicate keys are refused: readers of JSON do not agree on which one counts, and a file
 * must mean one thing. */
#include "io/json.h"

#include "io/text_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t JSON_MAX_BYTES = (int64_t)256 << 20;

/* Whether the text has the form of JSON, and only a value in it cannot be used. Jansson has no code for the numbers and
 * texts that other writers of JSON let through (Python writes NaN, Infinity and halves of surrogate pairs). */
static bool is_of_contents(const json_error_t *error)
{
    static const char *const others[] = {"near 'NaN'", "near 'Infinity'", "near '-'", "invalid Unicode '",
                                         "control character 0x"};
    enum json_error_code code = json_error_code(error);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (code == json_error_invalid_syntax && strstr(error->text, others[i]))
            return true;
    return code == json_error_invalid_utf8 || code == json_error_null_character ||
           code == json_error_null_byte_in_key || code == json_error_duplicate_key ||
           code == json_error_numeric_overflow;
}

static enum status parse(const char *where, bool with_line, const char *text, int64_t length, json_t **root,
                         bool *contents)
{
    json_error_t error;
    int64_t mark = text_mark(text, length); /* in the middle of a file: several were put together */
    text += mark;
    length -= mark;
    *root = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (*root)
        return STATUS_OK;
    *contents = is_of_contents(&error);
    if (with_line)
        return status_set(STATUS_CORRUPT, "%s:%d:%d: not valid JSON: %s", where, error.line, error.column, error.text);
    return status_set(STATUS_CORRUPT, "%s: column %d: not valid JSON: %s", where, error.column, error.text);
}

enum status jdoc_read(const char *path, json_t **root)
{
    char *text;
    int64_t size;
    bool contents;
    *root = NULL;
    enum status result = text_file_read(path, JSON_MAX_BYTES, &text, &size);
    if (result != STATUS_OK)
        return result;
    result = parse(path, true, text, size, root, &contents);
    free(text);
    return result;
}

enum status jdoc_parse(const char *where, const char *text, int64_t length, json_t **root)
{
    bool contents;
    return parse(where, false, text, length, root, &contents);
}

enum status jdoc_parse_line(const char *where, const char *text, int64_t length, json_t **root, bool *contents)
{
    return parse(where, false, text, length, root, contents);
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null";
}

static enum status member(const char *where, const json_t *object, const char *key, const json_t **value)
{
    if (!json_is_object(object))
        return status_set(STATUS_CORRUPT, "%s: expected an object with \"%s\", found %s", where, key,
                          object ? type_name(object) : "nothing");
    *value = json_object_get(object, key);
    return *value ? STATUS_OK : status_set(STATUS_CORRUPT, "%s: \"%s\" is missing", where, key);
}

static enum status wrong_type(const char *where, const char *key, const char *expected, const json_t *value)
{
    return status_set(STATUS_CORRUPT, "%s: \"%s\" should be %s, found %s", where, key, expected, type_name(value));
}

enum status jdoc_get_string(const char *where, const json_t *object, const char *key, const char **value)
{
    const json_t *found;
    enum status result = member(where, object, key, &found);
    if (result != STATUS_OK)
        return result;
    if (!json_is_string(found))
        return wrong_type(where, key, "a string", found);
    *value = json_string_value(found);
    return STATUS_OK;
}

enum status jdoc_get_int(const char *where, const json_t *object, const char *key, int64_t minimum, int64_t maximum,
                         int64_t *value)
{
    const json_t *found;
    enum status result = member(where, object, key, &found);
    if (result != STATUS_OK)
        return result;
    if (!json_is_integer(found))
        return wrong_type(where, key, "a whole number", found);
    int64_t number = json_integer_value(found);
    if (number < minimum || number > maximum)
        return status_set(STATUS_CORRUPT, "%s: \"%s\" is %lld, expected %lld to %lld", where, key, (long long)number,
                          (long long)minimum, (long long)maximum);
    *value = number;
    return STATUS_OK;
}

enum status jdoc_get_number(const char *where, const json_t *object, const char *key, double *value)
{
    const json_t *found;
    enum status result = member(where, object, key, &found);
    if (result != STATUS_OK)
        return result;
    if (!json_is_number(found))
        return wrong_type(where, key, "a number", found);
    *value = json_number_value(found);
    return STATUS_OK;
}

enum status jdoc_get_bool(const char *where, const json_t *object, const char *key, bool *value)
{
    const json_t *found;
    enum status result = member(where, object, key, &found);
    if (result != STATUS_OK)
        return result;
    if (!json_is_boolean(found))
        return wrong_type(where, key, "true or false", found);
    *value = json_is_true(found);
    return STATUS_OK;
}

enum status jdoc_get_hash(const char *where, const json_t *object, const char *key, struct sha256 *hash)
{
    const char *text = NULL;
    enum status result = jdoc_get_string(where, object, key, &text);
    if (result != STATUS_OK)
        return result;
    if (strlen(text) != 64 || !sha256_from_hex(text, hash))
        return status_set(STATUS_CORRUPT,
                          "%s: \"%s\" should be a SHA-256 in 64 lower-case hexadecimal digits, found \"%.64s\"", where,
                          key, text);
    return STATUS_OK;
}

bool jdoc_has(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value);
}

json_t *jdoc_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *jdoc_hash(const struct sha256 *hash)
{
    char text[65];
    sha256_hex(hash, text);
    return json_string(text);
}

char *jdoc_text(const json_t *root, int indent)
{
    char *text = json_dumps(root, JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_INDENT((size_t)indent));
    size_t length = text ? strlen(text) : 0;
    char *line = text ? realloc(text, length + 2) : NULL;
    if (!line) {
        free(text);
        return NULL;
    }
    line[length] = '\n';
    line[length + 1] = 0;
    return line;
}

char *jdoc_lines(const json_t *array)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    bool done = stream != NULL;
    for (size_t i = 0; done && i < json_array_size(array); i++) {
        char *line = jdoc_text(json_array_get(array, i), 0);
        done = line && fputs(line, stream) >= 0;
        free(line);
    }
    if (stream && fclose(stream) != 0)
        done = false;
    if (done)
        return text;
    free(text);
    return NULL;
}
