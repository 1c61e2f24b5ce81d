/* Count, mean and squares about the mean of numbers that are met in parts, joined in double (Chan, Golub and LeVeque 1979): no
 * sum of squares is ever subtracted from another, and the order of the joins follows from the shape alone. */
#ifndef SPIRITLM_KERNELS_CUDA_MOMENTS_CUH
#define SPIRITLM_KERNELS_CUDA_MOMENTS_CUH

#include "kernels/cuda/device.cuh"

struct moments {
    double count, mean, squares;
};

__device__ inline void moments_join(struct moments *total, struct moments part)
{
    if (part.count == 0)
        return;
    double count = total->count + part.count, difference = part.mean - total->mean;
    total->squares += part.squares + difference * difference * total->count * part.count / count;
    total->mean += difference * part.count / count;
    total->count = count;
}

/* What the lanes of a warp have, joined: in lane 0. Always the lane above into the lane below. */
__device__ inline struct moments moments_join_warp(struct moments total)
{
    for (int distance = 1; distance < WARP; distance *= 2) {
        struct moments other;
        other.count = __shfl_down_sync(FULL_WARP, total.count, distance);
        other.mean = __shfl_down_sync(FULL_WARP, total.mean, distance);
        other.squares = __shfl_down_sync(FULL_WARP, total.squares, distance);
        if (int(threadIdx.x) % (2 * distance) == 0)
            moments_join(&total, other);
    }
    return total;
}

#endif
