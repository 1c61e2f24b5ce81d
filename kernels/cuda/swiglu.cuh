/* What SwiGLU's two directions share. */
#ifndef SPIRITLM_KERNELS_CUDA_SWIGLU_CUH
#define SPIRITLM_KERNELS_CUDA_SWIGLU_CUH

#include "kernels/cuda/launch.cuh"

enum { SWIGLU_THREADS = 256, SWIGLU_CHANNELS = SWIGLU_THREADS * PACK };

__device__ inline float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* The first channel of this thread's pack: blockIdx.x is the row, blockIdx.y the run of channels. */
__device__ inline int64_t swiglu_channel()
{
    return int64_t(blockIdx.y) * SWIGLU_CHANNELS + int64_t(threadIdx.x) * PACK;
}

/* A run of channels of each row per block. */
template <typename Operation>
static enum status launch_swiglu(const struct device_context *context, const char *name, void (*kernel)(Operation),
                                 const Operation &p)
{
    return launch(context, name, kernel, p.rows, divide_up(p.channels, SWIGLU_CHANNELS),
                  block_threads(divide_up(p.channels, PACK), SWIGLU_THREADS), p);
}

#endif
