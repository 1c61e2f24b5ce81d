#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

struct update {
    const struct adamw *p;
    float scale;            /* of the gradient */
    float first_correction; /* 1 / (1 - beta1^step) */
    float second_correction;
};

INLINE void update_lanes(const struct update *u, int64_t i, int64_t count, enum dtype type)
{
    const struct adamw *p = u->p;
    vector g = vector_load(p->gradient, i, count, DTYPE_F32) * u->scale;
    vector m = vector_load(p->first_moment, i, count, DTYPE_F32),
           v = vector_load(p->second_moment, i, count, DTYPE_F32);
    vector master = vector_load(p->master, i, count, DTYPE_F32);
    m = p->beta1 * m + (1.0f - p->beta1) * g;
    v = p->beta2 * v + (1.0f - p->beta2) * g * g;
    vector root = vector_square_root(v * u->second_correction) + p->epsilon;
    master -= p->learning_rate * (m * u->first_correction / root + p->weight_decay * master);
    vector_store(p->first_moment, i, count, DTYPE_F32, m);
    vector_store(p->second_moment, i, count, DTYPE_F32, v);
    vector_store(p->master, i, count, DTYPE_F32, master);
    if (p->weights)
        vector_store(p->weights, i, count, type, master);
}

INLINE void update_range(const struct update *u, int64_t start, int64_t end, enum dtype type)
{
    int64_t i = start;
    for (; i + LANES <= end; i += LANES)
        update_lanes(u, i, LANES, type);
    if (i < end)
        update_lanes(u, i, end - i, type);
}

static void update_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct update *u = argument;
    int64_t start = task * TASK_ELEMENTS, end = minimum(u->p->count, start + TASK_ELEMENTS);
    if (u->p->weights_type == DTYPE_F32)
        update_range(u, start, end, DTYPE_F32);
    else
        update_range(u, start, end, DTYPE_BF16);
}

enum status cpu_adamw(const struct device_context *context, const struct adamw *p)
{
    CHECK(context && p, "adamw: a null pointer");
    CHECK(p->count >= 0, "adamw: %lld elements", (long long)p->count);
    CHECK(!p->weights || is_compute_type(p->weights_type), "adamw: type %d", (int)p->weights_type);
    CHECK(p->scale && p->skip, "adamw: no scale or skip");
    CHECK(p->step >= 1, "adamw: step %lld; they count from 1", (long long)p->step);
    CHECK(p->beta1 >= 0 && p->beta1 < 1 && p->beta2 >= 0 && p->beta2 < 1, "adamw: betas %g, %g", (double)p->beta1,
          (double)p->beta2);
    CHECK(p->count == 0 || (p->master && p->first_moment && p->second_moment && p->gradient), "adamw: a null array");
    if (*p->skip != 0)
        return STATUS_OK;
    struct update update = {
        .p = p,
        .scale = *p->scale,
        .first_correction = (float)(1.0 / (1.0 - pow((double)p->beta1, (double)p->step))),
        .second_correction = (float)(1.0 / (1.0 - pow((double)p->beta2, (double)p->step))),
    };
    thread_pool_run(context->pool, divide_up(p->count, TASK_ELEMENTS), update_task, &update);
    return STATUS_OK;
}
