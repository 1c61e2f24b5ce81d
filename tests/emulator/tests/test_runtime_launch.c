/* Launches through the emulated runtime: nvcc's <<<>>> and the calls that launch by symbol, parameters, variables, what a
 * device refuses, and what an illegal access leaves. */
#include "emulator/tests/runtime_kernels.h"
#include "emulator/tests/runtime_support.h"

#include <string.h>

enum { COUNT = 1000, BYTES = COUNT * 4 };

static float *uploaded(int64_t count)
{
    float *source = pinned_floats(count), *memory = device_floats(count);
    assert_cuda(cudaMemcpy(memory, source, (size_t)count * 4, cudaMemcpyHostToDevice));
    assert_cuda(cudaFreeHost(source));
    return memory;
}

static void download(float *host, const float *memory, int64_t count)
{
    assert_cuda(cudaMemcpy(host, memory, (size_t)count * 4, cudaMemcpyDeviceToHost));
}

static void several_kernels_in_one_stream(void **state)
{
    (void)state;
    float *x = uploaded(COUNT), *y = device_floats(COUNT), *z = device_floats(COUNT), host[COUNT];
    launch_scale(y, x, 0.5f, COUNT, NULL);
    launch_plus(z, y, 3, COUNT, NULL);
    launch_plus(y, z, 5, COUNT, NULL);
    launch_affine((struct affine){.y = z, .x = y, .factor = {2.0f, -1.0f}, .count = COUNT, .shift = -7}, NULL);
    launch_reverse(z, 512, 0, NULL);
    assert_cuda(cudaGetLastError());
    assert_int_equal(emulator_counters().launches, 0); /* nothing needed them yet */
    download(host, z, COUNT);
    assert_int_equal(emulator_counters().launches, 5);
    for (int i = 0; i < COUNT; i++) {
        int from = i < 512 ? 511 - i : i;
        float value = 0.5f * (float)from + 8.0f;
        assert_true(host[i] == (from & 1 ? -value : 2.0f * value) - 7.0f);
    }
}

