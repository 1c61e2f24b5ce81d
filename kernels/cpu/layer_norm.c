/* LayerNorm with a residual before it and GELU after it, and its gradients. A row is read three times, of which the
 * caches serve the last two: for the mean, for the squares about the mean (a single pass over squares would cancel where
 * the mean is large), and for the output. Sums run in four chains of eight lanes, so that a row has the same bits wherever
 * it stands; gradients of parameters are summed by blocks of rows that depend on the shape alone, then block by block. */
#include "kernels/cpu/activation.h"
#include "kernels/cpu/cpu.h"

/* Four running sums: additions need not wait for each other. */
struct lanes_sum {
    vector part[4];
};

INLINE float lanes_total(const struct lanes_sum *sum)
{
    return vector_sum((sum->part[0] + sum->part[2]) + (sum->part[1] + sum->part[3]));
}

/* What is normalised: x + residual as `type` holds it, or x. */
INLINE vector row_lanes(const void *x, const void *residual, int64_t i, int64_t count, enum dtype type)
{
    vector v = vector_load(x, i, count, type);
    return residual ? vector_round(v + vector_load(residual, i, count, type), type) : v;
}

/* The sum of the row, which goes to `sum` too unless that is NULL. */
INLINE float sum_row(const void *x, const void *residual, void *sum, int64_t channels, enum dtype type)
{
    struct lanes_sum total = {0};
    for (int64_t i = 0, j = 0; i < channels; i += LANES, j = (j + 1) % 4) {
        int64_t count = minimum(LANES, channels - i);
        vector v = row_lanes(x, residual, i, count, type);
        if (sum)
            vector_store(sum, i, count, type, v);
        total.part[j] += v;
    }
    return lanes_total(&total);
}

INLINE float square_row(const void *x, const void *residual, float mean, int64_t channels, enum dtype type)
{
    struct lanes_sum total = {0};
    int64_t i = 0;
    for (int64_t j = 0; i + LANES <= channels; i += LANES, j = (j + 1) % 4) {
        vector v = row_lanes(x, residual, i, LANES, type) - mean;
        total.part[j] = multiply_add(v, v, total.part[j]);
    }
    float squares = lanes_total(&total);
    for (; i < channels; i++) { /* lanes past the end are not at the mean */
        float v = row_lanes(x, residual, i, 1, type)[0] - mean;
        squares += v * v;
    }
    return squares;
}

INLINE void finish_lanes(const struct layer_norm_forward *p, vector normal, void *output, int64_t i, int64_t count,
                         enum dtype type)
{
    vector v = multiply_add(normal, vector_load(p->weight, i, count, type), vector_load(p->bias, i, count, type));
    vector_store(output, i, count, type, vector_activate(v, p->activation, p->slope));
}

INLINE void forward_row(const struct layer_norm_forward *p, int64_t n, enum dtype type)
{
    const void *x = element(p->x, n * p->channels, type);
    const void *residual = p->residual ? element(p->residual, n * p->channels, type) : NULL;
    void *sum = p->sum ? element_of(p->sum, n * p->channels, type) : NULL;
    void *output = element_of(p->output, n * p->channels, type);
    float mean = sum_row(x, residual, sum, p->channels, type) / (float)p->channels;
    if (sum) {
        x = sum;
        residual = NULL;
    }
    float variance = square_row(x, residual, mean, p->channels, type) / (float)p->channels;
    float rstd = 1.0f / sqrtf(variance + p->epsilon);
    int64_t i = 0;
    for (; i + LANES <= p->channels; i += LANES)
        finish_lanes(p, (row_lanes(x, residual, i, LANES, type) - mean) * rstd, output, i, LANES, type);
    if (i < p->channels) {
        int64_t count = p->channels - i;
        finish_lanes(p, (row_lanes(x, residual, i, count, type) - mean) * rstd, output, i, count, type);
    }
    if (p->mean) {
        p->mean[n] = mean;
        p->rstd[n] = rstd;
    }
}

static void forward_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct layer_norm_forward *p = argument;
    int64_t rows = rows_per_task(p->channels), end = minimum(p->rows, (task + 1) * rows);
    for (int64_t n = task * rows; n < end; n++) {
        if (p->type == DTYPE_F32)
            forward_row(p, n, DTYPE_F32);
        else
            forward_row(p, n, DTYPE_BF16);
    }
}

enum status cpu_layer_norm_forward(const struct device_context *context, const struct layer_norm_forward *p)
{
    thread_pool_run(context->pool, divide_up(p->rows, rows_per_task(p->channels)), forward_task, (void *)p);
    return STATUS_OK;
}

/* ---- gradients ---- */

struct backward {
    const struct layer_norm_backward *p;
    float *partial; /* [blocks][2][C]: the gradients of weight and bias from one block of rows */
    int64_t blocks;
};

static int64_t backward_rows(int64_t channels)
{
    return maximum(16, minimum(256, TASK_ELEMENTS / channels));
}

