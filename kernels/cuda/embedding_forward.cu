/* The embedding table read: one block copies the row of one token, a pack per thread, bit by bit. */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

template <typename T, int N>
__global__ void __launch_bounds__(THREADS)
    embedding_forward_kernel(struct embedding_forward p, struct cuda_fault *fault)
{
    int64_t n = blockIdx.x, id = p.ids[n];
    if (!index_fits(fault, CUDA_embedding_forward, CUDA_FAULT_ID, n, p.tokens, id, 0, p.rows))
        return;
    const T *source = static_cast<const T *>(p.table) + id * p.channels; /* [C] */
    T *destination = static_cast<T *>(p.output) + n * p.channels;        /* [C] */
#pragma unroll 2
    for (int64_t c = int64_t(threadIdx.x) * N; c < p.channels; c += int64_t(blockDim.x) * N)
        copy_pack<N>(destination + c, source + c, p.channels - c);
}

template <typename T> static enum status choose(const struct device_context *context, const struct embedding_forward *p)
{
    constexpr int N = pack_size<T>::count;
    bool whole = p->channels % N == 0 && lies_on(p->table, 16) && lies_on(p->output, 16);
    int threads = block_threads(divide_up(p->channels, whole ? N : 1), THREADS);
    auto kernel = whole ? embedding_forward_kernel<T, N> : embedding_forward_kernel<T, 1>;
    return launch(context, "embedding_forward", kernel, p->tokens, 1, threads, *p, cuda_fault_word(context));
}

extern "C" enum status cuda_embedding_forward(const struct device_context *context, const struct embedding_forward *p)
{
    return p->type == DTYPE_F32 ? choose<float>(context, p) : choose<cuda_bfloat16>(context, p);
}
