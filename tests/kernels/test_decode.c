/* Cached generation: rope_append, which rotates and stores, and attention_decode, which reads the cache, token by token and
 * in any order of the rows. */
#include "support/kernel_harness.h"
#include "support/reference_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3, 2};

struct shape {
    int64_t tokens, rows, capacity, heads, kv_heads, head_size;
    int64_t gap; /* elements between rows: of 8, rows begin at whole words of 16 bytes, as a model's do */
};

/* Groups of 1, 2, 3, 8 and more query heads than a tile has rows; rows of the cache shorter and longer than a block of keys. */
static const struct shape shapes[] = {
    {1, 1, 1, 1, 1, 2, 3},      {7, 5, 40, 4, 4, 16, 3},    {16, 16, 300, 4, 2, 64, 3}, {9, 4, 130, 8, 1, 34, 3},
    {33, 6, 257, 2, 2, 128, 8}, {5, 3, 270, 8, 1, 128, 8},  {9, 4, 129, 6, 2, 96, 8},   {3, 2, 31, 4, 2, 32, 8},
    {6, 3, 450, 17, 1, 64, 8},  {4, 2, 127, 16, 2, 128, 8}, {2, 1, 4200, 2, 1, 64, 8},  {2, 2, 70, 2, 1, 200, 8},
    {3, 1, 40, 4, 4, 300, 8},   {3, 2, 33, 3, 1, 128, 3},   {1, 2, 3, 1, 1, 4, 8},      {2, 1, 17, 2, 1, 8, 8},
    {3, 3, 64, 2, 2, 12, 3},    {4, 1, 65, 3, 1, 16, 8},    {1, 1, 128, 8, 4, 32, 8},   {2, 2, 129, 8, 1, 32, 8},
    {5, 2, 33, 1, 1, 64, 8},    {3, 2, 95, 2, 1, 96, 8},    {1, 3, 160, 4, 2, 128, 8},  {2, 1, 31, 8, 8, 20, 3},
    {6, 6, 7, 2, 1, 40, 8},     {3, 1, 96, 16, 1, 32, 8},   {8, 3, 12, 3, 3, 6, 5},     {2, 2, 5, 2, 1, 10, 3},
    {4, 3, 9, 1, 1, 2, 3},      {3, 1, 77, 6, 3, 14, 3},    {5, 2, 21, 5, 5, 24, 8},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* A cache whose rows have a gap of NaN behind them, and what a step of generation gives for it. */
struct problem {
    struct shape s;
    enum dtype type;
    int64_t width, kv_width; /* H * D, 2 * G * D */
    struct tensor query, key_value, cache, rows, positions, lengths, cosine, sine;
};

static int64_t row_stride(const struct problem *q)
{
    return q->s.capacity * q->kv_width + q->s.gap;
}

/* Every token has a row and position of its own. */
static void choose_places(struct rng *rng, struct problem *q)
{
    int64_t places = q->s.rows * q->s.capacity;
    bool *taken = calloc((size_t)places, sizeof *taken);
    assert_non_null(taken);
    for (int64_t n = 0; n < q->s.tokens; n++) {
        int64_t place;
        do
            place = (int64_t)rng_below(rng, (uint64_t)places);
        while (taken[place]);
        taken[place] = true;
        tensor_set(&q->rows, n, (double)(place / q->s.capacity));
        tensor_set(&q->positions, n, (double)(place % q->s.capacity));
        tensor_set(&q->lengths, n, n % 4 == 1 ? 0 : (double)rng_below(rng, (uint64_t)q->s.capacity + 1));
    }
    tensor_set(&q->lengths, 0, (double)q->s.capacity);
    free(taken);
}

static struct problem make_problem(struct rng *rng, struct shape s, enum dtype type)
{
    struct problem q = {.s = s, .type = type, .width = s.heads * s.head_size, .kv_width = 2 * s.kv_heads * s.head_size};
    q.query = tensor_normal(rng, type, s.tokens * (q.width + q.s.gap), 1);
    q.key_value = tensor_normal(rng, type, s.tokens * (q.kv_width + q.s.gap), 1);
    q.cache = tensor_normal(rng, type, s.rows * row_stride(&q), 1);
    tensor_fill_gaps(&q.query, q.width, q.width + q.s.gap, 7);
    tensor_fill_gaps(&q.key_value, q.kv_width, q.kv_width + q.s.gap, NAN);
    tensor_fill_gaps(&q.cache, s.capacity * q.kv_width, row_stride(&q), 7);
    q.rows = tensor_zero(DTYPE_I32, s.tokens);
    q.positions = tensor_zero(DTYPE_I32, s.tokens);
    q.lengths = tensor_zero(DTYPE_I32, s.tokens);
    choose_places(rng, &q);
    rope_tables(s.capacity + 3, s.head_size, &q.cosine, &q.sine);
    return q;
}

static void free_problem(struct problem *q)
{
    struct tensor *all[] = {&q->query,     &q->key_value, &q->cache,  &q->rows,
                            &q->positions, &q->lengths,   &q->cosine, &q->sine};
    for (int i = 0; i < 8; i++)
        tensor_free(all[i]);
}

static struct key_value_cache cache_of(struct problem *q, struct tensor *cache)
{
    return (struct key_value_cache){tensor_device(cache), q->s.rows, q->s.capacity, row_stride(q)};
}

static struct rope_append describe_append(struct problem *q, struct tensor *query, struct tensor *cache)
{
    return (struct rope_append){.tokens = q->s.tokens,
                                .heads = q->s.heads,
                                .kv_heads = q->s.kv_heads,
                                .head_size = q->s.head_size,
                                .query = tensor_device(query),
                                .key_value = tensor_device(&q->key_value),
                                .query_row_stride = q->width + q->s.gap,
                                .key_value_row_stride = q->kv_width + q->s.gap,
                                .cache = cache_of(q, cache),
                                .rows = tensor_device(&q->rows),
                                .positions = tensor_device(&q->positions),
                                .cosine = tensor_device(&q->cosine),
                                .sine = tensor_device(&q->sine),
                                .table_positions = q->s.capacity + 3,
                                .type = q->type};
}

static struct attention_decode describe_decode(struct problem *q, struct tensor *output)
{
    return (struct attention_decode){.tokens = q->s.tokens,
                                     .heads = q->s.heads,
                                     .kv_heads = q->s.kv_heads,
                                     .head_size = q->s.head_size,
                                     .query = tensor_device(&q->query),
                                     .output = tensor_device(output),
                                     .query_row_stride = q->width + q->s.gap,
                                     .output_row_stride = q->width + q->s.gap,
                                     .cache = cache_of(q, &q->cache),
                                     .rows = tensor_device(&q->rows),
                                     .lengths = tensor_device(&q->lengths),
                                     .scale = (float)(1 / sqrt((double)q->s.head_size)),
                                     .type = q->type};
}

/* ---- rope_append ---- */

static void append_rotates_and_stores(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    for (int s = 0; s < 2 * SHAPES; s++) {
        struct problem q = make_problem(&rng, shapes[s / 2], s % 2 ? DTYPE_BF16 : DTYPE_F32);
        double *query = doubles(q.query.count), *cache = doubles(q.cache.count);
        memcpy(query, q.query.values, (size_t)q.query.count * sizeof *query);
        memcpy(cache, q.cache.values, (size_t)q.cache.count * sizeof *cache);
        for (int64_t n = 0; n < q.s.tokens; n++) {
            double *place =
                cache + (int64_t)q.rows.values[n] * row_stride(&q) + (int64_t)q.positions.values[n] * q.kv_width;
            memcpy(place, q.key_value.values + n * (q.kv_width + q.s.gap), (size_t)q.kv_width * sizeof *place);
            reference_rope(q.s.kv_heads, q.s.head_size, place, q.positions.values[n], 10000);
            reference_rope(q.s.heads, q.s.head_size, query + n * (q.width + q.s.gap), q.positions.values[n], 10000);
        }
        struct tensor kept[2] = {{0}};
        for (int i = 0; i < test_repeats(4); i++) {
            struct tensor x = tensor_copy(&q.query), y = tensor_copy(&q.cache);
            struct rope_append p = describe_append(&q, &x, &y);
            assert_ok(test_kernels()->rope_append(test_context(thread_counts[i], 0), &p));
            if (i == 0) {
                assert_tensor("query", &x, query, 1e-6, 1.01);
                assert_tensor("cache", &y, cache, 1e-6, 1.01);
                kept[0] = tensor_copy(&x);
                kept[1] = tensor_copy(&y);
            }
            assert_same_bits("query", &kept[0], &x);
            assert_same_bits("cache", &kept[1], &y);
            tensor_free(&x);
            tensor_free(&y);
        }
        tensor_free(&kept[0]);
        tensor_free(&kept[1]);
        free(query);
        free(cache);
        free_problem(&q);
    }
}

/* What is stored and what the query becomes have the bits that rope gives, and the rest of the cache keeps its own. */
static void append_has_the_bits_of_rope(void **state)
{
    (void)state;
    struct rng rng = test_rng(2);
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        struct problem q = make_problem(&rng, shapes[2], (enum dtype)type);
        struct tensor x = tensor_copy(&q.query), y = tensor_copy(&q.query), cache = tensor_copy(&q.cache);
        struct tensor keys = tensor_copy(&q.key_value);
        struct rope_append p = describe_append(&q, &x, &cache);
        assert_ok(test_kernels()->rope_append(test_context(2, 0), &p));
        struct rope rope = {.tokens = q.s.tokens,
                            .heads = q.s.heads,
                            .head_size = q.s.head_size,
                            .x = tensor_device(&y),
                            .row_stride = q.width + q.s.gap,
                            .positions = tensor_device(&q.positions),
                            .cosine = tensor_device(&q.cosine),
                            .sine = tensor_device(&q.sine),
                            .table_positions = q.s.capacity + 3,
                            .direction = 1,
                            .type = q.type};
        assert_ok(test_kernels()->rope(test_context(2, 0), &rope));
        rope.x = tensor_device(&keys);
        rope.heads = q.s.kv_heads;
        rope.row_stride = q.kv_width + q.s.gap;
        assert_ok(test_kernels()->rope(test_context(2, 0), &rope));
        assert_same_bits("query", &x, &y);
        tensor_read(&keys);
        for (int64_t n = 0; n < q.s.tokens; n++)
            for (int64_t i = 0; i < q.kv_width; i++)
                tensor_set(&q.cache,
                           (int64_t)q.rows.values[n] * row_stride(&q) + (int64_t)q.positions.values[n] * q.kv_width + i,
                           keys.values[n * (q.kv_width + q.s.gap) + i]);
        assert_same_bits("cache", &q.cache, &cache);
        tensor_free(&x);
        tensor_free(&y);
        tensor_free(&keys);
        tensor_free(&cache);
        free_problem(&q);
    }
}

