/* The promises of a training pass: what it leaves in the gradients, when a bucket is complete, which batches it refuses,
 * and that it neither waits nor allocates. */
#include "support/closed_kernels.h"
#include "support/llama_support.h"
#include "support/scratch_recorder.h"
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 3, ROWS = 3, LENGTH = 40, TOKENS = ROWS * LENGTH, LAYERS = 3 };

/* A model with weights, a batch of packed documents and a workspace for it. */
struct bench {
    struct llama_fixture fixture;
    struct llama_workspace *workspace;
    int32_t ids[TOKENS], targets[TOKENS], starts[TOKENS];
    uint8_t groups[TOKENS];
    struct llama_batch batch;
};

static void bench_open(struct bench *bench, const struct llama_config *config, enum dtype dtype,
                       const struct llama_workspace_options *options)
{
    llama_fixture_create(&bench->fixture, config, dtype, 2);
    llama_fixture_weights(&bench->fixture, SEED, 0.1);
    assert_ok(llama_workspace_create(bench->fixture.model, options, &bench->workspace));
    llama_random_tokens(SEED, 1, TOKENS, config->vocabulary_size, bench->ids, bench->targets);
    for (int i = 0; i < TOKENS; i++) {
        bench->starts[i] = i % LENGTH < 17 ? 0 : 17;
        bench->groups[i] = (uint8_t)(i % 5);
    }
    bench->batch = (struct llama_batch){.rows = ROWS,
                                        .length = LENGTH,
                                        .ids = bench->ids,
                                        .targets = bench->targets,
                                        .starts = bench->starts,
                                        .groups = bench->groups};
}

static void bench_close(struct bench *bench)
{
    llama_workspace_destroy(bench->workspace);
    llama_fixture_destroy(&bench->fixture);
}

static size_t arena_bytes(const struct bench *bench)
{
    return (size_t)bench->fixture.model->layout.elements * sizeof(float);
}

/* ---- overwriting ---- */

/* Two passes, the second on half of the batch, into an arena that holds `filling`; with it the first overwrites. */
static float *two_passes(struct bench *bench, float filling)
{
    float *gradients = llama_fixture_arena(&bench->fixture), *values = malloc(arena_bytes(bench));
    struct llama_step step = {.loss_scale = 0.25f, .gradients = gradients, .overwrite = filling != 0};
    struct llama_batch second = bench->batch;
    assert_non_null(values);
    for (int64_t i = 0; i < bench->fixture.model->layout.elements; i++)
        values[i] = filling;
    llama_fixture_write(&bench->fixture, gradients, values, arena_bytes(bench));
    assert_ok(llama_forward_backward(bench->fixture.model, bench->workspace, &bench->batch, &step));
    step.overwrite = false;
    second.rows = 1;
    assert_ok(llama_forward_backward(bench->fixture.model, bench->workspace, &second, &step));
    free(values);
    values = llama_fixture_copy(&bench->fixture, gradients, arena_bytes(bench));
    llama_fixture_release(&bench->fixture, gradients);
    return values;
}

/* Of NaN or of old numbers nothing is left, padding included: the bits are those of passes that add to zeros. The head in
 * one chunk and in several. */
static void overwriting_reads_nothing(void **state)
{
    (void)state;
    for (int variant = 0; variant < 8; variant++) {
        struct llama_config config = llama_small_config();
        struct bench bench;
        config.tie_embeddings = variant & 1;
        const struct llama_workspace_options options = {
            .rows = ROWS, .length = LENGTH, .backward = true, .head_rows = variant & 4 ? 16 : 0};
        bench_open(&bench, &config, variant & 2 ? DTYPE_BF16 : DTYPE_F32, &options);
        float *expected = two_passes(&bench, 0), *after_nan = two_passes(&bench, NAN),
              *after_numbers = two_passes(&bench, 7);
        for (int64_t i = 0; i < bench.fixture.model->layout.elements; i++)
            assert_true(isfinite(expected[i]));
        assert_memory_equal(after_nan, expected, arena_bytes(&bench));
        assert_memory_equal(after_numbers, expected, arena_bytes(&bench));
        guarded_free(expected);
        guarded_free(after_nan);
        guarded_free(after_numbers);
        bench_close(&bench);
    }
}

/* ---- the hook ---- */

struct recorder {
    struct llama_fixture *fixture;
    const float *gradients;
    const int64_t *offsets;
    float *copy;
    int64_t buckets[LAYERS + 2];
    int count, fail_at;
};

static enum status record(void *argument, int64_t bucket)
{
    struct recorder *recorder = argument;
    if (recorder->count == recorder->fail_at)
        return status_set(STATUS_IO, "the hook fails");
    recorder->buckets[recorder->count++] = bucket;
    int64_t first = recorder->offsets[bucket], count = recorder->offsets[bucket + 1] - first;
    llama_fixture_read(recorder->fixture, recorder->copy + first, recorder->gradients + first,
                       (size_t)count * sizeof(float));
    return STATUS_OK;
}

