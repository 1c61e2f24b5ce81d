/* cudnnConvolutionForward: checks the pointers of a convolution when it is called, puts it into its handle's stream like a
 * kernel, and checks what it reads when it runs. Workspace is filled with 0xCD and left undefined, so that two streams that
 * share one, or a program that keeps something there, are seen. */
#include "emulator/libraries/cudnn_internal.h"

#include <stdlib.h>
#include <string.h>

static const char forward_call[] = "cudnnConvolutionForward";

static uint64_t element_bytes(cudnnDataType_t type)
{
    return type == CUDNN_DATA_FLOAT ? 4 : 2;
}

static struct cudnn_array place_image(const struct cudnn_tensor *tensor, const void *memory)
{
    const uint64_t bytes = element_bytes(tensor->type), image = (uint64_t)tensor->size[2] * (uint64_t)tensor->stride[2];
    struct cudnn_array array = {.address = (uint64_t)(uintptr_t)memory};
    array.span = span_of_batches(array.address, image * bytes, image * bytes, 1, (uint64_t)tensor->stride[0] * bytes,
                                 (uint64_t)tensor->size[0]);
    array.bytes = ((uint64_t)(tensor->size[0] - 1) * (uint64_t)tensor->stride[0] + image) * bytes;
    return array;
}

static struct cudnn_array place_filter(const struct cudnn_filter *filter, const void *memory)
{
    struct cudnn_array array = {.address = (uint64_t)(uintptr_t)memory, .bytes = element_bytes(filter->type)};
    for (int i = 0; i < 4; i++)
        array.bytes *= (uint64_t)filter->size[i];
    array.span = span_of(array.address, array.bytes);
    return array;
}

