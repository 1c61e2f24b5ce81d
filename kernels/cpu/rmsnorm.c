/* RMSNorm and its gradients. A row is summed in four chains of eight lanes, long enough to hide an addition's latency and
 * fixed, so that a row has the same bits wherever it stands; the weight's gradient is summed by blocks of rows that depend
 * on the shape alone, then block by block in order. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

/* Four running sums: additions need not wait for each other. */
struct lanes_sum {
    vector part[4];
};

INLINE float lanes_total(const struct lanes_sum *sum)
{
    return vector_sum((sum->part[0] + sum->part[2]) + (sum->part[1] + sum->part[3]));
}

INLINE vector sum_lanes(const void *x, const void *residual, void *sum, int64_t i, int64_t count, enum dtype type)
{
    vector v = vector_load(x, i, count, type);
    if (residual) {
        v = vector_round(v + vector_load(residual, i, count, type), type);
        vector_store(sum, i, count, type, v);
    }
    return v;
}

INLINE float square_row(const void *x, const void *residual, void *sum, int64_t channels, enum dtype type)
{
    struct lanes_sum squares = {0};
    int64_t i = 0;
    for (; i + 4 * LANES <= channels; i += 4 * LANES)
        for (int j = 0; j < 4; j++) {
            vector v = sum_lanes(x, residual, sum, i + j * LANES, LANES, type);
            squares.part[j] = multiply_add(v, v, squares.part[j]);
        }
    for (; i < channels; i += LANES) {
        vector v = sum_lanes(x, residual, sum, i, minimum(LANES, channels - i), type);
        squares.part[0] = multiply_add(v, v, squares.part[0]);
    }
    return lanes_total(&squares);
}

INLINE void scale_row(const void *x, const void *weight, void *output, float rstd, int64_t channels, enum dtype type)
{
    int64_t i = 0;
    for (; i + LANES <= channels; i += LANES) {
        vector normal = vector_round(vector_load(x, i, LANES, type) * rstd, type);
        vector_store(output, i, LANES, type, normal * vector_load(weight, i, LANES, type));
    }
    if (i < channels) {
        vector normal = vector_round(vector_load(x, i, channels - i, type) * rstd, type);
        vector_store(output, i, channels - i, type, normal * vector_load(weight, i, channels - i, type));
    }
}

INLINE void forward_row(const struct rmsnorm_forward *p, int64_t n, enum dtype type)
{
    const void *x = element(p->x, n * p->channels, type);
    const void *residual = p->residual ? element(p->residual, n * p->channels, type) : NULL;
    void *sum = p->residual ? element_of(p->sum, n * p->channels, type) : NULL;
    float squares =
        residual ? square_row(x, residual, sum, p->channels, type) : square_row(x, NULL, NULL, p->channels, type);
    float rstd = 1.0f / sqrtf(squares / (float)p->channels + p->epsilon);
    scale_row(residual ? sum : x, p->weight, element_of(p->output, n * p->channels, type), rstd, p->channels, type);
    if (p->rstd)
        p->rstd[n] = rstd;
}

static void forward_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct rmsnorm_forward *p = argument;
    int64_t rows = rows_per_task(p->channels), end = minimum(p->rows, (task + 1) * rows);
    for (int64_t n = task * rows; n < end; n++) {
        if (p->type == DTYPE_F32)
            forward_row(p, n, DTYPE_F32);
        else
            forward_row(p, n, DTYPE_BF16);
    }
}

enum status cpu_rmsnorm_forward(const struct device_context *context, const struct rmsnorm_forward *p)
{
    thread_pool_run(context->pool, divide_up(p->rows, rows_per_task(p->channels)), forward_task, (void *)p);
    return STATUS_OK;
}

struct backward {
    const struct rmsnorm_backward *p;
    float *partial; /* [blocks][C]: the weight's gradient from one block of rows */
    int64_t blocks;
};

static int64_t backward_rows(int64_t channels)
{
    return maximum(16, minimum(256, TASK_ELEMENTS / channels));
}

size_t cpu_rmsnorm_backward_scratch_size(const struct rmsnorm_backward *p)
{
    if (p->rows <= 0 || p->channels <= 0)
        return 0;
    return (size_t)(divide_up(p->rows, backward_rows(p->channels)) * p->channels) * sizeof(float);
}

