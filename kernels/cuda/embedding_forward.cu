/* The embedding table read: one block copies the row of one token, a pack per thread, bit by bit. */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256 };

template <typename T>
__global__ void __launch_bounds__(THREADS)
    embedding_forward_kernel(struct embedding_forward p, struct cuda_fault *fault)
{
    int64_t n = blockIdx.x, id = p.ids[n];
    if (!index_fits(fault, CUDA_embedding_forward, CUDA_FAULT_ID, n, p.tokens, id, 0, p.rows))
        return;
    const T *source = static_cast<const T *>(p.table) + id * p.channels; /* [C] */
    T *destination = static_cast<T *>(p.output) + n * p.channels;        /* [C] */
    for (int64_t c = int64_t(threadIdx.x) * PACK; c < p.channels; c += int64_t(blockDim.x) * PACK)
        copy_pack(destination + c, source + c, p.channels - c);
}

extern "C" enum status cuda_embedding_forward(const struct device_context *context, const struct embedding_forward *p)
{
    int threads = block_threads(divide_up(p->channels, PACK), THREADS);
    auto kernel = p->type == DTYPE_F32 ? embedding_forward_kernel<float> : embedding_forward_kernel<__nv_bfloat16>;
    return launch(context, "embedding_forward", kernel, p->tokens, 1, threads, *p, cuda_fault_word(context));
}
