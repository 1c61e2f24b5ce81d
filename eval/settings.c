/* Options that a configuration names go before those of the protocol. */
#include "eval/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* *member = choice - 1 unless the choice is "protocol". */
#define TAKE(member, type)                                                                                             \
    if (settings->member > 0)                                                                                          \
    protocol->member = (type)(settings->member - 1)

/* The paper's numbers are means over tokens; the sum beside them says how far that choice matters. */
static enum status choose_normalizations(const struct score_settings *settings, bool paper,
                                         const struct score_protocol *base, struct score_protocols *protocols)
{
    static const char *const both[] = {"token", "sum"};
    const struct config_list *given = &settings->normalize;
    bool named = given->count == 1 && !strcmp(given->items[0], "protocol");
    const char *const *words = named && paper ? both : given->items;
    int64_t count = named && paper ? 2 : given->count;
    *protocols = (struct score_protocols){.items = {*base}};
    if (named && !paper) {
        protocols->count = 1;
        protocols->pmi = normalize_is_pmi(base->normalize);
        return STATUS_OK;
    }
    for (int64_t i = 0; i < count; i++) {
        if (i == MOST_NORMALIZATIONS)
            return status_set(STATUS_USAGE, "score.normalize: expected at most %d words", MOST_NORMALIZATIONS);
        struct score_protocol *protocol = &protocols->items[i];
        *protocol = *base;
        enum status result = protocol_set(protocol, "normalize", words[i]);
        if (result != STATUS_OK)
            return result;
        protocols->pmi = protocols->pmi || normalize_is_pmi(protocol->normalize);
        protocols->count++;
    }
    return protocols->count > 0 ? STATUS_OK : status_set(STATUS_USAGE, "score.normalize: expected at least one word");
}

enum status score_protocols_over(const struct score_settings *settings, const struct score_protocol *given,
                                 enum score_scope natural, struct score_protocols *protocols)
{
    struct score_protocol base, *protocol = &base;
    const char *name = protocol_name(settings->protocol);
    if (!name || !protocol_find(name, protocol))
        return status_set(STATUS_INTERNAL, "there is no protocol of number %d", settings->protocol);
    bool paper = !given && !strcmp(name, "spiritlm");
    if (given)
        base = *given;
    /* The paper compares inputs whole within a modality, and a hypothesis given its context across them. */
    if (paper)
        protocol->scope = natural;
    TAKE(scope, enum score_scope);
    TAKE(count, enum score_count);
    TAKE(mask, enum score_mask);
    TAKE(tag, enum score_tag);
    TAKE(tie, enum score_tie);
    TAKE(bos, bool);
    TAKE(eos, bool);
    TAKE(text, enum score_text);
    return choose_normalizations(settings, paper, &base, protocols);
}

enum status score_protocols(const struct score_settings *settings, enum score_scope natural,
                            struct score_protocols *protocols)
{
    return score_protocols_over(settings, NULL, natural, protocols);
}

enum status evaluate_numbers(const char *key, const struct config_list *given, int64_t fallback, int64_t most,
                             int64_t **out, int64_t *count)
{
    enum status result = STATUS_OK;
    int64_t *numbers = calloc((size_t)given->count + 1, sizeof *numbers);
    *out = NULL;
    if (!numbers)
        FAIL(STATUS_INTERNAL, "no memory for %s", key);
    numbers[0] = fallback;
    *count = given->count > 0 ? given->count : 1;
    for (int64_t i = 0; i < given->count; i++) {
        char *end;
        errno = 0;
        long long value = isdigit((unsigned char)*given->items[i]) ? strtoll(given->items[i], &end, 10) : -1;
        if (value < 0 || *end || errno || value > most)
            FAIL(STATUS_USAGE, "%s: expected numbers from 0 to %lld, found \"%s\"", key, (long long)most,
                 given->items[i]);
        for (int64_t k = 0; k < i; k++)
            if (numbers[k] == value)
                FAIL(STATUS_USAGE, "%s: %lld is there twice", key, value);
        numbers[i] = value;
    }
    *out = numbers;
    return STATUS_OK;
fail:
    free(numbers);
    return result;
}

enum status evaluate_settings_check(struct evaluate_settings *settings)
{
    enum status result = STATUS_OK;
    int64_t *numbers = NULL, count;
    settings->shots = -1;
    TRY(evaluate_numbers("evaluate.seeds", &settings->seeds, 0, INT64_MAX, &numbers, &count));
    free(numbers);
    numbers = NULL;
    TRY(evaluate_numbers("evaluate.shots", &settings->shot_list, -1, 1000, &numbers, &count));
    settings->shots = count > 1 ? -2 : numbers[0];
fail:
    free(numbers);
    return result;
}

enum status evaluate_shots(const struct evaluate_settings *settings, const char *task, int64_t fallback, int64_t *shots)
{
    if (settings->shots < -1)
        return status_set(STATUS_USAGE, "evaluate.shots: %s takes one number", task);
    *shots = settings->shots < 0 ? fallback : settings->shots;
    return STATUS_OK;
}
