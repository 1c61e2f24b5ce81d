/* Is generated speech as predictable as real speech? Samples from an empty speech prompt are judged by the unit bigram
 * of the training utterances: their nats per unit are compared with those of held-out speech. */
#ifndef SPIRITLM_EVAL_GENERATION_H
#define SPIRITLM_EVAL_GENERATION_H

#include "eval/learning.h"
#include "generate/generator.h"

struct generation_result {
    double generated, held_out; /* nats per unit */
    int64_t samples, units, held_out_units;
};

/* options->output must be OUTPUT_SPEECH. STATUS_CORRUPT when no sample has a unit. */
enum status generation_evaluate(struct llama *model, const struct learning_data *data,
                                const struct generation_options *options, struct generation_result *result);

/* STATUS_UNMET unless generated lies within 25 % of held_out. */
enum status generation_judge(const struct generation_result *generation);

#endif
