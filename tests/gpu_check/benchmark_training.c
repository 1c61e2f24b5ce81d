/* What a training step does between its products, in bf16 and at the sizes of a batch. */
#include "gpu_check/benchmark.h"

#include <math.h>
#include <stdlib.h>

static int64_t tokens_of(const struct benchmark *b)
{
    return b->sizes.rows * b->sizes.length;
}

static void row_of(struct benchmark *b, enum benchmark_operation operation, const void *parameters, const char *what,
                   int64_t rows, int64_t columns)
{
    char shape[64];
    snprintf(shape, sizeof shape, "%s%s%lld x %lld", what, *what ? " " : "", (long long)rows, (long long)columns);
    const struct benchmark_case row = {operation, parameters, shape, DTYPE_BF16, 0, 0, NULL, 0};
    benchmark_row(b, &row);
}

/* ---- embedding ---- */

struct tokens {
    int32_t *ids, *order;
    double distinct;
};

/* Ids that repeat, and their stable order, by counting. */
static struct tokens draw_tokens(const struct benchmark *b)
{
    int64_t count = tokens_of(b), size = b->sizes.vocabulary;
    struct tokens t = {malloc((size_t)count * sizeof *t.ids), malloc((size_t)count * sizeof *t.order), 0};
    int64_t *place = calloc((size_t)size + 1, sizeof *place);
    if (!t.ids || !t.order || !place)
        benchmark_must(status_set(STATUS_INTERNAL, "no memory for ids"));
    for (int64_t i = 0; i < count; i++) {
        t.ids[i] = (int32_t)(i * 7919 % size);
        place[t.ids[i] + 1]++;
    }
    for (int64_t id = 0; id < size; id++) {
        t.distinct += place[id + 1] > 0;
        place[id + 1] += place[id];
    }
    for (int64_t i = 0; i < count; i++)
        t.order[place[t.ids[i]]++] = (int32_t)i;
    free(place);
    return t;
}

static void bench_embedding(struct benchmark *b)
{
    const struct benchmark_sizes *s = &b->sizes;
    int64_t count = tokens_of(b);
    double elements = (double)(count * s->hidden);
    char shape[64];
    struct tokens t = draw_tokens(b);
    void *ids = benchmark_values(b, sizeof *t.ids, count, t.ids);
    const struct embedding_forward forward = {count,
                                              s->hidden,
                                              s->vocabulary,
                                              ids,
                                              benchmark_numbers(b, DTYPE_BF16, s->vocabulary * s->hidden, 1),
                                              benchmark_numbers(b, DTYPE_BF16, count * s->hidden, 1),
                                              DTYPE_BF16};
    const struct embedding_backward backward = {count,
                                                s->hidden,
                                                s->vocabulary,
                                                ids,
                                                benchmark_values(b, sizeof *t.order, count, t.order),
                                                forward.output,
                                                benchmark_numbers(b, DTYPE_F32, s->vocabulary * s->hidden, 1),
                                                DTYPE_BF16};
    snprintf(shape, sizeof shape, "%lld x %lld", (long long)count, (long long)s->hidden);
    /* Only the rows that occur are read, and read and written. */
    double rows = t.distinct * (double)s->hidden;
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_embedding_forward, &forward, shape, DTYPE_BF16,
                                              2 * (elements + rows), 0, NULL, 0});
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_embedding_backward, &backward, shape, DTYPE_BF16,
                                              2 * elements + 8 * rows, 0, NULL, 0});
    free(t.ids);
    free(t.order);
    benchmark_next(b);
}

/* ---- norms, rotary positions, SwiGLU ---- */

