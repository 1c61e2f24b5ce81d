/* Products of at most 16 rows, as in decoding: B passes through the caches once, whatever m is, and each element of C
 * is summed in an order that depends on k alone, so a row's bits do not depend on the rows beside it. */
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/vector.h"

enum {
    STRIP = 64,   /* columns of C a task owns */
    DEPTH = 1024, /* of k that is copied at a time */
};

/* rows x columns dot products of rows of A and of (transposed) B, one vector of running sums each. */
INLINE void dot_block(int rows, int columns, int64_t k, const void *a, int64_t a_stride, const void *b,
                      int64_t b_stride, float *c, int64_t c_stride, enum dtype type)
{
    vector sum[4][4] = {{{0}}};
    int64_t p = 0;
    for (; p + LANES <= k; p += LANES) {
        vector right[4];
        for (int j = 0; j < columns; j++)
            right[j] = vector_load(b, j * b_stride + p, LANES, type);
        for (int i = 0; i < rows; i++) {
            vector left = vector_load(a, i * a_stride + p, LANES, type);
            for (int j = 0; j < columns; j++)
                sum[i][j] = multiply_add(left, right[j], sum[i][j]);
        }
    }
    if (p < k)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++)
                sum[i][j] = multiply_add(vector_load(a, i * a_stride + p, k - p, type),
                                         vector_load(b, j * b_stride + p, k - p, type), sum[i][j]);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            c[i * c_stride + j] = vector_sum(sum[i][j]);
}

INLINE void dot_rows(int columns, int64_t m, int64_t k, const void *a, int64_t a_stride, const void *b,
                     int64_t b_stride, float *c, enum dtype type)
{
    int64_t i = 0;
    for (; i + 3 <= m; i += 3)
        dot_block(3, columns, k, element(a, i * a_stride, type), a_stride, b, b_stride, c + i * STRIP, STRIP, type);
    a = element(a, i * a_stride, type);
    if (m - i == 2)
        dot_block(2, columns, k, a, a_stride, b, b_stride, c + i * STRIP, STRIP, type);
    else if (m - i == 1)
        dot_block(1, columns, k, a, a_stride, b, b_stride, c + i * STRIP, STRIP, type);
}

INLINE void dot_strip(const struct matmul *p, const struct matmul_tile *tile, float *sum, enum dtype type)
{
    const void *a = element(p->a, tile->batch * p->a_batch_stride, type);
    const void *b = element(p->b, tile->batch * p->b_batch_stride + tile->column * p->b_row_stride, type);
    int64_t j = 0;
    for (; j + 4 <= tile->columns; j += 4)
        dot_rows(4, tile->rows, p->k, a, p->a_row_stride, element(b, j * p->b_row_stride, type), p->b_row_stride,
                 sum + j, type);
    for (; j < tile->columns; j++)
        dot_rows(1, tile->rows, p->k, a, p->a_row_stride, element(b, j * p->b_row_stride, type), p->b_row_stride,
                 sum + j, type);
}

/* B stored k x n: tiles of A and B as f32, DEPTH of k at a time. */
static void outer_strip(const struct matmul *p, const struct matmul_tile *tile, float *sum, float *scratch)
{
    float *a = scratch, *b = a + FEW_ROWS * DEPTH;
    memset(sum, 0, FEW_ROWS * STRIP * sizeof(float));
    for (int64_t start = 0; start < p->k; start += DEPTH) {
        int64_t depth = minimum(DEPTH, p->k - start);
        int64_t a_index = tile->batch * p->a_batch_stride + start;
        int64_t b_index = tile->batch * p->b_batch_stride + start * p->b_row_stride + tile->column;
        tile_load(a, tile->rows, depth, element(p->a, a_index, p->a_type), p->a_row_stride, p->a_type, 1.0f);
        tile_load(b, depth, tile->columns, element(p->b, b_index, p->b_type), p->b_row_stride, p->b_type, 1.0f);
        tile_multiply(tile->rows, tile->columns, depth, a, tile_stride(depth), 1, b, tile_stride(tile->columns), sum,
                      STRIP, true);
    }
}

void matmul_rows_task(void *argument, int64_t task, int worker)
{
    const struct matmul_work *work = argument;
    const struct matmul *p = work->p;
    struct matmul_tile tile = matmul_tile_of(work, task);
    float *sum = cpu_worker_scratch(work->context, worker), *scratch = sum + FEW_ROWS * STRIP;
    _Static_assert(FEW_ROWS * (STRIP + DEPTH) + STRIP * DEPTH <= WORKER_SCRATCH_FLOATS, "fits a worker's scratch");
    if (!p->b_transposed)
        outer_strip(p, &tile, sum, scratch);
    else if (p->a_type == DTYPE_F32)
        dot_strip(p, &tile, sum, DTYPE_F32);
    else
        dot_strip(p, &tile, sum, DTYPE_BF16);
    matmul_finish(p, &tile, sum, STRIP);
}
