/* The parts of a vocabulary as ranges of ids, and what the model says of a token by part. */
#ifndef SPIRITLM_EVAL_SCORING_VOCABULARY_PARTS_H
#define SPIRITLM_EVAL_SCORING_VOCABULARY_PARTS_H

#include "eval/scoring/token_scores.h"

/* Maximal runs of ids of one part, as the operation log_sum_exp takes them. */
struct vocabulary_ranges {
    int64_t count;
    int64_t boundaries[LOG_SUM_EXP_BLOCKS + 1];
    enum vocabulary_part parts[LOG_SUM_EXP_BLOCKS];
};

/* `rows` of the model's embedding: those behind the vocabulary are padding. */
enum status vocabulary_ranges_find(const struct vocabulary *vocabulary, int64_t rows, struct vocabulary_ranges *ranges);

/* Pinned memory for what the model says of `capacity` tokens; zero at first, and freed by score_buffer_free. */
struct score_buffer {
    double *sums;         /* [capacity][ranges], and behind them */
    float *target_logits; /* [capacity] */
    int64_t capacity;
};

/* Makes room for `tokens`; what was there is lost. */
enum status score_buffer_reserve(const struct llama *model, const struct vocabulary_ranges *ranges, int64_t tokens,
                                 struct score_buffer *buffer);
void score_buffer_free(const struct llama *model, struct score_buffer *buffer);

/* As llama_sum_blocks and llama_session_score take it. */
struct llama_block_sums score_buffer_sums(const struct vocabulary_ranges *ranges, const struct score_buffer *buffer);

/* Joins the ranges of each part of one of the buffer's tokens. STATUS_CORRUPT when a number is not finite (a part without ids apart). */
enum status score_buffer_read(const struct vocabulary_ranges *ranges, const struct score_buffer *buffer, int64_t token,
                              struct token_score *score);

#endif