static void bench_rmsnorm(struct benchmark *b)
{
    int64_t rows = tokens_of(b), channels = b->sizes.hidden, count = rows * channels;
    struct rmsnorm_forward forward = {.rows = rows,
                                      .channels = channels,
                                      .x = benchmark_numbers(b, DTYPE_BF16, count, 1),
                                      .weight = benchmark_numbers(b, DTYPE_BF16, channels, 1),
                                      .output = benchmark_numbers(b, DTYPE_BF16, count, 1),
                                      .rstd = benchmark_numbers(b, DTYPE_F32, rows, 1),
                                      .epsilon = 1e-5f,
                                      .type = DTYPE_BF16};
    row_of(b, BENCHMARK_rmsnorm_forward, &forward, "", rows, channels);
    forward.residual = benchmark_numbers(b, DTYPE_BF16, count, 1);
    forward.sum = benchmark_numbers(b, DTYPE_BF16, count, 1);
    row_of(b, BENCHMARK_rmsnorm_forward, &forward, "with residual", rows, channels);
    const struct rmsnorm_backward backward = {.rows = rows,
                                              .channels = channels,
                                              .sum = forward.sum,
                                              .weight = forward.weight,
                                              .grad_output = forward.output,
                                              .grad_residual = forward.residual,
                                              .rstd = forward.rstd,
                                              .grad_sum = benchmark_numbers(b, DTYPE_BF16, count, 1),
                                              .grad_weight = benchmark_numbers(b, DTYPE_F32, channels, 1),
                                              .type = DTYPE_BF16};
    row_of(b, BENCHMARK_rmsnorm_backward, &backward, "", rows, channels);
    benchmark_next(b);
}

static void bench_rope(struct benchmark *b)
{
    const struct benchmark_sizes *s = &b->sizes;
    int64_t count = tokens_of(b), heads = s->heads + s->kv_heads, half = s->head_size / 2;
    int64_t stride = (s->heads + 2 * s->kv_heads) * s->head_size;
    char shape[64];
    int32_t *positions = malloc((size_t)count * sizeof *positions);
    if (!positions)
        benchmark_must(status_set(STATUS_INTERNAL, "no memory for positions"));
    for (int64_t n = 0; n < count; n++)
        positions[n] = (int32_t)(n % s->length);
    const struct rope rope = {count,
                              heads,
                              s->head_size,
                              benchmark_numbers(b, DTYPE_BF16, count * stride, 1),
                              stride,
                              benchmark_values(b, sizeof *positions, count, positions),
                              benchmark_numbers(b, DTYPE_F32, s->length * half, 1),
                              benchmark_numbers(b, DTYPE_F32, s->length * half, 1),
                              s->length,
                              1,
                              DTYPE_BF16};
    snprintf(shape, sizeof shape, "%lld x %lld heads", (long long)count, (long long)heads);
    /* Heads are read and written; a token's angles are read once for all of its heads. */
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_rope, &rope, shape, DTYPE_BF16,
                                              (double)count * (double)(4 * heads * s->head_size + 8 * half + 4), 0,
                                              NULL, 0});
    free(positions);
    benchmark_next(b);
}

static void bench_swiglu(struct benchmark *b)
{
    int64_t rows = tokens_of(b), channels = b->sizes.inner;
    const struct swiglu_forward forward = {rows, channels, benchmark_numbers(b, DTYPE_BF16, 2 * rows * channels, 1),
                                           benchmark_numbers(b, DTYPE_BF16, rows * channels, 1), DTYPE_BF16};
    const struct swiglu_backward backward = {
        rows,      channels, forward.gate_up, forward.output, benchmark_numbers(b, DTYPE_BF16, 2 * rows * channels, 1),
        DTYPE_BF16};
    row_of(b, BENCHMARK_swiglu_forward, &forward, "", rows, channels);
    row_of(b, BENCHMARK_swiglu_backward, &backward, "", rows, channels);
    benchmark_next(b);
}

/* ---- attention ---- */

