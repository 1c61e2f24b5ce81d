/* A test program without CUDA. One that has it brings these functions itself (support/cuda/), and the linker then leaves
 * this file out. */
#include "support/test_kernels.h"

const struct kernels *test_cuda_kernels(const char *backend)
{
    (void)backend;
    return NULL;
}

void test_traffic_begin(void)
{
}

bool test_traffic_end(struct test_traffic *traffic)
{
    (void)traffic;
    return false;
}

bool test_cuda_work(struct test_work *work)
{
    *work = (struct test_work){0};
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

bool test_kernels_slow(void)
{
    return false;
}

int64_t test_cuda_device_bytes(void)
{
    return 0;
}

bool test_cuda_emulated(void)
{
    return false;
}
