/* LayerNorm's gradients. The blocks that compute the rows' gradients also sum their rows' part of the gradients of weight
 * and bias, each lane for the channels that it holds; the warps of a block are added in order, and a second kernel adds the
 * blocks as a fixed tree. So the activations are read once for everything (layer_norm.cuh). */
#include "kernels/cuda/layer_norm.cuh"

enum { COLUMNS = 32, SLICES = LAYER_NORM_THREADS / COLUMNS };

/* A lane's share of one row, and what all of its rows have added to the parameters' gradients. */
template <int PACKS, int N> struct lane_share {
    float normal[PACKS][N], scaled[PACKS][N]; /* the normalised value; g * weight */
    float weight[PACKS][N], bias[PACKS][N];   /* sums of g * normal, of g */
};

/* Fills normal and scaled, g the gradient of what weight and bias give, and adds to weight and bias; the lane's sums of
 * scaled and of scaled * normal come back. */
template <typename T, int TEAM, int PACKS, int N>
__device__ inline float2 load_row(struct lane_share<PACKS, N> &lane, const struct layer_norm_backward &p,
                                  const struct layer_norm_parameters<TEAM, PACKS, N> &parameters,
                                  float2 statistics /* mean, rstd */, int64_t n)
{
    const T *sum = static_cast<const T *>(p.sum) + n * p.channels;                 /* [C] */
    const T *grad_output = static_cast<const T *>(p.grad_output) + n * p.channels; /* [C] */
    float2 sums = make_float2(0, 0);
#pragma unroll
    for (int k = 0; k < PACKS; k++) {
        int64_t c = team_channel<TEAM, N>(k);
        if (c >= p.channels)
            break;
        float weight[N], bias[N], gradient[N];
        load_pack(lane.normal[k], sum + c, p.channels - c);
        load_pack(gradient, grad_output + c, p.channels - c);
        get_parameter(weight, parameters.weight, int(c / N));
        get_parameter(bias, parameters.bias, int(c / N));
#pragma unroll
        for (int i = 0; i < N; i++) {
            float normal = (lane.normal[k][i] - statistics.x) * statistics.y, g = gradient[i];
            if (p.activation == ACTIVATION_GELU)
                g *= gelu_slope(fmaf(normal, weight[i], bias[i]));
            lane.normal[k][i] = normal;
            lane.scaled[k][i] = g * weight[i]; /* 0 past the last channel, as the weight is there */
            lane.weight[k][i] = fmaf(g, normal, lane.weight[k][i]);
            lane.bias[k][i] += g;
            sums.x += lane.scaled[k][i];
            sums.y = fmaf(lane.scaled[k][i], normal, sums.y);
        }
    }
    return sums;
}

/* grad_sum = (scaled - mean(scaled) - normal * mean(scaled * normal)) * rstd + grad_residual */
template <typename T, int TEAM, int PACKS, int N>
__device__ inline void store_row(const struct lane_share<PACKS, N> &lane, const struct layer_norm_backward &p,
                                 float rstd, float2 means /* of scaled, of scaled * normal */, int64_t n)
{
    const T *residual = p.grad_residual ? static_cast<const T *>(p.grad_residual) + n * p.channels : nullptr; /* [C] */
    T *grad_sum = static_cast<T *>(p.grad_sum) + n * p.channels;                                              /* [C] */
#pragma unroll
    for (int k = 0; k < PACKS; k++) {
        int64_t c = team_channel<TEAM, N>(k);
        if (c >= p.channels)
            break;
        float result[N], other[N] = {0};
        if (residual)
            load_pack(other, residual + c, p.channels - c);
#pragma unroll
        for (int i = 0; i < N; i++)
            result[i] = fmaf(lane.scaled[k][i] - means.x - lane.normal[k][i] * means.y, rstd, other[i]);
        store_pack(grad_sum + c, result, p.channels - c);
    }
}

