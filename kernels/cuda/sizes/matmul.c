/* Scratch of a product: where C is bf16 and both C and the addend are added, the product itself in f32, so that the result is
 * rounded once. */
#include "kernels/cuda/sizes/cuda_sizes.h"

size_t cuda_matmul_scratch_size(const struct matmul *p)
{
    bool both = p->c_type == DTYPE_BF16 && p->beta != 0 && p->addend;
    return both && p->m > 0 && p->n > 0 ? (size_t)(p->batch * p->m * p->n) * sizeof(float) : 0;
}
