/* What the CPU backend keeps behind a device context. device.c opens and closes it; the kernels ask for it by the
 * functions of context.c, which cpu.h declares. */
#ifndef SPIRITLM_KERNELS_CPU_CONTEXT_H
#define SPIRITLM_KERNELS_CPU_CONTEXT_H

#include "kernels/cpu/cpu.h"

enum { CPU_FFT_SHORTEST = 256, CPU_FFT_LENGTHS = 4 };

struct fft;

struct cpu_libraries {
    int workers;
    float *scratch; /* [workers][WORKER_SCRATCH_FLOATS]; pages that no task touches cost nothing */
    enum cpu_engine f32_engine, bf16_engine;
    struct onednn *onednn;
    int blas_threads;                 /* reserved in OpenBLAS: all workers, or none */
    const char *blas_absence;         /* why OpenBLAS, which was wanted, is not used; NULL */
    struct fft *fft[CPU_FFT_LENGTHS]; /* of 256, 512, ...; made when first needed */
    char description[256];
    char fault[256]; /* the first one; "" while there is none */
    struct cpu_block {
        void *memory;
        size_t bytes;
    } * blocks; /* what is allocated */
    int64_t block_count, block_capacity;
    struct device_memory memory;
};

/* kernels.h; in matmul.c. */
bool cpu_matmul_stable_columns(const struct device_context *context, enum dtype type, int64_t rows);

/* Twiddle factors of a length of 256, 512, 1024 or 2048, which live as long as the context. */
enum status cpu_fft(const struct device_context *context, int64_t length, const struct fft **fft);

#endif
