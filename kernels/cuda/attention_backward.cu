/* Attention's gradients, with the probabilities computed again from log_sum_exp (Dao et al. 2022, appendix B), in passes that
 * need no atomics: delta = sum over d of output * grad_output of each query; the gradients of keys and values, where a block
 * owns a few keys and goes through the queries of its group that see any of them; the gradients of queries, where a block owns
 * a few queries and goes through the keys that they see. Scores are computed in both passes, 7 products for 5. */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_tensor.h"

/* Rows per warp: the block's two arrays of rows fit 32 KiB. */
template <int CHUNKS> struct backward_rows {
    enum { ROWS = CHUNKS <= 2 ? 4 : 2, BLOCK_ROWS = ROWS * ATTENTION_WARPS, STRIDE = CHUNKS * CHUNK };
};

enum { DELTA_THREADS = 256, DELTA_WARPS = DELTA_THREADS / WARP };

/* Where row b's query or key `i` of a head lies; also its gradient. */
__device__ static int64_t query_index(const struct attention_forward &f, int64_t b, int64_t i, int64_t h)
{
    return b * f.query_batch_stride + i * f.query_row_stride + h * f.head_size;
}
__device__ static int64_t output_index(const struct attention_forward &f, int64_t b, int64_t i, int64_t h)
{
    return b * f.output_batch_stride + i * f.output_row_stride + h * f.head_size;
}
__device__ static int64_t key_index(const struct attention_forward &f, int64_t b, int64_t i, int64_t kv)
{
    return b * f.key_batch_stride + i * f.key_row_stride + kv * f.head_size;
}
__device__ static int64_t value_index(const struct attention_forward &f, int64_t b, int64_t i, int64_t kv)
{
    return b * f.value_batch_stride + i * f.value_row_stride + kv * f.head_size;
}

/* One warp per query and head. delta is [B][H][T]. */
template <typename T>
__global__ void __launch_bounds__(DELTA_THREADS)
    delta_kernel(struct attention_backward p, float *delta, struct cuda_fault *fault)
{
    const struct attention_forward &f = p.forward;
    int64_t index = int64_t(blockIdx.x) * DELTA_WARPS + threadIdx.x / WARP;
    if (index >= f.batch * f.heads * f.query_length)
        return;
    int64_t i = index % f.query_length, h = index / f.query_length % f.heads, b = index / f.query_length / f.heads;
    int lane = int(threadIdx.x) % WARP;
    if (h == 0 && lane == 0)
        check_query(f, CUDA_attention_backward, b, i, fault);
    const T *output = static_cast<const T *>(f.output) + output_index(f, b, i, h);        /* [D] */
    const T *gradient = static_cast<const T *>(p.grad_output) + output_index(f, b, i, h); /* [D] */
    float sum = 0;
    for (int d = lane; d < f.head_size; d += WARP)
        sum = fmaf(load_element(output, d), load_element(gradient, d), sum);
    sum = warp_sum(sum);
    if (lane == 0)
        delta[index] = sum;
}

/* The probability of a score, and what it makes of the probability's gradient. */
struct score_gradient {
    float probability, score;
};
__device__ static struct score_gradient softmax_backward(bool sees, float score, float grad_probability,
                                                         float log_sum_exp, float delta)
{
    struct score_gradient result = {0, 0}; /* also where something not seen is NaN */
    if (sees) {
        result.probability = expf(score - log_sum_exp);
        result.score = result.probability * (grad_probability - delta);
    }
    return result;
}

/* The queries of row b that see any of the keys [first, end): [start, end) of queries. */
__device__ static struct key_range queries_of(const struct attention_forward &f, int64_t b, int64_t first, int64_t end)
{
    struct key_range queries = {f.bidirectional ? 0 : first, f.query_length};
    if (!f.starts)
        return queries;
    /* starts do not decrease: the first query that begins behind the last key */
    int64_t low = queries.start, high = f.query_length;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (f.starts[b * f.query_length + middle] < end)
            low = middle + 1;
        else
            high = middle;
    }
    queries.end = low;
    return queries;
}

/* Adds what the queries [first, first + count) of head h give to the gradients of this warp's keys. */
template <typename T, int CHUNKS, int ROWS>
__device__ static void add_queries(const struct attention_backward &p, const float *delta, const float *keys,
                                   const float *values, float *tile, int64_t b, int64_t h, int64_t first, int count,
                                   int64_t key, float (&grad_key)[ROWS][CHUNKS * HALVES],
                                   float (&grad_value)[ROWS][CHUNKS * HALVES])
{
    const struct attention_forward &f = p.forward;
    int size = int(f.head_size);
    int64_t i = first + threadIdx.x % WARP, statistics = (b * f.heads + h) * f.query_length + i;
    bool exists = i < first + count;
    struct columns<T> queries = {
        static_cast<const T *>(f.query) + query_index(f, b, first, h), f.query_row_stride, count, size, f.scale
    };
    struct columns<T> gradients = {
        static_cast<const T *>(p.grad_output) + output_index(f, b, first, h), f.output_row_stride, count, size, 1.0f
    };
    struct key_range seen = {0, 0};
    if (exists)
        seen = query_keys(f, row_keys(f, b), b, i);
    float log_sum_exp = exists ? f.log_sum_exp[statistics] : 0.0f, shift = exists ? delta[statistics] : 0.0f;
    float score[ROWS], slope[ROWS];
    multiply_columns<ROWS, CHUNKS>(score, keys, tile, queries);
    multiply_columns<ROWS, CHUNKS>(slope, values, tile, gradients);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        bool sees = key + r >= seen.start && key + r < seen.end;
        struct score_gradient gradient = softmax_backward(sees, score[r], slope[r], log_sum_exp, shift);
        score[r] = gradient.probability;
        slope[r] = gradient.score;
    }
    add_columns<ROWS, CHUNKS>(grad_value, score, tile, gradients);
    add_columns<ROWS, CHUNKS>(grad_key, slope, tile, queries);
}

