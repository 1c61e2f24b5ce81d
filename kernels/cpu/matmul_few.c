/* Products of few rows with the transpose of a stored matrix, as decoding a token makes them: each element of B is used
 * once a row of A, so the time is that of reading B. One row of A reads a tile of B in three places at once, which the processor's
 * prefetching brings faster than one after the other (SPEED.md). A sum has four vectors of partial sums: its order depends on k alone, so the bits of a row
 * do not depend on the rows beside it. */
#include "kernels/cpu/matmul.h"

#include "kernels/cpu/vector.h"

enum {
    PARTS = 4,
    STEP = PARTS * LANES,        /* elements of k at a time */
    FEW_TASK_ELEMENTS = 1 << 17, /* of B a task, or more */
    PLACES = 3,                  /* of a tile, read at once; sums of more do not fit the registers of AVX2 */
    MOST_SUMS = PLACES,
};

/* What a task works on. */
struct few {
    const struct matmul *p;
    const float *a; /* [m][depth]: A as f32 in the order of load_step */
    int64_t depth;  /* k rounded up to STEP: zeros lie behind k */
    float *sum;     /* [m][stride] of the task's columns */
    int64_t stride;
};

/* STEP elements: f32 as they lie; of each 32 bytes of bf16 first the even ones (low halves of words), then the odd. */
struct step {
    vector part[PARTS];
};

INLINE struct step load_step(const void *source, enum dtype type)
{
    const float *words = source;
    struct step step;
    if (type == DTYPE_F32) {
        for (int i = 0; i < PARTS; i++)
            step.part[i] = vector_read(words + i * LANES);
        return step;
    }
    for (int i = 0; i < PARTS; i += 2) {
        vector_bits both = (vector_bits)vector_read(words + i / 2 * LANES);
        step.part[i] = (vector)(both << 16);
        step.part[i + 1] = (vector)(both & 0xffff0000u);
    }
    return step;
}

/* The last elements of a row. */
INLINE struct step load_last(const void *source, int64_t count, enum dtype type)
{
    float words[STEP] = {0};
    memcpy(words, source, (size_t)count * dtype_size(type));
    return load_step(words, type);
}

INLINE void arrange_row(float *to, const void *from, int64_t k, enum dtype type)
{
    for (int64_t i = 0; i < k; i += STEP) {
        const void *source = element(from, i, type);
        struct step step = k - i >= STEP ? load_step(source, type) : load_last(source, k - i, type);
        memcpy(to + i, &step, sizeof step);
    }
}

INLINE float sum_of(const struct step *step)
{
    return vector_sum((step->part[0] + step->part[1]) + (step->part[2] + step->part[3]));
}

INLINE void add_products(struct step *sum, const float *a, const struct step *b)
{
#pragma GCC unroll 4
    for (int i = 0; i < PARTS; i++)
        sum->part[i] = multiply_add(vector_read(a + i * LANES), b->part[i], sum->part[i]);
}

/* `rows` rows of A times `places` rows of B, the first at `b` and each `apart` rows behind the one before; both are constants where
 * this is used. */
INLINE void multiply_places(const struct few *few, int rows, int places, const float *a, const char *b, int64_t apart,
                            enum dtype type, float *to)
{
    const int64_t k = few->p->k, whole = k / STEP * STEP, depth = few->depth, stride = apart * few->p->b_row_stride;
    struct step sum[MOST_SUMS] = {{{{0}}}};
    for (int64_t at = 0; at < whole; at += STEP)
        for (int j = 0; j < places; j++) {
            struct step step = load_step(element(b, at + j * stride, type), type);
            for (int i = 0; i < rows; i++)
                add_products(&sum[i * places + j], a + i * depth + at, &step);
        }
    if (whole < k)
        for (int j = 0; j < places; j++) {
            struct step step = load_last(element(b, whole + j * stride, type), k - whole, type);
            for (int i = 0; i < rows; i++)
                add_products(&sum[i * places + j], a + i * depth + whole, &step);
        }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < places; j++)
            to[i * few->stride + j * apart] = sum_of(&sum[i * places + j]);
}

/* `rows` rows of A, a constant where this is used, times all of a tile's rows of B. */
INLINE void multiply_rows(const struct few *few, int rows, int64_t first, const struct matmul_tile *tile,
                          enum dtype type)
{
    const int places = rows == 1 ? PLACES : 1;
    const int64_t columns = tile->columns, b_stride = few->p->b_row_stride, part = columns / places;
    const char *b = element(few->p->b, tile->column * b_stride, type);
    const float *a = few->a + first * few->depth;
    float *to = few->sum + first * few->stride;
    for (int64_t j = 0; j < part; j++)
        multiply_places(few, rows, places, a, element(b, j * b_stride, type), part, type, to + j);
    for (int64_t j = part * places; j < columns; j++)
        multiply_places(few, rows, 1, a, element(b, j * b_stride, type), 1, type, to + j);
}

INLINE void multiply_tile(struct few *few, const struct matmul_tile *tile, float *a, enum dtype type)
{
    const struct matmul *p = few->p;
    for (int64_t i = 0; i < p->m; i++)
        arrange_row(a + i * few->depth, element(p->a, i * p->a_row_stride, type), p->k, type);
    few->a = a;
    for (int64_t row = 0; row < p->m / 2 * 2; row += 2)
        multiply_rows(few, 2, row, tile, type);
    if (p->m % 2)
        multiply_rows(few, 1, p->m - 1, tile, type);
}

static int64_t depth_of(const struct matmul *p)
{
    return divide_up(p->k, STEP) * STEP;
}

static void few_task(void *argument, int64_t task, int worker)
{
    const struct matmul_work *work = argument;
    const struct matmul *p = work->p;
    struct matmul_tile tile = matmul_tile_of(work, task);
    float *sum = cpu_worker_scratch(work->context, worker), *a = sum + p->m * work->tile_n;
    struct few few = {.p = p, .depth = depth_of(p), .sum = sum, .stride = work->tile_n};
    if (p->a_type == DTYPE_F32)
        multiply_tile(&few, &tile, a, DTYPE_F32);
    else
        multiply_tile(&few, &tile, a, DTYPE_BF16);
    matmul_finish(p, &tile, sum, few.stride);
}

bool matmul_few_run(struct matmul_work *work)
{
    const struct matmul *p = work->p;
    int64_t depth = depth_of(p), columns = divide_up(FEW_TASK_ELEMENTS, (depth > 0 ? depth : 1) * 16) * 16;
    /* Whether it fits may not depend on m: the bits of a row would. */
    if (p->m > MATMUL_FEW_ROWS || p->a_transposed || !p->b_transposed || p->batch != 1 || p->beta != 0 ||
        MATMUL_FEW_ROWS * (columns + depth) > WORKER_SCRATCH_FLOATS)
        return false;
    work->tile_m = p->m;
    work->tile_n = columns;
    matmul_run_tiles(work, few_task);
    return true;
}
