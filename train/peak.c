/* A GPU whose maker states what it can do is not measured. A product that is over in microseconds says more about the way to the device than about the device, and one that takes
 * seconds would delay the start on a small machine: so the side grows until the time is worth measuring. Random numbers,
 * since a device spends less on multiplying zeros and would then show a peak that no training can come near. */
#include "train/peak.h"

#include "core/log.h"
#include "core/rng.h"

#include <stdlib.h>

enum { SMALLEST = 768, LARGEST = 6144, TRIES = 3, BLOCK = 1 << 16 };
static const double long_enough = 4e-3; /* seconds */

/* One block of numbers, again and again. */
static enum status fill_random(const struct kernels *kernels, const struct device_context *context, char *memory,
                               size_t bytes, enum dtype dtype)
{
    enum status result = STATUS_OK;
    size_t block = BLOCK * dtype_size(dtype);
    float *values = malloc(BLOCK * sizeof *values);
    void *typed = malloc(block);
    if (!values || !typed)
        FAIL(STATUS_INTERNAL, "no memory for random numbers");
    struct rng rng = rng_make(1, RNG_PEAK, 0, 0);
    for (int64_t i = 0; i < BLOCK; i++)
        values[i] = (float)(2 * rng_uniform(&rng) - 1);
    dtype_from_float(typed, dtype, values, BLOCK);
    for (size_t at = 0; at < bytes; at += block)
        TRY(kernels->copy_to_device(context, QUEUE_COMPUTE, memory + at, typed,
                                    bytes - at < block ? bytes - at : block));
    TRY(kernels->synchronize(context));
fail:
    free(values);
    free(typed);
    return result;
}

/* Seconds of the fastest of TRIES products; 0 when they cannot be measured. */
static double time_product(const struct kernels *kernels, struct device_context *context, int64_t side,
                           enum dtype dtype)
{
    void *memory = NULL;
    size_t bytes = (size_t)(side * side) * dtype_size(dtype);
    double best = 0;
    if (kernels->allocate(context, 3 * bytes, &memory) != STATUS_OK)
        return 0;
    struct matmul product = {.m = side,
                             .n = side,
                             .k = side,
                             .batch = 1,
                             .a = memory,
                             .b = (char *)memory + bytes,
                             .c = (char *)memory + 2 * bytes,
                             .a_type = dtype,
                             .b_type = dtype,
                             .c_type = dtype,
                             .a_row_stride = side,
                             .b_row_stride = side,
                             .c_row_stride = side,
                             .b_transposed = true,
                             .alpha = 1};
    bool good = fill_random(kernels, context, memory, 2 * bytes, dtype) == STATUS_OK &&
                device_context_reserve(kernels, context, kernels->matmul_scratch_size(&product)) == STATUS_OK;
    for (int i = 0; i < TRIES && good; i++) {
        double start = clock_seconds();
        good = kernels->matmul(context, &product) == STATUS_OK && kernels->synchronize(context) == STATUS_OK;
        double seconds = clock_seconds() - start;
        best = best == 0 || seconds < best ? seconds : best;
    }
    kernels->release(context, memory);
    return good ? best : 0;
}

static double measured_peak(const struct kernels *kernels, struct device_context *context, enum dtype dtype)
{
    double peak = 0, seconds = 0;
    for (int64_t side = SMALLEST; side <= LARGEST && seconds < long_enough; side *= 2) {
        seconds = time_product(kernels, context, side, dtype);
        if (!(seconds > 0))
            break;
        double flops = 2.0 * (double)side * (double)side * (double)side / seconds;
        peak = flops > peak ? flops : peak;
    }
    return peak;
}

double peak_flops(const struct kernels *kernels, struct thread_pool *pool, enum dtype dtype)
{
    struct device_context context;
    if (device_context_create(kernels, pool, 0, &context) != STATUS_OK)
        return 0;
    double peak = kernels->peak_flops ? kernels->peak_flops(&context, dtype) : 0;
    if (peak == 0)
        peak = measured_peak(kernels, &context, dtype);
    device_context_destroy(kernels, &context);
    return peak;
}
