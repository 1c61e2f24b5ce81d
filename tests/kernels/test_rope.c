/* Rotary positions. */
#include "support/kernel_harness.h"
#include "support/reference_kernels.h"

#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3, 2};

static void rope_rotates_and_back(void **state)
{
    (void)state;
    struct rng rng = test_rng(5);
    const int64_t cases[][3] = {{1, 1, 2},    {31, 3, 6},  {113, 4, 64}, {257, 2, 34},
                                {40, 5, 128}, {33, 1, 32}, {2, 32, 128}};
    const int64_t lengths[] = {1, 3, 7, 9, 33}, sizes[] = {8, 16, 62, 64, 66, 96};
    for (int s = 0; s < 2 * (7 + 30); s++) {
        int64_t c = s / 2, tokens = c < 7 ? cases[c][0] : lengths[c % 5], heads = c < 7 ? cases[c][1] : 1 + c % 4;
        int64_t size = c < 7 ? cases[c][2] : sizes[(c - 7) / 5], table = 300;
        int64_t stride = heads * size + (c % 3 == 0 ? 8 : 5); /* rows on the boundaries of words, and others */
        enum dtype type = s % 2 ? DTYPE_BF16 : DTYPE_F32;
        struct tensor x = tensor_normal(&rng, type, tokens * stride, 1);
        tensor_fill_gaps(&x, heads * size, stride, 7);
        double *expected = doubles(x.count);
        struct tensor cosine, sine, positions = tensor_zero(DTYPE_I32, tokens);
        rope_tables(table, size, &cosine, &sine);
        memcpy(expected, x.values, (size_t)x.count * sizeof(double));
        for (int64_t n = 0; n < tokens; n++) {
            tensor_set(&positions, n, (double)rng_below(&rng, (uint64_t)table));
            reference_rope(heads, size, expected + n * stride, positions.values[n], 10000);
        }
        struct tensor first = {0};
        for (int i = 0; i < (s < 14 ? 4 : 2); i++) {
            struct tensor y = tensor_copy(&x);
            struct rope p = {.tokens = tokens,
                             .heads = heads,
                             .head_size = size,
                             .x = tensor_device(&y),
                             .row_stride = stride,
                             .positions = tensor_device(&positions),
                             .cosine = tensor_device(&cosine),
                             .sine = tensor_device(&sine),
                             .table_positions = table,
                             .direction = 1,
                             .type = type};
            assert_ok(test_kernels()->rope(test_context(thread_counts[i], 0), &p));
            assert_tensor("rope", &y, expected, 1e-6, 1.01);
            if (i == 0) {
                first = tensor_copy(&y);
            } else {
                assert_same_bits("rope", &first, &y);
            }
            p.direction = -1;
            assert_ok(test_kernels()->rope(test_context(thread_counts[i], 0), &p));
            assert_tensor("rope and back", &y, x.values, type == DTYPE_F32 ? 1e-6 : 4 * 4 * BF16_ROUNDING, 1.01);
            tensor_check_gaps("x", &y, heads * size, stride, 7);
            tensor_free(&y);
        }
        tensor_free(&first);
        tensor_free(&x);
        free(expected);
        tensor_free(&cosine);
        tensor_free(&sine);
        tensor_free(&positions);
    }
}

static void heads_are_moved_once(void **state)
{
    (void)state;
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        const int64_t tokens = 128, heads = 32, size = 128;
        struct tensor x = tensor_zero((enum dtype)type, tokens * heads * size), places = tensor_zero(DTYPE_I32, tokens);
        struct tensor cosine, sine;
        rope_tables(tokens, size, &cosine, &sine);
        for (int64_t n = 0; n < tokens; n++)
            tensor_set(&places, n, (double)n);
        struct rope p = {tokens,
                         heads,
                         size,
                         tensor_device(&x),
                         heads * size,
                         tensor_device(&places),
                         tensor_device(&cosine),
                         tensor_device(&sine),
                         tokens,
                         1,
                         (enum dtype)type};
        test_traffic_begin();
        assert_ok(test_kernels()->rope(test_context(1, 0), &p));
        assert_traffic("rope", 2 * (double)x.count * (double)dtype_size((enum dtype)type), 1.05);
        tensor_free(&x);
        tensor_free(&places);
        tensor_free(&cosine);
        tensor_free(&sine);
    }
}

