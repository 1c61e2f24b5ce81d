/* Streams and events of the emulated runtime: what is ordered, what is not, and that a program which relies on an order
 * that nothing gives it is told. Only copies and fills are used; kernels have test_runtime_launch.c. */
#include "emulator/tests/runtime_support.h"

#include <string.h>

enum { COUNT = 1000, BYTES = COUNT * 4 };

static cudaStream_t new_stream(void)
{
    cudaStream_t stream;
    assert_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
}

static cudaEvent_t new_event(void)
{
    cudaEvent_t event;
    assert_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    return event;
}

static void work_waits_until_it_is_needed(void **state)
{
    (void)state;
    cudaStream_t stream = new_stream();
    float *source = pinned_floats(COUNT), *result = pinned_floats(COUNT), *memory = device_floats(COUNT);
    assert_cuda(cudaMemcpyAsync(memory, source, BYTES, cudaMemcpyHostToDevice, stream));
    assert_cuda(cudaMemcpyAsync(result, memory, BYTES, cudaMemcpyDeviceToHost, stream));
    assert_int_equal(emulator_pending(), 2);
    assert_int_equal(((unsigned char *)result)[17], 0xCD); /* a destination holds nothing yet */
    assert_cuda_error(cudaStreamQuery(stream), cudaErrorNotReady);
    assert_int_equal(emulator_pending(), 1);
    assert_cuda_error(cudaStreamQuery(stream), cudaErrorNotReady);
    assert_cuda(cudaStreamQuery(stream));
    assert_memory_equal(source, result, BYTES);
    assert_cuda(cudaGetLastError()); /* cudaErrorNotReady is no error */
    struct emulator_counters counters = emulator_counters();
    assert_int_equal(counters.pinned_copies, 2);
    assert_int_equal(counters.pageable_copies, 0);
    assert_int_equal(counters.copied_to_device, BYTES);
    assert_int_equal(counters.synchronizations, 0);
}

static void a_missing_wait_between_streams_is_reported(void **state)
{
    (void)state;
    cudaStream_t first = new_stream(), second = new_stream();
    float *source = pinned_floats(COUNT), *result = pinned_floats(COUNT), *memory = device_floats(COUNT);
    assert_cuda(cudaMemset(memory, 0, BYTES));
    assert_cuda(cudaDeviceSynchronize());
    assert_cuda(cudaMemcpyAsync(memory, source, BYTES, cudaMemcpyHostToDevice, first));
    assert_cuda(cudaMemcpyAsync(result, memory, BYTES, cudaMemcpyDeviceToHost, second));
    assert_cuda(cudaStreamSynchronize(second));
    assert_true(result[5] == 0.0f); /* stale: nothing made the first stream run */
    assert_cuda(cudaStreamSynchronize(first));
    expect_reports(1, "missing wait between streams");
}

static void an_event_orders_two_streams(void **state)
{
    (void)state;
    cudaStream_t first = new_stream(), second = new_stream();
    cudaEvent_t event = new_event(), back = new_event();
    float *source = pinned_floats(COUNT), *result = pinned_floats(COUNT), *memory = device_floats(COUNT);
    for (int round = 0; round < 3; round++) {
        assert_cuda(cudaMemcpyAsync(memory, source, BYTES, cudaMemcpyHostToDevice, first));
        assert_cuda(cudaEventRecord(event, first));
        assert_cuda(cudaStreamWaitEvent(second, event, 0));
        assert_cuda(cudaMemcpyAsync(result, memory, BYTES, cudaMemcpyDeviceToHost, second));
        assert_cuda(cudaEventRecord(back, second));
        assert_cuda(cudaStreamWaitEvent(first, back, 0));
    }
    assert_cuda(cudaEventSynchronize(back));
    assert_memory_equal(source, result, BYTES);
    assert_int_equal(emulator_pending(), 1); /* the first stream's last wait, which nobody needs */
}

/* The wait for the reader is missing: the next write may overtake it. */
static void a_write_that_may_overtake_a_read_is_reported(void **state)
{
    (void)state;
    cudaStream_t first = new_stream(), second = new_stream();
    cudaEvent_t event = new_event();
    float *result = pinned_floats(COUNT), *memory = device_floats(COUNT);
    assert_cuda(cudaMemsetAsync(memory, 1, BYTES, first));
    assert_cuda(cudaEventRecord(event, first));
    assert_cuda(cudaStreamWaitEvent(second, event, 0));
    assert_cuda(cudaMemcpyAsync(result, memory, BYTES, cudaMemcpyDeviceToHost, second));
    assert_cuda(cudaMemsetAsync(memory, 2, BYTES, first));
    assert_cuda(cudaStreamSynchronize(second));
    assert_cuda(cudaStreamSynchronize(first));
    expect_reports(1, "cudaMemsetAsync writes device memory that cudaMemcpyAsync reads");
}