/* ---- attention_decode ---- */

/* Token n in double: its keys lie in its row of the cache. */
static void expect_token(struct problem *q, int64_t n, double *output)
{
    int64_t length = (int64_t)q->lengths.values[n], half = q->kv_width / 2;
    memset(output, 0, (size_t)q->width * sizeof *output);
    if (length == 0)
        return;
    double *key = doubles(length * half), *value = doubles(length * half), *log_sum_exp = doubles(q->s.heads);
    for (int64_t j = 0; j < length; j++) {
        const double *token = q->cache.values + (int64_t)q->rows.values[n] * row_stride(q) + j * q->kv_width;
        memcpy(key + j * half, token, (size_t)half * sizeof *key);
        memcpy(value + j * half, token + half, (size_t)half * sizeof *value);
    }
    struct reference_attention p = {.batch = 1,
                                    .query_length = 1,
                                    .key_length = length,
                                    .heads = q->s.heads,
                                    .kv_heads = q->s.kv_heads,
                                    .head_size = q->s.head_size,
                                    .query = q->query.values + n * (q->width + q->s.gap),
                                    .key = key,
                                    .value = value,
                                    .scale = 1 / sqrt((double)q->s.head_size)};
    reference_attention(&p, output, log_sum_exp);
    free(key);
    free(value);
    free(log_sum_exp);
}

