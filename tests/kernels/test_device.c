/* Memory, queues, events, contexts, conversion: what the table promises beside its operations. */
#include "support/kernel_harness.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const int thread_counts[] = {1, 2, 3};

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 31 + i / 257);
}

/* Host to device, device to device, zeros, and back, of one size. */
static void check_memory(const struct device_context *context, size_t bytes)
{
    const struct kernels *kernels = test_kernels();
    char *a, *b;
    assert_ok(kernels->allocate(context, bytes, (void **)&a));
    assert_ok(kernels->allocate(context, bytes, (void **)&b));
    assert_true(a && b && (uintptr_t)a % 256 == 0 && (uintptr_t)b % 256 == 0);
    unsigned char *host = guarded_allocate(bytes), *fresh = guarded_allocate(bytes), *back = guarded_allocate(bytes);
    unsigned char *zeros = guarded_allocate(bytes);
    for (size_t i = 0; i < bytes; i++)
        host[i] = pattern(i);
    assert_ok(kernels->copy_to_host(context, QUEUE_COMPUTE, fresh, a, bytes));
    assert_ok(kernels->copy_to_device(context, QUEUE_COMPUTE, b, host, bytes));
    assert_ok(kernels->copy(context, a, b, bytes));
    assert_ok(kernels->fill_zero(context, b, bytes));
    assert_ok(kernels->copy_to_host(context, QUEUE_COMPUTE, back, a, bytes));
    assert_ok(kernels->copy_to_host(context, QUEUE_COMPUTE, zeros, b, bytes));
    assert_ok(kernels->synchronize(context));
    assert_memory_equal(back, host, bytes);
    for (size_t i = 0; i < bytes; i++)
        assert_true(fresh[i] == 0 && zeros[i] == 0);
    guarded_free(host);
    guarded_free(fresh);
    guarded_free(back);
    guarded_free(zeros);
    kernels->release(context, a);
    kernels->release(context, b);
}

static void memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 255, 256, 257, (1u << 20) + 3, (5u << 20) - 1};
    for (int t = 0; t < 3; t++)
        for (int s = 0; s < 7; s++)
            check_memory(test_context(thread_counts[t], 0), sizes[s]);
    test_kernels()->release(test_context(1, 0), NULL);
    test_kernels()->release_host(test_context(1, 0), NULL);
}

/* Memory that was written to and released does not come back with what it held. */
static void reused_memory_is_zeroed(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    enum { BYTES = 5000 };
    unsigned char host[BYTES];
    for (int i = 0; i < 20; i++) {
        void *memory;
        assert_ok(test_kernels()->allocate(context, BYTES, &memory));
        assert_ok(test_kernels()->copy_to_host(context, QUEUE_COMPUTE, host, memory, BYTES));
        assert_ok(test_kernels()->synchronize(context));
        for (int b = 0; b < BYTES; b++)
            assert_int_equal(host[b], 0);
        memset(host, 0xEE, BYTES);
        assert_ok(test_kernels()->copy_to_device(context, QUEUE_COMPUTE, memory, host, BYTES));
        assert_ok(test_kernels()->synchronize(context));
        test_kernels()->release(context, memory);
    }
}

static void memory_is_counted(void **state)
{
    (void)state;
    struct device_context context;
    test_open(&context, 0);
    const struct kernels *kernels = test_kernels();
    void *a, *b;
    assert_int_equal(kernels->memory(&context).allocated, 0);
    assert_ok(kernels->allocate(&context, 1000, &a));
    assert_ok(kernels->allocate(&context, 24, &b));
    kernels->release(&context, a);
    assert_int_equal(kernels->memory(&context).allocated, 24);
    assert_int_equal(kernels->memory(&context).peak, 1024);
    assert_ok(kernels->allocate(&context, 2000, &a));
    assert_int_equal(kernels->memory(&context).peak, 2024);
    assert_ok(device_context_reserve(kernels, &context, 100));
    assert_int_equal(kernels->memory(&context).allocated, 2124);
    kernels->release(&context, a);
    assert_int_equal(kernels->memory(&context).allocated, 124);
    kernels->release(&context, b);
    assert_int_equal(kernels->memory(&context).allocated, 100);
    test_close(&context);
}

