/* The ids are those that training would have shown, part by part: the beginning, then each side after its tag. EOS always follows, as
 * it costs one token and lets the protocol decide later whether it counts. */
#include "eval/scoring/hypothesis.h"

#include "core/array.h"
#include "text/white_space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status append_ids(struct prompt *prompt, const int32_t *ids, int64_t count)
{
    enum status result = array_grow(&prompt->ids, &prompt->capacity, prompt->count + count, "tokens of a hypothesis");
    if (result == STATUS_OK && count > 0) {
        memcpy(prompt->ids + prompt->count, ids, (size_t)count * sizeof *ids);
        prompt->count += count;
    }
    return result;
}

static enum status append_side(const struct components *components, const struct side *side, struct prompt *prompt)
{
    if (side->text)
        return prompt_append_piece(components, &(struct piece){PIECE_TEXT, side->text}, prompt);
    return append_ids(prompt, side->units, side->unit_count);
}

static enum status append_tag(const struct components *components, const struct score_protocol *protocol, bool speech,
                              struct prompt *prompt)
{
    return protocol->tag == TAG_ABSENT ? STATUS_OK : prompt_append_tag(components, speech, prompt);
}

/* How many ids a text has after what is already in the prompt. */
static enum status count_text(const struct components *components, const struct prompt *before, const char *text,
                              int64_t *count)
{
    enum status result = STATUS_OK;
    struct prompt copy = {.state = {-1, -1}};
    TRY(append_ids(&copy, before->ids, before->count));
    TRY(prompt_append_piece(components, &(struct piece){PIECE_TEXT, text}, &copy));
    *count = copy.count - before->count;
fail:
    prompt_free(&copy);
    return result;
}

/* Both in one: "CONTEXT HYPOTHESIS". */
static enum status append_joined(const struct components *components, const char *context, const char *hypothesis,
                                 struct prompt *prompt, int64_t *hypothesis_begin)
{
    enum status result = STATUS_OK;
    char *joined = NULL;
    int64_t length = 0, before = prompt->count;
    TRY(count_text(components, prompt, context, &length));
    if (asprintf(&joined, "%s %s", context, hypothesis) < 0) {
        joined = NULL;
        FAIL(STATUS_INTERNAL, "no memory for a hypothesis");
    }
    TRY(prompt_append_piece(components, &(struct piece){PIECE_TEXT, joined}, prompt));
    *hypothesis_begin = before + length;
fail:
    free(joined);
    return result;
}

/* Text as it is. */
static enum status append_encoded(const struct components *components, const char *text, int64_t size,
                                  struct prompt *prompt)
{
    enum status result = STATUS_OK;
    int32_t *ids = NULL;
    int64_t count = 0;
    bool prefix = components->vocabulary.dummy_prefix == DUMMY_PREFIX_SPAN;
    TRY(text_model_encode(components->text, text, size, prefix, &ids, &count));
    TRY(append_ids(prompt, ids, count));
fail:
    free(ids);
    return result;
}

/* "CONTEXT HYPOTHESIS", cut after as many ids as the context has without the white space at its end. */
static enum status append_exact(const struct components *components, const char *context, const char *hypothesis,
                                struct prompt *prompt, int64_t *hypothesis_begin)
{
    enum status result = STATUS_OK;
    int64_t begin = 0, end = (int64_t)strlen(context), before = prompt->count;
    char *joined = NULL;
    trim_python_space(context, &begin, &end);
    if (begin < end)
        TRY(append_encoded(components, context, end, prompt));
    *hypothesis_begin = prompt->count;
    prompt->count = before;
    if (asprintf(&joined, "%s %s", context, hypothesis) < 0) {
        joined = NULL;
        FAIL(STATUS_INTERNAL, "no memory for a hypothesis");
    }
    TRY(append_encoded(components, joined, (int64_t)strlen(joined), prompt));
fail:
    free(joined);
    return result;
}

/* The context, if there is one, with its tag. */
static enum status append_context(const struct components *components, const struct score_protocol *protocol,
                                  const struct side *context, struct prompt *prompt)
{
    enum status result = STATUS_OK;
    TRY(append_tag(components, protocol, !context->text, prompt));
    TRY(append_side(components, context, prompt));
fail:
    return result;
}

