/* Our own product (after Goto and van de Geijn 2008): a strip of B is copied into panels of 16 columns that lie in the
 * nearest cache, rows of A pass over them six at a time, DEPTH of k after DEPTH. Copying also converts bf16. */
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/tile.h"

enum {
    PANEL = 16,    /* columns of a panel of B */
    BLOCK = 120,   /* rows of A at a time; a multiple of 6 and of SLICE */
    SLICE = 24,    /* columns of a stored k x m A that are copied together: a short stride uses the whole cache */
    MOST_ROWS = 4, /* blocks a task owns at most */
    TASKS = 16,    /* tiles become smaller until there are as many */
    PART = 512,    /* k is cut in parts of at least this */
};

/* A strip of B and a block of A together take half of a second-level cache of 512 KiB; a panel of B and the rows of A
 * that pass over it, the first-level cache. A stored m x k is read where it lies; stored k x m it is copied, and both
 * operands are wide and shallow. */
struct form {
    int64_t strip; /* columns of C a task owns */
    int64_t depth; /* of k at a time */
};
static const struct form as_stored = {128, 256}, copied = {256, 128};

static const struct form *form_of(const struct matmul *p)
{
    return p->a_transposed ? &copied : &as_stored;
}

/* With A transposed (gradients of weights) C is small and k, the tokens, long: rather than cut C smaller and read A and
 * B more often, cut k. */
static void cut(struct matmul_work *work)
{
    const struct matmul *p = work->p;
    int64_t strip = form_of(p)->strip, strips = divide_up(p->n, strip) * p->batch, rows = MOST_ROWS * BLOCK;
    work->parts = 1;
    if (p->a_transposed && p->batch == 1)
        work->parts = maximum(1, minimum(divide_up(TASKS, divide_up(p->m, rows) * strips), p->k / PART));
    while (rows > BLOCK && divide_up(p->m, rows) * strips * work->parts < TASKS)
        rows /= 2;
    rows = divide_up(p->m, divide_up(p->m, rows)); /* equal tiles... */
    work->tile_m = divide_up(rows, 6) * 6;         /* ...of whole groups of six */
    work->tile_n = p->m <= BLOCK && strips < TASKS ? strip / 2 : strip;
    work->part_depth = divide_up(divide_up(p->k, work->parts), 8) * 8;
}

size_t matmul_blocked_scratch_size(const struct matmul *p)
{
    struct matmul_work work = {.p = p};
    if (p->m == 0 || p->n == 0)
        return 0;
    cut(&work);
    return work.parts > 1 ? (size_t)(work.parts * p->m * tile_stride(p->n)) * sizeof(float) : 0;
}

/* Where a task works: its tile, the part of k, and its memory in the worker's scratch. */
struct place {
    const struct matmul *p;
    struct matmul_tile tile;
    int64_t start, depth, end; /* k from `start`, `depth` of it now, until `end` */
    int64_t step;              /* the depth of all but the last */
    float *panels;             /* [strip / PANEL][step][PANEL] */
    float *block;              /* BLOCK x step of A */
    float *sum;                /* of the tile: C itself where nothing else is to be done with it */
    int64_t sum_stride;
    bool add; /* to what `sum` holds */
};

static void load_strip(const struct place *at)
{
    const struct matmul *p = at->p;
    const void *source = matmul_b(p, at->tile.batch, at->start, at->tile.column);
    if (!p->b_transposed)
        tile_load_panels(at->panels, PANEL * at->step, PANEL, at->depth, at->tile.columns, source, p->b_row_stride,
                         p->b_type);
    else
        for (int64_t j = 0; j < at->tile.columns; j += PANEL)
            tile_load_transposed(at->panels + j * at->step, PANEL, minimum(PANEL, at->tile.columns - j), at->depth,
                                 element(source, j * p->b_row_stride, p->b_type), p->b_row_stride, p->b_type);
}

/* One panel of B times rows [first, first + rows) of the tile, which lie at `a`. */
static void multiply_panel(const struct place *at, int64_t column, int64_t first, int64_t rows, const float *a,
                           int64_t a_row, int64_t a_column)
{
    int64_t columns = minimum(PANEL, at->tile.columns - column);
    tile_multiply(rows, columns, at->depth, a, a_row, a_column, at->panels + column * at->step, PANEL,
                  at->sum + first * at->sum_stride + column, at->sum_stride, at->add);
}

/* Asks for rows [first, end) of a stored k x columns operand, which the next part of k will read: while it is
 * multiplied, so that nobody waits. */
static void prefetch(const void *source, int64_t stride, int64_t first, int64_t end, int64_t columns, enum dtype type)
{
    int64_t line = 64 / (int64_t)dtype_size(type);
    for (int64_t i = first; i < end; i++)
        for (int64_t j = 0; j < columns; j += line)
            __builtin_prefetch(element(source, i * stride + j, type), 0, 2);
}

