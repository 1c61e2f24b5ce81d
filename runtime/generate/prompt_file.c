/* Each line is judged by itself, because one that is wrong must not cost the results of all others; only what makes the
 * results ambiguous concerns the whole file. */
#include "generate/prompt_file.h"

#include "core/array.h"
#include "core/edit_distance.h"
#include "core/path.h"
#include "core/utf8.h"
#include "io/json.h"
#include "io/text_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WHERE_BYTES = PATH_BYTES + 32, ID_BYTES = 1024 };
static const int64_t longest_file = (int64_t)1 << 30;

/* ---- names ---- */

static const char *const modalities[] = {"text", "speech", "any"};

bool output_modality_parse(const char *name, enum output_modality *output)
{
    for (int mode = 0; mode < 3; mode++)
        if (strcmp(modalities[mode], name) == 0) {
            *output = (enum output_modality)mode;
            return true;
        }
    return false;
}

const char *output_modality_name(enum output_modality output)
{
    return modalities[output];
}

/* Of a prompt. The last four say what it is made of, "string" all of it; the last three may also be those of a piece. */
static const char *const keys[] = {"id",     "output",         "seed",   "samples", "min_new_tokens",
                                   "pieces", "max_new_tokens", "string", "text",    "speech",
                                   "units"};
enum { KEYS = sizeof keys / sizeof *keys, FIRST_PIECE_KEY = KEYS - 3, FIRST_CONTENT_KEY = KEYS - 4 };

/* Every key is ours: a misspelled one would silently give another result than was meant. */
static enum status check_keys(const char *where, const json_t *object, int first)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        int nearest = first;
        bool known = false;
        for (int i = first; i < KEYS; i++) {
            known = known || strcmp(key, keys[i]) == 0;
            nearest = edit_distance(key, keys[i]) < edit_distance(key, keys[nearest]) ? i : nearest;
        }
        if (!known)
            return status_set(STATUS_CORRUPT, "%s: unknown key \"%s\"; did you mean \"%s\"?", where, key,
                              keys[nearest]);
    }
    return STATUS_OK;
}

/* ---- pieces ---- */

/* [Hu12], [Pi3], [St0], one behind the other: no path looks like it by accident. Whether the model has such units is seen
 * later. */
static bool is_unit_string(const char *text)
{
    const char *at = text;
    while (*at == '[') {
        if (strncmp(at + 1, "Hu", 2) != 0 && strncmp(at + 1, "Pi", 2) != 0 && strncmp(at + 1, "St", 2) != 0)
            return false;
        size_t digits = strspn(at + 3, "0123456789");
        if (digits == 0 || at[3 + digits] != ']')
            return false;
        at += 4 + digits;
    }
    return at != text && !*at;
}

/* A sound file's path as it is from the working directory. */
static enum status find_sound(const char *prompts, const char *given, char **path)
{
    enum status result = STATUS_OK;
    char home[PATH_BYTES], whole[PATH_BYTES];
    const char *slash = strrchr(prompts, '/');
    TRY(path_expand_home(given, home));
    bool relative = home[0] != '/' && slash;
    TRY(path_format(whole, "%.*s%s", relative ? (int)(slash - prompts) + 1 : 0, prompts, home));
    *path = strdup(whole);
    if (!*path)
        FAIL(STATUS_INTERNAL, "no memory for a path");
fail:
    return result;
}

static enum piece_kind kind_of(const char *key, const char *content)
{
    if (!strcmp(key, "text"))
        return PIECE_TEXT;
    if (!strcmp(key, "string"))
        return PIECE_STRING;
    return !strcmp(key, "units") || is_unit_string(content) ? PIECE_UNITS : PIECE_AUDIO;
}

/* The member "string", "text", "speech" or "units" of an object, as a piece. */
static enum status read_piece(const char *where, const char *prompts, const json_t *object, const char *key,
                              struct prompt_line *line)
{
    enum status result = STATUS_OK;
    struct piece *piece = &line->pieces[line->piece_count];
    TRY(jdoc_get_string(where, object, key, &piece->content));
    piece->kind = kind_of(key, piece->content);
    if (!*piece->content || piece_is_blank(piece))
        FAIL(STATUS_CORRUPT, "%s: \"%s\" is empty", where, key);
    if (piece->kind == PIECE_AUDIO) {
        result = find_sound(prompts, piece->content, &line->paths[line->piece_count]);
        if (result != STATUS_OK)
            return status_prefix(result, "%s", where);
        piece->content = line->paths[line->piece_count];
    }
    line->piece_count++;
fail:
    return result;
}

/* The one of the keys from `first` on that an object has; NULL where there are none or several. */
static const char *only_piece(const json_t *object, int first)
{
    const char *found = NULL;
    for (int i = first; i < KEYS; i++)
        if (json_object_get(object, keys[i])) {
            if (found)
                return NULL;
            found = keys[i];
        }
    return found;
}

