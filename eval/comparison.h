/* `evaluate report OUT...`: results beside the published numbers. */
#ifndef SPIRITLM_EVAL_COMPARISON_H
#define SPIRITLM_EVAL_COMPARISON_H

#include "core/status.h"

#include <stdint.h>
#include <stdio.h>

/* Prints a table in Markdown with a row for each task and normalization of the results_*.json in the folders, the paper's numbers beside
 * them where it has one, and writes it into the first folder as report.md and report.html. STATUS_USAGE when there are no results
 * of a benchmark, STATUS_CORRUPT for a damaged file. */
enum status comparison_write(const char *const *folders, int64_t count, FILE *report);

#endif
