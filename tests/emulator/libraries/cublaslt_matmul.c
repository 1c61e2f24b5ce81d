/* cublasLtMatmul: checks the pointers of a product when it is called, puts it into the stream like a kernel, and
 * checks what it reads when it runs. Workspace is filled with 0xCD and left undefined, so that two streams that share
 * one, or a program that keeps something there, are seen. */
#include "emulator/libraries/cublaslt_internal.h"

#include <string.h>

/* No preference tells the library how a bias lies, so that a kernel may read it in words of 16 bytes whatever was promised of the
 * matrices. */
enum { BIAS_ALIGNMENT = 16 };

static struct cublaslt_matrix place_matrix(const struct cublaslt_layout *layout, const void *memory)
{
    bool by_column = layout->order == CUBLASLT_ORDER_COL;
    uint64_t leading = (uint64_t)layout->leading_dimension;
    struct cublaslt_matrix matrix = {.address = (uint64_t)(uintptr_t)memory,
                                     .rows = layout->rows,
                                     .columns = layout->columns,
                                     .row_step = by_column ? 1 : leading,
                                     .column_step = by_column ? leading : 1,
                                     .stride = (uint64_t)layout->stride,
                                     .batches = (uint64_t)layout->batches,
                                     .bfloat = layout->type == CUDA_R_16BF,
                                     .element_bytes = layout->type == CUDA_R_16BF ? 2 : 4};
    uint64_t bytes = matrix.element_bytes;
    uint64_t line = by_column ? matrix.rows : matrix.columns, lines = by_column ? matrix.columns : matrix.rows;
    matrix.span = span_of_batches(matrix.address, line * bytes, leading * bytes, lines, matrix.stride * bytes,
                                  matrix.stride ? matrix.batches : 1);
    return matrix;
}

static cublasStatus_t check_memory(const struct cublaslt_matrix *matrix, const struct device *device, const char *name,
                                   uint64_t alignment)
{
    static const char call[] = "cublasLtMatmul";
    if (!matrix->address)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "%s is NULL", name);
    if (matrix->address % alignment)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call,
                               "%s is not aligned to the %llu bytes that its algorithm was chosen for", name,
                               (unsigned long long)alignment);
    uint64_t bytes = span_end(&matrix->span) - matrix->address;
    const struct allocation *allocation = allocation_of(matrix->address, bytes);
    if (!allocation || allocation->device != device || allocation->retired)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call,
                               "%s: %llu bytes from %#llx are not in one allocation of the device", name,
                               (unsigned long long)bytes, (unsigned long long)matrix->address);
    return CUBLAS_STATUS_SUCCESS;
}

static bool same_matrix(const struct cublaslt_matrix *a, const struct cublaslt_matrix *b)
{
    return a->address == b->address && a->row_step == b->row_step && a->column_step == b->column_step &&
           (a->stride == b->stride || a->batches == 1);
}

/* Batches of D beside or behind each other. */
static bool batches_apart(const struct cublaslt_matrix *d)
{
    uint64_t line = d->row_step == 1 ? d->rows : d->columns, lines = d->row_step == 1 ? d->columns : d->rows;
    uint64_t pitch = d->row_step == 1 ? d->column_step : d->row_step;
    return d->batches == 1 || d->stride >= pitch * (lines - 1) + line ||
           (d->stride >= line && d->stride * (d->batches - 1) + line <= pitch);
}

