/* Handles and descriptors of the emulated cuBLASLt, and the attributes that descriptors have. */
#include "emulator/libraries/cublaslt_internal.h"

#include <stdarg.h>
#include <string.h>

static const struct object_kind kinds[] = {
    [CUBLASLT_HANDLE] = {"handle", sizeof(struct cublaslt_object)},
    [CUBLASLT_OPERATION] = {"matmul descriptor", sizeof(struct cublaslt_object)},
    [CUBLASLT_LAYOUT] = {"matrix layout", sizeof(struct cublaslt_object)},
    [CUBLASLT_PREFERENCE] = {"matmul preference", sizeof(struct cublaslt_object)},
};

cublasStatus_t cublaslt_refuse(cublasStatus_t status, const char *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    library_report(call, format, arguments);
    va_end(arguments);
    return status;
}

struct cublaslt_object *cublaslt_find(const void *handle, enum cublaslt_kind kind, const char *call,
                                      const char *argument)
{
    struct cublaslt_object *object = object_find(handle, &kinds[kind]);
    if (!object)
        cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "%s is no live %s", argument, kinds[kind].name);
    return object;
}

static cublasStatus_t destroy(void *handle, enum cublaslt_kind kind, const char *call)
{
    runtime_enter_always();
    struct cublaslt_object *object = cublaslt_find(handle, kind, call, "the argument");
    if (object)
        object_destroy(object);
    runtime_leave(cudaSuccess);
    if (object)
        return CUBLAS_STATUS_SUCCESS;
    return kind == CUBLASLT_HANDLE ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_INVALID_VALUE;
}

/* ---- attributes ---- */

struct attribute {
    int number;
    size_t offset, bytes;
};

static cublasStatus_t set(struct cublaslt_object *object, const struct attribute *attributes, int count, int number,
                          const void *value, size_t bytes, const char *call)
{
    if (!object)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (int i = 0; i < count; i++) {
        if (attributes[i].number != number)
            continue;
        if (!value || bytes != attributes[i].bytes)
            return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "attribute %d: expected %zu bytes, found %zu",
                                   number, attributes[i].bytes, value ? bytes : 0);
        memcpy((char *)object + attributes[i].offset, value, bytes);
        return CUBLAS_STATUS_SUCCESS;
    }
    return cublaslt_refuse(CUBLAS_STATUS_NOT_SUPPORTED, call, "attribute %d is not emulated", number);
}

static cublasStatus_t get(const struct cublaslt_object *object, const struct attribute *attributes, int count,
                          int number, void *value, size_t bytes, size_t *written, const char *call)
{
    if (!object)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (int i = 0; i < count; i++) {
        if (attributes[i].number != number)
            continue;
        if ((!bytes && !written) || (bytes && (!value || bytes != attributes[i].bytes)))
            return cublaslt_refuse(CUBLAS_STATUS_INVALID_VALUE, call, "attribute %d: expected %zu bytes, found %zu",
                                   number, attributes[i].bytes, bytes);
        if (bytes)
            memcpy(value, (const char *)object + attributes[i].offset, bytes);
        if (written)
            *written = attributes[i].bytes;
        return CUBLAS_STATUS_SUCCESS;
    }
    return cublaslt_refuse(CUBLAS_STATUS_NOT_SUPPORTED, call, "attribute %d is not emulated", number);
}

#define ATTRIBUTE(number, member)                                                                                      \
    {                                                                                                                  \
        number, offsetof(struct cublaslt_object, member), sizeof((struct cublaslt_object *)0)->member                  \
    }

