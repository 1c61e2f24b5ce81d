/* What is added to a product when cuBLASLt cannot: C = product + beta C + addend + bias, or the same without a product where k
 * is 0. It is bound by memory. */
#include "kernels/cuda/launch.cuh"

extern "C" {
#include "kernels/cuda/products.h"
}

namespace
{

enum { THREADS = 256 };

struct finish {
    int64_t m, n;
    const float *product; /* [batch][m][n]; NULL: 0 */
    const void *addend, *bias;
    void *c;
    int64_t c_stride, c_batch;
    bool reads_c;
};

/* A pack of a row's elements per thread; blockIdx.x counts runs of columns, then rows. */
template <typename T, int N>
__global__ void __launch_bounds__(THREADS) finish_elements(struct finish p, unsigned int runs)
{
    int64_t row = blockIdx.x / runs, column = (int64_t(blockIdx.x % runs) * blockDim.x + threadIdx.x) * N;
    int64_t at = blockIdx.y * p.c_batch + row * p.c_stride + column, count = p.n - column;
    float value[N] = {0}, other[N];
    if (count <= 0)
        return;
    if (p.product)
        load_pack(value, p.product + (blockIdx.y * p.m + row) * p.n + column, count);
    const T *const added[] = {p.reads_c ? static_cast<const T *>(p.c) + at : nullptr,
                              p.addend ? static_cast<const T *>(p.addend) + at : nullptr,
                              p.bias ? static_cast<const T *>(p.bias) + column : nullptr};
#pragma unroll
    for (int k = 0; k < 3; k++) {
        if (!added[k])
            continue;
        load_pack(other, added[k], count);
#pragma unroll
        for (int i = 0; i < N; i++)
            value[i] += other[i];
    }
    store_pack(static_cast<T *>(p.c) + at, value, count);
}

/* In packs of what 16 bytes of f32 hold where every row of every array begins on the boundary of one. */
template <typename T>
static enum status run(const struct device_context *context, const struct finish &finish, int64_t batch)
{
    constexpr int N = pack_size<float, T>::count;
    bool whole = finish.n % N == 0 && finish.c_stride % N == 0 && finish.c_batch % N == 0 &&
                 lies_on(finish.product, N * sizeof(float)) && lies_on(finish.c, N * sizeof(T)) &&
                 lies_on(finish.addend, N * sizeof(T)) && lies_on(finish.bias, N * sizeof(T));
    int64_t packs = whole ? finish.n / N : finish.n;
    int threads = block_threads(packs, THREADS);
    int64_t runs = divide_up(packs, threads);
    return launch(context, "matmul", whole ? finish_elements<T, N> : finish_elements<T, 1>, finish.m * runs, batch,
                  threads, finish, (unsigned int)runs);
}

} // namespace

enum status cuda_matmul_finish(const struct device_context *context, const struct matmul *p, const float *product)
{
    struct finish finish = {p->m,        p->n, product, p->addend, p->bias, p->c, p->c_row_stride, p->c_batch_stride,
                            p->beta != 0};
    return p->c_type == DTYPE_F32 ? run<float>(context, finish, p->batch)
                                  : run<cuda_bfloat16>(context, finish, p->batch);
}
