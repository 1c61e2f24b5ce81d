/* What the tests of the emulated runtime share: every test starts with new devices and must end without reports that it
 * has not looked at. */
#ifndef SPIRITLM_EMULATOR_RUNTIME_SUPPORT_H
#define SPIRITLM_EMULATOR_RUNTIME_SUPPORT_H

#include "support/test_support.h"

#include <cuda_runtime_api.h>

#include "emulator/runtime/emulator.h"

#define assert_cuda(call) assert_int_equal((call), cudaSuccess)
#define assert_cuda_error(call, error) assert_int_equal((call), (error))

static inline int runtime_test_begin(void **state)
{
    (void)state;
    emulator_reset();
    return 0;
}

static inline int runtime_test_end(void **state)
{
    (void)state;
    int64_t count = emulator_report_count();
    if (count)
        emulator_print_reports(stderr);
    emulator_clear_reports();
    return count ? -1 : 0;
}

/* Exactly `count` reports of the host's side contain `part`, and there are no others. */
static inline void expect_reports(int64_t count, const char *part)
{
    if (emulator_reports_of(CHECK_HOST, part) != count || emulator_report_count() != count) {
        emulator_print_reports(stderr);
        fail_msg("expected %lld reports with \"%s\" and no others", (long long)count, part ? part : "");
    }
    emulator_clear_reports();
}

#define runtime_test(function) cmocka_unit_test_setup_teardown(function, runtime_test_begin, runtime_test_end)

static inline float *device_floats(int64_t count)
{
    void *memory;
    assert_cuda(cudaMalloc(&memory, (size_t)count * sizeof(float)));
    return memory;
}

static inline float *pinned_floats(int64_t count)
{
    void *memory;
    assert_cuda(cudaMallocHost(&memory, (size_t)count * sizeof(float)));
    for (int64_t i = 0; i < count; i++)
        ((float *)memory)[i] = (float)i;
    return memory;
}

#endif
