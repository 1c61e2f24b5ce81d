/* A store of a pack that stays one store. store_pack of device.cuh has a branch for packs that lie on their boundary; where the
 * values are chosen by conditions of their own, nvcc may join both branches into stores of single elements, which move four
 * sectors for each one that is written. An instruction that it cannot take apart prevents that. */
#ifndef SPIRITLM_KERNELS_CUDA_WORDS_CUH
#define SPIRITLM_KERNELS_CUDA_WORDS_CUH

#include "kernels/cuda/device.cuh"

__device__ inline void store_word(uint4 *destination, uint4 word)
{
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(destination)), "r"(word.x),
                 "r"(word.y), "r"(word.z), "r"(word.w)
                 : "memory");
}
__device__ inline void store_word(uint2 *destination, uint2 word)
{
    asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(destination)), "r"(word.x),
                 "r"(word.y)
                 : "memory");
}

/* Writes the first min(N, count) values, N of them of 8 or 16 bytes. */
template <typename T, int N>
__device__ inline void store_pack_whole(T *destination, const float (&values)[N], int64_t count)
{
    typedef typename pack_words<T, N>::word word;
    static_assert(pack_words<T, N>::WORDS == 1, "a pack is one word");
    if (moves_as_words<T, N>(destination, count)) {
        pack_words<T, N> pack;
#pragma unroll
        for (int i = 0; i < N; i++)
            store_element(pack.elements, i, values[i]);
        store_word(reinterpret_cast<word *>(destination), pack.words[0]);
    } else {
#pragma unroll
        for (int i = 0; i < N; i++)
            if (i < count)
                store_element(destination, i, values[i]);
    }
}

#endif