template <typename T, int CHUNKS>
__global__ void __launch_bounds__(ATTENTION_THREADS, ATTENTION_BLOCKS)
    key_kernel(struct attention_backward p, const float *delta /* [B][H][T] */)
{
    enum { ROWS = backward_rows<CHUNKS>::ROWS, BLOCK_ROWS = backward_rows<CHUNKS>::BLOCK_ROWS };
    enum { STRIDE = backward_rows<CHUNKS>::STRIDE };
    __shared__ float keys[BLOCK_ROWS * STRIDE], values[BLOCK_ROWS * STRIDE], tile[WARP * CHUNK_STRIDE];
    const struct attention_forward &f = p.forward;
    int64_t index = blockIdx.x, kv = index % f.kv_heads, b = index / f.kv_heads % f.batch;
    int64_t first_key = index / f.kv_heads / f.batch * BLOCK_ROWS, group = f.heads / f.kv_heads;
    int size = int(f.head_size), count = int(min(f.key_length - first_key, int64_t(BLOCK_ROWS)));
    int read = int(max(int64_t(0), min(int64_t(count), row_keys(f, b) - first_key))); /* the others get gradient 0 */
    int first_row = int(threadIdx.x) / WARP * ROWS;
    load_rows<BLOCK_ROWS, CHUNKS>(keys, static_cast<const T *>(f.key) + key_index(f, b, first_key, kv),
                                  f.key_row_stride, read, size, 1.0f);
    load_rows<BLOCK_ROWS, CHUNKS>(values, static_cast<const T *>(f.value) + value_index(f, b, first_key, kv),
                                  f.value_row_stride, read, size, 1.0f);
    float grad_key[ROWS][CHUNKS * HALVES], grad_value[ROWS][CHUNKS * HALVES];
    clear_sums(grad_key);
    clear_sums(grad_value);
    struct key_range queries = queries_of(f, b, first_key, first_key + count);
    for (int64_t h = kv * group; h < (kv + 1) * group; h++)
        for (int64_t first = queries.start / WARP * WARP; first < queries.end; first += WARP)
            add_queries<T, CHUNKS, ROWS>(p, delta, keys + first_row * STRIDE, values + first_row * STRIDE, tile, b, h,
                                         first, int(min(queries.end - first, int64_t(WARP))), first_key + first_row,
                                         grad_key, grad_value);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        if (first_row + r >= count)
            continue;
        int64_t key = first_key + first_row + r;
        store_row(static_cast<T *>(p.grad_key) + key_index(f, b, key, kv), grad_key[r], size, 1.0f);
        store_row(static_cast<T *>(p.grad_value) + value_index(f, b, key, kv), grad_value[r], size, 1.0f);
    }
}

/* Adds what the keys [first, first + count) give to the gradients of this warp's queries. */
template <typename T, int CHUNKS, int ROWS>
__device__ static void add_keys(const struct attention_forward &f, const float *queries, const float *gradients,
                                float *tile, int64_t b, int64_t kv, int64_t first, int count,
                                const struct key_range (&seen)[ROWS], const float (&log_sum_exp)[ROWS],
                                const float (&delta)[ROWS], float (&grad_query)[ROWS][CHUNKS * HALVES])
{
    int size = int(f.head_size);
    int64_t key = first + threadIdx.x % WARP;
    struct columns<T> keys = {
        static_cast<const T *>(f.key) + key_index(f, b, first, kv), f.key_row_stride, count, size, 1.0f
    };
    struct columns<T> values = {
        static_cast<const T *>(f.value) + value_index(f, b, first, kv), f.value_row_stride, count, size, 1.0f
    };
    float score[ROWS], slope[ROWS];
    multiply_columns<ROWS, CHUNKS>(score, queries, tile, keys);
    multiply_columns<ROWS, CHUNKS>(slope, gradients, tile, values);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        bool sees = key >= seen[r].start && key < seen[r].end;
        slope[r] = softmax_backward(sees, score[r], slope[r], log_sum_exp[r], delta[r]).score;
    }
    add_columns<ROWS, CHUNKS>(grad_query, slope, tile, keys);
}

