/* Convolution of each channel by itself (FCPE's kernel of 31): no product of matrices, a lane is a channel. A block computes up to
 * 512 frames of 32 channels; the frames of x that they see lie in shared memory in f32, and so do the weights, turned so
 * that those of a tap lie side by side. A thread keeps the sums of eight frames in registers over the taps. So x is read
 * (frames + extent - 1) / frames times. Kernels whose frames do not fit stay with the general convolution. */
#ifndef SPIRITLM_KERNELS_CUDA_CONV1D_DEPTHWISE_CUH
#define SPIRITLM_KERNELS_CUDA_CONV1D_DEPTHWISE_CUH

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/conv1d.cuh"

enum {
    DEPTHWISE_THREADS = 256,
    DEPTHWISE_HELD = 8,                                          /* frames of a thread at a time */
    DEPTHWISE_LEAST = DEPTHWISE_THREADS / WARP * DEPTHWISE_HELD, /* frames of a block: at least, */
    DEPTHWISE_MOST = 512,                                        /* and at most */
    DEPTHWISE_ROWS = 99 * 1024 / (WARP * (int)sizeof(float)),    /* of shared memory: of frames and taps together */
};

/* Frames of a block, by the shape without its frames; 0: the convolution is none for this kernel. */
static inline int64_t depthwise_frames(const struct conv1d_forward *p)
{
    const int64_t room = DEPTHWISE_ROWS - p->kernel - (p->kernel - 1) * p->dilation - 1;
    const int64_t frames = room < 0 ? 0 : (room / p->stride + 1) / DEPTHWISE_LEAST * DEPTHWISE_LEAST;
    if (p->groups != p->channels || p->groups != p->output_channels || p->groups == 1)
        return 0;
    return frames < DEPTHWISE_MOST ? frames : DEPTHWISE_MOST;
}

/* Rows of shared memory that a block of so many frames needs. */
static inline int64_t depthwise_rows(const struct conv1d_forward *p, int64_t frames)
{
    return (frames - 1) * p->stride + (p->kernel - 1) * p->dilation + 1 + p->kernel;
}

/* What comes after the sum of one channel of a frame of the row. */
template <typename T>
static __device__ inline void depthwise_finish(const struct conv1d_forward &p, int64_t index, int64_t channel, float v)
{
    if (p.bias)
        v += load_element(static_cast<const T *>(p.bias), channel);
    if (p.pre_activation)
        store_element(static_cast<T *>(p.pre_activation), index, v);
    v = activated(v, p.activation, p.slope);
    if (p.residual)
        v += load_element(static_cast<const T *>(p.residual), index);
    store_element(static_cast<T *>(p.output), index, v);
}

/* Where the weight of tap k and lane `lane` lies: lanes of one tap, and taps of one lane, in different banks. */
static __device__ inline int64_t depthwise_place(int64_t k, int64_t lane)
{
    return k * WARP + (lane ^ (k % WARP));
}

/* The weights and window[row][lane]; 0 where there is no such channel or frame. */
template <typename T>
static __device__ inline void depthwise_load(const struct conv1d_forward &p, int64_t b, int64_t first, int64_t rows,
                                             int64_t length, int64_t channel, float *weights, float *window)
{
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    const bool exists = channel + lane < p.channels;
    const T *x = static_cast<const T *>(p.x) + b * p.x_batch_stride + channel + lane;
    const float slope = p.input_activation == ACTIVATION_LEAKY_RELU ? p.input_slope : 0.0f;
    for (int64_t row = warp; row < rows; row += DEPTHWISE_THREADS / WARP) {
        float value = 0;
        if (exists && (uint64_t)(first + row) < (uint64_t)length)
            value = load_element(x, (first + row) * p.x_row_stride);
        if (p.input_activation != ACTIVATION_NONE && value <= 0.0f)
            value = slope == 0.0f ? 0.0f : value * slope;
        window[row * WARP + lane] = value;
    }
    /* neighbours in memory are the taps of a channel, so lanes take taps */
    const T *weight = static_cast<const T *>(p.weight) + channel * p.kernel;
    const int64_t count = min((int64_t)WARP, p.channels - channel) * p.kernel;
    for (int64_t i = threadIdx.x; i < WARP * p.kernel; i += DEPTHWISE_THREADS)
        weights[depthwise_place(i % p.kernel, i / p.kernel)] = i < count ? load_element(weight, i) : 0.0f;
}

template <typename T>
static __global__ void __launch_bounds__(DEPTHWISE_THREADS)
    depthwise_kernel(const struct conv1d_forward p, int64_t block_frames, struct cuda_fault *fault)
{
    extern __shared__ __align__(128) unsigned char memory[];
    float *weights = reinterpret_cast<float *>(memory), *window = weights + p.kernel * WARP;
    const int64_t across = (p.channels + WARP - 1) / WARP, down = (p.output_frames + block_frames - 1) / block_frames;
    const int64_t channel = blockIdx.x % across * WARP, first = blockIdx.x / across % down * block_frames;
    const int64_t b = blockIdx.x / across / down, length = conv1d_row_frames(p, b, fault, CUDA_conv1d_forward);
    const int64_t rows = min(block_frames, p.output_frames - first);
    const int64_t valid = min(rows, conv1d_row_outputs(p, length) - first);
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    const int64_t start = b * p.output_batch_stride + first * p.output_row_stride + channel + lane;
    if (valid > 0)
        depthwise_load<T>(p, b, first * p.stride - p.padding_left,
                          (valid - 1) * p.stride + (p.kernel - 1) * p.dilation + 1, length, channel, weights, window);
    __syncthreads();
    if (channel + lane >= p.channels)
        return;
    for (int64_t t = warp * DEPTHWISE_HELD; t < rows; t += DEPTHWISE_LEAST) {
        float sums[DEPTHWISE_HELD] = {0};
        const int held = (int)min((int64_t)DEPTHWISE_HELD, max(valid - t, (int64_t)0));
        const float *from = window + t * p.stride * WARP + lane;
        for (int64_t k = 0; held > 0 && k < p.kernel; k++) {
            const float weight = weights[depthwise_place(k, lane)];
#pragma unroll
            for (int i = 0; i < DEPTHWISE_HELD; i++)
                if (i < held)
                    sums[i] = fmaf(from[(i * p.stride + k * p.dilation) * WARP], weight, sums[i]);
        }
#pragma unroll
        for (int i = 0; i < DEPTHWISE_HELD; i++) {
            const int64_t index = start + (t + i) * p.output_row_stride;
            if (i < held) {
                depthwise_finish<T>(p, index, channel + lane, sums[i]);
            } else if (t + i < rows) {
                store_element(static_cast<T *>(p.output), index, 0.0f);
                if (p.pre_activation)
                    store_element(static_cast<T *>(p.pre_activation), index, 0.0f);
            }
        }
    }
}

template <typename T>
static enum status depthwise_run(const struct device_context *context, const struct conv1d_forward *p, int64_t frames)
{
    const int64_t blocks = p->batch * divide_up(p->output_frames, frames) * divide_up(p->channels, WARP);
    /* fewer rows than frames would need where there are fewer frames */
    const int64_t rows = depthwise_rows(p, p->output_frames < frames ? p->output_frames : frames);
    return launch_tensor(context, "conv1d_forward", depthwise_kernel<T>, blocks, DEPTHWISE_THREADS,
                         (int)(rows * WARP * (int64_t)sizeof(float)), *p, frames, cuda_fault_word(context));
}

#endif
