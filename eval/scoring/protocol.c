/* Options are a table of names, so that the configuration, results files and `rescore` read and write the same words. */
#include "eval/scoring/protocol.h"

#include <stddef.h>
#include <string.h>

enum { MOST_VALUES = 7 };

/* One option: its words in the order of its enumeration. */
struct option {
    const char *name;
    const char *values[MOST_VALUES]; /* ends with NULL */
};

enum option_index { NORMALIZE, SCOPE, COUNT, MASK, TAG, TIE, BOS, EOS, TEXT, OPTIONS };

static const struct option options[OPTIONS] = {
    [NORMALIZE] = {"normalize", {"sum", "token", "char", "byte", "pmi", "pmi-token"}},
    [SCOPE] = {"scope", {"whole", "continuation"}},
    [COUNT] = {"count", {"all", "hubert"}},
    [MASK] = {"mask", {"none", "modality"}},
    [TAG] = {"tag", {"absent", "given", "scored"}},
    [TIE] = {"tie", {"half", "strict", "first"}},
    [BOS] = {"bos", {"no", "yes"}},
    [EOS] = {"eos", {"no", "yes"}},
    [TEXT] = {"text", {"trimmed", "exact"}},
};

static int get(const struct score_protocol *protocol, enum option_index option)
{
    const int values[OPTIONS] = {[NORMALIZE] = (int)protocol->normalize,
                                 [SCOPE] = (int)protocol->scope,
                                 [COUNT] = (int)protocol->count,
                                 [MASK] = (int)protocol->mask,
                                 [TAG] = (int)protocol->tag,
                                 [TIE] = (int)protocol->tie,
                                 [BOS] = protocol->bos,
                                 [EOS] = protocol->eos,
                                 [TEXT] = (int)protocol->text};
    return values[option];
}

static void set(struct score_protocol *protocol, enum option_index option, int value)
{
    switch (option) {
    case NORMALIZE:
        protocol->normalize = (enum score_normalize)value;
        break;
    case SCOPE:
        protocol->scope = (enum score_scope)value;
        break;
    case COUNT:
        protocol->count = (enum score_count)value;
        break;
    case MASK:
        protocol->mask = (enum score_mask)value;
        break;
    case TAG:
        protocol->tag = (enum score_tag)value;
        break;
    case TIE:
        protocol->tie = (enum score_tie)value;
        break;
    case BOS:
        protocol->bos = value;
        break;
    case EOS:
        protocol->eos = value;
        break;
    default:
        protocol->text = (enum score_text)value;
    }
}

/* ---- the named ones ---- */

static const struct {
    const char *name;
    struct score_protocol protocol;
} named[] = {
    /* The paper's tables 4 and 6: mean per token, nothing masked. It is silent on BOS, EOS and tags. */
    {"spiritlm", {NORMALIZE_TOKEN, SCOPE_WHOLE, COUNT_ALL, MASK_NONE, TAG_GIVEN, TIE_HALF, true, false, TEXT_TRIMMED}},
    /* The baseline's scores for ZeroSpeech 2021: BOS given, EOS in the sum. */
    {"zerospeech", {NORMALIZE_SUM, SCOPE_WHOLE, COUNT_ALL, MASK_NONE, TAG_ABSENT, TIE_HALF, true, true, TEXT_TRIMMED}},
    {"slamkit", {NORMALIZE_TOKEN, SCOPE_WHOLE, COUNT_ALL, MASK_NONE, TAG_ABSENT, TIE_HALF, true, true, TEXT_TRIMMED}},
    /* Its first unit is not scored. */
    {"salmon", {NORMALIZE_TOKEN, SCOPE_WHOLE, COUNT_ALL, MASK_NONE, TAG_ABSENT, TIE_HALF, false, false, TEXT_TRIMMED}},
    {"lm-eval",
     {NORMALIZE_SUM, SCOPE_CONTINUATION, COUNT_ALL, MASK_NONE, TAG_ABSENT, TIE_FIRST, true, false, TEXT_EXACT}},
};
enum { NAMED = sizeof named / sizeof *named };

