/* Operations between the device memory of 1, 2, 3, 4 and 6 ranks: on whole numbers that add up without rounding bit for
 * bit, on others in the order of the ranks; many of them under way at once; what each waits for and what waits for it; and
 * failures, which reach all ranks. Device memory is reached through the table alone. */
#include "support/ranks.h"
#include "support/test_kernels.h"
#include "support/test_support.h"

#include "comm/device_comm.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 18 }; /* elements that the in-process maker adds at a time */

static const int sizes[] = {1, 2, 3, 4, 6};

/* One rank with a device of its own. */
struct rank {
    struct comm *host;
    struct device_comm *comm;
    struct kernels kernels; /* for the rank's own queue */
    struct device_context context;
    int rank, size;
};

static void rank_open(struct rank *rank, struct comm *host, const struct kernels *for_operations)
{
    *rank = (struct rank){.host = host, .kernels = *test_kernels(), .rank = comm_rank(host), .size = comm_size(host)};
    assert_ok(device_context_create(&rank->kernels, NULL, 0, &rank->context));
    assert_ok(device_comm_create_in_process(host, for_operations, &rank->context, &rank->comm));
    assert_int_equal(device_comm_rank(rank->comm), rank->rank);
    assert_int_equal(device_comm_size(rank->comm), rank->size);
}

static void rank_close(struct rank *rank)
{
    device_comm_destroy(rank->comm);
    device_context_destroy(&rank->kernels, &rank->context);
}

static void *to_device(const struct rank *rank, const void *values, size_t bytes)
{
    void *memory;
    assert_ok(rank->kernels.allocate(&rank->context, bytes, &memory));
    assert_ok(rank->kernels.copy_to_device(&rank->context, QUEUE_COMPUTE, memory, values, bytes));
    assert_ok(rank->kernels.synchronize(&rank->context));
    return memory;
}

/* What lies in device memory, which is released. */
static void take_back(const struct rank *rank, void *memory, void *values, size_t bytes)
{
    assert_ok(rank->kernels.copy_to_host(&rank->context, QUEUE_COMPUTE, values, memory, bytes));
    assert_ok(rank->kernels.synchronize(&rank->context));
    rank->kernels.release(&rank->context, memory);
}

/* Element i of rank r. Every rank can work out every other's. */
static int64_t number(int rank, int64_t i)
{
    return (int64_t)((uint64_t)(i * 7919 + rank * 104729 + 13) * 2654435761u % 2001) - 1000;
}

static float awkward(int rank, int64_t i)
{
    struct rng rng = rng_make(test_seed(), RNG_TEST, (uint64_t)rank, (uint64_t)i);
    return (float)ldexp(rng_normal(&rng), (int)rng_below(&rng, 40));
}

/* ---- results ---- */

static void check_reduce_scatter(const struct rank *rank, int64_t count, float (*value)(int rank, int64_t i))
{
    int64_t all = count * rank->size, ticket;
    size_t bytes = (size_t)all * sizeof(float);
    float *values = malloc(bytes + 1);
    for (int64_t i = 0; i < all; i++)
        values[i] = value(rank->rank, i);
    float *memory = to_device(rank, values, bytes);
    assert_ok(device_comm_start_reduce_scatter(rank->comm, memory, count, &ticket));
    assert_ok(device_comm_wait(rank->comm, ticket));
    take_back(rank, memory, values, bytes);
    for (int64_t i = rank->rank * count; i < (rank->rank + 1) * count; i++) {
        float sum = value(0, i);
        for (int r = 1; r < rank->size; r++)
            sum += value(r, i);
        if (memcmp(&sum, &values[i], sizeof sum) != 0)
            fail_msg("%d ranks, %lld elements: sum %lld is %a, expected %a", rank->size, (long long)count, (long long)i,
                     (double)values[i], (double)sum);
    }
    free(values);
}

static float whole(int rank, int64_t i)
{
    return (float)number(rank, i);
}