static cublasStatus_t check_overlap(const struct cublaslt_product *product)
{
    static const char call[] = "cublasLtMatmul";
    if (!batches_apart(&product->d))
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "the batches of D overlap");
    const struct cublaslt_matrix *others[] = {&product->a, &product->b, &product->bias};
    static const char *const names[] = {"A", "B", "the bias"};
    for (int i = 0; i < 3; i++)
        if ((i < 2 || product->bias.rows) && span_overlaps(&product->d.span, &others[i]->span))
            return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "D overlaps %s", names[i]);
    if (product->reads_c && !same_matrix(&product->c, &product->d) && span_overlaps(&product->d.span, &product->c.span))
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "D overlaps C and is not the same matrix");
    struct span workspace = span_of(product->workspace, product->workspace_bytes);
    const struct cublaslt_matrix *all[] = {&product->a, &product->b, &product->c, &product->d};
    for (int i = 0; i < 4; i++)
        if ((i != 2 || product->reads_c) && span_overlaps(&workspace, &all[i]->span))
            return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "the workspace overlaps %c", "ABCD"[i]);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t check_workspace(const struct cublaslt_product *product, const struct device *device,
                                      uint64_t needed)
{
    static const char call[] = "cublasLtMatmul";
    if (product->workspace_bytes < needed)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call,
                               "the algorithm needs %llu bytes of workspace, found %llu", (unsigned long long)needed,
                               (unsigned long long)product->workspace_bytes);
    if (!product->workspace_bytes)
        return CUBLAS_STATUS_SUCCESS;
    if (!product->workspace || product->workspace % 256)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "the workspace is NULL or not aligned to 256 bytes");
    const struct allocation *allocation = allocation_of(product->workspace, product->workspace_bytes);
    if (!allocation || allocation->device != device || allocation->retired)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call,
                               "the workspace is not in one allocation of the device");
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t check_pointers(const struct cublaslt_product *product, const struct cublaslt_arguments *arguments,
                                     const cublasLtMatmulAlgo_t *algorithm, const struct device *device)
{
    uint64_t alignment[4], needed = 0;
    const struct cublaslt_matrix *matrices[] = {&product->a, &product->b, &product->c, &product->d};
    for (int i = 0; i < 4; i++) {
        alignment[i] = algorithm ? algorithm->data[2 + i] : 0;
        if (alignment[i] < matrices[i]->element_bytes)
            alignment[i] = matrices[i]->element_bytes;
    }
    if (algorithm) {
        if (algorithm->data[0] != cublaslt_problem(arguments))
            return cublaslt_refuse(CUBLAS_STATUS_NOT_SUPPORTED, arguments->call,
                                   "algo was chosen for another product, or by nobody");
        needed = algorithm->data[1];
    }
    cublasStatus_t status = check_memory(&product->a, device, "A", alignment[0]);
    status = status ? status : check_memory(&product->b, device, "B", alignment[1]);
    if (!status && product->reads_c)
        status = check_memory(&product->c, device, "C", alignment[2]);
    status = status ? status : check_memory(&product->d, device, "D", alignment[3]);
    if (!status && product->bias.rows)
        status = check_memory(&product->bias, device, "the bias", BIAS_ALIGNMENT);
    status = status ? status : check_workspace(product, device, needed);
    return status ? status : check_overlap(product);
}

/* ---- running ---- */

static void check_defined(struct device *device, const struct cublaslt_matrix *matrix, const char *name)
{
    if (!machine_settings(device->machine)->checks)
        return;
    bool by_column = matrix->row_step == 1;
    uint64_t line = (by_column ? matrix->rows : matrix->columns) * matrix->element_bytes;
    uint64_t lines = by_column ? matrix->columns : matrix->rows;
    uint64_t pitch = (by_column ? matrix->column_step : matrix->row_step) * matrix->element_bytes;
    for (uint64_t batch = 0; batch < matrix->batches; batch++)
        for (uint64_t i = 0; i < lines; i++) {
            uint64_t address = matrix->address + batch * matrix->stride * matrix->element_bytes + i * pitch;
            int64_t first = machine_first_undefined(device->machine, address, line);
            if (first < 0)
                continue;
            runtime_report(device, CHECK_UNINITIALISED, "cublasLtMatmul", address + (uint64_t)first,
                           "cublasLtMatmul reads bytes of %s that nobody wrote", name);
            return;
        }
}

static bool still_there(struct device *device, const struct work *work)
{
    for (int32_t i = 0; i < work->operand_count; i++) {
        const struct span *span = &work->operands[i].span;
        if (machine_owns(device->machine, span->address, span_end(span) - span->address))
            continue;
        runtime_report(device, CHECK_HOST, "cublasLtMatmul", span->address,
                       "cublasLtMatmul: %s was freed before the work ran", work->operands[i].name);
        return false;
    }
    return true;
}

static void run_product(struct device *device, struct work *work)
{
    const struct cublaslt_product *product = (const struct cublaslt_product *)(const void *)work->payload;
    if (!still_there(device, work))
        return;
    for (int32_t i = 0; i < work->operand_count; i++)
        hazard_access(device, work, &work->operands[i]);
    runtime_counters.library_launches++;
    if (product->reads_ab) {
        check_defined(device, &product->a, "A");
        check_defined(device, &product->b, "B");
    }
    if (product->reads_c)
        check_defined(device, &product->c, "C");
    if (product->bias.rows)
        check_defined(device, &product->bias, "the bias");
    if (product->workspace_used) {
        machine_fill(device->machine, product->workspace, 0xCD, product->workspace_used);
        machine_mark_defined(device->machine, product->workspace, product->workspace_used, false);
    }
    cublaslt_compute(device, product);
}

/* ---- calling ---- */

static void add_operands(struct work *work, const struct cublaslt_product *product)
{
    if (product->reads_ab) {
        work_add_operand(work, "A", product->a.span, false, false);
        work_add_operand(work, "B", product->b.span, false, false);
    }
    if (product->reads_c)
        work_add_operand(work, "C", product->c.span, false, false);
    if (product->bias.rows)
        work_add_operand(work, "the bias", product->bias.span, false, false);
    work_add_operand(work, "D", product->d.span, false, true);
    if (product->workspace_used)
        work_add_operand(work, "the workspace", span_of(product->workspace, product->workspace_used), false, true);
}

