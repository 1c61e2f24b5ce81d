/* Gradients of attention, with the probabilities computed again by blocks from log_sum_exp (Dao et al. 2022, section 3
 * and appendix B). A task is one key/value head of one row of the batch: it owns the gradients of its keys and values
 * and of the queries of its group, and adds to them in a fixed order. */
#include "kernels/cpu/attention.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/vector.h"

struct work {
    const struct device_context *context;
    const struct attention_backward *p;
    int64_t group;       /* query heads a key/value head serves */
    int64_t task_floats; /* of context scratch: grad_query [group][T][stride], then delta [group][T] */
};

struct tiles {
    float *query, *grad_output;         /* [QUERY_ROWS][stride]; the query scaled */
    float *key, *grad_key, *grad_value; /* [KEY_BLOCK][stride] */
    float *key_columns, *value_columns; /* [D][KEY_STRIDE] */
    float *probability, *grad_score;    /* [QUERY_ROWS][up to KEY_BLOCK] */
    float *grad_query, *delta;          /* of the whole task */
    int64_t stride;
};

/* Where one task works: row b, key/value head kv, query head h. */
struct place {
    int64_t b, kv, h, in_group;
};

static int64_t task_floats(const struct attention_forward *p)
{
    int64_t group = p->heads / p->kv_heads;
    return group * p->query_length * (tile_stride(p->head_size) + 1);
}

size_t cpu_attention_backward_scratch_size(const struct attention_backward *p)
{
    const struct attention_forward *f = &p->forward;
    if (f->batch <= 0 || f->query_length <= 0 || f->kv_heads <= 0 || f->heads <= 0 || f->head_size <= 0)
        return 0;
    return (size_t)(f->batch * f->kv_heads * task_floats(f)) * sizeof(float);
}

static struct tiles make_tiles(const struct work *work, int64_t task, int worker)
{
    const struct attention_forward *f = &work->p->forward;
    int64_t stride = tile_stride(f->head_size), rows = QUERY_ROWS * stride, block = KEY_BLOCK * stride;
    float *next = cpu_worker_scratch(work->context, worker);
    _Static_assert((2 * QUERY_ROWS + 3 * KEY_BLOCK + 2 * KEY_STRIDE) * MAXIMUM_HEAD_SIZE + 2 * QUERY_ROWS * KEY_BLOCK <=
                       WORKER_SCRATCH_FLOATS,
                   "the tiles fit");
    struct tiles tiles = {.stride = stride};
    tiles.query = next;
    tiles.grad_output = next += rows;
    tiles.key = next += rows;
    tiles.grad_key = next += block;
    tiles.grad_value = next += block;
    tiles.key_columns = next += block;
    tiles.value_columns = next += KEY_STRIDE * stride;
    tiles.probability = next += KEY_STRIDE * stride;
    tiles.grad_score = next + QUERY_ROWS * KEY_BLOCK;
    tiles.grad_query = (float *)work->context->scratch + task * work->task_floats;
    tiles.delta = tiles.grad_query + work->group * f->query_length * stride;
    return tiles;
}

static int64_t query_index(const struct attention_forward *f, const struct place *at, int64_t i)
{
    return at->b * f->query_batch_stride + i * f->query_row_stride + at->h * f->head_size;
}

static int64_t output_index(const struct attention_forward *f, const struct place *at, int64_t i)
{
    return at->b * f->output_batch_stride + i * f->output_row_stride + at->h * f->head_size;
}

INLINE float dot(const void *a, const void *b, int64_t count, enum dtype type)
{
    vector sum = vector_fill(0);
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        sum = multiply_add(vector_load(a, i, LANES, type), vector_load(b, i, LANES, type), sum);
    if (i < count)
        sum = multiply_add(vector_load(a, i, count - i, type), vector_load(b, i, count - i, type), sum);
    return vector_sum(sum);
}

