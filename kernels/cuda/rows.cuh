/* How RMSNorm's two directions lay a row over the threads of a block: one pack per thread, kept in registers, so that a row is
 * read once. A block goes through some rows one after the other; what depends on the column alone (the weight, the sums of its
 * gradient) is kept meanwhile. The layout, and with it the order of every sum over a row, follows from the number of channels
 * and the type alone. */
#ifndef SPIRITLM_KERNELS_CUDA_ROWS_CUH
#define SPIRITLM_KERNELS_CUDA_ROWS_CUH

#include "kernels/cuda/launch.cuh"

enum { ROW_THREADS = 1024 }; /* at most */

/* N elements of type T per pack: the whole 16 bytes where they divide a row, else one, which keeps the lanes of a warp on
 * neighbouring elements. */
template <typename T> static inline int row_pack(int64_t channels)
{
    return channels % pack_size<T>::count == 0 ? pack_size<T>::count : 1;
}

/* The first element of this thread's pack. */
template <int N> __device__ inline int64_t row_place()
{
    return int64_t(threadIdx.x) * N;
}

/* This thread's pack of a row, as it is; zeros past the row's end. */
template <typename T, int N> struct row_part {
    pack_words<T, N> pack;

    __device__ void load(const T *row, int64_t channels)
    {
        load_words(pack, row + row_place<N>(), channels - row_place<N>());
    }
    __device__ void clear()
    {
        pack.words[0] = {};
    }
    __device__ float get(int i) const
    {
        return load_element(pack.elements, i);
    }
};

/* The weight's packs of all threads in shared memory. Each thread reads back what it wrote itself, so nobody waits: it is room
 * that registers do not have, and the compiler cannot keep the weight unpacked in twice as many of them. */
template <typename T, int N> struct row_weight {
    typename pack_words<T, N>::word words[ROW_THREADS];

    __device__ void load(const T *weight, int64_t channels)
    {
        row_part<T, N> part;
        part.load(weight, channels);
        words[threadIdx.x] = part.pack.words[0];
    }
    __device__ void get(float (&values)[N]) const
    {
        pack_words<T, N> pack;
        pack.words[0] = words[threadIdx.x];
#pragma unroll
        for (int i = 0; i < N; i++)
            values[i] = load_element(pack.elements, i);
    }
};

#endif
