/* What the benchmarks share: repetition, the best and the median time, ceilings measured in the same run. Each program
 * is a single file, so this is all in a header. */
#ifndef SPIRITLM_BENCHMARKS_MEASURE_H
#define SPIRITLM_BENCHMARKS_MEASURE_H

#include "core/thread_pool.h"
#include "kernels/cpu/blas_library.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct measurement {
    double best, median; /* seconds of one run by the clock */
    double work; /* fewest processor seconds of one run, all threads together: barely affected by a busy machine */
};

static inline double seconds_on(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static inline double seconds_now(void)
{
    return seconds_on(CLOCK_MONOTONIC);
}

/* This thread's processor time, which does not count the time that other programs use the core. */
static inline double thread_seconds(void)
{
    return seconds_on(CLOCK_THREAD_CPUTIME_ID);
}

static inline int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Repeats for about `budget` seconds, at least 5 and at most 1,000 times after one warm-up. Another program on the
 * machine can only make a run longer: the best run shows the operation's own time, the median how busy the machine
 * was. */
static inline struct measurement measure(void (*run)(void *), void *argument, double budget)
{
    static double times[1000];
    int count = 0;
    double least = 1e30;
    run(argument);
    for (double start = seconds_now(); count < 1000 && (count < 5 || seconds_now() - start < budget); count++) {
        double before = seconds_now(), work = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
        run(argument);
        times[count] = seconds_now() - before;
        work = seconds_on(CLOCK_PROCESS_CPUTIME_ID) - work;
        least = work < least ? work : least;
    }
    qsort(times, (size_t)count, sizeof *times, compare_doubles);
    return (struct measurement){times[0], times[count / 2], least};
}

static inline void must(enum status status)
{
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "error: %s\n", status_text());
    exit(1);
}

static inline void *must_allocate(size_t bytes)
{
    void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!memory) {
        fprintf(stderr, "error: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    memset(memory, 0, bytes);
    return memory;
}

/* Random values in [-size, size), without any structure that a kernel could profit from. */
static inline float *some_floats(int64_t count, float size)
{
    float *values = must_allocate((size_t)count * sizeof(float));
    uint32_t word = 12345;
    for (int64_t i = 0; i < count; i++) {
        word = word * 1664525u + 1013904223u;
        values[i] = size * ((float)(word >> 8) / 8388608.0f - 1.0f);
    }
    return values;
}

/* ---- ceilings ---- */

struct ceiling {
    double rate; /* by the clock, all threads: GFLOP/s or GB/s */
    double work; /* the same per processor second */
};

struct gemm_ceiling {
    struct thread_pool *pool;
    float *a, *b, *c; /* 1024 x 1024 for each thread */
};

static inline void gemm_ceiling_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    struct gemm_ceiling *g = argument;
    enum { SIDE = 1024 };
    blas_library()->sgemm(BLAS_ROW_MAJOR, BLAS_NOT_TRANSPOSED, BLAS_TRANSPOSED, SIDE, SIDE, SIDE, 1, g->a, SIDE, g->b,
                          SIDE, 0, g->c + task * SIDE * SIDE, SIDE);
}

static inline void gemm_ceiling_run(void *argument)
{
    struct gemm_ceiling *g = argument;
    thread_pool_run(g->pool, thread_pool_threads(g->pool), gemm_ceiling_task, g);
}

/* OpenBLAS for as many threads as the pool has; benchmarks compare with it and end without it. */
static inline void must_have_blas(struct thread_pool *pool)
{
    if (!blas_library()) {
        fprintf(stderr, "error: no OpenBLAS to compare with: %s\n", blas_library_absence());
        exit(1);
    }
    must(blas_library_reserve(thread_pool_threads(pool)));
}

/* GFLOP/s of one plain sgemm of 1024^3 per thread, all at once. */
static inline struct ceiling gemm_ceiling(struct thread_pool *pool)
{
    const int64_t square = 1024 * 1024;
    int threads = thread_pool_threads(pool);
    must_have_blas(pool);
    struct gemm_ceiling g = {pool, some_floats(square, 1), some_floats(square, 1), some_floats(square * threads, 1)};
    struct measurement m = measure(gemm_ceiling_run, &g, 1);
    free(g.a);
    free(g.b);
    free(g.c);
    double work = 2e-9 * 1024 * 1024 * 1024 * threads;
    return (struct ceiling){work / m.best, work / m.work};
}

struct copy_ceiling {
    const struct kernels *kernels;
    const struct device_context *context;
    void *to, *from;
    size_t bytes;
};

static inline void copy_ceiling_run(void *argument)
{
    struct copy_ceiling *c = argument;
    must(c->kernels->copy(c->context, c->to, c->from, c->bytes));
}

/* GB/s of a copy by all threads; reads and writes together move `bytes`. */
static inline struct ceiling copy_ceiling(const struct device_context *context, double bytes)
{
    struct copy_ceiling c = {kernels_cpu(), context, NULL, NULL, (size_t)(bytes / 2)};
    c.to = must_allocate(c.bytes);
    c.from = must_allocate(c.bytes);
    struct measurement m = measure(copy_ceiling_run, &c, 0.2);
    free(c.to);
    free(c.from);
    return (struct ceiling){1e-9 * bytes / m.best, 1e-9 * bytes / m.work};
}

#endif
