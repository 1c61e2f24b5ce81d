/* Products of tiles that lie in a core's caches. Tiles are f32 with row
 * strides of at least n rounded up to 8: columns beyond n are computed and written too. */
#ifndef SPIRITLM_KERNELS_CPU_TILE_H
#define SPIRITLM_KERNELS_CPU_TILE_H

#include "core/dtype.h"

#include <stdbool.h>
#include <stdint.h>

static inline int64_t tile_stride(int64_t columns)
{
    return (columns + 7) / 8 * 8;
}

/* Additions in a row; then their sum is added to what came before. A rounding error is of the size of the sum at that
 * moment: chains of length s and a chain of k / s sums leave errors of the order of sqrt(k s + k k / s), one chain k. */
enum { TILE_CHAIN = 128 };

/* C[i][j] = (accumulate ? C[i][j] : 0) + sum over k of A[i * a_row + k * a_column] * B[k * b_stride + j]. Each element
 * is summed in order of k, in chains of TILE_CHAIN: its bits depend on nothing but its own row and column. */
void tile_multiply(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_column, const float *b,
                   int64_t b_stride, float *c, int64_t c_stride, bool accumulate);

/* tile[i][j] = source[i * source_stride + j] * factor as f32, zero in the columns that fill a stride up. */
void tile_load(float *tile, int64_t rows, int64_t columns, const void *source, int64_t source_stride, enum dtype type,
               float factor);

/* Cuts rows of a matrix into panels of `width` columns (a multiple of 8), `panel_floats` apart: column j of row i goes
 * to panels[(j / width) * panel_floats + i * width + j % width]. A row is read whole, as the memory likes it. */
void tile_load_panels(float *panels, int64_t panel_floats, int64_t width, int64_t rows, int64_t columns,
                      const void *source, int64_t source_stride, enum dtype type);

/* tile[j * stride + i] = source[i * source_stride + j], filled up with zeros to whole eights of rows. */
void tile_load_transposed(float *tile, int64_t stride, int64_t rows, int64_t columns, const void *source,
                          int64_t source_stride, enum dtype type);

/* destination[i * stride + j] = tile[i * tile_stride(columns) + j] * factor in `type`. */
void tile_store(const float *tile, int64_t rows, int64_t columns, void *destination, int64_t stride, enum dtype type,
                float factor);

#endif
