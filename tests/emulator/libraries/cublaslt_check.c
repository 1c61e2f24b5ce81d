/* What cuBLASLt asks of a product's descriptors, from the tables of its manual ("cublasLtMatmul()": compute type, scale
 * type, matrix types), and the choice of an algorithm.
 *
 * The heuristic offers two algorithms: the first needs part of the workspace that the preference allows, so that a
 * caller who forgets to give it is seen; the second needs none. An algorithm remembers the problem and the alignments that
 * it was chosen for: the preference's alignments are promises about pointers, by default of 256 bytes. */
#include "emulator/libraries/cublaslt_internal.h"

#include <string.h>

static const char *check_types(const struct cublaslt_arguments *arguments)
{
    const struct cublaslt_operation *operation = arguments->operation;
    if (operation->compute_type != CUBLAS_COMPUTE_32F && operation->compute_type != CUBLAS_COMPUTE_32F_PEDANTIC)
        return "the compute type is not CUBLAS_COMPUTE_32F";
    if (operation->scale_type != CUDA_R_32F)
        return "the scale type is not CUDA_R_32F";
    uint32_t a = arguments->a->type, c = arguments->c->type;
    if (a != arguments->b->type || (a != CUDA_R_32F && a != CUDA_R_16BF))
        return "the types of A and B are not both CUDA_R_32F or both CUDA_R_16BF";
    if (c != arguments->d->type || (c != CUDA_R_32F && c != CUDA_R_16BF))
        return "the types of C and D are not both CUDA_R_32F or both CUDA_R_16BF";
    if (a == CUDA_R_32F && c != CUDA_R_32F)
        return "C and D are CUDA_R_16BF, A and B are CUDA_R_32F";
    return NULL;
}

static const char *check_operation(const struct cublaslt_arguments *arguments)
{
    const struct cublaslt_operation *operation = arguments->operation;
    if (operation->pointer_mode != CUBLASLT_POINTER_MODE_HOST)
        return "the pointer mode is not CUBLASLT_POINTER_MODE_HOST";
    if (operation->transpose_c != CUBLAS_OP_N)
        return "C is transposed";
    bool a_known = operation->transpose_a == CUBLAS_OP_N || operation->transpose_a == CUBLAS_OP_T;
    bool b_known = operation->transpose_b == CUBLAS_OP_N || operation->transpose_b == CUBLAS_OP_T;
    if (!a_known || !b_known)
        return "transa or transb is neither CUBLAS_OP_N nor CUBLAS_OP_T";
    if (operation->epilogue != CUBLASLT_EPILOGUE_DEFAULT && operation->epilogue != CUBLASLT_EPILOGUE_BIAS)
        return "the epilogue is neither CUBLASLT_EPILOGUE_DEFAULT nor CUBLASLT_EPILOGUE_BIAS";
    if (operation->epilogue == CUBLASLT_EPILOGUE_BIAS && operation->bias_type != -1 &&
        (uint32_t)operation->bias_type != arguments->d->type)
        return "the bias has another type than D";
    if (operation->epilogue == CUBLASLT_EPILOGUE_BIAS && arguments->d->order != CUBLASLT_ORDER_COL)
        return "a bias with D in row order";
    return NULL;
}

static cublasStatus_t check_layout(const struct cublaslt_arguments *arguments, const struct cublaslt_layout *layout,
                                   const char *name)
{
    const char *call = arguments->call;
    if (layout->order != CUBLASLT_ORDER_COL && layout->order != CUBLASLT_ORDER_ROW)
        return cublaslt_refuse(CUBLAS_STATUS_NOT_SUPPORTED, call, "%s: order %d is not emulated", name,
                               (int)layout->order);
    if (!layout->rows || !layout->columns)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "%s is empty: %llu rows, %llu columns", name,
                               (unsigned long long)layout->rows, (unsigned long long)layout->columns);
    uint64_t least = layout->order == CUBLASLT_ORDER_COL ? layout->rows : layout->columns;
    if (layout->leading_dimension < 0 || (uint64_t)layout->leading_dimension < least)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "%s: leading dimension %lld, expected at least %llu",
                               name, (long long)layout->leading_dimension, (unsigned long long)least);
    if (layout->batches < 1 || layout->stride < 0)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "%s: batch count %d, stride %lld", name,
                               (int)layout->batches, (long long)layout->stride);
    if (layout->batches != arguments->d->batches)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "%s: batch count %d, D has %d", name,
                               (int)layout->batches, (int)arguments->d->batches);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublaslt_check_shapes(const struct cublaslt_arguments *arguments)
{
    const struct cublaslt_operation *operation = arguments->operation;
    const struct cublaslt_layout *a = arguments->a, *b = arguments->b, *c = arguments->c, *d = arguments->d;
    const char *refusal = check_types(arguments);
    refusal = refusal ? refusal : check_operation(arguments);
    if (refusal)
        return cublaslt_refuse(CUBLAS_STATUS_NOT_SUPPORTED, arguments->call, "%s", refusal);
    cublasStatus_t status = check_layout(arguments, a, "Adesc");
    status = status ? status : check_layout(arguments, b, "Bdesc");
    status = status ? status : check_layout(arguments, c, "Cdesc");
    status = status ? status : check_layout(arguments, d, "Ddesc");
    if (status)
        return status;
    uint64_t m = operation->transpose_a ? a->columns : a->rows, k = operation->transpose_a ? a->rows : a->columns;
    uint64_t n = operation->transpose_b ? b->rows : b->columns, k_of_b = operation->transpose_b ? b->columns : b->rows;
    if (k != k_of_b)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, arguments->call,
                               "op(A) has %llu columns, op(B) has %llu rows", (unsigned long long)k,
                               (unsigned long long)k_of_b);
    if (d->rows != m || d->columns != n || c->rows != m || c->columns != n)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, arguments->call,
                               "op(A) op(B) is %llu x %llu, C is %llu x %llu, D is %llu x %llu", (unsigned long long)m,
                               (unsigned long long)n, (unsigned long long)c->rows, (unsigned long long)c->columns,
                               (unsigned long long)d->rows, (unsigned long long)d->columns);
    return CUBLAS_STATUS_SUCCESS;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0xD6E8FEB86659FD93);
    return hash ^ hash >> 32;
}

