/* C = alpha * op(A) op(B) + beta * C + addend. This file checks the call and chooses the engine (matmul.h). The choice
 * depends on the type, the number of rows and the processor, never on the number of threads, so neither do the bits. */
#include "kernels/cpu/matmul.h"

static enum status check_sizes(const struct matmul *p)
{
    CHECK(p->m >= 0 && p->n >= 0 && p->k >= 0 && p->batch >= 1, "matmul: sizes m %lld, n %lld, k %lld, batch %lld",
          (long long)p->m, (long long)p->n, (long long)p->k, (long long)p->batch);
    CHECK(p->m <= INT32_MAX && p->n <= INT32_MAX && p->k <= INT32_MAX && p->a_row_stride <= INT32_MAX &&
              p->b_row_stride <= INT32_MAX && p->c_row_stride <= INT32_MAX,
          "matmul: a size or stride above 2^31 - 1");
    CHECK(p->a_row_stride >= (p->a_transposed ? p->m : p->k), "matmul: A's row stride is %lld",
          (long long)p->a_row_stride);
    CHECK(p->b_row_stride >= (p->b_transposed ? p->k : p->n), "matmul: B's row stride is %lld",
          (long long)p->b_row_stride);
    CHECK(p->c_row_stride >= p->n, "matmul: C's row stride is %lld for %lld columns", (long long)p->c_row_stride,
          (long long)p->n);
    return STATUS_OK;
}

static enum status check(const struct matmul *p)
{
    enum status result = check_sizes(p);
    if (result != STATUS_OK)
        return result;
    bool f32 = p->a_type == DTYPE_F32 && p->b_type == DTYPE_F32 && p->c_type == DTYPE_F32;
    bool half = p->a_type == DTYPE_BF16 && p->b_type == DTYPE_BF16 && is_compute_type(p->c_type);
    CHECK(f32 || half, "matmul: types %d, %d, %d", (int)p->a_type, (int)p->b_type, (int)p->c_type);
    CHECK(p->beta == 0 || p->beta == 1, "matmul: beta is %g, not 0 or 1", (double)p->beta);
    CHECK(p->m == 0 || p->n == 0 || (p->c && (p->k == 0 || (p->a && p->b))), "matmul: a null array");
    return STATUS_OK;
}

size_t cpu_matmul_scratch_size(const struct matmul *p)
{
    return check_sizes(p) == STATUS_OK ? matmul_blocked_scratch_size(p) : 0;
}

enum status cpu_matmul(const struct device_context *context, const struct matmul *p)
{
    CHECK(context && p, "matmul: a null pointer");
    enum status result = cpu_check_context(context, "matmul");
    if (result == STATUS_OK)
        result = check(p);
    if (result != STATUS_OK || p->m == 0 || p->n == 0)
        return result;
    result = cpu_check_scratch(context, cpu_matmul_scratch_size(p), "matmul");
    if (result != STATUS_OK)
        return result;
    struct matmul_work work = {.context = context, .p = p, .parts = 1};
    if (matmul_few_run(&work))
        return STATUS_OK;
    enum cpu_engine engine = p->m <= MATMUL_FEW_ROWS ? CPU_ENGINE_BLOCKED : cpu_engine(context, p->a_type);
    bool done = false;
    if (engine == CPU_ENGINE_ONEDNN && cpu_onednn(context))
        result = matmul_onednn_run(&work, cpu_onednn(context), &done);
    if (engine == CPU_ENGINE_BLAS)
        matmul_blas_run(&work);
    else if (!done)
        matmul_blocked_run(&work);
    return result;
}
