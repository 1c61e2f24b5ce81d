/* GroupNorm over frames, with GELU after it, in four kernels: each channel's mean and squares about it over a block of 128
 * frames, whose values stay in registers between the two; a channel's over the row; a group's mean and rstd; and the
 * output. x is read twice, since its statistics come before its first output. */
#include "kernels/cuda/group_norm.cuh"
#include "kernels/cuda/moments.cuh"

/* Where the statistics lie in the scratch. */
struct statistics {
    double *channels;   /* [B][2][C]: mean and squares about it over a row */
    float *partial;     /* [B][blocks][2][C]: over a block of frames */
    float *mean, *rstd; /* [B][groups]: the caller's where it wants them */
};

static struct statistics place_statistics(const struct group_norm_forward *p, void *scratch)
{
    struct statistics s = {};
    s.channels = static_cast<double *>(scratch);
    s.partial = reinterpret_cast<float *>(s.channels + p->batch * 2 * p->channels);
    s.mean = s.partial + p->batch * group_norm_blocks(p->frames) * 2 * p->channels;
    s.rstd = s.mean + p->batch * p->groups;
    if (p->mean) {
        s.mean = p->mean;
        s.rstd = p->rstd;
    }
    return s;
}

template <typename T>
__global__ void __launch_bounds__(GROUP_NORM_THREADS)
    group_norm_block_kernel(struct group_norm_forward p, float *partial, struct cuda_fault *fault)
{
    constexpr int N = pack_size<T>::count;
    __shared__ group_norm_sums<N> sums;
    __shared__ channel_room<N> room;
    struct group_norm_tile tile = group_norm_tile<N>(p.batch, p.frames, p.lengths);
    if (p.lengths && threadIdx.x == 0)
        index_fits(fault, CUDA_group_norm_forward, CUDA_FAULT_LENGTH, tile.b, p.batch, p.lengths[tile.b], 0,
                   p.frames + 1);
    if (tile.frames == 0)
        return; /* the whole block */
    int64_t count = p.channels - tile.channel;
    const T *x = static_cast<const T *>(p.x) + (tile.b * p.frames + tile.first) * p.channels + tile.channel;
    float value[GROUP_NORM_HELD][N], mean[N] = {0}, squares[N] = {0};
#pragma unroll
    for (int k = 0; k < GROUP_NORM_HELD; k++) {
        load_pack(value[k], x + held_frame(k) * p.channels, held_frame(k) < tile.frames ? count : 0);
#pragma unroll
        for (int i = 0; i < N; i++)
            mean[i] += value[k][i];
    }
    sum_slices(mean, sums);
#pragma unroll
    for (int i = 0; i < N; i++)
        mean[i] /= float(tile.frames);
#pragma unroll
    for (int k = 0; k < GROUP_NORM_HELD; k++)
#pragma unroll
        for (int i = 0; i < N; i++) {
            float v = held_frame(k) < tile.frames ? value[k][i] - mean[i] : 0.0f;
            squares[i] = fmaf(v, v, squares[i]);
        }
    sum_slices(squares, sums);
    float *result = partial + int64_t(blockIdx.x) * 2 * p.channels;
    store_channels(result, p.channels, mean, room);
    store_channels(result + p.channels, p.channels, squares, room);
}

/* A channel's moments over its row: each part of the block joins its share of the blocks of frames, then the parts are joined
 * in order. */
__global__ void __launch_bounds__(GROUP_NORM_THREADS)
    group_norm_channel_kernel(struct group_norm_forward p, int64_t blocks, const float *partial, double *channels)
{
    __shared__ struct moments parts[GROUP_NORM_JOINS][GROUP_NORM_JOINED];
    int lane = int(threadIdx.x) % GROUP_NORM_JOINED, part = int(threadIdx.x) / GROUP_NORM_JOINED;
    int64_t b = blockIdx.x, c = int64_t(blockIdx.y) * GROUP_NORM_JOINED + lane,
            frames = row_frames(p.lengths, b, p.frames);
    struct moments total = {0, 0, 0};
    for (int64_t first = part * GROUP_NORM_FRAMES; c < p.channels && first < frames;
         first += GROUP_NORM_JOINS * GROUP_NORM_FRAMES) {
        const float *from = partial + (b * blocks + first / GROUP_NORM_FRAMES) * 2 * p.channels + c;
        moments_join(&total, moments{double(min(int64_t(GROUP_NORM_FRAMES), frames - first)), double(from[0]),
                                     double(from[p.channels])});
    }
    parts[part][lane] = total;
    __syncthreads();
    if (part > 0 || c >= p.channels)
        return;
    for (int i = 1; i < GROUP_NORM_JOINS; i++)
        moments_join(&total, parts[i][lane]);
    channels[b * 2 * p.channels + c] = total.mean;
    channels[(b * 2 + 1) * p.channels + c] = total.squares;
}

