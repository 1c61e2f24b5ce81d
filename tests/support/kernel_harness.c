#include "support/kernel_harness.h"

#include "core/thread_pool.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_THREADS = 3 };

static struct thread_pool *pools[MOST_THREADS + 1];
static struct device_context contexts[MOST_THREADS + 1];

static void free_contexts(void)
{
    for (int i = 0; i <= MOST_THREADS; i++)
        if (contexts[i].libraries) {
            device_context_destroy(kernels_cpu(), &contexts[i]);
            thread_pool_destroy(pools[i]);
        }
}

const struct device_context *test_context(int threads, size_t scratch_bytes)
{
    static bool registered;
    if (!registered && atexit(free_contexts) != 0)
        fail_msg("cannot register what frees the contexts");
    registered = true;
    if (!contexts[threads].libraries) {
        assert_ok(thread_pool_create(threads, &pools[threads]));
        assert_ok(device_context_create(kernels_cpu(), pools[threads], scratch_bytes, &contexts[threads]));
    }
    assert_ok(device_context_reserve(kernels_cpu(), &contexts[threads], scratch_bytes));
    return &contexts[threads];
}

struct rng test_rng(uint64_t test)
{
    return rng_make(test_seed(), RNG_TEST, test, 0);
}

double round_to(enum dtype type, double value)
{
    return type == DTYPE_BF16 ? (double)bf16_to_float(bf16_from_float((float)value)) : (double)(float)value;
}

struct tensor tensor_make(enum dtype type, int64_t count)
{
    struct tensor tensor = {guarded_allocate((size_t)count * dtype_size(type)), type, count,
                            calloc((size_t)count + 1, sizeof(double))};
    if (!tensor.values)
        fail_msg("no memory for %lld values", (long long)count);
    return tensor;
}

void tensor_set(struct tensor *tensor, int64_t index, double value)
{
    if (tensor->type == DTYPE_F32)
        ((float *)tensor->data)[index] = (float)value;
    else
        ((bf16 *)tensor->data)[index] = bf16_from_float((float)value);
    tensor->values[index] = round_to(tensor->type, value);
}

struct tensor tensor_zero(enum dtype type, int64_t count)
{
    struct tensor tensor = tensor_make(type, count);
    memset(tensor.data, 0, (size_t)count * dtype_size(type));
    return tensor;
}

struct tensor tensor_normal(struct rng *rng, enum dtype type, int64_t count, double deviation)
{
    struct tensor tensor = tensor_make(type, count);
    for (int64_t i = 0; i < count; i++)
        tensor_set(&tensor, i, rng_normal(rng) * deviation);
    return tensor;
}

struct tensor tensor_integers(struct rng *rng, enum dtype type, int64_t count, int64_t bound)
{
    struct tensor tensor = tensor_make(type, count);
    for (int64_t i = 0; i < count; i++)
        tensor_set(&tensor, i, (double)((int64_t)rng_below(rng, (uint64_t)(2 * bound + 1)) - bound));
    return tensor;
}

struct tensor tensor_copy(const struct tensor *source)
{
    struct tensor tensor = tensor_make(source->type, source->count);
    memcpy(tensor.data, source->data, (size_t)source->count * dtype_size(source->type));
    memcpy(tensor.values, source->values, (size_t)source->count * sizeof(double));
    return tensor;
}

const double *tensor_read(struct tensor *tensor)
{
    for (int64_t i = 0; i < tensor->count; i++)
        tensor->values[i] = tensor->type == DTYPE_F32 ? (double)((const float *)tensor->data)[i]
                                                      : (double)bf16_to_float(((const bf16 *)tensor->data)[i]);
    return tensor->values;
}

void tensor_free(struct tensor *tensor)
{
    guarded_free(tensor->data);
    free(tensor->values);
    *tensor = (struct tensor){0};
}

void tensor_fill_gaps(struct tensor *tensor, int64_t columns, int64_t stride, double value)
{
    for (int64_t i = 0; i < tensor->count; i++)
        if (i % stride >= columns)
            tensor_set(tensor, i, value);
}

void tensor_check_gaps(const char *what, struct tensor *tensor, int64_t columns, int64_t stride, double value)
{
    tensor_read(tensor);
    for (int64_t i = 0; i < tensor->count; i++)
        if (i % stride >= columns && !(tensor->values[i] == value))
            fail_msg("%s: the gap at %lld was overwritten with %g", what, (long long)i, tensor->values[i]);
}

void assert_tensor(const char *what, struct tensor *actual, const double *expected, double absolute, double roundings)
{
    tensor_read(actual);
    double relative = actual->type == DTYPE_BF16 ? roundings * BF16_ROUNDING : 0;
    for (int64_t i = 0; i < actual->count; i++) {
        double allowed = absolute + relative * fabs(expected[i]), error = fabs(actual->values[i] - expected[i]);
        if (!(error <= allowed))
            fail_msg("%s[%lld]: %.9g, expected %.9g, error %.3g > %.3g", what, (long long)i, actual->values[i],
                     expected[i], error, allowed);
    }
}

void assert_same_bits(const char *what, const struct tensor *a, const struct tensor *b)
{
    assert_true(a->count == b->count && a->type == b->type);
    size_t size = dtype_size(a->type);
    for (int64_t i = 0; i < a->count; i++)
        if (memcmp((const char *)a->data + (size_t)i * size, (const char *)b->data + (size_t)i * size, size) != 0)
            fail_msg("%s: bits differ at %lld of %lld", what, (long long)i, (long long)a->count);
}

void check_gradient(const char *what, double (*loss)(void *), void *argument, double *x, const double *gradient,
                    int64_t count, struct rng *rng)
{
    const double step = 1e-5;
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(gradient[i]));
    for (int64_t t = 0; t < (count < 64 ? count : 64); t++) {
        int64_t i = count < 64 ? t : (int64_t)rng_below(rng, (uint64_t)count);
        double kept = x[i];
        x[i] = kept + step;
        double above = loss(argument);
        x[i] = kept - step;
        double below = loss(argument);
        x[i] = kept;
        double difference = (above - below) / (2 * step), error = fabs(difference - gradient[i]);
        if (!(error <= 1e-7 * (1 + largest)))
            fail_msg("%s: the reference's gradient [%lld] is %.12g, differences give %.12g", what, (long long)i,
                     gradient[i], difference);
    }
}

double *doubles(int64_t count)
{
    double *memory = calloc((size_t)count + 1, sizeof(double));
    assert_non_null(memory);
    return memory;
}

double dot_product(const double *a, const double *b, int64_t count)
{
    double total = 0;
    for (int64_t i = 0; i < count; i++)
        total += a[i] * b[i];
    return total;
}
