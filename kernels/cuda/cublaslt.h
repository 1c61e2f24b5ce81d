/* The calls of cuBLASLt that the backend makes. The library has half a gigabyte, and a program that computes on the cpu
 * should start without it: it is loaded when the first context is opened. */
#ifndef SPIRITLM_KERNELS_CUDA_CUBLASLT_H
#define SPIRITLM_KERNELS_CUDA_CUBLASLT_H

#include "core/status.h"

#include <cublasLt.h>

#define CUBLASLT_CALLS(X)                                                                                              \
    X(Create)                                                                                                          \
    X(Destroy)                                                                                                         \
    X(GetVersion)                                                                                                      \
    X(GetStatusName)                                                                                                   \
    X(MatmulDescCreate)                                                                                                \
    X(MatmulDescDestroy)                                                                                               \
    X(MatmulDescSetAttribute)                                                                                          \
    X(MatrixLayoutCreate)                                                                                              \
    X(MatrixLayoutDestroy)                                                                                             \
    X(MatrixLayoutSetAttribute)                                                                                        \
    X(MatmulPreferenceCreate)                                                                                          \
    X(MatmulPreferenceDestroy)                                                                                         \
    X(MatmulPreferenceSetAttribute)                                                                                    \
    X(MatmulAlgoGetHeuristic)                                                                                          \
    X(Matmul)

struct cublaslt {
#define CUBLASLT_MEMBER(name) __typeof__(&cublasLt##name) name;
    CUBLASLT_CALLS(CUBLASLT_MEMBER)
#undef CUBLASLT_MEMBER
};

/* Valid until the program ends. STATUS_USAGE when the library is not found. */
enum status cublaslt_load(const struct cublaslt **calls);

#endif
