/* The embedding table read and added to. Backward takes the tokens sorted by id, because a backend without a cheap
 * order of additions (a GPU) needs it so; the sum of a row is the one of the tokens in their own order. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

static void forward_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct embedding_forward *p = argument;
    int64_t rows = rows_per_task(p->channels), end = minimum(p->tokens, (task + 1) * rows);
    size_t bytes = (size_t)p->channels * dtype_size(p->type);
    for (int64_t n = task * rows; n < end; n++)
        memcpy(element_of(p->output, n * p->channels, p->type), element(p->table, p->ids[n] * p->channels, p->type),
               bytes);
}

enum status cpu_embedding_forward(const struct device_context *context, const struct embedding_forward *p)
{
    if (cpu_indices_fit(context, "embedding_forward", "id", p->ids, p->tokens, 0, p->rows))
        thread_pool_run(context->pool, divide_up(p->tokens, rows_per_task(p->channels)), forward_task, (void *)p);
    return STATUS_OK;
}

/* A task owns a strip of columns, so that two tokens with one id never meet. Sorted by id, a row of the table stays in
 * the cache until all of its tokens are added. */
enum { STRIP = 64 };

static void backward_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct embedding_backward *p = argument;
    int64_t start = task * STRIP, end = minimum(p->channels, start + STRIP);
    for (int64_t i = 0; i < p->tokens; i++) {
        int64_t n = p->order[i];
        float *row = p->grad_table + p->ids[n] * p->channels;
        const void *gradient = element(p->grad_output, n * p->channels, p->type);
        for (int64_t c = start; c < end; c += LANES) {
            int64_t count = minimum(LANES, end - c);
            vector sum = vector_load(row, c, count, DTYPE_F32) + vector_load(gradient, c, count, p->type);
            vector_store(row, c, count, DTYPE_F32, sum);
        }
    }
}

/* A GPU would add a row of the table from two blocks at once where its tokens do not follow each other. */
static bool order_is_sorted(const struct device_context *context, const struct embedding_backward *p)
{
    for (int64_t i = 1; i < p->tokens; i++) {
        int32_t n = p->order[i], before = p->order[i - 1], id = p->ids[n], its = p->ids[before];
        if (its > id || (its == id && before >= n))
            return cpu_fault(
                context,
                "embedding_backward: place %lld of %lld in the order has token %d of id %d, the one before "
                "it token %d of id %d",
                (long long)i, (long long)p->tokens, n, id, before, its);
    }
    return true;
}

enum status cpu_embedding_backward(const struct device_context *context, const struct embedding_backward *p)
{
    if (cpu_indices_fit(context, "embedding_backward", "id", p->ids, p->tokens, 0, p->rows) &&
        cpu_indices_fit(context, "embedding_backward", "place in the order", p->order, p->tokens, 0, p->tokens) &&
        order_is_sorted(context, p))
        thread_pool_run(context->pool, divide_up(p->channels, STRIP), backward_task, (void *)p);
    return STATUS_OK;
}
