/* C = alpha op(A) op(B) + beta C + addend + bias. This file chooses from the shape alone who multiplies: few rows go to our
 * own kernel, since the table promises that a row's bits do not depend on the rows beside it and cuBLASLt promises nothing of
 * the kind; all others to cuBLASLt, which can add one matrix and one bias to a product. What is left is added afterwards. */
#include "kernels/cuda/products.h"

static bool is_aligned(const void *pointer)
{
    return ((uintptr_t)pointer & 15) == 0;
}

/* Both matrices are to be added to a product whose type is too narrow to hold what comes between: it goes to scratch in f32. */
static bool needs_scratch(const struct matmul *p)
{
    return p->c_type == DTYPE_BF16 && p->beta != 0 && p->addend;
}

enum status cuda_matmul(const struct device_context *context, const struct matmul *p)
{
    enum status result = STATUS_OK;
    if (p->m == 0 || p->n == 0)
        return STATUS_OK;
    if (matmul_has_few_rows(p))
        return cuda_matmul_few(context, p);
    if (p->k == 0)
        return cuda_matmul_finish(context, p, NULL);
    struct matmul product = *p, rest = *p;
    if (needs_scratch(p)) {
        product.c = context->scratch;
        product.c_type = DTYPE_F32;
        product.c_row_stride = p->n;
        product.c_batch_stride = p->m * p->n;
        product.beta = 0;
        product.addend = product.bias = NULL;
        TRY(cuda_products_run(context, &product));
        return cuda_matmul_finish(context, p, context->scratch);
    }
    rest.addend = rest.bias = NULL;
    rest.beta = 1;
    if (p->beta != 0 && p->addend) {
        product.addend = NULL;
        rest.addend = p->addend;
    }
    if (p->bias && (rest.addend || !is_aligned(p->bias))) { /* the order is addend, then bias */
        product.bias = NULL;
        rest.bias = p->bias;
    }
    TRY(cuda_products_run(context, &product));
    if (rest.addend || rest.bias)
        result = cuda_matmul_finish(context, &rest, NULL);
fail:
    return result;
}
