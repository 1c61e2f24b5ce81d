/* Stream capture and graphs: a replay is the same as the calls, to the bit and in what is checked about it, and what a
 * capture forbids is refused. */
#include "emulator/tests/runtime_kernels.h"
#include "emulator/tests/runtime_support.h"

#include <string.h>

enum { COUNT = 500, BYTES = COUNT * 4 };

struct bench {
    cudaStream_t first, second;
    cudaEvent_t fork, join;
    float *source, *result; /* pinned */
    float *x, *y, *z;
};

static void open(struct bench *bench)
{
    assert_cuda(cudaStreamCreateWithFlags(&bench->first, cudaStreamNonBlocking));
    assert_cuda(cudaStreamCreateWithFlags(&bench->second, cudaStreamNonBlocking));
    assert_cuda(cudaEventCreateWithFlags(&bench->fork, cudaEventDisableTiming));
    assert_cuda(cudaEventCreateWithFlags(&bench->join, cudaEventDisableTiming));
    bench->source = pinned_floats(COUNT);
    bench->result = pinned_floats(COUNT);
    bench->x = device_floats(COUNT);
    bench->y = device_floats(COUNT);
    bench->z = device_floats(COUNT);
}

/* x <- source; y <- 2 x in the first stream, z <- x + 5 in the second; y <- y's affine of z; result <- y. */
static void issue(const struct bench *bench, bool with_join)
{
    assert_cuda(cudaMemcpyAsync(bench->x, bench->source, BYTES, cudaMemcpyHostToDevice, bench->first));
    assert_cuda(cudaEventRecord(bench->fork, bench->first));
    assert_cuda(cudaStreamWaitEvent(bench->second, bench->fork, 0));
    launch_scale(bench->y, bench->x, 2.0f, COUNT, bench->first);
    launch_plus(bench->z, bench->x, 5, COUNT, bench->second);
    assert_cuda(cudaEventRecord(bench->join, bench->second));
    if (with_join)
        assert_cuda(cudaStreamWaitEvent(bench->first, bench->join, 0));
    launch_affine((struct affine){.y = bench->y, .x = bench->z, .factor = {3.0f, 0.5f}, .count = COUNT, .shift = 1},
                  bench->first);
    assert_cuda(cudaMemcpyAsync(bench->result, bench->y, BYTES, cudaMemcpyDeviceToHost, bench->first));
    if (!with_join)
        assert_cuda(cudaStreamWaitEvent(bench->first, bench->join, 0)); /* too late */
    assert_cuda(cudaGetLastError());
}

static cudaGraphExec_t captured(const struct bench *bench, bool with_join)
{
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    enum cudaStreamCaptureStatus status;
    size_t nodes;
    assert_cuda(cudaStreamBeginCapture(bench->first, cudaStreamCaptureModeThreadLocal));
    issue(bench, with_join);
    assert_cuda(cudaStreamIsCapturing(bench->second, &status));
    assert_int_equal(status, cudaStreamCaptureStatusActive);
    assert_cuda(cudaStreamEndCapture(bench->first, &graph));
    assert_cuda(cudaStreamIsCapturing(bench->second, &status));
    assert_int_equal(status, cudaStreamCaptureStatusNone);
    assert_int_equal(emulator_pending(), 0);
    assert_cuda(cudaGraphGetNodes(graph, NULL, &nodes));
    assert_int_equal(nodes, 5);
    assert_cuda(cudaGraphInstantiate(&executable, graph, 0));
    assert_cuda(cudaGraphDestroy(graph));
    return executable;
}

