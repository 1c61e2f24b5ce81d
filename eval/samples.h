/* Samples of a benchmark, as benchmark_write has left them: scores from which numbers are made again without the model. */
#ifndef SPIRITLM_EVAL_SAMPLES_H
#define SPIRITLM_EVAL_SAMPLES_H

#include "eval/reports.h"

struct samples {
    char task[256]; /* "swuggy_dev" */
    enum report_rule rule;
    struct score_protocol protocol; /* of the pass */
    bool pmi;
    int64_t items, expected, failures;
    struct choice_set set;
};

/* Reads a whole file. `samples` is zeroed, and for samples_free also after a failure. STATUS_CORRUPT names file and line. */
enum status samples_read(const char *path, struct samples *samples);
void samples_free(struct samples *samples);

#endif