static void check_all_gather(const struct rank *rank, int64_t count, enum dtype type)
{
    int64_t all = count * rank->size, ticket;
    size_t element = dtype_size(type), bytes = (size_t)all * element;
    unsigned char *values = malloc(bytes + 1);
    for (size_t i = 0; i < bytes; i++)
        values[i] = (size_t)rank->rank == i / element / (size_t)(count ? count : 1)
                        ? (unsigned char)number(0, (int64_t)i)
                        : 0xEE;
    void *memory = to_device(rank, values, bytes);
    assert_ok(device_comm_start_all_gather(rank->comm, memory, count, type, &ticket));
    assert_ok(device_comm_wait(rank->comm, ticket));
    take_back(rank, memory, values, bytes);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(values[i], (unsigned char)number(0, (int64_t)i));
    free(values);
}

static void check_all_reduce(const struct rank *rank, int64_t count)
{
    double sums[DEVICE_COMM_FEW];
    int32_t most[DEVICE_COMM_FEW];
    int64_t first, second;
    for (int64_t i = 0; i < count; i++) {
        sums[i] = (double)awkward(rank->rank, i);
        most[i] = (int32_t)number(rank->rank, i);
    }
    double *sums_memory = to_device(rank, sums, (size_t)count * sizeof *sums);
    int32_t *most_memory = to_device(rank, most, (size_t)count * sizeof *most);
    assert_ok(device_comm_start_all_reduce(rank->comm, sums_memory, count, DTYPE_F64, COMM_SUM, &first));
    assert_ok(device_comm_start_all_reduce(rank->comm, most_memory, count, DTYPE_I32, COMM_MAX, &second));
    assert_ok(device_comm_wait(rank->comm, second)); /* and so for the first, too */
    take_back(rank, sums_memory, sums, (size_t)count * sizeof *sums);
    take_back(rank, most_memory, most, (size_t)count * sizeof *most);
    for (int64_t i = 0; i < count; i++) {
        double sum = (double)awkward(0, i);
        int64_t largest = number(0, i);
        for (int r = 1; r < rank->size; r++) {
            sum += (double)awkward(r, i);
            largest = number(r, i) > largest ? number(r, i) : largest;
        }
        assert_memory_equal(&sums[i], &sum, sizeof sum);
        assert_int_equal(most[i], largest);
    }
}

static void check_results(struct comm *host, void *argument)
{
    (void)argument;
    static const int64_t counts[] = {0, 1, 2, 5, 513, PIECE - 1, PIECE, PIECE + 1};
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F64, DTYPE_I32, DTYPE_I64, DTYPE_U8, DTYPE_U16, DTYPE_BF16};
    struct rank rank;
    rank_open(&rank, host, test_kernels());
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        check_reduce_scatter(&rank, counts[c], whole);
    check_reduce_scatter(&rank, 1000, awkward);
    for (size_t c = 0; c < 5; c++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            check_all_gather(&rank, counts[c], types[t]);
    check_all_reduce(&rank, 1);
    check_all_reduce(&rank, DEVICE_COMM_FEW);
    rank_close(&rank);
}

static void results_are_exact_and_sums_in_the_order_of_the_ranks(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        assert_ok(ranks_run(sizes[s], check_results, NULL, 0));
}

/* ---- order ---- */

/* Each operation adds up what the compute queue put there just before, so that the k-th leaves size * (k + 1) everywhere:
 * gather after reduction after copy, on one buffer, with no wait of the host. Then one that is long over is waited for. */
static void check_many(struct comm *host, void *argument)
{
    (void)argument;
    enum { MANY = 200, COUNT = 100 };
    struct rank rank;
    rank_open(&rank, host, test_kernels());
    float *memories[MANY], values[COUNT * MAX_TEST_RANKS];
    int64_t tickets[MANY];
    size_t bytes = (size_t)(COUNT * rank.size) * sizeof(float);
    for (int k = 0; k < MANY; k++) {
        for (int i = 0; i < COUNT * rank.size; i++)
            values[i] = (float)(k + 1);
        memories[k] = to_device(&rank, values, bytes);
    }
    for (int k = 0; k < MANY; k++) {
        assert_ok(device_comm_start_reduce_scatter(rank.comm, memories[k], COUNT, &tickets[k]));
        assert_ok(device_comm_start_all_gather(rank.comm, memories[k], COUNT, DTYPE_F32, &tickets[k]));
    }
    assert_int_equal(tickets[MANY - 1], 2 * MANY);
    assert_ok(device_comm_wait(rank.comm, tickets[0])); /* its slot has been taken by others since */
    assert_ok(rank.kernels.copy_to_host(&rank.context, QUEUE_COMPUTE, values, memories[0], bytes));
    assert_ok(device_comm_wait(rank.comm, tickets[MANY - 1]));
    assert_ok(rank.kernels.synchronize(&rank.context));
    assert_true(values[0] == (float)rank.size);
    for (int k = 0; k < MANY; k++) {
        take_back(&rank, memories[k], values, bytes);
        for (int i = 0; i < COUNT * rank.size; i++)
            assert_true(values[i] == (float)(rank.size * (k + 1)));
    }
    rank_close(&rank);
}

