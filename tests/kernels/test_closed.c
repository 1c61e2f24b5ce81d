/* The closed table catches what it is there for: each mistake is planted, and must be found and named. */
#include "support/closed_kernels.h"
#include "support/test_support.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT = 64 }; /* floats of an array of these tests */

/* A context with two arrays in device memory and two pinned ones. */
struct bench {
    const struct kernels *kernels;
    struct device_context context;
    float *a, *b;           /* device */
    float *pinned, *result; /* host */
    struct device_event *event;
};

static struct bench open_bench(void)
{
    struct bench bench = {.kernels = kernels_closed()};
    assert_ok(device_context_create(bench.kernels, NULL, 0, &bench.context));
    const size_t bytes = COUNT * sizeof(float);
    assert_ok(bench.kernels->allocate(&bench.context, bytes, (void **)&bench.a));
    assert_ok(bench.kernels->allocate(&bench.context, bytes, (void **)&bench.b));
    assert_ok(bench.kernels->allocate_host(&bench.context, bytes, (void **)&bench.pinned));
    assert_ok(bench.kernels->allocate_host(&bench.context, bytes, (void **)&bench.result));
    assert_ok(bench.kernels->event_create(&bench.context, &bench.event));
    for (int i = 0; i < COUNT; i++)
        bench.pinned[i] = (float)i;
    return bench;
}

static void close_bench(struct bench *bench)
{
    bench->kernels->event_destroy(&bench->context, bench->event);
    bench->kernels->release(&bench->context, bench->a);
    bench->kernels->release(&bench->context, bench->b);
    bench->kernels->release_host(&bench->context, bench->pinned);
    bench->kernels->release_host(&bench->context, bench->result);
    device_context_destroy(bench->kernels, &bench->context);
}

static enum status to_device(struct bench *bench, enum device_queue queue)
{
    return bench->kernels->copy_to_device(&bench->context, queue, bench->a, bench->pinned, COUNT * sizeof(float));
}

static enum status to_host(struct bench *bench, enum device_queue queue, const float *device)
{
    return bench->kernels->copy_to_host(&bench->context, queue, bench->result, device, COUNT * sizeof(float));
}

/* b += a, of `count` elements. */
static enum status add(struct bench *bench, const void *a, void *b, int64_t count)
{
    struct convert p = {count, a, b, DTYPE_F32, DTYPE_F32, true};
    return bench->kernels->convert(&bench->context, &p);
}

/* ---- what is right goes through ---- */

static void right_use_computes(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    const struct kernels *kernels = bench.kernels;
    assert_ok(to_device(&bench, QUEUE_COPY));
    assert_ok(kernels->event_record(&bench.context, QUEUE_COPY, bench.event));
    assert_ok(kernels->queue_wait(&bench.context, QUEUE_COMPUTE, bench.event));
    assert_ok(add(&bench, bench.a, bench.b, COUNT));
    assert_ok(add(&bench, bench.a, bench.b, COUNT));
    assert_ok(kernels->event_record(&bench.context, QUEUE_COMPUTE, bench.event));
    assert_ok(kernels->queue_wait(&bench.context, QUEUE_COPY, bench.event));
    assert_ok(to_host(&bench, QUEUE_COPY, bench.b));
    assert_true(*(unsigned char *)bench.result == 0xCB); /* nothing has arrived */
    assert_ok(kernels->event_record(&bench.context, QUEUE_COPY, bench.event));
    assert_ok(kernels->event_wait(&bench.context, bench.event));
    for (int i = 0; i < COUNT; i++)
        assert_true(bench.result[i] == 2 * (float)i);
    bench.pinned[0] = 1; /* the event came after this copy too */
    assert_ok(kernels->synchronize(&bench.context));
    close_bench(&bench);
}

