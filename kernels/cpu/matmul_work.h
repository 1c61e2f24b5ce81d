/* A matrix product cut into tiles: what the engines of matmul (matmul.h) share. */
#ifndef SPIRITLM_KERNELS_CPU_MATMUL_WORK_H
#define SPIRITLM_KERNELS_CPU_MATMUL_WORK_H

#include "kernels/cpu/cpu.h"

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

/* C's tile = alpha * sum + beta * C + addend + bias for a tile of sums with row stride `stride`, in C's type. */
void matmul_finish(const struct matmul *p, const struct matmul_tile *tile, const float *sum, int64_t stride);

#endif
