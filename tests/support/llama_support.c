#include "support/llama_support.h"

#include "support/test_support.h"

#include <stdlib.h>
#include <string.h>

struct llama_config llama_small_config(void)
{
    return (struct llama_config){.vocabulary_size = 61,
                                 .hidden_size = 40,
                                 .intermediate_size = 72,
                                 .layers = 3,
                                 .heads = 4,
                                 .kv_heads = 2,
                                 .head_size = 10,
                                 .maximum_positions = 320,
                                 .rope_theta = 10000,
                                 .rms_norm_epsilon = 1e-5};
}

void llama_fixture_create(struct llama_fixture *fixture, const struct llama_config *config, enum dtype dtype,
                          int threads)
{
    *fixture = (struct llama_fixture){0};
    assert_ok(thread_pool_create(threads, &fixture->pool));
    assert_ok(device_context_create(test_kernels(), fixture->pool, 0, &fixture->context));
    assert_ok(llama_create(config, dtype, test_kernels(), &fixture->context, &fixture->model));
}

void llama_fixture_destroy(struct llama_fixture *fixture)
{
    llama_destroy(fixture->model);
    device_context_destroy(test_kernels(), &fixture->context);
    thread_pool_destroy(fixture->pool);
}

/* Mean 0 and deviation 1: the sum of four uniform integers. */
static double spread(struct rng *rng)
{
    int64_t sum = -2 * (int64_t)UINT32_MAX;
    for (int i = 0; i < 4; i++)
        sum += rng_u32(rng);
    return (double)sum * (1.7320508075688772 / 4294967296.0);
}

void llama_fixture_weights(struct llama_fixture *fixture, uint64_t seed, double std)
{
    struct llama *model = fixture->model;
    const struct parameter_layout *layout = &model->layout;
    size_t size = dtype_size(model->dtype);
    for (int64_t i = 0; i < layout->count; i++) {
        const struct parameter_view *view = &layout->views[i];
        if (view->alias)
            continue;
        float *values = malloc((size_t)view->count * sizeof *values);
        unsigned char *converted = malloc((size_t)view->count * size);
        assert_true(values && converted);
        struct rng rng = rng_make(seed, RNG_TEST, (uint64_t)i, 0);
        for (int64_t j = 0; j < view->count; j++) {
            double value = spread(&rng);
            values[j] = (float)(view->rank == 1 ? 1 + 0.1 * value : value * std);
        }
        dtype_from_float(converted, model->dtype, values, view->count);
        llama_fixture_write(fixture, (unsigned char *)model->weights + (size_t)view->offset * size, converted,
                            (size_t)view->count * size);
        free(values);
        free(converted);
    }
}

void *llama_fixture_allocate(struct llama_fixture *fixture, size_t bytes)
{
    void *memory;
    assert_ok(test_kernels()->allocate(&fixture->context, bytes, &memory));
    return memory;
}

float *llama_fixture_arena(struct llama_fixture *fixture)
{
    return llama_fixture_allocate(fixture, (size_t)fixture->model->layout.elements * sizeof(float));
}

void llama_fixture_write(struct llama_fixture *fixture, void *device, const void *host, size_t bytes)
{
    assert_ok(test_kernels()->copy_to_device(&fixture->context, QUEUE_COMPUTE, device, host, bytes));
    assert_ok(test_kernels()->synchronize(&fixture->context));
}

void llama_fixture_read(struct llama_fixture *fixture, void *host, const void *device, size_t bytes)
{
    assert_ok(test_kernels()->copy_to_host(&fixture->context, QUEUE_COMPUTE, host, device, bytes));
    assert_ok(test_kernels()->synchronize(&fixture->context));
}

void *llama_fixture_copy(struct llama_fixture *fixture, const void *device, size_t bytes)
{
    void *host = guarded_allocate(bytes);
    llama_fixture_read(fixture, host, device, bytes);
    return host;
}

void *llama_fixture_copy_weights(struct llama_fixture *fixture)
{
    const struct llama *model = fixture->model;
    return llama_fixture_copy(fixture, model->weights, (size_t)model->layout.elements * dtype_size(model->dtype));
}

void llama_fixture_release(struct llama_fixture *fixture, void *memory)
{
    test_kernels()->release(&fixture->context, memory);
}

void llama_random_tokens(uint64_t seed, uint64_t a, int64_t count, int64_t vocabulary, int32_t *ids, int32_t *targets)
{
    struct rng rng = rng_make(seed, RNG_TEST, a, 7);
    for (int64_t i = 0; i < count; i++) {
        ids[i] = (int32_t)rng_below(&rng, (uint64_t)vocabulary);
        targets[i] = rng_below(&rng, 8) ? (int32_t)rng_below(&rng, (uint64_t)vocabulary) : -1;
    }
}