static void pinned_memory_is_zeroed(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    const size_t sizes[] = {0, 1, 100, 70000};
    for (int s = 0; s < 4; s++) {
        unsigned char *memory;
        assert_ok(test_kernels()->allocate_host(context, sizes[s], (void **)&memory));
        assert_non_null(memory);
        for (size_t i = 0; i < sizes[s]; i++) {
            assert_int_equal(memory[i], 0);
            memory[i] = 1;
        }
        test_kernels()->release_host(context, memory);
    }
}

static void too_much_memory_is_an_error(void **state)
{
    (void)state;
    void *memory = &memory;
    const struct device_context *context = test_context(1, 0);
    const struct kernels *kernels = test_kernels();
    assert_fails(kernels->allocate(context, SIZE_MAX, &memory), STATUS_INTERNAL, "18446744073709551615 bytes");
    assert_null(memory);
}

static void wrong_calls_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    const struct kernels *kernels = test_kernels();
    struct tensor x = tensor_zero(DTYPE_F32, 4);
    char host[16] = {0};
    const enum device_queue none = QUEUE_COUNT;
    struct device_event *event;
    assert_fails(kernels->allocate(context, 8, NULL), STATUS_INTERNAL, "allocate");
    assert_fails(kernels->allocate_host(context, 8, NULL), STATUS_INTERNAL, "allocate_host");
    assert_fails(kernels->copy(context, NULL, tensor_device(&x), 8), STATUS_INTERNAL, "null");
    assert_fails(kernels->copy(context, tensor_device(&x), NULL, 8), STATUS_INTERNAL, "null");
    assert_fails(kernels->fill_zero(context, NULL, 8), STATUS_INTERNAL, "null");
    assert_fails(kernels->copy_to_host(context, QUEUE_COPY, NULL, tensor_device(&x), 8), STATUS_INTERNAL, "null");
    assert_fails(kernels->copy_to_device(context, QUEUE_COPY, NULL, host, 8), STATUS_INTERNAL, "null");
    assert_fails(kernels->copy_to_device(context, none, tensor_device(&x), host, 8), STATUS_INTERNAL, "queue");
    assert_fails(kernels->copy_to_host(context, none, host, tensor_device(&x), 8), STATUS_INTERNAL, "queue");
    assert_ok(kernels->copy_to_host(context, QUEUE_COPY, NULL, NULL, 0));
    assert_fails(kernels->event_create(context, NULL), STATUS_INTERNAL, "event_create");
    assert_ok(kernels->event_create(context, &event));
    assert_fails(kernels->event_record(context, none, event), STATUS_INTERNAL, "event_record");
    assert_fails(kernels->event_record(context, QUEUE_COPY, NULL), STATUS_INTERNAL, "event_record");
    assert_fails(kernels->queue_wait(context, none, event), STATUS_INTERNAL, "queue_wait");
    assert_fails(kernels->queue_wait(context, QUEUE_COPY, NULL), STATUS_INTERNAL, "queue_wait");
    assert_fails(kernels->event_wait(context, NULL), STATUS_INTERNAL, "event_wait");
    kernels->event_destroy(context, event);
    kernels->event_destroy(context, NULL);
    struct device_context bare = {0};
    assert_fails(kernels->synchronize(&bare), STATUS_INTERNAL, "device_context_create");
    tensor_free(&x);
}

