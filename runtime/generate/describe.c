/* JSON can hold only UTF-8, but a model with byte pieces may generate any bytes. So text that is not UTF-8 is given
 * twice: readable, with the malformed bytes replaced, and exact, in hexadecimal. */
#include "generate/describe.h"

#include "core/path.h"
#include "core/utf8.h"
#include "io/json.h"
#include "io/wav.h"
#include "package/checkpoints.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NULL when out of memory. */
static json_t *hexadecimal(const char *bytes, int64_t size)
{
    char *text = malloc((size_t)(2 * size + 1));
    if (!text)
        return NULL;
    for (int64_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned char)bytes[i]);
    json_t *value = json_stringn(text, (size_t)(2 * size));
    free(text);
    return value;
}

static enum status no_memory(void)
{
    return status_set(STATUS_INTERNAL, "no memory to describe a result");
}

/* Sets a member to a value that is taken over; NULL: there was no memory for it. */
static enum status set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0 ? STATUS_OK : no_memory();
}

/* Bytes as a JSON text, repaired where they are not UTF-8. */
static enum status set_text(json_t *object, const char *key, const char *bytes, int64_t size, bool *malformed)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    int64_t text_size = 0;
    TRY(utf8_repair(bytes, size, false, &text, &text_size, malformed));
    TRY(set(object, key, json_stringn(text, (size_t)text_size)));
fail:
    free(text);
    return result;
}

/* Hands over what was made, or frees it. */
static enum status finish(enum status result, json_t *made, json_t **object)
{
    *object = result == STATUS_OK ? made : NULL;
    if (result != STATUS_OK)
        json_decref(made);
    return result;
}

/* ---- results ---- */

enum status output_piece_describe(const struct output_piece *piece, json_t **object)
{
    enum status result = STATUS_OK;
    bool malformed = false;
    json_t *made = json_object();
    TRY(set(made, "kind", json_string(piece->speech ? "speech" : "text")));
    TRY(set_text(made, piece->speech ? "units" : "text", piece->text, piece->size, &malformed));
    if (malformed)
        TRY(set(made, "bytes", hexadecimal(piece->text, piece->size)));
    if (piece->samples)
        TRY(set(made, "seconds", json_real((double)piece->sample_count / AUDIO_RATE)));
fail:
    return finish(result, made, object);
}

/* The members `key` of all pieces, one behind the other; none when no piece has one. */
static enum status join(const json_t *pieces, const char *key, json_t *object)
{
    char *text = NULL;
    size_t size = 0, i;
    json_t *piece;
    FILE *stream = open_memstream(&text, &size);
    bool any = false;
    if (!stream)
        return no_memory();
    json_array_foreach(pieces, i, piece)
    {
        const json_t *value = json_object_get(piece, key);
        any = any || value;
        if (value)
            fwrite(json_string_value(value), 1, json_string_length(value), stream);
    }
    bool whole = !ferror(stream);
    whole = fclose(stream) == 0 && whole;
    enum status result = !whole ? no_memory() : any ? set(object, key, json_stringn(text, size)) : STATUS_OK;
    free(text);
    return result;
}

enum status generated_describe(int64_t sample, const struct generated *generated, json_t *pieces, json_t **object)
{
    enum status result = STATUS_OK;
    double seconds = 0;
    size_t i;
    json_t *piece, *made = json_object();
    TRY(set(made, "sample", json_integer(sample)));
    TRY(set(made, "tokens", json_integer(generated->count)));
    TRY(set(made, "ended", json_boolean(generated->ended)));
    TRY(join(pieces, "text", made));
    TRY(join(pieces, "units", made));
    json_array_foreach(pieces, i, piece) seconds += json_real_value(json_object_get(piece, "seconds"));
    if (seconds > 0)
        TRY(set(made, "seconds", json_real(seconds)));
    if (json_object_set(made, "pieces", pieces) != 0)
        result = no_memory();
fail:
    json_decref(pieces);
    return finish(result, made, object);
}

/* ---- prompts ---- */