/* An event marks what was in the stream when it was recorded, not what came later. */
static void an_event_recorded_too_early_does_not_help(void **state)
{
    (void)state;
    cudaStream_t first = new_stream(), second = new_stream();
    cudaEvent_t event = new_event();
    float *result = pinned_floats(COUNT), *memory = device_floats(COUNT);
    assert_cuda(cudaEventRecord(event, first));
    assert_cuda(cudaMemsetAsync(memory, 1, BYTES, first));
    assert_cuda(cudaStreamWaitEvent(second, event, 0));
    assert_cuda(cudaMemsetAsync(memory, 2, BYTES, second));
    assert_cuda(cudaMemcpyAsync(result, memory, BYTES, cudaMemcpyDeviceToHost, second));
    assert_cuda(cudaDeviceSynchronize());
    assert_true(emulator_reports_of(CHECK_HOST, "missing wait") >= 1);
    emulator_clear_reports();
}

/* Parts of one allocation are separate: an arena is no reason for waits. Nor are columns of one matrix. */
static void different_ranges_need_no_wait(void **state)
{
    (void)state;
    cudaStream_t first = new_stream(), second = new_stream();
    char *memory = (char *)device_floats(COUNT);
    assert_cuda(cudaMemsetAsync(memory, 1, 2000, first));
    assert_cuda(cudaMemsetAsync(memory + 2000, 2, 2000, second));
    assert_cuda(cudaDeviceSynchronize());
    assert_cuda(cudaMemset2DAsync(memory, 100, 1, 40, 20, first));
    assert_cuda(cudaMemset2DAsync(memory + 40, 100, 2, 60, 20, second));
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(0, NULL);
    assert_cuda(cudaMemset2DAsync(memory, 100, 1, 41, 20, first));
    assert_cuda(cudaMemset2DAsync(memory + 40, 100, 2, 60, 20, second));
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(1, "missing wait");
}

static void a_wait_of_the_host_orders_everything(void **state)
{
    (void)state;
    cudaStream_t first = new_stream(), second = new_stream();
    float *memory = device_floats(COUNT);
    for (int round = 0; round < 200; round++) {
        assert_cuda(cudaMemsetAsync(memory, round, BYTES, first));
        assert_cuda(cudaStreamSynchronize(first));
        assert_cuda(cudaMemsetAsync(memory, round, BYTES, second));
        cudaError_t error;
        while ((error = cudaStreamQuery(second)) == cudaErrorNotReady) {
        }
        assert_cuda(error);
    }
}

static void the_legacy_stream_orders_blocking_streams_only(void **state)
{
    (void)state;
    cudaStream_t blocking, other = new_stream();
    assert_cuda(cudaStreamCreate(&blocking));
    float *memory = device_floats(COUNT), *result = pinned_floats(COUNT);
    assert_cuda(cudaMemsetAsync(memory, 1, BYTES, blocking));
    assert_cuda(cudaMemset(memory, 2, BYTES));
    assert_cuda(cudaMemsetAsync(memory, 3, BYTES, blocking));
    assert_int_equal(emulator_counters().fills, 0); /* none of them waits */
    assert_cuda(cudaMemcpy(result, memory, BYTES, cudaMemcpyDeviceToHost));
    assert_int_equal(((unsigned char *)result)[0], 3);
    expect_reports(0, NULL);
    assert_cuda(cudaMemset(memory, 4, BYTES));
    assert_cuda(cudaMemsetAsync(memory, 5, BYTES, other));
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(1, "missing wait");
}

/* The manual: the last piece of a pageable source may be under way when cudaMemcpy returns. */
static void a_blocking_copy_from_pageable_memory_promises_nothing_to_other_streams(void **state)
{
    (void)state;
    cudaStream_t other = new_stream();
    static float source[COUNT];
    float *memory = device_floats(COUNT), *result = pinned_floats(COUNT);
    assert_cuda(cudaMemcpy(memory, source, BYTES, cudaMemcpyHostToDevice));
    assert_cuda(cudaMemcpyAsync(result, memory, BYTES, cudaMemcpyDeviceToHost, other));
    assert_cuda(cudaStreamSynchronize(other));
    assert_cuda(cudaDeviceSynchronize());
    assert_true(emulator_reports_of(CHECK_HOST, "missing wait") == 1);
    emulator_clear_reports();
    source[3] = 1;
    assert_cuda(cudaMemcpy(memory, source, BYTES, cudaMemcpyHostToDevice));
    source[3] = 2; /* staged: the program may go on */
    assert_cuda(cudaMemcpy(result, memory, BYTES, cudaMemcpyDeviceToHost));
    assert_true(result[3] == 1);
    assert_int_equal(emulator_counters().pageable_copies, 2);
}

