/* Every collective at 1, 2, 3, 4 and 6 ranks, on small random integers that add up without rounding, bit for bit; the
 * order of the sums; and that an abort wakes whoever waits. */
#include "support/test_support.h"

#include "comm/comm.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_RANKS = 6 };
static const int sizes[] = {1, 2, 3, 4, 6};
static const int64_t counts[] = {0, 1, 2, 5, 6, 7, 513, 5000};

struct rank_job {
    struct comm *comm;
    void (*body)(struct comm *comm, uint64_t seed);
    uint64_t seed;
};

static void *run_rank(void *argument)
{
    const struct rank_job *job = argument;
    job->body(job->comm, job->seed);
    return NULL;
}

/* cmocka must not fail outside the main thread: ranks note what went wrong. */
static _Atomic int failures;
static char first_failure[512];
static pthread_mutex_t note_lock = PTHREAD_MUTEX_INITIALIZER;

static void note(bool condition, const char *what, const struct comm *comm)
{
    if (condition)
        return;
    pthread_mutex_lock(&note_lock);
    if (!failures++)
        snprintf(first_failure, sizeof first_failure, "rank %d of %d: %s (%s)", comm_rank(comm), comm_size(comm), what,
                 status_text());
    pthread_mutex_unlock(&note_lock);
}

static void on_ranks(int size, void (*body)(struct comm *comm, uint64_t seed), uint64_t seed)
{
    struct comm *comms[MAX_RANKS];
    struct rank_job jobs[MAX_RANKS];
    pthread_t threads[MAX_RANKS];
    assert_ok(comm_create_in_process(size, comms));
    failures = 0;
    for (int r = 0; r < size; r++) {
        assert_int_equal(comm_rank(comms[r]), r);
        assert_int_equal(comm_size(comms[r]), size);
        jobs[r] = (struct rank_job){comms[r], body, seed};
        assert_int_equal(pthread_create(&threads[r], NULL, run_rank, &jobs[r]), 0);
    }
    for (int r = 0; r < size; r++)
        pthread_join(threads[r], NULL);
    for (int r = 0; r < size; r++)
        comm_destroy(comms[r]);
    if (failures)
        fail_msg("%s; %d in all", first_failure, (int)failures);
}

/* Element i of rank r: a whole number in -1000..1000. Every rank can work out every other's. */
static int64_t number(uint64_t seed, int rank, int64_t i)
{
    struct rng rng = rng_make(seed, RNG_TEST, (uint64_t)rank, (uint64_t)i);
    return (int64_t)rng_below(&rng, 2001) - 1000;
}

static void set(void *data, enum dtype type, int64_t i, int64_t value)
{
    if (type == DTYPE_F32)
        ((float *)data)[i] = (float)value;
    else if (type == DTYPE_F64)
        ((double *)data)[i] = (double)value;
    else if (type == DTYPE_I32)
        ((int32_t *)data)[i] = (int32_t)value;
    else if (type == DTYPE_I64)
        ((int64_t *)data)[i] = value * 3000000000;
    else if (type == DTYPE_U8)
        ((uint8_t *)data)[i] = (uint8_t)value;
    else
        ((uint16_t *)data)[i] = (uint16_t)value;
}

static bool holds(const void *data, enum dtype type, int64_t i, int64_t value)
{
    unsigned char expected[8];
    set(expected, type, 0, value);
    return memcmp((const char *)data + (size_t)i * dtype_size(type), expected, dtype_size(type)) == 0;
}

static const enum dtype reducible[] = {DTYPE_F32, DTYPE_F64, DTYPE_I32, DTYPE_I64};

static void check_all_reduce(struct comm *comm, uint64_t seed)
{
    int size = comm_size(comm);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        for (size_t t = 0; t < 4; t++) {
            int64_t count = counts[c];
            void *data = guarded_allocate((size_t)count * dtype_size(reducible[t]));
            for (int reduction = COMM_SUM; reduction <= COMM_MAX; reduction++) {
                for (int64_t i = 0; i < count; i++)
                    set(data, reducible[t], i, number(seed, comm_rank(comm), i));
                note(comm_all_reduce(comm, data, count, reducible[t], (enum comm_reduction)reduction) == STATUS_OK,
                     "all_reduce", comm);
                for (int64_t i = 0; i < count; i++) {
                    int64_t sum = 0, most = -1000;
                    for (int r = 0; r < size; r++) {
                        int64_t value = number(seed, r, i);
                        sum += value;
                        most = value > most ? value : most;
                    }
                    note(holds(data, reducible[t], i, reduction == COMM_SUM ? sum : most), "all_reduce's result", comm);
                }
            }
            guarded_free(data);
        }
    }
}

