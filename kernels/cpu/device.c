/* The cpu as a device: opening a context chooses what multiplies matrices and allocates what the threads work in;
 * memory is the host's own, so an allocation needs only the alignment and huge pages that the kernels like, and a copy
 * or a fill is cut among the threads, which together have more bandwidth than one. */
#include "kernels/cpu/blas_library.h"
#include "kernels/cpu/context.h"

#include "core/fft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

static void describe(struct cpu_libraries *libraries)
{
    static const char *const names[] = {"own tiles", "OpenBLAS tiles", "oneDNN tiles"};
    enum cpu_engine single = libraries->f32_engine, half = libraries->bf16_engine;
    char blas[240] = "", onednn[32] = "", version[16];
    if (single == CPU_ENGINE_BLAS || half == CPU_ENGINE_BLAS)
        snprintf(blas, sizeof blas, " (%s)", blas_library()->config());
    else if (libraries->blas_absence)
        snprintf(blas, sizeof blas, " (no OpenBLAS: %s)", libraries->blas_absence);
    if (single == CPU_ENGINE_ONEDNN || half == CPU_ENGINE_ONEDNN) {
        onednn_version(version, sizeof version);
        snprintf(onednn, sizeof onednn, " (oneDNN %s)", version);
    }
    snprintf(libraries->description, sizeof libraries->description, "%s kernels, f32: %s, bf16: %s%s%s",
             SPIRITLM_ARCH_NAME, names[single], names[half], blas, onednn);
}

/* OpenBLAS for `type`, ready for all workers; our own tiles where it cannot be used. */
static enum status use_blas(struct cpu_libraries *libraries, enum cpu_engine *engine)
{
    enum status result = STATUS_OK;
    *engine = blas_library() ? CPU_ENGINE_BLAS : CPU_ENGINE_BLOCKED;
    libraries->blas_absence = blas_library() ? NULL : blas_library_absence();
    if (blas_library() && libraries->blas_threads == 0) {
        TRY(blas_library_reserve(libraries->workers));
        libraries->blas_threads = libraries->workers;
    }
fail:
    return result;
}

enum status cpu_set_engine(struct device_context *context, enum cpu_engine engine)
{
    enum status result = STATUS_OK;
    struct cpu_libraries *libraries = context->libraries;
    if (engine == CPU_ENGINE_BLAS)
        TRY(use_blas(libraries, &engine));
    if (engine == CPU_ENGINE_ONEDNN && !libraries->onednn)
        libraries->onednn = onednn_create(libraries->workers);
    libraries->f32_engine = libraries->bf16_engine = engine;
    describe(libraries);
fail:
    return result;
}

/* OpenBLAS and oneDNN choose their code by the processor and have AVX-512; ours is compiled for AVX2 and FMA, or less. But OpenBLAS
 * goes by the processors that it knows: a Zen 4, newer than Debian 12's, gets Haswell's code, which has AVX2 too and is slower. */
static bool ours_suffice(void)
{
#ifdef __FMA__
    static const char *const cores[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    if (!__builtin_cpu_supports("avx512f"))
        return true;
    if (!blas_library()) /* whoever wants to use it says why */
        return false;
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++)
        if (strcasestr(blas_library()->config(), cores[i]))
            return false;
    return true;
#else
    return false;
#endif
}

static enum status choose_engines(struct cpu_libraries *libraries)
{
    enum status result = STATUS_OK;
    libraries->f32_engine = CPU_ENGINE_BLOCKED;
    if (!ours_suffice())
        TRY(use_blas(libraries, &libraries->f32_engine));
    libraries->bf16_engine = libraries->f32_engine;
    if (__builtin_cpu_supports("avx512bf16"))
        libraries->onednn = onednn_create(libraries->workers);
    if (libraries->onednn)
        libraries->bf16_engine = CPU_ENGINE_ONEDNN;
    describe(libraries);
fail:
    return result;
}

static void release_libraries(struct cpu_libraries *libraries)
{
    if (libraries->blas_threads)
        (void)blas_library_reserve(-libraries->blas_threads);
    onednn_destroy(libraries->onednn);
    for (int i = 0; i < CPU_FFT_LENGTHS; i++)
        fft_destroy(libraries->fft[i]);
    free(libraries->scratch);
    free(libraries->blocks);
    free(libraries);
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
    enum status result = choose_engines(libraries);
    if (result == STATUS_OK)
        context->libraries = libraries;
    else
        release_libraries(libraries);
    return result;
}

void cpu_close(struct device_context *context)
{
    if (context->libraries)
        release_libraries(context->libraries);
    context->libraries = NULL;
}

const char *cpu_describe(const struct device_context *context)
{
    const struct cpu_libraries *libraries = context->libraries;
    return libraries ? libraries->description : "no context";
}
