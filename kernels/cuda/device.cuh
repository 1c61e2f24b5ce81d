/* What kernels share on the device: loads and stores of the compute types one by one and in packs, sums over a warp or a
 * block in one stated order, and the fault word. */
#ifndef SPIRITLM_KERNELS_CUDA_DEVICE_CUH
#define SPIRITLM_KERNELS_CUDA_DEVICE_CUH

#include "kernels/cuda/cuda.h"

#include <cuda_bf16.h>

enum {
    WARP = 32,
    MOST_WARPS = 32, /* of a block */
    PACK = 8,        /* consecutive elements that one thread takes: 16 bytes of bf16, 32 of f32 */
};
#define FULL_WARP 0xffffffffu

/* ---- elements ---- */

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

/* ---- packs ---- */

/* PACK elements as 16-byte words, which is how aligned ones are moved. */
template <typename T> union pack_words {
    T elements[PACK];
    uint4 words[PACK * sizeof(T) / sizeof(uint4)];
    __device__ pack_words()
    {
    }
};

/* True when a whole pack lies at `address` on a 16-byte boundary: operands promise the alignment of an element only. */
template <typename T> __device__ inline bool moves_as_words(const T *address, int64_t count)
{
    return count >= PACK && reinterpret_cast<uintptr_t>(address) % sizeof(uint4) == 0;
}

/* The first min(PACK, count) elements at `source`, and 0 for the rest. The values do not depend on the alignment. */
template <typename T> __device__ inline void load_pack(float (&values)[PACK], const T *source, int64_t count)
{
    if (moves_as_words(source, count)) {
        pack_words<T> pack;
#pragma unroll
        for (int i = 0; i < int(sizeof(pack.words) / sizeof(uint4)); i++)
            pack.words[i] = reinterpret_cast<const uint4 *>(source)[i];
#pragma unroll
        for (int i = 0; i < PACK; i++)
            values[i] = load_element(pack.elements, i);
    } else {
#pragma unroll
        for (int i = 0; i < PACK; i++)
            values[i] = i < count ? load_element(source, i) : 0.0f;
    }
}

/* Writes the first min(PACK, count) values. */
template <typename T> __device__ inline void store_pack(T *destination, const float (&values)[PACK], int64_t count)
{
    if (moves_as_words(destination, count)) {
        pack_words<T> pack;
#pragma unroll
        for (int i = 0; i < PACK; i++)
            store_element(pack.elements, i, values[i]);
#pragma unroll
        for (int i = 0; i < int(sizeof(pack.words) / sizeof(uint4)); i++)
            reinterpret_cast<uint4 *>(destination)[i] = pack.words[i];
    } else {
#pragma unroll
        for (int i = 0; i < PACK; i++)
            if (i < count)
                store_element(destination, i, values[i]);
    }
}

/* Copies the first min(PACK, count) elements bit by bit. */
template <typename T> __device__ inline void copy_pack(T *destination, const T *source, int64_t count)
{
    if (moves_as_words(source, count) && moves_as_words(destination, count)) {
#pragma unroll
        for (int i = 0; i < int(PACK * sizeof(T) / sizeof(uint4)); i++)
            reinterpret_cast<uint4 *>(destination)[i] = reinterpret_cast<const uint4 *>(source)[i];
    } else {
#pragma unroll
        for (int i = 0; i < PACK; i++)
            if (i < count)
                destination[i] = source[i];
    }
}

/* ---- sums ---- */

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

/* The sum over the threads of a block, in all threads: each warp's tree, then one tree over the warps' sums. blockDim.x
 * is a multiple of WARP, and all threads of the block call. */
template <typename T> __device__ inline T block_sum(T value)
{
    __shared__ T sums[MOST_WARPS];
    int warp = int(threadIdx.x) / WARP, lane = int(threadIdx.x) % WARP;
    value = warp_sum(value);
    __syncthreads(); /* the sums of a call before this one have been read */
    if (lane == 0)
        sums[warp] = value;
    __syncthreads();
    return warp_sum(lane < int(blockDim.x) / WARP ? sums[lane] : T(0));
}
/* Likewise the largest value; NaN counts as nothing. */
__device__ inline float block_maximum(float value)
{
    __shared__ float largest[MOST_WARPS];
    int warp = int(threadIdx.x) / WARP, lane = int(threadIdx.x) % WARP;
    value = warp_maximum(value);
    __syncthreads();
    if (lane == 0)
        largest[warp] = value;
    __syncthreads();
    return warp_maximum(lane < int(blockDim.x) / WARP ? largest[lane] : -INFINITY);
}

/* ---- indices in device memory ---- */

/* Keeps a finding, if it is the context's first. */
__device__ inline void keep_fault(struct cuda_fault *fault, int operation, int what, int64_t index, int64_t count,
                                  int64_t value, int64_t low, int64_t high, int64_t extent)
{
    if (atomicCAS(&fault->what, CUDA_FAULT_NONE, what) != CUDA_FAULT_NONE)
        return;
    fault->operation = operation;
    fault->index = index;
    fault->count = count;
    fault->value = value;
    fault->low = low;
    fault->high = high;
    fault->extent = extent;
}

/* True when `value` is in [low, high); else the first such finding of the context is kept. A kernel that hears false must not
 * follow the index. */
__device__ inline bool index_fits(struct cuda_fault *fault, int operation, int what, int64_t index, int64_t count,
                                  int64_t value, int64_t low, int64_t high)
{
    if (value >= low && value < high)
        return true;
    keep_fault(fault, operation, what, index, count, value, low, high, 0);
    return false;
}

#endif
