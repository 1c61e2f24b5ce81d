#include "kernels/cpu/cpu.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256, COPY_TASK_BYTES = 1 << 20 };

struct cpu_libraries {
    int workers;
    float *scratch; /* [workers][WORKER_SCRATCH_FLOATS]; pages that no task touches cost nothing */
    char description[256];
};

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

enum status cpu_open(struct device_context *context)
{
    struct cpu_libraries *libraries = calloc(1, sizeof *libraries);
    CHECK(libraries, "no memory for the cpu's context");
    libraries->workers = thread_pool_threads(context->pool);
    size_t bytes = (size_t)libraries->workers * WORKER_SCRATCH_FLOATS * sizeof(float);
    libraries->scratch = aligned_alloc(ALIGNMENT, bytes);
    if (!libraries->scratch) {
        free(libraries);
        return status_set(STATUS_INTERNAL, "no memory: %zu bytes for the threads' tiles", bytes);
    }
    snprintf(libraries->description, sizeof libraries->description, "%s kernels, f32: %s tiles (%s), bf16: f32 tiles",
             SPIRITLM_ARCH_NAME, openblas_get_corename(), openblas_get_config());
    context->libraries = libraries;
    return STATUS_OK;
}

void cpu_close(struct device_context *context)
{
    struct cpu_libraries *libraries = context->libraries;
    if (libraries)
        free(libraries->scratch);
    free(libraries);
    context->libraries = NULL;
}

const char *cpu_describe(const struct device_context *context)
{
    const struct cpu_libraries *libraries = context->libraries;
    return libraries ? libraries->description : "no context";
}

enum status cpu_allocate(const struct device_context *context, size_t bytes, void **memory)
{
    CHECK(memory, "allocate: no place for the address");
    *memory = NULL;
    CHECK(bytes <= SIZE_MAX - ALIGNMENT, "allocate: %zu bytes", bytes);
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *block = aligned_alloc(ALIGNMENT, rounded ? rounded : ALIGNMENT);
    CHECK(block, "no memory: %zu bytes were asked for", bytes);
    enum status result = cpu_fill_zero(context, block, rounded ? rounded : ALIGNMENT);
    if (result != STATUS_OK) {
        free(block);
        return result;
    }
    *memory = block;
    return STATUS_OK;
}

void cpu_release(const struct device_context *context, void *memory)
{
    (void)context;
    free(memory);
}

struct copy_task {
    char *destination;
    const char *source; /* NULL: zeros */
    size_t bytes;
};

static void copy_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct copy_task *p = argument;
    size_t start = (size_t)task * COPY_TASK_BYTES;
    size_t count = p->bytes - start < COPY_TASK_BYTES ? p->bytes - start : COPY_TASK_BYTES;
    if (p->source)
        memcpy(p->destination + start, p->source + start, count);
    else
        memset(p->destination + start, 0, count);
}

enum status cpu_copy(const struct device_context *context, void *destination, const void *source, size_t bytes)
{
    if (bytes == 0)
        return STATUS_OK;
    CHECK(context && destination && source, "copy: a null pointer for %zu bytes", bytes);
    struct copy_task tasks = {destination, source, bytes};
    thread_pool_run(context->pool, (int64_t)((bytes + COPY_TASK_BYTES - 1) / COPY_TASK_BYTES), copy_task, &tasks);
    return STATUS_OK;
}

enum status cpu_fill_zero(const struct device_context *context, void *memory, size_t bytes)
{
    if (bytes == 0)
        return STATUS_OK;
    CHECK(context && memory, "fill_zero: a null pointer for %zu bytes", bytes);
    struct copy_task tasks = {memory, NULL, bytes};
    thread_pool_run(context->pool, (int64_t)((bytes + COPY_TASK_BYTES - 1) / COPY_TASK_BYTES), copy_task, &tasks);
    return STATUS_OK;
}

enum status cpu_synchronize(const struct device_context *context)
{
    (void)context; /* every operation has ended when it returns */
    return STATUS_OK;
}
