/* One matrix product cut into tiles of C, each computed by one thread from beginning to end: the sums of a tile then do
 * not depend on how many threads there are. The engines share how a tile is found and how it is finished. */
#include "kernels/cpu/matmul_work.h"

#include "kernels/cpu/vector.h"

struct matmul_tile matmul_tile_of(const struct matmul_work *work, int64_t task)
{
    const struct matmul *p = work->p;
    int64_t tiles = work->tiles_m * work->tiles_n, in_batch = task % tiles;
    struct matmul_tile tile = {
        .batch = task / tiles % p->batch,
        .row = in_batch % work->tiles_m * work->tile_m,
        .column = in_batch / work->tiles_m * work->tile_n,
    };
    tile.rows = minimum(work->tile_m, p->m - tile.row);
    tile.columns = minimum(work->tile_n, p->n - tile.column);
    return tile;
}

void matmul_run_tiles(struct matmul_work *work, thread_pool_task task)
{
    work->tiles_m = divide_up(work->p->m, work->tile_m);
    work->tiles_n = divide_up(work->p->n, work->tile_n);
    thread_pool_run(work->context->pool, work->tiles_m * work->tiles_n * work->p->batch * work->parts, task, work);
}

const void *matmul_a(const struct matmul *p, int64_t batch, int64_t row, int64_t depth)
{
    int64_t index = p->a_transposed ? depth * p->a_row_stride + row : row * p->a_row_stride + depth;
    return element(p->a, batch * p->a_batch_stride + index, p->a_type);
}

const void *matmul_b(const struct matmul *p, int64_t batch, int64_t depth, int64_t column)
{
    int64_t index = p->b_transposed ? column * p->b_row_stride + depth : depth * p->b_row_stride + column;
    return element(p->b, batch * p->b_batch_stride + index, p->b_type);
}

INLINE void finish_lanes(const struct matmul *p, int64_t index, int64_t column, const float *sum, int64_t count,
                         enum dtype type)
{
    vector v = vector_load(sum, 0, count, DTYPE_F32) * p->alpha;
    if (p->beta != 0)
        v += vector_load(p->c, index, count, type);
    if (p->addend)
        v += vector_load(p->addend, index, count, type);
    if (p->bias)
        v += vector_load(p->bias, column, count, type);
    vector_store(p->c, index, count, type, v);
}

void matmul_finish(const struct matmul *p, const struct matmul_tile *tile, const float *sum, int64_t stride)
{
    for (int64_t i = 0; i < tile->rows; i++)
        for (int64_t j = 0; j < tile->columns; j += LANES) {
            int64_t column = tile->column + j, count = minimum(LANES, tile->columns - j);
            int64_t index = tile->batch * p->c_batch_stride + (tile->row + i) * p->c_row_stride + column;
            if (p->c_type == DTYPE_F32)
                finish_lanes(p, index, column, sum + i * stride + j, count, DTYPE_F32);
            else
                finish_lanes(p, index, column, sum + i * stride + j, count, DTYPE_BF16);
        }
}
