/* Rotary positions in place, one block per token. */
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/rope.cuh"

enum { THREADS = 256 };

template <typename T> __global__ void __launch_bounds__(THREADS) rope_kernel(struct rope p, struct cuda_fault *fault)
{
    int64_t n = blockIdx.x, position = p.positions[n], half = p.head_size / 2;
    if (!index_fits(fault, CUDA_rope, CUDA_FAULT_POSITION, n, p.tokens, position, 0, p.table_positions))
        return;
    T *x = static_cast<T *>(p.x) + n * p.row_stride; /* [H][D] */
    rotate_heads(x, x, p.heads, p.head_size, p.cosine + position * half, p.sine + position * half, float(p.direction));
}

extern "C" enum status cuda_rope(const struct device_context *context, const struct rope *p)
{
    int threads = block_threads(p->heads * divide_up(p->head_size / 2, PACK), THREADS);
    auto kernel = p->type == DTYPE_F32 ? rope_kernel<float> : rope_kernel<__nv_bfloat16>;
    return launch(context, "rope", kernel, p->tokens, 1, threads, *p, cuda_fault_word(context));
}
