/* What LayerNorm's two directions share. A row is read once and kept in the registers of its team: a warp where 1,024
 * channels are enough, else a block. Lane l holds the packs l, l + TEAM, l + 2 TEAM ... of the row. A block takes rows one
 * after the other, so that weight and bias are read once for all of them, into shared memory. Team, packs and rows follow
 * from the shape alone. */
#ifndef SPIRITLM_KERNELS_CUDA_LAYER_NORM_CUH
#define SPIRITLM_KERNELS_CUDA_LAYER_NORM_CUH

#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/launch.cuh"

enum { LAYER_NORM_THREADS = 256, LAYER_NORM_WORD = 4 /* elements of f32 in 16 bytes */ };

/* The sum over a row's team, in all of its lanes. */
template <int TEAM> __device__ inline float team_sum(float value)
{
    return TEAM == WARP ? warp_sum(value) : block_sum(value);
}

/* The first channel of this lane's pack k. */
template <int TEAM> __device__ inline int64_t team_channel(int k)
{
    return int64_t(int(threadIdx.x) % TEAM + k * TEAM) * PACK;
}

/* Weight and bias of the block's rows as f32 in shared memory, each as [2][packs][LAYER_NORM_WORD]: the first halves of all
 * packs, then the second halves, so that lanes side by side read words side by side. */
template <int TEAM, int PACKS> struct layer_norm_parameters {
    enum { WORDS = TEAM * PACKS };
    float4 weight[2][WORDS], bias[2][WORDS];
};

template <typename T, int WORDS>
__device__ inline void spread_parameter(float4 (&to)[2][WORDS], const T *from, int64_t channels)
{
    for (int i = int(threadIdx.x); int64_t(i) * PACK < channels; i += LAYER_NORM_THREADS) {
        float value[PACK];
        load_pack(value, from + int64_t(i) * PACK, channels - int64_t(i) * PACK);
        to[0][i] = make_float4(value[0], value[1], value[2], value[3]);
        to[1][i] = make_float4(value[4], value[5], value[6], value[7]);
    }
}

/* A pack of what spread_parameter has put there. */
template <int WORDS> __device__ inline void parameter_pack(float (&value)[PACK], const float4 (&from)[2][WORDS], int i)
{
    float4 low = from[0][i], high = from[1][i];
    value[0] = low.x, value[1] = low.y, value[2] = low.z, value[3] = low.w;
    value[4] = high.x, value[5] = high.y, value[6] = high.z, value[7] = high.w;
}

/* What a launcher chooses among: KERNEL is a template over type, team and packs. The last one takes LAYER_NORM_CHANNELS. */
#define LAYER_NORM_KERNEL(KERNEL, T, channels)                                                                         \
    ((channels) <= WARP * PACK       ? KERNEL<T, WARP, 1>                                                              \
     : (channels) <= 2 * WARP * PACK ? KERNEL<T, WARP, 2>                                                              \
     : (channels) <= 3 * WARP * PACK ? KERNEL<T, WARP, 3>                                                              \
     : (channels) <= 4 * WARP * PACK ? KERNEL<T, WARP, 4>                                                              \
                                     : KERNEL<T, LAYER_NORM_THREADS, 2>)

#endif
