/* Handles and descriptors of the emulated cuDNN. */
#include "emulator/libraries/cudnn_internal.h"

#include <stdarg.h>

static const struct object_kind kinds[] = {
    [CUDNN_OBJECT_HANDLE] = {"handle", sizeof(struct cudnn_object)},
    [CUDNN_OBJECT_TENSOR] = {"tensor descriptor", sizeof(struct cudnn_object)},
    [CUDNN_OBJECT_FILTER] = {"filter descriptor", sizeof(struct cudnn_object)},
    [CUDNN_OBJECT_CONVOLUTION] = {"convolution descriptor", sizeof(struct cudnn_object)},
};

cudnnStatus_t cudnn_refuse(cudnnStatus_t status, const char *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    library_report(call, format, arguments);
    va_end(arguments);
    return status;
}

struct cudnn_object *cudnn_find(const void *handle, enum cudnn_kind kind, const char *call, const char *argument)
{
    struct cudnn_object *object = object_find(handle, &kinds[kind]);
    if (!object)
        cudnn_refuse(CUDNN_STATUS_BAD_PARAM, call, "%s is not a live %s", argument, kinds[kind].name);
    return object;
}

static cudnnStatus_t destroy(void *handle, enum cudnn_kind kind, const char *call)
{
    runtime_enter_always();
    struct cudnn_object *object = cudnn_find(handle, kind, call, "the argument");
    if (object)
        object_destroy(object);
    runtime_leave(cudaSuccess);
    return object ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

/* ---- handles ---- */

size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    switch ((int)status) {
    case CUDNN_STATUS_SUCCESS:
        return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED:
        return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM:
        return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_NOT_SUPPORTED:
        return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_EXECUTION_FAILED:
        return "CUDNN_STATUS_EXECUTION_FAILED";
    }
    return "CUDNN_UNKNOWN_STATUS";
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    cudaError_t error = runtime_enter();
    if (!error && handle)
        *handle = (cudnnHandle_t)object_create(&kinds[CUDNN_OBJECT_HANDLE]);
    runtime_leave(error);
    if (!handle)
        return CUDNN_STATUS_BAD_PARAM;
    return error ? CUDNN_STATUS_NOT_INITIALIZED : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    return destroy(handle, CUDNN_OBJECT_HANDLE, "cudnnDestroy");
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    static const char call[] = "cudnnSetStream";
    struct CUstream_st *resolved;
    runtime_enter_always();
    struct cudnn_object *object = cudnn_find(handle, CUDNN_OBJECT_HANDLE, call, "handle");
    cudnnStatus_t status = object ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
    if (object && stream_resolve(stream, &resolved)) /* which reports it */
        status = CUDNN_STATUS_BAD_PARAM;
    else if (object && resolved->device != object->object.device)
        status = cudnn_refuse(CUDNN_STATUS_BAD_PARAM, call, "streamId is one of another device");
    else if (object)
        object->stream = stream;
    runtime_leave(cudaSuccess);
    return status;
}

/* ---- descriptors ---- */