template <typename T, int CHUNKS>
__global__ void __launch_bounds__(ATTENTION_THREADS, ATTENTION_BLOCKS)
    query_kernel(struct attention_backward p, int64_t blocks, const float *all_delta /* [B][H][T] */)
{
    enum { ROWS = backward_rows<CHUNKS>::ROWS, BLOCK_ROWS = backward_rows<CHUNKS>::BLOCK_ROWS };
    enum { STRIDE = backward_rows<CHUNKS>::STRIDE };
    __shared__ float queries[BLOCK_ROWS * STRIDE], gradients[BLOCK_ROWS * STRIDE], tile[WARP * CHUNK_STRIDE];
    const struct attention_forward &f = p.forward;
    int64_t index = blockIdx.x, h = index % f.heads, b = index / f.heads % f.batch, kv = h / (f.heads / f.kv_heads);
    int64_t first_query = (blocks - 1 - index / f.heads / f.batch) * BLOCK_ROWS; /* the longest ranges first */
    int size = int(f.head_size), count = int(min(f.query_length - first_query, int64_t(BLOCK_ROWS)));
    int first_row = int(threadIdx.x) / WARP * ROWS;
    load_rows<BLOCK_ROWS, CHUNKS>(queries, static_cast<const T *>(f.query) + query_index(f, b, first_query, h),
                                  f.query_row_stride, count, size, f.scale);
    load_rows<BLOCK_ROWS, CHUNKS>(gradients, static_cast<const T *>(p.grad_output) + output_index(f, b, first_query, h),
                                  f.output_row_stride, count, size, 1.0f);
    float grad_query[ROWS][CHUNKS * HALVES], log_sum_exp[ROWS], delta[ROWS];
    struct key_range seen[ROWS];
    clear_sums(grad_query);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        int64_t i = first_query + min(first_row + r, count - 1), statistics = (b * f.heads + h) * f.query_length + i;
        seen[r] = query_keys(f, row_keys(f, b), b, i);
        log_sum_exp[r] = f.log_sum_exp[statistics];
        delta[r] = all_delta[statistics];
    }
    int64_t start = query_keys(f, row_keys(f, b), b, first_query).start;
    int64_t end = query_keys(f, row_keys(f, b), b, first_query + count - 1).end;
    for (int64_t first = start / WARP * WARP; first < end; first += WARP)
        add_keys<T, CHUNKS, ROWS>(f, queries + first_row * STRIDE, gradients + first_row * STRIDE, tile, b, kv, first,
                                  int(min(end - first, int64_t(WARP))), seen, log_sum_exp, delta, grad_query);
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (first_row + r < count)
            store_row(static_cast<T *>(p.grad_query) + query_index(f, b, first_query + first_row + r, h), grad_query[r],
                      size, f.scale);
}

template <typename T, int CHUNKS>
static enum status run_passes(const struct device_context *context, const struct attention_backward *p, float *delta)
{
    static const char *const name = "attention_backward";
    const struct attention_forward *f = &p->forward;
    int64_t blocks = divide_up(f->query_length, backward_rows<CHUNKS>::BLOCK_ROWS); /* as many of keys as of queries */
    enum status result =
        launch(context, name, delta_kernel<T>, divide_up(f->batch * f->heads * f->query_length, DELTA_WARPS), 1,
               DELTA_THREADS, *p, delta, cuda_fault_word(context));
    if (result == STATUS_OK)
        result = launch(context, name, key_kernel<T, CHUNKS>, blocks * f->batch * f->kv_heads, 1, ATTENTION_THREADS, *p,
                        delta);
    if (result == STATUS_OK)
        result = launch(context, name, query_kernel<T, CHUNKS>, blocks * f->batch * f->heads, 1, ATTENTION_THREADS, *p,
                        blocks, delta);
    return result;
}

static enum status run_tensor_passes(const struct device_context *context, const struct attention_backward *p,
                                     struct query_statistics *statistics)
{
    enum status result = attention_backward_tensor_statistics(context, p, statistics);
    if (result == STATUS_OK)
        result = attention_backward_tensor_keys(context, p, statistics);
    if (result == STATUS_OK)
        result = attention_backward_tensor_queries(context, p, statistics);
    return result;
}

static enum status choose(const struct device_context *context, const struct attention_backward *p, float *delta)
{
    int64_t size = p->forward.head_size;
    if (p->forward.type == DTYPE_BF16)
        return run_passes<cuda_bfloat16, MOST_CHUNKS>(context, p, delta);
    return size <= CHUNK       ? run_passes<float, 1>(context, p, delta)
           : size <= 2 * CHUNK ? run_passes<float, 2>(context, p, delta)
                               : run_passes<float, MOST_CHUNKS>(context, p, delta);
}

extern "C" enum status cuda_attention_backward(const struct device_context *context, const struct attention_backward *p)
{
    if (attention_backward_tensor_fits(p))
        return run_tensor_passes(context, p, static_cast<struct query_statistics *>(context->scratch));
    return choose(context, p, static_cast<float *>(context->scratch));
}