static const struct attribute operation_attributes[] = {
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, operation.compute_type),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_SCALE_TYPE, operation.scale_type),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_POINTER_MODE, operation.pointer_mode),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSA, operation.transpose_a),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSB, operation.transpose_b),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSC, operation.transpose_c),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE, operation.epilogue),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_POINTER, operation.bias),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, operation.bias_stride),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, operation.bias_type),
};
static const struct attribute layout_attributes[] = {
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_TYPE, layout.type),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_ORDER, layout.order),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_ROWS, layout.rows),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_COLS, layout.columns),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_LD, layout.leading_dimension),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, layout.batches),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, layout.stride),
};
static const struct attribute preference_attributes[] = {
    ATTRIBUTE(CUBLASLT_MATMUL_PREF_SEARCH_MODE, preference.search_mode),
    ATTRIBUTE(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, preference.workspace),
    ATTRIBUTE(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, preference.reduction_schemes),
    ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, preference.alignment[0]),
    ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, preference.alignment[1]),
    ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, preference.alignment[2]),
    ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, preference.alignment[3]),
};
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* ---- calls ---- */

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    cudaError_t error = runtime_enter();
    if (!error && handle)
        *handle = (cublasLtHandle_t)object_create(&kinds[CUBLASLT_HANDLE]);
    runtime_leave(error);
    if (!handle)
        return CUBLAS_STATUS_INVALID_VALUE;
    return error ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    return destroy(handle, CUBLASLT_HANDLE, "cublasLtDestroy");
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *handle, cublasComputeType_t compute_type,
                                        cudaDataType_t scale_type)
{
    if (!handle)
        return CUBLAS_STATUS_INVALID_VALUE;
    runtime_enter_always();
    struct cublaslt_object *object = object_create(&kinds[CUBLASLT_OPERATION]);
    object->operation = (struct cublaslt_operation){.compute_type = (int32_t)compute_type,
                                                    .scale_type = (int32_t)scale_type,
                                                    .epilogue = CUBLASLT_EPILOGUE_DEFAULT,
                                                    .bias_type = -1};
    *handle = (cublasLtMatmulDesc_t)(void *)object;
    runtime_leave(cudaSuccess);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t handle)
{
    return destroy(handle, CUBLASLT_OPERATION, "cublasLtMatmulDescDestroy");
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *handle, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t leading_dimension)
{
    if (!handle)
        return CUBLAS_STATUS_INVALID_VALUE;
    runtime_enter_always();
    struct cublaslt_object *object = object_create(&kinds[CUBLASLT_LAYOUT]);
    object->layout = (struct cublaslt_layout){.type = (uint32_t)type,
                                              .order = CUBLASLT_ORDER_COL,
                                              .rows = rows,
                                              .columns = columns,
                                              .leading_dimension = leading_dimension,
                                              .batches = 1};
    *handle = (cublasLtMatrixLayout_t)(void *)object;
    runtime_leave(cudaSuccess);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t handle)
{
    return destroy(handle, CUBLASLT_LAYOUT, "cublasLtMatrixLayoutDestroy");
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *handle)
{
    if (!handle)
        return CUBLAS_STATUS_INVALID_VALUE;
    runtime_enter_always();
    struct cublaslt_object *object = object_create(&kinds[CUBLASLT_PREFERENCE]);
    object->preference = (struct cublaslt_preference){.search_mode = CUBLASLT_SEARCH_BEST_FIT,
                                                      .reduction_schemes = CUBLASLT_REDUCTION_SCHEME_MASK,
                                                      .alignment = {256, 256, 256, 256}};
    *handle = (cublasLtMatmulPreference_t)(void *)object;
    runtime_leave(cudaSuccess);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t handle)
{
    return destroy(handle, CUBLASLT_PREFERENCE, "cublasLtMatmulPreferenceDestroy");
}

#define SET_AND_GET(name, type, attribute_type, kind, attributes)                                                      \
    cublasStatus_t name##SetAttribute(type handle, attribute_type attribute, const void *value, size_t bytes)          \
    {                                                                                                                  \
        static const char call[] = #name "SetAttribute";                                                               \
        runtime_enter_always();                                                                                        \
        struct cublaslt_object *object = cublaslt_find(handle, kind, call, "the descriptor");                          \
        cublasStatus_t status = set(object, attributes, COUNT(attributes), (int)attribute, value, bytes, call);        \
        runtime_leave(cudaSuccess);                                                                                    \
        return status;                                                                                                 \
    }                                                                                                                  \
    cublasStatus_t name##GetAttribute(type handle, attribute_type attribute, void *value, size_t bytes,                \
                                      size_t *written)                                                                 \
    {                                                                                                                  \
        static const char call[] = #name "GetAttribute";                                                               \
        runtime_enter_always();                                                                                        \
        struct cublaslt_object *object = cublaslt_find(handle, kind, call, "the descriptor");                          \
        cublasStatus_t status =                                                                                        \
            get(object, attributes, COUNT(attributes), (int)attribute, value, bytes, written, call);                   \
        runtime_leave(cudaSuccess);                                                                                    \
        return status;                                                                                                 \
    }
SET_AND_GET(cublasLtMatmulDesc, cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, CUBLASLT_OPERATION,
            operation_attributes)
SET_AND_GET(cublasLtMatrixLayout, cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t, CUBLASLT_LAYOUT,
            layout_attributes)
SET_AND_GET(cublasLtMatmulPreference, cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t,
            CUBLASLT_PREFERENCE, preference_attributes)

size_t cublasLtGetVersion(void)
{
    return CUBLAS_VERSION;
}

size_t cublasLtGetCudartVersion(void)
{
    return CUDART_VERSION;
}

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
#define CASE(name)                                                                                                     \
    case name:                                                                                                         \
        return #name;
        CASE(CUBLAS_STATUS_SUCCESS)
        CASE(CUBLAS_STATUS_NOT_INITIALIZED)
        CASE(CUBLAS_STATUS_ALLOC_FAILED)
        CASE(CUBLAS_STATUS_INVALID_VALUE)
        CASE(CUBLAS_STATUS_ARCH_MISMATCH)
        CASE(CUBLAS_STATUS_MAPPING_ERROR)
        CASE(CUBLAS_STATUS_EXECUTION_FAILED)
        CASE(CUBLAS_STATUS_INTERNAL_ERROR)
        CASE(CUBLAS_STATUS_NOT_SUPPORTED)
        CASE(CUBLAS_STATUS_LICENSE_ERROR)
#undef CASE
    }
    return "CUBLAS_STATUS_UNKNOWN";
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_ARCH_MISMATCH:
        return "the function requires an architectural feature absent from the device";
    case CUBLAS_STATUS_MAPPING_ERROR:
        return "an access to GPU memory space failed";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "the GPU program failed to execute";
    case CUBLAS_STATUS_INTERNAL_ERROR:
        return "an internal operation failed";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "the requested functionality is not supported";
    case CUBLAS_STATUS_LICENSE_ERROR:
        return "the functionality requested requires a license";
    }
    return "unknown status";
}