/* Adds what the block's teams have in turn, and writes it to its piece of `partial`. `sums` may be the parameters' place. */
template <int TEAM, int PACKS, int N>
__device__ inline void store_piece(const float (&lane)[PACKS][N], float4 (&sums)[N / LAYER_NORM_WORD][TEAM * PACKS],
                                   float *piece, int64_t channels)
{
    for (int team = 0; team < LAYER_NORM_THREADS / TEAM; team++) {
        __syncthreads(); /* the team before has added, or what was in `sums` has been read */
#pragma unroll
        for (int k = 0; k < PACKS; k++) {
            int64_t c = team_channel<TEAM, N>(k);
            float so_far[N] = {0};
            if (c >= channels || int(threadIdx.x) / TEAM != team)
                break;
            if (team > 0)
                get_parameter(so_far, sums, int(c / N));
#pragma unroll
            for (int i = 0; i < N; i++)
                so_far[i] += lane[k][i];
            put_parameter(sums, int(c / N), so_far);
        }
    }
    __syncthreads();
    for (int64_t i = threadIdx.x; i * N < channels; i += LAYER_NORM_THREADS) {
        float total[N];
        get_parameter(total, sums, int(i));
        store_pack(piece + i * N, total, channels - i * N);
    }
}

template <typename T, int TEAM, int EIGHTS>
__global__ void __launch_bounds__(LAYER_NORM_THREADS)
    layer_norm_backward_kernel(struct layer_norm_backward p, int64_t piece_rows, float *partial /* [pieces][2][C] */)
{
    constexpr int PACKS = lane_packs<T, EIGHTS>::count, N = lane_packs<T, EIGHTS>::size;
    __shared__ struct layer_norm_parameters<TEAM, PACKS, N> parameters;
    spread_parameter(parameters.weight, static_cast<const T *>(p.weight), p.channels);
    spread_parameter(parameters.bias, static_cast<const T *>(p.bias), p.channels);
    __syncthreads();
    struct lane_share<PACKS, N> lane = {
    };
    int64_t first = int64_t(blockIdx.x) * piece_rows, end = min(first + piece_rows, p.rows);
    for (int64_t n = first + int(threadIdx.x) / TEAM; n < end; n += LAYER_NORM_THREADS / TEAM) {
        float2 statistics = make_float2(p.mean[n], p.rstd[n]),
               sums = load_row<T, TEAM>(lane, p, parameters, statistics, n);
        sums.x = team_sum<TEAM>(sums.x) / float(p.channels);
        sums.y = team_sum<TEAM>(sums.y) / float(p.channels);
        store_row<T, TEAM>(lane, p, statistics.y, sums, n);
    }
    float *piece = partial + int64_t(blockIdx.x) * 2 * p.channels;
    store_piece<TEAM>(lane.weight, parameters.weight, piece, p.channels);
    store_piece<TEAM>(lane.bias, parameters.bias, piece + p.channels, p.channels);
}

/* The gradients of weight and bias from the pieces: each slice of a block adds every SLICES-th piece, then the slices are
 * added in order. */
__global__ void __launch_bounds__(LAYER_NORM_THREADS)
    parameter_kernel(struct layer_norm_backward p, int64_t pieces, const float *partial /* [pieces][2][C] */)
{
    __shared__ float sums[SLICES][COLUMNS];
    int lane = int(threadIdx.x) % COLUMNS, slice = int(threadIdx.x) / COLUMNS;
    int64_t column = int64_t(blockIdx.x) * COLUMNS + lane, columns = 2 * p.channels; /* weight, then bias */
    float total = 0;
#pragma unroll 4
    for (int64_t piece = slice; column < columns && piece < pieces; piece += SLICES)
        total += partial[piece * columns + column];
    sums[slice][lane] = total;
    __syncthreads();
    if (slice > 0 || column >= columns)
        return;
    for (int i = 1; i < SLICES; i++)
        total += sums[i][lane];
    float *result = column < p.channels ? p.grad_weight + column : p.grad_bias + (column - p.channels);
    *result = p.overwrite ? total : *result + total;
}

extern "C" enum status cuda_layer_norm_backward(const struct device_context *context,
                                                const struct layer_norm_backward *p)
{
    static const char *const name = "layer_norm_backward";
    float *partial = static_cast<float *>(context->scratch);
    if (p->rows == 0 && !p->overwrite)
        return STATUS_OK;
    auto kernel = p->type == DTYPE_F32 ? LAYER_NORM_KERNEL(layer_norm_backward_kernel, float, p->channels)
                                       : LAYER_NORM_KERNEL(layer_norm_backward_kernel, cuda_bfloat16, p->channels);
    enum status result = launch(context, name, kernel, layer_norm_pieces(p->rows), 1, LAYER_NORM_THREADS, *p,
                                layer_norm_piece_rows(p->rows), partial);
    return result == STATUS_OK ? launch(context, name, parameter_kernel, divide_up(2 * p->channels, COLUMNS), 1,
                                        LAYER_NORM_THREADS, *p, layer_norm_pieces(p->rows), partial)
                               : result;
}
