/* GELU by itself, where no other operation has it as an epilogue, and its gradient, in one pass over memory. */
#include "kernels/cpu/gelu.h"

#include "kernels/cpu/cpu.h"

INLINE void forward_range(const struct gelu_forward *p, int64_t begin, int64_t end, enum dtype type)
{
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES)
        vector_store(p->output, i, LANES, type, vector_gelu(vector_load(p->x, i, LANES, type)));
    if (i < end)
        vector_store(p->output, i, end - i, type, vector_gelu(vector_load(p->x, i, end - i, type)));
}

static void forward_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct gelu_forward *p = argument;
    int64_t begin = task * TASK_ELEMENTS, end = minimum(p->count, begin + TASK_ELEMENTS);
    if (p->type == DTYPE_F32)
        forward_range(p, begin, end, DTYPE_F32);
    else
        forward_range(p, begin, end, DTYPE_BF16);
}

enum status cpu_gelu_forward(const struct device_context *context, const struct gelu_forward *p)
{
    thread_pool_run(context->pool, divide_up(p->count, TASK_ELEMENTS), forward_task, (void *)p);
    return STATUS_OK;
}

INLINE void backward_lanes(const struct gelu_backward *p, int64_t i, int64_t count, enum dtype type)
{
    vector slope = vector_gelu_slope(vector_load(p->x, i, count, type));
    vector_store(p->grad_x, i, count, type, vector_load(p->grad_output, i, count, type) * slope);
}

INLINE void backward_range(const struct gelu_backward *p, int64_t begin, int64_t end, enum dtype type)
{
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES)
        backward_lanes(p, i, LANES, type);
    if (i < end)
        backward_lanes(p, i, end - i, type);
}

static void backward_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct gelu_backward *p = argument;
    int64_t begin = task * TASK_ELEMENTS, end = minimum(p->count, begin + TASK_ELEMENTS);
    if (p->type == DTYPE_F32)
        backward_range(p, begin, end, DTYPE_F32);
    else
        backward_range(p, begin, end, DTYPE_BF16);
}

enum status cpu_gelu_backward(const struct device_context *context, const struct gelu_backward *p)
{
    thread_pool_run(context->pool, divide_up(p->count, TASK_ELEMENTS), backward_task, (void *)p);
    return STATUS_OK;
}