static void many_may_be_under_way(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        assert_ok(ranks_run(sizes[s], check_many, NULL, 0));
}

/* What a trace sees of one rank's operations: each is started, begun and ended, none begins before the one before it has
 * ended, and a start does not wait for the operation. */
struct trace {
    _Atomic int64_t started, begun, ended;
};

static void watch(void *argument, int64_t ticket, enum device_comm_moment moment)
{
    struct trace *trace = argument;
    if (moment == DEVICE_COMM_STARTED) {
        assert_int_equal(ticket, trace->started + 1);
        trace->started = ticket;
    } else if (moment == DEVICE_COMM_BEGUN) {
        assert_true(ticket <= trace->started);
        assert_int_equal(ticket, trace->ended + 1);
        trace->begun = ticket;
    } else {
        assert_int_equal(ticket, trace->begun);
        trace->ended = ticket;
    }
}

static void check_trace(struct comm *host, void *argument)
{
    (void)argument;
    struct rank rank;
    struct trace trace = {0};
    struct device_comm_observer observer = {watch, &trace};
    rank_open(&rank, host, test_kernels());
    device_comm_observe(rank.comm, &observer);
    float *values = calloc(10, sizeof *values), *memory = to_device(&rank, values, 10 * sizeof *values);
    int64_t ticket;
    for (int k = 0; k < 10; k++) {
        if (rank.rank == 0) /* the first rank comes last: nobody can have begun */
            usleep(1000);
        assert_ok(device_comm_start_all_reduce(rank.comm, memory, 1, DTYPE_I32, COMM_MAX, &ticket));
        assert_int_equal(trace.started, k + 1);
        assert_ok(device_comm_wait(rank.comm, ticket));
        assert_int_equal(trace.ended, k + 1);
    }
    if (rank.rank != 0) {
        assert_ok(device_comm_start_all_reduce(rank.comm, memory, 1, DTYPE_I32, COMM_MAX, &ticket));
        usleep(1000);
        assert_int_equal(trace.begun, 10);
    }
    assert_ok(comm_barrier(host));
    if (rank.rank == 0)
        assert_ok(device_comm_start_all_reduce(rank.comm, memory, 1, DTYPE_I32, COMM_MAX, &ticket));
    assert_ok(device_comm_wait(rank.comm, ticket));
    take_back(&rank, memory, values, sizeof *values);
    free(values);
    rank_close(&rank);
}

static void an_operation_begins_when_all_have_started_it(void **state)
{
    (void)state;
    assert_ok(ranks_run(3, check_trace, NULL, 0));
}

/* The closed table keeps account of who has been made to wait for whom. */
static void check_forgotten_waits(struct comm *host, void *argument)
{
    (void)argument;
    struct rank rank;
    struct trace trace = {0};
    struct device_comm_observer observer = {watch, &trace};
    float values[12] = {0};
    int64_t first, second;
    rank_open(&rank, host, test_kernels());
    device_comm_observe(rank.comm, &observer);
    float *memory = to_device(&rank, values, sizeof values);
    assert_ok(device_comm_start_reduce_scatter(rank.comm, memory, 4, &first));
    assert_ok(device_comm_start_all_gather(rank.comm, memory, 4, DTYPE_F32, &second));
    while (trace.ended < second) /* only then does the table know of it */
        usleep(100);
    assert_fails(rank.kernels.fill_zero(&rank.context, memory, sizeof values), STATUS_INTERNAL, "missing wait");
    assert_ok(device_comm_wait(rank.comm, first));
    assert_fails(rank.kernels.fill_zero(&rank.context, memory, sizeof values), STATUS_INTERNAL, "missing wait");
    assert_ok(device_comm_wait(rank.comm, second));
    assert_ok(rank.kernels.fill_zero(&rank.context, memory, sizeof values));
    assert_ok(comm_barrier(host)); /* a host that synchronizes has waited for all ranks' operations */
    take_back(&rank, memory, values, sizeof values);
    rank_close(&rank);
}

