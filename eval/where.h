/* `evaluate where TASK`: where a benchmark's archive comes from, its licence, size and layout. */
#ifndef SPIRITLM_EVAL_WHERE_H
#define SPIRITLM_EVAL_WHERE_H

#include "core/status.h"

#include <stdio.h>

/* `task`: the name of one, or "all". STATUS_USAGE for a task without an archive. */
enum status where_print(const char *task, FILE *report);

#endif