/* Each bucket is reported once, from the last to the first, and its gradients do not change afterwards, whether they are
 * added to or overwritten. */
static void buckets_are_complete_when_reported(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        struct llama_config config = llama_small_config();
        const struct llama_workspace_options options = {ROWS, LENGTH, RECOMPUTATION_LIGHT, true, 0};
        struct bench bench;
        config.tie_embeddings = variant & 1;
        bench_open(&bench, &config, DTYPE_F32, &options);
        struct llama *model = bench.fixture.model;
        float *gradients = llama_fixture_arena(&bench.fixture);
        struct recorder recorder = {.fixture = &bench.fixture,
                                    .gradients = gradients,
                                    .offsets = model->layout.bucket_offsets,
                                    .copy = calloc(1, arena_bytes(&bench)),
                                    .fail_at = -1};
        const struct llama_bucket_hook hook = {.done = record, .argument = &recorder};
        const struct llama_step step = {
            .loss_scale = 1, .gradients = gradients, .overwrite = variant & 2, .hook = &hook};
        assert_non_null(recorder.copy);
        assert_ok(llama_forward_backward(model, bench.workspace, &bench.batch, &step));
        assert_int_equal(recorder.count, LAYERS + 2);
        for (int i = 0; i < recorder.count; i++)
            assert_int_equal(recorder.buckets[i], LAYERS + 1 - i);
        float *final = llama_fixture_copy(&bench.fixture, gradients, arena_bytes(&bench));
        assert_memory_equal(recorder.copy, final, arena_bytes(&bench));
        recorder.count = 0;
        recorder.fail_at = 2;
        assert_fails(llama_forward_backward(model, bench.workspace, &bench.batch, &step), STATUS_IO, "the hook fails");
        guarded_free(final);
        free(recorder.copy);
        llama_fixture_release(&bench.fixture, gradients);
        bench_close(&bench);
    }
}

/* ---- batches ---- */

/* Ids of a vocabulary of many digits, some of them often; the order by a plain insertion sort. */
static void orders_are_stable_sorts(void **state)
{
    (void)state;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 11, 0);
    static const int64_t vocabularies[] = {1, 2, 61, 4096, 4097, 32000, 1 << 24};
    for (size_t v = 0; v < sizeof vocabularies / sizeof *vocabularies; v++) {
        struct llama_config config = llama_small_config();
        config.vocabulary_size = vocabularies[v];
        int32_t *ids = guarded_allocate(TOKENS * sizeof *ids),
                *positions = guarded_allocate(TOKENS * sizeof *positions);
        int32_t *order = guarded_allocate(TOKENS * sizeof *order), expected[TOKENS];
        for (int i = 0; i < TOKENS; i++)
            ids[i] = (int32_t)(rng_below(&rng, 3) ? rng_below(&rng, (uint64_t)vocabularies[v])
                                                  : rng_below(&rng, 5) % (uint64_t)vocabularies[v]);
        for (int i = 0, j; i < TOKENS; i++) {
            for (j = i; j > 0 && ids[expected[j - 1]] > ids[i]; j--)
                expected[j] = expected[j - 1];
            expected[j] = i;
        }
        const struct llama_batch batch = {.rows = ROWS, .length = LENGTH, .ids = ids};
        assert_ok(llama_batch_derive(&config, &batch, positions, order));
        assert_memory_equal(order, expected, sizeof expected);
        for (int i = 0; i < TOKENS; i++)
            assert_int_equal(positions[i], i % LENGTH);
        guarded_free(ids);
        guarded_free(positions);
        guarded_free(order);
    }
}

/* Gradients of a batch that comes with positions and order, of one with positions alone, and of one without. */
static void derived_batches_have_the_same_bits(void **state)
{
    (void)state;
    const struct llama_config config = llama_small_config();
    const struct llama_workspace_options options = {ROWS, LENGTH, RECOMPUTATION_NONE, true, 0};
    struct bench bench;
    int32_t positions[TOKENS], order[TOKENS];
    bench_open(&bench, &config, DTYPE_F32, &options);
    assert_ok(llama_batch_derive(&config, &bench.batch, positions, order));
    for (int t = 0; t < TOKENS; t++)
        assert_int_equal(positions[t], t % LENGTH < 17 ? t % LENGTH : t % LENGTH - 17);
    bench.batch.rows = 1; /* both passes take the first row, whose order is its own */
    float *expected = two_passes(&bench, NAN);
    assert_ok(llama_batch_derive(&config, &bench.batch, positions, order));
    bench.batch.positions = positions;
    float *with_positions = two_passes(&bench, NAN);
    bench.batch.order = order;
    float *with_both = two_passes(&bench, NAN);
    assert_memory_equal(with_positions, expected, arena_bytes(&bench));
    assert_memory_equal(with_both, expected, arena_bytes(&bench));
    guarded_free(expected);
    guarded_free(with_positions);
    guarded_free(with_both);
    bench_close(&bench);
}

