/* A step of generation beside its products: the cache of keys and values, and the draw of the next token. */
#include "gpu_check/benchmark.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 }; /* sequences */

/* Each sequence has another number of keys, up to the capacity. */
static void bench_cache(struct benchmark *b)
{
    const struct benchmark_sizes *s = &b->sizes;
    int64_t width = 2 * s->kv_heads * s->head_size, query = s->heads * s->head_size, half = s->head_size / 2;
    int32_t rows[MOST], lengths[MOST], positions[MOST];
    double keys = 0;
    char shape[64];
    for (int32_t n = 0; n < s->sequences; n++) {
        rows[n] = n;
        lengths[n] = (int32_t)(s->capacity * (n + 1) / s->sequences);
        positions[n] = lengths[n] - 1;
        keys += lengths[n];
    }
    const struct key_value_cache cache = {benchmark_numbers(b, DTYPE_BF16, s->sequences * s->capacity * width, 1),
                                          s->sequences, s->capacity, s->capacity * width};
    const struct rope_append append = {.tokens = s->sequences,
                                       .heads = s->heads,
                                       .kv_heads = s->kv_heads,
                                       .head_size = s->head_size,
                                       .query = benchmark_numbers(b, DTYPE_BF16, s->sequences * query, 1),
                                       .key_value = benchmark_numbers(b, DTYPE_BF16, s->sequences * width, 1),
                                       .query_row_stride = query,
                                       .key_value_row_stride = width,
                                       .cache = cache,
                                       .rows = benchmark_values(b, sizeof *rows, s->sequences, rows),
                                       .positions = benchmark_values(b, sizeof *positions, s->sequences, positions),
                                       .cosine = benchmark_numbers(b, DTYPE_F32, s->capacity * half, 1),
                                       .sine = benchmark_numbers(b, DTYPE_F32, s->capacity * half, 1),
                                       .table_positions = s->capacity,
                                       .type = DTYPE_BF16};
    const struct attention_decode decode = {.tokens = s->sequences,
                                            .heads = s->heads,
                                            .kv_heads = s->kv_heads,
                                            .head_size = s->head_size,
                                            .query = append.query,
                                            .output = benchmark_numbers(b, DTYPE_BF16, s->sequences * query, 1),
                                            .query_row_stride = query,
                                            .output_row_stride = query,
                                            .cache = cache,
                                            .rows = append.rows,
                                            .lengths = benchmark_values(b, sizeof *lengths, s->sequences, lengths),
                                            .scale = 1 / sqrtf((float)s->head_size),
                                            .type = DTYPE_BF16};
    snprintf(shape, sizeof shape, "%lld of up to %lld keys", (long long)s->sequences, (long long)s->capacity);
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_rope_append, &append, shape, DTYPE_BF16,
                                              (double)s->sequences * 4 * (double)(query + width), 0, NULL, 0});
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_attention_decode, &decode, shape, DTYPE_BF16,
                                              keys * (double)width * 2, 0, NULL, 0});
    benchmark_next(b);
}

static void bench_sample(struct benchmark *b, const char *how, double temperature, int64_t top_k, double top_p)
{
    const struct benchmark_sizes *s = &b->sizes;
    int32_t mask_rows[MOST] = {0};
    double uniforms[MOST];
    char shape[64];
    uint8_t *mask = malloc((size_t)s->vocabulary);
    if (!mask)
        benchmark_must(status_set(STATUS_INTERNAL, "no memory for a mask"));
    memset(mask, 1, (size_t)s->vocabulary);
    for (int64_t n = 0; n < s->sequences; n++)
        uniforms[n] = (double)n / (double)s->sequences;
    const struct sample sample = {.rows = s->sequences,
                                  .columns = s->vocabulary,
                                  .logits = benchmark_numbers(b, DTYPE_F32, s->sequences * s->vocabulary, 8),
                                  .row_stride = s->vocabulary,
                                  .masks = benchmark_values(b, 1, s->vocabulary, mask),
                                  .mask_rows = benchmark_values(b, sizeof *mask_rows, s->sequences, mask_rows),
                                  .mask_count = 1,
                                  .uniforms = benchmark_values(b, sizeof *uniforms, s->sequences, uniforms),
                                  .temperature = temperature,
                                  .top_k = top_k,
                                  .top_p = top_p,
                                  .ids = benchmark_numbers(b, DTYPE_F32, s->sequences, 0)};
    snprintf(shape, sizeof shape, "%lld x %lld %s", (long long)s->sequences, (long long)s->vocabulary, how);
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_sample, &sample, shape, DTYPE_F32, 0, 0, NULL, 0});
    free(mask);
    benchmark_next(b);
}

void benchmark_generation(struct benchmark *b)
{
    bench_cache(b);
    bench_sample(b, "greedy", 0, 0, 1);
    bench_sample(b, "top-k 50", 1, 50, 1);
    bench_sample(b, "top-p 0.9", 1, 0, 0.9);
}
