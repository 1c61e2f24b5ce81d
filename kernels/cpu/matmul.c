#include "kernels/cpu/matmul.h"

#include "kernels/cpu/vector.h"

#include <cblas.h>

enum {
    TILE = 128,      /* rows and columns of C that one task owns */
    DEPTH = 512,     /* of k that is converted from bf16 at a time */
    ROWS_STRIP = 64, /* columns of C that a task owns when rows are few */
};

struct matmul_tile matmul_tile_of(const struct matmul_work *work, int64_t task)
{
    const struct matmul *p = work->p;
    int64_t in_batch = task % (work->tiles_m * work->tiles_n);
    struct matmul_tile tile = {
        .batch = task / (work->tiles_m * work->tiles_n),
        .row = in_batch % work->tiles_m * work->tile_m,
        .column = in_batch / work->tiles_m * work->tile_n,
    };
    tile.rows = minimum(work->tile_m, p->m - tile.row);
    tile.columns = minimum(work->tile_n, p->n - tile.column);
    return tile;
}

static const void *a_at(const struct matmul *p, int64_t batch, int64_t row, int64_t depth)
{
    int64_t index = p->a_transposed ? depth * p->a_row_stride + row : row * p->a_row_stride + depth;
    return element(p->a, batch * p->a_batch_stride + index, p->a_type);
}

static const void *b_at(const struct matmul *p, int64_t batch, int64_t depth, int64_t column)
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

/* What is added to the product, put into C first: then sgemm adds the product to it (beta 1). */
static bool prepare_c(const struct matmul *p, const struct matmul_tile *tile)
{
    if (!p->addend)
        return p->beta != 0;
    for (int64_t i = 0; i < tile->rows; i++) {
        int64_t index = tile->batch * p->c_batch_stride + (tile->row + i) * p->c_row_stride + tile->column;
        const float *addend = (const float *)p->addend + index;
        float *c = (float *)p->c + index;
        for (int64_t j = 0; j < tile->columns; j++)
            c[j] = p->beta != 0 ? c[j] + addend[j] : addend[j];
    }
    return true;
}

static void f32_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct matmul_work *work = argument;
    const struct matmul *p = work->p;
    struct matmul_tile tile = matmul_tile_of(work, task);
    float *c = (float *)p->c + tile.batch * p->c_batch_stride + tile.row * p->c_row_stride + tile.column;
    bool add = prepare_c(p, &tile);
    cblas_sgemm(CblasRowMajor, p->a_transposed ? CblasTrans : CblasNoTrans, p->b_transposed ? CblasTrans : CblasNoTrans,
                (blasint)tile.rows, (blasint)tile.columns, (blasint)p->k, p->alpha, a_at(p, tile.batch, tile.row, 0),
                (blasint)p->a_row_stride, b_at(p, tile.batch, 0, tile.column), (blasint)p->b_row_stride,
                add ? 1.0f : 0.0f, c, (blasint)p->c_row_stride);
}

/* Copies rows x columns of bf16 to f32 without gaps. */
static void convert_panel(float *panel, const void *source, int64_t stride, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++) {
        int64_t j = 0;
        for (; j + LANES <= columns; j += LANES)
            vector_write(panel + i * columns + j, vector_load(source, i * stride + j, LANES, DTYPE_BF16));
        for (; j < columns; j++)
            panel[i * columns + j] = bf16_to_float(((const bf16 *)source)[i * stride + j]);
    }
}

/* bf16 without bf16 instructions: panels of both operands as f32, DEPTH of k at a time, summed in f32 by sgemm. */
static void bf16_task(void *argument, int64_t task, int worker)
{
    const struct matmul_work *work = argument;
    const struct matmul *p = work->p;
    struct matmul_tile tile = matmul_tile_of(work, task);
    float *sum = cpu_worker_scratch(work->context, worker), *a = sum + TILE * TILE, *b = a + TILE * DEPTH;
    _Static_assert(TILE * TILE + 2 * TILE * DEPTH <= WORKER_SCRATCH_FLOATS, "the tiles fit a worker's scratch");
    if (p->k == 0)
        memset(sum, 0, (size_t)(tile.rows * tile.columns) * sizeof(float));
    for (int64_t start = 0; start < p->k; start += DEPTH) {
        int64_t depth = minimum(DEPTH, p->k - start);
        int64_t a_columns = p->a_transposed ? tile.rows : depth, b_columns = p->b_transposed ? depth : tile.columns;
        convert_panel(a, a_at(p, tile.batch, tile.row, start), p->a_row_stride, p->a_transposed ? depth : tile.rows,
                      a_columns);
        convert_panel(b, b_at(p, tile.batch, start, tile.column), p->b_row_stride,
                      p->b_transposed ? tile.columns : depth, b_columns);
        cblas_sgemm(CblasRowMajor, p->a_transposed ? CblasTrans : CblasNoTrans,
                    p->b_transposed ? CblasTrans : CblasNoTrans, (blasint)tile.rows, (blasint)tile.columns,
                    (blasint)depth, 1.0f, a, (blasint)a_columns, b, (blasint)b_columns, start ? 1.0f : 0.0f, sum,
                    (blasint)tile.columns);
    }
    matmul_finish(p, &tile, sum, tile.columns);
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
    (void)p;
    return 0; /* tiles live in the threads' scratch */
}

enum status cpu_matmul(const struct device_context *context, const struct matmul *p)
{
    CHECK(context && p, "matmul: a null pointer");
    enum status result = cpu_check_context(context, "matmul");
    if (result == STATUS_OK)
        result = check(p);
    if (result != STATUS_OK || p->m == 0 || p->n == 0)
        return result;
    bool few = p->m <= FEW_ROWS && !p->a_transposed;
    struct matmul_work work = {context, p, .tile_m = TILE, .tile_n = few ? ROWS_STRIP : TILE};
    work.tiles_m = divide_up(p->m, work.tile_m);
    work.tiles_n = divide_up(p->n, work.tile_n);
    thread_pool_run(context->pool, work.tiles_m * work.tiles_n * p->batch,
                    few                      ? matmul_rows_task
                    : p->a_type == DTYPE_F32 ? f32_task
                                             : bf16_task,
                    &work);
    return STATUS_OK;
}
