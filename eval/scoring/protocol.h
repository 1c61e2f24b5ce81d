/* How the log-likelihoods of two or more hypotheses are compared. Published numbers differ in this alone by ten points and more, so
 * every choice is an option, a name stands for a published set of them, and results carry all. */
#ifndef SPIRITLM_EVAL_SCORING_PROTOCOL_H
#define SPIRITLM_EVAL_SCORING_PROTOCOL_H

#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>

enum score_normalize {
    NORMALIZE_SUM,
    NORMALIZE_TOKEN,     /* by the number of counted tokens */
    NORMALIZE_CHAR,      /* by the code points of the choice's text */
    NORMALIZE_BYTE,      /* by its bytes of UTF-8 */
    NORMALIZE_PMI,       /* the sum less that of the same hypothesis without its context */
    NORMALIZE_PMI_TOKEN, /* the same by the number of counted tokens */
    NORMALIZATIONS
};
enum score_scope {
    SCOPE_WHOLE,       /* everything after BOS is counted */
    SCOPE_CONTINUATION /* what follows the context */
};
enum score_count {
    COUNT_ALL,
    COUNT_HUBERT /* of units, hubert's alone; text is counted all the same */
};
enum score_mask {
    MASK_NONE,
    MASK_MODALITY /* ids of the other modality have no share in the softmax */
};
enum score_tag {
    TAG_ABSENT, /* pure speech or text without a tag before it */
    TAG_GIVEN,  /* there, and not counted */
    TAG_SCORED
};
enum score_tie {
    TIE_HALF,   /* 1 over the number of equals if the right one is among them */
    TIE_STRICT, /* 0 */
    TIE_FIRST   /* the first of the equals wins */
};

enum score_text {
    TEXT_TRIMMED, /* as training encodes a piece: without white space at its ends */
    TEXT_EXACT /* as lm-evaluation-harness does: as it is, and with a space before a hypothesis that has no context */
};

struct score_protocol {
    enum score_normalize normalize;
    enum score_scope scope;
    enum score_count count;
    enum score_mask mask;
    enum score_tag tag;
    enum score_tie tie;
    bool bos;             /* BOS before everything; without it the first token has no score */
    bool eos;             /* EOS after everything, and counted */
    enum score_text text; /* of text alone, and of text after text */
};

/* "spiritlm" (the default), "zerospeech", "slamkit", "salmon", "lm-eval". False: no such name. */
bool protocol_find(const char *name, struct score_protocol *protocol);
/* By number, in the order above; NULL behind the last. */
const char *protocol_name(int index);

/* Whether scores without the context are part of it. */
bool normalize_is_pmi(enum score_normalize normalize);

/* Sets one option ("normalize", "token"). STATUS_USAGE names what it may be. */
enum status protocol_set(struct score_protocol *protocol, const char *option, const char *value);

/* {"normalize": "token", "scope": "whole", ...}; NULL when out of memory. */
json_t *protocol_json(const struct score_protocol *protocol);
enum status protocol_from_json(const char *where, const json_t *json, struct score_protocol *protocol);

/* Whether scores of a pass under `pass` can be read under `wanted` without the model. If not, STATUS_USAGE names the option
 * and says that the task must be run again. `has_pmi`: unconditional scores were computed too. */
enum status protocol_check_rescore(const struct score_protocol *pass, bool has_pmi,
                                   const struct score_protocol *wanted);

#endif
