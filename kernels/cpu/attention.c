/* Blocked softmax attention with a running maximum and sum (Milakov and Gimelshein 2018; Dao et al. 2022). A task is
 * one block of queries of one head. Key blocks begin at multiples of KEY_BLOCK from key 0, a lane of a vector holds
 * every eighth key, and products are chains in order of the keys, so the bits of a query's output do not depend on the
 * queries beside it. */
#include "kernels/cpu/attention.h"

#include "kernels/cpu/tile.h"
#include "kernels/cpu/vector.h"

enum { QUERY_BLOCK = 128 }; /* queries a task owns */

/* Keys that no query of the group needs are left out, which must not move where a chain of additions ends. */
_Static_assert((int)KEY_BLOCK <= (int)TILE_CHAIN, "products over keys are one chain of additions");

struct key_range attention_block_keys(const struct attention_forward *p, int64_t b, int64_t first, int64_t count)
{
    struct key_range all = attention_keys(p, b, first);
    for (int64_t i = first + 1; i < first + count; i++) {
        struct key_range one = attention_keys(p, b, i);
        all.start = minimum(all.start, one.start);
        all.end = maximum(all.end, one.end);
    }
    return all;
}

void attention_mask(const struct attention_forward *p, int64_t b, int64_t first, int64_t rows, int64_t key,
                    int64_t columns, float *scores)
{
    int64_t stride = tile_stride(columns);
    for (int64_t i = 0; i < rows; i++) {
        struct key_range keys = attention_keys(p, b, first + i);
        int64_t start = minimum(columns, maximum(0, keys.start - key));
        int64_t end = minimum(columns, maximum(start, keys.end - key));
        float *row = scores + i * stride;
        for (int64_t j = 0; j < start; j++)
            row[j] = -INFINITY;
        for (int64_t j = end; j < stride; j++)
            row[j] = -INFINITY;
    }
}

/* What one task works on, in the worker's scratch. */
struct tiles {
    float *query;  /* [QUERY_BLOCK][stride], scaled */
    float *output; /* [QUERY_BLOCK][stride], not yet divided by the sum */
    float *key;    /* [D][KEY_STRIDE] */
    float *value;  /* [KEY_BLOCK][stride] */
    float *scores; /* [QUERY_ROWS][up to KEY_BLOCK] */
    int64_t stride;
    float largest[QUERY_BLOCK], sum[QUERY_BLOCK];
};

static void make_tiles(struct tiles *tiles, float *scratch, int64_t head_size)
{
    int64_t stride = tile_stride(head_size);
    _Static_assert((2 * QUERY_BLOCK + KEY_STRIDE + KEY_BLOCK) * MAXIMUM_HEAD_SIZE + QUERY_ROWS * KEY_BLOCK <=
                       WORKER_SCRATCH_FLOATS,
                   "the tiles fit");
    tiles->stride = stride;
    tiles->query = scratch;
    tiles->output = tiles->query + QUERY_BLOCK * stride;
    tiles->key = tiles->output + QUERY_BLOCK * stride;
    tiles->value = tiles->key + KEY_STRIDE * stride;
    tiles->scores = tiles->value + KEY_BLOCK * stride;
    for (int i = 0; i < QUERY_BLOCK; i++) {
        tiles->largest[i] = -INFINITY;
        tiles->sum[i] = 0;
    }
}

/* The running maximum of eight rows from `first` on, given the largest of each lane of theirs; what it was multiplies
 * their sums by *correction. Rows without a key yet keep -infinity, and are shifted by 0. */
static void update_largest(struct tiles *tiles, int64_t first, vector lanes[8], vector *shift, vector *correction)
{
    vector_transpose(lanes);
    vector before = vector_read(tiles->largest + first), largest = before;
    for (int i = 0; i < LANES; i++)
        largest = vector_max(lanes[i], largest);
    vector_int none = largest == -INFINITY;
    *shift = (vector)(~none & (vector_int)largest);
    *correction = vector_exp_probability(before - *shift);
    vector_write(tiles->largest + first, largest);
}

/* Scores become exp(score - maximum); the running maximum, sum and output follow. Row i of the tile is query
 * `first` + i of the task; `stride` is a multiple of 8. */