static cudnnStatus_t check_memory(const struct cudnn_array *array, const struct device *device, const char *name,
                                  uint64_t alignment)
{
    if (!array->address)
        return cudnn_refuse(CUDNN_STATUS_BAD_PARAM, forward_call, "%s is NULL", name);
    if (array->address % alignment)
        return cudnn_refuse(CUDNN_STATUS_BAD_PARAM, forward_call, "%s is not aligned to %llu bytes", name,
                            (unsigned long long)alignment);
    const struct allocation *allocation = allocation_of(array->address, array->bytes);
    if (!allocation || allocation->device != device || allocation->retired)
        return cudnn_refuse(CUDNN_STATUS_BAD_PARAM, forward_call,
                            "%s: %llu bytes from %#llx are not in one allocation of the device", name,
                            (unsigned long long)array->bytes, (unsigned long long)array->address);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_pointers(const struct cudnn_work *work, const struct device *device,
                                    uint64_t workspace_bytes)
{
    const struct cudnn_array *arrays[] = {&work->x_array, &work->w_array, &work->y_array};
    static const char *const names[] = {"x", "w", "y"};
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    for (int i = 0; i < 3 && !status; i++)
        status = check_memory(arrays[i], device, names[i], 16);
    if (!status && workspace_bytes < work->workspace_used)
        status = cudnn_refuse(CUDNN_STATUS_BAD_PARAM, forward_call,
                              "the algorithm needs %llu bytes of workspace, found %llu",
                              (unsigned long long)work->workspace_used, (unsigned long long)workspace_bytes);
    const struct cudnn_array workspace = {work->workspace, work->workspace_used,
                                          span_of(work->workspace, work->workspace_used)};
    if (!status && work->workspace_used)
        status = check_memory(&workspace, device, "the workspace", 16);
    for (int i = 0; i < 2 && !status; i++)
        if (span_overlaps(&work->y_array.span, &arrays[i]->span))
            status = cudnn_refuse(CUDNN_STATUS_BAD_PARAM, forward_call, "y overlaps %s", names[i]);
    for (int i = 0; i < 3 && !status && work->workspace_used; i++)
        if (span_overlaps(&workspace.span, &arrays[i]->span))
            status = cudnn_refuse(CUDNN_STATUS_BAD_PARAM, forward_call, "the workspace overlaps %s", names[i]);
    return status;
}

/* ---- running ---- */

static void check_defined(struct device *device, const struct cudnn_array *array, uint64_t image, uint64_t pitch,
                          uint64_t images, const char *name)
{
    if (!machine_settings(device->machine)->checks)
        return;
    for (uint64_t i = 0; i < images; i++) {
        int64_t first = machine_first_undefined(device->machine, array->address + i * pitch, image);
        if (first < 0)
            continue;
        runtime_report(device, CHECK_UNINITIALISED, forward_call, array->address + i * pitch + (uint64_t)first,
                       "cudnnConvolutionForward reads bytes of %s that nobody wrote", name);
        return;
    }
}

static void check_image(struct device *device, const struct cudnn_tensor *tensor, const struct cudnn_array *array,
                        const char *name)
{
    const uint64_t bytes = element_bytes(tensor->type);
    check_defined(device, array, (uint64_t)tensor->size[2] * (uint64_t)tensor->stride[2] * bytes,
                  (uint64_t)tensor->stride[0] * bytes, (uint64_t)tensor->size[0], name);
}

static bool still_there(struct device *device, const struct work *work)
{
    for (int32_t i = 0; i < work->operand_count; i++) {
        const struct span *span = &work->operands[i].span;
        if (machine_owns(device->machine, span->address, span_end(span) - span->address))
            continue;
        runtime_report(device, CHECK_HOST, forward_call, span->address,
                       "cudnnConvolutionForward: %s was freed before the work ran", work->operands[i].name);
        return false;
    }
    return true;
}

static void run_forward(struct device *device, struct work *work)
{
    const struct cudnn_work *forward = (const struct cudnn_work *)(const void *)work->payload;
    if (!still_there(device, work))
        return;
    for (int32_t i = 0; i < work->operand_count; i++)
        hazard_access(device, work, &work->operands[i]);
    runtime_counters.library_launches++;
    check_image(device, &forward->x, &forward->x_array, "x");
    check_defined(device, &forward->w_array, forward->w_array.bytes, 0, 1, "w");
    if (forward->beta != 0.0f)
        check_image(device, &forward->y, &forward->y_array, "y");
    if (forward->workspace_used) {
        machine_fill(device->machine, forward->workspace, 0xCD, forward->workspace_used);
        machine_mark_defined(device->machine, forward->workspace, forward->workspace_used, false);
    }
    cudnn_compute(device, forward);
}

/* ---- calling ---- */

/* What an algorithm asks for is the library's own affair: EMULATOR_CUDNN_WORKSPACE ("PRECOMPUTING" or "PRECOMPUTING,OTHER", in
 * bytes) lets it ask for as much as a program has not planned for. */
static uint64_t workspace_of(cudnnConvolutionFwdAlgo_t algorithm)
{
    const bool precomputing = algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
    const char *text = getenv("EMULATOR_CUDNN_WORKSPACE");
    if (!text)
        return precomputing ? CUDNN_ALGORITHM_WORKSPACE : 0;
    char *end;
    const uint64_t first = strtoull(text, &end, 10);
    if (precomputing)
        return first;
    return *end == ',' ? strtoull(end + 1, NULL, 10) : 0;
}

static cudnnStatus_t put(struct cudnn_work *forward, const struct cudnn_object *handle, size_t workspace_bytes)
{
    struct CUstream_st *stream = NULL;
    if (stream_resolve(handle->stream, &stream))
        return CUDNN_STATUS_EXECUTION_FAILED;
    cudnnStatus_t status = check_pointers(forward, handle->object.device, workspace_bytes);
    if (status)
        return status;
    struct work *work = work_create(forward_call, run_forward, sizeof *forward);
    memcpy(work->payload, forward, sizeof *forward);
    work_add_operand(work, "x", forward->x_array.span, false, false);
    work_add_operand(work, "w", forward->w_array.span, false, false);
    if (forward->beta != 0.0f)
        work_add_operand(work, "y", forward->y_array.span, false, false);
    work_add_operand(work, "y", forward->y_array.span, false, true);
    if (forward->workspace_used)
        work_add_operand(work, "the workspace", span_of(forward->workspace, forward->workspace_used), false, true);
    if (!stream->capture)
        runtime_counters.launch_calls++;
    return queue_put(stream, work) ? CUDNN_STATUS_EXECUTION_FAILED : CUDNN_STATUS_SUCCESS;
}

struct handles {
    cudnnHandle_t library;
    cudnnTensorDescriptor_t x, y;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t convolution;
};

/* The objects' contents, and the library's own object. */
static cudnnStatus_t find_all(const struct handles *handles, const char *call, struct cudnn_work *work,
                              const struct cudnn_object **library)
{
    *library = cudnn_find(handles->library, CUDNN_OBJECT_HANDLE, call, "handle");
    const struct cudnn_object *x = cudnn_find(handles->x, CUDNN_OBJECT_TENSOR, call, "xDesc");
    const struct cudnn_object *w = cudnn_find(handles->w, CUDNN_OBJECT_FILTER, call, "wDesc");
    const struct cudnn_object *y = cudnn_find(handles->y, CUDNN_OBJECT_TENSOR, call, "yDesc");
    const struct cudnn_object *convolution =
        cudnn_find(handles->convolution, CUDNN_OBJECT_CONVOLUTION, call, "convDesc");
    if (!*library || !x || !w || !y || !convolution)
        return CUDNN_STATUS_BAD_PARAM;
    work->x = x->tensor;
    work->y = y->tensor;
    work->w = w->filter;
    work->convolution = convolution->convolution;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                      const cudnnFilterDescriptor_t w,
                                                      const cudnnConvolutionDescriptor_t convolution,
                                                      const cudnnTensorDescriptor_t y,
                                                      cudnnConvolutionFwdAlgo_t algorithm, size_t *bytes)
{
    static const char call[] = "cudnnGetConvolutionForwardWorkspaceSize";
    struct cudnn_work work = {.alpha = 1};
    const struct cudnn_object *library;
    runtime_enter_always();
    cudnnStatus_t status = find_all(&(struct handles){handle, x, y, w, convolution}, call, &work, &library);
    status = status ? status : cudnn_check_shapes(&work, algorithm, call);
    if (!status && !bytes)
        status = cudnn_refuse(CUDNN_STATUS_BAD_PARAM, call, "sizeInBytes is NULL");
    if (!status)
        *bytes = workspace_of(algorithm);
    runtime_leave(cudaSuccess);
    return status;
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x_tensor,
                                      const void *x, const cudnnFilterDescriptor_t w_filter, const void *w,
                                      const cudnnConvolutionDescriptor_t convolution,
                                      cudnnConvolutionFwdAlgo_t algorithm, void *workspace, size_t workspace_bytes,
                                      const void *beta, const cudnnTensorDescriptor_t y_tensor, void *y)
{
    struct cudnn_work work = {.workspace = (uint64_t)(uintptr_t)workspace, .workspace_used = workspace_of(algorithm)};
    const struct cudnn_object *library;
    cudaError_t error = runtime_enter();
    if (error) {
        runtime_leave(error);
        return CUDNN_STATUS_EXECUTION_FAILED;
    }
    const struct handles handles = {handle, x_tensor, y_tensor, w_filter, convolution};
    cudnnStatus_t status = find_all(&handles, forward_call, &work, &library);
    if (!status && (!alpha || !beta))
        status = cudnn_refuse(CUDNN_STATUS_BAD_PARAM, forward_call, "%s is NULL", alpha ? "beta" : "alpha");
    status = status ? status : cudnn_check_shapes(&work, algorithm, forward_call);
    if (!status) {
        memcpy(&work.alpha, alpha, sizeof work.alpha);
        memcpy(&work.beta, beta, sizeof work.beta);
        work.x_array = place_image(&work.x, x);
        work.w_array = place_filter(&work.w, w);
        work.y_array = place_image(&work.y, y);
        status = put(&work, library, workspace_bytes);
    }
    runtime_leave(cudaSuccess);
    return status;
}