static void calls_are_counted(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    assert_int_equal(closed_counters(&bench.context).allocations, 2);
    assert_int_equal(closed_counters(&bench.context).host_allocations, 2);
    closed_reset_counters(&bench.context);
    float pageable[COUNT] = {0};
    assert_ok(to_device(&bench, QUEUE_COMPUTE));
    assert_ok(bench.kernels->copy_to_device(&bench.context, QUEUE_COMPUTE, bench.b, pageable, sizeof pageable));
    assert_ok(add(&bench, bench.a, bench.b, COUNT));
    assert_ok(add(&bench, bench.a, bench.b, COUNT));
    assert_ok(bench.kernels->fill_zero(&bench.context, bench.b, 8));
    assert_ok(bench.kernels->copy(&bench.context, bench.b, bench.a, 8));
    assert_ok(bench.kernels->event_wait(&bench.context, bench.event));
    assert_ok(bench.kernels->synchronize(&bench.context));
    const struct closed_counters counters = closed_counters(&bench.context);
    assert_true(counters.allocations == 0 && counters.synchronizes == 1 && counters.event_waits == 1);
    assert_true(counters.pinned_copies == 1 && counters.pageable_copies == 1);
    assert_true(counters.operations.convert == 2 && counters.operations.matmul == 0);
    assert_true(counters.copies == 1 && counters.fills == 1);
    assert_int_equal(bench.kernels->memory(&bench.context).allocated, 2 * COUNT * sizeof(float));
    close_bench(&bench);
}

/* ---- the host in device memory, and the reverse ---- */

/* Runs `act` in a child and returns the signal that ended it; 0 when it returned. */
static int signal_of(void (*act)(struct bench *bench), struct bench *bench)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka or a sanitizer may have handlers */
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(3);
        act(bench);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void read_device(struct bench *bench)
{
    volatile const float *a = bench->a;
    (void)a[3];
}

static void write_device(struct bench *bench)
{
    bench->a[3] = 1;
}

static void do_nothing(struct bench *bench)
{
    (void)bench;
}

static void the_host_cannot_touch_device_memory(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    assert_int_equal(signal_of(do_nothing, &bench), 0);
    assert_int_equal(signal_of(read_device, &bench), SIGSEGV);
    assert_int_equal(signal_of(write_device, &bench), SIGSEGV);
    close_bench(&bench);
}

static void host_memory_is_no_operand(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    float here[COUNT] = {0};
    assert_fails(add(&bench, here, bench.b, COUNT), STATUS_INTERNAL, "convert: operand source is 256 bytes at ");
    assert_fails(add(&bench, here, bench.b, COUNT), STATUS_INTERNAL, "it is host memory");
    assert_fails(add(&bench, bench.a, bench.pinned, COUNT), STATUS_INTERNAL, "operand destination");
    assert_fails(bench.kernels->copy(&bench.context, bench.b, here, 8), STATUS_INTERNAL, "copy: operand source");
    assert_fails(bench.kernels->fill_zero(&bench.context, here, 8), STATUS_INTERNAL, "fill_zero: operand memory");
    assert_fails(bench.kernels->copy_to_device(&bench.context, QUEUE_COPY, here, bench.pinned, 8), STATUS_INTERNAL,
                 "copy_to_device: operand device");
    assert_fails(bench.kernels->copy_to_host(&bench.context, QUEUE_COPY, bench.a, bench.b, 8), STATUS_INTERNAL,
                 "copy_to_host: the host's side");
    close_bench(&bench);
}

static void operands_lie_in_one_allocation(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    const char *tail = "it runs 4 bytes past the end of an allocation of 256";
    assert_ok(add(&bench, bench.a, bench.b, COUNT));
    assert_fails(add(&bench, bench.a, bench.b, COUNT + 1), STATUS_INTERNAL, tail);
    assert_fails(add(&bench, bench.a + 1, bench.b, COUNT), STATUS_INTERNAL, "operand source");
    assert_fails(add(&bench, bench.a + 1, bench.b, COUNT), STATUS_INTERNAL, tail);
    assert_fails(add(&bench, bench.a + COUNT + 1, bench.b, 1), STATUS_INTERNAL, "it lies in no allocation");
    assert_fails(add(&bench, bench.a - 1, bench.b, 1), STATUS_INTERNAL, "it lies in no allocation");
    assert_ok(add(&bench, bench.a + COUNT - 1, bench.b, 1));
    close_bench(&bench);
}