static void bad_batches_are_refused(void **state)
{
    (void)state;
    struct llama_config config = llama_small_config();
    config.maximum_positions = 8;
    struct llama_fixture fixture;
    struct llama_workspace *workspace, *forward;
    struct llama_workspace_options options = {.rows = 1, .length = 12};
    llama_fixture_create(&fixture, &config, DTYPE_F32, 1);
    assert_ok(llama_workspace_create(fixture.model, &options, &forward));
    options.backward = true;
    assert_ok(llama_workspace_create(fixture.model, &options, &workspace));
    int32_t ids[24] = {0}, targets[24] = {0}, starts[24] = {0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4};
    float losses[24];
    struct llama_step step = {.loss_scale = 1, .gradients = llama_fixture_arena(&fixture)};
    struct llama_batch batch = {.rows = 1, .length = 12, .ids = ids, .targets = targets, .starts = starts};
    assert_ok(llama_losses(fixture.model, workspace, &batch, losses));
    batch.starts = NULL;
    assert_fails(llama_losses(fixture.model, workspace, &batch, losses), STATUS_USAGE, "8 positions");
    batch.starts = starts;
    starts[5] = 3; /* neither its own start nor its predecessor's */
    assert_fails(llama_losses(fixture.model, workspace, &batch, losses), STATUS_INTERNAL, "position 5 starts at 3");
    starts[5] = 6;
    assert_fails(llama_losses(fixture.model, workspace, &batch, losses), STATUS_INTERNAL, "position 5 starts at 6");
    starts[5] = 4;
    ids[3] = 61;
    assert_fails(llama_losses(fixture.model, workspace, &batch, losses), STATUS_INTERNAL, "token id 61");
    ids[3] = -1;
    assert_fails(llama_losses(fixture.model, workspace, &batch, losses), STATUS_INTERNAL, "token id -1");
    ids[3] = 0;
    targets[2] = -2;
    assert_fails(llama_losses(fixture.model, workspace, &batch, losses), STATUS_INTERNAL, "target -2");
    targets[2] = 61;
    assert_fails(llama_losses(fixture.model, workspace, &batch, losses), STATUS_INTERNAL, "target 61");
    targets[2] = 0;
    batch.rows = 2;
    assert_fails(llama_losses(fixture.model, workspace, &batch, losses), STATUS_INTERNAL, "workspace for 12");
    batch.rows = 1;
    assert_fails(llama_forward_backward(fixture.model, forward, &batch, &step), STATUS_INTERNAL, "forward alone");
    step.group_sums = llama_fixture_allocate(&fixture, LLAMA_LOSS_GROUPS * sizeof(double));
    assert_fails(llama_forward_backward(fixture.model, workspace, &batch, &step), STATUS_INTERNAL, "without groups");
    assert_fails(llama_add_losses(fixture.model, workspace, &batch, step.group_sums), STATUS_INTERNAL,
                 "without groups");
    assert_fails(llama_add_losses(fixture.model, workspace, &batch, NULL), STATUS_INTERNAL, "no sums");
    batch.targets = NULL;
    assert_fails(llama_losses(fixture.model, workspace, &batch, losses), STATUS_INTERNAL, "without targets");
    llama_fixture_release(&fixture, step.gradients);
    llama_fixture_release(&fixture, step.group_sums);
    llama_workspace_destroy(workspace);
    llama_workspace_destroy(forward);
    llama_fixture_destroy(&fixture);
}

/* ---- nothing is waited for ---- */

/* The arrays of a batch in one piece of pinned memory. */
static void *pin(struct bench *bench)
{
    void *memory;
    assert_ok(test_kernels()->allocate_host(&bench->fixture.context, 6 * TOKENS * sizeof(int32_t), &memory));
    int32_t *numbers = memory, *positions = numbers + 3 * TOKENS, *order = numbers + 4 * TOKENS;
    uint8_t *groups = (uint8_t *)(numbers + 5 * TOKENS);
    memcpy(numbers, bench->ids, sizeof bench->ids);
    memcpy(numbers + TOKENS, bench->targets, sizeof bench->targets);
    memcpy(numbers + 2 * TOKENS, bench->starts, sizeof bench->starts);
    memcpy(groups, bench->groups, sizeof bench->groups);
    assert_ok(llama_batch_derive(&bench->fixture.model->config, &bench->batch, positions, order));
    bench->batch.ids = numbers;
    bench->batch.targets = numbers + TOKENS;
    bench->batch.starts = numbers + 2 * TOKENS;
    bench->batch.positions = positions;
    bench->batch.order = order;
    bench->batch.groups = groups;
    return memory;
}

