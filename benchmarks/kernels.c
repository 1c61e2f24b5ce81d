/* How fast is each operation of the CPU, and how far from what the machine can do? One row an operation at the shapes
 * of the demo's model: products against a plain sgemm of 1024^3 on every thread, the others against memcpy of as many
 * bytes. Usage: benchmark_kernels [f32|bf16] [rows of a batch] [tokens a row] [hidden size] [heads] */
#include "benchmarks/measure.h"

#include <math.h>

struct setting {
    enum dtype type;
    int64_t rows, length, hidden, heads, inner, vocabulary;
    const struct kernels *kernels;
    struct device_context context;
    struct ceiling gemm;
    double budget; /* seconds an operation */
};

/* Shared arrays, each as large as the largest use. */
struct arrays {
    void *wide, *wide2, *narrow, *narrow2, *narrow3, *weight, *logits;
    float *small, *gradient, *moments, *moments2;
    int32_t *ids, *order; /* of one step's tokens; the tokens sorted by id */
};

/* `work` in 10^9 of the unit. */
static void print_row(const char *name, const char *shape, struct measurement m, double work, const char *unit,
                      struct ceiling ceiling)
{
    double rate = work / m.best;
    printf("%-22s %-26s %9.3f %9.3f %8.1f %-7s %8.1f %5.0f %% %5.0f %%\n", name, shape, 1e3 * m.best, 1e3 * m.median,
           rate, unit, ceiling.rate, 100 * rate / ceiling.rate, 100 * work / m.work / ceiling.work);
}

static void compute_row(const struct setting *s, const char *name, const char *shape, struct measurement m,
                        double flops)
{
    print_row(name, shape, m, 1e-9 * flops, "GFLOP/s", s->gemm);
}

static void memory_row(const struct setting *s, const char *name, const char *shape, struct measurement m, double bytes)
{
    print_row(name, shape, m, 1e-9 * bytes, "GB/s", copy_ceiling(&s->context, bytes));
}

#define RUNNER(operation)                                                                                              \
    struct run_##operation {                                                                                           \
        const struct setting *s;                                                                                       \
        struct operation p;                                                                                            \
    };                                                                                                                 \
    static void run_##operation(void *argument)                                                                        \
    {                                                                                                                  \
        struct run_##operation *run = argument;                                                                        \
        must(run->s->kernels->operation(&run->s->context, &run->p));                                                   \
    }
RUNNER(matmul)
RUNNER(embedding_forward)
RUNNER(embedding_backward)
RUNNER(rmsnorm_forward)
RUNNER(rmsnorm_backward)
RUNNER(rope)
RUNNER(attention_forward)
RUNNER(attention_backward)
RUNNER(swiglu_forward)
RUNNER(swiglu_backward)
RUNNER(cross_entropy)
RUNNER(squared_norm)
RUNNER(adamw)

static void bench_matmul(struct setting *s, const struct arrays *x, const char *name, int64_t m, int64_t n, int64_t k,
                         int form)
{
    /* form 0: activations times weights^T; 1: gradients times weights; 2: gradients^T times activations, added */
    struct run_matmul run = {s,
                             {.m = m,
                              .n = n,
                              .k = k,
                              .batch = 1,
                              .a = x->wide,
                              .b = form == 2 ? x->wide2 : x->weight,
                              .c = form == 2 ? (void *)x->gradient : x->logits,
                              .a_type = s->type,
                              .b_type = s->type,
                              .c_type = form == 2 ? DTYPE_F32 : s->type,
                              .a_row_stride = form == 2 ? m : k,
                              .b_row_stride = form == 0 ? k : n,
                              .c_row_stride = n,
                              .a_transposed = form == 2,
                              .b_transposed = form == 0,
                              .alpha = 1,
                              .beta = form == 2 ? 1.0f : 0.0f}};
    must(device_context_reserve(s->kernels, &s->context, s->kernels->matmul_scratch_size(&run.p)));
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld x %lld", (long long)m, (long long)n, (long long)k);
    struct measurement time = measure(run_matmul, &run, s->budget);
    if (m > 16)
        compute_row(s, name, shape, time, 2.0 * (double)m * (double)n * (double)k);
    else
        memory_row(s, name, shape, time, (double)(n * k) * (double)dtype_size(s->type));
}