/* delta[i] = sum over d of output * grad_output. */
static void make_delta(const struct attention_backward *p, const struct place *at, float *delta)
{
    const struct attention_forward *f = &p->forward;
    for (int64_t i = 0; i < f->query_length; i++) {
        const void *output = element(f->output, output_index(f, at, i), f->type);
        const void *gradient = element(p->grad_output, output_index(f, at, i), f->type);
        delta[i] = f->type == DTYPE_F32 ? dot(output, gradient, f->head_size, DTYPE_F32)
                                        : dot(output, gradient, f->head_size, DTYPE_BF16);
    }
}

/* probability = exp(score - log_sum_exp), grad_score = probability * (grad_probability - delta). */
static void softmax_backward(struct tiles *tiles, int64_t rows, int64_t stride, const float *log_sum_exp,
                             const float *delta)
{
    for (int64_t i = 0; i < rows; i++) {
        /* a query without keys has the sum -infinity and only masked scores */
        float shift = log_sum_exp[i] == -INFINITY ? 0 : log_sum_exp[i];
        for (int64_t j = i * stride; j < (i + 1) * stride; j += LANES) {
            vector e = vector_exp_probability(vector_read(tiles->probability + j) - shift);
            vector_write(tiles->probability + j, e);
            vector_write(tiles->grad_score + j, e * (vector_read(tiles->grad_score + j) - delta[i]));
        }
    }
}

/* One block of queries against the block of keys [key, key + columns) that lies in the tiles. */
static void query_block(const struct attention_backward *p, struct tiles *tiles, const struct place *at, int64_t first,
                        int64_t key, int64_t columns)
{
    const struct attention_forward *f = &p->forward;
    int64_t rows = minimum(QUERY_ROWS, f->query_length - first), size = f->head_size;
    struct key_range used = attention_columns(attention_block_keys(f, at->b, first, rows), key, columns);
    int64_t width = used.end - used.start, stride = tile_stride(width), row = at->in_group * f->query_length + first;
    if (width <= 0)
        return;
    const float *log_sum_exp = f->log_sum_exp + (at->b * f->heads + at->h) * f->query_length + first;
    tile_load(tiles->query, rows, size, element(f->query, query_index(f, at, first), f->type), f->query_row_stride,
              f->type, f->scale);
    tile_load(tiles->grad_output, rows, size, element(p->grad_output, output_index(f, at, first), f->type),
              f->output_row_stride, f->type, 1.0f);
    tile_multiply(rows, width, size, tiles->query, tiles->stride, 1, tiles->key_columns + used.start, KEY_STRIDE,
                  tiles->probability, stride, false);
    attention_mask(f, at->b, first, rows, key + used.start, width, tiles->probability);
    tile_multiply(rows, width, size, tiles->grad_output, tiles->stride, 1, tiles->value_columns + used.start,
                  KEY_STRIDE, tiles->grad_score, stride, false);
    softmax_backward(tiles, rows, stride, log_sum_exp, tiles->delta + row);
    int64_t skip = used.start * tiles->stride;
    tile_multiply(width, size, rows, tiles->probability, 1, stride, tiles->grad_output, tiles->stride,
                  tiles->grad_value + skip, tiles->stride, true);
    tile_multiply(width, size, rows, tiles->grad_score, 1, stride, tiles->query, tiles->stride, tiles->grad_key + skip,
                  tiles->stride, true);
    tile_multiply(rows, size, width, tiles->grad_score, stride, 1, tiles->key + skip, tiles->stride,
                  tiles->grad_query + row * tiles->stride, tiles->stride, true);
}

static int64_t row_keys(const struct attention_forward *f, int64_t b)
{
    return f->key_lengths ? f->key_lengths[b] : f->key_length;
}

