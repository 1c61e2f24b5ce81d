/* The configuration sections `score` and `evaluate`; programs/common/ has their keys and defaults. */
#ifndef SPIRITLM_EVAL_SETTINGS_H
#define SPIRITLM_EVAL_SETTINGS_H

#include "eval/scoring/protocol.h"
#include "io/config.h"

/* Section `score`: a named protocol, and options that differ from it: 0 is "as the protocol says", 1 the first value of the
 * option's enumeration. */
struct score_settings {
    int protocol; /* index of protocol_name */
    int normalize, scope, count, mask, tag, tie, bos, eos;
};

/* Section `evaluate`. */
enum split_choice { SPLIT_DEV, SPLIT_TEST, SPLIT_ALL };
enum incomplete_choice { INCOMPLETE_REFUSE, INCOMPLETE_SKIP };
struct evaluate_settings {
    struct config_list parts;      /* SALMon: the parts that are judged; none: all */
    struct config_list directions; /* StoryCloze: "s", "t", "s>t", "t>s" */
    int split;                     /* enum split_choice */
    int incomplete;                /* enum incomplete_choice */
    int64_t limit;                 /* items of each task; 0: all */
    const char *gold;              /* sLM21: the table of right answers where the archive has none; "" */
};

/* The protocol of a task. `natural`: what its hypotheses are compared by where neither the options nor a protocol of others say it. */
enum status score_protocol(const struct score_settings *settings, enum score_scope natural,
                           struct score_protocol *protocol);

#endif
