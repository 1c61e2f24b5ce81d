/* An activation by itself, where no other operation has it as an epilogue, and the gated linear unit: each one pass over
 * memory. */
#include "kernels/cpu/activation.h"
#include "kernels/cpu/cpu.h"

INLINE void activate_range(const struct activate *p, int64_t begin, int64_t end, enum activation activation,
                           enum dtype type)
{
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES)
        vector_store(p->output, i, LANES, type,
                     vector_activate(vector_load(p->x, i, LANES, type), activation, p->slope));
    if (i < end)
        vector_store(p->output, i, end - i, type,
                     vector_activate(vector_load(p->x, i, end - i, type), activation, p->slope));
}

INLINE void activate_type(const struct activate *p, int64_t begin, int64_t end, enum activation activation)
{
    if (p->type == DTYPE_F32)
        activate_range(p, begin, end, activation, DTYPE_F32);
    else
        activate_range(p, begin, end, activation, DTYPE_BF16);
}

/* GELU, the dearest and that of encoders, has loops of its own without a choice in them. */
static void activate_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct activate *p = argument;
    int64_t begin = task * TASK_ELEMENTS, end = minimum(p->count, begin + TASK_ELEMENTS);
    if (p->activation == ACTIVATION_GELU)
        activate_type(p, begin, end, ACTIVATION_GELU);
    else
        activate_type(p, begin, end, p->activation);
}

enum status cpu_activate(const struct device_context *context, const struct activate *p)
{
    thread_pool_run(context->pool, divide_up(p->count, TASK_ELEMENTS), activate_task, (void *)p);
    return STATUS_OK;
}

INLINE void glu_lanes(const void *x, const void *gate, void *output, int64_t i, int64_t count, enum dtype type)
{
    vector v = vector_load(x, i, count, type);
    vector_store(output, i, count, type, v * vector_sigmoid(vector_load(gate, i, count, type)));
}

INLINE void glu_row(const void *x, void *output, int64_t channels, enum dtype type)
{
    const void *gate = element(x, channels, type);
    int64_t i = 0;
    for (; i + LANES <= channels; i += LANES)
        glu_lanes(x, gate, output, i, LANES, type);
    if (i < channels)
        glu_lanes(x, gate, output, i, channels - i, type);
}

static void glu_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct glu *p = argument;
    int64_t rows = rows_per_task(2 * p->channels), end = minimum(p->rows, (task + 1) * rows);
    for (int64_t n = task * rows; n < end; n++) {
        const void *x = element(p->x, 2 * n * p->channels, p->type);
        void *output = element_of(p->output, n * p->channels, p->type);
        if (p->type == DTYPE_F32)
            glu_row(x, output, p->channels, DTYPE_F32);
        else
            glu_row(x, output, p->channels, DTYPE_BF16);
    }
}

enum status cpu_glu(const struct device_context *context, const struct glu *p)
{
    thread_pool_run(context->pool, divide_up(p->rows, rows_per_task(2 * p->channels)), glu_task, (void *)p);
    return STATUS_OK;
}
