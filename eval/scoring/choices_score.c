/* The scores of choices: their sequences go to the model in one list, and what comes back is added up by segment and kind of token. */
#include "eval/scoring/choices.h"

#include "core/hash.h"
#include "eval/scoring/choices_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- tokens ---- */

static enum choice_kind kind_of(const struct vocabulary *vocabulary, int32_t id)
{
    if (id == vocabulary->eos)
        return CHOICE_EOS;
    switch (vocabulary_kind(vocabulary, id)) {
    case TOKEN_HUBERT:
        return CHOICE_HUBERT;
    case TOKEN_PITCH:
        return CHOICE_PITCH;
    case TOKEN_STYLE:
        return CHOICE_STYLE;
    case TOKEN_TEXT:
        return CHOICE_TEXT;
    default:
        return CHOICE_TAG;
    }
}

static void add_token(struct kind_scores kinds[CHOICE_KINDS], enum choice_kind kind, const struct token_score *score)
{
    struct kind_scores *sums = &kinds[kind];
    double plain = token_log_probability(score);
    sums->count++;
    sums->sum += plain;
    sums->masked += kind == CHOICE_TAG || kind == CHOICE_EOS
                        ? plain
                        : token_masked_log_probability(score, kind == CHOICE_TEXT ? PART_SPEECH : PART_TEXT);
    sums->logit += (double)score->logit;
    for (int part = 0; part < VOCABULARY_PARTS; part++)
        if (isfinite(score->log_sum_exp[part]))
            sums->log_sum_exp[part] += score->log_sum_exp[part];
}

static void add_sequence(const struct vocabulary *vocabulary, const struct token_sequence *sequence, int64_t context,
                         struct kind_scores before[CHOICE_KINDS], struct kind_scores after[CHOICE_KINDS])
{
    for (int64_t i = sequence->first; i < sequence->count; i++)
        add_token(i < context ? before : after, kind_of(vocabulary, sequence->ids[i]),
                  &sequence->scores[i - sequence->first]);
}

/* ---- the list ---- */

/* The sequences of all choices, or all of what they are without their contexts. */
struct sequence_list {
    const struct choice_scoring *scoring;
    bool alone;
    struct token_sequence *sequences;
    struct choice **choices; /* whose they are */
    int64_t count;
};

static void add_to_list(struct sequence_list *list, struct choice *choice)
{
    if (list->sequences) {
        list->choices[list->count] = choice;
        list->sequences[list->count] =
            list->alone
                ? (struct token_sequence){.ids = choice->alone, .count = choice->alone_count, .first = choice->first}
                : (struct token_sequence){.ids = choice->ids, .count = choice->count, .first = choice->first};
    }
    list->count++;
}

static void list_sequences(const struct choice_set *set, struct sequence_list *list)
{
    list->count = 0;
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t c = 0; c < set->items[i].count; c++)
            if (!list->alone || set->items[i].choices[c].alone)
                add_to_list(list, &set->items[i].choices[c]);
}

/* ---- the journal ---- */

enum { KEY_BYTES = 80 };

/* A part is known by all that decides its sums: ids, and where segments begin. */
static void make_key(const struct sequence_list *list, const int64_t *members, int64_t count, char key[KEY_BYTES])
{
    char hex[65];
    struct sha256_stream *stream = sha256_start();
    for (int64_t i = 0; i < count; i++) {
        const struct token_sequence *sequence = &list->sequences[members[i]];
        const struct choice *choice = list->choices[members[i]];
        const int64_t numbers[3] = {sequence->count, sequence->first,
                                    list->alone ? choice->alone_context : choice->context};
        sha256_add(stream, numbers, sizeof numbers);
        sha256_add(stream, sequence->ids, (size_t)sequence->count * sizeof *sequence->ids);
    }
    const struct sha256 hash = sha256_finish(stream);
    sha256_hex(&hash, hex);
    snprintf(key, KEY_BYTES, "%s#%s", list->alone ? "alone" : "whole", hex);
}

