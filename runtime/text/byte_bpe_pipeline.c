/* The steps of tokenizer.json before and after the model. Of the many that the format has, the few that byte-level models
 * are published with are known by their whole shape; a pre-tokenizer is compared with those shapes, not interpreted. */
#include "text/byte_bpe_json.h"

#include <stdio.h>
#include <string.h>

enum { STEPS = 4, TYPE_ROOM = 48 };

enum step_kind { STEP_BYTE_LEVEL, STEP_DIGITS, STEP_SPLIT, STEP_SEQUENCE, STEP_KINDS };
static const char *const step_names[STEP_KINDS] = {"ByteLevel", "Digits", "Split", "Sequence"};

/* One step of a pre-tokenizer. */
struct step {
    enum step_kind kind;
    bool add_prefix_space, use_regex; /* ByteLevel */
    bool individual_digits;           /* Digits */
    bool isolated, inverted;          /* Split */
    int pattern;                      /* of Split; -1: none of ours */
    struct scan steps;                /* of Sequence, at its list */
};

enum status byte_bpe_take_key(const char *name, const char *where, const char *const *known, struct scan_text key,
                              uint32_t *seen, int *which)
{
    for (*which = 0; known[*which]; ++*which) {
        if (!scan_text_is(key, known[*which]))
            continue;
        if (*seen >> *which & 1)
            return status_set(STATUS_CORRUPT, "%s: %s has \"%s\" twice", name, where, known[*which]);
        *seen |= UINT32_C(1) << *which;
        return STATUS_OK;
    }
    return status_set(STATUS_CORRUPT, "%s: %s has \"%.*s\", which is not known", name, where, scan_shown(key),
                      key.bytes);
}

/* ---- the pre-tokenizer ---- */

static enum status read_kind(const struct byte_bpe_pipeline *pipeline, struct scan *scan, struct step *step)
{
    struct scan_text type;
    enum status result = scan_string(scan, "the type of a pre-tokenizer", &type);
    if (result != STATUS_OK)
        return result;
    for (int kind = 0; kind < STEP_KINDS; kind++) {
        if (!scan_text_is(type, step_names[kind]))
            continue;
        step->kind = (enum step_kind)kind;
        return STATUS_OK;
    }
    return status_set(STATUS_CORRUPT,
                      "%s: a pre-tokenizer of type \"%.*s\", which byte-level models here do not have; known are "
                      "ByteLevel, Digits, Split and Sequence",
                      pipeline->name, scan_shown(type), type.bytes);
}

static int known_expression(struct scan_text text)
{
    for (int pattern = 0; pattern < WORD_PATTERNS; pattern++)
        if (pattern != WORDS_SMOLLM && scan_text_is(text, word_pattern_expression((enum word_pattern)pattern)))
            return pattern;
    return -1;
}

/* {"Regex": "..."} */
static enum status read_expression(const struct byte_bpe_pipeline *pipeline, struct scan *scan, struct step *step)
{
    static const char *const keys[] = {"Regex", NULL};
    enum status result = STATUS_OK;
    struct scan_text key, text;
    uint32_t seen = 0;
    bool found;
    TRY(scan_object(scan, "the pattern of a Split"));
    for (int which;;) {
        TRY(scan_member(scan, &key, &found));
        if (!found)
            break;
        TRY(byte_bpe_take_key(pipeline->name, "the pattern of a Split", keys, key, &seen, &which));
        TRY(scan_string(scan, "a regular expression", &text));
        step->pattern = known_expression(text);
        if (step->pattern < 0)
            FAIL(STATUS_CORRUPT,
                 "%s: the pre-tokenizer splits by \"%.*s...\", which is not known; known are the expressions of %s",
                 pipeline->name, scan_shown(text), text.bytes, word_pattern_list());
    }
fail:
    return result;
}

static enum status read_member(const struct byte_bpe_pipeline *pipeline, struct scan *scan, const char *key,
                               struct step *step)
{
    struct scan_text behavior;
    bool ignored, *flag = &ignored; /* trim_offsets: where pieces are in the text */
    if (strcmp(key, "type") == 0)
        return read_kind(pipeline, scan, step);
    if (strcmp(key, "pattern") == 0)
        return read_expression(pipeline, scan, step);
    if (strcmp(key, "pretokenizers") == 0) {
        step->steps = *scan;
        return scan_skip(scan);
    }
    if (strcmp(key, "behavior") == 0) {
        enum status result = scan_string(scan, "the behavior of a Split", &behavior);
        step->isolated = result == STATUS_OK && scan_text_is(behavior, "Isolated");
        return result;
    }
    if (strcmp(key, "add_prefix_space") == 0)
        flag = &step->add_prefix_space;
    else if (strcmp(key, "use_regex") == 0)
        flag = &step->use_regex;
    else if (strcmp(key, "individual_digits") == 0)
        flag = &step->individual_digits;
    else if (strcmp(key, "invert") == 0)
        flag = &step->inverted;
    return scan_bool(scan, "true or false for a flag of a pre-tokenizer", flag);
}

