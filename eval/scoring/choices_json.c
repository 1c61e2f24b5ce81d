/* Scores as a line of samples_TASK.jsonl, and back: numbers are written with the digits that give the same double again. */
#include "eval/scoring/choices.h"

#include <math.h>
#include <string.h>

static const char *const segment_names[CHOICE_SEGMENTS] = {"context", "hypothesis", "alone"};
static const char *const kind_names[CHOICE_KINDS] = {"text", "hubert", "pitch", "style", "tag", "eos"};

enum { NUMBERS = 4 + VOCABULARY_PARTS }; /* of a kind: count, sum, masked, logit, each part's log-sum-exp */

static json_t *kind_json(const struct kind_scores *scores)
{
    return json_pack("[I, f, f, f, f, f, f]", (json_int_t)scores->count, scores->sum, scores->masked, scores->logit,
                     scores->log_sum_exp[PART_TEXT], scores->log_sum_exp[PART_SPEECH], scores->log_sum_exp[PART_OTHER]);
}

/* Only kinds that occur. NULL: no memory. */
static json_t *segment_json(const struct kind_scores kinds[CHOICE_KINDS])
{
    json_t *json = json_object();
    for (int kind = 0; json && kind < CHOICE_KINDS; kind++)
        if (kinds[kind].count > 0 && json_object_set_new(json, kind_names[kind], kind_json(&kinds[kind])) != 0) {
            json_decref(json);
            return NULL;
        }
    return json;
}

static json_t *choice_json(const struct choice *choice)
{
    json_t *json =
        json_pack("{s:I, s:I}", "characters", (json_int_t)choice->characters, "bytes", (json_int_t)choice->bytes);
    for (int segment = 0; json && segment < CHOICE_SEGMENTS; segment++)
        if (json_object_set_new(json, segment_names[segment], segment_json(choice->scores[segment])) != 0) {
            json_decref(json);
            return NULL;
        }
    return json;
}

/* What an item lost to the model's context, where it did. */
static bool add_losses(json_t *json, const struct choice_item *item)
{
    return (item->cut_tokens == 0 || json_object_set_new(json, "cut_tokens", json_integer(item->cut_tokens)) == 0) &&
           (item->lost_shots == 0 || json_object_set_new(json, "lost_shots", json_integer(item->lost_shots)) == 0) &&
           (!item->eos_left_out || json_object_set_new(json, "eos_left_out", json_true()) == 0);
}

json_t *choice_item_json(const struct choice_item *item)
{
    json_t *choices = json_array();
    for (int64_t c = 0; choices && c < item->count; c++)
        if (json_array_append_new(choices, choice_json(&item->choices[c])) != 0) {
            json_decref(choices);
            return NULL;
        }
    json_t *json = json_pack("{s:s, s:O, s:I, s:o}", "doc_id", item->id, "doc", item->document, "target",
                             (json_int_t)item->answer, "choices", choices);
    if (json && !add_losses(json, item)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* ---- reading ---- */

static bool read_kind(const json_t *json, struct kind_scores *scores)
{
    double *const numbers[NUMBERS - 1] = {&scores->sum,
                                          &scores->masked,
                                          &scores->logit,
                                          &scores->log_sum_exp[PART_TEXT],
                                          &scores->log_sum_exp[PART_SPEECH],
                                          &scores->log_sum_exp[PART_OTHER]};
    if (!json_is_array(json) || json_array_size(json) != NUMBERS || !json_is_integer(json_array_get(json, 0)))
        return false;
    scores->count = json_integer_value(json_array_get(json, 0));
    for (int i = 0; i < NUMBERS - 1; i++) {
        const json_t *number = json_array_get(json, (size_t)i + 1);
        if (!json_is_number(number))
            return false;
        *numbers[i] = json_number_value(number);
    }
    return scores->count > 0;
}

static enum status read_segment(const char *where, const json_t *json, const char *name,
                                struct kind_scores kinds[CHOICE_KINDS])
{
    const char *key;
    json_t *value;
    if (!json_is_object(json))
        return status_set(STATUS_CORRUPT, "%s: a choice has no scores of its \"%s\"", where, name);
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        int kind = 0;
        while (kind < CHOICE_KINDS && strcmp(kind_names[kind], key) != 0)
            kind++;
        if (kind == CHOICE_KINDS || !read_kind(value, &kinds[kind]))
            return status_set(STATUS_CORRUPT, "%s: \"%s\" of a choice's %s are not %d scores of a kind of token", where,
                              key, name, (int)NUMBERS);
    }
    return STATUS_OK;
}

static enum status read_choice(const char *where, const json_t *json, struct choice *choice)
{
    enum status result = STATUS_OK;
    const json_t *characters = json_object_get(json, "characters"), *bytes = json_object_get(json, "bytes");
    if (!json_is_integer(characters) || !json_is_integer(bytes))
        FAIL(STATUS_CORRUPT, "%s: a choice needs the integers \"characters\" and \"bytes\"", where);
    choice->characters = json_integer_value(characters);
    choice->bytes = json_integer_value(bytes);
    for (int segment = 0; segment < CHOICE_SEGMENTS; segment++)
        TRY(read_segment(where, json_object_get(json, segment_names[segment]), segment_names[segment],
                         choice->scores[segment]));
fail:
    return result;
}

enum status choice_item_from_json(const char *where, const json_t *json, struct choice_set *set)
{
    enum status result = STATUS_OK;
    struct choice_item *item;
    const char *id = json_string_value(json_object_get(json, "doc_id"));
    const json_t *choices = json_object_get(json, "choices"), *target = json_object_get(json, "target");
    json_t *document = json_object_get(json, "doc");
    int64_t count = (int64_t)json_array_size(choices), answer = json_integer_value(target);
    if (!id || !json_is_object(document) || !json_is_integer(target) || count < 2 || answer < 0 || answer >= count)
        FAIL(STATUS_CORRUPT, "%s: expected an item with \"doc_id\", \"doc\", \"target\" and at least two \"choices\"",
             where);
    TRY(choice_set_add(set, id, json_incref(document), answer, count, &item));
    const json_t *cut = json_object_get(json, "cut_tokens"), *lost = json_object_get(json, "lost_shots");
    item->cut_tokens = json_integer_value(cut);
    item->lost_shots = json_integer_value(lost);
    item->eos_left_out = json_is_true(json_object_get(json, "eos_left_out"));
    if (item->cut_tokens < 0 || item->lost_shots < 0)
        FAIL(STATUS_CORRUPT, "%s: \"cut_tokens\" or \"lost_shots\" is negative", where);
    for (int64_t c = 0; c < count; c++)
        TRY(read_choice(where, json_array_get(choices, (size_t)c), &item->choices[c]));
fail:
    return result;
}
