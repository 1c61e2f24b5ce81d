/* Three kinds of rows, read by one loop over lines. */
#include "eval/stsp/manifest.h"

#include "core/array.h"
#include "core/path.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lines ---- */

typedef enum status row_reader(const char *where, const json_t *row, int64_t line, void *into);

static enum status read_lines(const char *file, const char *text, int64_t size, row_reader *reader, void *into,
                              const int64_t *count)
{
    enum status result = STATUS_OK;
    char where[PATH_BYTES + 32];
    json_t *row = NULL;
    int64_t number = 0;
    for (const char *at = text, *end = text + size, *next; at < end; at = next + 1) {
        next = memchr(at, '\n', (size_t)(end - at));
        next = next ? next : end;
        number++;
        size_t blank = strspn(at, " \t\r");
        if (at + blank >= next)
            continue;
        snprintf(where, sizeof where, "%s:%lld", file, (long long)number);
        TRY(jdoc_parse(where, at, next - at, &row));
        if (!json_is_object(row))
            FAIL(STATUS_CORRUPT, "%s: expected an object", where);
        TRY(reader(where, row, number, into));
        json_decref(row);
        row = NULL;
    }
    if (*count == 0)
        FAIL(STATUS_CORRUPT, "%s: there is no row in it", file);
fail:
    json_decref(row);
    return result;
}

/* ---- members ---- */

static enum status copy(const char *text, char **to)
{
    *to = strdup(text);
    return *to ? STATUS_OK : status_set(STATUS_INTERNAL, "no memory for a row");
}

static enum status read_id(const char *where, const json_t *row, char **id)
{
    const json_t *value = json_object_get(row, "id");
    char digits[32];
    if (json_is_string(value))
        return copy(json_string_value(value), id);
    if (!json_is_integer(value))
        return status_set(STATUS_CORRUPT, "%s: id: expected a text or an integer of 64 bits", where);
    snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(value));
    return copy(digits, id);
}

static enum status read_label(const char *where, const json_t *row, const char *key, enum sentiment *sentiment)
{
    const char *label;
    enum status result = jdoc_get_string(where, row, key, &label);
    if (result == STATUS_OK && !sentiment_find(label, sentiment))
        return status_set(STATUS_CORRUPT, "%s: %s: expected one of %s, found \"%.60s\"", where, key, sentiment_labels(),
                          label);
    return result;
}

/* The sentiment, or that of the emotion where there is none. Emotions that stand for none may be named beside it. */
static enum status read_sentiment(const char *where, const json_t *row, enum sentiment *sentiment)
{
    enum status result = STATUS_OK;
    enum sentiment other;
    const char *emotion;
    if (!jdoc_has(row, "sentiment"))
        return read_label(where, row, "emotion", sentiment);
    TRY(read_label(where, row, "sentiment", sentiment));
    if (!jdoc_has(row, "emotion"))
        return STATUS_OK;
    TRY(jdoc_get_string(where, row, "emotion", &emotion));
    if (sentiment_find(emotion, &other) && other != *sentiment)
        FAIL(STATUS_CORRUPT, "%s: the sentiment is %s, but the emotion stands for %s", where,
             sentiment_name(*sentiment), sentiment_name(other));
fail:
    return result;
}

/* A text, or NULL where there is none. */
static enum status read_optional(const char *where, const json_t *row, const char *key, char **text)
{
    const char *value;
    if (!jdoc_has(row, key))
        return STATUS_OK;
    enum status result = jdoc_get_string(where, row, key, &value);
    return result == STATUS_OK ? copy(value, text) : result;
}

/* ---- prompts ---- */

static enum status read_prompt(const char *where, const json_t *row, int64_t line, void *into)
{
    enum status result = STATUS_OK;
    struct stsp_prompts *prompts = into;
    TRY(array_grow(&prompts->items, &prompts->capacity, prompts->count + 1, "prompts"));
    struct stsp_prompt *prompt = &prompts->items[prompts->count++];
    *prompt = (struct stsp_prompt){.line = line};
    TRY(read_id(where, row, &prompt->id));
    TRY(read_sentiment(where, row, &prompt->sentiment));
    TRY(read_optional(where, row, "wav_path", &prompt->recording));
    TRY(read_optional(where, row, "asr", &prompt->text));
    if (!prompt->recording && !prompt->text)
        FAIL(STATUS_CORRUPT, "%s: expected wav_path or asr", where);
fail:
    return result;
}

