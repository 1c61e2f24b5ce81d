/* RMSNorm with its residual. A block takes some consecutive rows, one after the other, and asks for the next one before it sums
 * the squares of the present one, so that memory is never idle while the threads wait for each other. A row stays in registers
 * from the sum to the scaling, and the weight in shared memory from row to row: everything is read once (rows.cuh). Rows too long for that are
 * passed over twice. */
#include "kernels/cuda/rows.cuh"

enum { MOST_ROWS = 16, BLOCKS = 256 };

/* Rows per block: as many as leave every processor of a large GPU two blocks, so that the weight is seldom read. */
static int64_t rows_per_block(int64_t rows)
{
    int64_t share = divide_up(rows, BLOCKS);
    return share < MOST_ROWS ? larger(share, 1) : MOST_ROWS;
}

__device__ static float reciprocal_root(float squares, const struct rmsnorm_forward &p)
{
    return 1.0f / sqrtf(squares / float(p.channels) + p.epsilon);
}

/* x + residual, rounded to its type, in x's place and in `sum`. */
template <typename T, int N>
__device__ static void add_residual(row_part<T, N> &x, const row_part<T, N> &residual, T *sum, int64_t channels)
{
    float value[N];
#pragma unroll
    for (int i = 0; i < N; i++) {
        value[i] = x.get(i) + residual.get(i);
        store_element(x.pack.elements, i, value[i]);
    }
    store_pack(sum + row_place<N>(), value, channels - row_place<N>());
}

template <typename T, int N>
__device__ static void scale_row(const row_part<T, N> &x, const row_weight<T, N> &weight, float rstd, T *output,
                                 int64_t channels)
{
    float value[N];
    weight.get(value);
#pragma unroll
    for (int i = 0; i < N; i++)
        value[i] *= rounded<T>(x.get(i) * rstd);
    store_pack(output + row_place<N>(), value, channels - row_place<N>());
}

template <typename T, int N>
__global__ void __launch_bounds__(ROW_THREADS) kept_rows_kernel(struct rmsnorm_forward p, int64_t block_rows)
{
    __shared__ row_weight<T, N> weight;
    __shared__ float rstds[MOST_ROWS];
    const T *source = static_cast<const T *>(p.x), *added = static_cast<const T *>(p.residual); /* [N][C] */
    int64_t first = int64_t(blockIdx.x) * block_rows, end = min(first + block_rows, p.rows);
    row_part<T, N> x, residual;
    weight.load(static_cast<const T *>(p.weight), p.channels);
    x.load(source + first * p.channels, p.channels);
    if (added)
        residual.load(added + first * p.channels, p.channels);
    for (int64_t n = first; n < end; n++) {
        row_part<T, N> present = x;
        if (added)
            add_residual(present, residual, static_cast<T *>(p.sum) + n * p.channels, p.channels);
        if (n + 1 < end) {
            x.load(source + (n + 1) * p.channels, p.channels);
            if (added)
                residual.load(added + (n + 1) * p.channels, p.channels);
        }
        float squares = 0;
#pragma unroll
        for (int i = 0; i < N; i++)
            squares = fmaf(present.get(i), present.get(i), squares);
        float rstd = reciprocal_root(block_sum(squares), p);
        if (threadIdx.x == 0)
            rstds[n - first] = rstd;
        scale_row(present, weight, rstd, static_cast<T *>(p.output) + n * p.channels, p.channels);
    }
    __syncthreads();
    if (p.rstd && threadIdx.x < end - first)
        p.rstd[first + threadIdx.x] = rstds[threadIdx.x];
}

/* The sum of the squares of this thread's elements of x + residual, which go to `sum` rounded to its type. */
template <typename T, int N>
__device__ static float add_and_square(const T *x, const T *residual, T *sum, int64_t channels)
{
    float squares = 0;
    for (int64_t c = int64_t(threadIdx.x) * N; c < channels; c += int64_t(blockDim.x) * N) {
        float value[N], other[N];
        load_pack(value, x + c, channels - c);
        if (residual) {
            load_pack(other, residual + c, channels - c);
#pragma unroll
            for (int i = 0; i < N; i++)
                value[i] = rounded<T>(value[i] + other[i]);
            store_pack(sum + c, value, channels - c);
        }
#pragma unroll
        for (int i = 0; i < N; i++)
            squares = fmaf(value[i], value[i], squares);
    }
    return squares;
}

/* One block per row; the second time each thread reads what it wrote itself. */
template <typename T, int N> __global__ void __launch_bounds__(ROW_THREADS) long_row_kernel(struct rmsnorm_forward p)
{
    int64_t n = blockIdx.x, row = n * p.channels;
    const T *x = static_cast<const T *>(p.x) + row, *weight = static_cast<const T *>(p.weight); /* [C] */
    const T *residual = p.residual ? static_cast<const T *>(p.residual) + row : nullptr;        /* [C] */
    T *sum = p.residual ? static_cast<T *>(p.sum) + row : nullptr;                              /* [C] */
    T *output = static_cast<T *>(p.output) + row;                                               /* [C] */
    float rstd = reciprocal_root(block_sum(add_and_square<T, N>(x, residual, sum, p.channels)), p);
    if (p.rstd && threadIdx.x == 0)
        p.rstd[n] = rstd;
    for (int64_t c = int64_t(threadIdx.x) * N; c < p.channels; c += int64_t(blockDim.x) * N) {
        float value[N], factor[N];
        load_pack(value, (residual ? sum : x) + c, p.channels - c);
        load_pack(factor, weight + c, p.channels - c);
#pragma unroll
        for (int i = 0; i < N; i++)
            value[i] = rounded<T>(value[i] * rstd) * factor[i];
        store_pack(output + c, value, p.channels - c);
    }
}

template <typename T, int N>
static enum status run(const struct device_context *context, const struct rmsnorm_forward *p)
{
    int64_t packs = divide_up(p->channels, N), block_rows = rows_per_block(p->rows);
    int threads = block_threads(packs, ROW_THREADS);
    if (packs > ROW_THREADS)
        return launch(context, "rmsnorm_forward", long_row_kernel<T, N>, p->rows, 1, threads, *p);
    return launch(context, "rmsnorm_forward", kept_rows_kernel<T, N>, divide_up(p->rows, block_rows), 1, threads, *p,
                  block_rows);
}

template <typename T> static enum status choose(const struct device_context *context, const struct rmsnorm_forward *p)
{
    return row_pack<T>(p->channels) == 1 ? run<T, 1>(context, p) : run<T, pack_size<T>::count>(context, p);
}

extern "C" enum status cuda_rmsnorm_forward(const struct device_context *context, const struct rmsnorm_forward *p)
{
    return p->type == DTYPE_F32 ? choose<float>(context, p) : choose<cuda_bfloat16>(context, p);
}