static void check_all_gather_and_broadcast(struct comm *comm, uint64_t seed)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F64, DTYPE_I32, DTYPE_I64, DTYPE_U8, DTYPE_U16, DTYPE_BF16};
    int size = comm_size(comm), rank = comm_rank(comm);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            int64_t count = counts[c], all = count * size;
            int64_t bytes = count * (int64_t)dtype_size(types[t]);
            void *data = guarded_allocate((size_t)all * dtype_size(types[t]));
            for (int64_t i = 0; i < all; i++)
                set(data, types[t], i, i / (count ? count : 1) == rank ? number(seed, rank, i) : -77);
            note(comm_all_gather(comm, data, count, types[t]) == STATUS_OK, "all_gather", comm);
            for (int64_t i = 0; i < all; i++)
                note(holds(data, types[t], i, number(seed, (int)(i / count), i)), "all_gather's result", comm);
            for (int root = 0; root < size; root++) {
                for (int64_t i = 0; i < count; i++)
                    set(data, types[t], i, number(seed + 1, rank, i));
                note(comm_broadcast(comm, data, bytes, root) == STATUS_OK, "broadcast", comm);
                for (int64_t i = 0; i < count; i++)
                    note(holds(data, types[t], i, number(seed + 1, root, i)), "broadcast's result", comm);
            }
            guarded_free(data);
        }
    }
}

static void collectives_are_exact(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        on_ranks(sizes[s], check_all_reduce, test_seed());
        on_ranks(sizes[s], check_all_gather_and_broadcast, test_seed() + 2);
    }
}

static void single_is_the_identity(void **state)
{
    (void)state;
    struct comm *comm;
    assert_ok(comm_create_single(&comm));
    assert_int_equal(comm_rank(comm), 0);
    assert_int_equal(comm_size(comm), 1);
    failures = 0;
    check_all_reduce(comm, test_seed());
    check_all_gather_and_broadcast(comm, test_seed());
    assert_int_equal(failures, 0);
    assert_ok(comm_barrier(comm));
    comm_abort(comm, "enough");
    assert_fails(comm_barrier(comm), STATUS_HANG, "enough");
    comm_destroy(comm);
    comm_destroy(NULL);
}

/* Floats whose sum depends on the order: it must be that of the ranks, on every rank and at every place. */
static void check_order(struct comm *comm, uint64_t seed)
{
    enum { COUNT = 1000 };
    float data[COUNT];
    int size = comm_size(comm), rank = comm_rank(comm);
    for (int64_t i = 0; i < COUNT; i++) {
        struct rng rng = rng_make(seed, RNG_TEST, (uint64_t)rank, (uint64_t)i);
        data[i] = (float)ldexp(rng_normal(&rng), (int)rng_below(&rng, 40));
    }
    note(comm_all_reduce(comm, data, COUNT, DTYPE_F32, COMM_SUM) == STATUS_OK, "all_reduce", comm);
    for (int64_t i = 0; i < COUNT; i++) {
        float sum = 0;
        for (int r = 0; r < size; r++) {
            struct rng rng = rng_make(seed, RNG_TEST, (uint64_t)r, (uint64_t)i);
            float value = (float)ldexp(rng_normal(&rng), (int)rng_below(&rng, 40));
            sum = r ? sum + value : value;
        }
        note(memcmp(&sum, &data[i], sizeof sum) == 0, "the order of the sum", comm);
    }
    float bad[2] = {rank == size - 1 ? NAN : (float)rank, rank == 0 ? NAN : (float)rank};
    note(comm_all_reduce(comm, bad, 2, DTYPE_F32, COMM_MAX) == STATUS_OK, "all_reduce", comm);
    note(isnan(bad[0]) && isnan(bad[1]), "a NaN stays in the maximum", comm);
}

static void sums_are_in_rank_order(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        on_ranks(sizes[s], check_order, test_seed());
}

/* No rank leaves barrier k before all have entered it. */
static _Atomic int entered;

static void check_barrier(struct comm *comm, uint64_t seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, (uint64_t)comm_rank(comm), 0);
    for (int k = 1; k <= 200; k++) {
        if (rng_below(&rng, 50) == 0)
            usleep(200);
        entered++;
        note(comm_barrier(comm) == STATUS_OK, "barrier", comm);
        note(entered >= k * comm_size(comm), "barrier's promise", comm);
    }
}

