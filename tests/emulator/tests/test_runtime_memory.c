/* Devices and memory of the emulated runtime: what devices say about themselves, what addresses are, copies of rows,
 * registered host memory, and several devices. */
#include "emulator/tests/runtime_kernels.h"
#include "emulator/tests/runtime_support.h"

#include <stdlib.h>
#include <string.h>

static void devices_describe_themselves(void **state)
{
    (void)state;
    int count = 0, device = -1, value = 0, version = 0;
    struct cudaDeviceProp properties;
    const struct machine_limits *limits = &emulator_settings()->limits;
    assert_cuda(cudaGetDeviceCount(&count));
    assert_int_equal(count, 2); /* main asks for two */
    assert_cuda(cudaGetDevice(&device));
    assert_int_equal(device, 0);
    assert_cuda(cudaGetDeviceProperties(&properties, 1));
    assert_int_equal(properties.major, limits->major);
    assert_int_equal(properties.sharedMemPerBlock, 48 * 1024);
    assert_int_equal(properties.sharedMemPerBlockOptin, limits->shared_per_block_optin);
    assert_int_equal(properties.multiProcessorCount, limits->processors);
    assert_int_equal(properties.warpSize, 32);
    assert_cuda(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
    assert_int_equal(value, limits->shared_per_block_optin);
    assert_cuda(cudaDeviceGetAttribute(&value, cudaDevAttrMaxGridDimY, 0));
    assert_int_equal(value, 65535);
    assert_cuda_error(cudaDeviceGetAttribute(&value, cudaDevAttrClockRate, 0), cudaErrorNotSupported);
    assert_cuda_error(cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, 2), cudaErrorInvalidDevice);
    assert_cuda_error(cudaSetDevice(2), cudaErrorInvalidDevice);
    assert_string_equal(cudaGetErrorName(cudaGetLastError()), "cudaErrorInvalidDevice");
    assert_string_equal(cudaGetErrorString(cudaErrorIllegalAddress), "an illegal memory access was encountered");
    assert_cuda(cudaRuntimeGetVersion(&version));
    assert_int_equal(version, CUDART_VERSION);
}

static void memory_is_counted(void **state)
{
    (void)state;
    size_t before, after, total;
    void *memory, *none = &memory;
    assert_cuda(cudaMemGetInfo(&before, &total));
    assert_int_equal(total, emulator_settings()->limits.total_memory);
    assert_cuda(cudaMalloc(&memory, (size_t)8 << 30)); /* costs nothing until it is touched */
    assert_cuda(cudaMemGetInfo(&after, &total));
    assert_true(before - after >= (size_t)8 << 30);
    assert_cuda_error(cudaMalloc(&none, total), cudaErrorMemoryAllocation);
    assert_cuda(cudaMalloc(&none, 0));
    assert_null(none);
    assert_cuda(cudaFree(none));
    assert_cuda(cudaMemset((char *)memory + ((size_t)5 << 30), 1, 100));
    assert_cuda(cudaFree(memory)); /* reported: the fill has not run */
    expect_reports(1, "cudaFree of memory that queued work");
    assert_cuda(cudaMemGetInfo(&after, &total));
    assert_true(after == before);
    (void)cudaGetLastError();
}

static void pointers_say_where_they_point(void **state)
{
    (void)state;
    struct cudaPointerAttributes attributes;
    float *pinned = pinned_floats(10), *device = device_floats(10), local = 0;
    assert_cuda(cudaPointerGetAttributes(&attributes, pinned + 3));
    assert_int_equal(attributes.type, cudaMemoryTypeHost);
    assert_ptr_equal(attributes.hostPointer, pinned + 3);
    assert_cuda(cudaPointerGetAttributes(&attributes, device + 9));
    assert_int_equal(attributes.type, cudaMemoryTypeDevice);
    assert_ptr_equal(attributes.devicePointer, device + 9);
    assert_cuda(cudaPointerGetAttributes(&attributes, device + 10));
    assert_int_equal(attributes.type, cudaMemoryTypeUnregistered);
    assert_cuda(cudaPointerGetAttributes(&attributes, &local));
    assert_int_equal(attributes.type, cudaMemoryTypeUnregistered);
}

static void rows_are_copied(void **state)
{
    (void)state;
    enum { ROWS = 5, WIDTH = 12, PITCH = 20 };
    unsigned char source[ROWS * WIDTH], result[ROWS * PITCH], *memory = (unsigned char *)device_floats(ROWS * PITCH);
    for (int i = 0; i < ROWS * WIDTH; i++)
        source[i] = (unsigned char)(i + 1);
    assert_cuda(cudaMemset(memory, 0xEE, ROWS * PITCH));
    assert_cuda(cudaMemcpy2D(memory, PITCH, source, WIDTH, WIDTH, ROWS, cudaMemcpyHostToDevice));
    assert_cuda(cudaMemset2D(memory + WIDTH, PITCH, 7, 3, ROWS));
    assert_cuda(cudaMemcpy(result, memory, ROWS * PITCH, cudaMemcpyDeviceToHost));
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < PITCH; c++) {
            int expected = c < WIDTH ? r * WIDTH + c + 1 : c < WIDTH + 3 ? 7 : 0xEE;
            assert_int_equal(result[r * PITCH + c], expected);
        }
    memset(source, 0, sizeof source);
    assert_cuda(cudaMemcpy2D(source, WIDTH, memory, PITCH, WIDTH, ROWS, cudaMemcpyDeviceToHost));
    assert_int_equal(source[ROWS * WIDTH - 1], ROWS * WIDTH);
    assert_cuda_error(cudaMemcpy2D(memory, WIDTH - 1, source, WIDTH, WIDTH, ROWS, cudaMemcpyHostToDevice),
                      cudaErrorInvalidPitchValue);
    assert_cuda(cudaMemcpy(memory, memory + 2 * PITCH, PITCH, cudaMemcpyDeviceToDevice));
    assert_cuda(cudaMemcpy(result, memory, PITCH, cudaMemcpyDeviceToHost));
    assert_int_equal(result[0], 2 * WIDTH + 1);
    assert_cuda(cudaMemcpy(memory, memory + 8, PITCH, cudaMemcpyDeviceToDevice));
    expect_reports(1, "source and destination overlap");
    (void)cudaGetLastError();
}

