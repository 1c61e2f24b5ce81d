/* Tiles of oneDNN's matmul (C API of version 2) for processors that multiply bf16. Each tile is one call on one thread:
 * the library's own OpenMP threads are held to one. */
#include "kernels/cpu/matmul.h"

#ifdef SPIRITLM_HAVE_ONEDNN

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TILE = 256, /* rows and columns of C that one task owns at most */
    TASKS = 16,
    REMEMBERED = 64, /* products of one shape that are kept ready */
    SHAPES = 4,      /* of tiles in one product: whole, last column, last row, corner */
};

/* What a ready product is for. */
struct key {
    int64_t rows, columns, depth, a_stride, b_stride;
    bool a_transposed, b_transposed;
    enum dtype type;
};

struct product {
    struct key key;
    dnnl_primitive_t primitive; /* NULL: the place is free */
    dnnl_memory_desc_t a, b, sum, scratchpad;
};

struct onednn {
    dnnl_engine_t engine;
    dnnl_stream_t *streams; /* one a worker */
    int workers;
    struct product remembered[REMEMBERED];
    int next; /* the place that is given to the next new product */
};

/* A call of the library starts as many OpenMP threads as the calling thread's own setting says. */
static void hold_to_one_thread(void)
{
    static _Thread_local bool done;
    if (done)
        return;
    void (*set_threads)(int) = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    memcpy(&set_threads, &symbol, sizeof symbol);
    if (set_threads)
        set_threads(1);
    done = true;
}

void onednn_destroy(struct onednn *library)
{
    if (!library)
        return;
    for (int i = 0; i < REMEMBERED; i++)
        if (library->remembered[i].primitive)
            dnnl_primitive_destroy(library->remembered[i].primitive);
    for (int i = 0; library->streams && i < library->workers; i++)
        if (library->streams[i])
            dnnl_stream_destroy(library->streams[i]);
    free(library->streams);
    if (library->engine)
        dnnl_engine_destroy(library->engine);
    free(library);
}

struct onednn *onednn_create(int workers)
{
    struct onednn *library = calloc(1, sizeof *library);
    if (!library)
        return NULL;
    hold_to_one_thread();
    library->workers = workers;
    library->streams = calloc((size_t)workers, sizeof *library->streams);
    if (!library->streams || dnnl_engine_create(&library->engine, dnnl_cpu, 0) != dnnl_success)
        goto fail;
    for (int i = 0; i < workers; i++)
        if (dnnl_stream_create(&library->streams[i], library->engine, dnnl_stream_default_flags) != dnnl_success)
            goto fail;
    return library;
fail:
    onednn_destroy(library);
    return NULL;
}

void onednn_version(char *text, size_t size)
{
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, size, "%d.%d.%d", version->major, version->minor, version->patch);
}

static bool describe(dnnl_memory_desc_t *description, int64_t rows, int64_t columns, int64_t stride, bool transposed,
                     dnnl_data_type_t type)
{
    dnnl_dims_t sizes = {rows, columns}, strides = {transposed ? 1 : stride, transposed ? stride : 1};
    return dnnl_memory_desc_init_by_strides(description, 2, sizes, type, strides) == dnnl_success;
}

/* False when this processor or library cannot do it. */
static bool make_product(const struct onednn *library, const struct key *key, struct product *product)
{
    dnnl_data_type_t type = key->type == DTYPE_F32 ? dnnl_f32 : dnnl_bf16;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t description = NULL;
    dnnl_matmul_desc_t matmul;
    bool good = describe(&product->a, key->rows, key->depth, key->a_stride, key->a_transposed, type) &&
                describe(&product->b, key->depth, key->columns, key->b_stride, key->b_transposed, type) &&
                describe(&product->sum, key->rows, key->columns, key->columns, false, dnnl_f32) &&
                dnnl_matmul_desc_init(&matmul, &product->a, &product->b, NULL, &product->sum) == dnnl_success &&
                dnnl_primitive_attr_create(&attributes) == dnnl_success &&
                dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user) == dnnl_success &&
                dnnl_primitive_desc_create(&description, &matmul, attributes, library->engine, NULL) == dnnl_success;
    if (good) {
        product->scratchpad = *dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
        size_t room = ((size_t)WORKER_SCRATCH_FLOATS - TILE * TILE) * sizeof(float);
        good = dnnl_memory_desc_get_size(&product->scratchpad) <= room &&
               dnnl_primitive_create(&product->primitive, description) == dnnl_success;
    }
    if (description)
        dnnl_primitive_desc_destroy(description);
    if (attributes)
        dnnl_primitive_attr_destroy(attributes);
    product->key = *key;
    return good;
}

static bool same_key(const struct key *a, const struct key *b)
{
    return a->rows == b->rows && a->columns == b->columns && a->depth == b->depth && a->a_stride == b->a_stride &&
           a->b_stride == b->b_stride && a->a_transposed == b->a_transposed && a->b_transposed == b->b_transposed &&
           a->type == b->type;
}

