/* Device memory of the CPU backend: ordinary memory, aligned for vectors and huge pages, and counted, because plans are
 * compared with what is really allocated. Copies are cut into tasks, since one core does not reach the memory's speed. */
#include "core/array.h"
#include "kernels/cpu/context.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 256, HUGE_PAGE = 2 << 20, COPY_TASK_BYTES = 1 << 20 };

static enum status note_block(struct cpu_libraries *libraries, void *memory, size_t bytes)
{
    enum status result = array_grow(&libraries->blocks, &libraries->block_capacity, libraries->block_count + 1,
                                    "entries of the list of what is allocated");
    if (result != STATUS_OK)
        return result;
    libraries->blocks[libraries->block_count++] = (struct cpu_block){memory, bytes};
    libraries->memory.allocated += (int64_t)bytes;
    if (libraries->memory.peak < libraries->memory.allocated)
        libraries->memory.peak = libraries->memory.allocated;
    return STATUS_OK;
}

enum status cpu_allocate(const struct device_context *context, size_t bytes, void **memory)
{
    CHECK(memory, "allocate: no place for the address");
    *memory = NULL;
    enum status result = cpu_check_context(context, "allocate");
    if (result != STATUS_OK)
        return result;
    size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    CHECK(bytes <= SIZE_MAX - HUGE_PAGE, "allocate: %zu bytes", bytes);
    size_t rounded = bytes ? (bytes + alignment - 1) / alignment * alignment : alignment;
    void *block = aligned_alloc(alignment, rounded);
    CHECK(block, "no memory: %zu bytes were asked for", bytes);
    if (alignment == HUGE_PAGE)
        (void)madvise(block, rounded, MADV_HUGEPAGE); /* a wish: rows far apart then need few page table entries */
    result = cpu_fill_zero(context, block, rounded);
    if (result == STATUS_OK)
        result = note_block(context->libraries, block, bytes);
    if (result != STATUS_OK) {
        free(block);
        return result;
    }
    *memory = block;
    return STATUS_OK;
}

void cpu_release(const struct device_context *context, void *memory)
{
    struct cpu_libraries *libraries = context->libraries;
    for (int64_t i = 0; memory && libraries && i < libraries->block_count; i++) {
        if (libraries->blocks[i].memory != memory)
            continue;
        libraries->memory.allocated -= (int64_t)libraries->blocks[i].bytes;
        libraries->blocks[i] = libraries->blocks[--libraries->block_count];
        break;
    }
    free(memory);
}

struct device_memory cpu_memory(const struct device_context *context)
{
    const struct cpu_libraries *libraries = context->libraries;
    return libraries->memory;
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
