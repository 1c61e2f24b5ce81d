/* Rows of a table, each repeated, side by side with those of other tables in one output: copies alone. A task owns a range of
 * frames, finds the token of its first one by bisection and then goes on from token to token. */
#include "kernels/cpu/cpu.h"

static int64_t first_token(const struct gather_repeat *p, int64_t frame)
{
    if (!p->ends)
        return minimum(frame / p->repeat, p->tokens - 1);
    int64_t low = 0, high = p->tokens - 1; /* the first token that ends after the frame */
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (p->ends[middle] > frame)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void copy_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct gather_repeat *p = argument;
    int64_t frames = rows_per_task(p->channels), end = minimum(p->frames, (task + 1) * frames);
    int64_t n = first_token(p, task * frames);
    size_t bytes = (size_t)p->channels * dtype_size(p->type);
    for (int64_t t = task * frames; t < end; t++) {
        while (p->ends && p->ends[n] <= t)
            n++;
        if (!p->ends)
            n = minimum(t / p->repeat, p->tokens - 1);
        memcpy(element_of(p->output, t * p->output_row_stride, p->type),
               element(p->table, p->ids[n] * p->channels, p->type), bytes);
    }
}

/* Each end is at least the one before it, and the last one is the number of frames. */
static bool ends_fit(const struct device_context *context, const struct gather_repeat *p)
{
    for (int64_t n = 0, low = 0; n < p->tokens; n++) {
        if (n == p->tokens - 1)
            low = p->frames;
        if (p->ends[n] < low || p->ends[n] > p->frames)
            return cpu_fault(context, "gather_repeat: end %lld of %lld is %d, outside %lld..%lld", (long long)n,
                             (long long)p->tokens, (int)p->ends[n], (long long)low, (long long)p->frames);
        low = p->ends[n];
    }
    return true;
}

enum status cpu_gather_repeat(const struct device_context *context, const struct gather_repeat *p)
{
    if (p->frames > 0 && cpu_indices_fit(context, "gather_repeat", "id", p->ids, p->tokens, 0, p->rows) &&
        (!p->ends || ends_fit(context, p)))
        thread_pool_run(context->pool, divide_up(p->frames, rows_per_task(p->channels)), copy_task, (void *)p);
    return STATUS_OK;
}
