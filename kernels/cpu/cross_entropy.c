#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

#include <float.h>

INLINE float row_maximum(const void *logits, int64_t columns, enum dtype type)
{
    vector a = vector_fill(-INFINITY), b = a;
    int64_t i = 0;
    for (; i + 2 * LANES <= columns; i += 2 * LANES) {
        a = vector_max(vector_load(logits, i, LANES, type), a);
        b = vector_max(vector_load(logits, i + LANES, LANES, type), b);
    }
    a = vector_max(a, b);
    float result = a[0];
    for (int j = 1; j < LANES; j++)
        result = a[j] > result ? a[j] : result;
    for (; i < columns; i++) {
        float x = vector_load(logits, i, 1, type)[0];
        result = x > result ? x : result;
    }
    return result;
}

/* Sum of exp(logit - maximum): lanes within 1,024 columns, double above them, so that a wide row loses no digits. */
INLINE double row_sum(void *logits, float largest, int64_t columns, bool keep, enum dtype type)
{
    double total = 0;
    for (int64_t start = 0; start < columns; start += 1024) {
        int64_t end = minimum(columns, start + 1024), i = start;
        vector sum[2] = {{0}};
        for (; i + 2 * LANES <= end; i += 2 * LANES)
            for (int j = 0; j < 2; j++) {
                vector e = vector_exp(vector_load(logits, i + j * LANES, LANES, type) - largest);
                sum[j] += e;
                if (keep)
                    vector_store(logits, i + j * LANES, LANES, type, e);
            }
        total += (double)vector_sum(sum[0] + sum[1]);
        for (; i < end; i += LANES) {
            int64_t count = minimum(LANES, end - i);
            vector e = vector_exp(vector_load(logits, i, count, type) - largest);
            for (int64_t j = 0; j < count; j++)
                total += (double)e[j];
            if (keep)
                vector_store(logits, i, count, type, e);
        }
    }
    return total;
}

/* `kept`: the row holds exp(logit - maximum) already (f32); bf16 computes it again rather than round it. */
INLINE void row_gradient(void *logits, float largest, float factor, int64_t columns, bool kept, enum dtype type)
{
    int64_t i = 0;
    for (; i + LANES <= columns; i += LANES) {
        vector e = vector_load(logits, i, LANES, type);
        vector_store(logits, i, LANES, type, (kept ? e : vector_exp(e - largest)) * factor);
    }
    if (i < columns) {
        vector e = vector_load(logits, i, columns - i, type);
        vector_store(logits, i, columns - i, type, (kept ? e : vector_exp(e - largest)) * factor);
    }
}

INLINE void row(const struct cross_entropy *p, int64_t r, enum dtype type)
{
    void *logits = element_of(p->logits, r * p->columns, type);
    int32_t target = p->targets[r];
    if (target < 0) {
        p->losses[r] = 0;
        if (p->grad)
            memset(logits, 0, (size_t)p->columns * dtype_size(type));
        return;
    }
    bool keep = type == DTYPE_F32 && p->grad;
    float of_target = vector_load(logits, target, 1, type)[0], largest = row_maximum(logits, p->columns, type);
    double sum = row_sum(logits, largest, p->columns, keep, type);
    p->losses[r] = (float)(log(sum) + (double)largest - (double)of_target);
    if (!p->grad)
        return;
    float factor = (float)((double)p->grad_scale / sum);
    /* softmax - 1 cancels when the target is nearly certain: take it from the sum of the others in double */
    double probability = (double)vector_exp(vector_fill(of_target - largest))[0] / sum;
    row_gradient(logits, largest, factor, p->columns, keep, type);
    vector_store(logits, target, 1, type, vector_fill((float)((probability - 1.0) * (double)p->grad_scale)));
}

static void row_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct cross_entropy *p = argument;
    int64_t rows = rows_per_task(p->columns), end = minimum(p->rows, (task + 1) * rows);
    for (int64_t r = task * rows; r < end; r++) {
        if (p->type == DTYPE_F32)
            row(p, r, DTYPE_F32);
        else
            row(p, r, DTYPE_BF16);
    }
}

enum status cpu_cross_entropy(const struct device_context *context, const struct cross_entropy *p)
{
    CHECK(context && p, "cross_entropy: a null pointer");
    CHECK(p->rows >= 0 && p->columns > 0, "cross_entropy: %lld rows of %lld", (long long)p->rows,
          (long long)p->columns);
    CHECK(is_compute_type(p->type), "cross_entropy: type %d", (int)p->type);
    if (p->rows == 0)
        return STATUS_OK;
    CHECK(p->logits && p->targets && p->losses, "cross_entropy: a null array");
    for (int64_t r = 0; r < p->rows; r++)
        CHECK(p->targets[r] < p->columns, "cross_entropy: target %d of row %lld is outside %lld columns", p->targets[r],
              (long long)r, (long long)p->columns);
    thread_pool_run(context->pool, divide_up(p->rows, rows_per_task(p->columns)), row_task, (void *)p);
    return STATUS_OK;
}
