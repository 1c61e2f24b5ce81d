/* The embedding's gradient without atomics: `order` lists the tokens by id, so that those of one id form a run there, and one
 * warp adds a run's gradients to 256 columns of their row of the table, in the order of the run. A warp that does not stand
 * at the beginning of a run has nothing to do. The run's tokens are fetched 32 at a time, one per lane, because each addition
 * would otherwise wait for two dependent loads. */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256, WARPS = THREADS / WARP, COLUMNS = WARP * PACK };

/* Token order[at], and in *id its id; -1 for both when there is no such place or what it holds is wrong. */
__device__ static int32_t token_at(const struct embedding_backward &p, int64_t at, int32_t *id,
                                   struct cuda_fault *fault)
{
    *id = -1;
    if (at < 0 || at >= p.tokens)
        return -1;
    int32_t n = p.order[at];
    if (!index_fits(fault, CUDA_embedding_backward, CUDA_FAULT_ORDER, at, p.tokens, n, 0, p.tokens))
        return -1;
    int32_t found = p.ids[n];
    if (!index_fits(fault, CUDA_embedding_backward, CUDA_FAULT_ID, n, p.tokens, found, 0, p.rows))
        return -1;
    *id = found;
    return n;
}

/* Adds the gradients of the run that begins at order[first], whose id is `run`, to sum. The whole warp calls. */
template <typename T>
__device__ static void add_run(const struct embedding_backward &p, int64_t first, int32_t run, int64_t column,
                               float (&sum)[PACK], struct cuda_fault *fault)
{
    const T *grad_output = static_cast<const T *>(p.grad_output); /* [N][C] */
    int lane = int(threadIdx.x) % WARP;
    for (int count = WARP; count == WARP; first += WARP) {
        int32_t id, n = token_at(p, first + lane, &id, fault);
        unsigned int others = __ballot_sync(FULL_WARP, n < 0 || id != run);
        count = others ? __ffs(int(others)) - 1 : WARP;
        for (int i = 0; i < count; i++) {
            int64_t token = __shfl_sync(FULL_WARP, n, i);
            float gradient[PACK];
            load_pack(gradient, grad_output + token * p.channels + column, p.channels - column);
#pragma unroll
            for (int j = 0; j < PACK; j++)
                sum[j] += gradient[j];
        }
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    embedding_backward_kernel(struct embedding_backward p, struct cuda_fault *fault)
{
    int64_t at = int64_t(blockIdx.x) * WARPS + threadIdx.x / WARP;
    if (at >= p.tokens)
        return;
    int32_t id, id_before, n = token_at(p, at, &id, fault), before = token_at(p, at - 1, &id_before, fault);
    /* what follows a wrong token may belong to the run before it, which another warp adds: it is left out */
    if (n < 0 || id == id_before || (at > 0 && before < 0))
        return;
    /* lanes past the last column stay, because the warp fetches tokens together */
    int64_t column = int64_t(blockIdx.y) * COLUMNS + int64_t(threadIdx.x % WARP) * PACK;
    column = column < p.channels ? column : p.channels;
    float *row = p.grad_table + int64_t(id) * p.channels + column; /* of [rows][C] */
    float sum[PACK];
    load_pack(sum, row, p.channels - column);
    add_run<T>(p, at, id, column, sum, fault);
    store_pack(row, sum, p.channels - column);
}

extern "C" enum status cuda_embedding_backward(const struct device_context *context, const struct embedding_backward *p)
{
    auto kernel = p->type == DTYPE_F32 ? embedding_backward_kernel<float> : embedding_backward_kernel<__nv_bfloat16>;
    return launch(context, "embedding_backward", kernel, divide_up(p->tokens, WARPS), divide_up(p->channels, COLUMNS),
                  THREADS, *p, cuda_fault_word(context));
}