/* Values travel by one queue, are added to by the other, and come back, step after step with two buffers. */
static void queues_overlap_in_order(void **state)
{
    (void)state;
    enum { COUNT = 1000, STEPS = 7 };
    struct device_context context;
    test_open(&context, 0);
    const struct kernels *kernels = test_kernels();
    float *pinned[2], *device[2], *sum, *result;
    struct device_event *arrived[2], *used[2];
    for (int i = 0; i < 2; i++) {
        assert_ok(kernels->allocate_host(&context, COUNT * sizeof(float), (void **)&pinned[i]));
        assert_ok(kernels->allocate(&context, COUNT * sizeof(float), (void **)&device[i]));
        assert_ok(kernels->event_create(&context, &arrived[i]));
        assert_ok(kernels->event_create(&context, &used[i]));
    }
    assert_ok(kernels->allocate(&context, COUNT * sizeof(float), (void **)&sum));
    assert_ok(kernels->allocate_host(&context, COUNT * sizeof(float), (void **)&result));
    for (int step = 0; step < STEPS; step++) {
        int i = step % 2;
        assert_ok(kernels->event_wait(&context, arrived[i])); /* the copy of two steps ago has left the host */
        for (int j = 0; j < COUNT; j++)
            pinned[i][j] = (float)(step + j);
        assert_ok(kernels->queue_wait(&context, QUEUE_COPY, used[i]));
        assert_ok(kernels->copy_to_device(&context, QUEUE_COPY, device[i], pinned[i], COUNT * sizeof(float)));
        assert_ok(kernels->event_record(&context, QUEUE_COPY, arrived[i]));
        assert_ok(kernels->queue_wait(&context, QUEUE_COMPUTE, arrived[i]));
        struct convert p = {COUNT, device[i], sum, DTYPE_F32, DTYPE_F32, true};
        assert_ok(kernels->convert(&context, &p));
        memset(&p, 0, sizeof p); /* a parameter struct is free at once */
        assert_ok(kernels->event_record(&context, QUEUE_COMPUTE, used[i]));
    }
    assert_ok(kernels->copy_to_host(&context, QUEUE_COMPUTE, result, sum, COUNT * sizeof(float)));
    kernels->release(&context, sum); /* so is device memory */
    assert_ok(kernels->synchronize(&context));
    for (int j = 0; j < COUNT; j++)
        assert_true(result[j] == (float)(STEPS * j + STEPS * (STEPS - 1) / 2));
    for (int i = 0; i < 2; i++) {
        kernels->release_host(&context, pinned[i]);
        kernels->release(&context, device[i]);
        kernels->event_destroy(&context, arrived[i]);
        kernels->event_destroy(&context, used[i]);
    }
    kernels->release_host(&context, result);
    test_close(&context);
}

/* One synchronize is enough for what either queue holds, in whichever it was put last. */
static void synchronize_waits_for_both_queues(void **state)
{
    (void)state;
    enum { COUNT = 5000, BYTES = COUNT * sizeof(float) };
    struct device_context context;
    test_open(&context, 0);
    const struct kernels *kernels = test_kernels();
    float *sent, *back[QUEUE_COUNT], *device[QUEUE_COUNT];
    assert_ok(kernels->allocate_host(&context, BYTES, (void **)&sent));
    for (int queue = 0; queue < QUEUE_COUNT; queue++) {
        assert_ok(kernels->allocate_host(&context, BYTES, (void **)&back[queue]));
        assert_ok(kernels->allocate(&context, BYTES, (void **)&device[queue]));
    }
    for (int round = 0; round < 4; round++) {
        for (int j = 0; j < COUNT; j++)
            sent[j] = (float)(round * COUNT + j);
        for (int i = 0; i < QUEUE_COUNT; i++) {
            enum device_queue queue = (enum device_queue)(round % 2 ? QUEUE_COUNT - 1 - i : i);
            if (round == 3 && queue == QUEUE_COMPUTE)
                continue;
            assert_ok(kernels->copy_to_device(&context, queue, device[queue], sent, BYTES));
            assert_ok(kernels->copy_to_host(&context, queue, back[queue], device[queue], BYTES));
        }
        assert_ok(kernels->synchronize(&context));
        for (int queue = 0; queue < QUEUE_COUNT; queue++)
            if (round < 3 || queue == QUEUE_COPY)
                assert_memory_equal(back[queue], sent, BYTES);
    }
    /* likewise a copy alone, up or down */
    memset(sent, 0x5A, BYTES);
    assert_ok(kernels->copy_to_device(&context, QUEUE_COPY, device[0], sent, BYTES));
    assert_ok(kernels->synchronize(&context));
    assert_ok(kernels->copy_to_host(&context, QUEUE_COMPUTE, back[0], device[0], BYTES));
    assert_ok(kernels->synchronize(&context));
    assert_memory_equal(back[0], sent, BYTES);
    assert_ok(kernels->copy_to_host(&context, QUEUE_COPY, back[1], device[0], BYTES));
    assert_ok(kernels->synchronize(&context));
    assert_memory_equal(back[1], sent, BYTES);
    kernels->release_host(&context, sent);
    for (int queue = 0; queue < QUEUE_COUNT; queue++) {
        kernels->release_host(&context, back[queue]);
        kernels->release(&context, device[queue]);
    }
    test_close(&context);
}