/* What no token reads becomes NaN. */
static void spoil_unread(struct problem *q)
{
    for (int64_t row = 0; row < q->s.rows; row++) {
        int64_t read = 0;
        for (int64_t n = 0; n < q->s.tokens; n++)
            if (q->rows.values[n] == (double)row && q->lengths.values[n] > (double)read)
                read = (int64_t)q->lengths.values[n];
        for (int64_t i = read * q->kv_width; i < row_stride(q); i++)
            tensor_set(&q->cache, row * row_stride(q) + i, NAN);
    }
    tensor_fill_gaps(&q->query, q->width, q->width + q->s.gap, NAN);
}

static struct tensor decode(struct problem *q, int threads)
{
    struct tensor output = tensor_make(q->type, q->query.count);
    tensor_fill_gaps(&output, q->width, q->width + q->s.gap, 7);
    struct attention_decode p = describe_decode(q, &output);
    size_t scratch = test_kernels()->attention_decode_scratch_size(&p);
    assert_ok(test_kernels()->attention_decode(test_context(threads, scratch), &p));
    tensor_check_gaps("output", &output, q->width, q->width + q->s.gap, 7);
    return output;
}

static void decode_equals_the_reference(void **state)
{
    (void)state;
    struct rng rng = test_rng(3);
    for (int s = 0; s < 2 * SHAPES; s++) {
        struct problem q = make_problem(&rng, shapes[s / 2], s % 2 ? DTYPE_BF16 : DTYPE_F32);
        spoil_unread(&q);
        struct tensor first = decode(&q, 1);
        double *expected = doubles(first.count);
        for (int64_t i = 0; i < first.count; i++)
            expected[i] = 7;
        for (int64_t n = 0; n < q.s.tokens; n++)
            expect_token(&q, n, expected + n * (q.width + q.s.gap));
        assert_tensor("output", &first, expected, 4e-6, 1.01);
        for (int i = 1; i < test_repeats(4); i++) {
            struct tensor next = decode(&q, thread_counts[i]);
            assert_same_bits("output", &first, &next);
            tensor_free(&next);
        }
        free(expected);
        tensor_free(&first);
        free_problem(&q);
    }
}