static void a_forgotten_wait_is_seen_on_the_closed_table(void **state)
{
    (void)state;
    if (test_kernels_closed())
        assert_ok(ranks_run(3, check_forgotten_waits, NULL, 0));
}

/* ---- failures ---- */

/* The last rank never comes; it aborts while the others' operations wait for it. */
static void check_abort(struct comm *host, void *argument)
{
    (void)argument;
    struct rank rank;
    float values[8] = {0};
    int64_t ticket, next;
    rank_open(&rank, host, test_kernels());
    float *memory = to_device(&rank, values, sizeof values);
    assert_ok(comm_barrier(host));
    if (rank.rank == rank.size - 1) {
        usleep(5000);
        comm_abort(host, "rank broke its leg");
        assert_ok(device_comm_start_all_gather(rank.comm, memory, 1, DTYPE_F32, &ticket));
        assert_fails(device_comm_wait(rank.comm, ticket), STATUS_HANG, "broke its leg");
    } else {
        assert_ok(device_comm_start_reduce_scatter(rank.comm, memory, 2, &ticket));
        assert_fails(device_comm_wait(rank.comm, ticket), STATUS_HANG, "broke its leg");
        assert_fails(device_comm_start_reduce_scatter(rank.comm, memory, 2, &next), STATUS_HANG, "broke its leg");
        assert_fails(device_comm_wait(rank.comm, ticket), STATUS_HANG, "broke its leg");
    }
    take_back(&rank, memory, values, sizeof values);
    rank_close(&rank);
}

/* Nobody waits: what was started ends all the same before memory is released. */
static void check_abort_in_full_flow(struct comm *host, void *argument)
{
    (void)argument;
    struct rank rank;
    float values[3000] = {0};
    rank_open(&rank, host, test_kernels());
    float *memory = to_device(&rank, values, sizeof values);
    for (int k = 0; k < 100000; k++) {
        int64_t ticket;
        if (rank.rank == 1 && k == 50)
            comm_abort(host, "limit");
        enum status status = device_comm_start_reduce_scatter(rank.comm, memory, 500, &ticket);
        if (status != STATUS_OK) {
            assert_int_equal(status, STATUS_HANG);
            break;
        }
    }
    device_comm_destroy(rank.comm);
    rank.comm = NULL;
    rank.kernels.release(&rank.context, memory);
    rank_close(&rank);
}

static void an_abort_ends_what_waits(void **state)
{
    (void)state;
    for (size_t s = 1; s < sizeof sizes / sizeof *sizes; s++)
        for (int round = 0; round < 5; round++) {
            assert_ok(ranks_run(sizes[s], check_abort, NULL, 0));
            assert_ok(ranks_run(sizes[s], check_abort_in_full_flow, NULL, 0));
        }
}

static enum status failing_convert(const struct device_context *context, const struct convert *p)
{
    (void)context;
    return status_set(STATUS_INTERNAL, "convert of %lld elements burnt out", (long long)p->count);
}

/* One rank's own failure is told by its name there, and stops the others. */
static void check_failure(struct comm *host, void *argument)
{
    (void)argument;
    struct rank rank;
    struct kernels broken = *test_kernels();
    float values[6] = {0};
    int64_t ticket;
    broken.convert = failing_convert;
    const struct kernels *kernels = comm_rank(host) == 1 ? &broken : test_kernels();
    rank_open(&rank, host, kernels);
    float *memory = to_device(&rank, values, sizeof values);
    assert_ok(device_comm_start_reduce_scatter(rank.comm, memory, 2, &ticket));
    enum status status = device_comm_wait(rank.comm, ticket);
    while (status == STATUS_OK) { /* the others' own shares were sound */
        status = device_comm_start_reduce_scatter(rank.comm, memory, 2, &ticket);
        if (status == STATUS_OK)
            status = device_comm_wait(rank.comm, ticket);
    }
    assert_int_equal(status, rank.rank == 1 ? STATUS_INTERNAL : STATUS_HANG);
    assert_non_null(strstr(status_text(), "convert of 2 elements burnt out"));
    take_back(&rank, memory, values, sizeof values);
    rank_close(&rank);
}