/* Device memory and events may be given back while either queue still has work with them. */
static void nothing_is_given_back_too_early(void **state)
{
    (void)state;
    enum { BYTES = 5000 };
    struct device_context context;
    test_open(&context, 0);
    const struct kernels *kernels = test_kernels();
    for (int queue = 0; queue < QUEUE_COUNT; queue++) {
        void *host, *back, *device;
        struct device_event *event;
        assert_ok(kernels->allocate_host(&context, BYTES, &host));
        assert_ok(kernels->allocate_host(&context, BYTES, &back));
        assert_ok(kernels->allocate(&context, BYTES, &device));
        assert_ok(kernels->event_create(&context, &event));
        assert_ok(kernels->copy_to_device(&context, (enum device_queue)queue, device, host, BYTES));
        assert_ok(kernels->event_record(&context, (enum device_queue)queue, event));
        kernels->event_destroy(&context, event);
        assert_ok(kernels->copy_to_host(&context, (enum device_queue)queue, back, device, BYTES));
        kernels->release(&context, device);
        assert_ok(kernels->synchronize(&context)); /* pinned memory alone is the caller's to wait for */
        kernels->release_host(&context, host);
        kernels->release_host(&context, back);
    }
    test_close(&context);
}

/* Copies from and to host memory of the table go on by themselves, which a device does with pinned memory alone. */
static void host_memory_is_pinned(void **state)
{
    (void)state;
    enum { BYTES = 4096 };
    const struct device_context *context = test_context(1, 0);
    const struct kernels *kernels = test_kernels();
    struct test_calls before, after;
    void *host, *device;
    if (!test_cuda_calls(&before))
        skip();
    assert_ok(kernels->allocate_host(context, BYTES, &host));
    assert_ok(kernels->allocate(context, BYTES, &device));
    assert_ok(kernels->copy_to_device(context, QUEUE_COPY, device, host, BYTES));
    assert_ok(kernels->copy_to_host(context, QUEUE_COPY, host, device, BYTES));
    assert_ok(kernels->synchronize(context));
    assert_true(test_cuda_calls(&after));
    assert_int_equal(after.pageable_copies, before.pageable_copies);
    assert_true(after.copies >= before.copies + 2);
    kernels->release_host(context, host);
    kernels->release(context, device);
}

/* ---- graphs ---- */

enum { GRAPH_COUNT = 300, GRAPH_BYTES = GRAPH_COUNT * sizeof(float) };

struct graph_bench {
    struct device_context context;
    float *pinned, *result;     /* pinned */
    float *source, *sum, *sink; /* device */
};

