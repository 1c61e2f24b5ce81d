/* MMLU (Hendrycks et al. 2021): subjects and their groups, and the prompts of its questions. */
#ifndef SPIRITLM_EVAL_ZERO_SHOT_MMLU_H
#define SPIRITLM_EVAL_ZERO_SHOT_MMLU_H

#include "core/status.h"
#include "io/csv.h"

#include <stdint.h>

enum { MMLU_CHOICES = 4, MMLU_FIELDS = 6 /* question, four choices, the letter of the answer */ };

/* The group of a subject as lm-evaluation-harness has it: "stem", "humanities", "social sciences", "other"; NULL: unknown. */
const char *mmlu_group(const char *subject);

/* Which prompt: the benchmark's own program's, or lm-evaluation-harness's. They differ in a space before the subject, which the first has
 * twice, and in white space around questions, which the second takes away. */
enum mmlu_form { MMLU_LM_EVAL, MMLU_ORIGINAL };

/* Checks the table of a subject (no header): STATUS_CORRUPT, naming file and line, for a number of fields other than six and for an answer
 * that is not A, B, C or D. */
enum status mmlu_check(const struct csv *table);

/* 0 to 3 for the answer of a row. */
int mmlu_answer(const struct csv *table, int64_t row);

/* The prompt of a question: the heading, the first `shots` rows of `examples` with their answers, and the question up to "Answer:".
 * The caller frees it. */
enum status mmlu_prompt(const char *subject, const struct csv *examples, int64_t shots, const struct csv *table,
                        int64_t row, enum mmlu_form form, char **prompt);

#endif