static void released_memory_is_no_operand(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    float *old = bench.a;
    bench.kernels->release(&bench.context, bench.a);
    bench.a = NULL;
    void *next[100];
    for (int i = 0; i < 100; i++) {
        assert_ok(bench.kernels->allocate(&bench.context, COUNT * sizeof(float), &next[i]));
        assert_true(next[i] != old);
    }
    assert_fails(add(&bench, old + 2, bench.b, 1), STATUS_INTERNAL, "it was released");
    assert_fails(to_host(&bench, QUEUE_COPY, old), STATUS_INTERNAL, "copy_to_host: operand device");
    for (int i = 0; i < 100; i++)
        bench.kernels->release(&bench.context, next[i]);
    close_bench(&bench);
}

static void scratch_is_device_memory(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    double here[16], *result;
    int32_t *nonfinite;
    assert_ok(bench.kernels->allocate(&bench.context, sizeof *result, (void **)&result));
    assert_ok(bench.kernels->allocate(&bench.context, sizeof *nonfinite, (void **)&nonfinite));
    struct squared_norm p = {COUNT, bench.a, result, nonfinite, false};
    struct device_context other = bench.context;
    other.scratch = here;
    other.scratch_bytes = sizeof here;
    assert_fails(bench.kernels->squared_norm(&other, &p), STATUS_INTERNAL, "squared_norm: operand context->scratch");
    assert_fails(bench.kernels->squared_norm(&bench.context, &p), STATUS_INTERNAL, "needs 8 bytes of scratch");
    assert_ok(device_context_reserve(bench.kernels, &bench.context, 8));
    assert_ok(bench.kernels->squared_norm(&bench.context, &p));
    bench.kernels->release(&bench.context, result);
    bench.kernels->release(&bench.context, nonfinite);
    close_bench(&bench);
}

/* ---- the host ahead of its copies ---- */

static void a_source_that_changes_is_a_fault(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    assert_ok(to_device(&bench, QUEUE_COPY));
    bench.pinned[2] = 0.1f;
    const char *text = "copy_to_device: the host changed byte 8 of the 256 at ";
    assert_fails(bench.kernels->synchronize(&bench.context), STATUS_INTERNAL, text);
    assert_fails(bench.kernels->synchronize(&bench.context), STATUS_INTERNAL, text);
    assert_fails(bench.kernels->event_wait(&bench.context, bench.event), STATUS_INTERNAL, text);
    close_bench(&bench);
}

/* An event recorded before a copy does not end it. */
static void an_earlier_event_ends_no_copy(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    assert_ok(bench.kernels->event_record(&bench.context, QUEUE_COMPUTE, bench.event));
    assert_ok(to_device(&bench, QUEUE_COMPUTE));
    assert_ok(bench.kernels->event_wait(&bench.context, bench.event));
    bench.pinned[0] = -1;
    assert_fails(bench.kernels->synchronize(&bench.context), STATUS_INTERNAL, "the host changed byte ");
    close_bench(&bench);
    bench = open_bench();
    assert_ok(to_host(&bench, QUEUE_COPY, bench.a));
    assert_ok(bench.kernels->event_record(&bench.context, QUEUE_COMPUTE, bench.event)); /* another queue */
    assert_ok(bench.kernels->event_wait(&bench.context, bench.event));
    assert_true(*(unsigned char *)bench.result == 0xCB);
    assert_ok(bench.kernels->synchronize(&bench.context));
    assert_true(bench.result[0] == 0);
    close_bench(&bench);
}

static void a_destination_that_is_written_to_is_a_fault(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    assert_ok(to_host(&bench, QUEUE_COMPUTE, bench.a));
    memset(bench.result, 0, 4);
    assert_fails(bench.kernels->synchronize(&bench.context), STATUS_INTERNAL, "copy_to_host: the host wrote to byte 0");
    close_bench(&bench);
}

static void host_memory_of_open_copies_is_not_shared(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    const struct kernels *kernels = bench.kernels;
    const char *text = "are still in use by copy_to_host";
    assert_ok(to_host(&bench, QUEUE_COPY, bench.a));
    assert_fails(kernels->copy_to_device(&bench.context, QUEUE_COPY, bench.b, bench.result + 1, 4), STATUS_INTERNAL,
                 text);
    assert_fails(to_host(&bench, QUEUE_COMPUTE, bench.b), STATUS_INTERNAL, text);
    assert_ok(kernels->synchronize(&bench.context));
    assert_ok(to_host(&bench, QUEUE_COMPUTE, bench.b));
    assert_ok(to_device(&bench, QUEUE_COMPUTE));
    assert_ok(to_device(&bench, QUEUE_COMPUTE)); /* two may read */
    assert_ok(kernels->synchronize(&bench.context));
    close_bench(&bench);
}

