/* What LayerNorm's two directions share. A row is read once and kept in the registers of its team: a warp where 1,024
 * channels are enough, else a block. Lane l holds the packs l, l + TEAM, l + 2 TEAM ... of the row, 16 bytes each. A block takes rows one
 * after the other, so that weight and bias are read once for all of them, into shared memory. Team, packs and rows follow
 * from the shape alone. */
#ifndef SPIRITLM_KERNELS_CUDA_LAYER_NORM_CUH
#define SPIRITLM_KERNELS_CUDA_LAYER_NORM_CUH

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/launch.cuh"

enum { LAYER_NORM_THREADS = 256, LAYER_NORM_WORD = 4 /* elements of f32 in 16 bytes */ };

/* The sum over a row's team, in all of its lanes. */
template <int TEAM> __device__ inline float team_sum(float value)
{
    return TEAM == WARP ? warp_sum(value) : block_sum(value);
}

/* The first channel of this lane's pack k, of N channels. */
template <int TEAM, int N> __device__ inline int64_t team_channel(int k)
{
    return int64_t(int(threadIdx.x) % TEAM + k * TEAM) * N;
}

/* Weight and bias of the block's rows as f32 in shared memory: the first words of all packs, then the second words if there are
 * any, so that lanes side by side read words side by side. */
template <int TEAM, int PACKS, int N> struct layer_norm_parameters {
    float4 weight[N / LAYER_NORM_WORD][TEAM * PACKS], bias[N / LAYER_NORM_WORD][TEAM * PACKS];
};

template <int WORDS, int COUNT, int N>
__device__ inline void put_parameter(float4 (&to)[WORDS][COUNT], int i, const float (&value)[N])
{
    static_assert(N == WORDS * LAYER_NORM_WORD, "a pack is its words");
#pragma unroll
    for (int w = 0; w < WORDS; w++)
        to[w][i] = make_float4(value[4 * w], value[4 * w + 1], value[4 * w + 2], value[4 * w + 3]);
}

template <int WORDS, int COUNT, int N>
__device__ inline void get_parameter(float (&value)[N], const float4 (&from)[WORDS][COUNT], int i)
{
#pragma unroll
    for (int w = 0; w < WORDS; w++) {
        float4 word = from[w][i];
        value[4 * w] = word.x, value[4 * w + 1] = word.y, value[4 * w + 2] = word.z, value[4 * w + 3] = word.w;
    }
}

template <typename T, int WORDS, int COUNT>
__device__ inline void spread_parameter(float4 (&to)[WORDS][COUNT], const T *from, int64_t channels)
{
    constexpr int N = WORDS * LAYER_NORM_WORD;
    for (int i = int(threadIdx.x); int64_t(i) * N < channels; i += LAYER_NORM_THREADS) {
        float value[N];
        load_pack(value, from + int64_t(i) * N, channels - int64_t(i) * N);
        put_parameter(to, i, value);
    }
}

/* Packs of a lane that holds EIGHTS times eight channels. */
template <typename T, int EIGHTS> struct lane_packs {
    static constexpr int size = pack_size<T>::count, count = EIGHTS * 8 / size;
};

/* What a launcher chooses among: KERNEL is a template over type, team and channels of a lane by eight. The last one takes
 * LAYER_NORM_CHANNELS. Lanes pass over packs that a row does not have, so classes between these would save registers alone,
 * and not enough of them for one more block on a processor where it counts: each costs seconds of compilation. */
#define LAYER_NORM_KERNEL(KERNEL, T, channels)                                                                         \
    ((channels) <= 2 * WARP * 8   ? KERNEL<T, WARP, 2>                                                                 \
     : (channels) <= 4 * WARP * 8 ? KERNEL<T, WARP, 4>                                                                 \
                                  : KERNEL<T, LAYER_NORM_THREADS, 2>)

#endif
