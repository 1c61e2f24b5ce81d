/* RMSNorm's gradients. A block takes a piece of the rows, one after the other, and keeps of each what it read until the row's
 * gradient is written; the weight and the sums of the weight's gradient stay with their columns from row to row, so everything is
 * read once (rows.cuh). The sums of the pieces go to scratch, and a second kernel adds them in a fixed order: so many chains,
 * then the chains one after the other. Rows too long to be kept are passed over twice, and their weight's gradient comes first,
 * because grad_sum may take the place of grad_output. */
#include "kernels/cuda/rows.cuh"

enum { COLUMN_THREADS = 64, COLUMNS = COLUMN_THREADS * PACK, CHAINS = 8, CHAIN_COLUMNS = WARP };

/* ---- rows that are kept ---- */

template <typename T, int N> struct kept_row {
    row_part<T, N> sum, gradient, residual;

    __device__ void load(const struct rmsnorm_backward &p, int64_t n)
    {
        sum.load(static_cast<const T *>(p.sum) + n * p.channels, p.channels);
        gradient.load(static_cast<const T *>(p.grad_output) + n * p.channels, p.channels);
        if (p.grad_residual)
            residual.load(static_cast<const T *>(p.grad_residual) + n * p.channels, p.channels);
        else
            residual.clear();
    }

    /* Adds to the weight's gradient; returns this thread's part of the sum of grad_output * weight * normalised value. */
    __device__ float add(float (&total)[N], const row_weight<T, N> &weight, float rstd) const
    {
        float dot = 0, factor[N];
        weight.get(factor);
#pragma unroll
        for (int i = 0; i < N; i++) {
            float normalised = sum.get(i) * rstd, g = gradient.get(i);
            total[i] = fmaf(g, rounded<T>(normalised), total[i]);
            dot = fmaf(normalised, g * factor[i], dot);
        }
        return dot;
    }

    /* grad_sum = rstd * (grad_output * weight - normalised value * mean) + grad_residual */
    __device__ void store(T *grad_sum, const row_weight<T, N> &weight, float rstd, float mean, int64_t channels) const
    {
        float result[N];
        weight.get(result);
#pragma unroll
        for (int i = 0; i < N; i++)
            result[i] = (gradient.get(i) * result[i] - sum.get(i) * rstd * mean) * rstd + residual.get(i);
        store_pack(grad_sum + row_place<N>(), result, channels - row_place<N>());
    }
};

/* Writes a block's totals. */
template <int N> __device__ static void store_totals(float *row, const float (&total)[N], int64_t channels)
{
    store_pack(row + row_place<N>(), total, channels - row_place<N>());
}
/* Eight in f32 are two words, and each lane's two lie side by side: lanes exchange them, so that each of the warp's two stores
 * covers whole sectors. */
__device__ static void store_totals(float *row, const float (&total)[2 * pack_size<float>::count], int64_t channels)
{
    constexpr int HALF = pack_size<float>::count;
    int lane = int(threadIdx.x) % WARP;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float value[HALF];
#pragma unroll
        for (int i = 0; i < HALF; i++) {
            int source = half * WARP / 2 + lane / 2;
            float low = __shfl_sync(FULL_WARP, total[i], source);
            float high = __shfl_sync(FULL_WARP, total[HALF + i], source);
            value[i] = lane % 2 == 0 ? low : high;
        }
        int64_t c = int64_t(threadIdx.x - lane) * 2 * HALF + (half * WARP + lane) * HALF;
        store_pack(row + c, value, channels - c);
    }
}

template <typename T, int N>
__global__ void __launch_bounds__(ROW_THREADS)
    kept_rows_kernel(struct rmsnorm_backward p, int64_t piece_rows, float *partial /* [pieces][C] */)
{
    __shared__ row_weight<T, N> weight;
    int64_t first = int64_t(blockIdx.x) * piece_rows, end = min(first + piece_rows, p.rows);
    float total[N] = {0};
    weight.load(static_cast<const T *>(p.weight), p.channels);
    for (int64_t n = first; n < end; n++) {
        kept_row<T, N> row;
        row.load(p, n);
        float rstd = p.rstd[n], mean = block_sum(row.add(total, weight, rstd)) / float(p.channels);
        row.store(static_cast<T *>(p.grad_sum) + n * p.channels, weight, rstd, mean, p.channels);
    }
    store_totals(partial + int64_t(blockIdx.x) * p.channels, total, p.channels);
}

/* grad_weight = (what is there, or 0) + the sum over the pieces: chain k adds pieces k, k + CHAINS, ... */
__global__ void __launch_bounds__(CHAINS *CHAIN_COLUMNS)
    weight_kernel(struct rmsnorm_backward p, int64_t pieces, const float *partial /* [pieces][C] */)
{
    __shared__ float sums[CHAINS][CHAIN_COLUMNS];
    int lane = int(threadIdx.x) % CHAIN_COLUMNS, chain = int(threadIdx.x) / CHAIN_COLUMNS;
    int64_t column = int64_t(blockIdx.x) * CHAIN_COLUMNS + lane;
    float total = 0;
    if (column < p.channels) {
#pragma unroll 8
        for (int64_t piece = chain; piece < pieces; piece += CHAINS)
            total += partial[piece * p.channels + column];
    }
    sums[chain][lane] = total;
    __syncthreads();
    if (chain != 0 || column >= p.channels)
        return;
#pragma unroll
    for (int k = 1; k < CHAINS; k++)
        total += sums[k][lane];
    p.grad_weight[column] = p.overwrite ? total : p.grad_weight[column] + total;
}

