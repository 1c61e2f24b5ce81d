/* From the scores of a benchmark's items to its numbers: the rule of each benchmark, applied to a run of the model and to its samples
 * read later alike. */
#ifndef SPIRITLM_EVAL_REPORTS_H
#define SPIRITLM_EVAL_REPORTS_H

#include "eval/scoring/benchmark.h"

enum report_rule {
    REPORT_MEAN,           /* over items */
    REPORT_CLUSTERS,       /* over items, the standard error over the clusters that they name */
    REPORT_PARTS,          /* the plain mean of the parts that items name, and each part */
    REPORT_SUBJECTS,       /* over items; the plain mean of parts; groups of parts by their items; each part */
    REPORT_SLM21_LEXICAL,  /* voices averaged per id, ids over the benchmark; bands of frequency */
    REPORT_SLM21_SYNTACTIC /* likewise; types */
};
/* "mean", "clusters", "parts", "subjects", "slm21 lexical", "slm21 syntactic" */
const char *report_rule_name(enum report_rule rule);

/* What a report is made of. */
struct report_input {
    enum report_rule rule;
    const char *task;             /* the rows' name: "swuggy_dev" */
    const struct choice_set *set; /* items in the order in which they were judged */
    int64_t expected, failures;   /* items that there should be, and those that have no score */
};

/* Appends the rows under a protocol. */
enum status report_make(const struct report_input *input, const struct score_protocol *protocol,
                        struct benchmark_results *results);

/* For sLM21: the tables of the challenge's own scorer, into the folder; nothing for other rules. */
enum status report_write_tables(const struct report_input *input, const struct score_protocol *protocol,
                                const char *folder);

/* ---- for reports.c: report_slm21.c ---- */
enum status report_slm21(const struct report_input *input, const struct score_protocol *protocol,
                         struct benchmark_results *results, const char *folder);

#endif
