/* Products by cuBLASLt. It reads matrices by columns, so our row-major C is its transposed C, which is op(B)^T op(A)^T: B goes
 * first, m and n change places, and a matrix as we store it is the transpose of what it sees.
 *
 * The library is asked once for each shape which algorithm it would take, and the answer is kept: a shape has one algorithm in
 * a run, whatever happens between its calls. Alignment belongs to the shape, in steps of 16 bytes at most, which is what
 * its fast kernels load at once; more would let the place of a tensor in memory choose the bits. Partial sums stay in f32. */
#include "kernels/cuda/products.h"

#include "kernels/cuda/cublaslt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKSPACE = CUDA_PRODUCTS_WORKSPACE, ALIGNMENT = 16 };

/* All that an algorithm may depend on, in whole numbers so that no padding is compared. */
struct key {
    int64_t m, n, k, batch;
    int64_t a_type, c_type, transposed; /* bit 0: A, bit 1: B */
    int64_t a_stride, b_stride, c_stride, a_batch, b_batch, c_batch;
    int64_t adds, bias; /* 0: nothing, 1: C, 2: another matrix */
    int64_t a_alignment, b_alignment, c_alignment, d_alignment;
};

struct plan {
    struct key key;
    cublasLtMatmulDesc_t description;
    cublasLtMatrixLayout_t left, right, added, output; /* left is our B */
    cublasLtMatmulAlgo_t algorithm;
};

struct cuda_products {
    const struct cublaslt *calls;
    cublasLtHandle_t handle;
    void *workspace;
    struct plan **plans; /* by hash, open addressing; a power of two, at most half full */
    int64_t count, capacity;
};

static enum status checked(const struct cuda_products *products, cublasStatus_t status, const char *what)
{
    CHECK(status == CUBLAS_STATUS_SUCCESS, "matmul: %s: %s", what, products->calls->GetStatusName(status));
    return STATUS_OK;
}

enum status cuda_products_open(struct cuda_products **out)
{
    enum status result = STATUS_OK;
    *out = NULL;
    struct cuda_products *products = calloc(1, sizeof *products);
    CHECK(products, "no memory for cuBLASLt's handle");
    TRY(cublaslt_load(&products->calls));
    TRY(checked(products, products->calls->Create(&products->handle), "cuBLASLt does not start"));
    TRY(cuda_checked(cudaMalloc(&products->workspace, WORKSPACE), "cuBLASLt's workspace"));
    *out = products;
    return STATUS_OK;
fail:
    cuda_products_close(products);
    return result;
}

static void free_plan(const struct cublaslt *calls, struct plan *plan)
{
    if (!plan)
        return;
    cublasLtMatrixLayout_t layouts[] = {plan->left, plan->right, plan->added, plan->output};
    for (int i = 0; i < 4; i++)
        if (layouts[i])
            (void)calls->MatrixLayoutDestroy(layouts[i]);
    if (plan->description)
        (void)calls->MatmulDescDestroy(plan->description);
    free(plan);
}

void cuda_products_close(struct cuda_products *products)
{
    if (!products)
        return;
    for (int64_t i = 0; i < products->capacity; i++)
        free_plan(products->calls, products->plans[i]);
    free(products->plans);
    if (products->handle)
        (void)products->calls->Destroy(products->handle);
    (void)cudaFree(products->workspace);
    free(products);
}

void cuda_products_version(const struct cuda_products *products, char *text, size_t size)
{
    size_t version = products->calls->GetVersion(); /* 10000 major + 100 minor + patch; before 12: 1000 major */
    size_t major = version >= 100000 ? version / 10000 : version / 1000;
    size_t rest = version >= 100000 ? version % 10000 : version % 1000;
    snprintf(text, size, "%zu.%zu.%zu", major, rest / 100, rest % 100);
}

/* ---- plans ---- */

static int64_t alignment(const void *pointer)
{
    uintptr_t lowest = (uintptr_t)pointer & (~(uintptr_t)pointer + 1);
    return lowest == 0 || lowest > ALIGNMENT ? ALIGNMENT : (int64_t)lowest;
}

static const void *added_matrix(const struct matmul *p)
{
    return p->addend ? p->addend : p->c;
}

