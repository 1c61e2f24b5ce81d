/* The gradient of GELU by itself, in one pass over memory. */
#include "kernels/cpu/gelu.h"

#include "kernels/cpu/cpu.h"

INLINE void gelu_lanes(const struct gelu_backward *p, int64_t i, int64_t count, enum dtype type)
{
    vector slope = vector_gelu_slope(vector_load(p->x, i, count, type));
    vector_store(p->grad_x, i, count, type, vector_load(p->grad_output, i, count, type) * slope);
}

INLINE void gelu_range(const struct gelu_backward *p, int64_t begin, int64_t end, enum dtype type)
{
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES)
        gelu_lanes(p, i, LANES, type);
    if (i < end)
        gelu_lanes(p, i, end - i, type);
}

static void gelu_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct gelu_backward *p = argument;
    int64_t begin = task * TASK_ELEMENTS, end = minimum(p->count, begin + TASK_ELEMENTS);
    if (p->type == DTYPE_F32)
        gelu_range(p, begin, end, DTYPE_F32);
    else
        gelu_range(p, begin, end, DTYPE_BF16);
}

enum status cpu_gelu_backward(const struct device_context *context, const struct gelu_backward *p)
{
    thread_pool_run(context->pool, divide_up(p->count, TASK_ELEMENTS), gelu_task, (void *)p);
    return STATUS_OK;
}