/* One query of attention_forward over the same keys, which the cpu gives the same bits. */
static void decode_has_the_bits_of_forward(void **state)
{
    (void)state;
    if (!test_kernels_cpu())
        skip();
    struct rng rng = test_rng(4);
    for (int s = 0; s < 2 * SHAPES; s++) {
        struct problem q = make_problem(&rng, shapes[s / 2], s % 2 ? DTYPE_BF16 : DTYPE_F32);
        struct tensor together = decode(&q, 2), alone = tensor_copy(&together);
        size_t size = dtype_size(q.type);
        for (int64_t i = 0; i < alone.count; i++)
            if (i % (q.width + q.s.gap) < q.width)
                tensor_set(&alone, i, NAN);
        struct attention_decode p = describe_decode(&q, &alone);
        for (int64_t n = 0; n < q.s.tokens; n++) {
            const char *keys =
                (const char *)p.cache.memory + (size_t)((int64_t)q.rows.values[n] * p.cache.row_stride) * size;
            struct attention_forward forward = {
                .batch = 1,
                .query_length = 1,
                .key_length = (int64_t)q.lengths.values[n],
                .heads = p.heads,
                .kv_heads = p.kv_heads,
                .head_size = p.head_size,
                .query = (const char *)p.query + (size_t)(n * p.query_row_stride) * size,
                .key = keys,
                .value = keys + (size_t)(q.kv_width / 2) * size,
                .query_row_stride = p.query_row_stride,
                .key_row_stride = q.kv_width,
                .value_row_stride = q.kv_width,
                .output_row_stride = p.output_row_stride,
                .output = (char *)p.output + (size_t)(n * p.output_row_stride) * size,
                .scale = p.scale,
                .type = p.type,
            };
            assert_ok(test_kernels()->attention_forward(test_context(1, 0), &forward));
        }
        assert_same_bits("one token", &together, &alone);
        tensor_free(&together);
        tensor_free(&alone);
        free_problem(&q);
    }
}