static struct graph_bench open_graph_bench(void)
{
    struct graph_bench bench;
    const struct kernels *kernels = test_kernels();
    test_open(&bench.context, 0);
    assert_ok(kernels->allocate_host(&bench.context, GRAPH_BYTES, (void **)&bench.pinned));
    assert_ok(kernels->allocate_host(&bench.context, GRAPH_BYTES, (void **)&bench.result));
    assert_ok(kernels->allocate(&bench.context, GRAPH_BYTES, (void **)&bench.source));
    assert_ok(kernels->allocate(&bench.context, GRAPH_BYTES, (void **)&bench.sum));
    assert_ok(kernels->allocate(&bench.context, GRAPH_BYTES, (void **)&bench.sink));
    return bench;
}

static void close_graph_bench(struct graph_bench *bench)
{
    const struct kernels *kernels = test_kernels();
    kernels->release_host(&bench->context, bench->pinned);
    kernels->release_host(&bench->context, bench->result);
    kernels->release(&bench->context, bench->source);
    kernels->release(&bench->context, bench->sum);
    kernels->release(&bench->context, bench->sink);
    test_close(&bench->context);
}

/* source = pinned; sink = 0, + source; sum += sink; sink = sum; result = sink. */
static void put_graph_work(struct graph_bench *bench)
{
    const struct kernels *kernels = test_kernels();
    const struct device_context *context = &bench->context;
    assert_ok(kernels->copy_to_device(context, QUEUE_COMPUTE, bench->source, bench->pinned, GRAPH_BYTES));
    assert_ok(kernels->fill_zero(context, bench->sink, GRAPH_BYTES));
    struct convert p = {GRAPH_COUNT, bench->source, bench->sink, DTYPE_F32, DTYPE_F32, true};
    assert_ok(kernels->convert(context, &p));
    p.source = bench->sink;
    p.destination = bench->sum;
    assert_ok(kernels->convert(context, &p));
    memset(&p, 0, sizeof p);
    assert_ok(kernels->copy(context, bench->sink, bench->sum, GRAPH_BYTES));
    assert_ok(kernels->copy_to_host(context, QUEUE_COMPUTE, bench->result, bench->sink, GRAPH_BYTES));
}

/* What is recorded does not run; each launch runs all of it, with what the memory then holds. */
static void graphs_repeat_their_work(void **state)
{
    (void)state;
    const struct kernels *kernels = test_kernels();
    if (!kernels->graph_begin) {
        assert_true(!kernels->graph_end && !kernels->graph_launch && !kernels->graph_destroy);
        skip();
    }
    struct graph_bench bench = open_graph_bench();
    struct device_graph *graph;
    assert_ok(kernels->graph_begin(&bench.context));
    put_graph_work(&bench);
    assert_ok(kernels->graph_end(&bench.context, &graph));
    assert_non_null(graph);
    assert_ok(kernels->copy_to_host(&bench.context, QUEUE_COMPUTE, bench.result, bench.sum, GRAPH_BYTES));
    assert_ok(kernels->synchronize(&bench.context));
    for (int i = 0; i < GRAPH_COUNT; i++)
        assert_true(bench.result[i] == 0);
    float expected = 0;
    for (int launch = 0; launch < 4; launch++) {
        for (int i = 0; i < GRAPH_COUNT; i++)
            bench.pinned[i] = (float)(i + launch);
        assert_ok(kernels->graph_launch(&bench.context, graph));
        assert_ok(kernels->synchronize(&bench.context));
        expected += (float)launch;
        for (int i = 0; i < GRAPH_COUNT; i++)
            assert_true(bench.result[i] == (float)((launch + 1) * i) + expected);
    }
    kernels->graph_destroy(&bench.context, graph);
    kernels->graph_destroy(&bench.context, NULL);
    close_graph_bench(&bench);
}