static enum status read_pieces(const char *where, const char *prompts, const json_t *object, struct prompt_line *line)
{
    enum status result = STATUS_OK;
    const json_t *list = json_object_get(object, "pieces");
    const char *only = only_piece(object, FIRST_CONTENT_KEY);
    size_t count = list ? json_array_size(list) : 1;
    line->pieces = calloc(count + 1, sizeof *line->pieces);
    line->paths = calloc(count + 1, sizeof *line->paths);
    if (!line->pieces || !line->paths)
        FAIL(STATUS_INTERNAL, "no memory for %zu pieces", count);
    if (!list && only)
        return read_piece(where, prompts, object, only, line);
    if (!json_is_array(list) || only)
        FAIL(STATUS_CORRUPT,
             "%s: expected one of \"text\", \"speech\", \"units\" and \"string\", or a list of objects with one of the "
             "first three as \"pieces\"",
             where);
    for (size_t i = 0; i < count; i++) {
        const json_t *piece = json_array_get(list, i);
        char place[WHERE_BYTES + 32];
        snprintf(place, sizeof place, "%s: piece %zu", where, i + 1);
        if (json_object_get(piece, "string"))
            FAIL(STATUS_CORRUPT, "%s: \"string\" is a whole prompt and cannot be one of several pieces", place);
        if (!json_is_object(piece) || !(only = only_piece(piece, FIRST_PIECE_KEY)))
            FAIL(STATUS_CORRUPT, "%s: expected an object with one of \"text\", \"speech\" and \"units\"", place);
        TRY(check_keys(place, piece, FIRST_PIECE_KEY));
        TRY(read_piece(place, prompts, piece, only, line));
    }
fail:
    return result;
}

/* ---- a line ---- */

static enum status read_settings(const char *where, const json_t *object, struct prompt_settings *settings)
{
    enum status result = STATUS_OK;
    const char *output;
    int64_t seed;
    if (json_object_get(object, "output")) {
        TRY(jdoc_get_string(where, object, "output", &output));
        if (!output_modality_parse(output, &settings->output))
            FAIL(STATUS_CORRUPT, "%s: \"output\": expected text, speech or any, found \"%s\"", where, output);
    }
    if (json_object_get(object, "seed")) {
        TRY(jdoc_get_int(where, object, "seed", 0, INT64_MAX, &seed));
        settings->seed = (uint64_t)seed;
    }
    if (json_object_get(object, "samples"))
        TRY(jdoc_get_int(where, object, "samples", 1, GENERATION_MOST_SAMPLES, &settings->samples));
    if (json_object_get(object, "min_new_tokens"))
        TRY(jdoc_get_int(where, object, "min_new_tokens", 0, GENERATION_MOST_TOKENS, &settings->min_new_tokens));
    if (json_object_get(object, "max_new_tokens"))
        TRY(jdoc_get_int(where, object, "max_new_tokens", 1, GENERATION_MOST_TOKENS, &settings->max_new_tokens));
fail:
    return result;
}

/* Text or a whole number, which is kept as text; a line without one keeps "line-N". */
static enum status read_id(const char *where, const json_t *object, struct prompt_line *line)
{
    const json_t *id = json_object_get(object, "id");
    char digits[32];
    if (!id || json_is_null(id))
        return STATUS_OK;
    const char *text = json_string_value(id);
    if (json_is_integer(id)) {
        snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
        text = digits;
    }
    if (!text || !*text || strlen(text) > ID_BYTES)
        return status_set(STATUS_CORRUPT, "%s: \"id\" should be a whole number or a string of 1 to %d bytes", where,
                          (int)ID_BYTES);
    free(line->id);
    line->id = strdup(text);
    return line->id ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for an id");
}

enum status prompt_line_fail(struct prompt_line *line)
{
    int64_t size;
    bool malformed;
    free(line->error);
    line->error = NULL;
    return utf8_repair(status_text(), (int64_t)strlen(status_text()), false, &line->error, &size, &malformed);
}

static enum status read_line(const char *name, const char *prompts, const char *text, int64_t length,
                             struct prompt_line *line)
{
    enum status result = STATUS_OK;
    char where[WHERE_BYTES];
    bool contents;
    snprintf(where, sizeof where, "%s:%" PRId64, name, line->line);
    if (asprintf(&line->id, "line-%" PRId64, line->line) < 0) {
        line->id = NULL;
        FAIL(STATUS_INTERNAL, "no memory for an id");
    }
    TRY(jdoc_parse_line(where, text, length, &line->object, &contents));
    if (!json_is_object(line->object))
        FAIL(STATUS_CORRUPT, "%s: a prompt must be a JSON object", where);
    TRY(read_id(where, line->object, line));
    TRY(check_keys(where, line->object, 0));
    TRY(read_settings(where, line->object, &line->settings));
    TRY(read_pieces(where, prompts, line->object, line));
fail:
    return result == STATUS_OK || result == STATUS_INTERNAL ? result : prompt_line_fail(line);
}

