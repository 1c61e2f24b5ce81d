/* Scratch of the CUDA backend's operations, in bytes, from sizes and types alone. Plain C without CUDA's headers, built
 * everywhere: `train --dry-run` plans for GPUs on machines that have none. */
#ifndef SPIRITLM_KERNELS_CUDA_SIZES_H
#define SPIRITLM_KERNELS_CUDA_SIZES_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CUDA_SCRATCH_SIZE(name) size_t cuda_##name##_scratch_size(const struct name *p);
KERNEL_OPERATIONS(CUDA_SCRATCH_SIZE)
#undef CUDA_SCRATCH_SIZE

/* What struct kernels asks of a backend. A product of 2,048 rows fills every GPU of today, and the output projection's
 * weight gradient, which is read and written once for every block of rows, then costs less than its product. */
#define CUDA_BLOCK_ROWS 2048
#define CUDA_BLOCK_ELEMENTS (INT64_C(1) << 26)

/* What a context allocates for itself: cuBLASLt's workspace, which it is given once, and the fault word. */
#define CUDA_PRODUCTS_WORKSPACE (INT64_C(32) << 20)
#define CUDA_CONTEXT_BYTES (CUDA_PRODUCTS_WORKSPACE + 256)
/* What the driver's context, the kernels' code and cuBLASLt's take beside it. An estimate, not a measurement. */
#define CUDA_DRIVER_BYTES (INT64_C(768) << 20)

/* FLOP/s of dense products on the GPU that the driver calls so, from its data sheet: bf16 with f32 sums on tensor cores, or
 * f32 by FMA. 0: it is not in the table, or a slice of a GPU. */
double cuda_published_peak(const char *device_name, enum dtype type);

/* A table that can only be asked for sizes: what plans a training on GPUs, also where there is no CUDA. */
const struct kernels *kernels_cuda_plan(void);

#ifdef __cplusplus
}
#endif
#endif