static void softmax_rows(struct tiles *tiles, int64_t first, int64_t rows, int64_t stride)
{
    for (int64_t i = 0; i < rows; i += LANES) {
        int64_t count = minimum(LANES, rows - i);
        vector lanes[LANES], shift, correction, sums[LANES];
        for (int64_t r = 0; r < LANES; r++) {
            const float *row = tiles->scores + (i + r) * stride;
            lanes[r] = sums[r] = vector_fill(r < count ? -INFINITY : 0);
            for (int64_t j = 0; r < count && j < stride; j += LANES)
                lanes[r] = vector_max(vector_read(row + j), lanes[r]);
        }
        update_largest(tiles, first + i, lanes, &shift, &correction);
        for (int64_t r = 0; r < count; r++) {
            float *row = tiles->scores + (i + r) * stride;
            vector sum = vector_fill(0);
            for (int64_t j = 0; j < stride; j += LANES) {
                vector e = vector_exp_probability(vector_read(row + j) - shift[r]);
                vector_write(row + j, e);
                sum += e;
            }
            sums[r] = sum;
            float *output = tiles->output + (first + i + r) * tiles->stride;
            for (int64_t j = 0; correction[r] != 1.0f && j < tiles->stride; j += LANES)
                vector_write(output + j, vector_read(output + j) * correction[r]);
        }
        vector_transpose(sums);
        vector sum = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
        vector_write(tiles->sum + first + i, vector_read(tiles->sum + first + i) * correction + sum);
    }
}

static void finish_rows(const struct attention_forward *p, const struct tiles *tiles, int64_t b, int64_t h,
                        int64_t first, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++) {
        float inverse = tiles->sum[i] == 0 ? 0 : 1.0f / tiles->sum[i]; /* a query without keys: output 0 */
        int64_t index = b * p->output_batch_stride + (first + i) * p->output_row_stride + h * p->head_size;
        tile_store(tiles->output + i * tiles->stride, 1, p->head_size, element_of(p->output, index, p->type), 0,
                   p->type, inverse);
        if (p->log_sum_exp)
            p->log_sum_exp[(b * p->heads + h) * p->query_length + first + i] =
                (float)((double)tiles->largest[i] + log((double)tiles->sum[i]));
    }
}

struct work {
    const struct device_context *context;
    const struct attention_forward *p;
    const int32_t *cache_rows; /* [batch] where the keys of a row lie; NULL: row b's at b */
    int64_t blocks;            /* of queries */
};

/* The tiles of keys [key, key + columns) of key/value head kv. */
static void load_keys(const struct attention_forward *p, struct tiles *tiles, int64_t b, int64_t kv, int64_t key,
                      int64_t columns)
{
    int64_t key_index = b * p->key_batch_stride + key * p->key_row_stride + kv * p->head_size;
    int64_t value_index = b * p->value_batch_stride + key * p->value_row_stride + kv * p->head_size;
    tile_load_transposed(tiles->key, KEY_STRIDE, columns, p->head_size, element(p->key, key_index, p->type),
                         p->key_row_stride, p->type);
    tile_load(tiles->value, columns, p->head_size, element(p->value, value_index, p->type), p->value_row_stride,
              p->type, 1.0f);
}