/* ---- the file ---- */

static bool blank(const char *line, int64_t length)
{
    for (int64_t i = 0; i < length; i++)
        if (!strchr(" \t\r", line[i]) || !line[i])
            return false;
    return true;
}

static enum status read_lines(const char *name, const char *prompts, const struct prompt_settings *defaults,
                              const char *text, int64_t size, struct prompt_file *file)
{
    enum status result = STATUS_OK;
    int64_t number = 0, length;
    for (int64_t position = 0; position < size; position += length + 1) {
        const char *line = text + position, *newline = memchr(line, '\n', (size_t)(size - position));
        length = newline ? newline - line : size - position;
        number++;
        if (blank(line, length))
            continue;
        TRY(array_grow(&file->lines, &file->capacity, file->count + 1, "prompts"));
        struct prompt_line *added = &file->lines[file->count++];
        *added = (struct prompt_line){.line = number, .settings = *defaults};
        TRY(read_line(name, prompts, line, length, added));
    }
fail:
    return result;
}

static int by_id_and_line(const void *a, const void *b)
{
    const struct prompt_line *const *x = a, *const *y = b;
    int order = strcmp((*x)->id, (*y)->id);
    return order ? order : (*x)->line < (*y)->line ? -1 : (*x)->line > (*y)->line;
}

/* Of all ids that are there twice, the one that is repeated first. */
static enum status refuse_duplicates(const char *name, const struct prompt_file *file)
{
    const struct prompt_line **sorted = calloc((size_t)file->count + 1, sizeof *sorted), *first = NULL, *again = NULL;
    enum status result = STATUS_OK;
    if (!sorted)
        return status_set(STATUS_INTERNAL, "no memory for %" PRId64 " prompts", file->count);
    for (int64_t i = 0; i < file->count; i++)
        sorted[i] = &file->lines[i];
    qsort(sorted, (size_t)file->count, sizeof *sorted, by_id_and_line);
    for (int64_t i = 1; i < file->count; i++)
        if (strcmp(sorted[i - 1]->id, sorted[i]->id) == 0 && (!again || sorted[i]->line < again->line)) {
            first = sorted[i - 1];
            again = sorted[i];
        }
    if (again)
        result = status_set(STATUS_CORRUPT, "%s:%" PRId64 ": the id \"%s\" was already used on line %" PRId64, name,
                            again->line, again->id, first->line);
    free(sorted);
    return result;
}

static enum status refuse_useless(const char *name, const struct prompt_file *file)
{
    if (file->count == 0)
        return status_set(STATUS_CORRUPT, "%s: no prompts: expected lines such as {\"id\": \"a\", \"text\": \"...\"}",
                          name);
    for (int64_t i = 0; i < file->count; i++)
        if (!file->lines[i].error)
            return STATUS_OK;
    return status_set(STATUS_CORRUPT, "%s%s", file->lines[0].error,
                      file->count > 1 ? "; none of the other prompts can be used either" : "");
}

/* A pipe lies in no folder in which sound files could be looked for, whatever its name (/dev/fd/63). */
static bool is_file(FILE *stream)
{
    struct stat info;
    return fstat(fileno(stream), &info) == 0 && S_ISREG(info.st_mode);
}

enum status prompt_file_read(const char *path, const struct prompt_settings *defaults, struct prompt_file *file)
{
    enum status result = STATUS_OK;
    bool standard_input = strcmp(path, "-") == 0;
    const char *name = standard_input ? "standard input" : path;
    char *text = NULL;
    int64_t size = 0;
    *file = (struct prompt_file){0};
    FILE *stream = standard_input ? stdin : fopen(path, "re"); /* a pipe will do */
    if (!stream) {
        int reason = errno;
        return status_set_errno(reason == ENOENT || reason == ENOTDIR ? STATUS_USAGE : STATUS_IO, reason,
                                "%s: cannot open", path);
    }
    TRY(text_stream_read(stream, name, longest_file, &text, &size));
    TRY(read_lines(name, is_file(stream) && !standard_input ? path : "", defaults, text, size, file));
    TRY(refuse_duplicates(name, file));
    TRY(refuse_useless(name, file));
fail:
    if (!standard_input)
        fclose(stream);
    free(text);
    if (result != STATUS_OK)
        prompt_file_free(file);
    return result;
}

void prompt_file_free(struct prompt_file *file)
{
    for (int64_t i = 0; i < file->count; i++) {
        struct prompt_line *line = &file->lines[i];
        for (int64_t p = 0; line->paths && p < line->piece_count; p++)
            free(line->paths[p]);
        free(line->paths);
        free(line->pieces);
        free(line->id);
        free(line->error);
        json_decref(line->object);
    }
    free(file->lines);
    *file = (struct prompt_file){0};
}
