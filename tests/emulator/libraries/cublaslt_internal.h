/* What the files of the emulated cuBLASLt share: its objects behind the opaque handles, and a product that has been
 * checked.
 *
 * The library emulates D = alpha op(A) op(B) + beta C (+ bias) for f32 and bf16 operands with sums in f32. What the
 * real library supports beyond that (other types, epilogues, scales) is refused with CUBLAS_STATUS_NOT_SUPPORTED and a
 * report, so that nobody takes it for a choice of cuBLASLt's. */
#ifndef SPIRITLM_EMULATOR_CUBLASLT_H
#define SPIRITLM_EMULATOR_CUBLASLT_H

#include <cublasLt.h>

#include "emulator/libraries/objects.h"

enum cublaslt_kind { CUBLASLT_HANDLE, CUBLASLT_OPERATION, CUBLASLT_LAYOUT, CUBLASLT_PREFERENCE };

struct cublaslt_operation {
    int32_t compute_type, scale_type, pointer_mode, transpose_a, transpose_b, transpose_c, bias_type;
    uint32_t epilogue;
    const void *bias;
    int64_t bias_stride;
};
struct cublaslt_layout {
    uint32_t type;
    int32_t order;
    uint64_t rows, columns;
    int64_t leading_dimension;
    int32_t batches;
    int64_t stride;
};
struct cublaslt_preference {
    uint32_t search_mode, reduction_schemes;
    uint64_t workspace;
    uint32_t alignment[4]; /* of A, B, C, D */
};
struct cublaslt_object {
    struct object object;
    union {
        struct cublaslt_operation operation;
        struct cublaslt_layout layout;
        struct cublaslt_preference preference;
    };
};
enum { CUBLASLT_ALGORITHM_WORKSPACE = 65536 }; /* what an algorithm uses at most */

/* The live object behind a handle; otherwise NULL, and a report that names `argument`. */
struct cublaslt_object *cublaslt_find(const void *handle, enum cublaslt_kind kind, const char *call,
                                      const char *argument);

/* Reports a wrong argument and returns the status that the real library gives. */
cublasStatus_t cublaslt_refuse(cublasStatus_t status, const char *call, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One matrix as the product walks it: element (row, column) of batch b is at
 * address + (b stride + row row_step + column column_step) * bytes. */
struct cublaslt_matrix {
    uint64_t address;
    uint64_t rows, columns, row_step, column_step, stride, batches;
    uint32_t element_bytes;
    bool bfloat;
    struct span span;
};
struct cublaslt_product {
    struct cublaslt_matrix a, b, c, d; /* a and b as they lie, not transposed */
    bool transpose_a, transpose_b, reads_c, reads_ab;
    float alpha, beta;
    uint64_t m, n, k;
    struct cublaslt_matrix bias; /* rows 0: none */
    uint64_t workspace, workspace_bytes;
    uint64_t workspace_used; /* its first bytes, which the algorithm writes */
};

/* Handles of one call, as the program gave them. */
struct cublaslt_arguments {
    const char *call;
    const struct cublaslt_operation *operation;
    const struct cublaslt_layout *a, *b, *c, *d;
};
/* Types, shapes and leading dimensions; no pointers. */
cublasStatus_t cublaslt_check_shapes(const struct cublaslt_arguments *arguments);
/* When the work runs; everything is checked. */
void cublaslt_compute(struct device *device, const struct cublaslt_product *product);
/* What an algorithm was chosen for. */
uint64_t cublaslt_problem(const struct cublaslt_arguments *arguments);

#endif
