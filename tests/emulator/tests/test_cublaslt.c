/* The emulated cublasLtMatmul against products in double precision: odd sizes, batches, transposes, bias, C apart from
 * D, leading dimensions with NaN in every gap; and each wrong argument is named in a report.
 *
 * Tolerance: a chain of k fused multiply-adds in f32 errs by at most about k 2^-24 of the sum of |a b|; bf16 results
 * add half a unit in their last place, 2^-9. */
#include "emulator/tests/runtime_support.h"

#include <cublasLt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define assert_lt(call) assert_int_equal((call), CUBLAS_STATUS_SUCCESS)

struct problem {
    uint64_t m, n, k;
    int32_t transpose_a, transpose_b, batches;
    bool row_order, bfloat_in, bfloat_out, in_place, beside, bias;
    float alpha, beta;
};
struct matrix {
    uint64_t rows, columns, leading, stride, elements;
    int32_t batches;
    bool bfloat, row_order;
    void *host, *device;
    cublasLtMatrixLayout_t layout;
};

static uint16_t to_bfloat(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static void put(const struct matrix *matrix, uint64_t i, float value)
{
    if (matrix->bfloat)
        ((uint16_t *)matrix->host)[i] = isnan(value) ? 0x7FC0 : to_bfloat(value);
    else
        ((float *)matrix->host)[i] = value;
}

static double value_at(const struct matrix *matrix, uint64_t i)
{
    if (!matrix->bfloat)
        return ((const float *)matrix->host)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)matrix->host)[i] << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static uint64_t place(const struct matrix *matrix, int32_t batch, uint64_t row, uint64_t column)
{
    uint64_t inside = matrix->row_order ? row * matrix->leading + column : column * matrix->leading + row;
    return (uint64_t)batch * matrix->stride + inside;
}

static void upload(const struct matrix *matrix)
{
    size_t bytes = matrix->elements * (matrix->bfloat ? 2 : 4);
    assert_cuda(cudaMemcpy(matrix->device, matrix->host, bytes, cudaMemcpyHostToDevice));
    assert_cuda(cudaDeviceSynchronize());
}

/* `beside`: batches lie side by side in one row of the leading dimension, like the heads of an attention. */
static struct matrix make(struct rng *rng, uint64_t rows, uint64_t columns, const struct problem *problem, bool bfloat)
{
    struct matrix matrix = {.rows = rows,
                            .columns = columns,
                            .batches = problem->batches,
                            .bfloat = bfloat,
                            .row_order = problem->row_order};
    uint64_t line = problem->row_order ? columns : rows, lines = problem->row_order ? rows : columns;
    matrix.leading = problem->beside ? (line + 1) * (uint64_t)problem->batches + 2 : line + rng_below(rng, 4);
    matrix.stride = problem->beside ? line + 1 : matrix.leading * lines + rng_below(rng, 5);
    matrix.elements = (uint64_t)(problem->batches - 1) * matrix.stride + matrix.leading * lines;
    matrix.host = malloc(matrix.elements * 4);
    assert_non_null(matrix.host);
    for (uint64_t i = 0; i < matrix.elements; i++)
        put(&matrix, i, NAN);
    for (int32_t b = 0; b < matrix.batches; b++)
        for (uint64_t r = 0; r < rows; r++)
            for (uint64_t c = 0; c < columns; c++)
                put(&matrix, place(&matrix, b, r, c), (float)rng_normal(rng));
    assert_cuda(cudaMalloc(&matrix.device, matrix.elements * (bfloat ? 2 : 4)));
    upload(&matrix);
    int32_t order = problem->row_order ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
    int64_t stride = (int64_t)matrix.stride;
    assert_lt(cublasLtMatrixLayoutCreate(&matrix.layout, bfloat ? CUDA_R_16BF : CUDA_R_32F, rows, columns,
                                         (int64_t)matrix.leading));
    assert_lt(cublasLtMatrixLayoutSetAttribute(matrix.layout, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order));
    assert_lt(cublasLtMatrixLayoutSetAttribute(matrix.layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &matrix.batches, 4));
    assert_lt(cublasLtMatrixLayoutSetAttribute(matrix.layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, 8));
    return matrix;
}

static void discard(struct matrix *matrix)
{
    free(matrix->host);
    if (matrix->device)
        assert_cuda(cudaFree(matrix->device));
    assert_lt(cublasLtMatrixLayoutDestroy(matrix->layout));
}

