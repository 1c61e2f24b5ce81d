/* Rotary positions. The tables of cosines and sines are made once by the model, in double: an angle per pair and position
 * costs more to compute than to read. Cached generation rotates and stores in one pass over what the products left. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

INLINE void rotate(void *x, int64_t i, int64_t count, int64_t half, const float *cosine, const float *sine, float sign,
                   enum dtype type)
{
    vector c = vector_load(cosine, i, count, DTYPE_F32), s = vector_load(sine, i, count, DTYPE_F32) * sign;
    vector a = vector_load(x, i, count, type), b = vector_load(x, half + i, count, type);
    vector_store(x, i, count, type, a * c - b * s);
    vector_store(x, half + i, count, type, b * c + a * s);
}

INLINE void rotate_head(void *x, int64_t half, const float *cosine, const float *sine, float sign, enum dtype type)
{
    int64_t i = 0;
    for (; i + LANES <= half; i += LANES)
        rotate(x, i, LANES, half, cosine, sine, sign, type);
    if (i < half)
        rotate(x, i, half - i, half, cosine, sine, sign, type);
}

/* Rotates all heads of one token in place. */
static void rotate_token(void *x, int64_t heads, int64_t head_size, const float *cosine, const float *sine, float sign,
                         enum dtype type)
{
    for (int64_t h = 0; h < heads; h++) {
        void *head = element_of(x, h * head_size, type);
        if (type == DTYPE_F32)
            rotate_head(head, head_size / 2, cosine, sine, sign, DTYPE_F32);
        else
            rotate_head(head, head_size / 2, cosine, sine, sign, DTYPE_BF16);
    }
}

static void rope_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct rope *p = argument;
    int64_t half = p->head_size / 2, rows = rows_per_task(p->heads * p->head_size);
    int64_t end = minimum(p->tokens, (task + 1) * rows);
    for (int64_t n = task * rows; n < end; n++)
        rotate_token(element_of(p->x, n * p->row_stride, p->type), p->heads, p->head_size,
                     p->cosine + p->positions[n] * half, p->sine + p->positions[n] * half, (float)p->direction,
                     p->type);
}

enum status cpu_rope(const struct device_context *context, const struct rope *p)
{
    if (cpu_indices_fit(context, "rope", "position", p->positions, p->tokens, 0, p->table_positions))
        thread_pool_run(context->pool, divide_up(p->tokens, rows_per_task(p->heads * p->head_size)), rope_task,
                        (void *)p);
    return STATUS_OK;
}

static void append_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct rope_append *p = argument;
    int64_t half = p->head_size / 2, width = 2 * p->kv_heads * p->head_size;
    int64_t rows = rows_per_task(p->heads * p->head_size + width), end = minimum(p->tokens, (task + 1) * rows);
    for (int64_t n = task * rows; n < end; n++) {
        const float *cosine = p->cosine + p->positions[n] * half, *sine = p->sine + p->positions[n] * half;
        void *place = element_of(p->cache.memory, p->rows[n] * p->cache.row_stride + p->positions[n] * width, p->type);
        memcpy(place, element(p->key_value, n * p->key_value_row_stride, p->type), (size_t)width * dtype_size(p->type));
        rotate_token(place, p->kv_heads, p->head_size, cosine, sine, 1, p->type);
        rotate_token(element_of(p->query, n * p->query_row_stride, p->type), p->heads, p->head_size, cosine, sine, 1,
                     p->type);
    }
}

enum status cpu_rope_append(const struct device_context *context, const struct rope_append *p)
{
    int64_t positions = minimum(p->cache.capacity, p->table_positions);
    int64_t width = p->heads * p->head_size + 2 * p->kv_heads * p->head_size;
    if (cpu_indices_fit(context, "rope_append", "position", p->positions, p->tokens, 0, positions) &&
        cpu_indices_fit(context, "rope_append", "row", p->rows, p->tokens, 0, p->cache.rows))
        thread_pool_run(context->pool, divide_up(p->tokens, rows_per_task(width)), append_task, (void *)p);
    return STATUS_OK;
}
