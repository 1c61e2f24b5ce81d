/* A prompt is put together as a string and encoded whole: how pieces join at the seams is then the tokenizer's business, as it
 * is for everybody else who types this string. */
#include "eval/few_shot/prompts.h"

#include "core/array.h"
#include "generate/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- parts ---- */

enum status shots_add(struct shots *shots, const char *id, const char *prompt, const char *answer)
{
    enum status result = array_grow(&shots->items, &shots->capacity, shots->count + 1, "examples");
    if (result != STATUS_OK)
        return result;
    struct shot *shot = &shots->items[shots->count++];
    *shot = (struct shot){strdup(id), strdup(prompt), strdup(answer)};
    return shot->id && shot->prompt && shot->answer ? STATUS_OK
                                                    : status_set(STATUS_INTERNAL, "no memory for an example");
}

void shots_free(struct shots *shots)
{
    for (int64_t i = 0; i < shots->count; i++) {
        free(shots->items[i].id);
        free(shots->items[i].prompt);
        free(shots->items[i].answer);
    }
    free(shots->items);
    *shots = (struct shots){0};
}

enum status units_spelled(const struct vocabulary *vocabulary, const int32_t *ids, int64_t count, char **out)
{
    char name[16], *text = malloc((size_t)count * sizeof name + 1), *at = text;
    *out = NULL;
    if (!text)
        return status_set(STATUS_INTERNAL, "no memory for %lld units", (long long)count);
    *at = 0;
    for (int64_t i = 0; i < count; i++) {
        vocabulary_token_name(vocabulary, ids[i], name);
        if (!*name) {
            free(text);
            return status_set(STATUS_INTERNAL, "id %d is no unit", (int)ids[i]);
        }
        at = stpcpy(at, name);
    }
    *out = text;
    return STATUS_OK;
}

enum status text_in_letters(const struct prompt_template *prompt, const char *text, char **out)
{
    char *copy = malloc(4 * strlen(text) + 1), *to = copy;
    *out = NULL;
    if (!copy)
        return status_set(STATUS_INTERNAL, "no memory for a text");
    for (const char *at = text; *at;) {
        utf8proc_int32_t character;
        utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)at, -1, &character);
        if (length < 1 || prompt->letters == LETTERS_KEEP) { /* other bytes stay as they are */
            *to++ = *at++;
            continue;
        }
        to += utf8proc_encode_char(utf8proc_tolower(character), (utf8proc_uint8_t *)to);
        at += length;
    }
    *to = 0;
    *out = copy;
    return STATUS_OK;
}

/* ---- whole prompts ---- */

static enum status append(FILE *stream, const char *pattern, const char *prompt, const char *answer)
{
    char *text;
    enum status result = template_fill(pattern, prompt, answer, &text);
    if (result == STATUS_OK)
        fputs(text, stream);
    free(text);
    return result;
}

static enum status make_string(const struct prompt_template *pattern, const struct shots *shots, int64_t count,
                               const char *item, char **out)
{
    enum status result = STATUS_OK;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    *out = NULL;
    if (!stream)
        return status_set(STATUS_INTERNAL, "no memory for a prompt");
    for (int64_t i = 0; i < count; i++) {
        fputs(i > 0 ? pattern->separator : "", stream);
        TRY(append(stream, pattern->shot, shots->items[i].prompt, shots->items[i].answer));
    }
    fputs(count > 0 ? pattern->last : "", stream);
    TRY(append(stream, count == 0 && *pattern->alone ? pattern->alone : pattern->item, item, ""));
fail:
    if (fclose(stream) != 0 && result == STATUS_OK)
        result = status_set(STATUS_INTERNAL, "no memory for a prompt");
    if (result == STATUS_OK)
        *out = text;
    else
        free(text);
    return result;
}

enum status whole_prompt_make(const struct components *components, const struct prompt_template *pattern,
                              const struct shots *shots, const char *item, int64_t context, struct whole_prompt *out)
{
    enum status result = STATUS_OK;
    struct prompt prompt = {0};
    char *text = NULL;
    *out = (struct whole_prompt){0};
    for (int64_t count = shots->count; count >= 0; count--) {
        TRY(make_string(pattern, shots, count, item, &text));
        const struct piece piece = {PIECE_STRING, text};
        TRY(prompt_create(components, &piece, 1, OUTPUT_ANY, &prompt));
        if (prompt.count + pattern->limit <= context) {
            *out = (struct whole_prompt){prompt.ids, prompt.count, shots->count - count};
            prompt.ids = NULL;
            break;
        }
        if (count == 0)
            FAIL(STATUS_USAGE, "a prompt of %lld tokens and %lld new ones are more than the model's context of %lld",
                 (long long)prompt.count, (long long)pattern->limit, (long long)context);
        prompt_free(&prompt);
        free(text);
        text = NULL;
    }
fail:
    prompt_free(&prompt);
    free(text);
    return result;
}
