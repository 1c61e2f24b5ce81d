/* What SwiGLU's two directions share. */
#ifndef SPIRITLM_KERNELS_CUDA_SWIGLU_CUH
#define SPIRITLM_KERNELS_CUDA_SWIGLU_CUH

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/launch.cuh"

enum { SWIGLU_THREADS = 256 };

/* The first channel of this thread's pack: blockIdx.x is the row, blockIdx.y the run of channels. */
template <int N> __device__ inline int64_t swiglu_channel()
{
    return (int64_t(blockIdx.y) * blockDim.x + threadIdx.x) * N;
}

/* A run of channels of each row per block: in packs of 16 bytes by the first kernel where rows consist of such and lie on such
 * boundaries, else channel by channel by the second. */
template <int N, typename Operation>
static enum status launch_swiglu(const struct device_context *context, const char *name, void (*packed)(Operation),
                                 void (*single)(Operation), bool aligned, const Operation &p)
{
    bool whole = aligned && p.channels % N == 0;
    int64_t packs = whole ? p.channels / N : p.channels;
    int threads = block_threads(packs, SWIGLU_THREADS);
    return launch(context, name, whole ? packed : single, p.rows, divide_up(packs, threads), threads, p);
}

#endif