static int by_prompt_id(const void *a, const void *b)
{
    const struct stsp_prompt *x = *(const struct stsp_prompt *const *)a, *y = *(const struct stsp_prompt *const *)b;
    int order = strcmp(x->id, y->id);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static enum status refuse_doubles(const char *where, const struct stsp_prompts *prompts)
{
    enum status result = STATUS_OK;
    const struct stsp_prompt **order = calloc((size_t)prompts->count + 1, sizeof *order);
    if (!order)
        return status_set(STATUS_INTERNAL, "no memory for %lld prompts", (long long)prompts->count);
    for (int64_t i = 0; i < prompts->count; i++)
        order[i] = &prompts->items[i];
    qsort(order, (size_t)prompts->count, sizeof *order, by_prompt_id);
    for (int64_t i = 1; i < prompts->count; i++)
        if (!strcmp(order[i - 1]->id, order[i]->id))
            FAIL(STATUS_CORRUPT, "%s:%lld: the id %s is in line %lld too", where, (long long)order[i]->line,
                 order[i]->id, (long long)order[i - 1]->line);
fail:
    free(order);
    return result;
}

enum status stsp_prompts_parse(const char *where, const char *text, int64_t size, struct stsp_prompts *prompts)
{
    *prompts = (struct stsp_prompts){0};
    enum status result = read_lines(where, text, size, read_prompt, prompts, &prompts->count);
    return result == STATUS_OK ? refuse_doubles(where, prompts) : result;
}

void stsp_prompt_free(struct stsp_prompt *prompt)
{
    free(prompt->id);
    free(prompt->recording);
    free(prompt->text);
    *prompt = (struct stsp_prompt){0};
}

void stsp_prompts_free(struct stsp_prompts *prompts)
{
    for (int64_t i = 0; i < prompts->count; i++)
        stsp_prompt_free(&prompts->items[i]);
    free(prompts->items);
    *prompts = (struct stsp_prompts){0};
}

/* ---- examples ---- */

static enum status read_example(const char *where, const json_t *row, int64_t line, void *into)
{
    enum status result = STATUS_OK;
    struct stsp_examples *examples = into;
    const char *prompt, *generation;
    TRY(jdoc_get_string(where, row, "prompt", &prompt));
    TRY(jdoc_get_string(where, row, "generation", &generation));
    TRY(array_grow(&examples->items, &examples->capacity, examples->count + 1, "examples"));
    struct stsp_example *example = &examples->items[examples->count++];
    *example = (struct stsp_example){.line = line};
    TRY(read_sentiment(where, row, &example->sentiment));
    TRY(copy(prompt, &example->prompt));
    TRY(copy(generation, &example->generation));
fail:
    return result;
}

enum status stsp_examples_parse(const char *where, const char *text, int64_t size, struct stsp_examples *examples)
{
    *examples = (struct stsp_examples){0};
    return read_lines(where, text, size, read_example, examples, &examples->count);
}

void stsp_examples_free(struct stsp_examples *examples)
{
    for (int64_t i = 0; i < examples->count; i++) {
        free(examples->items[i].prompt);
        free(examples->items[i].generation);
    }
    free(examples->items);
    *examples = (struct stsp_examples){0};
}

/* ---- predictions ---- */

static enum status read_prediction(const char *where, const json_t *row, int64_t line, void *into)
{
    enum status result = STATUS_OK;
    struct stsp_predictions *predictions = into;
    (void)line;
    TRY(array_grow(&predictions->items, &predictions->capacity, predictions->count + 1, "predictions"));
    struct stsp_prediction *prediction = &predictions->items[predictions->count++];
    *prediction = (struct stsp_prediction){0};
    TRY(read_id(where, row, &prediction->id));
    TRY(read_label(where, row, "pred", &prediction->sentiment));
fail:
    return result;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct stsp_prediction *)a)->id, ((const struct stsp_prediction *)b)->id);
}

enum status stsp_predictions_parse(const char *where, const char *text, int64_t size,
                                   struct stsp_predictions *predictions)
{
    *predictions = (struct stsp_predictions){0};
    enum status result = read_lines(where, text, size, read_prediction, predictions, &predictions->count);
    if (result != STATUS_OK)
        return result;
    qsort(predictions->items, (size_t)predictions->count, sizeof *predictions->items, by_id);
    for (int64_t i = 1; i < predictions->count; i++)
        if (!strcmp(predictions->items[i - 1].id, predictions->items[i].id))
            return status_set(STATUS_CORRUPT, "%s: the id %s is there twice", where, predictions->items[i].id);
    return STATUS_OK;
}

void stsp_predictions_free(struct stsp_predictions *predictions)
{
    for (int64_t i = 0; i < predictions->count; i++)
        free(predictions->items[i].id);
    free(predictions->items);
    *predictions = (struct stsp_predictions){0};
}

const struct stsp_prediction *stsp_predictions_find(const struct stsp_predictions *predictions, const char *id)
{
    const struct stsp_prediction key = {.id = (char *)(uintptr_t)id};
    return predictions->count == 0
               ? NULL
               : bsearch(&key, predictions->items, (size_t)predictions->count, sizeof *predictions->items, by_id);
}
