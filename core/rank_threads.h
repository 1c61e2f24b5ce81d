/* Ranks that are threads of this process and share one piece of work: each does its part of it, and the first failure ends it for all. */
#ifndef SPIRITLM_CORE_RANK_THREADS_H
#define SPIRITLM_CORE_RANK_THREADS_H

#include "core/status.h"

#include <stdatomic.h>
#include <stdint.h>

/* Calls run(context, r) for every rank r below `count`, rank 0 in the caller's thread and each other in a thread of its own, and returns
 * when all have ended: with the status and the text of the rank that failed first. *failed, false at the beginning, is set then:
 * the others look at it and end early, with any status. */
enum status rank_threads_run(int64_t count, enum status (*run)(void *context, int64_t rank), void *context,
                             atomic_bool *failed);

#endif
