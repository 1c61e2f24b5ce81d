/* The configuration sections `score` and `evaluate`; programs/common/ has their keys and defaults. */
#ifndef SPIRITLM_EVAL_SETTINGS_H
#define SPIRITLM_EVAL_SETTINGS_H

#include "eval/scoring/protocol.h"
#include "io/config.h"

/* Section `score`: a named protocol, and options that differ from it: 0 is "as the protocol says", 1 the first value of the
 * option's enumeration. Scores may be reported under several normalizations at once. */
struct score_settings {
    int protocol;                 /* index of protocol_name */
    struct config_list normalize; /* "protocol", or some of an option's words */
    int scope, count, mask, tag, tie, bos, eos, text;
};

/* Section `evaluate`. */
enum split_choice { SPLIT_DEV, SPLIT_TEST, SPLIT_ALL };
enum cluster_choice { CLUSTERS_NONE, CLUSTERS_NAMES };
enum incomplete_choice { INCOMPLETE_REFUSE, INCOMPLETE_SKIP };
struct evaluate_settings {
    struct config_list parts;           /* SALMon: the parts that are judged; none: all */
    struct config_list directions;      /* StoryCloze: "s", "t", "s>t", "t>s" */
    struct config_list stsp_directions; /* STSP: "s>s", "s>t", "t>s", "t>t"; none: all */
    int split;                          /* enum split_choice */
    int incomplete;                     /* enum incomplete_choice */
    int clusters;                       /* enum cluster_choice: StoryCloze */
    int64_t limit;                      /* items of each task; 0: all */
    bool cache;                         /* keep the units of recordings in the folder of the results */
    struct config_list shot_list;       /* examples before each item; STSP runs with each of several numbers; none: the
                                    * benchmark's own number */
    int64_t shots;         /* the only one of them, -1: none, -2: several; not a key: evaluate_settings_check sets it */
    int mmlu_prompt;       /* 0: lm-evaluation-harness's, 1: the benchmark's own program's */
    int text_form;         /* of `wer`: enum text_form (eval/transcripts/text_form.h) */
    const char *spellings; /* of `wer` with whisper-english: a file or a Whisper folder; "": none */
    int64_t ranks;         /* that share a benchmark's work, each with a model of its own */
    int64_t batch;         /* answers that are generated together; 0: as many as suit */
    struct config_list seeds; /* of drawn examples and sampled answers; tasks with one run take the first */
    const char *waves;        /* folder for the recordings that are generated; "": they are not kept */
    const char *shots_from;   /* another archive whose items are the examples; "": the same */
    const char *shot_ids;     /* a file with the examples' ids, one per line; "": they are drawn */
    const char *gold;         /* sLM21: the table of right answers where the archive has none; "" */
};

/* Section `prompts`: the templates of generation tasks; "": the program's own. */
struct prompt_paths {
    const char *asr, *intent, *stsp_s2s, *stsp_s2t, *stsp_t2s, *stsp_t2t;
};

/* Section `archives`: where each benchmark lies, for `evaluate all`; "": it is not run. */
struct archive_settings {
    const char *swuggy, *sblimp, *wuggy_text, *blimp_text, *storycloze, *topic_storycloze, *storycloze_text, *salmon,
        *mmlu, *blimp, *asr, *intent, *stsp;
};

/* Section `judges`: folders of the classifiers that judge what was generated; "": none. */
struct judge_settings {
    const char *text, *speech;
};

/* Section `submission`: what meta.yaml of a submission to sLM21 says (eval/zero_shot/submission.h). */
struct submission_settings {
    const char *username, *submission_id, *model_id, *system_description, *train_set, *gpu_budget, *author_label,
        *authors, *paper_title, *paper_url, *institution, *team, *bib_reference, *doi, *code_url;
    int64_t publication_year;
    bool open_source;
};

/* Refuses what no key by itself can refuse, and sets `shots`. */
enum status evaluate_settings_check(struct evaluate_settings *settings);

/* The number of examples of a task that has one run: `fallback` where no number is given. STATUS_USAGE when there are several. */
enum status evaluate_shots(const struct evaluate_settings *settings, const char *task, int64_t fallback,
                           int64_t *shots);

/* The numbers of `shots` or `seeds`, or `fallback` alone where there are none; *numbers is allocated for the caller. STATUS_USAGE
 * names the key and what is no number, or there twice. */
enum status evaluate_numbers(const char *key, const struct config_list *given, int64_t fallback, int64_t most,
                             int64_t **numbers, int64_t *count);

enum { MOST_NORMALIZATIONS = NORMALIZATIONS };
struct score_protocols {
    struct score_protocol items[MOST_NORMALIZATIONS]; /* which differ in `normalize` alone */
    int count;
    bool pmi; /* one of them needs scores without context */
};

/* The protocols of a task. `natural` is the scope that the paper gives this task; it counts unless an option or another protocol names one. */
enum status score_protocols(const struct score_settings *settings, enum score_scope natural,
                            struct score_protocols *protocols);

/* The same over a given protocol; NULL: the named one. */
enum status score_protocols_over(const struct score_settings *settings, const struct score_protocol *base,
                                 enum score_scope natural, struct score_protocols *protocols);

#endif
