/* First values of the weights, and the way from host values to the model's arena. */
#include "core/hash.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "models/llama/llama.h"
#include "models/llama/llama_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum status llama_store_weights(struct llama *model, int64_t offset, const float *values, int64_t count)
{
    enum { STEP = 1 << 20 };
    const struct kernels *kernels = model->kernels;
    size_t size = dtype_size(model->dtype);
    if (model->dtype == DTYPE_F32)
        return kernels->copy_to_device(model->context, QUEUE_COMPUTE, llama_at(model->weights, DTYPE_F32, offset),
                                       values, (size_t)count * size);
    enum status result = STATUS_OK;
    void *converted = malloc((size_t)(count < STEP ? count : STEP) * size);
    if (!converted)
        return status_set(STATUS_INTERNAL, "no memory to convert weights");
    for (int64_t done = 0; done < count; done += STEP) {
        int64_t step = count - done < STEP ? count - done : STEP;
        dtype_from_float(converted, model->dtype, values + done, step);
        TRY(kernels->copy_to_device(model->context, QUEUE_COMPUTE,
                                    llama_at(model->weights, model->dtype, offset + done), converted,
                                    (size_t)step * size));
        TRY(kernels->synchronize(model->context));
    }
fail:
    if (result != STATUS_OK)
        (void)kernels->synchronize(model->context); /* a copy out of `converted` may not be over */
    free(converted);
    return result;
}

/* Rows of one matrix. Every row has a stream of its own, so a wider vocabulary or another number of threads changes
 * nothing in the rows that were there. */
struct normal_rows {
    float *values;
    int64_t columns, first_row;
    uint64_t seed, name;
    double std;
};

static void fill_row(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct normal_rows *rows = argument;
    int64_t row = rows->first_row + task;
    struct rng rng = rng_make(rows->seed, RNG_INITIALIZE, rows->name, (uint64_t)row);
    float *values = rows->values + row * rows->columns;
    for (int64_t i = 0; i < rows->columns; i++)
        values[i] = (float)(rng_normal(&rng) * rows->std);
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

static enum status fill_view(struct llama *model, const struct parameter_view *view, uint64_t seed, double std,
                             int64_t first_row, float *masters)
{
    float *values = masters + view->offset;
    if (view->rank == 1) {
        for (int64_t i = 0; i < view->count; i++)
            values[i] = 1;
        return llama_store_weights(model, view->offset, values, view->count);
    }
    struct normal_rows rows = {.values = values,
                               .columns = view->shape[1],
                               .first_row = first_row,
                               .seed = seed,
                               .name = name_hash(view->name),
                               .std = std};
    if (writes_residual(view->name))
        rows.std = std / sqrt(2.0 * (double)model->config.layers);
    thread_pool_run(model->context->pool, view->shape[0] - first_row, fill_row, &rows);
    int64_t skipped = first_row * view->shape[1];
    return llama_store_weights(model, view->offset + skipped, values + skipped, view->count - skipped);
}

static enum status check_std(double std)
{
    if (!(std >= 0 && std <= 100))
        return status_set(STATUS_USAGE, "model: standard deviation of the first weights is %g", std);
    return STATUS_OK;
}

enum status llama_initialize(struct llama *model, uint64_t seed, double std, float *masters)
{
    enum status result = STATUS_OK;
    TRY(check_std(std));
    memset(masters, 0, (size_t)model->layout.elements * sizeof *masters); /* the padding between groups */
    for (int64_t i = 0; i < model->layout.count; i++)
        if (!model->layout.views[i].alias)
            TRY(fill_view(model, &model->layout.views[i], seed, std, 0, masters));
    TRY(model->kernels->synchronize(model->context));
fail:
    return result;
}

enum status llama_initialize_rows(struct llama *model, uint64_t seed, double std, int64_t first_row, float *masters)
{
    enum status result = STATUS_OK;
    TRY(check_std(std));
    if (first_row < 0 || first_row > model->config.vocabulary_size)
        FAIL(STATUS_INTERNAL, "first new row %lld of a vocabulary of %lld", (long long)first_row,
             (long long)model->config.vocabulary_size);
    for (int64_t i = 0; i < model->layout.count; i++) {
        const struct parameter_view *view = &model->layout.views[i];
        if (view->layer < 0 && view->rank == 2 && !view->alias)
            TRY(fill_view(model, view, seed, std, first_row, masters));
    }
    TRY(model->kernels->synchronize(model->context));
fail:
    return result;
}
