/* The pass gives every token's score once; sums by segment and kind are what protocols differ in, so nothing else is kept. */
#include "eval/scoring/choices.h"

#include "core/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum status choice_set_add(struct choice_set *set, const char *id, json_t *document, int64_t answer, int64_t choices,
                           struct choice_item **out)
{
    enum status result = STATUS_OK;
    struct choice_item item = {.id = strdup(id), .document = document, .answer = answer, .count = choices};
    item.choices = calloc((size_t)choices + 1, sizeof *item.choices);
    if (!item.id || !item.document || !item.choices)
        FAIL(STATUS_INTERNAL, "no memory for item %s", id);
    TRY(array_grow(&set->items, &set->capacity, set->count + 1, "items"));
    set->items[set->count] = item;
    *out = &set->items[set->count++];
    return STATUS_OK;
fail:
    free(item.id);
    free(item.choices);
    json_decref(document);
    return result;
}

static void free_ids(struct choice *choice)
{
    free(choice->ids);
    free(choice->alone);
    choice->ids = choice->alone = NULL;
}

static void free_item(struct choice_item *item)
{
    for (int64_t c = 0; c < item->count; c++)
        free_ids(&item->choices[c]);
    free(item->choices);
    free(item->id);
    json_decref(item->document);
}

void choice_set_drop_last(struct choice_set *set)
{
    free_item(&set->items[--set->count]);
}

void choice_set_free(struct choice_set *set)
{
    for (int64_t i = 0; i < set->count; i++)
        free_item(&set->items[i]);
    free(set->items);
    *set = (struct choice_set){0};
}

/* ---- what fits ---- */

/* One sequence. *cut: how many tokens its left end lost. */
static enum status cut_sequence(int32_t *ids, int64_t *count, int64_t *begin, int64_t context, bool drop_eos,
                                struct choice_item *item, int64_t *cut)
{
    int64_t most = context + 1;
    *cut = 0;
    if (*count > most && drop_eos) {
        (*count)--;
        item->eos_left_out = true;
    }
    if (*count <= most)
        return STATUS_OK;
    *cut = *count - most;
    if (*cut >= *begin)
        return status_set(STATUS_USAGE, "a hypothesis of %lld tokens is longer than the model's context of %lld",
                          (long long)(*count - *begin), (long long)context);
    memmove(ids, ids + *cut, (size_t)most * sizeof *ids);
    *count = most;
    *begin -= *cut;
    return STATUS_OK;
}

enum status choice_cut(struct choice_item *item, struct choice *choice, int64_t context, bool drop_eos)
{
    enum status result = STATUS_OK;
    int64_t cut;
    TRY(cut_sequence(choice->ids, &choice->count, &choice->context, context, drop_eos, item, &cut));
    choice->first = choice->first - cut > 1 ? choice->first - cut : 1;
    item->cut_tokens = cut > item->cut_tokens ? cut : item->cut_tokens;
    if (choice->alone)
        TRY(cut_sequence(choice->alone, &choice->alone_count, &choice->alone_context, context, drop_eos, item, &cut));
fail:
    return result;
}

int64_t choice_item_reads(const struct choice_item *item)
{
    int64_t most = 0;
    for (int64_t c = 0; c < item->count; c++) {
        most = item->choices[c].count - 1 > most ? item->choices[c].count - 1 : most;
        most = item->choices[c].alone_count - 1 > most ? item->choices[c].alone_count - 1 : most;
    }
    return most;
}

/* ---- scores ---- */

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

/* The sequences of all choices, or all of what they are without their contexts. */
struct sequence_list {
    struct token_sequence *sequences;
    struct token_score *scores; /* of all of them */
    int64_t count, tokens;
};

static void add_to_list(struct sequence_list *list, const int32_t *ids, int64_t count, int64_t first)
{
    if (list->sequences)
        list->sequences[list->count] = (struct token_sequence){
            .ids = ids, .count = count, .first = first, .scores = list->scores ? list->scores + list->tokens : NULL};
    list->count++;
    list->tokens += count > first ? count - first : 0;
}

static void list_sequences(const struct choice_set *set, bool alone, struct sequence_list *list)
{
    list->count = list->tokens = 0;
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t c = 0; c < set->items[i].count; c++) {
            const struct choice *choice = &set->items[i].choices[c];
            if (!alone)
                add_to_list(list, choice->ids, choice->count, choice->first);
            else if (choice->alone)
                add_to_list(list, choice->alone, choice->alone_count, choice->first);
        }
}

static enum status check_lengths(int64_t context, const struct choice_set *set)
{
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t c = 0; c < set->items[i].count; c++) {
            const struct choice *choice = &set->items[i].choices[c];
            if (choice->count - 1 > context)
                return status_set(STATUS_USAGE, "%s: choice %lld has %lld tokens, but the model's context is %lld",
                                  set->items[i].id, (long long)c, (long long)choice->count, (long long)context);
        }
    return STATUS_OK;
}

static void collect(const struct vocabulary *vocabulary, struct choice_set *set, bool alone,
                    const struct sequence_list *list)
{
    const struct token_sequence *next = list->sequences;
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t c = 0; c < set->items[i].count; c++) {
            struct choice *choice = &set->items[i].choices[c];
            struct kind_scores unused[CHOICE_KINDS] = {{0}};
            if (!alone)
                add_sequence(vocabulary, next++, choice->context, choice->scores[SEGMENT_CONTEXT],
                             choice->scores[SEGMENT_HYPOTHESIS]);
            else if (choice->alone)
                add_sequence(vocabulary, next++, choice->alone_context, unused, choice->scores[SEGMENT_ALONE]);
        }
}

