/* Each row's samples shifted and scaled to mean 0 and variance 1, in two kernels: mean and squares about it of every tile of
 * 8,192 samples, which stay in registers between the two; then each block of the output joins its row's tiles, in the same
 * order whichever block it is. Statistics are in double. */
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/moments.cuh"

enum { THREADS = 256, TOGETHER = 4 /* samples in 16 bytes */, HELD = WAVEFORM_TILE / (THREADS * TOGETHER) };

/* The row's samples; 0 where its length is a fault. */
__device__ static int64_t row_samples(const struct waveform_normalise &p, int64_t b)
{
    int64_t length = p.lengths ? p.lengths[b] : p.samples;
    return length < 0 || length > p.samples ? 0 : length;
}

__device__ static int64_t held_sample(int k)
{
    return int64_t(int(threadIdx.x) + k * THREADS) * TOGETHER;
}

__global__ void __launch_bounds__(THREADS)
    waveform_measure_kernel(struct waveform_normalise p, struct moments *partial /* [B][tiles] */,
                            struct cuda_fault *fault)
{
    int64_t tiles = int64_t(gridDim.x) / p.batch, b = int64_t(blockIdx.x) / tiles;
    int64_t first = int64_t(blockIdx.x) % tiles * WAVEFORM_TILE, count = row_samples(p, b) - first;
    if (p.lengths && threadIdx.x == 0)
        index_fits(fault, CUDA_waveform_normalise, CUDA_FAULT_LENGTH, b, p.batch, p.lengths[b], 0, p.samples + 1);
    count = count < 0 ? 0 : min(count, int64_t(WAVEFORM_TILE));
    const float *x = p.x + b * p.x_stride + first;
    float value[HELD][TOGETHER];
    double sum = 0, squares = 0;
#pragma unroll
    for (int k = 0; k < HELD; k++) {
        load_pack(value[k], x + held_sample(k), count - held_sample(k));
#pragma unroll
        for (int i = 0; i < TOGETHER; i++)
            sum += double(value[k][i]);
    }
    double mean = count > 0 ? block_sum(sum) / double(count) : 0;
#pragma unroll
    for (int k = 0; k < HELD; k++)
#pragma unroll
        for (int i = 0; i < TOGETHER; i++) {
            double v = held_sample(k) + i < count ? double(value[k][i]) - mean : 0;
            squares = fma(v, v, squares);
        }
    squares = block_sum(squares);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = moments{double(count), mean, squares};
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    waveform_output_kernel(struct waveform_normalise p, const struct moments *partial /* [B][tiles] */)
{
    __shared__ double mean, scale;
    int64_t tiles = int64_t(gridDim.x) / p.batch, b = int64_t(blockIdx.x) / tiles;
    int64_t first = int64_t(blockIdx.x) % tiles * WAVEFORM_TILE, count = row_samples(p, b) - first;
    int64_t all = min(p.samples - first, int64_t(WAVEFORM_TILE));
    if (threadIdx.x < WARP) {
        struct moments row = {0, 0, 0};
        for (int64_t i = threadIdx.x; i < tiles; i += WARP)
            moments_join(&row, partial[b * tiles + i]);
        row = moments_join_warp(row);
        if (threadIdx.x == 0) {
            mean = row.mean;
            scale = row.count > 0 ? 1 / sqrt(row.squares / row.count + p.epsilon) : 0;
        }
    }
    __syncthreads();
    const float *x = p.x + b * p.x_stride + first;
    T *output = static_cast<T *>(p.output) + b * p.output_stride + first;
#pragma unroll
    for (int k = 0; k < HELD; k++) {
        float value[TOGETHER];
        if (held_sample(k) >= all)
            break;
        load_pack(value, x + held_sample(k), count - held_sample(k));
#pragma unroll
        for (int i = 0; i < TOGETHER; i++)
            value[i] = held_sample(k) + i < count ? float((double(value[i]) - mean) * scale) : 0.0f;
        store_pack(output + held_sample(k), value, all - held_sample(k));
    }
}

extern "C" enum status cuda_waveform_normalise(const struct device_context *context, const struct waveform_normalise *p)
{
    static const char *const name = "waveform_normalise";
    struct moments *partial = static_cast<struct moments *>(context->scratch);
    int64_t blocks = p->batch * waveform_tiles(p->samples);
    enum status result =
        launch(context, name, waveform_measure_kernel, blocks, 1, THREADS, *p, partial, cuda_fault_word(context));
    auto output = p->type == DTYPE_F32 ? waveform_output_kernel<float> : waveform_output_kernel<cuda_bfloat16>;
    return result == STATUS_OK ? launch(context, name, output, blocks, 1, THREADS, *p, partial) : result;
}