size_t cpu_layer_norm_backward_scratch_size(const struct layer_norm_backward *p)
{
    if (p->rows <= 0 || p->channels <= 0)
        return 0;
    return (size_t)(divide_up(p->rows, backward_rows(p->channels)) * 2 * p->channels) * sizeof(float);
}

struct backward_row {
    const struct layer_norm_backward *p;
    const void *sum, *gradient, *residual; /* residual: NULL for none */
    float mean, rstd;
};

/* The normalised value, and the gradient of what weight and bias give. */
INLINE vector gradient_lanes(const struct backward_row *row, int64_t i, int64_t count, enum dtype type, vector *normal)
{
    const struct layer_norm_backward *p = row->p;
    vector gradient = vector_load(row->gradient, i, count, type);
    *normal = (vector_load(row->sum, i, count, type) - row->mean) * row->rstd;
    if (p->activation == ACTIVATION_GELU)
        gradient *= vector_gelu_slope(
            multiply_add(*normal, vector_load(p->weight, i, count, type), vector_load(p->bias, i, count, type)));
    return gradient;
}

/* grad_sum = rstd (g w - mean(g w) - normal mean(g w normal)) + grad_residual; weight gets g normal, bias g. */
INLINE void backward_row(const struct backward_row *row, void *result, float *partial, enum dtype type)
{
    const struct layer_norm_backward *p = row->p;
    struct lanes_sum total = {0}, dot = {0};
    for (int64_t i = 0, j = 0; i < p->channels; i += LANES, j = (j + 1) % 4) {
        int64_t count = minimum(LANES, p->channels - i);
        vector normal, gradient = gradient_lanes(row, i, count, type, &normal);
        vector scaled = gradient * vector_load(p->weight, i, count, type);
        total.part[j] += scaled;
        dot.part[j] = multiply_add(scaled, normal, dot.part[j]);
        float *weight = partial, *bias = partial + p->channels;
        vector_store(weight, i, count, DTYPE_F32,
                     multiply_add(gradient, normal, vector_load(weight, i, count, DTYPE_F32)));
        vector_store(bias, i, count, DTYPE_F32, vector_load(bias, i, count, DTYPE_F32) + gradient);
    }
    float mean = lanes_total(&total) / (float)p->channels, slope = lanes_total(&dot) / (float)p->channels;
    for (int64_t i = 0; i < p->channels; i += LANES) {
        int64_t count = minimum(LANES, p->channels - i);
        vector normal, gradient = gradient_lanes(row, i, count, type, &normal);
        vector v = (gradient * vector_load(p->weight, i, count, type) - mean - normal * slope) * row->rstd;
        if (row->residual)
            v += vector_load(row->residual, i, count, type);
        vector_store(result, i, count, type, v);
    }
}

static void backward_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct backward *work = argument;
    const struct layer_norm_backward *p = work->p;
    int64_t rows = backward_rows(p->channels), end = minimum(p->rows, (task + 1) * rows);
    float *partial = work->partial + task * 2 * p->channels;
    memset(partial, 0, (size_t)(2 * p->channels) * sizeof(float));
    for (int64_t n = task * rows; n < end; n++) {
        int64_t first = n * p->channels;
        struct backward_row row = {.p = p,
                                   .sum = element(p->sum, first, p->type),
                                   .gradient = element(p->grad_output, first, p->type),
                                   .residual = p->grad_residual ? element(p->grad_residual, first, p->type) : NULL,
                                   .mean = p->mean[n],
                                   .rstd = p->rstd[n]};
        if (p->type == DTYPE_F32)
            backward_row(&row, element_of(p->grad_sum, first, p->type), partial, DTYPE_F32);
        else
            backward_row(&row, element_of(p->grad_sum, first, p->type), partial, DTYPE_BF16);
    }
}

enum { STRIP = 512 };

static void parameters_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct backward *work = argument;
    int64_t channels = work->p->channels, end = minimum(2 * channels, (task + 1) * STRIP);
    for (int64_t i = task * STRIP; i < end; i++) { /* weight, then bias */
        float *result = i < channels ? work->p->grad_weight + i : work->p->grad_bias + (i - channels);
        float total = 0;
        for (int64_t b = 0; b < work->blocks; b++)
            total += work->partial[b * 2 * channels + i];
        *result = work->p->overwrite ? total : *result + total;
    }
}

enum status cpu_layer_norm_backward(const struct device_context *context, const struct layer_norm_backward *p)
{
    struct backward work = {p, context->scratch, divide_up(p->rows, backward_rows(p->channels))};
    if (p->rows == 0 && !p->overwrite)
        return STATUS_OK;
    thread_pool_run(context->pool, work.blocks, backward_task, &work);
    thread_pool_run(context->pool, divide_up(2 * p->channels, STRIP), parameters_task, &work);
    return STATUS_OK;
}