static enum status keep_part(const struct sequence_list *list, const int64_t *members, int64_t count)
{
    char key[KEY_BYTES];
    json_t *all = json_array();
    if (!list->scoring->journal) {
        json_decref(all);
        return STATUS_OK;
    }
    for (int64_t i = 0; all && i < count; i++)
        if (json_array_append_new(all, choice_scores_json(list->choices[members[i]], list->alone)) != 0) {
            json_decref(all);
            all = NULL;
        }
    make_key(list, members, count, key);
    return journal_add(list->scoring->journal, key, all);
}

static bool is_known(void *context, const int64_t *members, int64_t count)
{
    const struct sequence_list *list = context;
    char key[KEY_BYTES];
    if (!list->scoring->journal)
        return false;
    make_key(list, members, count, key);
    const json_t *all = journal_find(list->scoring->journal, key);
    bool known = (int64_t)json_array_size(all) == count;
    for (int64_t i = 0; known && i < count; i++)
        known = choice_scores_from_json(key, json_array_get(all, (size_t)i), list->alone, list->choices[members[i]]) ==
                STATUS_OK;
    return known;
}

static enum status take_part(void *context, const int64_t *members, int64_t count)
{
    const struct sequence_list *list = context;
    const struct vocabulary *vocabulary = list->scoring->vocabulary;
    for (int64_t i = 0; i < count; i++) {
        const struct token_sequence *sequence = &list->sequences[members[i]];
        struct choice *choice = list->choices[members[i]];
        struct kind_scores unused[CHOICE_KINDS] = {{0}};
        if (list->alone)
            add_sequence(vocabulary, sequence, choice->alone_context, unused, choice->scores[SEGMENT_ALONE]);
        else
            add_sequence(vocabulary, sequence, choice->context, choice->scores[SEGMENT_CONTEXT],
                         choice->scores[SEGMENT_HYPOTHESIS]);
    }
    return keep_part(list, members, count);
}

/* ---- all of them ---- */

enum status choices_check(const struct llama *model, const struct choice_set *set)
{
    int64_t context = model->config.maximum_positions;
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t c = 0; c < set->items[i].count; c++) {
            const struct choice *choice = &set->items[i].choices[c];
            if (choice->count - 1 > context)
                return status_set(STATUS_USAGE, "%s: choice %lld has %lld tokens, but the model's context is %lld",
                                  set->items[i].id, (long long)c, (long long)choice->count, (long long)context);
        }
    return STATUS_OK;
}

static enum status score_list(const struct choice_scoring *scoring, const struct choice_set *set, bool alone)
{
    enum status result = STATUS_OK;
    struct sequence_list list = {.scoring = scoring, .alone = alone};
    const struct score_sink sink = {is_known, take_part, &list};
    list_sequences(set, &list); /* counts them */
    if (list.count == 0)
        return STATUS_OK;
    list.choices = calloc((size_t)list.count + 1, sizeof(struct choice *));
    list.sequences = calloc((size_t)list.count + 1, sizeof *list.sequences);
    if (!list.choices || !list.sequences)
        FAIL(STATUS_INTERNAL, "no memory to score %lld sequences", (long long)list.count);
    list_sequences(set, &list);
    TRY(token_scores_parts(scoring->models, scoring->ranks, scoring->vocabulary, list.sequences, list.count, &sink));
fail:
    free(list.sequences);
    free(list.choices);
    return result;
}

/* In two lists, so that the scores of whole sequences have the same bits whether or not those without context are wanted too. */
enum status choices_score_by(const struct choice_scoring *scoring, struct choice_set *set)
{
    enum status result = STATUS_OK;
    TRY(choices_check(scoring->models[0], set));
    TRY(score_list(scoring, set, false));
    TRY(score_list(scoring, set, true));
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t c = 0; c < set->items[i].count; c++)
            choice_free_ids(&set->items[i].choices[c]);
fail:
    return result;
}

enum status choices_score(struct llama *model, const struct vocabulary *vocabulary, struct choice_set *set)
{
    return choices_score_by(&(struct choice_scoring){.models = &model, .ranks = 1, .vocabulary = vocabulary}, set);
}
