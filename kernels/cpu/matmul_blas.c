/* Tiles of sgemm, each one call on one thread. */
#include "kernels/cpu/blas_library.h"
#include "kernels/cpu/matmul.h"

#include "kernels/cpu/vector.h"

enum {
    TILE = 256, /* rows and columns of C that one task owns at most */
    DEPTH = 512 /* of k that is converted from bf16 at a time */
};

/* What is added to the product, put into C first: then sgemm adds the product to it (beta 1). */
static bool prepare_c(const struct matmul *p, const struct matmul_tile *tile)
{
    if (!p->addend && !p->bias)
        return p->beta != 0;
    const float *bias = p->bias ? (const float *)p->bias + tile->column : NULL;
    for (int64_t i = 0; i < tile->rows; i++) {
        int64_t index = tile->batch * p->c_batch_stride + (tile->row + i) * p->c_row_stride + tile->column;
        const float *addend = p->addend ? (const float *)p->addend + index : NULL;
        float *c = (float *)p->c + index;
        for (int64_t j = 0; j < tile->columns; j++) {
            float start = p->beta != 0 ? c[j] : 0;
            if (addend)
                start = p->beta != 0 ? start + addend[j] : addend[j];
            c[j] = bias ? start + bias[j] : start;
        }
    }
    return true;
}

static int form_of(bool transposed)
{
    return transposed ? BLAS_TRANSPOSED : BLAS_NOT_TRANSPOSED;
}

static void f32_tile(const struct blas_library *blas, const struct matmul *p, const struct matmul_tile *tile)
{
    float *c = (float *)p->c + tile->batch * p->c_batch_stride + tile->row * p->c_row_stride + tile->column;
    bool add = prepare_c(p, tile);
    blas->sgemm(BLAS_ROW_MAJOR, form_of(p->a_transposed), form_of(p->b_transposed), (int)tile->rows, (int)tile->columns,
                (int)p->k, p->alpha, matmul_a(p, tile->batch, tile->row, 0), (int)p->a_row_stride,
                matmul_b(p, tile->batch, 0, tile->column), (int)p->b_row_stride, add ? 1.0f : 0.0f, c,
                (int)p->c_row_stride);
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

/* Panels of both operands as f32, DEPTH of k at a time, summed in f32 by sgemm. */
static void bf16_tile(const struct blas_library *blas, const struct matmul *p, const struct matmul_tile *tile,
                      float *scratch)
{
    float *sum = scratch, *a = sum + TILE * TILE, *b = a + TILE * DEPTH;
    _Static_assert(TILE * TILE + 2 * TILE * DEPTH <= WORKER_SCRATCH_FLOATS, "the tiles fit a worker's scratch");
    if (p->k == 0)
        memset(sum, 0, (size_t)(tile->rows * tile->columns) * sizeof(float));
    for (int64_t start = 0; start < p->k; start += DEPTH) {
        int64_t depth = minimum(DEPTH, p->k - start);
        int64_t a_columns = p->a_transposed ? tile->rows : depth, b_columns = p->b_transposed ? depth : tile->columns;
        convert_panel(a, matmul_a(p, tile->batch, tile->row, start), p->a_row_stride,
                      p->a_transposed ? depth : tile->rows, a_columns);
        convert_panel(b, matmul_b(p, tile->batch, start, tile->column), p->b_row_stride,
                      p->b_transposed ? tile->columns : depth, b_columns);
        blas->sgemm(BLAS_ROW_MAJOR, form_of(p->a_transposed), form_of(p->b_transposed), (int)tile->rows,
                    (int)tile->columns, (int)depth, 1.0f, a, (int)a_columns, b, (int)b_columns, start ? 1.0f : 0.0f,
                    sum, (int)tile->columns);
    }
    matmul_finish(p, tile, sum, tile->columns);
}

static void blas_task(void *argument, int64_t task, int worker)
{
    const struct matmul_work *work = argument;
    struct matmul_tile tile = matmul_tile_of(work, task);
    if (work->p->a_type == DTYPE_F32)
        f32_tile(blas_library(), work->p, &tile);
    else
        bf16_tile(blas_library(), work->p, &tile, cpu_worker_scratch(work->context, worker));
}

void matmul_blas_run(struct matmul_work *work)
{
    const struct matmul *p = work->p;
    work->tile_m = work->tile_n = TILE;
    while (work->tile_m > TILE / 4 && divide_up(p->m, work->tile_m) * divide_up(p->n, work->tile_n) * p->batch < 16) {
        if (work->tile_n == work->tile_m)
            work->tile_n /= 2;
        else
            work->tile_m /= 2;
    }
    matmul_run_tiles(work, blas_task);
}
