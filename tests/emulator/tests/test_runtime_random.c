/* Random programs over streams against an oracle that knows nothing of clocks: a matrix of which operation is ordered
 * before which, closed under paths. A program in which every pair of conflicting operations is ordered computes what
 * it would compute one by one and has no reports; any other has some.
 *
 * Programs mix the legacy stream, a blocking one and two that are not, kernels, copies and fills, events and waits of
 * the host. Waits that the operations need are left out at random. */
#include "emulator/tests/runtime_kernels.h"
#include "emulator/tests/runtime_support.h"

#include <string.h>

enum { STREAMS = 4, BUFFERS = 5, OPERATIONS = 40, COUNT = 64, BYTES = COUNT * 4 };

struct operation {
    int stream, source, target; /* source -1: a fill */
};

struct program {
    struct operation operations[OPERATIONS];
    int count;
    bool before[OPERATIONS][OPERATIONS]; /* [i][j]: i is ordered before j */
    bool host_waited[OPERATIONS];
    cudaStream_t streams[STREAMS];
    cudaEvent_t events[OPERATIONS]; /* recorded behind each operation */
    float *buffers[BUFFERS];
    float expected[BUFFERS];
};

static void open(struct program *program)
{
    memset(program, 0, sizeof *program);
    assert_cuda(cudaStreamCreate(&program->streams[1]));
    for (int i = 2; i < STREAMS; i++)
        assert_cuda(cudaStreamCreateWithFlags(&program->streams[i], cudaStreamNonBlocking));
    for (int i = 0; i < BUFFERS; i++) {
        program->buffers[i] = device_floats(COUNT);
        assert_cuda(cudaMemset(program->buffers[i], 0, BYTES));
    }
    for (int i = 0; i < OPERATIONS; i++)
        assert_cuda(cudaEventCreateWithFlags(&program->events[i], cudaEventDisableTiming));
    assert_cuda(cudaDeviceSynchronize());
}

static void close(struct program *program)
{
    for (int i = 1; i < STREAMS; i++)
        assert_cuda(cudaStreamDestroy(program->streams[i]));
    for (int i = 0; i < OPERATIONS; i++)
        assert_cuda(cudaEventDestroy(program->events[i]));
    for (int i = 0; i < BUFFERS; i++)
        assert_cuda(cudaFree(program->buffers[i]));
}

static bool touches(const struct operation *operation, int buffer)
{
    return operation->source == buffer || operation->target == buffer;
}

static bool conflict(const struct operation *a, const struct operation *b)
{
    return touches(b, a->target) || touches(a, b->target);
}

/* i and everything before it come before j. */
static void order(struct program *program, int i, int j)
{
    for (int k = 0; k < j; k++)
        if (k == i || program->before[k][i])
            program->before[k][j] = true;
}

static bool follows_implicitly(const struct program *program, int i, int j)
{
    int earlier = program->operations[i].stream, later = program->operations[j].stream;
    bool legacy = (earlier == 0 && later <= 1) || (later == 0 && earlier <= 1);
    return earlier == later || legacy || program->host_waited[i];
}

static void enqueue(struct program *program, int j)
{
    const struct operation *operation = &program->operations[j];
    cudaStream_t stream = program->streams[operation->stream];
    float *target = program->buffers[operation->target];
    if (operation->source < 0) {
        assert_cuda(cudaMemsetAsync(target, 0, BYTES, stream));
        program->expected[operation->target] = 0;
    } else if (operation->source == operation->target || j % 3) {
        launch_plus(target, program->buffers[operation->source], 3, COUNT, stream);
        program->expected[operation->target] = program->expected[operation->source] + 3;
    } else {
        assert_cuda(
            cudaMemcpyAsync(target, program->buffers[operation->source], BYTES, cudaMemcpyDeviceToDevice, stream));
        program->expected[operation->target] = program->expected[operation->source];
    }
    assert_cuda(cudaGetLastError());
    assert_cuda(cudaEventRecord(program->events[j], stream));
}

/* The host waits for operation i, and so for all that is ordered before it. */
static void host_waits(struct program *program, int i)
{
    assert_cuda(cudaEventSynchronize(program->events[i]));
    for (int k = 0; k <= i; k++)
        if (k == i || program->before[k][i])
            program->host_waited[k] = true;
}

/* Whether the program is ordered where it must be. `careless` in 100 needed waits are left out. */
static bool run(struct program *program, struct rng *rng, unsigned careless)
{
    bool ordered = true;
    for (int j = 0; j < OPERATIONS; j++) {
        struct operation *operation = &program->operations[j];
        *operation = (struct operation){.stream = (int)rng_below(rng, STREAMS),
                                        .source = (int)rng_below(rng, BUFFERS + 1) - 1,
                                        .target = (int)rng_below(rng, BUFFERS)};
        for (int i = 0; i < j; i++)
            if (follows_implicitly(program, i, j))
                order(program, i, j);
        for (int i = j - 1; i >= 0; i--) {
            if (program->before[i][j] || !conflict(&program->operations[i], operation))
                continue;
            if (rng_below(rng, 100) < careless)
                continue;
            assert_cuda(cudaStreamWaitEvent(program->streams[operation->stream], program->events[i], 0));
            order(program, i, j);
        }
        for (int i = 0; i < j; i++)
            ordered = ordered && (program->before[i][j] || !conflict(&program->operations[i], operation));
        enqueue(program, j);
        if (rng_below(rng, 12) == 0)
            host_waits(program, (int)rng_below(rng, (uint64_t)j + 1));
    }
    return ordered;
}

static void check(struct program *program, bool ordered, int number)
{
    float host[COUNT];
    assert_cuda(cudaDeviceSynchronize());
    if (ordered != (emulator_report_count() == 0)) {
        emulator_print_reports(stderr);
        fail_msg("program %d: ordered %d, reports %lld", number, ordered, (long long)emulator_report_count());
    }
    emulator_clear_reports();
    for (int i = 0; ordered && i < BUFFERS; i++) {
        assert_cuda(cudaMemcpy(host, program->buffers[i], BYTES, cudaMemcpyDeviceToHost));
        for (int c = 0; c < COUNT; c++)
            assert_true(host[c] == program->expected[i]);
    }
}

static void random_programs_are_judged_rightly(void **state)
{
    (void)state;
    static struct program program;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 1);
    int right = 0, wrong = 0;
    for (int number = 0; number < 400; number++) {
        open(&program);
        bool ordered = run(&program, &rng, number % 3 ? (unsigned)(number % 3) * 3 : 0);
        check(&program, ordered, number);
        close(&program);
        right += ordered;
        wrong += !ordered;
    }
    assert_true(right > 100 && wrong > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {runtime_test(random_programs_are_judged_rightly)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