static void prefetch_next(const struct place *at, int64_t column, int64_t first, int64_t rows)
{
    const struct matmul *p = at->p;
    int64_t next = at->start + at->step, depth = minimum(at->step, at->end - next);
    int64_t from = depth * column / at->tile.columns,
            to = depth * minimum(column + PANEL, at->tile.columns) / at->tile.columns;
    if (depth <= 0)
        return;
    prefetch(matmul_a(p, at->tile.batch, at->tile.row + first, next), p->a_row_stride, from, to, rows, p->a_type);
    if (!p->b_transposed && first == 0)
        prefetch(matmul_b(p, at->tile.batch, next, at->tile.column), p->b_row_stride, from, to, at->tile.columns,
                 p->b_type);
}

/* A stored k x m: copied in slices of SLICE columns. */
static void multiply_slices(const struct place *at, int64_t first, int64_t rows)
{
    const struct matmul *p = at->p;
    tile_load_panels(at->block, SLICE * at->step, SLICE, at->depth, rows,
                     matmul_a(p, at->tile.batch, at->tile.row + first, at->start), p->a_row_stride, p->a_type);
    for (int64_t j = 0; j < at->tile.columns; j += PANEL) {
        prefetch_next(at, j, first, rows);
        for (int64_t i = 0; i < rows; i += SLICE)
            multiply_panel(at, j, first + i, minimum(SLICE, rows - i), at->block + i * at->step, 1, SLICE);
    }
}

/* A stored m x k: read where it lies when it is f32. */
static void multiply_rows(const struct place *at, int64_t first, int64_t rows)
{
    const struct matmul *p = at->p;
    const void *source = matmul_a(p, at->tile.batch, at->tile.row + first, at->start);
    const float *block = source;
    int64_t stride = p->a_row_stride;
    if (p->a_type != DTYPE_F32) {
        tile_load(at->block, rows, at->depth, source, stride, p->a_type, 1.0f);
        block = at->block;
        stride = tile_stride(at->depth);
    }
    for (int64_t j = 0; j < at->tile.columns; j += PANEL)
        multiply_panel(at, j, first, rows, block, stride, 1);
}

/* Where the sums go: to their part of the scratch, to C, or to the worker's scratch. Returns true for the last. */
static bool place_sum(const struct matmul_work *work, int64_t part, struct place *at, float *scratch)
{
    const struct matmul *p = work->p;
    if (work->parts > 1) {
        at->sum_stride = tile_stride(p->n);
        at->sum = (float *)work->context->scratch + (part * p->m + at->tile.row) * at->sum_stride + at->tile.column;
        return false;
    }
    if (p->c_type == DTYPE_F32 && p->alpha == 1 && !p->addend && !p->bias && at->tile.columns % 8 == 0) {
        at->sum_stride = p->c_row_stride;
        at->sum = element_of(
            p->c, at->tile.batch * p->c_batch_stride + at->tile.row * p->c_row_stride + at->tile.column, DTYPE_F32);
        at->add = p->beta != 0;
        return false;
    }
    at->sum = scratch;
    at->sum_stride = work->tile_n;
    return true;
}

static void blocked_task(void *argument, int64_t task, int worker)
{
    const struct matmul_work *work = argument;
    const struct matmul *p = work->p;
    const struct form *form = form_of(p);
    float *scratch = cpu_worker_scratch(work->context, worker);
    int64_t part = task / (work->tiles_m * work->tiles_n * p->batch);
    _Static_assert(128 * 256 + BLOCK * 256 + MOST_ROWS * BLOCK * 256 <= WORKER_SCRATCH_FLOATS, "fits the scratch");
    struct place at = {.p = p,
                       .tile = matmul_tile_of(work, task),
                       .start = part * work->part_depth,
                       .end = minimum(p->k, (part + 1) * work->part_depth),
                       .step = form->depth,
                       .panels = scratch,
                       .block = scratch + form->strip * form->depth};
    bool finish = place_sum(work, part, &at, at.block + BLOCK * form->depth);
    do { /* once for k = 0, which clears the sums */
        at.depth = minimum(at.step, at.end - at.start);
        load_strip(&at);
        for (int64_t i = 0; i < at.tile.rows; i += BLOCK) {
            if (p->a_transposed)
                multiply_slices(&at, i, minimum(BLOCK, at.tile.rows - i));
            else
                multiply_rows(&at, i, minimum(BLOCK, at.tile.rows - i));
        }
        at.add = true;
        at.start += at.step;
    } while (at.start < at.end);
    if (finish)
        matmul_finish(p, &at.tile, at.sum, at.sum_stride);
}

enum { ROWS_OF_A_SUM = 16 };

static void add_parts_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct matmul_work *work = argument;
    const struct matmul *p = work->p;
    int64_t first = task * ROWS_OF_A_SUM, rows = minimum(ROWS_OF_A_SUM, p->m - first), stride = tile_stride(p->n);
    float *sum = (float *)work->context->scratch + first * stride;
    for (int64_t part = 1; part < work->parts; part++) {
        const float *other = sum + part * p->m * stride;
        for (int64_t i = 0; i < rows * stride; i++)
            sum[i] += other[i];
    }
    matmul_finish(p, &(struct matmul_tile){.row = first, .rows = rows, .columns = p->n}, sum, stride);
}

void matmul_blocked_run(struct matmul_work *work)
{
    cut(work);
    matmul_run_tiles(work, blocked_task);
    if (work->parts > 1)
        thread_pool_run(work->context->pool, divide_up(work->p->m, ROWS_OF_A_SUM), add_parts_task, work);
}
