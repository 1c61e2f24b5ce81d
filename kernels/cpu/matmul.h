/* How the files of matmul share the work. matmul.c checks and chooses an engine; an engine cuts C into tiles
 * (matmul_work.h) and computes one after the other:
 *   blocked  our own (matmul_blocked.c): f32 and bf16 alike, every sum one chain in order of k, so a row's bits do not
 *            depend on m, on the tiles or on the rows beside it (but with A transposed k may be cut in parts)
 *   blas     sgemm a tile (matmul_blas.c), bf16 by way of f32: where the processor has AVX-512, which OpenBLAS uses and
 *            our code does not
 *   onednn   bf16 where the processor multiplies it (matmul_onednn.c)
 * At most MATMUL_FEW_ROWS rows never go to a library, since they are promised to be stable: matmul_few.c, or blocked
 * where B is not transposed. */
#ifndef SPIRITLM_KERNELS_CPU_MATMUL_H
#define SPIRITLM_KERNELS_CPU_MATMUL_H

#include "kernels/cpu/matmul_work.h"

enum { MATMUL_FEW_ROWS = 16 };

/* Cut `work` (context and p are set) and run it. */
size_t matmul_blocked_scratch_size(const struct matmul *p); /* the sums of the parts */
void matmul_blocked_run(struct matmul_work *work);
void matmul_blas_run(struct matmul_work *work);
bool matmul_few_run(struct matmul_work *work); /* false: not of its form, and nothing was done */

/* *done false: the processor or the library cannot do it, and nothing was done. */
enum status matmul_onednn_run(struct matmul_work *work, struct onednn *library, bool *done);

#endif