/* A recording that is dropped leaves a queue that works, and what cannot be recorded is refused. */
static void graphs_refuse_what_cannot_be_recorded(void **state)
{
    (void)state;
    const struct kernels *kernels = test_kernels();
    if (!kernels->graph_begin)
        skip();
    struct graph_bench bench = open_graph_bench();
    const struct device_context *context = &bench.context;
    struct device_graph *graph;
    struct device_event *event;
    void *memory;
    static float pageable[GRAPH_COUNT];
    const char *text = "while a graph is recorded";
    assert_ok(kernels->event_create(context, &event));
    assert_ok(kernels->event_record(context, QUEUE_COMPUTE, event));
    assert_fails(kernels->graph_end(context, &graph), STATUS_INTERNAL, "no graph is being recorded");
    assert_null(graph);
    assert_fails(kernels->graph_launch(context, NULL), STATUS_INTERNAL, "null");
    assert_ok(kernels->graph_begin(context));
    assert_fails(kernels->graph_begin(context), STATUS_INTERNAL, "already");
    assert_fails(kernels->synchronize(context), STATUS_INTERNAL, text);
    assert_fails(kernels->allocate(context, 100, &memory), STATUS_INTERNAL, text);
    assert_fails(kernels->event_record(context, QUEUE_COMPUTE, event), STATUS_INTERNAL, text);
    assert_fails(kernels->queue_wait(context, QUEUE_COMPUTE, event), STATUS_INTERNAL, text);
    assert_fails(kernels->event_wait(context, event), STATUS_INTERNAL, text);
    assert_fails(kernels->copy_to_device(context, QUEUE_COPY, bench.source, bench.pinned, 8), STATUS_INTERNAL, text);
    put_graph_work(&bench);
    assert_ok(kernels->graph_end(context, &graph)); /* what was refused has left no trace */
    kernels->graph_destroy(context, graph);
    assert_ok(kernels->graph_begin(context));
    assert_fails(kernels->copy_to_device(context, QUEUE_COMPUTE, bench.source, pageable, 8), STATUS_INTERNAL, "");
    assert_ok(kernels->graph_end(context, NULL));
    put_graph_work(&bench);
    assert_ok(kernels->synchronize(context));
    assert_true(bench.result[0] == 0);
    kernels->event_destroy(context, event);
    close_graph_bench(&bench);
}

static void *use_another_context(void *bytes)
{
    const struct kernels *kernels = test_kernels();
    struct device_context context;
    void *memory;
    enum status result = device_context_create(kernels, NULL, 0, &context);
    if (result == STATUS_OK)
        result = kernels->allocate(&context, *(size_t *)bytes, &memory);
    if (result == STATUS_OK)
        kernels->release(&context, memory);
    device_context_destroy(kernels, &context);
    return result == STATUS_OK ? bytes : NULL;
}

/* While one thread records, another one with a context of its own allocates. */
static void threads_do_not_disturb_a_recording(void **state)
{
    (void)state;
    const struct kernels *kernels = test_kernels();
    if (!kernels->graph_begin)
        skip();
    struct graph_bench bench = open_graph_bench();
    struct device_graph *graph;
    pthread_t thread;
    size_t bytes = 1000;
    void *result;
    assert_ok(kernels->graph_begin(&bench.context));
    put_graph_work(&bench);
    assert_int_equal(pthread_create(&thread, NULL, use_another_context, &bytes), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &bytes);
    assert_ok(kernels->graph_end(&bench.context, &graph));
    kernels->graph_destroy(&bench.context, graph);
    close_graph_bench(&bench);
}

/* A fault that a graph's work finds is told like any other. */
static void graphs_report_faults(void **state)
{
    (void)state;
    const struct kernels *kernels = test_kernels();
    if (!kernels->graph_begin)
        skip();
    struct device_context context;
    struct device_graph *graph;
    struct tensor ids = tensor_zero(DTYPE_I32, 2), x = tensor_zero(DTYPE_F32, 8), y = tensor_zero(DTYPE_F32, 8);
    tensor_set(&ids, 1, 3);
    const struct embedding_forward p = {2, 4, 2, tensor_device(&ids), tensor_device(&x), tensor_device(&y), DTYPE_F32};
    test_open(&context, 0);
    test_settle();
    assert_ok(kernels->graph_begin(&context));
    assert_ok(kernels->embedding_forward(&context, &p));
    assert_ok(kernels->graph_end(&context, &graph));
    assert_ok(kernels->synchronize(&context));
    assert_ok(kernels->graph_launch(&context, graph));
    assert_fails(kernels->synchronize(&context), STATUS_INTERNAL, "embedding_forward: id 1 of 2 is 3, outside 0..1");
    kernels->graph_destroy(&context, graph);
    test_close(&context);
    tensor_free(&ids);
    tensor_free(&x);
    tensor_free(&y);
}