static struct cublaslt_matrix place_bias(const struct cublaslt_operation *operation, const struct cublaslt_matrix *d)
{
    struct cublaslt_matrix bias = {.address = (uint64_t)(uintptr_t)operation->bias,
                                   .rows = d->rows,
                                   .columns = 1,
                                   .row_step = 1,
                                   .column_step = d->rows,
                                   .stride = (uint64_t)operation->bias_stride,
                                   .batches = d->batches,
                                   .element_bytes = d->element_bytes,
                                   .bfloat = d->bfloat};
    uint64_t bytes = bias.element_bytes;
    bias.span = span_of_batches(bias.address, bias.rows * bytes, bias.rows * bytes, 1, bias.stride * bytes,
                                bias.stride ? bias.batches : 1);
    return bias;
}

static cublasStatus_t put_product(const struct cublaslt_arguments *arguments, struct cublaslt_product *product,
                                  const cublasLtMatmulAlgo_t *algorithm, struct device *device, cudaStream_t handle)
{
    const struct cublaslt_operation *operation = arguments->operation;
    struct CUstream_st *stream = NULL;
    product->workspace_used = algorithm ? algorithm->data[1] : product->workspace_bytes;
    if (product->workspace_used > CUBLASLT_ALGORITHM_WORKSPACE)
        product->workspace_used = CUBLASLT_ALGORITHM_WORKSPACE;
    product->transpose_a = operation->transpose_a == CUBLAS_OP_T;
    product->transpose_b = operation->transpose_b == CUBLAS_OP_T;
    product->m = product->d.rows;
    product->n = product->d.columns;
    product->k = product->transpose_a ? product->a.rows : product->a.columns;
    product->reads_ab = product->alpha != 0.0f;
    product->reads_c = product->beta != 0.0f;
    if (operation->epilogue == CUBLASLT_EPILOGUE_BIAS)
        product->bias = place_bias(operation, &product->d);
    if (stream_resolve(handle, &stream))
        return CUBLAS_STATUS_EXECUTION_FAILED;
    if (stream->device != device)
        return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, arguments->call, "stream is one of another device");
    cublasStatus_t status = check_pointers(product, arguments, algorithm, device);
    if (status)
        return status;
    struct work *work = work_create("cublasLtMatmul", run_product, sizeof *product);
    memcpy(work->payload, product, sizeof *product);
    add_operands(work, product);
    if (!stream->capture)
        runtime_counters.launch_calls++;
    return queue_put(stream, work) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    static const char call[] = "cublasLtMatmul";
    cudaError_t error = runtime_enter();
    if (error) {
        runtime_leave(error);
        return CUBLAS_STATUS_EXECUTION_FAILED;
    }
    const struct cublaslt_object *found[] = {cublaslt_find(handle, CUBLASLT_HANDLE, call, "lightHandle"),
                                             cublaslt_find(operation, CUBLASLT_OPERATION, call, "computeDesc"),
                                             cublaslt_find(a_layout, CUBLASLT_LAYOUT, call, "Adesc"),
                                             cublaslt_find(b_layout, CUBLASLT_LAYOUT, call, "Bdesc"),
                                             cublaslt_find(c_layout, CUBLASLT_LAYOUT, call, "Cdesc"),
                                             cublaslt_find(d_layout, CUBLASLT_LAYOUT, call, "Ddesc")};
    cublasStatus_t status = found[0] ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
    for (int i = 1; !status && i < 6; i++)
        status = found[i] ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
    if (!status && (!alpha || !beta))
        status = cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "%s is NULL", alpha ? "beta" : "alpha");
    if (!status) {
        const struct cublaslt_arguments arguments = {.call = call,
                                                     .operation = &found[1]->operation,
                                                     .a = &found[2]->layout,
                                                     .b = &found[3]->layout,
                                                     .c = &found[4]->layout,
                                                     .d = &found[5]->layout};
        status = cublaslt_check_shapes(&arguments);
        struct cublaslt_product product = {.a = place_matrix(arguments.a, a),
                                           .b = place_matrix(arguments.b, b),
                                           .c = place_matrix(arguments.c, c),
                                           .d = place_matrix(arguments.d, d),
                                           .workspace = (uint64_t)(uintptr_t)workspace,
                                           .workspace_bytes = workspace_bytes};
        memcpy(&product.alpha, alpha, sizeof product.alpha);
        memcpy(&product.beta, beta, sizeof product.beta);
        if (!status)
            status = put_product(&arguments, &product, algorithm, found[0]->object.device, stream);
    }
    runtime_leave(cudaSuccess);
    return status;
}
