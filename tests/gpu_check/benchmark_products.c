/* Products: what a copy and a product reach on this device, and the model's products beside the fastest algorithm that
 * cuBLASLt has for them. Ours asks the library once for its first choice, and computes products of few rows itself. */
#include "gpu_check/benchmark.h"
#include "kernels/cuda/cublaslt.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

enum { WORKSPACE = 32 << 20, ALGORITHMS = 8 };

/* ---- cuBLASLt by itself ---- */

struct direct_product {
    const struct matmul *p;
    const struct cublaslt *calls;
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t description;
    cublasLtMatrixLayout_t left, right, output; /* it reads by columns: left is our B */
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulAlgo_t algorithm;
    void *workspace;
};

static enum status checked(const struct direct_product *d, cublasStatus_t status)
{
    if (status == CUBLAS_STATUS_SUCCESS)
        return STATUS_OK;
    return status_set(STATUS_INTERNAL, "cuBLASLt: %s", d->calls->GetStatusName(status));
}

static enum status run_direct(struct benchmark *b, const void *argument)
{
    const struct direct_product *d = argument;
    const struct matmul *p = d->p;
    return checked(d, d->calls->Matmul(d->handle, d->description, &p->alpha, p->b, d->left, p->a, d->right, &p->beta,
                                       p->c, d->output, p->c, d->output, &d->algorithm, d->workspace, WORKSPACE,
                                       b->context.stream));
}

