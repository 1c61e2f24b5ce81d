/* What the files of the CPU backend share. Not for callers: they go through struct kernels. */
#ifndef SPIRITLM_KERNELS_CPU_CPU_H
#define SPIRITLM_KERNELS_CPU_CPU_H

#include "core/thread_pool.h"
#include "kernels/check.h"
#include "kernels/kernels.h"

enum {
    WORKER_SCRATCH_FLOATS = 1 << 19, /* 2 MiB a thread: the tiles one task works on */
    TASK_ELEMENTS = 1 << 14,         /* elements of a task that reads and writes memory once */
};

static inline int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t minimum(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t maximum(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Rows that one task takes of an operation over rows of `channels` elements: from the shape alone. */
static inline int64_t rows_per_task(int64_t channels)
{
    return maximum(1, TASK_ELEMENTS / maximum(1, channels));
}

/* The element `index` of an array of a compute type. */
static inline const void *element(const void *array, int64_t index, enum dtype type)
{
    return (const char *)array + index * (int64_t)dtype_size(type);
}

static inline void *element_of(void *array, int64_t index, enum dtype type)
{
    return (char *)array + index * (int64_t)dtype_size(type);
}

/* 2 MiB at a 64-byte boundary that belong to `worker` for the time of one task. */
float *cpu_worker_scratch(const struct device_context *context, int worker);

/* What multiplies matrices of a type (matmul.h); the choice is the processor's, made when the context is opened. */
enum cpu_engine { CPU_ENGINE_BLOCKED, CPU_ENGINE_BLAS, CPU_ENGINE_ONEDNN };
enum cpu_engine cpu_engine(const struct device_context *context, enum dtype type);
/* For both types: tests and benchmarks. Where OpenBLAS is not usable, its place is taken by our own tiles. */
enum status cpu_set_engine(struct device_context *context, enum cpu_engine engine);

/* oneDNN's handles; NULL where it is not built in or not usable. A context makes them when it first needs them. */
struct onednn;
struct onednn *onednn_create(int workers);
void onednn_destroy(struct onednn *library);
void onednn_version(char *text, size_t size); /* "2.7.3"; "" in a build without it */
struct onednn *cpu_onednn(const struct device_context *context);

/* STATUS_INTERNAL unless device_context_create made this context for its thread pool. */
enum status cpu_check_context(const struct device_context *context, const char *operation);

/* STATUS_INTERNAL when the context's scratch is smaller than `bytes`. */
enum status cpu_check_scratch(const struct device_context *context, size_t bytes, const char *operation);

/* What lies in device memory is looked at when the operation runs. The first thing that is wrong there becomes the
 * context's fault, which synchronize reports from then on; the operation leaves its results undefined. Always false. */
__attribute__((format(printf, 2, 3))) bool cpu_fault(const struct device_context *context, const char *format, ...);

/* True when all `count` indices are in [low, high); else the first one outside becomes the fault: "embedding_forward: id
 * 7 of 12 is 99, outside 0..31". */
bool cpu_indices_fit(const struct device_context *context, const char *operation, const char *what,
                     const int32_t *indices, int64_t count, int64_t low, int64_t high);

/* device.c, memory.c */
enum status cpu_open(struct device_context *context);
void cpu_close(struct device_context *context);
const char *cpu_describe(const struct device_context *context);
enum status cpu_allocate(const struct device_context *context, size_t bytes, void **memory);
void cpu_release(const struct device_context *context, void *memory);
struct device_memory cpu_memory(const struct device_context *context);
enum status cpu_copy(const struct device_context *context, void *destination, const void *source, size_t bytes);
enum status cpu_fill_zero(const struct device_context *context, void *memory, size_t bytes);

/* One file per operation. table.c checks arguments, context and scratch before it calls them. */
#define CPU_OPERATION(name)                                                                                            \
    enum status cpu_##name(const struct device_context *context, const struct name *p);                                \
    size_t cpu_##name##_scratch_size(const struct name *p);
KERNEL_OPERATIONS(CPU_OPERATION)
#undef CPU_OPERATION

#endif
