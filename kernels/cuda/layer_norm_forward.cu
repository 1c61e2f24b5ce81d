/* LayerNorm with a residual before it and GELU after it. A row stays in registers between its sum, the squares about its
 * mean (a single pass over squares would cancel where the mean is large) and its output: memory is read once and written
 * once (layer_norm.cuh). */
#include "kernels/cuda/layer_norm.cuh"

/* x + residual as the type holds it, or x; kept in `value`, and in `sum` unless that is NULL. The lane's part of the row's
 * total comes back. */
template <typename T, int TEAM, int PACKS, int N>
__device__ inline float load_row(float (&value)[PACKS][N], const struct layer_norm_forward &p, int64_t row)
{
    const T *x = static_cast<const T *>(p.x) + row;                                      /* [C] */
    const T *residual = p.residual ? static_cast<const T *>(p.residual) + row : nullptr; /* [C] */
    T *sum = p.sum ? static_cast<T *>(p.sum) + row : nullptr;                            /* [C] */
    float total = 0;
#pragma unroll
    for (int k = 0; k < PACKS; k++) {
        int64_t c = team_channel<TEAM, N>(k);
        float other[N] = {0};
        load_pack(value[k], x + c, p.channels - c);
        if (residual)
            load_pack(other, residual + c, p.channels - c);
#pragma unroll
        for (int i = 0; i < N; i++) {
            value[k][i] = residual ? rounded<T>(value[k][i] + other[i]) : value[k][i];
            total += value[k][i];
        }
        if (sum)
            store_pack(sum + c, value[k], p.channels - c);
    }
    return total;
}

/* The lane's part of the squares about the mean. */
template <int TEAM, int PACKS, int N>
__device__ inline float square_row(const float (&value)[PACKS][N], float mean, int64_t channels)
{
    float squares = 0;
#pragma unroll
    for (int k = 0; k < PACKS; k++) {
        int64_t count = channels - team_channel<TEAM, N>(k);
#pragma unroll
        for (int i = 0; i < N; i++) {
            float v = i < count ? value[k][i] - mean : 0.0f;
            squares = fmaf(v, v, squares);
        }
    }
    return squares;
}

template <typename T, int TEAM, int EIGHTS>
__global__ void __launch_bounds__(LAYER_NORM_THREADS)
    layer_norm_forward_kernel(struct layer_norm_forward p, int64_t block_rows)
{
    constexpr int PACKS = lane_packs<T, EIGHTS>::count, N = lane_packs<T, EIGHTS>::size;
    __shared__ struct layer_norm_parameters<TEAM, PACKS, N> parameters;
    __shared__ float2 statistics[LAYER_NORM_ROWS];
    spread_parameter(parameters.weight, static_cast<const T *>(p.weight), p.channels);
    spread_parameter(parameters.bias, static_cast<const T *>(p.bias), p.channels);
    __syncthreads();
    int64_t first = int64_t(blockIdx.x) * block_rows, end = min(first + block_rows, p.rows);
    for (int64_t n = first + int(threadIdx.x) / TEAM; n < end; n += LAYER_NORM_THREADS / TEAM) {
        float value[PACKS][N], weight[N], bias[N];
        float mean = team_sum<TEAM>(load_row<T, TEAM>(value, p, n * p.channels)) / float(p.channels);
        float variance = team_sum<TEAM>(square_row<TEAM>(value, mean, p.channels)) / float(p.channels);
        float rstd = 1.0f / sqrtf(variance + p.epsilon);
        T *output = static_cast<T *>(p.output) + n * p.channels; /* [C] */
#pragma unroll
        for (int k = 0; k < PACKS; k++) {
            int64_t c = team_channel<TEAM, N>(k);
            if (c >= p.channels)
                break;
            get_parameter(weight, parameters.weight, int(c / N));
            get_parameter(bias, parameters.bias, int(c / N));
#pragma unroll
            for (int i = 0; i < N; i++) {
                float v = fmaf((value[k][i] - mean) * rstd, weight[i], bias[i]);
                value[k][i] = activated(v, p.activation, p.slope);
            }
            store_pack(output + c, value[k], p.channels - c);
        }
        if (int(threadIdx.x) % TEAM == 0)
            statistics[n - first] = make_float2(mean, rstd);
    }
    if (!p.mean)
        return;
    __syncthreads();
    for (int64_t n = first + threadIdx.x; n < end; n += LAYER_NORM_THREADS) { /* side by side: whole sectors */
        p.mean[n] = statistics[n - first].x;
        p.rstd[n] = statistics[n - first].y;
    }
}

extern "C" enum status cuda_layer_norm_forward(const struct device_context *context, const struct layer_norm_forward *p)
{
    int64_t block_rows = layer_norm_rows(p->rows);
    auto kernel = p->type == DTYPE_F32 ? LAYER_NORM_KERNEL(layer_norm_forward_kernel, float, p->channels)
                                       : LAYER_NORM_KERNEL(layer_norm_forward_kernel, cuda_bfloat16, p->channels);
    return launch(context, "layer_norm_forward", kernel, divide_up(p->rows, block_rows), 1, LAYER_NORM_THREADS, *p,
                  block_rows);
}