/* ---- host memory ---- */

static void a_pinned_source_that_changes_early_is_reported(void **state)
{
    (void)state;
    cudaStream_t stream = new_stream();
    float *source = pinned_floats(COUNT), *memory = device_floats(COUNT);
    assert_cuda(cudaMemcpyAsync(memory, source, BYTES, cudaMemcpyHostToDevice, stream));
    source[999] = -1;
    assert_cuda(cudaStreamSynchronize(stream));
    expect_reports(1, "the pinned source was changed");
    assert_cuda(cudaMemcpyAsync(memory, source, BYTES, cudaMemcpyHostToDevice, stream));
    assert_cuda(cudaStreamSynchronize(stream));
    source[0] = 5;
}

static void a_pinned_destination_that_is_written_early_is_reported(void **state)
{
    (void)state;
    cudaStream_t stream = new_stream();
    float *result = pinned_floats(COUNT), *memory = device_floats(COUNT);
    assert_cuda(cudaMemsetAsync(memory, 0, BYTES, stream));
    assert_cuda(cudaMemcpyAsync(result, memory, BYTES, cudaMemcpyDeviceToHost, stream));
    result[1] = 7;
    assert_cuda(cudaStreamSynchronize(stream));
    expect_reports(1, "the pinned destination was written");
}

/* A buffer that goes down and comes up again in one stream is used as it should be. */
static void pinned_memory_may_be_reused_in_stream_order(void **state)
{
    (void)state;
    cudaStream_t stream = new_stream();
    float *buffer = pinned_floats(COUNT), *a = device_floats(COUNT), *b = device_floats(COUNT);
    assert_cuda(cudaMemsetAsync(b, 0, BYTES, stream));
    assert_cuda(cudaMemcpyAsync(a, buffer, BYTES, cudaMemcpyHostToDevice, stream));
    assert_cuda(cudaMemcpyAsync(buffer, b, BYTES, cudaMemcpyDeviceToHost, stream));
    assert_cuda(cudaMemcpyAsync(b, buffer, BYTES, cudaMemcpyHostToDevice, stream));
    assert_cuda(cudaStreamSynchronize(stream));
    assert_true(buffer[9] == 0.0f);
    expect_reports(0, NULL);
    cudaStream_t other = new_stream();
    assert_cuda(cudaMemcpyAsync(a, buffer, BYTES, cudaMemcpyHostToDevice, stream));
    assert_cuda(cudaMemcpyAsync(buffer, b, BYTES, cudaMemcpyDeviceToHost, other));
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(1, "missing wait between streams");
}

static void memory_freed_while_it_is_used_is_reported(void **state)
{
    (void)state;
    cudaStream_t stream = new_stream();
    float *buffer = pinned_floats(COUNT), *memory = device_floats(COUNT);
    assert_cuda(cudaMemcpyAsync(memory, buffer, BYTES, cudaMemcpyHostToDevice, stream));
    assert_cuda(cudaFreeHost(buffer));
    expect_reports(1, "cudaFreeHost of memory that queued work");
    assert_cuda(cudaMemsetAsync(memory, 0, BYTES, stream));
    assert_cuda(cudaFree(memory));
    expect_reports(1, "cudaFree of memory that queued work");
    assert_int_equal(emulator_pending(), 0);
    assert_cuda_error(cudaFree(memory), cudaErrorInvalidValue);
    expect_reports(1, "where no allocation");
}

static void memory_may_be_freed_in_stream_order(void **state)
{
    (void)state;
    cudaStream_t stream = new_stream(), other = new_stream();
    void *memory;
    assert_cuda(cudaMallocAsync(&memory, BYTES, stream));
    assert_cuda(cudaMemsetAsync(memory, 0, BYTES, stream));
    assert_cuda(cudaFreeAsync(memory, stream));
    assert_cuda_error(cudaMemsetAsync(memory, 0, BYTES, stream), cudaErrorInvalidValue); /* it is gone */
    assert_cuda(cudaStreamSynchronize(stream));
    assert_int_equal(emulator_counters().releases, 1);
    assert_cuda(cudaMallocAsync(&memory, BYTES, stream));
    assert_cuda(cudaMemsetAsync(memory, 0, BYTES, other)); /* does not wait for the allocation */
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(1, "missing wait");
    assert_cuda(cudaMemsetAsync(memory, 0, BYTES, other));
    assert_cuda(cudaFreeAsync(memory, stream)); /* nor this for the fill */
    assert_cuda(cudaStreamSynchronize(stream));
    assert_cuda(cudaStreamSynchronize(other));
    assert_true(emulator_report_count() >= 1);
    emulator_clear_reports();
}

/* ---- handles ---- */

