/* The embedding's gradient without atomics. `order` lists the tokens by id, so those of one id form a run there, and one block adds
 * a run's gradients to some columns of their row of the table, in the order of the run.
 *
 * A first kernel looks at every place of the order and writes down its id; when anything is wrong, or two places are not in
 * order, the second does nothing, so that no two blocks ever meet in a row. The second gives CHUNK places to each block, whose threads own two or four columns
 * each and walk through the places: the gradients of all of them are asked for without waiting for sums, and so are the rows of the
 * table. The block in whose chunk a run begins follows it to its end, with more loads under way, because a long run is one
 * chain of additions whatever is done. */
#include "kernels/cuda/launch.cuh"

enum {
    THREADS = 128,
    CHUNK = 32,   /* places of a block's own */
    STAGED = 128, /* places whose tokens and ids the block knows at a time, one per thread */
    AHEAD = 16,   /* gradients of one run that are under way at once */
    MIXED = 4,    /* gradients that are under way at once where runs begin, with the rows of the table */
};

__global__ void __launch_bounds__(THREADS)
    ids_kernel(struct embedding_backward p, int32_t *sorted /* [N] */, struct cuda_fault *fault)
{
    int64_t at = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (at >= p.tokens)
        return;
    int64_t n = p.order[at];
    if (!index_fits(fault, CUDA_embedding_backward, CUDA_FAULT_ORDER, at, p.tokens, n, 0, p.tokens))
        return;
    int32_t id = p.ids[n];
    if (!index_fits(fault, CUDA_embedding_backward, CUDA_FAULT_ID, n, p.tokens, id, 0, p.rows))
        return;
    sorted[at] = id;
    int64_t before = at > 0 ? p.order[at - 1] : -1;
    int32_t its = before >= 0 && before < p.tokens ? p.ids[before] : -1; /* what is wrong there is found there */
    if (its >= 0 && its < p.rows && (its > id || (its == id && before >= n)))
        keep_fault(fault, CUDA_embedding_backward, CUDA_FAULT_UNSORTED, at, p.tokens, n, its, id, before);
}

/* Some places of the order: which token is there, and its id; -1 past the end. The whole block calls. */
struct stage {
    int32_t token[STAGED], id[STAGED];

    __device__ void fill(const struct embedding_backward &p, const int32_t *sorted, int64_t first)
    {
        __syncthreads(); /* nobody reads what was here before */
        int64_t at = first + threadIdx.x;
        token[threadIdx.x] = at < p.tokens ? p.order[at] : -1;
        id[threadIdx.x] = at < p.tokens ? sorted[at] : -1;
        __syncthreads();
    }
};

/* N columns of one thread, `count` of which exist. */
template <typename T, int N> struct columns {
    const T *gradients; /* [N tokens][C], from the first column on */
    float *table;       /* [rows][C], likewise */
    int64_t channels, count;
    float sum[N];
    int32_t id; /* of the run that is added up; -1: none */

    __device__ void flush()
    {
        if (id >= 0)
            store_pack(table + id * channels, sum, count);
    }

    /* Adds places [i, i + LOADS), all of the run that is being added up. */
    template <int LOADS> __device__ void add(const struct stage &stage, int i)
    {
        pack_words<T, N> gradient[LOADS];
#pragma unroll
        for (int k = 0; k < LOADS; k++)
            load_words(gradient[k], gradients + stage.token[i + k] * channels, count);
#pragma unroll
        for (int k = 0; k < LOADS; k++)
#pragma unroll
            for (int j = 0; j < N; j++)
                sum[j] += load_element(gradient[k].elements, j);
    }

    /* Adds places [i, i + LOADS), of which the last ones may not be among the first `end`; where an id differs from the one
     * before it, a run begins with what the table holds. */
    template <int LOADS> __device__ void add_mixed(const struct stage &stage, int i, int end)
    {
        pack_words<T, N> gradient[LOADS];
        float row[LOADS][N];
#pragma unroll
        for (int k = 0; k < LOADS; k++) {
            if (i + k >= end)
                continue;
            load_words(gradient[k], gradients + stage.token[i + k] * channels, count);
            if (stage.id[i + k] != (k == 0 ? id : stage.id[i + k - 1]))
                load_pack(row[k], table + stage.id[i + k] * channels, count);
        }
#pragma unroll
        for (int k = 0; k < LOADS; k++) {
            if (i + k >= end)
                continue;
            if (stage.id[i + k] != id) {
                flush();
                id = stage.id[i + k];
#pragma unroll
                for (int j = 0; j < N; j++)
                    sum[j] = row[k][j];
            }
#pragma unroll
            for (int j = 0; j < N; j++)
                sum[j] += load_element(gradient[k].elements, j);
        }
    }
};