/* Pairs of a query and a key that it attends to are what counts, whatever tiles they lie in. */
static void bench_attention(struct benchmark *b, int64_t head_size, bool bidirectional, int64_t documents)
{
    const struct benchmark_sizes *s = &b->sizes;
    int64_t batch = b->counted ? 1 : s->rows, count = batch * s->length; /* slow to emulate */
    int64_t heads = s->heads * s->head_size / head_size;
    int64_t kv_heads = heads * s->kv_heads / s->heads, width = (heads + 2 * kv_heads) * head_size;
    int64_t query = heads * head_size, part = kv_heads * head_size;
    uint16_t *qkv = benchmark_numbers(b, DTYPE_BF16, count * width, 1),
             *gradient = benchmark_numbers(b, DTYPE_BF16, count * width, 1);
    int32_t *starts = calloc((size_t)count, sizeof *starts);
    double pairs = 0;
    char shape[64];
    if (!starts)
        benchmark_must(status_set(STATUS_INTERNAL, "no memory for starts"));
    for (int64_t n = 0; n < count; n++) {
        int64_t t = n % s->length;
        starts[n] = (int32_t)(t * documents / s->length * s->length / documents);
        pairs += bidirectional ? (double)s->length : (double)(t + 1 - starts[n]);
    }
    const struct attention_forward f = {.batch = batch,
                                        .query_length = s->length,
                                        .key_length = s->length,
                                        .heads = heads,
                                        .kv_heads = kv_heads,
                                        .head_size = head_size,
                                        .query = qkv,
                                        .key = qkv + query,
                                        .value = qkv + query + part,
                                        .query_row_stride = width,
                                        .key_row_stride = width,
                                        .value_row_stride = width,
                                        .output_row_stride = query,
                                        .query_batch_stride = s->length * width,
                                        .key_batch_stride = s->length * width,
                                        .value_batch_stride = s->length * width,
                                        .output_batch_stride = s->length * query,
                                        .output = benchmark_numbers(b, DTYPE_BF16, count * query, 1),
                                        .log_sum_exp = benchmark_numbers(b, DTYPE_F32, count * heads, 1),
                                        .starts =
                                            documents > 1 ? benchmark_values(b, sizeof *starts, count, starts) : NULL,
                                        .bidirectional = bidirectional,
                                        .scale = 1 / sqrtf((float)head_size),
                                        .type = DTYPE_BF16};
    const struct attention_backward backward = {f, benchmark_numbers(b, DTYPE_BF16, count * query, 1), gradient,
                                                gradient + query, gradient + query + part};
    double flops = 4 * pairs * (double)query;
    snprintf(shape, sizeof shape, "%lldx%lld %lld/%lld of %lld%s%s", (long long)batch, (long long)s->length,
             (long long)heads, (long long)kv_heads, (long long)head_size, bidirectional ? " both ways" : "",
             documents > 1 ? " packed" : "");
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_attention_forward, &f, shape, DTYPE_BF16, 0, flops, NULL, 0});
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_attention_backward, &backward, shape, DTYPE_BF16, 0,
                                              2.5 * flops, NULL, 0});
    free(starts);
    benchmark_next(b);
}

/* ---- loss and update ---- */

static void bench_cross_entropy(struct benchmark *b)
{
    int64_t most = b->counted ? 256 : 2048, rows = tokens_of(b) < most ? tokens_of(b) : most,
            columns = b->sizes.vocabulary;
    int32_t targets[2048];
    char shape[64];
    void *logits = benchmark_numbers(b, DTYPE_BF16, rows * columns, 1);
    for (int64_t i = 0; i < rows; i++)
        targets[i] = (int32_t)(i * 7919 % columns);
    const struct cross_entropy loss = {.rows = rows,
                                       .columns = columns,
                                       .logits = logits,
                                       .targets = benchmark_values(b, sizeof *targets, rows, targets),
                                       .losses = benchmark_numbers(b, DTYPE_F32, rows, 1),
                                       .grad = logits,
                                       .grad_scale = 1e-3f,
                                       .type = DTYPE_BF16,
                                       .grad_type = DTYPE_BF16};
    snprintf(shape, sizeof shape, "%lld x %lld in place", (long long)rows, (long long)columns);
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_cross_entropy, &loss, shape, DTYPE_BF16,
                                              2 * 2 * (double)(rows * columns) + 8 * (double)rows, 0, NULL, 0});
    benchmark_next(b);
}