static cublasLtMatmulDesc_t describe(const struct problem *problem, const void *bias)
{
    cublasLtMatmulDesc_t operation;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    assert_lt(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    assert_lt(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &problem->transpose_a, 4));
    assert_lt(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSB, &problem->transpose_b, 4));
    if (bias) {
        assert_lt(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, 4));
        assert_lt(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
    }
    return operation;
}

static void compare(const struct problem *problem, const struct matrix *a, const struct matrix *b,
                    const struct matrix *c, const struct matrix *d, const struct matrix *bias)
{
    for (int32_t batch = 0; batch < problem->batches; batch++)
        for (uint64_t i = 0; i < problem->m; i++)
            for (uint64_t j = 0; j < problem->n; j++) {
                double sum = 0, size = 0;
                for (uint64_t p = 0; p < problem->k; p++) {
                    double left = value_at(a, problem->transpose_a ? place(a, batch, p, i) : place(a, batch, i, p));
                    double right = value_at(b, problem->transpose_b ? place(b, batch, j, p) : place(b, batch, p, j));
                    sum += left * right;
                    size += fabs(left * right);
                }
                double expected = problem->alpha * sum;
                if (problem->beta != 0)
                    expected += problem->beta * value_at(c, place(c, batch, i, j));
                if (bias)
                    expected += value_at(bias, i);
                double tolerance = ((double)problem->k + 3) * ldexp(1, -24) * fabs(problem->alpha) * size +
                                   4 * ldexp(1, -24) * (fabs(expected) + 8) +
                                   (problem->bfloat_out ? ldexp(fabs(expected), -8) : 0);
                double found = value_at(d, place(d, batch, i, j));
                if (!(fabs(found - expected) <= tolerance))
                    fail_msg("batch %d, row %llu, column %llu: expected %.9g, found %.9g", (int)batch,
                             (unsigned long long)i, (unsigned long long)j, expected, found);
            }
}

/* Everything between the elements is still what was there. */
static void gaps_are_untouched(const struct matrix *matrix)
{
    bool *inside = calloc(matrix->elements, sizeof *inside);
    assert_non_null(inside);
    for (int32_t b = 0; b < matrix->batches; b++)
        for (uint64_t r = 0; r < matrix->rows; r++)
            for (uint64_t c = 0; c < matrix->columns; c++)
                inside[place(matrix, b, r, c)] = true;
    for (uint64_t i = 0; i < matrix->elements; i++)
        assert_true(inside[i] || isnan(value_at(matrix, i)));
    free(inside);
}

static void check_product(cublasLtHandle_t handle, struct rng *rng, const struct problem *problem)
{
    struct matrix a = make(rng, problem->transpose_a ? problem->k : problem->m,
                           problem->transpose_a ? problem->m : problem->k, problem, problem->bfloat_in);
    struct matrix b = make(rng, problem->transpose_b ? problem->n : problem->k,
                           problem->transpose_b ? problem->k : problem->n, problem, problem->bfloat_in);
    struct matrix d = make(rng, problem->m, problem->n, problem, problem->bfloat_out);
    struct matrix c = make(rng, problem->m, problem->n, problem, problem->bfloat_out);
    struct problem vector = {.batches = 1};
    struct matrix bias = make(rng, problem->m, 1, &vector, problem->bfloat_out);
    if (problem->in_place) {
        discard(&c);
        c = d;
        c.host = malloc(d.elements * 4);
        assert_non_null(c.host);
        memcpy(c.host, d.host, d.elements * (d.bfloat ? 2 : 4));
    }
    cublasLtMatmulDesc_t operation = describe(problem, problem->bias ? bias.device : NULL);
    if (problem->beta == 0) { /* then C is not read */
        put(&c, 0, NAN);
        upload(&c);
    }
    assert_lt(cublasLtMatmul(handle, operation, &problem->alpha, a.device, a.layout, b.device, b.layout, &problem->beta,
                             c.device, c.layout, d.device, d.layout, NULL, NULL, 0, NULL));
    assert_cuda(cudaMemcpy(d.host, d.device, d.elements * (d.bfloat ? 2 : 4), cudaMemcpyDeviceToHost));
    compare(problem, &a, &b, &c, &d, problem->bias ? &bias : NULL);
    gaps_are_untouched(&d);
    assert_lt(cublasLtMatmulDescDestroy(operation));
    discard(&a);
    discard(&b);
    if (problem->in_place)
        free(c.host);
    else
        discard(&c);
    discard(&d);
    discard(&bias);
}