/* Two rows 2^31 and some elements apart: places within an array need 64 bits. */
static void rows_may_lie_far_apart(void **state)
{
    (void)state;
    struct rng rng = test_rng(8);
    const int64_t stride = (INT64_C(1) << 31) + 16, size = 8;
    char *memory = test_sparse_memory(((size_t)stride + (size_t)size) * sizeof(float));
    if (!memory)
        return; /* only where memory costs nothing before it is touched */
    const struct device_context *context = test_context(1, 0);
    struct tensor rows = tensor_normal(&rng, DTYPE_F32, 2 * size, 1), cosine, sine;
    struct tensor places = tensor_zero(DTYPE_I32, 2), result = tensor_zero(DTYPE_F32, 2 * size);
    double expected[16];
    rope_tables(7, size, &cosine, &sine);
    for (int64_t n = 0; n < 2; n++) {
        tensor_set(&places, n, (double)(3 * n + 2));
        assert_ok(test_kernels()->copy(context, memory + (size_t)(n * stride) * sizeof(float),
                                       (char *)tensor_device(&rows) + (size_t)(n * size) * sizeof(float),
                                       (size_t)size * sizeof(float)));
        memcpy(expected + n * size, rows.values + n * size, (size_t)size * sizeof(double));
        reference_rope(1, size, expected + n * size, (double)(3 * n + 2), 10000);
    }
    struct rope p = {
        2, 1, size,     memory, stride, tensor_device(&places), tensor_device(&cosine), tensor_device(&sine),
        7, 1, DTYPE_F32};
    assert_ok(test_kernels()->rope(context, &p));
    for (int64_t n = 0; n < 2; n++)
        assert_ok(test_kernels()->copy(context, (char *)tensor_device(&result) + (size_t)(n * size) * sizeof(float),
                                       memory + (size_t)(n * stride) * sizeof(float), (size_t)size * sizeof(float)));
    assert_tensor("rope", &result, expected, 1e-6, 0);
    test_sparse_release(memory);
    tensor_free(&rows);
    tensor_free(&result);
    tensor_free(&places);
    tensor_free(&cosine);
    tensor_free(&sine);
}

static void wrong_positions_are_faults(void **state)
{
    (void)state;
    const double positions[] = {-1, 7};
    for (int i = 0; i < 2; i++) {
        struct rng rng = test_rng(6);
        struct tensor x = tensor_normal(&rng, DTYPE_F32, 5 * 8, 1), before = tensor_copy(&x), cosine, sine;
        struct tensor places = tensor_zero(DTYPE_I32, 5);
        rope_tables(7, 8, &cosine, &sine);
        tensor_set(&places, 4, positions[i]);
        const struct rope rope = {.tokens = 5,
                                  .heads = 1,
                                  .head_size = 8,
                                  .x = tensor_device(&x),
                                  .row_stride = 8,
                                  .positions = tensor_device(&places),
                                  .cosine = tensor_device(&cosine),
                                  .sine = tensor_device(&sine),
                                  .table_positions = 7,
                                  .direction = 1};
        assert_faults(rope, rope, (void)p,
                      i ? "rope: position 4 of 5 is 7, outside 0..6" : "rope: position 4 of 5 is -1, outside 0..6");
        struct tensor *all[] = {&x, &before, &cosine, &sine, &places};
        for (int t = 0; t < 5; t++)
            tensor_free(all[t]);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    struct tensor x = tensor_zero(DTYPE_F32, 8), w = tensor_zero(DTYPE_F32, 4), positions = tensor_zero(DTYPE_I32, 2);
    const struct rope rope = {.tokens = 2,
                              .heads = 1,
                              .head_size = 4,
                              .x = tensor_device(&x),
                              .row_stride = 4,
                              .positions = tensor_device(&positions),
                              .cosine = tensor_device(&w),
                              .sine = tensor_device(&w),
                              .table_positions = 2,
                              .direction = 1};
    assert_refused(rope, rope, p.head_size = 3, "heads of 3");
    assert_refused(rope, rope, p.row_stride = 3, "stride");
    assert_refused(rope, rope, p.direction = 0, "direction");
    assert_refused(rope, rope, p.cosine = NULL, "null");
    assert_refused(rope, rope, p.type = DTYPE_F64, "type");
    assert_refused(rope, rope, p.tokens = -1, "-1 tokens");
    tensor_free(&x);
    tensor_free(&w);
    tensor_free(&positions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rope_rotates_and_back),       cmocka_unit_test(heads_are_moved_once),
        cmocka_unit_test(rows_may_lie_far_apart),      cmocka_unit_test(wrong_positions_are_faults),
        cmocka_unit_test(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