static struct key key_of(const struct matmul *p)
{
    return (struct key){
        .m = p->m,
        .n = p->n,
        .k = p->k,
        .batch = p->batch,
        .a_type = p->a_type,
        .c_type = p->c_type,
        .transposed = (p->a_transposed ? 1 : 0) + (p->b_transposed ? 2 : 0),
        .a_stride = p->a_row_stride,
        .b_stride = p->b_row_stride,
        .c_stride = p->c_row_stride,
        .a_batch = p->batch > 1 ? p->a_batch_stride : 0,
        .b_batch = p->batch > 1 ? p->b_batch_stride : 0,
        .c_batch = p->batch > 1 ? p->c_batch_stride : 0,
        .adds = p->addend ? 2 : p->beta != 0,
        .bias = p->bias != NULL,
        .a_alignment = alignment(p->a),
        .b_alignment = alignment(p->b),
        .c_alignment = alignment(added_matrix(p)),
        .d_alignment = alignment(p->c),
    };
}

static uint64_t hash_of(const struct key *key)
{
    const int64_t *numbers = (const int64_t *)(const void *)key;
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof *key / sizeof *numbers; i++)
        hash = (hash ^ (uint64_t)numbers[i]) * 0x9E3779B97F4A7C15u + (hash >> 29);
    return hash ^ hash >> 32;
}

static struct plan **place_of(struct plan **plans, int64_t capacity, const struct key *key)
{
    uint64_t i = hash_of(key);
    while (plans[i & (uint64_t)(capacity - 1)] &&
           memcmp(&plans[i & (uint64_t)(capacity - 1)]->key, key, sizeof *key) != 0)
        i++;
    return &plans[i & (uint64_t)(capacity - 1)];
}

static enum status grow(struct cuda_products *products)
{
    if (2 * (products->count + 1) <= products->capacity)
        return STATUS_OK;
    int64_t capacity = products->capacity ? 2 * products->capacity : 64;
    struct plan **plans = calloc((size_t)capacity, sizeof *plans);
    CHECK(plans, "matmul: no memory for %lld algorithms", (long long)capacity);
    for (int64_t i = 0; i < products->capacity; i++)
        if (products->plans[i])
            *place_of(plans, capacity, &products->plans[i]->key) = products->plans[i];
    free(products->plans);
    products->plans = plans;
    products->capacity = capacity;
    return STATUS_OK;
}

static cudaDataType_t type_of(int64_t dtype)
{
    return dtype == DTYPE_F32 ? CUDA_R_32F : CUDA_R_16BF;
}

static enum status make_layout(const struct cuda_products *products, cudaDataType_t type, int64_t rows, int64_t columns,
                               int64_t stride, int64_t batch, int64_t batch_stride, cublasLtMatrixLayout_t *layout)
{
    enum status result = STATUS_OK;
    const struct cublaslt *calls = products->calls;
    int32_t count = (int32_t)batch;
    TRY(checked(products, calls->MatrixLayoutCreate(layout, type, (uint64_t)rows, (uint64_t)columns, stride),
                "a matrix is refused"));
    if (batch == 1)
        return STATUS_OK;
    TRY(checked(products,
                calls->MatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count),
                "a batch is refused"));
    TRY(checked(products,
                calls->MatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &batch_stride,
                                                sizeof batch_stride),
                "a batch is refused"));
fail:
    return result;
}

