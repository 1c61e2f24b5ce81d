#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

static enum status check_ids(const int32_t *ids, int64_t tokens, int64_t rows, const char *operation)
{
    for (int64_t n = 0; n < tokens; n++)
        CHECK(ids[n] >= 0 && ids[n] < rows, "%s: id %d of token %lld is outside the table of %lld rows", operation,
              ids[n], (long long)n, (long long)rows);
    return STATUS_OK;
}

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
    CHECK(context && p, "embedding_forward: a null pointer");
    CHECK(p->tokens >= 0 && p->channels > 0 && p->rows > 0, "embedding_forward: %lld tokens, %lld channels, %lld rows",
          (long long)p->tokens, (long long)p->channels, (long long)p->rows);
    CHECK(is_compute_type(p->type), "embedding_forward: type %d", (int)p->type);
    if (p->tokens == 0)
        return STATUS_OK;
    CHECK(p->ids && p->table && p->output, "embedding_forward: a null array");
    enum status result = check_ids(p->ids, p->tokens, p->rows, "embedding_forward");
    if (result == STATUS_OK)
        thread_pool_run(context->pool, divide_up(p->tokens, rows_per_task(p->channels)), forward_task, (void *)p);
    return result;
}

/* A task owns a strip of columns, so that two tokens with one id never meet. */
enum { STRIP = 64 };

static void backward_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct embedding_backward *p = argument;
    int64_t start = task * STRIP, end = minimum(p->channels, start + STRIP);
    for (int64_t n = 0; n < p->tokens; n++) {
        float *row = p->grad_table + p->ids[n] * p->channels;
        const void *gradient = element(p->grad_output, n * p->channels, p->type);
        for (int64_t c = start; c < end; c += LANES) {
            int64_t count = minimum(LANES, end - c);
            vector sum = vector_load(row, c, count, DTYPE_F32) + vector_load(gradient, c, count, p->type);
            vector_store(row, c, count, DTYPE_F32, sum);
        }
    }
}

enum status cpu_embedding_backward(const struct device_context *context, const struct embedding_backward *p)
{
    CHECK(context && p, "embedding_backward: a null pointer");
    CHECK(p->tokens >= 0 && p->channels > 0 && p->rows > 0, "embedding_backward: %lld tokens, %lld channels, %lld rows",
          (long long)p->tokens, (long long)p->channels, (long long)p->rows);
    CHECK(is_compute_type(p->type), "embedding_backward: type %d", (int)p->type);
    if (p->tokens == 0)
        return STATUS_OK;
    CHECK(p->ids && p->grad_table && p->grad_output, "embedding_backward: a null array");
    enum status result = check_ids(p->ids, p->tokens, p->rows, "embedding_backward");
    if (result == STATUS_OK)
        thread_pool_run(context->pool, divide_up(p->channels, STRIP), backward_task, (void *)p);
    return result;
}