static void variables_of_modules(void **state)
{
    (void)state;
    const float table[TABLE_COUNT] = {1, 2, 4, 8, 16, 32, 64, 128}, added = 0.25f, last = 1000;
    float *x = device_floats(COUNT), host[COUNT], back[TABLE_COUNT];
    size_t bytes;
    void *address;
    assert_cuda(cudaMemcpyToSymbol(symbol_table(), table, sizeof table, 0, cudaMemcpyHostToDevice));
    assert_cuda(cudaMemcpyToSymbol(symbol_added(), &added, sizeof added, 0, cudaMemcpyHostToDevice));
    launch_table(x, COUNT, NULL);
    download(host, x, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_true(host[i] == table[i % TABLE_COUNT] + 0.25f);
    assert_cuda(cudaMemcpyToSymbol(symbol_table(), &last, sizeof last, 28, cudaMemcpyHostToDevice));
    assert_cuda(cudaMemcpyFromSymbol(back, symbol_table(), sizeof back, 0, cudaMemcpyDeviceToHost));
    assert_true(back[0] == 1 && back[6] == 64 && back[7] == 1000);
    launch_table(x, COUNT, NULL);
    int launches = -1;
    assert_cuda(cudaGetSymbolAddress(&address, symbol_launches()));
    assert_cuda(cudaMemcpy(&launches, address, sizeof launches, cudaMemcpyDeviceToHost));
    assert_int_equal(launches, 2); /* from the module's 0 */
    assert_cuda(cudaGetSymbolSize(&bytes, symbol_table()));
    assert_int_equal(bytes, sizeof table);
    assert_cuda_error(cudaMemcpyToSymbol(symbol_table(), table, sizeof table, 4, cudaMemcpyHostToDevice),
                      cudaErrorInvalidValue);
    assert_cuda_error(cudaGetSymbolAddress(&address, host), cudaErrorInvalidSymbol);
}

static void launches_by_symbol(void **state)
{
    (void)state;
    float *x = uploaded(COUNT), *y = device_floats(COUNT), host[COUNT], factor = 3;
    const float *source = x;
    int count = COUNT;
    void *arguments[] = {&y, &source, &factor, &count};
    assert_cuda(cudaLaunchKernel(symbol_scale(), (dim3){8, 1, 1}, (dim3){128, 1, 1}, arguments, 0, NULL));
    factor = 100; /* parameters are copied when the call is made */
    download(host, y, COUNT);
    assert_true(host[999] == 2997.0f);
    cudaLaunchConfig_t config = {.gridDim = {8, 1, 1}, .blockDim = {128, 1, 1}};
    assert_cuda(cudaLaunchKernelExC(&config, symbol_scale(), arguments));
    download(host, y, COUNT);
    assert_true(host[999] == 99900.0f);
    cudaLaunchAttribute attribute = {.id = cudaLaunchAttributeCooperative, .val.cooperative = 1};
    config.attrs = &attribute;
    config.numAttrs = 1;
    assert_cuda_error(cudaLaunchKernelExC(&config, symbol_scale(), arguments), cudaErrorNotSupported);
    assert_cuda_error(cudaLaunchKernel(host, (dim3){1, 1, 1}, (dim3){1, 1, 1}, arguments, 0, NULL),
                      cudaErrorInvalidDeviceFunction);
}

/* ---- limits ---- */

static void shared_memory_beyond_48_kb_is_opted_into(void **state)
{
    (void)state;
    float *x = uploaded(256);
    launch_reverse(x, 256, 48 * 1024 - 1024, NULL);
    assert_cuda(cudaGetLastError());
    launch_reverse(x, 256, 48 * 1024 - 1023, NULL);
    assert_cuda_error(cudaGetLastError(), cudaErrorInvalidValue);
    int limit = (int)emulator_settings()->limits.shared_per_block_optin;
    const enum cudaFuncAttribute shared = cudaFuncAttributeMaxDynamicSharedMemorySize;
    assert_cuda_error(cudaFuncSetAttribute(symbol_reverse(), shared, limit + 1), cudaErrorInvalidValue);
    assert_cuda(cudaFuncSetAttribute(symbol_reverse(), shared, limit));
    launch_reverse(x, 256, (size_t)limit - 1024, NULL);
    (void)cudaGetLastError(); /* that of the refused attribute */
    launch_reverse(x, 256, (size_t)limit - 1024, NULL);
    assert_cuda(cudaGetLastError());
    launch_reverse(x, 256, (size_t)limit - 1023, NULL);
    assert_cuda_error(cudaGetLastError(), cudaErrorInvalidValue);
    struct cudaFuncAttributes attributes;
    assert_cuda(cudaFuncGetAttributes(&attributes, symbol_reverse()));
    assert_int_equal(attributes.maxDynamicSharedSizeBytes, limit);
    assert_cuda(cudaDeviceSynchronize());
}

static void grids_and_blocks_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    float *x = uploaded(2048);
    launch_grid_y(x, 65536, NULL);
    assert_cuda_error(cudaGetLastError(), cudaErrorInvalidConfiguration);
    launch_grid_y(x, 0, NULL);
    assert_cuda_error(cudaGetLastError(), cudaErrorInvalidConfiguration);
    launch_reverse(x, 1025, 0, NULL);
    assert_cuda_error(cudaGetLastError(), cudaErrorInvalidConfiguration);
    launch_bounded(x, 128, NULL);
    assert_cuda(cudaGetLastError());
    launch_bounded(x, 129, NULL);
    assert_cuda_error(cudaGetLastError(), cudaErrorInvalidValue);
    int blocks;
    assert_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, symbol_bounded(), 128, 0));
    assert_int_equal(blocks, 16); /* 2048 threads */
    assert_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, symbol_reverse(), 32, 40 * 1024));
    assert_int_equal(blocks, 164 / 41);
    assert_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, symbol_bounded(), 160, 0));
    assert_int_equal(blocks, 0);
    assert_cuda(cudaDeviceSynchronize());
    assert_int_equal(emulator_counters().launches, 1);
}

/* ---- illegal accesses ---- */