/* The same tokens in another order, and without their neighbours. */
static void decode_is_row_stable(void **state)
{
    (void)state;
    static const int stable_shapes[] = {2, 5, 8};
    struct rng rng = test_rng(5);
    for (int t = 0; t < 6; t++) {
        struct problem q = make_problem(&rng, shapes[stable_shapes[t / 2]], t % 2 ? DTYPE_BF16 : DTYPE_F32);
        struct tensor all = decode(&q, 2);
        int64_t stride = q.width + q.s.gap;
        size_t bytes = (size_t)q.width * dtype_size(q.type), step = (size_t)stride * dtype_size(q.type);
        for (int64_t n = 0; n < q.s.tokens; n += test_count(3, 5)) {
            struct tensor output = tensor_make(q.type, stride);
            struct attention_decode p = describe_decode(&q, &output);
            p.tokens = 1;
            p.query = (const char *)p.query + (size_t)n * step;
            p.rows += n;
            p.lengths += n;
            assert_ok(test_kernels()->attention_decode(test_context(1, 0), &p));
            assert_memory_equal(tensor_host(&output), (const char *)tensor_host(&all) + (size_t)n * step, bytes);
            tensor_free(&output);
        }
        tensor_free(&all);
        free_problem(&q);
    }
}

/* A long context: keys and values are read once for all heads of a group, and beside them little is moved. */
static void long_contexts_are_read_once(void **state)
{
    (void)state;
    struct rng rng = test_rng(10);
    const struct shape shape = {1, 1, 16384, 8, 2, 64, 8};
    struct problem q = make_problem(&rng, shape, DTYPE_BF16);
    struct tensor output = tensor_make(q.type, q.width + q.s.gap);
    const struct attention_decode p = describe_decode(&q, &output);
    const struct device_context *context = test_context(1, test_kernels()->attention_decode_scratch_size(&p));
    test_traffic_begin();
    assert_ok(test_kernels()->attention_decode(context, &p));
    assert_traffic("attention_decode", (double)(shape.capacity * q.kv_width) * (double)dtype_size(q.type), 1.05);
    tensor_free(&output);
    free_problem(&q);
}

/* ---- where arrays lie ---- */

/* Rows of `width` elements, `stride` apart from element `first` on; NaN elsewhere. */
static struct tensor laid(const struct tensor *from, int64_t rows, int64_t width, int64_t from_stride, int64_t stride,
                          int64_t first)
{
    struct tensor to = tensor_zero(from->type, first + rows * stride);
    for (int64_t i = 0; i < to.count; i++) {
        const int64_t row = (i - first) / stride, column = (i - first) % stride;
        tensor_set(&to, i, i >= first && column < width ? from->values[row * from_stride + column] : NAN);
    }
    return to;
}

enum { PLACES = 4 }; /* 0: on boundaries; 1: the first element behind one; 2: odd distances of rows; 3: both */

