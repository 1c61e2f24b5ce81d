/* How the files of matmul share the work. matmul.c checks, chooses an engine and cuts C into tiles; an engine computes
 * one tile:
 *   blocked  our own (matmul_blocked.c): f32 and bf16 alike, every sum one chain in order of k, so a row's bits do not
 *            depend on m, on the tiles or on the rows beside it (but with A transposed k may be cut in parts)
 *   blas     sgemm a tile (matmul_blas.c), bf16 by way of f32: where the processor has AVX-512, which OpenBLAS uses and
 *            our code does not
 *   onednn   bf16 where the processor multiplies it (matmul_onednn.c)
 * At most MATMUL_FEW_ROWS rows never go to a library, since they are promised to be stable: matmul_few.c, or blocked
 * where B is not transposed. */
#ifndef SPIRITLM_KERNELS_CPU_MATMUL_H
#define SPIRITLM_KERNELS_CPU_MATMUL_H

#include "kernels/cpu/cpu.h"

enum { MATMUL_FEW_ROWS = 16 };

/* One call of matmul cut into tiles of C: tile_m x tile_n, from the shape alone. */
struct matmul_work {
    const struct device_context *context;
    const struct matmul *p;
    int64_t tile_m, tile_n, tiles_m, tiles_n;
    int64_t parts, part_depth; /* k in parts, summed in order of the parts (blocked; else one part) */
};

/* Where C's tile `task` begins and how large it is. */
struct matmul_tile {
    int64_t batch, row, column, rows, columns;
};

struct matmul_tile matmul_tile_of(const struct matmul_work *work, int64_t task);

/* Counts the tiles of tile_m x tile_n and runs `task` for each (and each part of k). */
void matmul_run_tiles(struct matmul_work *work, thread_pool_task task);

/* The address of op(A)[row][depth], op(B)[depth][column], C[row][column]. */
const void *matmul_a(const struct matmul *p, int64_t batch, int64_t row, int64_t depth);
const void *matmul_b(const struct matmul *p, int64_t batch, int64_t depth, int64_t column);

/* C's tile = alpha * sum + beta * C + addend for a tile of sums with row stride `stride`, in C's type. */
void matmul_finish(const struct matmul *p, const struct matmul_tile *tile, const float *sum, int64_t stride);

/* Cut `work` (context and p are set) and run it. */
size_t matmul_blocked_scratch_size(const struct matmul *p); /* the sums of the parts */
void matmul_blocked_run(struct matmul_work *work);
void matmul_blas_run(struct matmul_work *work);
bool matmul_few_run(struct matmul_work *work); /* false: not of its form, and nothing was done */

/* *done false: the processor or the library cannot do it, and nothing was done. */
enum status matmul_onednn_run(struct matmul_work *work, struct onednn *library, bool *done);

#endif
