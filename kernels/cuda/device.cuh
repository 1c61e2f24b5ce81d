/* What kernels share on the device: loads and stores of the compute types, sums over a warp or a block in one stated
 * order, and the fault word. */
#ifndef SPIRITLM_KERNELS_CUDA_DEVICE_CUH
#define SPIRITLM_KERNELS_CUDA_DEVICE_CUH

#include "kernels/cuda/cuda.h"

#include <cuda_bf16.h>

enum { WARP = 32, FULL_WARP = -1 };

__device__ inline float load_element(const float *array, int64_t index)
{
    return array[index];
}
__device__ inline float load_element(const __nv_bfloat16 *array, int64_t index)
{
    return __bfloat162float(array[index]);
}
__device__ inline void store_element(float *array, int64_t index, float value)
{
    array[index] = value;
}
__device__ inline void store_element(__nv_bfloat16 *array, int64_t index, float value)
{
    array[index] = __float2bfloat16_rn(value);
}
/* `value` as it would be after a store and a load. */
template <typename T> __device__ inline float rounded(float value);
template <> __device__ inline float rounded<float>(float value)
{
    return value;
}
template <> __device__ inline float rounded<__nv_bfloat16>(float value)
{
    return __bfloat162float(__float2bfloat16_rn(value));
}

/* The sum over the lanes of a warp, in all lanes: a tree over lane distance 16, 8, 4, 2, 1. */
template <typename T> __device__ inline T warp_sum(T value)
{
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(FULL_WARP, value, distance);
    return value;
}
__device__ inline float warp_maximum(float value)
{
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value = fmaxf(value, __shfl_xor_sync(FULL_WARP, value, distance));
    return value;
}

/* True when `value` is in [low, high); else the first such finding of the context is kept. A kernel that hears false must not
 * follow the index. */
__device__ inline bool index_fits(struct cuda_fault *fault, int operation, int what, int64_t index, int64_t count,
                                  int64_t value, int64_t low, int64_t high)
{
    if (value >= low && value < high)
        return true;
    if (atomicCAS(&fault->what, CUDA_FAULT_NONE, what) == CUDA_FAULT_NONE) {
        fault->operation = operation;
        fault->index = index;
        fault->count = count;
        fault->value = value;
        fault->low = low;
        fault->high = high;
    }
    return false;
}

#endif
