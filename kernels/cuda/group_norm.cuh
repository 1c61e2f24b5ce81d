/* What GroupNorm's two directions share: how a row of the batch is cut into tiles, and the join of moments.
 *
 * A tile is 128 frames by 16 packs of N channels, 16 bytes each; it is one block. A thread holds one pack of 8 frames that lie
 * 16 apart, so that its 16 neighbours read the same frames side by side. Numbers of a tile's channels are kept per block of frames and joined
 * in a fixed order in double: minutes of audio lose nothing, and a row's bits depend neither on the rows beside it nor on
 * what pads it. */
#ifndef SPIRITLM_KERNELS_CUDA_GROUP_NORM_CUH
#define SPIRITLM_KERNELS_CUDA_GROUP_NORM_CUH

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/launch.cuh"

enum {
    GROUP_NORM_THREADS = 256,
    GROUP_NORM_LANES = 16,                                     /* across the channels */
    GROUP_NORM_SLICES = GROUP_NORM_THREADS / GROUP_NORM_LANES, /* across the frames */
    GROUP_NORM_HELD = GROUP_NORM_FRAMES / GROUP_NORM_SLICES,   /* frames of a thread */
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

template <int N>
__device__ inline struct group_norm_tile group_norm_tile(int64_t batch, int64_t frames, const int32_t *lengths)
{
    struct group_norm_tile tile;
    int64_t blocks = int64_t(gridDim.x) / batch; /* of a row */
    tile.b = int64_t(blockIdx.x) / blocks;
    tile.block = int64_t(blockIdx.x) % blocks;
    tile.first = tile.block * GROUP_NORM_FRAMES;
    int64_t left = row_frames(lengths, tile.b, frames) - tile.first;
    tile.frames = left < 0 ? 0 : min(left, int64_t(GROUP_NORM_FRAMES));
    tile.channel = (int64_t(blockIdx.y) * GROUP_NORM_LANES + int(threadIdx.x) % GROUP_NORM_LANES) * N;
    return tile;
}

/* The tile's frame that this thread holds as its number k. */
__device__ inline int held_frame(int k)
{
    return int(threadIdx.x) / GROUP_NORM_LANES + k * GROUP_NORM_SLICES;
}

/* The sums over the slices of each channel's value, in all threads: sums is [pack's element][slice][lane], so that lanes
 * side by side use banks side by side. */
template <int N> struct group_norm_sums {
    float of[N][GROUP_NORM_SLICES][GROUP_NORM_LANES];
};

/* Strips of channels, a block each. */
static inline int64_t group_norm_strips(int64_t channels, enum dtype type)
{
    return divide_up(channels, GROUP_NORM_LANES * 16 / int64_t(dtype_size(type)));
}

template <int N> __device__ inline void sum_slices(float (&value)[N], group_norm_sums<N> &sums)
{
    int lane = int(threadIdx.x) % GROUP_NORM_LANES, slice = int(threadIdx.x) / GROUP_NORM_LANES;
    __syncthreads(); /* the sums of a call before this one have been read */
#pragma unroll
    for (int i = 0; i < N; i++)
        sums.of[i][slice][lane] = value[i];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < N; i++) {
        value[i] = 0;
#pragma unroll
        for (int s = 0; s < GROUP_NORM_SLICES; s++)
            value[i] += sums.of[i][s][lane];
    }
}

/* One number of each of the tile's channels, read once for all of its frames: first words of all packs, then second words if
 * there are any, so that lanes side by side use words side by side. */
template <int N> struct channel_room {
    float of[N / 4][GROUP_NORM_LANES * 4 + 16];
};

/* Puts value(channel) into the room, 0 past the last channel. The caller waits before it reads. */
template <int N, typename Value> __device__ inline void fill_room(channel_room<N> &room, int64_t channels, Value value)
{
    int c = int(threadIdx.x), first = int(blockIdx.y) * GROUP_NORM_LANES * N;
    if (c < GROUP_NORM_LANES * N)
        room.of[c % N / 4][c / N * 4 + c % 4] = first + c < channels ? value(first + c) : 0.0f;
}

/* The numbers of this thread's channels. */
template <int N> __device__ inline void read_room(float (&value)[N], const channel_room<N> &room)
{
#pragma unroll
    for (int w = 0; w < N / 4; w++) {
        float4 word = *reinterpret_cast<const float4 *>(&room.of[w][int(threadIdx.x) % GROUP_NORM_LANES * 4]);
        value[4 * w] = word.x, value[4 * w + 1] = word.y, value[4 * w + 2] = word.z, value[4 * w + 3] = word.w;
    }
}

/* Writes a number of each of the tile's channels, which the threads of slice 0 have, to `to` [C]: by way of the room, so that
 * threads side by side write side by side. */
template <int N>
__device__ inline void store_channels(float *to, int64_t channels, const float (&value)[N], channel_room<N> &room)
{
    int c = int(threadIdx.x), first = int(blockIdx.y) * GROUP_NORM_LANES * N;
    __syncthreads(); /* what was in the room has been read */
#pragma unroll
    for (int i = 0; i < N; i++)
        if (c < GROUP_NORM_LANES)
            room.of[i / 4][c * 4 + i % 4] = value[i];
    __syncthreads();
    if (c < GROUP_NORM_LANES * N && first + c < channels)
        to[first + c] = room.of[c % N / 4][c / N * 4 + c % 4];
}

/* What normalises the tile's channels: the group's mean and rstd, weight and bias. */
template <int N> struct channel_rooms {
    channel_room<N> mean, rstd, weight, bias;
};

template <typename T, int N, typename Norm>
__device__ inline void fill_rooms(channel_rooms<N> &rooms, const Norm &p, const float *means, const float *rstds,
                                  int64_t b)
{
    int width = int(p.channels / p.groups);
    fill_room(rooms.mean, p.channels, [&](int c) { return means[b * p.groups + c / width]; });
    fill_room(rooms.rstd, p.channels, [&](int c) { return rstds[b * p.groups + c / width]; });
    fill_room(rooms.weight, p.channels, [&](int c) { return load_element(static_cast<const T *>(p.weight), c); });
    fill_room(rooms.bias, p.channels, [&](int c) { return load_element(static_cast<const T *>(p.bias), c); });
}

/* Likewise, a thread's. */
template <int N> struct channel_pack {
    float mean[N], rstd[N], weight[N], bias[N];

    __device__ void read(const channel_rooms<N> &rooms)
    {
        read_room(mean, rooms.mean);
        read_room(rstd, rooms.rstd);
        read_room(weight, rooms.weight);
        read_room(bias, rooms.bias);
    }
};

#endif