static void products_equal_their_reference(void **state)
{
    (void)state;
    cublasLtHandle_t handle;
    assert_lt(cublasLtCreate(&handle));
    static const uint64_t sizes[] = {1, 2, 3, 5, 7, 8, 17, 31, 64, 65, 129, 300};
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 1);
    for (int round = 0; round < 240; round++) {
        int types = round % 3;
        struct problem problem = {.m = sizes[rng_below(&rng, 12)],
                                  .n = sizes[rng_below(&rng, round % 5 ? 10 : 12)],
                                  .k = sizes[rng_below(&rng, 12)],
                                  .transpose_a = (int32_t)rng_below(&rng, 2),
                                  .transpose_b = (int32_t)rng_below(&rng, 2),
                                  .batches = round % 4 ? 1 : 1 + (int32_t)rng_below(&rng, 4),
                                  .row_order = rng_below(&rng, 3) == 0,
                                  .bfloat_in = types > 0,
                                  .bfloat_out = types > 1,
                                  .in_place = rng_below(&rng, 3) == 0,
                                  .beside = rng_below(&rng, 2) == 0,
                                  .alpha = rng_below(&rng, 2) ? 1.0f : 0.37f,
                                  .beta = (float[]){0.0f, 1.0f, -0.6f}[rng_below(&rng, 3)]};
        problem.bias = !problem.row_order && rng_below(&rng, 2) == 0;
        check_product(handle, &rng, &problem);
    }
    assert_lt(cublasLtDestroy(handle));
}

/* Rows are computed alike whatever stands beside them, and alpha 0 reads nothing. */
static void a_row_does_not_depend_on_the_others(void **state)
{
    (void)state;
    cublasLtHandle_t handle;
    assert_lt(cublasLtCreate(&handle));
    struct rng rng = rng_make(test_seed(), RNG_TEST, 2, 1);
    struct problem problem = {.m = 300, .n = 9, .k = 77, .batches = 1, .alpha = 1};
    struct matrix a = make(&rng, 300, 77, &problem, false), b = make(&rng, 77, 9, &problem, false);
    struct matrix d = make(&rng, 300, 9, &problem, false), one = make(&rng, 1, 9, &problem, false), row = a;
    cublasLtMatmulDesc_t operation = describe(&problem, NULL);
    assert_lt(cublasLtMatrixLayoutCreate(&row.layout, CUDA_R_32F, 1, 77, (int64_t)a.leading));
    assert_lt(cublasLtMatmul(handle, operation, &problem.alpha, a.device, a.layout, b.device, b.layout, &problem.beta,
                             d.device, d.layout, d.device, d.layout, NULL, NULL, 0, NULL));
    assert_lt(cublasLtMatmul(handle, operation, &problem.alpha, (float *)a.device + 271, row.layout, b.device, b.layout,
                             &problem.beta, NULL, one.layout, one.device, one.layout, NULL, NULL, 0, NULL));
    assert_cuda(cudaMemcpy(d.host, d.device, d.elements * 4, cudaMemcpyDeviceToHost));
    assert_cuda(cudaMemcpy(one.host, one.device, one.elements * 4, cudaMemcpyDeviceToHost));
    for (uint64_t j = 0; j < 9; j++)
        assert_true(value_at(&d, place(&d, 0, 271, j)) == value_at(&one, place(&one, 0, 0, j)));
    free(a.host);
    free(b.host);
    free(d.host);
    free(one.host);
}

/* ---- wrong arguments ---- */

struct call {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t operation;
    struct matrix a, b, c, d;
    const cublasLtMatmulAlgo_t *algorithm;
    void *workspace;
    size_t workspace_bytes;
    float alpha, beta;
    cudaStream_t stream;
};

static struct call good_call(void)
{
    struct rng rng = rng_make(test_seed(), RNG_TEST, 3, 1);
    struct problem problem = {.m = 12, .n = 20, .k = 8, .batches = 1, .beside = true};
    struct call call = {.alpha = 1, .beta = 1};
    assert_lt(cublasLtCreate(&call.handle));
    call.a = make(&rng, 12, 8, &problem, false);
    call.b = make(&rng, 8, 20, &problem, false);
    call.c = make(&rng, 12, 20, &problem, false);
    call.d = make(&rng, 12, 20, &problem, false);
    call.operation = describe(&problem, NULL);
    return call;
}

