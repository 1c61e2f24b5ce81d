/* The rotation that rope and rope_append share: both give a head the same bits. */
#ifndef SPIRITLM_KERNELS_CUDA_ROPE_CUH
#define SPIRITLM_KERNELS_CUDA_ROPE_CUH

#include "kernels/cuda/device.cuh"

/* Cosine and sine, times `sign`, of the first min(N, count) of some angles. */
template <int N>
__device__ inline void load_angles(float (&c)[N], float (&s)[N], const float *cosine, const float *sine, float sign,
                                   int64_t count)
{
    load_pack(c, cosine, count);
    load_pack(s, sine, count);
#pragma unroll
    for (int i = 0; i < N; i++)
        s[i] *= sign;
}

/* The pairs (a, b) turned by the angles. Fused multiply-adds are written out, so that the compiler cannot choose differently in
 * two kernels. */
template <int N>
__device__ inline void rotate_pairs(float (&a)[N], float (&b)[N], const float (&c)[N], const float (&s)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++) {
        float rotated = __fmaf_rn(a[i], c[i], -__fmul_rn(b[i], s[i]));
        b[i] = __fmaf_rn(b[i], c[i], __fmul_rn(a[i], s[i]));
        a[i] = rotated;
    }
}

/* Rotates heads [heads][D] from `source` to `destination` (which may be the same) by the angles of one position, times
 * `sign`. The block shares the work, a pack of pairs (i, i + D/2) per thread. */
template <typename T>
__device__ inline void rotate_heads(T *destination, const T *source, int64_t heads, int64_t head_size,
                                    const float *cosine, const float *sine, float sign) /* [D/2] */
{
    int64_t half = head_size / 2, packs = (half + PACK - 1) / PACK;
    for (int64_t index = threadIdx.x; index < heads * packs; index += blockDim.x) {
        int64_t first = index % packs * PACK, place = index / packs * head_size + first, count = half - first;
        float a[PACK], b[PACK], c[PACK], s[PACK];
        load_pack(a, source + place, count);
        load_pack(b, source + place + half, count);
        load_angles(c, s, cosine + first, sine + first, sign, count);
        rotate_pairs(a, b, c, s);
        store_pack(destination + place, a, count);
        store_pack(destination + place + half, b, count);
    }
}

#endif