/* The text's pieces, two tags, the units and the padding behind them, as scores need them. */
static void bench_log_sum_exp(struct benchmark *b)
{
    enum { BLOCKS = 6 };
    int64_t most = b->counted ? 256 : 2048, rows = tokens_of(b) < most ? tokens_of(b) : most,
            columns = b->sizes.vocabulary, units = columns / 8;
    int32_t targets[2048];
    char shape[64];
    for (int64_t i = 0; i < rows; i++)
        targets[i] = (int32_t)(i * 7919 % columns);
    const struct log_sum_exp sums = {
        .rows = rows,
        .columns = columns,
        .block_count = BLOCKS,
        .boundaries = {0, 2, 3, columns - 2 * units, columns - 2 * units + 2, columns - units, columns},
        .logits = benchmark_numbers(b, DTYPE_F32, rows * columns, 1),
        .targets = benchmark_values(b, sizeof *targets, rows, targets),
        .sums = benchmark_numbers(b, DTYPE_F32, 2 * rows * BLOCKS, 1), /* room for doubles */
        .target_logits = benchmark_numbers(b, DTYPE_F32, rows, 1),
        .type = DTYPE_F32};
    snprintf(shape, sizeof shape, "%lld x %lld, %d blocks", (long long)rows, (long long)columns, (int)BLOCKS);
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_log_sum_exp, &sums, shape, DTYPE_F32,
                                              4 * (double)(rows * columns) + 8 * (double)(rows * BLOCKS), 0, NULL, 0});
    benchmark_next(b);
}

static void bench_update(struct benchmark *b)
{
    int64_t count = b->sizes.parameters;
    const int32_t zero = 0;
    const float one = 1;
    char shape[64];
    snprintf(shape, sizeof shape, "%.1f M", 1e-6 * (double)count);
    const struct adamw_segment segment = {0, count, 0.1f};
    float *gradient = benchmark_numbers(b, DTYPE_F32, count, 1e-3);
    double *squared = benchmark_numbers(b, DTYPE_F32, 2, 0);
    const struct squared_norm norm = {count, gradient, squared, benchmark_values(b, sizeof zero, 1, &zero), false};
    const struct clip_scale clip = {squared, 1, benchmark_values(b, sizeof one, 1, &one),
                                    benchmark_numbers(b, DTYPE_F32, 1, 0)};
    const struct adamw adamw = {.count = count,
                                .master = benchmark_numbers(b, DTYPE_F32, count, 1),
                                .first_moment = benchmark_numbers(b, DTYPE_F32, count, 1e-3),
                                .second_moment = benchmark_numbers(b, DTYPE_F32, count, 0),
                                .gradient = gradient,
                                .weights = benchmark_numbers(b, DTYPE_BF16, count, 1),
                                .weights_type = DTYPE_BF16,
                                .segments = benchmark_values(b, sizeof segment, 1, &segment),
                                .segment_count = 1,
                                .learning_rate = 1e-3f,
                                .beta1 = 0.9f,
                                .beta2 = 0.95f,
                                .epsilon = 1e-8f,
                                .step = 10,
                                .scale = clip.scale,
                                .skip = norm.nonfinite};
    const struct convert convert = {count, gradient, adamw.weights, DTYPE_F32, DTYPE_BF16, false};
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_squared_norm, &norm, shape, DTYPE_F32, 0, 0, NULL, 0});
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_clip_scale, &clip, "1 number", DTYPE_F32, 0, 0, NULL, 0});
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_adamw, &adamw, shape, DTYPE_BF16, 0, 0, NULL, 0});
    benchmark_row(b, &(struct benchmark_case){BENCHMARK_convert, &convert, shape, DTYPE_BF16, 0, 0, NULL, 0});
    benchmark_next(b);
}

void benchmark_training(struct benchmark *b)
{
    bench_embedding(b);
    bench_rmsnorm(b);
    bench_rope(b);
    bench_attention(b, b->sizes.head_size, false, 1);
    bench_attention(b, b->sizes.head_size, false, b->tiny ? 2 : 8);
    if (!b->tiny) {
        bench_attention(b, 64, false, 1);
        bench_attention(b, 64, true, 1);
    }
    bench_swiglu(b);
    bench_cross_entropy(b);
    bench_log_sum_exp(b);
    bench_update(b);
}