static void destroyed_handles_are_refused(void **state)
{
    (void)state;
    cudaStream_t stream = new_stream();
    cudaEvent_t event = new_event();
    float *memory = device_floats(COUNT);
    assert_cuda(cudaMemsetAsync(memory, 7, BYTES, stream));
    assert_cuda(cudaStreamDestroy(stream)); /* its work still runs */
    assert_cuda_error(cudaMemsetAsync(memory, 8, BYTES, stream), cudaErrorInvalidResourceHandle);
    expect_reports(1, "never created or is destroyed");
    assert_cuda(cudaDeviceSynchronize());
    assert_int_equal(emulator_counters().fills, 1);
    assert_cuda(cudaEventDestroy(event));
    assert_cuda_error(cudaEventQuery(event), cudaErrorInvalidResourceHandle);
    expect_reports(1, "an event is used that was never created");
    assert_cuda_error(cudaGetLastError(), cudaErrorInvalidResourceHandle);
    assert_cuda(cudaGetLastError());
}

static void many_streams_come_and_go(void **state)
{
    (void)state;
    float *memory = device_floats(COUNT);
    for (int i = 0; i < 1000; i++) {
        cudaStream_t stream = new_stream();
        assert_cuda(cudaMemsetAsync(memory, i, BYTES, stream));
        assert_cuda(cudaStreamSynchronize(stream));
        assert_cuda(cudaStreamDestroy(stream));
    }
}

static void events_measure_time(void **state)
{
    (void)state;
    cudaStream_t stream = new_stream();
    cudaEvent_t start, end, silent = new_event();
    float milliseconds = -1;
    float *memory = device_floats(COUNT);
    assert_cuda(cudaEventCreate(&start));
    assert_cuda(cudaEventCreate(&end));
    assert_cuda(cudaEventQuery(start)); /* never recorded: the past */
    assert_cuda(cudaEventRecord(start, stream));
    assert_cuda(cudaMemsetAsync(memory, 0, BYTES, stream));
    assert_cuda(cudaEventRecord(end, stream));
    assert_cuda_error(cudaEventElapsedTime(&milliseconds, start, end), cudaErrorNotReady);
    assert_cuda(cudaEventSynchronize(end));
    assert_cuda(cudaEventElapsedTime(&milliseconds, start, end));
    assert_true(milliseconds >= 0 && milliseconds < 1e4f);
    assert_cuda(cudaEventRecord(silent, stream));
    assert_cuda(cudaEventSynchronize(silent));
    assert_cuda_error(cudaEventElapsedTime(&milliseconds, start, silent), cudaErrorInvalidResourceHandle);
}

struct note {
    const float *memory;
    float seen;
    cudaError_t error;
};

static void take_note(void *data)
{
    struct note *note = data;
    note->seen = note->memory[3];
    note->error = cudaDeviceSynchronize();
}

static void host_functions_run_in_order_and_call_nothing(void **state)
{
    (void)state;
    cudaStream_t stream = new_stream();
    float *source = pinned_floats(COUNT), *result = pinned_floats(COUNT), *memory = device_floats(COUNT);
    struct note note = {.memory = result};
    assert_cuda(cudaMemcpyAsync(memory, source, BYTES, cudaMemcpyHostToDevice, stream));
    assert_cuda(cudaMemcpyAsync(result, memory, BYTES, cudaMemcpyDeviceToHost, stream));
    assert_cuda(cudaLaunchHostFunc(stream, take_note, &note));
    assert_cuda(cudaStreamSynchronize(stream));
    assert_true(note.seen == 3.0f);
    assert_int_equal(note.error, cudaErrorNotPermitted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        runtime_test(work_waits_until_it_is_needed),
        runtime_test(a_missing_wait_between_streams_is_reported),
        runtime_test(an_event_orders_two_streams),
        runtime_test(a_write_that_may_overtake_a_read_is_reported),
        runtime_test(an_event_recorded_too_early_does_not_help),
        runtime_test(different_ranges_need_no_wait),
        runtime_test(a_wait_of_the_host_orders_everything),
        runtime_test(the_legacy_stream_orders_blocking_streams_only),
        runtime_test(a_blocking_copy_from_pageable_memory_promises_nothing_to_other_streams),
        runtime_test(a_pinned_source_that_changes_early_is_reported),
        runtime_test(a_pinned_destination_that_is_written_early_is_reported),
        runtime_test(pinned_memory_may_be_reused_in_stream_order),
        runtime_test(memory_freed_while_it_is_used_is_reported),
        runtime_test(memory_may_be_freed_in_stream_order),
        runtime_test(destroyed_handles_are_refused),
        runtime_test(many_streams_come_and_go),
        runtime_test(events_measure_time),
        runtime_test(host_functions_run_in_order_and_call_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
