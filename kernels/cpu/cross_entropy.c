/* Cross-entropy and its gradient, row by row: maximum, sum of exponentials, gradient. A row of f32 logits keeps its
 * exponentials where the logits were, so that each is computed once. Sums over groups are added after all rows are done,
 * in their order. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/exponentials.h"

/* `kept`: the row holds exp(logit - maximum) already (f32); bf16 computes it again rather than round it. */
INLINE void row_gradient(const void *logits, void *grad, float largest, float factor, int64_t columns, bool kept,
                         enum dtype type, enum dtype grad_type)
{
    for (int64_t i = 0; i < columns; i += LANES) {
        int64_t count = minimum(LANES, columns - i);
        vector e = count == LANES ? vector_load(logits, i, LANES, type) : vector_load(logits, i, count, type);
        e = (kept ? e : vector_exp(e - largest)) * factor;
        if (count == LANES)
            vector_store(grad, i, LANES, grad_type, e);
        else
            vector_store(grad, i, count, grad_type, e);
    }
}

struct work {
    const struct cross_entropy *p;
    float *losses; /* the caller's, or scratch */
};

INLINE void row(const struct work *work, int64_t r, enum dtype type, enum dtype grad_type)
{
    const struct cross_entropy *p = work->p;
    /* The contract gives the logits up where a gradient is asked for. */
    void *logits = (void *)(uintptr_t)element(p->logits, r * p->columns, type);
    void *grad = p->grad ? element_of(p->grad, r * p->columns, grad_type) : NULL;
    int32_t target = p->targets[r];
    if (target < 0) {
        work->losses[r] = 0;
        if (grad)
            memset(grad, 0, (size_t)p->columns * dtype_size(grad_type));
        return;
    }
    bool keep = type == DTYPE_F32 && grad;
    float of_target = vector_load(logits, target, 1, type)[0], largest = row_maximum(logits, p->columns, type);
    double sum = row_sum(logits, largest, p->columns, keep, type);
    work->losses[r] = (float)(log(sum) + (double)largest - (double)of_target);
    if (!grad)
        return;
    float factor = (float)((double)p->grad_scale / sum);
    /* softmax - 1 cancels when the target is nearly certain: take it from the sum of the others in double */
    double probability = (double)vector_exp(vector_fill(of_target - largest))[0] / sum;
    row_gradient(logits, grad, largest, factor, p->columns, keep, type, grad_type);
    vector_store(grad, target, 1, grad_type, vector_fill((float)((probability - 1.0) * (double)p->grad_scale)));
}

static void row_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct work *work = argument;
    const struct cross_entropy *p = work->p;
    int64_t rows = rows_per_task(p->columns), end = minimum(p->rows, (task + 1) * rows);
    for (int64_t r = task * rows; r < end; r++) {
        if (p->type == DTYPE_BF16)
            row(work, r, DTYPE_BF16, DTYPE_BF16);
        else if (p->grad_type == DTYPE_BF16)
            row(work, r, DTYPE_F32, DTYPE_BF16);
        else
            row(work, r, DTYPE_F32, DTYPE_F32);
    }
}

size_t cpu_cross_entropy_scratch_size(const struct cross_entropy *p)
{
    return p->losses || p->rows <= 0 ? 0 : (size_t)p->rows * sizeof(float);
}

static void sum_groups(const struct work *work)
{
    const struct cross_entropy *p = work->p;
    for (int64_t r = 0; r < p->rows; r++)
        if (p->targets[r] >= 0)
            p->group_sums[p->groups[r]] += (double)work->losses[r];
}

enum status cpu_cross_entropy(const struct device_context *context, const struct cross_entropy *p)
{
    struct work work = {p, p->losses ? p->losses : context->scratch};
    if (!cpu_indices_fit(context, "cross_entropy", "target", p->targets, p->rows, INT32_MIN, p->columns))
        return STATUS_OK;
    for (int64_t r = 0; p->groups && r < p->rows; r++)
        if (p->groups[r] >= p->group_count) {
            cpu_fault(context, "cross_entropy: group of row %lld is %d, outside 0..%lld", (long long)r,
                      (int)p->groups[r], (long long)p->group_count - 1);
            return STATUS_OK;
        }
    thread_pool_run(context->pool, divide_up(p->rows, rows_per_task(p->columns)), row_task, &work);
    if (p->group_sums)
        sum_groups(&work);
    return STATUS_OK;
}
