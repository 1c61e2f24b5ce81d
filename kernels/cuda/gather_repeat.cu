/* Rows of a table, each repeated: a block owns some frames, finds the token of each by bisection, one lane per frame, and
 * copies their rows bit by bit, a pack per thread. What the tokens say is checked by all blocks together, also for tokens without
 * a frame. */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256, FRAMES = WARP };

/* The first token that ends after the frame: one of them, whatever `ends` holds. */
__device__ inline int64_t token_of(const struct gather_repeat &p, int64_t frame)
{
    if (!p.ends)
        return min(frame / p.repeat, p.tokens - 1);
    int64_t low = 0, high = p.tokens - 1;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (p.ends[middle] > frame)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

__device__ inline void check_token(const struct gather_repeat &p, int64_t n, struct cuda_fault *fault)
{
    index_fits(fault, CUDA_gather_repeat, CUDA_FAULT_ID, n, p.tokens, p.ids[n], 0, p.rows);
    if (!p.ends)
        return;
    const int64_t low = n == p.tokens - 1 ? p.frames : n > 0 ? p.ends[n - 1] : 0;
    index_fits(fault, CUDA_gather_repeat, CUDA_FAULT_END, n, p.tokens, p.ends[n], low, p.frames + 1);
}

template <typename T, int N>
__global__ void __launch_bounds__(THREADS) gather_repeat_kernel(struct gather_repeat p, struct cuda_fault *fault)
{
    __shared__ int64_t rows[FRAMES];
    const int64_t first = int64_t(blockIdx.x) * FRAMES, packs = (p.channels + N - 1) / N;
    for (int64_t n = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; n < p.tokens; n += int64_t(gridDim.x) * blockDim.x)
        check_token(p, n, fault);
    if (threadIdx.x < FRAMES && first + threadIdx.x < p.frames) {
        const int64_t id = p.ids[token_of(p, first + threadIdx.x)];
        rows[threadIdx.x] = id >= 0 && id < p.rows ? id : -1; /* check_token has seen it */
    }
    __syncthreads();
    const int64_t frames = min(int64_t(FRAMES), p.frames - first);
    for (int64_t i = threadIdx.x; i < frames * packs; i += blockDim.x) {
        const int64_t t = i / packs, c = i % packs * N;
        if (rows[t] >= 0)
            copy_pack<N>(static_cast<T *>(p.output) + (first + t) * p.output_row_stride + c,
                         static_cast<const T *>(p.table) + rows[t] * p.channels + c, p.channels - c);
    }
}

template <typename T> static enum status choose(const struct device_context *context, const struct gather_repeat *p)
{
    constexpr int N = pack_size<T>::count;
    const bool whole =
        p->channels % N == 0 && p->output_row_stride % N == 0 && lies_on(p->table, 16) && lies_on(p->output, 16);
    return launch(context, "gather_repeat", whole ? gather_repeat_kernel<T, N> : gather_repeat_kernel<T, 1>,
                  divide_up(p->frames, FRAMES), 1, THREADS, *p, cuda_fault_word(context));
}

extern "C" enum status cuda_gather_repeat(const struct device_context *context, const struct gather_repeat *p)
{
    return p->type == DTYPE_F32 ? choose<float>(context, p) : choose<cuda_bfloat16>(context, p);
}