static struct attention_decode lie(struct problem *q, int query_place, int output_place, int cache_place,
                                   struct tensor moved[3])
{
    const int64_t odd = 1, query_first = query_place & 1, output_first = output_place & 1,
                  cache_first = cache_place & 1;
    const int64_t query_stride = q->width + (query_place & 2 ? odd : 8);
    const int64_t output_stride = q->width + (output_place & 2 ? odd : 8);
    const int64_t cache_row = q->s.capacity * q->kv_width, cache_stride = cache_row + (cache_place & 2 ? odd : 8);
    struct attention_decode p = describe_decode(q, &q->query);
    moved[0] = laid(&q->query, q->s.tokens, q->width, q->width + q->s.gap, query_stride, query_first);
    moved[1] = tensor_make(q->type, output_first + q->s.tokens * output_stride);
    moved[2] = laid(&q->cache, q->s.rows, cache_row, row_stride(q), cache_stride, cache_first);
    const size_t size = dtype_size(q->type);
    p.query = (char *)tensor_device(&moved[0]) + (size_t)query_first * size;
    p.output = (char *)tensor_device(&moved[1]) + (size_t)output_first * size;
    p.cache.memory = (char *)tensor_device(&moved[2]) + (size_t)cache_first * size;
    p.query_row_stride = query_stride;
    p.output_row_stride = output_stride;
    p.cache.row_stride = cache_stride;
    return p;
}

/* Queries, output and cache each lie on boundaries or beside them, whatever the other two do. */
static void arrays_lie_apart(void **state)
{
    (void)state;
    static const struct shape kinds[] = {{3, 2, 21, 6, 2, 64, 8}, {3, 2, 21, 4, 2, 20, 8}};
    struct rng rng = test_rng(11);
    for (int t = 0; t < 4 * 3 * (PLACES - 1); t++) {
        const int kind = t % 2, which = t / 4 % 3, place = 1 + t / 12;
        struct problem q = make_problem(&rng, kinds[kind], t / 2 % 2 ? DTYPE_BF16 : DTYPE_F32);
        struct tensor moved[3];
        spoil_unread(&q);
        const struct attention_decode p =
            lie(&q, which == 0 ? place : 0, which == 1 ? place : 0, which == 2 ? place : 0, moved);
        const size_t scratch = test_kernels()->attention_decode_scratch_size(&p);
        assert_ok(test_kernels()->attention_decode(test_context(2, scratch), &p));
        const double *found = tensor_read(&moved[1]);
        const int64_t first = which == 1 ? place & 1 : 0;
        double *expected = doubles(q.width);
        for (int64_t n = 0; n < q.s.tokens; n++) {
            expect_token(&q, n, expected);
            for (int64_t i = 0; i < q.width; i++) {
                const double value = found[first + n * p.output_row_stride + i];
                const double allowed = 4e-6 + (q.type == DTYPE_BF16 ? 1.01 * BF16_ROUNDING * fabs(expected[i]) : 0);
                if (!(fabs(value - expected[i]) <= allowed))
                    fail_msg("array %d at place %d: element %lld of token %lld is %.9g, expected %.9g", which, place,
                             (long long)i, (long long)n, value, expected[i]);
            }
        }
        free(expected);
        for (int i = 0; i < 3; i++)
            tensor_free(&moved[i]);
        free_problem(&q);
    }
}

/* ---- what is wrong ---- */

static void wrong_indices_are_faults(void **state)
{
    (void)state;
    struct rng rng = test_rng(6);
    for (int i = 0; i < 6; i++) {
        struct problem q = make_problem(&rng, shapes[1], DTYPE_F32); /* 7 tokens, 5 rows of 40 */
        struct tensor query = tensor_copy(&q.query), cache = tensor_copy(&q.cache),
                      output = tensor_zero(DTYPE_F32, 7 * 67);
        const double rows[] = {-1, 5}, places[] = {-1, 40}, lengths[] = {-1, 41};
        const char *const row_texts[] = {"row 3 of 7 is -1, outside 0..4", "row 3 of 7 is 5, outside 0..4"};
        const char *const place_texts[] = {"position 3 of 7 is -1, outside 0..39",
                                           "position 3 of 7 is 40, outside 0..39"};
        const char *const length_texts[] = {"length 3 of 7 is -1, outside 0..40", "length 3 of 7 is 41, outside 0..40"};
        if (i < 2)
            tensor_set(&q.rows, 3, rows[i]);
        else if (i < 4)
            tensor_set(&q.positions, 3, places[i - 2]);
        else
            tensor_set(&q.lengths, 3, lengths[i - 4]);
        const struct rope_append append = describe_append(&q, &query, &cache);
        const struct attention_decode attend = describe_decode(&q, &output);
        if (i < 4)
            assert_faults(rope_append, append, (void)p, i < 2 ? row_texts[i] : place_texts[i - 2]);
        if (i < 2 || i >= 4)
            assert_faults(attention_decode, attend, (void)p, i < 2 ? row_texts[i] : length_texts[i - 4]);
        if (i < 4 && test_kernels_cpu()) /* others only promise to write inside it */
            assert_same_bits("the cache", &q.cache, &cache);
        struct tensor *all[] = {&query, &cache, &output};
        for (int t = 0; t < 3; t++)
            tensor_free(all[t]);
        free_problem(&q);
    }
}

