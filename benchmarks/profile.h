/* A table of kernels that remembers how long each operation took and which products it was asked for. */
#ifndef SPIRITLM_BENCHMARKS_PROFILE_H
#define SPIRITLM_BENCHMARKS_PROFILE_H

#include "benchmarks/measure.h"

struct profile_entry {
    const char *name;
    double seconds;
    int64_t calls;
};

/* One shape of product of the step, with the operands of its last call. */
struct profile_product {
    struct matmul p;
    int64_t calls;
    double seconds; /* in the step */
};

enum profile_operation {
#define PROFILE_NUMBER(name) PROFILE_##name,
    KERNEL_OPERATIONS(PROFILE_NUMBER)
#undef PROFILE_NUMBER
        PROFILE_OPERATIONS
};
enum { PROFILE_PRODUCTS = 64 };

static struct profile {
    const struct kernels *inner;
    bool on;
    struct profile_entry entries[PROFILE_OPERATIONS];
    struct profile_product products[PROFILE_PRODUCTS];
    int product_count;
} profile;

static inline void profile_product_add(const struct matmul *p, double seconds)
{
    struct profile_product *at = profile.products, *end = at + profile.product_count;
    while (at < end && !(at->p.m == p->m && at->p.n == p->n && at->p.k == p->k && at->p.beta == p->beta &&
                         at->p.a_transposed == p->a_transposed && at->p.b_transposed == p->b_transposed &&
                         at->p.c_type == p->c_type && !at->p.addend == !p->addend && !at->p.bias == !p->bias))
        at++;
    if (at == end) {
        if (profile.product_count == PROFILE_PRODUCTS)
            exit(1);
        profile.product_count++;
        *at = (struct profile_product){.p = *p};
    }
    at->p = *p;
    at->calls++;
    at->seconds += seconds;
}

static inline void profile_note(enum profile_operation operation, const char *name, double seconds, const void *p)
{
    if (!profile.on)
        return;
    struct profile_entry *entry = &profile.entries[operation];
    entry->name = name;
    entry->seconds += seconds;
    entry->calls++;
    if (operation == PROFILE_matmul)
        profile_product_add(p, seconds);
}

#define PROFILED(operation)                                                                                            \
    static enum status profile_##operation(const struct device_context *context, const struct operation *p)            \
    {                                                                                                                  \
        double before = seconds_now();                                                                                 \
        enum status result = profile.inner->operation(context, p);                                                     \
        profile_note(PROFILE_##operation, #operation, seconds_now() - before, p);                                      \
        return result;                                                                                                 \
    }
KERNEL_OPERATIONS(PROFILED)
#undef PROFILED

static inline struct kernels profile_wrap(const struct kernels *inner)
{
    struct kernels wrapped = *inner;
    profile.inner = inner;
#define PROFILE_MEMBER(operation) wrapped.operation = profile_##operation;
    KERNEL_OPERATIONS(PROFILE_MEMBER)
#undef PROFILE_MEMBER
    return wrapped;
}

struct profile_replay {
    const struct device_context *context;
    const struct matmul *p;
    struct thread_pool *pool;
};

static void profile_replay_run(void *argument)
{
    struct profile_replay *replay = argument;
    must(profile.inner->matmul(replay->context, replay->p));
}

/* The same shape as one plain sgemm a thread, rows of C shared out: what OpenBLAS gives without our tiles. */
static void profile_sgemm_task(void *argument, int64_t task, int worker)
{
    (void)worker;
    const struct profile_replay *replay = argument;
    const struct matmul *p = replay->p;
    int64_t threads = thread_pool_threads(replay->pool), first = p->m * task / threads,
            rows = p->m * (task + 1) / threads - first;
    const float *a = (const float *)p->a + (p->a_transposed ? first : first * p->a_row_stride);
    blas_library()->sgemm(BLAS_ROW_MAJOR, p->a_transposed ? BLAS_TRANSPOSED : BLAS_NOT_TRANSPOSED,
                          p->b_transposed ? BLAS_TRANSPOSED : BLAS_NOT_TRANSPOSED, (int)rows, (int)p->n, (int)p->k,
                          p->alpha, a, (int)p->a_row_stride, p->b, (int)p->b_row_stride, p->beta,
                          (float *)p->c + first * p->c_row_stride, (int)p->c_row_stride);
}

static void profile_sgemm_run(void *argument)
{
    struct profile_replay *replay = argument;
    thread_pool_run(replay->pool, thread_pool_threads(replay->pool), profile_sgemm_task, replay);
}

/* Runs one profiled step, prints what took its time, then each product alone; returns the seconds of all products of a
 * step by their times alone. */
static inline double profile_step(void (*run)(void *), void *argument, const struct device_context *context,
                                  struct thread_pool *pool)
{
    double before = seconds_now(), all = 0, counted = 0;
    profile.on = true;
    run(argument);
    profile.on = false;
    double whole = seconds_now() - before;
    printf("%-20s %6s %9s %6s\n", "operation", "calls", "ms", "share");
    for (int i = 0; i < PROFILE_OPERATIONS; i++) {
        const struct profile_entry *entry = &profile.entries[i];
        counted += entry->seconds;
        if (entry->calls)
            printf("%-20s %6lld %9.1f %5.1f %%\n", entry->name, (long long)entry->calls, 1e3 * entry->seconds,
                   100 * entry->seconds / whole);
    }
    printf("%-20s %6s %9.1f %5.1f %%\n", "everything else", "", 1e3 * (whole - counted),
           100 * (whole - counted) / whole);
    printf("%-28s %6s %9s %9s %9s %9s\n", "product (m n k)", "calls", "in step", "alone", "sgemm", "GFLOP/s");
    for (int i = 0; i < profile.product_count; i++) {
        const struct profile_product *product = &profile.products[i];
        const struct matmul *p = &product->p;
        struct profile_replay replay = {context, p, pool};
        struct measurement alone = measure(profile_replay_run, &replay, 1.5);
        double flops = 2.0 * (double)p->m * (double)p->n * (double)p->k * (double)p->batch, sgemm = NAN;
        if (p->a_type == DTYPE_F32)
            sgemm = measure(profile_sgemm_run, &replay, 0.5).median;
        printf("%6lld %6lld %6lld %c%c %5s %6lld %9.2f %9.2f %9.2f %9.1f\n", (long long)p->m, (long long)p->n,
               (long long)p->k, p->a_transposed ? 'T' : 'N', p->b_transposed ? 'T' : 'N', p->beta != 0 ? "+=" : "",
               (long long)product->calls, 1e3 * product->seconds / (double)product->calls, 1e3 * alone.median,
               1e3 * sgemm, 1e-9 * flops / alone.median);
        all += (double)product->calls * alone.median;
    }
    return all;
}

#endif
