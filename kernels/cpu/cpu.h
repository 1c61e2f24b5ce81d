/* What the files of the CPU backend share. Not for callers: they go through struct kernels. */
#ifndef SPIRITLM_KERNELS_CPU_CPU_H
#define SPIRITLM_KERNELS_CPU_CPU_H

#include "core/thread_pool.h"
#include "kernels/kernels.h"

/* Every argument is checked where it enters; the text names the operation. */
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return status_set(STATUS_INTERNAL, __VA_ARGS__);                                                           \
    } while (0)

enum {
    WORKER_SCRATCH_FLOATS = 1 << 19, /* 2 MiB a thread: the tiles one task works on */
    TASK_ELEMENTS = 1 << 14,         /* elements of a task that reads and writes memory once */
    MAXIMUM_HEAD_SIZE = 512,
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

static inline bool is_compute_type(enum dtype type)
{
    return type == DTYPE_F32 || type == DTYPE_BF16;
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
void cpu_set_engine(struct device_context *context, enum cpu_engine engine); /* for both types: tests and benchmarks */

/* oneDNN's handles; NULL where it is not built in or not usable. A context makes them when it first needs them. */
struct onednn;
struct onednn *onednn_create(int workers);
void onednn_destroy(struct onednn *library);
void onednn_version(char *text, size_t size); /* "2.7.3"; "" in a build without it */
struct onednn *cpu_onednn(const struct device_context *context);

/* STATUS_INTERNAL unless device_context_create made this context. */
enum status cpu_check_context(const struct device_context *context, const char *operation);

/* STATUS_INTERNAL when the context's scratch is smaller than `bytes`. */
enum status cpu_check_scratch(const struct device_context *context, size_t bytes, const char *operation);

/* device.c */
enum status cpu_open(struct device_context *context);
void cpu_close(struct device_context *context);
enum status cpu_allocate(const struct device_context *context, size_t bytes, void **memory);
void cpu_release(const struct device_context *context, void *memory);
enum status cpu_copy(const struct device_context *context, void *destination, const void *source, size_t bytes);
enum status cpu_fill_zero(const struct device_context *context, void *memory, size_t bytes);
enum status cpu_synchronize(const struct device_context *context);
const char *cpu_describe(const struct device_context *context);

enum status cpu_matmul(const struct device_context *context, const struct matmul *p);
enum status cpu_embedding_forward(const struct device_context *context, const struct embedding_forward *p);
enum status cpu_embedding_backward(const struct device_context *context, const struct embedding_backward *p);
enum status cpu_rmsnorm_forward(const struct device_context *context, const struct rmsnorm_forward *p);
enum status cpu_rmsnorm_backward(const struct device_context *context, const struct rmsnorm_backward *p);
enum status cpu_rope(const struct device_context *context, const struct rope *p);
enum status cpu_attention_forward(const struct device_context *context, const struct attention_forward *p);
enum status cpu_attention_backward(const struct device_context *context, const struct attention_backward *p);
enum status cpu_swiglu_forward(const struct device_context *context, const struct swiglu_forward *p);
enum status cpu_swiglu_backward(const struct device_context *context, const struct swiglu_backward *p);
enum status cpu_cross_entropy(const struct device_context *context, const struct cross_entropy *p);
enum status cpu_convert(const struct device_context *context, const struct convert *p);
enum status cpu_squared_norm(const struct device_context *context, const struct squared_norm *p);
enum status cpu_clip_scale(const struct device_context *context, const struct clip_scale *p);
enum status cpu_adamw(const struct device_context *context, const struct adamw *p);

size_t cpu_matmul_scratch_size(const struct matmul *p);
size_t cpu_rmsnorm_backward_scratch_size(const struct rmsnorm_backward *p);
size_t cpu_attention_forward_scratch_size(const struct attention_forward *p);
size_t cpu_attention_backward_scratch_size(const struct attention_backward *p);
size_t cpu_squared_norm_scratch_size(const struct squared_norm *p);

/* Checks that forward and backward share; the text begins with `operation`. */
enum status cpu_check_attention(const struct attention_forward *p, const char *operation);

#endif
