/* From the sides of a benchmark's item to the ids that are scored: BOS, tags and EOS as the protocol says. */
#ifndef SPIRITLM_EVAL_SCORING_HYPOTHESIS_H
#define SPIRITLM_EVAL_SCORING_HYPOTHESIS_H

#include "eval/scoring/choices.h"
#include "generate/prompt.h"

/* A text, or the units of a recording. */
struct side {
    const char *text; /* NULL: speech */
    const int32_t *units;
    int64_t unit_count;
};

/* Fills ids, first, context, and the text's length of an empty choice; with `pmi` also the hypothesis alone. `context` may be NULL.
 * Text after text is encoded together with it, a space between them, and cut after as many ids as the context has alone, so that
 * white space at the context's end is the hypothesis's (as lm-evaluation-harness does); elsewhere each side is encoded by itself, as
 * training does. Speech after speech is one sequence without repetitions: where the hypothesis begins with the hubert or pitch unit
 * that the context ends with, that unit is the context's alone, also in the hypothesis alone, so that PMI compares the same tokens.
 * STATUS_USAGE when the hypothesis has
 * no tokens; the caller names the item. */
enum status hypothesis_build(const struct components *components, const struct score_protocol *protocol,
                             const struct side *context, const struct side *hypothesis, bool pmi,
                             struct choice *choice);

#endif
