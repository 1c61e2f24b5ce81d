/* What the CPU backend keeps behind a device context. device.c opens and closes it; the kernels ask for it by the
 * functions of context.c, which cpu.h declares. */
#ifndef SPIRITLM_KERNELS_CPU_CONTEXT_H
#define SPIRITLM_KERNELS_CPU_CONTEXT_H

#include "kernels/cpu/cpu.h"

struct cpu_libraries {
    int workers;
    float *scratch; /* [workers][WORKER_SCRATCH_FLOATS]; pages that no task touches cost nothing */
    enum cpu_engine f32_engine, bf16_engine;
    struct onednn *onednn;
    char description[256];
    char fault[256]; /* the first one; "" while there is none */
    struct cpu_block {
        void *memory;
        size_t bytes;
    } * blocks; /* what is allocated */
    int64_t block_count, block_capacity;
    struct device_memory memory;
};

#endif
