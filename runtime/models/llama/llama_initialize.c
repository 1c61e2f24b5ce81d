/* First values of the weights. Every row of a matrix has a random stream of its own and every number its place in it, so
 * the values depend on nothing but their names: neither on other shapes nor on threads, nor on the pieces in which they
 * are made. */
#include "core/hash.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "models/llama/llama.h"
#include "models/llama/llama_fill.h"
#include "models/llama/llama_internal.h"

#include <math.h>
#include <string.h>

/* Elements [first, first + count) of a matrix. */
struct normal_values {
    float *values;
    int64_t first, count, columns;
    uint64_t seed, name;
    double std;
};

static void fill_block(void *argument, int64_t task, int worker)
{
    enum { WORDS = 4 }; /* of a stream that rng_normal takes for a number */
    (void)worker;
    const struct normal_values *normal = argument;
    int64_t at = task * FILL_BLOCK, end = at + FILL_BLOCK < normal->count ? at + FILL_BLOCK : normal->count;
    while (at < end) {
        int64_t row = (normal->first + at) / normal->columns, column = (normal->first + at) % normal->columns;
        int64_t stop = at + normal->columns - column < end ? at + normal->columns - column : end;
        struct rng rng = rng_make(normal->seed, RNG_INITIALIZE, normal->name, (uint64_t)row);
        rng_skip(&rng, WORDS * (uint64_t)column);
        for (; at < stop; at++)
            normal->values[at] = (float)(rng_normal(&rng) * normal->std);
    }
}

static uint64_t name_hash(const char *name)
{
    struct sha256 hash = sha256_of(name, strlen(name));
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)hash.bytes[i] << (8 * i);
    return value;
}

/* The projections that write into the residual stream: their sum over the layers keeps its size. */
static bool writes_residual(const char *name)
{
    return strstr(name, "self_attn.o_proj.weight") || strstr(name, "mlp.down_proj.weight");
}

/* From its row `first_row` on. */
static enum status fill_view(struct llama_fill *fill, const struct parameter_view *view, uint64_t seed, double std,
                             int64_t first_row)
{
    enum status result = STATUS_OK;
    const struct llama *model = fill->model;
    struct normal_values normal = {.columns = view->shape[1], .seed = seed, .name = name_hash(view->name), .std = std};
    if (writes_residual(view->name))
        normal.std = std / sqrt(2.0 * (double)model->config.layers);
    for (int64_t at = first_row * (view->count / view->shape[0]); at < view->count; at += normal.count) {
        TRY(llama_fill_next(fill));
        normal.first = at;
        normal.count = view->count - at < WEIGHT_PIECE ? view->count - at : WEIGHT_PIECE;
        normal.values = fill->values;
        if (view->rank == 1)
            for (int64_t i = 0; i < normal.count; i++)
                normal.values[i] = 1;
        else
            thread_pool_run(model->context->pool, (normal.count + FILL_BLOCK - 1) / FILL_BLOCK, fill_block, &normal);
        TRY(llama_fill_send(fill, view->offset + at, normal.count));
    }
fail:
    return result;
}

static enum status check_std(double std)
{
    if (!(std >= 0 && std <= 100))
        return status_set(STATUS_USAGE, "model: standard deviation of the first weights is %g", std);
    return STATUS_OK;
}

enum status llama_initialize(struct llama *model, uint64_t seed, double std, const struct weight_sink *sink)
{
    enum status result = STATUS_OK;
    struct llama_fill fill = {0};
    TRY(check_std(std));
    TRY(llama_fill_open(model, sink, &fill));
    for (int64_t i = 0; i < model->layout.count; i++)
        if (!model->layout.views[i].alias)
            TRY(fill_view(&fill, &model->layout.views[i], seed, std, 0));
fail:
    return llama_fill_close(&fill, result);
}

enum status llama_initialize_rows(struct llama *model, uint64_t seed, double std, int64_t first_row,
                                  const struct weight_sink *sink)
{
    enum status result = STATUS_OK;
    struct llama_fill fill = {0};
    TRY(check_std(std));
    if (first_row < 0 || first_row > model->config.vocabulary_size)
        FAIL(STATUS_INTERNAL, "first new row %lld of a vocabulary of %lld", (long long)first_row,
             (long long)model->config.vocabulary_size);
    TRY(llama_fill_open(model, sink, &fill));
    for (int64_t i = 0; i < model->layout.count; i++) {
        const struct parameter_view *view = &model->layout.views[i];
        if (view->layer < 0 && view->rank == 2 && !view->alias)
            TRY(fill_view(&fill, view, seed, std, first_row));
    }
fail:
    return llama_fill_close(&fill, result);
}