/* Device memory and handles go with the emulator's reset. */
static void free_hosts(const struct call *call)
{
    free(call->a.host);
    free(call->b.host);
    free(call->c.host);
    free(call->d.host);
}

static cublasStatus_t product(const struct call *call)
{
    return cublasLtMatmul(call->handle, call->operation, &call->alpha, call->a.device, call->a.layout, call->b.device,
                          call->b.layout, &call->beta, call->c.device, call->c.layout, call->d.device, call->d.layout,
                          call->algorithm, call->workspace, call->workspace_bytes, call->stream);
}

static void refuse(const struct call *call, cublasStatus_t status, const char *part)
{
    int64_t before = emulator_pending();
    assert_int_equal(product(call), status);
    expect_reports(1, part);
    assert_int_equal(emulator_pending(), before); /* nothing was put into the stream */
}

static void set_layout(struct matrix *matrix, cublasLtMatrixLayoutAttribute_t attribute, int64_t value)
{
    bool narrow = attribute == CUBLASLT_MATRIX_LAYOUT_TYPE || attribute == CUBLASLT_MATRIX_LAYOUT_ORDER ||
                  attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT;
    int32_t small = (int32_t)value;
    assert_lt(cublasLtMatrixLayoutSetAttribute(matrix->layout, attribute, narrow ? (void *)&small : (void *)&value,
                                               narrow ? 4 : 8));
}

static void refuse_layout(const struct call *call, struct matrix *matrix, cublasLtMatrixLayoutAttribute_t attribute,
                          int64_t value, cublasStatus_t status, const char *part)
{
    int64_t before = 0;
    size_t bytes;
    assert_lt(cublasLtMatrixLayoutGetAttribute(matrix->layout, attribute, NULL, 0, &bytes));
    assert_lt(cublasLtMatrixLayoutGetAttribute(matrix->layout, attribute, &before, bytes, NULL));
    set_layout(matrix, attribute, value);
    refuse(call, status, part);
    set_layout(matrix, attribute, before);
}