/* The tables of angles may be shorter than the cache. */
static void positions_lie_in_the_tables(void **state)
{
    (void)state;
    struct rng rng = test_rng(7);
    struct problem q = make_problem(&rng, shapes[1], DTYPE_F32);
    for (int64_t n = 0; n < 7; n++)
        tensor_set(&q.positions, n, n < 6 ? 20 + (double)n : 19); /* 25 alone does not fit, so it is the one named */
    const struct rope_append append = describe_append(&q, &q.query, &q.cache);
    assert_faults(rope_append, append, p.table_positions = 25, "position 5 of 7 is 25, outside 0..24");
    free_problem(&q);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct rng rng = test_rng(8);
    const struct device_context *context = test_context(1, 0);
    struct problem q = make_problem(&rng, shapes[1], DTYPE_F32);
    struct tensor output = tensor_zero(DTYPE_F32, q.query.count);
    const struct rope_append append = describe_append(&q, &q.query, &q.cache);
    assert_refused(rope_append, append, p.tokens = -1, "-1 tokens");
    assert_refused(rope_append, append, p.head_size = 15, "heads of 15");
    assert_refused(rope_append, append, p.head_size = 1024, "head size 1024");
    assert_refused(rope_append, append, p.kv_heads = 3, "4 heads over 3");
    assert_refused(rope_append, append, p.query_row_stride = 63, "row stride");
    assert_refused(rope_append, append, p.key_value_row_stride = 127, "row stride");
    assert_refused(rope_append, append, p.cache.capacity = -1, "a cache of 5 rows of -1");
    assert_refused(rope_append, append, p.cache.row_stride = 10, "rows are 10 elements apart");
    assert_refused(rope_append, append, p.cache.memory = NULL, "null");
    assert_refused(rope_append, append, p.positions = NULL, "null");
    assert_refused(rope_append, append, p.type = DTYPE_F16, "type");
    const struct attention_decode attend = describe_decode(&q, &output);
    assert_refused(attention_decode, attend, p.tokens = -2, "-2 tokens");
    assert_refused(attention_decode, attend, p.head_size = 0, "head size 0");
    assert_refused(attention_decode, attend, p.heads = 0, "0 heads");
    assert_refused(attention_decode, attend, p.output_row_stride = 63, "row stride");
    assert_refused(attention_decode, attend, p.cache.rows = -1, "a cache of -1 rows");
    assert_refused(attention_decode, attend, p.lengths = NULL, "null");
    assert_refused(attention_decode, attend, p.rows = NULL, "null");
    assert_refused(attention_decode, attend, p.type = DTYPE_U8, "type");
    tensor_free(&output);
    free_problem(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_rotates_and_stores),
        cmocka_unit_test(append_has_the_bits_of_rope),
        cmocka_unit_test(decode_equals_the_reference),
        cmocka_unit_test(decode_has_the_bits_of_forward),
        cmocka_unit_test(decode_is_row_stable),
        cmocka_unit_test(long_contexts_are_read_once),
        cmocka_unit_test(arrays_lie_apart),
        cmocka_unit_test(wrong_indices_are_faults),
        cmocka_unit_test(positions_lie_in_the_tables),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
