/* The logarithm of the sum of exponentials over each block of the vocabulary, and the target's logit, row by row: the passes of
 * cross-entropy, block by block. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/exponentials.h"

/* A block whose logits are all minus infinity has that sum; a NaN among them stays one. */
INLINE double block_sum(const void *logits, int64_t columns, enum dtype type)
{
    float largest = row_maximum(logits, columns, type);
    float base = largest == -INFINITY ? 0 : largest;
    return log(row_sum((void *)(uintptr_t)logits, base, columns, false, type)) + (double)base;
}

INLINE void row(const struct log_sum_exp *p, int64_t r, enum dtype type)
{
    double *sums = p->sums + r * p->block_count;
    int32_t target = p->targets[r];
    if (target < 0) {
        memset(sums, 0, (size_t)p->block_count * sizeof *sums);
        p->target_logits[r] = 0;
        return;
    }
    const void *logits = element(p->logits, r * p->columns, type);
    for (int64_t b = 0; b < p->block_count; b++) {
        int64_t first = p->boundaries[b];
        sums[b] = block_sum(element(logits, first, type), p->boundaries[b + 1] - first, type);
    }
    p->target_logits[r] = vector_load(logits, target, 1, type)[0];
}

static void row_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct log_sum_exp *p = argument;
    int64_t rows = rows_per_task(p->columns), end = minimum(p->rows, (task + 1) * rows);
    for (int64_t r = task * rows; r < end; r++) {
        if (p->type == DTYPE_BF16)
            row(p, r, DTYPE_BF16);
        else
            row(p, r, DTYPE_F32);
    }
}

enum status cpu_log_sum_exp(const struct device_context *context, const struct log_sum_exp *p)
{
    struct log_sum_exp argument = *p;
    if (!cpu_indices_fit(context, "log_sum_exp", "target", p->targets, p->rows, INT32_MIN, p->columns))
        return STATUS_OK;
    thread_pool_run(context->pool, divide_up(p->rows, rows_per_task(p->columns)), row_task, &argument);
    return STATUS_OK;
}