static void barrier_waits_for_all(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        entered = 0;
        on_ranks(sizes[s], check_barrier, test_seed());
    }
}

/* The last rank never joins; it aborts after the others wait. Each waits in another kind of collective. */
static void check_abort(struct comm *comm, uint64_t seed)
{
    int rank = comm_rank(comm), size = comm_size(comm);
    float *data = calloc(64, sizeof *data);
    note(comm_barrier(comm) == STATUS_OK, "barrier", comm);
    if (rank == size - 1) {
        usleep(seed % 2 ? 20000 : 0);
        comm_abort(comm, "rank broke its leg");
        comm_abort(comm, "another reason, too late");
    } else {
        enum status status = rank % 3 == 0   ? comm_all_reduce(comm, data, 7, DTYPE_F32, COMM_SUM)
                             : rank % 3 == 1 ? comm_barrier(comm)
                                             : comm_broadcast(comm, data, 8, 0);
        note(status == STATUS_HANG && strstr(status_text(), "rank broke its leg"), "a waiter wakes", comm);
    }
    note(comm_barrier(comm) == STATUS_HANG, "later calls fail too", comm);
    free(data);
}

/* Aborted in the middle of a stream of collectives whose buffers are freed at once: sanitizers watch. */
static void check_abort_in_full_flow(struct comm *comm, uint64_t seed)
{
    struct rng rng = rng_make(seed, RNG_TEST, (uint64_t)comm_rank(comm), 5);
    int64_t limit = 20 + (int64_t)rng_below(&rng, 50);
    for (int64_t k = 0; k < 100000; k++) {
        if (comm_rank(comm) == 0 && k == limit)
            comm_abort(comm, "limit");
        int64_t *data = malloc(3000 * sizeof *data);
        for (int i = 0; i < 3000; i++)
            data[i] = comm_rank(comm);
        enum status status = comm_all_reduce(comm, data, 3000, DTYPE_I64, COMM_SUM);
        int64_t expected = comm_size(comm) * (comm_size(comm) - 1) / 2;
        note(status == STATUS_HANG || data[2999] == expected, "sum", comm);
        free(data);
        if (status == STATUS_HANG)
            return;
        note(status == STATUS_OK, "all_reduce", comm);
    }
    note(false, "the abort was never seen", comm);
}

static void abort_wakes_all(void **state)
{
    (void)state;
    for (size_t s = 1; s < sizeof sizes / sizeof *sizes; s++) {
        for (uint64_t round = 0; round < 6; round++) {
            on_ranks(sizes[s], check_abort, round);
            on_ranks(sizes[s], check_abort_in_full_flow, test_seed() + round);
        }
    }
}

static void check_mismatch(struct comm *comm, uint64_t seed)
{
    (void)seed;
    int64_t data[8] = {0};
    int64_t count = comm_rank(comm) == 1 ? 3 : 2;
    note(comm_all_reduce(comm, data, count, DTYPE_I64, COMM_SUM) == STATUS_INTERNAL, "counts differ", comm);
    note(strstr(status_text(), "ranks 0 and 1 are in different collectives") != NULL, "text", comm);
    note(comm_barrier(comm) == STATUS_OK, "the group still works", comm);
}

static void misuse_is_refused(void **state)
{
    (void)state;
    on_ranks(3, check_mismatch, 0);
    struct comm *comm, *none[1];
    float data[1] = {0};
    assert_ok(comm_create_single(&comm));
    assert_fails(comm_all_reduce(comm, data, 1, DTYPE_BF16, COMM_SUM), STATUS_INTERNAL, "bf16");
    assert_fails(comm_all_reduce(comm, data, -1, DTYPE_F32, COMM_SUM), STATUS_INTERNAL, "-1");
    assert_fails(comm_all_gather(comm, data, INT64_MAX, DTYPE_F32), STATUS_INTERNAL, "elements");
    assert_fails(comm_broadcast(comm, data, 1, 1), STATUS_INTERNAL, "from rank 1 of 1");
    comm_destroy(comm);
    assert_fails(comm_create_in_process(0, none), STATUS_INTERNAL, "0 ranks");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_is_the_identity), cmocka_unit_test(collectives_are_exact),
        cmocka_unit_test(sums_are_in_rank_order), cmocka_unit_test(barrier_waits_for_all),
        cmocka_unit_test(abort_wakes_all),        cmocka_unit_test(misuse_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
