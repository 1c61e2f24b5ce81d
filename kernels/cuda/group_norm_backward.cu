/* Gradients of GroupNorm, in five kernels. Of a block of frames each channel's sums of g and of g times the normalised value
 * are kept (g the gradient of what weight and bias give), then of a row; the parameters' gradients are their sums over the
 * rows, and a group's two means come from the same numbers times the weights; last the gradient of x. x and grad_output are
 * read twice, since those means come before the first result. */
#include "kernels/cuda/group_norm.cuh"

/* Where the sums lie in the scratch. */
struct sums_of {
    double *channels; /* [B][2][C]: sums over a row, of g * normal and of g */
    float *partial;   /* [B][blocks][2][C]: over a block of frames */
    float *mean;      /* [B][groups]: of g * weight */
    float *slope;     /* [B][groups]: of g * weight * normal */
};

static struct sums_of place_sums(const struct group_norm_backward *p, void *scratch)
{
    struct sums_of s = {};
    s.channels = static_cast<double *>(scratch);
    s.partial = reinterpret_cast<float *>(s.channels + p->batch * 2 * p->channels);
    s.mean = s.partial + p->batch * group_norm_blocks(p->frames) * 2 * p->channels;
    s.slope = s.mean + p->batch * p->groups;
    return s;
}

/* g and the normalised value of a frame, from its first of this thread's channels on. */
template <typename T, int N>
__device__ inline void load_gradient(float (&gradient)[N], float (&normal)[N], const struct channel_pack<N> &pack,
                                     const struct group_norm_backward &p, int64_t index, int64_t count)
{
    load_pack(normal, static_cast<const T *>(p.x) + index, count);
    load_pack(gradient, static_cast<const T *>(p.grad_output) + index, count);
#pragma unroll
    for (int i = 0; i < N; i++) {
        normal[i] = (normal[i] - pack.mean[i]) * pack.rstd[i];
        if (p.activation == ACTIVATION_GELU)
            gradient[i] *= gelu_slope(fmaf(normal[i], pack.weight[i], pack.bias[i]));
    }
}

template <typename T>
__global__ void __launch_bounds__(GROUP_NORM_THREADS)
    gradient_block_kernel(struct group_norm_backward p, float *partial, struct cuda_fault *fault)
{
    constexpr int N = pack_size<T>::count;
    __shared__ group_norm_sums<N> sums;
    __shared__ channel_rooms<N> rooms;
    struct group_norm_tile tile = group_norm_tile<N>(p.batch, p.frames, p.lengths);
    int64_t count = p.channels - tile.channel;
    struct channel_pack<N> pack = {
    };
    float dot[N] = {0}, sum[N] = {0};
    if (p.lengths && threadIdx.x == 0)
        index_fits(fault, CUDA_group_norm_backward, CUDA_FAULT_LENGTH, tile.b, p.batch, p.lengths[tile.b], 0,
                   p.frames + 1);
    fill_rooms<T>(rooms, p, p.mean, p.rstd, tile.b);
    __syncthreads();
    pack.read(rooms);
#pragma unroll 2
    for (int k = 0; k < GROUP_NORM_HELD && count > 0; k++) {
        float gradient[N], normal[N];
        if (held_frame(k) >= tile.frames)
            break;
        int64_t index = (tile.b * p.frames + tile.first + held_frame(k)) * p.channels + tile.channel;
        load_gradient<T>(gradient, normal, pack, p, index, count);
#pragma unroll
        for (int i = 0; i < N; i++) {
            dot[i] = fmaf(gradient[i], normal[i], dot[i]);
            sum[i] += gradient[i];
        }
    }
    sum_slices(dot, sums);
    sum_slices(sum, sums);
    float *result = partial + int64_t(blockIdx.x) * 2 * p.channels;
    store_channels(result, p.channels, dot, rooms.mean);
    store_channels(result + p.channels, p.channels, sum, rooms.mean);
}

/* The sums over those of a row's blocks that have frames of its own: each part of the block adds its share of them, then the
 * parts are added in order. */
__global__ void __launch_bounds__(GROUP_NORM_THREADS)
    gradient_channel_kernel(struct group_norm_backward p, int64_t blocks, const float *partial, double *channels)
{
    __shared__ double parts[GROUP_NORM_JOINS][GROUP_NORM_JOINED];
    int lane = int(threadIdx.x) % GROUP_NORM_JOINED, part = int(threadIdx.x) / GROUP_NORM_JOINED;
    int64_t b = blockIdx.x, column = int64_t(blockIdx.y) * GROUP_NORM_JOINED + lane, columns = 2 * p.channels;
    int64_t own = (row_frames(p.lengths, b, p.frames) + GROUP_NORM_FRAMES - 1) / GROUP_NORM_FRAMES;
    double total = 0;
    for (int64_t block = part; column < columns && block < own; block += GROUP_NORM_JOINS)
        total += double(partial[(b * blocks + block) * columns + column]);
    parts[part][lane] = total;
    __syncthreads();
    if (part > 0 || column >= columns)
        return;
    for (int i = 1; i < GROUP_NORM_JOINS; i++)
        total += parts[i][lane];
    channels[b * columns + column] = total;
}

