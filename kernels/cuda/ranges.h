/* Ranges in a profiler's timeline, one per call of an operation, by its name. Off unless SPIRITLM_NVTX is 1: then a call costs
 * one load of a flag more. */
#ifndef SPIRITLM_KERNELS_CUDA_RANGES_H
#define SPIRITLM_KERNELS_CUDA_RANGES_H

#include <stdatomic.h>
#include <stdbool.h>

extern atomic_bool cuda_ranges_wanted;

/* Reads the environment: when a context is opened. */
void cuda_ranges_open(void);

void cuda_range_push(const char *name);
void cuda_range_pop(void);

static inline void cuda_range_begin(const char *name)
{
    if (atomic_load_explicit(&cuda_ranges_wanted, memory_order_relaxed))
        cuda_range_push(name);
}

static inline void cuda_range_end(void)
{
    if (atomic_load_explicit(&cuda_ranges_wanted, memory_order_relaxed))
        cuda_range_pop();
}

#endif