static const struct product *find_product(struct onednn *library, const struct key *key)
{
    for (int i = 0; i < REMEMBERED; i++)
        if (library->remembered[i].primitive && same_key(&library->remembered[i].key, key))
            return &library->remembered[i];
    struct product product = {0};
    if (!make_product(library, key, &product))
        return NULL;
    struct product *place = &library->remembered[library->next];
    library->next = (library->next + 1) % REMEMBERED;
    if (place->primitive)
        dnnl_primitive_destroy(place->primitive);
    *place = product;
    return place;
}

struct onednn_work {
    struct matmul_work *work;
    struct onednn *library;
    const struct product *products[SHAPES];
    atomic_bool failed;
};

static int shape_of(const struct matmul_work *work, int64_t rows, int64_t columns)
{
    return (rows < work->tile_m ? 2 : 0) + (columns < work->tile_n ? 1 : 0);
}

static bool execute(const struct onednn *library, const struct product *product, const void *a, const void *b,
                    float *sum, float *scratchpad, int worker)
{
    const dnnl_memory_desc_t *descriptions[4] = {&product->a, &product->b, &product->sum, &product->scratchpad};
    void *memory[4] = {NULL, NULL, sum, scratchpad};
    memcpy(&memory[0], &a, sizeof a); /* the library takes what it only reads without const */
    memcpy(&memory[1], &b, sizeof b);
    dnnl_exec_arg_t arguments[4] = {
        {DNNL_ARG_SRC, NULL}, {DNNL_ARG_WEIGHTS, NULL}, {DNNL_ARG_DST, NULL}, {DNNL_ARG_SCRATCHPAD, NULL}};
    bool good = true;
    for (int i = 0; i < 4; i++)
        good = good &&
               dnnl_memory_create(&arguments[i].memory, descriptions[i], library->engine, memory[i]) == dnnl_success;
    good = good && dnnl_primitive_execute(product->primitive, library->streams[worker], 4, arguments) == dnnl_success &&
           dnnl_stream_wait(library->streams[worker]) == dnnl_success;
    for (int i = 0; i < 4; i++)
        if (arguments[i].memory)
            dnnl_memory_destroy(arguments[i].memory);
    return good;
}

static void onednn_task(void *argument, int64_t task, int worker)
{
    struct onednn_work *call = argument;
    const struct matmul *p = call->work->p;
    struct matmul_tile tile = matmul_tile_of(call->work, task);
    float *sum = cpu_worker_scratch(call->work->context, worker);
    hold_to_one_thread();
    if (execute(call->library, call->products[shape_of(call->work, tile.rows, tile.columns)],
                matmul_a(p, tile.batch, tile.row, 0), matmul_b(p, tile.batch, 0, tile.column), sum, sum + TILE * TILE,
                worker))
        matmul_finish(p, &tile, sum, tile.columns);
    else
        atomic_store(&call->failed, true);
}

/* The ready products of all shapes of tiles. */
static bool find_products(struct onednn_work *call)
{
    const struct matmul_work *work = call->work;
    const struct matmul *p = work->p;
    const int64_t rows[2] = {work->tile_m, p->m % work->tile_m}, columns[2] = {work->tile_n, p->n % work->tile_n};
    for (int i = 0; i < SHAPES; i++) {
        struct key key = {rows[i / 2],     columns[i % 2],  p->k,     p->a_row_stride, p->b_row_stride,
                          p->a_transposed, p->b_transposed, p->a_type};
        if (key.rows == 0 || key.columns == 0)
            continue;
        call->products[i] = find_product(call->library, &key);
        if (!call->products[i])
            return false;
    }
    return true;
}

enum status matmul_onednn_run(struct matmul_work *work, struct onednn *library, bool *done)
{
    const struct matmul *p = work->p;
    struct onednn_work call = {.work = work, .library = library};
    *done = false;
    hold_to_one_thread();
    work->tile_m = minimum(TILE, p->m);
    work->tile_n = minimum(TILE, p->n);
    while (work->tile_n > TILE / 4 && divide_up(p->m, work->tile_m) * divide_up(p->n, work->tile_n) * p->batch < TASKS)
        work->tile_n = divide_up(work->tile_n / 2, 16) * 16;
    if (p->k == 0 || !find_products(&call))
        return STATUS_OK;
    work->tiles_m = divide_up(p->m, work->tile_m);
    work->tiles_n = divide_up(p->n, work->tile_n);
    thread_pool_run(work->context->pool, work->tiles_m * work->tiles_n * p->batch, onednn_task, &call);
    *done = true;
    return atomic_load(&call.failed) ? status_set(STATUS_INTERNAL, "matmul: oneDNN could not run a tile") : STATUS_OK;
}

#else

struct onednn *onednn_create(int workers)
{
    (void)workers;
    return NULL;
}

void onednn_destroy(struct onednn *library)
{
    (void)library;
}

void onednn_version(char *text, size_t size)
{
    if (size > 0)
        text[0] = 0;
}

enum status matmul_onednn_run(struct matmul_work *work, struct onednn *library, bool *done)
{
    (void)work;
    (void)library;
    *done = false;
    return STATUS_OK;
}

#endif