static enum status make_description(const struct cuda_products *products, struct plan *plan, const void *bias)
{
    enum status result = STATUS_OK;
    const struct cublaslt *calls = products->calls;
    cublasOperation_t left = plan->key.transposed & 2 ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t right = plan->key.transposed & 1 ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    TRY(checked(products, calls->MatmulDescCreate(&plan->description, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                "the product is refused"));
    TRY(checked(products,
                calls->MatmulDescSetAttribute(plan->description, CUBLASLT_MATMUL_DESC_TRANSA, &left, sizeof left),
                "the product is refused"));
    TRY(checked(products,
                calls->MatmulDescSetAttribute(plan->description, CUBLASLT_MATMUL_DESC_TRANSB, &right, sizeof right),
                "the product is refused"));
    if (!bias)
        return STATUS_OK;
    TRY(checked(
        products,
        calls->MatmulDescSetAttribute(plan->description, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue),
        "the bias is refused"));
    TRY(checked(products,
                calls->MatmulDescSetAttribute(plan->description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias),
                "the bias is refused"));
fail:
    return result;
}

static enum status choose_algorithm(const struct cuda_products *products, struct plan *plan)
{
    enum status result = STATUS_OK;
    const struct cublaslt *calls = products->calls;
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t best;
    uint64_t workspace = WORKSPACE;
    uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    int found = 0;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        int64_t bytes;
    } alignments[] = {{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, plan->key.b_alignment},
                      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, plan->key.a_alignment},
                      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, plan->key.c_alignment},
                      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, plan->key.d_alignment}};
    TRY(checked(products, calls->MatmulPreferenceCreate(&preference), "no algorithm can be asked for"));
    TRY(checked(products,
                calls->MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                                    sizeof workspace),
                "the workspace is refused"));
    TRY(checked(products,
                calls->MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions,
                                                    sizeof reductions),
                "sums in f32 are refused"));
    for (int i = 0; i < 4; i++) {
        uint32_t bytes = (uint32_t)alignments[i].bytes;
        TRY(checked(products,
                    calls->MatmulPreferenceSetAttribute(preference, alignments[i].attribute, &bytes, sizeof bytes),
                    "an alignment is refused"));
    }
    TRY(checked(products,
                calls->MatmulAlgoGetHeuristic(products->handle, plan->description, plan->left, plan->right, plan->added,
                                              plan->output, preference, 1, &best, &found),
                "no algorithm was found"));
    if (found < 1 || best.state != CUBLAS_STATUS_SUCCESS)
        FAIL(STATUS_INTERNAL, "matmul: cuBLASLt has no algorithm for m %lld, n %lld, k %lld", (long long)plan->key.m,
             (long long)plan->key.n, (long long)plan->key.k);
    plan->algorithm = best.algo;
fail:
    if (preference)
        (void)calls->MatmulPreferenceDestroy(preference);
    return result;
}

static enum status make_plan(struct cuda_products *products, const struct matmul *p, const struct key *key,
                             struct plan **made)
{
    enum status result = STATUS_OK;
    struct plan *plan = calloc(1, sizeof *plan);
    CHECK(plan, "matmul: no memory for an algorithm");
    plan->key = *key;
    cudaDataType_t type = type_of(key->a_type), c_type = type_of(key->c_type);
    int64_t b_rows = p->b_transposed ? p->n : p->k, b_columns = p->b_transposed ? p->k : p->n;
    int64_t a_rows = p->a_transposed ? p->k : p->m, a_columns = p->a_transposed ? p->m : p->k;
    TRY(make_description(products, plan, p->bias));
    TRY(make_layout(products, type, b_columns, b_rows, p->b_row_stride, p->batch, p->b_batch_stride, &plan->left));
    TRY(make_layout(products, type, a_columns, a_rows, p->a_row_stride, p->batch, p->a_batch_stride, &plan->right));
    TRY(make_layout(products, c_type, p->n, p->m, p->c_row_stride, p->batch, p->c_batch_stride, &plan->added));
    TRY(make_layout(products, c_type, p->n, p->m, p->c_row_stride, p->batch, p->c_batch_stride, &plan->output));
    TRY(choose_algorithm(products, plan));
    *made = plan;
    return STATUS_OK;
fail:
    free_plan(products->calls, plan);
    return result;
}

enum status cuda_products_run(const struct device_context *context, const struct matmul *p)
{
    enum status result = STATUS_OK;
    struct cuda_products *products = cuda_libraries_of(context)->products;
    struct key key = key_of(p);
    TRY(grow(products));
    struct plan **place = place_of(products->plans, products->capacity, &key);
    if (!*place) {
        struct plan *plan;
        TRY(make_plan(products, p, &key, &plan));
        *place = plan;
        products->count++;
    }
    const struct plan *plan = *place;
    if (p->bias)
        TRY(checked(products,
                    products->calls->MatmulDescSetAttribute(plan->description, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                            &p->bias, sizeof p->bias),
                    "the bias is refused"));
    float beta = p->addend ? 1.0f : p->beta;
    result = checked(products,
                     products->calls->Matmul(products->handle, plan->description, &p->alpha, p->b, plan->left, p->a,
                                             plan->right, &beta, added_matrix(p), plan->added, p->c, plan->output,
                                             &plan->algorithm, products->workspace, WORKSPACE, cuda_stream(context)),
                     "the product fails");
fail:
    return result;
}
