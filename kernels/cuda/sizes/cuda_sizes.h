/* Scratch of the CUDA backend's operations, in bytes, from sizes and types alone. Plain C without CUDA's headers, built
 * everywhere: `train --dry-run` plans for GPUs on machines that have none. */
#ifndef SPIRITLM_KERNELS_CUDA_SIZES_H
#define SPIRITLM_KERNELS_CUDA_SIZES_H

#include "kernels/operations.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CUDA_SCRATCH_SIZE(name) size_t cuda_##name##_scratch_size(const struct name *p);
KERNEL_OPERATIONS(CUDA_SCRATCH_SIZE)
#undef CUDA_SCRATCH_SIZE

#ifdef __cplusplus
}
#endif
#endif
