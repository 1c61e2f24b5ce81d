/* What a kernel asks of the context it was called with: its thread's scratch, the engine for a type, and whether the
 * context fits. It stands below the kernels, and device.c, which needs oneDNN's handles to open a context, above them:
 * in one file they would need each other. */
#include "kernels/cpu/context.h"

#include "core/fft.h"

#include <stdarg.h>
#include <stdio.h>

enum cpu_engine cpu_engine(const struct device_context *context, enum dtype type)
{
    const struct cpu_libraries *libraries = context->libraries;
    return type == DTYPE_F32 ? libraries->f32_engine : libraries->bf16_engine;
}

struct onednn *cpu_onednn(const struct device_context *context)
{
    const struct cpu_libraries *libraries = context->libraries;
    return libraries->onednn;
}

enum status cpu_fft(const struct device_context *context, int64_t length, const struct fft **fft)
{
    struct cpu_libraries *libraries = context->libraries;
    int place = 0;
    while (place < CPU_FFT_LENGTHS - 1 && length > (int64_t)CPU_FFT_SHORTEST << place)
        place++;
    if (!libraries->fft[place]) {
        enum status result = fft_create((int64_t)CPU_FFT_SHORTEST << place, &libraries->fft[place]);
        if (result != STATUS_OK)
            return result;
    }
    *fft = libraries->fft[place];
    return STATUS_OK;
}

float *cpu_worker_scratch(const struct device_context *context, int worker)
{
    const struct cpu_libraries *libraries = context->libraries;
    return libraries->scratch + (int64_t)worker * WORKER_SCRATCH_FLOATS;
}

enum status cpu_check_context(const struct device_context *context, const char *operation)
{
    CHECK(context && context->libraries, "%s: the context was not made by device_context_create", operation);
    const struct cpu_libraries *libraries = context->libraries;
    CHECK(libraries->workers >= thread_pool_threads(context->pool), "%s: the context was made for another thread pool",
          operation);
    return STATUS_OK;
}

enum status cpu_check_scratch(const struct device_context *context, size_t bytes, const char *operation)
{
    CHECK(context->scratch_bytes >= bytes && (context->scratch || bytes == 0),
          "%s: needs %zu bytes of scratch, the context has %zu", operation, bytes, context->scratch_bytes);
    return STATUS_OK;
}

bool cpu_fault(const struct device_context *context, const char *format, ...)
{
    struct cpu_libraries *libraries = context->libraries;
    if (*libraries->fault)
        return false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(libraries->fault, sizeof libraries->fault, format, arguments);
    va_end(arguments);
    return false;
}

bool cpu_indices_fit(const struct device_context *context, const char *operation, const char *what,
                     const int32_t *indices, int64_t count, int64_t low, int64_t high)
{
    for (int64_t i = 0; i < count; i++)
        if (indices[i] < low || indices[i] >= high)
            return cpu_fault(context, "%s: %s %lld of %lld is %d, outside %lld..%lld", operation, what, (long long)i,
                             (long long)count, (int)indices[i], (long long)low, (long long)high - 1);
    return true;
}
