/* What the files of the emulated cuDNN share: its objects behind the opaque handles, and a convolution that has been
 * checked.
 *
 * The library emulates cudnnConvolutionForward of f32 and bf16 images with sums in f32, filters in NHWC and images whose
 * lines, pixels and channels are packed in that order, by the two algorithms that take that layout. What the real library
 * supports beyond that is refused with CUDNN_STATUS_NOT_SUPPORTED and a report, so that nobody takes it for a choice of
 * cuDNN's. */
#ifndef SPIRITLM_EMULATOR_CUDNN_H
#define SPIRITLM_EMULATOR_CUDNN_H

#include <cudnn.h>

#include "emulator/libraries/objects.h"

enum cudnn_kind { CUDNN_OBJECT_HANDLE, CUDNN_OBJECT_TENSOR, CUDNN_OBJECT_FILTER, CUDNN_OBJECT_CONVOLUTION };

struct cudnn_tensor {
    bool set;
    cudnnDataType_t type;
    int size[4];   /* n, c, h, w */
    int stride[4]; /* in elements */
};
struct cudnn_filter {
    bool set;
    cudnnDataType_t type;
    cudnnTensorFormat_t format;
    int size[4]; /* k, c, h, w */
};
struct cudnn_convolution {
    bool set;
    int padding[2], step[2], dilation[2]; /* of h and w */
    int groups;
    cudnnConvolutionMode_t mode;
    cudnnDataType_t compute_type;
    cudnnMathType_t math;
};
struct cudnn_object {
    struct object object;
    union {
        cudaStream_t stream; /* of a handle */
        struct cudnn_tensor tensor;
        struct cudnn_filter filter;
        struct cudnn_convolution convolution;
    };
};
enum { CUDNN_ALGORITHM_WORKSPACE = 12288 }; /* what the precomputing algorithm asks for */

/* The live object behind a handle; otherwise NULL, and a report that names `argument`. */
struct cudnn_object *cudnn_find(const void *handle, enum cudnn_kind kind, const char *call, const char *argument);

/* Reports a wrong argument and returns the status that the real library gives. */
cudnnStatus_t cudnn_refuse(cudnnStatus_t status, const char *call, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One array of a convolution, with the bytes from its first element to its last. */
struct cudnn_array {
    uint64_t address, bytes;
    struct span span; /* of the elements: those of an image may have gaps behind them */
};

/* Plain bytes, put into the stream. */
struct cudnn_work {
    struct cudnn_tensor x, y;
    struct cudnn_filter w;
    struct cudnn_convolution convolution;
    struct cudnn_array x_array, w_array, y_array;
    float alpha, beta;
    uint64_t workspace, workspace_used;
};

/* Descriptors that have been found, and the algorithm: types, layouts and sizes; no pointers. */
cudnnStatus_t cudnn_check_shapes(const struct cudnn_work *work, cudnnConvolutionFwdAlgo_t algorithm, const char *call);
/* When the work runs; everything is checked. */
void cudnn_compute(struct device *device, const struct cudnn_work *work);

#endif
