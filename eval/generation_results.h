/* Results of generation tasks: the same keys as those of benchmarks (eval/scoring/benchmark.h), with whatever metrics a task has. */
#ifndef SPIRITLM_EVAL_GENERATION_RESULTS_H
#define SPIRITLM_EVAL_GENERATION_RESULTS_H

#include "eval/task.h"

#include <jansson.h>

struct generation_results {
    json_t *root;    /* of results_NAME.json */
    json_t *samples; /* array: a line of samples_NAME.jsonl each */
};

/* Empty results with who was judged: model, checkpoint, its identity, the components' fingerprints. */
enum status generation_results_create(const struct task *task, struct generation_results *results);
void generation_results_free(struct generation_results *results); /* a zeroed one is fine */

/* Sets root[key] = value, which is taken over; NULL is "no memory". */
enum status generation_results_set(struct generation_results *results, const char *key, json_t *value);

/* A number of the table. */
struct generation_row {
    const char *name; /* "asr_test_clean" */
    const char *alias;
    bool part; /* of the row before it that is none */
    int64_t shots, expected, effective;
    bool higher_is_better;
    json_t *metrics; /* taken over: {"wer,none": 0.2, "wer_stderr,none": ...} */
};
enum status generation_results_row(struct generation_results *results, const struct generation_row *row);
enum status generation_results_sample(struct generation_results *results, json_t *sample); /* taken over */

/* Both files. */
enum status generation_results_write(const struct task *task, const char *name,
                                     const struct generation_results *results);

#endif
