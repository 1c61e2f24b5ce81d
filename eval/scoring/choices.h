/* Items of two or more hypotheses of which one is right, as every zero-shot benchmark has them: their scores, kept by segment and kind of
 * token so that most protocols can be read off them later, and which one wins under a protocol. */
#ifndef SPIRITLM_EVAL_SCORING_CHOICES_H
#define SPIRITLM_EVAL_SCORING_CHOICES_H

#include "eval/scoring/protocol.h"
#include "eval/scoring/token_scores.h"

enum choice_kind { CHOICE_TEXT, CHOICE_HUBERT, CHOICE_PITCH, CHOICE_STYLE, CHOICE_TAG, CHOICE_EOS, CHOICE_KINDS };
enum choice_segment {
    SEGMENT_CONTEXT,    /* what is given, from the first token that has a score on */
    SEGMENT_HYPOTHESIS, /* what is compared, EOS included */
    SEGMENT_ALONE,      /* the hypothesis without the context; empty where no PMI was asked for */
    CHOICE_SEGMENTS
};

/* Sums over the tokens of one kind. */
struct kind_scores {
    int64_t count;
    double sum;    /* of log p */
    double masked; /* of log p with the other modality masked; of tags and EOS nothing is masked */
    double logit;  /* of the tokens' logits */
    double log_sum_exp[VOCABULARY_PARTS]; /* of each part's log-sum-exp; 0 of a part without ids */
};

struct choice {
    int32_t *ids; /* owned: context and hypothesis, with EOS behind it */
    int64_t count;
    int64_t first;   /* the first token that is scored: 1 or later */
    int64_t context; /* ids[context] is the hypothesis's first */
    int32_t *alone;  /* owned, or NULL: the hypothesis without its context */
    int64_t alone_count, alone_context;
    int64_t characters, bytes; /* of the hypothesis's text; 0: it is speech */
    struct kind_scores scores[CHOICE_SEGMENTS][CHOICE_KINDS];
};

struct choice_item {
    char *id;         /* owned */
    json_t *document; /* owned: what the benchmark says of the item; copied into the samples */
    int64_t answer, count;
    struct choice *choices; /* owned [count] */
    int64_t cut_tokens;     /* the most that a choice's left end lost to the model's context; 0: the item fits */
    int64_t lost_shots;     /* worked examples that were left out so that the item fits */
    bool eos_left_out;      /* a choice has no EOS, for want of room */
};

struct choice_set {
    struct choice_item *items;
    int64_t count, capacity;
};

/* A new item with `choices` empty choices; takes `document` over. */
enum status choice_set_add(struct choice_set *set, const char *id, json_t *document, int64_t answer, int64_t choices,
                           struct choice_item **item);
/* Takes the last item away again. */
void choice_set_drop_last(struct choice_set *set);
void choice_set_free(struct choice_set *set);

/* Cuts the left end of a choice that is too long for a model of `context` positions, so that context + 1 tokens are left, the last
 * of which the model need not read (as lm-evaluation-harness does). With `drop_eos` its last id, EOS, gives way first. Notes both in
 * the item. STATUS_USAGE when the hypothesis alone is too long. */
enum status choice_cut(struct choice_item *item, struct choice *choice, int64_t context, bool drop_eos);

/* The tokens that a model must read for the longest choice: all but the last. */
int64_t choice_item_reads(const struct choice_item *item);

/* Computes all scores. STATUS_USAGE names the item that is longer than the model's context. Frees the ids. */
enum status choices_score(struct llama *model, const struct vocabulary *vocabulary, struct choice_set *set);

/* The score of one choice; STATUS_USAGE for a hypothesis without counted tokens, and for characters of speech. */
enum status choice_value(const struct choice *choice, const struct score_protocol *protocol, double *value);

/* What the model gets for an item: 1, 0, or what the tie rule gives. *tied: the largest score is there twice. */
enum status choice_decide(const struct choice_item *item, const struct score_protocol *protocol, double *won,
                          bool *tied);

/* {"doc_id", "doc", "target", "choices": [{"context": {"hubert": [count, sum, masked, logit, text, speech, other]}, ...}]}. NULL:
 * no memory. */
json_t *choice_item_json(const struct choice_item *item);
/* The reverse, without ids. STATUS_CORRUPT names what is wrong at `where`. */
enum status choice_item_from_json(const char *where, const json_t *json, struct choice_set *set);

#endif