static void pinned_memory_outlives_its_copies(void **state)
{
    (void)state;
    for (int direction = 0; direction < 2; direction++) {
        struct bench bench = open_bench();
        assert_ok(direction ? to_host(&bench, QUEUE_COPY, bench.a) : to_device(&bench, QUEUE_COPY));
        float **memory = direction ? &bench.result : &bench.pinned;
        bench.kernels->release_host(&bench.context, *memory);
        *memory = NULL;
        assert_fails(bench.kernels->synchronize(&bench.context), STATUS_INTERNAL,
                     direction ? "is still in use by copy_to_host" : "is still in use by copy_to_device");
        close_bench(&bench);
    }
}

/* ---- queues that do not wait ---- */

static void compute_waits_for_copies(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    assert_ok(to_device(&bench, QUEUE_COPY));
    assert_fails(add(&bench, bench.a, bench.b, COUNT), STATUS_INTERNAL,
                 "convert: missing wait: it reads operand source, which copy_to_device writes on the copy queue");
    assert_fails(add(&bench, bench.b, bench.a, COUNT), STATUS_INTERNAL, "it writes operand destination");
    assert_ok(bench.kernels->event_record(&bench.context, QUEUE_COPY, bench.event));
    assert_fails(add(&bench, bench.a, bench.b, COUNT), STATUS_INTERNAL, "missing wait"); /* recorded alone */
    assert_ok(bench.kernels->queue_wait(&bench.context, QUEUE_COMPUTE, bench.event));
    assert_ok(add(&bench, bench.a, bench.b, COUNT));
    assert_ok(bench.kernels->synchronize(&bench.context));
    close_bench(&bench);
}

static void copies_wait_for_compute(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    assert_ok(bench.kernels->event_record(&bench.context, QUEUE_COMPUTE, bench.event)); /* too early */
    assert_ok(add(&bench, bench.a, bench.b, COUNT));
    assert_ok(bench.kernels->queue_wait(&bench.context, QUEUE_COPY, bench.event));
    assert_fails(to_host(&bench, QUEUE_COPY, bench.b), STATUS_INTERNAL,
                 "copy_to_host: missing wait: it reads operand device, which convert writes on the compute queue");
    assert_fails(to_device(&bench, QUEUE_COPY), STATUS_INTERNAL, "which convert reads on the compute queue");
    assert_ok(to_host(&bench, QUEUE_COPY, bench.a)); /* both read */
    assert_ok(bench.kernels->synchronize(&bench.context));
    assert_ok(to_device(&bench, QUEUE_COPY)); /* the host waited for everything */
    assert_ok(bench.kernels->synchronize(&bench.context));
    close_bench(&bench);
}

/* What is copied out may not be overwritten before. */
static void compute_waits_for_a_reader(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    assert_ok(to_host(&bench, QUEUE_COPY, bench.b));
    assert_fails(add(&bench, bench.a, bench.b, COUNT), STATUS_INTERNAL, "which copy_to_host reads on the copy queue");
    assert_ok(bench.kernels->event_record(&bench.context, QUEUE_COPY, bench.event));
    assert_ok(bench.kernels->queue_wait(&bench.context, QUEUE_COMPUTE, bench.event));
    assert_ok(add(&bench, bench.a, bench.b, COUNT));
    assert_ok(bench.kernels->synchronize(&bench.context));
    close_bench(&bench);
}

/* Only bytes that are shared count. */
static void halves_of_an_allocation_are_apart(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    const size_t half = COUNT / 2 * sizeof(float);
    assert_ok(bench.kernels->copy_to_device(&bench.context, QUEUE_COPY, bench.a, bench.pinned, half));
    assert_ok(add(&bench, bench.a + COUNT / 2, bench.b, COUNT / 2));
    assert_fails(add(&bench, bench.a + COUNT / 2 - 1, bench.b, 1), STATUS_INTERNAL, "missing wait");
    assert_ok(bench.kernels->synchronize(&bench.context));
    close_bench(&bench);
}

