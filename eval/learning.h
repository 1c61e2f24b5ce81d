/* Did the model learn more than which unit follows which? On held-out utterances, its nats per deduplicated hubert unit
 * (nothing else counted) are compared with those of an interpolated Kneser-Ney bigram over the hubert subsequence of
 * the training utterances; the same is done for text pieces. As a control, the held-out units are shuffled: then the
 * model must lose its advantage. */
#ifndef SPIRITLM_EVAL_LEARNING_H
#define SPIRITLM_EVAL_LEARNING_H

#include "core/statistics.h"
#include "data/interleave.h"
#include "eval/kneser_ney.h"
#include "models/llama/llama.h"
#include "package/components.h"

struct learning_data {
    const struct components *components;
    struct interleaver interleaver;
    struct dataset *const *train; /* text and speech datasets, in any order */
    int64_t train_count;
    struct dataset *const *held_out;
    int64_t held_out_count;
    uint64_t seed; /* of the shuffles */
};

/* One comparison: the model's and the bigram's nats per token, and the bigram's minus the model's. */
struct comparison {
    double model, bigram;
    struct estimate margin; /* over documents */
    double tokens;
};

struct learning_result {
    struct comparison speech;      /* all held-out utterances */
    struct comparison real_speech; /* those not marked synthetic; n = 0: none */
    struct comparison shuffled;    /* the held-out units shuffled within each utterance, for both */
    struct comparison text;        /* held-out text documents; n = 0: none */
    int64_t windowed;              /* held-out documents longer than the model's context, scored in windows */
};

enum status learning_evaluate(struct llama *model, const struct learning_data *data, struct learning_result *result);

/* margin >= `nats` and >= 2 standard errors. */
bool comparison_holds(const struct comparison *comparison, double nats);

/* STATUS_UNMET unless speech is below its bigram by 0.05 nat and text (where there is any) is below its own, both by 2
 * standard errors, while shuffled speech is not. */
enum status learning_judge(const struct learning_result *learning);

/* A bigram over the hubert units of speech datasets, by which generated speech can be judged. */
enum status unit_bigram_create(const struct learning_data *data, struct kneser_ney **bigram);

/* Mean nats per unit of held-out speech under the bigram. */
enum status unit_bigram_held_out(const struct learning_data *data, const struct kneser_ney *bigram, double *nats,
                                 int64_t *units);

/* The hubert units among ids, without the vocabulary's offset; returns how many. */
int64_t hubert_subsequence(const struct vocabulary *vocabulary, const int32_t *ids, int64_t count, int32_t *units);

#endif
