/* What is added to a product when cuBLASLt cannot: C = product + beta C + addend + bias, or the same without a product where k
 * is 0. One thread per element; it is bound by memory. */
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

template <typename T> __global__ void __launch_bounds__(THREADS) finish_elements(struct finish p)
{
    int64_t element = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (element >= p.m * p.n)
        return;
    int64_t row = element / p.n, column = element % p.n, at = blockIdx.y * p.c_batch + row * p.c_stride + column;
    float value = p.product ? p.product[blockIdx.y * p.m * p.n + element] : 0.0f;
    if (p.reads_c)
        value += load_element(static_cast<const T *>(p.c), at);
    if (p.addend)
        value += load_element(static_cast<const T *>(p.addend), at);
    if (p.bias)
        value += load_element(static_cast<const T *>(p.bias), column);
    store_element(static_cast<T *>(p.c), at, value);
}

} // namespace

enum status cuda_matmul_finish(const struct device_context *context, const struct matmul *p, const float *product)
{
    struct finish finish = {p->m,        p->n, product, p->addend, p->bias, p->c, p->c_row_stride, p->c_batch_stride,
                            p->beta != 0};
    int64_t blocks = divide_up(p->m * p->n, THREADS);
    return p->c_type == DTYPE_F32
               ? launch(context, "matmul", finish_elements<float>, blocks, p->batch, THREADS, finish)
               : launch(context, "matmul", finish_elements<__nv_bfloat16>, blocks, p->batch, THREADS, finish);
}