static void contexts_wait_for_each_other(void **state)
{
    (void)state;
    struct bench bench = open_bench(), other = open_bench();
    assert_ok(add(&bench, bench.a, bench.b, COUNT));
    assert_fails(add(&other, bench.b, other.b, COUNT), STATUS_INTERNAL,
                 "which convert writes on the compute queue of another context");
    assert_ok(bench.kernels->event_record(&bench.context, QUEUE_COMPUTE, bench.event));
    assert_ok(other.kernels->queue_wait(&other.context, QUEUE_COMPUTE, bench.event));
    assert_ok(add(&other, bench.b, other.b, COUNT));
    assert_fails(add(&bench, bench.a, bench.b, COUNT), STATUS_INTERNAL, "which convert reads");
    assert_ok(other.kernels->synchronize(&other.context));
    assert_ok(add(&bench, bench.a, bench.b, COUNT));
    close_bench(&other);
    close_bench(&bench);
}

/* Contexts of four threads at once, each with memory, copies and events of its own. */
static void *work_alone(void *argument)
{
    (void)argument;
    for (int round = 0; round < 20; round++) {
        struct bench bench = open_bench();
        for (int i = 0; i < 20; i++) {
            assert_ok(to_device(&bench, QUEUE_COPY));
            assert_ok(bench.kernels->event_record(&bench.context, QUEUE_COPY, bench.event));
            assert_ok(bench.kernels->queue_wait(&bench.context, QUEUE_COMPUTE, bench.event));
            assert_ok(add(&bench, bench.a, bench.b, COUNT));
            assert_ok(to_host(&bench, QUEUE_COMPUTE, bench.b));
            assert_ok(bench.kernels->synchronize(&bench.context));
            assert_true(bench.result[COUNT - 1] == (float)((i + 1) * (COUNT - 1)));
        }
        close_bench(&bench);
    }
    return NULL;
}

static void threads_share_the_device(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int t = 0; t < 4; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, work_alone, NULL), 0);
    for (int t = 0; t < 4; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
}

/* ---- memory that is not released, or twice ---- */

static void release_twice(struct bench *bench)
{
    bench->kernels->release(&bench->context, bench->a);
    close_bench(bench);
}

static void release_nothing(struct bench *bench)
{
    bench->a = bench->b = NULL;
    close_bench(bench);
}

static void wrong_releases_are_caught(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    assert_int_equal(signal_of(close_bench, &bench), 0);
    assert_int_equal(signal_of(release_twice, &bench), SIGABRT);
    assert_int_equal(signal_of(release_nothing, &bench), SIGABRT);
    bench.kernels->release(&bench.context, bench.a + 1);
    assert_fails(bench.kernels->synchronize(&bench.context), STATUS_INTERNAL, "is no allocation");
    close_bench(&bench);
    bench = open_bench();
    struct bench other = open_bench();
    other.kernels->release(&other.context, bench.a);
    assert_fails(other.kernels->synchronize(&other.context), STATUS_INTERNAL, "was allocated by another context");
    float here;
    bench.kernels->release_host(&bench.context, &here);
    assert_fails(bench.kernels->synchronize(&bench.context), STATUS_INTERNAL, "is no pinned memory");
    close_bench(&other);
    close_bench(&bench);
}

/* ---- graphs ---- */

/* A graph of b += a. */
static struct device_graph *record_addition(struct bench *bench)
{
    struct device_graph *graph;
    assert_ok(bench->kernels->graph_begin(&bench->context));
    assert_ok(add(bench, bench->a, bench->b, COUNT));
    assert_ok(bench->kernels->graph_end(&bench->context, &graph));
    return graph;
}

