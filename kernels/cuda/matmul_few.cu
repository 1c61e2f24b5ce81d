/* Products of at most 16 rows, which generation makes one of for every weight of every token: the time goes into reading the
 * weights, so each is read once and used for all rows. A row's sum has one order, whatever the number of rows: of a
 * transposed B (weights stored [out][in]) a warp owns a column, its lanes take every 32nd element and are added in a tree;
 * of a plain B a thread owns a column and goes down it. Whatever is to be added joins in f32, so the result is rounded once. */
#include "kernels/cuda/launch.cuh"

extern "C" {
#include "kernels/cuda/products.h"
}

namespace
{

enum { THREADS = 128 };

struct few {
    int64_t m, n, k;
    const void *a, *b, *addend, *bias;
    void *c;
    int64_t a_stride, b_stride, c_stride, a_batch, b_batch, c_batch;
    float alpha;
    bool reads_c;
};

template <typename Out> __device__ void finish(const struct few &p, int64_t row, int64_t column, float sum)
{
    int64_t at = blockIdx.y * p.c_batch + row * p.c_stride + column;
    float value = p.alpha * sum;
    if (p.reads_c)
        value += load_element(static_cast<const Out *>(p.c), at);
    if (p.addend)
        value += load_element(static_cast<const Out *>(p.addend), at);
    if (p.bias)
        value += load_element(static_cast<const Out *>(p.bias), column);
    store_element(static_cast<Out *>(p.c), at, value);
}

template <typename In, typename Out> __global__ void __launch_bounds__(THREADS) few_by_warps(struct few p)
{
    int64_t column = int64_t(blockIdx.x) * (THREADS / WARP) + threadIdx.x / WARP;
    int lane = threadIdx.x % WARP;
    if (column >= p.n)
        return;
    const In *a = static_cast<const In *>(p.a) + blockIdx.y * p.a_batch;
    const In *b = static_cast<const In *>(p.b) + blockIdx.y * p.b_batch + column * p.b_stride;
    float sums[MATMUL_FEW_ROWS] = {};
    for (int64_t i = lane; i < p.k; i += WARP) {
        float weight = load_element(b, i);
#pragma unroll
        for (int row = 0; row < MATMUL_FEW_ROWS; row++)
            if (row < p.m)
                sums[row] = fmaf(load_element(a, row * p.a_stride + i), weight, sums[row]);
    }
#pragma unroll
    for (int row = 0; row < MATMUL_FEW_ROWS; row++)
        if (row < p.m) {
            float sum = warp_sum(sums[row]);
            if (lane == 0)
                finish<Out>(p, row, column, sum);
        }
}

template <typename In, typename Out> __global__ void __launch_bounds__(THREADS) few_by_threads(struct few p)
{
    int64_t column = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (column >= p.n)
        return;
    const In *a = static_cast<const In *>(p.a) + blockIdx.y * p.a_batch;
    const In *b = static_cast<const In *>(p.b) + blockIdx.y * p.b_batch + column;
    float sums[MATMUL_FEW_ROWS] = {};
    for (int64_t i = 0; i < p.k; i++) {
        float weight = load_element(b, i * p.b_stride);
#pragma unroll
        for (int row = 0; row < MATMUL_FEW_ROWS; row++)
            if (row < p.m)
                sums[row] = fmaf(load_element(a, row * p.a_stride + i), weight, sums[row]);
    }
#pragma unroll
    for (int row = 0; row < MATMUL_FEW_ROWS; row++)
        if (row < p.m)
            finish<Out>(p, row, column, sums[row]);
}

template <typename In, typename Out>
enum status run(const struct device_context *context, const struct few &few, bool b_transposed, int64_t batch)
{
    return b_transposed
               ? launch(context, "matmul", few_by_warps<In, Out>, divide_up(few.n, THREADS / WARP), batch, THREADS, few)
               : launch(context, "matmul", few_by_threads<In, Out>, divide_up(few.n, THREADS), batch, THREADS, few);
}

} // namespace

enum status cuda_matmul_few(const struct device_context *context, const struct matmul *p)
{
    struct few few = {p->m,
                      p->n,
                      p->k,
                      p->a,
                      p->b,
                      p->addend,
                      p->bias,
                      p->c,
                      p->a_row_stride,
                      p->b_row_stride,
                      p->c_row_stride,
                      p->a_batch_stride,
                      p->b_batch_stride,
                      p->c_batch_stride,
                      p->alpha,
                      p->beta != 0};
    if (p->a_type == DTYPE_F32)
        return run<float, float>(context, few, p->b_transposed, p->batch);
    if (p->c_type == DTYPE_F32)
        return run<__nv_bfloat16, float>(context, few, p->b_transposed, p->batch);
    return run<__nv_bfloat16, __nv_bfloat16>(context, few, p->b_transposed, p->batch);
}
