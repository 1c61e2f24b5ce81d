#include "kernels/cpu/matmul.h"

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

INLINE void finish_lanes(const struct matmul *p, int64_t index, const float *sum, int64_t count, enum dtype type)
{
    vector v = vector_load(sum, 0, count, DTYPE_F32) * p->alpha;
    if (p->beta != 0)
        v += vector_load(p->c, index, count, type);
    if (p->addend)
        v += vector_load(p->addend, index, count, type);
    vector_store(p->c, index, count, type, v);
}

void matmul_finish(const struct matmul *p, const struct matmul_tile *tile, const float *sum, int64_t stride)
{
    for (int64_t i = 0; i < tile->rows; i++)
        for (int64_t j = 0; j < tile->columns; j += LANES) {
            int64_t index = tile->batch * p->c_batch_stride + (tile->row + i) * p->c_row_stride + tile->column + j;
            if (p->c_type == DTYPE_F32)
                finish_lanes(p, index, sum + i * stride + j, minimum(LANES, tile->columns - j), DTYPE_F32);
            else
                finish_lanes(p, index, sum + i * stride + j, minimum(LANES, tile->columns - j), DTYPE_BF16);
        }
}

static enum status check_sizes(const struct matmul *p)
{
    CHECK(p->m >= 0 && p->n >= 0 && p->k >= 0 && p->batch >= 1, "matmul: sizes m %lld, n %lld, k %lld, batch %lld",
          (long long)p->m, (long long)p->n, (long long)p->k, (long long)p->batch);
    CHECK(p->m <= INT32_MAX && p->n <= INT32_MAX && p->k <= INT32_MAX && p->a_row_stride <= INT32_MAX &&
              p->b_row_stride <= INT32_MAX && p->c_row_stride <= INT32_MAX,
          "matmul: a size or stride above 2^31 - 1");
    CHECK(p->a_row_stride >= (p->a_transposed ? p->m : p->k), "matmul: A's row stride is %lld",
          (long long)p->a_row_stride);
    CHECK(p->b_row_stride >= (p->b_transposed ? p->k : p->n), "matmul: B's row stride is %lld",
          (long long)p->b_row_stride);
    CHECK(p->c_row_stride >= p->n, "matmul: C's row stride is %lld for %lld columns", (long long)p->c_row_stride,
          (long long)p->n);
    return STATUS_OK;
}

static enum status check(const struct matmul *p)
{
    enum status result = check_sizes(p);
    if (result != STATUS_OK)
        return result;
    bool f32 = p->a_type == DTYPE_F32 && p->b_type == DTYPE_F32 && p->c_type == DTYPE_F32;
    bool half = p->a_type == DTYPE_BF16 && p->b_type == DTYPE_BF16 && is_compute_type(p->c_type);
    CHECK(f32 || half, "matmul: types %d, %d, %d", (int)p->a_type, (int)p->b_type, (int)p->c_type);
    CHECK(p->beta == 0 || p->beta == 1, "matmul: beta is %g, not 0 or 1", (double)p->beta);
    CHECK(p->m == 0 || p->n == 0 || (p->c && (p->k == 0 || (p->a && p->b))), "matmul: a null array");
    return STATUS_OK;
}

size_t cpu_matmul_scratch_size(const struct matmul *p)
{
    return check_sizes(p) == STATUS_OK ? matmul_blocked_scratch_size(p) : 0;
}

enum status cpu_matmul(const struct device_context *context, const struct matmul *p)
{
    CHECK(context && p, "matmul: a null pointer");
    enum status result = cpu_check_context(context, "matmul");
    if (result == STATUS_OK)
        result = check(p);
    if (result != STATUS_OK || p->m == 0 || p->n == 0)
        return result;
    result = cpu_check_scratch(context, cpu_matmul_scratch_size(p), "matmul");
    if (result != STATUS_OK)
        return result;
    struct matmul_work work = {.context = context, .p = p, .parts = 1};
    if (matmul_few_run(&work))
        return STATUS_OK;
    enum cpu_engine engine = p->m <= MATMUL_FEW_ROWS ? CPU_ENGINE_BLOCKED : cpu_engine(context, p->a_type);
    bool done = false;
    if (engine == CPU_ENGINE_ONEDNN && cpu_onednn(context))
        result = matmul_onednn_run(&work, cpu_onednn(context), &done);
    if (engine == CPU_ENGINE_BLAS)
        matmul_blas_run(&work);
    else if (!done)
        matmul_blocked_run(&work);
    return result;
}