bool protocol_find(const char *name, struct score_protocol *protocol)
{
    for (int i = 0; i < NAMED; i++)
        if (!strcmp(named[i].name, name)) {
            *protocol = named[i].protocol;
            return true;
        }
    return false;
}

const char *protocol_name(int index)
{
    return index >= 0 && index < NAMED ? named[index].name : NULL;
}

bool normalize_is_pmi(enum score_normalize normalize)
{
    return normalize == NORMALIZE_PMI || normalize == NORMALIZE_PMI_TOKEN;
}

/* ---- by words ---- */

static int find_option(const char *name)
{
    for (int i = 0; i < OPTIONS; i++)
        if (!strcmp(options[i].name, name))
            return i;
    return -1;
}

/* "sum, token, char or byte" into text. */
static void list_values(const struct option *option, char text[128])
{
    size_t length = 0;
    for (int i = 0; i < MOST_VALUES && option->values[i]; i++) {
        bool last = i + 1 == MOST_VALUES || !option->values[i + 1];
        const char *before = i == 0 ? "" : last ? " or " : ", ";
        length += (size_t)snprintf(text + length, 128 - length, "%s%s", before, option->values[i]);
    }
}

enum status protocol_set(struct score_protocol *protocol, const char *name, const char *value)
{
    char values[128];
    int option = find_option(name);
    if (option < 0)
        return status_set(STATUS_USAGE, "score.%s: there is no such option", name);
    for (int i = 0; i < MOST_VALUES && options[option].values[i]; i++)
        if (!strcmp(options[option].values[i], value)) {
            set(protocol, (enum option_index)option, i);
            return STATUS_OK;
        }
    list_values(&options[option], values);
    return status_set(STATUS_USAGE, "score.%s: expected %s, found \"%s\"", name, values, value);
}

json_t *protocol_json(const struct score_protocol *protocol)
{
    json_t *json = json_object();
    for (int i = 0; json && i < OPTIONS; i++)
        if (json_object_set_new(json, options[i].name,
                                json_string(options[i].values[get(protocol, (enum option_index)i)])) != 0) {
            json_decref(json);
            return NULL;
        }
    return json;
}

enum status protocol_from_json(const char *where, const json_t *json, struct score_protocol *protocol)
{
    for (int i = 0; i < OPTIONS; i++) {
        const char *value = json_string_value(json_object_get(json, options[i].name));
        if (!value)
            return status_set(STATUS_CORRUPT, "%s: the protocol has no \"%s\"", where, options[i].name);
        if (protocol_set(protocol, options[i].name, value) != STATUS_OK)
            return status_prefix(STATUS_CORRUPT, "%s", where);
    }
    return STATUS_OK;
}

static enum status needs_pass(enum option_index option, const struct score_protocol *pass,
                              const struct score_protocol *wanted)
{
    return status_set(
        STATUS_USAGE, "score.%s=%s needs a pass of its own: these scores were computed with %s; run the task again",
        options[option].name, options[option].values[get(wanted, option)], options[option].values[get(pass, option)]);
}

enum status protocol_check_rescore(const struct score_protocol *pass, bool has_pmi, const struct score_protocol *wanted)
{
    if (pass->bos != wanted->bos)
        return needs_pass(BOS, pass, wanted);
    if ((pass->tag == TAG_ABSENT) != (wanted->tag == TAG_ABSENT))
        return needs_pass(TAG, pass, wanted);
    if (pass->text != wanted->text)
        return needs_pass(TEXT, pass, wanted);
    if (normalize_is_pmi(wanted->normalize) && !has_pmi)
        return needs_pass(NORMALIZE, pass, wanted);
    return STATUS_OK;
}
