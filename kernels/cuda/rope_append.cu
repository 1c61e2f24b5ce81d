/* Queries rotated in place, keys rotated into the cache, values copied there: one block per token. */
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/rope.cuh"

enum { THREADS = 256 };

template <typename T>
__global__ void __launch_bounds__(THREADS) rope_append_kernel(struct rope_append p, struct cuda_fault *fault)
{
    int64_t n = blockIdx.x, position = p.positions[n], row = p.rows[n], half = p.head_size / 2;
    int64_t positions = min(p.cache.capacity, p.table_positions), width = p.kv_heads * p.head_size;
    if (!index_fits(fault, CUDA_rope_append, CUDA_FAULT_POSITION, n, p.tokens, position, 0, positions) ||
        !index_fits(fault, CUDA_rope_append, CUDA_FAULT_ROW, n, p.tokens, row, 0, p.cache.rows))
        return;
    const float *cosine = p.cosine + position * half, *sine = p.sine + position * half;    /* [D/2] */
    T *query = static_cast<T *>(p.query) + n * p.query_row_stride;                         /* [H][D] */
    const T *key_value = static_cast<const T *>(p.key_value) + n * p.key_value_row_stride; /* [2][G][D] */
    T *place = static_cast<T *>(p.cache.memory) + row * p.cache.row_stride + position * 2 * width;
    rotate_heads(query, query, p.heads, p.head_size, cosine, sine, 1.0f);
    rotate_heads(place, key_value, p.kv_heads, p.head_size, cosine, sine, 1.0f);
    for (int64_t c = int64_t(threadIdx.x) * PACK; c < width; c += int64_t(blockDim.x) * PACK)
        copy_pack(place + width + c, key_value + width + c, width - c);
}

extern "C" enum status cuda_rope_append(const struct device_context *context, const struct rope_append *p)
{
    int threads = block_threads(p->heads * divide_up(p->head_size / 2, PACK), THREADS);
    auto kernel = p->type == DTYPE_F32 ? rope_append_kernel<float> : rope_append_kernel<cuda_bfloat16>;
    return launch(context, "rope_append", kernel, p->tokens, 1, threads, *p, cuda_fault_word(context));
}
