/* RMSNorm's gradients, in three kernels: the weight's gradient from each piece of rows, a thread holding the sums of its
 * columns; their sum over the pieces, in order; and the gradient of each row, one block per row. The weight comes first,
 * because grad_sum may take the place of grad_output. */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 256, COLUMN_THREADS = 64, COLUMNS = COLUMN_THREADS * PACK };

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

/* grad_weight = (what is there, or 0) + the sum over the pieces in their order */
__global__ void __launch_bounds__(THREADS)
    weight_kernel(struct rmsnorm_backward p, int64_t pieces, const float *partial /* [pieces][C] */)
{
    int64_t column = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (column >= p.channels)
        return;
    float total = 0;
#pragma unroll 8
    for (int64_t piece = 0; piece < pieces; piece++)
        total += partial[piece * p.channels + column];
    p.grad_weight[column] = p.overwrite ? total : p.grad_weight[column] + total;
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

/* grad_sum = rstd * (grad_output * weight - normalised value * mean) + grad_residual */
template <typename T> __global__ void __launch_bounds__(THREADS) row_kernel(struct rmsnorm_backward p)
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

extern "C" enum status cuda_rmsnorm_backward(const struct device_context *context, const struct rmsnorm_backward *p)
{
    static const char *const name = "rmsnorm_backward";
    float *partial = static_cast<float *>(context->scratch);
    bool f32 = p->type == DTYPE_F32;
    if (p->rows == 0 && !p->overwrite)
        return STATUS_OK;
    enum status result = launch(context, name, f32 ? weight_piece_kernel<float> : weight_piece_kernel<__nv_bfloat16>,
                                norm_pieces(p->rows), divide_up(p->channels, COLUMNS), COLUMN_THREADS, *p,
                                norm_piece_rows(p->rows), partial);
    if (result == STATUS_OK)
        result = launch(context, name, weight_kernel, divide_up(p->channels, THREADS), 1, THREADS, *p,
                        norm_pieces(p->rows), partial);
    if (result == STATUS_OK)
        result = launch(context, name, f32 ? row_kernel<float> : row_kernel<__nv_bfloat16>, p->rows, 1,
                        block_threads(divide_up(p->channels, PACK), THREADS), *p);
    return result;
}
