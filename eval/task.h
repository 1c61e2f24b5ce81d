/* The tasks of `evaluate` (docs/evaluate.md): each measures, prints a table, writes its results with the protocol in
 * words, and says whether its check holds. */
#ifndef SPIRITLM_EVAL_TASK_H
#define SPIRITLM_EVAL_TASK_H

#include "eval/learning.h"
#include "eval/settings.h"
#include "eval/unit_cache.h"
#include "eval/zero_shot/slm21.h"

#include <jansson.h>
#include <stdio.h>

/* What a task found, for the table of several. */
struct task_outcome {
    bool holds; /* its check */
    char headline[160];
};

/* What a task works on; all borrowed. */
struct task {
    struct llama *model;
    const struct components *components;
    const char *model_name; /* as the user named it */
    const char *checkpoint; /* the folder that it was resolved to */
    const char *out;        /* folder of results and samples */
    FILE *report;           /* where the table goes */
    bool require;           /* a check that does not hold is STATUS_UNMET */
    const struct score_settings *score;
    const struct evaluate_settings *evaluate;
    const struct prompt_paths *prompts;
    const struct judge_settings *judges;
    struct unit_cache *units; /* of recordings; NULL: none */
    enum lock_policy locks;
    struct llama *const *models; /* [ranks] for threads of their own; the first is `model` */
    int64_t ranks;
    struct task_outcome *outcome;
};

enum status task_pairs(const struct task *task, const char *path);
enum status task_texts(const struct task *task, const char *path);

/* `inputs` (borrowed; NULL: there was no memory for it) becomes part of the results. task_learning also writes
 * OUT/pairs_shuffled.jsonl for task_pairs. */
enum status task_learning(const struct task *task, const struct learning_data *data, const json_t *inputs);
enum status task_generation(const struct task *task, const struct learning_data *data, const json_t *inputs);
enum status task_crossing(const struct task *task, const struct learning_data *data, const json_t *inputs);

/* sWUGGY or sBLIMP from the archive of sLM21; `text`: its spellings, one pair per id. */
enum status task_slm21(const struct task *task, enum slm21_task which, bool text, const char *path);

/* StoryCloze, or Topic-StoryCloze. */
enum status task_story_cloze(const struct task *task, bool topic, const char *path);
enum status task_story_text(const struct task *task, const char *path);
enum status task_salmon(const struct task *task, const char *path);
/* LibriSpeech's few-shot recognition; Fluent Speech Commands' intents. */
enum status task_asr(const struct task *task, const char *path);
enum status task_intent(const struct task *task, const char *path);
/* Of each split that is wanted. */
enum status task_stsp(const struct task *task, const char *path);
enum status task_mmlu(const struct task *task, const char *path);
enum status task_blimp(const struct task *task, const char *path);

/* For the files task_*.c: writes results_NAME.json and, unless NULL, the samples. */
enum status task_write(const struct task *task, const char *name, const char *kind, const char *protocol,
                       const json_t *inputs, const json_t *metrics, const json_t *samples);

/* For the files task_*.c: notes whether the check holds; its status where checks are required, else STATUS_OK. */
enum status task_judge(const struct task *task, enum status judgement);

#endif
