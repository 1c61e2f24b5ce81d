/* The gated linear unit in one pass: a run of channels of a row per block, a pack per thread of either half. */
#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

template <typename T, int N> __global__ void __launch_bounds__(THREADS) glu_kernel(struct glu p)
{
    int64_t n = blockIdx.x, c = (int64_t(blockIdx.y) * blockDim.x + threadIdx.x) * N, count = p.channels - c;
    if (count <= 0)
        return;
    const T *x = static_cast<const T *>(p.x) + n * 2 * p.channels; /* [2][C] */
    float value[N], gate[N];
    load_pack(value, x + c, count);
    load_pack(gate, x + p.channels + c, count);
#pragma unroll
    for (int i = 0; i < N; i++)
        value[i] *= sigmoid(gate[i]);
    store_pack(static_cast<T *>(p.output) + n * p.channels + c, value, count); /* of [N][C] */
}

/* In packs of 16 bytes where rows consist of such and lie on such boundaries, else channel by channel. */
template <typename T> static enum status choose(const struct device_context *context, const struct glu *p)
{
    constexpr int N = pack_size<T>::count;
    bool whole = p->channels % N == 0 && lies_on(p->x, 16) && lies_on(p->output, 16);
    int64_t packs = whole ? p->channels / N : p->channels;
    int threads = block_threads(packs, THREADS);
    return launch(context, "glu", whole ? glu_kernel<T, N> : glu_kernel<T, 1>, p->rows, divide_up(packs, threads),
                  threads, *p);
}

extern "C" enum status cuda_glu(const struct device_context *context, const struct glu *p)
{
    return p->type == DTYPE_F32 ? choose<float>(context, p) : choose<cuda_bfloat16>(context, p);
}
