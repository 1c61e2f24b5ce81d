/* squared_norm, clip_scale and convert: one pass over memory each. The norm is summed in double by tiles of a fixed size,
 * added in their order, so that the number of threads does not show in it. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

enum { NORM_TILE = 65536 };

size_t cpu_squared_norm_scratch_size(const struct squared_norm *p)
{
    return p->count <= 0 ? 0 : (size_t)divide_up(p->count, NORM_TILE) * sizeof(double);
}

struct norm {
    const struct squared_norm *p;
    double *partial; /* [tiles] */
};

/* The square of a finite f32 is finite in double, and so is the sum of 65,536 of them. */
static void norm_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct norm *norm = argument;
    int64_t i = task * NORM_TILE, end = minimum(norm->p->count, i + NORM_TILE);
    const float *x = norm->p->x;
    double lanes[16] = {0};
    for (; i + 16 <= end; i += 16)
#pragma omp simd
        for (int j = 0; j < 16; j++)
            lanes[j] += (double)x[i + j] * (double)x[i + j];
    for (int j = 0; i < end; i++, j++)
        lanes[j] += (double)x[i] * (double)x[i];
    double total = 0;
    for (int j = 0; j < 16; j++)
        total += lanes[j];
    norm->partial[task] = total;
}

enum status cpu_squared_norm(const struct device_context *context, const struct squared_norm *p)
{
    struct norm norm = {p, context->scratch};
    int64_t tiles = divide_up(p->count, NORM_TILE);
    thread_pool_run(context->pool, tiles, norm_task, &norm);
    double total = p->accumulate ? *p->result : 0;
    for (int64_t t = 0; t < tiles; t++) {
        total += norm.partial[t];
        if (!isfinite(norm.partial[t]))
            *p->nonfinite = 1;
    }
    *p->result = total;
    return STATUS_OK;
}

enum status cpu_clip_scale(const struct device_context *context, const struct clip_scale *p)
{
    (void)context;
    double norm = sqrt(*p->squared_norm), scale = (double)p->maximum / (norm + 1e-6);
    *p->norm = (float)norm;
    *p->scale = !(p->maximum > 0) ? 1.0f : scale > 1 ? 1.0f : (float)scale; /* a NaN norm gives a NaN scale */
    return STATUS_OK;
}

INLINE void convert_range(const struct convert *p, int64_t start, int64_t end, enum dtype from, enum dtype to)
{
    for (int64_t i = start; i < end; i += LANES) {
        int64_t count = minimum(LANES, end - i);
        vector v = vector_load(p->source, i, count, from);
        if (p->add)
            v += vector_load(p->destination, i, count, to);
        vector_store(p->destination, i, count, to, v);
    }
}

static void convert_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct convert *p = argument;
    int64_t start = task * TASK_ELEMENTS, end = minimum(p->count, start + TASK_ELEMENTS);
    bool from_f32 = p->source_type == DTYPE_F32, to_f32 = p->destination_type == DTYPE_F32;
    if (from_f32 && to_f32)
        convert_range(p, start, end, DTYPE_F32, DTYPE_F32);
    else if (from_f32)
        convert_range(p, start, end, DTYPE_F32, DTYPE_BF16);
    else if (to_f32)
        convert_range(p, start, end, DTYPE_BF16, DTYPE_F32);
    else
        convert_range(p, start, end, DTYPE_BF16, DTYPE_BF16);
}

enum status cpu_convert(const struct device_context *context, const struct convert *p)
{
    thread_pool_run(context->pool, divide_up(p->count, TASK_ELEMENTS), convert_task, (void *)p);
    return STATUS_OK;
}
