/* OpenBLAS, loaded when the first context wants it (blas_library.c says why it is not linked). */
#ifndef SPIRITLM_KERNELS_CPU_BLAS_LIBRARY_H
#define SPIRITLM_KERNELS_CPU_BLAS_LIBRARY_H

#include "core/status.h"

enum { BLAS_ROW_MAJOR = 101, BLAS_NOT_TRANSPOSED = 111, BLAS_TRANSPOSED = 112 }; /* the C interface's own numbers */

struct blas_library {
    /* C = alpha * op(A) op(B) + beta * C; may be called from as many threads at once as were reserved. */
    void (*sgemm)(int order, int a_form, int b_form, int m, int n, int k, float alpha, const float *a, int a_stride,
                  const float *b, int b_stride, float beta, float *c, int c_stride);
    char *(*config)(void); /* "OpenBLAS 0.3.21 ... Cooperlake MAX_THREADS=64" */
    int (*parallel)(void);
    void *(*take_buffer)(int);
    void (*return_buffer)(void *);
};

/* The library, the same each time; NULL where there is none that can be called from several threads. */
const struct blas_library *blas_library(void);
const char *blas_library_absence(void); /* why it is NULL */

/* Makes sure that `threads` more threads find a buffer each, before any of them multiplies: STATUS_INTERNAL if there is no
 * memory for that. Reserve 0 or fewer to give back. Only where blas_library() is not NULL. */
enum status blas_library_reserve(int threads);

#endif