static void wrong_shapes_and_types_are_named(void **state)
{
    (void)state;
    const cublasStatus_t invalid = CUBLAS_STATUS_INVALID_VALUE, unsupported = CUBLAS_STATUS_NOT_SUPPORTED;
    struct call call = good_call();
    assert_lt(product(&call));
    refuse_layout(&call, &call.a, CUBLASLT_MATRIX_LAYOUT_COLS, 7, invalid, "op(A) has 7 columns, op(B) has 8 rows");
    refuse_layout(&call, &call.d, CUBLASLT_MATRIX_LAYOUT_ROWS, 11, invalid, "op(A) op(B) is 12 x 20");
    refuse_layout(&call, &call.c, CUBLASLT_MATRIX_LAYOUT_COLS, 19, invalid, "C is 12 x 19");
    refuse_layout(&call, &call.b, CUBLASLT_MATRIX_LAYOUT_LD, 7, invalid, "Bdesc: leading dimension 7");
    refuse_layout(&call, &call.b, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, 2, invalid, "Bdesc: batch count 2");
    refuse_layout(&call, &call.a, CUBLASLT_MATRIX_LAYOUT_ROWS, 0, invalid, "Adesc is empty");
    refuse_layout(&call, &call.a, CUBLASLT_MATRIX_LAYOUT_ORDER, CUBLASLT_ORDER_COL32, unsupported, "Adesc: order 2");
    refuse_layout(&call, &call.a, CUBLASLT_MATRIX_LAYOUT_TYPE, CUDA_R_16BF, unsupported, "types of A and B");
    refuse_layout(&call, &call.d, CUBLASLT_MATRIX_LAYOUT_TYPE, CUDA_R_16BF, unsupported, "types of C and D");
    int32_t value = CUBLAS_COMPUTE_64F;
    assert_lt(cublasLtMatmulDescSetAttribute(call.operation, CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, &value, 4));
    refuse(&call, unsupported, "the compute type");
    value = CUBLAS_COMPUTE_32F;
    assert_lt(cublasLtMatmulDescSetAttribute(call.operation, CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, &value, 4));
    value = CUBLASLT_EPILOGUE_GELU;
    assert_lt(cublasLtMatmulDescSetAttribute(call.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &value, 4));
    refuse(&call, unsupported, "the epilogue");
    value = CUBLASLT_EPILOGUE_BIAS;
    assert_lt(cublasLtMatmulDescSetAttribute(call.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &value, 4));
    refuse(&call, invalid, "the bias is NULL");
    const void *bias = (const char *)call.a.device + 4, *none = NULL;
    assert_lt(cublasLtMatmulDescSetAttribute(call.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
    refuse(&call, invalid, "the bias is not aligned to the 16 bytes");
    assert_lt(cublasLtMatmulDescSetAttribute(call.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &none, sizeof none));
    value = 1;
    assert_int_equal(cublasLtMatmulDescSetAttribute(call.operation, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &value, 1),
                     unsupported);
    expect_reports(1, "is not emulated");
    assert_int_equal(cublasLtMatmulDescSetAttribute(call.operation, CUBLASLT_MATMUL_DESC_TRANSA, &value, 8), invalid);
    expect_reports(1, "expected 4 bytes, found 8");
    free_hosts(&call);
}

static void wrong_pointers_are_named(void **state)
{
    (void)state;
    const cublasStatus_t invalid = CUBLAS_STATUS_INVALID_VALUE;
    const struct call good = good_call();
    struct call call = good;
    call.a.device = NULL;
    refuse(&call, invalid, "A is NULL");
    call = good;
    call.b.device = (char *)good.b.device + 2;
    refuse(&call, invalid, "B is not aligned to the 4 bytes");
    call = good;
    call.c.device = (char *)good.c.device + 64;
    refuse(&call, invalid, "C: ");
    call = good;
    static float host[400];
    call.d.device = host;
    refuse(&call, invalid, "D: ");
    call = good;
    call.d = good.a;
    call.d.layout = good.d.layout;
    call.c = call.d;
    call.d.device = call.c.device = call.a.device = device_floats(1000);
    refuse(&call, invalid, "D overlaps A");
    call = good;
    call.c.device = call.d.device = device_floats(1000);
    call.c.device = (float *)call.d.device + 4;
    refuse(&call, invalid, "D overlaps C");
    call = good;
    call.handle = (cublasLtHandle_t)(void *)good.operation;
    refuse(&call, CUBLAS_STATUS_NOT_INITIALIZED, "lightHandle is no live handle");
    call = good;
    assert_lt(cublasLtMatrixLayoutDestroy(call.b.layout));
    refuse(&call, invalid, "Bdesc is no live matrix layout");
    free_hosts(&good);
}

static void heuristics_and_workspace(void **state)
{
    (void)state;
    const cublasStatus_t invalid = CUBLAS_STATUS_INVALID_VALUE;
    struct call call = good_call();
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t results[4];
    int count = -1;
    uint64_t workspace = 1 << 20;
    uint32_t alignment = 16;
    assert_lt(cublasLtMatmulPreferenceCreate(&preference));
    assert_lt(
        cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, 8));
    assert_lt(cublasLtMatmulAlgoGetHeuristic(call.handle, call.operation, call.a.layout, call.b.layout, call.c.layout,
                                             call.d.layout, preference, 4, results, &count));
    assert_int_equal(count, 2);
    assert_true(results[0].workspaceSize > 0 && results[0].workspaceSize <= workspace);
    assert_int_equal(results[1].workspaceSize, 0);
    call.algorithm = &results[0].algo;
    refuse(&call, invalid, "bytes of workspace, found 0");
    call.workspace = device_floats(1 << 18);
    call.workspace_bytes = results[0].workspaceSize;
    assert_lt(product(&call));
    call.workspace = (char *)call.workspace + 128;
    refuse(&call, invalid, "the workspace is NULL or not aligned");
    call.workspace = (char *)call.workspace + 128 + (1 << 20) - 256;
    refuse(&call, invalid, "the workspace is not in one allocation");
    call.workspace_bytes = 0;
    call.algorithm = &results[1].algo;
    assert_lt(product(&call));
    struct call shifted = call;
    set_layout(&shifted.b, CUBLASLT_MATRIX_LAYOUT_COLS, 19);
    set_layout(&shifted.c, CUBLASLT_MATRIX_LAYOUT_COLS, 19);
    set_layout(&shifted.d, CUBLASLT_MATRIX_LAYOUT_COLS, 19);
    refuse(&shifted, CUBLAS_STATUS_NOT_SUPPORTED, "algo was chosen for another product");
    assert_lt(
        cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignment, 4));
    assert_lt(cublasLtMatmulAlgoGetHeuristic(shifted.handle, shifted.operation, shifted.a.layout, shifted.b.layout,
                                             shifted.c.layout, shifted.d.layout, preference, 2, results, &count));
    shifted.algorithm = &results[1].algo;
    shifted.b.device = (char *)call.b.device + 16;
    assert_lt(product(&shifted)); /* as promised */
    shifted.a.device = (char *)call.a.device + 16;
    refuse(&shifted, invalid, "A is not aligned to the 256 bytes");
    assert_int_equal(cublasLtMatmulAlgoGetHeuristic(call.handle, call.operation, call.a.layout, call.b.layout,
                                                    call.c.layout, call.d.layout, preference, 0, results, &count),
                     invalid);
    expect_reports(1, "requestedAlgoCount is 0");
    assert_lt(cublasLtMatmulPreferenceDestroy(preference));
    free_hosts(&call);
}

