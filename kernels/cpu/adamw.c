/* AdamW over a bucket of parameters: 28 bytes move per element and little is computed, so everything is done in the one
 * pass. The segments say which elements are weights and which decay applies; what lies between them is padding. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

#include "core/rng.h"

struct update {
    const struct adamw *p;
    float scale;            /* of the gradient */
    float first_correction; /* 1 / (1 - beta1^step) */
    float second_correction;
    float weight_decay; /* of the segment at hand */
};

/* The masters of elements [i, i + count) rounded up or down by chance (operations.h says how). */
static void round_stochastically(const struct adamw *p, int64_t i, int64_t count, vector master)
{
    const uint32_t key[2] = {(uint32_t)p->seed, (uint32_t)(p->seed >> 32)};
    uint32_t words[4];
    uint64_t drawn = UINT64_MAX;
    bf16 *weights = p->weights;
    for (int64_t j = 0; j < count; j++) {
        uint64_t index = (uint64_t)(p->first_index + i + j), block = index / 4;
        if (block != drawn)
            philox4x32(key,
                       (const uint32_t[4]){(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)p->step,
                                           (uint32_t)((uint64_t)p->step >> 32)},
                       words);
        drawn = block;
        float value = master[j];
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        weights[i + j] = isfinite(value) ? (bf16)((bits + (words[index % 4] & 0xFFFF)) >> 16) : bf16_from_float(value);
    }
}

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
    master -= p->learning_rate * (m * u->first_correction / root + u->weight_decay * master);
    vector_store(p->first_moment, i, count, DTYPE_F32, m);
    vector_store(p->second_moment, i, count, DTYPE_F32, v);
    vector_store(p->master, i, count, DTYPE_F32, master);
    if (p->weights && p->stochastic)
        round_stochastically(p, i, count, master);
    else if (p->weights)
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

/* The parts of the segments that lie in one task's run of elements. A segment's last lanes are cut where it ends, and
 * every element is computed by itself, so the cut shows in no bit. */
static void update_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct update u = *(const struct update *)argument;
    const struct adamw *p = u.p;
    int64_t first = task * TASK_ELEMENTS, last = minimum(p->count, first + TASK_ELEMENTS);
    for (int64_t s = 0; s < p->segment_count; s++) {
        const struct adamw_segment *segment = &p->segments[s];
        int64_t start = maximum(first, segment->begin), end = minimum(last, segment->begin + segment->count);
        u.weight_decay = segment->weight_decay;
        if (start >= end)
            continue;
        if (p->weights_type == DTYPE_F32)
            update_range(&u, start, end, DTYPE_F32);
        else
            update_range(&u, start, end, DTYPE_BF16);
    }
}

static bool segments_fit(const struct device_context *context, const struct adamw *p)
{
    int64_t end = 0;
    for (int64_t s = 0; s < p->segment_count; s++) {
        const struct adamw_segment *segment = &p->segments[s];
        bool fits = segment->begin >= end && segment->count >= 0 && segment->count <= p->count - segment->begin;
        if (!fits)
            return cpu_fault(context, "adamw: segment %lld of %lld has %lld elements from %lld on; %lld..%lld are free",
                             (long long)s, (long long)p->segment_count, (long long)segment->count,
                             (long long)segment->begin, (long long)end, (long long)p->count - 1);
        end = segment->begin + segment->count;
    }
    return true;
}

enum status cpu_adamw(const struct device_context *context, const struct adamw *p)
{
    if (*p->skip != 0 || !segments_fit(context, p))
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