static void graphs_are_checked_when_they_run(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    struct device_graph *graph = record_addition(&bench);
    assert_ok(bench.kernels->graph_launch(&bench.context, graph));
    assert_int_equal(closed_counters(&bench.context).graph_launches, 1);
    assert_int_equal(closed_counters(&bench.context).operations.convert, 1);
    assert_ok(bench.kernels->synchronize(&bench.context));
    assert_ok(to_device(&bench, QUEUE_COPY));
    assert_fails(bench.kernels->graph_launch(&bench.context, graph), STATUS_INTERNAL, "missing wait");
    assert_ok(bench.kernels->synchronize(&bench.context));
    assert_ok(bench.kernels->graph_launch(&bench.context, graph));
    assert_ok(device_context_reserve(bench.kernels, &bench.context, 1000));
    assert_fails(bench.kernels->graph_launch(&bench.context, graph), STATUS_INTERNAL, "scratch is not the one");
    bench.kernels->graph_destroy(&bench.context, graph);
    graph = record_addition(&bench);
    bench.kernels->release(&bench.context, bench.a);
    bench.a = NULL;
    assert_fails(bench.kernels->graph_launch(&bench.context, graph), STATUS_INTERNAL, "released");
    bench.kernels->graph_destroy(&bench.context, graph);
    close_bench(&bench);
}

static void graphs_copy_pinned_memory_alone(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    struct device_graph *graph;
    float here[COUNT] = {0};
    assert_ok(bench.kernels->graph_begin(&bench.context));
    assert_fails(bench.kernels->copy_to_device(&bench.context, QUEUE_COMPUTE, bench.a, here, sizeof here),
                 STATUS_INTERNAL, "not pinned");
    assert_ok(to_device(&bench, QUEUE_COMPUTE));
    assert_ok(bench.kernels->graph_end(&bench.context, &graph));
    assert_ok(bench.kernels->graph_launch(&bench.context, graph));
    bench.pinned[3] = 100; /* too early */
    assert_fails(bench.kernels->synchronize(&bench.context), STATUS_INTERNAL, "the host changed byte");
    bench.kernels->graph_destroy(&bench.context, graph);
    close_bench(&bench);
}

/* The cpu's own faults pass through. */
static void faults_of_the_device_stay(void **state)
{
    (void)state;
    struct bench bench = open_bench();
    int32_t id = 9, *ids;
    assert_ok(bench.kernels->allocate(&bench.context, sizeof *ids, (void **)&ids));
    assert_ok(bench.kernels->copy_to_device(&bench.context, QUEUE_COMPUTE, ids, &id, sizeof id));
    struct embedding_forward p = {1, 1, 4, ids, bench.a, bench.b, DTYPE_F32};
    assert_ok(bench.kernels->embedding_forward(&bench.context, &p));
    const char *text = "embedding_forward: id 0 of 1 is 9, outside 0..3";
    assert_fails(bench.kernels->synchronize(&bench.context), STATUS_INTERNAL, text);
    assert_fails(bench.kernels->event_wait(&bench.context, bench.event), STATUS_INTERNAL, text);
    bench.kernels->release(&bench.context, ids);
    close_bench(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_use_computes),
        cmocka_unit_test(calls_are_counted),
        cmocka_unit_test(the_host_cannot_touch_device_memory),
        cmocka_unit_test(host_memory_is_no_operand),
        cmocka_unit_test(operands_lie_in_one_allocation),
        cmocka_unit_test(released_memory_is_no_operand),
        cmocka_unit_test(scratch_is_device_memory),
        cmocka_unit_test(a_source_that_changes_is_a_fault),
        cmocka_unit_test(an_earlier_event_ends_no_copy),
        cmocka_unit_test(a_destination_that_is_written_to_is_a_fault),
        cmocka_unit_test(host_memory_of_open_copies_is_not_shared),
        cmocka_unit_test(pinned_memory_outlives_its_copies),
        cmocka_unit_test(compute_waits_for_copies),
        cmocka_unit_test(copies_wait_for_compute),
        cmocka_unit_test(compute_waits_for_a_reader),
        cmocka_unit_test(halves_of_an_allocation_are_apart),
        cmocka_unit_test(contexts_wait_for_each_other),
        cmocka_unit_test(threads_share_the_device),
        cmocka_unit_test(wrong_releases_are_caught),
        cmocka_unit_test(graphs_are_checked_when_they_run),
        cmocka_unit_test(graphs_copy_pinned_memory_alone),
        cmocka_unit_test(faults_of_the_device_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