static void memory_that_nobody_wrote_is_not_to_be_read(void **state)
{
    (void)state;
    float host[4], *memory = device_floats(4);
    assert_cuda(cudaMemset(memory, 0, 12));
    assert_cuda(cudaMemcpy(host, memory, 12, cudaMemcpyDeviceToHost));
    assert_int_equal(emulator_report_count(), 0);
    assert_cuda(cudaMemcpy(host, memory, 16, cudaMemcpyDeviceToHost));
    assert_int_equal(emulator_reports_of(CHECK_UNINITIALISED, NULL), 1);
    emulator_clear_reports();
}

static void host_memory_can_be_registered(void **state)
{
    (void)state;
    cudaStream_t stream;
    void *memory = malloc(8192);
    float *device = device_floats(2048);
    assert_non_null(memory);
    memset(memory, 0, 8192);
    assert_cuda(cudaStreamCreate(&stream));
    assert_cuda(cudaHostRegister(memory, 8192, cudaHostRegisterDefault));
    assert_cuda_error(cudaHostRegister((char *)memory + 4096, 16, 0), cudaErrorHostMemoryAlreadyRegistered);
    assert_cuda(cudaMemcpyAsync(device, memory, 8192, cudaMemcpyHostToDevice, stream));
    ((char *)memory)[5000] = 1;
    assert_cuda(cudaStreamSynchronize(stream));
    expect_reports(1, "the pinned source was changed");
    assert_cuda(cudaHostUnregister(memory));
    assert_cuda_error(cudaHostUnregister(memory), cudaErrorHostMemoryNotRegistered);
    assert_cuda(cudaMemcpyAsync(device, memory, 8192, cudaMemcpyHostToDevice, stream)); /* staged */
    ((char *)memory)[5000] = 2;
    assert_cuda(cudaStreamSynchronize(stream));
    assert_int_equal(emulator_counters().pageable_copies, 1);
    free(memory);
    (void)cudaGetLastError();
}

static void devices_are_apart(void **state)
{
    (void)state;
    cudaStream_t streams[2];
    cudaEvent_t event;
    float *memory[2], *source = pinned_floats(100), *result = pinned_floats(100);
    for (int i = 0; i < 2; i++) {
        assert_cuda(cudaSetDevice(i));
        assert_cuda(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking));
        memory[i] = device_floats(100);
    }
    assert_cuda(cudaMemcpyAsync(memory[1], source, 400, cudaMemcpyHostToDevice, streams[1]));
    launch_scale(memory[1], memory[1], 2.0f, 100, streams[1]);
    assert_cuda(cudaGetLastError());
    assert_cuda(cudaEventCreate(&event));
    assert_cuda_error(cudaEventRecord(event, streams[0]), cudaErrorInvalidResourceHandle);
    assert_cuda(cudaEventRecord(event, streams[1]));
    assert_cuda(cudaSetDevice(0));
    launch_scale(memory[0], memory[0], 2.0f, 100, streams[1]); /* a stream of the other device */
    assert_cuda_error(cudaGetLastError(), cudaErrorInvalidResourceHandle);
    assert_cuda(cudaStreamWaitEvent(streams[0], event, 0));
    assert_cuda(cudaMemcpyAsync(memory[0], memory[1], 400, cudaMemcpyDefault, streams[0]));
    launch_plus(memory[0], memory[0], 3, 100, streams[0]);
    assert_cuda(cudaMemcpyAsync(result, memory[0], 400, cudaMemcpyDeviceToHost, streams[0]));
    assert_cuda(cudaStreamSynchronize(streams[0]));
    assert_true(result[99] == 201.0f);
    launch_plus(memory[0], memory[1], 3, 100, streams[0]); /* without access between peers */
    assert_cuda_error(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    assert_int_equal(emulator_reports_of(CHECK_BOUNDS, NULL), 1);
    emulator_clear_reports();
    assert_cuda(cudaSetDevice(1)); /* the other one lives on */
    assert_cuda(cudaMemset(memory[1], 0, 400));
    assert_cuda(cudaDeviceSynchronize());
}

int main(void)
{
    setenv("EMULATOR_DEVICES", "2", 1);
    const struct CMUnitTest tests[] = {
        runtime_test(devices_describe_themselves),
        runtime_test(memory_is_counted),
        runtime_test(pointers_say_where_they_point),
        runtime_test(rows_are_copied),
        runtime_test(memory_that_nobody_wrote_is_not_to_be_read),
        runtime_test(host_memory_can_be_registered),
        runtime_test(devices_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
