/* Does the model know that speech and text say the same? A held-out utterance is cut in its middle; its first half is given in
 * one modality, and its second half is scored in the other, once after its own first half and once after that of another
 * utterance. The continuation is the same tokens both times, so that how likely it is by itself does not matter. */
#ifndef SPIRITLM_EVAL_CROSSING_H
#define SPIRITLM_EVAL_CROSSING_H

#include "eval/learning.h"

struct crossing_score {
    struct estimate accuracy; /* how often the own first half makes the continuation likelier; a tie counts 0.5 */
    struct estimate
        margin; /* nats per token of the continuation that the own first half saves; ratio over utterances */
};

struct crossing_result {
    struct crossing_score all[2], real[2]; /* [0]: speech, then text; [1]: text, then speech; real: of recordings */
    int64_t left_out;                      /* utterances longer than the model's context */
};

/* Over all aligned utterances of the held-out speech datasets with at least four words. Whose first half is the other one is
 * decided by a permutation from data->seed. STATUS_CORRUPT when there are fewer than two. */
enum status crossing_evaluate(struct llama *model, const struct learning_data *data, struct crossing_result *result);

#endif
