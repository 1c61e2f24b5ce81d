/* What a model says of every token of many sequences, before any protocol: the token's logit, and the log-sum-exps of the
 * vocabulary's parts, from which probabilities follow with or without the other modality masked. */
#ifndef SPIRITLM_EVAL_SCORING_TOKEN_SCORES_H
#define SPIRITLM_EVAL_SCORING_TOKEN_SCORES_H

#include "models/llama/llama.h"
#include "text/vocabulary.h"

/* The parts of the vocabulary that a mask can take away. */
enum vocabulary_part {
    PART_TEXT,   /* pieces of text, without EOS */
    PART_SPEECH, /* hubert, pitch and style units */
    PART_OTHER,  /* EOS, tags, padding rows */
    VOCABULARY_PARTS
};

struct token_score {
    float logit;                          /* of the token itself */
    double log_sum_exp[VOCABULARY_PARTS]; /* minus infinity of a part without ids */
};

struct token_sequence {
    const int32_t *ids; /* [count], owned by the caller */
    int64_t count;      /* at most the model's context and one more: it does not read the last */
    int64_t first;      /* the first token whose score is wanted, 1 or later: nothing is before token 0 */
    struct token_score
        *scores; /* [count - first], owned by the caller; scores[i] of ids[first + i] after all before it;
                                   filled by token_scores_run */
};

/* Fills the scores of all sequences. Equal ones are computed once, so that equal sequences have equal scores. Beginnings that are worth it
 * are computed once too (scoring/prefix_tree.h), the rest is packed: the last bits of a score depend on the other sequences, and on
 * nothing else, neither threads nor their order. Shows progress.
 * STATUS_CORRUPT when a number is not finite, STATUS_USAGE for a sequence longer than the model's context. */
enum status token_scores_run(struct llama *model, const struct vocabulary *vocabulary, struct token_sequence *sequences,
                             int64_t count);

/* log p of a token: among all ids, and among those that are left when PART_TEXT or PART_SPEECH is masked. */
double token_log_probability(const struct token_score *score);
double token_masked_log_probability(const struct token_score *score, enum vocabulary_part masked);

#endif