static void a_replay_equals_the_calls(void **state)
{
    (void)state;
    struct bench bench;
    float eager[COUNT];
    open(&bench);
    issue(&bench, true);
    assert_cuda(cudaStreamSynchronize(bench.first));
    memcpy(eager, bench.result, BYTES);
    for (int i = 0; i < COUNT; i++)
        assert_true(eager[i] == (i & 1 ? 0.5f : 3.0f) * ((float)i + 5) + 1);
    cudaGraphExec_t executable = captured(&bench, true);
    for (int replay = 0; replay < 3; replay++) {
        for (int i = 0; i < COUNT; i++)
            bench.source[i] = (float)(i * (replay + 1)); /* read when the graph runs */
        assert_cuda(cudaGraphLaunch(executable, replay == 1 ? bench.second : bench.first));
        assert_cuda(cudaStreamSynchronize(replay == 1 ? bench.second : bench.first));
        if (!replay)
            assert_memory_equal(eager, bench.result, BYTES);
        assert_true(bench.result[9] == 0.5f * (float)(9 * (replay + 1) + 5) + 1);
    }
    assert_int_equal(emulator_counters().graph_launches, 3);
    assert_int_equal(emulator_counters().launches, 12);
    assert_int_equal(emulator_counters().launch_calls, 3); /* neither those that a graph took in nor its replays */
    assert_cuda(cudaGraphExecDestroy(executable));
}

static void launches_in_a_row_are_ordered(void **state)
{
    (void)state;
    struct bench bench;
    open(&bench);
    cudaGraphExec_t executable = captured(&bench, true);
    for (int i = 0; i < 4; i++)
        assert_cuda(cudaGraphLaunch(executable, i & 1 ? bench.second : bench.first));
    assert_cuda(cudaGraphExecDestroy(executable)); /* what is under way ends */
    assert_cuda(cudaDeviceSynchronize());
    assert_true(bench.result[2] == 22.0f);
}

/* The wait between the branches is missing: calls and replay are reported alike. */
static void a_missing_wait_inside_a_graph_is_reported(void **state)
{
    (void)state;
    struct bench bench;
    open(&bench);
    issue(&bench, false);
    assert_cuda(cudaDeviceSynchronize());
    assert_true(emulator_reports_of(CHECK_HOST, "missing wait between streams") >= 1);
    emulator_clear_reports();
    cudaGraphExec_t executable = captured(&bench, false);
    assert_cuda(cudaGraphLaunch(executable, bench.first));
    assert_cuda(cudaStreamSynchronize(bench.first));
    assert_true(emulator_reports_of(CHECK_HOST, "missing wait between streams") >= 1);
    emulator_clear_reports();
}

static void a_graph_is_work_of_its_stream(void **state)
{
    (void)state;
    struct bench bench;
    open(&bench);
    cudaGraphExec_t executable = captured(&bench, true);
    assert_cuda(cudaGraphLaunch(executable, bench.first));
    assert_cuda(cudaMemsetAsync(bench.z, 0, BYTES, bench.second));
    assert_cuda(cudaDeviceSynchronize());
    assert_true(emulator_reports_of(CHECK_HOST, "missing wait between streams") >= 1);
    emulator_clear_reports();
    assert_cuda(cudaGraphLaunch(executable, bench.first));
    bench.source[0] = 100; /* too early */
    assert_cuda(cudaStreamSynchronize(bench.first));
    expect_reports(1, "the pinned source was changed");
}

static void a_graph_can_be_updated(void **state)
{
    (void)state;
    struct bench bench;
    cudaGraph_t graph;
    cudaGraphExecUpdateResultInfo info;
    open(&bench);
    assert_cuda(cudaMemset(bench.x, 0, BYTES));
    assert_cuda(cudaDeviceSynchronize());
    assert_cuda(cudaStreamBeginCapture(bench.first, cudaStreamCaptureModeGlobal));
    launch_plus(bench.y, bench.x, 3, COUNT, bench.first);
    assert_cuda(cudaStreamEndCapture(bench.first, &graph));
    cudaGraphExec_t executable;
    assert_cuda(cudaGraphInstantiate(&executable, graph, 0));
    assert_cuda(cudaGraphDestroy(graph));
    assert_cuda(cudaStreamBeginCapture(bench.first, cudaStreamCaptureModeGlobal));
    launch_plus(bench.y, bench.x, 5, COUNT, bench.first);
    assert_cuda(cudaStreamEndCapture(bench.first, &graph));
    assert_cuda(cudaGraphExecUpdate(executable, graph, &info));
    assert_cuda(cudaGraphLaunch(executable, bench.first));
    assert_cuda(cudaMemcpyAsync(bench.result, bench.y, BYTES, cudaMemcpyDeviceToHost, bench.first));
    assert_cuda(cudaStreamSynchronize(bench.first));
    assert_true(bench.result[11] == 5.0f);
    assert_cuda(cudaStreamBeginCapture(bench.first, cudaStreamCaptureModeGlobal));
    assert_cuda(cudaMemsetAsync(bench.y, 0, BYTES, bench.first));
    assert_cuda(cudaStreamEndCapture(bench.first, &graph));
    assert_cuda_error(cudaGraphExecUpdate(executable, graph, &info), cudaErrorGraphExecUpdateFailure);
    assert_int_equal(info.result, cudaGraphExecUpdateErrorNodeTypeChanged);
}

