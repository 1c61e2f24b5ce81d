#include "train/peak.h"

#include "core/log.h"

#include <stdio.h>
#include <string.h>

enum { SIDE = 768, TRIES = 3 };

double peak_flops(const struct kernels *kernels, struct device_context *context, enum dtype dtype)
{
    void *matrices = NULL;
    size_t size = dtype_size(dtype), bytes = (size_t)SIDE * SIDE * size;
    double best = 0;
    if (kernels->allocate(context, 3 * bytes, &matrices) != STATUS_OK)
        return 0;
    struct matmul product = {.m = SIDE,
                             .n = SIDE,
                             .k = SIDE,
                             .batch = 1,
                             .a = matrices,
                             .b = (char *)matrices + bytes,
                             .c = (char *)matrices + 2 * bytes,
                             .a_type = dtype,
                             .b_type = dtype,
                             .c_type = dtype,
                             .a_row_stride = SIDE,
                             .b_row_stride = SIDE,
                             .c_row_stride = SIDE,
                             .b_transposed = true,
                             .alpha = 1};
    bool good = device_context_reserve(kernels, context, kernels->matmul_scratch_size(&product)) == STATUS_OK;
    for (int i = 0; i < TRIES && good; i++) {
        double start = clock_seconds();
        good = kernels->matmul(context, &product) == STATUS_OK && kernels->synchronize(context) == STATUS_OK;
        double flops = 2.0 * SIDE * SIDE * SIDE / (clock_seconds() - start);
        best = good && flops > best ? flops : best;
    }
    kernels->release(context, matrices);
    return best;
}

int64_t peak_memory_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long long kilobytes = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1)
            break;
    if (file)
        fclose(file);
    return kilobytes * 1024;
}
