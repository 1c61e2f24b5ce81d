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

static void rope_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct rope *p = argument;
    int64_t half = p->head_size / 2, rows = rows_per_task(p->heads * p->head_size);
    int64_t end = minimum(p->tokens, (task + 1) * rows);
    float sign = (float)p->direction;
    for (int64_t n = task * rows; n < end; n++) {
        const float *cosine = p->cosine + p->positions[n] * half, *sine = p->sine + p->positions[n] * half;
        for (int64_t h = 0; h < p->heads; h++) {
            void *x = element_of(p->x, n * p->row_stride + h * p->head_size, p->type);
            if (p->type == DTYPE_F32)
                rotate_head(x, half, cosine, sine, sign, DTYPE_F32);
            else
                rotate_head(x, half, cosine, sine, sign, DTYPE_BF16);
        }
    }
}

enum status cpu_rope(const struct device_context *context, const struct rope *p)
{
    CHECK(context && p, "rope: a null pointer");
    CHECK(p->tokens >= 0 && p->heads > 0 && p->head_size > 0 && p->head_size % 2 == 0,
          "rope: %lld tokens, %lld heads of %lld", (long long)p->tokens, (long long)p->heads, (long long)p->head_size);
    CHECK(p->direction == 1 || p->direction == -1, "rope: direction %d", p->direction);
    CHECK(p->row_stride >= p->heads * p->head_size, "rope: a row stride of %lld for %lld heads of %lld",
          (long long)p->row_stride, (long long)p->heads, (long long)p->head_size);
    CHECK(is_compute_type(p->type), "rope: type %d", (int)p->type);
    if (p->tokens == 0)
        return STATUS_OK;
    CHECK(p->x && p->positions && p->cosine && p->sine, "rope: a null array");
    for (int64_t n = 0; n < p->tokens; n++)
        CHECK(p->positions[n] >= 0 && p->positions[n] < p->table_positions,
              "rope: position %d of token %lld is outside the table of %lld", p->positions[n], (long long)n,
              (long long)p->table_positions);
    thread_pool_run(context->pool, divide_up(p->tokens, rows_per_task(p->heads * p->head_size)), rope_task, (void *)p);
    return STATUS_OK;
}
