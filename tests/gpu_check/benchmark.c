/* How fast are the kernels on this GPU, and how far from what it can do? One row per operation at the sizes of a 7B model.
 *   benchmarks [--tiny|--counted] [--out FILE]
 * Calls are enqueued back to back between two events of the device, so what the host takes for a launch shows only in
 * operations that are shorter. A ceiling is measured here as well: a copy for what moves bytes, cuBLASLt's fastest
 * algorithm for what multiplies. */
#include "gpu_check/benchmark.h"

#include "kernels/cuda/kernels_cuda.h"
#include "kernels/operands.h"

#include <cuda_runtime_api.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void benchmark_must(enum status status)
{
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "error: %s\n", status_text());
    exit(1);
}

/* ---- device memory ---- */

static void *allocate(struct benchmark *b, size_t bytes)
{
    enum { MOST = sizeof b->blocks / sizeof *b->blocks };
    if (b->block_count == MOST)
        benchmark_must(status_set(STATUS_INTERNAL, "a case has more than %d arrays", (int)MOST));
    void **memory = &b->blocks[b->block_count++];
    benchmark_must(b->kernels->allocate(&b->context, bytes > 0 ? bytes : 1, memory));
    return *memory;
}

void *benchmark_values(struct benchmark *b, size_t size, int64_t count, const void *values)
{
    void *memory = allocate(b, size * (size_t)count);
    benchmark_must(b->kernels->copy_to_device(&b->context, QUEUE_COMPUTE, memory, values, size * (size_t)count));
    benchmark_must(b->kernels->synchronize(&b->context));
    return memory;
}

/* A block of numbers without structure goes to the device once and is then copied there, piece after piece. */
void *benchmark_numbers(struct benchmark *b, enum dtype type, int64_t count, double scale)
{
    enum { BLOCK = 1 << 20 };
    int64_t block = count < BLOCK ? count : BLOCK;
    size_t size = dtype_size(type), bytes = (size_t)count * size;
    float *numbers = malloc((size_t)block * sizeof *numbers + 1);
    char *memory = allocate(b, bytes);
    uint32_t word = 12345;
    if (!numbers)
        benchmark_must(status_set(STATUS_INTERNAL, "no memory for numbers"));
    for (int64_t i = 0; i < block; i++) {
        word = word * 1664525u + 1013904223u;
        numbers[i] = (float)(scale * ((double)(word >> 8) / 8388608.0 - 1.0));
    }
    if (type != DTYPE_F32)
        dtype_from_float(numbers, type, numbers, block);
    benchmark_must(b->kernels->copy_to_device(&b->context, QUEUE_COMPUTE, memory, numbers, (size_t)block * size));
    for (size_t done = (size_t)block * size, piece; done < bytes; done += piece) {
        piece = bytes - done < done ? bytes - done : done;
        benchmark_must(b->kernels->copy(&b->context, memory + done, memory, piece));
    }
    benchmark_must(b->kernels->synchronize(&b->context));
    free(numbers);
    return memory;
}

void benchmark_next(struct benchmark *b)
{
    benchmark_must(b->kernels->synchronize(&b->context));
    while (b->block_count > 0)
        b->kernels->release(&b->context, b->blocks[--b->block_count]);
}

/* ---- times ---- */