static enum status describe_pieces(const struct prompt_line *line, json_t *list)
{
    enum status result = STATUS_OK;
    static const char *const members[] = {
        [PIECE_TEXT] = "text", [PIECE_AUDIO] = "audio", [PIECE_UNITS] = "units", [PIECE_STRING] = "string"};
    static const char *const kinds[] = {
        [PIECE_TEXT] = "text", [PIECE_AUDIO] = "speech", [PIECE_UNITS] = "speech", [PIECE_STRING] = "string"};
    for (int64_t i = 0; i < line->piece_count; i++) {
        const struct piece *piece = &line->pieces[i];
        json_t *object = json_object();
        bool malformed;
        if (json_array_append_new(list, object) != 0)
            FAIL(STATUS_INTERNAL, "no memory to describe a prompt");
        TRY(set(object, "kind", json_string(kinds[piece->kind])));
        TRY(set_text(object, members[piece->kind], piece->content, (int64_t)strlen(piece->content), &malformed));
    }
fail:
    return result;
}

/* What every result begins with. */
static enum status describe_origin(const struct prompt_line *line, json_t *made)
{
    enum status result = STATUS_OK;
    TRY(set(made, "id", json_string(line->id)));
    if (line->line > 0)
        TRY(set(made, "line", json_integer(line->line)));
fail:
    return result;
}

enum status prompt_describe(const struct prompt_line *line, int64_t tokens, const struct sampling *sampling,
                            json_t **object)
{
    enum status result = STATUS_OK;
    const struct prompt_settings *settings = &line->settings;
    json_t *made = json_object(), *pieces = json_array();
    TRY(describe_origin(line, made));
    TRY(describe_pieces(line, pieces));
    TRY(set(made, "prompt", json_incref(pieces)));
    TRY(set(made, "prompt_tokens", json_integer(tokens)));
    TRY(set(made, "output", json_string(output_modality_name(settings->output))));
    TRY(set(made, "sampling",
            json_pack("{s:I, s:f, s:I, s:f, s:I, s:I}", "seed", (json_int_t)settings->seed, "temperature",
                      sampling->temperature, "top_k", (json_int_t)sampling->top_k, "top_p", sampling->top_p,
                      "min_new_tokens", (json_int_t)settings->min_new_tokens, "max_new_tokens",
                      (json_int_t)settings->max_new_tokens)));
    TRY(set(made, "samples", json_array()));
fail:
    json_decref(pieces);
    return finish(result, made, object);
}

enum status prompt_error_describe(const struct prompt_line *line, json_t **object)
{
    enum status result = STATUS_OK;
    json_t *made = json_object();
    TRY(describe_origin(line, made));
    TRY(set(made, "error", json_string(line->error)));
fail:
    return finish(result, made, object);
}

/* ---- the model ---- */

static enum status describe_manifest(const char *folder, json_t **fingerprint)
{
    char path[PATH_BYTES];
    void *manifest = NULL;
    int64_t size = 0;
    enum status result = path_format(path, "%s/MANIFEST", folder);
    *fingerprint = NULL;
    if (result != STATUS_OK)
        return result;
    result = file_read(path, 1 << 20, &manifest, &size);
    if (result == STATUS_OK) {
        const struct sha256 hash = sha256_of(manifest, (size_t)size);
        *fingerprint = jdoc_hash(&hash);
    } else if (result == STATUS_USAGE) { /* a folder of somebody else's */
        *fingerprint = json_null();
        result = STATUS_OK;
    }
    free(manifest);
    return result;
}

enum status checkpoint_describe(const char *folder, const struct components *components, json_t **object)
{
    enum status result = STATUS_OK;
    json_t *made = json_object(), *fingerprint = NULL;
    char name[PATH_BYTES];
    size_t end = strlen(folder), begin;
    while (end > 1 && folder[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && folder[begin - 1] != '/';)
        begin--;
    snprintf(name, sizeof name, "%.*s", (int)(end - begin), folder + begin);
    int64_t step = checkpoint_step(name);
    bool malformed;
    TRY(set_text(made, "path", folder, (int64_t)strlen(folder), &malformed));
    TRY(set(made, "step", step < 0 ? json_null() : json_integer(step)));
    TRY(describe_manifest(folder, &fingerprint));
    TRY(set(made, "fingerprint", fingerprint));
    TRY(set(made, "components", components_fingerprints_json(components)));
fail:
    return finish(result, made, object);
}
