/* Lines are read one at a time, since such files describe whole corpora and may be larger than memory. */
#include "data/prepare/import/import_lines.h"

#include "core/array.h"
#include "data/prepare/import/import_files.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/text_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Opens the file behind its byte order mark; UTF-16 is converted in memory, in *text. */
static enum status open_text(const char *path, FILE **file, char **text)
{
    unsigned char mark[3] = {0};
    int64_t size = 0;
    enum status result = file_open_to_read(path, file);
    if (result != STATUS_OK)
        return result;
    if (!*file)
        return status_set(STATUS_USAGE, "%s: no such file", path);
    size_t count = fread(mark, 1, sizeof mark, *file);
    bool wide = count >= 2 && ((mark[0] == 0xFF && mark[1] == 0xFE) || (mark[0] == 0xFE && mark[1] == 0xFF));
    if (!wide) {
        rewind(*file);
        if (text_mark((const char *)mark, (int64_t)count) > 0 && fseek(*file, 3, SEEK_SET) != 0)
            return status_set_errno(STATUS_IO, errno, "%s", path);
        return STATUS_OK;
    }
    fclose(*file);
    *file = NULL;
    if ((result = text_file_read(path, IMPORT_FILE_LIMIT, text, &size)) != STATUS_OK)
        return result;
    *file = size > 0 ? fmemopen(*text, (size_t)size, "r") : fopen("/dev/null", "r");
    return *file ? STATUS_OK : status_set(STATUS_INTERNAL, "%s: out of memory", path);
}

static enum status visit_line(struct import *import, import_line visit, void *context, const char *source, char *line,
                              size_t length, bool empty)
{
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        line[--length] = 0;
    if (!empty && line[strspn(line, " \t\r")] == 0 && strlen(line) == length)
        return STATUS_OK;
    struct import_mark mark = import_begin(import);
    enum status result = strlen(line) == length ? visit(import, context, source, line)
                                                : status_set(STATUS_CORRUPT, "the line contains a NUL byte");
    return import_settle(import, mark, NULL, source, result);
}

static enum status each_line(struct import *import, const char *path, import_line visit, void *context, bool empty)
{
    enum status result = STATUS_OK;
    FILE *file = NULL;
    char *text = NULL, *line = NULL, source[PATH_BYTES + 32];
    size_t room = 0;
    ssize_t length;
    TRY(open_text(path, &file, &text));
    errno = 0;
    for (int64_t number = 1; (length = getline(&line, &room, file)) >= 0; number++) {
        snprintf(source, sizeof source, "%s:%lld", import_relative(import, path), (long long)number);
        TRY(visit_line(import, visit, context, source, line, (size_t)length, empty));
        errno = 0;
    }
    if (ferror(file) || errno == ENOMEM)
        TRY(status_set_errno(STATUS_IO, errno, "%s: cannot be read", path));
fail:
    if (file)
        fclose(file);
    free(line);
    free(text);
    return result;
}

enum status import_each_line(struct import *import, const char *path, import_line visit, void *context)
{
    return each_line(import, path, visit, context, false);
}

enum status import_all_lines(struct import *import, const char *path, import_line visit, void *context)
{
    return each_line(import, path, visit, context, true);
}

int import_cut(char *line, char separator, char **fields, int limit)
{
    int count = 0;
    fields[count++] = line;
    for (; *line && count < limit; line++)
        if (*line == separator) {
            *line = 0;
            fields[count++] = line + 1;
        }
    return count;
}

bool import_cut_pair(char *line, char **key, char **value)
{
    line += strspn(line, " \t");
    size_t length = strcspn(line, " \t");
    *key = line;
    *value = line + length + strspn(line + length, " \t");
    for (char *end = *value + strlen(*value); end > *value && (end[-1] == ' ' || end[-1] == '\t');)
        *--end = 0;
    line[length] = 0;
    return length > 0;
}

/* ---- JSON ---- */

/* NaN, Infinity and -Infinity outside of strings become -1, which is not a time either; null would mean that there is
 * none. NULL: out of memory. */
