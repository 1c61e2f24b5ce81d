/* The file is read whole and cut into lines, since its hash becomes part of the results and the transcripts of a corpus fit into
 * memory many times over. Ids are sorted once: equal ones then lie side by side, and one side's are found in the other's. */
#include "eval/transcripts/transcript_file.h"

#include "core/array.h"
#include "eval/transcripts/characters.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/text_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT (INT64_C(1) << 30)
enum { WHERE_BYTES = 300 };

/* ---- one line ---- */

/* Copies id and text. */
static enum status add(struct transcripts *transcripts, const char *where, int64_t line, const char *id,
                       const char *text)
{
    enum status result = check_utf8(id);
    if (result != STATUS_OK)
        return status_prefix(result, "%s: the id", where);
    if ((result = check_utf8(text)) != STATUS_OK)
        return status_prefix(result, "%s: transcript %.100s", where, id);
    result = array_grow(&transcripts->items, &transcripts->room, transcripts->count + 1, "transcripts");
    if (result != STATUS_OK)
        return result;
    struct transcript item = {.id = strdup(id), .text = strdup(text), .line = line};
    if (!item.id || !item.text) {
        free(item.id);
        free(item.text);
        return status_set(STATUS_INTERNAL, "%s: no memory for a transcript", where);
    }
    transcripts->items[transcripts->count++] = item;
    return STATUS_OK;
}

static enum status read_plain_line(struct transcripts *transcripts, const char *where, int64_t number, char *line)
{
    char *id = line + strspn(line, " \t"), *end = id + strcspn(id, " \t");
    const char *text = end + strspn(end, " \t");
    *end = 0;
    return add(transcripts, where, number, id, text);
}

static enum status get_id(const char *where, const json_t *object, const char *key, char number[24], const char **id)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return jdoc_get_string(where, object, key, id);
    snprintf(number, 24, "%lld", (long long)json_integer_value(value));
    *id = number;
    return STATUS_OK;
}

static enum status read_json_line(struct transcripts *transcripts, struct transcript_keys keys, const char *where,
                                  int64_t number, const char *line, int64_t size)
{
    enum status result = STATUS_OK;
    json_t *root = NULL;
    char digits[24];
    const char *id, *text;
    TRY(jdoc_parse(where, line, size, &root));
    if (!json_is_object(root))
        FAIL(STATUS_CORRUPT, "%s: expected an object", where);
    TRY(get_id(where, root, keys.id ? keys.id : "id", digits, &id));
    TRY(jdoc_get_string(where, root, keys.text ? keys.text : "text", &text));
    if (!*id)
        FAIL(STATUS_CORRUPT, "%s: the id is empty", where);
    TRY(add(transcripts, where, number, id, text));
fail:
    json_decref(root);
    return result;
}

/* ---- the file ---- */

static bool ends_in(const char *path, const char *ending)
{
    size_t length = strlen(path), size = strlen(ending);
    return length > size && strcmp(path + length - size, ending) == 0;
}

static enum status read_line(struct transcripts *transcripts, struct transcript_keys keys, bool json, int64_t number,
                             char *line, int64_t size)
{
    char where[WHERE_BYTES];
    snprintf(where, sizeof where, "%.250s:%lld", transcripts->path, (long long)number);
    while (size > 0 && line[size - 1] == '\r')
        size--;
    line[size] = 0;
    if (size > TRANSCRIPT_LINE_LIMIT)
        return status_set(STATUS_CORRUPT, "%s: expected a line of at most %d bytes, found %lld", where,
                          TRANSCRIPT_LINE_LIMIT, (long long)size);
    if ((int64_t)strlen(line) != size)
        return status_set(STATUS_CORRUPT, "%s: the line contains a NUL byte", where);
    if ((int64_t)strspn(line, " \t") == size)
        return STATUS_OK;
    return json ? read_json_line(transcripts, keys, where, number, line, size)
                : read_plain_line(transcripts, where, number, line);
}

static enum status read_lines(struct transcripts *transcripts, struct transcript_keys keys, bool json, char *text,
                              int64_t size)
{
    int64_t number = 1;
    for (int64_t at = 0, length; at < size; at += length + 1, number++) {
        const char *end = memchr(text + at, '\n', (size_t)(size - at));
        length = end ? end - (text + at) : size - at;
        enum status result = read_line(transcripts, keys, json, number, text + at, length);
        if (result != STATUS_OK)
            return result;
    }
    return STATUS_OK;
}

/* ---- ids ---- */

/* What lies behind a number of `by_id`, for qsort, whose comparison sees nothing else. */
struct sorted {
    const char *id;
    int64_t item;
};

static int by_id(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order ? order : (x->item > y->item) - (x->item < y->item);
}