static void a_product_is_work_of_its_stream(void **state)
{
    (void)state;
    struct call call = good_call(), other = call;
    cudaStream_t second;
    assert_cuda(cudaStreamCreateWithFlags(&call.stream, cudaStreamNonBlocking));
    assert_cuda(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
    assert_lt(product(&call));
    assert_int_equal(emulator_pending(), 1);
    assert_cuda(cudaMemsetAsync(call.b.device, 0, 4, second));
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(1, "cudaMemsetAsync writes device memory that cublasLtMatmul reads");
    /* One workspace for two streams. */
    call.workspace = other.workspace = device_floats(1024);
    call.workspace_bytes = other.workspace_bytes = 4096;
    other.d.device = device_floats(1000);
    other.stream = second;
    assert_lt(product(&call));
    assert_lt(product(&other));
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(1, "cublasLtMatmul writes device memory that cublasLtMatmul writes");
    /* Operands that nobody wrote. */
    call.a.device = device_floats(1000);
    assert_lt(product(&call));
    assert_int_equal(emulator_report_count(), 0);
    assert_cuda(cudaDeviceSynchronize());
    assert_int_equal(emulator_reports_of(CHECK_UNINITIALISED, "bytes of A that nobody wrote"), 1);
    emulator_clear_reports();
    free_hosts(&call);
}

static void a_captured_product_equals_the_call(void **state)
{
    (void)state;
    struct call call = good_call();
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    size_t bytes = call.d.elements * 4;
    float *eager = malloc(bytes), *replayed = malloc(bytes);
    assert_true(eager && replayed);
    assert_cuda(cudaStreamCreate(&call.stream));
    assert_lt(product(&call));
    assert_cuda(cudaMemcpy(eager, call.d.device, bytes, cudaMemcpyDeviceToHost));
    assert_cuda(cudaStreamBeginCapture(call.stream, cudaStreamCaptureModeGlobal));
    assert_lt(product(&call));
    assert_cuda(cudaStreamEndCapture(call.stream, &graph));
    assert_cuda(cudaGraphInstantiate(&executable, graph, 0));
    assert_cuda(cudaMemset(call.d.device, 0, bytes));
    call.alpha = 0; /* was copied when the call was captured */
    assert_cuda(cudaGraphLaunch(executable, call.stream));
    assert_cuda(cudaMemcpy(replayed, call.d.device, bytes, cudaMemcpyDeviceToHost));
    for (uint64_t i = 0; i < 12; i++)
        for (uint64_t j = 0; j < 20; j++)
            assert_true(eager[place(&call.d, 0, i, j)] == replayed[place(&call.d, 0, i, j)]);
    assert_int_equal(emulator_counters().library_launches, 2);
    free(eager);
    free(replayed);
    free_hosts(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        runtime_test(products_equal_their_reference),   runtime_test(a_row_does_not_depend_on_the_others),
        runtime_test(wrong_shapes_and_types_are_named), runtime_test(wrong_pointers_are_named),
        runtime_test(heuristics_and_workspace),         runtime_test(a_captured_product_equals_the_call),
        runtime_test(a_product_is_work_of_its_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