static enum status append_sides(const struct components *components, const struct score_protocol *protocol,
                                const struct side *context, const struct side *hypothesis, struct prompt *prompt,
                                int64_t *begin)
{
    enum status result = STATUS_OK;
    bool same = context && !context->text == !hypothesis->text;
    if (protocol->text == TEXT_EXACT && hypothesis->text && (same || !context)) {
        TRY(append_tag(components, protocol, false, prompt));
        return append_exact(components, context ? context->text : "", hypothesis->text, prompt, begin);
    }
    if (same && context->text) {
        TRY(append_tag(components, protocol, false, prompt));
        return append_joined(components, context->text, hypothesis->text, prompt, begin);
    }
    if (context)
        TRY(append_context(components, protocol, context, prompt));
    if (!same)
        TRY(append_tag(components, protocol, !hypothesis->text, prompt));
    *begin = prompt->count;
    TRY(append_side(components, hypothesis, prompt));
fail:
    return result;
}

/* The ids of one sequence, which the caller frees. */
static enum status build_ids(const struct components *components, const struct score_protocol *protocol,
                             const struct side *context, const struct side *hypothesis, struct prompt *prompt,
                             int64_t *first, int64_t *begin)
{
    enum status result = STATUS_OK;
    *prompt = (struct prompt){.state = {-1, -1}};
    TRY(prompt_append_beginning(components, protocol->bos, prompt));
    *first = prompt->count > 1 ? prompt->count : 1;
    TRY(append_sides(components, protocol, context, hypothesis, prompt, begin));
    if (prompt->count <= *begin)
        FAIL(STATUS_USAGE, "the hypothesis has no tokens");
    if (components->vocabulary.eos >= 0)
        TRY(append_ids(prompt, &components->vocabulary.eos, 1));
fail:
    return result;
}

/* Of well-formed UTF-8: bytes that do not continue a character. */
static int64_t count_characters(const char *text)
{
    int64_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

/* The units of speech after speech, without those that only repeat what the context ends with; *kept, which the caller frees, holds
 * them. What would leave nothing stays as it is. */
static enum status continue_units(const struct vocabulary *vocabulary, const struct side *context, struct side *side,
                                  int32_t **kept)
{
    enum { KINDS = 2 };
    static const enum token_kind kinds[KINDS] = {TOKEN_HUBERT, TOKEN_PITCH}; /* style is never merged */
    int32_t last[KINDS] = {-1, -1};
    bool begun[KINDS] = {false, false};
    int64_t count = 0;
    int32_t *ids = malloc((size_t)(side->unit_count + 1) * sizeof *ids);
    if (!ids)
        return status_set(STATUS_INTERNAL, "no memory for a hypothesis");
    for (int64_t i = 0; i < context->unit_count; i++)
        for (int k = 0; k < KINDS; k++)
            if (vocabulary_kind(vocabulary, context->units[i]) == kinds[k])
                last[k] = context->units[i];
    for (int64_t i = 0; i < side->unit_count; i++) {
        bool repeats = false;
        for (int k = 0; k < KINDS; k++)
            if (!begun[k] && vocabulary_kind(vocabulary, side->units[i]) == kinds[k]) {
                begun[k] = true;
                repeats = side->units[i] == last[k];
            }
        if (!repeats)
            ids[count++] = side->units[i];
    }
    *kept = ids;
    if (count > 0)
        *side = (struct side){.units = ids, .unit_count = count};
    return STATUS_OK;
}

enum status hypothesis_build(const struct components *components, const struct score_protocol *protocol,
                             const struct side *context, const struct side *hypothesis, bool pmi, struct choice *choice)
{
    enum status result = STATUS_OK;
    struct prompt whole = {0}, alone = {0};
    struct side side = *hypothesis;
    int32_t *kept = NULL;
    int64_t first;
    if (context && !context->text && !hypothesis->text)
        TRY(continue_units(&components->vocabulary, context, &side, &kept));
    TRY(build_ids(components, protocol, context, &side, &whole, &choice->first, &choice->context));
    if (pmi)
        TRY(build_ids(components, protocol, NULL, &side, &alone, &first, &choice->alone_context));
    choice->ids = whole.ids;
    choice->count = whole.count;
    choice->alone = alone.ids;
    choice->alone_count = alone.count;
    if (hypothesis->text) {
        choice->bytes = (int64_t)strlen(hypothesis->text);
        choice->characters = count_characters(hypothesis->text);
    }
    free(kept);
    return STATUS_OK;
fail:
    free(kept);
    prompt_free(&whole);
    prompt_free(&alone);
    return result;
}