static void bench_products(struct setting *s, const struct arrays *x)
{
    int64_t tokens = s->rows * s->length, hidden = s->hidden;
    bench_matmul(s, x, "q|k|v forward", tokens, 3 * hidden, hidden, 0);
    bench_matmul(s, x, "q|k|v grad x", tokens, hidden, 3 * hidden, 1);
    bench_matmul(s, x, "q|k|v grad weight", 3 * hidden, hidden, tokens, 2);
    bench_matmul(s, x, "o forward", tokens, hidden, hidden, 0);
    bench_matmul(s, x, "o grad weight", hidden, hidden, tokens, 2);
    bench_matmul(s, x, "gate|up forward", tokens, 2 * s->inner, hidden, 0);
    bench_matmul(s, x, "down forward", tokens, hidden, s->inner, 0);
    bench_matmul(s, x, "down grad weight", hidden, s->inner, tokens, 2);
    bench_matmul(s, x, "head forward", 512, s->vocabulary, hidden, 0);
    bench_matmul(s, x, "head grad x", 512, hidden, s->vocabulary, 1);
    bench_matmul(s, x, "head grad weight", s->vocabulary, hidden, 512, 2);
    bench_matmul(s, x, "decode 1 row", 1, s->vocabulary, hidden, 0);
    bench_matmul(s, x, "decode 16 rows", 16, s->vocabulary, hidden, 0);
    bench_matmul(s, x, "decode 1 row, large", 1, 2304, 4096, 0);
}

static void bench_attention(struct setting *s, const struct arrays *x, int documents)
{
    int64_t size = s->hidden / s->heads, width = 3 * s->hidden, tokens = s->rows * s->length;
    int32_t *starts = must_allocate((size_t)tokens * sizeof *starts);
    double pairs = 0;
    for (int64_t n = 0; n < tokens; n++) {
        int64_t t = n % s->length;
        starts[n] = documents ? (int32_t)(t * documents / s->length * (s->length / documents)) : 0;
        pairs += (double)(t + 1 - starts[n]);
    }
    char *qkv = x->wide, *gradient = x->wide2;
    size_t part = (size_t)s->hidden * dtype_size(s->type);
    struct attention_forward f = {.batch = s->rows,
                                  .query_length = s->length,
                                  .key_length = s->length,
                                  .heads = s->heads,
                                  .kv_heads = s->heads,
                                  .head_size = size,
                                  .query = qkv,
                                  .key = qkv + part,
                                  .value = qkv + 2 * part,
                                  .query_row_stride = width,
                                  .key_row_stride = width,
                                  .value_row_stride = width,
                                  .output_row_stride = s->hidden,
                                  .query_batch_stride = s->length * width,
                                  .key_batch_stride = s->length * width,
                                  .value_batch_stride = s->length * width,
                                  .output_batch_stride = s->length * s->hidden,
                                  .output = x->narrow,
                                  .log_sum_exp = x->small,
                                  .starts = starts,
                                  .scale = 1 / sqrtf((float)size),
                                  .type = s->type};
    struct run_attention_forward forward = {s, f};
    struct run_attention_backward backward = {s, {f, x->narrow2, gradient, gradient + part, gradient + 2 * part}};
    must(device_context_reserve(s->kernels, &s->context, s->kernels->attention_backward_scratch_size(&backward.p)));
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld, %lld of %lld%s", (long long)s->rows, (long long)s->length,
             (long long)s->heads, (long long)size, documents ? ", packed" : "");
    double flops = 4 * pairs * (double)(s->heads * size); /* pairs that attend alone */
    compute_row(s, "attention forward", shape, measure(run_attention_forward, &forward, s->budget), flops);
    compute_row(s, "attention backward", shape, measure(run_attention_backward, &backward, s->budget), 2.5 * flops);
    free(starts);
}

