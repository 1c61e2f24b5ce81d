/* What every computing program starts with: the thread pool, the kernels and a context on them. */
#ifndef SPIRITLM_PROGRAMS_MACHINE_H
#define SPIRITLM_PROGRAMS_MACHINE_H

#include "core/thread_pool.h"
#include "kernels/kernels.h"

struct machine {
    struct thread_pool *pool;
    const struct kernels *kernels;
    struct device_context context;
};

/* threads 0: SPIRITLM_THREADS, else all processors. */
enum status machine_create(int64_t threads, struct machine *machine);
void machine_destroy(struct machine *machine); /* a zeroed one is fine */

#endif
