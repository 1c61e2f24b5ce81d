/* How the files of matmul share the work: matmul.c checks and cuts, matmul_rows.c takes products of few rows. */
#ifndef SPIRITLM_KERNELS_CPU_MATMUL_H
#define SPIRITLM_KERNELS_CPU_MATMUL_H

#include "kernels/cpu/cpu.h"

enum { FEW_ROWS = 16 };

/* One call of matmul cut into tiles of C: tile_m x tile_n, from the shape alone. */
struct matmul_work {
    const struct device_context *context;
    const struct matmul *p;
    int64_t tile_m, tile_n, tiles_m, tiles_n;
};

/* Where C's tile `task` begins and how large it is. */
struct matmul_tile {
    int64_t batch, row, column, rows, columns;
};

struct matmul_tile matmul_tile_of(const struct matmul_work *work, int64_t task);

/* C's tile = alpha * sum + beta * C + addend for a tile of sums with row stride `stride`, in C's type. */
void matmul_finish(const struct matmul *p, const struct matmul_tile *tile, const float *sum, int64_t stride);

/* A task of a product with m <= FEW_ROWS and A not transposed. */
void matmul_rows_task(void *argument, int64_t task, int worker);

#endif