static enum status checked(cudaError_t error)
{
    return error == cudaSuccess ? STATUS_OK : status_set(STATUS_INTERNAL, "%s", cudaGetErrorString(error));
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds per call of `count` calls. */
static enum status time_batch(struct benchmark *b, enum status (*call)(struct benchmark *, const void *),
                              const void *argument, int64_t count, cudaEvent_t marks[2], double *seconds)
{
    enum status result = STATUS_OK;
    float milliseconds;
    TRY(checked(cudaEventRecord(marks[0], b->context.stream)));
    for (int64_t i = 0; i < count; i++)
        TRY(call(b, argument));
    TRY(checked(cudaEventRecord(marks[1], b->context.stream)));
    TRY(b->kernels->synchronize(&b->context));
    TRY(checked(cudaEventElapsedTime(&milliseconds, marks[0], marks[1])));
    *seconds = fmax(1e-3 * (double)milliseconds / (double)count, 1e-9);
fail:
    return result;
}

enum status benchmark_time(struct benchmark *b, enum status (*call)(struct benchmark *, const void *),
                           const void *argument, struct benchmark_time *time)
{
    enum { BATCHES = 7 };
    enum status result = STATUS_OK;
    cudaEvent_t marks[2] = {NULL, NULL};
    double times[BATCHES];
    const bool once = b->tiny || b->counted;
    int64_t batches = once ? 1 : BATCHES, count = 1;
    TRY(checked(cudaEventCreate(&marks[0])));
    TRY(checked(cudaEventCreate(&marks[1])));
    if (!once) { /* a first call makes what is made once; then as many as take 20 milliseconds */
        TRY(time_batch(b, call, argument, 1, marks, times));
        TRY(time_batch(b, call, argument, 3, marks, times));
        count = (int64_t)fmin(fmax(0.02 / times[0], 3), 2000);
    }
    for (int64_t i = 0; i < batches; i++)
        TRY(time_batch(b, call, argument, count, marks, &times[i]));
    qsort(times, (size_t)batches, sizeof *times, compare);
    *time = (struct benchmark_time){times[batches / 2], times[0], times[batches - 1]};
fail:
    for (int i = 0; i < 2; i++)
        if (marks[i])
            (void)cudaEventDestroy(marks[i]);
    return result;
}

/* ---- operations ---- */

/* What moves at least: every operand once, and twice where it is read and written. */
#define ADD_OPERAND(member, size, access)                                                                              \
    if (p->member)                                                                                                     \
        bytes += (double)(size) * ((access) == OPERAND_MODIFIED ? 2 : 1);
#define OPERATION(name)                                                                                                \
    static enum status run_##name(struct benchmark *b, const void *parameters)                                         \
    {                                                                                                                  \
        return b->kernels->name(&b->context, parameters);                                                              \
    }                                                                                                                  \
    static size_t scratch_##name(const struct benchmark *b, const void *parameters)                                    \
    {                                                                                                                  \
        return b->kernels->name##_scratch_size(parameters);                                                            \
    }                                                                                                                  \
    static double bytes_##name(const void *parameters)                                                                 \
    {                                                                                                                  \
        const struct name *p = parameters;                                                                             \
        double bytes = 0;                                                                                              \
        OPERANDS_##name(ADD_OPERAND) return bytes;                                                                     \
    }
KERNEL_OPERATIONS(OPERATION)

static const struct {
    const char *name;
    enum status (*run)(struct benchmark *, const void *);
    size_t (*scratch)(const struct benchmark *, const void *);
    double (*bytes)(const void *);
} operations[] = {
#define ENTRY(name) {#name, run_##name, scratch_##name, bytes_##name},
    KERNEL_OPERATIONS(ENTRY)
#undef ENTRY
};

static bool seen[BENCHMARK_OPERATIONS];

static void print_failure(struct benchmark *b, const struct benchmark_case *row)
{
    bool absent = strstr(status_text(), "does not run on CUDA yet") != NULL;
    b->absent += absent;
    b->failures += !absent;
    printf("%-20s %-30s %s\n", operations[row->operation].name, row->shape, status_text());
    if (b->out)
        fprintf(b->out, "{\"operation\": \"%s\", \"shape\": \"%s\", \"%s\": true}\n", operations[row->operation].name,
                row->shape, absent ? "absent" : "failed");
}

void benchmark_row(struct benchmark *b, const struct benchmark_case *row)
{
    struct benchmark_time time;
    const char *name = operations[row->operation].name;
    size_t scratch = operations[row->operation].scratch(b, row->parameters);
    enum status result = device_context_reserve(b->kernels, &b->context, scratch);
    seen[row->operation] = true;
    benchmark_counters_reset();
    if (result == STATUS_OK)
        result = benchmark_time(b, operations[row->operation].run, row->parameters, &time);
    if (result != STATUS_OK) {
        print_failure(b, row);
        return;
    }
    b->rows++;
    double bytes = row->bytes > 0 ? row->bytes : operations[row->operation].bytes(row->parameters);
    double ceiling = row->flops > 0 ? b->product_rate[row->type == DTYPE_BF16] : b->copy_rate;
    double work = row->flops > 0 ? row->flops : bytes, rate = work / time.median, floor = work / ceiling;
    printf("%-20s %-30s %9.4f %9.4f %8.1f %-7s %5.0f %%", name, row->shape, 1e3 * time.median, 1e3 * floor,
           row->flops > 0 ? 1e-12 * rate : 1e-9 * rate, row->flops > 0 ? "TFLOP/s" : "GB/s", 100 * rate / ceiling);
    if (row->peer)
        printf(" %9.4f %s", 1e3 * row->peer_seconds, row->peer);
    printf("\n");
    fflush(stdout);
    if (!b->out)
        return;
    fprintf(b->out,
            "{\"operation\": \"%s\", \"shape\": \"%s\", \"type\": \"%s\", \"milliseconds\": %.6g, \"least\": %.6g, "
            "\"most\": %.6g, \"floor\": \"%s\", \"floor_work\": %.6g, \"floor_milliseconds\": %.6g, \"share\": %.4f",
            name, row->shape, dtype_name(row->type), 1e3 * time.median, 1e3 * time.least, 1e3 * time.most,
            row->flops > 0 ? "flop" : "bytes", work, 1e3 * floor, rate / ceiling);
    if (row->peer)
        fprintf(b->out, ", \"peer\": \"%s\", \"peer_milliseconds\": %.6g", row->peer, 1e3 * row->peer_seconds);
    fprintf(b->out, ", \"floor_bytes\": %.6g", bytes);
    benchmark_counters_write(b->out);
    fprintf(b->out, "}\n");
    fflush(b->out);
}

/* ---- the program ---- */

static struct benchmark_sizes choose_sizes(bool tiny, bool counted)
{
    if (counted)
        return (struct benchmark_sizes){8, 512, 2048, 16, 4, 128, 5632, 32768, 16, 2048, 1 << 22, 16, 1 << 20, 2};
    if (tiny)
        return (struct benchmark_sizes){1, 16, 64, 2, 1, 32, 32, 48, 2, 8, 256, 16, 4096, 1};
    return (struct benchmark_sizes){2, 4096, 4096, 32, 8, 128, 11008, 32768, 16, 4096, 1 << 28, 8192, 1 << 30, 30};
}

/* An operation of the table without a row would be missing silently. */
static void name_missing(struct benchmark *b)
{
    for (int i = 0; i < BENCHMARK_OPERATIONS; i++)
        if (!seen[i]) {
            printf("%-20s has no row here\n", operations[i].name);
            b->absent++;
            if (b->out)
                fprintf(b->out, "{\"operation\": \"%s\", \"absent\": true}\n", operations[i].name);
        }
}

int main(int count, char **arguments)
{
    static struct benchmark b;
    int devices;
    for (int i = 1; i < count; i++)
        if (strcmp(arguments[i], "--tiny") == 0) {
            b.tiny = true;
        } else if (strcmp(arguments[i], "--counted") == 0) {
            b.counted = true;
        } else if (strcmp(arguments[i], "--out") == 0 && i + 1 < count) {
            b.out = fopen(arguments[++i], "ae");
        } else {
            fprintf(stderr, "usage: benchmarks [--tiny|--counted] [--out FILE]\n");
            return 2;
        }
    benchmark_must(kernels_cuda_devices(&devices));
    b.kernels = kernels_cuda();
    b.sizes = choose_sizes(b.tiny, b.counted);
    benchmark_must(device_context_create(b.kernels, NULL, 0, &b.context));
    printf("%s\n", b.kernels->describe(&b.context));
    benchmark_ceilings(&b);
    printf("%-20s %-30s %9s %9s %16s %7s %9s\n", "operation", "shape", "ms", "floor ms", "rate", "share", "peer ms");
    benchmark_products(&b); /* the library's products are not counted: they are no kernels of ours */
    benchmark_training(&b);
    benchmark_generation(&b);
    benchmark_speech(&b);
    benchmark_vocoder(&b);
    name_missing(&b);
    device_context_destroy(b.kernels, &b.context);
    printf("%d rows, %d failed, %d of operations that are not there yet\n", b.rows, b.failures, b.absent);
    return b.failures > 0;
}