static void an_illegal_access_loses_the_device(void **state)
{
    (void)state;
    float *x = uploaded(COUNT), host[COUNT];
    launch_wild(x, BYTES, NULL);
    assert_cuda(cudaGetLastError()); /* not known yet */
    assert_cuda_error(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    assert_cuda_error(cudaMemcpy(host, x, BYTES, cudaMemcpyDeviceToHost), cudaErrorIllegalAddress);
    assert_cuda_error(cudaGetLastError(), cudaErrorIllegalAddress);
    assert_cuda_error(cudaGetLastError(), cudaErrorIllegalAddress); /* it stays */
    void *memory;
    assert_cuda_error(cudaMalloc(&memory, 16), cudaErrorIllegalAddress);
    assert_int_equal(emulator_reports_of(CHECK_BOUNDS, NULL), 1);
    emulator_clear_reports();
    assert_cuda(cudaDeviceReset());
    x = uploaded(COUNT);
    launch_wild(x, BYTES - 4, NULL);
    assert_cuda(cudaDeviceSynchronize());
    launch_wild(x, 2, NULL);
    assert_cuda_error(cudaDeviceSynchronize(), cudaErrorMisalignedAddress);
    assert_int_equal(emulator_reports_of(CHECK_ALIGNMENT, NULL), 1);
    emulator_clear_reports();
    assert_cuda(cudaDeviceReset());
}

/* ---- kernels and streams ---- */

static void kernels_of_two_streams_need_a_wait(void **state)
{
    (void)state;
    cudaStream_t first, second;
    cudaEvent_t event;
    float *x = uploaded(COUNT), *y = device_floats(COUNT), *z = device_floats(COUNT);
    assert_cuda(cudaDeviceSynchronize());
    assert_cuda(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking));
    assert_cuda(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
    assert_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    launch_scale(y, x, 2, COUNT, first);
    launch_scale(z, x, 3, COUNT, second); /* both only read x */
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(0, NULL);
    launch_scale(y, x, 2, COUNT, first);
    assert_cuda(cudaEventRecord(event, first));
    assert_cuda(cudaStreamWaitEvent(second, event, 0));
    launch_scale(z, y, 3, COUNT, second);
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(0, NULL);
    launch_scale(y, x, 2, COUNT, first);
    launch_scale(z, y, 3, COUNT, second);
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(1, "missing wait between streams");
    launch_scale(y, x, 2, 500, first); /* halves of one tensor */
    launch_scale(y + 500, x, 2, 500, second);
    assert_cuda(cudaDeviceSynchronize());
    expect_reports(0, NULL);
}

static void a_missing_synchronize_shows_old_data(void **state)
{
    (void)state;
    cudaStream_t stream;
    float *x = uploaded(COUNT), *y = device_floats(COUNT), *result = pinned_floats(COUNT);
    assert_cuda(cudaStreamCreate(&stream));
    launch_scale(y, x, 2, COUNT, stream);
    assert_cuda(cudaMemcpyAsync(result, y, BYTES, cudaMemcpyDeviceToHost, stream));
    assert_true(result[7] != 14.0f);
    assert_cuda(cudaStreamSynchronize(stream));
    assert_true(result[7] == 14.0f);
}

static void memory_of_a_queued_kernel_is_not_to_be_freed(void **state)
{
    (void)state;
    float *x = uploaded(COUNT), *y = device_floats(COUNT);
    launch_affine((struct affine){.y = y, .x = x, .factor = {1, 1}, .count = COUNT}, NULL);
    assert_cuda(cudaFree(x));
    expect_reports(1, "cudaFree of memory that queued work");
    assert_int_equal(emulator_counters().launches, 1);
    assert_cuda(cudaFree(y));
}

static void copies_to_places_that_are_too_small_are_refused(void **state)
{
    (void)state;
    float *x = uploaded(COUNT), host[COUNT];
    void *entry = host;
    assert_cuda_error(cudaMemcpy(host, x, BYTES + 1, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    assert_cuda_error(cudaMemcpy(x, host, BYTES, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    assert_cuda_error(cudaMemset(x + 1, 0, BYTES), cudaErrorInvalidValue);
    assert_cuda(cudaMemcpy(host, x, BYTES, cudaMemcpyDefault));
    assert_true(host[77] == 77.0f);
    enum cudaDriverEntryPointQueryResult result;
    assert_cuda_error(cudaGetDriverEntryPointByVersion("cuMemAlloc", &entry, 12000, 0, &result), cudaErrorNotSupported);
    assert_null(entry);
    expect_reports(1, "the driver's interface is not emulated");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        runtime_test(several_kernels_in_one_stream),
        runtime_test(variables_of_modules),
        runtime_test(launches_by_symbol),
        runtime_test(shared_memory_beyond_48_kb_is_opted_into),
        runtime_test(grids_and_blocks_beyond_the_limits_are_refused),
        runtime_test(an_illegal_access_loses_the_device),
        runtime_test(kernels_of_two_streams_need_a_wait),
        runtime_test(a_missing_synchronize_shows_old_data),
        runtime_test(memory_of_a_queued_kernel_is_not_to_be_freed),
        runtime_test(copies_to_places_that_are_too_small_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