static void bench_rows(struct setting *s, const struct arrays *x)
{
    int64_t tokens = s->rows * s->length, hidden = s->hidden;
    double elements = (double)(tokens * hidden), size = (double)dtype_size(s->type);
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld", (long long)tokens, (long long)hidden);
    struct run_embedding_forward lookup = {s, {tokens, hidden, s->vocabulary, x->ids, x->weight, x->narrow, s->type}};
    memory_row(s, "embedding forward", shape, measure(run_embedding_forward, &lookup, s->budget), 2 * elements * size);
    struct run_embedding_backward gather = {
        s, {tokens, hidden, s->vocabulary, x->ids, x->order, x->narrow, x->gradient, s->type}};
    memory_row(s, "embedding backward", shape, measure(run_embedding_backward, &gather, s->budget),
               elements * (size + 8));
    struct run_rmsnorm_forward norm = {s,
                                       {.rows = tokens,
                                        .channels = hidden,
                                        .x = x->narrow,
                                        .weight = x->weight,
                                        .output = x->narrow2,
                                        .rstd = x->small,
                                        .epsilon = 1e-5f,
                                        .type = s->type}};
    memory_row(s, "rmsnorm forward", shape, measure(run_rmsnorm_forward, &norm, s->budget), 2 * elements * size);
    norm.p.residual = x->narrow3;
    norm.p.sum = x->wide2;
    memory_row(s, "  with residual", shape, measure(run_rmsnorm_forward, &norm, s->budget), 4 * elements * size);
    struct run_rmsnorm_backward back = {s,
                                        {.rows = tokens,
                                         .channels = hidden,
                                         .sum = x->narrow,
                                         .weight = x->weight,
                                         .grad_output = x->narrow2,
                                         .grad_residual = x->narrow3,
                                         .rstd = x->small,
                                         .grad_sum = x->wide2,
                                         .grad_weight = x->gradient,
                                         .type = s->type}};
    must(device_context_reserve(s->kernels, &s->context, s->kernels->rmsnorm_backward_scratch_size(&back.p)));
    memory_row(s, "rmsnorm backward", shape, measure(run_rmsnorm_backward, &back, s->budget), 4 * elements * size);
}

static void bench_pointwise(const struct setting *s, const struct arrays *x)
{
    int64_t tokens = s->rows * s->length, half = s->hidden / s->heads / 2;
    double size = (double)dtype_size(s->type), elements = (double)(tokens * s->inner);
    char shape[64];
    int32_t *positions = must_allocate((size_t)tokens * sizeof *positions);
    for (int64_t n = 0; n < tokens; n++)
        positions[n] = (int32_t)(n % s->length);
    struct run_rope rope = {s,
                            {tokens, 2 * s->heads, 2 * half, x->wide, 3 * s->hidden, positions, x->gradient,
                             x->gradient, s->length, 1, s->type}};
    snprintf(shape, sizeof shape, "%lld x %lld", (long long)tokens, (long long)(2 * s->hidden));
    memory_row(s, "rope", shape, measure(run_rope, &rope, s->budget), 4.0 * (double)(tokens * s->hidden) * size);
    free(positions);
    snprintf(shape, sizeof shape, "%lld x %lld", (long long)tokens, (long long)s->inner);
    struct run_swiglu_forward forward = {s, {tokens, s->inner, x->wide, x->logits, s->type}};
    memory_row(s, "swiglu forward", shape, measure(run_swiglu_forward, &forward, s->budget), 3 * elements * size);
    struct run_swiglu_backward backward = {s, {tokens, s->inner, x->wide, x->logits, x->wide2, s->type}};
    memory_row(s, "swiglu backward", shape, measure(run_swiglu_backward, &backward, s->budget), 5 * elements * size);
    struct run_cross_entropy entropy = {s,
                                        {.rows = 512,
                                         .columns = s->vocabulary,
                                         .logits = x->logits,
                                         .targets = x->ids,
                                         .losses = x->small,
                                         .grad = x->logits,
                                         .grad_scale = 1e-3f,
                                         .type = s->type,
                                         .grad_type = s->type}};
    snprintf(shape, sizeof shape, "512 x %lld", (long long)s->vocabulary);
    memory_row(s, "cross entropy", shape, measure(run_cross_entropy, &entropy, s->budget),
               2.0 * 512 * (double)s->vocabulary * size);
}

static void bench_optimizer(struct setting *s, const struct arrays *x, int64_t parameters)
{
    char shape[64];
    snprintf(shape, sizeof shape, "%.1f M", 1e-6 * (double)parameters);
    double result;
    int32_t nonfinite = 0;
    const int32_t skip = 0;
    const float scale = 1;
    const struct adamw_segment segment = {0, parameters, 0.1f};
    struct run_squared_norm norm = {s, {parameters, x->gradient, &result, &nonfinite, false}};
    must(device_context_reserve(s->kernels, &s->context, s->kernels->squared_norm_scratch_size(&norm.p)));
    memory_row(s, "squared norm", shape, measure(run_squared_norm, &norm, s->budget), 4.0 * (double)parameters);
    struct run_adamw adamw = {s,
                              {.count = parameters,
                               .master = x->logits,
                               .first_moment = x->moments,
                               .second_moment = x->moments2,
                               .gradient = x->gradient,
                               .weights = x->wide,
                               .weights_type = s->type,
                               .segments = &segment,
                               .segment_count = 1,
                               .learning_rate = 1e-3f,
                               .beta1 = 0.9f,
                               .beta2 = 0.95f,
                               .epsilon = 1e-8f,
                               .step = 10,
                               .scale = &scale,
                               .skip = &skip}};
    memory_row(s, "adamw", shape, measure(run_adamw, &adamw, s->budget),
               (28.0 + (double)dtype_size(s->type)) * (double)parameters);
}