static void contexts_grow_and_end(void **state)
{
    (void)state;
    struct device_context context;
    const struct kernels *kernels = test_kernels();
    assert_ok(device_context_create(kernels, NULL, 0, &context));
    assert_true(context.scratch_bytes == 0 && !context.scratch);
    assert_ok(device_context_reserve(kernels, &context, 1000));
    void *scratch = context.scratch;
    assert_ok(device_context_reserve(kernels, &context, 10));
    assert_true(context.scratch == scratch && context.scratch_bytes == 1000);
    const char *text = kernels->describe(&context);
    assert_true(strstr(text, "kernels") && strstr(text, "f32") && strstr(text, "bf16"));
    print_message("%s\n", text);
    device_context_destroy(kernels, &context);
    assert_true(!context.scratch && !context.libraries);
    device_context_destroy(kernels, &context);
    device_context_destroy(kernels, NULL);
    assert_string_equal(kernels->name, test_kernels_closed() ? "closed" : test_kernels_cpu() ? "cpu" : "cuda");
}

/* A context may end while its queue still works with what the context itself holds. */
static void contexts_end_after_their_work(void **state)
{
    (void)state;
    enum { SIZE = 24 };
    const struct kernels *kernels = test_kernels();
    struct device_context context;
    struct tensor a = tensor_zero(DTYPE_F32, SIZE * SIZE), b = tensor_zero(DTYPE_F32, SIZE * SIZE);
    struct tensor c = tensor_make(DTYPE_F32, SIZE * SIZE);
    const struct matmul p = {.m = SIZE,
                             .n = SIZE,
                             .k = SIZE,
                             .batch = 1,
                             .a = tensor_device(&a),
                             .b = tensor_device(&b),
                             .c = tensor_device(&c),
                             .a_row_stride = SIZE,
                             .b_row_stride = SIZE,
                             .c_row_stride = SIZE,
                             .alpha = 1};
    test_settle();
    assert_ok(device_context_create(kernels, NULL, 0, &context));
    assert_ok(kernels->matmul(&context, &p));
    device_context_destroy(kernels, &context);
    tensor_read(&c);
    for (int i = 0; i < SIZE * SIZE; i++)
        assert_true(c.values[i] == 0);
    tensor_free(&a);
    tensor_free(&b);
    tensor_free(&c);
}

/* The first fault stays, whatever follows; other contexts have none of it. */
static void the_first_fault_stays(void **state)
{
    (void)state;
    const struct kernels *kernels = test_kernels();
    struct tensor ids = tensor_zero(DTYPE_I32, 2), x = tensor_zero(DTYPE_F32, 8), y = tensor_zero(DTYPE_F32, 8);
    tensor_set(&ids, 1, 3);
    struct embedding_forward p = {2, 4, 2, tensor_device(&ids), tensor_device(&x), tensor_device(&y), DTYPE_F32};
    struct device_context context;
    struct device_event *event;
    test_open(&context, 0);
    assert_ok(kernels->event_create(&context, &event));
    assert_ok(kernels->synchronize(&context));
    assert_ok(kernels->embedding_forward(&context, &p));
    p.rows = 1; /* now the id 3 is outside 0..0 */
    assert_ok(kernels->embedding_forward(&context, &p));
    p.rows = 2;
    p.tokens = 1;
    assert_ok(kernels->embedding_forward(&context, &p));
    assert_ok(kernels->event_record(&context, QUEUE_COMPUTE, event));
    const char *text = "embedding_forward: id 1 of 2 is 3, outside 0..1";
    assert_fails(kernels->event_wait(&context, event), STATUS_INTERNAL, text);
    assert_fails(kernels->synchronize(&context), STATUS_INTERNAL, text);
    assert_fails(kernels->synchronize(&context), STATUS_INTERNAL, text);
    test_settle();
    kernels->event_destroy(&context, event);
    test_close(&context);
    tensor_free(&ids);
    tensor_free(&x);
    tensor_free(&y);
}

