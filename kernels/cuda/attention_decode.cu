/* One query per token against a cache of keys and values. A row's keys are cut into pieces by the cache's capacity alone, so
 * that few tokens still occupy a device; a block computes one piece for one key/value head and query heads of its group, and
 * leaves its maximum, its sum and its output, not yet divided. A second kernel combines the pieces in their order. Most
 * pieces are computed by tensor cores (attention_decode_tensor.cu) or with words of four elements
 * (attention_decode_lanes.cu); here is what fits neither, four heads a block, one per warp. */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_decode.cuh"

enum { COMBINE_THREADS = 128, COMBINE_WARPS = COMBINE_THREADS / WARP };

template <typename T>
__global__ void __launch_bounds__(ATTENTION_THREADS, ATTENTION_BLOCKS)
    piece_kernel(struct attention_decode p, struct decode_cut cut, struct cuda_fault *fault)
{
    constexpr int CHUNKS = MOST_CHUNKS;
    __shared__ float queries[ATTENTION_WARPS * CHUNKS * CHUNK], tile[WARP * CHUNK_STRIDE];
    struct decode_block block = decode_block_of(p, cut, ATTENTION_WARPS);
    int64_t width = p.kv_heads * p.head_size, start = block.piece * cut.piece_keys;
    int64_t end = min(token_keys(p, block.n, fault), start + cut.piece_keys);
    int size = int(p.head_size), warp = int(threadIdx.x) / WARP, lane = int(threadIdx.x) % WARP;
    if (start >= end)
        return;
    load_rows<ATTENTION_WARPS, CHUNKS>(
        queries, static_cast<const T *>(p.query) + block.n * p.query_row_stride + block.head * p.head_size, p.head_size,
        block.heads, size, p.scale);
    const T *keys =
        static_cast<const T *>(p.cache.memory) + p.rows[block.n] * p.cache.row_stride + block.kv * p.head_size;
    struct softmax softmax = {-INFINITY, 0};
    float output[1][CHUNKS * HALVES], score[1];
    clear_sums(output);
    for (int64_t first = start; first < end; first += WARP) {
        int count = int(min(end - first, int64_t(WARP)));
        struct columns<T> tile_keys = {
            keys + first * 2 * width, 2 * width, count, size, 1.0f
        };
        struct columns<T> tile_values = {
            keys + first * 2 * width + width, 2 * width, count, size, 1.0f
        };
        multiply_columns<1, CHUNKS>(score, queries + warp * CHUNKS * CHUNK, tile, tile_keys);
        score[0] = softmax_step(softmax, output[0], lane < count ? score[0] : -INFINITY);
        add_columns<1, CHUNKS>(output, score, tile, tile_values);
    }
    float sum = warp_sum(softmax.sum);
    if (warp >= block.heads)
        return;
    float *result = piece_of(p, cut, block.n, block.head + warp, block.piece); /* [D + 2] */
    store_row(result, output[0], size, 1.0f);
    if (lane == 0) {
        result[size] = softmax.largest;
        result[size + 1] = sum;
    }
}

/* One warp per token and head. */
template <typename T>
__global__ void __launch_bounds__(COMBINE_THREADS)
    combine_kernel(struct attention_decode p, struct decode_cut cut, struct cuda_fault *fault)
{
    int64_t index = int64_t(blockIdx.x) * COMBINE_WARPS + threadIdx.x / WARP, n = index / p.heads, h = index % p.heads;
    if (n >= p.tokens)
        return;
    int64_t length = token_keys(p, n, fault), pieces = (length + cut.piece_keys - 1) / cut.piece_keys;
    if (length < 0)
        return;
    int size = int(p.head_size);
    float largest = -INFINITY, total = 0;
    for (int64_t piece = 0; piece < pieces; piece++)
        largest = fmaxf(largest, piece_of(p, cut, n, h, piece)[size]);
    float shift = largest == -INFINITY ? 0.0f : largest;
    for (int64_t piece = 0; piece < pieces; piece++) {
        const float *result = piece_of(p, cut, n, h, piece); /* [D + 2] */
        total = fmaf(result[size + 1], exp2f(cut.exponent * (result[size] - shift)), total);
    }
    float inverse = total == 0 ? 0.0f : 1.0f / total; /* a token without keys: output 0 */
    T *output = static_cast<T *>(p.output) + n * p.output_row_stride + h * p.head_size; /* [D] */
    for (int d = int(threadIdx.x) % WARP; d < size; d += WARP) {
        float sum = 0;
        for (int64_t piece = 0; piece < pieces; piece++) {
            const float *result = piece_of(p, cut, n, h, piece);
            sum = fmaf(result[d], exp2f(cut.exponent * (result[size] - shift)), sum);
        }
        store_element(output, d, sum * inverse);
    }
}

extern "C" enum status cuda_attention_decode(const struct device_context *context, const struct attention_decode *p)
{
    struct cuda_fault *fault = cuda_fault_word(context);
    bool f32 = p->type == DTYPE_F32;
    struct decode_cut cut = {decode_pieces(p->cache.capacity), decode_piece_keys(p->cache.capacity),
                             divide_up(p->heads / p->kv_heads, ATTENTION_WARPS), 1.4426950408889634f,
                             static_cast<float *>(context->scratch)};
    enum status result;
    if (attention_decode_tensor_fits(p))
        result = attention_decode_tensor(context, p, &cut);
    else if (attention_decode_lanes_fit(p))
        result = attention_decode_lanes(context, p, &cut);
    else
        result = launch(context, "attention_decode", f32 ? piece_kernel<float> : piece_kernel<cuda_bfloat16>,
                        p->tokens * p->kv_heads * cut.parts * cut.pieces, 1, ATTENTION_THREADS, *p, cut, fault);
    if (result != STATUS_OK)
        return result;
    return launch(context, "attention_decode", f32 ? combine_kernel<float> : combine_kernel<cuda_bfloat16>,
                  divide_up(p->tokens * p->heads, COMBINE_WARPS), 1, COMBINE_THREADS, *p, cut, fault);
}
