/* Packed losses against those of the same sequences computed one by one through llama_logits. */
#include "eval/score_oracle.h"
#include "support/test_kernels.h"
#include "support/tiny_world.h"

#include "eval/scoring/scorer.h"

#include <string.h>

enum { CONTEXT = 24, LONGEST = 6 * CONTEXT };

static struct tiny_world world;

static int open_world(void **state)
{
    (void)state;
    tiny_world_open(1, CONTEXT, &world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tiny_world_close(&world);
    return 0;
}

static struct scored_sequence make_sequence(struct rng *rng, int64_t count)
{
    struct scored_sequence sequence = {.count = count};
    sequence.ids = guarded_allocate((size_t)count * sizeof *sequence.ids);
    sequence.losses = guarded_allocate((size_t)count * sizeof *sequence.losses);
    for (int64_t i = 0; i < count; i++) {
        sequence.ids[i] = (int32_t)rng_below(rng, 512);
        sequence.losses[i] = NAN; /* so that a loss that is not filled in is noticed */
    }
    return sequence;
}

/* Windows of CONTEXT tokens, each beginning with the last token of the one before. */
static void expect_losses(const struct scored_sequence *sequence)
{
    double expected[LONGEST] = {0}, window[CONTEXT];
    for (int64_t begin = 0; begin == 0 || begin < sequence->count - 1; begin += CONTEXT - 1) {
        int64_t count = sequence->count - begin < CONTEXT ? sequence->count - begin : CONTEXT;
        oracle_losses(world.model, sequence->ids + begin, count, window);
        memcpy(expected + begin + 1, window + 1, (size_t)(count - 1) * sizeof *window);
    }
    assert_true(sequence->losses[0] == 0);
    assert_close("losses", sequence->losses, expected, sequence->count, 2e-5);
}

static void expect_all(const int64_t *lengths, int64_t count, uint64_t stream)
{
    struct rng rng = rng_make(test_seed(), RNG_TEST, 20, stream);
    struct scored_sequence *sequences = guarded_allocate((size_t)count * sizeof *sequences);
    for (int64_t i = 0; i < count; i++)
        sequences[i] = make_sequence(&rng, lengths[i]);
    assert_ok(scorer_run(world.model, sequences, count));
    for (int64_t i = 0; i < count; i++) {
        expect_losses(&sequences[i]);
        guarded_free(sequences[i].ids);
        guarded_free(sequences[i].losses);
    }
    guarded_free(sequences);
}

static void losses_equal_those_of_each_sequence_alone(void **state)
{
    (void)state;
    enum { L = CONTEXT };
    static const int64_t lengths[] = {1, 2, L - 1, L, L + 1, 2 * L - 1, 2 * L, 3 * L - 2, LONGEST, 1, 2, 3, L, 2};
    expect_all(lengths, sizeof lengths / sizeof *lengths, 0);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        expect_all(&lengths[i], 1, 1 + i);
}

/* More than one batch, and rows shorter than the context. */
static void packing_does_not_show(void **state)
{
    (void)state;
    enum { MANY = 700 };
    static int64_t lengths[MANY];
    struct rng rng = rng_make(test_seed(), RNG_TEST, 21, 0);
    for (int i = 0; i < MANY; i++)
        lengths[i] = 1 + (int64_t)rng_below(&rng, CONTEXT + 5);
    expect_all(lengths, MANY, 100);
    for (int i = 0; i < 40; i++)
        lengths[i] = 1 + (int64_t)rng_below(&rng, 7);
    expect_all(lengths, 40, 101);
}

/* A context longer than any fixed row length: the last token sees the first. */
static void rows_are_as_long_as_the_context_allows(void **state)
{
    (void)state;
    enum { LONG = 1500 };
    struct llama_config config = {64, 8, 8, 1, 1, 1, 8, 2048, 10000, 1e-5, false};
    struct llama *model;
    struct rng rng = rng_make(test_seed(), RNG_TEST, 22, 0);
    struct scored_sequence sequence = {.count = LONG};
    static double expected[LONG];
    assert_ok(llama_create(&config, DTYPE_F32, test_kernels(), &world.context, &model));
    assert_ok(llama_initialize(model, 6, 0.5, NULL));
    sequence.ids = malloc(LONG * sizeof *sequence.ids);
    sequence.losses = malloc(LONG * sizeof *sequence.losses);
    for (int i = 0; i < LONG; i++)
        sequence.ids[i] = (int32_t)rng_below(&rng, 64);
    assert_ok(scorer_run(model, &sequence, 1));
    oracle_losses(model, sequence.ids, LONG, expected);
    assert_close("losses", sequence.losses, expected, LONG, 2e-5);
    free(sequence.ids);
    free(sequence.losses);
    llama_destroy(model);
}

static void set_weight(int64_t offset, float value)
{
    const struct llama *model = world.model;
    assert_ok(test_kernels()->copy_to_device(&world.context, QUEUE_COMPUTE, (float *)model->weights + offset, &value,
                                             sizeof value));
    assert_ok(test_kernels()->synchronize(&world.context));
}

static void losses_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    struct rng rng = rng_make(1, RNG_TEST, 23, 0);
    struct scored_sequence sequence = make_sequence(&rng, 5);
    const struct parameter_view *norm = parameter_layout_find(&world.model->layout, "model.norm.weight");
    assert_non_null(norm);
    set_weight(norm->offset, NAN);
    assert_fails(scorer_run(world.model, &sequence, 1), STATUS_CORRUPT, "losses are not finite");
    set_weight(norm->offset, 1); /* as the first values have it */
    assert_ok(scorer_run(world.model, &sequence, 1));
    expect_losses(&sequence);
    guarded_free(sequence.ids);
    guarded_free(sequence.losses);
    assert_ok(scorer_run(world.model, NULL, 0));
}

/* The model's own kernels, with one loss of each call made infinite, as weights that have grown too far would. */
static enum status infinite_cross_entropy(const struct device_context *context, const struct cross_entropy *p)
{
    static const float infinite = INFINITY;
    enum status result = test_kernels()->cross_entropy(context, p);
    if (result == STATUS_OK && p->losses)
        result = test_kernels()->copy_to_device(context, QUEUE_COMPUTE, p->losses + 1, &infinite, sizeof infinite);
    return result;
}

static void infinite_losses_are_refused(void **state)
{
    (void)state;
    struct rng rng = rng_make(1, RNG_TEST, 24, 0);
    struct scored_sequence sequence = make_sequence(&rng, 5);
    const struct kernels *own = world.model->kernels;
    struct kernels kernels = *own;
    kernels.cross_entropy = infinite_cross_entropy;
    world.model->kernels = &kernels;
    assert_fails(scorer_run(world.model, &sequence, 1), STATUS_CORRUPT, "losses are not finite");
    world.model->kernels = own;
    assert_ok(scorer_run(world.model, &sequence, 1));
    expect_losses(&sequence);
    guarded_free(sequence.ids);
    guarded_free(sequence.losses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_equal_those_of_each_sequence_alone),
        cmocka_unit_test(packing_does_not_show),
        cmocka_unit_test(rows_are_as_long_as_the_context_allows),
        cmocka_unit_test(losses_that_are_not_finite_are_refused),
        cmocka_unit_test(infinite_losses_are_refused),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