int main(int count, char **arguments)
{
    struct setting s = {.type = count > 1 && strcmp(arguments[1], "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32,
                        .rows = count > 2 ? atoll(arguments[2]) : 8,
                        .length = count > 3 ? atoll(arguments[3]) : 512,
                        .hidden = count > 4 ? atoll(arguments[4]) : 256,
                        .heads = count > 5 ? atoll(arguments[5]) : 8,
                        .vocabulary = 2304,
                        .kernels = kernels_cpu(),
                        .budget = 0.3};
    if (s.rows < 1 || s.length < 8 || s.heads < 1 || s.hidden < 1 || s.hidden % (2 * s.heads) != 0) {
        fprintf(stderr, "usage: benchmark_kernels [f32|bf16] [rows] [tokens] [hidden size] [heads]\n");
        return 2;
    }
    s.inner = (s.hidden * 8 / 3 + 63) / 64 * 64;
    struct thread_pool *pool;
    must(thread_pool_create(0, &pool));
    must(device_context_create(s.kernels, pool, 0, &s.context));
    s.gemm = gemm_ceiling(pool);
    int64_t tokens = s.rows * s.length, parameters = 8 * 12 * s.hidden * s.hidden;
    int64_t largest = tokens * 3 * s.inner;
    largest = largest > 2304 * 4096 ? largest : 2304 * 4096;
    largest = largest > parameters ? largest : parameters;
    /* floats or bf16 alike: the bit patterns of floats are harmless pairs of bf16 when halves are read as such */
    struct arrays x = {some_floats(largest, 1),
                       some_floats(largest, 1),
                       some_floats(tokens * s.hidden, 1),
                       some_floats(tokens * s.hidden, 1),
                       some_floats(tokens * s.hidden, 1),
                       some_floats(2304 * 4096, 0.05f),
                       some_floats(largest, 1),
                       some_floats(tokens * s.heads, 1),
                       some_floats(largest, 1),
                       some_floats(parameters, 1e-3f),
                       some_floats(parameters, 1e-3f),
                       must_allocate((size_t)tokens * sizeof(int32_t)),
                       must_allocate((size_t)tokens * sizeof(int32_t))};
    if (s.type == DTYPE_BF16) {
        void *all[] = {x.wide, x.wide2, x.narrow, x.narrow2, x.narrow3, x.weight, x.logits};
        const int64_t counts[] = {largest,     largest, tokens * s.hidden, tokens * s.hidden, tokens * s.hidden,
                                  2304 * 4096, largest};
        for (int i = 0; i < 7; i++)
            dtype_from_float(all[i], DTYPE_BF16, all[i], counts[i]);
    }
    for (int64_t i = 0; i < tokens; i++)
        x.ids[i] = (int32_t)(i * 7919 % s.vocabulary);
    for (int64_t id = 0, next = 0; id < s.vocabulary; id++)
        for (int64_t i = 0; i < tokens; i++)
            if (x.ids[i] == id)
                x.order[next++] = (int32_t)i;
    for (int64_t i = 0; i < parameters; i++)
        x.moments2[i] = x.moments2[i] * x.moments2[i];
    printf("%s, %d threads, %s\n", dtype_name(s.type), thread_pool_threads(pool), s.kernels->describe(&s.context));
    printf("%-22s %-26s %9s %9s %16s %8s %7s %7s\n", "operation", "shape", "best ms", "median", "rate", "ceiling",
           "clock", "work");
    bench_products(&s, &x);
    bench_attention(&s, &x, 0);
    bench_attention(&s, &x, 8);
    bench_rows(&s, &x);
    bench_pointwise(&s, &x);
    bench_optimizer(&s, &x, parameters);
    device_context_destroy(s.kernels, &s.context);
    thread_pool_destroy(pool);
    return 0;
}