uint64_t cublaslt_problem(const struct cublaslt_arguments *arguments)
{
    const struct cublaslt_operation *operation = arguments->operation;
    const struct cublaslt_layout *layouts[] = {arguments->a, arguments->b, arguments->c, arguments->d};
    uint64_t hash = mix(1, (uint64_t)operation->compute_type);
    hash = mix(hash, (uint64_t)operation->transpose_a * 2 + (uint64_t)operation->transpose_b);
    hash = mix(hash, operation->epilogue);
    for (int i = 0; i < 4; i++) {
        hash = mix(hash, layouts[i]->type * 4 + (uint64_t)layouts[i]->order);
        hash = mix(hash, layouts[i]->rows);
        hash = mix(hash, layouts[i]->columns);
        hash = mix(hash, (uint64_t)layouts[i]->leading_dimension);
        hash = mix(hash, (uint64_t)layouts[i]->batches);
        hash = mix(hash, (uint64_t)layouts[i]->stride);
    }
    return hash;
}

static cublasStatus_t choose(const struct cublaslt_arguments *arguments, const struct cublaslt_preference *preference,
                             int requested, cublasLtMatmulHeuristicResult_t *results, int *returned)
{
    if (preference->search_mode != CUBLASLT_SEARCH_BEST_FIT)
        return cublaslt_refuse(CUBLAS_STATUS_NOT_SUPPORTED, arguments->call, "search mode %u is not emulated",
                               (unsigned)preference->search_mode);
    uint64_t workspace = preference->workspace & ~UINT64_C(255);
    if (workspace > CUBLASLT_ALGORITHM_WORKSPACE)
        workspace = CUBLASLT_ALGORITHM_WORKSPACE;
    int count = workspace ? 2 : 1;
    *returned = requested < count ? requested : count;
    for (int i = 0; i < *returned; i++) {
        memset(&results[i], 0, sizeof results[i]);
        bool last = i == count - 1;
        results[i].workspaceSize = last ? 0 : (size_t)workspace;
        results[i].state = CUBLAS_STATUS_SUCCESS;
        results[i].wavesCount = 1.0f;
        results[i].algo.data[0] = cublaslt_problem(arguments);
        results[i].algo.data[1] = results[i].workspaceSize;
        for (int j = 0; j < 4; j++)
            results[i].algo.data[2 + j] = preference->alignment[j];
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int *returned)
{
    static const char call[] = "cublasLtMatmulAlgoGetHeuristic";
    runtime_enter_always();
    const struct cublaslt_object *found[] = {cublaslt_find(handle, CUBLASLT_HANDLE, call, "lightHandle"),
                                             cublaslt_find(operation, CUBLASLT_OPERATION, call, "operationDesc"),
                                             cublaslt_find(a, CUBLASLT_LAYOUT, call, "Adesc"),
                                             cublaslt_find(b, CUBLASLT_LAYOUT, call, "Bdesc"),
                                             cublaslt_find(c, CUBLASLT_LAYOUT, call, "Cdesc"),
                                             cublaslt_find(d, CUBLASLT_LAYOUT, call, "Ddesc"),
                                             cublaslt_find(preference, CUBLASLT_PREFERENCE, call, "preference")};
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    if (!found[0])
        status = CUBLAS_STATUS_NOT_INITIALIZED;
    for (int i = 1; !status && i < 7; i++)
        status = found[i] ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
    if (!status && (requested < 1 || !results || !returned))
        status = cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "requestedAlgoCount is %d", requested);
    if (!status) {
        const struct cublaslt_arguments arguments = {.call = call,
                                                     .operation = &found[1]->operation,
                                                     .a = &found[2]->layout,
                                                     .b = &found[3]->layout,
                                                     .c = &found[4]->layout,
                                                     .d = &found[5]->layout};
        *returned = 0;
        status = cublaslt_check_shapes(&arguments);
        if (!status)
            status = choose(&arguments, &found[6]->preference, requested, results, returned);
    }
    runtime_leave(cudaSuccess);
    return status;
}
