/* What GroupNorm's two directions share: how a row of the batch is cut into tiles, and the join of moments.
 *
 * A tile is 128 frames by 128 channels, one block. A thread holds 8 channels (a pack) of 8 frames that lie 16 apart, so that
 * its 16 neighbours read the same frames side by side. Numbers of a tile's channels are kept per block of frames and joined
 * in a fixed order in double: minutes of audio lose nothing, and a row's bits depend neither on the rows beside it nor on
 * what pads it. */
#ifndef SPIRITLM_KERNELS_CUDA_GROUP_NORM_CUH
#define SPIRITLM_KERNELS_CUDA_GROUP_NORM_CUH

#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/launch.cuh"

enum {
    GROUP_NORM_THREADS = 256,
    GROUP_NORM_LANES = 16,                                     /* across the channels */
    GROUP_NORM_SLICES = GROUP_NORM_THREADS / GROUP_NORM_LANES, /* across the frames */
    GROUP_NORM_HELD = GROUP_NORM_FRAMES / GROUP_NORM_SLICES,   /* frames of a thread */
    GROUP_NORM_CHANNELS = GROUP_NORM_LANES * PACK,             /* of a tile */
    GROUP_NORM_JOINED = 32,                                    /* channels that a block joins */
    GROUP_NORM_JOINS = GROUP_NORM_THREADS / GROUP_NORM_JOINED, /* parts of the blocks that it joins side by side */
};

/* Where a block of the grid (row and block of frames, strip of channels) stands. */
struct group_norm_tile {
    int64_t b, block, first, frames, channel; /* frames: that the row has here; channel: the thread's first */
};

/* Frames that row b has; 0 where the length is a fault. */
__device__ inline int64_t row_frames(const int32_t *lengths, int64_t b, int64_t frames)
{
    int64_t length = lengths ? lengths[b] : frames;
    return length < 0 || length > frames ? 0 : length;
}

__device__ inline struct group_norm_tile group_norm_tile(int64_t batch, int64_t frames, const int32_t *lengths)
{
    struct group_norm_tile tile;
    int64_t blocks = int64_t(gridDim.x) / batch; /* of a row */
    tile.b = int64_t(blockIdx.x) / blocks;
    tile.block = int64_t(blockIdx.x) % blocks;
    tile.first = tile.block * GROUP_NORM_FRAMES;
    int64_t left = row_frames(lengths, tile.b, frames) - tile.first;
    tile.frames = left < 0 ? 0 : min(left, int64_t(GROUP_NORM_FRAMES));
    tile.channel = int64_t(blockIdx.y) * GROUP_NORM_CHANNELS + int(threadIdx.x) % GROUP_NORM_LANES * PACK;
    return tile;
}

/* The tile's frame that this thread holds as its number k. */
__device__ inline int held_frame(int k)
{
    return int(threadIdx.x) / GROUP_NORM_LANES + k * GROUP_NORM_SLICES;
}

/* The sums over the slices of each channel's value, in all threads: sums is [pack's element][slice][lane], so that lanes
 * side by side use banks side by side. */
typedef float group_norm_sums[PACK][GROUP_NORM_SLICES][GROUP_NORM_LANES];

__device__ inline void sum_slices(float (&value)[PACK], group_norm_sums &sums)
{
    int lane = int(threadIdx.x) % GROUP_NORM_LANES, slice = int(threadIdx.x) / GROUP_NORM_LANES;
    __syncthreads(); /* the sums of a call before this one have been read */
#pragma unroll
    for (int i = 0; i < PACK; i++)
        sums[i][slice][lane] = value[i];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        value[i] = 0;
#pragma unroll
        for (int s = 0; s < GROUP_NORM_SLICES; s++)
            value[i] += sums[i][s][lane];
    }
}

/* The value of each of this thread's channels' group, of row b. One division: the next channels are counted on. */
__device__ inline void group_values(float (&value)[PACK], const float *of_group /* [B][groups] */, int64_t b,
                                    int64_t groups, int64_t channels, int64_t channel)
{
    int width = int(channels / groups), group = int(channel) / width, place = int(channel) - group * width;
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        value[i] = channel + i < channels ? of_group[b * groups + group] : 0.0f;
        place++;
        group += place == width;
        place = place == width ? 0 : place;
    }
}

#endif
