/* What kernels share on the device: loads and stores of the compute types one by one and in packs, sums over a warp or a
 * block in one stated order, and the fault word. */
#ifndef SPIRITLM_KERNELS_CUDA_DEVICE_CUH
#define SPIRITLM_KERNELS_CUDA_DEVICE_CUH

#include "kernels/cuda/bf16.cuh"
#include "kernels/cuda/cuda.h"

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
__device__ inline float load_element(const cuda_bfloat16 *array, int64_t index)
{
    return bf16_value(array[index]);
}
__device__ inline void store_element(float *array, int64_t index, float value)
{
    array[index] = value;
}
__device__ inline void store_element(cuda_bfloat16 *array, int64_t index, float value)
{
    array[index] = bf16_nearest(value);
}
/* `value` as it would be after a store and a load. */
template <typename T> __device__ inline float rounded(float value);
template <> __device__ inline float rounded<float>(float value)
{
    return value;
}
template <> __device__ inline float rounded<cuda_bfloat16>(float value)
{
    return bf16_value(bf16_nearest(value));
}

/* ---- packs ---- */

/* Elements of a pack of 16 bytes of the widest of some types: what a thread moves at once, so that the lanes of a warp that
 * take neighbouring packs take whole sectors with each instruction. */
template <typename First, typename Second = First> struct pack_size {
    static constexpr int count = int(16 / (sizeof(First) > sizeof(Second) ? sizeof(First) : sizeof(Second)));
};

/* The word that moves BYTES at once. */
template <int BYTES> struct word_of;
template <> struct word_of<2> {
    typedef unsigned short type;
};
template <> struct word_of<4> {
    typedef unsigned int type;
};
template <> struct word_of<8> {
    typedef uint2 type;
};
template <> struct word_of<16> {
    typedef uint4 type;
};

/* Words of global memory. Those of 8 and 16 bytes are written out: left to itself the compiler may cut them into elements, and
 * then each instruction touches all sectors for a part of their bytes. */
template <typename Word> __device__ inline Word load_word(const Word *source)
{
    return *source;
}
__device__ inline uint2 load_word(const uint2 *source)
{
    uint2 word;
    asm volatile("ld.global.v2.u32 {%0, %1}, [%2];"
                 : "=r"(word.x), "=r"(word.y)
                 : "l"(__cvta_generic_to_global(source))
                 : "memory");
    return word;
}
__device__ inline uint4 load_word(const uint4 *source)
{
    uint4 word;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(word.x), "=r"(word.y), "=r"(word.z), "=r"(word.w)
                 : "l"(__cvta_generic_to_global(source))
                 : "memory");
    return word;
}
template <typename Word> __device__ inline void store_word(Word *destination, Word word)
{
    *destination = word;
}
__device__ inline void store_word(uint2 *destination, uint2 word)
{
    asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(destination)), "r"(word.x),
                 "r"(word.y)
                 : "memory");
}
__device__ inline void store_word(uint4 *destination, uint4 word)
{
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(destination)), "r"(word.x),
                 "r"(word.y), "r"(word.z), "r"(word.w)
                 : "memory");
}

/* N elements as words of at most 16 bytes, which is how aligned ones are moved. */
template <typename T, int N> union pack_words {
    static constexpr int BYTES = int(N * sizeof(T) < 16 ? N * sizeof(T) : 16), WORDS = int(N * sizeof(T) / BYTES);
    typedef typename word_of<BYTES>::type word;
    T elements[N];
    word words[WORDS];
    __device__ pack_words()
    {
    }
};

/* True when a whole pack lies at `address` on a boundary of its words: operands promise the alignment of an element only. */
template <typename T, int N> __device__ inline bool moves_as_words(const T *address, int64_t count)
{
    return count >= N && reinterpret_cast<uintptr_t>(address) % pack_words<T, N>::BYTES == 0;
}

/* The first min(N, count) elements at `source` as they are, and zeros for the rest. */
template <typename T, int N> __device__ inline void load_words(pack_words<T, N> &pack, const T *source, int64_t count)
{
    typedef typename pack_words<T, N>::word word;
    if (moves_as_words<T, N>(source, count)) {
#pragma unroll
        for (int i = 0; i < pack_words<T, N>::WORDS; i++)
            pack.words[i] = load_word(reinterpret_cast<const word *>(source) + i);
    } else {
#pragma unroll
        for (int i = 0; i < N; i++)
            pack.elements[i] = i < count ? source[i] : T{};
    }
}

/* Likewise as numbers. The values do not depend on the alignment. */
template <typename T, int N> __device__ inline void load_pack(float (&values)[N], const T *source, int64_t count)
{
    pack_words<T, N> pack;
    load_words(pack, source, count);
#pragma unroll
    for (int i = 0; i < N; i++)
        values[i] = load_element(pack.elements, i);
}

/* Writes the first min(N, count) values. */
template <typename T, int N> __device__ inline void store_pack(T *destination, const float (&values)[N], int64_t count)
{
    typedef typename pack_words<T, N>::word word;
    if (moves_as_words<T, N>(destination, count)) {
        pack_words<T, N> pack;
#pragma unroll
        for (int i = 0; i < N; i++)
            store_element(pack.elements, i, values[i]);
#pragma unroll
        for (int i = 0; i < pack_words<T, N>::WORDS; i++)
            store_word(reinterpret_cast<word *>(destination) + i, pack.words[i]);
    } else {
#pragma unroll
        for (int i = 0; i < N; i++)
            if (i < count)
                store_element(destination, i, values[i]);
    }
}

/* Copies the first min(N, count) elements bit by bit. */
template <int N = PACK, typename T> __device__ inline void copy_pack(T *destination, const T *source, int64_t count)
{
    typedef typename pack_words<T, N>::word word;
    pack_words<T, N> pack;
    load_words(pack, source, count);
    if (moves_as_words<T, N>(destination, count)) {
#pragma unroll
        for (int i = 0; i < pack_words<T, N>::WORDS; i++)
            store_word(reinterpret_cast<word *>(destination) + i, pack.words[i]);
    } else {
#pragma unroll
        for (int i = 0; i < N; i++)
            if (i < count)
                destination[i] = pack.elements[i];
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
