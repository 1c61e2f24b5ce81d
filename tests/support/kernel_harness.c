/* Contexts and tensors of the tests of operations. A tensor has its bytes twice, in device memory and on the host, and
 * crosses by copies of the table alone, so that the same tests run where the host cannot look into device memory. */
#include "support/kernel_harness.h"

#include "core/thread_pool.h"
#include "support/closed_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_THREADS = 3, BAND = 256 };

static struct thread_pool *pools[MOST_THREADS + 1];
static struct device_context contexts[MOST_THREADS + 1];

static void free_contexts(void)
{
    for (int i = 0; i <= MOST_THREADS; i++)
        if (contexts[i].libraries) {
            device_context_destroy(test_kernels(), &contexts[i]);
            thread_pool_destroy(pools[i]);
        }
}

const struct device_context *test_context(int threads, size_t scratch_bytes)
{
    static bool registered;
    if (!registered && atexit(free_contexts) != 0)
        fail_msg("cannot register what frees the contexts");
    if (!registered && test_kernels_closed())
        closed_watch_reads(true);
    registered = true;
    if (!contexts[threads].libraries) {
        assert_ok(thread_pool_create(threads, &pools[threads]));
        assert_ok(device_context_create(test_kernels(), pools[threads], scratch_bytes, &contexts[threads]));
    }
    assert_ok(device_context_reserve(test_kernels(), &contexts[threads], scratch_bytes));
    if (scratch_bytes > 0) { /* what an earlier call has left there is nothing to rely on */
        test_settle();
        test_forget(contexts[threads].scratch, scratch_bytes);
    }
    return &contexts[threads];
}

void test_settle(void)
{
    for (int i = 0; i <= MOST_THREADS; i++)
        if (contexts[i].libraries)
            assert_ok(test_kernels()->synchronize(&contexts[i]));
}

void test_open(struct device_context *context, size_t scratch_bytes)
{
    test_settle();
    assert_ok(device_context_create(test_kernels(), NULL, scratch_bytes, context));
}

void test_close(struct device_context *context)
{
    device_context_destroy(test_kernels(), context);
}

struct rng test_rng(uint64_t test)
{
    return rng_make(test_seed(), RNG_TEST, test, 0);
}

double round_to(enum dtype type, double value)
{
    if (type == DTYPE_F64)
        return value;
    return type == DTYPE_BF16 ? (double)bf16_to_float(bf16_from_float((float)value)) : (double)(float)value;
}

/* ---- tensors ---- */

static size_t bytes_of(const struct tensor *tensor)
{
    return (size_t)tensor->count * dtype_size(tensor->type);
}

static double element_value(const struct tensor *tensor, int64_t index)
{
    const char *elements = tensor->image + BAND;
    switch (tensor->type) {
    case DTYPE_F32:
        return (double)((const float *)(const void *)elements)[index];
    case DTYPE_BF16:
        return (double)bf16_to_float(((const bf16 *)(const void *)elements)[index]);
    case DTYPE_F64:
        return ((const double *)(const void *)elements)[index];
    case DTYPE_I32:
        return ((const int32_t *)(const void *)elements)[index];
    default:
        return ((const uint8_t *)elements)[index];
    }
}

static void set_element(struct tensor *tensor, int64_t index, double value)
{
    char *elements = tensor->image + BAND;
    switch (tensor->type) {
    case DTYPE_F32:
        ((float *)(void *)elements)[index] = (float)value;
        break;
    case DTYPE_BF16:
        ((bf16 *)(void *)elements)[index] = bf16_from_float((float)value);
        break;
    case DTYPE_F64:
        ((double *)(void *)elements)[index] = value;
        break;
    case DTYPE_I32:
        ((int32_t *)(void *)elements)[index] = (int32_t)value;
        break;
    default:
        ((uint8_t *)elements)[index] = (uint8_t)value;
    }
    tensor->values[index] = element_value(tensor, index);
}

struct tensor tensor_make(enum dtype type, int64_t count)
{
    struct tensor tensor = {.type = type, .count = count, .newer = true};
    size_t bytes = bytes_of(&tensor);
    tensor.values = calloc((size_t)count + 1, sizeof(double));
    tensor.image = malloc(bytes + 2 * BAND);
    if (!tensor.values || !tensor.image)
        fail_msg("no memory for %lld values", (long long)count);
    assert_ok(test_kernels()->allocate(test_context(1, 0), bytes + 2 * BAND, (void **)&tensor.memory));
    memset(tensor.image, 0xFF, bytes + 2 * BAND);
    memset(tensor.image + BAND, 0xCD, bytes);
    return tensor;
}

void *tensor_device(struct tensor *tensor)
{
    const struct device_context *context = test_context(1, 0);
    if (tensor->newer) {
        size_t skip = tensor->banded ? BAND : 0, bytes = bytes_of(tensor) + 2 * (BAND - skip);
        test_settle();
        assert_ok(
            test_kernels()->copy_to_device(context, QUEUE_COMPUTE, tensor->memory + skip, tensor->image + skip, bytes));
        test_settle();
    }
    tensor->banded = true;
    tensor->newer = false;
    return tensor->memory + BAND;
}

