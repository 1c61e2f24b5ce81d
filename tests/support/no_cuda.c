/* A test program without CUDA. One that has it brings its own test_cuda_kernels (support/cuda/), and the linker then leaves
 * this file out. */
#include "support/test_kernels.h"

const struct kernels *test_cuda_kernels(const char *backend)
{
    (void)backend;
    return NULL;
}