static enum status read_one(const struct byte_bpe_pipeline *pipeline, struct scan *scan, struct step *step)
{
    static const char *const keys[] = {
        "type",      "pattern",           "pretokenizers", "behavior",     "add_prefix_space",
        "use_regex", "individual_digits", "invert",        "trim_offsets", NULL};
    enum status result = STATUS_OK;
    struct scan_text key;
    uint32_t seen = 0;
    bool found;
    /* use_regex came later than files of GPT-2; the library's default for add_prefix_space is true too. */
    *step = (struct step){.kind = STEP_KINDS, .use_regex = true, .add_prefix_space = true, .pattern = -1};
    TRY(scan_object(scan, "a pre-tokenizer"));
    for (int which;;) {
        TRY(scan_member(scan, &key, &found));
        if (!found)
            break;
        TRY(byte_bpe_take_key(pipeline->name, "a pre-tokenizer", keys, key, &seen, &which));
        TRY(read_member(pipeline, scan, keys[which], step));
    }
    if (step->kind == STEP_KINDS)
        FAIL(STATUS_CORRUPT, "%s: a pre-tokenizer without \"type\"", pipeline->name);
    if (step->kind == STEP_BYTE_LEVEL && step->add_prefix_space)
        FAIL(STATUS_CORRUPT,
             "%s: its pre-tokenizer puts a space before each text (add_prefix_space), which is not "
             "supported",
             pipeline->name);
    if (step->kind == STEP_SEQUENCE && !step->steps.name)
        FAIL(STATUS_CORRUPT, "%s: a Sequence without \"pretokenizers\"", pipeline->name);
fail:
    return result;
}

/* Compares the steps with those of our patterns. */
static bool match_steps(const struct step *steps, int count, enum word_pattern *pattern)
{
    const struct step *last = steps + count - 1;
    if (count < 1 || count > 2 || last->kind != STEP_BYTE_LEVEL)
        return false;
    if (count == 1) {
        *pattern = WORDS_GPT2;
        return last->use_regex;
    }
    if (steps[0].kind == STEP_DIGITS) {
        *pattern = WORDS_SMOLLM;
        return last->use_regex && steps[0].individual_digits;
    }
    if (steps[0].kind != STEP_SPLIT || steps[0].pattern < 0)
        return false;
    *pattern = (enum word_pattern)steps[0].pattern;
    return !last->use_regex && steps[0].isolated && !steps[0].inverted;
}

static enum status read_pre_tokenizer(struct byte_bpe_pipeline *pipeline, struct scan *scan)
{
    enum status result = STATUS_OK;
    struct step steps[STEPS], only;
    int count = 0;
    bool found = false;
    TRY(read_one(pipeline, scan, &only));
    if (only.kind == STEP_SEQUENCE) {
        struct scan list = only.steps;
        TRY(scan_list(&list, "a list of pre-tokenizers"));
        for (;; count++) {
            TRY(scan_element(&list, &found));
            if (!found || count == STEPS)
                break;
            TRY(read_one(pipeline, &list, &steps[count]));
        }
    } else {
        steps[count++] = only;
    }
    if (found || !match_steps(steps, count, &pipeline->pattern))
        FAIL(STATUS_CORRUPT, "%s: its pre_tokenizer is none of those that are known: %s", pipeline->name,
             word_pattern_list());
    pipeline->cuts_words = true;
fail:
    return result;
}

/* ---- the other steps ---- */

/* The type of a step; the rest of it is skipped. */
static enum status read_type(const struct byte_bpe_pipeline *pipeline, struct scan *scan, const char *what,
                             char type[TYPE_ROOM])
{
    enum status result = STATUS_OK;
    struct scan_text key, text;
    bool found;
    type[0] = '\0';
    TRY(scan_object(scan, what));
    for (;;) {
        TRY(scan_member(scan, &key, &found));
        if (!found)
            break;
        if (scan_text_is(key, "type")) {
            TRY(scan_string(scan, "the type of a step", &text));
            snprintf(type, TYPE_ROOM, "%.*s", scan_shown(text), text.bytes);
        } else {
            TRY(scan_skip(scan));
        }
    }
    if (!type[0])
        FAIL(STATUS_CORRUPT, "%s: its %s has no \"type\"", pipeline->name, what);
fail:
    return result;
}

enum status byte_bpe_read_step(struct byte_bpe_pipeline *pipeline, struct scan *scan, const char *member)
{
    char type[TYPE_ROOM];
    enum status result = STATUS_OK;
    bool none = scan_kind(scan) == SCAN_NULL;
    if (strcmp(member, "pre_tokenizer") == 0 && !none)
        return read_pre_tokenizer(pipeline, scan);
    bool skipped = none || strcmp(member, "version") == 0 || strcmp(member, "truncation") == 0 ||
                   strcmp(member, "padding") == 0; /* padding and truncation are for batches, not of the model */
    if (skipped)
        return scan_skip(scan);
    TRY(read_type(pipeline, scan, member, type));
    if (strcmp(member, "normalizer") == 0)
        FAIL(STATUS_CORRUPT, "%s: a normalizer of type \"%s\" changes the text, which is not supported; expected null",
             pipeline->name, type);
    if (strcmp(member, "decoder") == 0 && strcmp(type, "ByteLevel") != 0)
        FAIL(STATUS_CORRUPT, "%s: expected a decoder of type ByteLevel, found \"%s\"", pipeline->name, type);
    if (strcmp(member, "post_processor") == 0 && strcmp(type, "ByteLevel") != 0)
        pipeline->note = "its post-processor puts tokens such as BOS around each text, which is not done here";
fail:
    return result;
}
