/* What the benchmarks of a GPU's operations share: device memory with plausible contents, times by the device's own clock,
 * and one row per call with its floor: the bytes that it has to move, or the operations that it has to do, against what a copy
 * and a product reach on the same device. */
#ifndef SPIRITLM_GPU_CHECK_BENCHMARK_H
#define SPIRITLM_GPU_CHECK_BENCHMARK_H

#include "kernels/kernels.h"

#include <stdio.h>

/* Sizes of a model like the 7B recipe's, or tiny ones that an emulator computes in no time. */
struct benchmark_sizes {
    int64_t rows, length, hidden, heads, kv_heads, head_size, inner, vocabulary; /* of a batch in training */
    int64_t sequences, capacity;                                                 /* of a step of generation */
    int64_t parameters;                                                          /* of an update */
    int64_t product, copy_bytes; /* of what the ceilings are measured with */
    int64_t seconds;             /* of sound, for speech encoders */
};

struct benchmark {
    struct benchmark_sizes sizes;
    const struct kernels *kernels;
    struct device_context context;
    FILE *out; /* JSON lines, or NULL */
    bool tiny;
    bool counted;     /* on an emulator, one call each, at sizes that take minutes there: for benchmarks/kernels.md */
    double copy_rate; /* bytes per second, read and written */
    double product_rate[2]; /* operations per second: f32, bf16 */
    void *blocks[64];       /* device memory of the present case */
    int block_count;
    int rows, failures, absent;
};

/* Every operation of the table, by number. */
enum benchmark_operation {
#define BENCHMARK_NUMBER(name) BENCHMARK_##name,
    KERNEL_OPERATIONS(BENCHMARK_NUMBER)
#undef BENCHMARK_NUMBER
        BENCHMARK_OPERATIONS
};

/* One row. `parameters` is the operation's struct. bytes or flops 0: bytes are the sum of the operands' (operands.h), and a
 * row with flops is measured against products instead. */
struct benchmark_case {
    enum benchmark_operation operation;
    const void *parameters;
    const char *shape;
    enum dtype type;
    double bytes, flops;
    const char *peer;    /* NULL: none */
    double peer_seconds; /* of the same work by the peer */
};
void benchmark_row(struct benchmark *b, const struct benchmark_case *row);

/* Device memory for the present case, freed by benchmark_next: numbers in [-scale, scale), or whole numbers that repeat
 * `values`. Ends the program when there is none. */
void *benchmark_numbers(struct benchmark *b, enum dtype type, int64_t count, double scale);
void *benchmark_values(struct benchmark *b, size_t size, int64_t count, const void *values);
void benchmark_next(struct benchmark *b);

/* The median seconds of one call on the device, and the least and most of the batches of calls that were timed. */
struct benchmark_time {
    double median, least, most;
};
enum status benchmark_time(struct benchmark *b, enum status (*call)(struct benchmark *, const void *),
                           const void *argument, struct benchmark_time *time);

/* benchmark_products.c: the fastest of the algorithms that cuBLASLt offers for a product, in seconds. */
enum status benchmark_cublaslt(struct benchmark *b, const struct matmul *product, double *seconds);

/* benchmark_counters.c: what the device did between the two calls, as members of a row's JSON. Nothing but on the emulator. */
void benchmark_counters_reset(void);
void benchmark_counters_write(FILE *out);

void benchmark_ceilings(struct benchmark *b);
void benchmark_products(struct benchmark *b);
void benchmark_training(struct benchmark *b);
void benchmark_generation(struct benchmark *b);
void benchmark_speech(struct benchmark *b);
void benchmark_vocoder(struct benchmark *b);

/* For calls that cannot go wrong on a sound device: ends the program with the reason. */
void benchmark_must(enum status status);

#endif
