/* Scratch of a product. Few rows: where k is cut into pieces, the sums of each piece. Else: where C is bf16 and both C and the
 * addend are added, the product itself in f32, so that the result is rounded once. */
#include "kernels/cuda/sizes/cuda_sizes.h"

#include "kernels/cuda/sizes/pieces.h"

size_t cuda_matmul_scratch_size(const struct matmul *p)
{
    if (p->m <= 0 || p->n <= 0 || p->k < 0 || p->batch <= 0)
        return 0;
    size_t product = (size_t)(p->batch * p->m * p->n) * sizeof(float); /* f32 [batch][m][n] */
    if (matmul_has_few_rows(p))
        return few_pieces(p) > 1 ? (size_t)few_pieces(p) * product : 0;
    return p->c_type == DTYPE_BF16 && p->beta != 0 && p->addend ? product : 0;
}