static enum status score_list(struct llama *model, const struct vocabulary *vocabulary, struct choice_set *set,
                              bool alone)
{
    enum status result = STATUS_OK;
    struct sequence_list list = {0};
    list_sequences(set, alone, &list); /* counts them */
    if (list.count == 0)
        return STATUS_OK;
    list.sequences = calloc((size_t)list.count + 1, sizeof *list.sequences);
    list.scores = calloc((size_t)list.tokens + 1, sizeof *list.scores);
    if (!list.sequences || !list.scores)
        FAIL(STATUS_INTERNAL, "no memory for the scores of %lld tokens", (long long)list.tokens);
    list_sequences(set, alone, &list);
    TRY(token_scores_run(model, vocabulary, list.sequences, list.count));
    collect(vocabulary, set, alone, &list);
fail:
    free(list.sequences);
    free(list.scores);
    return result;
}

/* In two lists, so that the scores of whole sequences have the same bits whether or not those without context are wanted too. */
enum status choices_score(struct llama *model, const struct vocabulary *vocabulary, struct choice_set *set)
{
    enum status result = STATUS_OK;
    TRY(check_lengths(model->config.maximum_positions, set));
    TRY(score_list(model, vocabulary, set, false));
    TRY(score_list(model, vocabulary, set, true));
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t c = 0; c < set->items[i].count; c++)
            free_ids(&set->items[i].choices[c]);
fail:
    return result;
}

/* ---- decisions ---- */

static bool counts(const struct score_protocol *protocol, enum choice_kind kind)
{
    switch (kind) {
    case CHOICE_PITCH:
    case CHOICE_STYLE:
        return protocol->count == COUNT_ALL;
    case CHOICE_TAG:
        return protocol->tag == TAG_SCORED;
    case CHOICE_EOS:
        return protocol->eos;
    default:
        return true;
    }
}

static void add_segment(const struct kind_scores kinds[CHOICE_KINDS], const struct score_protocol *protocol,
                        double *sum, int64_t *count)
{
    for (int kind = 0; kind < CHOICE_KINDS; kind++)
        if (counts(protocol, (enum choice_kind)kind)) {
            *sum += protocol->mask == MASK_MODALITY ? kinds[kind].masked : kinds[kind].sum;
            *count += kinds[kind].count;
        }
}

static enum status normalized(const struct choice *choice, enum score_normalize normalize, double sum, int64_t count,
                              double *value)
{
    const bool by_tokens = normalize == NORMALIZE_TOKEN || normalize == NORMALIZE_PMI_TOKEN;
    int64_t length = by_tokens                     ? count
                     : normalize == NORMALIZE_CHAR ? choice->characters
                     : normalize == NORMALIZE_BYTE ? choice->bytes
                                                   : 1;
    if (count == 0)
        return status_set(STATUS_USAGE, "a hypothesis has no tokens that count");
    if (length == 0)
        return status_set(STATUS_USAGE, "score.normalize=%s: the hypothesis is speech, which has none",
                          normalize == NORMALIZE_CHAR ? "char" : "byte");
    *value = sum / (double)length;
    return STATUS_OK;
}

enum status choice_value(const struct choice *choice, const struct score_protocol *protocol, double *value)
{
    double sum = 0, alone = 0;
    int64_t count = 0, alone_count = 0;
    bool pmi = normalize_is_pmi(protocol->normalize);
    if (protocol->scope == SCOPE_WHOLE && !pmi)
        add_segment(choice->scores[SEGMENT_CONTEXT], protocol, &sum, &count);
    add_segment(choice->scores[SEGMENT_HYPOTHESIS], protocol, &sum, &count);
    if (pmi) {
        add_segment(choice->scores[SEGMENT_ALONE], protocol, &alone, &alone_count);
        if (alone_count == 0)
            return status_set(STATUS_USAGE, "score.normalize=%s: there are no scores without the context",
                              protocol->normalize == NORMALIZE_PMI ? "pmi" : "pmi-token");
    }
    return normalized(choice, protocol->normalize, sum - alone, count, value);
}

enum status choice_decide(const struct choice_item *item, const struct score_protocol *protocol, double *won,
                          bool *tied)
{
    double best = -INFINITY, right = -INFINITY;
    int64_t equals = 0, first = -1;
    for (int64_t c = 0; c < item->count; c++) {
        double value;
        enum status result = choice_value(&item->choices[c], protocol, &value);
        if (result != STATUS_OK)
            return status_prefix(result, "%s", item->id);
        if (!isfinite(value))
            return status_set(STATUS_CORRUPT, "%s: the score of choice %lld is not finite", item->id, (long long)c);
        right = c == item->answer ? value : right;
        if (value > best) {
            best = value;
            equals = 0;
            first = c;
        }
        equals += value == best;
    }
    if (protocol->eos && item->eos_left_out)
        return status_set(
            STATUS_USAGE,
            "%s: score.eos=yes: a choice was cut to the model's context and has no EOS; run the task again", item->id);
    *tied = equals > 1;
    if (right < best)
        *won = 0;
    else if (!*tied)
        *won = 1;
    else if (protocol->tie == TIE_HALF)
        *won = 1 / (double)equals;
    else
        *won = protocol->tie == TIE_FIRST && first == item->answer;
    return STATUS_OK;
}
