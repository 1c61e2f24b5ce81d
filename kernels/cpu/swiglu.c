/* The gated unit of Shazeer 2020 (silu(gate) * up) and its gradients, in one pass over gate and up as the fused product
 * leaves them side by side; backward computes the sigmoid again rather than keep it. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

INLINE vector sigmoid(vector x)
{
    return 1.0f / (1.0f + vector_exp(-x));
}

INLINE void forward_lanes(const void *gate, const void *up, void *output, int64_t i, int64_t count, enum dtype type)
{
    vector g = vector_load(gate, i, count, type), u = vector_load(up, i, count, type);
    vector_store(output, i, count, type, g * sigmoid(g) * u);
}

INLINE void forward_row(const void *gate, const void *up, void *output, int64_t channels, enum dtype type)
{
    int64_t i = 0;
    for (; i + LANES <= channels; i += LANES)
        forward_lanes(gate, up, output, i, LANES, type);
    if (i < channels)
        forward_lanes(gate, up, output, i, channels - i, type);
}

static void forward_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct swiglu_forward *p = argument;
    int64_t rows = rows_per_task(2 * p->channels), end = minimum(p->rows, (task + 1) * rows);
    for (int64_t n = task * rows; n < end; n++) {
        const void *gate = element(p->gate_up, 2 * n * p->channels, p->type);
        const void *up = element(gate, p->channels, p->type);
        void *output = element_of(p->output, n * p->channels, p->type);
        if (p->type == DTYPE_F32)
            forward_row(gate, up, output, p->channels, DTYPE_F32);
        else
            forward_row(gate, up, output, p->channels, DTYPE_BF16);
    }
}

/* With s = sigmoid(g): d(g s u)/dg = u s (1 + g (1 - s)), d/du = g s. */
INLINE void backward_lanes(const void *gate, const void *up, const void *gradient, void *grad_gate, void *grad_up,
                           int64_t i, int64_t count, enum dtype type)
{
    vector g = vector_load(gate, i, count, type), u = vector_load(up, i, count, type);
    vector dy = vector_load(gradient, i, count, type), s = sigmoid(g);
    vector_store(grad_gate, i, count, type, dy * u * s * (1.0f + g * (1.0f - s)));
    vector_store(grad_up, i, count, type, dy * g * s);
}

INLINE void backward_row(const void *gate, const void *up, const void *gradient, void *grad_gate, void *grad_up,
                         int64_t channels, enum dtype type)
{
    int64_t i = 0;
    for (; i + LANES <= channels; i += LANES)
        backward_lanes(gate, up, gradient, grad_gate, grad_up, i, LANES, type);
    if (i < channels)
        backward_lanes(gate, up, gradient, grad_gate, grad_up, i, channels - i, type);
}

static void backward_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct swiglu_backward *p = argument;
    int64_t rows = rows_per_task(2 * p->channels), end = minimum(p->rows, (task + 1) * rows);
    for (int64_t n = task * rows; n < end; n++) {
        const void *gate = element(p->gate_up, 2 * n * p->channels, p->type);
        const void *up = element(gate, p->channels, p->type);
        const void *gradient = element(p->grad_output, n * p->channels, p->type);
        void *grad_gate = element_of(p->grad_gate_up, 2 * n * p->channels, p->type);
        void *grad_up = element_of(grad_gate, p->channels, p->type);
        if (p->type == DTYPE_F32)
            backward_row(gate, up, gradient, grad_gate, grad_up, p->channels, DTYPE_F32);
        else
            backward_row(gate, up, gradient, grad_gate, grad_up, p->channels, DTYPE_BF16);
    }
}

enum status cpu_swiglu_forward(const struct device_context *context, const struct swiglu_forward *p)
{
    thread_pool_run(context->pool, divide_up(p->rows, rows_per_task(2 * p->channels)), forward_task, (void *)p);
    return STATUS_OK;
}

enum status cpu_swiglu_backward(const struct device_context *context, const struct swiglu_backward *p)
{
    thread_pool_run(context->pool, divide_up(p->rows, rows_per_task(2 * p->channels)), backward_task, (void *)p);
    return STATUS_OK;
}