template <typename T, int N>
__global__ void __launch_bounds__(THREADS)
    embedding_backward_kernel(struct embedding_backward p, const int32_t *sorted /* [N] */,
                              const struct cuda_fault *fault)
{
    __shared__ struct stage stage;
    if (fault->what != CUDA_FAULT_NONE)
        return;
    int64_t first = int64_t(blockIdx.x) * CHUNK, column = (int64_t(blockIdx.y) * THREADS + threadIdx.x) * N;
    int32_t before = first > 0 ? sorted[first - 1] : -1;
    columns<T, N> mine = {static_cast<const T *>(p.grad_output) + column,
                          p.grad_table + column,
                          p.channels,
                          p.channels - column,
                          {0},
                          -1};
    stage.fill(p, sorted, first);
    int i = 0, own = int(min(p.tokens - first, int64_t(CHUNK)));
    while (i < own && stage.id[i] == before) /* a run that began in an earlier chunk is that block's */
        i++;
    if (i == own)
        return;
    while (true) {
        /* within the chunk everything is this block's; behind it, what belongs to the chunk's last run */
        int32_t last = own > 0 ? stage.id[own - 1] : mine.id;
        int end = own;
        while (end < STAGED && stage.id[end] == last)
            end++;
        while (i < end)
            if (i + AHEAD <= end && stage.id[i] == mine.id && stage.id[i + AHEAD - 1] == mine.id) {
                mine.template add<AHEAD>(stage, i);
                i += AHEAD;
            } else {
                mine.template add_mixed<MIXED>(stage, i, end);
                i += MIXED;
            }
        if (end < STAGED)
            break;
        first += STAGED;
        stage.fill(p, sorted, first);
        i = own = 0;
    }
    mine.flush();
}

template <typename T> static enum status run(const struct device_context *context, const struct embedding_backward *p)
{
    static const char *const name = "embedding_backward";
    constexpr int N = int(8 / sizeof(T)); /* 8 bytes: a long run is read by more threads than with 16 */
    struct cuda_fault *fault = cuda_fault_word(context);
    int32_t *sorted = static_cast<int32_t *>(context->scratch);
    bool whole =
        p->channels % N == 0 && lies_on(p->grad_output, N * sizeof(T)) && lies_on(p->grad_table, N * sizeof(float));
    enum status result =
        launch(context, name, ids_kernel, divide_up(p->tokens, THREADS), 1, THREADS, *p, sorted, fault);
    if (result != STATUS_OK)
        return result;
    return launch(context, name, whole ? embedding_backward_kernel<T, N> : embedding_backward_kernel<T, 1>,
                  divide_up(p->tokens, CHUNK), divide_up(p->channels, THREADS * (whole ? N : 1)), THREADS, *p, sorted,
                  fault);
}

extern "C" enum status cuda_embedding_backward(const struct device_context *context, const struct embedding_backward *p)
{
    return p->type == DTYPE_F32 ? run<float>(context, p) : run<cuda_bfloat16>(context, p);
}
