/* CUDA's table for the tests: on the emulated device ("emulated"), or on a GPU ("device"), whichever the program was linked
 * for. The emulator's reports end a test program with an error, printed by its runtime. */
#include "kernels/cuda/kernels_cuda.h"
#include "support/cuda/block_orders.h"
#include "support/kernel_harness.h"
#include "support/test_support.h"

#ifdef SPIRITLM_EMULATED
#include "emulator/runtime/emulator.h"

#include <cuda_runtime_api.h>
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct kernels *test_cuda_kernels(const char *backend)
{
    if (strcmp(backend, SPIRITLM_CUDA_BACKEND) != 0)
        return NULL;
    int count;
    if (kernels_cuda_devices(&count) != STATUS_OK) {
        printf("skipped: %s\n", status_text());
        exit(77);
    }
    return block_orders(kernels_cuda());
}

#ifdef SPIRITLM_EMULATED

void test_traffic_begin(void)
{
    test_settle();
    block_orders_pause(true);
    machine_reset_counters(emulator_machine());
}

bool test_traffic_end(struct test_traffic *traffic)
{
    test_settle();
    block_orders_pause(false);
    struct machine_counters counters = machine_counters(emulator_machine());
    traffic->bytes = 32 * (double)(counters.global_sectors_read + counters.global_sectors_written);
    traffic->tensor_products = counters.mma;
    traffic->wavefronts = counters.shared_wavefronts_ideal == 0
                              ? 1
                              : (double)counters.shared_wavefronts / (double)counters.shared_wavefronts_ideal;
    return true;
}

void *test_sparse_memory(size_t bytes)
{
    void *memory = NULL;
    return cudaMalloc(&memory, bytes) == cudaSuccess ? memory : NULL;
}

void test_sparse_release(void *memory)
{
    if (cudaFree(memory) != cudaSuccess)
        fail_msg("memory cannot be released");
}

void test_blocks(int64_t first, int64_t count)
{
    emulator_settings()->first_block = first;
    emulator_settings()->block_count = count;
    block_orders_pause(count > 0); /* whose copies of memory without end would take long */
}

void test_forget(void *memory, size_t bytes)
{
    const uint64_t address = (uint64_t)(uintptr_t)memory;
    machine_fill(emulator_machine(), address, 0xCD, bytes);
    machine_mark_defined(emulator_machine(), address, bytes, false);
}

bool test_cuda_calls(struct test_calls *calls)
{
    struct emulator_counters counters = emulator_counters();
    *calls = (struct test_calls){
        .launches = counters.launch_calls,
        .graph_launches = counters.graph_launches,
        .synchronizes = counters.synchronizations,
        .allocations = counters.allocations + counters.releases + counters.host_allocations + counters.host_releases,
        .copies = counters.pinned_copies + counters.pageable_copies,
        .pageable_copies = counters.pageable_copies,
    };
    return true;
}

bool test_cuda_work(struct test_work *work)
{
    struct machine_counters counters = machine_counters(emulator_machine());
    *work = (struct test_work){
        .instructions = counters.warp_instructions,
        .mma = counters.mma,
        .ldmatrix = counters.ldmatrix,
        .wavefronts = counters.shared_wavefronts,
        .wavefronts_ideal = counters.shared_wavefronts_ideal,
        .sectors = counters.global_sectors_read + counters.global_sectors_written,
        .bytes = counters.global_bytes_read + counters.global_bytes_written,
    };
    return true;
}

bool test_kernels_slow(void)
{
    return !test_kernels_cpu() && !test_is_long();
}

int64_t test_cuda_device_bytes(void)
{
    return (int64_t)machine_allocated(emulator_machine());
}

bool test_cuda_emulated(void)
{
    return true;
}

#else

void test_traffic_begin(void)
{
}

bool test_traffic_end(struct test_traffic *traffic)
{
    (void)traffic;
    return false;
}

void *test_sparse_memory(size_t bytes)
{
    (void)bytes;
    return NULL;
}

void test_sparse_release(void *memory)
{
    (void)memory;
}

void test_blocks(int64_t first, int64_t count)
{
    (void)first;
    (void)count;
}

void test_forget(void *memory, size_t bytes)
{
    (void)memory;
    (void)bytes;
}

bool test_cuda_calls(struct test_calls *calls)
{
    *calls = (struct test_calls){0};
    return false;
}

bool test_cuda_work(struct test_work *work)
{
    *work = (struct test_work){0};
    return false;
}

bool test_kernels_slow(void)
{
    return false;
}

bool test_cuda_emulated(void)
{
    return false;
}

int64_t test_cuda_device_bytes(void)
{
    return 0;
}

#endif