const void *tensor_host(struct tensor *tensor)
{
    if (!tensor->newer) {
        test_settle();
        assert_ok(test_kernels()->copy_to_host(test_context(1, 0), QUEUE_COMPUTE, tensor->image + BAND,
                                               tensor->memory + BAND, bytes_of(tensor)));
        test_settle();
    }
    return tensor->image + BAND;
}

const double *tensor_read(struct tensor *tensor)
{
    (void)tensor_host(tensor);
    for (int64_t i = 0; i < tensor->count; i++)
        tensor->values[i] = element_value(tensor, i);
    return tensor->values;
}

void tensor_set(struct tensor *tensor, int64_t index, double value)
{
    if (!tensor->newer)
        (void)tensor_read(tensor);
    tensor->newer = true;
    set_element(tensor, index, value);
}

struct tensor tensor_from(enum dtype type, int64_t count, const void *elements)
{
    struct tensor tensor = tensor_make(type, count);
    if (count > 0)
        memcpy(tensor.image + BAND, elements, bytes_of(&tensor));
    (void)tensor_read(&tensor);
    return tensor;
}

struct tensor tensor_zero(enum dtype type, int64_t count)
{
    struct tensor tensor = tensor_make(type, count);
    memset(tensor.image + BAND, 0, bytes_of(&tensor));
    return tensor;
}

struct tensor tensor_normal(struct rng *rng, enum dtype type, int64_t count, double deviation)
{
    struct tensor tensor = tensor_make(type, count);
    for (int64_t i = 0; i < count; i++)
        set_element(&tensor, i, rng_normal(rng) * deviation);
    return tensor;
}

struct tensor tensor_integers(struct rng *rng, enum dtype type, int64_t count, int64_t bound)
{
    struct tensor tensor = tensor_make(type, count);
    for (int64_t i = 0; i < count; i++)
        set_element(&tensor, i, (double)((int64_t)rng_below(rng, (uint64_t)(2 * bound + 1)) - bound));
    return tensor;
}

struct tensor tensor_copy(struct tensor *source)
{
    return tensor_from(source->type, source->count, tensor_host(source));
}

/* Fails when the band at `band` of the image was touched. */
static void check_band(const struct tensor *tensor, const char *band, const char *side)
{
    for (int i = 0; i < BAND; i++)
        if ((unsigned char)band[i] != 0xFF)
            fail_msg("a write %s an array of %lld %s, at byte %d of the band", side, (long long)tensor->count,
                     dtype_name(tensor->type), i);
}

void tensor_free(struct tensor *tensor)
{
    if (!tensor->memory)
        return;
    const struct device_context *context = test_context(1, 0);
    size_t bytes = bytes_of(tensor);
    if (tensor->banded) {
        test_settle();
        assert_ok(test_kernels()->copy_to_host(context, QUEUE_COMPUTE, tensor->image, tensor->memory, BAND));
        assert_ok(test_kernels()->copy_to_host(context, QUEUE_COMPUTE, tensor->image + BAND + bytes,
                                               tensor->memory + BAND + bytes, BAND));
        test_settle();
        check_band(tensor, tensor->image, "before");
        check_band(tensor, tensor->image + BAND + bytes, "past");
    }
    test_kernels()->release(context, tensor->memory);
    free(tensor->image);
    free(tensor->values);
    *tensor = (struct tensor){0};
}

void rope_tables(int64_t positions, int64_t size, struct tensor *cosine, struct tensor *sine)
{
    int64_t half = size / 2;
    *cosine = tensor_make(DTYPE_F32, positions * half);
    *sine = tensor_make(DTYPE_F32, positions * half);
    for (int64_t i = 0; i < positions * half; i++) {
        double angle = (double)(i / half) * pow(10000, -2.0 * (double)(i % half) / (double)size);
        set_element(cosine, i, cos(angle));
        set_element(sine, i, sin(angle));
    }
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
        if (!(error <= allowed) && !(actual->values[i] == expected[i])) /* equal: infinities */
            fail_msg("%s[%lld]: %.9g, expected %.9g, error %.3g > %.3g", what, (long long)i, actual->values[i],
                     expected[i], error, allowed);
    }
}

void assert_same_bits(const char *what, struct tensor *a, struct tensor *b)
{
    assert_true(a->count == b->count && a->type == b->type);
    const char *left = tensor_host(a), *right = tensor_host(b);
    size_t size = dtype_size(a->type);
    for (int64_t i = 0; i < a->count; i++)
        if (memcmp(left + (size_t)i * size, right + (size_t)i * size, size) != 0)
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

void assert_traffic(const char *what, double floor, double most)
{
    struct test_traffic traffic;
    if (!test_traffic_end(&traffic))
        return;
    printf("traffic %s: %.0f KiB, %.3f of the floor; wavefronts %.3f of the ideal\n", what, traffic.bytes / 1024,
           traffic.bytes / floor, traffic.wavefronts);
    if (!(traffic.bytes <= most * floor) || !(traffic.wavefronts <= 1.05))
        fail_msg("%s moves %.0f bytes, %.3f of the floor of %.0f, expected at most %.2f; wavefronts %.3f, expected at "
                 "most 1.05",
                 what, traffic.bytes, traffic.bytes / floor, floor, most, traffic.wavefronts);
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
