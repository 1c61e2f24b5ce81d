/* The one thread pool. Work is cut into tasks by the shape of the data alone, never by the number of threads, so that
 * results do not depend on it; which thread runs which task is left to chance. */
#ifndef SPIRITLM_CORE_THREAD_POOL_H
#define SPIRITLM_CORE_THREAD_POOL_H

#include "core/status.h"

#include <stdint.h>

struct thread_pool;

/* `task` in 0..count-1; `worker` in 0..threads-1 identifies the thread, for its own scratch memory. A task must not
 * call thread_pool_run on the same pool. */
typedef void (*thread_pool_task)(void *argument, int64_t task, int worker);

/* `threads` <= 0 stands for SPIRITLM_THREADS, or else the number of processors this process may use. The caller's
 * thread is one of them. The pool must be destroyed by its creator. */
enum status thread_pool_create(int threads, struct thread_pool **pool);
void thread_pool_destroy(struct thread_pool *pool); /* NULL is fine */

/* What `threads` <= 0 stands for. A SPIRITLM_THREADS that is not a number from 1 to 1024 is ignored with a warning. */
int thread_pool_default_threads(void);

int thread_pool_threads(const struct thread_pool *pool);

/* Runs all tasks and returns when the last has ended. One caller at a time. pool NULL runs them here, in order. */
void thread_pool_run(struct thread_pool *pool, int64_t count, thread_pool_task task, void *argument);

#endif
