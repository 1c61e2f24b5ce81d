/* tests/golden/slm21: 30 archives with their scores and what the challenge's own scorer made of them (oracles/slm21_scores.py). */
#ifndef SPIRITLM_TESTS_SLM21_GOLDEN_H
#define SPIRITLM_TESTS_SLM21_GOLDEN_H

#include "eval/zero_shot/slm21.h"
#include "io/csv.h"

/* For cmocka_run_group_tests. */
int slm21_golden_open(void **state);
int slm21_golden_close(void **state);

/* A file, as a text that stays; its name is formatted as by printf: "07/lexical/dev/gold.csv". Fails the test when there is
 * none. */
const char *slm21_golden(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The table "gold.csv" that is read from a copy of the text. */
void slm21_golden_table(const char *text, struct csv *table);

/* scores[row] from lines "NAME SCORE"; NAN where there is none. The caller frees. */
double *slm21_golden_scores(const struct slm21 *gold, const char *lines);

#endif
