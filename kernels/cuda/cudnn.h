/* The calls of cuDNN that the backend makes when kernels.conv1d asks for it. The library is loaded then and not before, and a
 * build without its header (SPIRITLM_HAVE_CUDNN is not defined) knows none of it. */
#ifndef SPIRITLM_KERNELS_CUDA_CUDNN_H
#define SPIRITLM_KERNELS_CUDA_CUDNN_H

#include "core/status.h"

#include <cudnn.h>

#define CUDNN_CALLS(X)                                                                                                 \
    X(GetVersion)                                                                                                      \
    X(GetErrorString)                                                                                                  \
    X(Create)                                                                                                          \
    X(Destroy)                                                                                                         \
    X(SetStream)                                                                                                       \
    X(CreateTensorDescriptor)                                                                                          \
    X(SetTensor4dDescriptorEx)                                                                                         \
    X(DestroyTensorDescriptor)                                                                                         \
    X(CreateFilterDescriptor)                                                                                          \
    X(SetFilter4dDescriptor)                                                                                           \
    X(DestroyFilterDescriptor)                                                                                         \
    X(CreateConvolutionDescriptor)                                                                                     \
    X(SetConvolution2dDescriptor)                                                                                      \
    X(SetConvolutionGroupCount)                                                                                        \
    X(SetConvolutionMathType)                                                                                          \
    X(DestroyConvolutionDescriptor)                                                                                    \
    X(GetConvolutionForwardWorkspaceSize)                                                                              \
    X(ConvolutionForward)

struct cudnn {
#define CUDNN_MEMBER(name) __typeof__(&cudnn##name) name;
    CUDNN_CALLS(CUDNN_MEMBER)
#undef CUDNN_MEMBER
};

/* Valid until the program ends. STATUS_USAGE when the library is not found. */
enum status cudnn_load(const struct cudnn **calls);

#endif
