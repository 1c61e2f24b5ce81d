/* Memory, contexts, conversion. */
#include "support/kernel_harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3};

static void memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 255, 256, 257, (1u << 20) + 3, (5u << 20) - 1};
    const struct kernels *kernels = kernels_cpu();
    for (int t = 0; t < 3; t++)
        for (int s = 0; s < 7; s++) {
            const struct device_context *context = test_context(thread_counts[t], 0);
            unsigned char *memory;
            assert_ok(kernels->allocate(context, sizes[s], (void **)&memory));
            assert_true(memory && (uintptr_t)memory % 256 == 0);
            for (size_t i = 0; i < sizes[s]; i++)
                assert_int_equal(memory[i], 0);
            unsigned char *host = guarded_allocate(sizes[s]), *device = guarded_allocate(sizes[s]);
            for (size_t i = 0; i < sizes[s]; i++)
                host[i] = (unsigned char)(i * 31 + i / 257);
            assert_ok(kernels->copy_to_device(context, QUEUE_COMPUTE, device, host, sizes[s]));
            assert_ok(kernels->copy(context, memory, device, sizes[s]));
            assert_ok(kernels->fill_zero(context, device, sizes[s]));
            for (size_t i = 0; i < sizes[s]; i++)
                assert_int_equal(device[i], 0);
            assert_ok(kernels->copy_to_host(context, QUEUE_COMPUTE, device, memory, sizes[s]));
            assert_ok(kernels->synchronize(context));
            assert_memory_equal(device, host, sizes[s]);
            guarded_free(host);
            guarded_free(device);
            kernels->release(context, memory);
        }
    kernels->release(test_context(1, 0), NULL);
}

static void too_much_memory_is_an_error(void **state)
{
    (void)state;
    void *memory = &memory;
    const struct device_context *context = test_context(1, 0);
    assert_fails(kernels_cpu()->allocate(context, SIZE_MAX, &memory), STATUS_INTERNAL, "18446744073709551615 bytes");
    assert_null(memory);
    assert_fails(kernels_cpu()->copy(context, NULL, &memory, 8), STATUS_INTERNAL, "null");
    assert_fails(kernels_cpu()->fill_zero(context, NULL, 8), STATUS_INTERNAL, "null");
}

static void contexts_grow_and_end(void **state)
{
    (void)state;
    struct device_context context;
    assert_ok(device_context_create(kernels_cpu(), NULL, 0, &context));
    assert_true(context.scratch_bytes == 0 && !context.scratch);
    assert_ok(device_context_reserve(kernels_cpu(), &context, 1000));
    void *scratch = context.scratch;
    assert_ok(device_context_reserve(kernels_cpu(), &context, 10));
    assert_true(context.scratch == scratch && context.scratch_bytes == 1000);
    const char *text = kernels_cpu()->describe(&context);
    assert_true(strstr(text, "kernels") && strstr(text, "f32") && strstr(text, "bf16"));
    print_message("%s\n", text);
    device_context_destroy(kernels_cpu(), &context);
    assert_true(!context.scratch && !context.libraries);
    device_context_destroy(kernels_cpu(), &context);
    device_context_destroy(kernels_cpu(), NULL);
    assert_string_equal(kernels_cpu()->name, "cpu");
}

static void conversion(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    const int64_t counts[] = {0, 1, 31, 257, 40003};
    for (int s = 0; s < 5; s++)
        for (int from = DTYPE_F32; from <= DTYPE_BF16; from++)
            for (int to = DTYPE_F32; to <= DTYPE_BF16; to++)
                for (int add = 0; add <= (from == to ? 1 : 0); add++)
                    for (int t = 0; t < 3; t++) {
                        struct tensor x = tensor_normal(&rng, (enum dtype)from, counts[s], 1);
                        struct tensor y = tensor_normal(&rng, (enum dtype)to, counts[s], 1);
                        if (counts[s] > 30)
                            tensor_set(&x, 30, NAN);
                        struct convert p = {counts[s], x.data, y.data, x.type, y.type, add};
                        double *expected = doubles(counts[s]);
                        for (int64_t i = 0; i < counts[s]; i++)
                            expected[i] = round_to(y.type, x.values[i] + (add ? y.values[i] : 0));
                        assert_ok(kernels_cpu()->convert(test_context(thread_counts[t], 0), &p));
                        tensor_read(&y);
                        for (int64_t i = 0; i < counts[s]; i++)
                            assert_true(i == 30 ? isnan(y.values[i]) : y.values[i] == expected[i]);
                        free(expected);
                        tensor_free(&x);
                        tensor_free(&y);
                    }
    float x[2] = {0};
    const struct device_context *context = test_context(1, 0);
    struct convert p = {2, x, x, DTYPE_F32, DTYPE_BF16, true};
    assert_fails(kernels_cpu()->convert(context, &p), STATUS_INTERNAL, "one type");
    p = (struct convert){2, x, x, DTYPE_F32, DTYPE_F16, false};
    assert_fails(kernels_cpu()->convert(context, &p), STATUS_INTERNAL, "types");
    p = (struct convert){2, NULL, x, DTYPE_F32, DTYPE_F32, false};
    assert_fails(kernels_cpu()->convert(context, &p), STATUS_INTERNAL, "null");
    p = (struct convert){-2, x, x, DTYPE_F32, DTYPE_F32, false};
    assert_fails(kernels_cpu()->convert(context, &p), STATUS_INTERNAL, "-2 elements");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(too_much_memory_is_an_error),
        cmocka_unit_test(contexts_grow_and_end),
        cmocka_unit_test(conversion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