/* Ranks that start different things all learn of it. */
static void check_mismatch(struct comm *host, void *argument)
{
    (void)argument;
    struct rank rank;
    float values[30] = {0};
    int64_t ticket;
    rank_open(&rank, host, test_kernels());
    float *memory = to_device(&rank, values, sizeof values);
    assert_ok(device_comm_start_reduce_scatter(rank.comm, memory, rank.rank == 1 ? 3 : 2, &ticket));
    assert_fails(device_comm_wait(rank.comm, ticket), STATUS_INTERNAL, "ranks 0 and 1 are in different collectives");
    assert_fails(device_comm_start_reduce_scatter(rank.comm, memory, 1, &ticket), STATUS_INTERNAL, "different");
    assert_ok(comm_barrier(host)); /* host values still go around */
    take_back(&rank, memory, values, sizeof values);
    rank_close(&rank);
}

static void a_failure_of_one_rank_reaches_all(void **state)
{
    (void)state;
    assert_ok(ranks_run(3, check_failure, NULL, 0));
    assert_ok(ranks_run(3, check_mismatch, NULL, 0));
}

static void check_refusals(struct device_comm *comm)
{
    int64_t ticket = 5;
    float *memory = (float *)comm; /* no operation is started, so nobody looks there */
    assert_fails(device_comm_start_reduce_scatter(comm, memory, -1, &ticket), STATUS_INTERNAL, "reduce_scatter of -1");
    assert_int_equal(ticket, 0);
    assert_fails(device_comm_start_reduce_scatter(comm, NULL, 1, &ticket), STATUS_INTERNAL, "1 elements");
    assert_fails(device_comm_start_all_gather(comm, memory, INT64_MAX, DTYPE_BF16, &ticket), STATUS_INTERNAL,
                 "all_gather");
    assert_fails(device_comm_start_all_reduce(comm, memory, 1, DTYPE_F32, COMM_SUM, &ticket), STATUS_INTERNAL, "f32");
    assert_fails(device_comm_start_all_reduce(comm, memory, 1, DTYPE_F64, COMM_MAX, &ticket), STATUS_INTERNAL, "f64");
    assert_fails(device_comm_start_all_reduce(comm, memory, DEVICE_COMM_FEW + 1, DTYPE_F64, COMM_SUM, &ticket),
                 STATUS_INTERNAL, "513 numbers");
    assert_fails(device_comm_wait(comm, 0), STATUS_INTERNAL, "operation 0 of 0");
    assert_fails(device_comm_wait(comm, 1), STATUS_INTERNAL, "operation 1 of 0");
}

static void misuse_is_refused(void **state)
{
    (void)state;
    struct comm *host, *hosts[1];
    struct device_comm *comm;
    struct device_context context;
    assert_ok(device_context_create(test_kernels(), NULL, 0, &context));
    assert_ok(device_comm_create_single(&comm));
    assert_int_equal(device_comm_rank(comm), 0);
    assert_int_equal(device_comm_size(comm), 1);
    check_refusals(comm);
    struct trace trace = {0};
    struct device_comm_observer observer = {watch, &trace};
    device_comm_observe(comm, &observer);
    int64_t ticket;
    assert_ok(device_comm_start_reduce_scatter(comm, (float *)comm, 1, &ticket));
    assert_ok(device_comm_wait(comm, ticket));
    assert_int_equal(trace.ended, 1);
    device_comm_destroy(comm);
    device_comm_destroy(NULL);
    assert_ok(comm_create_in_process(1, hosts));
    assert_ok(device_comm_create_in_process(hosts[0], test_kernels(), &context, &comm));
    check_refusals(comm);
    device_comm_destroy(comm);
    comm_destroy(hosts[0]);
    assert_ok(comm_create_single(&host));
    assert_fails(device_comm_create_in_process(host, test_kernels(), &context, &comm), STATUS_INTERNAL,
                 "not one of threads");
    comm_destroy(host);
    device_context_destroy(test_kernels(), &context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_exact_and_sums_in_the_order_of_the_ranks),
        cmocka_unit_test(many_may_be_under_way),
        cmocka_unit_test(an_operation_begins_when_all_have_started_it),
        cmocka_unit_test(a_forgotten_wait_is_seen_on_the_closed_table),
        cmocka_unit_test(an_abort_ends_what_waits),
        cmocka_unit_test(a_failure_of_one_rank_reaches_all),
        cmocka_unit_test(misuse_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