static void conversion(void **state)
{
    (void)state;
    struct rng rng = test_rng(1);
    const int64_t counts[] = {0, 1, 31, 257, 40003};
    for (int s = 0; s < 5; s++)
        for (int from = DTYPE_F32; from <= DTYPE_BF16; from++)
            for (int to = DTYPE_F32; to <= DTYPE_BF16; to++)
                for (int add = 0; add <= (from == to ? 1 : 0); add++)
                    for (int t = 0; t < 3; t++) {
                        struct tensor x = tensor_normal(&rng, (enum dtype)from, counts[s], 1);
                        struct tensor y = tensor_normal(&rng, (enum dtype)to, counts[s], 1);
                        if (counts[s] > 30)
                            tensor_set(&x, 30, NAN);
                        struct convert p = {counts[s], tensor_device(&x), tensor_device(&y), x.type, y.type, add};
                        double *expected = doubles(counts[s]);
                        for (int64_t i = 0; i < counts[s]; i++)
                            expected[i] = round_to(y.type, x.values[i] + (add ? y.values[i] : 0));
                        assert_ok(test_kernels()->convert(test_context(thread_counts[t], 0), &p));
                        tensor_read(&y);
                        for (int64_t i = 0; i < counts[s]; i++)
                            assert_true(i == 30 ? isnan(y.values[i]) : y.values[i] == expected[i]);
                        free(expected);
                        tensor_free(&x);
                        tensor_free(&y);
                    }
}

static void wrong_conversions_are_refused(void **state)
{
    (void)state;
    const struct device_context *context = test_context(1, 0);
    struct tensor x = tensor_zero(DTYPE_F32, 2), y = tensor_zero(DTYPE_F32, 2);
    const struct convert good = {2, tensor_device(&x), tensor_device(&y), DTYPE_F32, DTYPE_F32, true};
    assert_refused(convert, good, p.destination_type = DTYPE_BF16, "one type");
    assert_refused(convert, good, p.add = false; p.destination_type = DTYPE_F16, "convert: types");
    assert_refused(convert, good, p.source = NULL, "null");
    assert_refused(convert, good, p.destination = NULL, "null");
    assert_refused(convert, good, p.count = -2, "-2 elements");
    tensor_free(&x);
    tensor_free(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(reused_memory_is_zeroed),
        cmocka_unit_test(memory_is_counted),
        cmocka_unit_test(pinned_memory_is_zeroed),
        cmocka_unit_test(too_much_memory_is_an_error),
        cmocka_unit_test(wrong_calls_are_refused),
        cmocka_unit_test(queues_overlap_in_order),
        cmocka_unit_test(synchronize_waits_for_both_queues),
        cmocka_unit_test(nothing_is_given_back_too_early),
        cmocka_unit_test(host_memory_is_pinned),
        cmocka_unit_test(graphs_repeat_their_work),
        cmocka_unit_test(graphs_refuse_what_cannot_be_recorded),
        cmocka_unit_test(threads_do_not_disturb_a_recording),
        cmocka_unit_test(graphs_report_faults),
        cmocka_unit_test(contexts_grow_and_end),
        cmocka_unit_test(contexts_end_after_their_work),
        cmocka_unit_test(the_first_fault_stays),
        cmocka_unit_test(conversion),
        cmocka_unit_test(wrong_conversions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