/* A pass of a pinned, derived batch is six copies and its operations; one that is not derived waits until the one before
 * has left the workspace's own staging. */
static void passes_neither_wait_nor_allocate(void **state)
{
    (void)state;
    const struct llama_config config = llama_small_config();
    const struct llama_workspace_options options = {ROWS, LENGTH, RECOMPUTATION_BLOCK, true, 0};
    struct bench bench;
    if (!test_kernels_closed())
        skip(); /* the closed table counts */
    bench_open(&bench, &config, DTYPE_BF16, &options);
    void *pinned = pin(&bench);
    struct llama_step step = {.loss_scale = 1, .gradients = llama_fixture_arena(&bench.fixture), .overwrite = true};
    step.group_sums = llama_fixture_allocate(&bench.fixture, LLAMA_LOSS_GROUPS * sizeof(double));
    closed_reset_counters(&bench.fixture.context);
    for (int i = 0; i < 3; i++) {
        assert_ok(llama_forward_backward(bench.fixture.model, bench.workspace, &bench.batch, &step));
        assert_ok(llama_add_losses(bench.fixture.model, bench.workspace, &bench.batch, step.group_sums));
    }
    struct closed_counters counters = closed_counters(&bench.fixture.context);
    assert_int_equal(counters.synchronizes + counters.event_waits, 0);
    assert_int_equal(counters.queue_waits, 6 * 2); /* copies for the arrays' last pass, a pass for its copies */
    assert_int_equal(counters.allocations + counters.host_allocations, 0);
    assert_int_equal(counters.pageable_copies, 0);
    assert_int_equal(counters.pinned_copies, 6 * 6);
    bench.batch.order = NULL;
    for (int i = 0; i < 2; i++)
        assert_ok(llama_forward_backward(bench.fixture.model, bench.workspace, &bench.batch, &step));
    counters = closed_counters(&bench.fixture.context);
    assert_int_equal(counters.synchronizes + counters.pageable_copies + counters.host_allocations, 0);
    assert_int_equal(counters.event_waits, 1);
    assert_ok(test_kernels()->synchronize(&bench.fixture.context));
    test_kernels()->release_host(&bench.fixture.context, pinned);
    llama_fixture_release(&bench.fixture, step.gradients);
    llama_fixture_release(&bench.fixture, step.group_sums);
    bench_close(&bench);
}

/* ---- the plan of scratch ---- */

/* What the passes need, seen from below, is what was planned; more cannot be seen, for the operations would not run. */
static void scratch_is_planned(void **state)
{
    (void)state;
    for (int variant = 0; variant < 12; variant++) {
        const struct llama_config config = llama_small_config();
        const struct llama_workspace_options options = {.rows = ROWS,
                                                        .length = LENGTH,
                                                        .recomputation = (enum recomputation)(variant % 3),
                                                        .backward = variant % 2,
                                                        .head_rows = 50};
        enum dtype dtype = variant < 6 ? DTYPE_F32 : DTYPE_BF16;
        struct bench bench;
        float losses[TOKENS];
        size_t planned;
        bench_open(&bench, &config, dtype, &options);
        assert_ok(llama_plan_scratch(test_kernels(), &config, dtype, &options, &planned));
        assert_int_equal(bench.fixture.context.scratch_bytes, planned);
        bench.fixture.model->kernels = scratch_recorder();
        scratch_recorder_reset();
        assert_ok(llama_losses(bench.fixture.model, bench.workspace, &bench.batch, losses));
        if (options.backward) {
            struct llama_step step = {.loss_scale = 1, .gradients = llama_fixture_arena(&bench.fixture)};
            assert_ok(llama_forward_backward(bench.fixture.model, bench.workspace, &bench.batch, &step));
            assert_ok(test_kernels()->synchronize(&bench.fixture.context));
            llama_fixture_release(&bench.fixture, step.gradients);
        }
        assert_int_equal(scratch_recorder_largest(), planned);
        assert_true(planned > 0 || !options.backward);
        bench.fixture.model->kernels = test_kernels();
        bench_close(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overwriting_reads_nothing), cmocka_unit_test(buckets_are_complete_when_reported),
        cmocka_unit_test(orders_are_stable_sorts),   cmocka_unit_test(derived_batches_have_the_same_bits),
        cmocka_unit_test(bad_batches_are_refused),   cmocka_unit_test(passes_neither_wait_nor_allocate),
        cmocka_unit_test(scratch_is_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