static cudaDataType_t type_of(enum dtype type)
{
    return type == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static enum status describe(struct direct_product *d)
{
    enum status result = STATUS_OK;
    const struct matmul *p = d->p;
    cublasOperation_t left = p->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                      right = p->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    uint64_t workspace = WORKSPACE;
    TRY(checked(d, d->calls->MatmulDescCreate(&d->description, CUBLAS_COMPUTE_32F, CUDA_R_32F)));
    TRY(checked(d, d->calls->MatmulDescSetAttribute(d->description, CUBLASLT_MATMUL_DESC_TRANSA, &left, sizeof left)));
    TRY(checked(d,
                d->calls->MatmulDescSetAttribute(d->description, CUBLASLT_MATMUL_DESC_TRANSB, &right, sizeof right)));
    TRY(checked(d, d->calls->MatrixLayoutCreate(&d->left, type_of(p->b_type), (uint64_t)(p->b_transposed ? p->k : p->n),
                                                (uint64_t)(p->b_transposed ? p->n : p->k), p->b_row_stride)));
    TRY(checked(d,
                d->calls->MatrixLayoutCreate(&d->right, type_of(p->a_type), (uint64_t)(p->a_transposed ? p->m : p->k),
                                             (uint64_t)(p->a_transposed ? p->k : p->m), p->a_row_stride)));
    TRY(checked(d, d->calls->MatrixLayoutCreate(&d->output, type_of(p->c_type), (uint64_t)p->n, (uint64_t)p->m,
                                                p->c_row_stride)));
    TRY(checked(d, d->calls->MatmulPreferenceCreate(&d->preference)));
    TRY(checked(d, d->calls->MatmulPreferenceSetAttribute(d->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                          &workspace, sizeof workspace)));
fail:
    return result;
}

static void forget(struct direct_product *d)
{
    cublasLtMatrixLayout_t layouts[] = {d->left, d->right, d->output};
    for (int i = 0; i < 3; i++)
        if (layouts[i])
            (void)d->calls->MatrixLayoutDestroy(layouts[i]);
    if (d->preference)
        (void)d->calls->MatmulPreferenceDestroy(d->preference);
    if (d->description)
        (void)d->calls->MatmulDescDestroy(d->description);
    if (d->handle)
        (void)d->calls->Destroy(d->handle);
}

enum status benchmark_cublaslt(struct benchmark *b, const struct matmul *product, double *seconds)
{
    enum status result = STATUS_OK;
    struct direct_product d = {.p = product, .workspace = benchmark_numbers(b, DTYPE_F32, WORKSPACE / 4, 0)};
    cublasLtMatmulHeuristicResult_t offers[ALGORITHMS];
    int count = 0;
    *seconds = 0;
    TRY(cublaslt_load(&d.calls));
    TRY(checked(&d, d.calls->Create(&d.handle)));
    TRY(describe(&d));
    TRY(checked(&d, d.calls->MatmulAlgoGetHeuristic(d.handle, d.description, d.left, d.right, d.output, d.output,
                                                    d.preference, b->tiny ? 1 : ALGORITHMS, offers, &count)));
    for (int i = 0; i < count; i++) {
        struct benchmark_time time;
        if (offers[i].state != CUBLAS_STATUS_SUCCESS)
            continue;
        d.algorithm = offers[i].algo;
        TRY(benchmark_time(b, run_direct, &d, &time));
        if (*seconds == 0 || time.median < *seconds)
            *seconds = time.median;
    }
    if (*seconds == 0)
        result = status_set(STATUS_INTERNAL, "cuBLASLt has no algorithm for a product");
fail:
    forget(&d);
    return result;
}

/* ---- products of the model ---- */

/* Form 0: activations times weights^T; 1: gradients times weights; 2: gradients^T times activations, added to f32. */
static struct matmul product_of(struct benchmark *b, enum dtype type, int64_t m, int64_t n, int64_t k, int form)
{
    enum dtype c_type = form == 2 ? DTYPE_F32 : type;
    return (struct matmul){.m = m,
                           .n = n,
                           .k = k,
                           .batch = 1,
                           .a = benchmark_numbers(b, type, m * k, 1),
                           .b = benchmark_numbers(b, type, n * k, 0.05),
                           .c = benchmark_numbers(b, c_type, m * n, 1),
                           .a_type = type,
                           .b_type = type,
                           .c_type = c_type,
                           .a_row_stride = form == 2 ? m : k,
                           .b_row_stride = form == 0 ? k : n,
                           .c_row_stride = n,
                           .a_transposed = form == 2,
                           .b_transposed = form == 0,
                           .alpha = 1,
                           .beta = form == 2 ? 1.0f : 0.0f};
}

static void bench_product(struct benchmark *b, const char *what, enum dtype type, int64_t m, int64_t n, int64_t k,
                          int form)
{
    char shape[64];
    struct matmul p = product_of(b, type, m, n, k, form);
    struct benchmark_case row = {.operation = BENCHMARK_matmul, .parameters = &p, .shape = shape, .type = type};
    snprintf(shape, sizeof shape, "%s %lldx%lldx%lld %s", what, (long long)m, (long long)n, (long long)k,
             dtype_name(type));
    row.flops = m > 16 ? 2.0 * (double)m * (double)n * (double)k : 0; /* few rows: the bytes of the weights count */
    benchmark_must(benchmark_cublaslt(b, &p, &row.peer_seconds));
    row.peer = "cuBLASLt";
    benchmark_row(b, &row);
    benchmark_next(b);
}

static void bench_library_products(struct benchmark *b, int64_t tokens, int64_t wide, int64_t head_rows)
{
    const struct benchmark_sizes *s = &b->sizes;
    bench_product(b, "q|k|v", DTYPE_BF16, tokens, wide, s->hidden, 0);
    bench_product(b, "q|k|v grad x", DTYPE_BF16, tokens, s->hidden, wide, 1);
    bench_product(b, "q|k|v grad w", DTYPE_BF16, wide, s->hidden, tokens, 2);
    bench_product(b, "gate|up", DTYPE_BF16, tokens, 2 * s->inner, s->hidden, 0);
    bench_product(b, "down grad w", DTYPE_BF16, s->hidden, s->inner, tokens, 2);
    bench_product(b, "head", DTYPE_BF16, head_rows, s->vocabulary, s->hidden, 0);
    bench_product(b, "head grad w", DTYPE_BF16, s->vocabulary, s->hidden, head_rows, 2);
    bench_product(b, "gate|up", DTYPE_F32, head_rows, 2 * s->inner, s->hidden, 0);
}

void benchmark_products(struct benchmark *b)
{
    const struct benchmark_sizes *s = &b->sizes;
    int64_t tokens = s->rows * s->length, wide = (s->heads + 2 * s->kv_heads) * s->head_size;
    int64_t head_rows = tokens < 2048 ? tokens : 2048;
    if (!b->counted)
        bench_library_products(b, tokens, wide, head_rows);
    bench_product(b, "decode", DTYPE_BF16, 1, 2 * s->inner, s->hidden, 0);
    bench_product(b, "decode", DTYPE_BF16, 16, 2 * s->inner, s->hidden, 0);
    bench_product(b, "decode", DTYPE_BF16, 1, s->vocabulary, s->hidden, 0);
}

/* ---- ceilings ---- */

struct copy {
    void *to, *from;
    size_t bytes;
};

static enum status run_copy(struct benchmark *b, const void *argument)
{
    const struct copy *c = argument;
    return b->kernels->copy(&b->context, c->to, c->from, c->bytes);
}

void benchmark_ceilings(struct benchmark *b)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16};
    struct benchmark_time time;
    struct copy copy = {.bytes = (size_t)b->sizes.copy_bytes};
    copy.to = benchmark_numbers(b, DTYPE_F32, b->sizes.copy_bytes / 4, 0);
    copy.from = benchmark_numbers(b, DTYPE_F32, b->sizes.copy_bytes / 4, 1);
    benchmark_must(benchmark_time(b, run_copy, &copy, &time));
    b->copy_rate = 2 * (double)copy.bytes / time.median;
    benchmark_next(b);
    for (int i = 0; i < 2; i++) {
        double seconds;
        int64_t size = b->sizes.product / (i == 0 && !b->tiny ? 2 : 1);
        struct matmul p = product_of(b, types[i], size, size, size, 0);
        benchmark_must(benchmark_cublaslt(b, &p, &seconds));
        b->product_rate[i] = 2 * (double)size * (double)size * (double)size / seconds;
        benchmark_next(b);
    }
    printf("a copy moves %.0f GB/s; a product reaches %.1f TFLOP/s in f32, %.1f in bf16\n", 1e-9 * b->copy_rate,
           1e-12 * b->product_rate[0], 1e-12 * b->product_rate[1]);
    if (b->out)
        fprintf(b->out,
                "{\"ceilings\": true, \"copy_bytes_per_second\": %.6g, \"f32_flop_per_second\": %.6g, "
                "\"bf16_flop_per_second\": %.6g}\n",
                b->copy_rate, b->product_rate[0], b->product_rate[1]);
}