/* Mean and rstd of each group, a warp per group. */
__global__ void __launch_bounds__(GROUP_NORM_THREADS)
    group_norm_group_kernel(struct group_norm_forward p, struct statistics s)
{
    int64_t group = (int64_t(blockIdx.x) * GROUP_NORM_THREADS + threadIdx.x) / WARP; /* of [B][groups] */
    if (group >= p.batch * p.groups)
        return;
    int64_t b = group / p.groups, width = p.channels / p.groups, first = group % p.groups * width;
    double frames = double(row_frames(p.lengths, b, p.frames));
    const double *mean = s.channels + b * 2 * p.channels + first, *squares = mean + p.channels;
    struct moments total = {0, 0, 0};
    for (int64_t c = int(threadIdx.x) % WARP; c < width; c += WARP)
        moments_join(&total, moments{frames, mean[c], squares[c]});
    total = moments_join_warp(total);
    if (threadIdx.x % WARP != 0)
        return;
    float rstd = total.count > 0 ? float(1 / sqrt(total.squares / total.count + double(p.epsilon))) : 0.0f;
    s.mean[group] = float(total.mean);
    s.rstd[group] = rstd;
}

template <typename T>
__global__ void __launch_bounds__(GROUP_NORM_THREADS)
    group_norm_output_kernel(struct group_norm_forward p, const float *means, const float *rstds)
{
    constexpr int N = pack_size<T>::count;
    struct group_norm_tile tile = group_norm_tile<N>(p.batch, p.frames, p.lengths);
    int64_t count = p.channels - tile.channel, row = tile.b * p.frames + tile.first;
    __shared__ channel_rooms<N> rooms;
    fill_rooms<T>(rooms, p, means, rstds, tile.b);
    __syncthreads();
    if (count <= 0)
        return;
    const T *x = static_cast<const T *>(p.x) + row * p.channels + tile.channel;
    T *output = static_cast<T *>(p.output) + row * p.channels + tile.channel;
    struct channel_pack<N> pack;
    pack.read(rooms);
#pragma unroll 4
    for (int k = 0; k < GROUP_NORM_HELD; k++) {
        float value[N] = {0};
        if (tile.first + held_frame(k) >= p.frames)
            break;
        if (held_frame(k) < tile.frames) {
            load_pack(value, x + held_frame(k) * p.channels, count);
#pragma unroll
            for (int i = 0; i < N; i++) {
                float v = fmaf((value[i] - pack.mean[i]) * pack.rstd[i], pack.weight[i], pack.bias[i]);
                value[i] = activated(v, p.activation, p.slope);
            }
        }
        store_pack(output + held_frame(k) * p.channels, value, count);
    }
}

extern "C" enum status cuda_group_norm_forward(const struct device_context *context, const struct group_norm_forward *p)
{
    static const char *const name = "group_norm_forward";
    bool f32 = p->type == DTYPE_F32;
    struct statistics s = place_statistics(p, context->scratch);
    int64_t tiles = p->batch * group_norm_blocks(p->frames), strips = group_norm_strips(p->channels, p->type);
    if (tiles == 0)
        return STATUS_OK;
    enum status result =
        launch(context, name, f32 ? group_norm_block_kernel<float> : group_norm_block_kernel<cuda_bfloat16>, tiles,
               strips, GROUP_NORM_THREADS, *p, s.partial, cuda_fault_word(context));
    if (result == STATUS_OK)
        result = launch(context, name, group_norm_channel_kernel, p->batch, divide_up(p->channels, GROUP_NORM_JOINED),
                        GROUP_NORM_THREADS, *p, group_norm_blocks(p->frames), s.partial, s.channels);
    if (result == STATUS_OK)
        result = launch(context, name, group_norm_group_kernel,
                        divide_up(p->batch * p->groups * WARP, GROUP_NORM_THREADS), 1, GROUP_NORM_THREADS, *p, s);
    if (result == STATUS_OK)
        result = launch(context, name, f32 ? group_norm_output_kernel<float> : group_norm_output_kernel<cuda_bfloat16>,
                        tiles, strips, GROUP_NORM_THREADS, *p, s.mean, s.rstd);
    return result;
}
