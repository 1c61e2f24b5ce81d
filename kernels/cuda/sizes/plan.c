/* CUDA's table for plans: what a training would allocate on a GPU follows from sizes and types, so a machine without one, and a
 * build without CUDA, can say it. */
#include "kernels/cuda/sizes/cuda_sizes.h"

static const struct kernels table = {.name = "cuda",
                                     .block_rows = CUDA_BLOCK_ROWS,
                                     .block_elements = CUDA_BLOCK_ELEMENTS,
                                     .context_bytes = CUDA_CONTEXT_BYTES,
                                     .driver_bytes = CUDA_DRIVER_BYTES,
#define MEMBER(name) .name##_scratch_size = cuda_##name##_scratch_size,
                                     KERNEL_OPERATIONS(MEMBER)
#undef MEMBER
};

const struct kernels *kernels_cuda_plan(void)
{
    return &table;
}