static char *without_nan(const char *text)
{
    static const char *const names[] = {"-Infinity", "Infinity", "NaN"};
    char *copy = malloc(strlen(text) + 1), *end = copy;
    bool inside = false;
    while (copy && *text) {
        size_t length = 0;
        for (int i = 0; !inside && length == 0 && i < 3; i++)
            if (strncmp(text, names[i], strlen(names[i])) == 0)
                length = strlen(names[i]);
        if (length > 0) {
            end = stpcpy(end, "-1");
            text += length;
            continue;
        }
        if (inside && *text == '\\' && text[1])
            *end++ = *text++;
        else if (*text == '"')
            inside = !inside;
        *end++ = *text++;
    }
    if (copy)
        *end = 0;
    return copy;
}

enum status import_json(const char *where, const char *text, json_t **root)
{
    enum status result = jdoc_parse(where, text, (int64_t)strlen(text), root);
    if (result != STATUS_CORRUPT || (!strstr(text, "NaN") && !strstr(text, "Infinity")))
        return result;
    char *repaired = without_nan(text);
    if (!repaired)
        return status_set(STATUS_INTERNAL, "%s: out of memory", where);
    result = jdoc_parse(where, repaired, (int64_t)strlen(repaired), root);
    free(repaired);
    return result;
}

enum status import_json_file(const char *path, json_t **root)
{
    char *text = NULL;
    int64_t size = 0;
    *root = NULL;
    enum status result = text_file_read(path, IMPORT_FILE_LIMIT, &text, &size);
    if (result == STATUS_OK && (int64_t)strlen(text) != size)
        result = status_set(STATUS_CORRUPT, "%s: contains a NUL byte", path);
    if (result == STATUS_OK)
        result = import_json(path, text, root);
    if (result == STATUS_OK && !json_is_object(*root))
        result = status_set(STATUS_CORRUPT, "%s: not a JSON object", path);
    free(text);
    return result;
}

/* ---- pairs ---- */

static enum status add_pair(struct import *import, void *context, const char *source, char *line)
{
    struct import_pairs *pairs = context;
    struct import_pair pair = {0};
    char *key, *value;
    (void)import;
    (void)source;
    if (!import_cut_pair(line, &key, &value))
        return STATUS_OK;
    enum status result = array_grow(&pairs->items, &pairs->capacity, pairs->count + 1, "lines");
    if (result != STATUS_OK)
        return result;
    pair.number = pairs->count;
    TRY(import_set(&pair.key, key));
    TRY(import_set(&pair.value, value));
    pairs->items[pairs->count++] = pair;
    return STATUS_OK;
fail:
    free(pair.key);
    return result;
}

static int by_key(const void *a, const void *b)
{
    const struct import_pair *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : x->number < y->number ? -1 : x->number > y->number;
}

enum status import_pairs_read(struct import *import, const char *path, struct import_pairs *pairs)
{
    enum status result = import_each_line(import, path, add_pair, pairs);
    if (result != STATUS_OK || pairs->count == 0)
        return result;
    qsort(pairs->items, (size_t)pairs->count, sizeof *pairs->items, by_key);
    int64_t kept = 1;
    for (int64_t i = 1; i < pairs->count; i++) {
        struct import_pair *pair = pairs->items + i;
        if (strcmp(pair->key, pairs->items[kept - 1].key) != 0) {
            pairs->items[kept++] = *pair;
            continue;
        }
        if (result == STATUS_OK)
            result = import_note(import, IMPORT_SAME_ID, pair->key, import_relative(import, path), "\"%.200s\"",
                                 pair->value);
        free(pair->key);
        free(pair->value);
    }
    pairs->count = kept;
    return result;
}

static int key_order(const void *key, const void *item)
{
    return strcmp(key, ((const struct import_pair *)item)->key);
}

const char *import_pairs_find(const struct import_pairs *pairs, const char *key)
{
    const struct import_pair *found =
        pairs->count > 0 ? bsearch(key, pairs->items, (size_t)pairs->count, sizeof *pairs->items, key_order) : NULL;
    return found ? found->value : NULL;
}

void import_pairs_free(struct import_pairs *pairs)
{
    for (int64_t i = 0; i < pairs->count; i++) {
        free(pairs->items[i].key);
        free(pairs->items[i].value);
    }
    free(pairs->items);
}
