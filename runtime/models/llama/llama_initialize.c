/* First values of the weights. Every row of a matrix has a random stream of its own and every number its place in it, so
 * the values depend on nothing but their names: neither on other shapes nor on threads, nor on the pieces in which they
 * are made. */
#include "core/hash.h"
#include "core/rng.h"
#include "core/thread_pool.h"
#include "models/llama/llama.h"
#include "models/llama/llama_fill.h"
#include "models/llama/llama_internal.h"
#include "models/llama/llama_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Elements [first, first + count) of a matrix. */
struct normal_values {
    float *values;
    int64_t first, count, columns;
    uint64_t seed, name;
    double std;
    const double *means, *deviations; /* [columns]; NULL: 0, and std everywhere */
};

static float normal_value(const struct normal_values *normal, double number, int64_t column)
{
    return normal->means ? (float)(normal->means[column] + number * normal->deviations[column])
                         : (float)(number * normal->std);
}

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
        for (; at < stop; at++, column++)
            normal->values[at] = normal_value(normal, rng_normal(&rng), column);
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

/* From its row `first_row` on, with the numbers that `normal` describes. */
static enum status fill_view(struct llama_fill *fill, const struct parameter_view *view, struct normal_values normal,
                             int64_t first_row)
{
    enum status result = STATUS_OK;
    const struct llama *model = fill->model;
    normal.columns = view->shape[1];
    normal.name = name_hash(view->name);
    if (writes_residual(view->name))
        normal.std /= sqrt(2.0 * (double)model->config.layers);
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
            TRY(fill_view(&fill, &model->layout.views[i], (struct normal_values){.seed = seed, .std = std}, 0));
fail:
    return llama_fill_close(&fill, result);
}

/* ---- new rows of a continued model ---- */

/* Sums over the rows of a matrix, a column at a time: of the elements, or, with `means`, of their squared distances. */
static void sum_columns(const struct source_tensor *tensor, const double *means, double *sums, float *row)
{
    int64_t columns = tensor->shape[1];
    memset(sums, 0, (size_t)columns * sizeof *sums);
    for (int64_t r = 0; r < tensor->shape[0]; r++) {
        source_tensor_read(tensor, r * columns, columns, row);
        for (int64_t c = 0; c < columns; c++) {
            double distance = (double)row[c] - (means ? means[c] : 0);
            sums[c] += means ? distance * distance : distance;
        }
    }
}

/* means[C] and deviations[C] of the rows that the source has for a view. */
static enum status measure_rows(const struct llama_source *source, const struct llama *model,
                                const struct parameter_view *view, double *means, double *deviations)
{
    const struct source_tensor *tensor = llama_source_find(source, view->name);
    if (!tensor)
        tensor = llama_source_find(source, model->layout.views[0].name);
    if (!tensor || tensor->rank != 2 || tensor->shape[1] != view->shape[1] || tensor->shape[0] < 1)
        return status_set(STATUS_INTERNAL, "no rows to measure for %s", view->name);
    float *row = malloc((size_t)tensor->shape[1] * sizeof *row);
    if (!row)
        return status_set(STATUS_INTERNAL, "no memory for a row of %s", view->name);
    sum_columns(tensor, NULL, means, row);
    for (int64_t c = 0; c < tensor->shape[1]; c++)
        means[c] /= (double)tensor->shape[0];
    sum_columns(tensor, means, deviations, row);
    for (int64_t c = 0; c < tensor->shape[1]; c++)
        deviations[c] = sqrt(deviations[c] / (double)tensor->shape[0]);
    free(row);
    source_tensor_forget(tensor);
    return STATUS_OK;
}

/* What the new rows of a view are made of; moments[2][C] is room for means and deviations. */
static enum status describe_rows(const struct llama *model, const struct parameter_view *view,
                                 const struct llama_new_rows *rows, const struct llama_source *source, double *moments,
                                 struct normal_values *normal)
{
    double *deviations = moments + view->shape[1];
    normal->std = rows->kind == LLAMA_ROWS_ZERO ? 0 : rows->deviation;
    if (!source)
        return STATUS_OK;
    enum status result = measure_rows(source, model, view, moments, deviations);
    if (rows->kind == LLAMA_ROWS_MEAN)
        memset(deviations, 0, (size_t)view->shape[1] * sizeof *deviations);
    normal->means = moments;
    normal->deviations = deviations;
    return result;
}

enum status llama_initialize_rows(struct llama *model, uint64_t seed, const struct llama_new_rows *rows,
                                  const struct weight_sink *sink)
{
    enum status result = STATUS_OK;
    struct llama_fill fill = {0};
    struct llama_source *source = NULL;
    double *moments = malloc(2 * (size_t)model->config.hidden_size * sizeof *moments);
    if (!moments)
        FAIL(STATUS_INTERNAL, "no memory for the moments of a row");
    TRY(check_std(rows->deviation));
    if (rows->first < 0 || rows->first > model->config.vocabulary_size)
        FAIL(STATUS_INTERNAL, "first new row %lld of a vocabulary of %lld", (long long)rows->first,
             (long long)model->config.vocabulary_size);
    if (rows->kind == LLAMA_ROWS_MATCH || rows->kind == LLAMA_ROWS_MEAN)
        TRY(llama_source_open(rows->source, &source));
    TRY(llama_fill_open(model, sink, &fill));
    for (int64_t i = 0; i < model->layout.count; i++) {
        const struct parameter_view *view = &model->layout.views[i];
        struct normal_values normal = {.seed = seed};
        if (view->layer >= 0 || view->rank != 2 || view->alias)
            continue;
        TRY(describe_rows(model, view, rows, source, moments, &normal));
        TRY(fill_view(&fill, view, normal, rows->first));
    }
fail:
    llama_source_close(source);
    result = llama_fill_close(&fill, result);
    free(moments);
    return result;
}
