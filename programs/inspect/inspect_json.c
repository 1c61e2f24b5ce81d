/* One value of a JSON file, for scripts: reports and results are JSON, and a shell script that takes them apart with
 * sed breaks when a key moves or a name contains what sed takes for a pattern. A key may itself contain dots, so at
 * every level the longest beginning of the path that is a key is used. */
#include "core/utf8.h"
#include "io/json.h"
#include "programs/inspect/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The member of an object whose key the path begins with; *length is the key's length. NULL: none. */
static const json_t *find_member(const json_t *object, const char *path, size_t *length)
{
    const char *key;
    json_t *value, *found = NULL;
    *length = 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t size = strlen(key);
        if (strncmp(path, key, size) == 0 && (path[size] == '.' || path[size] == 0) && (!found || size > *length)) {
            found = value;
            *length = size;
        }
    }
    return found;
}

/* Items of a list are named by their numbers from 0. */
static const json_t *find_item(const json_t *list, const char *path, size_t *length)
{
    *length = strspn(path, "0123456789");
    if (*length == 0 || *length > 9 || (path[*length] != '.' && path[*length] != 0))
        return NULL;
    return json_array_get(list, strtoul(path, NULL, 10));
}

/* The keys of an object in the file's order, cut when there are many. */
static void list_keys(const json_t *object, char *names, size_t size)
{
    const char *key;
    json_t *unused;
    size_t used = 0;
    snprintf(names, size, "an empty object");
    json_object_foreach((json_t *)(uintptr_t)object, key, unused)
    {
        if (used < size)
            used += (size_t)snprintf(names + used, size - used, "%s\"%s\"", used ? ", " : "", key);
    }
}

/* `rest` is the part of the path that could not be followed, `value` what the part before it led to. */
static enum status refuse(const char *file, const char *path, const char *rest, const json_t *value)
{
    char found[400] = "a single value";
    int followed = (int)(rest - path) - 1; /* without the dot */
    if (json_is_array(value))
        snprintf(found, sizeof found, "a list of %zu values, counted from 0", json_array_size(value));
    else if (json_is_object(value))
        list_keys(value, found, sizeof found);
    if (followed < 0)
        return status_set(STATUS_USAGE, "%s: no \"%s\"; found %s", file, rest, found);
    return status_set(STATUS_USAGE, "%s: no \"%s\" in \"%.*s\"; found %s", file, rest, followed, path, found);
}

/* The JSON as it is, but for characters that a terminal might obey: they occur in strings alone, which may have any
 * character as \uNNNN. */
static void print_json(const char *text)
{
    while (*text) {
        uint32_t code = 0;
        size_t length = utf8_decode(text, SIZE_MAX, &code);
        length = length ? length : 1;
        if (*text != '\n' && utf8_is_unsafe(code))
            printf("\\u%04X", (unsigned)code);
        else
            fwrite(text, 1, length, stdout);
        text += length;
    }
}

static enum status print_value(const char *file, const json_t *value)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    if (json_is_string(value)) { /* on one line, whatever it contains */
        TRY(utf8_printable(json_string_value(value), (int64_t)json_string_length(value), &text));
        printf("%s\n", text);
    } else {
        text = jdoc_text(value, 0);
        if (!text)
            FAIL(STATUS_INTERNAL, "%s: out of memory", file);
        print_json(text);
    }
fail:
    free(text);
    return result;
}

enum status inspect_value(const char *file, const char *path)
{
    enum status result = STATUS_OK;
    json_t *root = NULL;
    TRY(jdoc_read(file, &root));
    const json_t *value = root;
    for (const char *rest = path; *rest;) {
        size_t length;
        const json_t *next =
            json_is_object(value) ? find_member(value, rest, &length) : find_item(value, rest, &length);
        if (!next)
            TRY(refuse(file, path, rest, value));
        value = next;
        rest += length;
        rest += *rest == '.';
    }
    TRY(print_value(file, value));
fail:
    json_decref(root);
    return result;
}
