/* Attention by tiles with a running softmax (Milakov and Gimelshein 2018; Dao et al. 2022). A block owns a few queries of one
 * head, four per warp, and goes through the keys that any of them sees in tiles of 32 that begin at multiples of 32 from key
 * 0; so the bits of a query's output do not depend on the queries beside it. The blocks with the longest ranges come first. */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_tensor.h"

enum { ROWS = 4, BLOCK_ROWS = ROWS * ATTENTION_WARPS };

/* Which queries a block owns: [first, first + count) of head h of row b. */
struct place {
    int64_t b, h, first;
    int count;
};

__device__ static struct place place_of(const struct attention_forward &p, int64_t blocks)
{
    int64_t index = blockIdx.x, h = index % p.heads, b = index / p.heads % p.batch;
    int64_t first = (blocks - 1 - index / p.heads / p.batch) * BLOCK_ROWS;
    struct place place = {b, h, first, int(min(p.query_length - first, int64_t(BLOCK_ROWS)))};
    return place;
}

/* Divides by the sums and stores this warp's rows. */
template <typename T, int COUNT>
__device__ static void finish_rows(const struct attention_forward &p, const struct place &at,
                                   const struct softmax (&softmax)[ROWS], const float (&output)[ROWS][COUNT])
{
    int first_row = int(threadIdx.x) / WARP * ROWS;
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        if (first_row + r >= at.count)
            continue;
        int64_t i = at.first + first_row + r;
        T *destination = static_cast<T *>(p.output) + at.b * p.output_batch_stride + i * p.output_row_stride +
                         at.h * p.head_size; /* [D] */
        float sum = warp_sum(softmax[r].sum);
        store_row(destination, output[r], int(p.head_size), sum == 0 ? 0.0f : 1.0f / sum);
        if (p.log_sum_exp && threadIdx.x % WARP == 0)
            p.log_sum_exp[(at.b * p.heads + at.h) * p.query_length + i] =
                float(double(softmax[r].largest) + log(double(sum)));
    }
}

template <typename T, int CHUNKS>
__global__ void __launch_bounds__(ATTENTION_THREADS, ATTENTION_BLOCKS)
    attention_forward_kernel(struct attention_forward p, int64_t blocks, struct cuda_fault *fault)
{
    __shared__ float queries[BLOCK_ROWS * CHUNKS * CHUNK], tile[WARP * CHUNK_STRIDE];
    struct place at = place_of(p, blocks);
    int64_t keys = row_keys(p, at.b), kv = at.h / (p.heads / p.kv_heads);
    int size = int(p.head_size), warp = int(threadIdx.x) / WARP, lane = int(threadIdx.x) % WARP;
    if (at.h == 0 && int(threadIdx.x) < at.count)
        check_query(p, CUDA_attention_forward, at.b, at.first + threadIdx.x, fault);
    load_rows<BLOCK_ROWS, CHUNKS>(queries,
                                  static_cast<const T *>(p.query) + at.b * p.query_batch_stride +
                                      at.first * p.query_row_stride + at.h * p.head_size,
                                  p.query_row_stride, at.count, size, p.scale);
    struct softmax softmax[ROWS];
    struct key_range seen[ROWS];
    float output[ROWS][CHUNKS * HALVES], scores[ROWS];
    clear_sums(output);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        softmax[r].largest = -INFINITY;
        softmax[r].sum = 0;
        seen[r] = query_keys(p, keys, at.b, at.first + min(warp * ROWS + r, at.count - 1));
    }
    const T *key = static_cast<const T *>(p.key) + at.b * p.key_batch_stride + kv * p.head_size;
    const T *value = static_cast<const T *>(p.value) + at.b * p.value_batch_stride + kv * p.head_size;
    /* starts and ends do not decrease, so the first query's start and the last one's end bound the block's range */
    int64_t start = query_keys(p, keys, at.b, at.first).start;
    int64_t end = query_keys(p, keys, at.b, at.first + at.count - 1).end;
    for (int64_t first = start / WARP * WARP; first < end; first += WARP) {
        int count = int(min(end - first, int64_t(WARP)));
        struct columns<T> tile_keys = {
            key + first *p.key_row_stride, p.key_row_stride, count, size, 1.0f
        };
        struct columns<T> tile_values = {
            value + first *p.value_row_stride, p.value_row_stride, count, size, 1.0f
        };
        multiply_columns<ROWS, CHUNKS>(scores, queries + warp * ROWS * CHUNKS * CHUNK, tile, tile_keys);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            bool sees = first + lane >= seen[r].start && first + lane < seen[r].end;
            scores[r] = softmax_step(softmax[r], output[r], sees ? scores[r] : -INFINITY);
        }
        add_columns<ROWS, CHUNKS>(output, scores, tile, tile_values);
    }
    finish_rows<T>(p, at, softmax, output);
}

static auto choose(enum dtype type, int64_t head_size)
{
    if (type == DTYPE_BF16)
        return attention_forward_kernel<cuda_bfloat16, MOST_CHUNKS>;
    return head_size <= CHUNK       ? attention_forward_kernel<float, 1>
           : head_size <= 2 * CHUNK ? attention_forward_kernel<float, 2>
                                    : attention_forward_kernel<float, MOST_CHUNKS>;
}

extern "C" enum status cuda_attention_forward(const struct device_context *context, const struct attention_forward *p)
{
    if (attention_tensor_fits(p))
        return attention_forward_tensor(context, p);
    int64_t blocks = divide_up(p->query_length, BLOCK_ROWS);
    return launch(context, "attention_forward", choose(p->type, p->head_size), blocks * p->batch * p->heads, 1,
                  ATTENTION_THREADS, *p, blocks, cuda_fault_word(context));
}
