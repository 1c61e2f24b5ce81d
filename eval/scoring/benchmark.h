/* The results of a benchmark: a table for people, results_TASK.json with the keys of lm-evaluation-harness and what it lacks
 * (protocol, ties, failures, fingerprints, archive), and the samples from which `rescore` reads other protocols. */
#ifndef SPIRITLM_EVAL_SCORING_BENCHMARK_H
#define SPIRITLM_EVAL_SCORING_BENCHMARK_H

#include "core/statistics.h"
#include "eval/scoring/choices.h"
#include "package/components.h"

#include <stdio.h>

/* One number, and everything that says how far to trust it. */
struct benchmark_row {
    char name[64];      /* "swuggy_dev": a key of the results */
    char alias[64];     /* as the table shows it: "all", "in vocabulary", "oov" */
    bool part;          /* of the row before it that is none: indented */
    bool group;         /* a number over other rows, those that name it */
    char member_of[64]; /* the group that it belongs to; "": none, and a part is then no task of its own */
    enum score_normalize normalize;
    struct estimate accuracy;
    int64_t expected;   /* items that there should be */
    int64_t ties;       /* of its items: the best score was there twice */
    int64_t failures;   /* items that have no score */
    int64_t truncated;  /* items that were cut to the context */
    int64_t lost_shots; /* examples that were left out for it */
    int64_t clusters;   /* of items, over which the standard error is; 0: over items */
};

/* Counts over the items of a row. */
struct benchmark_counts {
    int64_t ties, truncated, lost_shots;
};

struct benchmark_results {
    struct benchmark_row *rows;
    int64_t count, capacity;
};

/* Adds a row, which is no group and in none; its name is "TASK_ALIAS" with spaces and other marks as '_', or TASK alone for an empty alias. `row` may be NULL. */
enum status benchmark_add(struct benchmark_results *results, const char *task, const char *alias, bool part,
                          struct estimate accuracy, int64_t expected, struct benchmark_counts counts,
                          const struct score_protocol *protocol, struct benchmark_row **row);
void benchmark_free(struct benchmark_results *results);

/* The table, with a header. */
void benchmark_print(const struct benchmark_results *results, FILE *report);

/* What was judged, on what and how. All borrowed. */
struct benchmark_subject {
    const char *task;       /* in the files' names: "swuggy_dev" */
    const char *model;      /* as the user named it */
    const char *checkpoint; /* the folder that it was resolved to */
    const struct components *components;
    const struct score_protocol *protocol;  /* of the pass; rows may differ in how they normalize */
    bool pmi;                               /* whether scores without context are in the samples */
    const char *rule;                       /* how items become the rows: report_rule_name */
    int64_t expected, failures;             /* items */
    const char *archive, *archive_identity; /* its path, and 64 digits */
    const json_t *fingerprints; /* of the model and its components (task_fingerprints); borrowed; NULL: unknown */
    const json_t *inputs;       /* more of what was judged on: splits, prompts, seeds; NULL: nothing */
    int64_t shots;
};

/* OUT/results_TASK.json and, unless `set` is NULL, OUT/samples_TASK.jsonl: a header line with the protocol of the pass, then a line per item. */
enum status benchmark_write(const char *folder, const struct benchmark_subject *subject,
                            const struct benchmark_results *results, const struct choice_set *set);

/* Puts other numbers, under another protocol, into what benchmark_write has written. */
enum status benchmark_replace(json_t *root, const struct score_protocol *protocol,
                              const struct benchmark_results *results);

#endif
