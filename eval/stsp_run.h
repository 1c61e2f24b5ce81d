/* One direction of STSP with so many examples and one seed: prompts, generations, judgements. */
#ifndef SPIRITLM_EVAL_STSP_RUN_H
#define SPIRITLM_EVAL_STSP_RUN_H

#include "eval/few_shot/prompts.h"
#include "eval/generation_results.h"
#include "eval/judges/text_judge.h"
#include "eval/stsp/score.h"
#include "eval/stsp_archive.h"

/* What all runs of a split share; borrowed. */
struct stsp_setting {
    const struct task *task;
    const struct stsp_archive *archive;
    const struct prompt_template *patterns; /* [STSP_DIRECTIONS] */
    struct text_judge *text_judge;          /* NULL: no direction needs it */
    struct speech_judge *speech_judge;
    struct journal *journal;
    struct generation_results *results;
};

struct stsp_case {
    enum stsp_direction direction;
    int64_t shots;
    uint64_t seed;
};

/* What was found of the prompts of one set, in their order. */
struct stsp_outcome {
    int *judged; /* owned [count]: a sentiment, or STSP_NONE where the generation failed */
    int64_t count;
    int64_t failures, retries, truncated; /* truncated: texts that were cut for the judge */
    int64_t lost;                         /* examples */
};
void stsp_outcome_free(struct stsp_outcome *outcome);

/* Prompts of a set that are evaluated: evaluate.limit of them. */
int64_t stsp_prompt_count(const struct stsp_setting *setting, enum stsp_set set);

/* The rows of examples that a prompt with `shots` of them has: ceil(shots / 3) of each sentiment, drawn by the seed, those of
 * negative ones first, then neutral, then positive. *rows, of *count, is allocated for the caller. STATUS_CORRUPT when there are
 * too few. */
enum status stsp_draw(const struct stsp_examples *examples, int64_t shots, uint64_t seed, int64_t **rows,
                      int64_t *count);

/* outcomes[STSP_SETS], those of the direction's sets are filled and for stsp_outcome_free, also after a failure. Adds a line to the
 * samples for each prompt. */
enum status stsp_run(const struct stsp_setting *setting, const struct stsp_case *now,
                     struct stsp_outcome outcomes[STSP_SETS]);

#endif
