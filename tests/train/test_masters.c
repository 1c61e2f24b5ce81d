/* The f32 masters of a start: each rank takes its slices of them while the weights are made, through a few pinned pieces
 * and with no memory on the device but the plan's. Whole masters, of which an earlier start had a copy while the optimizer
 * was made, would exceed the plan that --dry-run prints. */
#include "support/ranks.h"
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/weights.h"

#include "core/thread_pool.h"
#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>

enum { SEED = 3 };
static const struct llama_config config = {301, 24, 40, 3, 2, 1, 12, 64, 10000, 1e-5, true};
static enum dtype dtype;
static _Thread_local int64_t pinned; /* bytes that this rank asked for */

static enum status watched_allocate_host(const struct device_context *context, size_t bytes, void **memory)
{
    pinned += (int64_t)bytes;
    return test_kernels()->allocate_host(context, bytes, memory);
}

/* What the masters should be: the numbers before they are rounded, and zeros between the tensors. */
static float *expected_masters(struct llama *model)
{
    float *arena = calloc((size_t)model->layout.elements, sizeof *arena);
    assert_non_null(arena);
    struct weight_sink sink = weights_into(arena);
    assert_ok(llama_initialize(model, SEED, 0.1, &sink));
    return arena;
}

/* Gradients, states, and the scalars and the list of segments beside them. */
static int64_t planned_bytes(const struct parameter_layout *layout, int ranks)
{
    struct memory_plan gradients = {.name = "gradients"}, states = {.name = "states"};
    assert_ok(optimizer_plan(layout, dtype, ranks, &gradients, &states));
    int64_t total = gradients.total + states.total;
    memory_plan_free(&gradients);
    memory_plan_free(&states);
    return total;
}

static void start(struct comm *comm, void *unused)
{
    (void)unused;
    const struct optimizer_settings settings = {
        .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 1};
    struct kernels kernels = *test_kernels();
    struct thread_pool *pool;
    struct device_context context;
    struct llama *model;
    struct optimizer *optimizer;
    struct device_comm *device_comm;
    assert_ok(thread_pool_create(1, &pool));
    assert_ok(device_context_create(&kernels, pool, 0, &context));
    assert_ok(llama_create(&config, dtype, &kernels, &context, &model));
    int64_t count = model->layout.elements;
    float *expected = expected_masters(model), *found = malloc((size_t)count * sizeof *found);
    assert_non_null(found);

    int64_t before = kernels.memory(&context).allocated;
    device_comm = ranks_device_comm(comm, &kernels, &context);
    assert_ok(optimizer_create(model, comm, device_comm, &settings, &optimizer));
    int64_t made = kernels.memory(&context).allocated, planned = planned_bytes(&model->layout, comm_size(comm));
    int64_t states = made - before - (int64_t)context.scratch_bytes;
    assert_in_range(states, planned - 8 * MEMORY_ALIGNMENT, planned); /* which rounds each of up to eight */
    assert_int_equal(optimizer->masters != NULL, dtype == DTYPE_BF16);
    struct weight_sink sink = optimizer_master_sink(optimizer);
    kernels.allocate_host = watched_allocate_host;
    pinned = 0;
    assert_ok(llama_initialize(model, SEED, 0.1, &sink));
    assert_true(pinned > 0 && pinned <= checkpoint_host_bytes(dtype));
    assert_int_equal(kernels.memory(&context).allocated, made);
    assert_int_equal(kernels.memory(&context).peak, made);

    if (dtype == DTYPE_BF16) {
        assert_ok(optimizer_get(optimizer, 2, 0, count, found));
        assert_memory_equal(found, expected, (size_t)count * sizeof *found);
        struct rng rng = rng_make(test_seed(), RNG_TEST, 1, 1); /* the same ranges on all ranks */
        for (int i = 0; i < 300; i++) {                         /* within a slice, across slices and across buckets */
            int64_t offset = (int64_t)rng_below(&rng, (uint64_t)count);
            int64_t length = 1 + (int64_t)rng_below(&rng, (uint64_t)(i % 2 ? 20 : count));
            length = length < count - offset ? length : count - offset;
            memset(found, 0xff, (size_t)count * sizeof *found);
            assert_ok(optimizer_get(optimizer, 2, offset, length, found));
            assert_memory_equal(found, expected + offset, (size_t)length * sizeof *found);
        }
    }
    free(expected);
    free(found);
    optimizer_destroy(optimizer);
    llama_destroy(model);
    device_comm_destroy(device_comm);
    device_context_destroy(&kernels, &context);
    thread_pool_destroy(pool);
}

static void each_rank_takes_its_slices_on_the_way(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= 5; ranks += ranks == 1 ? 1 : 3) {
        dtype = DTYPE_BF16;
        assert_ok(ranks_run(ranks, start, NULL, 0));
        dtype = DTYPE_F32;
        assert_ok(ranks_run(ranks, start, NULL, 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rank_takes_its_slices_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