#define CREATE_AND_DESTROY(name, type, kind)                                                                           \
    cudnnStatus_t cudnnCreate##name(type *handle)                                                                      \
    {                                                                                                                  \
        if (!handle)                                                                                                   \
            return CUDNN_STATUS_BAD_PARAM;                                                                             \
        runtime_enter_always();                                                                                        \
        *handle = (type)object_create(&kinds[kind]);                                                                   \
        runtime_leave(cudaSuccess);                                                                                    \
        return CUDNN_STATUS_SUCCESS;                                                                                   \
    }                                                                                                                  \
    cudnnStatus_t cudnnDestroy##name(type handle)                                                                      \
    {                                                                                                                  \
        return destroy(handle, kind, "cudnnDestroy" #name);                                                            \
    }
CREATE_AND_DESTROY(TensorDescriptor, cudnnTensorDescriptor_t, CUDNN_OBJECT_TENSOR)
CREATE_AND_DESTROY(FilterDescriptor, cudnnFilterDescriptor_t, CUDNN_OBJECT_FILTER)
CREATE_AND_DESTROY(ConvolutionDescriptor, cudnnConvolutionDescriptor_t, CUDNN_OBJECT_CONVOLUTION)

static cudnnStatus_t check_positive(const char *call, const char *what, const int *numbers, int count)
{
    for (int i = 0; i < count; i++)
        if (numbers[i] < 1)
            return cudnn_refuse(CUDNN_STATUS_BAD_PARAM, call, "%s: number %d is %d, expected at least 1", what, i + 1,
                                numbers[i]);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t handle, cudnnDataType_t type, int n, int c, int h,
                                           int w, int n_stride, int c_stride, int h_stride, int w_stride)
{
    static const char call[] = "cudnnSetTensor4dDescriptorEx";
    runtime_enter_always();
    struct cudnn_object *object = cudnn_find(handle, CUDNN_OBJECT_TENSOR, call, "tensorDesc");
    const struct cudnn_tensor tensor = {true, type, {n, c, h, w}, {n_stride, c_stride, h_stride, w_stride}};
    cudnnStatus_t status = object ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
    status = status ? status : check_positive(call, "sizes", tensor.size, 4);
    status = status ? status : check_positive(call, "strides", tensor.stride, 4);
    if (!status)
        object->tensor = tensor;
    runtime_leave(cudaSuccess);
    return status;
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t handle, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w)
{
    static const char call[] = "cudnnSetFilter4dDescriptor";
    runtime_enter_always();
    struct cudnn_object *object = cudnn_find(handle, CUDNN_OBJECT_FILTER, call, "filterDesc");
    const struct cudnn_filter filter = {true, type, format, {k, c, h, w}};
    cudnnStatus_t status = object ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
    status = status ? status : check_positive(call, "sizes", filter.size, 4);
    if (!status)
        object->filter = filter;
    runtime_leave(cudaSuccess);
    return status;
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t handle, int padding_h, int padding_w,
                                              int step_h, int step_w, int dilation_h, int dilation_w,
                                              cudnnConvolutionMode_t mode, cudnnDataType_t compute_type)
{
    static const char call[] = "cudnnSetConvolution2dDescriptor";
    const int positive[] = {step_h, step_w, dilation_h, dilation_w};
    runtime_enter_always();
    struct cudnn_object *object = cudnn_find(handle, CUDNN_OBJECT_CONVOLUTION, call, "convDesc");
    cudnnStatus_t status = object ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
    status = status ? status : check_positive(call, "strides and dilations", positive, 4);
    if (!status && (padding_h < 0 || padding_w < 0))
        status = cudnn_refuse(CUDNN_STATUS_BAD_PARAM, call, "a padding is negative: %d, %d", padding_h, padding_w);
    if (!status)
        object->convolution = (struct cudnn_convolution){.set = true,
                                                         .padding = {padding_h, padding_w},
                                                         .step = {step_h, step_w},
                                                         .dilation = {dilation_h, dilation_w},
                                                         .groups = 1,
                                                         .mode = mode,
                                                         .compute_type = compute_type,
                                                         .math = CUDNN_DEFAULT_MATH};
    runtime_leave(cudaSuccess);
    return status;
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t handle, int groups)
{
    static const char call[] = "cudnnSetConvolutionGroupCount";
    runtime_enter_always();
    struct cudnn_object *object = cudnn_find(handle, CUDNN_OBJECT_CONVOLUTION, call, "convDesc");
    cudnnStatus_t status = object ? check_positive(call, "groupCount", &groups, 1) : CUDNN_STATUS_BAD_PARAM;
    if (!status)
        object->convolution.groups = groups;
    runtime_leave(cudaSuccess);
    return status;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t handle, cudnnMathType_t math)
{
    static const char call[] = "cudnnSetConvolutionMathType";
    runtime_enter_always();
    struct cudnn_object *object = cudnn_find(handle, CUDNN_OBJECT_CONVOLUTION, call, "convDesc");
    cudnnStatus_t status = object ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
    if (!status && (math < CUDNN_DEFAULT_MATH || math > CUDNN_FMA_MATH))
        status = cudnn_refuse(CUDNN_STATUS_BAD_PARAM, call, "mathType %d does not exist", (int)math);
    if (!status)
        object->convolution.math = math;
    runtime_leave(cudaSuccess);
    return status;
}