/* sum over c of grad_output * weight * normalised value */
INLINE float dot_row(const void *sum, const void *weight, const void *gradient, float rstd, int64_t channels,
                     enum dtype type)
{
    struct lanes_sum dot = {0};
    int64_t i = 0;
    for (; i + 4 * LANES <= channels; i += 4 * LANES)
        for (int j = 0; j < 4; j++) {
            vector normal = vector_load(sum, i + j * LANES, LANES, type) * rstd;
            vector scaled =
                vector_load(gradient, i + j * LANES, LANES, type) * vector_load(weight, i + j * LANES, LANES, type);
            dot.part[j] = multiply_add(normal, scaled, dot.part[j]);
        }
    for (; i < channels; i += LANES) {
        int64_t count = minimum(LANES, channels - i);
        vector normal = vector_load(sum, i, count, type) * rstd;
        vector scaled = vector_load(gradient, i, count, type) * vector_load(weight, i, count, type);
        dot.part[0] = multiply_add(normal, scaled, dot.part[0]);
    }
    return lanes_total(&dot);
}

struct backward_row {
    const void *sum, *gradient, *residual; /* residual: NULL for none */
    void *result;
    float *partial;
    float rstd, mean; /* mean of grad_output * weight * normalised value */
};

/* grad_sum = rstd * (g w - normal * mean) + grad_residual; the weight's gradient gets g * normal. */
INLINE void backward_lanes(const struct backward_row *row, const void *weight, int64_t i, int64_t count,
                           enum dtype type)
{
    vector gradient = vector_load(row->gradient, i, count, type);
    vector normal = vector_load(row->sum, i, count, type) * row->rstd;
    vector result = (gradient * vector_load(weight, i, count, type) - normal * row->mean) * row->rstd;
    if (row->residual)
        result += vector_load(row->residual, i, count, type);
    vector part = vector_load(row->partial, i, count, DTYPE_F32);
    vector_store(row->partial, i, count, DTYPE_F32, multiply_add(gradient, vector_round(normal, type), part));
    vector_store(row->result, i, count, type, result);
}

INLINE void backward_row(const struct rmsnorm_backward *p, int64_t n, float *partial, enum dtype type)
{
    int64_t channels = p->channels, i = 0;
    struct backward_row row = {
        .sum = element(p->sum, n * channels, type),
        .gradient = element(p->grad_output, n * channels, type),
        .residual = p->grad_residual ? element(p->grad_residual, n * channels, type) : NULL,
        .result = element_of(p->grad_sum, n * channels, type),
        .partial = partial,
        .rstd = p->rstd[n],
    };
    row.mean = dot_row(row.sum, p->weight, row.gradient, row.rstd, channels, type) / (float)channels;
    for (; i + LANES <= channels; i += LANES)
        backward_lanes(&row, p->weight, i, LANES, type);
    if (i < channels)
        backward_lanes(&row, p->weight, i, channels - i, type);
}

static void backward_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct backward *work = argument;
    const struct rmsnorm_backward *p = work->p;
    int64_t rows = backward_rows(p->channels), end = minimum(p->rows, (task + 1) * rows);
    float *partial = work->partial + task * p->channels;
    memset(partial, 0, (size_t)p->channels * sizeof(float));
    for (int64_t n = task * rows; n < end; n++) {
        if (p->type == DTYPE_F32)
            backward_row(p, n, partial, DTYPE_F32);
        else
            backward_row(p, n, partial, DTYPE_BF16);
    }
}

enum { STRIP = 256 };

static void weight_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct backward *work = argument;
    int64_t channels = work->p->channels, end = minimum(channels, (task + 1) * STRIP);
    for (int64_t i = task * STRIP; i < end; i += LANES) {
        int64_t count = minimum(LANES, end - i);
        vector total = vector_load(work->partial, i, count, DTYPE_F32);
        for (int64_t b = 1; b < work->blocks; b++)
            total += vector_load(work->partial + b * channels, i, count, DTYPE_F32);
        if (!work->p->overwrite)
            total = vector_load(work->p->grad_weight, i, count, DTYPE_F32) + total;
        vector_store(work->p->grad_weight, i, count, DTYPE_F32, total);
    }
}

enum status cpu_rmsnorm_backward(const struct device_context *context, const struct rmsnorm_backward *p)
{
    if (p->rows == 0) {
        if (p->overwrite)
            memset(p->grad_weight, 0, (size_t)p->channels * sizeof(float));
        return STATUS_OK;
    }
    struct backward work = {p, context->scratch, divide_up(p->rows, backward_rows(p->channels))};
    thread_pool_run(context->pool, work.blocks, backward_task, &work);
    thread_pool_run(context->pool, divide_up(p->channels, STRIP), weight_task, &work);
    return STATUS_OK;
}
