/* What the tasks over a benchmark's archive share: the archive, the units of its recordings, the choices and the results. */
#ifndef SPIRITLM_EVAL_BENCHMARK_RUN_H
#define SPIRITLM_EVAL_BENCHMARK_RUN_H

#include "eval/recordings.h"
#include "eval/reports.h"
#include "eval/scoring/benchmark.h"
#include "eval/scoring/hypothesis.h"
#include "eval/task.h"

struct benchmark_run {
    const struct task *task;
    struct archive *archive;
    const char **names; /* of its members */
    int64_t count;
    bool *wanted;                     /* [count] recordings to be encoded */
    struct unit_ids *units;           /* [count] of the recordings that were encoded; NULL: none yet */
    struct score_protocols protocols; /* the first is that of the pass */
    bool cuts;                        /* items that are too long lose their left end; false: they are refused */
    struct choice_set set;
    struct benchmark_results results;
};

/* Opens the archive and makes the protocols (`natural` as in score_protocols). Items are cut where score.protocol=lm-eval. benchmark_run_free whatever happens. */
enum status benchmark_run_open(const struct task *task, const char *path, enum score_scope natural,
                               struct benchmark_run *run);
void benchmark_run_free(struct benchmark_run *run);

/* Whether incomplete items are left out and counted. */
bool benchmark_run_skips(const struct benchmark_run *run);
/* `count` or the limit of evaluate.limit. */
int64_t benchmark_run_limit(const struct benchmark_run *run, int64_t count);

/* Encodes the recordings that are wanted. */
enum status benchmark_run_encode(struct benchmark_run *run);
/* Speech as a side; borrows the ids. */
struct side speech_side(const struct unit_ids *units);
/* A member as text, with white space at its ends cut off; the caller frees it. Invalid UTF-8 is STATUS_CORRUPT. */
enum status benchmark_run_text(const struct benchmark_run *run, int64_t member, char **text);

/* Adds an item of two choices, the first of which is right; takes `document` over. `context` may be NULL. Errors name the item. */
enum status benchmark_run_add(struct benchmark_run *run, const char *id, json_t *document, const struct side *context,
                              const struct side *right, const struct side *wrong);

/* The same for any number of choices, of which `answer` is right. */
enum status benchmark_run_add_choices(struct benchmark_run *run, const char *id, json_t *document,
                                      const struct side *context, const struct side *sides, int64_t count,
                                      int64_t answer);

/* The tokens that the model can read of an item. */
int64_t benchmark_run_context(const struct benchmark_run *run);

/* What is particular to a benchmark's results. */
struct benchmark_outcome {
    const char *name; /* of its files and rows */
    enum report_rule rule;
    int64_t expected, failures; /* items that there should be, and those that have no score */
    int64_t shots;              /* examples before each item */
};

/* Scores what was added, prints a table, writes results_NAME.json and samples_NAME.jsonl, and sets the task's outcome from the
 * first row. */
enum status benchmark_run_finish(struct benchmark_run *run, const struct benchmark_outcome *outcome);

#endif
