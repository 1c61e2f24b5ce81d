/* C = alpha * op(A) op(B) + beta * C + addend + bias. This file chooses the engine (matmul.h). The choice
 * depends on the type, the number of rows and the processor, never on the number of threads, so neither do the bits. */
#include "kernels/cpu/matmul.h"

#include "kernels/cpu/context.h"

size_t cpu_matmul_scratch_size(const struct matmul *p)
{
    return p->m > 0 && p->n > 0 && p->k > 0 && p->batch > 0 ? matmul_blocked_scratch_size(p) : 0;
}

/* Our own engines sum an element of C in an order that k alone decides. Libraries choose their code by the columns too. */
bool cpu_matmul_stable_columns(const struct device_context *context, enum dtype type, int64_t rows)
{
    return rows <= MATMUL_FEW_ROWS || cpu_engine(context, type) == CPU_ENGINE_BLOCKED;
}

enum status cpu_matmul(const struct device_context *context, const struct matmul *p)
{
    enum status result = STATUS_OK;
    if (p->m == 0 || p->n == 0)
        return STATUS_OK;
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