/* ---- what a capture forbids ---- */

static void begin(const struct bench *bench)
{
    assert_cuda(cudaStreamBeginCapture(bench->first, cudaStreamCaptureModeGlobal));
    launch_scale(bench->y, bench->x, 1.0f, COUNT, bench->first);
}

static void end_lost(const struct bench *bench)
{
    cudaGraph_t graph;
    assert_cuda_error(cudaMemsetAsync(bench->y, 0, BYTES, bench->first), cudaErrorStreamCaptureInvalidated);
    assert_cuda_error(cudaStreamEndCapture(bench->first, &graph), cudaErrorStreamCaptureInvalidated);
    assert_null(graph);
    (void)cudaGetLastError();
}

static void waits_and_allocations_lose_a_capture(void **state)
{
    (void)state;
    struct bench bench;
    void *memory;
    static float pageable[COUNT];
    open(&bench);
    begin(&bench);
    assert_cuda_error(cudaStreamSynchronize(bench.first), cudaErrorStreamCaptureUnsupported);
    end_lost(&bench);
    begin(&bench);
    assert_cuda_error(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
    end_lost(&bench);
    begin(&bench);
    assert_cuda_error(cudaMalloc(&memory, 16), cudaErrorStreamCaptureUnsupported);
    end_lost(&bench);
    begin(&bench);
    assert_cuda_error(cudaMemcpyAsync(bench.x, pageable, BYTES, cudaMemcpyHostToDevice, bench.first),
                      cudaErrorStreamCaptureUnsupported);
    end_lost(&bench);
}

static void branches_have_to_join(void **state)
{
    (void)state;
    struct bench bench;
    cudaGraph_t graph;
    open(&bench);
    begin(&bench);
    assert_cuda(cudaEventRecord(bench.fork, bench.first));
    assert_cuda_error(cudaEventQuery(bench.fork), cudaErrorCapturedEvent);
    assert_cuda(cudaStreamWaitEvent(bench.second, bench.fork, 0));
    launch_scale(bench.z, bench.x, 1.0f, COUNT, bench.second);
    assert_cuda_error(cudaStreamEndCapture(bench.first, &graph), cudaErrorStreamCaptureUnjoined);
    assert_cuda(cudaEventRecord(bench.join, bench.second));
    begin(&bench);
    assert_cuda_error(cudaStreamWaitEvent(bench.first, bench.join, 0), cudaErrorStreamCaptureIsolation);
    end_lost(&bench);
    cudaStream_t blocking;
    assert_cuda(cudaStreamCreate(&blocking));
    assert_cuda(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeGlobal));
    assert_cuda_error(cudaMemsetAsync(bench.x, 0, BYTES, NULL), cudaErrorStreamCaptureImplicit);
    assert_cuda_error(cudaStreamEndCapture(blocking, &graph), cudaErrorStreamCaptureInvalidated);
    assert_cuda_error(cudaStreamBeginCapture(NULL, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        runtime_test(a_replay_equals_the_calls),
        runtime_test(launches_in_a_row_are_ordered),
        runtime_test(a_missing_wait_inside_a_graph_is_reported),
        runtime_test(a_graph_is_work_of_its_stream),
        runtime_test(a_graph_can_be_updated),
        runtime_test(waits_and_allocations_lose_a_capture),
        runtime_test(branches_have_to_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