/* The two means of each group, a warp per group. */
template <typename T>
__global__ void __launch_bounds__(GROUP_NORM_THREADS)
    gradient_group_kernel(struct group_norm_backward p, struct sums_of s)
{
    int64_t group = (int64_t(blockIdx.x) * GROUP_NORM_THREADS + threadIdx.x) / WARP; /* of [B][groups] */
    if (group >= p.batch * p.groups)
        return;
    int64_t b = group / p.groups, width = p.channels / p.groups, first = group % p.groups * width;
    double count = double(row_frames(p.lengths, b, p.frames) * width), dot = 0, sum = 0;
    for (int64_t c = first + int(threadIdx.x) % WARP; c < first + width; c += WARP) {
        double weight = double(load_element(static_cast<const T *>(p.weight), c));
        dot += s.channels[b * 2 * p.channels + c] * weight;
        sum += s.channels[(b * 2 + 1) * p.channels + c] * weight;
    }
    dot = warp_sum(dot);
    sum = warp_sum(sum);
    if (threadIdx.x % WARP != 0)
        return;
    s.mean[group] = count > 0 ? float(sum / count) : 0.0f;
    s.slope[group] = count > 0 ? float(dot / count) : 0.0f;
}

/* The gradients of weight and bias: the rows in order. */
__global__ void __launch_bounds__(GROUP_NORM_THREADS)
    gradient_parameter_kernel(struct group_norm_backward p, int64_t rows, const double *channels)
{
    int64_t column = int64_t(blockIdx.x) * GROUP_NORM_THREADS + threadIdx.x, columns = 2 * p.channels;
    if (column >= columns)
        return;
    double total = 0;
    for (int64_t b = 0; b < rows; b++)
        total += channels[b * columns + column];
    float *result = column < p.channels ? p.grad_weight + column : p.grad_bias + (column - p.channels);
    *result = p.overwrite ? float(total) : *result + float(total);
}

/* grad_x = (g * weight - mean - normal * slope) * rstd */
template <typename T>
__global__ void __launch_bounds__(GROUP_NORM_THREADS)
    gradient_result_kernel(struct group_norm_backward p, const float *means, const float *slopes)
{
    constexpr int N = pack_size<T>::count;
    struct group_norm_tile tile = group_norm_tile<N>(p.batch, p.frames, p.lengths);
    int64_t count = p.channels - tile.channel;
    __shared__ channel_rooms<N> rooms;
    __shared__ channel_room<N> mean_room, slope_room;
    int width = int(p.channels / p.groups);
    fill_rooms<T>(rooms, p, p.mean, p.rstd, tile.b);
    fill_room(mean_room, p.channels, [&](int c) { return means[tile.b * p.groups + c / width]; });
    fill_room(slope_room, p.channels, [&](int c) { return slopes[tile.b * p.groups + c / width]; });
    __syncthreads();
    if (count <= 0)
        return;
    struct channel_pack<N> pack;
    float mean[N], slope[N];
    pack.read(rooms);
    read_room(mean, mean_room);
    read_room(slope, slope_room);
#pragma unroll 2
    for (int k = 0; k < GROUP_NORM_HELD; k++) {
        float gradient[N], normal[N], result[N] = {0};
        if (tile.first + held_frame(k) >= p.frames)
            break;
        int64_t index = (tile.b * p.frames + tile.first + held_frame(k)) * p.channels + tile.channel;
        if (held_frame(k) < tile.frames) {
            load_gradient<T>(gradient, normal, pack, p, index, count);
#pragma unroll
            for (int i = 0; i < N; i++)
                result[i] = (gradient[i] * pack.weight[i] - mean[i] - normal[i] * slope[i]) * pack.rstd[i];
        }
        store_pack(static_cast<T *>(p.grad_x) + index, result, count);
    }
}

extern "C" enum status cuda_group_norm_backward(const struct device_context *context,
                                                const struct group_norm_backward *p)
{
    static const char *const name = "group_norm_backward";
    bool f32 = p->type == DTYPE_F32;
    int64_t tiles = p->batch * group_norm_blocks(p->frames), strips = group_norm_strips(p->channels, p->type);
    int64_t columns = 2 * p->channels, groups = divide_up(p->batch * p->groups * WARP, GROUP_NORM_THREADS);
    struct sums_of s = place_sums(p, context->scratch);
    enum status result = STATUS_OK;
    if (tiles == 0 && !p->overwrite)
        return STATUS_OK;
    if (tiles > 0) {
        result = launch(context, name, f32 ? gradient_block_kernel<float> : gradient_block_kernel<cuda_bfloat16>, tiles,
                        strips, GROUP_NORM_THREADS, *p, s.partial, cuda_fault_word(context));
        if (result == STATUS_OK)
            result = launch(context, name, gradient_channel_kernel, p->batch, divide_up(columns, GROUP_NORM_JOINED),
                            GROUP_NORM_THREADS, *p, group_norm_blocks(p->frames), s.partial, s.channels);
        if (result == STATUS_OK)
            result = launch(context, name, f32 ? gradient_group_kernel<float> : gradient_group_kernel<cuda_bfloat16>,
                            groups, 1, GROUP_NORM_THREADS, *p, s);
    }
    if (result == STATUS_OK)
        result = launch(context, name, gradient_parameter_kernel, divide_up(columns, GROUP_NORM_THREADS), 1,
                        GROUP_NORM_THREADS, *p, tiles > 0 ? p->batch : 0, s.channels);
    if (result == STATUS_OK)
        result = launch(context, name, f32 ? gradient_result_kernel<float> : gradient_result_kernel<cuda_bfloat16>,
                        tiles, strips, GROUP_NORM_THREADS, *p, s.mean, s.slope);
    return result;
}
