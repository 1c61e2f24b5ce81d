/* From a corpus to the answers of a model: what few-shot recognition and intent classification share. */
#ifndef SPIRITLM_EVAL_FEW_SHOT_RUN_H
#define SPIRITLM_EVAL_FEW_SHOT_RUN_H

#include "eval/few_shot/answer.h"
#include "eval/few_shot/corpus.h"
#include "eval/few_shot/prompts.h"
#include "eval/generation_results.h"
#include "eval/generations.h"
#include "eval/recordings.h"

struct few_shot_kind {
    const char *name;     /* "asr": of the task, its template and its files */
    const char *template; /* the file that the configuration names; "": the program's own */
    int64_t shots;        /* where the configuration has no number */
    enum status (*read)(struct archive *archive, bool skip, struct corpus *corpus);
    struct shot_rule rule;
};

struct few_shot_run {
    const struct task *task;
    const struct few_shot_kind *kind;
    struct prompt_template pattern;
    struct archive *archive, *shot_archive; /* the second is NULL where examples come from the first */
    struct corpus corpus, shot_corpus;
    struct shots shots;
    int64_t seed;    /* of the drawn examples, and of answers that are sampled */
    int64_t *tested; /* [count] items of the corpus, in its order */
    int64_t count;
    struct whole_prompt *prompts;  /* [count] */
    struct generation_item *items; /* [count] */
    struct answer *answers;        /* [count] */
    struct journal *journal;
    struct generation_results results;
};

/* Everything up to the answers. few_shot_run_free whatever happens. */
enum status few_shot_run(const struct task *task, const struct few_shot_kind *kind, const char *path,
                         struct few_shot_run *run);
void few_shot_run_free(struct few_shot_run *run);

/* How often answers of a part (NULL: of all) went wrong, into the metrics: no_end, second_begin, other_modality, too_long,
 * no_begin, empty, lost_shots (of all items together), items_that_lost_shots. */
enum status few_shot_count_faults(const struct few_shot_run *run, const char *part, json_t *metrics);

/* The parts that are tested, without doubles, in their order; *parts, of *count, is allocated for the caller and borrows. */
enum status few_shot_parts(const struct few_shot_run *run, const char ***parts, int64_t *count);

/* A line of the samples, to which the task adds what it found: NULL when out of memory. */
json_t *few_shot_sample(const struct few_shot_run *run, int64_t index);

/* Writes the results and ends the journal. */
enum status few_shot_finish(struct few_shot_run *run);

#endif
