/* The demo's model for fifty steps: neither the number of threads nor what is recomputed changes a bit of any loss,
 * gradient norm, weight, master or moment, in f32 and in bf16. Recomputation on one thread is followed for twelve steps
 * only, and so is everything on the closed table, unless the long tests are asked for; an emulated device computes three
 * steps of a smaller model. */
#include "support/test_kernels.h"
#include "support/test_support.h"
#include "support/training_bench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STEPS = 50, SHORT_STEPS = 12, FEW_STEPS = 3 };

static struct tiny_corpus corpus;

struct outcome {
    int steps;
    double losses[STEPS], norms[STEPS];
    struct training_state early, state; /* after SHORT_STEPS and after all */
};

/* The sanitizers' build is slow, and bits are not what it is for. */
static int steps_of(int recomputation, int threads)
{
    if (test_kernels_slow())
        return FEW_STEPS;
#ifdef __SANITIZE_ADDRESS__
    return SHORT_STEPS;
#endif
    if (test_kernels_closed() && !test_is_long()) /* the same operations: what is new there shows in the first steps */
        return SHORT_STEPS;
    return threads == 1 && recomputation != RECOMPUTATION_NONE && !test_is_long() ? SHORT_STEPS : STEPS;
}

static void train(int dtype, int recomputation, int threads, struct outcome *outcome)
{
    outcome->steps = steps_of(recomputation, threads);
    struct training_bench bench;
    struct trainer *trainer;
    training_bench_open(&bench, &corpus, "unused", NULL, threads);
    training_bench_shrink_if_slow(&bench);
    if (!test_kernels_slow())
        training_bench_use_demo_sizes(&bench);
    bench.train.dtype = dtype;
    bench.train.recomputation = recomputation;
    bench.train.steps = STEPS;
    assert_ok(trainer_create(&bench.setup, false, &trainer));
    for (int i = 0; i < outcome->steps; i++) {
        struct step_result step;
        assert_ok(trainer_step(trainer, &step));
        assert_null(step.skipped);
        outcome->losses[i] = step.loss;
        outcome->norms[i] = step.gradient_norm;
        if (i + 1 == (test_kernels_slow() ? FEW_STEPS : SHORT_STEPS))
            outcome->early = training_state_copy(trainer);
    }
    outcome->state = training_state_copy(trainer);
    trainer_destroy(trainer);
    training_bench_close(&bench);
}

static void compare(const char *what, const struct outcome *actual, const struct outcome *expected)
{
    assert_true(actual->steps <= expected->steps);
    for (int i = 0; i < actual->steps; i++) {
        if (memcmp(&actual->losses[i], &expected->losses[i], sizeof(double)) != 0)
            fail_msg("%s: loss of step %d is %a, not %a", what, i + 1, actual->losses[i], expected->losses[i]);
        if (memcmp(&actual->norms[i], &expected->norms[i], sizeof(double)) != 0)
            fail_msg("%s: norm of step %d is %a, not %a", what, i + 1, actual->norms[i], expected->norms[i]);
    }
    training_state_assert_equal(what, &actual->early, &expected->early);
    if (actual->steps == expected->steps)
        training_state_assert_equal(what, &actual->state, &expected->state);
}

static void outcome_free(struct outcome *outcome)
{
    training_state_free(&outcome->early);
    training_state_free(&outcome->state);
}

static void no_bit_depends_on_threads_or_recomputation(int dtype)
{
    static const char *const recomputations[] = {"none", "light", "block"};
    struct outcome expected = {0};
    train(dtype, RECOMPUTATION_NONE, 1, &expected);
    assert_true(isfinite(expected.losses[0]));
    if (!test_kernels_slow()) /* in three steps of other tokens each nothing is learned */
        assert_true(expected.losses[expected.steps - 1] < 0.9 * expected.losses[0]);
    for (int recomputation = RECOMPUTATION_NONE; recomputation <= RECOMPUTATION_BLOCK; recomputation++)
        for (int threads = 1; threads <= 2; threads++) {
            struct outcome found = {0};
            char what[80];
            if (threads == 1 && (recomputation == RECOMPUTATION_NONE || test_kernels_slow()))
                continue; /* the host's threads compute nothing there */
            snprintf(what, sizeof what, "%s, recomputation %s, %d threads", dtype_name((enum dtype)dtype),
                     recomputations[recomputation], threads);
            train(dtype, recomputation, threads, &found);
            compare(what, &found, &expected);
            outcome_free(&found);
        }
    outcome_free(&expected);
}

static void f32_has_the_same_bits(void **state)
{
    (void)state;
    no_bit_depends_on_threads_or_recomputation(DTYPE_F32);
}

static void bf16_has_the_same_bits(void **state)
{
    (void)state;
    no_bit_depends_on_threads_or_recomputation(DTYPE_BF16);
}

static int make_corpus(void **state)
{
    (void)state;
    tiny_corpus_make(60, test_seed(), &corpus);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_has_the_same_bits),
        cmocka_unit_test(bf16_has_the_same_bits),
    };
    return cmocka_run_group_tests(tests, make_corpus, NULL);
}