/* Keys behind a row's own have no gradient. */
static void clear_padding(const struct attention_backward *p, const struct place *at)
{
    const struct attention_forward *f = &p->forward;
    size_t bytes = (size_t)f->head_size * dtype_size(f->type);
    for (int64_t key = row_keys(f, at->b); key < f->key_length; key++) {
        int64_t key_index = at->b * f->key_batch_stride + key * f->key_row_stride + at->kv * f->head_size;
        int64_t value_index = at->b * f->value_batch_stride + key * f->value_row_stride + at->kv * f->head_size;
        memset(element_of(p->grad_key, key_index, f->type), 0, bytes);
        memset(element_of(p->grad_value, value_index, f->type), 0, bytes);
    }
}

static void key_block(const struct work *work, struct tiles *tiles, struct place *at, int64_t key)
{
    const struct attention_backward *p = work->p;
    const struct attention_forward *f = &p->forward;
    int64_t columns = minimum(KEY_BLOCK, row_keys(f, at->b) - key), size = f->head_size;
    int64_t key_index = at->b * f->key_batch_stride + key * f->key_row_stride + at->kv * size;
    int64_t value_index = at->b * f->value_batch_stride + key * f->value_row_stride + at->kv * size;
    const void *keys = element(f->key, key_index, f->type), *values = element(f->value, value_index, f->type);
    tile_load(tiles->key, columns, size, keys, f->key_row_stride, f->type, 1.0f);
    tile_load_transposed(tiles->key_columns, KEY_STRIDE, columns, size, keys, f->key_row_stride, f->type);
    tile_load_transposed(tiles->value_columns, KEY_STRIDE, columns, size, values, f->value_row_stride, f->type);
    memset(tiles->grad_key, 0, (size_t)(columns * tiles->stride) * sizeof(float));
    memset(tiles->grad_value, 0, (size_t)(columns * tiles->stride) * sizeof(float));
    for (at->in_group = 0; at->in_group < work->group; at->in_group++) {
        at->h = at->kv * work->group + at->in_group;
        for (int64_t first = f->bidirectional ? 0 : key; first < f->query_length; first += QUERY_ROWS)
            query_block(p, tiles, at, first, key, columns);
    }
    tile_store(tiles->grad_key, columns, size, element_of(p->grad_key, key_index, f->type), f->key_row_stride, f->type,
               1.0f);
    tile_store(tiles->grad_value, columns, size, element_of(p->grad_value, value_index, f->type), f->value_row_stride,
               f->type, 1.0f);
}

static void backward_task(void *argument, int64_t task, int worker)
{
    const struct work *work = argument;
    const struct attention_backward *p = work->p;
    const struct attention_forward *f = &p->forward;
    struct tiles tiles = make_tiles(work, task, worker);
    struct place at = {.b = task / f->kv_heads, .kv = task % f->kv_heads};
    memset(tiles.grad_query, 0, (size_t)(work->group * f->query_length * tiles.stride) * sizeof(float));
    for (at.in_group = 0; at.in_group < work->group; at.in_group++) {
        at.h = at.kv * work->group + at.in_group;
        make_delta(p, &at, tiles.delta + at.in_group * f->query_length);
    }
    for (int64_t key = 0; key < row_keys(f, at.b); key += KEY_BLOCK)
        key_block(work, &tiles, &at, key);
    clear_padding(p, &at);
    for (at.in_group = 0; at.in_group < work->group; at.in_group++) {
        at.h = at.kv * work->group + at.in_group;
        tile_store(tiles.grad_query + at.in_group * f->query_length * tiles.stride, f->query_length, f->head_size,
                   element_of(p->grad_query, query_index(f, &at, 0), f->type), f->query_row_stride, f->type, f->scale);
    }
}

enum status cpu_attention_backward(const struct device_context *context, const struct attention_backward *p)
{
    const struct attention_forward *f = &p->forward;
    if (f->batch == 0 || f->query_length == 0 || !attention_indices_fit(context, "attention_backward", f))
        return STATUS_OK;
    struct work work = {context, p, f->heads / f->kv_heads, task_floats(f)};
    thread_pool_run(context->pool, f->batch * f->kv_heads, backward_task, &work);
    return STATUS_OK;
}