/* Sorts the ids; an id's first item stays, its others are freed and marked by a NULL. */
static enum status sort_ids(struct transcripts *transcripts, bool skip)
{
    int64_t count = transcripts->count, kept = 0;
    enum status result = STATUS_OK;
    struct sorted *sorted = calloc((size_t)count, sizeof *sorted);
    int64_t *places = calloc((size_t)count, sizeof *places);
    if (!sorted || !places)
        FAIL(STATUS_INTERNAL, "%s: no memory for %lld ids", transcripts->path, (long long)count);
    for (int64_t i = 0; i < count; i++)
        sorted[i] = (struct sorted){transcripts->items[i].id, i};
    qsort(sorted, (size_t)count, sizeof *sorted, by_id);
    for (int64_t i = 0; i < count; i++) {
        struct transcript *item = transcripts->items + sorted[i].item;
        const struct transcript *first = kept > 0 ? transcripts->items + places[kept - 1] : NULL;
        if (!first || strcmp(first->id, item->id) != 0) {
            places[kept++] = sorted[i].item;
            continue;
        }
        if (!skip)
            FAIL(STATUS_CORRUPT, "%s:%lld: transcript %.100s is already in line %lld", transcripts->path,
                 (long long)item->line, item->id, (long long)first->line);
        transcripts->duplicates++;
        free(item->text);
        item->text = NULL; /* its id is still needed while ids are compared */
    }
    transcripts->by_id = places;
    places = NULL;
fail:
    free(sorted);
    free(places);
    return result;
}

/* Takes the duplicates out of `items`; `by_id` follows. */
static enum status drop_duplicates(struct transcripts *transcripts)
{
    int64_t kept = 0;
    int64_t *places = calloc((size_t)transcripts->count, sizeof *places);
    if (!places)
        return status_set(STATUS_INTERNAL, "%s: no memory for %lld ids", transcripts->path,
                          (long long)transcripts->count);
    for (int64_t i = 0; i < transcripts->count; i++) {
        places[i] = kept;
        if (transcripts->items[i].text)
            transcripts->items[kept++] = transcripts->items[i];
        else
            free(transcripts->items[i].id);
    }
    transcripts->count = kept;
    for (int64_t i = 0; i < kept; i++)
        transcripts->by_id[i] = places[transcripts->by_id[i]];
    free(places);
    return STATUS_OK;
}

enum status transcripts_read(const char *path, struct transcript_keys keys, bool skip, struct transcripts *transcripts)
{
    enum status result = STATUS_OK;
    void *data = NULL;
    char *text = NULL;
    int64_t size = 0;
    bool json = ends_in(path, ".jsonl");
    *transcripts = (struct transcripts){.path = strdup(path)};
    if (!transcripts->path)
        FAIL(STATUS_INTERNAL, "%s: out of memory", path);
    if (!json && !ends_in(path, ".txt"))
        FAIL(STATUS_USAGE, "%s: expected a file of transcripts with the ending .jsonl or .txt", path);
    TRY(file_read(path, FILE_LIMIT, &data, &size));
    text = data;
    transcripts->hash = sha256_of(text, (size_t)size);
    TRY(text_decode(path, &text, &size));
    TRY(read_lines(transcripts, keys, json, text, size));
    if (transcripts->count == 0)
        FAIL(STATUS_CORRUPT, "%s: there is no transcript in it", path);
    TRY(sort_ids(transcripts, skip));
    if (transcripts->duplicates > 0)
        TRY(drop_duplicates(transcripts));
fail:
    free(text);
    return result;
}

void transcripts_free(struct transcripts *transcripts)
{
    for (int64_t i = 0; i < transcripts->count; i++) {
        free(transcripts->items[i].id);
        free(transcripts->items[i].text);
    }
    free(transcripts->items);
    free(transcripts->by_id);
    free(transcripts->path);
    *transcripts = (struct transcripts){0};
}

/* ---- two files ---- */

const struct transcript *transcripts_find(const struct transcripts *transcripts, const char *id)
{
    int64_t low = 0, high = transcripts->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        const struct transcript *item = transcripts->items + transcripts->by_id[middle];
        int order = strcmp(item->id, id);
        if (order == 0)
            return item;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* How many of the transcripts the others lack, and the first of them. */
static int64_t count_lone(const struct transcripts *transcripts, const struct transcripts *others,
                          const struct transcript **first)
{
    int64_t count = 0;
    *first = NULL;
    for (int64_t i = 0; i < transcripts->count; i++)
        if (!transcripts_find(others, transcripts->items[i].id) && count++ == 0)
            *first = transcripts->items + i;
    return count;
}

enum status transcripts_match(const struct transcripts *references, const struct transcripts *hypotheses, bool skip,
                              int64_t *missing, int64_t *surplus)
{
    const struct transcript *lone, *lost;
    *missing = count_lone(references, hypotheses, &lost);
    *surplus = count_lone(hypotheses, references, &lone);
    if (*missing > 0 && !skip)
        return status_set(STATUS_CORRUPT, "%s: no hypothesis for %.100s (%s:%lld); %lld of %lld are missing",
                          hypotheses->path, lost->id, references->path, (long long)lost->line, (long long)*missing,
                          (long long)references->count);
    if (*surplus > 0 && !skip)
        return status_set(STATUS_CORRUPT, "%s:%lld: transcript %.100s is not in %s; %lld are surplus", hypotheses->path,
                          (long long)lone->line, lone->id, references->path, (long long)*surplus);
    return STATUS_OK;
}
