/* The first masters are as large as a state of the optimizer: they must be gone before the other states are made, or a
 * run would exceed the plan that --dry-run prints. */
#include "support/test_support.h"

#include "core/thread_pool.h"
#include "train/optimizer.h"

#include <stdlib.h>
#include <string.h>

static float *masters;
static struct {
    int calls, with_masters; /* allocations while the optimizer is made, and those that found the masters there */
} seen;

static enum status watched_allocate(const struct device_context *context, size_t bytes, void **memory)
{
    seen.calls++;
    seen.with_masters += masters != NULL;
    return kernels_cpu()->allocate(context, bytes, memory);
}

static void create(enum dtype dtype, bool given)
{
    const struct optimizer_settings settings = {0.9, 0.95, 1e-8, 0.1, 1};
    const struct llama_config config = {300, 8, 8, 1, 2, 1, 4, 64, 10000, 1e-5, true};
    struct kernels kernels = *kernels_cpu();
    struct thread_pool *pool;
    struct device_context context;
    struct comm *comm;
    struct device_comm *device_comm;
    struct llama *model;
    struct optimizer *optimizer;
    assert_ok(comm_create_single(&comm));
    assert_ok(device_comm_create_single(&device_comm));
    assert_ok(thread_pool_create(1, &pool));
    assert_ok(device_context_create(&kernels, pool, 0, &context));
    assert_ok(llama_create(&config, dtype, &kernels, &context, &model));
    int64_t count = model->layout.elements;
    masters = given ? malloc((size_t)count * sizeof *masters) : NULL;
    for (int64_t i = 0; given && i < count; i++)
        masters[i] = (float)i + 0.25f;
    memset(&seen, 0, sizeof seen);
    kernels.allocate = watched_allocate;
    assert_ok(optimizer_create(model, comm, device_comm, &settings, &optimizer));
    assert_true(seen.calls > 3);
    if (given && dtype == DTYPE_BF16)
        assert_ok(optimizer_put(optimizer, 2, 0, masters, count));
    free(masters);
    for (int64_t i = 0; dtype == DTYPE_BF16 && i < count; i++)
        assert_true(optimizer->masters[i] == (given ? (float)i + 0.25f : 0));
    optimizer_destroy(optimizer);
    llama_destroy(model);
    device_context_destroy(&kernels, &context);
    thread_pool_destroy(pool);
    device_comm_destroy(device_comm);
    comm_destroy(comm);
}

static void they_are_gone_before_the_other_states_come(void **state)
{
    (void)state;
    create(DTYPE_BF16, true);
    create(DTYPE_BF16, false);
    create(DTYPE_F32, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_gone_before_the_other_states_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
