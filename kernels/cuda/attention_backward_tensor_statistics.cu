/* What the passes of attention's backward on tensor cores need of each query (attention_backward_tensor.cuh): its log-sum-exp in
 * powers of two, and delta = sum(dO * O). D / 8 threads read a query's two rows, 16 bytes of each a thread. Starts and lengths
 * are checked here, before the other passes use them. */
#include "kernels/cuda/attention_backward_tensor.cuh"
#include <math_constants.h>

enum { THREADS = 256 };

template <int D> struct cut {
    static constexpr int LANES = D == 96 ? 16 : D / CHUNK,
                         ROWS = THREADS / LANES; /* lanes of a query, a power of two */
};

/* Whether what lies in device memory may be used by the passes that follow. */
static __device__ inline void check_indices(const struct attention_forward &p, struct cuda_fault *fault, int64_t b,
                                            int64_t query)
{
    const int64_t index = b * p.query_length + query;
    if (p.starts)
        index_fits(fault, CUDA_attention_backward, CUDA_FAULT_START, index, p.query_length, p.starts[index],
                   query > 0 ? p.starts[index - 1] : 0, INT64_MAX);
    if (p.key_lengths && query == 0)
        index_fits(fault, CUDA_attention_backward, CUDA_FAULT_LENGTH, b, p.batch, p.key_lengths[b], 0,
                   p.key_length + 1);
}

/* The sum of the products of 8 elements of each. */
static __device__ inline float multiply_chunks(const cuda_bfloat16 *a, const cuda_bfloat16 *b)
{
    const uint4 left = *reinterpret_cast<const uint4 *>(a), right = *reinterpret_cast<const uint4 *>(b);
    const uint32_t words[2][4] = {{left.x, left.y, left.z, left.w}, {right.x, right.y, right.z, right.w}};
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) { /* a bf16 is the upper half of an f32 */
        sum = fmaf(__uint_as_float(words[0][i] << 16), __uint_as_float(words[1][i] << 16), sum);
        sum = fmaf(__uint_as_float(words[0][i] & 0xffff0000u), __uint_as_float(words[1][i] & 0xffff0000u), sum);
    }
    return sum;
}

/* Grid: blocks of queries fastest, then heads, then rows of the batch. */
template <int D>
static __global__ void __launch_bounds__(THREADS)
    attention_backward_statistics_kernel(const struct attention_backward q, struct query_statistics *statistics,
                                         struct cuda_fault *fault)
{
    constexpr int LANES = cut<D>::LANES, ROWS = cut<D>::ROWS;
    const struct attention_forward &p = q.forward;
    const uint32_t blocks = (uint32_t)((p.query_length + ROWS - 1) / ROWS), rows = blockIdx.x / blocks;
    const int64_t head = rows % (uint32_t)p.heads, b = rows / (uint32_t)p.heads;
    const int64_t query = (int64_t)(blockIdx.x % blocks) * ROWS + threadIdx.x / LANES;
    const int chunk = (int)threadIdx.x % LANES;
    const bool exists = query < p.query_length;
    float delta = 0;
    if (exists && chunk < D / CHUNK) {
        const int64_t first = b * p.output_batch_stride + query * p.output_row_stride + head * D + chunk * CHUNK;
        delta = multiply_chunks(static_cast<const cuda_bfloat16 *>(p.output) + first,
                                static_cast<const cuda_bfloat16 *>(q.grad_output) + first);
    }
#pragma unroll
    for (int distance = LANES / 2; distance > 0; distance /= 2)
        delta += __shfl_xor_sync(FULL_WARP, delta, distance);
    if (!exists || chunk > 0)
        return;
    if (head == 0)
        check_indices(p, fault, b, query);
    const int64_t index = (b * p.heads + head) * p.query_length + query;
    statistics[index] = {p.log_sum_exp[index] * CUDART_L2E_F, delta};
}

template <int D>
static enum status run(const struct device_context *context, const struct attention_backward *q,
                       struct query_statistics *statistics)
{
    constexpr int ROWS = cut<D>::ROWS;
    const struct attention_forward *p = &q->forward;
    return launch_tensor(context, "attention_backward", attention_backward_statistics_kernel<D>,
                         (p->query_length + ROWS - 1) / ROWS * p->batch * p->heads, THREADS, 0, *q, statistics,
                         cuda_fault_word(context));
}

enum status attention_backward_tensor_statistics(const struct device_context *context,
                                                 const struct attention_backward *q,
                                                 struct query_statistics *statistics)
{
    switch (q->forward.head_size) {
    case 32:
        return run<32>(context, q, statistics);
    case 64:
        return run<64>(context, q, statistics);
    case 96:
        return run<96>(context, q, statistics);
    default:
        return run<128>(context, q, statistics);
    }
}