static void forward_task(void *argument, int64_t task, int worker)
{
    const struct work *work = argument;
    const struct attention_forward *p = work->p;
    /* the longest ranges first, so that no thread is left with one at the end */
    int64_t first = (work->blocks - 1 - task / (p->batch * p->heads)) * QUERY_BLOCK;
    int64_t b = task / p->heads % p->batch, h = task % p->heads, kv = h / (p->heads / p->kv_heads);
    int64_t rows = minimum(QUERY_BLOCK, p->query_length - first), size = p->head_size;
    struct tiles tiles;
    make_tiles(&tiles, cpu_worker_scratch(work->context, worker), size);
    tile_load(tiles.query, rows, size,
              element(p->query, b * p->query_batch_stride + first * p->query_row_stride + h * size, p->type),
              p->query_row_stride, p->type, p->scale);
    memset(tiles.output, 0, (size_t)(rows * tiles.stride) * sizeof(float));
    struct key_range all = attention_block_keys(p, b, first, rows), keys[QUERY_BLOCK / QUERY_ROWS];
    for (int64_t i = 0; i < rows; i += QUERY_ROWS)
        keys[i / QUERY_ROWS] = attention_block_keys(p, b, first + i, minimum(QUERY_ROWS, rows - i));
    for (int64_t key = all.start / KEY_BLOCK * KEY_BLOCK; key < all.end; key += KEY_BLOCK) {
        int64_t columns = minimum(KEY_BLOCK, all.end - key);
        load_keys(p, &tiles, work->cache_rows ? work->cache_rows[b] : b, kv, key, columns);
        for (int64_t i = 0; i < rows; i += QUERY_ROWS) {
            struct key_range used = attention_columns(keys[i / QUERY_ROWS], key, columns);
            int64_t count = minimum(QUERY_ROWS, rows - i), width = used.end - used.start, stride = tile_stride(width);
            if (width <= 0)
                continue;
            tile_multiply(count, width, size, tiles.query + i * tiles.stride, tiles.stride, 1, tiles.key + used.start,
                          KEY_STRIDE, tiles.scores, stride, false);
            attention_mask(p, b, first + i, count, key + used.start, width, tiles.scores);
            softmax_rows(&tiles, i, count, stride);
            tile_multiply(count, size, width, tiles.scores, stride, 1, tiles.value + used.start * tiles.stride,
                          tiles.stride, tiles.output + i * tiles.stride, tiles.stride, true);
        }
    }
    finish_rows(p, &tiles, b, h, first, rows);
}

bool attention_indices_fit(const struct device_context *context, const char *operation,
                           const struct attention_forward *p)
{
    if (p->key_lengths &&
        !cpu_indices_fit(context, operation, "key length", p->key_lengths, p->batch, 0, p->key_length + 1))
        return false;
    for (int64_t b = 0; p->starts && b < p->batch; b++)
        for (int64_t i = 0, before = 0; i < p->query_length; i++) {
            int64_t start = p->starts[b * p->query_length + i];
            if (start < before)
                return cpu_fault(context, "%s: query %lld of row %lld starts at key %lld, the one before it at %lld",
                                 operation, (long long)i, (long long)b, (long long)start, (long long)before);
            before = start;
        }
    return true;
}

enum status cpu_attention_forward(const struct device_context *context, const struct attention_forward *p)
{
    struct work work = {.context = context, .p = p, .blocks = divide_up(p->query_length, QUERY_BLOCK)};
    if (p->batch > 0 && p->query_length > 0 && attention_indices_fit(context, "attention_forward", p))
        thread_pool_run(context->pool, work.blocks * p->batch * p->heads, forward_task, &work);
    return STATUS_OK;
}

/* A batch of one query each, whose keys lie where the table of rows says. */
enum status cpu_attention_decode(const struct device_context *context, const struct attention_decode *p)
{
    int64_t width = p->kv_heads * p->head_size;
    const struct attention_forward forward = {.batch = p->tokens,
                                              .query_length = 1,
                                              .key_length = p->cache.capacity,
                                              .heads = p->heads,
                                              .kv_heads = p->kv_heads,
                                              .head_size = p->head_size,
                                              .query = p->query,
                                              .key = p->cache.memory,
                                              .value = element(p->cache.memory, width, p->type),
                                              .key_row_stride = 2 * width,
                                              .value_row_stride = 2 * width,
                                              .query_batch_stride = p->query_row_stride,
                                              .key_batch_stride = p->cache.row_stride,
                                              .value_batch_stride = p->cache.row_stride,
                                              .output_batch_stride = p->output_row_stride,
                                              .output = p->output,
                                              .key_lengths = p->lengths,
                                              .scale = p->scale,
                                              .type = p->type};
    struct work work = {.context = context, .p = &forward, .cache_rows = p->rows, .blocks = 1};
    if (cpu_indices_fit(context, "attention_decode", "row", p->rows, p->tokens, 0, p->cache.rows) &&
        cpu_indices_fit(context, "attention_decode", "length", p->lengths, p->tokens, 0, p->cache.capacity + 1))
        thread_pool_run(context->pool, p->tokens * p->heads, forward_task, &work);
    return STATUS_OK;
}
