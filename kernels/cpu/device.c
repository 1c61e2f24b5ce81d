/* The cpu as a device: opening a context chooses what multiplies matrices and allocates what the threads work in;
 * memory is the host's own, so an allocation needs only the alignment and huge pages that the kernels like, and a copy
 * or a fill is cut among the threads, which together have more bandwidth than one. */
#include "kernels/cpu/context.h"

#include "core/fft.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

static void describe(struct cpu_libraries *libraries)
{
    static const char *const names[] = {"own tiles", "OpenBLAS tiles", "oneDNN tiles"};
    enum cpu_engine single = libraries->f32_engine, half = libraries->bf16_engine;
    char blas[128] = "", onednn[32] = "", version[16];
    if (single == CPU_ENGINE_BLAS || half == CPU_ENGINE_BLAS)
        snprintf(blas, sizeof blas, " (%s)", openblas_get_config());
    if (single == CPU_ENGINE_ONEDNN || half == CPU_ENGINE_ONEDNN) {
        onednn_version(version, sizeof version);
        snprintf(onednn, sizeof onednn, " (oneDNN %s)", version);
    }
    snprintf(libraries->description, sizeof libraries->description, "%s kernels, f32: %s, bf16: %s%s%s",
             SPIRITLM_ARCH_NAME, names[single], names[half], blas, onednn);
}

void cpu_set_engine(struct device_context *context, enum cpu_engine engine)
{
    struct cpu_libraries *libraries = context->libraries;
    if (engine == CPU_ENGINE_ONEDNN && !libraries->onednn)
        libraries->onednn = onednn_create(libraries->workers);
    libraries->f32_engine = libraries->bf16_engine = engine;
    describe(libraries);
}

/* OpenBLAS and oneDNN choose their code by the processor and have AVX-512; ours is compiled for AVX2 and FMA, or less.
 */
static void choose_engines(struct cpu_libraries *libraries)
{
    libraries->f32_engine = CPU_ENGINE_BLAS;
#ifdef __FMA__
    if (!__builtin_cpu_supports("avx512f"))
        libraries->f32_engine = CPU_ENGINE_BLOCKED;
#endif
    libraries->bf16_engine = libraries->f32_engine;
    if (__builtin_cpu_supports("avx512bf16"))
        libraries->onednn = onednn_create(libraries->workers);
    if (libraries->onednn)
        libraries->bf16_engine = CPU_ENGINE_ONEDNN;
    describe(libraries);
}

enum status cpu_open(struct device_context *context)
{
    struct cpu_libraries *libraries = calloc(1, sizeof *libraries);
    CHECK(libraries, "no memory for the cpu's context");
    libraries->workers = thread_pool_threads(context->pool);
    size_t bytes = (size_t)libraries->workers * WORKER_SCRATCH_FLOATS * sizeof(float);
    libraries->scratch = aligned_alloc(HUGE_PAGE, bytes); /* 2 MiB a thread */
    if (!libraries->scratch) {
        free(libraries);
        return status_set(STATUS_INTERNAL, "no memory: %zu bytes for the threads' tiles", bytes);
    }
    (void)madvise(libraries->scratch, bytes, MADV_HUGEPAGE);
    choose_engines(libraries);
    context->libraries = libraries;
    return STATUS_OK;
}

void cpu_close(struct device_context *context)
{
    struct cpu_libraries *libraries = context->libraries;
    if (libraries) {
        onednn_destroy(libraries->onednn);
        for (int i = 0; i < CPU_FFT_LENGTHS; i++)
            fft_destroy(libraries->fft[i]);
        free(libraries->scratch);
        free(libraries->blocks);
    }
    free(libraries);
    context->libraries = NULL;
}

const char *cpu_describe(const struct device_context *context)
{
    const struct cpu_libraries *libraries = context->libraries;
    return libraries ? libraries->description : "no context";
}