/* ---- longer rows ---- */

/* partial[piece][c] = sum over the piece's rows of grad_output * (normalised value, rounded to its type) */
template <typename T>
__global__ void __launch_bounds__(COLUMN_THREADS)
    weight_piece_kernel(struct rmsnorm_backward p, int64_t piece_rows, float *partial /* [pieces][C] */)
{
    int64_t column = int64_t(blockIdx.y) * COLUMNS + int64_t(threadIdx.x) * PACK;
    if (column >= p.channels)
        return;
    int64_t first = int64_t(blockIdx.x) * piece_rows, end = min(first + piece_rows, p.rows);
    float total[PACK] = {0};
    for (int64_t n = first; n < end; n++) {
        float value[PACK], gradient[PACK], rstd = p.rstd[n];
        load_pack(value, static_cast<const T *>(p.sum) + n * p.channels + column, p.channels - column);
        load_pack(gradient, static_cast<const T *>(p.grad_output) + n * p.channels + column, p.channels - column);
#pragma unroll
        for (int i = 0; i < PACK; i++)
            total[i] = fmaf(gradient[i], rounded<T>(value[i] * rstd), total[i]);
    }
    store_pack(partial + int64_t(blockIdx.x) * p.channels + column, total, p.channels - column);
}

/* The sum over this thread's elements of grad_output * weight * normalised value. */
template <typename T>
__device__ static float dot_row(const T *sum, const T *weight, const T *grad_output, float rstd, int64_t channels)
{
    float dot = 0;
    for (int64_t c = int64_t(threadIdx.x) * PACK; c < channels; c += int64_t(blockDim.x) * PACK) {
        float value[PACK], factor[PACK], gradient[PACK];
        load_pack(value, sum + c, channels - c);
        load_pack(factor, weight + c, channels - c);
        load_pack(gradient, grad_output + c, channels - c);
#pragma unroll
        for (int i = 0; i < PACK; i++)
            dot = fmaf(value[i] * rstd, gradient[i] * factor[i], dot);
    }
    return dot;
}

template <typename T> __global__ void __launch_bounds__(ROW_THREADS) long_row_kernel(struct rmsnorm_backward p)
{
    int64_t n = blockIdx.x, row = n * p.channels;
    const T *sum = static_cast<const T *>(p.sum) + row, *weight = static_cast<const T *>(p.weight); /* [C] */
    const T *grad_output = static_cast<const T *>(p.grad_output) + row;                             /* [C] */
    const T *residual = p.grad_residual ? static_cast<const T *>(p.grad_residual) + row : nullptr;  /* [C] */
    T *grad_sum = static_cast<T *>(p.grad_sum) + row;                                               /* [C] */
    float rstd = p.rstd[n];
    float mean = block_sum(dot_row(sum, weight, grad_output, rstd, p.channels)) / float(p.channels);
    for (int64_t c = int64_t(threadIdx.x) * PACK; c < p.channels; c += int64_t(blockDim.x) * PACK) {
        float value[PACK], factor[PACK], result[PACK], other[PACK] = {0};
        load_pack(value, sum + c, p.channels - c);
        load_pack(factor, weight + c, p.channels - c);
        load_pack(result, grad_output + c, p.channels - c);
        if (residual)
            load_pack(other, residual + c, p.channels - c);
#pragma unroll
        for (int i = 0; i < PACK; i++)
            result[i] = (result[i] * factor[i] - value[i] * rstd * mean) * rstd + other[i];
        store_pack(grad_sum + c, result, p.channels - c);
    }
}

/* ---- the choice ---- */

static const char *const name = "rmsnorm_backward";

template <typename T, int N>
static enum status run_rows(const struct device_context *context, const struct rmsnorm_backward *p, float *partial)
{
    int64_t packs = divide_up(p->channels, N);
    if (packs <= ROW_THREADS)
        return launch(context, name, kept_rows_kernel<T, N>, norm_pieces(p->rows), 1, block_threads(packs, ROW_THREADS),
                      *p, norm_piece_rows(p->rows), partial);
    enum status result = launch(context, name, weight_piece_kernel<T>, norm_pieces(p->rows),
                                divide_up(p->channels, COLUMNS), COLUMN_THREADS, *p, norm_piece_rows(p->rows), partial);
    if (result == STATUS_OK)
        result = launch(context, name, long_row_kernel<T>, p->rows, 1, int(ROW_THREADS), *p);
    return result;
}

template <typename T>
static enum status choose(const struct device_context *context, const struct rmsnorm_backward *p, float *partial)
{
    return row_pack<T>(p->channels) == 1 ? run_rows<T, 1>(context, p, partial)
                                         : run_rows<T, pack_size<T>::count>(context, p, partial);
}

extern "C" enum status cuda_rmsnorm_backward(const struct device_context *context, const struct rmsnorm_backward *p)
{
    float *partial = static_cast<float *>(context->scratch);
    if (p->rows == 0 && !p->overwrite)
        return STATUS_OK;
    enum status result =
        p->type == DTYPE_F32 ? choose<float>(context, p, partial) : choose<cuda_bfloat16>(context, p, partial);
    if (result != STATUS_OK)
        return result;
    return launch(context, name, weight_kernel, divide_up(p->channels, CHAIN_COLUMNS), 1, int(CHAINS * CHAIN_COLUMNS),
                  *p, norm_pieces(p->rows), partial);
}
